// The section `daemon`: the daemon's settings. Its sockets and its rules of access have files of
// their own.

import LimitEngine

/// The keys of `daemon`.
private enum DaemonKey: String, CaseIterable {
  case socket
  case adminSocket = "admin-socket"
  case stateDirectory = "state-dir"
  case liveState = "live-state"
  case snapshotInterval = "snapshot-interval"
  case workers, spin
  case logLevel = "log-level"
  case metrics, table, limits, access
}

/// The keys of `daemon`, `table`.
private enum TableKey: String, CaseIterable {
  case keySlots = "key-slots"
  case tenantSlots = "tenant-slots"
  case tenants
  case keysPerTenant = "keys-per-tenant"
  case guestShare = "guest-share"
}

/// The keys of `daemon`, `limits`.
private enum LimitsKey: String, CaseIterable {
  case connections
  case connectionsPerUser = "connections-per-uid"
  case helloTimeout = "hello-timeout"
  case frameTimeout = "frame-timeout"
  case stallTimeout = "stall-timeout"
  case frameBytes = "frame-bytes"
  case batchItems = "batch-items"
  case queueBytes = "queue-bytes"
  case keyBytes = "key-bytes"
  case handles, permits
  case memoryBytes = "memory-bytes"
  case memoryBytesPerUser = "memory-bytes-per-uid"
}

extension PolicyReader {
  mutating func readDaemon(_ node: YAMLNode) {
    let subject = Subject.section("daemon")
    // The last path that a socket was given.
    var given: Position?
    for (key, entry) in entries(of: node, subject, keyedBy: DaemonKey.self) {
      switch key {
      case .socket:
        given = readSocket(entry, \.socket) ?? given
      case .adminSocket:
        given = readSocket(entry, \.adminSocket) ?? given
      case .stateDirectory:
        daemon.stateDirectory =
          path(entry, bytesMax: 4095, "/var/lib/limitd", subject) ?? daemon.stateDirectory
      case .liveState:
        daemon.liveState =
          path(entry, bytesMax: 4000, "/run/limitd/limitd.live, or off", subject)
          .map { DaemonSettings.LiveState($0) } ?? daemon.liveState
      case .snapshotInterval:
        daemon.snapshotInterval =
          duration(entry, .second...(.hour), "10s", subject) ?? daemon.snapshotInterval
      case .workers:
        daemon.workers = count(entry, 1...64, "2", subject)
      case .spin:
        daemon.spin =
          duration(entry, .zero...Nanoseconds(10_000_000), "50us", subject) ?? daemon.spin
      case .logLevel:
        let levels = DaemonSettings.LogLevel.allCases.map { ($0.rawValue, $0) }
        daemon.logLevel = choice(entry.value, subject, key.rawValue, levels) ?? daemon.logLevel
      case .metrics: readMetrics(entry.value)
      case .table: readTable(entry.value)
      case .limits: readDaemonLimits(entry.value)
      case .access: readAccess(entry.value)
      }
    }
    if let given, daemon.socket.path == daemon.adminSocketPath {
      error(
        given,
        "daemon: socket and admin-socket have the same path \(quoted(daemon.socket.path)); give "
          + "each its own"
      )
    }
  }

  // MARK: Sizes and bounds

  private mutating func readTable(_ node: YAMLNode) {
    let subject = Subject.daemon("table")
    let slots = 1024...1 << 32
    var table = DaemonSettings.Table()
    // Where one of them is out of range, they are not compared.
    var keySlots: Int? = table.keySlots
    var keysPerTenant: (count: Int, position: Position)?
    for (key, entry) in entries(of: node, subject, keyedBy: TableKey.self) {
      switch key {
      case .keySlots: keySlots = count(entry, slots, "1M", subject)
      case .tenantSlots: read(entry, slots, into: &table.tenantSlots, subject)
      case .tenants: read(entry, 1...8_000_000, into: &table.tenants, subject)
      case .keysPerTenant:
        keysPerTenant = count(entry, 1...slots.upperBound, "250k", subject).map {
          ($0, entry.value.position)
        }
      case .guestShare: table.guestPercent = share(entry, subject) ?? table.guestPercent
      }
    }
    table.keysPerTenant = keysPerTenant?.count
    if let keySlots {
      table.keySlots = keySlots
      if let (count, position) = keysPerTenant, count > keySlots {
        error(
          position,
          "\(subject): keys-per-tenant \(Quantity.text(count: UInt64(count))) is above key-slots; "
            + "write at most \(Quantity.text(count: UInt64(keySlots)))"
        )
      }
    }
    daemon.table = table
  }

