// What lies just inside and just outside the bounds that docs/PROTOCOL.md gives.

import LimitProtocol
import Testing

@Suite struct BoundsTests {
  /// The code with which a request's body is refused; `nil` where it is taken.
  private static func refusal(_ operation: Operation, _ body: [UInt8]) throws -> ErrorCode? {
    let length = FrameHeader.byteCount + body.count
    let bytes = lengthField(length) + [operation.rawValue, 0, 0, 0, 0] + body
    do throws(any Error) {
      try #require(try AnyFrame.decode(bytes, .request) != nil)
      return nil
    } catch let error as ProtocolError {
      return error.code
    }
  }

  @Test("A hello has its magic and a name of at most 64 bytes of UTF-8")
  func hello() throws {
    let start = Array("LMTD".utf8) + [1, 0, 0, 0]
    let name = [UInt8](repeating: 0x61, count: 64)
    #expect(try Self.refusal(.hello, start + name) == nil)
    #expect(try Self.refusal(.hello, start + name + [0x61]) == .malformed)
    #expect(try Self.refusal(.hello, start + [0xFF]) == .malformed)
    #expect(try Self.refusal(.hello, start.dropLast()) == .malformed)
    #expect(try Self.refusal(.hello, Array("LMTE".utf8) + [1, 0, 0, 0]) == .malformed)
  }

  @Test("A hello of another version may be longer, and learns which version is spoken")
  func laterHello() throws {
    let long = [UInt8](repeating: 0xFF, count: 100)
    for version: [UInt8] in [[2, 0, 0, 0], [2, 0, 1, 0], [0, 0, 0, 0]] {
      let body = Array("LMTD".utf8) + version + long
      #expect(try Self.refusal(.hello, body) == .unsupportedVersion)
    }
  }

  @Test("Names have 1 to 255 and 1 to 64 bytes in every request that carries them")
  func names() throws {
    for (tenant, policy, isTaken) in [
      (1, 1, true), (255, 64, true), (0, 1, false), (1, 0, false), (1, 65, false), (1, 255, false),
    ] {
      let lengths = [UInt8(tenant), UInt8(policy)]
      let text = [UInt8](repeating: 0x61, count: tenant + policy)
      let cost = [UInt8](repeating: 0xFF, count: 6)
      let receipt = [UInt8](repeating: 0, count: 8 + 28)
      let expected: ErrorCode? = isTaken ? nil : .malformed
      #expect(try Self.refusal(.bind, [0, 0] + lengths + text) == expected)
      #expect(try Self.refusal(.checkByName, lengths + cost + text) == expected)
      #expect(try Self.refusal(.settleByName, lengths + cost + receipt + text) == expected)
      guard isTaken else { continue }
      #expect(try Self.refusal(.bind, [0, 0] + lengths + text.dropLast()) == .malformed)
      #expect(try Self.refusal(.bind, [0, 0] + lengths + text + [0]) == .malformed)
      #expect(try Self.refusal(.checkByName, lengths + cost + text.dropLast()) == .malformed)
    }
  }

  @Test("A batch has the items that it counts, at least one, and nothing behind them")
  func batch() throws {
    let item: [UInt8] = [0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0x6B]
    #expect(try Self.refusal(.batch, [1, 0, 0, 0] + item) == nil)
    #expect(try Self.refusal(.batch, [0, 0, 0, 0]) == .malformed)
    #expect(try Self.refusal(.batch, [2, 0, 0, 0] + item) == .malformed)
    #expect(try Self.refusal(.batch, [1, 0, 0, 0] + item + item) == .malformed)
    #expect(try Self.refusal(.batch, [0xFF, 0xFF, 0, 0] + item) == .malformed)
    #expect(try Self.refusal(.batch, [1, 0, 0, 0] + item.dropLast()) == .malformed)
    #expect(try Self.refusal(.batch, [1, 0, 0, 0] + item[..<8] + [0xFF, 0xFF, 1]) == .malformed)
  }

