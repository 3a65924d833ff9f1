#!/usr/bin/env python3
"""Writes the corpora's first inputs, from the golden vectors and the example.

    Fuzz/make-corpus.py     run it after a change of the protocol; crashes that were added stay
"""
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORPUS = ROOT / "Fuzz/corpus"
# The bits of a session's first byte (Fuzz/Targets/Session.swift).
GREETED, SHORT, DRIPPING, RELOADED, NARROW = 1, 2, 4, 8, 16


def write(target, name, data):
    name = "".join(c if c.isalnum() else "-" for c in name)
    (CORPUS / target / name).write_bytes(data)


vectors = json.loads((ROOT / "docs/protocol-vectors.json").read_text())["vectors"]
requests = []
for vector in vectors:
    frame = bytes.fromhex(vector["frame"])
    is_request = vector["direction"] == "request"
    write("frames", f"{vector['direction']} {vector['name']}", bytes([not is_request]) + frame)
    if is_request:
        requests.append(frame)
        write("session", f"one {vector['name']}", bytes([GREETED]) + frame)
for name, way in (("all", GREETED), ("reloaded", GREETED | RELOADED), ("bare", 0),
                  ("dripping", GREETED | DRIPPING | SHORT),
                  ("narrow", GREETED | NARROW | SHORT | RELOADED)):
    write("session", f"every {name}", bytes([way]) + b"".join(requests))

example = (ROOT / "examples/policy.yaml").read_bytes()
write("policy", "example", example)
write("policy", "daemon", b"""limits: {a: {algorithm: concurrency, limit: 2, scope: key}}
policies: {p: [a]}
tenants: {t: {}}
daemon:
  socket: {path: /s, mode: 0660, group: g}
  table: {key-slots: 4M, tenants: 100k}
  limits: {connections: 10k, frame-timeout: 500ms}
  access: [{user: 1, roles: [query, settle], tenants: [t]}]
""")
write("policy", "yaml", b"""x: &a {k: !!str v, ? q : w}
y: *a
<<: *a
z: |
  text
w: >-
  "folded"
---
...
""")
