// Completion in the shells themselves. A shell that is not installed is skipped, and said.

import DaemonSupport
import Foundation
import Testing

private let cases: [(line: String, expected: [String])] = [
  ("limitctl ver", ["version"]),
  ("limitctl config ch", ["check"]),
  ("limitctl config check examples/pol", ["examples/policy.yaml"]),
  ("limitctl config explain examples/policy.yaml dist", ["district-7"]),
  ("limitctl config explain examples/policy.yaml acme gat", ["gateway"]),
  ("limitctl replay --config examples/policy.yaml --policy gat", ["gateway"]),
  ("limitctl replay --key-fr", ["--key-from"]),
  ("limitctl replay --input vh", ["vhost-combined"]),
  ("limitctl hold acme chat -- limitct", ["limitctl"]),
]

private func script(for shell: String) throws -> String {
  let result = try Program.run(["--generate-completion-script", shell])
  #expect(result.exitCode == 0)
  let path = NSTemporaryDirectory() + "limitctl-completion-\(UUID().uuidString).\(shell)"
  try result.output.write(toFile: path, atomically: true, encoding: .utf8)
  return path
}

@Suite struct CompletionTests {
  @Test(.enabled(if: Program.installed("bash") != nil, "bash is not installed"))
  func bashCompletes() throws {
    let path = try script(for: "bash")
    defer { unlink(path) }
    for (line, expected) in cases {
      check(try complete(line, by: path), line, expected)
    }
  }

  /// What bash offers for the last word of a line.
  ///
  /// - Parameter path: the script for completion.
  private func complete(
    _ line: String, by path: String, _ environment: [String: String] = [:]
  ) throws -> ProgramResult {
    let program = """
      source '\(path)'
      COMP_LINE='\(line)'; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
      COMP_WORDS=(\(line)); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
      function=$(complete -p limitctl | sed -E 's/.*-F ([^ ]+).*/\\1/')
      "$function" limitctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    return try Program.run(
      ["--norc", "--noprofile", "-c", program], program: Program.installed("bash")!,
      environment: environment)
  }

  /// In an interactive one on a terminal, where alone fish tells completions what is being written.
  @Test(
    .enabled(
      if: Program.installed("fish") != nil && Program.installed("python3") != nil,
      "fish or python3 is not installed"))
  func fishCompletes() throws {
    let path = try script(for: "fish")
    defer { unlink(path) }
    func check(_ line: String, _ expected: String, _ environment: [String: String] = [:]) throws {
      let result = try Program.run(
        ["Tests/Scripts/complete_in_fish.py", Program.installed("fish")!, path, line, expected],
        program: Program.installed("python3")!, environment: environment)
      #expect(result.exitCode == 0, "\(line): \(result.output)\(result.errors)")
    }
    for (line, expected) in cases { try check(line, expected[0]) }
    let (daemon, asked) = try daemonOfLatecomer()
    for (line, expected) in Self.daemonCases { try check(line, expected, asked) }
    withExtendedLifetime(daemon) {}
  }

  @Test(.enabled(if: Program.installed("zsh") != nil, "zsh is not installed"))
  func zshCompletes() throws {
    let path = try script(for: "zsh")
    defer { unlink(path) }
    func check(_ line: String, _ expected: [String], _ environment: [String: String] = [:]) throws {
      // A shell on a terminal of its own; each key is pressed once the last one is drawn.
      let program = """
        zmodload zsh/zpty
        zpty shell "TERM=dumb PS1='ready> ' zsh -f -i"
        take() { local text; zpty -r -m shell text "$1"; print -r -- "$text" }
        take '*ready> *' > /dev/null
        zpty -w shell "unsetopt zle_bracketed_paste; setopt no_beep; autoload -U compinit; \\
        compinit -D -u; source '\(path)'; compdef _limitctl limitctl; bindkey '^I' complete-word; \\
        print DO''NE"
        take '*DONE*ready> *' > /dev/null
        zpty -w -n shell $'\(line)\\t'
        zpty -w -n shell $'\\C-a: \\C-e\\n'
        take '*: limitctl*ready> *'
        zpty -d shell
        """
      let result = try Program.run(
        ["-f", "-c", program], program: Program.installed("zsh")!, environment: environment)
      self.check(result, line, expected)
    }
    for (line, expected) in cases { try check(line, expected) }
    let (daemon, asked) = try daemonOfLatecomer()
    for (line, expected) in Self.daemonCases { try check(line, [expected], asked) }
    withExtendedLifetime(daemon) {}
  }

  /// What only the daemon knows, and what the file does too.
  private static let daemonCases = [
    ("limitctl tenant show late", "latecomer"), ("limitctl why ac", "acme"),
    ("limitctl explain acme bud", "budget"), ("limitctl shadow on fe", "few"),
  ]

  /// A daemon that has a tenant which no file names, and the environment in which it is asked.
  private func daemonOfLatecomer() throws -> (TestDaemon, [String: String]) {
    let daemon = try TestDaemon()
    let set = ["tenant", "set", "latecomer", "few.burst=7", "--socket", daemon.socketPath]
    #expect(try Program.run(set).exitCode == 0)
    return (daemon, ["LIMITD_SOCKET": daemon.socketPath, "LIMITD_CONFIG": "/nonexistent"])
  }

  @Test(
    "Names are the daemon's, with what was set at run time; where it does not answer, the file's",
    .enabled(if: Program.installed("bash") != nil, "bash is not installed"))
  func daemonCompletes() throws {
    let (daemon, asked) = try daemonOfLatecomer()
    let path = try script(for: "bash")
    defer { unlink(path) }
    func offered(_ words: String, _ environment: [String: String]) throws -> [String] {
      let result = try complete("limitctl \(words)", by: path, environment)
      return result.output.split { $0.isWhitespace }.map(String.init)
    }
    let cases = [
      ("tenant show late", ["latecomer"]), ("why ac", ["acme"]), ("explain late", ["latecomer"]),
      ("explain acme bud", ["budget"]), ("check acme bud", ["budget"]), ("shadow on fe", ["few"]),
      ("limit show hel", ["held"]), ("tenant block BAN", []),
      ("config explain \(daemon.configPath) late", []),
      ("config explain \(daemon.configPath) ban", ["banned"]),
    ]
    for (words, expected) in cases { #expect(try offered(words, asked) == expected, "\(words)") }
    #expect(try offered("why --socket \(daemon.socketPath) late", [:]) == ["latecomer"])
    daemon.kill()
    let file = asked.merging(["LIMITD_CONFIG": daemon.configPath]) { $1 }
    #expect(try offered("why late", file) == [])
    #expect(try offered("why ban", file) == ["banned"])
  }

  private func check(_ result: ProgramResult, _ line: String, _ expected: [String]) {
    let words = result.output.split { $0.isWhitespace || $0 == "]" }.map(String.init)
    for word in expected {
      #expect(words.contains(word), "\(line): \(result.output)\(result.errors)")
    }
  }
}
