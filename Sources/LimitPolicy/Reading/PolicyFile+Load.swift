// From a path, or a text, to a policy file or everything that is wrong with it. Any thread may
// load; nothing is shared between loads.

import Glibc
import LimitEngine

extension PolicyFile {
  /// Reads and checks a file of at most `bytesMax` bytes.
  ///
  /// Throws all errors of the file together, a file that cannot be read included.
  ///
  /// - Parameter isRegular: whether anything but a regular file is refused. A pipe may keep its
  ///   reader for ever, so who must not wait asks for this.
  public static func load(path: String, isRegular: Bool = false)
    throws(PolicyFileError) -> PolicyFile
  {
    switch readBytes(of: path, isRegular: isRegular) {
    case .success(let bytes): return try parse(bytes, path: path)
    case .failure(let problem): throw PolicyFileError(problem, path: path)
    }
  }

  /// Checks the text of a policy file. `path` is what diagnostics call it.
  public static func parse(_ text: String, path: String) throws(PolicyFileError) -> PolicyFile {
    try parse(Array(text.utf8), path: path)
  }

  /// Checks the bytes of a policy file, which need not be UTF-8.
  public static func parse(_ bytes: [UInt8], path: String) throws(PolicyFileError) -> PolicyFile {
    var reader = PolicyReader(path: path)
    do throws(YAMLProblem) {
      let (root, problems) = try compose(bytes)
      for problem in problems { reader.error(problem.position, problem.message) }
      reader.read(root)
    } catch {
      throw PolicyFileError(error, path: path)
    }
    let diagnostics = reader.diagnostics.sorted {
      ($0.line, $0.column) < ($1.line, $1.column)
    }
    guard !reader.hasErrors else { throw PolicyFileError(diagnostics: diagnostics) }
    return PolicyFile(reader, bytes, warnings: diagnostics)
  }

  private static func compose(
    _ bytes: [UInt8]
  ) throws(YAMLProblem) -> (root: YAMLNode?, problems: [YAMLProblem]) {
    guard bytes.count <= bytesMax else { throw .tooLarge }
    // Typed throws do not pass through `withUnsafeBufferPointer` before Swift 6.2.
    let result = bytes.withUnsafeBufferPointer { buffer in
      Result { () throws(YAMLProblem) in
        if let place = firstInvalidUTF8(in: buffer) {
          throw YAMLProblem(
            position: position(ofByte: place, in: buffer),
            message: "the file is not UTF-8 text; save it as UTF-8"
          )
        }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = buffer.starts(with: mark) ? buffer.dropFirst(mark.count) : buffer[...]
        var composer = try YAMLComposer(UnsafeBufferPointer(rebasing: text))
        let root = try composer.compose()
        return (root: root, problems: composer.problems)
      }
    }
    return try result.get()
  }
}

extension PolicyFile {
  /// - Precondition: the reader found no error.
  fileprivate init(_ reader: PolicyReader, _ source: [UInt8], warnings: [Diagnostic]) {
    self.init(
      path: reader.path,
      source: source,
      warnings: warnings,
      limits: reader.limits.map { draft in
        guard let algorithm = draft.algorithm, let scope = draft.scope else {
          preconditionFailure("a limit without errors has an algorithm and a scope")
        }
        return Limit(
          name: draft.name,
          position: draft.position,
          algorithm: algorithm,
          scope: scope.value,
          scopePosition: scope.position,
          unit: draft.unitName,
          unitPosition: draft.unit?.position,
          settings: draft.settings
        )
      },
      policies: reader.policies,
      plans: reader.plans,
      tenants: reader.tenants,
      anyTenant: reader.anyTenant,
      daemon: reader.daemon
    )
  }
}

extension PolicyFileError {
  /// A problem that keeps a file from being read at all.
  fileprivate init(_ problem: YAMLProblem, path: String) {
    self.init(diagnostics: [Diagnostic(.error, path, problem.position, problem.message)])
  }
}

extension YAMLProblem {
  fileprivate static var tooLarge: YAMLProblem {
    YAMLProblem(
      position: .start,
      message: "the file is larger than 256 MiB; write a smaller one"
    )
  }
}

/// Where the first byte is that is not part of valid UTF-8.
private func firstInvalidUTF8(in buffer: UnsafeBufferPointer<UInt8>) -> Int? {
  if String(validating: buffer, as: UTF8.self) != nil { return nil }
  var parser = Unicode.UTF8.ForwardParser()
  var bytes = buffer.makeIterator()
  var place = 0
  while true {
    switch parser.parseScalar(from: &bytes) {
    case .valid(let scalar): place += scalar.count
    case .error: return place
    case .emptyInput: return nil
    }
  }
}

/// All bytes of a file, a pipe included, up to one more than `bytesMax`.
private func readBytes(of path: String, isRegular: Bool) -> Result<[UInt8], YAMLProblem> {
  func failure(_ why: String = String(cString: strerror(errno))) -> Result<[UInt8], YAMLProblem> {
    .failure(
      YAMLProblem(
        position: .start,
        message: "the file cannot be read: \(why); name a policy file that can"
      )
    )
  }
  let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (isRegular ? O_NONBLOCK : 0))
  guard descriptor >= 0 else { return failure() }
  defer { close(descriptor) }
  var status = stat()
  if isRegular, fstat(descriptor, &status) != 0 || status.st_mode & S_IFMT != S_IFREG {
    return failure("It is not a regular file")
  }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 20)
  while bytes.count <= PolicyFile.bytesMax {
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0, errno == EINTR { continue }
    guard count >= 0 else { return failure() }
    if count == 0 { return .success(bytes) }
    bytes.append(contentsOf: chunk[..<count])
  }
  return .failure(.tooLarge)
}
