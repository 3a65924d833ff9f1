// `limitctl snapshot`: looking at snapshots, without a daemon, and having one written.

import ArgumentParser
import LimitConsole
import LimitStore

struct Snapshot: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Looks at the snapshots that a daemon restores from, or has one written.",
    subcommands: [
      SnapshotList.self, SnapshotInfoCommand.self, SnapshotVerify.self, SnapshotSave.self,
    ]
  )

  /// When a snapshot was begun, by the wall clock.
  static func date(_ info: SnapshotInfo) -> String { CalendarTime(info.clocks.wall).rfc3339 }
}

// MARK: Several of them

extension Snapshot {
  /// A file, and what was found in it.
  struct Reading {
    let path: String
    let contents: Result<SnapshotContents, SnapshotError>

    /// Reads it from its first byte to its last.
    init(_ path: String) {
      self.path = path
      do throws(SnapshotError) {
        contents = .success(try SnapshotContents(reading: path))
      } catch {
        contents = .failure(error)
      }
    }

    var isWhole: Bool { (try? contents.get()) != nil }
  }

  /// A line for each that is whole; what is wrong with the others goes to standard error.
  static func lines(
    of readings: [Reading], exitCode: Int32, _ text: (SnapshotContents) -> String
  ) -> CommandResult {
    var result = CommandResult(exitCode: exitCode)
    for reading in readings {
      switch reading.contents {
      case .success(let contents): result.output += "\(reading.path): \(text(contents))\n"
      case .failure(let error): result.errors += "\(reading.path): \(error)\n"
      }
    }
    return result
  }

  /// All of them, those that are not whole with what is wrong.
  static func document(of readings: [Reading], exitCode: Int32) -> CommandResult {
    let snapshots = readings.map { reading -> JSONValue in
      var fields: [(String, JSONValue)] = [
        ("path", .string(reading.path)), ("whole", .boolean(reading.isWhole)),
      ]
      switch reading.contents {
      case .success(let contents):
        fields += [
          ("number", .wideNumber(UInt128(contents.info.sequence))),
          ("taken", .string(date(contents.info))), ("buckets", .number(contents.bucketCount)),
        ]
      case .failure(let error): fields.append(("error", .string("\(error)")))
      }
      return .object(fields)
    }
    let document = JSONValue.object([
      ("format", .string("limitctl-snapshots/1")), ("snapshots", .array(snapshots)),
    ])
    return CommandResult(output: document.text + "\n", exitCode: exitCode)
  }
}
