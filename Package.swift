// swift-tools-version: 6.1
//
// limitd: one package, arrows point down only (docs/ARCHITECTURE.md draws them).

import PackageDescription

/// What every Swift target of ours is compiled with. The Makefile also turns warnings into errors,
/// with the compilers whose warnings we know: nobody is stopped by a newer compiler's new warning.
///
/// Without MemberImportVisibility: a C type that the headers of both Glibc and CLinux declare, such as
/// sigset_t, is then now the one's and now the other's, by the order in which files are compiled.
var strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
]
#if !compiler(>=6.4)
if Context.environment["LIMITD_WARNINGS_AS_ERRORS"] == "1" {
  strict.append(.unsafeFlags(["-warnings-as-errors"]))
}
#endif

/// A product that only the daemon's side needs: a user of LimitClient, who turns the trait off,
/// resolves no package for it.
func daemonSide(_ product: String, _ package: String) -> Target.Dependency {
  .product(name: product, package: package, condition: .when(traits: ["Daemon"]))
}

let package = Package(
  name: "limitd",
  products: [
    .executable(name: "limitd", targets: ["limitd"]),
    .executable(name: "limitctl", targets: ["limitctl"]),
    .library(name: "LimitClient", targets: ["LimitClient"]),
    .library(name: "LimitProtocol", targets: ["LimitProtocol"]),
    .library(name: "LimitEngine", targets: ["LimitEngine"]),
    .library(name: "LimitPolicy", targets: ["LimitPolicy"]),
  ],
  // `traits: []` leaves the client alone, which needs no package.
  traits: [
    .trait(name: "Daemon", description: "What limitd and limitctl are built of."),
    .trait(name: "SwiftLog", description: "LimitClient has an observer that writes to swift-log."),
    .trait(name: "ServiceLifecycle", description: "LimitClient's async client is a Service."),
    .default(enabledTraits: ["Daemon", "SwiftLog", "ServiceLifecycle"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // Compiler intrinsics that the standard library does not offer, and AES where there are none.
    .target(name: "CIntrinsics"),

    // Algorithms, bucket table, evaluation of a policy. No I/O, no clock, no Foundation.
    .target(name: "LimitEngine", dependencies: ["CIntrinsics"], swiftSettings: strict),

    // YAML to a validated policy set, with positions in every error.
    .target(
      name: "LimitPolicy",
      dependencies: ["LimitEngine", daemonSide("Yams", "Yams")],
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
      name: "LimitClient",
      dependencies: [
        "CLinux", "LimitProtocol", "LimitSystem",
        .product(name: "Logging", package: "swift-log", condition: .when(traits: ["SwiftLog"])),
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle",
          condition: .when(traits: ["ServiceLifecycle"])),
      ],
      swiftSettings: strict
    ),

    // What is in force: rules, access, and who decides by them.
    .target(
      name: "LimitRuntime", dependencies: ["CLinux", "LimitEngine", "LimitPolicy", "LimitSystem"],
      swiftSettings: strict),

    // What outlives the daemon, and the memory of its tables.
    .target(
      name: "LimitStore", dependencies: ["LimitEngine", "LimitSystem"], swiftSettings: strict),

    // Event loops, sessions, admission of connections. Serves the engine on a Unix socket.
    .target(
      name: "LimitServer",
      dependencies: [
        "CLinux", "LimitEngine", "LimitPolicy", "LimitProtocol", "LimitRuntime", "LimitSystem",
        daemonSide("Logging", "swift-log"),
      ],
      swiftSettings: strict
    ),

    // libsystemd: what systemd hands a service, and what a service tells it.
    .systemLibrary(
      name: "CSystemd", pkgConfig: "libsystemd", providers: [.apt(["libsystemd-dev"])]),

    // systemd, for Swift: passed descriptors, notices, the journal.
    .target(
      name: "LimitSystemd",
      dependencies: [
        "CLinux", "CSystemd", "LimitSystem",
        daemonSide("Logging", "swift-log"),
      ],
      swiftSettings: strict
    ),

    // What administrators set at run time, and the record of it, in SQLite.
    .target(
      name: "LimitCatalog",
      dependencies: ["LimitEngine", "LimitPolicy", daemonSide("GRDB", "GRDB.swift")],
      swiftSettings: strict
    ),

    // What the admin interface says, as values: shared by the daemon and limitctl.
    .target(name: "LimitAdminModel", swiftSettings: strict),

    // HTTP on the admin socket: state, changes, metrics.
    .target(
      name: "LimitAdmin",
      dependencies: [
        "CLinux", "LimitAdminModel", "LimitEngine", "LimitPolicy", "LimitRuntime", "LimitSystem",
        daemonSide("Logging", "swift-log"),
        daemonSide("NIOCore", "swift-nio"),
        daemonSide("NIOHTTP1", "swift-nio"),
        daemonSide("NIOPosix", "swift-nio"),
      ],
      swiftSettings: strict
    ),

    // The daemon: parses flags and wires the parts.
    .executableTarget(
      name: "limitd",
      dependencies: [
        "CLinux", "LimitAdmin", "LimitAdminModel", "LimitCatalog", "LimitEngine", "LimitPolicy",
        "LimitProtocol", "LimitRuntime", "LimitServer", "LimitStore", "LimitSystem", "LimitSystemd",
        daemonSide("ArgumentParser", "swift-argument-parser"),
        daemonSide("Logging", "swift-log"),
      ],
      swiftSettings: strict
    ),

    // What programs for people share: the terminal, tables, numbers, JSON, results. No Foundation.
    .target(name: "LimitConsole", dependencies: ["CLinux"], swiftSettings: strict),

    // Headers only: zlib, whose interface is partly macros.
    .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),

    // A trace in, a report out.
    .target(
      name: "LimitReplay",
      dependencies: [
        "CLinux", "CZlib", "LimitClient", "LimitConsole", "LimitEngine", "LimitPolicy",
        "LimitProtocol",
      ],
      swiftSettings: strict
    ),

    // A child process that ends with its parent: fork(2), which Swift does not have.
    .target(name: "CSpawn"),

    // The command line: one file per command.
    .executableTarget(
      name: "limitctl",
      dependencies: [
        "CSpawn",
        "CLinux", "LimitAdminModel", "LimitClient", "LimitConsole", "LimitEngine", "LimitPolicy",
        "LimitProtocol", "LimitReplay", "LimitStore", "LimitSystem",
        daemonSide("ArgumentParser", "swift-argument-parser"),
        daemonSide("Histogram", "hdrhistogram-swift"),
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

    // `make bench`: what keeping state costs.
    .executableTarget(
      name: "StateBenchmark",
      dependencies: ["LimitEngine", "LimitStore", "LimitSystem"],
      path: "Benchmarks/StateBenchmark",
      swiftSettings: strict
    ),

    // `make bench`: calls per second through the client.
    .executableTarget(
      name: "ClientBenchmark",
      dependencies: ["CAllocationCounter", "LimitClient", "LimitProtocol", "LimitSystem"],
      path: "Benchmarks/ClientBenchmark",
      swiftSettings: strict
    ),

    // What docs/CLIENT.md shows.
    .executableTarget(
      name: "ClientExample", dependencies: ["LimitClient"], path: "examples/client",
      exclude: ["policy.yaml"],
      swiftSettings: strict),

    // Counts heap allocations per thread by standing in front of malloc. Tests only.
    .target(name: "CAllocationCounter", path: "Tests/CAllocationCounter"),

    // Copies memory after each store into it. Tests only.
    .target(name: "CStores", path: "Tests/CStores"),

    // What several test targets use.
    .target(
      name: "TestSupport", dependencies: ["LimitProtocol"], path: "Tests/Support",
      swiftSettings: strict),

    // The real daemon as a child process, and clients that send whatever bytes. Tests only.
    .target(name: "CHostile", path: "Tests/CHostile"),
    .target(
      name: "DaemonSupport", dependencies: ["CHostile", "TestSupport"], path: "Tests/DaemonSupport",
      swiftSettings: strict),

    .testTarget(
      name: "LimitEngineTests",
      dependencies: [
        "LimitEngine", "LimitSystem", "CIntrinsics", "CAllocationCounter", "CStores", "TestSupport",
      ],
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
        "LimitServer", "LimitEngine", "LimitPolicy", "LimitProtocol", "LimitRuntime", "LimitSystem",
        "TestSupport", "CAllocationCounter", "CHostile", "DaemonSupport",
      ],
      swiftSettings: strict
    ),
    // Clients against a server that lies, against the real daemon, and joined with its sessions.
    .testTarget(
      name: "LimitClientTests",
      dependencies: [
        "LimitClient", "LimitProtocol", "LimitEngine", "LimitPolicy", "LimitRuntime", "LimitServer",
        "LimitSystem", "limitd", "ClientExample", "CAllocationCounter", "DaemonSupport",
        "TestSupport",
        .product(name: "Logging", package: "swift-log", condition: .when(traits: ["SwiftLog"])),
        .product(
          name: "ServiceLifecycle", package: "swift-service-lifecycle",
          condition: .when(traits: ["ServiceLifecycle"])),
      ],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitPolicyTests",
      dependencies: ["LimitPolicy", "LimitEngine", "TestSupport"],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitStoreTests",
      dependencies: [
        "LimitStore", "LimitEngine", "LimitPolicy", "LimitRuntime", "LimitSystem", "TestSupport",
      ],
      swiftSettings: strict
    ),
    .testTarget(
      name: "LimitCatalogTests",
      dependencies: [
        "LimitCatalog", "LimitEngine", "LimitPolicy", "TestSupport",
        daemonSide("GRDB", "GRDB.swift"),
      ],
      swiftSettings: strict
    ),
    // The real daemon over real sockets.
    .testTarget(
      name: "limitdTests",
      dependencies: ["limitd", "DaemonSupport", "TestSupport", daemonSide("Yams", "Yams")],
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
        "LimitSystem", "LimitSystemd", "TestSupport",
        daemonSide("Logging", "swift-log"),
      ],
      swiftSettings: strict
    ),
    .testTarget(
      name: "limitctlTests",
      dependencies: [
        "limitctl", "limitd", "DaemonSupport", "LimitConsole", "LimitPolicy", "LimitEngine",
        "LimitStore", "TestSupport",
      ],
      swiftSettings: strict
    ),
  ],
  swiftLanguageModes: [.v6]
)

