// `limitctl events`: what happened, and what happens.

import ArgumentParser
import FoundationEssentials
import Glibc
import LimitAdminModel
import LimitConsole
import LimitSystem

struct Events: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints what happened, a line of JSON each, and with --follow what happens.",
    discussion: """
      Tenants that begin to be denied, are denied no more, or pass a soft threshold; what is changed for \
      a tenant or a limit; reloads; snapshots that fail. The daemon keeps the last 2,048, and of each \
      tenant only so many a minute: 'suppressed' says how many were left out. Who follows too slowly is \
      told so by a line of kind 'lost' with a count. A daemon that restarts is waited for, half a minute.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage; 130 Ctrl-C.
      """
  )

  @Flag(name: [.short, .long], help: "Go on with what happens, until Ctrl-C.")
  var follow = false

  @Option(
    help: "Only what is about this tenant.",
    completion: .tenants)
  var tenant: String?

  @Option(help: ArgumentHelp("How many of the last ones to begin with, 0 to 500.", valueName: "n"))
  var last = 20

  @OptionGroup var admin: AdminEndpointOptions

  @Flag(help: "Print JSON: as without it.")
  var json = false

  func validate() throws {
    guard 0...500 ~= last else { throw ValidationError("--last is a number from 0 to 500.") }
  }

  func run() throws {
    if follow { Signals.unblock([SIGINT, SIGTERM, SIGHUP]) }
    let client = AdminClient(path: admin.path)
    var ending = CommandResult()
    do throws(AdminError) {
      let first = try client.get(EventList.self, target("limit=\(max(1, last))")).value
      var reader = Reader(client: client, target: target, after: first.nextAfter)
      try print(EventList(events: last == 0 ? [] : first.events, nextAfter: 0, lost: 0))
      while follow { try print(try reader.next()) }
    } catch {
      ending = error.result
    }
    try ending.finish()
  }

  private func target(_ query: String) -> String {
    "/v1/events?\(query)" + (tenant.map { "&tenant=\(AdminClient.escaped($0))" } ?? "")
  }

  /// A line of a reader that was too slow.
  private struct Loss: Encodable {
    var kind = "lost"
    var count: UInt64
  }

  /// Prints a page, at once as far as whoever reads takes it. Ends the process where nobody does.
  private func print(_ list: EventList) throws(AdminError) {
    var lines: [any Encodable] = list.lost > 0 ? [Loss(count: list.lost)] : []
    lines += list.events
    let text = lines.map { line in
      guard let json = try? AdminJSON.encode(line) else {
        preconditionFailure("events have a JSON form")
      }
      return String(decoding: json, as: UTF8.self) + "\n"
    }.joined()
    do throws(OutputError) {
      try StandardStream.output.write(text)
    } catch {
      if !error.isBrokenPipe { StandardStream.tell(error.message) }
      Glibc.exit(1)
    }
  }
}

/// Asks for what comes next, again and again.
private struct Reader {
  /// How long an answer is waited for, in seconds.
  private static let waitSeconds = 30
  /// How often a daemon that is gone is asked, once a second.
  private static let triesMax = 30

  let client: AdminClient
  let target: (String) -> String
  var after: UInt64

  /// The next events; none where nothing happened for a while.
  mutating func next() throws(AdminError) -> EventList {
    var attempt = 0
    while true {
      do throws(AdminError) {
        let asked = target("after=\(after)&wait=\(Self.waitSeconds)&limit=500")
        let start = Clock.bootNanoseconds()
        let list = try client.get(EventList.self, asked).value
        after = list.nextAfter
        // Where too many wait, answers come early.
        let isEarly = Clock.bootNanoseconds() - start < 1_000_000_000
        if list.events.isEmpty, list.lost == 0, isEarly { sleep(1) }
        return list
      } catch {
        // Going down, the daemon cuts answers short.
        if case .refused = error { throw error }
        attempt += 1
        guard attempt < Self.triesMax else { throw error }
        sleep(1)
      }
    }
  }
}
