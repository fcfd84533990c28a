"""The log: every line can be taken apart, one grep follows a message, and the
system's log instead of standard error."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

from harness import BIN, ROOT, Raw, alive, site, tool, wait_until

LINE = re.compile(r"(?P<level>error|warn|note|detail) (?P<event>[a-z-]+) "
                  r"(?P<id>[!-~]+)(?P<fields>( [a-z_0-9]+="
                  r'([!#-\[\]-~]|\\x[0-9a-f]{2})*|'
                  r' [a-z_0-9]+="([ !#-\[\]-~]|\\x[0-9a-f]{2}|\\"|\\\\)*")*)$')
FIELD = re.compile(r' ([a-z_0-9]+)=(?:"((?:[^"\\]|\\.)*)"|([^ "]*))')
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
SLOW = 'retry-min = "1s"\n'


def documented():
    """{event: keys} of the manual page."""
    page = (ROOT / "man" / "sendq-log.7").read_text()
    events = {}
    for entry in re.split(r"^\.It Sy ", page.split(".Sh EVENTS")[1].split(
            ".Sh KEYS")[0], flags=re.M)[1:]:
        keys = re.split(r"\nKeys?:\n", entry)
        events[entry.split("\n")[0]] = set(
            re.findall(r"^\.Cm ([a-z_0-9]+)", keys[1], re.M)
            if len(keys) > 1 else ())
    return events


def unescape(text):
    return re.sub(r"\\(?:x(..)|(.))", lambda m: chr(int(m.group(1), 16))
                  if m.group(1) else m.group(2), text)


def parse(line, has_time=True):
    """(level, event, id, {key: value}) of one line, by the manual page."""
    if has_time:
        assert TIME.match(line), line
        line = line[TIME.match(line).end():]
    found = LINE.match(line)
    assert found, line
    fields = {m.group(1): unescape(m.group(2) if m.group(2) is not None
                                   else m.group(3))
              for m in FIELD.finditer(found.group("fields"))}
    return found.group("level"), found.group("event"), found.group("id"), fields


def events(d, has_time=True):
    known = documented()
    parsed = []
    for line in d.log().splitlines():
        level, event, queue_id, fields = parse(line, has_time)
        assert event in known, line
        assert set(fields) <= known[event], line
        parsed.append((level, event, queue_id, fields))
    return parsed


def is_empty(d):
    return "is empty" in d.run("mailq").stdout


def test_one_grep_follows_a_message(daemon, sink):
    """Sent, deferred, delivered, bounced: all lines have the id, and the
    notification's id is in the line that the grep finds."""
    tries = []

    def refuse(verb, argument):
        if verb == "RCPT" and "later" in argument:
            tries.append(argument)
            return "450 4.2.0 try \"again\" later" if len(tries) < 2 else None
        if verb == "RCPT" and "never" in argument:
            return "550 5.1.1 no such user = nobody"
        return None

    far = sink(refuse)
    d = daemon("out", f'route = ( {{ domain = "*", '
               f'to = "smtp://127.0.0.1:{far.port}" }} )\n'
               'relay-from = [ "127.0.0.0/8" ]\n' + SLOW)
    with d.smtp() as s:
        s.helo("client.test")
        s.mail("a@x.test")
        for name in ("good", "later", "never"):
            s.rcpt(f"{name}@y.test")
        code, text = s.data("Subject: x\r\n\r\nx\r\n")
    assert code == 250
    queue_id = text.decode().split(" as ")[1].split()[0]
    wait_until("an empty queue", lambda: is_empty(d))

    def grep(wanted):
        found = subprocess.run(["grep", "-w", wanted, str(d.log_path)],
                               stdout=subprocess.PIPE, text=True, check=True)
        return [parse(line) for line in found.stdout.splitlines()]

    wait_until("done", lambda: "done" in [e[1] for e in grep(queue_id)])
    story = grep(queue_id)
    assert [e[1] for e in story][0] == "received"
    assert [e[1] for e in story][-1] == "done"
    assert story[0][3] == {"from": "<a@x.test>", "size": story[0][3]["size"],
                           "nrcpt": "3", "peer": "127.0.0.1",
                           "helo": "client.test"}
    by_event = {}
    for _, event, of, fields in story:
        assert of == queue_id
        by_event.setdefault(event, []).append(fields)
    host = {"host": f"127.0.0.1[127.0.0.1]"}
    assert by_event["deferred"][0]["to"] == "later@y.test"
    assert by_event["deferred"][0]["answer"] == '450 4.2.0 try "again" later'
    assert by_event["failed"][0]["answer"] == "550 5.1.1 no such user = nobody"
    assert {f["to"] for f in by_event["delivered"]} == {"good@y.test",
                                                        "later@y.test"}
    assert all("250 2.0.0 ok" == f["answer"] for f in by_event["delivered"])
    assert by_event["failed"][0]["host"], host
    returned, = by_event["returned"]
    assert returned["to"] == "never@y.test"
    notification = grep(returned["dsn"])
    assert [e[1] for e in notification] == ["returned", "delivered", "done"]
    assert notification[1][3]["to"] == "a@x.test"
    events(d)


