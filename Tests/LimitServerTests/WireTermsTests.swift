// The engine's and the policy file's words, and the protocol's, are the same: name by name and number
// by number, as many on either side. Open sets have no list of their cases: it is read from the source.

import Foundation
import LimitEngine
import LimitPolicy
import LimitProtocol
import Testing

@testable import LimitServer

@Suite struct WireTermsTests {
  /// The constants of an open set, by name: `static var name: Type { Type(rawValue: 1) }`, or `let`.
  ///
  /// - Parameters:
  ///   - type: as its constants' initialiser is written.
  ///   - path: of the file below `Sources`.
  private func constants(_ type: String, in path: String) throws -> [String: UInt8] {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Sources/\(path)")
    let text = try String(contentsOf: file, encoding: .utf8)
    let constant = try Regex<(Substring, Substring, Substring)>(
      #"static (?:var|let) (\w+)\b[^\n]*[ {=]\#(type)\(rawValue: (\d+)\)"#)
    let found = text.matches(of: constant).map { match in
      (String(match.output.1), UInt8(match.output.2)!)
    }
    try #require(!found.isEmpty, "no constants of \(type) in \(path)")
    return Dictionary(uniqueKeysWithValues: found)
  }

  private func cases<Closed: CaseIterable & RawRepresentable<UInt8>>(
    of type: Closed.Type
  ) -> [String: UInt8] {
    Dictionary(uniqueKeysWithValues: type.allCases.map { ("\($0)", $0.rawValue) })
  }

  @Test("Outcomes, of which an item that was not decided is the protocol's alone")
  func outcomes() throws {
    var wire = try constants("DecisionOutcome", in: "LimitProtocol/Replies/DecisionTerms.swift")
    #expect(wire.removeValue(forKey: "notDecided") == DecisionOutcome.notDecided.rawValue)
    #expect(wire == cases(of: Decision.Outcome.self))
    for outcome in Decision.Outcome.allCases {
      #expect(DecisionOutcome(outcome).rawValue == outcome.rawValue)
    }
  }

  @Test("Reasons")
  func reasons() throws {
    let wire = try constants("DecisionReason", in: "LimitProtocol/Replies/DecisionTerms.swift")
    #expect(wire == cases(of: Decision.Reason.self))
    for reason in Decision.Reason.allCases {
      #expect(DecisionReason(reason).rawValue == reason.rawValue)
    }
    #expect(DecisionReason(Decision.Reason.unlimited) == .unlimited)
  }

  @Test("Flags")
  func flags() throws {
    let wire = try constants("DecisionFlags", in: "LimitProtocol/Replies/DecisionTerms.swift")
    let ours = try constants("Flags", in: "LimitEngine/Engine/Decision.swift")
    #expect(wire == ours)
    #expect(DecisionFlags(Decision.Flags(rawValue: .max)).rawValue == .max)
    #expect(DecisionFlags(Decision.Flags.overflow) == .overflow)
  }

  @Test("Roles")
  func roles() throws {
    let wire = try constants("PeerRoles", in: "LimitProtocol/Protocol.swift")
    let ours = try constants("Roles", in: "LimitPolicy/Model/DaemonSettings.swift")
    #expect(wire == ours)
    #expect(PeerRoles(DaemonSettings.Roles(rawValue: .max)).rawValue == .max)
    #expect(PeerRoles(DaemonSettings.Roles.administer) == .administer)
  }
}
