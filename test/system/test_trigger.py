"""Asking for mail: ETRN, QSND, and the clients that people have."""
import shutil
import socket
import subprocess
import threading

import pytest

from harness import (RELAY, Raw, Sink, free_port, maildir_files, make_maildir,
                     site, tool,
                     wait_until)

PLAIN = b"Subject: x\r\n\r\nbody\r\n"


def two_sites(port, other=9):
    return f'''site = (
 {{ name = "ship7", domains = [ "ship7.test", "@boats.test" ], hold = true,
   route = "smtp://127.0.0.1:{port}", from = [ "127.0.0.0/8" ] }},
 {{ name = "one", domains = [ "one.test" ], hold = true,
   route = "smtp://127.0.0.1:{port}", from = [ "127.0.0.0/8" ] }},
 {{ name = "foreign", domains = [ "foreign.test" ], hold = true,
   route = "smtp://127.0.0.1:{other}", from = [ "192.0.2.0/24" ] }},
 {{ name = "noqsnd", domains = [ "noqsnd.test" ], hold = true,
   route = "smtp://127.0.0.1:{port}", from = [ "127.0.0.0/8" ],
   triggers = [ "etrn" ] }} )
'''


@pytest.fixture
def far(sink):
    return sink()


@pytest.fixture
def holder(daemon, far):
    return daemon("holder", two_sites(far.port))


def fill(holder, count, domain="ship7.test"):
    for n in range(count):
        holder.send("a@x.test", [f"u{n}@{domain}"], PLAIN)


def test_true_counts(holder, far):
    fill(holder, 3)
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        assert r.ask("ETRN ship7.test") == \
            "253 2.0.0 OK, 3 pending messages for node ship7.test started"
    wait_until("mail", lambda: len(far.messages) == 3)
    assert "run-over" in wait_until(
        "run over", lambda: "run-over" in holder.log() and holder.log())
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        # More than one domain: never 251, which stops fetchmail.
        assert r.ask("ETRN ship7.test").startswith("250 2.0.0")
        assert r.ask("ETRN one.test").startswith("250 2.0.0")


def test_251_for_who_has_one_domain_in_all(daemon):
    d = daemon("holder", site("one", "one.test", "smtp://127.0.0.1:9"))
    with Raw(d.port) as r:
        assert r.ask("ETRN one.test").startswith("251 2.0.0")


def test_a_message_with_two_recipients_counts_once(holder):
    holder.send("a@x.test", ["u@one.test", "v@one.test"], PLAIN)
    with Raw(holder.port) as r:
        assert r.ask("ETRN one.test").startswith("253 2.0.0 OK, 1 pending")


def test_exactly_the_domain_that_was_asked_for(holder, far):
    fill(holder, 2, "ship7.test")
    fill(holder, 1, "a.boats.test")
    fill(holder, 1, "b.boats.test")
    with Raw(holder.port) as r:
        assert r.ask("ETRN a.boats.test").startswith("253 2.0.0 OK, 1 ")
        wait_until("mail", lambda: len(far.messages) == 1)
        assert far.messages[0][1] == ["u0@a.boats.test"]
        wait_until("run over", lambda: "run-over" in holder.log())
        assert r.ask("ETRN @boats.test").startswith("253 2.0.0 OK, 1 ")
        wait_until("mail", lambda: len(far.messages) == 2)
        assert far.messages[1][1] == ["u0@b.boats.test"]
    assert len(far.messages) == 2


def test_refusals_are_all_the_same(holder):
    fill(holder, 1, "foreign.test")
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        replies = [r.ask(f"ETRN {name}").replace(name, "NAME")
                   for name in ("foreign.test", "unknown.test", "x.one.test",
                                "@test.example")]
        assert replies[0].startswith("459 4.7.1")
        assert len(set(replies)) == 1
        assert r.ask("ETRN #queue").startswith("459 4.7.1")
        assert r.ask("ETRN @test").startswith(("459", "501"))


def test_bad_arguments(holder):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        assert r.ask("ETRN") == "500 5.5.2 Parameter required"
        for bad in ("-x.test", "x..test", "a b", "x_y'; drop", "a" * 64 +
                    ".test", "[127.0.0.1]", "localname"):
            assert r.ask(f"ETRN {bad}").startswith("501 5.5.4"), bad


def test_not_in_a_transaction(holder):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        assert r.ask("ETRN ship7.test").startswith("503 5.5.1")
        assert r.ask("QSND ship7.test").startswith("503 5.5.1")
        r.ask("RSET")
        assert r.ask("etrn SHIP7.test.").startswith("250")


def test_qsnd_before_any_greeting(holder, far):
    fill(holder, 1)
    with Raw(holder.port) as r:
        assert r.ask("QSND ship7.test").startswith("253 2.0.0 OK, 1 ")
        assert r.ask("QSND @boats.test").startswith("501")
        assert r.ask("QSND noqsnd.test").startswith("459")
        assert r.ask("HELP").upper().count("QSND") == 0
    wait_until("mail", lambda: len(far.messages) == 1)


