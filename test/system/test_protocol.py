"""RFC 5321 and its extensions point by point: what clients may send us. The
number in a test's comment is that of the section of RFC 5321, unless another
is named. What far ends may say is in test_far_ends.py."""
import email
import email.policy
import itertools
import re
import socket
import threading
import time

import pytest

from far import Far
from harness import (RELAY, Daemon, Raw, Sink, open_path, site, wait_until,
                     waiting)

PLAIN = b"Subject: x\r\n\r\nbody\r\n"
HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")


@pytest.fixture(scope="module")
def holder(tmp_path_factory):
    """Takes mail for ship7.test and keeps it; tests count what they added."""
    d = Daemon(open_path(tmp_path_factory.mktemp("holder")), "holder", HELD)
    d.start()
    yield d
    d.stop()


def open_transaction(r, mail="MAIL FROM:<a@x.test>", hello="EHLO c"):
    assert r.ask(hello).startswith("250")
    assert r.ask(mail).startswith("250")
    assert r.ask("RCPT TO:<u@ship7.test>").startswith("250")


def in_step(r):
    """One reply for each command, as before."""
    r.send(b"NOOP\r\nVRFY x\r\nNOOP\r\n")
    return [r.reply()[:3] for _ in range(3)] == ["250", "252", "250"]


# --- 2.3.8, 4.1.1.4, 4.5.2: line ends and transparency ---

NOT_AN_END = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r",
              b"\r\n\0.\r\n", b"\r.\r\n", b"\r\n.\r\r\n",
              b"\r\n.\0\r\n", b"\r\n .\r\n", b"\r\n.\x85", b"\x85.\r\n"]


def test_nothing_but_crlf_dot_crlf_ends_a_message(holder):
    """All of them in one session: one refusal each, and in step."""
    before = waiting(holder)
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        for end in NOT_AN_END:
            if end in (b"\r\n .\r\n", b"\r\n.\x85", b"\x85.\r\n"):
                continue
            r.send(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<u@ship7.test>\r\n"
                   b"DATA\r\n")
            assert [r.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            r.send(b"Subject: one\r\n\r\none" + end +
                   b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<u@ship7.test>\r\n"
                   b"DATA\r\nSubject: two\r\n\r\ntwo\r\n.\r\n")
            assert r.reply().startswith("550 5.6.0"), end
            assert in_step(r), end
    assert waiting(holder) == before


def test_odd_but_whole_lines_are_content(holder):
    """A blank before the dot, or NEL, is content and ends nothing."""
    before = waiting(holder)
    with Raw(holder.port) as r:
        for end in (b"\r\n .\r\n", b"\r\n.\x85", b"\x85.\r\n"):
            open_transaction(r)
            r.ask("DATA")
            r.send(b"Subject: one\r\n\r\none" + end + b"two\r\n.\r\n")
            assert r.reply().startswith("250")
            assert in_step(r)
    assert waiting(holder) == before + 3


def test_a_message_cut_anywhere(holder):
    """The same bytes in two pieces, cut at each place, are one message."""
    before = waiting(holder)
    content = b"S: x\r\n\r\n..\r\n.a\r\n.\r\nNOOP\r\n"
    with Raw(holder.port) as r:
        r.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(content)):
            open_transaction(r)
            r.ask("DATA")
            r.send(content[:cut])
            time.sleep(0.002)
            r.send(content[cut:])
            assert r.reply().startswith("250 2.0.0"), cut
            assert r.reply().startswith("250 2.0.0"), cut
    assert waiting(holder) == before + len(content) - 1


