// Frames at random: what is encoded is what is decoded.

import LimitProtocol
import TestSupport
import Testing

@Suite struct RoundTripTests {
  static let rounds = 4_000 / scale

  @Test(
    "A frame of any values survives its encoding", arguments: Operation.allCases,
    Direction.allCases)
  func roundTrip(_ operation: Operation, _ direction: Direction) throws {
    var random = SeededGenerator(seed: testSeed ^ UInt64(operation.rawValue))
    for round in 0..<Self.rounds {
      let frame = AnyFrame.random(operation, direction, &random)
      let again = try AnyFrame.decode(frame.encoded(), direction)
      try #require(again == frame, "seed \(testSeed), round \(round)")
    }
  }

  @Test("An error of any code and text survives its encoding")
  func errors() throws {
    var random = SeededGenerator(seed: testSeed)
    for round in 0..<Self.rounds {
      let frame = AnyFrame.randomError(&random)
      let again = try AnyFrame.decode(frame.encoded(), .reply)
      try #require(again == frame, "seed \(testSeed), round \(round)")
    }
  }

  @Test("Frames one behind the other are told apart")
  func pipelining() throws {
    var random = SeededGenerator(seed: testSeed)
    let frames = (0..<200).map { _ in
      AnyFrame.random(Operation.allCases.randomElement(using: &random)!, .request, &random)
    }
    var stream = frames.flatMap { $0.encoded() }
    for (place, frame) in frames.enumerated() {
      #expect(
        try AnyFrame.decode(stream, .request) == frame, "seed \(testSeed), frame \(place)")
      stream.removeFirst(frame.encoded().count)
    }
    #expect(stream.isEmpty)
  }
}
