#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Natural logarithm.
func logarithm(_ x: Double) -> Double { log(x) }
