// Both clients against a server that lies: no answer is taken for another, nothing is asked twice, no
// permit is lost, and every wait ends.

import DaemonSupport
import Foundation
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

extension DaemonTests {
  @Suite struct LyingServerTests {
    private func client(
      _ kind: ClientKind, _ server: LyingServer,
      _ adjust: (inout ClientConfiguration) -> Void = { _ in }
    ) -> EitherClient { EitherClient(kind, .test(server.path, adjust)) }

    @Test(arguments: ClientKind.allCases)
    func anHonestServerIsUnderstood(_ kind: ClientKind) throws {
      let server = try LyingServer { try $0.beHonest() }
      let client = client(kind, server)
      let decision = try client.check(tenant: "acme", policy: "p", key: "k")
      #expect(decision.isAllowed && decision.limit == "limit-7")
      // By name and then by handle; one bind in all.
      _ = try client.check(tenant: "acme", policy: "p", key: "k")
      #expect(server.count(.checkByName) == 1 && server.count(.check) == 1)
      #expect(server.count(.bind) == 1)
    }

    @Test(
      arguments: ClientKind.allCases,
      [
        "wrong id", "wrong operation", "wrong outcome", "garbage", "a frame too long",
        "half a frame, then the end",
      ])
    func aReplyThatIsNoneIsNeverFollowedByTheSameRequestAgain(_ kind: ClientKind, _ lie: String)
      throws
    {
      let server = try LyingServer { conversation in
        try conversation.greet()
        while true {
          let request = try conversation.next()
          guard request.operation == .checkByName else {
            conversation.answer(request)
            continue
          }
          switch lie {
          case "wrong id":
            var bytes = Conversation.reply(to: request)
            bytes[4] &+= 1
            conversation.send(bytes)
          case "wrong operation":
            var bytes = Conversation.reply(to: request)
            bytes[3] = Operation.check.replyNumber
            conversation.send(bytes)
          case "wrong outcome":
            var bytes = Conversation.reply(to: request)
            bytes[8] = 9
            conversation.send(bytes)
          case "garbage": conversation.send((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 167) })
          case "a frame too long": conversation.send([0xFF, 0xFF, 0xFF] + [0xC4, 0, 0, 0, 0])
          default:
            conversation.send(Array(Conversation.reply(to: request).prefix(40)))
            return
          }
        }
      }
      let error = failure { () throws(LimitClientError) in
        try client(kind, server).check(tenant: "acme", policy: "p")
      }
      #expect(error?.mayHaveBeenDecided == true && error?.isAway == true)
      #expect(
        error?.code == (lie.hasPrefix("half") ? .connectionLost : .protocolViolation), "\(lie)")
      #expect(server.count(.checkByName) == 1)
    }

    @Test(arguments: ClientKind.allCases)
    func repliesInAnotherOrderAreNobodysAnswer(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        try conversation.greet()
        var held: [Conversation.Request] = []
        while true {
          let request = try conversation.next()
          // The second by its handle, where the bind was answered by then.
          guard [.check, .checkByName].contains(request.operation) else {
            conversation.answer(request)
            continue
          }
          held.append(request)
          guard held.count == 2 else { continue }
          for request in held.reversed() { conversation.answer(request) }
        }
      }
      let client = client(kind, server)
      onThreads(2) { _ in
        let error = failure { () throws(LimitClientError) in
          try client.check(tenant: "acme", policy: "p")
        }
        #expect(error?.isAway == true && error?.mayHaveBeenDecided == true)
      }
      #expect(server.count(.checkByName) + server.count(.check) == 2)
    }

    @Test(arguments: ClientKind.allCases)
    func aDecisionThatArrivedIsAnsweredThoughTheNamesOfItsLimitsNeverCome(_ kind: ClientKind) throws
    {
      // The tag of decisions is not the one that binds tell: names are asked for again.
      let server = try LyingServer { conversation in
        try conversation.greet()
        var binds = 0
        while true {
          let request = try conversation.next()
          if request.operation == .bind { binds += 1 }
          if binds == 2 { return }
          conversation.answer(request, tag: request.operation == .bind ? 8 : 7)
        }
      }
      let decision = try client(kind, server).check(tenant: "acme", policy: "p")
      #expect(decision.isAllowed && decision.limit == nil)
      #expect(server.count(.checkByName) == 1)
    }

    @Test(arguments: ClientKind.allCases)
    func namesThatComeTooLateLeaveTheDecisionWithoutThem(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        try conversation.greet()
        var binds = 0
        while true {
          let request = try conversation.next()
          if request.operation == .bind { binds += 1 }
          if request.operation == .bind, binds == 2 { continue }
          conversation.answer(request, tag: request.operation == .bind ? 8 : 7)
        }
      }
      let client = client(kind, server)
      // Connected, so that the time is the names' alone.
      _ = try client.ping()
      let acquisition = try client.acquire(tenant: "acme", policy: "p", timeout: .seconds(2))
      #expect(acquisition.decision.isAllowed && acquisition.decision.limit == nil)
      // The permit is there, too.
      #expect(acquisition.permit?.isHeld == true)
    }

    @Test(arguments: ClientKind.allCases)
    func anAcquireAnsweredTooLateIsReleasedWhileTheClientIsIdle(_ kind: ClientKind) throws {
      let gate = Gate()
      let server = try serverHolding(.acquireByName, until: gate)
      let client = client(kind, server)
      // Connected, so that it is sent within its time.
      _ = try client.ping()
      let error = failure { () throws(LimitClientError) in
        try client.acquire(tenant: "acme", policy: "p", timeout: .milliseconds(50))
      }
      #expect(error?.code == .timedOut && error?.mayHaveBeenDecided == true)
      gate.open()
      try wait(for: "the release") { server.count(.release) == 1 }
      withExtendedLifetime(client) {}
    }

    @Test(arguments: ClientKind.allCases)
    func aPermitThatComesTooLateWithTheNextAnswerGoesBackWhileTheClientIsIdle(_ kind: ClientKind)
      throws
    {
      let server = try LyingServer { conversation in
        try conversation.greet()
        var late: [UInt8] = []
        while true {
          let request = try conversation.next()
          switch request.operation {
          case .acquireByName: late = Conversation.reply(to: request)
          case .check, .checkByName: conversation.send(late + Conversation.reply(to: request))
          default: if late.isEmpty { conversation.answer(request) }
          }
        }
      }
      let client = client(kind, server)
      _ = try client.ping()
      let error = failure { () throws(LimitClientError) in
        try client.acquire(tenant: "acme", policy: "p", timeout: .milliseconds(50))
      }
      #expect(error?.code == .timedOut)
      #expect(try client.check(tenant: "acme", policy: "p").isAllowed)
      try wait(for: "the release") { server.count(.release) == 1 }
      withExtendedLifetime(client) {}
    }

    @Test(arguments: ClientKind.allCases)
    func aBindAnsweredAfterTheDeadlineIsLearnt(_ kind: ClientKind) throws {
      let gate = Gate()
      let server = try serverHolding(.bind, until: gate)
      let client = client(kind, server)
      _ = try client.ping()
      #expect(
        failure { () throws(LimitClientError) in
          try client.check(tenant: "acme", policy: "p", timeout: .milliseconds(50))
        }?.code == .timedOut)
      gate.open()
      try wait(for: "the bind's reply") {
        try client.check(tenant: "acme", policy: "p").isAllowed && server.count(.check) > 0
      }
      #expect(server.count(.bind) == 1)
    }

    @Test(arguments: ClientKind.allCases)
    func aBindThatIsAnsweredForAnotherHandleEndsTheConnection(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        try conversation.greet()
        while true {
          let request = try conversation.next()
          var bytes = Conversation.reply(to: request)
          if request.operation == .bind { bytes[8] = 3 }
          conversation.send(bytes)
        }
      }
      let error = failure { () throws(LimitClientError) in
        try client(kind, server).check(tenant: "acme", policy: "p")
      }
      #expect(error?.code == .protocolViolation)
    }

    /// Answers whatever is asked but binds, which it refuses.
    private func serverRefusingBinds(_ code: ErrorCode) throws -> LyingServer {
      try LyingServer { conversation in
        try conversation.greet()
        while true {
          let request = try conversation.next()
          guard request.operation == .bind else {
            conversation.answer(request)
            continue
          }
          conversation.send {
            ErrorReply(code: code.rawValue, text: "no").encode(id: request.id, into: &$0)
          }
        }
      }
    }

    @Test(arguments: ClientKind.allCases)
    func aRefusedBindMeansThatNothingGoesByItsHandle(_ kind: ClientKind) throws {
      let server = try serverRefusingBinds(.unknownTenant)
      let client = client(kind, server)
      for _ in 0..<5 { _ = try client.check(tenant: "nobody", policy: "p") }
      #expect(server.count(.check) == 0 && server.count(.checkByName) == 5)
    }

    @Test(arguments: ClientKind.allCases)
    func limitsOfAnUnknownPolicyFailAtOnceEachTimeAndKeepTheConnection(_ kind: ClientKind) throws {
      let server = try serverRefusingBinds(.unknownPolicy)
      let client = client(kind, server)
      for _ in 0..<3 {
        let error = failure { () throws(LimitClientError) in
          try client.limits(tenant: "acme", policy: "none")
        }
        #expect(error?.code == .refused && error?.daemonError == .unknownPolicy)
      }
      #expect(server.conversationCount == 1)
    }

    @Test(arguments: ClientKind.allCases)
    func aHelloOfAnotherMajorVersionIsNotAcceptedAndNotTriedAgainAtOnce(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        try conversation.greet(version: ProtocolVersion(major: 2, minor: 0))
        _ = try conversation.next()
      }
      let client = client(kind, server) { $0.backOffMax = .seconds(60) }
      for _ in 0..<50 {
        let error = failure { () throws(LimitClientError) in
          try client.check(tenant: "acme", policy: "p")
        }
        #expect(error?.code == .unsupportedVersion && error?.mayHaveBeenDecided == false)
      }
      #expect(server.conversationCount == 1)
    }

    @Test(arguments: ClientKind.allCases)
    func aServerThatGreetsAndThenClosesIsNotHammered(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        try conversation.greet()
        _ = try conversation.next()
      }
      let client = client(kind, server) {
        $0.backOffFirst = .seconds(30)
        $0.backOffMax = .seconds(60)
      }
      for _ in 0..<50 {
        #expect(
          failure { () throws(LimitClientError) in
            try client.check(tenant: "acme", policy: "p")
          }?.isAway == true)
      }
      #expect(server.conversationCount == 1)
    }

    @Test(arguments: ClientKind.allCases, [ErrorCode.limitReached, .timeout, .shuttingDown])
    func anErrorThatEndsTheConnectionMeansAway(_ kind: ClientKind, _ code: ErrorCode) throws {
      for greets in [true, false] {
        let server = try LyingServer { conversation in
          if greets { try conversation.greet() }
          _ = try conversation.next()
          conversation.send {
            ErrorReply(code: code.rawValue, text: "no").encode(id: 0, into: &$0)
          }
        }
        let client = client(kind, server) { $0.whenAway = .allow }
        let decision = try client.check(tenant: "acme", policy: "p")
        #expect(decision.isAllowed && decision.reason == .daemonAway)
        let error = failure { () throws(LimitClientError) in
          try client.peek(tenant: "acme", policy: "p")
        }
        #expect(error?.code == (greets ? .connectionLost : .unreachable))
        #expect(error?.isAway == true)
      }
    }

    @Test(arguments: ClientKind.allCases)
    func aTimeoutOfNothingSendsNothing(_ kind: ClientKind) throws {
      let server = try LyingServer { try $0.beHonest() }
      let client = client(kind, server)
      _ = try client.ping()
      for timeout in [Duration.zero, .seconds(-1)] {
        let error = failure { () throws(LimitClientError) in
          try client.check(tenant: "acme", policy: "p", timeout: timeout)
        }
        #expect(error?.code == .timedOut && error?.mayHaveBeenDecided == false)
      }
      #expect(server.count(.checkByName) == 0)
    }

    @Test(arguments: ClientKind.allCases)
    func aServerThatDoesNotGreetCostsACallItsTimeoutAndNotMore(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        _ = try conversation.next()
        _ = try conversation.next()
      }
      let client = client(kind, server) { $0.callTimeout = .milliseconds(200) }
      let start = clockSeconds()
      #expect(
        failure { () throws(LimitClientError) in
          try client.check(tenant: "acme", policy: "p")
        }?.code == .timedOut)
      // Generous: a loaded machine is late, but not by the 20 s of the attempt to connect.
      #expect(clockSeconds() - start < 10)
    }

    /// Connecting and being greeted have one deadline together, however patient the call is.
    @Test(arguments: ClientKind.allCases)
    func aServerThatDoesNotGreetIsUnreachableAfterTheTimeToConnect(_ kind: ClientKind) throws {
      let server = try LyingServer { conversation in
        _ = try conversation.next()
        _ = try conversation.next()
      }
      let client = client(kind, server) { $0.connectTimeout = .milliseconds(200) }
      let start = Moment.now
      let error = failure { () throws(LimitClientError) in
        try client.check(tenant: "acme", policy: "p")
      }
      #expect(error?.code == .unreachable && error?.mayHaveBeenDecided == false)
      // A loaded machine is late, but not by the patience of the call.
      let took = Moment.now.since(start)
      #expect(took >= .milliseconds(200) && took < .patience / 3)
      #expect(server.count(.checkByName) == 0)
    }

    @Test(arguments: ClientKind.allCases)
    func whatACallGetsWhileTheDaemonIsAwayIsTheCallers(_ kind: ClientKind) throws {
      let client = EitherClient(kind, .test("/nowhere/limitd.sock") { $0.whenAway = .throw })
      let deny = WhenAway.deny(retryAfter: .seconds(7))
      let query = LimitQuery(tenant: "acme", policy: "p")
      for whenAway in [deny, .allow] {
        let options = CallOptions(whenAway: whenAway)
        let decisions = [
          try client.check(query, options), try client.acquire(query, options).decision,
          try client.batch([query], options)[0].get(),
        ]
        for decision in decisions {
          #expect(decision.outcome == (whenAway == deny ? .deny : .allow))
          #expect(decision.retryAfterSeconds == (whenAway == deny ? 7 : 0))
          #expect(decision.reason == .daemonAway && decision.receipt.isEmpty)
        }
        #expect(try client.acquire(query, options).permit == nil)
      }
      // And where the configuration says another: one list of what is away for all.
      let lenient = EitherClient(kind, .test("/nowhere/limitd.sock") { $0.whenAway = .allow })
      let options = CallOptions(whenAway: .throw)
      let errors = [
        failure { () throws(LimitClientError) in try lenient.check(query, options) },
        failure { () throws(LimitClientError) in try lenient.acquire(query, options) },
        failure { () throws(LimitClientError) in try lenient.batch([query], options)[0].get() },
      ]
      for error in errors { #expect(error?.code == .unreachable) }
    }

    @Test(arguments: ClientKind.allCases)
    func keysOfAllFormsArriveAsTheyAre(_ kind: ClientKind) throws {
      let long = [UInt8](repeating: 0xFE, count: 100)
      let server = try LyingServer { try $0.beHonest() }
      let client = client(kind, server)
      let text = try client.check(tenant: "acme", policy: "p", key: "clé")
      let bytes = try client.check(tenant: "acme", policy: "p", key: LimitKey(bytes: long))
      let span = try client.check(tenant: "acme", policy: "p", key: LimitKey(long.span))
      #expect(text.receipt.query.key == LimitKey(bytes: Array("clé".utf8)))
      #expect(bytes.receipt.query.key == span.receipt.query.key)
      #expect(LimitReceipt(text: bytes.receipt.text) == bytes.receipt)
      #expect(LimitReceipt(text: LimitReceipt.nothing.text) == .nothing)
      let key = LimitKey(bytes: long)
      _ = try client.peek(tenant: "acme", policy: "p", key: key)
      let permit = try client.acquire(tenant: "acme", policy: "p", key: key)
      #expect(permit.decision.receipt.query.key == key)
      let query = LimitQuery(tenant: "acme", policy: "p", key: key)
      let outcome = try client.withPermit(query) { $0.decision.receipt.query.key }
      #expect(outcome.value == key)
    }

    @Test func aDecisionMadeForATestWaitsAsTheDaemonsDo() {
      #expect(LimitDecision(.allow).retryAfterSeconds == 0)
      #expect(LimitDecision(.never).retryAfterSeconds == nil)
      #expect(LimitDecision(.deny, reason: .blocked).retryAfterSeconds == nil)
      #expect(LimitDecision(.deny, retryAfterNanoseconds: 1).retryAfterSeconds == 1)
      let denied = LimitDecision(
        .deny, limit: "few", capacity: 10, retryAfterNanoseconds: 1_500_000_000)
      #expect("\(denied)" == "deny, 0 of 10 left of few, again in 2 s")
      #expect("\(LimitDecision(.deny, reason: .blocked))" == "deny (blocked)")
    }
  }
}
