// What libFuzzer calls for the policy loader: the input is a policy file.

import LimitEngine
import LimitPolicy

/// Reads a text to the end of what can be done with it: a policy set that the engine takes, or errors
/// with places.
@_cdecl("limitd_fuzz_policy")
public func fuzzPolicy(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  do throws(PolicyFileError) {
    let file = try PolicyFile.parse(bytes, path: "p.yaml")
    let policies = file.compile(hashKey: HashKey(low: 1, high: 2))
    precondition(policies.policyNames.count == file.policyNames.count, "every policy is compiled")
    for policy in file.policyNames { _ = file.explain(tenant: "acme", policy: policy) }
  } catch {
    for diagnostic in error.diagnostics {
      precondition(
        diagnostic.line >= 1 && diagnostic.column >= 1 && !diagnostic.message.isEmpty,
        "an error has its place")
    }
    precondition(
      error.diagnostics.contains { $0.severity == .error }, "a file is refused for an error")
  }
  return 0
}
