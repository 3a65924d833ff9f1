// What the admin interface answers where it cannot do what was asked. A value: any thread.

/// problem+json (RFC 9457).
public struct Problem: Codable, Error, Hashable, Sendable {
  /// The answer's HTTP status.
  public var status: Int
  /// What kind of trouble it is, in a few words.
  public var title: String
  /// What is wrong with this request, in words for the person who can put it right.
  public var detail: String

  public init(status: Int, title: String, detail: String) {
    self.status = status
    self.title = title
    self.detail = detail
  }
}
