// What `limitctl doctor` looks at: the daemon as it answers, and what can be seen of it from outside.

import Glibc
import LimitAdminModel
import LimitClient
import LimitConsole
import LimitPolicy
import LimitProtocol
import LimitSystem

/// One thing that was looked at.
struct Finding {
  enum Grade: String { case good, doubtful, bad }

  let grade: Grade
  let subject: String
  let text: String
  /// What helps; `nil` only where all is well.
  let remedy: String?

  /// Something that is wrong, or may be.
  init(grade: Grade, subject: String, text: String, remedy: String) {
    (self.grade, self.subject, self.text, self.remedy) = (grade, subject, text, remedy)
  }

  /// Something that is well.
  init(good subject: String, _ text: String) {
    (grade, self.subject, self.text, remedy) = (.good, subject, text, nil)
  }
}

/// What doctor looks at.
struct Checkup {
  let socket: String
  let adminSocket: String

  /// A part of a table, or of the connections, from which on more room is worth a thought.
  private static let fullPart = 0.9
  /// What the daemon opens besides its clients' connections at most, or leaves to whatever else may come.
  private static let filesBesides = 512
  /// How old the last snapshot may be, in seconds: three of the longest intervals that are usual.
  private static let snapshotAgeSeconds = 180.0

  func findings() -> [Finding] {
    var findings = [decisionSocket()]
    do throws(AdminError) {
      let client = AdminClient(path: adminSocket, timeoutSeconds: 5)
      let status = try client.get(DaemonStatus.self, "/v1/status").value
      findings.append(
        good(
          "admin socket", "\(adminSocket)\(mode(of: adminSocket)) answers, process \(status.pid)"))
      findings += [
        versions(status), rules(status), reloads(status), snapshots(status),
        stateDirectory(status.stateDirectory), catalog(client, status.stateDirectory),
        connections(status), openFiles(status),
      ]
      findings += status.tables.map(table)
    } catch {
      let text = error.result.errors.dropFirst("limitctl: ".count).filter { !$0.isNewline }
      findings.append(
        Finding(
          grade: .bad, subject: "admin socket", text: text,
          remedy: "root and the daemon's user may always ask it; for others, set the mode and "
            + "group of daemon.admin-socket, and roles in daemon.access"))
    }
    return findings + [clock(Clock.isWallSynchronized)]
  }

  func good(_ subject: String, _ text: String) -> Finding {
    Finding(good: subject, text)
  }

  private func decisionSocket() -> Finding {
    let configuration = ClientConfiguration(
      socketPath: socket, clientName: "limitctl", connectTimeout: .seconds(5),
      callTimeout: .seconds(5))
    do throws(LimitClientError) {
      let hello = try BlockingLimitClient(configuration).hello()
      return good(
        "decision socket", "\(socket)\(mode(of: socket)) answers, protocol \(hello.version)")
    } catch {
      return Finding(
        grade: .bad, subject: "decision socket", text: "\(socket)\(mode(of: socket)): \(error)",
        remedy: DaemonAdvice.unreachable(socket: socket, systemError: error.systemError))
    }
  }

  /// Who may open a socket: ` (0660, group limitd-clients)`; nothing where it is not there.
  private func mode(of path: String) -> String {
    var status = stat()
    guard stat(path, &status) == 0 else { return "" }
    let group = getgrgid(status.st_gid).map { String(cString: $0.pointee.gr_name) }
    return " (0\(String(status.st_mode & 0o777, radix: 8)), group \(group ?? "\(status.st_gid)"))"
  }

  private func versions(_ status: DaemonStatus) -> Finding {
    guard status.version != Release.version else {
      return good("versions", "limitd and limitctl are \(status.version)")
    }
    return Finding(
      grade: .doubtful, subject: "versions",
      text: "limitd is \(status.version), limitctl \(Release.version)",
      remedy: "restart the daemon after an upgrade: systemctl restart limitd")
  }

