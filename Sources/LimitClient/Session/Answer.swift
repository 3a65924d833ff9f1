// What comes of a request. Values.

internal import LimitProtocol

/// What a waiter gets. Once per request.
enum Answer {
  /// To a query. Names: of the policy's limits, where they are needed and known.
  case decision(DecisionRecord, GivenPermit?, names: PolicyNames?)
  /// To a batch frame: valid until this call returns.
  case batch(BatchDecisions)
  case limits(PolicyNames)
  /// To ping and settle.
  case done
  case failure(LimitClientError)
}

/// A permit, and the connection that holds it.
struct GivenPermit: Hashable {
  /// As on the wire; not 0.
  var number: UInt64
  var connection: UInt64
}

/// What to ask, besides batches.
enum Question {
  case query(QueryOperation, LimitQuery)
  case settle(LimitReceipt, actual: UInt64)
  case ping
  /// The limits of a policy.
  case limits(tenant: String, policy: String)
}
