// Many checks at once: in batch frames where handles are confirmed, one by one by name elsewhere.
// One owner at a time.

internal import LimitProtocol

extension ClientSession {
  /// Bytes of a batch that wait to be sent before it waits for replies.
  private static var batchOutputBytesMax: Int { 1 << 17 }
  /// Names to bind beforehand, so that a batch waits for them once, and items to look at for them.
  private static var namesAheadMax: Int { 256 }
  private static var itemsAheadMax: Int { 4096 }

  /// Queues items from `next` on, as many as there is room for, and moves `next` behind them.
  ///
  /// Stops at an item whose bind is on its way: what follows goes in a batch frame once it is
  /// confirmed. Where it may not wait again, since others may have taken its handle meanwhile, it
  /// goes by name.
  /// - Parameters:
  ///   - waiter: for the reply that answers these items, or for `refused`.
  ///   - refused: an item that the daemon does not take, and why.
  /// - Returns: whether it stopped at a bind.
  /// - Precondition: `isReady`; names and costs are within their bounds.
  mutating func askBatch(
    _ items: [LimitQuery], from next: inout Int, mayWait: Bool, _ waiter: (Range<Int>) -> Waiter,
    refused: (Int, LimitClientError) -> Void
  ) -> Bool {
    while next < items.count, wire.output.count < Self.batchOutputBytesMax {
      let keyBytes = takeRun(items, from: next)
      if !runHandles.isEmpty {
        let range = next..<next + runHandles.count
        queueBatch(items, range, keyBytes: keyBytes, waiter(range))
        next = range.upperBound
        continue
      }
      let item = items[next]
      let binding = bindingForUse(tenant: item.tenant, policy: item.policy)
      if let binding, binding.state == .asked, mayWait {
        bindAhead(items, from: next + 1)
        return true
      }
      do throws(LimitClientError) {
        _ = try ask(.check, item, waiter(next..<next + 1))
      } catch {
        refused(next, error)
      }
      next += 1
    }
    return false
  }

  /// Fills `runHandles` for a batch frame that begins at `start`: items with a confirmed handle.
  /// Makes no binding, since that could take the handle of an item before.
  ///
  /// - Returns: the bytes of their keys.
  private mutating func takeRun(_ items: [LimitQuery], from start: Int) -> Int {
    runHandles.removeAll(keepingCapacity: true)
    guard let hello else { return 0 }
    let (countMax, keyBytesMax) = (Int(hello.batchItemsMax), Int(hello.keyBytesMax))
    let bytesMax = min(Int(hello.frameBytesMax), Self.batchOutputBytesMax)
    var keyBytes = 0
    for place in start..<min(items.count, start + countMax) {
      let count = items[place].key.withBytes { $0.count }
      let frameBytes =
        BatchRequest.overheadByteCount + (runHandles.count + 1) * BatchItem.overheadByteCount
        + keyBytes + count
      guard frameBytes <= bytesMax, count <= keyBytesMax,
        let binding = handles.known(tenant: items[place].tenant, policy: items[place].policy),
        binding.state == .confirmed
      else { break }
      runHandles.append(binding.handle)
      keyBytes += count
    }
    return keyBytes
  }

  private mutating func queueBatch(
    _ items: [LimitQuery], _ range: Range<Int>, keyBytes: Int, _ waiter: Waiter
  ) {
    let byteCount =
      BatchRequest.overheadByteCount + range.count * BatchItem.overheadByteCount + keyBytes
    let id = wire.nextID
    let handles = runHandles
    wire.request(
      .batch, id: id, detail: UInt16(range.count), byteCount: byteCount,
      context: Expectation(waiter: waiter, purpose: .batch, binding: nil)
    ) { writer in
      BatchRequest.encodeStart(count: range.count, keyBytes: keyBytes, id: id, into: &writer)
      for (handle, place) in zip(handles, range) {
        items[place].key.withBytes {
          BatchItem(handle: handle, cost: items[place].cost, key: $0).encode(into: &writer)
        }
      }
    }
  }

  /// Binds what the next items need, as far as that takes no handle from another of them.
  private mutating func bindAhead(_ items: [LimitQuery], from start: Int) {
    var budget = min(Self.namesAheadMax, Int(hello?.handlesMax ?? 0) / 2)
    for item in items[start...].prefix(Self.itemsAheadMax) {
      guard budget > 0 else { return }
      guard handles.known(tenant: item.tenant, policy: item.policy) == nil else { continue }
      _ = bindingForUse(tenant: item.tenant, policy: item.policy)
      budget -= 1
    }
  }
}
