// The CSV reader: quoting, line ends and limits, whatever the chunks it reads in.

import Foundation
import LimitConsole
import TestSupport
import Testing

@testable import LimitReplay

/// Reads all records; a malformed one appears as its message.
private func records(_ text: String, chunk: Int = 1 << 18) -> [[String]] {
  records(Array(text.utf8), chunk: chunk)
}

private func records(_ bytes: [UInt8], chunk: Int) -> [[String]] {
  var all: [[String]] = []
  do {
    var reader = CSVReader(try ByteReader.reading(bytes, chunk: chunk))
    while true {
      do throws(TraceError) {
        guard try reader.next() else { return all }
        all.append(
          reader.ends.indices.map { String(decoding: reader.field($0), as: UTF8.self) }
        )
      } catch {
        all.append(["\(error)"])
      }
    }
  } catch {
    return [["\(error)"]]
  }
}

@Suite struct CSVReaderTests {
  @Test func fieldsAreSplitAtCommas() {
    #expect(records("a,b,c\n1,,3\n") == [["a", "b", "c"], ["1", "", "3"]])
  }

  @Test func theLastLineNeedsNoEnd() {
    #expect(records("a,b\n1,2") == [["a", "b"], ["1", "2"]])
    #expect(records("a,b\r\n1,\"2\"") == [["a", "b"], ["1", "2"]])
  }

  @Test func linesMayEndWithCarriageReturns() {
    #expect(records("a,b\r\n1,\"2\"\r\n\r\n3,4\r\n") == [["a", "b"], ["1", "2"], ["3", "4"]])
  }

  @Test func aByteOrderMarkIsNotPartOfTheFirstField() {
    #expect(records("\u{FEFF}a,b\n") == [["a", "b"]])
    #expect(records("\u{FEFF}\"a\",b\n") == [["a", "b"]])
  }

  @Test func blankLinesAreNoRecords() {
    #expect(records("\n\na\n\n\nb\n\n") == [["a"], ["b"]])
    #expect(records("a\n\"\"\nb\n") == [["a"], [""], ["b"]])
  }

  @Test func quotedFieldsHoldCommasQuotesAndLineBreaks() {
    #expect(
      records("\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\nx,y,z\n")
        == [["a,b", "say \"hi\"", "two\nlines"], ["x", "y", "z"]]
    )
  }

  @Test func faultsNameTheLineTheRecordBeginsOn() {
    let text = "a,\"1\n2\n3\"\nb,c\"d\ne,\"f\" g\nh,i\n"
    #expect(
      records(text) == [
        ["a", "1\n2\n3"],
        [
          "memory:4: a quote inside a field that does not begin with one; "
            + "quote the whole field and double the quotes in it"
        ],
        ["memory:5: text behind a closing quote; a comma or the end of the line belongs there"],
        ["h", "i"],
      ]
    )
  }

  @Test func aQuoteThatIsNeverClosedIsReported() {
    #expect(records("a\n\"b\nc\n").last == ["memory:2: a quote opens and is never closed"])
  }

  @Test func recordsAreBounded() {
    let long = String(repeating: "x", count: CSVReader.recordLengthMax)
    #expect(records("\(long)\nb\n") == [[long], ["b"]])
    let message = "memory:1: a record of more than 1 MiB; is a quote not closed?"
    #expect(records("\(long)x\nb\n") == [[message], ["b"]])
    #expect(records("\"\(long)x\"\nb\n", chunk: 4096) == [[message], ["b"]])
  }

  /// Two members, as logrotate and cat leave them: `time,tenant,policy`, `1,a,p`; `2,b,p`.
  private static let compressed: [[UInt8]] = [
    "H4sIAAAAAAACAyvJzE3VKUnNS8wr0SnIz8lMruQy1EnUKeACAD8xJwAZAAAA",
    "H4sIAAAAAAACAzPSSdIp4AIA5NXTkwYAAAA=",
  ].map { Array(Data(base64Encoded: $0)!) }

  @Test(arguments: [4, 7, 1 << 16])
  func whatIsCompressedWithGzipIsReadMemberAfterMember(chunk: Int) {
    let bytes = Self.compressed[0] + Self.compressed[1]
    #expect(
      records(bytes, chunk: chunk) == [
        ["time", "tenant", "policy"], ["1", "a", "p"], ["2", "b", "p"],
      ])
  }

  @Test func compressedDataThatIsCutOrDamagedIsAnError() {
    let whole = Self.compressed[0]
    for count in 4..<whole.count {
      let read = records(Array(whole.prefix(count)), chunk: 64)
      #expect(read.last?[0] == "memory: is cut off: the compressed data has no end")
    }
    var damaged = whole
    damaged[whole.count - 6] ^= 1
    #expect(records(damaged, chunk: 64).last?[0] == "memory: is damaged: 'gzip -t' says the same")
  }

  @Test func otherCompressionIsToldWithAWayIn() {
    #expect(
      records([0x28, 0xB5, 0x2F, 0xFD], chunk: 64)[0][0].contains("zstd -dc FILE | limitctl"))
  }

  @Test func whereChunksEndMakesNoDifference() {
    let text =
      "\u{FEFF}time,\"k,\"\"1\"\"\"\r\n1,\"a\r\nb\"\n\n\"\",x\"y\n2,\"\"\"\"\r\n3,\"z\"w\n4,5"
    let whole = records(text)
    #expect(whole.count == 6)
    for chunk in 4...40 { #expect(records(text, chunk: chunk) == whole) }
  }

  /// Writing any fields with every one quoted and reading them back gives the same fields.
  @Test func whatIsQuotedIsReadBack() {
    let seed: UInt64 = 20_260_302
    var generator = SeededGenerator(seed: seed)
    let alphabet = Array("ab,\"\n\r é")
    for _ in 0..<2000 {
      let rows = (0..<Int.random(in: 1...4, using: &generator)).map { _ in
        (0..<Int.random(in: 1...4, using: &generator)).map { _ in
          String(
            (0..<Int.random(in: 0...5, using: &generator)).map { _ in
              alphabet.randomElement(using: &generator)!
            }
          )
        }
      }
      var output = Output(to: nil)
      for row in rows {
        for (place, field) in row.enumerated() {
          if place > 0 { output.append(Ascii.comma) }
          // The writer leaves an empty field bare, which alone on a line would be no record.
          if field.isEmpty {
            output.append("\"\"")
          } else {
            output.append(field: Array(field.utf8)[...])
          }
        }
        output.append(Ascii.lineFeed)
      }
      let chunk = Int.random(in: 4...16, using: &generator)
      #expect(records(Array(output.bytes), chunk: chunk) == rows, "seed \(seed)")
    }
  }

  /// Any bytes give records or errors, never a crash, and always an end.
  @Test func anyBytesComeToAnEnd() {
    let seed: UInt64 = 7
    var generator = SeededGenerator(seed: seed)
    let alphabet: [UInt8] = Array(",\"\n\r a1.".utf8) + [0, 0xFF, 0xEF, 0xBB]
    for _ in 0..<5000 {
      let bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
        alphabet.randomElement(using: &generator)!
      }
      let lines = bytes.count { $0 == Ascii.lineFeed } + 1
      #expect(records(bytes, chunk: 5).count <= lines, "seed \(seed)")
    }
  }
}