def test_bare_lf_ends_a_command_but_never_content(holder):
    before = waiting(holder)
    with Raw(holder.port) as r:
        r.send(b"EHLO c\nMAIL FROM:<a@x.test>\nRCPT TO:<u@ship7.test>\nDATA\n")
        assert [r.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
        r.send(b"x\n.\nQUIT\n\r\n.\r\n")
        assert r.reply().startswith("550 5.6.0")
        assert in_step(r)
    assert waiting(holder) == before


# --- 4.5.3.1: sizes ---

@pytest.mark.parametrize("size,code", [(4096, "250"), (4097, "500 5.5.6"),
                                       (200000, "500 5.5.6")])
def test_command_line_at_its_limit(holder, size, code):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.send(b"NOOP " + b"x" * (size - 7) + b"\r\n")
        assert r.reply().startswith(code)
        assert in_step(r)


@pytest.mark.parametrize("command,code", [
    ("RCPT TO:<%s@ship7.test>" % ("a" * 64), "250"),
    ("RCPT TO:<%s@ship7.test>" % ("a" * 65), "501 5.1.3"),
    ("RCPT TO:<u@%sship7.test>" % ("a." * 122), "550"),
    ("RCPT TO:<u@%sship7.test>" % ("ab." * 90), "501 5.1.3"),
    ("RCPT TO:<u@ship7.test> NOTIFY=NEVER ORCPT=rfc822;u@ship7.test", "250"),
    ("RCPT TO:<u@ship7.test> X=%s" % ("a" * 3000), "555"),
    ("RCPT TO:<u@ship7.test>\0", "500"),
    ("RC\0PT TO:<u@ship7.test>", "500"),
    ("RCPT TO:<u\0@ship7.test>", "500"),
    ("RCPT TO:<u@ship7.test>\x07", "500"),
    ("RCPT TO:<u\r@ship7.test>", "500"),
    ("RCPT TO:<u@ship7.test\x80>", "50"),
    ("RCPT TO:<>", "501"),
    ("RCPT TO:u@ship7.test", "501"),
    ("RCPT TO:<u@ship7.test>junk", "501"),
    ("RCPT FROM:<u@ship7.test>", "501"),
    ("rcpt to:<u@ship7.test>", "250"),
    ("RCPT TO:<\"a b\"@ship7.test>", "250"),
    ("RCPT TO:<u@[192.0.2.1]>", "550"),
])
def test_recipients_at_the_limits_of_syntax(holder, command, code):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        assert r.ask(command).startswith(code)
        assert in_step(r)
        # State is unchanged after an error (4.1.4).
        assert r.ask("RCPT TO:<v@ship7.test>").startswith("250")
        assert r.ask("DATA").startswith("354")
        r.send(PLAIN + b".\r\n")
        assert r.reply().startswith("250")


def test_101_recipients_and_1001(holder):
    """4.5.3.1.8: 100 at least; 4.5.3.1.10: 452 over the limit, and the rest
    stands."""
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.send(b"MAIL FROM:<a@x.test>\r\n" +
               b"".join(b"RCPT TO:<u%d@ship7.test>\r\n" % n
                        for n in range(1003)) + b"DATA\r\n")
        codes = [r.reply()[:9] for _ in range(1005)]
        assert codes[0].startswith("250")
        assert {c[:3] for c in codes[1:1001]} == {"250"}
        assert codes[1001:1004] == ["452 4.5.3"] * 3
        assert codes[1004].startswith("354")
        r.send(PLAIN + b".\r\n")
        assert r.reply().startswith("250")
        assert in_step(r)


LINES = {"1000": (1000, "250"), "1001": (1001, "250"), "64k": (65536, "250"),
         "64k+1": (65537, "554 5.6.0"), "1M": (1 << 20, "554 5.6.0")}


@pytest.mark.parametrize("name", LINES)
def test_long_lines_of_content(holder, name):
    size, code = LINES[name]
    before = waiting(holder)
    with Raw(holder.port) as r:
        open_transaction(r)
        r.ask("DATA")
        r.send(b"Subject: x\r\n\r\n" + b"y" * (size - 2) + b"\r\nz\r\n.\r\n")
        assert r.reply().startswith(code)
        assert in_step(r)
    assert waiting(holder) == before + (code == "250")


def test_nul_in_content(holder):
    before = waiting(holder)
    with Raw(holder.port) as r:
        for content in (b"\0", b"a\0b\r\n", b"a\r\n\0\r\n"):
            open_transaction(r)
            r.ask("DATA")
            r.send(content + b"\r\n.\r\n")
            assert r.reply().startswith("550 5.6.0")
            assert in_step(r)
    assert waiting(holder) == before


def test_content_of_nothing_and_of_dots(holder):
    """4.5.2: the empty message, and lines of dots."""
    before = waiting(holder)
    with Raw(holder.port) as r:
        for content in (b"", b"\r\n", b"..\r\n", b"...\r\n..\r\n"):
            open_transaction(r)
            r.ask("DATA")
            r.send(content + b".\r\n")
            assert r.reply().startswith("250 2.0.0")
            assert in_step(r)
    assert waiting(holder) == before + 4


def test_size_given_and_not_kept(holder):
    """RFC 1870 5: SIZE is an estimate; 20 digits at the most."""
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        assert r.ask("MAIL FROM:<a@x.test> SIZE=10").startswith("250")
        r.ask("RCPT TO:<u@ship7.test>")
        r.ask("DATA")
        r.send(PLAIN * 100 + b".\r\n")
        assert r.reply().startswith("250")
        for size, code in (("99999999999999999999", "552 5.3.4"),
                           ("1" * 21, "501"), ("", "501"), ("-1", "501"),
                           ("1 SIZE=1", "501"), ("0x10", "501")):
            assert r.ask("MAIL FROM:<a@x.test> SIZE=" + size) \
                .startswith(code), size
        assert in_step(r)


# --- 4.2, 4.1.1: replies, verbs and their arguments ---

@pytest.mark.parametrize("command,code", [
    ("JUMP", "500 5.5.2"), ("", "500"), (" NOOP", "500"), ("NOOPX", "500"),
    ("EXPN list", "502 5.5.1"), ("TURN", "502 5.5.1"), ("SEND x", "500"),
    ("AUTH PLAIN AGEAYg==", "502"), ("STARTTLS", "502"),
    ("BDAT 6 LAST\r\nQUIT", "502"), ("ATRN", "502"),
    ("RSET now", "501 5.5.4"), ("QUIT now", "501 5.5.4"),
    ("EHLO", "501 5.5.4"), ("HELO", "501 5.5.4"), ("VRFY", "501 5.5.4"),
    ("VRFY u@ship7.test", "252"), ("VRFY Postmaster", "252"),
    ("HELP", "214"), ("HELP MAIL", "214"), ("NOOP anything at all", "250"),
    ("noop", "250"), ("NoOp \t ", "250"), ("RSET \t", "250"),
    ("DATA", "503 5.5.1"), ("RCPT TO:<u@ship7.test>", "503 5.5.1"),
    ("MAIL FROM:<a@x.test>", "503 5.5.1"),
])
def test_verbs_before_the_greeting(holder, command, code):
    """4.1.4: NOOP, HELP, EXPN, VRFY and RSET at any time."""
    with Raw(holder.port) as r:
        assert r.ask(command).startswith(code)
        assert in_step(r)
        r.ask("EHLO c")
        assert in_step(r)


@pytest.mark.parametrize("command,code", [
    ("MAIL FROM:<>", "250"),
    ("MAIL FROM: <a@x.test>", "250"),
    ("MAIL FROM:<a@x.test> BODY=8BITMIME RET=HDRS ENVID=QQ+3D1", "250"),
    ("MAIL FROM:<a@x.test> AUTH=<>", "250"),
    ("MAIL FROM:<a@x.test> BODY=9BIT", "501"),
    ("MAIL FROM:<a@x.test> BODY=8BITMIME BODY=8BITMIME", "501"),
    ("MAIL FROM:<a@x.test> REQUIRETLS", "555 5.5.4"),
    ("MAIL FROM:<a@x.test> MT-PRIORITY=4", "555 5.5.4"),
    ("MAIL FROM:<Postmaster>", "501"),
    ("MAIL FROM:<a@x.test", "501"),
    ("MAIL <a@x.test>", "501"),
    ("MAIL", "501"),
    ("MAIL FROM:<@a.test,@b.test:a@x.test>", "250"),
    ("MAIL FROM:<a@[192.0.2.1]>", "250"),
    ("MAIL FROM:<a@[IPv6:2001:db8::1]>", "250"),
    ("MAIL FROM:<\xe4@x.test>", "553 5.6.7"),
    ("MAIL FROM:<\xe4@x.test> SMTPUTF8", "250"),
])
def test_mail_and_its_parameters(holder, command, code):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        assert r.ask(command).startswith(code)
        assert in_step(r)
        r.ask("RSET")
        assert r.ask("MAIL FROM:<a@x.test>").startswith("250")


def test_order_in_a_transaction(holder):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        assert r.ask("MAIL FROM:<a@x.test>").startswith("250")
        assert r.ask("DATA").startswith("503")
        assert r.ask("MAIL FROM:<b@x.test>").startswith("503")
        assert r.ask("RCPT TO:<u@no.test>").startswith("550")
        # RFC 2920 3.1: 554 or 503, never 354, without a good recipient.
        assert r.ask("DATA").startswith("554")
        assert r.ask("RCPT TO:<u@ship7.test>").startswith("250")
        assert r.ask("DATA x").startswith("501")
        for command in ("NOOP", "HELP", "VRFY x"):
            assert r.ask(command).startswith("2")
        # 4.1.4: an EHLO that failed changes nothing ...
        assert r.ask("EHLO").startswith("501")
        assert r.ask("DATA").startswith("354")
        r.send(PLAIN + b".\r\n")
        assert r.reply().startswith("250")
        # ... and one that did not resets.
        open_transaction(r)
        assert r.ask("EHLO c").startswith("250")
        assert r.ask("RCPT TO:<u@ship7.test>").startswith("503")
        open_transaction(r)
        assert r.ask("HELO c").startswith("250 ")
        assert r.ask("DATA").startswith("503")


@pytest.mark.parametrize("name", [
    "[192.0.2.1]", "[IPv6:2001:db8::1]", "localhost", "-x-", "a_b.test",
    "[192.0.2.1] junk", "x" * 255, "1.2.3.4", "c.test extra words"])
def test_the_name_of_a_client_is_no_reason(holder, name):
    """4.1.4: mail is never refused for the argument of EHLO."""
    with Raw(holder.port) as r:
        open_transaction(r, hello="EHLO " + name)
        assert r.ask("RSET").startswith("250")
        open_transaction(r, hello="HELO " + name)


def test_greeting_and_quit(holder):
    with Raw(holder.port, greeting=False) as r:
        # 4.3.1: our name is the first word; 4.2.5 of EHLO's reply too.
        assert r.reply().split()[:2] == ["220", "holder.test"]
        reply = r.ask("EHLO c").split("\n")
        assert reply[0] == "250-holder.test"
        assert all(re.match(r"250[- ][A-Z0-9]", line) for line in reply[1:])
        assert r.ask("QUIT").startswith("221 2.0.0 holder.test")
        assert r.reply() == ""


def test_lost_connection_cancels_the_open_transaction_only(holder):
    """4.1.1.10."""
    before = waiting(holder)
    r = Raw(holder.port)
    open_transaction(r)
    r.ask("DATA")
    r.send(PLAIN + b".\r\n")
    assert r.reply().startswith("250")
    open_transaction(r)
    r.ask("DATA")
    r.send(PLAIN)
    r.close()
    with Raw(holder.port) as r:
        in_step(r)
    assert waiting(holder) == before + 1


def test_a_client_that_says_all_and_closes_its_side(holder):
    """Replies are still given to who has only closed its half."""
    before = waiting(holder)
    with Raw(holder.port) as r:
        r.send(b"EHLO c\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<u@ship7.test>\r\n"
               b"DATA\r\n" + PLAIN + b".\r\nQUIT\r\n")
        r.socket.shutdown(socket.SHUT_WR)
        codes = [r.reply()[:3] for _ in range(6)]
    assert codes[:4] == ["250", "250", "250", "354"]
    assert waiting(holder) == before + 1
    assert codes[4:] == ["250", "221"]


# --- RFC 1985 and QSND ---

@pytest.mark.parametrize("hello", ["EHLO c", "HELO c", None])
def test_etrn_after_any_greeting(daemon, hello):
    d = daemon("asked", HELD)
    with Raw(d.port) as r:
        if hello:
            r.ask(hello)
        assert r.ask("ETRN ship7.test").startswith("251 2.0.0")
        assert "\n" not in r.ask("ETRN ship7.test")
        for argument, code in (("@com", "501"), ("@test", "501"),
                               ("#q", "459 4.7.1"),
                               ("@x.example", "459 4.7.1"),
                               ("a" * 63 + ".test", "459 4.7.1"),
                               ("ab." * 100 + "test", "501"),
                               ("x" * 3000, "501"), ("", "500 5.5.2"),
                               ("ship7.test foo", "501"),
                               ("ship7.test\xe4", "501"), ("\xff", "501")):
            assert r.ask("ETRN " + argument).startswith(code), argument
            assert in_step(r)
        assert r.ask("QSND unknown.test").startswith("459 4.7.1")
        assert r.ask("QSND ship7.test").startswith("25")


def test_etrn_pipelined(holder):
    """RFC 2920 3.1: last of its group; behind MAIL it is refused."""
    with Raw(holder.port) as r:
        r.send(b"EHLO c\r\nMAIL FROM:<a@x.test>\r\nETRN ship7.test\r\n"
               b"RSET\r\nNOOP\r\n")
        assert [r.reply()[:3] for _ in range(5)] == ["250", "250", "503", "250",
                                                     "250"]


def test_replies_that_nobody_reads(holder):
    """RFC 2920 3.2: a client that sends on and on and reads late gets every
    reply; others are served meanwhile."""
    count = 150000
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        sending = threading.Thread(target=r.send, args=(b"NOOP\r\n" * count,))
        sending.start()
        time.sleep(0.5)
        with Raw(holder.port) as other:
            assert in_step(other)
        got = 0
        while got < count:
            assert r.file.readline() == b"250 2.0.0 Done\r\n"
            got += 1
        sending.join()
        assert in_step(r)


# --- 4.4, 6.3: trace ---

@pytest.fixture(scope="module")
def relay(tmp_path_factory):
    sink = Sink(extensions=("PIPELINING", "8BITMIME", "SIZE 0", "SMTPUTF8",
                            "DSN"))
    d = Daemon(open_path(tmp_path_factory.mktemp("relay")), "relay",
               RELAY + 'postmaster = "chief@y.test"\n' + f'''
route = ( {{ domain = "*", to = "smtp://127.0.0.1:{sink.port}" }} )
''')
    d.sink = sink
    d.start()
    yield d
    d.stop()
    sink.stop()


numbers = itertools.count()


def through(relay, content, hello="EHLO c.test", mail="MAIL FROM:<a@x.test>{}",
            recipients=("u@y.test",), parameters=""):
    """Sends by hand, and gives (sender, recipients, content) as they came."""
    mark = b"X-Mark: %d\r\n" % next(numbers)
    with Raw(relay.port) as r:
        r.ask(hello)
        assert r.ask(mail.format(parameters)).startswith("250")
        for recipient in recipients:
            assert r.ask(f"RCPT TO:<{recipient}>").startswith("250")
        r.ask("DATA")
        r.send(mark + content + b".\r\n")
        assert r.reply().startswith("250")

    def found():
        return [m for m in list(relay.sink.messages) if mark in m[2]]
    return wait_until("mail", found)[0]


@pytest.mark.parametrize("hello,parameters,name", [
    ("EHLO c.test", "", b"ESMTP"), ("HELO c.test", "", b"SMTP"),
    ("EHLO c.test", " SMTPUTF8", b"UTF8SMTP")])
def test_received_says_how(relay, hello, parameters, name):
    """4.4; RFC 3848 and RFC 6531 4.3 for WITH."""
    old = b"Received: from a by b; x\r\nReturn-Path: <old@x.test>\r\n"
    content = through(relay, old + PLAIN, hello, parameters=parameters)[2]
    fields = email.message_from_bytes(
        content, policy=email.policy.compat32)
    added, was = fields.get_all("Received")
    assert was == "from a by b; x"
    assert content.startswith(b"Received: from c.test ")
    words = " ".join(added.split())
    assert "[127.0.0.1]" in words and " by relay.test " in words
    assert f" with {name.decode()} " in words + " "
    assert re.search(r" id [\w.-]+", words)
    assert " for <u@y.test>" in words
    assert re.search(r"; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
                     words)
    assert content.count(b"Return-Path:") == 1


def test_received_names_no_one_else(relay):
    """7.6: FOR with a single recipient only."""
    content = through(relay, PLAIN, recipients=("u@y.test", "v@y.test"))[2]
    assert b" for " not in content.split(b"X-Mark")[0]


def test_loop_limit(relay):
    field = b"Received: from a by b; x\r\n"
    body = through(relay, field * 100 + b"\r\nReceived: in the body\r\n")[2]
    assert body.count(b"Received:") == 102
    with Raw(relay.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        r.ask("RCPT TO:<u@y.test>")
        r.ask("DATA")
        r.send(field.swapcase() * 101 + b"\r\nx\r\n.\r\n")
        assert r.reply().startswith("554 5.4.6")
        assert in_step(r)


def test_null_sender_is_kept(relay):
    """4.5.5: no sender is added."""
    assert through(relay, PLAIN, mail="MAIL FROM:<>")[0] == ""


def test_source_routes_are_passed_over(relay):
    """4.1.2, 6.1, appendix C: parsed, stripped, never built."""
    sender, recipients, _ = through(
        relay, PLAIN, mail="MAIL FROM:<@a.test,@b.test:c@d.test>",
        recipients=("@e.test:u@y.test",))
    assert (sender, recipients) == ("c@d.test", ["u@y.test"])


@pytest.mark.parametrize("name", ["Postmaster", "postmaster", "POSTMASTER",
                                  "PostMaster@y.test", "Postmaster@Relay.test"])
def test_postmaster(relay, name):
    """4.5.1: without a domain or at ours, in any case."""
    wanted = name if "@y" in name else "chief@y.test"
    assert through(relay, PLAIN, recipients=(name,))[1] == [wanted]


def test_no_relay_for_tricks(holder):
    """3.6.1: a site's domain is the last one; "%" and "!" are local."""
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        for path in ("u@ship7.test@x.test", "u%x.test@y.test", "x.test!u",
                     "@ship7.test:u@x.test", "u@x.test.", "\"u@ship7.test\"@x.test",
                     "u@[127.0.0.1]", "u@[IPv6:::1]", "ship7.test"):
            assert r.ask(f"RCPT TO:<{path}>").startswith(("550", "501", "553"))
        assert r.ask("DATA").startswith("554")


def test_flags_survive_the_queue(daemon):
    """RFC 3461, 6152, 6531: what came goes on where the far end offers it,
    and only there."""
    offers = {"all": ("PIPELINING", "8BITMIME", "SIZE", "DSN", "SMTPUTF8"),
              "none": ()}
    fars = {name: Far(offers=what) for name, what in offers.items()}
    rules = ", ".join(f'{{ domain = "{name}.test", '
                      f'to = "smtp://127.0.0.1:{far.port}" }}'
                      for name, far in fars.items())
    d = daemon("flags", RELAY + f"route = ( {rules} )\n")
    for name in fars:
        with Raw(d.port) as r:
            r.ask("EHLO c")
            r.ask("MAIL FROM:<a@x.test> BODY=8BITMIME RET=HDRS ENVID=Q+2B1")
            r.ask(f"RCPT TO:<u@{name}.test> NOTIFY=SUCCESS,FAILURE "
                  "ORCPT=rfc822;u+2Bv@x.test")
            r.ask("DATA")
            r.send(PLAIN + b".\r\n")
            assert r.reply().startswith("250")
    for far in fars.values():
        wait_until("mail", lambda far=far: far.messages)
    said = {name: [f"{verb} {argument}" for _, _, verb, argument in far.seen]
            for name, far in fars.items()}
    mail = [s for s in said["all"] if s.startswith("MAIL")][0]
    assert {"BODY=8BITMIME", "RET=HDRS", "ENVID=Q+2B1"} <= set(mail.split())
    assert re.search(r" SIZE=\d+( |$)", mail)
    rcpt = [s for s in said["all"] if s.startswith("RCPT")][0]
    assert set(rcpt.split()[2:]) == {"NOTIFY=SUCCESS,FAILURE",
                                     "ORCPT=rfc822;u+2Bv@x.test"}
    assert "MAIL From:<a@x.test>" in said["none"]
    assert "RCPT To:<u@none.test>" in said["none"]


# --- 3.8, 4.5.3.2: 421 and time ---

def test_idle_in_the_middle(daemon):
    """3.8: 421 in any state, and nothing of the transaction stays."""
    d = daemon("idle", HELD + 'idle-timeout = "1s"\n')
    parked = []
    for lines in ((), ("EHLO c",), ("EHLO c", "MAIL FROM:<a@x.test>"),
                  ("EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<u@ship7.test>"),
                  ("EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<u@ship7.test>",
                   "DATA")):
        r = Raw(d.port)
        parked.append(r)
        for line in lines:
            r.ask(line)
    parked[-1].send(PLAIN)
    parked[0].send(b"EH")
    for r in parked:
        assert r.reply().startswith("421 4.4.2 idle.test")
        assert r.reply() == ""
        r.close()
    assert waiting(d) == 0
    assert "timeout waiting for input from 127.0.0.1 during content" in d.log()


def test_slow_client_is_no_idle_client(daemon):
    """4.5.3.2: by progress, not by the length of a session."""
    d = daemon("slow", HELD + 'idle-timeout = "1s"\n')
    with Raw(d.port) as r:
        open_transaction(r)
        r.ask("DATA")
        for n in range(8):
            r.send(PLAIN[n:n + 1] or b"x")
            time.sleep(0.3)
        r.send(b"\r\n.\r\n")
        assert r.reply().startswith("250")


def test_421_in_every_place_on_shutdown(daemon):
    """3.8: the reply in hand is given, then 421."""
    d = daemon("ending", HELD)
    parked = []
    for count in range(5):
        r = Raw(d.port)
        parked.append(r)
        for line in ("EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<u@ship7.test>",
                     "DATA")[:count]:
            r.ask(line)
    parked[-1].send(PLAIN)
    ending = threading.Thread(target=d.stop)
    ending.start()
    for r in parked[:-1]:
        assert r.reply().startswith("421 4.3.2 ending.test")
        assert r.reply() == ""
    # Content that has begun may still be finished.
    parked[-1].send(b".\r\n")
    assert parked[-1].reply().startswith("250 2.0.0")
    assert parked[-1].reply().startswith("421 4.3.2")
    ending.join()
    d.start()
    assert waiting(d) == 1
    for r in parked:
        r.close()
