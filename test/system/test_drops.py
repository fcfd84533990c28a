"""Connections that end, fall silent or are refused at every moment of a
session, on both sides: nothing is lost, nothing is torn, and at most the one
message in doubt comes twice. All cases run at the same time, each with a
domain and a far end of its own."""
import itertools
import re
import socket
import struct
import threading
import time

import pytest

from far import CLOSE, RESET, SILENCE, Far
from harness import (RELAY, Daemon, Raw, Sink, below_trace, open_path, site,
                     wait_until)

WAIT = 1.0  # retry-min, in seconds
MOMENTS = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY", "DOT", "NEXT",
           "MAIL2", "RCPT2", "DATA2", "BODY2", "DOT2", "QUIT")
HOWS = {"reset": RESET, "close": CLOSE, "silence": SILENCE,
        "421": b"421 4.3.2 far.test closing\r\n"}
CASES = {f"{moment.lower()}-{how}": (moment, act)
         for moment, (how, act) in itertools.product(MOMENTS, HOWS.items())}
MESSAGES = 3


def body(n):
    return (b"Subject: %d\r\n\r\n" % n +
            b"".join(b".%d line %d of it\r\n" % (n, i) for i in range(3000)) +
            b"end of %d\r\n" % n)


def plan_of(moment, act):
    """Does ACT at MOMENT of the first session; "2": of its second message."""
    wanted = 2 if moment.endswith("2") else 1
    name, met = moment.rstrip("2"), []

    def plan(now, argument, number):
        if number > 0 or now != name:
            return None
        met.append(now)
        return act if len(met) == wanted else None
    return plan


def settings_of(fars, hold):
    sites = ", ".join(
        f'{{ name = "{name}", domains = [ "{name}.test" ], '
        f'hold = {str(hold).lower()}, '
        f'route = "smtp://127.0.0.1:{far.port}", '
        f'from = [ "127.0.0.0/8" ] }}' for name, far in fars.items())
    return f'''
retry-min = "1s"
retry-max = "1s"
greeting-timeout = "2s"
data-timeout = "2s"
block-timeout = "2s"
dot-timeout = "2s"
deliveries-host-max = 1
log-level = "detail"
site = ( {sites} )
'''


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    """A daemon with a site for each case. They are held until all messages are
    in, so that each site's messages go over one connection."""
    fars = {name: Far(plan_of(*what)) for name, what in CASES.items()}
    d = Daemon(open_path(tmp_path_factory.mktemp("drops")), "drops",
               settings_of(fars, hold=True))
    d.start()
    d.fars = fars
    contents = [body(n) for n in range(MESSAGES)]
    stuffed = [re.sub(rb"(?m)^\.", b"..", c) for c in contents]
    with Raw(d.port) as r:
        r.ask("EHLO c")
        for name in CASES:
            for n in range(MESSAGES):
                r.send(f"MAIL FROM:<>\r\nRCPT TO:<u{n}@{name}.test>\r\n"
                       "DATA\r\n")
                r.send(stuffed[n] + b".\r\n")
                assert [r.reply()[:3] for _ in range(4)] == \
                    ["250", "250", "354", "250"]
    d.stop()
    d.write_config(settings_of(fars, hold=False))
    d.start()
    yield d
    d.stop()
    for far in fars.values():
        far.stop()


@pytest.mark.parametrize("name", CASES)
def test_delivery(sender, name):
    moment, act = CASES[name]
    far = sender.fars[name]
    wait_until("empty", lambda: f"@{name}.test" not in
               sender.run("mailq").stdout)
    got = sorted(m[1][0] for m in far.messages)
    whole = [f"u{n}@{name}.test" for n in range(MESSAGES)]
    # Nothing is lost, and nothing is torn.
    assert set(got) == set(whole)
    for m in far.messages:
        n = int(m[1][0][1])
        assert below_trace(m[2]) == body(n).replace(b"\r\n", b"\n")
    # Twice at most what had its dot and no reply.
    in_doubt = moment.startswith("DOT") and act in (RESET, CLOSE, SILENCE)
    assert len(got) == len(whole) + in_doubt
    check_back_off(sender, name, moment, act)


def check_back_off(sender, name, moment, act):
    """A host in trouble is left alone for a while; one that has done its work
    and hangs up before it answers the next MAIL is not in trouble."""
    far = sender.fars[name]
    sessions = [at for at, _ in far.moments("GREETING")]
    is_at_ease = moment == "QUIT" or (
        moment in ("NEXT", "MAIL2") and act != SILENCE)
    if moment == "EHLO" and act in (RESET, CLOSE):
        # Once more with HELO at once: RFC 5321 3.2.
        assert sessions[1] - sessions[0] < WAIT * 0.9
        return
    failed = [line for line in sender.log().splitlines()
              if "session-failed" in line and f"=site:{name} " in line]
    assert bool(failed) == (not is_at_ease), failed
    if len(sessions) > 1 and not is_at_ease:
        last = max(at for at, number, _, _ in far.seen if number == 0)
        assert sessions[1] - last > WAIT * 0.9
    if len(sessions) > 1 and is_at_ease:
        assert sessions[1] - sessions[0] < WAIT * 0.9


# --- clients that vanish ---

