// "Did you mean …?": the known name that is nearest to an unknown one. Pure functions.

/// Finds the known name that somebody probably meant.
public enum Suggestion {
  /// How many known names are looked at: a bound on the time that a hostile file can cost.
  static let candidatesMax = 1024

  /// The candidate nearest to `name`, where it is near enough to be a likely slip: at most one edit
  /// in every three characters. The first one of several at the same distance.
  ///
  /// O(candidates × length²), with at most 1024 candidates looked at.
  public static func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
    let wanted = Array(name.lowercased().unicodeScalars)
    guard wanted.count <= 64 else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates.prefix(candidatesMax) {
      let scalars = Array(candidate.lowercased().unicodeScalars)
      let longest = max(scalars.count, wanted.count)
      guard scalars.count <= 64, abs(scalars.count - wanted.count) <= longest / 3 else { continue }
      let distance = editDistance(wanted, scalars)
      guard distance <= max(1, longest / 3), distance < longest else { continue }
      if best == nil || distance < best!.distance { best = (candidate, distance) }
    }
    return best?.name
  }

  /// Insertions, deletions, replacements and swaps of neighbours that turn `left` into `right`
  /// (optimal string alignment).
  static func editDistance(_ left: [Unicode.Scalar], _ right: [Unicode.Scalar]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...right.count)
    for row in 0..<left.count {
      var current = [row + 1]
      current.reserveCapacity(right.count + 1)
      for column in 0..<right.count {
        let replaced = last[column] + (left[row] == right[column] ? 0 : 1)
        var distance = min(replaced, last[column + 1] + 1, current[column] + 1)
        if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
          distance = min(distance, beforeLast[column - 1] + 1)
        }
        current.append(distance)
      }
      (beforeLast, last) = (last, current)
    }
    return last[right.count]
  }
}
