// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "arpo-replay",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "arpo-replay", targets: ["arpo-replay"]),
    .library(name: "Replay", targets: ["Rollouts", "RolloutLogs", "RolloutStore", "Replay"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: [
    .systemLibrary(
      name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"]), .brew(["zstd"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
    .target(name: "CKernels"),

    .target(name: "Rollouts", swiftSettings: settings),
    .target(
      name: "RolloutLogs",
      dependencies: ["Rollouts", "CZstd", "CZlib", "CKernels"],
      swiftSettings: settings),
    .target(
      name: "RolloutStore",
      dependencies: [
        "Rollouts", "RolloutLogs", "CZstd", "CKernels",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ],
      resources: [.embedInCode("Migrations/v1.sql")],
      swiftSettings: settings),
    .target(name: "Replay", dependencies: ["Rollouts", "CKernels"], swiftSettings: settings),
    .target(
      name: "Queries", path: "Queries",
      resources: [],
      swiftSettings: settings),
    .executableTarget(
      name: "arpo-replay",
      dependencies: [
        "Rollouts", "RolloutLogs", "RolloutStore", "Replay", "Queries",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "arpo-replay-bench",
      dependencies: ["Rollouts", "RolloutLogs", "RolloutStore", "Replay"],
      swiftSettings: settings),

    .target(name: "TestSupport", dependencies: ["Rollouts"], path: "Tests/TestSupport", swiftSettings: settings),
    .testTarget(
      name: "RolloutLogsTests", dependencies: ["RolloutLogs", "Rollouts", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "ReplayTests", dependencies: ["Replay", "Rollouts", "TestSupport"], swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
