// Which release this is: said by limitd and limitctl, and to each client in the reply to hello.

/// The release that this source is, or becomes.
public enum Release {
  /// As in Semantic Versioning 2.
  public static let version = "0.1.0"
}
