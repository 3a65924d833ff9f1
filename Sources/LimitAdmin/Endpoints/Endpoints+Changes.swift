// What changes the daemon: reloads, and snapshots out of turn.

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime

extension Endpoints {
  /// Differences that are told one by one.
  private static let differencesMax = 1000

  func reload(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    let isDryRun =
      call.request.body.isEmpty ? false : try decode(ReloadRequest.self, call).dryRun
    var answer = ReloadAnswer(
      configPath: source.facts.configPath, isInForce: false, differenceCount: 0, differences: [],
      warnings: [])
    do throws(PolicyFileError) {
      let new = try source.read()
      let differences = call.rulebook.file.differences(to: new)
      answer.differenceCount = differences.count
      answer.differences = differences.prefix(Self.differencesMax).map {
        .init(kind: $0.kind.rawValue, name: $0.name, before: $0.before, after: $0.after)
      }
      answer.warnings = new.warnings.map { "\($0)" }
    } catch {
      // A reload that is meant fails where others do, and is counted and logged there.
      if isDryRun { throw Self.refused(error.diagnostics.map { "\($0)" }) }
    }
    if isDryRun { return .now(AdminResponse(answer)) }
    let found = answer
    let source = self.source
    return .later { tell in
      source.reload(call.peer) { result in
        switch result {
        case .inForce:
          var done = found
          done.isInForce = true
          tell(AdminResponse(done))
        case .refused(let lines): tell(AdminResponse(Self.refused(lines)))
        }
      }
    }
  }

  private static func refused(_ lines: [String]) -> Problem {
    Problem(
      status: 422, title: "The policy file is not valid",
      detail: lines.prefix(20).joined(separator: "\n"))
  }

  func saveSnapshot(_ call: Call) throws(Problem) -> Outcome {
    try call.request.refuseParameters(besides: [])
    try refuseBody(call)
    let source = self.source
    return .later { tell in
      source.saveSnapshot(call.peer) { result in
        switch result {
        case .success(let answer): tell(AdminResponse(answer))
        case .failure(let problem): tell(AdminResponse(problem))
        }
      }
    }
  }
}
