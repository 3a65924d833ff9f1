// What is set at run time, laid over a policy file.

import LimitEngine
import Testing

@testable import LimitPolicy

@Suite struct OverlayTests {
  private static let text = """
    limits:
      burst: {algorithm: token-bucket, rate: 100/s, burst: 200, scope: tenant}
      tokens: {algorithm: sliding-window, limit: 1000, window: 1m, scope: tenant, unit: tokens}
      all: {algorithm: token-bucket, rate: 1k/s, burst: 1k, scope: global}
    policies:
      some: [burst, all]
      chat: [burst, tokens]
    plans:
      pro: {burst: {rate: 1000/s, mode: shadow}}
      slow: {burst: {rate: 1/1d}}
    tenants:
      "*": {plan: pro, limits: {tokens: {limit: 10}}}
      acme: {plan: pro, limits: {burst: {burst: 300}}}
      banned: {blocked: true}
      free: {unlimited: true}
    """

  private func base(_ text: String = Self.text) throws -> PolicyFile {
    try PolicyFile.parse(text, path: "p.yaml")
  }

  private func overlay(_ changes: OverlayChange...) -> Overlay {
    var overlay = Overlay()
    for change in changes {
      #expect(change.fault == nil)
      _ = overlay.apply(change)
    }
    return overlay
  }

  private func edit(_ tenant: String, plan: String?? = nil, _ settings: (String, String, String)...)
    -> OverlayChange
  {
    .edit(
      tenant: tenant, plan: plan,
      settings.map { .init(limit: $0.0, parameter: $0.1, value: $0.2) })
  }

  @Test("What is set at run time does what the same words in the file do")
  func likeTheFile() throws {
    let overlay = overlay(
      edit("acme", plan: "slow", ("burst", "burst", "9"), ("tokens", "limit", "2M")),
      edit("free", ("burst", "rate", "5/10s")), edit("late", ("tokens", "soft", "50%")),
      .block(tenant: "late", .init(reason: "unpaid")), .block(tenant: "free", .init(reason: "x")),
      .mode(limit: "burst", .enforce))
    let (effective, problems) = try base().overlaid(by: overlay)
    #expect(problems == [])
    let written =
      Self.text
      .replacing("mode: shadow", with: "soft: 100%").replacing(", soft: 100%", with: "")
      .replacing("scope: tenant}\n  tokens", with: "scope: tenant, mode: enforce}\n  tokens")
      .replacing(
        "acme: {plan: pro, limits: {burst: {burst: 300}}}",
        with: "acme: {plan: slow, limits: {burst: {burst: 9}, tokens: {limit: 2M}}}"
      )
      .replacing(
        "free: {unlimited: true}", with: "free: {blocked: true, limits: {burst: {rate: 5/10s}}}")
      + "\n  late: {plan: pro, blocked: true, limits: {tokens: {limit: 10, soft: 50%}}}"
    #expect(effective.differences(to: try base(written)) == [])
    // It decides as it says.
    let set = effective.compile(hashKey: HashKey(low: 1, high: 2))
    for (name, standing) in [
      ("late", Standing.blocked), ("free", .blocked), ("acme", .limited), ("x", .limited),
    ] {
      #expect(set.tenant(named: name).standing == standing)
    }
    #expect(set.tenant(named: "late").isNamed)
  }

  @Test("What does not fit the file is left out with the file's own words, and nothing else is")
  func misfits() throws {
    let cases: [(OverlayChange, String)] = [
      (edit("acme", plan: "prp"), "tenant 'acme': there is no plan 'prp'; did you mean 'pro'?"),
      (edit("acme", ("burts", "rate", "1/s")), "there is no limit 'burts'; did you mean 'burst'?"),
      (edit("acme", ("burst", "rat", "1/s")), "unknown key 'rat'; did you mean 'rate'?"),
      (edit("acme", ("burst", "scope", "key")), "scope cannot be overridden"),
      (edit("acme", ("burst", "window", "1s")), "a token-bucket limit has no window"),
      (edit("acme", ("burst", "rate", "many")), "rate 'many'"),
      (edit("acme", ("burst", "burst", "0")), "burst 0 could never admit anything"),
      (edit("acme", ("tokens", "window", "9000d")), "is out of range"),
      (edit("acme", ("burst", "mode", "off")), "unknown mode 'off'"),
      (edit("acme", ("all", "rate", "1/s")), "the limit is global"),
      (edit("acme", plan: "slow", ("burst", "burst", "1M")), "takes longer than 2^59 ns"),
    ]
    for (change, message) in cases {
      let (file, problems) = try base().overlaid(
        by: overlay(change, edit("free", plan: "pro"), .block(tenant: "acme", .init(reason: "r"))))
      #expect(problems.count == 1 && problems[0].message.contains(message), "\(problems)")
      #expect(problems.first?.subject == .tenant("acme"))
      let acme = try #require(file.tenantEntry(named: "acme"))
      #expect(acme.plan == "pro" && acme.overrides.map(\.value) == ["300"])
      #expect(acme.standing == .blocked)
      #expect(file.tenantEntry(named: "free")?.plan == "pro")
    }
    let gone = try base().overlaid(
      by: overlay(.mode(limit: "none", .shadow), edit("new", plan: "no")))
    #expect(gone.problems.map(\.subject) == [.limit("none"), .tenant("new")])
    #expect(gone.file.tenantEntry(named: "new") == nil)
    #expect(gone.file.document == [])
  }

