"""What the end-to-end tests share: the real daemon as a child process, in a folder of its own.

Every wait is for a condition and has an end; only processes started here are ended.
"""
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))
from limitd_decoder import HELLO, Client, frame, names_and_cost  # noqa: E402,F401

BINARIES = pathlib.Path(os.environ.get("LIMITD_BINARIES", ROOT / ".build/release"))
# One unit a day: a bucket of N admits exactly N in a test.
POLICY = """
limits:
  few: {algorithm: token-bucket, rate: 1/1d, burst: 5, scope: key}
  many: {algorithm: token-bucket, rate: 1/1d, burst: 1M, scope: tenant}
  held: {algorithm: concurrency, limit: 2, scope: tenant}
policies:
  few: [few]
  many: [many]
  held: [held]
tenants:
  "*": {}
  banned: {blocked: true}
  free: {unlimited: true}
"""
ALLOW, DENY = 0, 1


def wait_until(condition, what, seconds=10):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.01)


class Daemon:
    """limitd on a socket of its own."""

    def __init__(self, test, policy=POLICY, daemon="", flags=(), shell_prefix="", start=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="limitd-"))
        test.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        test.addCleanup(self.kill)
        self.socket, self.config = self.folder / "s", self.folder / "limitd.yaml"
        self.log_path = self.folder / "log"
        self.daemon, self.flags, self.shell_prefix = daemon, list(flags), shell_prefix
        self.process = None
        self.write(policy)
        if start:
            self.start()

    def write(self, policy):
        self.config.write_text(policy + ("\ndaemon:\n" + self.daemon if self.daemon else ""))

    def spawn(self):
        command = [str(BINARIES / "limitd"), "--config", str(self.config),
                   "--state-dir", str(self.folder)]
        if "--socket" not in self.flags:
            command += ["--socket", str(self.socket)]
        command += self.flags
        if self.shell_prefix:
            command = ["sh", "-c", f'{self.shell_prefix}; exec "$@"', "sh", *command]
        self.process = subprocess.Popen(command, stderr=open(self.log_path, "ab"))
        return self.process

    def start(self):
        self.spawn()
        wait_until(lambda: self.answers() or self.process.poll() is not None, "the daemon serves")
        assert self.process.poll() is None, self.log()

    def answers(self):
        try:
            return Client(self.socket).ask("hello", HELLO)["operation"] == 0x81
        except (OSError, TypeError):
            return False

    def log(self):
        return self.log_path.read_text()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=10):
        """Ends the daemon as systemd would; its exit code and how long it took."""
        start = time.monotonic()
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds), time.monotonic() - start

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def reload(self, policy):
        self.write(policy)
        before = self.log().count("eloaded")
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.log().count("eloaded") > before, "the reload")

    def processor_ticks(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def resident_kib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def descriptor_count(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def client(self, timeout=10):
        """A connection that has had its hello."""
        client = Client(self.socket, timeout)
        assert client.ask("hello", HELLO)["operation"] == 0x81
        return client


def check(client, tenant, policy, key=b"k", cost=1, operation="check_by_name"):
    start, names = names_and_cost(tenant, policy, cost)
    return client.ask(operation, start + names + key)


def bind(client, tenant, policy, handle=0):
    _, names = names_and_cost(tenant, policy)
    sizes = struct.pack("<HBB", handle, len(tenant), len(policy))
    return client.ask("bind", sizes + names)


class EndToEnd(unittest.TestCase):
    """A test with daemons."""

    def daemon(self, *arguments, **options):
        return Daemon(self, *arguments, **options)

    def assertClosed(self, client):
        """The peer closes, after whatever it says."""
        said = []
        while True:
            try:
                reply = client.receive()
            except ConnectionError:
                return said
            if reply is None:
                return said
            said.append(reply)
