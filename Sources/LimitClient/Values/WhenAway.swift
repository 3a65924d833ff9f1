// What a caller gets where the daemon does not answer. A value: any thread may use it.

/// What a caller of check, acquire or batch gets where the daemon does not answer, which is what
/// `LimitClientError.isAway` says.
public enum WhenAway: Sendable, Hashable {
  /// The error that says why.
  case `throw`
  /// A decision that allows, with reason `daemonAway`. Nothing was charged that could be settled,
  /// and no permit is held.
  case allow
  /// A decision that denies, with reason `daemonAway`, and that wait.
  case deny(retryAfter: Duration = .seconds(1))

  /// A decision in place of `error`.
  ///
  /// - Throws: the error, where it is not for us to decide.
  func decision(for error: LimitClientError) throws(LimitClientError) -> LimitDecision {
    try result(for: error).get()
  }

  /// As `decision(for:)`. Throws nothing, and so costs a batch little where all its items fail.
  func result(for error: LimitClientError) -> Result<LimitDecision, LimitClientError> {
    guard error.isAway else { return .failure(error) }
    switch self {
    case .throw: return .failure(error)
    case .allow: return .success(LimitDecision(.allow, reason: .daemonAway))
    case .deny(let wait):
      return .success(
        LimitDecision(
          .deny, reason: .daemonAway, retryAfterNanoseconds: wait.unsignedNanoseconds))
    }
  }
}
