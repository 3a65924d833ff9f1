// `limitctl top`: who is asked for and denied most, now.

import ArgumentParser
import Glibc
import LimitAdminModel
import LimitConsole
import LimitSystem

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows the tenants, keys and limits that are denied most, again and again.",
    discussion: """
      All of it is about the last one or two minutes. Tenants and keys are estimated from samples, and \
      exact while there are few queries; limits are exact. On a terminal the screen is drawn again every \
      --interval: d sorts by denials, u by use, q or Ctrl-C ends. Elsewhere, and with -1, it is printed \
      once.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage; 130 Ctrl-C.
      """
  )

  enum Order: String, ExpressibleByArgument, CaseIterable { case denied, queries }

  @Option(help: "What stands first: those denied, or those asked for most.")
  var sort = Order.denied

  @Option(help: ArgumentHelp("Rows of each table, 1 to 100.", valueName: "n"))
  var rows = 10

  @Option(
    help: ArgumentHelp("How often the screen is drawn, 1 to 3600.", valueName: "seconds"))
  var interval = 2

  @Flag(name: [.customShort("1"), .long], help: "Print it once.")
  var once = false

  @OptionGroup var admin: AdminOptions

  func validate() throws {
    guard 1...100 ~= rows else { throw ValidationError("--rows is a number from 1 to 100.") }
    guard 1...3600 ~= interval else {
      throw ValidationError("--interval is a number of seconds from 1 to 3600.")
    }
    if admin.json && !once { throw ValidationError("--json goes with -1.") }
  }

  func run() throws {
    if once || isatty(STDOUT_FILENO) != 1 {
      return try admin.run { client, terminal throws(AdminError) in
        admin.result(try client.get(TopList.self, target(sort))) {
          TopScreen(top: $0, rows: rows, order: sort.rawValue).lines(terminal)
        }
      }
    }
    var ending = CommandResult()
    do throws(AdminError) {
      ending = try follow(AdminClient(path: admin.endpoint.path))
    } catch {
      ending = error.result
    }
    try ending.finish()
  }

  private func target(_ order: Order) -> String { "/v1/top?limit=\(rows)&sort=\(order.rawValue)" }

  /// Draws until somebody ends it. When this returns, the terminal is as it was.
  private func follow(_ client: AdminClient) throws(AdminError) -> CommandResult {
    var order = sort
    var before: (time: UInt64, decisions: UInt64)?
    // First, so that what is wrong is said on a terminal that nobody has taken.
    var top = try client.get(TopList.self, target(order)).value
    do {
      let live = try LiveTerminal()
      while true {
        let now = Clock.bootNanoseconds()
        // A daemon that was restarted meanwhile counts anew.
        let last = before.flatMap { $0.decisions <= top.decisions ? $0 : nil }
        let rate = last.map { Double(top.decisions - $0.decisions) / Double(now - $0.time) * 1e9 }
        before = (now, top.decisions)
        let screen = TopScreen(
          top: top, queriesPerSecond: rate, rows: min(rows, max(1, (live.rows - 8) / 3)),
          order: order.rawValue)
        try live.draw(screen.lines(.standardOutput()))
        switch live.wait(milliseconds: Int32(interval) * 1000) {
        case .key(UInt8(ascii: "q")): return CommandResult()
        case .key(UInt8(ascii: "d")): order = .denied
        case .key(UInt8(ascii: "u")): order = .queries
        case .key, .time: break
        case .signal(let number): return CommandResult(exitCode: 128 + number)
        }
        top = try client.get(TopList.self, target(order)).value
      }
    } catch let error as AdminError {
      throw error
    } catch let error as OutputError {
      return CommandResult(
        errors: error.isBrokenPipe ? "" : "limitctl: \(error.message)\n", exitCode: 1)
    } catch {
      preconditionFailure("there are no other errors")
    }
  }
}
