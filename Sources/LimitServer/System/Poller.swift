// epoll(7), level-triggered.

import CLinux
import Glibc

/// An epoll instance and room for its events. One thread waits; it owns the poller.
struct Poller: ~Copyable {
  /// What happened, as bits.
  struct Events: OptionSet {
    let rawValue: UInt32
    static let input = Events(rawValue: limitd_epoll_in)
    static let output = Events(rawValue: limitd_epoll_out)
    /// Reported whether asked for or not.
    static let hangUp = Events(rawValue: limitd_epoll_hang_up)
    /// Reported whether asked for or not.
    static let error = Events(rawValue: limitd_epoll_error)
  }

  static let eventsMax = 256

  private let epoll: Descriptor
  private let room: UnsafeMutablePointer<epoll_event>

  init() throws(SystemError) {
    epoll = try Descriptor(epoll_create1(O_CLOEXEC))
    room = .allocate(capacity: Self.eventsMax)
  }

  deinit { room.deallocate() }

  /// - Parameter token: what `event` gives back.
  func add(_ descriptor: Int32, _ events: Events, token: UInt64) throws(SystemError) {
    guard limitd_epoll_control(epoll.number, EPOLL_CTL_ADD, descriptor, events.rawValue, token) == 0
    else { throw .last() }
  }

  func change(_ descriptor: Int32, _ events: Events, token: UInt64) {
    let status = limitd_epoll_control(
      epoll.number, EPOLL_CTL_MOD, descriptor, events.rawValue, token)
    precondition(status == 0, "a registered descriptor can be changed: \(SystemError.last())")
  }

  func remove(_ descriptor: Int32) {
    _ = limitd_epoll_control(epoll.number, EPOLL_CTL_DEL, descriptor, 0, 0)
  }

  /// Waits for events; 0 where time is up or a signal came.
  ///
  /// - Parameter milliseconds: -1 waits for ever.
  @inline(__always) func wait(milliseconds: Int32) -> Int {
    max(0, Int(epoll_wait(epoll.number, room, Int32(Self.eventsMax), milliseconds)))
  }

  /// - Precondition: `place` is below what `wait` returned.
  @inline(__always) func event(_ place: Int) -> (token: UInt64, events: Events) {
    (room[place].data.u64, Events(rawValue: room[place].events))
  }
}
