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
      traces are one, in the order given; '-' is standard input. CSV and the access logs of Apache \
      and nginx are known by their first line, gzip by its magic. docs/REPLAY.md tells more.

      Exit codes: 0 done; 1 a malformed row, or a file that cannot be read or written; \
      3 with --live, the daemon cannot be reached; 64 a wrong command line; 78 an invalid policy \
      file.
      """
  )

  @Option(
    help: ArgumentHelp("The policy file.", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Option(
    help: ArgumentHelp(
      "A second policy file: show whom it would leave better or worse off, and which limits make "
        + "the difference.",
      valueName: "other"),
    completion: .file(extensions: ["yaml", "yml"]))
  var compare: String?

  @Option(
    help: ArgumentHelp(
      "What to print: csv (a line per row), json or report. Default: report on a terminal, else "
        + "csv."))
  var format: ReplayOptions.Format?

  @Flag(help: "Print the report as JSON: --format json.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "The traces' format: csv (with a header), or that of an access log: common, combined, "
        + "vhost-combined. Default: by the first line.",
      valueName: "format"),
    completion: .list(["csv"] + LogFormat.named.map(\.name)))
  var input: String?

  @Option(
    help: ArgumentHelp(
      "What stands where in an access log, as Apache's LogFormat or nginx's log_format have it, "
        + "such as '$host $remote_addr [$time_local] \"$request\"'.",
      valueName: "text"))
  var logFormat: String?

  @Option(
    help: ArgumentHelp(
      "Where CSV columns have other names: FIELD=COLUMN,…; several columns add up to a cost, as in "
        + "time=TIMESTAMP,cost=ContextTokens+GeneratedTokens.",
      valueName: "map"))
  var columns: String?

  @Option(
    help: ArgumentHelp("The policy of every row; access logs need it.", valueName: "policy"),
    completion: .policies)
  var policy: String?

  @Option(
    help: ArgumentHelp(
      "The tenant: any other word is the tenant of every row. Access logs: host (default), user or "
        + "vhost.",
      valueName: "host|user|vhost|name"),
    completion: .list(["host", "user", "vhost"]))
  var tenantFrom: String?

  @Option(
    help: ArgumentHelp(
      "The key, for access logs: host (default), path, user or vhost.",
      valueName: "host|path|user|vhost"),
    completion: .list(LogField.allCases.map(\.rawValue)))
  var keyFrom: String?

  @Option(
    help: ArgumentHelp(
      "Put rows in order that come late by up to this. Default: 0 for csv, 2m for access logs.",
      valueName: "duration"))
  var reorder: String?

  @Option(
    help: ArgumentHelp(
      "Most memory for rows that wait to be put in order, 1M to 64G bytes.", valueName: "bytes"))
  var reorderMemory = "256M"

  @Flag(help: "Count malformed rows and go on, instead of ending at the first.")
  var skipBad = false

  @Option(help: ArgumentHelp("How many tenants and keys the report lists.", valueName: "n"))
  var top = 10

  @Option(help: ArgumentHelp("Room for this many buckets of single keys.", valueName: "n"))
  var keySlots = ReplayOptions().keySlots

  @OptionGroup(title: "Asking the daemon")
  var live: ReplayLiveOptions

  @OptionGroup var endpoint: EndpointOptions

  @Argument(
    help: ArgumentHelp("The traces; '-' is standard input.", valueName: "trace"),
    completion: .file())
  var traces: [String]

  func validate() throws {
    _ = try makeOptions()
    _ = try live.options(endpoint, compare: compare)
  }

  mutating func run() throws {
    var options = try makeOptions()
    let liveOptions = try live.options(endpoint, compare: compare)
    if let liveOptions {
      options.live = liveOptions.text
      if !liveOptions.setsClock { StandardStream.tell("warning: \(Self.liveWarning)") }
    }
    let files = try ([config] + (compare.map { [$0] } ?? [])).map { try Self.load($0) }
    options.keyBytesMax = files[0].daemon.limits.keyBytes
    let policies = files.map { $0.compile(hashKey: ReplaySide.hashKey) }
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
      if case .live(.client(let error)) = error {
        try DaemonExit.result(error, at: endpoint).finish()
      }
      if let message = error.message { StandardStream.tell(message) }
      if case .usage = error { throw ExitCode.validationFailure }
      throw ExitCode.failure
    }
  }

  static let liveWarning =
    "the rows are charged to the daemon's tenants of these names, now; what they are denied, their "
    + "own traffic is denied too"

  /// Checks what the options mean together. Anything wrong is a usage error (exit 64).
  private func makeOptions() throws -> ReplayOptions {
    var options = ReplayOptions()
    options.config = config
    options.other = compare
    options.traces = traces
    if json, let format, format != .json {
      throw ValidationError("--json and --format \(format.rawValue) exclude each other.")
    }
    let usual: ReplayOptions.Format = isatty(STDOUT_FILENO) == 1 || compare != nil ? .report : .csv
    options.format = json ? .json : format ?? usual
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
    try readReorder(into: &options)
    options.input = try inputFormat()
    try readFields(into: &options)
    return options
  }

  private func readReorder(into options: inout ReplayOptions) throws {
    do throws(QuantityError) {
      if reorder == "0" {
        options.reorder = 0
      } else if let reorder {
        options.reorder = try Quantity.duration(reorder).count
      }
    } catch {
      throw ValidationError("--reorder: \(error.message).")
    }
    guard options.reorder ?? 0 <= Instant.max.nanoseconds else {
      throw ValidationError("--reorder: '\(reorder ?? "")' is longer than 146 years.")
    }
    do throws(QuantityError) {
      options.reorderMemory = Int(clamping: try Quantity.count(reorderMemory))
    } catch {
      throw ValidationError("--reorder-memory: \(error.message).")
    }
    guard (1_000_000...64_000_000_000).contains(options.reorderMemory) else {
      throw ValidationError("--reorder-memory is a number of bytes from 1M to 64G.")
    }
  }

  private func inputFormat() throws -> TraceFormat? {
    if let logFormat {
      if input != nil {
        throw ValidationError("--log-format and --input exclude each other.")
      }
      if let format = LogFormat.named(logFormat) { return .accessLog(format) }
      do throws(Malformed) {
        return .accessLog(try LogFormat(parsing: logFormat))
      } catch {
        throw ValidationError("--log-format: \(error.what).")
      }
    }
    guard let input else { return nil }
    if input == "csv" { return .csv }
    guard let format = LogFormat.named(input) else {
      let names = ["csv"] + LogFormat.named.map(\.name)
      let advice =
        Suggestion.nearest(to: input, among: names).map { "did you mean \($0)?" }
        ?? "it is \(names.joined(separator: ", ")), or described with --log-format."
      throw ValidationError("--input: there is no format '\(input)'; \(advice)")
    }
    return .accessLog(format)
  }

  private func readFields(into options: inout ReplayOptions) throws {
    if tenantFrom == "" { throw ValidationError("--tenant-from needs a name.") }
    options.policy = policy
    options.tenantFrom = tenantFrom
    if let keyFrom {
      guard let field = LogField(rawValue: keyFrom) else {
        throw ValidationError("--key-from is host, path, user or vhost.")
      }
      options.keyFrom = field
    }
    do throws(Malformed) {
      if let columns { options.columns = try ColumnMap(parsing: columns) }
    } catch {
      throw ValidationError("--columns: \(error.what).")
    }
    do throws(Malformed) {
      switch options.input {
      case .csv: _ = try options.constants()
      case .accessLog: _ = try options.mapping()
      case nil: break
      }
    } catch {
      throw ValidationError("\(error.what).")
    }
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

  private static func load(_ path: String) throws -> PolicyFile {
    do throws(PolicyFileError) {
      return try PolicyFile.load(path: path)
    } catch {
      try CommandResult(errors: "\(error)\n", exitCode: EX_CONFIG).finish()
      throw ExitCode(EX_CONFIG)
    }
  }
}

/// How the daemon is to decide the rows.
struct ReplayLiveOptions: ParsableArguments {
  @Flag(help: "Ask the daemon instead of an engine of one's own.")
  var live = false

  @Flag(
    help: ArgumentHelp(
      "Set the daemon's clock to each row's time; a daemon allows it that was started with "
        + "--trace-clock."))
  var traceClock = false

  @Option(
    help: ArgumentHelp(
      "How many times as fast as the trace. Default: as fast as possible.", valueName: "x"))
  var speed: Double?

  @Flag(help: "Charge the daemon's own tenants, which --live does without --trace-clock.")
  var yes = false

  /// - Throws: a usage error.
  func options(_ endpoint: EndpointOptions, compare: String?) throws -> LiveOptions? {
    guard live else {
      guard speed == nil, !traceClock, !yes else {
        throw ValidationError("--trace-clock, --speed and --yes go with --live.")
      }
      return nil
    }
    if compare != nil { throw ValidationError("--live and --compare exclude each other.") }
    if let speed, !(speed > 0 && speed.isFinite) {
      throw ValidationError("--speed is a number above 0.")
    }
    guard traceClock || yes else {
      throw ValidationError(
        "--live asks a daemon that serves: \(Replay.liveWarning). Add --yes where that is meant, or "
          + "--trace-clock with a daemon that was started for tests.")
    }
    return LiveOptions(
      configuration: ClientConfiguration(
        socketPath: endpoint.socket, clientName: "limitctl replay", callTimeout: .seconds(10)),
      speed: speed, setsClock: traceClock)
  }
}

extension ReplayOptions.Format: ExpressibleByArgument {}
