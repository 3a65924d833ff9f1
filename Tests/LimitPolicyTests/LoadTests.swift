// Files as the system gives them: unreadable, endless, or none at all.

import Glibc
import LimitPolicy
import Testing

@Suite struct LoadTests {
  private func loadError(_ path: String) -> [String] {
    do throws(PolicyFileError) {
      _ = try PolicyFile.load(path: path)
      return []
    } catch {
      return error.diagnostics.map(\.description)
    }
  }

  @Test func aFileThatIsNotThereIsAnError() {
    #expect(
      loadError("/nonexistent.yaml") == [
        "/nonexistent.yaml:1:1: the file cannot be read: No such file or directory; name a policy "
          + "file that can"
      ]
    )
  }

  @Test func aDirectoryIsAnError() {
    #expect(
      loadError("/usr") == [
        "/usr:1:1: the file cannot be read: Is a directory; name a policy file that can"
      ]
    )
  }

  @Test func anEndlessFileIsAnError() {
    #expect(
      loadError("/dev/zero") == [
        "/dev/zero:1:1: the file is larger than 256 MiB; write a smaller one"
      ]
    )
  }

  @Test func anEmptyFileIsAnError() {
    #expect(
      loadError("/dev/null") == [
        "/dev/null:1:1: the file is empty; write at least limits: and policies:"
      ]
    )
  }

  @Test func aPipeIsReadToItsEnd() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    let text = Array(file().utf8)
    #expect(write(ends[1], text, text.count) == text.count)
    close(ends[1])
    defer { close(ends[0]) }
    #expect(try PolicyFile.load(path: "/dev/fd/\(ends[0])").limitNames == ["a"])
  }
}
