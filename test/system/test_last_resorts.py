"""Shares of sites, and what happens where nothing else helps: mail that nobody
can be told of, hosts that are never reached, exchangers that are ourselves,
chunks that nobody asked for, and a release that was cut off."""
import email
import email.policy
import os
import signal
import time

from dns import A, MX, NameServer
from harness import (RELAY, Raw, free_port, make_maildir, maildir_files, site,
                     wait_until, waiting)

PLAIN = b"Subject: x\r\n\r\nbody\r\n"


def parts(content):
    """The text, the fields of the recipients, the top of a notification."""
    dsn = email.message_from_bytes(content, policy=email.policy.default)
    assert dsn.get_content_type() == "multipart/report"
    text, report, _ = dsn.get_payload()
    return text.get_content(), report.get_payload()[1:], dsn


def test_connections_of_a_site(daemon):
    d = daemon("crowd", site("ship", "ship.test", "smtp://127.0.0.1:9",
                             extra=", connections = 2"))
    sessions = [Raw(d.port) for _ in range(2)]
    with Raw(d.port, greeting=False) as r:
        assert r.reply() == "421 4.7.0 crowd.test Too many connections from " \
            "your site, try later"
        assert r.reply() == ""
    sessions.pop().close()
    wait_until("room", lambda: Raw(d.port, greeting=False).reply()[:3] == "220")
    sessions.pop().close()


def test_postmaster_gets_what_nobody_can(daemon, sink, place):
    """The bounce of a bounce, once; what fails on its way to him is logged."""
    maildir = make_maildir(place / "Mail")
    far = sink(lambda verb, _: "550 5.1.1 who" if verb == "RCPT" else None)
    d = daemon("out", RELAY + 'postmaster = "admin@home.test"\n'
               f'route = ( {{ domain = "*", '
               f'to = "smtp://127.0.0.1:{far.port}" }} )\n'
               + site("home", "home.test", f"maildir:{maildir}", hold=False))
    d.send("a@x.test", ["u@y.test"], PLAIN)
    file, = wait_until("mail", lambda: maildir_files(maildir))
    content = file.read_bytes()
    assert content.startswith(b"Return-Path: <>\n")
    text, recipients, top = parts(content)
    assert top["To"] == "admin@home.test"
    assert "cannot\nbe told" in text
    assert [r["Final-Recipient"] for r in recipients] == ["rfc822; a@x.test"]
    assert b"u@y.test" in content
    wait_until("empty", lambda: waiting(d) == 0)
    assert d.log().count(" postmaster-told ") == 1
    assert " bounce-lost " not in d.log()


def test_postmaster_who_gets_nothing(daemon, sink):
    far = sink(lambda verb, _: "550 5.1.1 who" if verb == "RCPT" else None)
    d = daemon("out", RELAY + 'postmaster = "admin@y.test"\n'
               f'route = ( {{ domain = "*", '
               f'to = "smtp://127.0.0.1:{far.port}" }} )\n')
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("the end", lambda: " bounce-lost " in d.log())
    wait_until("empty", lambda: waiting(d) == 0)
    assert d.log().count(" postmaster-told ") == 1
    assert d.log().count(" returned ") == 3


def test_host_that_is_never_reached(daemon, sink):
    """What kept it is told and shown, though no recipient has an answer."""
    back = sink()
    down = free_port()
    d = daemon("out", RELAY + 'expire = "3s"\ndelay-notice = "0"\n'
               f'route = ( {{ domain = "x.test", '
               f'to = "smtp://127.0.0.1:{back.port}" }},\n'
               f'{{ domain = "y.test", to = "smtp://127.0.0.1:{down}" }} )\n')
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("a reason",
               lambda: "Connection refused" in d.run("mailq").stdout)
    wait_until("the return", lambda: back.messages)
    text, recipients, _ = parts(back.messages[0][2])
    assert "Connection refused" in text
    assert recipients[0]["Status"] == "4.4.7"
    assert recipients[0]["Diagnostic-Code"] == \
        "x-sendq; delivery time expired: connect to " \
        "[127.0.0.1]: Connection refused"


def test_exchanger_that_is_ourselves(daemon, sink):
    """RFC 5321 5.1: by its name or its address; others of its rank and behind
    it are not tried, better ones are."""
    back = sink()
    port = free_port()
    names = NameServer({
        ("name.test", MX): [(10, "out.test"), (20, "far.test")],
        ("address.test", MX): [(10, "me.test"), (10, "far.test")],
        ("better.test", MX): [(10, "far.test"), (20, "me.test")],
        ("me.test", A): ["127.0.0.1"],
        ("far.test", A): ["127.0.0.9"],
    })
    try:
        d = daemon("out", RELAY + f'''resolver = "127.0.0.1:{names.port}"
smtp-port = {port}
retry-min = "1h"
route = ( {{ domain = "x.test", to = "smtp://127.0.0.1:{back.port}" }},
          {{ domain = "*", to = "mx" }} )
''', port=port)
        for n, domain in enumerate(("name.test", "address.test")):
            d.send("a@x.test", [f"u@{domain}"], PLAIN)
            wait_until("the return", lambda n=n: len(back.messages) > n)
            _, recipients, _ = parts(back.messages[n][2])
            assert recipients[0]["Status"] == "5.4.6"
            assert f"{domain}: its mail exchanger is this host itself" in \
                " ".join(recipients[0]["Diagnostic-Code"].split())
        d.send("a@x.test", ["u@better.test"], PLAIN)
        wait_until("a try", lambda: "127.0.0.9" in d.log())
        assert waiting(d) == 1
        assert d.log().count(" returned ") == 2
    finally:
        names.stop()


def test_chunk_that_nobody_asked_for(daemon):
    """RFC 3030: what follows is no command, and both ends stay in step."""
    d = daemon("plain", RELAY)
    chunk = b"MAIL FROM:<evil@x.test>\r\nQUIT\r\n.\r\n"
    with Raw(d.port) as r:
        r.ask("EHLO c")
        for end in (b"", b" LAST"):
            r.send(b"BDAT %d%s\r\n%s" % (len(chunk), end, chunk))
            assert r.reply() == "502 5.5.1 Not implemented"
            assert r.ask("NOOP").startswith("250")
        # More than any message may have.
        assert r.ask("BDAT 4294967295 LAST").startswith("421 4.3.4")
        assert r.reply() == ""


def test_release_goes_on(daemon, sink):
    """Nobody asks again when the queue process was killed in between."""
    def slow(verb, _):
        if verb == "DOT":
            time.sleep(0.05)
    far = sink(slow)
    d = daemon("holder", site("ship", "ship.test",
                              f"smtp://127.0.0.1:{far.port}")
               + "deliveries-host-max = 1\n")
    for n in range(30):
        d.send("a@x.test", [f"u{n}@ship.test"], PLAIN)
    assert '"started"' in d.run("sendqctl", "--json", "release",
                                "ship").stdout.replace(" ", "")
    wait_until("mail", lambda: len(far.messages) > 5)
    os.kill(d.children()["queue"], signal.SIGKILL)
    wait_until("the rest", lambda: {m[1][0] for m in far.messages} ==
               {f"u{n}@ship.test" for n in range(30)})
    assert " release-resumed " in d.log()
    wait_until("its end", lambda: " run-over " in d.log())
    d.send("a@x.test", ["late@ship.test"], PLAIN)
    time.sleep(0.5)
    assert waiting(d) == 1