  @Test("A plan of a file that leaves a tenant's own settings no room is told, and left out")
  func planUnderOverrides() throws {
    let text = Self.text.replacing("burst: 300", with: "burst: 1M")
    let (file, problems) = try base(text).overlaid(by: overlay(edit("acme", plan: "slow")))
    #expect(problems.count == 1 && problems[0].message.contains("takes longer"))
    _ = file.compile(hashKey: HashKey(low: 1, high: 2))
  }

  @Test("A limit's mode holds for everybody but whom something else is set for")
  func modes() throws {
    let (file, _) = try base().overlaid(
      by: overlay(.mode(limit: "burst", .enforce), edit("free", ("burst", "mode", "shadow"))))
    func mode(_ tenant: String) -> LimitMode? {
      file.explain(tenant: tenant, policy: "some")?.limits.first?.mode
    }
    #expect(mode("acme") == .enforce && mode("x") == .enforce && mode("free") == .shadow)
    #expect(try base().explain(tenant: "acme", policy: "some")?.limits.first?.mode == .shadow)
  }

  @Test("An explanation says what was set at run time")
  func explanation() throws {
    let (file, _) = try base().overlaid(
      by: overlay(
        edit("acme", plan: "slow", ("burst", "soft", "80%")), .mode(limit: "all", .shadow),
        .block(tenant: "new", .init(reason: "r"))))
    let acme = try #require(file.explain(tenant: "acme", policy: "some"))
    let sources = Dictionary(
      uniqueKeysWithValues: acme.limits[0].parameters.map { ($0.name, $0.source) })
    #expect(sources["soft"] == .runTime)
    #expect(sources["burst"] == .tenant("acme", line: 13))
    #expect(sources["rate"] == .plan("slow", line: 10))
    #expect(acme.plan?.line == 0)
    #expect(acme.limits[1].parameters.first { $0.name == "mode" }?.source == .runTime)
    let new = try #require(file.explain(tenant: "new", policy: "some"))
    #expect(new.standing == .blocked && new.standingLine == 0 && new.entry?.line == 0)
    #expect(file.tenantEntry(named: "new")?.line == nil)
    #expect(file.tenantEntry(named: "acme")?.line == 13)
  }

  // MARK: The document