def test_a_peer_cannot_forge_a_line(daemon):
    """Whatever a client says, lines stay lines and keys stay keys."""
    d = daemon("holder", site("ship7", "ship7.test", "smtp://127.0.0.1:9") +
               'log-level = "detail"\n')
    hostile = ['x" peer=192.0.2.1 helo=y', "x\\", 'a\\" b', "é\x1b[2J",
               "x=y z=1", '"', "x" * 900]
    for text in hostile:
        with Raw(d.port) as r:
            r.send(b"EHLO " + text.encode() + b"\r\n")
            r.reply()
            r.ask("EHLO c")
            r.ask("MAIL FROM:<\"a b=c \\\" d\"@x.test>")
            r.ask('RCPT TO:<"q r=s"@elsewhere.test>')
            r.ask('RCPT TO:<u@ship7.test>')
            r.send(b"ETRN " + text.encode() + b"\r\n")
            r.reply()
            r.send(b"QSND " + text.encode() + b"\r\n")
            r.reply()
            r.ask("DATA")
            r.ask("x\r\n.")
    wait_until("lines", lambda: d.log().count(" received ") == len(hostile))
    parsed = events(d)
    for _, event, _, fields in parsed:
        if "peer" in fields:
            assert fields["peer"] == "127.0.0.1", (event, fields)
    senders = {f["from"] for _, event, _, f in parsed if event == "received"}
    assert senders == {'<"a b=c \\" d"@x.test>'}
    refused = {f["rcpt"] for _, event, _, f in parsed if event == "refused"}
    assert refused == {'<"q r=s"@elsewhere.test>'}


def test_reload_with_mistakes_is_in_the_log(daemon):
    d = daemon("holder", site("ship7", "ship7.test", "smtp://127.0.0.1:9"))
    with d.config.open("a") as f:
        f.write('colour = "blue"\nretry-min = "never"\n')
    d.process.send_signal(signal.SIGHUP)
    wait_until("refused", lambda: d.log().count("reload-refused") == 2)
    told = [f["error"] for _, event, _, f in events(d)
            if event == "reload-refused"]
    assert "colour" in told[0] and "retry-min" in told[1]
    d.send("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\nx\r\n")


class Syslog:
    """A reader at /dev/log. Where the machine has one, the daemon gets a view
    of the file system in which ours is in its place."""

    def __init__(self, place):
        self.system = pathlib.Path("/dev/log")
        self.is_ours = not os.path.lexists(self.system)
        self.path = self.system if self.is_ours else place / "devlog"
        self.wrap = () if self.is_ours else (
            "unshare", "-m", "sh", "-c",
            f'mount --bind {self.path} /dev/log && exec "$@"', "sh")
        self.open()

    def open(self):
        self.path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.socket.setblocking(False)
        self.lines = []

    def read(self):
        while True:
            try:
                self.lines.append(self.socket.recv(65536).decode("ascii"))
            except BlockingIOError:
                return self.lines

    def events(self):
        """[(severity, pid, level, event, id, fields)]"""
        parsed = []
        for line in self.read():
            head = re.match(r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
                            r"sendqd\[(\d+)\]: ", line)
            assert head, line
            assert int(head.group(1)) >> 3 == 2, "facility mail"
            parsed.append((int(head.group(1)) & 7, int(head.group(2)),
                           *parse(line[head.end():], False)))
        return parsed

    def close(self):
        self.socket.close()
        self.path.unlink(missing_ok=True)


