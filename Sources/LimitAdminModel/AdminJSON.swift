// How values of the admin interface become JSON, and what the interface is called in paths. Any
// thread.

public import FoundationEssentials

public enum AdminJSON {
  /// One document, its members by name, in words joined by underscores.
  public static func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(value)
  }

  public static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(type, from: data)
  }
}

/// A member that a request has and the interface does not know.
public struct UnknownMember: Error {
  public let name: String
}

/// The names of all members of an object.
struct MemberName: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

extension Decoder {
  /// Refuses an object that has members besides `known`: a name that is mistyped is an error, and not
  /// a setting that is quietly left out.
  func refuseMembers(besides known: [any CodingKey]) throws {
    let names = Set(known.map(\.stringValue))
    let members = try container(keyedBy: MemberName.self).allKeys
    if let other = members.first(where: { !names.contains($0.stringValue) }) {
      throw UnknownMember(name: other.stringValue)
    }
  }
}
