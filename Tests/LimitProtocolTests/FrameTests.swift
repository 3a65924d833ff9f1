// Where one frame ends and the next begins.

import Testing

@testable import LimitProtocol

@Suite struct FrameTests {
  @Test("A header survives its encoding")
  func headers() throws {
    for header in [
      FrameHeader(length: 8, operation: 0x02, id: 0),
      FrameHeader(length: FrameHeader.lengthMax, operation: 0xFF, id: .max),
    ] {
      var memory = [UInt8](repeating: 0, count: 8)
      memory.withUnsafeMutableBytes {
        var writer = WireWriter($0)
        header.encode(into: &writer)
      }
      #expect(memory.withUnsafeBytes { FrameHeader(at: $0) } == header)
    }
  }
}
