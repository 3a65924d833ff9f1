// swift-tools-version: 6.1
//
// limitd: one package, arrows point down only (docs/ARCHITECTURE.md draws them).

import PackageDescription

/// What every Swift target of ours is compiled with. The Makefile also turns warnings into errors,
/// with the compilers whose warnings we know: nobody is stopped by a newer compiler's new warning.
var strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]
#if !compiler(>=6.4)
if Context.environment["LIMITD_WARNINGS_AS_ERRORS"] == "1" {
  strict.append(.unsafeFlags(["-warnings-as-errors"]))
}
#endif

let package = Package(
  name: "limitd",
  products: [
    .executable(name: "limitd", targets: ["limitd"]),
    .executable(name: "limitctl", targets: ["limitctl"]),
    .library(name: "LimitClient", targets: ["LimitClient"]),
    .library(name: "LimitEngine", targets: ["LimitEngine"]),
    .library(name: "LimitPolicy", targets: ["LimitPolicy"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
  ],
  targets: [
    // Headers only: compiler intrinsics that the standard library does not offer.
    .target(name: "CIntrinsics"),

    // Algorithms, bucket table, evaluation of a policy. No I/O, no clock, no Foundation.
    .target(name: "LimitEngine", dependencies: ["CIntrinsics"], swiftSettings: strict),

    // YAML to a validated policy set, with positions in every error.
    .target(
      name: "LimitPolicy",
      dependencies: ["LimitEngine", .product(name: "Yams", package: "Yams")],
      swiftSettings: strict
    ),

    // Headers only: what Linux offers and Swift's Glibc module does not.
    .target(name: "CLinux"),

    // Frames to values and back. No I/O, no clock, no Foundation.
    .target(name: "LimitProtocol", swiftSettings: strict),

    // What Linux offers, in Swift: descriptors, errors, clocks, epoll, threads, locks.
    .target(name: "LimitSystem", dependencies: ["CLinux"], swiftSettings: strict),

    // What services talk to the daemon with: blocking and async clients.
    .target(
      name: "LimitClient", dependencies: ["CLinux", "LimitProtocol"], swiftSettings: strict),

    // What is in force: rules, access, and who decides by them.
    .target(
      name: "LimitRuntime", dependencies: ["LimitEngine", "LimitPolicy", "LimitSystem"],
      swiftSettings: strict),

    // What outlives the daemon, and the memory of its tables.
    .target(
      name: "LimitStore", dependencies: ["LimitEngine", "LimitSystem"], swiftSettings: strict),

    // Event loops, sessions, admission of connections. Serves the engine on a Unix socket.
    .target(
      name: "LimitServer",
      dependencies: [
        "CLinux", "LimitEngine", "LimitPolicy", "LimitProtocol", "LimitRuntime", "LimitSystem",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict
    ),

    // libsystemd: what systemd hands a service, and what a service tells it.
    .systemLibrary(
      name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),

    // systemd, for Swift: passed descriptors, notices, the store, the journal.
    .target(
      name: "LimitSystemd",
      dependencies: [
        "CLinux", "CSystemd", "LimitSystem",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict
    ),

    // The daemon: parses flags and wires the parts.
    .executableTarget(
      name: "limitd",
      dependencies: [
        "CLinux", "LimitEngine", "LimitPolicy", "LimitProtocol", "LimitRuntime", "LimitServer",
        "LimitStore", "LimitSystem", "LimitSystemd",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict
    ),

    // What programs for people share: the terminal, tables, numbers, JSON, results. No Foundation.
    .target(name: "LimitConsole", dependencies: ["CLinux"], swiftSettings: strict),

    // A trace in, a report out.
    .target(
      name: "LimitReplay",
      dependencies: [
        "CLinux", "LimitClient", "LimitConsole", "LimitEngine", "LimitPolicy", "LimitProtocol",
      ],
      swiftSettings: strict
    ),

    // The command line: one file per command.
    .executableTarget(
      name: "limitctl",
      dependencies: [
        "CLinux", "LimitClient", "LimitConsole", "LimitEngine", "LimitPolicy", "LimitProtocol",
        "LimitReplay", "LimitStore",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Histogram", package: "hdrhistogram-swift"),
      ],
      swiftSettings: strict
    ),

    // `make bench`: nanoseconds per decision.
    .executableTarget(
      name: "EngineBenchmark",
      dependencies: ["LimitEngine"],
      path: "Benchmarks/EngineBenchmark",
      swiftSettings: strict
    ),

    // Counts heap allocations per thread by standing in front of malloc. Tests only.
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),

    // What several test targets use.
    .target(name: "TestSupport", path: "Tests/Support", swiftSettings: strict),

    // The real daemon as a child process, and clients that send whatever bytes. Tests only.
    .target(name: "CHostile", path: "Tests/CHostile"),
    .target(
      name: "DaemonSupport", dependencies: ["CHostile"], path: "Tests/DaemonSupport",
      swiftSettings: strict),

    .testTarget(
      name: "LimitEngineTests",
      dependencies: ["LimitEngine", "CIntrinsics", "CAllocationCounter", "TestSupport"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitProtocolTests",
      dependencies: ["LimitProtocol", "TestSupport"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitServerTests",
      dependencies: [
        "LimitServer", "LimitEngine", "LimitPolicy", "LimitProtocol", "LimitRuntime", "TestSupport",
      ],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitPolicyTests",
      dependencies: ["LimitPolicy", "LimitEngine"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitStoreTests",
      dependencies: ["LimitStore", "LimitEngine", "LimitPolicy", "LimitSystem", "TestSupport"],
      swiftSettings: strict
    ),
    // The real daemon over real sockets.
    .testTarget(
      name: "limitdTests",
      dependencies: ["limitd", "DaemonSupport", "TestSupport"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitReplayTests",
      dependencies: ["LimitReplay", "LimitConsole", "LimitEngine", "TestSupport"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitSystemdTests",
      dependencies: [
        "LimitSystem", "LimitSystemd",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict
    ),
    .testTarget(
      name: "limitctlTests",
      dependencies: ["limitctl", "LimitConsole", "LimitPolicy", "LimitEngine", "LimitStore"],
      swiftSettings: strict
    ),
  ],
  swiftLanguageModes: [.v6]
)
