// What a policy file's section `daemon` says: where the daemon listens, how much it holds, and who
// may ask it what. Values: any thread may hold them.
//
// The initial values are the defaults: a file without the section, or without a key, leaves them.
// `PolicyReader+Daemon.swift` and `PolicyReader+Access.swift` check the ranges given here.

public import LimitEngine

/// The daemon's settings.
public struct DaemonSettings: Equatable, Sendable {
  /// A Unix socket that the daemon listens on.
  public struct Socket: Equatable, Sendable {
    /// Absolute, or relative to the daemon's working directory. 1 to 107 bytes without NUL, which
    /// is what `sun_path` holds (unix(7)).
    public var path: String
    /// Permission bits, at most 0o777; the owner may always read and write.
    public var mode: UInt32
    /// The group that owns the socket, by name or number; `nil`: the daemon's own.
    public var group: String?

    public init(path: String, mode: UInt32, group: String?) {
      self.path = path
      self.mode = mode
      self.group = group
    }
  }

  /// A TCP address of this host that only this host reaches.
  public struct LoopbackAddress: Equatable, Sendable, CustomStringConvertible {
    /// `nil`: `::1`; else an IPv4 address of 127.0.0.0/8, its first byte uppermost.
    public var ipv4: UInt32?
    /// At least 1.
    public var port: UInt16

    public init(ipv4: UInt32?, port: UInt16) {
      self.ipv4 = ipv4
      self.port = port
    }

    /// As the file would have it.
    public var description: String {
      guard let ipv4 else { return "[::1]:\(port)" }
      let bytes = [24, 16, 8, 0].map { "\(UInt8(truncatingIfNeeded: ipv4 >> UInt32($0)))" }
      return bytes.joined(separator: ".") + ":\(port)"
    }
  }

  /// Where the buckets lie while the daemon runs: in a file that outlives a daemon that is killed, or
  /// not.
  public enum LiveState: Equatable, Sendable {
    /// In the socket's directory, under the socket's name with `.live` for `.sock`. The default.
    case besideSocket
    /// A path of 1 to 4000 bytes without NUL.
    case file(String)
    /// In memory that ends with the daemon.
    case off

    /// What a setting or a flag says: `off`, or a path.
    public init(_ text: String) { self = text == "off" ? .off : .file(text) }
  }

  /// The live state's path; `nil` where there is none.
  public var liveStatePath: String? {
    switch liveState {
    case .off: nil
    case .file(let path): path
    case .besideSocket:
      (socket.path.hasSuffix(".sock") ? String(socket.path.dropLast(5)) : socket.path) + ".live"
    }
  }

  /// The admin socket's path: `admin.sock` in the directory of `socket` where nothing else is said.
  public var adminSocketPath: String {
    guard adminSocket.path.isEmpty else { return adminSocket.path }
    let directory = socket.path.lastIndex(of: "/").map { socket.path[...$0] } ?? ""
    return directory + "admin.sock"
  }

  /// Sizes of the engine's tables, all of which is taken at start (`Engine.Configuration`).
  public struct Table: Equatable, Sendable {
    /// Slots for buckets per key: 1024 to 2^32; default 2^20.
    public var keySlots = defaults.keySlots
    /// Slots for buckets per tenant: 1024 to 2^32; default 2^17.
    public var tenantSlots = defaults.tenantSlots
    /// How many tenants may have buckets at a time: 1 to 8,000,000; default 2^16.
    public var tenants = defaults.tenantsMax
    /// How many key buckets one tenant may have live: 1 to `keySlots`; `nil`, the default: a
    /// quarter of `keySlots`.
    public var keysPerTenant: Int? = nil
    /// The part of each table, and of `tenants`, that all tenants together may have that are not
    /// named, in percent: 0 to 100; default 50.
    public var guestPercent = defaults.guestPercent

    /// The engine's.
    private static let defaults = Engine.Configuration()

    public init() {}
  }

