"""Mail goes out: by static route, by MX, into a Maildir; each recipient with
its own fate."""
import email
import email.policy
import os
import re

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from dns import A, MX, NameServer
from harness import (RELAY, Link, Raw, Sink, below_trace, free_port,
                     maildir_files, make_maildir, site, tool, wait_until)

PLAIN = b"Subject: x\r\n\r\nbody\r\n"


def route(port, more=""):
    return (RELAY + 'retry-min = "1s"\nretry-max = "2s"\n' + more +
            'route = ( { domain = "*", to = "smtp://127.0.0.1:%d" } )\n'
            % port)


def queue_is_empty(d):
    return "is empty" in d.run("mailq").stdout


def test_content_is_carried_to_the_byte(daemon, sink):
    far = sink()
    d = daemon("out", route(far.port))
    contents = [
        PLAIN,
        b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n",
        b"Subject: 8\r\n\r\n" + bytes(range(128, 256)) + b"\r\n",
        b"Subject: long\r\n\r\n" + b"x" * 60000 + b"\r\n",
        b"\r\nno header\r\n",
        b"Subject: big\r\n\r\n" + (b"y" * 98 + b"\r\n") * 30000,
    ]
    for content in contents:
        with Raw(d.port) as r:
            r.ask("EHLO c")
            r.ask("MAIL FROM:<a@x.test> BODY=8BITMIME")
            r.ask("RCPT TO:<u@y.test>")
            r.ask("DATA")
            r.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
            assert r.reply().startswith("250")
    wait_until("mail", lambda: len(far.messages) == len(contents))
    for content in contents:
        assert any(m[2].endswith(content) and m[2].startswith(b"Received:") and
                   below_trace(m[2]) == content.replace(b"\r\n", b"\n")
                   for m in far.messages)


