// A terminal that a command draws on again and again, and reads single keys from; at the end it is as it
// was, whatever ended the command. One per process; one thread uses it.

import Glibc
import LimitConsole
import Synchronization

/// The signal that ended it; 0 where none did. Relaxed: it is its own whole message.
private let endingSignal = Atomic<Int32>(0)

/// Draws on standard output, reads keys from standard input where that is a terminal too.
struct LiveTerminal: ~Copyable {
  enum Event {
    case key(UInt8)
    /// The time is over, or the terminal has another size.
    case time
    /// A signal asks for the end.
    case signal(Int32)
  }

  /// `nil` where keys cannot be read.
  private let before: termios?

  /// Takes the terminal: another page of it, no cursor, keys as they are typed.
  init() throws(OutputError) {
    // Made before a signal can come.
    endingSignal.store(0, ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { endingSignal.store($0, ordering: .relaxed) }
      sigaction(number, &action, nil)
    }
    // Wakes the wait up, and nothing else.
    var resized = sigaction()
    resized.__sigaction_handler.sa_handler = { _ in }
    sigaction(SIGWINCH, &resized, nil)
    Signals.unblock([SIGINT, SIGTERM, SIGHUP, SIGWINCH])
    var settings = termios()
    if isatty(STDIN_FILENO) == 1, tcgetattr(STDIN_FILENO, &settings) == 0 {
      before = settings
      settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
      tcsetattr(STDIN_FILENO, TCSANOW, &settings)
    } else {
      before = nil
    }
    try StandardStream.output.write("\u{1B}[?1049h\u{1B}[?25l")
  }

  deinit {
    try? StandardStream.output.write("\u{1B}[?25h\u{1B}[?1049l")
    if var before { tcsetattr(STDIN_FILENO, TCSANOW, &before) }
  }

  /// Rows of the terminal; 24 where it does not say.
  var rows: Int {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return 24 }
    return Int(size.ws_row)
  }

  /// Draws over what was there, as many lines as fit.
  func draw(_ lines: [String]) throws(OutputError) {
    let text = lines.prefix(rows).map { "\($0)\u{1B}[K" }.joined(separator: "\r\n")
    try StandardStream.output.write("\u{1B}[H\(text)\u{1B}[J")
  }

  /// Waits for what comes first.
  func wait(milliseconds: Int32) -> Event {
    var input = pollfd(fd: before == nil ? -1 : STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    let count = poll(&input, 1, milliseconds)
    let signal = endingSignal.load(ordering: .relaxed)
    if signal != 0 { return .signal(signal) }
    var key: UInt8 = 0
    if count > 0, read(STDIN_FILENO, &key, 1) == 1 { return .key(key) }
    // Nobody types any more.
    return count > 0 ? .signal(SIGHUP) : .time
  }
}
