#!/usr/bin/env python3
"""Makes examples/sample-trace.csv: ten minutes of made-up traffic for examples/policy.yaml.

    python3 examples/make-sample-trace.py > examples/sample-trace.csv

The same seed always makes the same file. Each part shows something the policy does:

    school-12   a free tenant whose class starts at 09:03: one burst beyond api-burst
    shop-bot    one key that asks 25 times a second: denied by user-rps, others of its tenant are not
    acme        a pro tenant with plain traffic: never denied
    district-7  LLM calls past the soft threshold of its token budget, and now and then beyond it
    tutor-app   a free tenant whose LLM calls do not fit its budget, one of them never
    banned-co   blocked
    internal    unlimited: counted, never denied
"""

import random
import sys

START = 1_772_442_000_000  # 2026-03-02T09:00:00Z in milliseconds
MINUTE = 60_000

dice = random.Random(20260302)
rows = []


def add(at, tenant, policy, key, cost=1):
    """One row, `at` milliseconds after the start."""
    if 0 <= at < 10 * MINUTE:
        rows.append((START + int(at), tenant, policy, key, cost))


def stream(tenant, policy, keys, per_minute, first=0, last=10 * MINUTE, cost=lambda: 1):
    """Calls at random times, so many per minute, by keys drawn unevenly."""
    at = first
    while True:
        at += dice.expovariate(per_minute / MINUTE)
        if at >= last:
            return
        key = keys[min(int(dice.expovariate(3 / len(keys))), len(keys) - 1)]
        add(at, tenant, policy, key, cost())


def people(prefix, count):
    return [f"{prefix}{number:03d}" for number in range(1, count + 1)]


stream("acme", "gateway", people("user-", 40), 150)
stream("internal", "gateway", ["backup", "monitor"], 20)
stream("internal", "gateway", ["backup"], 1500, 6 * MINUTE, 6 * MINUTE + 12_000)
stream("banned-co", "gateway", ["scraper"], 12)
stream("school-12", "gateway", people("pupil-", 60), 20)
stream("school-12", "gateway", people("pupil-", 60), 9000, 3 * MINUTE, 3 * MINUTE + 5_000)
stream("shop-bot", "gateway", ["checkout", "search"], 25)
for tick in range(25 * 30):
    add(5 * MINUTE + tick * 40, "shop-bot", "gateway", "crawler")
stream(
    "district-7", "chat", people("teacher-", 30), 60, cost=lambda: dice.randint(30_000, 130_000))
stream("tutor-app", "chat", people("learner-", 12), 25, cost=lambda: dice.randint(1_000, 9_000))
add(8 * MINUTE + 500, "tutor-app", "chat", "learner-001", 250_000)

rows.sort(key=lambda row: row[0])
sys.stdout.write("time,tenant,policy,key,cost\n")
for milliseconds, tenant, policy, key, cost in rows:
    second, part = divmod(milliseconds, 1000)
    sys.stdout.write(f"{second}.{part:03d},{tenant},{policy},{key},{cost}\n")
