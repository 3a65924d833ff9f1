// The golden frames of docs/protocol-vectors.json against the decoders and the encoders.

import LimitProtocol
import Testing

@Suite struct VectorTests {
  @Test("Decoding a vector's frame gives its fields", arguments: Vector.all)
  func decoding(_ vector: Vector) throws {
    let expected = try AnyFrame(vector.fields, vector.direction)
    #expect(try AnyFrame.decode(vector.bytes, vector.direction) == expected)
  }

  @Test("Encoding a vector's fields gives its frame", arguments: Vector.all)
  func encoding(_ vector: Vector) throws {
    #expect(try AnyFrame(vector.fields, vector.direction).encoded() == vector.bytes)
  }

  @Test("A vector's length is its frame's", arguments: Vector.all)
  func length(_ vector: Vector) throws {
    #expect(try vector.fields.number("length") == vector.bytes.count)
  }

  @Test("There is a vector of every request, of every reply and of an error")
  func coverage() throws {
    let operations = { (direction: Direction) in
      Set(
        try Vector.all.filter { $0.direction == direction }
          .map { try $0.fields.number("operation") as UInt8 })
    }
    let all = Operation.allCases
    #expect(try operations(.request) == Set(all.map(\.rawValue)))
    #expect(try operations(.reply) == Set(all.map(\.replyNumber) + [Operation.error]))
  }

  @Test("A vector has a name of its own")
  func names() {
    #expect(Set(Vector.all.map(\.testDescription)).count == Vector.all.count)
  }
}
