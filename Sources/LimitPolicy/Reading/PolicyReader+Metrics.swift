// The section `daemon`, `metrics`: where they can be read by TCP. Only from this host, since whoever can
// connect may read them, and they name the tenants.

/// The keys of `daemon`, `metrics`.
private enum MetricsKey: String, CaseIterable {
  case listen
}

extension PolicyReader {
  mutating func readMetrics(_ node: YAMLNode) {
    let subject = Subject.daemon("metrics")
    for (key, entry) in entries(of: node, subject, keyedBy: MetricsKey.self) {
      switch key {
      case .listen: daemon.metricsListener = loopback(entry, subject) ?? daemon.metricsListener
      }
    }
  }

  /// An address of this host and a port; reports anything else.
  private mutating func loopback(
    _ entry: Entry, _ subject: Subject
  ) -> DaemonSettings.LoopbackAddress? {
    let example = "127.0.0.1:9648"
    guard
      let text = text(
        of: entry.value, subject, "\(entry.name) must be an address such as \(example)")
    else { return nil }
    let colon = text.lastIndex(of: ":")
    let host = colon.map { text[..<$0] } ?? text[...]
    let said = "\(subject): \(entry.name) \(quoted(text))"
    guard let colon, let port = Self.port(text[text.index(after: colon)...]) else {
      error(
        entry.value.position, "\(said) has no port from 1 to 65535; write one, as in \(example)")
      return nil
    }
    if host == "[::1]" { return .init(ipv4: nil, port: port) }
    guard let ipv4 = Self.ipv4(host), ipv4 >> 24 == 127 else {
      error(
        entry.value.position,
        "\(said) is no loopback address, and whoever reaches another one could read the metrics; "
          + "write 127.0.0.1:\(port) or [::1]:\(port)")
      return nil
    }
    return .init(ipv4: ipv4, port: port)
  }

  private static func port(_ text: Substring) -> UInt16? {
    guard text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
      let port = UInt16(text), port > 0
    else { return nil }
    return port
  }

  /// Four numbers from 0 to 255, the first one uppermost.
  private static func ipv4(_ text: Substring) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var address: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.utf8.count),
        part.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }),
        let byte = UInt8(part)
      else { return nil }
      address = address << 8 | UInt32(byte)
    }
    return address
  }
}
