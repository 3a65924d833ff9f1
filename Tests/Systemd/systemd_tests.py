#!/usr/bin/env python3
"""limitd's package under a real systemd: installed, activated, reloaded, killed, restarted, upgraded.

    Tests/Systemd/systemd_tests.py PACKAGE NEXT_PACKAGE     two versions of the package, as files

One container for the whole run; the tests go in the order of their names, each from where the one
before left the service.
"""
import ctypes
import json
import os
import pathlib
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from container import ROOT, Container, wait_until  # noqa: E402
from load import Load, ask, connect  # noqa: E402

sys.dont_write_bytecode = True
PACKAGE, NEXT_PACKAGE = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
SOCKET = "/run/limitd/limitd.sock"
ADMIN_SOCKET = "/run/limitd/admin.sock"
CONFIG = "/etc/limitd/limitd.yaml"
DROP_IN = "/etc/systemd/system/limitd.service.d/test.conf"
# One unit a day: a bucket of N admits exactly N in a test.
POLICY = """
limits:
  few: {algorithm: token-bucket, rate: 1/1d, burst: BURST, scope: key}
  many: {algorithm: token-bucket, rate: 1M/s, burst: 1M, scope: key}
  kept: {algorithm: sliding-window, limit: 1G, window: 31d, scope: tenant}
  window: {algorithm: sliding-window, limit: 1G, window: 31d, scope: key}
  held: {algorithm: concurrency, limit: 1, scope: tenant}
policies:
  default: [many]
  few: [few]
  kept: [kept, window]
  held: [held]
tenants:
  "*": {}
"""
ALLOW, DENY = 0, 1
RESTARTS = 100
# Once the container's files are there.
SECONDS_MAX = 300
PTRACE_SEIZE, PTRACE_INTERRUPT, WAIT_ALL = 0x4206, 0x4207, 0x40000000


class StoppedThread:
    """Holds one thread of another process still, until it ends or `release` is called."""

    def __init__(self, thread):
        self.is_held, self.is_over = threading.Event(), threading.Event()
        self.error = None
        # A thread's tracer is one thread too.
        self.tracer = threading.Thread(target=self.hold, args=(thread,), daemon=True)
        self.tracer.start()
        self.is_held.wait(10)
        if self.error:
            raise self.error

    def hold(self, thread):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if libc.ptrace(request, thread, None, None) != 0:
                self.error = OSError(ctypes.get_errno(), f"ptrace of {thread}")
        self.is_held.set()
        while not self.is_over.is_set() and not self.error:
            try:
                # What a tracer does not wait for stays a zombie, and its process with it.
                pid, status = os.waitpid(thread, os.WNOHANG | WAIT_ALL)
            except ChildProcessError:
                return
            if pid and (os.WIFEXITED(status) or os.WIFSIGNALED(status)):
                return
            time.sleep(0.01)

    def release(self):
        self.is_over.set()
        self.tracer.join(10)


class SystemdTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.container = Container(PACKAGE.parent)
        cls.addClassCleanup(cls.container.end)
        cls.run_inside = cls.container.run

    def setUp(self):
        self.socket = str(self.container.path(SOCKET))

    # What the tests share.

    def state(self, unit):
        return self.container.show(unit, "ActiveState")

    def pid(self):
        return int(self.container.show("limitd.service", "MainPID"))

    def serves(self):
        try:
            return ask(connect(self.socket), policy="default")["outcome"] == ALLOW
        except (OSError, TypeError, KeyError):
            return False

    def write_policy(self, burst):
        self.container.write(CONFIG, POLICY.replace("BURST", str(burst)))

    def burst(self):
        """What the limit `few` holds now, by the daemon's word."""
        return ask(connect(self.socket), policy="few", operation="peek_by_name")["capacity"]

    def used(self):
        """What the tenant has of the limits that give nothing back: all of them alike."""
        decision = ask(connect(self.socket), policy="kept", operation="peek_by_name")
        return decision["capacity"] - decision["remaining"]

    def assert_kept(self, before, load):
        """Nothing that was answered is forgotten, and nothing was taken that nobody asked for."""
        taken = self.used() - before
        self.assertLessEqual(load.allowed, taken)
        self.assertLessEqual(taken, load.allowed + load.unsure)
        self.assertGreater(load.allowed, 0)

    def journal(self, *arguments):
        return self.container.run("journalctl", "--no-pager", "--output=cat", *arguments).stdout

    def drop_in(self, text):
        self.container.write(DROP_IN, text)
        self.restart()

    def remove_drop_in(self):
        self.container.run("rm", DROP_IN)
        self.restart()

    def restart(self):
        self.container.run("systemctl", "daemon-reload")
        self.container.run("systemctl", "restart", "limitd")

    # In the order of a service's life.

    def test_01_installing_starts_the_socket_and_not_the_service(self):
        self.container.run("dpkg", "--install", f"/shared/{PACKAGE.name}")
        self.assertEqual(self.state("limitd.socket"), "active")
        self.assertEqual(self.state("limitd.service"), "inactive")
        self.assertEqual(self.container.run("systemctl", "is-enabled", "limitd.socket",
                                            "limitd.service").stdout, "enabled\nenabled\n")
        owner = self.container.run("stat", "-c", "%a %U %G", SOCKET, "/run/limitd").stdout
        self.assertEqual(owner, "660 root limitd-clients\n755 root root\n")

    def test_01b_the_package_brings_its_files_and_needs_little(self):
        names = self.container.run("dpkg-query", "--listfiles", "limitd").stdout.split("\n")
        for name in ("man/man8/limitd.8.gz", "man/man1/limitctl.1.gz", "man/man5/limitd.yaml.5.gz",
                     "bash-completion/completions/limitctl", "zsh/vendor-completions/_limitctl",
                     "fish/vendor_completions.d/limitctl.fish", "doc/limitd/copyright"):
            self.assertIn(f"/usr/share/{name}", names)
        documents = " ".join(names)
        for name in ("README.md", "docs/STATE.md", "docs/ADMIN.md", "docs/decisions/0001-"):
            self.assertIn(f"/usr/share/doc/limitd/{name}", documents)
        self.assertIn(f" {CONFIG} ", self.container.run(
            "dpkg-query", "--show", "--showformat=${Conffiles}\n", "limitd").stdout)
        for user in ("passwd limitd", "group limitd-clients", "group limitd-admins"):
            self.container.shell(f"getent {user}")
        depends = self.container.run(
            "dpkg-query", "--show", "--showformat=${Depends}", "limitd").stdout
        self.assertEqual({part.split()[0] for part in depends.split(",")} -
                         {"libc6", "libgcc-s1", "libstdc++6", "systemd", "zlib1g"},
                         {"libsqlite3-0", "libsystemd0"})

    def test_02_the_first_query_starts_the_service(self):
        self.assertEqual(ask(connect(self.socket))["outcome"], ALLOW)
        self.assertEqual(self.state("limitd.service"), "active")
        owner = self.container.run("stat", "-c", "%a %U %G", "/var/lib/limitd",
                                   "/var/lib/limitd/hash.key").stdout
        self.assertEqual(owner, "700 limitd limitd\n600 limitd limitd\n")
        # The buckets lie in memory of their own, in huge pages where the kernel has them.
        self.assertTrue(self.container.path("/run/limitd.state/limitd.live").exists())
        if pathlib.Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled").exists():
            mounts = self.container.path("/proc/1/mounts").read_text()
            self.assertRegex(mounts, r"tmpfs /run/limitd.state tmpfs \S*huge=advise")
            self.assertRegex(self.container.path(f"/proc/{self.pid()}/smaps").read_text(),
                             r"limitd\.live\n(?:\S+: .*\n)*?VmFlags:.* hg")
        owner = self.container.run("stat", "-c", "%a %U %G", "/run/limitd.state").stdout
        self.assertEqual(owner, "700 limitd limitd\n")
        # The process has no more than its unit says.
        status = self.container.path(f"/proc/{self.pid()}/status").read_text()
        self.assertIn("CapEff:\t0000000000000000", status)
        self.assertIn("NoNewPrivs:\t1", status)
        self.assertIn("Seccomp:\t2", status)

    def test_03_members_of_its_group_may_connect_and_others_may_not(self):
        check = f"limitctl check acme default --socket {SOCKET}"
        self.container.shell(f"setpriv --reuid=nobody --regid=limitd-clients --clear-groups {check}")
        refused = self.container.shell(
            f"setpriv --reuid=nobody --regid=nogroup --clear-groups {check}", check=False)
        self.assertEqual(refused.returncode, 3, refused.stdout)
        self.assertIn("ermission denied", refused.stdout)

    def test_035_administrators_ask_on_the_admin_socket_that_systemd_holds(self):
        owner = self.container.run("stat", "-c", "%a %U %G", ADMIN_SOCKET).stdout
        self.assertEqual(owner, "660 root limitd-admins\n")
        self.assertIn("passed by systemd", self.container.shell("limitctl status").stdout)
        as_nobody = "setpriv --reuid=nobody --clear-groups --regid="
        # In the group: may connect, and has no role yet. Not in it: may not even connect.
        for group, code in (("limitd-admins", 1), ("nogroup", 3)):
            done = self.container.shell(f"{as_nobody}{group} limitctl status", check=False)
            self.assertEqual(done.returncode, code, done.stdout)
        self.assertIn("daemon.access", self.container.shell(
            f"{as_nobody}limitd-admins limitctl status", check=False).stdout)
        self.container.shell("limitctl doctor")
        self.assertIn("limitd_queries_total", self.container.shell("limitctl metrics").stdout)
        self.assertIn("buckets", self.container.shell("limitctl snapshot save").stdout)

    def test_035b_permits_settling_and_changes_at_run_time_work_in_the_sandbox(self):
        before = self.container.path(CONFIG).read_text()
        self.write_policy(5)
        self.container.run("systemctl", "reload", "limitd")
        limitctl = lambda words: self.container.run("limitctl", *words.split()).stdout  # noqa: E731
        self.assertEqual(limitctl("hold acme held -- echo permitted"), "permitted\n")
        receipt = json.loads(limitctl("check acme few --key settled --cost 3 --json"))["receipt"]
        limitctl(f"settle {receipt} 1")

        def left():
            return ask(connect(self.socket), policy="few", key=b"settled",
                       operation="peek_by_name")["remaining"]

        self.assertEqual(left(), 4)
        # SQLite keeps these in the state directory, over a restart.
        limitctl("tenant set acme few.burst=9")
        limitctl("tenant block stranger --reason tried --yes")
        for _ in range(2):
            self.assertEqual(left(), 8)
            self.assertEqual(
                ask(connect(self.socket), tenant="stranger", policy="few")["outcome"], DENY)
            self.container.run("systemctl", "restart", "limitd")
        limitctl("tenant unblock stranger")
        limitctl("tenant unset acme few.burst")
        self.assertEqual(
            ask(connect(self.socket), tenant="stranger", policy="few")["outcome"], ALLOW)
        self.container.write(CONFIG, before)
        self.container.run("systemctl", "reload", "limitd")

    def test_036_the_metrics_socket_serves_metrics_and_nothing_else(self):
        self.assertEqual(self.state("limitd-metrics.socket"), "inactive")
        self.container.run("systemctl", "stop", "limitd.service")
        self.container.run("systemctl", "start", "limitd-metrics.socket")
        self.container.run("systemctl", "start", "limitd.service")
        answers = self.container.shell(
            "for path in metrics v1/status v1/tenants; do exec 3<>/dev/tcp/127.0.0.1/9648; "
            "printf 'GET /%s HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n' $path "
            ">&3; head -n 1 <&3; done").stdout
        self.assertEqual(re.findall(r"HTTP/1.1 (\d+)", answers), ["200", "404", "404"])
        self.container.run("systemctl", "stop", "limitd-metrics.socket")
        self.container.run("systemctl", "restart", "limitd.service")

    def test_04_a_reload_is_in_force_when_systemctl_returns(self):
        for burst in (5, 7, 11, 13, 17):
            self.write_policy(burst)
            self.container.run("systemctl", "reload", "limitd")
            self.assertEqual(self.burst(), burst)
        self.assertEqual(self.state("limitd.service"), "active")

    def test_05_a_bad_file_fails_the_reload_and_changes_nothing(self):
        before, pid = self.burst(), self.pid()
        self.container.write(CONFIG, POLICY.replace("BURST", "many"))
        done = self.container.run("systemctl", "reload", "limitd", check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        # The command's own words, beside the daemon's.
        self.assertIn("limitd.yaml:3:", self.journal("SYSLOG_IDENTIFIER=limitctl", "--lines=20"))
        self.assertIn("limitd.yaml:3:", self.journal("SYSLOG_IDENTIFIER=limitd", "--lines=20"))
        self.assertEqual((self.burst(), self.pid()), (before, pid))
        self.assertEqual(self.state("limitd.service"), "active")
        # The rules of before are in force, whatever a check of the file would have said meanwhile.
        for broken in (True, False):
            if broken:
                self.container.write(CONFIG, "limits: 7\n")
            else:
                self.write_policy(before)
            done = self.container.run("systemctl", "reload", "limitd", check=False)
            self.assertEqual(done.returncode != 0, broken, done.stdout)
            self.assertEqual(self.burst(), before)

    def test_06_the_status_line_says_how_it_does(self):
        # A bucket that lasts: those of the example's limits are over in a moment.
        ask(connect(self.socket), policy="few")
        def status():
            text = self.container.show("limitd.service", "StatusText")
            return text if re.fullmatch(
                r"\d+ named tenants, [1-9]\d* buckets, \d+ decisions/s, \d+ connections",
                text) else None
        wait_until(status, "a status line with buckets")

    def test_07_log_lines_are_entries_with_fields(self):
        said = self.journal("--unit=limitd", "SYSLOG_IDENTIFIER=limitd", "--output=json")
        self.assertIn('"MESSAGE":"serving', said)
        self.assertIn('"POLICIES":"', said)
        self.assertNotEqual(self.journal("SOCKET=passed by systemd"), "")

    def test_071_what_befalls_a_tenant_is_found_by_its_name(self):
        client = connect(self.socket)
        for _ in range(self.burst() + 1):
            outcome = ask(client, tenant="acme", policy="few", key=b"denied")["outcome"]
        self.assertEqual(outcome, DENY)
        denied = "MESSAGE_ID=1a881c028d7a498da30aed9b0b6357e4"
        wait_until(lambda: self.journal("TENANT_ID=acme", denied), "the event in the journal")
        entry = json.loads(self.journal("TENANT_ID=acme", denied, "--output=json").splitlines()[-1])
        self.assertEqual((entry["LIMIT"], entry["REASON"], entry["PRIORITY"]), ("few", "limit", "5"))
        said = self.container.run("limitctl", "events", "--tenant", "acme").stdout
        told = [json.loads(line) for line in said.splitlines()]
        self.assertIn((int(entry["EVENT_ID"]), "denial_started"),
                      [(event["id"], event["kind"]) for event in told])
        self.assertEqual(self.journal("TENANT_ID=nobody"), "")

    def test_08_after_kill_another_serves_and_nobody_is_refused_or_forgotten(self):
        used = self.used()
        load = Load(self.socket, "kept")
        for _ in range(5):
            before = self.pid()
            self.container.run("kill", "-KILL", before)
            wait_until(lambda: self.pid() not in (0, before), "another process")
            wait_until(self.serves, "it serves")
        load.end()
        self.assertEqual(load.refused, [])
        self.assert_kept(used, load)

    def test_09_a_stuck_loop_gets_the_daemon_restarted(self):
        self.drop_in("[Service]\nWatchdogSec=2s\n")
        wait_until(self.serves, "it serves")
        before, used = self.pid(), self.used()
        self.assertGreater(used, 0)
        # A healthy one is left alone for longer than the watchdog's time.
        time.sleep(5)
        self.assertEqual(self.pid(), before)
        process = self.container.host_pid(before)
        threads = {(task / "comm").read_text().strip(): int(task.name)
                   for task in pathlib.Path(f"/proc/{process}/task").iterdir()}
        held = StoppedThread(threads["limitd-loop-0"])
        try:
            wait_until(lambda: self.pid() not in (0, before), "the watchdog's restart")
        finally:
            held.release()
        wait_until(self.serves, "it serves")
        self.assertIn("watchdog", self.journal("--unit=limitd", "--lines=30").lower())
        self.assertEqual(self.used(), used)
        self.remove_drop_in()

    def test_095_a_start_that_takes_long_at_making_tables_is_waited_for(self):
        good = self.container.path(CONFIG).read_text()
        self.drop_in("[Service]\nTimeoutStartSec=2s\n")
        # A gibibyte, which takes long enough to be caught at.
        self.container.write(CONFIG, good + "\ndaemon: {table: {key-slots: 32M}}\n")

        def caught():
            self.container.run("systemctl", "stop", "limitd")
            self.container.run("systemctl", "start", "--no-block", "limitd")
            wait_until(lambda: self.container.show("limitd.service", "StatusText")
                       == "making the tables" or self.state("limitd.service") == "active", "it begins")
            pid = self.pid()
            if pid:
                self.container.run("kill", "-STOP", str(pid), check=False)
            return pid if self.state("limitd.service") == "activating" else None

        pid = wait_until(caught, "a start that can be stopped amid it")
        # Longer than the unit's own time, and shorter than the daemon asked for.
        time.sleep(5)
        self.assertEqual((self.state("limitd.service"), self.pid()), ("activating", pid))
        self.container.run("kill", "-CONT", str(pid))
        wait_until(self.serves, "it serves")
        self.assertEqual(self.pid(), pid)
        self.container.write(CONFIG, good)
        self.remove_drop_in()

    def test_10_restarts_under_load_refuse_nobody_and_forget_nothing(self):
        used = self.used()
        load = Load(self.socket, "kept")
        for _ in range(RESTARTS):
            self.container.run("systemctl", "restart", "limitd")
        answered = load.answered
        wait_until(lambda: load.answered > answered, "answers after the last restart")
        load.end()
        self.assertEqual(load.refused, [])
        self.assertGreater(load.answered, RESTARTS)
        self.assert_kept(used, load)
        print(f"\n{RESTARTS} restarts: {load.answered} answers, the slowest connection "
              f"{load.slowest:.2f} s", file=sys.stderr)

    def test_11_stopping_and_starting_keeps_everything_by_the_snapshot_alone_too(self):
        key, used = self.container.path("/var/lib/limitd/hash.key").read_bytes(), self.used()
        for forgets in ("", "rm /run/limitd.state/*"):
            self.container.run("systemctl", "stop", "limitd.socket", "limitd.service")
            self.assertFalse(pathlib.Path(self.socket).exists())
            if forgets:
                self.container.shell(forgets)
            self.container.run("systemctl", "start", "limitd")
            self.assertTrue(self.serves())
            self.assertEqual(self.used(), used)
        self.assertEqual(self.container.path("/var/lib/limitd/hash.key").read_bytes(), key)

    def test_12_an_upgrade_refuses_nobody_and_keeps_policy_and_state(self):
        before, burst, used = self.pid(), self.burst(), self.used()
        load = Load(self.socket, "kept")
        self.container.run("dpkg", "--install", f"/shared/{NEXT_PACKAGE.name}")
        wait_until(self.serves, "it serves")
        load.end()
        self.assertEqual(load.refused, [])
        self.assertNotIn(self.pid(), (0, before))
        self.assertEqual(self.burst(), burst)
        self.assert_kept(used, load)
        version = self.container.run("dpkg-query", "-W", "-f=${Version}", "limitd").stdout
        self.assertEqual(version, NEXT_PACKAGE.name.split("_")[1])

    def test_13_a_file_that_is_wrong_at_the_start_is_said_and_not_tried_for_ever(self):
        good = self.container.path(CONFIG).read_text()
        self.container.write(CONFIG, "limits: 7\n")
        self.container.run("systemctl", "restart", "limitd", check=False)
        wait_until(lambda: self.state("limitd.service") == "failed", "it fails")
        self.assertEqual(self.container.show("limitd.service", "ExecMainStatus"), "78")
        self.assertIn("limitd.yaml:1:", self.journal("--unit=limitd", "--lines=20"))
        self.container.write(CONFIG, good)
        self.container.run("systemctl", "start", "limitd")
        self.assertTrue(self.serves())

    def test_14_without_the_admin_socket_a_signal_reloads(self):
        self.container.run("systemctl", "stop", "limitd-admin.socket")
        before = self.burst()
        self.write_policy(before + 1)
        self.assertNotEqual(
            self.container.run("systemctl", "reload", "limitd", check=False).returncode, 0)
        self.assertEqual(self.burst(), before)
        self.container.run("systemctl", "kill", "--signal=HUP", "--kill-who=main", "limitd")
        wait_until(lambda: self.burst() == before + 1, "the reload")
        self.container.run("systemctl", "stop", "limitd.service")
        self.container.run("systemctl", "start", "limitd-admin.socket", "limitd.service")

    def test_15_removing_leaves_the_state_and_purging_removes_it(self):
        self.container.run("dpkg", "--remove", "limitd")
        for kept in ("hash.key", "snapshot.1", "snapshot.2"):
            self.assertTrue(self.container.path(f"/var/lib/limitd/{kept}").exists(), kept)
        self.assertTrue(self.container.path(CONFIG).exists())
        self.assertFalse(pathlib.Path(self.socket).exists())
        self.container.run("dpkg", "--purge", "limitd")
        for gone in ("/var/lib/limitd", "/etc/limitd", "/run/limitd", "/run/limitd.state"):
            self.assertFalse(self.container.path(gone).exists(), gone)
        failed = self.container.run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
        self.assertNotIn("limitd", failed.stdout)


if __name__ == "__main__":
    begun = time.monotonic()
    done = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False).result
    took = time.monotonic() - begun - Container.making_seconds
    print(f"{took:.0f} s, and {Container.making_seconds:.0f} s for the container's files",
          file=sys.stderr)
    sys.exit(not done.wasSuccessful() or took > SECONDS_MAX)
