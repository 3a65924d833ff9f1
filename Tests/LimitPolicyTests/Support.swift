// What the tests of policy files share.

import Glibc
import LimitPolicy

/// The project's example, which is the one of the format's description.
let examplePath =
  String(#filePath.split(separator: "/").dropLast(3).joined(separator: "/").prependingSlash)
  + "/examples/policy.yaml"

extension String {
  fileprivate var prependingSlash: String { "/" + self }
}

/// The bytes of a file that must be there.
func contents(of path: String) -> [UInt8] {
  guard let file = fopen(path, "r") else { fatalError("cannot open \(path)") }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 16)
  let count = fread(&bytes, 1, bytes.count, file)
  return Array(bytes.prefix(count))
}

/// Everything that is said about a text, one line each; warnings included.
func diagnostics(of text: String) -> [String] { diagnostics(of: Array(text.utf8)) }

func diagnostics(of bytes: [UInt8]) -> [String] {
  do throws(PolicyFileError) {
    return try PolicyFile.parse(bytes, path: "p.yaml").warnings.map(\.description)
  } catch {
    return error.diagnostics.map(\.description)
  }
}

/// A file with one limit named `a`, defined by `limit`, one policy, and one plan and tenant that
/// override it where given. `limit` begins in line 2, column 6.
func file(
  limit: String = "{algorithm: token-bucket, rate: 100/s, burst: 200, scope: tenant}",
  policy: String = "[a]",
  plan: String = "{}",
  tenant: String = "{plan: pro}"
) -> String {
  """
  limits:
    a: \(limit)
  policies:
    p: \(policy)
  plans:
    pro: \(plan)
  tenants:
    t: \(tenant)

  """
}

/// What is said about a file whose limit has these parameters besides a scope.
func limitDiagnostics(_ parameters: String) -> [String] {
  diagnostics(of: file(limit: "{scope: tenant, \(parameters)}"))
}
