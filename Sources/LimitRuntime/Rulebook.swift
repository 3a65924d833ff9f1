// What a reload replaces: the policy set and the access rules, together.

package import LimitEngine
package import LimitPolicy

/// One configuration's rules, ready to decide by. Immutable. Each event loop holds the one that it
/// decides by and lets go of it between two turns; the last one to let go frees it.
package final class Rulebook: Sendable {
  package let policies: PolicySet
  package let access: Access
  /// What they were compiled from, for people to look at.
  package let file: PolicyFile

  /// Compiles a file. O(limits × plans and tenants with overrides).
  ///
  /// - Parameter hashKey: the installation's secret.
  /// - Throws: a user or group that this host does not have.
  package convenience init(_ file: PolicyFile, hashKey: HashKey) throws(UnknownNameError) {
    try self.init(file, file.compile(hashKey: hashKey))
  }

  /// Compiles a file to follow the rules of `previous`.
  ///
  /// - Throws: a user or group that this host does not have.
  package convenience init(_ file: PolicyFile, after previous: Rulebook) throws(UnknownNameError) {
    try self.init(file, file.compile(after: previous.policies))
  }

  /// Compiles a file to follow the rules of `previous`, whose access rules it has.
  ///
  /// - Parameter tenants: where the file differs from that of `previous` in nothing but what it says of
  ///   these.
  package init(_ file: PolicyFile, keepingAccessOf previous: Rulebook, changing tenants: [String]?)
  {
    policies =
      tenants.map { file.compile(changing: $0, after: previous.policies) }
      ?? file.compile(after: previous.policies)
    self.file = file
    access = previous.access
  }

  /// - Parameter policies: the file's.
  init(_ file: PolicyFile, _ policies: PolicySet) throws(UnknownNameError) {
    self.policies = policies
    self.file = file
    access = try Access(file.daemon.access, policies: policies, path: file.path)
  }
}
