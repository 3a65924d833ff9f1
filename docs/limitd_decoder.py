"""A second, independent decoder of limitd's decision protocol, written from docs/PROTOCOL.md.

    limitd_decoder.py SOCKET TENANT POLICY KEY    ask a running daemon, and print what it says
"""
import socket
import struct
import sys

OPERATIONS = {1: "hello", 2: "ping", 3: "bind", 4: "check", 5: "peek", 6: "acquire", 7: "release",
              8: "settle", 9: "batch", 0x44: "check_by_name", 0x45: "peek_by_name",
              0x46: "acquire_by_name", 0x48: "settle_by_name", 0x7E: "set_clock"}
HELLO = b"LMTD" + struct.pack("<HH", 1, 0) + b"python"
NUMBERS = {name: number for number, name in OPERATIONS.items()}


def frame(operation, request_id, body=b""):
    return struct.pack("<II", len(body) + 8 | operation << 24, request_id) + body


def header(data):
    word, request_id = struct.unpack_from("<II", data)
    return word & 0xFFFFFF, word >> 24, request_id


def decode_receipt(data):
    return dict(zip(("tag", "decided_at", "charged", "shadow", "escalated", "mac"),
                    struct.unpack("<IQHHIQ", data)))


def decode_decision(data):
    outcome, reason, flags, limit = struct.unpack_from("<4B", data)
    numbers = struct.unpack_from("<4Q", data, 32)
    return {"outcome": outcome, "reason": reason, "flags": flags, "limit": limit,
            "receipt": decode_receipt(data[4:32]),
            **dict(zip(("capacity", "remaining", "retry_after", "reset_after"), numbers))}


def decode_query(name, body):
    word, rest = struct.unpack_from("<Q", body)[0], body[8:]
    fields = {"cost": word >> 16}
    if name.startswith("settle"):
        fields["actual"] = struct.unpack_from("<Q", rest)[0]
        fields["receipt"], rest = decode_receipt(rest[8:36]), rest[36:]
    if not name.endswith("by_name"):
        return {**fields, "handle": word & 0xFFFF, "key_hex": rest.hex()}
    tenant, policy = word & 0xFF, word >> 8 & 0xFF
    return {**fields, "tenant": rest[:tenant].decode(),
            "policy": rest[tenant:tenant + policy].decode(),
            "key_hex": rest[tenant + policy:].hex()}


def decode_items(body):
    count, place, items = struct.unpack_from("<H", body)[0], 4, []
    for _ in range(count):
        word, length = struct.unpack_from("<QH", body, place)
        key = body[place + 10:place + 10 + length]
        items.append({"handle": word & 0xFFFF, "cost": word >> 16,
                      "key_hex": key.hex()})
        place += 10 + length
    return items


def decode_request(data):
    length, operation, request_id = header(data)
    name, body = OPERATIONS[operation], data[8:length]
    fields = {"length": length, "operation": operation, "id": request_id}
    if name == "hello":
        major, minor = struct.unpack_from("<HH", body, 4)
        return {**fields, "major": major, "minor": minor, "client": body[8:].decode()}
    if name == "bind":
        handle, tenant, policy = struct.unpack_from("<HBB", body)
        return {**fields, "handle": handle, "tenant": body[4:4 + tenant].decode(),
                "policy": body[4 + tenant:4 + tenant + policy].decode()}
    if name in ("release", "set_clock"):
        number = struct.unpack("<Q", body)[0]
        return {**fields, "permit" if name == "release" else "nanoseconds": number}
    if name == "batch":
        return {**fields, "items": decode_items(body)}
    return fields if name == "ping" else {**fields, **decode_query(name, body)}


def decode_reply(data):
    length, operation, request_id = header(data)
    body, fields = data[8:length], {"length": length, "operation": operation, "id": request_id}
    if operation == 0xFF:
        return {**fields, **dict(zip(("code", "detail"), struct.unpack_from("<HH", body))),
                "text": body[4:].decode()}
    name = OPERATIONS[operation - 0x80]
    if name == "hello":
        names = ("major", "minor", "capabilities", "frame_bytes_max", "batch_items_max",
                 "key_bytes_max", "handles", "permits_max", "roles")
        return {**fields, **dict(zip(names, struct.unpack_from("<HHIIHHHHB", body, 4))),
                "daemon": body[28:].decode()}
    if name == "bind":
        handle, count, _, tag = struct.unpack_from("<HBBI", body)
        place, limits = 8, []
        for _ in range(count):
            algorithm, scope, length, unit = struct.unpack_from("<4B", body, place)
            text, place = body[place + 4:place + 4 + length + unit], place + 4 + length + unit
            limits.append({"algorithm": algorithm, "scope": scope,
                           "name": text[:length].decode(), "unit": text[length:].decode()})
        return {**fields, "handle": handle, "tag": tag, "limits": limits}
    if name == "batch":
        count = struct.unpack_from("<H", body)[0]
        items = [decode_decision(body[8 + 64 * i:72 + 64 * i]) for i in range(count)]
        return {**fields, "items": items}
    if name.split("_")[0] in ("check", "peek", "acquire"):
        fields.update(decode_decision(body))
        if name.startswith("acquire"):
            fields["permit"] = struct.unpack_from("<Q", body, 64)[0]
    return fields


class Client:
    """One connection: `send` any number of requests, then `receive` their replies in order."""

    def __init__(self, path, timeout=5):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")

    def send(self, name, body=b"", request_id=1):
        self.socket.sendall(frame(NUMBERS.get(name, name), request_id, body))

    def receive(self):
        start = self.stream.read(8)
        return decode_reply(start + self.stream.read(header(start)[0] - 8)) if start else None

    def ask(self, name, body=b"", request_id=1):
        self.send(name, body, request_id)
        return self.receive()


def names_and_cost(tenant, policy, cost=1):
    low = len(tenant.encode()) | len(policy.encode()) << 8
    return struct.pack("<Q", low | cost << 16), (tenant + policy).encode()


if __name__ == "__main__":
    connection = Client(sys.argv[1])
    print(connection.ask("hello", HELLO))
    start, names = names_and_cost(sys.argv[2], sys.argv[3])
    print(connection.ask("check_by_name", start + names + sys.argv[4].encode()))
