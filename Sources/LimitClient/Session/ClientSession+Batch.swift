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
      let count = queueRun(items, from: next, waiter)
      if count > 0 {
        next += count
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

  /// Queues a batch frame of the items from `start` on that have a confirmed handle, as many as it has
  /// room for. Makes no binding, since that could take the handle of an item before.
  ///
  /// - Returns: how many; 0 where the first has none, or a key that the daemon does not take.
  private mutating func queueRun(
    _ items: [LimitQuery], from start: Int, _ waiter: (Range<Int>) -> Waiter
  ) -> Int {
    guard let hello else { return 0 }
    let end = min(items.count, start + Int(hello.batchItemsMax))
    let frameBytesMax = min(Int(hello.frameBytesMax), Self.batchOutputBytesMax)
    let keyBytesMax = Int(hello.keyBytesMax)
    // `known` changes what bindings say, and the table's ends.
    var table = handles
    defer { handles = table }
    return wire.requestBatch(id: wire.nextID, byteCountMax: frameBytesMax) { writer in
      var place = start
      items.withUnsafeBufferPointer { items in
        while place < end,
          let binding = table.known(tenant: items[place].tenant, policy: items[place].policy),
          binding.state == .confirmed
        {
          // Most items have the names of the one before.
          let (tenant, policy, handle) = (binding.tenant, binding.policy, binding.handle)
          while place < end, items[place].tenant == tenant, items[place].policy == policy {
            let cost = items[place].cost
            let isWritten = items[place].key.withBytes { key in
              guard key.count <= min(keyBytesMax, writer.room - BatchItem.overheadByteCount)
              else { return false }
              BatchItem(handle: handle, cost: cost, key: key).encode(into: &writer)
              return true
            }
            guard isWritten else { return }
            place += 1
          }
        }
      }
      return place - start
    } context: { count in
      Expectation(waiter: waiter(start..<start + count), purpose: .batch, binding: nil)
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
