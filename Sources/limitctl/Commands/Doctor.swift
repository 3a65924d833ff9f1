// `limitctl doctor`: looks at what commonly keeps limitd from doing its work, and says what helps.

import ArgumentParser
import Glibc
import LimitClient
import LimitConsole

struct Doctor: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Looks for what is wrong with this installation, and says what helps.",
    discussion: """
      Looks at the sockets and who may open them, versions, the policy file, reloads, snapshots, the \
      state directory and the catalog, the clock, tables, connections and open files. Changes nothing.

      Exit codes: 0 nothing is wrong; 1 something is; 64 usage.
      """
  )

  @OptionGroup var admin: AdminOptions

  func run() throws {
    let findings = Checkup(
      socket: ClientConfiguration(socketPath: admin.endpoint.endpoint.socket).socketPath,
      adminSocket: admin.endpoint.path
    ).findings()
    let isWell = !findings.contains { $0.grade == .bad }
    try CommandResult(
      output: admin.json
        ? Self.json(findings)
        : Self.text(findings, .standardOutput(), isWrapped: isatty(STDOUT_FILENO) == 1),
      exitCode: isWell ? 0 : DaemonExit.error
    ).finish()
  }

  /// - Parameter isWrapped: whether lines are to fit the terminal.
  static func text(_ findings: [Finding], _ terminal: Terminal, isWrapped: Bool) -> String {
    let width = findings.map { $0.subject.count }.max() ?? 0
    func lines(_ text: String, indent: Int) -> String {
      let lines = isWrapped ? wrapped(text, width: terminal.width - indent) : [text]
      return lines.joined(separator: "\n" + String(repeating: " ", count: indent))
    }
    return findings.map { finding in
      let (word, style): (String, Style) =
        switch finding.grade {
        case .good: ("ok  ", .admitted)
        case .doubtful: ("look", .never)
        case .bad: ("BAD ", .refused)
        }
      let blank = String(repeating: " ", count: width - finding.subject.count + 2)
      let text = lines(finding.text, indent: width + 8)
      let remedy = finding.remedy.map { "\n      " + lines($0, indent: 6) } ?? ""
      return "\(terminal.styled(word, style))  \(finding.subject)\(blank)\(text)\(remedy)\n"
    }.joined()
  }

  static func json(_ findings: [Finding]) -> String {
    JSONValue.object([
      ("format", .string("limitctl-doctor/1")),
      (
        "findings",
        .array(
          findings.map { finding in
            .object([
              ("grade", .string(finding.grade.rawValue)), ("subject", .string(finding.subject)),
              ("text", .string(finding.text)),
              ("remedy", finding.remedy.map { .string($0) } ?? .null),
            ])
          })
      ),
    ]).text + "\n"
  }
}
