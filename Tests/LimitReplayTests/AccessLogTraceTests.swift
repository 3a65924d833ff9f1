// Lines of an access log in combined format, as servers really write them.

import LimitConsole
import TestSupport
import Testing

@testable import LimitReplay

/// Reads all rows as `time tenant key`; a malformed one appears as its message.
private func rows(
  _ text: String,
  format: LogFormat = .combined,
  tenant: LogField? = .host,
  constant: String = "",
  key: LogField = .path
) -> [String] {
  var all: [String] = []
  do {
    var trace = try AccessLogTrace(
      ByteReader.reading(Array(text.utf8), chunk: 16), format: format,
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

@Suite struct AccessLogTraceTests {
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
    #expect(
      rows("h - - \(stamp)\n", key: .path)[0].contains("no line of the log format 'combined'"))
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
    let long = String(repeating: "x", count: AccessLogTrace.lineLengthMax + 1)
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

@Suite struct LogFormatTests {
  private let request = "\"GET /a?b HTTP/1.1\" 200 1"

  @Test func theFormatsOfApacheAndNginxAreReadAsTheirConfigurationHasThem() throws {
    let apache = try LogFormat(parsing: #"%{msec}t %V %a \"%r\" %>s"#)
    #expect(
      rows("1431857103250 school.example 192.0.2.7 \(request)\n", format: apache, tenant: .vhost)
        == ["1431857103 school.example /a"])
    let nginx = try LogFormat(parsing: "$host|${remote_user}|$time_iso8601|$request_uri|$status")
    #expect(
      rows("s.example|frank|2015-05-17T10:05:03+00:00|/a?b|200\n", format: nginx, tenant: .user)
        == ["1431857103 frank /a"])
  }

  @Test(arguments: [
    ("%h %u", "no time"), ("%h%t%r%s", "nothing between"), ("%h %{%F}t", "does not read"),
    ("%h %{x", "not closed"), ("$ x", "names no variable"), ("%h %t %", "at the end"),
  ])
  func whatNoFormatIsSaysWhy(text: String, why: String) {
    do throws(Malformed) {
      _ = try LogFormat(parsing: text)
      Issue.record("\(text) was read")
    } catch {
      #expect(error.what.contains(why), "\(error.what)")
    }
  }

  @Test func theVirtualHostOfDebiansApacheIsAField() {
    let line = "school.example:443 192.0.2.7 - frank \(stamp) \(request)\n"
    #expect(
      rows(line, format: .vhostCombined, tenant: .vhost) == ["1431857103 school.example /a"])
    #expect(
      rows(line, format: .vhostCombined, tenant: .host) == ["1431857103 192.0.2.7 /a"])
  }

  @Test func aUserWithoutANameIsNobody() {
    #expect(rows("h - \"\" \(stamp) \(request)\n", tenant: .user) == ["1431857103 - /a"])
  }

  @Test func bracketsMayHoldRFC3339() {
    #expect(
      rows("h - - [2015-05-17T12:05:03+02:00] \(request)\n") == ["1431857103 h /a"])
  }

  @Test(arguments: [
    ("time,tenant,policy", TraceFormat.csv),
    ("h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1", .accessLog(.common)),
    ("h - - [17/May/2015:10:05:03 +0000] \"GET /\\\" HTTP/1.1\" 200 1", .accessLog(.common)),
    ("2001:db8::5 - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 1 1", .accessLog(.common)),
    (
      "h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"curl\"",
      .accessLog(.combined)
    ),
    (
      "a.b:443 h - - [17/May/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 1 1",
      .accessLog(.vhostCombined)
    ),
  ])
  func theFirstLineTellsTheFormat(line: String, format: TraceFormat) throws {
    #expect(try TraceFormat.recognised(by: Array(line.utf8)[...]) == format)
  }

  @Test(arguments: [
    ("{\"time\": 1}", "jq"), ("a b c [17/May/2015:10:05:03] x", "--log-format"),
    ("h 127.0.0.1 1795636988.189 \"GET /?page=1 HTTP/1.1\" 200 0.000", "--log-format"),
  ])
  func aFormatThatReplayDoesNotReadIsToldWithWhatHelps(line: String, advice: String) {
    do throws(Malformed) {
      _ = try TraceFormat.recognised(by: Array(line.utf8)[...])
      Issue.record("\(line) was recognised")
    } catch {
      #expect(error.what.contains(advice))
    }
  }
}
