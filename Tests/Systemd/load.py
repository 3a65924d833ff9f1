"""Clients that go on asking while a daemon is restarted, and count what befalls them."""
import sys
import threading
import time

from container import ROOT

sys.path.insert(0, str(ROOT / "docs"))
from limitd_decoder import HELLO, Client, names_and_cost  # noqa: E402


def ask(client, tenant="acme", policy="default", key=b"k", cost=1, operation="check_by_name"):
    start, names = names_and_cost(tenant, policy, cost)
    return client.ask(operation, start + names + key)


def connect(path, timeout=20):
    client = Client(path, timeout)
    reply = client.ask("hello", HELLO)
    if reply is None:
        raise ConnectionResetError("closed before the hello was answered")
    return client


class Load:
    """Threads that connect, ask a few times, and connect again.

    A connection that ends is no failure, since the daemon that it led to has ended: a client connects
    again. One that is refused is: `refused` lists what the system said. `allowed` units were taken for
    sure; of `unsure` ones nobody was told.
    """

    def __init__(self, path, policy, threads=4, asks=20):
        self.path, self.policy, self.asks = path, policy, asks
        self.refused, self.answered, self.slowest = [], 0, 0.0
        self.allowed, self.unsure = 0, 0
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.is_over.is_set():
            began, answered, allowed, asked = time.monotonic(), 0, 0, 0
            try:
                client = Client(self.path, 20)
            except OSError as error:
                with self.lock:
                    self.refused.append(repr(error))
                continue
            try:
                if client.ask("hello", HELLO) is not None:
                    for _ in range(self.asks):
                        asked += 1
                        reply = ask(client, policy=self.policy)
                        if reply is None or reply["operation"] == 0xFF:
                            break
                        answered += 1
                        allowed += reply["outcome"] == 0
            except Exception as error:
                # The end of a daemon may cut a reply short; a time-out may not happen at all.
                if isinstance(error, TimeoutError):
                    with self.lock:
                        self.refused.append("no answer in 20 s")
            client.socket.close()
            with self.lock:
                self.answered += answered
                self.allowed += allowed
                self.unsure += asked - answered
                if answered:
                    self.slowest = max(self.slowest, time.monotonic() - began)

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join(60)