// The fuzzers, which only scripts/fuzz builds: libFuzzer calls into this library.
if Context.environment["LIMITD_FUZZ"] == "1" {
  package.products.append(.library(name: "FuzzTargets", type: .static, targets: ["FuzzTargets"]))
  package.targets.append(
    .target(
      name: "FuzzTargets",
      dependencies: [
        "LimitEngine", "LimitPolicy", "LimitProtocol", "LimitRuntime", "LimitServer", "LimitStore",
        "LimitSystem", "TestSupport",
      ],
      path: "Fuzz/Targets",
      swiftSettings: strict
    ))
}

// What the sanitizers run: the tests of what races threads or reads bytes, and what those need. The
// libraries of the admin interface and the commands take longer to build than all of it.
if let sanitizer = Context.environment["LIMITD_SANITIZED"] {
  func change(_ name: String, _ body: (Target) -> Void) {
    package.targets.filter { $0.name == name }.forEach(body)
  }
  // The client without the daemon, whose part a server in the same process takes; and without a library
  // that only its conformance to Service needs.
  change("LimitClientTests") {
    $0.dependencies = [
      "LimitClient", "LimitProtocol", "LimitEngine", "LimitPolicy", "LimitRuntime", "LimitServer",
      "LimitSystem", "CAllocationCounter", "DaemonSupport", "TestSupport",
    ]
    $0.sources = [
      "Support/Clients.swift", "Support/EitherClient.swift", "BlockingFairnessTests.swift",
      "ClientRaceTests.swift", "LyingServerTests.swift", "ObserverTests.swift",
    ]
    if sanitizer == "thread" {
      // It does not see how the runtime hands a resumed task over from one thread to another.
      $0.swiftSettings?.append(.define("ONLY_THREADS"))
    } else {
      $0.sources? += [
        "Support/HandDriven.swift", "Support/JoinedRun.swift", "Support/ServerEnd.swift",
        "CoalescingTests.swift", "JoinedSessionTests.swift", "LookingTests.swift",
        "NoLoopTests.swift", "ResumingTests.swift",
      ]
    }
  }
  change("LimitClient") {
    $0.dependencies.removeAll {
      if case .productItem("ServiceLifecycle", _, _, _) = $0 { return true }
      return false
    }
    $0.exclude = ["Async/AsyncLimitClient+Service.swift"]
  }
  var needed: Set<String> = []
  func need(_ name: String) {
    guard needed.insert(name).inserted,
      let target = package.targets.first(where: { $0.name == name })
    else { return }
    for case .byNameItem(let name, _) in target.dependencies { need(name) }
  }
  for part in ["Client", "Engine", "Policy", "Protocol", "Server", "Store"] {
    need("Limit\(part)Tests")
  }
  package.targets.removeAll { !needed.contains($0.name) }
  package.products = []
}
