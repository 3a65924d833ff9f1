// Asks limitd's admin interface: one request per connection, whole answers. One thread uses it.

import FoundationEssentials
import Glibc
import LimitAdminModel
import LimitSystem

/// A client of one admin socket.
struct AdminClient {
  /// The largest answer that is read, in bytes: metrics of thousands of tenants have a few million.
  private static let answerBytesMax = 64 << 20

  let path: String
  /// How long the daemon may be silent, in seconds.
  var timeoutSeconds = 60

  func get<Value: Decodable>(_ type: Value.Type, _ target: String) throws(AdminError) -> (
    value: Value, text: String
  ) { try decode(type, try body(of: "GET", target, nil)) }

  func post<Value: Decodable>(
    _ type: Value.Type, _ target: String, _ value: (any Encodable)? = nil
  ) throws(AdminError) -> (value: Value, text: String) { try ask(type, "POST", target, value) }

  func ask<Value: Decodable>(
    _ type: Value.Type, _ method: String, _ target: String, _ value: (any Encodable)? = nil
  ) throws(AdminError) -> (value: Value, text: String) {
    guard let body = try? value.map({ try AdminJSON.encode($0) }) ?? Data() else {
      preconditionFailure("requests have a JSON form")
    }
    return try decode(type, try self.body(of: method, target, body))
  }

  /// The text that is at `target`.
  func text(_ target: String) throws(AdminError) -> String {
    String(decoding: try body(of: "GET", target, nil), as: UTF8.self)
  }

  private func decode<Value: Decodable>(
    _ type: Value.Type, _ body: Data
  ) throws(AdminError) -> (Value, String) {
    guard let value = try? AdminJSON.decode(type, from: body) else {
      throw .unreadable(path: path)
    }
    return (value, String(decoding: body, as: UTF8.self))
  }

  /// A segment of a path, with whatever is not plain in it escaped.
  static func escaped(_ segment: String) -> String {
    segment.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."), UInt8(ascii: "~"):
        String(UnicodeScalar(byte))
      default: "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }.joined()
  }

  // MARK: HTTP

  /// The body of a good answer.
  private func body(of method: String, _ target: String, _ body: Data?) throws(AdminError) -> Data {
    let (status, answer) = try exchange(method, target, body)
    guard (200..<300).contains(status) else {
      guard let problem = try? AdminJSON.decode(Problem.self, from: answer) else {
        throw .unreadable(path: path)
      }
      throw .refused(problem)
    }
    return answer
  }

  private func exchange(
    _ method: String, _ target: String, _ body: Data?
  ) throws(AdminError) -> (status: Int, body: Data) {
    var head = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
    let request = Array((head + "\r\n").utf8) + Array(body ?? Data())
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try answer(to: request)
    } catch {
      throw .unreachable(path: path, number: error.number)
    }
    let separator: [UInt8] = [13, 10, 13, 10]
    guard let end = bytes.firstRange(of: separator),
      let text = String(validating: bytes[..<end.lowerBound], as: UTF8.self),
      text.hasPrefix("HTTP/1.1 "), let status = Int(text.dropFirst(9).prefix(3))
    else { throw .unreadable(path: path) }
    // The end of the connection ends a body; one that was cut is shorter than was said.
    let rest = bytes[end.upperBound...]
    for line in text.lowercased().split(separator: "\r\n") where line.hasPrefix("content-length:") {
      let length = Int(line.dropFirst(15).filter { $0 != " " })
      guard length == rest.count else { throw .unreadable(path: path) }
    }
    return (status, Data(rest))
  }

  /// Sends a request, and reads until the daemon closes.
  private func answer(to request: [UInt8]) throws(SystemError) -> [UInt8] {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    let socket = try Descriptor(Glibc.socket(AF_UNIX, type, 0))
    var time = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        socket.number, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
    guard SocketAddress.with(path: path, { connect(socket.number, $0, $1) }) == 0 else {
      throw .last()
    }
    var sent = 0
    while sent < request.count {
      let count = request[sent...].withUnsafeBytes { rest in
        retrying { send(socket.number, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL)) }
      }
      // A daemon that refuses says why before it closes.
      if count < 0, errno == EPIPE { break }
      guard count > 0 else { throw .last() }
      sent += count
    }
    var answer: [UInt8] = []
    var room = [UInt8](repeating: 0, count: 1 << 16)
    while answer.count < Self.answerBytesMax {
      let count = room.withUnsafeMutableBytes { memory in
        retrying { recv(socket.number, memory.baseAddress, memory.count, 0) }
      }
      if count < 0, errno == ECONNRESET, !answer.isEmpty { break }
      guard count >= 0 else { throw .last() }
      if count == 0 { break }
      answer += room[..<count]
    }
    return answer
  }
}
