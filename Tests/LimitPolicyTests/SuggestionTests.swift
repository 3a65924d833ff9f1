// "Did you mean …?"

import LimitPolicy
import Testing

@Suite struct SuggestionTests {
  @Test(arguments: [
    ("brust", "burst"), ("Burst", "burst"), ("busrt", "burst"), ("rates", "rate"),
    ("tokenbucket", "token-bucket"), ("widnow", "window"),
  ])
  func theNearestNameIsFound(name: String, nearest: String) {
    let known = ["rate", "burst", "window", "token-bucket", "mode"]
    #expect(Suggestion.nearest(to: name, among: known) == nearest)
  }

  @Test(arguments: ["x", "", "colour", "aaaaaaaaaaaaaaaaaaaa", String(repeating: "x", count: 99)])
  func aNameThatIsNotNearHasNoSuggestion(name: String) {
    #expect(Suggestion.nearest(to: name, among: ["rate", "burst", "window", "y"]) == nil)
  }

  @Test func theFirstOfSeveralAtTheSameDistanceIsFound() {
    #expect(Suggestion.nearest(to: "cat", among: ["bat", "hat"]) == "bat")
  }
}
