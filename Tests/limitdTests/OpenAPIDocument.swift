// docs/openapi.yaml as a test reads it: what a value must be like, and values that are not.

import Foundation
import Testing
import Yams

struct OpenAPIDocument {
  typealias Object = [String: Any]

  private let document: Object
  /// By path, then by method in lower case.
  let paths: [String: Object]

  init() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "docs/openapi.yaml")
    let text = try String(contentsOf: path, encoding: .utf8)
    document = try #require(try Yams.load(yaml: text) as? Object)
    paths = try #require(document["paths"] as? [String: Object])
  }

  /// What a reference stands for; anything else as it is.
  func resolved(_ schema: Object) throws -> Object {
    guard let reference = schema["$ref"] as? String else { return schema }
    var place: Any = document
    for part in reference.split(separator: "/").dropFirst() {
      place = try #require((place as? Object)?[String(part)], "\(reference)")
    }
    return try #require(place as? Object)
  }

  /// The types that a value may have.
  private static func types(_ schema: Object) -> [String] {
    (schema["type"] as? String).map { [$0] } ?? schema["type"] as? [String] ?? []
  }

  /// What is amiss with a value, each with its place.
  func breaches(_ value: Any, _ given: Object, at place: String) throws -> [String] {
    let schema = try resolved(given)
    let types = Self.types(schema)
    if value is NSNull, types.contains("null") { return [] }
    var found: [String] = []
    if let only = schema["const"] as? String, value as? String != only {
      found.append("\(place) is not \(only)")
    }
    if let known = schema["enum"] as? [String], !known.contains(value as? String ?? "") {
      found.append("\(place) is none of \(known)")
    }
    switch types.first {
    case "object":
      guard let object = value as? Object else { return found + ["\(place) is no object"] }
      let properties = schema["properties"] as? [String: Object] ?? [:]
      for name in schema["required"] as? [String] ?? [] where object[name] == nil {
        found.append("\(place).\(name) is missing")
      }
      for (name, member) in object {
        guard let property = properties[name] else {
          found.append("\(place).\(name) is not described")
          continue
        }
        found += try breaches(member, property, at: "\(place).\(name)")
      }
    case "array":
      guard let elements = value as? [Any], let items = schema["items"] as? Object else {
        return found + ["\(place) is no array"]
      }
      for (number, element) in elements.enumerated() {
        found += try breaches(element, items, at: "\(place)[\(number)]")
      }
    case "string": if !(value is String) { found.append("\(place) is no text") }
    case "boolean": if !(value is Bool) { found.append("\(place) is no boolean") }
    case "integer":
      if (value as? NSNumber).map({ $0.doubleValue.rounded() != $0.doubleValue }) ?? true {
        found.append("\(place) is no integer")
      }
    case "number": if !(value is NSNumber) { found.append("\(place) is no number") }
    default: found.append("\(place) has no type in the document")
    }
    return found
  }

  // MARK: Requests

  /// The places of all members that a schema describes.
  func members(of given: Object, at place: String = "") throws -> Set<String> {
    let schema = try resolved(given)
    var found: Set<String> = []
    for (name, property) in schema["properties"] as? [String: Object] ?? [:] {
      found.insert("\(place).\(name)")
      found.formUnion(try members(of: property, at: "\(place).\(name)"))
    }
    if let items = schema["items"] as? Object {
      found.formUnion(try members(of: items, at: "\(place)[0]"))
    }
    return found
  }

  /// The places of all members that a value has.
  static func members(in value: Any, at place: String = "") -> Set<String> {
    if let object = value as? Object {
      return object.reduce(into: []) { found, member in
        found.insert("\(place).\(member.key)")
        found.formUnion(members(in: member.value, at: "\(place).\(member.key)"))
      }
    }
    return (value as? [Any])?.first.map { members(in: $0, at: "\(place)[0]") } ?? []
  }

  /// A value that differs from another in one place.
  struct Variant {
    let value: Any
    /// Whether it is as the document says.
    let isGood: Bool
    let what: String
  }

  /// A good value with each member taken away, or of another type, and with one that there is not.
  func variants(of value: Any, _ given: Object, at place: String) throws -> [Variant] {
    let schema = try resolved(given)
    var found = [Variant(value: value, isGood: true, what: "\(place) as it is")]
    let types = Self.types(schema)
    let other: Any = types.contains("string") ? 7 : types.contains("array") ? [:] as Object : "x"
    found.append(Variant(value: other, isGood: false, what: "\(place) is of another type"))
    if types.contains("null") {
      found.append(Variant(value: NSNull(), isGood: true, what: "\(place) is null"))
    }
    if schema["enum"] != nil {
      found.append(Variant(value: "x", isGood: false, what: "\(place) is none of them"))
    }
    if let object = value as? Object {
      let required = Set(schema["required"] as? [String] ?? [])
      for (name, property) in schema["properties"] as? [String: Object] ?? [:] {
        guard let member = object[name] else { continue }
        var rest = object
        rest[name] = nil
        found.append(
          Variant(
            value: rest, isGood: !required.contains(name), what: "\(place).\(name) is absent"))
        for variant in try variants(of: member, property, at: "\(place).\(name)") {
          rest[name] = variant.value
          found.append(Variant(value: rest, isGood: variant.isGood, what: variant.what))
        }
      }
      var more = object
      more["nonsense"] = true
      found.append(Variant(value: more, isGood: false, what: "\(place).nonsense is there"))
    }
    if let first = (value as? [Any])?.first, let items = schema["items"] as? Object {
      found += try variants(of: first, items, at: "\(place)[0]").map {
        Variant(value: [$0.value], isGood: $0.isGood, what: $0.what)
      }
    }
    return found
  }
}
