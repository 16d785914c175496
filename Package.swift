// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

// Swift's libraries within the program: it starts in half the time and runs where no Swift is installed. The last five are
// what Foundation stands on.
let standalone: [LinkerSetting] = [
  .unsafeFlags(
    [
      "-static-stdlib", "-lCoreFoundation", "-l_FoundationICU", "-l_FoundationCollections", "-l_FoundationCShims",
      "-lstdc++", "-use-ld=lld",
    ], .when(platforms: [.linux], configuration: .release))
]

let package = Package(
  name: "arpo-replay",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "arpo-replay", targets: ["arpo-replay"]),
    .library(name: "Replay", targets: ["Rollouts", "RolloutLogs", "RolloutStore", "Replay", "AdaptiveRollout"]),
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
    .target(name: "CSQLiteSetup", dependencies: [.product(name: "GRDBSQLite", package: "GRDB.swift")]),
    .target(name: "CPolicyKernels"),

    .target(name: "Rollouts", swiftSettings: settings),
    .target(
      name: "RolloutLogs",
      dependencies: ["Rollouts", "CZstd", "CZlib", "CKernels"],
      swiftSettings: settings),
    .target(
      name: "RolloutStore",
      dependencies: [
        "Rollouts", "RolloutLogs", "Replay", "CZstd", "CKernels", "CSQLiteSetup",
        .product(name: "GRDB", package: "GRDB.swift"),
        .product(name: "GRDBSQLite", package: "GRDB.swift"),
      ],
      resources: [
        .embedInCode("Migrations/rollouts.sql"), .embedInCode("Migrations/v2.sql"), .embedInCode("Migrations/v3.sql"),
        .embedInCode("Migrations/v4.sql"), .embedInCode("Migrations/v5.sql"), .embedInCode("Migrations/v6.sql"),
        .embedInCode("Migrations/v7.sql"), .embedInCode("Migrations/token_blocks.sql"),
        .embedInCode("Migrations/v7_views.sql"),
      ],
      swiftSettings: settings),
    .target(name: "AdaptiveRollout", swiftSettings: settings),
    .target(name: "Replay", dependencies: ["Rollouts", "AdaptiveRollout", "CKernels"], swiftSettings: settings),
    .target(name: "Policy", dependencies: ["RolloutLogs", "CKernels", "CPolicyKernels"], swiftSettings: settings),
    .target(name: "Rescoring", dependencies: ["Policy", "Replay", "Rollouts"], swiftSettings: settings),
    .target(
      name: "Sampling", dependencies: ["AdaptiveRollout", "Policy", "Rollouts", "Replay"], swiftSettings: settings),
    .target(
      name: "Demonstration", dependencies: ["AdaptiveRollout", "Sampling", "Policy", "Rollouts", "Replay"],
      swiftSettings: settings),
    .target(name: "Evaluation", dependencies: ["Rollouts", "Replay"], swiftSettings: settings),
    .target(name: "Exporting", dependencies: ["Rollouts", "Replay"], swiftSettings: settings),
    .target(
      name: "Learner", dependencies: ["AdaptiveRollout", "Policy", "Replay", "Rollouts"], swiftSettings: settings),
    .target(
      name: "Queries", path: "Queries",
      resources: [
        .embedInCode("attributions.sql"), .embedInCode("credit.sql"), .embedInCode("disagreements.sql"),
        .embedInCode("evidence.sql"), .embedInCode("forks.sql"), .embedInCode("groups.sql"),
        .embedInCode("quarantine.sql"), .embedInCode("tools.sql"),
      ],
      swiftSettings: settings),
    .executableTarget(
      name: "arpo-replay",
      dependencies: [
        "CKernels", "Rollouts", "RolloutLogs", "RolloutStore", "Replay", "AdaptiveRollout", "Queries", "Exporting",
        "Evaluation", "Policy", "Rescoring", "Sampling", "Demonstration", "Learner",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings,
      linkerSettings: standalone),
    .executableTarget(
      name: "arpo-replay-bench",
      dependencies: [
        "CKernels", "Rollouts", "RolloutLogs", "RolloutStore", "Replay", "AdaptiveRollout", "Policy", "Learner",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings,
      linkerSettings: standalone),

    .target(
      name: "TestSupport",
      dependencies: [
        "Rollouts", "Replay", .product(name: "GRDB", package: "GRDB.swift"),
      ],
      path: "Tests/TestSupport", swiftSettings: settings),
    .testTarget(
      name: "RolloutLogsTests", dependencies: ["RolloutLogs", "Rollouts", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "RolloutStoreTests",
      dependencies: [
        "RolloutStore", "RolloutLogs", "Replay", "AdaptiveRollout", "Rollouts", "TestSupport",
        .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "OutputTests", dependencies: ["arpo-replay", "Replay", "Rollouts"], swiftSettings: settings),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "arpo-replay", "Demonstration", "Sampling", "Queries", "Replay", "RolloutStore", "RolloutLogs", "Rollouts",
        "Policy",
        "TestSupport",
        .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "ReplayTests", dependencies: ["Replay", "Rollouts", "AdaptiveRollout", "CKernels", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "AdaptiveRolloutTests", dependencies: ["AdaptiveRollout", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "DemonstrationTests",
      dependencies: [
        "Demonstration", "Sampling", "AdaptiveRollout", "Policy", "RolloutLogs", "RolloutStore", "Replay", "Rollouts",
        "TestSupport",
      ],
      swiftSettings: settings),
    .testTarget(
      name: "SamplingTests", dependencies: ["Sampling", "AdaptiveRollout", "Demonstration", "Policy", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "EvaluationTests", dependencies: ["Evaluation", "Replay", "Rollouts"], swiftSettings: settings),
    .testTarget(
      name: "ExportingTests", dependencies: ["Exporting", "Replay", "Rollouts", "TestSupport"], swiftSettings: settings),
    .testTarget(
      name: "RescoringTests",
      dependencies: ["Rescoring", "Policy", "Replay", "Rollouts", "RolloutLogs", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "PolicyTests", dependencies: ["Policy", "CPolicyKernels", "RolloutLogs", "TestSupport"],
      swiftSettings: settings),
    .testTarget(
      name: "LearnerTests", dependencies: ["Learner", "Policy", "Replay", "Rollouts", "TestSupport"],
      swiftSettings: settings),
  ],
  swiftLanguageModes: [.v6]
)
