#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// exp(-x), so that 1 / (1 + it) is the logistic function.
func logisticTail(_ x: Double) -> Double { exp(-x) }
