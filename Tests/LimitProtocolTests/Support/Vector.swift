// docs/protocol-vectors.json: frames, and what they mean.

import Foundation
import Testing

/// A frame and what it means, as docs/PROTOCOL.md has it.
struct Vector: Decodable, Sendable, CustomTestStringConvertible {
  let name: String
  let direction: Direction
  let frame: String
  let fields: JSON

  var testDescription: String { "\(direction) \(name)" }
  var bytes: [UInt8] { [UInt8](hex: frame) }

  static let all: [Vector] = {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../docs/protocol-vectors.json")
    do {
      return try JSONDecoder().decode(VectorFile.self, from: Data(contentsOf: file)).vectors
    } catch {
      preconditionFailure("docs/protocol-vectors.json cannot be read: \(error)")
    }
  }()

  private struct VectorFile: Decodable {
    let vectors: [Vector]
  }
}

/// JSON as far as the vectors use it. A field that is missing, or is something else, is an error.
enum JSON: Decodable, Sendable {
  case number(UInt64)
  case text(String)
  case list([JSON])
  case object([String: JSON])

  struct Mismatch: Error {
    let field: String
  }

  init(from decoder: any Decoder) throws {
    let value = try decoder.singleValueContainer()
    if let number = try? value.decode(UInt64.self) {
      self = .number(number)
    } else if let text = try? value.decode(String.self) {
      self = .text(text)
    } else if let list = try? value.decode([JSON].self) {
      self = .list(list)
    } else {
      self = .object(try value.decode([String: JSON].self))
    }
  }

  func has(_ field: String) -> Bool {
    guard case .object(let fields) = self else { return false }
    return fields[field] != nil
  }

  func field(_ name: String) throws -> JSON {
    guard case .object(let fields) = self, let value = fields[name] else {
      throw Mismatch(field: name)
    }
    return value
  }

  /// A field of less than 64 bits.
  func number<Number: FixedWidthInteger>(_ name: String) throws -> Number {
    guard case .number(let value) = try field(name), let number = Number(exactly: value) else {
      throw Mismatch(field: name)
    }
    return number
  }

  /// A field of 64 bits: decimal digits.
  func wide(_ name: String) throws -> UInt64 {
    guard let number = UInt64(try text(name)) else { throw Mismatch(field: name) }
    return number
  }

  func text(_ name: String) throws -> String {
    guard case .text(let text) = try field(name) else { throw Mismatch(field: name) }
    return text
  }

  func list(_ name: String) throws -> [JSON] {
    guard case .list(let list) = try field(name) else { throw Mismatch(field: name) }
    return list
  }
}

extension [UInt8] {
  /// The bytes of hexadecimal digits; spaces mean nothing.
  init(hex: String) {
    let digits = hex.utf8.filter { $0 != UInt8(ascii: " ") }
    precondition(digits.count % 2 == 0, "two digits a byte")
    self = stride(from: 0, to: digits.count, by: 2).map { place in
      UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16)!
    }
  }
}
