"""A Debian 12 with a real systemd, for one test run: systemd-nspawn over a folder that is kept.

The folder is made once (.build-nspawn/base, by debootstrap); a container sees it under an overlay, so
that nothing of a run stays. Needs root, and a kernel that lets root make namespaces and overlays.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ROOT / ".build-nspawn/base"
# What limitd's package depends on, and what the tests use.
PACKAGES = "systemd,systemd-sysv,dbus,procps,libsqlite3-0"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
               "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "SYSTEMD_PAGER": "cat"}


def wait_until(condition, what, seconds=60):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def make_base():
    """The folder of a Debian with these packages; whole, or not there."""
    made = BASE / "made"
    if made.exists() and made.read_text() == PACKAGES:
        return
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.parent.mkdir(exist_ok=True)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", BASE],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise unittest.SkipTest("debootstrap makes no Debian here: " + done.stdout[-1000:])
    shutil.rmtree(BASE / "var/cache/apt", ignore_errors=True)
    made.write_text(PACKAGES)


class Container:
    """One booted container. `end` it."""
    # How long its files took to be made, where they were not there.
    making_seconds = 0.0

    def __init__(self, shared):
        """`shared`: a folder that it sees as /shared, read-only."""
        for program in ("systemd-nspawn", "debootstrap", "nsenter"):
            if shutil.which(program) is None:
                raise unittest.SkipTest(f"{program} is not installed")
        if os.geteuid() != 0:
            raise unittest.SkipTest("a container of systemd needs root")
        begun = time.monotonic()
        make_base()
        Container.making_seconds = time.monotonic() - begun
        self.log_file = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--directory", BASE, "--volatile=overlay", "--register=no",
             "--keep-unit", "--private-network", f"--machine=limitd-test-{os.getpid()}",
             f"--bind-ro={shared}:/shared", "--boot"],
            cwd="/", stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=subprocess.STDOUT,
            start_new_session=True)
        self.leader = None
        try:
            wait_until(self.has_booted, "the container boots")
        except AssertionError:
            self.end()
            raise
        if self.leader is None:
            self.end()
            raise unittest.SkipTest("systemd-nspawn does not boot here: " + self.log())

    def has_booted(self):
        if self.process.poll() is not None:
            self.leader = None
            return True
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = children.read_text().split()
        if not pids:
            return False
        self.leader = int(pids[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def log(self):
        self.log_file.seek(0)
        return self.log_file.read()[-2000:]

    def run(self, *command, check=True, **options):
        """A command inside, as root; its output as text."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "--wd=/", "--", *map(str, command)],
            cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ends with {done.returncode}:\n{done.stdout}")
        return done

    def shell(self, script, check=True):
        return self.run("bash", "-euc", script, check=check)

    def path(self, inside):
        """A path of the container as the host sees it."""
        return pathlib.Path(f"/proc/{self.leader}/root{inside}")

    def write(self, inside, text):
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        self.path(inside).write_text(text)

    def show(self, unit, what):
        """A property of a unit."""
        return self.run("systemctl", "show", "-P", what, unit).stdout.strip()

    def host_pid(self, pid):
        """The number that the host has for a process of the container."""
        namespace = os.readlink(f"/proc/{self.leader}/ns/pid")
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                    status = pathlib.Path(f"/proc/{entry}/status").read_text()
                    if status.split("NSpid:")[1].split("\n")[0].split()[-1] == str(pid):
                        return int(entry)
            except OSError:
                continue
        return None

    def end(self):
        if self.process.poll() is None:
            # The container's own shutdown; then whatever is left of it goes with its init.
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log_file.close()
