"""A name server with a table of answers, on loopback (RFC 1035)."""
import socket
import struct
import threading

A, NS, SOA, MX, AAAA = 1, 2, 6, 15, 28


def encode_name(name):
    if name in ("", "."):
        return b"\0"
    return b"".join(bytes([len(label)]) + label.encode()
                    for label in name.rstrip(".").split(".")) + b"\0"


def decode_name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


class NameServer:
    """RECORDS: {(name, type): [data]}; MX data is (preference, host), A data
    an address; the value "SERVFAIL" fails. A name with no record of any type
    does not exist."""

    def __init__(self, records):
        self.records = records
        self.questions = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(4096)
                self.socket.sendto(self.answer(packet), peer)
            except OSError:
                return
            except (struct.error, IndexError):
                continue

    def answer(self, packet):
        number = packet[:2]
        name, end = decode_name(packet, 12)
        kind = struct.unpack(">H", packet[end:end + 2])[0]
        self.questions.append((name, kind))
        question = packet[12:end + 4]
        found = self.records.get((name, kind), [])
        code = 0
        if found == "SERVFAIL":
            found, code = [], 2
        elif not any(key[0] == name for key in self.records):
            code = 3
        rows = b"".join(self.row(name, kind, data) for data in found)
        authority = 0
        if not found and code in (0, 3):
            authority = 1
            soa = (encode_name("ns.test") + encode_name("root.test") +
                   struct.pack(">5I", 1, 60, 60, 60, 1))
            rows = (encode_name("test") +
                    struct.pack(">HHIH", SOA, 1, 1, len(soa)) + soa)
        return (number + struct.pack(">HHHHH", 0x8180 | code, 1, len(found),
                                     authority, 0) + question + rows)

    @staticmethod
    def row(name, kind, data):
        if kind == MX:
            body = struct.pack(">H", data[0]) + encode_name(data[1])
        elif kind == A:
            body = socket.inet_aton(data)
        else:
            body = socket.inet_pton(socket.AF_INET6, data)
        return (encode_name(name) + struct.pack(">HHIH", kind, 1, 1,
                                                len(body)) + body)

    def stop(self):
        self.socket.close()
