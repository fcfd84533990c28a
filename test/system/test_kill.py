"""kill -9: nothing that was acknowledged is lost, nothing is torn."""
import os
import signal
import socket
import threading
import time

import pytest

from harness import Sink, open_path, site, tool, wait_until

ROUNDS = 3  # of one daemon, and of one process of the tests
PARTS = 17 if os.environ.get("SENDQ_LONG") else 1
CLIENTS = 20
IN_HAND = 15
BODY = b"".join(b"%04d " % n + b"k" * 60 + b"\r\n" for n in range(60))


class Client(threading.Thread):
    """Sends one message after the other and notes what was acknowledged."""

    def __init__(self, port, number, round_number):
        super().__init__(daemon=True)
        self.port = port
        # Others that were killed may have left theirs in the spool.
        self.name_of = f"p{os.getpid()}r{round_number}c{number}"
        self.acknowledged = []
        self.is_in_hand = False  # between DATA and 250
        self.is_stopped = False

    def run(self):
        count = 0
        while not self.is_stopped:
            try:
                with socket.create_connection(("127.0.0.1", self.port),
                                              5) as s, s.makefile("rb") as f:
                    s.settimeout(10)
                    while not self.is_stopped:
                        self.message(s, f, f"{self.name_of}n{count}")
                        count += 1
            except (OSError, EOFError):
                self.is_in_hand = False
                count += 1
                time.sleep(0.05)

    def expect(self, f, code):
        while True:
            line = f.readline()
            if not line.startswith(code):
                raise EOFError(line)
            if line[3:4] != b"-":
                return

    def message(self, s, f, name):
        if not getattr(self, "greeted", None) is s:
            self.expect(f, b"220")
            s.sendall(b"EHLO c\r\n")
            self.expect(f, b"250")
            self.greeted = s
        s.sendall(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<%s@ship7.test>\r\n"
                  b"DATA\r\n" % name.encode())
        self.expect(f, b"250")
        self.expect(f, b"250")
        self.expect(f, b"354")
        self.is_in_hand = True
        s.sendall(b"Subject: %s\r\n\r\n" % name.encode() + BODY)
        # Now and then the end comes late, so that many are in the middle.
        time.sleep(0.1)
        s.sendall(b".\r\n")
        self.expect(f, b"250")
        self.is_in_hand = False
        self.acknowledged.append(name)


def load(d, round_number):
    clients = [Client(d.port, n, round_number) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    wait_until("acknowledged mail",
               lambda: sum(len(c.acknowledged) for c in clients) > 40)
    wait_until("clients between DATA and 250",
               lambda: sum(c.is_in_hand for c in clients) >= IN_HAND)
    return clients


def finish(clients):
    for client in clients:
        client.is_stopped = True
    for client in clients:
        client.join(20)
        assert not client.is_alive()
    return {name for c in clients for name in c.acknowledged}


def fetch_all(d, acknowledged, far):
    """Releases everything and looks at what arrives."""
    def empty():
        tool("sendq", f"127.0.0.1:{d.port}", "ship7.test", check=False)
        wait_until("a run", lambda: "is empty" in d.run("mailq").stdout or
                   "host-failed" in d.log(), 60)
        return "is empty" in d.run("mailq").stdout
    wait_until("an empty queue", empty, 60)
    arrived = {}
    for _, recipients, content in far.messages:
        name = recipients[0].split("@")[0]
        arrived[name] = arrived.get(name, 0) + 1
        body = b"Subject: %s\r\n\r\n" % name.encode() + BODY
        assert content.endswith(body), f"{name} is torn"
        assert content.count(b"Received:") == 1
    lost = acknowledged - set(arrived)
    assert not lost, f"{len(lost)} of {len(acknowledged)} lost"
    return arrived


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("role", ["receive", "queue", "deliver", "control",
                                  "spawner", "master", "all"])
def test_kill(daemon, tmp_path_factory, role, part):
    """All parts of a role have one spool, one after the other."""
    far = Sink()
    spool = open_path(tmp_path_factory.getbasetemp()) / f"kill-{role}"
    d = daemon("holder", site("ship7", "ship7.test",
                              f"smtp://127.0.0.1:{far.port}") +
               f'spool = "{spool}"\nretry-min = "1s"\n')
    acknowledged = set()
    try:
        for round_number in range(part * ROUNDS, (part + 1) * ROUNDS):
            clients = load(d, round_number)
            if role == "all":
                d.kill_all()
            elif role == "master":
                pids = d.children().values()
                d.process.kill()
                d.process.wait()
                wait_until("children to follow", lambda p=list(pids):
                           not any(os.path.exists(f"/proc/{n}") and
                                   open(f"/proc/{n}/stat").read()
                                   .rsplit(")", 1)[1].split()[0] != "Z"
                                   for n in p))
            else:
                # A dead queue role takes all with it; others go alone.
                mark = d.log_size()
                os.kill(d.children()[role], signal.SIGKILL)
                wait_until("the child's end",
                           lambda m=mark: "child-ended" in d.log(m))
                wait_until("a new child", lambda: role in d.children())
            if role in ("all", "master"):
                acknowledged |= finish(clients)
                d.start()
            else:
                before = sum(len(c.acknowledged) for c in clients)
                wait_until("mail again", lambda c=clients, b=before:
                           sum(len(x.acknowledged) for x in c) > b + 20)
                acknowledged |= finish(clients)
            assert acknowledged
        arrived = fetch_all(d, acknowledged, far)
        assert all(n == 1 for n in arrived.values())
    finally:
        far.stop()


@pytest.mark.parametrize("part", range(PARTS))
def test_kill_deliver_in_a_run(daemon, part):
    """Mail in hand when the deliver role dies comes again; none is lost."""
    slow = threading.Event()
    far = Sink(lambda verb, _: slow.wait(0.05) and None if verb == "DOT"
               else None)
    d = daemon("holder", site("ship7", "ship7.test",
                              f"smtp://127.0.0.1:{far.port}") +
               'retry-min = "1s"\n')
    try:
        for n in range(60):
            d.send("a@x.test", [f"n{n}@ship7.test"], b"Subject: %d\r\n\r\n" %
                   n + BODY)
        for _ in range(ROUNDS):
            tool("sendq", f"127.0.0.1:{d.port}", "ship7.test")
            before = len(far.messages)
            wait_until("some mail", lambda b=before: len(far.messages) > b + 3)
            os.kill(d.children()["deliver"], signal.SIGKILL)
            wait_until("a new child", lambda: "deliver" in d.children())
        slow.set()
        wait_until("all mail", lambda: {
            m[1][0] for m in far.messages} == {
                f"n{n}@ship7.test" for n in range(60)} or
            (tool("sendq", f"127.0.0.1:{d.port}", "ship7.test",
                  check=False), time.sleep(1))[1], 90)
        for m in far.messages:
            assert m[2].endswith(BODY)
    finally:
        slow.set()
        far.stop()
