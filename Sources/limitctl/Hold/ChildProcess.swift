// A command in the foreground that ends with its holder.

import CLinux
import CSpawn
import Glibc
import LimitConsole

/// Runs commands. The main thread's alone: the kernel kills the command when that thread ends.
enum ChildProcess {
  /// Runs a command with this process's streams, and waits for it. Hands SIGTERM and SIGHUP on;
  /// what a terminal sends (SIGINT, SIGQUIT) reaches the command by itself.
  ///
  /// - Parameter everySecond: is called about so often while the command runs.
  /// - Returns: as a shell would: the exit code, 128 and the signal, 126 or 127.
  static func run(_ command: [String], everySecond: () -> Void) -> Int32 {
    var taken = sigset_t()
    var before = sigset_t()
    sigemptyset(&taken)
    for signal in [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT] { sigaddset(&taken, signal) }
    pthread_sigmask(SIG_BLOCK, &taken, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var arguments = command.map { strdup($0) }
    defer { for argument in arguments { free(argument) } }
    arguments.append(nil)
    var failure: Int32 = 0
    let child = limitd_spawn_bound(&arguments, &before, &failure)
    guard child > 0 else {
      StandardStream.tell("\(command[0]): \(systemError(failure))")
      return failure == ENOENT ? 127 : 126
    }
    var second = timespec(tv_sec: 1, tv_nsec: 0)
    while true {
      var status: Int32 = 0
      if waitpid(child, &status, WNOHANG) == child { return code(of: status) }
      let signal = sigtimedwait(&taken, nil, &second)
      if signal == SIGTERM || signal == SIGHUP { kill(child, signal) }
      everySecond()
    }
  }

  private static func code(of status: Int32) -> Int32 {
    let signal = status & 0x7F
    return signal == 0 ? status >> 8 & 0xFF : 128 + signal
  }
}