@pytest.fixture
def syslog(place):
    if os.getuid() != 0:
        pytest.skip("needs root to stand at /dev/log")
    reader = Syslog(place)
    yield reader
    reader.close()


def maildir_daemon(daemon, place, syslog):
    from harness import make_maildir
    make_maildir(place / "home")
    d = daemon("holder", site("ship7", "ship7.test", "smtp://127.0.0.1:9") +
               f'route = ( {{ domain = "m.test", '
               f'to = "maildir:{place}/home/none/such" }} )\n'
               'relay-from = [ "127.0.0.0/8" ]\nlog = "syslog"\n' + SLOW,
               start=False)
    d.start(wait=False, wrap=syslog.wrap)
    wait_until("ready", lambda: "ready" in [e[3] for e in syslog.events()])
    return d


def test_syslog(daemon, place, syslog):
    d = maildir_daemon(daemon, place, syslog)
    d.send("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\nx\r\n")
    d.send("a@x.test", ["u@m.test"], b"Subject: x\r\n\r\nx\r\n")
    # The helper's line comes by the spawner's socket.
    wait_until("the helper's word",
               lambda: "maildir-failed" in [e[3] for e in syslog.events()])
    children = d.children()
    lines = syslog.events()
    assert d.log() == ""
    assert {3: "error", 4: "warn", 6: "note", 7: "detail"}.items() >= {
        (e[0], e[2]) for e in lines}
    pids = {e[3]: e[1] for e in lines}
    assert pids["received"] == children["receive"]
    assert pids["ready"] == d.process.pid
    assert d.stop() == 0


def test_name(place, syslog):
    """sendmail -L: the name of a daemon that it starts; what syslog could not
    have is replaced."""
    from harness import Daemon
    d = Daemon(place, "holder", f'pid-file = "{place}/pid"\nlog = "syslog"\n')
    command = [*syslog.wrap, str(BIN / "sendmail"), "-C", str(d.config),
               "-L", "my mail/1", "-bd"]
    assert subprocess.run(command, timeout=60).returncode == 0
    pid = int((place / "pid").read_text().split()[0])
    os.kill(pid, signal.SIGTERM)
    wait_until("the end", lambda: not (place / "pid").exists())
    lines = [line for line in syslog.read() if f"[{pid}]: " in line]
    assert lines and all(f" my_mail_1[{pid}]: " in line for line in lines)


def test_syslog_that_goes_away(daemon, place, syslog):
    """Nothing waits and nothing ends; SIGHUP finds the new one."""
    d = maildir_daemon(daemon, place, syslog)
    before = d.children()
    # A reader that does not read: the socket fills, the mail goes on.
    syslog.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with d.smtp() as s:
        for n in range(700):
            s.sendmail("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\n")
    assert " received " in d.log()
    syslog.socket.close()
    mark = d.log_size()
    start = time.monotonic()
    d.send("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\nx\r\n")
    assert time.monotonic() - start < 5
    wait_until("standard error", lambda: " received " in d.log(mark))
    assert d.children() == before
    if not syslog.is_ours:
        return
    syslog.open()
    d.process.send_signal(signal.SIGHUP)
    wait_until("ready", lambda: "ready" in [e[3] for e in syslog.events()])
    mark = d.log_size()
    d.send("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\nx\r\n")
    wait_until("received", lambda: "received" in
               [e[3] for e in syslog.events()])
    assert d.log(mark) == ""


@pytest.mark.skipif(os.path.lexists("/dev/log"), reason="there is a syslog")
def test_no_syslog(daemon):
    d = daemon("holder", site("ship7", "ship7.test", "smtp://127.0.0.1:9") +
               'log = "syslog"\n')
    assert "syslog-failed" in [e[1] for e in events(d)]
    assert alive(d.process.pid)
    assert tool("sendqctl", "-c", d.config, "sites").returncode == 0
