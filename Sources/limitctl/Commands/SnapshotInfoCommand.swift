// `limitctl snapshot info FILE`: what a snapshot says of itself.

import ArgumentParser
import LimitConsole
import LimitStore

struct SnapshotInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Says when a snapshot was taken, and what it holds.",
    discussion: """
      Counts the buckets of each limit that was in force; a limit that is no longer in the file has no \
      name.

      Exit codes: 0 the snapshot is whole; 1 it is not.
      """
  )

  @Argument(help: "A snapshot.", completion: .file())
  var file: String

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws { try Self.describe(file, asJSON: json).finish() }

  static func describe(_ path: String, asJSON: Bool) -> CommandResult {
    let contents: SnapshotContents
    do throws(SnapshotError) {
      contents = try SnapshotContents(reading: path)
    } catch {
      return CommandResult(errors: "\(path): \(error)\n", exitCode: 1)
    }
    return CommandResult(output: asJSON ? json(contents) : text(path, contents))
  }

  /// Buckets by name, the most first; what has no name at last.
  private static func counts(_ contents: SnapshotContents) -> [(name: String?, count: Int)] {
    var unnamed = 0
    var named: [(name: String?, count: Int)] = []
    for (identity, count) in contents.buckets {
      if let name = contents.names[identity] {
        named.append((name, count))
      } else {
        unnamed += count
      }
    }
    named.sort { ($1.count, $0.name ?? "") < ($0.count, $1.name ?? "") }
    return unnamed > 0 ? named + [(nil, unnamed)] : named
  }

  private static func text(_ path: String, _ contents: SnapshotContents) -> String {
    let info = contents.info
    var lines = [
      "\(path)", "  number    \(grouped(info.sequence))", "  taken     \(Snapshot.date(info))",
      "  up since  \(durationText(info.clocks.boot)) before",
      "  size      \(grouped(contents.byteCount)) bytes",
      "  buckets   \(grouped(contents.bucketCount))",
    ]
    for (name, count) in counts(contents) {
      lines.append("    \(name.map { visible($0) } ?? "(limits not in force)")  \(grouped(count))")
    }
    return lines.map { "\($0)\n" }.joined()
  }

  private static func json(_ contents: SnapshotContents) -> String {
    let info = contents.info
    return JSONValue.object([
      ("format", .string("limitctl-snapshot/1")), ("number", .wideNumber(UInt128(info.sequence))),
      ("taken", .string(Snapshot.date(info))), ("boot_clock", .seconds(info.clocks.boot)),
      ("bytes", .number(contents.byteCount)), ("buckets", .number(contents.bucketCount)),
      (
        "limits",
        .array(
          counts(contents).map { name, count in
            .object([("limit", name.map { .string($0) } ?? .null), ("buckets", .number(count))])
          })
      ),
    ]).text + "\n"
  }
}
