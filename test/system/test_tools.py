"""The administrator's programs, with the daemon up and down."""
import json
import os
import re
import subprocess

import pytest

from harness import BIN, site, tool, wait_until

PLAIN = b"Subject: x\r\n\r\nbody\r\n"
HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")


@pytest.fixture
def holder(daemon):
    d = daemon("holder", HELD)
    d.send("alice@example.com", ["bob@ship7.test"], PLAIN)
    d.send("", ["bob@ship7.test", "carol@ship7.test"], PLAIN * 50)
    return d


def ids(d):
    return re.findall(r"(?m)^([0-9A-Za-x]{14})", d.run("mailq").stdout)


def test_mailq_has_sendmails_format(holder):
    text = holder.run("mailq").stdout
    lines = text.splitlines()
    assert lines[0] == f"\t\t{holder.spool} (2 requests)"
    assert lines[1] == ("-----Q-ID----- --Size-- -----Q-Time----- "
                        "------------Sender/Recipient-----------")
    entry = re.compile(r"[0-9A-Za-x]{14}[ *] {0,7}\d+ "
                       r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d \S+$")
    assert entry.match(lines[2]) and lines[2].endswith(" alice@example.com")
    assert lines[3] == "\t\t\t\t\t bob@ship7.test"
    assert entry.match(lines[4]) and lines[4].endswith(" <>")
    assert lines[5:7] == ["\t\t\t\t\t bob@ship7.test",
                          "\t\t\t\t\t carol@ship7.test"]
    assert lines[7] == "\t\tTotal requests: 2"
    assert len(lines) == 8


def test_mailq_of_an_empty_queue(daemon):
    d = daemon("holder", HELD)
    assert d.run("mailq").stdout == (f"{d.spool} is empty\n"
                                     "\t\tTotal requests: 0\n")


def test_sendmail_bp_is_mailq(holder):
    assert holder.run("sendmail", "-bp").stdout == holder.run("mailq").stdout


def test_the_listing_is_the_same_without_a_daemon(holder):
    up = [holder.run("mailq").stdout, holder.run("sendqctl", "list").stdout,
          holder.run("sendqctl", "show", ids(holder)[0]).stdout]
    holder.stop()
    down = [holder.run("mailq").stdout, holder.run("sendqctl", "list").stdout,
            holder.run("sendqctl", "show", ids(holder)[0]).stdout]
    assert up == down
    assert "bob@ship7.test" in up[1] and "site:ship7" in up[2]


def test_show_of_an_unknown_id(holder):
    result = holder.run("sendqctl", "show", "nosuchid", check=False)
    assert result.returncode != 0
    assert "nosuchid" in result.stderr


def test_sites_and_release(daemon, sink):
    far = sink()
    d = daemon("holder", site("ship7", "ship7.test",
                              f"smtp://127.0.0.1:{far.port}"))
    d.send("a@x.test", ["u@ship7.test"], PLAIN)
    text = d.run("sendqctl", "sites").stdout
    assert re.search(r"(?m)^ship7\b.*\b1\b.*held", text), text
    text = d.run("sendqctl", "release", "ship7").stdout
    assert "1" in text
    wait_until("mail", lambda: far.messages)
    assert d.run("sendqctl", "release", "nosuch", check=False).returncode != 0


def test_list_as_json(holder):
    lines = holder.run("sendqctl", "--json", "list").stdout.splitlines()
    items = [json.loads(line) for line in lines]
    assert [item["sender"] for item in items] == ["alice@example.com", ""]
    assert items[1]["recipients"][1]["address"] == "carol@ship7.test"
    assert items[1]["recipients"][1]["lane"] == "held"


def test_hold_free_delete(holder):
    first, second = ids(holder)
    assert "1" in holder.run("sendqctl", "hold", "--id", first).stdout
    assert "stopped" in holder.run("sendqctl", "show", first).stdout
    holder.run("sendqctl", "free", "--id", first)
    assert "stopped" not in holder.run("sendqctl", "show", first).stdout
    holder.run("sendqctl", "delete", "--id", second)
    assert ids(holder) == [first]


def test_control_socket_takes_rubbish(holder):
    import socket
    for rubbish in (b"\0" * 1000, b"{", b"[]\n", b'{"do":1}\n', b"x" * 200000,
                    b'{"do":"list","count":-1}\n', b'{"do":"nosuch"}\n'):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(holder.control))
            try:
                s.sendall(rubbish)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass
    assert len(ids(holder)) == 2


GOOD = 'hostname = "a.test"\nspool = "/tmp/x"\n'


@pytest.mark.parametrize("text,line,word", [
    (GOOD + "foo = 1\n", 3, "foo"),
    (GOOD + 'relay-from = [ "10.0.0.0/33" ]\n', 3, "10.0.0.0/33"),
    (GOOD + "site = (\n { name = \"a\", domains = [ \"x.test\" ], route = "
     "\"mx\" },\n { name = \"b\", domains = [ \"x.test\" ], route = \"mx\" "
     "})\n", 5, "x.test"),
    (GOOD + "size = \n", 4, ""),
    ('spool = "/tmp/x"\n', 1, "hostname"),
    (GOOD + 'retry-min = "soon"\n', 3, "retry-min"),
])
def test_check_of_a_configuration(place, text, line, word):
    path = place / "bad.conf"
    path.write_text(text)
    result = tool("sendqd", "-n", "-c", path, check=False)
    assert result.returncode == 78
    assert re.search(rf"bad\.conf:{line}:.*{re.escape(word)}",
                     result.stderr), result.stderr


def test_check_tells_all_mistakes(place):
    path = place / "bad.conf"
    path.write_text(GOOD + 'foo = 1\nbar = 2\nretry-min = "x"\n')
    result = tool("sendqd", "-n", "-c", path, check=False)
    assert len(result.stderr.splitlines()) == 3


def test_check_of_a_good_configuration(place):
    path = place / "good.conf"
    path.write_text(GOOD)
    assert tool("sendqd", "-n", "-c", path).returncode == 0
    environment = dict(os.environ, SENDQ_CONFIG=str(path))
    assert tool("sendqd", "-n", env=environment).returncode == 0
    missing = tool("sendqd", "-n", "-c", place / "none.conf", check=False)
    assert missing.returncode != 0 and "none.conf" in missing.stderr


def test_help(place):
    for program in ("sendqd", "sendq", "sendqctl", "sendmail"):
        text = tool(program, "--help").stdout
        assert text.startswith("usage: " + program)
        assert len(text.splitlines()) <= 24
        assert all(len(line) <= 80 for line in text.splitlines())
    text = tool("sendqd", "--help-settings").stdout
    for name in ("hostname", "relay-from", "release-time", "control-socket"):
        assert name in text


def test_a_second_daemon_on_one_spool_says_so(holder):
    other = subprocess.run([str(BIN / "sendqd"), "-c", str(holder.config)],
                           capture_output=True, text=True, timeout=30)
    assert other.returncode != 0
    assert len(ids(holder)) == 2