  private func rules(_ status: DaemonStatus) -> Finding {
    do throws(PolicyFileError) {
      let file = try PolicyFile.load(path: status.configPath)
      guard file.warnings.isEmpty else {
        return Finding(
          grade: .doubtful, subject: "policy file",
          text: "\(status.configPath) has \(counted(file.warnings.count, "warning"))",
          remedy: "see them: limitctl config check \(status.configPath)")
      }
      return good("policy file", "\(status.configPath) is good")
    } catch {
      if access(status.configPath, R_OK) != 0 {
        return Finding(
          grade: .doubtful, subject: "policy file",
          text: "\(status.configPath) cannot be read from here", remedy: "run this as root")
      }
      return Finding(
        grade: .bad, subject: "policy file",
        text: "\(status.configPath) has \(counted(error.diagnostics.count, "error"))",
        remedy: "a restart would fail; see them: limitctl config check \(status.configPath)")
    }
  }

  private func reloads(_ status: DaemonStatus) -> Finding {
    guard !status.reloads.isLastGood else {
      return good(
        "rules in force",
        "loaded \(AdminText.duration(seconds: status.reloads.ageSeconds)) ago")
    }
    return Finding(
      grade: .bad, subject: "rules in force",
      text: "the last reload failed; the rules before are in force",
      remedy: "mend the file, then: limitctl reload")
  }

  private func snapshots(_ status: DaemonStatus) -> Finding {
    guard let snapshots = status.snapshots else {
      return good("snapshots", "none are written by this daemon")
    }
    let remedy = "look at room and permissions: df \(status.stateDirectory)"
    if let trouble = snapshots.trouble {
      return Finding(grade: .bad, subject: "snapshots", text: trouble, remedy: remedy)
    }
    let age = snapshots.ageSeconds ?? status.uptimeSeconds
    let text = "the last one is \(AdminText.duration(seconds: age)) old"
    if age > Self.snapshotAgeSeconds {
      return Finding(
        grade: .doubtful, subject: "snapshots", text: text,
        remedy: "right where daemon.snapshot-interval is that long; else " + remedy)
    }
    return good("snapshots", snapshots.ageSeconds == nil ? "none yet since the start" : text)
  }

  private func connections(_ status: DaemonStatus) -> Finding {
    let text =
      "\(grouped(status.connections)) of \(grouped(status.connectionsMax)), "
      + "\(grouped(status.connectionsRefused)) refused"
    let isFull = Double(status.connections) > Self.fullPart * Double(status.connectionsMax)
    guard isFull || status.connectionsRefused > 0 else { return good("connections", text) }
    return Finding(
      grade: .doubtful, subject: "connections", text: text,
      remedy: "more of them: daemon.limits.connections and connections-per-uid; or find who opens "
        + "so many in the log")
  }

  private func openFiles(_ status: DaemonStatus) -> Finding {
    let limits = SmallFile.text(of: "/proc/\(status.pid)/limits") ?? ""
    let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
    guard let most = line?.split(separator: " ").dropFirst(3).first.flatMap({ Int($0) }) else {
      return Finding(
        grade: .doubtful, subject: "open files",
        text: "the daemon's limit cannot be read from here",
        remedy: "run this as root, on the host and not in a container")
    }
    let text = "the daemon may open \(grouped(most))"
    // Where it may open too few, it lets fewer connections in than the file says.
    let wanted = (try? PolicyFile.load(path: status.configPath))?.daemon.limits.connections ?? 0
    guard wanted > status.connectionsMax, most < wanted + Self.filesBesides else {
      return good("open files", text)
    }
    return Finding(
      grade: .doubtful, subject: "open files",
      text: "\(text), too few for \(grouped(wanted)) connections: "
        + "it lets \(grouped(status.connectionsMax)) in",
      remedy:
        "raise LimitNOFILE= in the unit, or ulimit -n, to \(grouped(wanted + Self.filesBesides))"
        + " at least, and restart the daemon")
  }

  private func table(_ table: DaemonStatus.Table) -> Finding {
    let part = percentage(table.live, of: table.slots)
    let text = "\(grouped(table.live)) of \(grouped(table.slots)) slots in use, \(part)"
    guard Double(table.live) > Self.fullPart * Double(table.slots) else {
      return good("\(table.scope) table", text)
    }
    return Finding(
      grade: .doubtful, subject: "\(table.scope) table", text: text,
      remedy: "what finds no room shares a wider bucket; enlarge daemon.table in the policy file")
  }
}
