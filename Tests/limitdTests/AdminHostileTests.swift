// Those who keep no rule on the admin socket: each gets a clear answer or an end, changes nothing, and
// holds up no decision.

import DaemonSupport
import Foundation
import Glibc
import Testing

extension DaemonTests {
  @Suite struct AdminHostileTests {
    /// A daemon, and how many descriptors it has open when nobody is connected.
    private func daemon(_ adjust: (inout DaemonOptions) -> Void = { _ in }) throws -> (
      daemon: TestDaemon, descriptors: Int
    ) {
      let daemon = try TestDaemon(adjust)
      // Those of the start's own connections go by themselves.
      var counts: [Int] = []
      try wait(for: "the start's connections to go") {
        counts.append(daemon.descriptorCount)
        return counts.count >= 10 && Set(counts.suffix(10)).count == 1
      }
      return (daemon, daemon.descriptorCount)
    }

    /// That decisions and the interface are there, that nothing has changed, and that no descriptor is left
    /// open.
    private func expectService(_ watched: (daemon: TestDaemon, descriptors: Int)) throws {
      let daemon = watched.daemon
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
      #expect(try daemon.ask("GET", "/v1/status").status == 200)
      #expect(daemon.reloadCount == 0)
      #expect(try daemon.ask("GET", "/v1/audit").json["entries"] as? [String] == [])
      try wait(for: "\(watched.descriptors) descriptors and no more") {
        daemon.descriptorCount <= watched.descriptors
      }
    }

    /// That an answer tells what is wrong.
    private func expectProblem(
      _ answer: AdminAnswer?, _ status: Int, _ what: String, hasBody: Bool = true
    ) {
      #expect(answer?.status == status, "\(what): \(answer?.text ?? "closed")")
      #expect(answer?.headers["content-type"] == "application/problem+json", "\(what)")
      guard hasBody else { return }
      #expect(answer?.json["status"] as? Int == status, "\(what)")
      #expect(answer?.json["detail"] is String, "\(what)")
    }

    private static let endpoints = AdminTests.endpoints

    @Test("Every endpoint refuses parameters that it does not have, and other methods")
    func everywhere() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      for (method, target, body, _) in Self.endpoints {
        let what = "\(method) \(target)?nonsense"
        expectProblem(try daemon.ask(method, "\(target)?nonsense=1", body), 400, what)
      }
      let methods = Dictionary(grouping: Self.endpoints, by: \.target)
      for (target, own) in methods {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MKCOL"]
        where !own.contains(where: { $0.method == method }) {
          let answer = try daemon.ask(method, target)
          expectProblem(answer, 405, "\(method) \(target)")
          let allowed = Set((answer.headers["allow"] ?? "").split(separator: ", ").map(String.init))
          #expect(allowed == Set(own.map(\.method)), "\(method) \(target)")
        }
      }
      try expectService(watched)
    }

    @Test("No endpoint takes a huge body, and none keeps what it took")
    func hugeBodies() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      let part = String(repeating: "x", count: 1 << 16)
      let before = daemon.residentBytes
      for (method, target, _, _) in Self.endpoints {
        let peer = try AdminPeer(daemon)
        try peer.send(
          "\(method) \(target) HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        // An import takes 16 MiB. Whatever a kernel buffers is less.
        let parts = target == "/v1/overrides" && method == "POST" ? 260 : 4
        for _ in 0..<parts { _ = try? peer.send(part) }
        expectProblem(try peer.receive(), 413, "\(method) \(target)")
        #expect(try peer.receive() == nil)
      }
      #expect(daemon.residentBytes - before < 60_000_000, "memory that a request took stays")
      try expectService(watched)
    }

