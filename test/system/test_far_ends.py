"""What far ends may say to us (RFC 5321 and its extensions), point by point.
The number in a test's comment is that of the section of RFC 5321, unless
another is named. What clients may say is in test_protocol.py.

All far ends that answer oddly are served by one daemon at the same time: a
domain, a port and a plan each; a test looks at what became of its own."""
import collections
import re
import socket
import threading

import pytest

from far import CLOSE, OFFERS, RESET, SILENCE, Far
from harness import (RELAY, Daemon, Raw, Sink, below_trace, open_path, site,
                     wait_until, waiting)

PLAIN = b"Subject: x\r\n\r\nbody\r\n"


Case = collections.namedtuple(
    "Case", "plan offers split receive pace settled log back connections")


def case(plan=None, offers=OFFERS, split=False, receive=None, pace=0.0,
         settled=1, log=None, back=None, connections=None):
    """SETTLED messages are taken in the end. LOG is in the log for it. BACK
    is in the notification. CONNECTIONS were needed."""
    return Case(plan, offers, split, receive, pace, settled, log, back,
                connections)


def says(**replies):
    """Says them always; of a list one after the other, the last one for good;
    None is what is usual."""
    counts = collections.Counter()

    def plan(moment, argument, number):
        reply = replies.get(moment)
        if isinstance(reply, list):
            counts[moment] += 1
            reply = reply[min(counts[moment], len(reply)) - 1]
        return reply.encode("latin-1") if reply and reply[-1:] == "\n" \
            else reply
    return plan


def once(**replies):
    """Says each of them in the first session only."""
    return says(**{moment: [reply, None] for moment, reply in replies.items()})


def nobody(moment, argument, number):
    return b"450 4.2.0 later\r\n" if moment == "RCPT" and number == 0 else None


VERBS = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT")


AWAITED = {"GREETING": "greeting", "DOT": "dot"}


def code_of(verb):
    return {"GREETING": "220", "DATA": "354"}.get(verb, "250")


