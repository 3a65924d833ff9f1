// What a request is answered with. Values.

import FoundationEssentials
import LimitAdminModel
import NIOHTTP1

struct AdminResponse: Sendable {
  var status: HTTPResponseStatus
  var contentType: String
  var body: [UInt8]
  /// The methods that the path has, where the request's is none of them.
  var allow: String?

  /// A value as JSON.
  init(_ value: some Encodable, status: HTTPResponseStatus = .ok) {
    guard let json = try? AdminJSON.encode(value) else {
      // Only for a number that JSON cannot hold, and no value of ours has one.
      self.init(Problem.internalError("the answer has no JSON form"))
      return
    }
    self.init(status, "application/json", Array(json) + [UInt8(ascii: "\n")])
  }

  private init(_ status: HTTPResponseStatus, _ contentType: String, _ body: [UInt8]) {
    self.status = status
    self.contentType = contentType
    self.body = body
  }

  init(text: String, contentType: String) {
    self.init(.ok, contentType, Array(text.utf8))
  }

  init(_ problem: Problem) {
    let json = (try? AdminJSON.encode(problem)).map { Array($0) } ?? []
    self.init(
      HTTPResponseStatus(statusCode: problem.status), "application/problem+json",
      json + [UInt8(ascii: "\n")])
  }
}

extension Problem {
  static func badRequest(_ detail: String) -> Problem {
    Problem(status: 400, title: "Bad request", detail: detail)
  }

  static func forbidden(_ detail: String) -> Problem {
    Problem(status: 403, title: "Forbidden", detail: detail)
  }

  static func notFound(_ detail: String) -> Problem {
    Problem(status: 404, title: "Not found", detail: detail)
  }

  static func internalError(_ detail: String) -> Problem {
    Problem(status: 500, title: "Internal error", detail: detail)
  }
}