  private mutating func readDaemonLimits(_ node: YAMLNode) {
    let subject = Subject.daemon("limits")
    let soon = Nanoseconds(10_000_000)
    var limits = DaemonSettings.Limits()
    for (key, entry) in entries(of: node, subject, keyedBy: LimitsKey.self) {
      switch key {
      case .connections: read(entry, 1...1_000_000, into: &limits.connections, subject)
      case .connectionsPerUser:
        read(entry, 1...1_000_000, into: &limits.connectionsPerUser, subject)
      case .helloTimeout: read(entry, soon...(.minute), into: &limits.helloTimeout, subject)
      case .frameTimeout: read(entry, soon...(.minute), into: &limits.frameTimeout, subject)
      case .stallTimeout: read(entry, soon...(10 * .minute), into: &limits.stallTimeout, subject)
      case .frameBytes: read(entry, 1024...1_048_576, into: &limits.frameBytes, subject)
      case .batchItems: read(entry, 1...4096, into: &limits.batchItems, subject)
      case .queueBytes: read(entry, 16_384...64_000_000, into: &limits.queueBytes, subject)
      case .keyBytes: read(entry, 1...8192, into: &limits.keyBytes, subject)
      case .handles: read(entry, 1...65_535, into: &limits.handles, subject)
      case .permits: read(entry, 1...65_535, into: &limits.permits, subject)
      case .memoryBytes: read(entry, 1_000_000...1 << 40, into: &limits.memoryBytes, subject)
      case .memoryBytesPerUser:
        read(entry, 100_000...1 << 40, into: &limits.memoryBytesPerUser, subject)
      }
    }
    daemon.limits = limits
  }

  // MARK: Values

  /// The entries of a mapping whose keys are known; reports the others.
  mutating func entries<Key: CaseIterable & RawRepresentable<String>>(
    of node: YAMLNode,
    _ subject: Subject,
    keyedBy keys: Key.Type
  ) -> [(key: Key, entry: Entry)] {
    let known = keys.allCases.map(\.rawValue)
    var entries: [(key: Key, entry: Entry)] = []
    for entry in self.entries(of: node, subject, list(known)) ?? [] {
      if let key = Key(rawValue: entry.name) {
        entries.append((key, entry))
      } else {
        unknownKey(entry.name, at: entry.key, in: subject, known: known)
      }
    }
    return entries
  }

  /// A count; reports what is none, and one that is out of range.
  private mutating func count(
    _ entry: Entry,
    _ range: ClosedRange<Int>,
    _ example: String,
    _ subject: Subject
  ) -> Int? {
    let expected = "\(entry.name) must be a count such as \(example)"
    guard let text = text(of: entry.value, subject, expected) else { return nil }
    do throws(QuantityError) {
      let count = try Quantity.count(text)
      if count <= UInt64(range.upperBound), range.contains(Int(count)) { return Int(count) }
      error(
        entry.value.position,
        "\(subject): \(entry.name) \(Quantity.text(count: count)) is out of range; write "
          + "\(Quantity.text(count: UInt64(range.lowerBound))) to "
          + Quantity.text(count: UInt64(range.upperBound))
      )
    } catch {
      self.error(entry.value.position, "\(subject): \(entry.name) \(error.message)")
    }
    return nil
  }

  /// A part in whole percent, 0% to 100%; reports what is none.
  private mutating func share(_ entry: Entry, _ subject: Subject) -> Int? {
    let expected = "\(entry.name) must be a percentage such as 50%"
    guard let text = text(of: entry.value, subject, expected) else { return nil }
    if text.hasSuffix("%"), let percent = Int(text.dropLast()), (0...100).contains(percent) {
      return percent
    }
    error(
      entry.value.position,
      "\(subject): \(entry.name) '\(text)' is no part; write a whole percentage, 0% to 100%")
    return nil
  }

  /// A duration, where `0` needs no unit; reports what is none, and one that is out of range.
  private mutating func duration(
    _ entry: Entry,
    _ range: ClosedRange<Nanoseconds>,
    _ example: String,
    _ subject: Subject
  ) -> Nanoseconds? {
    let expected = "\(entry.name) must be a duration such as \(example)"
    guard let text = text(of: entry.value, subject, expected) else { return nil }
    do throws(QuantityError) {
      let duration = text == "0" ? .zero : try Quantity.duration(text)
      if range.contains(duration) { return duration }
      error(
        entry.value.position,
        "\(subject): \(entry.name) \(Quantity.text(duration: duration)) is out of range; write "
          + "\(Quantity.text(duration: range.lowerBound)) to "
          + Quantity.text(duration: range.upperBound)
      )
    } catch {
      self.error(entry.value.position, "\(subject): \(entry.name) \(error.message)")
    }
    return nil
  }

  /// Reads a count over its default.
  private mutating func read(
    _ entry: Entry,
    _ range: ClosedRange<Int>,
    into value: inout Int,
    _ subject: Subject
  ) {
    value = count(entry, range, Quantity.text(count: UInt64(value)), subject) ?? value
  }

  /// Reads a duration over its default.
  private mutating func read(
    _ entry: Entry,
    _ range: ClosedRange<Nanoseconds>,
    into value: inout Nanoseconds,
    _ subject: Subject
  ) {
    value = duration(entry, range, Quantity.text(duration: value), subject) ?? value
  }
}
