// One connection of the load generator.

import CLinux
import Glibc
import LimitClient
import LimitProtocol

/// A connection with its tenants bound to handles 0, 1, …; at most one group is on its way.
final class BenchConnection {
  /// Keeps the socket open, and nothing else after the start.
  private let connection: PipelinedConnection
  let descriptor: Int32
  /// What epoll is asked for.
  var events = limitd_epoll_in
  private(set) var group = 0
  /// When the group was due, in ns.
  private(set) var due: UInt64 = 0
  private var sentBytes = 0
  private var repliesLeft = 0
  /// Replies are read here; the beginning of one that is not whole stays.
  private let input: UnsafeMutableRawBufferPointer
  private var inputCount = 0

  init(_ plan: BenchPlan, _ configuration: ClientConfiguration) throws(BenchError) {
    do throws(LimitClientError) {
      connection = try PipelinedConnection.open(configuration)
      let hello = connection.hello
      guard plan.tenants <= Int(hello.handlesMax) else {
        throw .invalidArgument(
          "the daemon has \(hello.handlesMax) handles per connection; use fewer --tenants")
      }
      if plan.isBatch, plan.pipeline > Int(hello.batchItemsMax) {
        throw .invalidArgument(
          "the daemon takes batches of \(hello.batchItemsMax); use a smaller --pipeline")
      }
      for number in 0..<plan.tenants {
        _ = try connection.bind(
          handle: UInt16(number), tenant: "bench-\(number)", policy: plan.policy)
      }
    } catch {
      throw .client(error)
    }
    descriptor = connection.descriptor
    input = .allocate(
      byteCount: max(1 << 16, BatchReply.byteCount(plan.pipeline) + 4096), alignment: 64)
  }

  deinit { input.deallocate() }

  func begin(_ group: Int, replies: Int, due: UInt64) {
    self.group = group
    self.due = due
    sentBytes = 0
    repliesLeft = replies
  }

  /// Sends more of the group.
  ///
  /// - Returns: whether all of it is sent.
  func send(_ bytes: UnsafeRawBufferPointer) throws(BenchError) -> Bool {
    while sentBytes < bytes.count {
      let count = limitd_send(
        descriptor, bytes.baseAddress! + sentBytes, bytes.count - sentBytes)
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN { return false }
        throw .client(.connectionLost(mayHaveBeenDecided: true))
      }
      sentBytes += count
    }
    return true
  }

  /// Reads once, and counts what came.
  ///
  /// - Returns: whether the group has all of its replies.
  func receive(into outcome: inout BenchOutcome, isCounting: Bool) throws(BenchError)
    -> Bool
  {
    let room = UnsafeMutableRawBufferPointer(rebasing: input[inputCount...])
    let count = recv(descriptor, room.baseAddress, room.count, 0)
    if count < 0, errno == EINTR || errno == EAGAIN { return false }
    guard count > 0 else { throw .client(.connectionLost(mayHaveBeenDecided: true)) }
    inputCount += count
    var consumed = 0
    while repliesLeft > 0 {
      let rest = UnsafeRawBufferPointer(rebasing: input[consumed..<inputCount])
      guard case .frame(let header, let body) = Framing.next(in: rest, lengthMax: input.count)
      else { break }
      try outcome.count(header, body, isCounting: isCounting)
      consumed += header.length
      repliesLeft -= 1
    }
    inputCount -= consumed
    if consumed > 0, inputCount > 0 {
      input.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: input[consumed..<consumed + inputCount]))
    }
    return repliesLeft == 0
  }
}
