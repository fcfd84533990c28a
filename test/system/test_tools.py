"""The administrator's programs, with the daemon up and down."""
import json
import os
import re
import subprocess

import pytest

from harness import BIN, Raw, site, tool, wait_until

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


def test_sites_have_one_order(daemon):
    """That of their names, with and without a daemon."""
    d = daemon("holder", "site = (" + ", ".join(
        f'{{ name = "{name}", domains = [ "{name}.test" ], hold = true, '
        'route = "smtp://127.0.0.1:9" }' for name in ("ship", "boat", "yawl")
    ) + ")\n")
    shown = d.run("sendqctl", "--json", "sites").stdout
    d.stop()
    assert shown == d.run("sendqctl", "--json", "sites").stdout
    assert re.findall(r'"name":"(\w+)"', shown) == ["boat", "ship", "yawl"]


@pytest.mark.parametrize("options", [["list"], ["--json", "list"], ["sites"]])
@pytest.mark.parametrize("is_up", [True, False])
def test_a_full_disk_is_told(holder, options, is_up):
    """Whoever reads what was written must not take it for the whole queue."""
    if not is_up:
        holder.stop()
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [str(BIN / "sendqctl"), "-c", str(holder.config), *options],
            stdout=full, stderr=subprocess.PIPE, timeout=20)
    assert result.returncode == os.EX_IOERR


def test_list_as_json(holder):
    lines = holder.run("sendqctl", "--json", "list").stdout.splitlines()
    items = [json.loads(line) for line in lines]
    assert [item["sender"] for item in items] == ["alice@example.com", ""]
    assert items[1]["recipients"][1]["address"] == "carol@ship7.test"
    assert items[1]["recipients"][1]["lane"] == "held"


def test_json_is_ascii_whatever_the_addresses(daemon):
    """One item is one line for who goes by other line ends than LF, too."""
    d = daemon("odd", HELD)
    wanted = ["\u00fc\u20ac@ship7.test", "a\u2028b@ship7.test",
              '"a\\"b"@ship7.test']
    with Raw(d.port) as r:
        r.ask("EHLO c")
        for address in wanted:
            for line in (f"MAIL FROM:<{address}> SMTPUTF8",
                         f"RCPT TO:<{address}>", "DATA"):
                assert r.ask(line)[0] in "23"
            r.send(PLAIN + b".\r\n")
            assert r.reply().startswith("250")
    text = d.run("sendqctl", "--json", "list").stdout
    assert text.isascii()
    items = [json.loads(line) for line in text.splitlines()]
    assert [item["sender"] for item in items] == wanted
    assert [item["recipients"][0]["address"] for item in items] == wanted


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


@pytest.mark.parametrize("name", ["control", "submission"])
def test_a_file_in_the_place_of_a_socket_stays(daemon, place, name):
    """Only the socket of a daemon that is gone is removed."""
    d = daemon("odd", HELD, start=False)
    for_socket = place / "odd-run" / name
    for_socket.parent.mkdir()
    for_socket.write_text("precious")
    result = subprocess.run([str(BIN / "sendqd"), "-c", str(d.config)],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == os.EX_CANTCREAT
    assert f"{name}-socket-failed" in result.stderr
    assert for_socket.read_text() == "precious"


def test_a_directory_of_others_is_no_spool(daemon, place):
    """Such as a queue of sendmail's without "mqueue:" before it; but the top
    of a file system is one."""
    d = daemon("odd", HELD, start=False)
    d.spool.mkdir(mode=0o755)
    (d.spool / "lost+found").mkdir()
    (d.spool / "qfxAM1234").write_text("V8\n")
    before = d.spool.stat()
    result = subprocess.run([str(BIN / "sendqd"), "-c", str(d.config)],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == os.EX_CANTCREAT
    assert re.search(r"spool-failed .*\"Directory not empty\"", result.stderr)
    after = d.spool.stat()
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)
    assert len(list(d.spool.iterdir())) == 2
    (d.spool / "qfxAM1234").unlink()
    d.start()
    d.stop()
    (d.spool / "notes").write_text("of the administrator")
    d.start()


def test_var_is_no_spool(daemon, place):
    """A directory with directories "log", "lock" and "tmp" is the system's: it
    is not given away, neither as a spool nor for dropped mail."""
    d = daemon("odd", HELD, start=False)
    drop = place / "drop"
    for path in d.spool, drop:
        path.mkdir(mode=0o755)
        for name in "lib", "log", "tmp":
            (path / name).mkdir()
        (path / "lock").symlink_to("log")
    d.config.write_text(re.sub(
        "drop-directory = .*", "", d.config.read_text())
        + f'drop-directory = "{drop}"\n')
    before = [(path.stat().st_mode, path.stat().st_uid)
              for path in (d.spool, drop)]
    result = subprocess.run([str(BIN / "sendqd"), "-c", str(d.config)],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == os.EX_CANTCREAT
    assert re.search(r"spool-failed .*\"Directory not empty\"", result.stderr)
    assert (d.spool.stat().st_mode, d.spool.stat().st_uid) == before[0]
    for name in "lib", "log", "tmp":
        (d.spool / name).rmdir()
    (d.spool / "lock").unlink()
    d.start()
    wait_until("the reason in the log", lambda: re.search(
        r"drop-failed .*\"Directory not empty\"", d.log()))
    assert (drop.stat().st_mode, drop.stat().st_uid) == before[1]


def test_a_second_daemon_on_one_spool_says_so(holder):
    other = subprocess.run([str(BIN / "sendqd"), "-c", str(holder.config)],
                           capture_output=True, text=True, timeout=30)
    assert other.returncode != 0
    assert len(ids(holder)) == 2