  @Test("The rules are one document, from which they come back, however they were set")
  func document() throws {
    let first = overlay(
      edit("acme", plan: "slow", ("burst", "burst", "9")), edit("é", ("tokens", "limit", "3")),
      edit("e\u{301}", ("tokens", "limit", "4")), .mode(limit: "all", .shadow))
    let second = overlay(
      .block(tenant: "acme", .init(reason: "r", until: 5)), .mode(limit: "all", .shadow),
      edit("e\u{301}", ("tokens", "limit", "4")), edit("é", ("tokens", "limit", "3")),
      edit("acme", ("burst", "burst", "7")), edit("acme", plan: "slow", ("burst", "burst", "9")))
    let file = try base().overlaid(by: first).file
    #expect(try base().overlaid(by: second).file.sourceIdentity == file.sourceIdentity)
    #expect(file.sourceIdentity != (try base().sourceIdentity))
    let policy = Array(Self.text.utf8)
    let kept = try PolicyFile.rules(file.document, over: policy, path: "kept")
    #expect(kept.differences(to: file) == [] && kept.sourceIdentity == file.sourceIdentity)
    #expect(file.tenantEntry(named: "é")?.overrides.last?.value == "3")
    #expect(file.tenantEntry(named: "e\u{301}")?.overrides.last?.value == "4")
    #expect(RulesDocument(file.document)?.policy == file.policyIdentity)
    #expect(file.policyIdentity == (try base().sourceIdentity) && file.source == policy)
    // It is of one policy file, and not of another.
    #expect(throws: PolicyFileError.self) {
      _ = try PolicyFile.rules(file.document, over: policy + [UInt8(ascii: "\n")], path: "p")
    }
    // A policy file alone stands for itself.
    #expect(
      try PolicyFile.rules([], over: policy, path: "p").sourceIdentity == base().sourceIdentity)
  }

  @Test("A block leaves what buckets were written by as it was")
  func blocksAreNoRules() throws {
    let file = try base().overlaid(by: overlay(.block(tenant: "new", .init(reason: "r")))).file
    #expect(file.sourceIdentity == (try base().sourceIdentity))
  }

  @Test(
    "A document that is cut or changed is refused or has other rules, and never ends the program")
  func damagedDocuments() throws {
    let file = try base().overlaid(
      by: overlay(edit("acme", plan: "slow", ("burst", "burst", "9")), .mode(limit: "all", .shadow))
    ).file
    for count in 1..<file.document.count {
      #expect(throws: PolicyFileError.self) {
        _ = try PolicyFile.rules(Array(file.document[..<count]), over: file.source, path: "p")
      }
    }
    for place in file.document.indices {
      for byte in [UInt8(0), 9, 10, 0x41, 0xFF] {
        var damaged = file.document
        damaged[place] = byte
        if let rules = try? PolicyFile.rules(damaged, over: file.source, path: "p") {
          _ = rules.compile(hashKey: HashKey(low: 1, high: 2))
        }
      }
    }
  }

  // MARK: Changes

  @Test("A change says what was set before and after, and nothing where nothing changes")
  func changes() throws {
    var overlay = Overlay()
    let block = OverlayChange.block(tenant: "acme", .init(reason: "unpaid", until: 1_800_000_000))
    let steps: [(OverlayChange, String?)] = [
      (
        edit("acme", plan: "pro", ("burst", "rate", "1/s"), ("burst", "burst", "2")),
        "plan: pro, burst: {burst: 2, rate: 1/s}"
      ),
      (
        block, "plan: pro, blocked until 2027-01-15T08:00:00Z: unpaid, burst: {burst: 2, rate: 1/s}"
      ),
      (
        .edit(
          tenant: "acme", plan: .some(nil), [.init(limit: "burst", parameter: "rate", value: nil)]),
        "blocked until 2027-01-15T08:00:00Z: unpaid, burst: {burst: 2}"
      ),
      (
        .edit(tenant: "acme", plan: nil, [.init(limit: "burst", parameter: nil, value: nil)]),
        "blocked until 2027-01-15T08:00:00Z: unpaid"
      ),
      (.endBlocks(at: 1_800_000_000), nil),
    ]
    var before: String?
    for (change, after) in steps {
      let differences = overlay.apply(change)
      #expect(differences == [.init(subject: .tenant("acme"), before: before, after: after)])
      before = after
      #expect(overlay.apply(change) == [])
    }
    #expect(overlay.isEmpty)
    _ = overlay.apply(block)
    #expect(overlay.apply(.endBlocks(at: 1_799_999_999)) == [])
    #expect(overlay.nextEnd == 1_800_000_000)
    _ = overlay.apply(edit("acme", plan: "pro"))
    #expect(
      overlay.apply(.clear(tenant: "acme")).count == 1 && overlay[tenant: "acme"]?.block != nil)
    #expect(overlay.apply(.unblock(tenant: "acme")).count == 1 && overlay.isEmpty)
  }

  @Test("Words that could break a line, or are no names, are no change")
  func faults() {
    let bad: [OverlayChange] = [
      edit("", plan: "pro"), edit("a b", plan: "pro"), edit("*", plan: "pro"),
      edit("acme", plan: "a\nb"), edit("acme", ("burst\t", "rate", "1")),
      edit("acme", ("burst", "rate", "1\n2")), edit("acme", ("burst", "", "1")),
      edit("acme", ("burst", "rate", String(repeating: "1", count: 65))),
      edit(String(repeating: "x", count: 256), plan: "pro"),
      .block(tenant: "acme", .init(reason: "")),
      .block(tenant: "acme", .init(reason: "a\u{1B}[2J")),
      .block(tenant: "acme", .init(reason: String(repeating: "x", count: 501))),
      .block(tenant: "acme", .init(reason: "x", until: .max)), .unblock(tenant: " "),
      .clear(tenant: "\u{202E}"), .mode(limit: "é", .shadow),
      .replace([
        ("ok", .init(plan: "pro")),
        ("ok2", .init(settings: [.init(limit: "", parameter: "r", value: "1")])),
      ]),
    ]
    for change in bad { #expect(change.fault != nil, "\(change)") }
  }

  @Test("Points of time are read and written in UTC")
  func wallTime() {
    let good: [(String, UInt64)] = [
      ("1970-01-01", 0), ("1970-01-01T01:00+01:00", 0), ("2000-02-29T23:59:59Z", 951_868_799),
      ("2026-11-26T03:08:28Z", 1_795_662_508), ("2026-11-25T23:38-03:30", 1_795_662_480),
      ("9999-12-31T23:59:59Z", WallTime.secondsMax),
    ]
    for (text, seconds) in good { #expect(WallTime.seconds(text) == seconds, "\(text)") }
    #expect(WallTime.text(seconds: 951_868_799) == "2000-02-29T23:59:59Z")
    for bad in [
      "", "x", "2026", "2026-13-01", "2026-02-30", "2026-1-1", "2026-01-01T24:00Z",
      "2026-01-01T00:60Z",
      "2026-01-01T00:00", "2026-01-01T00:00:60Z", "2026-01-01T00:00Zx", "1969-12-31",
      "1970-01-01T00:00+01:00",
      "2026-01-01 00:00Z", "2026-01-01T00:00+1:00", "２026-01-01",
    ] {
      #expect(WallTime.seconds(bad) == nil, "\(bad)")
    }
  }
}