CASES = {
    # 4.2: a client goes by the code; text may be missing ...
    "bare-codes": case(says(**{v: code_of(v) + "\r\n" for v in VERBS},
                            QUIT="221\r\n"), connections=1),
    "codes-and-a-blank": case(says(**{v: code_of(v) + " \r\n" for v in VERBS}),
                              connections=1),
    # ... or go on for several lines with any command.
    "many-lines": case(says(**{v: "{0}-a\r\n{0}-b\r\n{0} c\r\n".format(
        code_of(v)) for v in VERBS}), connections=1),
    "many-bare-lines": case(says(**{v: "{0}-\r\n{0}-\r\n{0}\r\n".format(
        code_of(v)) for v in VERBS}), connections=1),
    "other-2xx": case(says(GREETING="299 hi\r\n", EHLO="210 x\r\n",
                           MAIL="253 x\r\n", RCPT="251 will forward\r\n",
                           DOT="299 took it\r\n"), connections=1),
    "rcpt-252": case(says(RCPT="252 cannot verify\r\n"), connections=1),
    "other-3xx-to-data": case(says(DATA="350 go\r\n"), connections=1),
    "split-in-bytes": case(split=True, connections=1),
    "lower-case-keywords": case(
        offers=("pipelining", "8bitmime", "size 1000000"), connections=1),
    "blanks-in-keywords": case(
        offers=("PIPELINING ", " SIZE  1000000 ", "AUTH=LOGIN", "X"),
        connections=1),
    "eight-bit-text": case(says(**{v: f"{code_of(v)} \xe4\xf6\0\x1b[2J\r\n"
                                   for v in VERBS}), connections=1),
    "long-line": case(says(**{v: f"{code_of(v)} {'y' * 3000}\r\n"
                              for v in VERBS}), connections=1),
    "500-lines": case(says(RCPT="250-x\r\n" * 500 + "250 x\r\n"),
                      connections=1),
    "bare-lf-in-text": case(says(MAIL="250 a\n550 b\r\n"), connections=1),
    # Not SMTP, or not in step: given up, and tried again later.
    "endless-reply": case(once(MAIL="250-x\r\n" * 12000 + "250 x\r\n"),
                          log=r"protocol error", connections=2),
    "no-code": case(once(MAIL="hello there\r\n"), log="protocol error",
                    connections=2),
    "code-600": case(once(RCPT="600 x\r\n"), log="protocol error",
                     connections=2),
    "code-199": case(once(GREETING="199 x\r\n"), log="protocol error",
                     connections=2),
    "code-2500": case(once(MAIL="2500 x\r\n"), log="protocol error",
                      connections=2),
    "mixed-classes": case(once(RCPT="250-x\r\n550 y\r\n"),
                          log="protocol error", connections=2),
    "ssh": case(once(GREETING="SSH-2.0-x\r\n"), log="SSH-2.0", connections=2),
    "unasked-reply": case(once(NEXT="250 and another\r\n"), connections=None),
    "2xx-to-data": case(once(DATA="250 ok\r\n"), log="protocol error",
                        connections=2),
    "3xx-greeting": case(once(GREETING="354 x\r\n"), log="protocol error",
                         connections=2),
    "3xx-ehlo": case(once(EHLO="354 x\r\n"), log="protocol error",
                     connections=2),
    "3xx-mail": case(once(MAIL="354 x\r\n"), log="protocol error",
                     connections=2),
    "3xx-rcpt": case(once(RCPT="354 x\r\n"), log="protocol error",
                     connections=2),
    "3xx-dot": case(once(DOT="354 x\r\n"), log="protocol error",
                    connections=2, settled=1),
    # RFC 2920 3.1: 354 though no recipient was taken wants a lone dot.
    "354-for-nobody": case(nobody, log="4.2.0 later"),
    # 4.1.1.1, 3.2: HELO where EHLO is not known.
    "ehlo-500": case(says(EHLO="500 what\r\n"), connections=1),
    "ehlo-502": case(says(EHLO="502-what\r\n502 is that\r\n"), connections=1),
    "ehlo-550": case(says(EHLO="550 no\r\n"), connections=1),
    "ehlo-reset": case(says(EHLO=RESET), connections=2),
    "ehlo-close": case(says(EHLO=CLOSE), connections=2),
    "ehlo-4xx": case(once(EHLO="451 later\r\n"), log="451 later",
                     connections=2),
    "helo-refused": case(once(EHLO="500 what\r\n", HELO="550 no\r\n"),
                         log="550 no", connections=2),
    # 3.1, RFC 7504: no service today.
    "greeting-554": case(once(GREETING="554 no service\r\n"),
                         log="554 no service", connections=2),
    "greeting-521": case(once(GREETING="521 never\r\n"), log="521 never",
                         connections=2),
    "greeting-450": case(once(GREETING="450 later\r\n"), log="450 later",
                         connections=2),
    # 4.5.3.1.10: 452, or 552 of old, keeps those that were taken.
    "rcpt-452": case(says(RCPT=[None, None, "452 4.5.3 enough\r\n",
                                "452 4.5.3 enough\r\n", None]), settled=2,
                     connections=1),
    "rcpt-552": case(says(RCPT=[None, None, "552 too many\r\n",
                                "552 too many\r\n", None]), settled=2,
                     connections=1),
    "rcpt-552-alone": case(says(RCPT=["552 too many\r\n"] * 4 + [None]),
                           log="552 too many"),
    # 4.2.1: each class.
    "mail-451": case(once(MAIL="451 4.3.0 later\r\n"), log="451 4.3.0 later"),
    "mail-550": case(says(MAIL="550 5.7.1 not you\r\n"), settled=0,
                     back=r"Status: 5\.7\.1"),
    "mail-555": case(says(MAIL="555 5.5.4 what\r\n"), settled=0,
                     back=r"Status: 5\.5\.4"),
    "mail-455": case(once(MAIL="455 4.5.1 not now\r\n"), log="455 4.5.1"),
    "rcpt-455": case(once(RCPT="455 4.5.1 not now\r\n"), log="455 4.5.1",
                     settled=2),
    "rcpt-550": case(says(RCPT="550 5.1.1 who\r\n"), settled=0,
                     back=r"Status: 5\.1\.1"),
    "rcpt-550-bare": case(says(RCPT="550\r\n"), settled=0,
                          back=r"Status: 5\.0\.0"),
    "rcpt-551": case(says(RCPT="551-moved\r\n551 <v@z.test>\r\n"), settled=0,
                     back="551 moved"),
    "rcpt-556": case(says(RCPT="556 5.1.10 null MX\r\n"), settled=0,
                     back=r"Status: 5\.1\.10"),
    "data-451": case(once(DATA="451 later\r\n"), log="451 later"),
    "data-554": case(says(DATA="554 5.3.2 no\r\n"), settled=0,
                     back=r"Status: 5\.3\.2"),
    "dot-452": case(once(DOT="452 4.3.1 full\r\n"), log="452 4.3.1 full"),
    "dot-552": case(says(DOT="552 5.3.4 big\r\n"), settled=0,
                    back=r"Status: 5\.3\.4"),
    "dot-550-many": case(says(DOT="550-5.7.1 a\r\n550-5.7.1 b\r\n"
                                  "550 5.7.1 c\r\n"), settled=0,
                         back=r"550 5\.7\.1 a b c"),
    "status-of-another-class": case(says(RCPT="550 4.1.1 x\r\n"), settled=0,
                                    back=r"Status: 5\.0\.0"),
    # 4.5.3.2: silence, and what was awaited from whom.
    **{f"silent-{v.lower()}": case(
        once(**{v: SILENCE}),
        log=r"127\.0\.0\.1\]?, awaiting " + AWAITED.get(v, v),
        settled=2 if v == "DOT" else 1) for v in VERBS},
    # ... by progress: more time in all than any limit, and never so long
    # without a byte.
    "slow-reader": case(receive=4096, pace=0.0005, connections=1),
    # ... though our own system has taken it all long ago.
    "slow-link": case(receive=4096, pace=0.006, connections=1),
}
RECIPIENTS = ("u", "v", "w", "t")
LINE = b"z" * 998 + b"\r\n"
CONTENT = {"slow-reader": b"Subject: x\r\n\r\n" + LINE * 8000,
           "slow-link": b"Subject: x\r\n\r\n" + LINE * 1000}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One daemon, all the far ends of CASES, and a message for each."""
    fars = {name: Far(c.plan, c.offers, c.split, c.receive, c.pace)
            for name, c in CASES.items()}
    back = Sink()
    rules = [f'{{ domain = "{name}.test", to = "smtp://127.0.0.1:{far.port}" }}'
             for name, far in fars.items()]
    rules.append(
        f'{{ domain = "back.test", to = "smtp://127.0.0.1:{back.port}" }}')
    d = Daemon(open_path(tmp_path_factory.mktemp("odd")), "odd", RELAY + f'''
retry-min = "1s"
retry-max = "1s"
greeting-timeout = "3s"
data-timeout = "3s"
block-timeout = "3s"
dot-timeout = "3s"
log-level = "detail"
route = ( {", ".join(rules)} )
''')
    d.start()
    d.fars, d.back = fars, back
    d.first_ms = {}
    with Raw(d.port) as r:
        r.ask("EHLO c")
        for name in CASES:
            r.send(f"MAIL FROM:<{name}@back.test>\r\n" + "".join(
                f"RCPT TO:<{u}@{name}.test>\r\n" for u in RECIPIENTS) +
                "DATA\r\n")
            assert [r.reply()[:3] for _ in range(6)] == \
                ["250"] * 5 + ["354"]
            r.send(CONTENT.get(name, PLAIN) + b".\r\n")
            assert r.reply().startswith("250")
    yield d
    d.stop()
    for far in fars.values():
        far.stop()
    back.stop()


@pytest.mark.parametrize("name", CASES)
def test_far_end_that_says(odd, name):
    c, far = CASES[name], odd.fars[name]
    sender = f"{name}@back.test"
    if c.back:
        found = wait_until("notification", lambda: [
            m for m in list(odd.back.messages) if m[1] == [sender]])
        assert len(found) == 1 and found[0][0] == ""
        assert re.search(c.back, found[0][2].decode("utf-8", "replace"))
    wait_until("mail", lambda: len(far.messages) == c.settled, 15)
    wanted = {f"{u}@{name}.test" for u in RECIPIENTS} if c.settled else set()
    assert {u for m in far.messages for u in m[1]} == wanted
    content = CONTENT.get(name, PLAIN).replace(b"\r\n", b"\n")
    for m in far.messages:
        assert m[0] == sender and below_trace(m[2]) == content
    wait_until("settled", lambda: f"@{name}.test" not in
               odd.run("mailq").stdout)
    if c.log:
        lines = [line for line in odd.log().splitlines()
                 if f"@{name}.test" in line or f":{far.port}" in line]
        assert any(re.search(c.log, line) for line in lines), lines
    if c.connections == 1:
        assert far.connections == 1, far.seen
    elif c.connections:
        # The host may be free again before the message is due.
        assert far.connections in (2, 3), far.seen


def test_what_was_said_to_old_servers(odd):
    """HELO after EHLO was refused or the connection was lost over it."""
    for name in ("ehlo-500", "ehlo-close"):
        far = odd.fars[name]
        wait_until("mail", lambda far=far: far.messages)
        verbs = [moment for _, _, moment, _ in far.seen]
        assert "HELO" in verbs
        mail = [argument for _, _, moment, argument in far.seen
                if moment == "MAIL"]
        assert mail == [f"From:<{name}@back.test>"]


def test_quit_after_554_and_none_after_521(odd):
    for name, is_quit in (("greeting-554", True), ("greeting-521", False)):
        far = odd.fars[name]
        wait_until("mail", lambda far=far: far.messages)
        first = [moment for _, number, moment, _ in far.seen if number == 0]
        assert first == ["GREETING"] + ["QUIT"] * is_quit


def test_lone_dot_where_nobody_is_there(odd):
    far = odd.fars["354-for-nobody"]
    wait_until("mail", lambda: far.messages)
    assert b".\r\n" in far.raw or len(far.raw) == len(far.messages)


def test_pipelining_only_where_it_is_offered(daemon):
    """RFC 2920 3.1: a group ends with DATA; without the keyword one command
    at a time."""
    seen = {}

    def serve(name, offers):
        far = Far(offers=offers)
        listener = socket.create_server(("127.0.0.1", 0))

        def run():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 x\r\n")
                connection.recv(65536)
                connection.sendall(b"250-x\r\n250 " + offers + b"\r\n")
                connection.settimeout(0.5)
                got = b""
                try:
                    while True:
                        got += connection.recv(65536)
                except TimeoutError:
                    seen[name] = got
        far.stop()
        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1]

    ports = {"yes": serve("yes", b"PIPELINING"), "no": serve("no", b"SIZE")}
    rules = ", ".join(f'{{ domain = "{n}.test", to = "smtp://127.0.0.1:{p}" }}'
                      for n, p in ports.items())
    d = daemon("groups", RELAY + f"route = ( {rules} )\n")
    for name in ports:
        d.send("a@x.test", [f"u@{name}.test", f"v@{name}.test"], PLAIN)
    wait_until("groups", lambda: len(seen) == 2)
    assert seen["yes"] == (b"MAIL From:<a@x.test>\r\nRCPT To:<u@yes.test>\r\n"
                           b"RCPT To:<v@yes.test>\r\nDATA\r\n")
    assert re.fullmatch(rb"MAIL From:<a@x\.test> SIZE=\d+\r\n", seen["no"])


# --- 4.5.2, 2.3.8: never out ---

def dotted():
    """Contents whose dots fall on every boundary of every size of block."""
    for unit in (b".\r\n", b"..\r\n", b"\r\n", b"a\r\n.", b".a.\r\n"):
        for shift in range(len(unit)):
            body = b"x" * shift + b"\r\n" + unit * (70000 // len(unit) * 2)
            yield b"Subject: d\r\n\r\n" + body + b"\r\n" * (
                not body.endswith(b"\r\n"))


def test_dots_at_every_boundary(daemon):
    far = Far()
    d = daemon("dots", RELAY + 'route = ( { domain = "*", to = '
               f'"smtp://127.0.0.1:{far.port}" }} )\n')
    contents = list(dotted())
    with Raw(d.port) as r:
        r.ask("EHLO c")
        for n, content in enumerate(contents):
            r.send(f"MAIL FROM:<a@x.test>\r\nRCPT TO:<u{n}@y.test>\r\n"
                   "DATA\r\n")
            assert [r.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            r.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
            assert r.reply().startswith("250")
    wait_until("mail", lambda: len(far.messages) == len(contents))
    got = {m[1][0]: m[2] for m in far.messages}
    for n, content in enumerate(contents):
        assert got[f"u{n}@y.test"].endswith(content)
    for raw in far.raw:
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", raw)
        assert len(re.findall(rb"(?m)^\.\r$", raw)) == 1
        assert raw.endswith(b"\r\n.\r\n")
    far.stop()


def test_bounce_of_a_bounce_is_never_made(daemon):
    """4.5.5, 6.1: nothing comes of a null sender's failure."""
    far = Far(says(RCPT="550 5.1.1 who\r\n"))
    d = daemon("null", RELAY + 'route = ( { domain = "*", to = '
               f'"smtp://127.0.0.1:{far.port}" }} )\n')
    d.send("", ["u@y.test"], PLAIN)
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("both ends", lambda: d.log().count("bounce-lost") == 2)
    wait_until("empty", lambda: waiting(d) == 0)
    assert not far.messages
    far.stop()


