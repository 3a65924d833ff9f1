#!/usr/bin/env python3
"""Completes a command line in an interactive fish on a terminal of its own; exits 0 where EXPECTED
was drawn.

    complete_in_fish.py FISH SCRIPT LINE EXPECTED
"""
import os
import pty
import select
import signal
import sys
import time

fish, script, line, expected = sys.argv[1:]
SECONDS = 30
PROMPT = b"ready> "

child, terminal = pty.fork()
if child == 0:
    os.environ["TERM"] = "dumb"
    os.execv(fish, [fish, "--no-config", "-C",
                    f"source '{script}'; function fish_prompt; echo -n '{PROMPT.decode()}'; end"])


def drawn_until(wanted):
    """What is drawn up to `wanted`, or until the time is up."""
    drawn, end = b"", time.monotonic() + SECONDS
    while wanted not in drawn and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                drawn += os.read(terminal, 1 << 16)
            except OSError:
                break
    return drawn


drawn_until(PROMPT)
os.write(terminal, line.encode() + b"\t")
drawn = drawn_until(expected.encode())
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
print(repr(drawn))
sys.exit(0 if expected.encode() in drawn else 1)
