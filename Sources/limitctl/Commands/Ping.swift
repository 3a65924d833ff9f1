// `limitctl ping`: whether the daemon answers, and how fast.

import ArgumentParser
import LimitClient
import LimitConsole
import LimitProtocol

struct Ping: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says whether the daemon answers, and how fast.",
    discussion: "Exit codes: 0 it answers; 1 error; 3 it cannot be reached; 64 usage."
  )

  @Option(help: ArgumentHelp("How often to ask, 1 to 1000000.", valueName: "n"))
  var count = 10

  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    guard (1...1_000_000).contains(count) else {
      throw ValidationError("--count is a number from 1 to 1000000.")
    }
  }

  func run() throws {
    let configuration = try daemon.configuration
    let client = BlockingLimitClient(configuration)
    var result = CommandResult()
    do throws(LimitClientError) {
      let hello = try client.hello()
      var times: [UInt64] = []
      for _ in 0..<count { times.append(UInt64(clamping: try client.ping().nanoseconds)) }
      times.sort()
      result.output = report(hello, times, socket: configuration.socketPath)
    } catch {
      result = DaemonExit.result(error, at: daemon.endpoint)
    }
    try result.finish()
  }

  private func report(_ hello: HelloReply, _ times: [UInt64], socket: String) -> String {
    let median = times[times.count / 2]
    if daemon.json {
      return JSONValue.object([
        ("format", .string("limitctl-ping/1")), ("socket", .string(socket)),
        ("version", .string(hello.daemonVersion)),
        ("protocol", .string("\(hello.version)")),
        ("roles", .array(hello.roles.names.map { .string($0) })),
        (
          "latency_seconds",
          .object([
            ("min", .seconds(times[0])), ("p50", .seconds(median)),
            ("max", .seconds(times[times.count - 1])),
          ])
        ),
      ]).text + "\n"
    }
    return """
      limitd \(hello.daemonVersion) answers at \(socket) (protocol \(hello.version))
        you may  \(hello.roles.names.joined(separator: ", "))
        latency  \(latencyText(median)) median of \(times.count), \(latencyText(times[0])) least, \
      \(latencyText(times[times.count - 1])) most

      """
  }
}

extension PeerRoles {
  fileprivate var names: [String] {
    let all: [(PeerRoles, String)] = [
      (.query, "query"), (.settle, "settle"), (.observe, "observe"), (.administer, "administer"),
    ]
    return all.filter { contains($0.0) }.map(\.1)
  }
}

extension Duration {
  /// Whole nanoseconds.
  var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
  }
}
