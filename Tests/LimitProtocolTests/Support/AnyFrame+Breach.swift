// What must hold of any bytes: a frame is taken whole, and can be written again as it was, or it is
// refused. For the tests and for the fuzzer.

import LimitProtocol

extension AnyFrame {
  /// What is wrong with how `bytes` are taken; `nil` where they are refused, or where encoding gives
  /// them back.
  static func breach(_ bytes: [UInt8], _ direction: Direction) -> String? {
    do {
      guard let frame = try AnyFrame.decode(bytes, direction) else { return nil }
      return mismatch(frame, withExactMemory(bytes) { FrameHeader(at: $0)! }, bytes, direction)
    } catch is ProtocolError {
      return nil
    } catch {
      return "\(error) was thrown"
    }
  }

  private static func mismatch(
    _ frame: AnyFrame, _ header: FrameHeader, _ bytes: [UInt8], _ direction: Direction
  ) -> String? {
    let again = frame.encoded()
    let whole = bytes[..<header.length]
    switch frame.body {
    case .helloReply(let reply) where reply.daemonVersion.unicodeScalars.contains("\u{FFFD}"):
      // Texts for people are repaired, which changes their bytes once.
      let second = try? AnyFrame.decode(again, direction)
      return second == frame ? nil : "\(frame) became \(String(describing: second))"
    case .error(let reply) where reply.text.unicodeScalars.contains("\u{FFFD}"):
      guard case .error(let second)? = (try? AnyFrame.decode(again, direction))?.body else {
        return "\(frame) cannot be decoded again"
      }
      let isCut = reply.text.utf8.starts(with: second.text.utf8)
      return isCut && reply.code == second.code ? nil : "\(frame) became \(second)"
    default:
      // Bytes behind a reply's fields are ignored, so its length can differ.
      let isSame = direction == .request ? again.elementsEqual(whole) : true
      return isSame && whole.dropFirst(3).starts(with: again.dropFirst(3))
        ? nil : "\(frame) became \(again)"
    }
  }
}
