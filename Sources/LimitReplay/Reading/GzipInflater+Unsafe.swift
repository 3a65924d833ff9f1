// Gzip (RFC 1952) on the way in, as logrotate leaves access logs: any number of members, one after
// another. zlib does the work, within its 32 KiB window and one chunk.

import CZlib

/// Inflates a stream of bytes. One thread uses it.
final class GzipInflater {
  /// What is wrong with compressed bytes.
  enum Fault: Error {
    /// They end within a member.
    case cut
    /// They are not gzip, or their checksum is another.
    case damaged
  }

  private var stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
  private let input: UnsafeMutableRawBufferPointer
  private var isWithinMember = true
  /// A fault is told once; then there is nothing more.
  private var hasFailed = false

  /// - Parameter start: what was read of the stream already; at most `chunk` bytes.
  init(start: ArraySlice<UInt8>, chunk: Int) {
    stream.initialize(to: z_stream())
    input = .allocate(byteCount: max(chunk, start.count), alignment: 16)
    input.copyBytes(from: start)
    guard limitd_gzip_begin(stream) == Z_OK else { fatalError("zlib has no memory") }
    stream.pointee.next_in = input.assumingMemoryBound(to: UInt8.self).baseAddress
    stream.pointee.avail_in = UInt32(start.count)
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
    input.deallocate()
  }

  /// Inflates into `output`, asking `read` for more compressed bytes where it has none.
  ///
  /// - Returns: how many bytes were put out; 0 at the end.
  func inflate<Failure: Error>(
    into output: UnsafeMutableRawBufferPointer,
    reading read: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) -> Result<Int, Fault> {
    if hasFailed { return .success(0) }
    let result = try inflateOnce(into: output, reading: read)
    if case .failure = result { hasFailed = true }
    return result
  }

  private func inflateOnce<Failure: Error>(
    into output: UnsafeMutableRawBufferPointer,
    reading read: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) -> Result<Int, Fault> {
    stream.pointee.next_out = output.assumingMemoryBound(to: UInt8.self).baseAddress
    stream.pointee.avail_out = UInt32(output.count)
    while true {
      if stream.pointee.avail_in == 0 {
        let count = try read(input)
        if count == 0 {
          let produced = output.count - Int(stream.pointee.avail_out)
          if produced > 0 { return .success(produced) }
          return isWithinMember ? .failure(.cut) : .success(0)
        }
        stream.pointee.next_in = input.assumingMemoryBound(to: UInt8.self).baseAddress
        stream.pointee.avail_in = UInt32(count)
      }
      if !isWithinMember {
        guard inflateReset(stream) == Z_OK else { return .failure(.damaged) }
        isWithinMember = true
      }
      switch CZlib.inflate(stream, Z_NO_FLUSH) {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END: isWithinMember = false
      default: return .failure(.damaged)
      }
      if stream.pointee.avail_out == 0 || isWithinMember == false {
        let produced = output.count - Int(stream.pointee.avail_out)
        if produced > 0 { return .success(produced) }
      }
    }
  }
}