def test_to_aiosmtpd(daemon):
    got = []

    class Keep(Message):
        def handle_message(self, message):
            got.append(message)

    controller = Controller(Keep(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        d = daemon("out", route(controller.port))
        d.send("a@x.test", ["u@y.test", "v@y.test"], PLAIN)
        wait_until("mail", lambda: got)
        assert got[0]["X-RcptTo"] == "u@y.test, v@y.test"
        assert got[0].get_payload() == "body\r\n"
    finally:
        controller.stop()


def test_connection_is_used_again(daemon, sink):
    far = sink()
    d = daemon("out", site("ship", "y.test", f"smtp://127.0.0.1:{far.port}"))
    for n in range(50):
        d.send("a@x.test", [f"u{n}@y.test"], PLAIN)
    tool("sendq", f"127.0.0.1:{d.port}", "y.test")
    wait_until("mail", lambda: len(far.messages) == 50)
    assert far.connections <= 10


def test_4xx_keeps_that_one_and_5xx_returns_that_one(daemon, sink):
    tries = []

    def refuse(verb, argument):
        if verb == "RCPT" and "later" in argument:
            tries.append(argument)
            return "450 4.2.0 try later" if len(tries) < 3 else None
        if verb == "RCPT" and "never" in argument:
            return "550 5.1.1 no such user"
        return None

    far = sink(refuse)
    d = daemon("out", route(far.port))
    d.send("a@x.test", ["good@y.test", "later@y.test", "never@y.test"], PLAIN)
    wait_until("all of it", lambda: len(far.messages) == 3)
    assert wait_until("empty", lambda: queue_is_empty(d))
    by_recipient = {m[1][0]: m for m in far.messages}
    assert set(by_recipient) == {"good@y.test", "later@y.test", "a@x.test"}
    assert len(tries) == 3
    sender, _, content = by_recipient["a@x.test"]
    assert sender == ""
    dsn = email.message_from_bytes(content, policy=email.policy.default)
    assert dsn.get_content_type() == "multipart/report"
    report = dsn.get_payload(1)
    assert report.get_content_type() == "message/delivery-status"
    fields = report.get_payload(1)
    assert fields["Action"] == "failed"
    assert fields["Status"] == "5.1.1"
    assert "never@y.test" in fields["Final-Recipient"]
    assert "no such user" in fields["Diagnostic-Code"]
    assert b"later@y.test" not in content.split(b"Subject: x")[0]


def test_bounce_that_cannot_be_delivered_is_counted(daemon, sink):
    far = sink(lambda verb, _: "550 5.7.1 no" if verb == "MAIL" else None)
    d = daemon("out", route(far.port))
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("bounce-lost", lambda: "bounce-lost" in d.log())
    assert wait_until("empty", lambda: queue_is_empty(d))
    assert "count=1" in d.log()


def test_host_that_comes_back(daemon):
    port = free_port()
    d = daemon("out", route(port))
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("a failure", lambda: "session-failed" in d.log())
    assert not queue_is_empty(d)
    far = Sink(port=port)
    try:
        wait_until("mail", lambda: far.messages)
        assert wait_until("empty", lambda: queue_is_empty(d))
    finally:
        far.stop()


@pytest.mark.parametrize("moment", ["EHLO", "MAIL", "RCPT", "DATA", "DOT"])
def test_dropped_at(daemon, sink, moment):
    dropped = []

    def refuse(verb, _):
        if verb == moment and not dropped:
            dropped.append(1)
            return "DROP"
        return None

    far = sink(refuse)
    d = daemon("out", route(far.port))
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("mail", lambda: far.messages)
    assert wait_until("empty", lambda: queue_is_empty(d))
    assert len(far.messages) == 1
    assert far.messages[0][2].endswith(PLAIN)


def test_helo_fallback_and_no_extensions(daemon, sink):
    far = sink(lambda verb, _: "502 5.5.1 what" if verb == "EHLO" else None)
    d = daemon("out", route(far.port))
    d.send("a@x.test", ["u@y.test", "v@y.test"], PLAIN)
    wait_until("mail", lambda: far.messages)
    assert far.messages[0][1] == ["u@y.test", "v@y.test"]


def test_by_mx(daemon, sink):
    far = sink()
    names = NameServer({
        ("y.test", MX): [(20, "second.y.test"), (10, "first.y.test")],
        ("first.y.test", A): ["127.0.0.2"],
        ("second.y.test", A): ["127.0.0.1"],
        ("plain.test", A): ["127.0.0.1"],
        ("null.test", MX): [(0, ".")],
    })
    try:
        d = daemon("out", RELAY + f'''resolver = "127.0.0.1:{names.port}"
smtp-port = {far.port}
retry-min = "1s"
route = ( {{ domain = "*", to = "mx" }} )
''')
        d.send("a@y.test", ["u@y.test"], PLAIN)
        wait_until("mail by the second exchanger",
                   lambda: len(far.messages) == 1)
        d.send("a@y.test", ["u@plain.test"], PLAIN)
        wait_until("mail by the address", lambda: len(far.messages) == 2)
        for domain, status in (("null.test", "5.1.10"),
                               ("nowhere.test", "5.1.2")):
            before = len(far.messages)
            d.send("a@y.test", [f"u@{domain}"], PLAIN)
            wait_until(f"bounce of {domain}",
                       lambda n=before: len(far.messages) > n)
            assert status.encode() in far.messages[-1][2]
        assert wait_until("empty", lambda: queue_is_empty(d))
    finally:
        names.stop()


def test_name_server_that_fails_is_waited_for(daemon, sink):
    far = sink()
    records = {("y.test", MX): "SERVFAIL", ("h.test", A): ["127.0.0.1"]}
    names = NameServer(records)
    try:
        d = daemon("out", RELAY + f'''resolver = "127.0.0.1:{names.port}"
smtp-port = {far.port}
retry-min = "1s"
retry-max = "2s"
route = ( {{ domain = "*", to = "mx" }} )
''')
        d.send("a@y.test", ["u@y.test"], PLAIN)
        wait_until("a failure", lambda: "session-failed" in d.log())
        assert not far.messages and not queue_is_empty(d)
        records[("y.test", MX)] = [(10, "h.test")]
        wait_until("mail", lambda: far.messages, 60)
    finally:
        names.stop()


def test_maildir(daemon, place):
    maildir = make_maildir(place / "Mail")
    d = daemon("local", site("home", "home.test", f"maildir:{maildir}",
                             hold=False))
    d.send("a@x.test", ["u@home.test", "v@home.test"],
           b"Subject: x\r\n\r\nline\r\n.dot\r\n")
    files = wait_until("mail", lambda: len(maildir_files(maildir)) == 2 and
                       maildir_files(maildir))
    texts = [f.read_bytes() for f in files]
    for text in texts:
        assert text.startswith(b"Return-Path: <a@x.test>\n")
        assert b"\r" not in text
        assert text.endswith(b"Subject: x\n\nline\n.dot\n")
    assert {re.search(rb"Delivered-To: (.*)\n", t).group(1)
            for t in texts} == {b"u@home.test", b"v@home.test"}
    assert not list((maildir / "tmp").iterdir())
    assert wait_until("empty", lambda: queue_is_empty(d))


@pytest.mark.skipif(os.getuid() != 0, reason="only root has others' Maildirs")
def test_maildir_belongs_to_its_owner(daemon, place):
    maildir = place / "Mail"
    maildir.mkdir()
    os.chown(maildir, 12345, 12346)
    d = daemon("local", site("home", "home.test", f"maildir:{maildir}",
                             hold=False))
    d.send("a@x.test", ["u@home.test"], PLAIN)
    files = wait_until("mail", lambda: maildir_files(maildir))
    status = files[0].stat()
    assert (status.st_uid, status.st_gid) == (12345, 12346)


def test_link_that_flaps(daemon, sink):
    """Cuts in the middle: nothing is lost, nothing is torn."""
    far = sink()
    link = Link(far.port, "--cut-bytes", "60000")
    try:
        d = daemon("out", route(link.port))
        body = b"Subject: n\r\n\r\n" + (b"z" * 62 + b"\r\n") * 300
        for n in range(12):
            d.send("a@x.test", [f"u{n}@y.test"], body)
        wait_until("empty", lambda: queue_is_empty(d), 120)
        got = {m[1][0] for m in far.messages}
        assert got == {f"u{n}@y.test" for n in range(12)}
        assert all(m[2].endswith(body) for m in far.messages)
    finally:
        link.stop()


def test_size_of_far_end_is_honoured(daemon, sink):
    far = sink(extensions=("SIZE 1000",))
    d = daemon("out", route(far.port))
    d.send("", ["u@y.test"], b"Subject: x\r\n\r\n" + b"a" * 2000 + b"\r\n")
    wait_until("returned", lambda: "bounce-lost" in d.log())
    assert not far.messages
