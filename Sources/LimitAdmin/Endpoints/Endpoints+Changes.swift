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
    if isDryRun {
      do throws(PolicyFileError) {
        let new = try source.read()
        return .now(AdminResponse(answer(call.rulebook.file, new, isInForce: false)))
      } catch {
        throw Self.refused(error.diagnostics.map { "\($0)" })
      }
    }
    let peer = call.peer
    return .later { [self] tell in
      // A large file takes seconds to read: once, by whoever puts it in force.
      source.reload(peer) { result in
        switch result {
        case .inForce(let before, let after):
          tell(AdminResponse(answer(before, after, isInForce: true)))
        case .refused(let lines): tell(AdminResponse(Self.refused(lines)))
        }
      }
    }
  }

  /// O(size of both files).
  private func answer(_ before: PolicyFile, _ after: PolicyFile, isInForce: Bool) -> ReloadAnswer {
    let differences = before.differences(to: after)
    return ReloadAnswer(
      configPath: source.facts.configPath, isInForce: isInForce,
      differenceCount: differences.count,
      differences: differences.prefix(Self.differencesMax).map {
        .init(kind: $0.kind.rawValue, name: $0.name, before: $0.before, after: $0.after)
      }, warnings: after.warnings.map { "\($0)" })
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
