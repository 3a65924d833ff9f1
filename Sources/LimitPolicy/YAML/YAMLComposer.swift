// Makes a flat tree of YAML events, and finds what no reader of the tree could: duplicate keys,
// tags, and files that blow up when their aliases are followed. One composer belongs to one thread.

/// Composes one document.
struct YAMLComposer: ~Copyable {
  /// The most nodes of a document, counted as if every alias were written out: what bounds the time
  /// and memory that a file of a few lines with nested aliases can ask for.
  static let nodesMax = 1 << 24

  /// A composed node: its place, and its size with aliases written out.
  private typealias Composed = (place: UInt32, size: Int)

  private var reader: YAMLEventReader
  private var records: [YAMLDocument.Record] = []
  private var texts: [UInt8] = []
  private var anchors: [String: Composed] = [:]
  /// What is wrong, but does not stop the reading.
  private(set) var problems: [YAMLProblem] = []

  init(_ text: UnsafeBufferPointer<UInt8>) throws(YAMLProblem) {
    reader = try YAMLEventReader(text)
  }

  /// The text's only document; `nil` where there is none.
  mutating func compose() throws(YAMLProblem) -> YAMLNode? {
    _ = try next()
    guard try next().kind == .documentStart else { return nil }
    let root = try node(from: next(), depth: 1)
    _ = try next()
    let end = try next()
    guard end.kind == .streamEnd else {
      throw YAMLProblem(
        position: end.position,
        message: "a second YAML document begins here; a policy file is one document"
      )
    }
    return YAMLDocument(records: records, texts: texts).node(root.place)
  }

  private mutating func next() throws(YAMLProblem) -> YAMLEvent {
    try reader.next(storingTextIn: &texts)
  }

  private mutating func node(
    from event: YAMLEvent,
    depth: Int
  ) throws(YAMLProblem) -> Composed {
    guard depth <= YAMLProblem.depthMax else { throw .tooDeep(at: event.position) }
    if let tag = event.tag {
      problems.append(
        YAMLProblem(
          position: event.position,
          message: "policy files use no tags; remove \(quoted(tag))"
        )
      )
    }
    let composed: Composed
    switch event.kind {
    case .alias:
      guard let target = anchors[event.anchor ?? ""] else {
        throw YAMLProblem(
          position: event.position,
          message: "the alias '*\(event.anchor ?? "")' has no anchor before it; "
            + "quote a name that begins with '*'"
        )
      }
      composed = (append(.alias, event, first: target.place), target.size)
    case .sequenceStart: composed = try sequence(from: event, depth: depth)
    case .mappingStart: composed = try mapping(from: event, depth: depth)
    default:
      let place = append(
        .scalar,
        event,
        first: UInt32(event.text.lowerBound),
        count: UInt32(event.text.count)
      )
      composed = (place, 1)
    }
    guard composed.size <= Self.nodesMax else {
      throw YAMLProblem(
        position: event.position,
        message: "the file has more than \(Self.nodesMax) values once its aliases are followed; "
          + "write fewer"
      )
    }
    if let anchor = event.anchor, event.kind != .alias { anchors[anchor] = composed }
    return composed
  }

  private mutating func sequence(
    from start: YAMLEvent,
    depth: Int
  ) throws(YAMLProblem) -> Composed {
    let place = append(.sequence, start)
    var size = 1
    var last: UInt32?
    while true {
      let event = try next()
      if event.kind == .sequenceEnd { return (place, size) }
      let item = try node(from: event, depth: depth + 1)
      size += item.size
      link(item.place, after: last, in: place)
      last = item.place
    }
  }

  private mutating func mapping(
    from start: YAMLEvent,
    depth: Int
  ) throws(YAMLProblem) -> Composed {
    let place = append(.mapping, start)
    var size = 1
    var last: UInt32?
    var keys = KeySet()
    while true {
      let event = try next()
      if event.kind == .mappingEnd { return (place, size) }
      let key = try node(from: event, depth: depth + 1)
      let value = try node(from: next(), depth: depth + 1)
      size += key.size + value.size
      if let text = scalarText(key.place),
        let line = keys.insert(text, line: records[Int(key.place)].position.line)
      {
        problems.append(
          YAMLProblem(
            position: event.position,
            message: "duplicate key \(quoted(text)), first given in line \(line); keep one of them"
          )
        )
        continue
      }
      link(key.place, after: last, in: place)
      records[Int(key.place)].next = value.place
      last = value.place
    }
  }

  private mutating func append(
    _ kind: YAMLDocument.Kind,
    _ event: YAMLEvent,
    first: UInt32 = YAMLDocument.none,
    count: UInt32 = 0
  ) -> UInt32 {
    records.append(
      YAMLDocument.Record(
        kind: kind,
        isPlain: event.isPlain,
        position: event.position,
        first: first,
        count: count,
        next: YAMLDocument.none
      )
    )
    return UInt32(records.count - 1)
  }

  private mutating func link(_ child: UInt32, after last: UInt32?, in parent: UInt32) {
    if let last {
      records[Int(last)].next = child
    } else {
      records[Int(parent)].first = child
    }
  }

  private func scalarText(_ place: UInt32) -> String? {
    var record = records[Int(place)]
    if record.kind == .alias { record = records[Int(record.first)] }
    guard record.kind == .scalar else { return nil }
    let start = Int(record.first)
    return String(decoding: texts[start..<start + Int(record.count)], as: UTF8.self)
  }
}

/// The keys of one mapping, compared byte by byte. Most have few, for which a list is faster than a table.
private struct KeySet {
  private var few: [(text: String, line: UInt32)] = []
  private var many: [NameBytes: UInt32] = [:]

  /// Adds a key, or tells in which line it was given before.
  mutating func insert(_ text: String, line: UInt32) -> UInt32? {
    if !many.isEmpty || few.count == 8 {
      if many.isEmpty { for key in few { many[NameBytes(key.text)] = key.line } }
      if let first = many[NameBytes(text)] { return first }
      many[NameBytes(text)] = line
      return nil
    }
    if let first = few.first(where: { $0.text.hasSameBytes(as: text) }) { return first.line }
    few.append((text, line))
    return nil
  }
}
