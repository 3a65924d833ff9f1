// Lines of an access log in combined format, as servers really write them.

import LimitConsole
import TestSupport
import Testing

@testable import LimitReplay

/// Reads all rows as `time tenant key`; a malformed one appears as its message.
private func rows(
  _ text: String,
  tenant: LogField? = .host,
  constant: String = "",
  key: LogField = .path
) -> [String] {
  var all: [String] = []
  do {
    var trace = CombinedTrace(
      try ByteReader.reading(Array(text.utf8), chunk: 16),
      mapping: .init(policy: "p", tenant: tenant, tenantConstant: constant, key: key)
    )
    var row = TraceRow()
    while true {
      do throws(TraceError) {
        guard try trace.next(into: &row) else { return all }
        let texts = [row.tenantRange, row.keyRange].map {
          String(decoding: row.text[$0], as: UTF8.self)
        }
        all.append("\(row.time / 1_000_000_000) \(texts.joined(separator: " "))")
      } catch {
        all.append("\(error)")
      }
    }
  } catch {
    return ["\(error)"]
  }
}

private let stamp = "[17/May/2015:10:05:03 +0000]"

@Suite struct CombinedTraceTests {
  private let line =
    "83.149.9.216 - frank \(stamp) \"GET /a/b.png?x=1 HTTP/1.1\" 200 203 \"http://r/\" \"Agent\"\n"

  @Test func tenantAndKeyComeFromTheFieldsAskedFor() {
    #expect(rows(line) == ["1431857103 83.149.9.216 /a/b.png"])
    #expect(rows(line, tenant: .user, key: .host) == ["1431857103 frank 83.149.9.216"])
    #expect(rows(line, tenant: nil, constant: "acme", key: .user) == ["1431857103 acme frank"])
  }

  @Test func aMissingUserIsADash() {
    #expect(rows("h - - \(stamp) \"GET / HTTP/1.1\" 200 1\n", tenant: .user) == ["1431857103 - /"])
  }

  @Test func theZoneCounts() {
    let text = "h - - [17/May/2015:12:05:03 +0200] \"GET / HTTP/1.1\" 200 1\n"
    #expect(rows(text) == ["1431857103 h /"])
  }

  @Test func userNamesMayHoldSpaces() {
    #expect(
      rows("h - Jane [x] Doe \(stamp) \"GET / HTTP/1.1\" 1 1\n", tenant: .user)
        == ["1431857103 Jane [x] Doe /"]
    )
  }

  @Test(arguments: [
    (#""GET /a\"b HTTP/1.1""#, #"/a\"b"#), (#""GET /a HTTP/1.1 "x" y""#, "/a"),
    (#""-""#, "-"), (#""""#, ""), (#""\x16\x03\x01""#, #"\x16\x03\x01"#),
    (#""GET /cut"#, "/cut"), (#""GET /a#b HTTP/1.0""#, "/a"),
    (#""GET http://h/p?q HTTP/1.1""#, "http://h/p"),
    (#""GET /end\"#, #"/end\"#),
  ])
  func requestsThatAreNoHTTPAreRowsToo(request: String, path: String) {
    #expect(
      rows(
        "h - - \(stamp) \(request) 400 0\n".replacing("cut 400 0", with: "cut")
          .replacing("\\ 400 0", with: "\\")
      )
        == ["1431857103 h \(path)"]
    )
  }

  @Test func aCutLineIsARowWhileItsFieldsAreThere() {
    #expect(rows("h - - \(stamp)\n", key: .host) == ["1431857103 h h"])
    #expect(rows("h - - \(stamp)\n", key: .path)[0].contains("no request in quotes"))
  }

  @Test(arguments: [
    "x", "h - -", "h - - \"GET / HTTP/1.1\" 200", "h - - [17/May/2015:10:05:03 +0000",
    "\u{0}\u{1}\u{2}", "h - - [yesterday] \"GET\"", " - - \(stamp) \"GET / HTTP/1.1\"",
    "h - - \"x \(stamp)\"",
  ])
  func aLineWithoutATimeIsMalformed(line: String) {
    let read = rows("\(line)\nh - - \(stamp) \"GET / HTTP/1.1\" 1 1\r\n")
    #expect(read.count == 2)
    #expect(read[0].hasPrefix("memory:1: "))
    #expect(read[1] == "1431857103 h /")
  }

  @Test func blankLinesAreNoRows() {
    #expect(rows("\n\r\n\(line)\n") == ["1431857103 83.149.9.216 /a/b.png"])
  }

  @Test func linesAreBounded() {
    let long = String(repeating: "x", count: CombinedTrace.lineLengthMax + 1)
    #expect(
      rows("\(long)\n\(line)")
        == ["memory:1: a line of more than 1 MiB", "1431857103 83.149.9.216 /a/b.png"]
    )
  }

  @Test func anyBytesComeToAnEnd() {
    let seed: UInt64 = 11
    var generator = SeededGenerator(seed: seed)
    let good = Array(line.utf8)
    for _ in 0..<5000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...8, using: &generator) {
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes.remove(at: place)
        default: bytes.insert(Array("\"\\[] \n".utf8).randomElement(using: &generator)!, at: place)
        }
      }
      let lines = bytes.count { $0 == Ascii.lineFeed } + 1
      for key in [LogField.host, .user, .path] {
        let read = rows(String(decoding: bytes, as: UTF8.self), key: key)
        #expect(read.count <= lines, "seed \(seed)")
      }
    }
  }
}