def test_next_hop_that_takes_few_messages_a_session(daemon, sink):
    """Ours does it too: 421 to MAIL is an end of the session and no trouble
    of the host, which would be left alone for five minutes."""
    far = sink()
    hop = daemon("hop", RELAY + 'transactions-max = 5\n'
                 f'route = ( {{ domain = "*", '
                 f'to = "smtp://127.0.0.1:{far.port}" }} )\n')
    d = daemon("first", site("ship", "y.test", f"smtp://127.0.0.1:{hop.port}")
               + "deliveries-host-max = 1\n")
    for n in range(23):
        d.send("a@x.test", [f"u{n}@y.test"], PLAIN)
    d.run("sendqctl", "release", "ship")
    wait_until("mail", lambda: len(far.messages) == 23)
    assert {m[1][0] for m in far.messages} == \
        {f"u{n}@y.test" for n in range(23)}
    wait_until("empty", lambda: waiting(d) == 0)
    assert "session-failed" not in d.log()


def test_next_hop_that_takes_few_recipients_a_message(daemon):
    """RFC 5321 4.5.3.1.10: the rest goes in transactions of their own, over
    the connections that are there."""
    count = collections.Counter()

    def few(verb, argument):
        if verb == "MAIL":
            count["rcpt"] = 0
        if verb != "RCPT":
            return None
        count["rcpt"] += 1
        return "452 4.5.3 enough" if count["rcpt"] > 5 else None

    far = Sink(few)
    d = daemon("first", site("ship", "y.test", f"smtp://127.0.0.1:{far.port}"))
    recipients = [f"u{n}@y.test" for n in range(150)]
    d.send("a@x.test", recipients, PLAIN)
    d.run("sendqctl", "release", "ship")
    wait_until("mail", lambda: sum(len(m[1]) for m in far.messages) == 150)
    assert sorted(u for m in far.messages for u in m[1]) == sorted(recipients)
    wait_until("empty", lambda: waiting(d) == 0)
    assert far.connections < 10
    far.stop()
