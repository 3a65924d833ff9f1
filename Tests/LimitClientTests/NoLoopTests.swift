// An async client whose thread does not start, where the process has no descriptor or no thread left: its calls
// fail, and wait for nobody.

import LimitProtocol
import LimitSystem
import TestSupport
import Testing

@testable import LimitClient

@Suite struct NoLoopTests {
  @Test func callsFailAtOnceUntilTheClientsThreadStarts() async throws {
    let server = try LyingServer { try $0.beHonest() }
    let core = ClientCore(.test(server.path), isLoopDriven: true, observer: nil)
    let channel = core.channel
    let makeLoop = try #require(channel.makeLoop)
    channel.makeLoop = { () throws(SystemError) in throw SystemError(number: 24) }
    for _ in 0..<3 {
      guard case .failure(let error) = await core.ask(.ping, by: channel, .after(.patience)) else {
        throw Unexpected()
      }
      #expect(error.code == .unreachable && error.systemError == 24 && !error.mayHaveBeenDecided)
      #expect(error.message.hasSuffix("the client's thread does not start: Too many open files"))
    }
    var failures: [LimitClientError] = []
    let queries = [LimitQuery](repeating: LimitQuery(tenant: "acme", policy: "p"), count: 5)
    var results = BatchResults(queries, .throw)
    await core.ask(queries, by: channel, .after(.patience)) { results.read($0, from: channel) }
    for result in results.results {
      if case .failure(let error) = result { failures.append(error) }
    }
    #expect(failures.map(\.systemError) == [24, 24, 24, 24, 24])
    channel.makeLoop = makeLoop
    guard case .done = await core.ask(.ping, by: channel, .after(.patience)) else {
      throw Unexpected()
    }
  }
}
