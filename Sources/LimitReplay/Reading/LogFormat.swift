// What stands where in a line of an access log: by a name that Apache or nginx have for it, or as
// their configuration writes it (`LogFormat`, `log_format`). Pure functions.

/// What a row can take its tenant or key from.
package enum LogField: String, Hashable, CaseIterable {
  case host, user, path, vhost
}

/// The parts of a line, in order.
package struct LogFormat: Hashable {
  enum Field: Hashable {
    case host, user, vhost
    /// `GET /path?query HTTP/1.1`.
    case request
    /// `/path?query`.
    case target
    /// As Apache and nginx write times by default, or as RFC 3339.
    case time
    /// A number of seconds, milliseconds, microseconds or nanoseconds since 1970.
    case unixTime
    /// Nothing that a run needs.
    case other
  }

  enum Part: Hashable {
    case literal([UInt8])
    case field(Field)
  }

  /// As people call it: `combined`, or the format itself.
  package let name: String
  let parts: [Part]

  fileprivate init(name: String, parts: [Part]) {
    self.name = name
    self.parts = parts
  }

  /// The formats with names. All that follows the request is of no interest, so each name stands for
  /// longer formats too.
  package static let named: [LogFormat] = [
    ("common", #"%h %l %u %t "%r" %>s %O"#),
    ("combined", #"%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#),
    ("vhost-combined", #"%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i""#),
  ].map { name, text in
    guard let parts = try? LogFormatParser.parse(text) else { fatalError("\(name) is a format") }
    return LogFormat(name: name, parts: parts)
  }

  package static var common: LogFormat { named[0] }
  package static var combined: LogFormat { named[1] }
  package static var vhostCombined: LogFormat { named[2] }

  /// A format by its name; Apache's `vhost_combined` and nginx's `main` are known too.
  package static func named(_ name: String) -> LogFormat? {
    let other = ["vhost_combined": "vhost-combined", "main": "combined", "nginx": "combined"]
    return named.first { $0.name == other[name] ?? name }
  }

  /// Reads `%h %l %u %t "%r" …` of Apache's `LogFormat`, or `$remote_addr - $remote_user …` of
  /// nginx's `log_format`.
  ///
  /// - Throws: what is wrong, and what would be right.
  package init(parsing text: String) throws(Malformed) {
    self.init(name: text, parts: try LogFormatParser.parse(text))
  }

  /// Whether a line can tell `field`.
  package func has(_ field: LogField) -> Bool {
    switch field {
    case .host: parts.contains(.field(.host))
    case .user: parts.contains(.field(.user))
    case .vhost: parts.contains(.field(.vhost))
    case .path: parts.contains(.field(.request)) || parts.contains(.field(.target))
    }
  }
}

/// Reads formats from left to right.
private struct LogFormatParser {
  private var rest: Substring
  private var parts: [LogFormat.Part] = []

  static func parse(_ text: String) throws(Malformed) -> [LogFormat.Part] {
    // In Apache's configuration quotes inside the format are escaped.
    let plain = text.replacing("\\\"", with: "\"")
    var parser = LogFormatParser(rest: plain[...])
    while let next = parser.rest.first {
      switch next {
      case "%": try parser.takeDirective()
      case "$": try parser.takeVariable()
      default:
        parser.add(literal: String(next))
        parser.rest.removeFirst()
      }
    }
    return try parser.checked()
  }

  private mutating func add(literal text: String) {
    if case .literal(let bytes) = parts.last {
      parts[parts.count - 1] = .literal(bytes + Array(text.utf8))
    } else {
      parts.append(.literal(Array(text.utf8)))
    }
  }

  private mutating func add(_ field: LogFormat.Field) throws(Malformed) {
    if case .field = parts.last {
      throw Malformed("two fields with nothing between them cannot be told apart")
    }
    parts.append(.field(field))
  }

  /// `%h`, `%>s`, `%{Referer}i`.
  private mutating func takeDirective() throws(Malformed) {
    rest.removeFirst()
    if rest.first == "%" {
      rest.removeFirst()
      return add(literal: "%")
    }
    while let next = rest.first, "<>!,0123456789".contains(next) { rest.removeFirst() }
    var argument: String?
    if rest.first == "{" {
      guard let close = rest.firstIndex(of: "}") else { throw Malformed("a '{' is not closed") }
      argument = String(rest[rest.index(after: rest.startIndex)..<close])
      rest = rest[rest.index(after: close)...]
    }
    guard let letter = rest.popFirst() else { throw Malformed("a '%' at the end names no field") }
    switch letter {
    case "h", "a": try add(.host)
    case "u": try add(.user)
    case "v", "V": try add(.vhost)
    case "r": try add(.request)
    case "U": try add(.target)
    case "t": try takeTime(argument)
    case "^":
      rest = rest.dropFirst(2)
      try add(.other)
    case _ where letter.isLetter: try add(.other)
    default: throw Malformed("'%\(letter)' is no field of an Apache log format")
    }
  }

  private mutating func takeTime(_ argument: String?) throws(Malformed) {
    switch argument {
    case nil:
      add(literal: "[")
      try add(.time)
      add(literal: "]")
    case "sec", "msec", "usec": try add(.unixTime)
    case let form?:
      throw Malformed("'%{\(form)}t' is a time that replay does not read; log %t or %{msec}t")
    }
  }

  private mutating func takeVariable() throws(Malformed) {
    rest.removeFirst()
    let isBraced = rest.first == "{"
    if isBraced { rest.removeFirst() }
    let name = String(rest.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
    rest = rest.dropFirst(name.count)
    if isBraced {
      guard rest.first == "}" else { throw Malformed("a '${' is not closed") }
      rest.removeFirst()
    }
    guard !name.isEmpty else { throw Malformed("a '$' names no variable") }
    switch name {
    case "remote_addr", "realip_remote_addr": try add(.host)
    case "remote_user": try add(.user)
    case "host", "http_host", "server_name": try add(.vhost)
    case "request": try add(.request)
    case "request_uri", "uri": try add(.target)
    case "time_local", "time_iso8601": try add(.time)
    case "msec": try add(.unixTime)
    default: try add(.other)
    }
  }

  private func checked() throws(Malformed) -> [LogFormat.Part] {
    guard parts.contains(.field(.time)) || parts.contains(.field(.unixTime)) else {
      throw Malformed("it has no time; a format has %t or $time_local")
    }
    return parts
  }
}
