// Permits return when their holder goes, however it goes.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct PermitTests {
    private func isFull(_ peer: Peer) throws -> Bool {
      let decision = try peer.decide(Request.query("acme", "held", .peek))
      if !decision.isAllowed {
        // It ends when a holder releases, which no wait foretells.
        #expect(decision.retryAfter == .max)
      }
      return !decision.isAllowed
    }

    @Test("A connection that closes returns its permits, also with replies that it never read")
    func closing() throws {
      let daemon = try TestDaemon()
      let watcher = try daemon.peer()
      for round in 0..<20 {
        let holder = try daemon.peer()
        if round % 2 == 0 {
          for _ in 0..<2 { _ = try holder.ask(Request.query("acme", "held", .acquire)) }
        } else {
          try holder.send((0..<50).flatMap { Request.query("acme", "held", .acquire, id: $0) })
        }
        try wait(for: "the permits to be taken") { try isFull(watcher) }
        holder.close()
        try wait(for: "the permits to return") { try !isFull(watcher) }
      }
    }

    @Test("A process that is killed returns its permits")
    func killed() throws {
      let daemon = try TestDaemon()
      let watcher = try daemon.peer()
      let holders = try (0..<2).map { _ in
        try ChildProgram(
          TestDaemon.folder + "/limitctl",
          ["hold", "--socket", daemon.socketPath, "acme", "held", "--", "sleep", "20"])
      }
      try wait(for: "the permits to be taken") { try isFull(watcher) }
      for holder in holders { holder.kill() }
      try wait(for: "the permits to return") { try !isFull(watcher) }
    }

    @Test("A connection that a fork holds too keeps its permits until the last of them closes it")
    func forkedHolder() throws {
      let daemon = try TestDaemon()
      let watcher = try daemon.peer()
      let holder = try daemon.peer()
      for _ in 0..<2 { _ = try holder.ask(Request.query("acme", "held", .acquire)) }
      // What a child of fork(2) has: another descriptor of the same open file.
      let copy = dup(holder.descriptor)
      holder.close()
      for _ in 0..<50 {
        #expect(try isFull(watcher))
        usleep(2000)
      }
      close(copy)
      try wait(for: "the permits to return") { try !isFull(watcher) }
    }

    @Test("Permits that are held as the rules change return to where they came from")
    func reloads() throws {
      let daemon = try TestDaemon()
      let watcher = try daemon.peer()
      let holder = try daemon.peer()
      for _ in 0..<2 { _ = try holder.ask(Request.query("acme", "held", .acquire)) }
      try daemon.reload(policy: DaemonOptions.defaultPolicy.replacing("limit: 2", with: "limit: 3"))
      #expect(try !isFull(watcher))
      _ = try holder.ask(Request.query("acme", "held", .acquire))
      #expect(try isFull(watcher))
      holder.close()
      try wait(for: "the permits to return") {
        try watcher.decide(Request.query("acme", "held", .peek)).remaining == 3
      }
    }
  }
}
