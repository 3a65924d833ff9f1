// What journald would get: a datagram socket of the test stands in its place.

import Glibc
import Logging
import TestSupport
import Testing

@testable import LimitSystemd

@Suite struct JournalTests {
  @Test func aLogLineIsAnEntryWithItsMetadataAsFields() throws {
    let journal = try FakeManager(inEnvironment: false)
    defer { journal.end() }
    let socket = try JournalSocket(path: journal.path)
    socket.send(
      JournalEntry.fields(
        of: "denying",
        [
          "tenant-id": "acme", "limit": "user-rps",
          "message-id": "0123456789abcdef0123456789abcdef",
        ], .warning, identifier: "limitd"))
    #expect(
      journal.next() == """
        MESSAGE=denying limit=user-rps tenant-id=acme
        PRIORITY=4
        SYSLOG_IDENTIFIER=limitd
        LIMIT=user-rps
        MESSAGE_ID=0123456789abcdef0123456789abcdef
        TENANT_ID=acme

        """)
  }

  @Test func aValueWithLineEndsCannotBeginAnotherField() {
    let entry = JournalSocket.entry([("MESSAGE", "a\nPRIORITY=0"), ("LIMIT", "x")])
    let expected =
      Array("MESSAGE\n".utf8) + [12, 0, 0, 0, 0, 0, 0, 0] + Array("a\nPRIORITY=0\nLIMIT=x\n".utf8)
    #expect(entry == expected)
  }

  @Test func metadataCannotSayWhatIsTheLinesOwn() {
    let fields = JournalEntry.fields(
      of: "text", ["priority": "0", "Message": "other", "syslog_identifier": "sshd"], .info,
      identifier: "limitd")
    #expect(fields.map(\.name) == ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"])
    #expect(fields.map(\.value)[1...] == ["6", "limitd"])
  }

  @Test(arguments: [
    ("tenant-id", "TENANT_ID"), ("key slots", "KEY_SLOTS"), ("__REALTIME", "REALTIME"),
    ("2fast", "FAST"), ("gr\u{FC}n", "GR__N"), ("_", nil), ("", nil), ("42", nil),
    (String(repeating: "x", count: 70), String(repeating: "X", count: 64)),
  ])
  func aFieldHasANameThatTheJournalTakes(name: String, field: String?) {
    #expect(JournalSocket.fieldName(name) == field)
  }

  @Test func aLongValueIsCut() {
    let entry = JournalSocket.entry([("MESSAGE", String(repeating: "x", count: 100_000))])
    #expect(entry.count == "MESSAGE=\n".utf8.count + JournalSocket.valueBytesMax)
  }

  @Test func aJournalThatDoesNotReadKeepsNobodyWaiting() throws {
    let fake = try FakeManager(inEnvironment: false)
    defer { fake.end() }
    let journal = try JournalSocket(path: fake.path)
    // More than any queue of datagrams holds (net.unix.max_dgram_qlen, wmem_default).
    var sent = 0
    for _ in 0..<100_000 where journal.send([("MESSAGE", "text")]) { sent += 1 }
    #expect(sent < 100_000)
    #expect(journal.takeLostCount() == UInt64(100_000 - sent))
    // It is read again: what comes then arrives.
    while fake.next(waiting: false) != nil {}
    #expect(journal.send([("MESSAGE", "again")]))
    #expect(fake.next() == "MESSAGE=again\n")
  }

  @Test func aJournalThatIsNotThereIsNoError() throws {
    let journal = try JournalSocket(path: "/nonexistent/socket")
    #expect(!journal.send([("MESSAGE", "text")]))
    #expect(journal.takeLostCount() == 1)
  }
}
