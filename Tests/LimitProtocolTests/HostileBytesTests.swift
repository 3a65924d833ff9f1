// Frames that are cut, damaged or made up. Whatever comes in, the decoders take it or refuse it;
// they never trap and never read past its end (`make test-memory` watches that).

import LimitProtocol
import TestSupport
import Testing

@Suite struct HostileBytesTests {
  @Test("A frame of which a part has come is incomplete", arguments: Vector.all)
  func incompleteness(_ vector: Vector) throws {
    let whole = vector.bytes
    for count in 0..<whole.count {
      let framing = withExactMemory(Array(whole[..<count])) { memory in
        if case .incomplete(let needed) = Framing.next(in: memory, lengthMax: 65_536) {
          return needed == (count < FrameHeader.byteCount ? nil : whole.count)
        }
        return false
      }
      #expect(framing, "\(count) of \(whole.count) bytes")
    }
  }

  @Test("A frame that ends before its fields do is taken whole or refused", arguments: Vector.all)
  func truncation(_ vector: Vector) {
    let whole = vector.bytes
    for count in 0..<whole.count {
      var cut = Array(whole[..<count])
      if count >= 3 { cut.replaceSubrange(0..<3, with: lengthField(count)) }
      let breach = AnyFrame.breach(cut, vector.direction)
      #expect(breach == nil, "cut to \(count) bytes")
    }
  }

  @Test("A frame with any one byte changed is taken whole or refused", arguments: Vector.all)
  func corruption(_ vector: Vector) {
    var bytes = vector.bytes
    for place in bytes.indices {
      let original = bytes[place]
      for value in 0...UInt8.max where value != original {
        bytes[place] = value
        if let breach = AnyFrame.breach(bytes, vector.direction) {
          Issue.record("byte \(place) as \(value): \(breach)")
        }
      }
      bytes[place] = original
    }
  }

  @Test("A made-up body of any operation is taken whole or refused", arguments: Direction.allCases)
  func noise(_ direction: Direction) {
    var random = SeededGenerator(seed: testSeed)
    for _ in 0..<400_000 / scale {
      var bytes = (0..<Int.random(in: 8...120, using: &random)).map { _ in
        random.chance(1, in: 3) ? 0 : UInt8(truncatingIfNeeded: random.next())
      }
      let operation = Operation.allCases.randomElement(using: &random)!
      bytes.replaceSubrange(0..<3, with: lengthField(bytes.count))
      bytes[3] = direction == .request ? operation.rawValue : operation.replyNumber
      if let breach = AnyFrame.breach(bytes, direction) {
        Issue.record("seed \(testSeed), \(bytes): \(breach)")
        return
      }
    }
  }

  /// Where each vector has fields called zero.
  static let zeroFields: [(name: String, places: Range<Int>)] = [
    ("request settle", 22..<24),
    ("request settle by name of the widest receipt", 22..<24),
    ("request batch of three, one key empty", 10..<12),
    ("reply hello", 33..<36),
    ("reply bind, two limits", 11..<12),
    ("reply batch of three, one not decided", 10..<16),
  ]

  @Test("A field called zero is refused with any other value", arguments: zeroFields)
  func zeros(_ field: (name: String, places: Range<Int>)) throws {
    let vector = try #require(Vector.all.first { $0.testDescription == field.name })
    for place in field.places {
      for value in 1...UInt8.max {
        var bytes = vector.bytes
        #expect(bytes[place] == 0)
        bytes[place] = value
        let taken = (try? AnyFrame.decode(bytes, vector.direction)) != nil
        #expect(!taken, "byte \(place) as \(value)")
      }
    }
  }

  @Test(
    "Bytes behind a reply's fields are ignored",
    arguments: Vector.all.filter { $0.direction == .reply })
  func laterFields(_ vector: Vector) throws {
    let expected = try AnyFrame(vector.fields, .reply)
    // In these a text goes on to the end.
    if case .helloReply = expected.body { return }
    if case .error = expected.body { return }
    var bytes = vector.bytes + [1, 2, 3]
    bytes.replaceSubrange(0..<3, with: lengthField(bytes.count))
    #expect(try AnyFrame.decode(bytes, .reply) == expected)
  }
}

/// The first three bytes of a frame's header.
func lengthField(_ length: Int) -> [UInt8] {
  [0, 8, 16].map { UInt8(truncatingIfNeeded: length >> $0) }
}
