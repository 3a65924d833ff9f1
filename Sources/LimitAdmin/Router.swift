// Which endpoint a request is for, and whether its caller may have it. Immutable: any thread.
//
// A table of a dozen paths; the routers at hand come with servers that cannot take over a socket that
// systemd holds (docs/decisions/0080).

import LimitAdminModel
import LimitEngine
import LimitPolicy
import LimitRuntime
import Logging
import NIOCore
import NIOHTTP1

/// What a caller must be allowed for an endpoint.
enum Need: Sendable {
  /// To read, for all tenants.
  case observe
  /// To read, for at least one tenant; the endpoint looks for which.
  case observeSome
  case administer
  /// Figures that the metrics listener shows to anyone.
  case metrics
}

/// An endpoint's answer: at once, or when something has come about.
enum Outcome: Sendable {
  case now(AdminResponse)
  /// Given a function that is to be called once, on any thread.
  case later(@Sendable (@escaping @Sendable (AdminResponse) -> Void) -> Void)
}

/// A request with the names from its path, and what its caller may do under the rules in force.
struct Call: Sendable {
  let request: AdminRequest
  /// The path's `{…}`, in order.
  let names: [String]
  let access: PeerAccess
  let rulebook: Rulebook
  /// Who asks; `nil` where that is anyone.
  let peer: Peer?

  /// Whether the caller may read what concerns a tenant.
  func mayObserve(_ tenant: Tenant) -> Bool { access.mayRead(of: tenant.fingerprint) }
}

struct Route: Sendable {
  typealias Handler = @Sendable (Call) throws(Problem) -> Outcome

  let method: HTTPMethod
  /// Segments; `{…}` stands for any one.
  let path: [String]
  let need: Need
  /// Bytes of a request's body.
  let bodyBytesMax: Int
  let handler: Handler

  init(
    _ method: HTTPMethod, _ path: String, _ need: Need,
    bodyBytesMax: Int = ConnectionBounds.bodyBytes, _ handler: @escaping Handler
  ) {
    self.method = method
    self.path = path.split(separator: "/").map(String.init)
    self.need = need
    self.bodyBytesMax = bodyBytesMax
    self.handler = handler
  }

  /// The names in `segments`; `nil` where they are another path.
  func names(in segments: [String]) -> [String]? {
    guard segments.count == path.count else { return nil }
    var names: [String] = []
    for (own, given) in zip(path, segments) {
      if own.hasPrefix("{") {
        guard !given.isEmpty else { return nil }
        names.append(given)
      } else if own != given {
        return nil
      }
    }
    return names
  }
}

struct Router: Sendable {
  let runtime: Runtime
  let routes: [Route]
  let log: Logger

  /// How many bytes the body of a request may have: more than others only where the caller may make it.
  func bodyBytesMax(_ head: HTTPRequestHead, _ caller: Caller) -> Int {
    let path = head.uri.prefix { $0 != "?" }.split(separator: "/").map(String.init)
    guard
      let route = routes.first(where: { $0.method == head.method && $0.names(in: path) != nil }),
      route.bodyBytesMax > ConnectionBounds.bodyBytes, let peer = caller.peer,
      runtime.rulebook.access.resolve(peer).everywhere.contains(.administer)
    else { return ConnectionBounds.bodyBytes }
    return route.bodyBytesMax
  }

  func outcome(_ request: AdminRequest, _ caller: Caller) -> Outcome {
    let matches = routes.compactMap { route in
      route.names(in: request.path).map { (route: route, names: $0) }
    }
    let rulebook = runtime.rulebook
    do throws(Problem) {
      let access = try access(of: caller, matches.map(\.route.need), rulebook)
      guard !matches.isEmpty else {
        throw .notFound("there is nothing at /\(request.path.joined(separator: "/").shown)")
      }
      guard let match = matches.first(where: { $0.route.method == request.method }) else {
        return .now(Self.wrongMethod(request.method, matches.map(\.route.method)))
      }
      try allow(match.route.need, access, caller)
      tell(of: match.route, request, caller)
      return try match.route.handler(
        Call(
          request: request, names: match.names, access: access, rulebook: rulebook,
          peer: caller.peer))
    } catch {
      if error.status == 403, case .peer(let peer) = caller {
        log.notice("admin request refused", metadata: Self.metadata(request, peer))
      }
      return .now(AdminResponse(error))
    }
  }

  /// Says who changes something, before it is changed.
  private func tell(of route: Route, _ request: AdminRequest, _ caller: Caller) {
    guard route.need == .administer, case .peer(let peer) = caller else { return }
    log.notice("admin request", metadata: Self.metadata(request, peer))
  }

  private static func metadata(_ request: AdminRequest, _ peer: Peer) -> Logger.Metadata {
    [
      "request": "\(request.method.rawValue.shown) /\(request.path.joined(separator: "/").shown)",
      "uid": "\(peer.userID)", "pid": "\(peer.processID)",
    ]
  }

  private static func wrongMethod(_ method: HTTPMethod, _ known: [HTTPMethod]) -> AdminResponse {
    let list = known.map(\.rawValue).joined(separator: ", ")
    var response = AdminResponse(
      Problem(
        status: 405, title: "Method not allowed",
        detail: "this path has \(list), and not \(method.rawValue.shown)"))
    response.allow = list
    return response
  }

  // MARK: Roles

  /// - Throws: where the caller may have nothing at all here, not even learn which paths there are.
  private func access(
    of caller: Caller, _ needs: [Need], _ rulebook: Rulebook
  ) throws(Problem) -> PeerAccess {
    switch caller {
    case .peer(let peer):
      let access = rulebook.access.resolve(peer)
      guard access.mayReadSome else {
        throw .forbidden(
          "user \(peer.userID) has neither 'observe' nor 'administer' in daemon.access")
      }
      return access
    case .anyone:
      guard needs.contains(.metrics) else { throw .notFound("there are only /metrics here") }
      return PeerAccess()
    }
  }

  private func allow(_ need: Need, _ access: PeerAccess, _ caller: Caller) throws(Problem) {
    switch need {
    case .administer:
      guard access.everywhere.contains(.administer) else {
        throw .forbidden("this needs the role 'administer' in daemon.access, for all tenants")
      }
    case .observe:
      guard access.mayReadAll else {
        throw .forbidden("this needs the role 'observe' in daemon.access, for all tenants")
      }
    case .metrics:
      if case .anyone = caller { return }
      try allow(.observe, access, caller)
    case .observeSome: break
    }
  }
}
