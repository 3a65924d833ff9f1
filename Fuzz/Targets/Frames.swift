// What libFuzzer calls for the frame decoders: the first byte chooses the direction, the rest is a
// frame.

/// Takes a frame whole or refuses it, without a trap and without reading past its end; what is taken
/// is written again byte by byte.
@_cdecl("limitd_fuzz_frames")
public func fuzzFrames(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let breach = AnyFrame.breach(
    Array(bytes.dropFirst()), first & 1 == 0 ? .request : .reply)
  if let breach { fatalError(breach) }
  return 0
}
