"""Mail comes in by SMTP: who may send what to whom, and what is refused."""
import smtplib

import pytest

from harness import RELAY, Raw, site, wait_until

HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")
PLAIN = b"Subject: x\r\n\r\nbody\r\n"


@pytest.fixture
def holder(daemon):
    return daemon("holder", HELD)


@pytest.fixture
def relay(daemon):
    return daemon("relay", RELAY + HELD +
                  'route = ( { domain = "*", to = "smtp://127.0.0.1:9" } )\n')


def count(d):
    text = d.run("mailq").stdout
    if "is empty" in text:
        return 0
    return int(text.rsplit("Total requests: ", 1)[1])


def test_ehlo_offers_what_is_there(holder):
    with holder.smtp() as s:
        s.ehlo()
        offered = set(s.esmtp_features)
    assert {"pipelining", "size", "8bitmime", "enhancedstatuscodes",
            "etrn"} <= offered
    assert "qsnd" not in offered


def test_site_is_accepted_from_anybody(holder):
    holder.send("a@x.test", ["u@ship7.test", "v@SHIP7.test"], PLAIN)
    assert count(holder) == 1


def test_null_sender_and_source_route(holder):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        assert r.ask("MAIL FROM:<>").startswith("250")
        assert r.ask("RCPT TO:<@a.test,@b.test:u@ship7.test>").startswith("250")
        assert r.ask("DATA").startswith("354")
        r.send(PLAIN + b".\r\n")
        assert r.reply().startswith("250 2.0.0")
    assert count(holder) == 1
    assert "u@ship7.test" in holder.run("mailq").stdout


def test_others_are_refused_at_rcpt(holder):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        assert r.ask("RCPT TO:<u@elsewhere.test>").startswith("550 5.7.1")
        assert r.ask("RCPT TO:<u%elsewhere.test@other.test>").startswith("550")
        assert r.ask("RCPT TO:<u@sub.ship7.test>").startswith("550")
        assert r.ask("DATA").startswith("5")
    assert count(holder) == 0


def test_entitled_clients_relay(relay):
    relay.send("a@x.test", ["u@elsewhere.test"], PLAIN)
    assert count(relay) == 1


def test_postmaster(daemon):
    d = daemon("pm", HELD + 'postmaster = "chief@ship7.test"\n')
    with Raw(d.port) as r:
        r.ask("HELO c")
        r.ask("MAIL FROM:<a@x.test>")
        assert r.ask("RCPT TO:<PostMaster>").startswith("250")
        r.ask("DATA")
        r.send(PLAIN + b".\r\n")
        assert r.reply().startswith("250")
    assert "chief@ship7.test" in d.run("mailq").stdout


def test_order_of_commands(holder):
    with Raw(holder.port) as r:
        assert r.ask("MAIL FROM:<a@x.test>").startswith("503 5.5.1")
        assert r.ask("NOOP").startswith("250")
        assert r.ask("HELP").startswith("214")
        assert r.ask("VRFY u@ship7.test").startswith("252")
        assert r.ask("TURN").startswith("502")
        assert r.ask("JUMP").startswith("500")
        assert r.ask("HELO c").startswith("250")
        assert r.ask("RCPT TO:<u@ship7.test>").startswith("503 5.5.1")
        assert r.ask("DATA").startswith("503 5.5.1")
        assert r.ask("MAIL FROM:<a@x.test>").startswith("250")
        assert r.ask("MAIL FROM:<a@x.test>").startswith("503 5.5.1")
        assert r.ask("RSET").startswith("250")
        assert r.ask("MAIL FROM:<a@x.test> FOO=1").startswith("555 5.5.4")
        assert r.ask("QUIT").startswith("221")
        assert r.reply() == ""


def test_pipelined_group(holder):
    with Raw(holder.port) as r:
        r.send(b"EHLO c\r\n")
        r.reply()
        r.send(b"MAIL FROM:<a@x.test>\r\nRCPT TO:<u@no.test>\r\n"
               b"RCPT TO:<u@ship7.test>\r\nDATA\r\n")
        assert [r.reply()[:3] for _ in range(4)] == ["250", "550", "250",
                                                     "354"]
        r.send(PLAIN + b".\r\nMAIL FROM:<b@x.test>\r\n"
               b"RCPT TO:<u@ship7.test>\r\nDATA\r\n")
        assert [r.reply()[:3] for _ in range(4)] == ["250", "250", "250",
                                                     "354"]
        r.send(PLAIN + b".\r\nQUIT\r\n")
        assert [r.reply()[:3] for _ in range(2)] == ["250", "221"]
    assert count(holder) == 2


SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\n.\r",
             b"\r\n\0.\r\n", b"\r.\r\n", b"\r\n.\r\r\n"]


@pytest.mark.parametrize("end", SMUGGLING, ids=repr)
def test_only_crlf_dot_crlf_ends_a_message(holder, end):
    with Raw(holder.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        r.ask("RCPT TO:<u@ship7.test>")
        r.ask("DATA")
        r.send(b"Subject: one\r\n\r\none" + end +
               b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<u@ship7.test>\r\n"
               b"DATA\r\nSubject: two\r\n\r\ntwo\r\n.\r\n")
        assert r.reply().startswith("5")
        # One reply, and still in step.
        assert r.ask("NOOP").startswith("250")
    assert count(holder) == 0


def test_size(daemon):
    d = daemon("small", HELD + 'message-size-max = "10k"\n')
    with d.smtp() as s:
        s.ehlo()
        assert s.esmtp_features["size"] == str(10 * 1024)
        assert s.mail("a@x.test", ["SIZE=10241"])[0] == 552
        assert s.mail("a@x.test", ["SIZE=10240"])[0] == 250
        s.rset()
    body = b"Subject: x\r\n\r\n"
    d.send("a@x.test", ["u@ship7.test"], body + b"a" * 1000 + b"\r\n")
    with Raw(d.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        r.ask("RCPT TO:<u@ship7.test>")
        r.ask("DATA")
        r.send(body + b"a" * 10240 + b"\r\n.\r\n")
        assert r.reply().startswith("552 5.3.4")
        assert r.ask("NOOP").startswith("250")
    assert count(d) == 1


def test_recipients_at_the_limit(daemon):
    d = daemon("few", HELD + "recipients-max = 5\n")
    with Raw(d.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        for n in range(5):
            assert r.ask(f"RCPT TO:<u{n}@ship7.test>").startswith("250")
        assert r.ask("RCPT TO:<u5@ship7.test>").startswith("452 4.5.3")
        r.ask("DATA")
        r.send(PLAIN + b".\r\n")
        assert r.reply().startswith("250")


def test_received_is_added_once_on_top(daemon, sink):
    hop = sink()
    d = daemon("hop", RELAY + 'route = ( { domain = "*", to = '
               f'"smtp://127.0.0.1:{hop.port}" }} )\n')
    d.send("a@x.test", ["u@y.test"], PLAIN)
    wait_until("delivery", lambda: hop.messages)
    content = hop.messages[0][2]
    assert content.startswith(b"Received: from client.test")
    assert content.count(b"Received:") == 1
    assert b"with ESMTP" in content
    assert content.endswith(PLAIN)


def test_too_many_hops(relay):
    with pytest.raises(smtplib.SMTPDataError) as error:
        relay.send("a@x.test", ["u@y.test"],
                   b"Received: from a by b; x\r\n" * 101 + PLAIN)
    assert error.value.smtp_code == 554


def test_many_errors_end_the_session(holder):
    with Raw(holder.port) as r:
        for _ in range(100):
            reply = r.ask("JUMP")
            if reply.startswith("421"):
                break
        assert reply.startswith("421 4.7.0")
        assert r.reply() == ""


def test_idle_session_is_ended(daemon):
    d = daemon("idle", HELD + 'idle-timeout = "1s"\n')
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert r.reply().startswith("421 4.4.2")
        assert r.reply() == ""


def test_connections_at_the_limit(daemon):
    d = daemon("crowd", HELD + "connections-max = 3\n")
    sessions = [Raw(d.port) for _ in range(3)]
    with Raw(d.port, greeting=False) as r:
        assert r.reply().startswith("421 4.3.2")
    sessions.pop().close()

    def there_is_room():
        with Raw(d.port, greeting=False) as r:
            return r.reply().startswith("220")
    wait_until("room", there_is_room)
    for s in sessions:
        s.close()


def test_shutdown_finishes_the_reply_in_hand(daemon):
    d = daemon("ending", HELD)
    with Raw(d.port) as idle:
        idle.ask("EHLO c")
        status = d.stop()
        assert idle.reply().startswith("421")
    assert status == 0
