// What a client is asked, and what came of it: the same for both clients. Values.

internal import LimitProtocol

/// One thing to ask the daemon.
enum Question {
  case query(Query)
  case refund(Receipt, units: UInt64)
  case ping
  /// The limits of a policy.
  case limits(tenant: String, policy: String)
  /// What the daemon said when the connection began.
  case hello
}

/// The daemon's answer.
enum Answer {
  /// Permit: to an acquire that was given one.
  case decision(LimitDecision, OwnedPermit?)
  case limits([LimitDescription])
  case hello(HelloReply)
  /// To refund and ping.
  case done

  /// What came of a query.
  func decision() throws(ClientError) -> (LimitDecision, OwnedPermit?) {
    guard case .decision(let decision, let permit) = self else {
      throw .protocolViolation("a query was answered by something else")
    }
    return (decision, permit)
  }
}

/// A question on its way.
struct Call {
  let question: Question
  var result: Result<Answer, ClientError>?
  /// A decision that waits for the names of its limits.
  fileprivate(set) var unnamed: (DecisionRecord, permit: UInt64)?

  init(_ question: Question) { self.question = question }

  mutating func wait(forNamesOf record: DecisionRecord, permit: UInt64) {
    unnamed = (record, permit)
  }
}
