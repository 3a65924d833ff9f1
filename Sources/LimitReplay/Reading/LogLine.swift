// One line of an access log, taken apart by its format.
//
// Logs hold what clients sent, so only the fields that a run needs are looked for: a cut line, or a
// request that is no HTTP, is a row like any other while its time, tenant and key can be read.

/// Finds fields in lines. A value; no line is kept.
struct LogLineMatcher {
  /// Where the fields of a line are.
  struct Fields {
    var time = 0..<0
    var isUnixTime = false
    var host: Range<Int>?
    var user: Range<Int>?
    var vhost: Range<Int>?
    var request: Range<Int>?
    var target: Range<Int>?
  }

  private let parts: [LogFormat.Part]
  /// Fields before this one are looked for; behind it nothing matters.
  private let partsNeeded: Int

  /// - Parameter fields: what rows take; the time is taken in any case.
  init(_ format: LogFormat, fields: Set<LogField>) {
    parts = format.parts
    let wanted: Set<LogFormat.Field> = fields.reduce(into: [.time, .unixTime]) { wanted, field in
      switch field {
      case .host: wanted.insert(.host)
      case .user: wanted.insert(.user)
      case .vhost: wanted.insert(.vhost)
      case .path: wanted.formUnion([.request, .target])
      }
    }
    let last = parts.lastIndex { part in
      if case .field(let field) = part { wanted.contains(field) } else { false }
    }
    // What ends the last field belongs to it.
    partsNeeded = min(parts.count, (last ?? 0) + 2)
  }

  /// The fields of a line; `nil` where it has another format. O(line).
  func match(_ line: [UInt8]) -> Fields? {
    var fields = Fields()
    var place = 0
    var isQuoted = false
    for number in 0..<partsNeeded {
      switch parts[number] {
      case .literal(let text):
        let isCut = number == partsNeeded - 1 && isQuoted && place == line.count
        guard starts(line, at: place, with: literal(number, text)) || isCut else { return nil }
        isQuoted = text.last == Ascii.quote
        place = min(line.count, place + text.count)
      case .field(let field):
        guard let end = end(of: field, number, from: place, in: line, isQuoted: isQuoted) else {
          return nil
        }
        set(field, place..<end, &fields)
        place = end
      }
    }
    return fields.time.isEmpty ? nil : fields
  }

  private func set(_ field: LogFormat.Field, _ range: Range<Int>, _ fields: inout Fields) {
    switch field {
    case .host: fields.host = fields.host ?? range
    case .user: fields.user = fields.user ?? range
    case .vhost: fields.vhost = fields.vhost ?? range
    case .request: fields.request = fields.request ?? range
    case .target: fields.target = fields.target ?? range
    case .time: if fields.time.isEmpty { fields.time = range }
    case .unixTime:
      if fields.time.isEmpty { (fields.time, fields.isUnixTime) = (range, true) }
    case .other: break
    }
  }

  /// Where the field ends that begins at `start`: before the text that follows it in the format.
  private func end(
    of field: LogFormat.Field, _ number: Int, from start: Int, in line: [UInt8], isQuoted: Bool
  ) -> Int? {
    guard number + 1 < parts.count, case .literal(let text) = parts[number + 1] else {
      return line.count
    }
    if isQuoted { return endOfQuoted(from: start, in: line) }
    let end = literal(number + 1, text)
    // The user's name may hold blanks; behind it a time begins.
    let leadsToTime = number + 2 < parts.count && parts[number + 2] == .field(.time)
    var place = start
    // Apache logs a user without a name as two quotes.
    if field == .user, starts(line, at: place, with: [Ascii.quote, Ascii.quote]) { place += 2 }
    while place < line.count {
      if starts(line, at: place, with: end) {
        if !leadsToTime || beginsTime(line, at: place + text.count) { return place }
      }
      // A quote begins the request: behind it a client could write a time of its own choosing.
      if line[place] == Ascii.quote { return nil }
      if field != .user, line[place] == Ascii.space, field != .time, field != .other { return nil }
      place += 1
    }
    return nil
  }

  /// What has to stand there: of what ends the last field that is needed its first character, since
  /// clients write quotes of their own and lines are cut.
  private func literal(_ number: Int, _ text: [UInt8]) -> [UInt8] {
    number == partsNeeded - 1 ? Array(text.prefix(1)) : text
  }

  /// `17/…` or `2015-…`.
  private func beginsTime(_ line: [UInt8], at place: Int) -> Bool {
    (place + 2 < line.count && line[place + 2] == UInt8(ascii: "/"))
      || (place + 4 < line.count && line[place + 4] == UInt8(ascii: "-"))
  }

  private func starts(_ line: [UInt8], at place: Int, with text: [UInt8]) -> Bool {
    guard line.count - place >= text.count else { return false }
    for offset in 0..<text.count where line[place + offset] != text[offset] { return false }
    return true
  }

  /// Where a quoted text ends: at a quote that no backslash stands before, or with the line.
  private func endOfQuoted(from start: Int, in line: [UInt8]) -> Int {
    var place = start
    while place < line.count, line[place] != Ascii.quote {
      place += line[place] == Ascii.backslash ? 2 : 1
    }
    return min(place, line.count)
  }
}
