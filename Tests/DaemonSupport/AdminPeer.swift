// One connection to the admin socket, by hand: HTTP as bytes, good or not. One thread uses a peer.

import CHostile
import Foundation
import Glibc

/// What the admin interface answered.
public struct AdminAnswer {
  public let status: Int
  /// By names in lower case.
  public let headers: [String: String]
  public let body: [UInt8]

  public var text: String { String(decoding: body, as: UTF8.self) }

  /// The body as an object; empty where it is none.
  public var json: [String: Any] {
    (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:]
  }
}

public final class AdminPeer {
  private let peer: Peer
  private var pending: [UInt8] = []

  public init(_ daemon: TestDaemon, user: UInt32? = nil) throws {
    peer = try Peer(daemon.adminPath, user: user)
  }

  public func close() { peer.close() }

  public func send(_ text: String) throws { try peer.send(Array(text.utf8)) }

  /// Sends what the socket takes at once, and says how much that was.
  public func sendSome(_ text: String) throws -> Int { try peer.sendSome(Array(text.utf8)) }

  /// The next answer; `nil` where the daemon has closed the connection.
  public func receive() throws -> AdminAnswer? {
    while true {
      if let answer = takePending() { return answer }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(peer.descriptor, &chunk, chunk.count, 0)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { throw WaitedInVain(description: "no answer") }
      guard count > 0 else { return nil }
      pending += chunk[..<count]
    }
  }

  private func takePending() -> AdminAnswer? {
    let separator: [UInt8] = [13, 10, 13, 10]
    guard let end = pending.firstRange(of: separator) else { return nil }
    let lines = String(decoding: pending[..<end.lowerBound], as: UTF8.self)
      .components(separatedBy: "\r\n")
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      headers[parts[0].lowercased()] =
        parts.count == 2 ? parts[1].trimmingPrefix(" ").description : ""
    }
    let length = headers["content-length"].flatMap { Int($0) } ?? 0
    guard pending.count >= end.upperBound + length else { return nil }
    let body = Array(pending[end.upperBound..<end.upperBound + length])
    pending.removeFirst(end.upperBound + length)
    return AdminAnswer(
      status: lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0,
      headers: headers, body: body)
  }
}

extension TestDaemon {
  /// Where administrators come in.
  public var adminPath: String { "\(folder)/run/admin.sock" }

  /// One request on a connection of its own, and its answer.
  ///
  /// - Parameter user: whom the daemon takes this for; needs root.
  public func ask(
    _ method: String = "GET", _ target: String, _ body: String? = nil, user: UInt32? = nil
  ) throws -> AdminAnswer {
    let peer = try AdminPeer(self, user: user)
    var text = "\(method) \(target) HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    if let body { text += "content-length: \(body.utf8.count)\r\n" }
    try peer.send(text + "\r\n" + (body ?? ""))
    guard let answer = try peer.receive() else {
      throw WaitedInVain(description: "\(method) \(target) had no answer: \(brief)")
    }
    return answer
  }

  /// A daemon that has started, and whose administrators are answered.
  public static func forAdministrators(_ adjust: (inout DaemonOptions) -> Void) throws -> TestDaemon
  {
    let daemon = try TestDaemon(starts: false, adjust)
    try daemon.startForAdministrators()
    return daemon
  }

  /// Starts the daemon again, and waits until administrators are answered too.
  public func startForAdministrators() throws {
    try start()
    try wait(for: "the admin interface") { (try? self.ask("GET", "/v1/status")) != nil }
  }

  /// A series of the metrics, by its name with its labels; 0 where it is not there.
  public func metric(_ series: String) throws -> UInt64 {
    let text = try ask("GET", "/metrics").text
    let line = text.split(separator: "\n").first { $0.hasPrefix(series + " ") }
    return line?.split(separator: " ").last.flatMap { UInt64($0) } ?? 0
  }
}
