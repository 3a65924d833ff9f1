// What the tests of replay share: policy sets made in code, traces in temporary files, and runs
// whose output is kept in memory.

import Foundation
import LimitConsole
import LimitEngine
import TestSupport
import Testing

@testable import LimitReplay

/// The root of the package.
let packageRoot = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

/// A file that is removed with the value.
final class TemporaryFile {
  let path: String
  private let folder: TemporaryFolder

  init(_ bytes: some Sequence<UInt8>, name: String = "trace.csv") throws {
    folder = try TemporaryFolder()
    path = "\(folder.path)/\(name)"
    try Data(bytes).write(to: URL(filePath: path))
  }

  convenience init(_ text: String, name: String = "trace.csv") throws {
    try self.init(text.utf8, name: name)
  }
}

/// What a run said.
struct RunResult {
  var output = ""
  /// Lines for the person at the terminal.
  var told: [String] = []
  var error: TraceError?

  /// The rows of CSV output, without the header.
  var rows: [String] { output.split(separator: "\n").dropFirst().map(String.init) }
}

/// Runs traces through policy sets.
func replay(
  _ traces: [String],
  under policies: PolicySet...,
  terminal: Terminal = Terminal(),
  adjust: (inout ReplayOptions) -> Void = { _ in }
) throws -> RunResult {
  let files = try traces.map { try TemporaryFile($0) }
  var options = ReplayOptions()
  options.config = "policy.yaml"
  options.other = policies.count > 1 ? "other.yaml" : nil
  options.format = .csv
  options.traces = files.map(\.path)
  adjust(&options)
  var told: [String] = []
  var output = Output(to: nil)
  var run = ReplayRun(options, policies: policies, terminal: terminal) { told.append($0) }
  var result = RunResult()
  do throws(ReplayError) {
    try run.run(to: &output)
  } catch {
    guard case .trace(let error) = error else { throw error }
    result.error = error
  }
  result.output = String(decoding: output.bytes, as: UTF8.self)
  result.told = told
  // Temporary names differ from run to run: the tests know the files as t1, t2, …
  for (number, file) in files.enumerated() {
    result.output.replace(file.path, with: "t\(number + 1)")
    result.told = result.told.map { $0.replacing(file.path, with: "t\(number + 1)") }
    if case .malformed(file.path, let line, let what) = result.error {
      result.error = .malformed(file: "t\(number + 1)", line: line, what: what)
    }
  }
  return result
}

/// Parameters that tests know to be valid.
func tokenBucket(_ rate: UInt64, per period: Nanoseconds, burst: UInt64) -> LimitParameters {
  .tokenBucket(TokenBucket.Parameters(rate: rate, per: period, burst: burst)!)
}

func slidingWindow(_ limit: UInt64, _ window: Nanoseconds) -> LimitParameters {
  .slidingWindow(SlidingWindow.Parameters(limit: limit, window: window)!)
}

func concurrency(_ limit: UInt64) -> LimitParameters {
  .concurrency(Concurrency.Parameters(limit: limit)!)
}

/// A set with one policy `p` of one limit, for any tenant; `blocked` is blocked, `free` unlimited.
func policySet(
  _ parameters: LimitParameters,
  scope: Scope = .tenant,
  soft: UInt64? = nil,
  mode: LimitMode = .enforce,
  anyTenant: Bool = true
) -> PolicySet {
  var builder = PolicySetBuilder()
  let limit = builder.addLimit(
    LimitDefinition(
      name: "limit",
      scope: scope,
      settings: LimitSettings(parameters: parameters, softThreshold: soft, mode: mode)
    )
  )
  builder.addPolicy(named: "p", limits: [limit])
  builder.anyTenant = anyTenant ? .init() : nil
  builder.addTenant(named: "known", .init())
  builder.addTenant(named: "blocked", .init(standing: .blocked))
  builder.addTenant(named: "free", .init(standing: .unlimited))
  return builder.build(hashKey: ReplaySide.hashKey)
}

/// The policy file of the documentation (examples/policy.yaml), made in code.
func examplePolicySet(scale: UInt64 = 1) -> PolicySet {
  var builder = PolicySetBuilder()
  func add(
    _ name: String,
    _ scope: Scope,
    _ parameters: LimitParameters,
    unit: String = "requests",
    soft: UInt64? = nil,
    mode: LimitMode = .enforce
  ) -> LimitIndex {
    builder.addLimit(
      LimitDefinition(
        name: name,
        scope: scope,
        unit: unit,
        settings: LimitSettings(parameters: parameters, softThreshold: soft, mode: mode)
      )
    )
  }
  let burst = add("api-burst", .tenant, tokenBucket(100 * scale, per: .second, burst: 200 * scale))
  let user = add("user-rps", .key, tokenBucket(10, per: .second, burst: 20))
  let tokens = add(
    "llm-tpm",
    .tenant,
    slidingWindow(100_000, .minute),
    unit: "tokens",
    soft: 80_000
  )
  let inFlight = add("in-flight", .tenant, concurrency(8))
  let provider = add(
    "provider",
    .global,
    tokenBucket(5000, per: .minute, burst: 500),
    mode: .shadow
  )
  builder.addPolicy(named: "gateway", limits: [burst, user])
  builder.addPolicy(named: "chat", limits: [burst, user, tokens, inFlight, provider])
  let proBurst = LimitSettings(parameters: tokenBucket(1000, per: .second, burst: 2000))
  func budget(_ limit: UInt64) -> LimitSettings {
    LimitSettings(
      parameters: slidingWindow(limit, .minute),
      softThreshold: limit / 10 * 8
    )
  }
  let pro = builder.addRow(
    basedOn: .base,
    overrides: [(burst, proBurst), (tokens, budget(2_000_000))]
  )
  let district = builder.addRow(basedOn: pro, overrides: [(tokens, budget(5_000_000))])
  builder.anyTenant = .init()
  builder.addTenant(named: "acme", .init(row: pro))
  builder.addTenant(named: "district-7", .init(row: district))
  builder.addTenant(named: "banned-co", .init(standing: .blocked))
  builder.addTenant(named: "internal", .init(standing: .unlimited))
  return builder.build(hashKey: ReplaySide.hashKey)
}
