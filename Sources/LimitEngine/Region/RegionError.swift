// Why memory that survived is not taken.

/// What is wrong with memory that was to be adopted. It is left as it was.
public enum RegionError: Error, Hashable, Sendable {
  /// Shorter than the header, or than the header says: so many bytes are needed.
  case truncated(needed: Int)
  /// Nothing of ours: zero, never finished, or somebody else's.
  case notARegion
  /// Written by a release that lays its bytes out differently.
  case otherVersion(UInt64)
  /// Of another installation: nothing in it could be found.
  case otherHashKey
  /// The header contradicts itself.
  case damaged
  /// The engine's clock is behind what the region has seen: another boot, or another clock.
  case clockWentBack
}

extension RegionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .truncated(let needed): "it is cut short: \(needed) bytes are needed"
    case .notARegion: "it is no region of limitd, or was never finished"
    case .otherVersion(let version):
      "it has layout version \(RegionLayout.text(ofVersion: version)), and this release reads "
        + RegionLayout.text(ofVersion: RegionLayout.version)
    case .otherHashKey: "it belongs to another installation (hash key)"
    case .damaged: "its header is damaged"
    case .clockWentBack: "it is from another boot, or the clock went back"
    }
  }
}
