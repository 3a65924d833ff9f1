// Programs, and files, for the completion of `limitctl hold … -- COMMAND ARGUMENT…`.

import Glibc

/// What may stand behind `--`.
enum CommandNames {
  /// Programs of PATH for the first word, files for those behind it.
  ///
  /// - Parameters:
  ///   - arguments: the command line so far.
  ///   - prefix: the word that is being written.
  static func completions(_ arguments: [String], prefix: String) -> [String] {
    let behind = arguments.firstIndex(of: "--").map { arguments.count - $0 - 1 } ?? 0
    guard behind <= 1, !prefix.contains("/") else { return files(prefix) }
    let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
    let names = path.split(separator: ":").flatMap { folder in
      entries(of: String(folder)).filter { access("\(folder)/\($0)", X_OK) == 0 }
    }
    return Set(names.filter { $0.hasPrefix(prefix) }).sorted()
  }

  private static func files(_ prefix: String) -> [String] {
    let cut = prefix.lastIndex(of: "/").map { prefix.index(after: $0) } ?? prefix.startIndex
    let (folder, start) = (String(prefix[..<cut]), prefix[cut...])
    return entries(of: folder.isEmpty ? "." : folder).filter { $0.hasPrefix(start) }
      .map { folder + $0 }.sorted()
  }

  private static func entries(of folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
}
