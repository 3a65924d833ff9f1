// Who is at the other end of a socket. Any thread.

import CLinux

extension Peer {
  private static let groupsMax: Int32 = 1024

  /// Who is at the other end of a connected Unix socket; `nil` where the kernel does not say.
  package init?(of socket: Int32) {
    var credentials = limitd_peer()
    guard limitd_peer_credentials(socket, &credentials) == 0 else { return nil }
    var groups = [credentials.gid]
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: Int(Self.groupsMax)) { memory in
      let count = limitd_peer_groups(socket, memory.baseAddress!, Self.groupsMax)
      groups.append(contentsOf: memory.prefix(max(0, Int(count))))
    }
    self.init(processID: credentials.pid, userID: credentials.uid, groupIDs: groups)
  }
}