  /// Bounds on what peers can ask for.
  public struct Limits: Equatable, Sendable {
    /// Connections at once: 1 to 1,000,000; default 4096.
    public var connections = 4096
    /// Connections at once of one user: 1 to 1,000,000; default 1024.
    public var connectionsPerUser = 1024
    /// How long a peer may take to say hello: 10 ms to 1 min; default 1 s.
    public var helloTimeout = Nanoseconds(1_000_000_000)
    /// How long a frame that has begun may take to be whole: 10 ms to 1 min; default 2 s.
    public var frameTimeout = Nanoseconds(2_000_000_000)
    /// After what time a peer that reads none of its replies is closed: 10 ms to 10 min;
    /// default 5 s.
    public var stallTimeout = Nanoseconds(5_000_000_000)
    /// The largest request frame, in bytes: 1024 to 1,048,576; default 65,536.
    public var frameBytes = 65_536
    /// Queries in one request: 1 to 4096; default 1024.
    public var batchItems = 1024
    /// Bytes of replies that are made ready for a peer at once; what its socket does not take of
    /// them is kept, and its further requests wait: 16,384 to 64,000,000; default 131,072.
    public var queueBytes = 131_072
    /// Bytes that all connections together may make the daemon hold: 1,000,000 to 2^40; default
    /// 2^28 (256 MiB). A sixteenth is set aside for root and the daemon's own user.
    public var memoryBytes = 1 << 28
    /// Of these, what the connections of one user may: 100,000 to 2^40; default 2^26 (64 MiB).
    public var memoryBytesPerUser = 1 << 26
    /// The longest key, in bytes: 1 to 8192; default 1024.
    public var keyBytes = 1024
    /// Handles of one connection: 1 to 65,535; default 1024.
    public var handles = 1024
    /// Permits that one connection may hold: 1 to 65,535; default 1024.
    public var permits = 1024

    public init() {}
  }

  /// What a peer may do.
  @frozen public struct Roles: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Ask for decisions.
    @inlinable public static var query: Roles { Roles(rawValue: 1) }
    /// Give back what a decision took.
    @inlinable public static var settle: Roles { Roles(rawValue: 2) }
    /// Read figures and states.
    @inlinable public static var observe: Roles { Roles(rawValue: 4) }
    /// Reload, drain and reset.
    @inlinable public static var administer: Roles { Roles(rawValue: 8) }
  }

  /// What a user, or the members of a group, may do.
  public struct AccessRule: Equatable, Sendable {
    public enum Subject: Equatable, Sendable {
      /// By name: 1 to 255 bytes; whether the host has it is found out by who resolves it.
      case user(String)
      /// 0 to 4,294,967,294.
      case userID(UInt32)
      /// By name: 1 to 255 bytes.
      case group(String)
      /// 0 to 4,294,967,294.
      case groupID(UInt32)
    }

    public var subject: Subject
    /// At least one.
    public var roles: Roles
    /// The tenants for which the roles hold, at least one, each once, in the order of the file;
    /// `nil`: every tenant.
    public var tenants: [String]?
    /// Where the name or number of the user or group stands in the file, for errors found later (a
    /// user that this host does not have); part of equality. From 1.
    public var line: Int
    /// From 1, in Unicode scalars.
    public var column: Int

    public init(subject: Subject, roles: Roles, tenants: [String]?, line: Int, column: Int) {
      self.subject = subject
      self.roles = roles
      self.tenants = tenants
      self.line = line
      self.column = column
    }
  }

  /// From which severity on the daemon logs, least severe first.
  public enum LogLevel: String, CaseIterable, Sendable {
    case trace, debug, info, notice, warning, error, critical
  }

  /// The most rules in `access`.
  public static let accessRulesMax = 1024

  /// Where queries come in.
  public var socket = Socket(path: "/run/limitd/limitd.sock", mode: 0o660, group: nil)
  /// Where administrators come in. An empty path, the default, stands for one beside `socket`: see
  /// `adminSocketPath`, which differs from that of `socket`.
  public var adminSocket = Socket(path: "", mode: 0o600, group: nil)
  /// Where whoever is on the host may read the metrics by TCP; `nil`, the default: nowhere, but where
  /// systemd passes a socket.
  public var metricsListener: LoopbackAddress? = nil
  /// The directory of what outlives the daemon. 1 to 4095 bytes without NUL.
  public var stateDirectory = "/var/lib/limitd"
  /// Where the buckets lie while the daemon runs.
  public var liveState = LiveState.besideSocket
  /// How often a snapshot is written to the state directory: 1 s to 1 h; default 10 s.
  public var snapshotInterval = Nanoseconds(10_000_000_000)
  /// Event loops, a thread each: 1 to 64; `nil`, the default: one per processor.
  public var workers: Int? = nil
  /// How long an idle event loop polls before it sleeps: 0 to 10 ms; default 0.
  public var spin = Nanoseconds.zero
  /// Default `info`.
  public var logLevel = LogLevel.info
  public var table = Table()
  public var limits = Limits()
  /// Who may do what, at most `accessRulesMax` rules. `nil`, the default: whoever may open the
  /// socket may query and settle. Empty: nobody but root may do anything.
  public var access: [AccessRule]? = nil

  /// The defaults.
  public init() {}
}