    @Test("Whatever is wrong with a request is told as a problem")
    func badRequests() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      let bad: [(method: String, target: String, body: String?, status: Int)] = [
        ("GET", "/", nil, 404), ("GET", "/v1", nil, 404), ("GET", "/v1/status/", nil, 404),
        ("GET", "/v1/limits/none", nil, 404), ("GET", "/v1/tenants/", nil, 404),
        ("GET", "/v1/tenants/a%20b", nil, 400), ("GET", "/v1/tenants/a%2", nil, 400),
        ("GET", "/v1/tenants/%ff", nil, 400), ("GET", "/v1/tenants/%00", nil, 400),
        ("GET", "/v1/tenants?limit=0", nil, 400), ("GET", "/v1/tenants?limit=1001", nil, 400),
        ("GET", "/v1/tenants?offset=-1", nil, 400), ("GET", "/v1/tenants?offset=x", nil, 400),
        ("GET", "/v1/tenants?page=1", nil, 400), ("GET", "/v1/tenants?limit=1&limit=2", nil, 400),
        ("GET", "/v1/status?x", nil, 400), ("GET", "/metrics?x=1", nil, 400),
        ("POST", "/v1/status", nil, 405), ("DELETE", "/v1/tenants/acme", nil, 405),
        ("PUT", "/v1/reload", "{}", 405), ("HEAD", "/metrics", nil, 405),
        ("PATCH", "/v1/snapshot", nil, 405), ("OPTIONS", "/v1/peek", nil, 405),
        ("POST", "/v1/peek", nil, 400), ("POST", "/v1/peek", "[]", 400),
        ("POST", "/v1/peek", "{", 400), ("POST", "/v1/peek", "null", 400),
        ("POST", "/v1/peek", #"{"tenant": "acme"}"#, 400),
        ("POST", "/v1/peek", #"{"tenant": 1, "policy": "few"}"#, 400),
        ("POST", "/v1/peek", #"{"tenant": "acme", "policy": "few", "cost": -1}"#, 400),
        ("POST", "/v1/peek", #"{"tenant": "acme", "policy": "few", "cost": 1e99}"#, 400),
        ("POST", "/v1/peek", #"{"tenant": "acme", "policy": "few", "cots": 1}"#, 400),
        ("POST", "/v1/peek", #"{"tenant": "", "policy": "few"}"#, 400),
        ("POST", "/v1/peek", #"{"tenant": "acme", "policy": "feww"}"#, 404),
        ("POST", "/v1/reload", "1", 400), ("POST", "/v1/reload", #"{"dry_run": 1}"#, 400),
        ("POST", "/v1/reload", #"{"dryrun": true}"#, 400), ("POST", "/v1/snapshot", "{}", 400),
        ("POST", "/v1/peek", String(repeating: "[", count: 60_000), 400),
        ("POST", "/v1/audit", nil, 405), ("GET", "/v1/audit?limit=0", nil, 400),
        ("GET", "/v1/audit?before=0", nil, 400), ("GET", "/v1/audit?since=1", nil, 400),
        ("GET", "/v1/tenants/acme/block", nil, 405), ("POST", "/v1/tenants/acme/block", "{}", 405),
        ("PATCH", "/v1/tenants/acme", nil, 400), ("PATCH", "/v1/tenants/acme", "{}", 400),
        ("PATCH", "/v1/tenants/acme", "[]", 400),
        ("PATCH", "/v1/tenants/acme", #"{"plan": 1}"#, 400),
        ("PATCH", "/v1/tenants/acme", #"{"paln": "x"}"#, 400),
        ("PATCH", "/v1/tenants/acme?dry_run=true", #"{"plan": null}"#, 400),
        ("PATCH", "/v1/tenants/acme", #"{"plan": null, "dry_run": "no"}"#, 400),
        ("PATCH", "/v1/tenants/acme", #"{"plan": "none"}"#, 422),
        ("PATCH", "/v1/tenants/acme", #"{"plan": "a\nb"}"#, 400),
        ("PATCH", "/v1/tenants/%2A", #"{"plan": null}"#, 400),
        ("PATCH", "/v1/tenants/a%20b", #"{"plan": null}"#, 400),
        ("PATCH", "/v1/tenants/acme", #"{"settings": {"few": {"burst": "4"}}}"#, 400),
        ("PATCH", "/v1/tenants/acme", #"{"settings": [{"limit": "few", "value": "4"}]}"#, 400),
        (
          "PATCH", "/v1/tenants/acme",
          #"{"settings": [{"limit": "few", "parameter": "burst", "value": 4}]}"#, 400
        ),
        (
          "PATCH", "/v1/tenants/acme",
          #"{"settings": [{"limit": "few", "parameter": "burst", "value": "-4"}]}"#, 422
        ),
        (
          "PATCH", "/v1/tenants/acme",
          #"{"settings": [{"limit": "few", "parameter": "scope", "value": "key"}]}"#, 422
        ),
        ("PUT", "/v1/tenants/acme/block", nil, 400), ("PUT", "/v1/tenants/acme/block", "{}", 400),
        ("PUT", "/v1/tenants/acme/block", #"{"reason": ""}"#, 400),
        ("PUT", "/v1/tenants/acme/block", #"{"reason": "a\u001bb"}"#, 400),
        ("PUT", "/v1/tenants/acme/block", #"{"reason": "x", "for_seconds": 0}"#, 400),
        ("PUT", "/v1/tenants/acme/block", #"{"reason": "x", "for_seconds": 1e30}"#, 400),
        ("PUT", "/v1/tenants/acme/block", #"{"reason": "x", "until": "soon"}"#, 400),
        ("PUT", "/v1/tenants/acme/block", #"{"reason": "x", "until": "1999-01-01"}"#, 400),
        (
          "PUT", "/v1/tenants/acme/block",
          #"{"reason": "x", "until": "2999-01-01", "for_seconds": 5}"#, 400
        ),
        ("PUT", "/v1/tenants//block", #"{"reason": "x"}"#, 404),
        ("DELETE", "/v1/tenants/acme/block", "{}", 400),
        ("DELETE", "/v1/tenants/acme/block?dry_run=1", nil, 400),
        ("DELETE", "/v1/tenants/acme/overrides?all", nil, 400),
        ("PUT", "/v1/limits/few/mode", nil, 400), ("PUT", "/v1/limits/few/mode", "{}", 400),
        ("PUT", "/v1/limits/few/mode", #"{"mode": "off"}"#, 400),
        ("PUT", "/v1/limits/few/mode", #"{"mode": true}"#, 400),
        ("PUT", "/v1/limits/fwe/mode", #"{"mode": "shadow"}"#, 404),
        ("POST", "/v1/limits/few/mode", nil, 405), ("DELETE", "/v1/limits/a%0Ab/mode", nil, 400),
        ("GET", "/v1/overrides?limit=1001", nil, 400), ("PUT", "/v1/overrides", "{}", 405),
        ("POST", "/v1/overrides", nil, 400), ("POST", "/v1/overrides", "{}", 400),
        ("POST", "/v1/overrides", #"{"tenants": {}}"#, 400),
        ("POST", "/v1/overrides", #"{"tenants": [{"plan": "x"}]}"#, 400),
        ("POST", "/v1/overrides", #"{"tenants": [{"tenant": "a b"}]}"#, 400),
        ("POST", "/v1/overrides", #"{"tenants": [{"tenant": "a", "plna": "x"}]}"#, 400),
        ("POST", "/v1/overrides", #"{"tenants": [{"tenant": "a"}, {"tenant": "a"}]}"#, 400),
        (
          "POST", "/v1/overrides",
          #"{"tenants": [{"tenant": "a", "block": {"reason": "r", "until": "x"}}]}"#, 400
        ),
        (
          "POST", "/v1/overrides",
          #"{"tenants": [{"tenant": "ok", "block": {"reason": "r"}}, {"tenant": "b", "plan": "no"}]}"#,
          422
        ),
        ("GET", "/v1/rules?offset=-1", nil, 400), ("POST", "/v1/rules", nil, 405),
        ("POST", "/v1/tenants/acme/reset", "[]", 400),
        ("POST", "/v1/tenants/acme/reset", #"{"limit": "fwe"}"#, 404),
        ("POST", "/v1/tenants/acme/reset", #"{"limit": "held"}"#, 422),
        ("POST", "/v1/tenants/acme/reset", #"{"limit": "many", "key": "k"}"#, 422),
        ("POST", "/v1/tenants/acme/reset", #"{"keys": "k"}"#, 400),
        ("POST", "/v1/tenants/acme/reset", #"{"dry_run": 1}"#, 400),
        ("POST", "/v1/tenants/a%20b/reset", nil, 400),
      ]
      for (method, target, body, status) in bad {
        let answer = try daemon.ask(method, target, body)
        expectProblem(
          answer, status, "\(method) \(target) \(body?.prefix(60) ?? "")",
          hasBody: method != "HEAD")
        #expect((answer.headers["allow"] != nil) == (status == 405))
      }
      try expectService(watched)
    }

    @Test("What is no HTTP is told so, and the connection ends")
    func noHTTP() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      let lines = [
        "\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET /v1/status HTTP/9.9\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /v1/peek HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        "POST /v1/peek HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nxyz",
        "GET nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
      ]
      for line in lines {
        let peer = try AdminPeer(daemon)
        try peer.send(line)
        let answer = try peer.receive()
        #expect(answer?.status == 400, "\(line): \(answer?.text ?? "closed")")
        #expect(try peer.receive() == nil)
      }
      try expectService(watched)
    }

    @Test("Bodies and heads have a largest size, said in one way or another")
    func sizes() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      let before = daemon.residentBytes
      for encoding in ["content-length: 1000000000", "transfer-encoding: chunked"] {
        let peer = try AdminPeer(daemon)
        try peer.send("POST /v1/peek HTTP/1.1\r\nhost: x\r\n\(encoding)\r\n\r\n")
        let part = String(repeating: "x", count: 32_768)
        let chunk = encoding.hasPrefix("t") ? "8000\r\n\(part)\r\n" : part
        for _ in 1...3 { try? peer.send(chunk) }
        #expect(try peer.receive()?.status == 413)
        #expect(try peer.receive() == nil)
      }
      let peer = try AdminPeer(daemon)
      try peer.send("GET /v1/status HTTP/1.1\r\n")
      for number in 0..<20_000 {
        guard (try? peer.send("x-\(number): \(String(repeating: "y", count: 1000))\r\n")) != nil
        else { break }
      }
      let answer = try? peer.receive()
      #expect(answer == nil || answer?.status == 431 || answer?.status == 400)
      #expect(daemon.residentBytes - before < 30_000_000, "memory that a request took stays")
      try expectService(watched)
    }

    @Test("Answers that nobody reads do not pile up, and decisions go on")
    func unreadAnswers() throws {
      let names = (0..<900).map { "  tenant-with-a-long-name-\($0): {}\n" }.joined()
      let watched = try daemon { $0.policy += "\n" + names }
      let daemon = watched.daemon
      let before = daemon.residentBytes
      let request = "GET /v1/tenants?limit=1000 HTTP/1.1\r\nhost: x\r\n\r\n"
      let peers = try (0..<20).map { _ in try AdminPeer(daemon) }
      for peer in peers {
        for _ in 1...2000 where try peer.sendSome(request) == 0 { break }
      }
      let client = try daemon.peer()
      for _ in 1...500 {
        #expect(try client.decide(Request.query("acme", "many")).isAllowed)
      }
      // 20 connections, an answer of some 80 kB each that waits, and what their kernels hold.
      #expect(daemon.residentBytes - before < 40_000_000)
      client.close()
      for peer in peers { peer.close() }
      try expectService(watched)
    }

    @Test("Connections are bounded, in all and of one user; the rest is told so")
    func connections() throws {
      let watched = try daemon {
        $0.settings =
          "  admin-socket: {mode: 666}\n  access:\n    - {user: 65534, roles: [observe]}"
      }
      let daemon = watched.daemon
      let request = "GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n"
      if Host.isRoot {
        let others = try (0..<40).map { _ in try AdminPeer(daemon, user: Host.otherUser) }
        let served = try others.filter { peer in
          _ = try? peer.send(request)
          return try peer.receive()?.status == 200
        }
        #expect(served.count == 16)
        #expect(try daemon.ask("GET", "/v1/status").status == 200)
      }
      let own = try (0..<80).map { _ in try AdminPeer(daemon) }
      let served = try own.filter { peer in
        _ = try? peer.send(request)
        return try peer.receive()?.status == 200
      }
      #expect(served.count < 80 && served.count >= 16)
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
      for peer in own { peer.close() }
      try wait(for: "room") { (try? daemon.ask("GET", "/v1/status").status) == 200 }
      try expectService(watched)
    }

    @Test("Administrators' connections take no descriptor from clients")
    func descriptors() throws {
      Host.raiseDescriptorLimit()
      let watched = try daemon {
        $0.settings = "  limits: {connections: 4096, connections-per-uid: 4096}"
        $0.descriptorsSoft = 400
        $0.descriptorsHard = 400
      }
      let daemon = watched.daemon
      let administrators = try (0..<100).map { _ in try AdminPeer(daemon) }
      var clients: [Peer] = []
      while clients.count < 300, let peer = try? daemon.peer() { clients.append(peer) }
      #expect((50..<300).contains(clients.count))
      #expect(!daemon.log.contains("accepting is paused"), "\(daemon.brief)")
      #expect(try clients[0].decide(Request.query("acme", "many")).isAllowed)
      for peer in administrators { peer.close() }
      clients = []
      try wait(for: "room") { (try? daemon.ask("GET", "/v1/status").status) == 200 }
      try expectService(watched)
    }

    @Test("A request that does not come to its end is given up, whatever it is for")
    func slowRequest() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      let bodies = try Self.endpoints.map { method, target, _, _ in
        let peer = try AdminPeer(daemon)
        try peer.send("\(method) \(target) HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        return (peer, "\(method) \(target)")
      }
      let head = try AdminPeer(daemon)
      try head.send("GET /v1/sta")
      let silent = try AdminPeer(daemon)
      for (peer, what) in bodies { expectProblem(try peer.receive(), 408, what) }
      for peer in [head, silent] { #expect(try peer.receive() == nil) }
      try expectService(watched)
    }

    @Test("Anything at all on the socket ends no daemon")
    func noise() throws {
      let watched = try daemon()
      let daemon = watched.daemon
      var generator = SystemRandomNumberGenerator()
      let starts = [
        "GET /v1/status HTTP/1.1\r\n", "POST /v1/peek HTTP/1.1\r\ncontent-length: 10\r\n\r\n", "",
      ]
      for round in 0..<200 {
        guard let peer = try? AdminPeer(daemon) else { continue }
        let bytes = (0..<Int.random(in: 1...300, using: &generator)).map { _ in
          Character(UnicodeScalar(UInt8.random(in: 0...127, using: &generator)))
        }
        try? peer.send(starts[round % 3] + String(bytes))
        peer.close()
      }
      try wait(for: "room") { (try? daemon.ask("GET", "/v1/status").status) == 200 }
      try expectService(watched)
    }
  }
}