  @Test("Bodies of a fixed length have that length")
  func fixedLengths() throws {
    #expect(try Self.refusal(.ping, []) == nil)
    #expect(try Self.refusal(.ping, [0]) == .malformed)
    for operation in [Operation.release, .setClock] {
      for count in 0...16 {
        let refusal = try Self.refusal(operation, [UInt8](repeating: 1, count: count))
        #expect(refusal == (count == 8 ? nil : .malformed))
      }
    }
  }

  @Test("A frame is at least 8 bytes long and at most what its reader accepts")
  func frameLengths() {
    for length in [0, 7, 8, 100, 101, FrameHeader.lengthMax] {
      let bytes = lengthField(length) + [2, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 120)
      withExactMemory(bytes) { memory in
        switch Framing.next(in: memory, lengthMax: 100) {
        case .frame(let header, let body):
          #expect(header.length == length && body.count == length - 8 && 8...100 ~= length)
        case .unreadable(let header): #expect(header.length == length && !(8...100 ~= length))
        case .incomplete: Issue.record("a length of \(length) bytes is here or unreadable")
        }
      }
    }
  }

  @Test("A reply to bind tells of 1 to 16 limits", arguments: [0, 1, 16, 17, 255])
  func limitCounts(_ count: Int) throws {
    let limit: [UInt8] = [0, 0, 1, 1, 0x61, 0x62]
    var body = [0, 0, UInt8(count), 0, 1, 2, 3, 4]
    for _ in 0..<count { body += limit }
    let reply = withExactMemory(body) { try? BindReply($0) }
    #expect(reply?.limits.count == (1...16 ~= count ? count : nil))
  }

  @Test("An error's text is cut to 240 bytes between characters", arguments: ["é", "東", "🚦"])
  func errorTexts(_ character: String) throws {
    for start in 230...245 {
      let text = String(repeating: "a", count: start) + String(repeating: character, count: 5)
      let frame = AnyFrame(
        operation: Operation.error, id: 1, body: .error(ErrorReply(code: 1, text: text)))
      let bytes = frame.encoded()
      #expect(bytes.count <= ErrorReply.byteCountMax)
      guard case .error(let reply)? = try AnyFrame.decode(bytes, .reply)?.body else {
        Issue.record("an error reply is decoded as one")
        continue
      }
      #expect(text.utf8.starts(with: reply.text.utf8))
      #expect(240 - character.utf8.count < reply.text.utf8.count)
    }
  }
}

/// What only a mistaken caller can ask of the encoders.
@Suite struct EncoderPreconditionTests {
  @Test("A cost of 2^48 stops the process")
  func cost() async {
    await #expect(processExitsWith: .failure) {
      let body = Body.query(.handle(0), cost: 1 << 48, key: [])
      _ = AnyFrame(operation: Operation.check.rawValue, id: 0, body: body).encoded()
    }
  }

  @Test("A frame of 2^24 bytes stops the process")
  func frameLength() async {
    await #expect(processExitsWith: .failure) {
      let key = [UInt8](repeating: 0, count: 1 << 24 - 16)
      let body = Body.query(.handle(0), cost: 0, key: key)
      _ = AnyFrame(operation: Operation.check.rawValue, id: 0, body: body).encoded()
    }
  }

  @Test("A policy's name of 65 bytes stops the process")
  func policyName() async {
    await #expect(processExitsWith: .failure) {
      let name = [UInt8](repeating: 0x61, count: 65)
      let body = Body.bind(handle: 0, tenant: [0x61], policy: name)
      _ = AnyFrame(operation: Operation.bind.rawValue, id: 0, body: body).encoded()
    }
  }

  @Test("A frame that finds no room stops the process")
  func room() async {
    await #expect(processExitsWith: .failure) {
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 7, alignment: 1)
      var writer = WireWriter(memory)
      EmptyFrame.encode(Operation.ping.rawValue, id: 0, into: &writer)
    }
  }
}
