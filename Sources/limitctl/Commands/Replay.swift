// `limitctl replay`: what a policy file would have done to recorded traffic.
//
// This file turns the command line into `ReplayOptions` and errors into exit codes; LimitReplay
// does the work.

import ArgumentParser
import Glibc
import LimitClient
import LimitConsole
import LimitEngine
import LimitPolicy
import LimitReplay

struct Replay: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Shows what a policy file would have done to recorded traffic.",
    discussion: """
      Runs every row of the traces through the real engine, on the traces' own clock. Several \
      traces are one, in the order given; '-' is standard input. docs/REPLAY.md tells more.

      Exit codes: 0 done; 1 a malformed row, or a file that cannot be read or written; \
      3 with --live, the daemon cannot be reached; 64 a wrong command line; 78 an invalid policy \
      file.
      """
  )

  enum InputFormat: String, ExpressibleByArgument, CaseIterable { case csv, combined }

  @Option(help: ArgumentHelp("The policy file.", valueName: "file"))
  var config: String

  @Option(
    help: ArgumentHelp(
      "A second policy file: show which tenants it would leave better or worse off.",
      valueName: "other"
    )
  )
  var compare: String?

  @Option(
    help: ArgumentHelp(
      "What to print: csv (a line per row), json or report. Default: report on a terminal, else "
        + "csv."
    )
  )
  var format: ReplayOptions.Format?

  @Option(help: "The traces' format: csv (with a header), or combined (an access log).")
  var input: InputFormat = .csv

  @Option(
    help: ArgumentHelp(
      "Where CSV columns have other names: FIELD=COLUMN,…; several columns add up to a cost, as in "
        + "time=TIMESTAMP,cost=ContextTokens+GeneratedTokens.",
      valueName: "map"
    )
  )
  var columns: String?

  @Option(help: ArgumentHelp("The policy of every row; access logs need it.", valueName: "policy"))
  var policy: String?

  @Option(
    help: ArgumentHelp(
      "The tenant: any other word is the tenant of every row. Access logs: host (default) or user.",
      valueName: "host|user|name"
    )
  )
  var tenantFrom: String?

  @Option(
    help: ArgumentHelp(
      "The key, for access logs: host (default), path or user.",
      valueName: "host|path|user"
    )
  )
  var keyFrom: String?

  @Option(
    help: ArgumentHelp(
      "Put rows in order that come late by up to this. Default: 0 for csv, 2m for access logs.",
      valueName: "duration"
    )
  )
  var reorder: String?

  @Flag(help: "Count malformed rows and go on, instead of ending at the first.")
  var skipBad = false

  @Option(help: ArgumentHelp("How many tenants and keys the report lists.", valueName: "n"))
  var top = 10

  @Option(help: ArgumentHelp("Room for this many buckets of single keys.", valueName: "n"))
  var keySlots = 1 << 20

  @Flag(help: "Ask the daemon instead of an engine of one's own; its policy file is --config's.")
  var live = false

  @OptionGroup var endpoint: EndpointOptions

  @Option(
    help: ArgumentHelp(
      "With --live: how many times as fast as the trace. Default: as fast as possible.",
      valueName: "x"))
  var speed: Double?

  @Flag(
    help: ArgumentHelp(
      "With --live: set the clock of a daemon started with --trace-clock to the trace's.",
      visibility: .hidden))
  var traceClock = false

  @Argument(help: ArgumentHelp("The traces; '-' is standard input.", valueName: "trace"))
  var traces: [String]

  func validate() throws {
    _ = try makeOptions()
    _ = try makeLiveOptions()
  }

  mutating func run() throws {
    let options = try makeOptions()
    let liveOptions = try makeLiveOptions()
    let policies = try ([config] + (compare.map { [$0] } ?? [])).map { try Self.load($0) }
    let scrolls = options.format == .csv && isatty(STDOUT_FILENO) == 1
    let progress = ProgressBar(
      isOn: isatty(STDERR_FILENO) == 1 && !scrolls,
      traces: options.traces
    )
    var output = Output(to: STDOUT_FILENO)
    do throws(ReplayError) {
      var run = ReplayRun(
        options,
        policies: policies,
        terminal: .standardOutput(),
        progress: progress,
        live: try Self.connect(liveOptions, policies[0]),
        tell: StandardStream.tell
      )
      try run.run(to: &output)
    } catch {
      switch error {
      case .trace(let error): StandardStream.tell("\(error)")
      case .output(let error) where error.isBrokenPipe: break
      case .output(let error):
        StandardStream.tell(error.message)
      case .live(let error):
        StandardStream.tell("\(error)")
        if case .client(let error) = error { throw ExitCode(DaemonExit.code(for: error)) }
      }
      throw ExitCode.failure
    }
  }

  /// Checks what the options mean together. Anything wrong is a usage error (exit 64).
  private func makeOptions() throws -> ReplayOptions {
    var options = ReplayOptions()
    options.config = config
    options.other = compare
    options.traces = traces
    options.format = format ?? (isatty(STDOUT_FILENO) == 1 ? .report : .csv)
    if compare != nil, format == nil { options.format = .report }
    if compare != nil, options.format == .csv {
      throw ValidationError("--compare has no CSV output; use --format report or json.")
    }
    options.skipsBadRows = skipBad
    guard top >= 0 else { throw ValidationError("--top is a number from 0.") }
    options.top = top
    guard (1024...1 << 32).contains(keySlots) else {
      throw ValidationError("--key-slots is a number from 1024 to 4294967296.")
    }
    options.keySlots = keySlots
    guard traces.count(where: { $0 == "-" }) <= 1 else {
      throw ValidationError("standard input ('-') can be read only once.")
    }
    options.reorder = try reorderNanoseconds()
    options.input = input == .csv ? try makeCSVInput() : try makeCombinedInput()
    return options
  }

  private func makeLiveOptions() throws -> LiveOptions? {
    guard live else {
      guard endpoint.socket == nil, speed == nil, !traceClock else {
        throw ValidationError("--socket and --speed go with --live.")
      }
      return nil
    }
    if compare != nil { throw ValidationError("--live and --compare exclude each other.") }
    if let speed, !(speed > 0 && speed.isFinite) {
      throw ValidationError("--speed is a number above 0.")
    }
    return LiveOptions(
      configuration: ClientConfiguration(
        socketPath: endpoint.socket, clientName: "limitctl replay", callTimeout: .seconds(10)),
      speed: speed, setsClock: traceClock)
  }

  private static func connect(_ options: LiveOptions?, _ policies: PolicySet) throws(ReplayError)
    -> LiveDecider?
  {
    guard let options else { return nil }
    do throws(LiveError) {
      return try LiveDecider(options, policies: policies)
    } catch {
      throw .live(error)
    }
  }

  private func reorderNanoseconds() throws -> UInt64 {
    let text = reorder ?? (input == .csv ? "0" : "2m")
    if text == "0" { return 0 }
    let length: UInt64
    do throws(QuantityError) {
      length = try Quantity.duration(text).count
    } catch {
      throw ValidationError("--reorder: \(error.message).")
    }
    guard length <= Instant.max.nanoseconds else {
      throw ValidationError("--reorder: '\(text)' is longer than 146 years.")
    }
    return length
  }

  private func makeCSVInput() throws -> ReplayOptions.Input {
    if keyFrom != nil {
      throw ValidationError("--key-from is for access logs; a CSV trace has --columns key=COLUMN.")
    }
    if tenantFrom == "host" || tenantFrom == "user" {
      throw ValidationError(
        "--tenant-from \(tenantFrom ?? "") is for access logs; a CSV trace has "
          + "--columns tenant=COLUMN."
      )
    }
    if tenantFrom == "" { throw ValidationError("--tenant-from needs a name.") }
    var map = ColumnMap()
    do throws(Malformed) {
      if let columns { map = try ColumnMap(parsing: columns) }
    } catch {
      throw ValidationError("--columns: \(error.what).")
    }
    if tenantFrom != nil, map.named.contains("tenant") {
      throw ValidationError("--tenant-from and --columns tenant=… exclude each other.")
    }
    if policy != nil, map.named.contains("policy") {
      throw ValidationError("--policy and --columns policy=… exclude each other.")
    }
    return .csv(map, CSVTrace.Constants(tenant: tenantFrom, policy: policy))
  }

  private func makeCombinedInput() throws -> ReplayOptions.Input {
    guard let policy else {
      throw ValidationError("--input combined needs --policy: an access log names none.")
    }
    if columns != nil { throw ValidationError("--columns is for CSV traces.") }
    let fields: [String: LogField] = ["host": .host, "user": .user, "path": .path]
    guard let key = fields[keyFrom ?? "host"] else {
      throw ValidationError("--key-from is host, path or user.")
    }
    let tenant = tenantFrom ?? "host"
    if tenant.isEmpty { throw ValidationError("--tenant-from needs a name.") }
    let field = tenant == "path" ? nil : fields[tenant]
    return .combined(
      CombinedTrace.Mapping(
        policy: policy,
        tenant: field,
        tenantConstant: field == nil ? tenant : "",
        key: key
      )
    )
  }

  private static func load(_ path: String) throws -> PolicySet {
    do throws(PolicyFileError) {
      return try PolicyFile.load(path: path).compile(hashKey: ReplaySide.hashKey)
    } catch {
      try? StandardStream.error.write(error.diagnostics.map { "\($0)\n" }.joined())
      throw ExitCode(EX_CONFIG)
    }
  }
}

extension ReplayOptions.Format: ExpressibleByArgument {}
