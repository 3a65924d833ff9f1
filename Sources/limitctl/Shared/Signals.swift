// Signals that this process is to hear.

import Glibc

enum Signals {
  /// Lets signals through, for this thread: whoever started this may have blocked them, and the mask is
  /// inherited.
  static func unblock(_ numbers: [Int32]) {
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }
}