def test_bare_lf_dialogue_of_the_etrn_script(holder, far):
    """What sendmail's contrib/etrn.pl sends: lower case, bare LF."""
    fill(holder, 1)
    with Raw(holder.port) as r:
        r.send(b"ehlo client.test\n")
        assert "ETRN" in r.reply()
        r.send(b"etrn ship7.test\n")
        assert r.reply().startswith("253")
        r.send(b"quit\n")
        assert r.reply().startswith("221")
    wait_until("mail", lambda: len(far.messages) == 1)


def test_252_while_a_run_is_on(daemon, sink):
    gate = threading.Event()

    def slow(verb, _):
        if verb == "DOT":
            gate.wait(20)

    far = sink(slow)
    holder = daemon("holder", two_sites(far.port))
    fill(holder, 2)
    with Raw(holder.port) as r:
        assert r.ask("ETRN ship7.test").startswith("253")
        wait_until("a session", lambda: far.connections)
        assert r.ask("ETRN ship7.test").startswith("252 2.0.0")
        gate.set()
    wait_until("mail", lambda: len(far.messages) == 2)


def test_curl_asks(holder, far):
    fill(holder, 1)
    result = subprocess.run(
        ["curl", "-s", "-S", f"smtp://127.0.0.1:{holder.port}/c.test",
         "-X", "ETRN ship7.test"], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    wait_until("mail", lambda: len(far.messages) == 1)
    result = subprocess.run(
        ["curl", "-s", f"smtp://127.0.0.1:{holder.port}/c.test",
         "-X", "ETRN unknown.test"], capture_output=True, timeout=30)
    assert result.returncode != 0


def test_msmtp_asks(holder, far, place):
    fill(holder, 1)
    result = subprocess.run(
        ["msmtp", "--host=127.0.0.1", f"--port={holder.port}", "--tls=off",
         "--auth=off", "--rmqs=ship7.test"],
        capture_output=True, text=True, timeout=30,
        env={"HOME": str(place), "PATH": "/usr/bin:/bin"})
    assert result.returncode == 0, result.stderr
    wait_until("mail", lambda: len(far.messages) == 1)


def test_sendq_by_both_methods(holder, far):
    for method in ("etrn", "qsnd", "auto"):
        fill(holder, 1)
        before = len(far.messages)
        result = tool("sendq", "--method", method,
                      f"127.0.0.1:{holder.port}", "ship7.test")
        assert result.stdout.startswith("ship7.test: 25")
        wait_until("mail", lambda: len(far.messages) > before)
        wait_until("run over",
                   lambda: holder.log().count("run-over") == before + 1)


def test_sendq_shows_the_dialogue(holder):
    result = tool("sendq", "-v", f"127.0.0.1:{holder.port}", "one.test")
    assert ">>> ETRN one.test" in result.stderr
    assert "<<< 250 2.0.0" in result.stderr


def test_sendq_several_domains(holder):
    result = tool("sendq", f"127.0.0.1:{holder.port}", "one.test",
                  "foreign.test", check=False)
    lines = result.stdout.splitlines()
    assert lines[0].startswith("one.test: 250")
    assert lines[1].startswith("foreign.test: 459")
    assert result.returncode == 77


class Script:
    """A server that says the same whatever it is asked."""

    def __init__(self, greeting, ehlo, answer):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lines = (greeting, ehlo, answer)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connection, _ = self.listener.accept()
        greeting, ehlo, answer = self.lines
        with connection, connection.makefile("rwb") as f:
            try:
                if greeting is None:
                    f.readline()
                    return
                f.write(greeting.encode() + b"\r\n")
                f.flush()
                for line in f:
                    verb = line[:4].upper()
                    if verb in (b"ETRN", b"QSND"):
                        reply = answer
                    elif verb == b"HELO":
                        reply = "250 far.test"
                    elif verb == b"QUIT":
                        reply = "221 bye"
                    else:
                        reply = ehlo
                    if reply is None:
                        return
                    f.write(reply.encode() + b"\r\n")
                    f.flush()
            except OSError:
                pass


OFFERS = "250-far.test\r\n250 ETRN"


@pytest.mark.parametrize("greeting,ehlo,answer,status", [
    ("220 hi", OFFERS, "250 queuing", 0),
    ("220 hi", OFFERS, "251 nothing", 0),
    ("220 hi", OFFERS, "250-two\r\n250 lines", 0),
    ("220 hi", "250 far.test", "250 by qsnd", 0),
    ("220 hi", "500 what", "250 by qsnd", 0),
    ("220 hi", OFFERS, "450 later", 75),
    ("220 hi", OFFERS, "451 later", 75),
    ("220 hi", OFFERS, "458 later", 75),
    ("220 hi", OFFERS, "421 closing", 75),
    ("220 hi", OFFERS, "221 closing", 75),
    ("421 busy", OFFERS, "250 x", 75),
    ("220 hi", OFFERS, "459 no", 77),
    ("220 hi", OFFERS, "530 login", 77),
    ("220 hi", OFFERS, "550 no", 77),
    ("220 hi", OFFERS, "502 what", 69),
    ("554 never", OFFERS, "250 x", 69),
    ("220 hi", OFFERS, "500 what", 76),
    ("220 hi", OFFERS, "501 syntax", 76),
    ("220 hi", OFFERS, "gibberish", 76),
    ("SSH-2.0-x", OFFERS, "250 x", 76),
    ("220 hi", OFFERS, None, 75),
    (None, OFFERS, "250 x", 75),
])
def test_sendq_exit_status(greeting, ehlo, answer, status):
    server = Script(greeting, ehlo, answer)
    result = tool("sendq", "--timeout", "2s", f"127.0.0.1:{server.port}",
                  "ship7.test", check=False)
    assert result.returncode == status, result.stdout + result.stderr
    assert result.stdout.startswith("ship7.test: ")
    assert len(result.stdout.splitlines()) == 1


def test_sendq_other_exit_status():
    refused = free_port()
    assert tool("sendq", f"127.0.0.1:{refused}", "a.test",
                check=False).returncode == 69
    assert tool("sendq", "no-such-host.invalid", "a.test",
                check=False).returncode in (68, 75)
    assert tool("sendq", check=False).returncode == 64
    assert tool("sendq", "h", check=False).returncode == 64
    assert tool("sendq", "h:x", "a.test", check=False).returncode == 64
    assert tool("sendq", "--method", "x", "h", "a.test",
                check=False).returncode == 64
    assert tool("sendq", "--help").returncode == 0


def test_sendq_over_ipv6(daemon, sink):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no ::1 here")
    far = sink()
    port = free_port()
    d = daemon("six", f'listen = ( {{ address = "[::1]:{port}" }} )\n' +
               site("six", "six.test", f"smtp://127.0.0.1:{far.port}")
               .replace("127.0.0.0/8", "::1/128"), port=port)
    assert d.port == port
    result = tool("sendq", f"[::1]:{port}", "six.test")
    assert result.stdout.startswith("six.test: 251")


def test_a_peer_that_is_not_entitled_learns_nothing(daemon, sink):
    far = sink()
    d = daemon("strict", site(
        "ship7", "ship7.test", f"smtp://127.0.0.1:{far.port}")
        .replace("127.0.0.0/8", "192.0.2.0/24"))
    fill(d, 1)
    with Raw(d.port) as r:
        mine = r.ask("ETRN ship7.test").replace("ship7", "X")
        other = r.ask("ETRN other.test").replace("other", "X")
    assert mine == other and mine.startswith("459")
    assert not far.connections


def test_site_that_is_down_stays_held(daemon):
    d = daemon("holder", site(
        "ship7", "ship7.test", f"smtp://127.0.0.1:{free_port()}") +
        'release-time = "2s"\n')
    fill(d, 2)
    with Raw(d.port) as r:
        assert r.ask("ETRN ship7.test").startswith("253 2.0.0 OK, 2")
    wait_until("held again", lambda: "reason=host-failed" in d.log())
    with Raw(d.port) as r:
        assert r.ask("ETRN ship7.test").startswith("253 2.0.0 OK, 2")


def test_two_daemons(daemon, place):
    """The whole way: a holder, and a site that is a sendqd too."""
    maildir = make_maildir(place / "Maildir")
    ship = daemon("ship", site("ship7", "ship7.test", f"maildir:{maildir}",
                               hold=False))
    holder = daemon("holder", two_sites(ship.port))
    fill(holder, 5)
    tool("sendq", f"127.0.0.1:{holder.port}", "ship7.test")
    wait_until("mail", lambda: len(maildir_files(maildir)) == 5)
    wait_until("empty", lambda: "is empty" in holder.run("mailq").stdout)


def test_swaks_sends(holder):
    if not shutil.which("swaks"):
        pytest.fail("swaks is not installed")
    result = subprocess.run(
        ["swaks", "--server", f"127.0.0.1:{holder.port}", "--helo", "c.test",
         "--from", "a@x.test", "--to", "u@ship7.test", "--pipeline"],
        capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stdout
    assert "u@ship7.test" in holder.run("mailq").stdout


def test_relay_settings_do_not_entitle(daemon, sink):
    """Who may relay may still not ask for a site's mail."""
    far = sink()
    d = daemon("both", RELAY + site(
        "ship7", "ship7.test", f"smtp://127.0.0.1:{far.port}")
        .replace('"127.0.0.0/8"', '"192.0.2.0/24"'))
    fill(d, 1)
    with Raw(d.port) as r:
        assert r.ask("ETRN ship7.test").startswith("459")
    assert isinstance(far, Sink) and not far.messages
