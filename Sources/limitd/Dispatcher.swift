// The one place where what the daemon is told from outside arrives: signals, and the passing of time.
// Used by the daemon's first thread, which does nothing that takes long.

import CLinux
import Glibc
import LimitSystem

/// Waits for what happens next.
struct Dispatcher: ~Copyable {
  enum Event {
    case reload
    /// Some time has passed.
    case tick
    case stop
  }

  /// How often `tick` comes, in ns.
  private let tickNanoseconds: UInt64

  private let signals: Descriptor
  private let poller: Poller
  private var pending: [Event] = []
  private var nextTick: UInt64

  /// Takes the process's signals from here on: call it before there are threads, which take over
  /// this thread's mask.
  init(tickNanoseconds: UInt64) throws(SystemError) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGPIPE, SIG_IGN)
    let signals = try Descriptor(limitd_signal_descriptor(&set))
    let poller = try Poller()
    try poller.add(signals.number, .input, token: 0)
    self.tickNanoseconds = tickNanoseconds
    nextTick = Clock.bootNanoseconds() + tickNanoseconds
    self.signals = signals
    self.poller = poller
  }

  /// Runs `body`, which may take long and cannot be interrupted, while another thread hears the
  /// signals: the first that asks for the end calls `end`. One that asks for a reload is an event
  /// afterwards.
  mutating func hearingTheEnd<Value: ~Copyable>(
    _ end: @escaping @Sendable () -> Never, during body: () throws -> Value
  ) throws -> Value {
    let over = try WakeUp()
    let isReloadAsked = Locked(false)
    let (signals, overDescriptor) = (signals.number, over.descriptor)
    let thread = try Thread(named: "limitd-start") {
      while true {
        var entries = [signals, overDescriptor].map {
          pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
        }
        guard retrying({ poll(&entries, 2, -1) }) > 0 else { return }
        switch limitd_take_signal(signals) {
        case SIGTERM, SIGINT: end()
        case SIGHUP: isReloadAsked.withLock { $0 = true }
        default: if entries[1].revents != 0 { return }
        }
      }
    }
    defer {
      over.ring()
      thread.join()
      if isReloadAsked.withLock({ $0 }) { pending.append(.reload) }
    }
    return try body()
  }

  /// Waits for the next event. A storm of signals to reload is one reload.
  mutating func next() -> Event {
    while pending.isEmpty {
      let now = Clock.bootNanoseconds()
      guard now < nextTick else {
        nextTick = now + tickNanoseconds
        return .tick
      }
      _ = poller.wait(milliseconds: Int32((nextTick - now) / 1_000_000 + 1))
      takeSignals()
    }
    return pending.removeFirst()
  }

  private mutating func takeSignals() {
    var isReload = false
    while true {
      switch limitd_take_signal(signals.number) {
      case SIGHUP: isReload = true
      case SIGTERM, SIGINT: pending.insert(.stop, at: 0)
      default:
        if isReload { pending.append(.reload) }
        return
      }
    }
  }
}
