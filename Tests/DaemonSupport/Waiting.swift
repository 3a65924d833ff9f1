// Waiting for conditions, and what a test needs of the machine.

public import Glibc

/// Something that should have come about did not.
public struct WaitedInVain: Error, CustomStringConvertible {
  public let description: String
}

/// Seconds of a clock of this machine or process.
public func clockSeconds(_ clock: clockid_t = CLOCK_MONOTONIC) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Waits until `condition` holds.
///
/// - Throws: `WaitedInVain` after `seconds`: generous, so that a loaded machine fails no test. Time in
///   which the whole machine stood still does not count: a virtual one may for a minute.
public func wait(
  for what: String, seconds: Double = 30, _ condition: () throws -> Bool
) throws {
  var waited = 0.0
  var last = clockSeconds()
  while try !condition() {
    guard waited < seconds else {
      throw WaitedInVain(description: "waited \(seconds) s in vain for \(what)")
    }
    usleep(5000)
    let now = clockSeconds()
    waited += min(now - last, 1)
    last = now
  }
}

/// What this run of the tests can do.
public enum Host {
  public static let isRoot = geteuid() == 0
  /// A user other than the test's, with nothing of its own.
  public static let otherUser: UInt32 = 65_534

  /// Lets this process hold as many descriptors as the system allows it.
  ///
  /// - Returns: how many that are.
  @discardableResult public static func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return Int(limit.rlim_cur)
  }
}
