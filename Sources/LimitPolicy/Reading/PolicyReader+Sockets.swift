// The sockets of the section `daemon`: `socket` and `admin-socket`.

/// The keys of `daemon`'s `socket` and `admin-socket`.
private enum SocketKey: String, CaseIterable {
  case path, mode, group
}

extension PolicyReader {
  /// Reads a path, or a mapping; tells where the path stands.
  mutating func readSocket(
    _ entry: Entry,
    _ socket: WritableKeyPath<DaemonSettings, DaemonSettings.Socket>
  ) -> Position? {
    let usual = daemon[keyPath: socket].path
    let example = usual.isEmpty ? daemon.adminSocketPath : usual
    // What `sockaddr_un` holds, less the NUL at its end.
    let bytesMax = 107
    switch entry.value.kind {
    case .mapping: break
    case .scalar where entry.value.text != nil:
      guard let path = path(entry, bytesMax: bytesMax, example, .section("daemon")) else {
        return nil
      }
      daemon[keyPath: socket].path = path
      return entry.value.position
    default:
      error(
        entry.value.position,
        "daemon: \(entry.name) must be a path such as \(example), or a mapping of "
          + "\(list(SocketKey.allCases.map(\.rawValue))), found \(entry.value.found)"
      )
      return nil
    }
    let subject = Subject.daemon(entry.name)
    var given: Position?
    for (key, entry) in entries(of: entry.value, subject, keyedBy: SocketKey.self) {
      switch key {
      case .path:
        guard let path = path(entry, bytesMax: bytesMax, example, subject) else { continue }
        daemon[keyPath: socket].path = path
        given = entry.value.position
      case .mode:
        guard let mode = mode(entry, subject) else { continue }
        daemon[keyPath: socket].mode = mode
      case .group:
        guard let group = account(entry, subject) else { continue }
        daemon[keyPath: socket].group = group.description
      }
    }
    return given
  }

  /// A path of 1 to `bytesMax` bytes; reports anything else.
  mutating func path(
    _ entry: Entry,
    bytesMax: Int,
    _ example: String,
    _ subject: Subject
  ) -> String? {
    guard
      let path = text(of: entry.value, subject, "\(entry.name) must be a path such as \(example)")
    else { return nil }
    guard (1...bytesMax).contains(path.utf8.count) else {
      error(
        entry.value.position,
        "\(subject): \(entry.name) \(quoted(path)) has \(path.utf8.count) bytes; write 1 to "
          + "\(bytesMax), such as \(example)"
      )
      return nil
    }
    guard !path.utf8.contains(0) else {
      error(
        entry.value.position,
        "\(subject): \(entry.name) \(quoted(path)) contains a NUL; write a path such as \(example)"
      )
      return nil
    }
    return path
  }

  /// Permission bits in octal digits, with or without a leading zero.
  private mutating func mode(_ entry: Entry, _ subject: Subject) -> UInt32? {
    let advice = "write three octal digits such as 0660"
    guard let text = text(of: entry.value, subject, "mode must be octal, such as 0660") else {
      return nil
    }
    let isOctal = text.utf8.allSatisfy { UInt8(ascii: "0")...UInt8(ascii: "7") ~= $0 }
    guard isOctal, (3...4).contains(text.utf8.count), let mode = UInt32(text, radix: 8) else {
      error(entry.value.position, "\(subject): mode \(quoted(text)) is not a mode; \(advice)")
      return nil
    }
    guard mode <= 0o777 else {
      error(
        entry.value.position,
        "\(subject): mode \(quoted(text)) is above 0777, the permissions; \(advice)"
      )
      return nil
    }
    guard mode & 0o600 == 0o600 else {
      error(
        entry.value.position,
        "\(subject): mode \(quoted(text)) keeps the owner from reading or writing; begin it with 6 "
          + "or 7, as in 0660"
      )
      return nil
    }
    return mode
  }
}
