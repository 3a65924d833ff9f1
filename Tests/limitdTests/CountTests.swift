// The daemon's own figures are true.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct CountTests {
    @Test("What is not decided is not counted: errors, and items of a batch with an error")
    func decisionCount() throws {
      let daemon = try TestDaemon()
      let peer = try daemon.peer()
      try peer.bind(0, "acme", "many")
      let items = [
        Request.Item(0), Request.Item(7), Request.Item(0, key: String(repeating: "k", count: 2000)),
        Request.Item(0), Request.Item(9),
      ]
      let decided = try peer.ask(Request.batch(items)).items.filter { $0.outcome != 255 }.count
      #expect(decided == 2)
      #expect(try peer.ask(Request.query(handle: 5)).errorCode == 9)
      #expect(try peer.ask(Request.query("acme", "no-such")).errorCode == 6)
      for kind in [Request.Query.check, .peek, .acquire] {
        _ = try peer.decide(Request.query("acme", "many", kind))
      }
      #expect(try daemon.stop().code == 0)
      #expect(daemon.decisionsSaid == 5, "\(daemon.brief)")
    }
  }
}