LINES = ("EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<{}@ship.test>", "DATA")
STAGES = {"greeting": 0, "ehlo": 1, "mail": 2, "rcpt": 3, "data": 4,
          "body": 4, "dot": 4, "next": 4}


class Client:
    """Has one message taken, and goes away at STAGE of a second one."""

    def __init__(self, port, stage, how):
        self.name = f"{stage}-{how}"
        self.taken, self.in_doubt = [], []
        self.raw = r = Raw(port)
        if stage != "greeting":
            self.send(r, "first", 4, 0)
            r.send(self.content("first") + b".\r\n")
            assert r.reply().startswith("250")
            self.taken.append(self.user("first"))
            # A second EHLO is allowed (RFC 5321 4.1.4).
            self.send(r, "second", STAGES[stage], 0)
        if stage == "body":
            r.send(self.content("second")[:30000])
        if stage in ("dot", "next"):
            r.send(self.content("second") + b".\r\n")
        if stage == "dot":
            self.in_doubt.append(self.user("second"))
        if stage == "next":
            assert r.reply().startswith("250")
            self.taken.append(self.user("second"))
        if how == "silence":
            return
        r.file.close()
        if how == "reset":
            r.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
        r.socket.close()

    def user(self, which):
        return f"{self.name}-{which}"

    def content(self, which):
        name = self.user(which).encode()
        return b"Subject: " + name + b"\r\n\r\n" + \
            (name * 5 + b"\r\n") * 1000

    def send(self, r, which, count, start):
        for line in LINES[start:count]:
            reply = r.ask(line.format(self.user(which)))
            assert reply[:1] in "23", reply


@pytest.fixture(scope="module")
def taker(tmp_path_factory):
    sink = Sink()
    d = Daemon(open_path(tmp_path_factory.mktemp("taker")), "taker",
               site("ship", "ship.test", f"smtp://127.0.0.1:{sink.port}") +
               'idle-timeout = "1s"\n')
    d.sink = sink
    d.start()
    yield d
    d.stop()
    sink.stop()


def delivered(d, wanted, in_doubt):
    """Releases all, and compares what comes with what was promised."""
    d.run("sendqctl", "release", "ship")
    wait_until("empty", lambda: "is empty" in d.run("mailq").stdout)
    got = [m[1][0].partition("@")[0] for m in d.sink.messages]
    assert len(got) == len(set(got))
    assert set(wanted) <= set(got) <= set(wanted) | set(in_doubt)
    for m in d.sink.messages:
        name = m[1][0].partition("@")[0].encode()
        assert below_trace(m[2]) == b"Subject: " + name + b"\n\n" + \
            (name * 5 + b"\n") * 1000
    d.sink.messages.clear()


def test_clients_that_vanish(taker):
    clients = [Client(taker.port, stage, how) for how in
               ("reset", "close", "silence") for stage in STAGES]
    for c in clients:
        if not c.name.endswith("silence"):
            continue
        reply = c.raw.reply()
        if c.in_doubt and reply.startswith("250"):
            c.taken += c.in_doubt
            reply = c.raw.reply()
        assert reply.startswith("421 4.4.2"), c.name
        assert c.raw.reply() == ""
        c.raw.close()
    delivered(taker, [u for c in clients for u in c.taken],
              [u for c in clients for u in c.in_doubt])


def test_clients_while_the_daemon_ends(taker):
    """421 to each of them, or the reply in hand; what was promised stays."""
    clients = [Client(taker.port, stage, "silence") for stage in STAGES]
    ending = threading.Thread(target=taker.stop)
    ending.start()
    for c in clients:
        if "body" in c.name or "data" in c.name:
            # Content is never answered before its end.
            name = "second"
            rest = c.content(name)
            c.raw.send((rest[30000:] if "body" in c.name else rest) +
                       b".\r\n")
            assert c.raw.reply().startswith("250")
            c.taken.append(c.user(name))
        reply = c.raw.reply()
        if c.in_doubt and reply.startswith("250"):
            c.taken += c.in_doubt
            reply = c.raw.reply()
        assert reply.startswith("421 4.3.2"), c.name
        assert c.raw.reply() == ""
        c.raw.close()
    ending.join()
    taker.start()
    delivered(taker, [u for c in clients for u in c.taken],
              [u for c in clients for u in c.in_doubt])


def test_the_host_that_is_down_is_left_alone(sender, daemon):
    """One failure of a host delays all that goes there, once."""
    tries = []

    def plan(moment, argument, number):
        if moment == "GREETING":
            tries.append(time.monotonic())
        return RESET if number < 2 else None

    far = Far(plan)
    d = daemon("down", RELAY + f'''
retry-min = "1s"
retry-max = "4s"
route = ( {{ domain = "*", to = "smtp://127.0.0.1:{far.port}" }} )
''')
    for n in range(20):
        d.send("", [f"u@d{n}.test"], b"Subject: x\r\n\r\nx\r\n")
    wait_until("mail", lambda: len(far.messages) == 20)
    assert len(far.messages) == 20
    gaps = [b - a for a, b in zip(tries, tries[1:3])]
    assert gaps[0] > 0.9 and gaps[1] > 1.8, gaps
    far.stop()
