// Asks the daemon once. Where it is, LIMITD_SOCKET says.

import LimitClient

let client = BlockingLimitClient()
let decision = try client.check(tenant: "acme", policy: "gateway", key: "bob")
if decision.isAllowed {
  print("go on: \(decision.remaining) of \(decision.capacity) left")
} else {
  print("come back in \(decision.retryAfterSeconds) s")
}
