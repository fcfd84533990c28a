"""Steering the queue: what sendqctl picks out and what it does to it, with the
daemon up and down; the check; an index that is lost."""
import collections
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest

from apart import apart
from harness import (BIN, IS_LIMITED, MODE, ROOT, Daemon, Sink, free_port,
                     site, tool, wait_until)

BODY = b"Subject: x\r\n\r\nbody\r\n"
HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")


def listing(d, *filters):
    lines = d.run("sendqctl", "--json", "list", *filters).stdout.splitlines()
    return [json.loads(line) for line in lines]


def steer(d, *arguments, status=0):
    """The end of a change as JSON."""
    result = d.run("sendqctl", "--json", *arguments, check=False)
    assert result.returncode == status, result
    end = json.loads(result.stdout)
    return end["changed"], end["leased"]


def lanes(d):
    return collections.Counter(
        r["lane"] for item in listing(d) for r in item["recipients"])


@pytest.fixture
def holder(daemon):
    d = daemon("holder", HELD)
    d.send("alice@a.test", ["bob@ship7.test"], BODY)
    d.send("", ["bob@ship7.test", "carol@SHIP7.test"], BODY * 100)
    d.send("dora@b.test", ["Bob@ship7.test"], BODY)
    return d


FILTERS = [
    (["--sender", "alice@A.test"], 1),
    (["--sender", "@b.test"], 1),
    (["--sender", "<>"], 2),
    (["--recipient", "bob@Ship7.Test"], 2),
    (["--recipient", "@ship7.test"], 4),
    (["--domain", "ship7.test", "--sender", "@a.test"], 1),
    (["--domain", "@test"], 4),
    (["--site", "ship7"], 4),
    (["--destination", "site:ship7", "--larger", "1k"], 2),
    (["--larger", "1M"], 0),
    (["--older", "1h"], 0),
    (["--site", "nosuch"], 0),
]


@pytest.mark.parametrize("is_up", [True, False])
def test_filters(holder, is_up):
    if not is_up:
        holder.stop()
    for arguments, count in FILTERS:
        found = listing(holder, *arguments)
        assert sum(len(m["recipients"]) for m in found) == count, arguments
        status = 0 if count else 1
        assert steer(holder, "delete", *arguments, "--dry-run",
                     status=status) == (count, 0)
        assert steer(holder, "hold", *arguments, "--dry-run",
                     status=status) == (count, 0)
        assert steer(holder, "hold", *arguments,
                     status=status) == (count, 0)
        assert lanes(holder)["stopped"] == count
        assert steer(holder, "free", *arguments,
                     status=status) == (count, 0)
        assert lanes(holder) == {"held": 4}
    time.sleep(1.1)
    assert steer(holder, "delete", "--older", "1s", "--sender", "@a.test",
                 "--recipient", "bob@ship7.test") == (1, 0)
    assert lanes(holder) == {"held": 3}


@pytest.mark.parametrize("arguments", [
    ["hold"],
    ["hold", "--dry-run"],
    ["delete", "--older", "soon"],
    ["delete", "--older", "0"],
    ["delete", "--larger", "0"],
    ["delete", "--id", "a", "--id", "b"],
    ["delete", "--site", "a", "--destination", "b"],
    ["delete", "--site"],
    ["list", "--dry-run"],
    ["show", "a", "--site", "b"],
    ["top", "--sort", "name"],
    ["top", "--count", "0"],
    ["check", "--id", "a"],
    ["nosuch"],
    [],
])
def test_a_wrong_command_line_does_nothing(holder, arguments):
    result = holder.run("sendqctl", *arguments, check=False)
    assert result.returncode == 64
    assert "sendqctl: " in result.stderr and result.stdout == ""
    assert len(listing(holder)) == 3


def test_what_is_refused_by_the_daemon(holder):
    for arguments in (["--id", "a/b"], ["--domain", "a b"],
                      ["--destination", ""], ["--sender", ""]):
        result = holder.run("sendqctl", "delete", *arguments, check=False)
        assert result.returncode == 69
        assert "bad " in result.stderr


def test_release_of_an_unknown_site(holder):
    for arguments in ([], ["--json"]):
        result = holder.run("sendqctl", *arguments, "release", "nosuch",
                            check=False)
        assert result.returncode == 1
        assert "nosuch" in result.stderr


def away(port):
    return ('relay-from = [ "127.0.0.0/8" ]\nretry-min = "1h"\n'
            'route = ( { domain = "*", to = "smtp://127.0.0.1:%d" } )\n'
            % port)


@pytest.mark.parametrize("is_up", [True, False])
def test_requeue_of_a_site_that_is_gone(daemon, sink, is_up):
    """Nothing gets stuck, and nothing goes by itself where it was not to go;
    what is said about it is in the log and in the listing."""
    far = sink()
    d = daemon("holder", HELD)
    for n in range(3):
        d.send("a@x.test", [f"u{n}@ship7.test"], BODY)
    d.stop()
    d.write_config(away(far.port))
    d.start()
    wait_until("a word about it", lambda: re.search(
        r"no-route - destination=site:ship7 messages=3", d.log()))
    text = d.run("sendqctl", "destinations").stdout
    assert re.search(r"(?m)^site:ship7 +3 .* no-route ", text), text
    if not is_up:
        d.stop()
    dry = d.run("sendqctl", "requeue", "--site", "ship7", "--dry-run").stdout
    assert dry.startswith("requeue: 3 recipients would be, 3 of them to an")
    assert lanes(d) == {"held": 3}
    assert steer(d, "requeue", "--site", "ship7") == (3, 0)
    if not is_up:
        assert lanes(d) == {"ready": 3}
        d.start()
    wait_until("mail", lambda: len(far.messages) == 3)
    wait_until("empty", lambda: listing(d) == [])


def test_a_site_that_is_not_held_any_more(daemon, sink):
    far = sink()
    route = f"smtp://127.0.0.1:{far.port}"
    d = daemon("holder", site("ship7", "ship7.test", route))
    d.send("a@x.test", ["u@ship7.test"], BODY)
    d.stop()
    d.write_config(site("ship7", "ship7.test", route, hold=False))
    d.start()
    wait_until("mail", lambda: len(far.messages) == 1)
    wait_until("empty", lambda: listing(d) == [])


def test_requeue_clears_the_backoff_and_top_shows_it(daemon, sink):
    port = free_port()
    d = daemon("holder", away(port))
    d.send("a@x.test", ["u@y.test"], BODY)

    def answer():
        lines = d.run("sendqctl", "--json", "top").stdout.splitlines()
        items = [json.loads(line) for line in lines]
        return items and items[0]["answer"]

    wait_until("an answer", answer)
    assert "refused" in answer()
    assert "refused" in d.run("sendqctl", "top").stdout
    far = sink(port=port)
    assert steer(d, "requeue", "--recipient", "@y.test") == (1, 0)
    wait_until("mail", lambda: len(far.messages) == 1)


def test_expire(daemon, sink):
    """Returned at once with a notification, whatever lane it is in."""
    far = sink()
    d = daemon("holder", away(far.port) + HELD)
    d.send("alice@a.test", ["u@ship7.test", "v@ship7.test"], BODY)
    d.run("sendqctl", "hold", "--recipient", "v@ship7.test")
    assert steer(d, "expire", "--site", "ship7", "--dry-run") == (2, 0)
    assert lanes(d) == {"held": 1, "stopped": 1}
    assert steer(d, "expire", "--site", "ship7") == (2, 0)
    wait_until("a notification", lambda: far.messages)
    sender, recipients, content = far.messages[0]
    assert sender == "" and recipients == ["alice@a.test"]
    assert content.count(b"Status: 4.4.7") == 2
    assert b"returned by the administrator" in content
    wait_until("empty", lambda: listing(d) == [])
    d.stop()
    result = d.run("sendqctl", "expire", "--site", "ship7", check=False)
    assert result.returncode == 69 and "no daemon" in result.stderr


def test_top(daemon):
    names = ["a", "b", "c"]
    text = 'relay-from = [ "127.0.0.0/8" ]\nsite = ( %s )\n' % ", ".join(
        '{ name = "%s", domains = [ "%s.test" ], hold = true, '
        'route = "smtp://127.0.0.1:9" }' % (n, n) for n in names)
    d = daemon("holder", text)
    d.send("x@x.test", ["u@c.test"], BODY)
    time.sleep(1.1)
    d.send("x@x.test", ["u@a.test"], BODY * 1000)
    time.sleep(1.1)
    for _ in range(3):
        d.send("x@x.test", ["u@b.test"], BODY)
    for is_up in (True, False):
        if not is_up:
            d.stop()
        for sort, want in (("count", "b"), ("bytes", "a"), ("age", "c")):
            lines = d.run("sendqctl", "--json", "top", "--sort",
                          sort).stdout.splitlines()
            items = [json.loads(line) for line in lines]
            assert items[0]["name"] == f"site:{want}"
            assert len(items) == 3
        text = d.run("sendqctl", "top", "--count", "2").stdout
        assert len(text.splitlines()) == 3
        assert re.search(r"(?m)^site:b +3 ", text)


def log_file(spool):
    return sorted((spool / "log").iterdir())[0]


def flip(path, offset):
    with path.open("r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 1]))


def test_check(holder):
    result = holder.run("sendqctl", "check", check=False)
    assert result.returncode == 69 and "try again" in result.stderr
    holder.stop()
    before = listing(holder)
    text = holder.run("sendqctl", "check").stdout
    assert re.search(r"^\d+ records, 3 messages, \d+ bytes: 0 wrong$", text)
    text = holder.run("sendqctl", "check", "--rebuild").stdout
    assert ": 0 wrong" in text
    assert listing(holder) == before
    log = log_file(holder.spool)
    flip(log, log.read_bytes().index(b"alice@a.test"))
    result = holder.run("sendqctl", "check", check=False)
    assert result.returncode == 1
    assert "damaged" in result.stdout and ": 0 wrong" not in result.stdout
    result = holder.run("sendqctl", "--json", "check", check=False)
    assert result.returncode == 1
    items = [json.loads(line) for line in result.stdout.splitlines()]
    assert items[0]["item"] == "finding" and items[-1]["wrong"] > 0
    # The others are still there, and nothing else is.
    holder.run("sendqctl", "check", "--rebuild", check=False)
    assert listing(holder) == before[1:]


class Filler(threading.Thread):
    """Sends messages, one round trip each, some hundred a connection."""

    def __init__(self, port, recipients):
        super().__init__(daemon=True)
        self.port, self.recipients, self.count = port, recipients, 0

    def run(self):
        for at in range(0, len(self.recipients), 500):
            self.send(self.recipients[at:at + 500])

    def send(self, recipients):
        with socket.create_connection(("127.0.0.1", self.port)) as s, \
                s.makefile("rb") as f:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.expect(f, b"220")
            s.sendall(b"EHLO c\r\n")
            self.expect(f, b"250")
            end = b""
            for recipient in recipients:
                s.sendall(end + b"MAIL FROM:<a@x.test>\r\n"
                          b"RCPT TO:<%s>\r\nDATA\r\n" % recipient.encode())
                if end:
                    self.expect(f, b"250")
                self.expect(f, b"250")
                self.expect(f, b"250")
                self.expect(f, b"354")
                end = BODY + b".\r\n"
                self.count += 1
            s.sendall(end)
            self.expect(f, b"250")

    def expect(self, f, code):
        while True:
            line = f.readline()
            assert line.startswith(code), line
            if line[3:4] != b"-":
                return


def fill(port, recipients):
    fillers = [Filler(port, recipients[n::8]) for n in range(8)]
    for filler in fillers:
        filler.start()
    for filler in fillers:
        filler.join()
    assert sum(filler.count for filler in fillers) == len(recipients)


# Of ship7.test, b.test, dead.test and slow.test.
LOADS = ((12500, 2000, 5400, 100) if not IS_LIMITED else
         (7000, 1000, 2000, 100) if os.environ.get("SENDQ_LONG") else
         (1300, 200, 540, 100))
ALL = sum(LOADS)
PART = 1500 if IS_LIMITED else ALL  # in one life of the daemon


def fill_part(d, recipients):
    d.start()
    fill(d.port, recipients)
    d.stop()


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A spool with messages in all lanes, and no daemon."""
    place = tmp_path_factory.mktemp("full")
    for directory in [place, place.parent, place.parent.parent]:
        directory.chmod(0o755)
    slow = Sink(refuse=lambda verb, argument:
                "450 4.2.0 later" if verb == "RCPT" else None)
    settings = (
        'relay-from = [ "127.0.0.0/8" ]\nretry-min = "1h"\n'
        'route = ( { domain = "dead.test", to = "smtp://127.0.0.1:1" },\n'
        '  { domain = "slow.test", to = "smtp://127.0.0.1:%d" } )\n'
        'site = ( { name = "ship7", domains = [ "ship7.test", "b.test" ],\n'
        '  hold = true, route = "smtp://127.0.0.1:9" } )\n' % slow.port)
    d = Daemon(place, "holder", settings)
    recipients = [f"u{n}@{domain}.test"
                  for domain, load in zip(("ship7", "b", "dead", "slow"),
                                          LOADS) for n in range(load)]
    try:
        for n in range(0, ALL, PART):
            apart(fill_part, d, recipients[n:n + PART])
        d.start()
        d.run("sendqctl", "hold", "--domain", "b.test")
        wait_until("deferrals", lambda: len(
            listing(d, "--domain", "slow.test", "--larger", "1")) == 100 and
            d.run("sendqctl", "--json", "top").stdout.count(
                '"waiting":100') == 1)
    finally:
        d.stop()
        slow.stop()
    assert lanes(d) == dict(zip(("held", "stopped", "ready", "waiting"),
                                LOADS))
    return d


def copy_of(full, place):
    """The same spool and configuration in another place."""
    d = Daemon(place, "holder")
    d.config.write_text(full.config.read_text().replace(
        str(full.directory), str(place)))
    d.port = full.port
    subprocess.run(["cp", "-a", str(full.spool), str(d.spool)], check=True)
    return d


def deleted(index):
    index.unlink()


def truncated(index):
    with index.open("r+b") as f:
        f.truncate(index.stat().st_size // 2 // 512 * 512 + 100)


def emptied(index):
    index.write_bytes(b"")


def flipped(index):
    for at in range(100, index.stat().st_size, 99991):
        flip(index, at)


@pytest.mark.parametrize("hurt", [deleted, truncated, emptied, flipped])
def test_index_comes_back_by_itself(full, place, hurt):
    d = copy_of(full, place)
    before = d.run("sendqctl", "--json", "list").stdout
    places = d.run("sendqctl", "--json", "destinations").stdout
    hurt(d.spool / "queue.db")
    was_set_aside = hurt in (truncated, flipped)
    after = d.run("sendqctl", "--json", "list").stdout
    assert before.splitlines() == after.splitlines()
    assert len(before.splitlines()) == ALL
    assert d.run("sendqctl", "--json", "destinations").stdout == places
    assert any(d.spool.glob("queue.db.damaged-*")) == was_set_aside
    text = d.run("sendqctl", "check").stdout
    assert f"{ALL} messages" in text and ": 0 wrong" in text


def memory(pid, what):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", text).group(1))


def test_a_listing_streams(full, place):
    """The first line comes long before the last, and nobody's memory grows
    with the number of messages."""
    d = copy_of(full, place)
    d.start()
    try:
        roles = {name: pid for name, pid in d.children().items()
                 if name in ("queue", "control")}
        d.run("sendqctl", "--json", "list", "--recipient", "u0@b.test")
        before = {name: memory(pid, "VmRSS") for name, pid in roles.items()}
        began = time.monotonic()
        with subprocess.Popen(
                [str(BIN / "sendqctl"), "-c", str(d.config), "--json", "list"],
                stdout=subprocess.PIPE) as tool_:
            count = 0
            first = None
            for line in tool_.stdout:
                count += 1
                if first is None:
                    first = time.monotonic() - began
                if count == ALL // 2:
                    tool_kb = memory(tool_.pid, "VmHWM")
        whole = time.monotonic() - began
        assert count == ALL
        # With few messages it is the start of the tool that takes the time.
        assert IS_LIMITED or first < whole / 4
        # Sanitizers keep what was freed.
        if "asan" in MODE:
            return
        assert tool_kb < 20000
        for name, pid in roles.items():
            assert memory(pid, "VmHWM") < before[name] + 16000, name
    finally:
        d.stop()


def test_a_slow_reader_holds_back_nobody(full, place):
    d = copy_of(full, place)
    d.start()
    try:
        with subprocess.Popen(
                [str(BIN / "sendqctl"), "-c", str(d.config), "--json", "list"],
                stdout=subprocess.PIPE) as tool_:
            tool_.stdout.readline()
            assert len(listing(d, "--recipient", "u7@b.test")) == 1
            tool_.kill()
        assert steer(d, "delete", "--site", "ship7") == (
            LOADS[0] + LOADS[1], 0)
    finally:
        d.stop()


def complete(d, *words):
    """What bash offers for the last of WORDS."""
    script = '''
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_sendqctl
printf "%s\\n" "${COMPREPLY[@]}"'''
    result = subprocess.run(
        ["bash", "-c", script, "bash", str(ROOT / "contrib/sendqctl.bash"),
         "sendqctl", *words], capture_output=True, text=True, timeout=20,
        env=dict(os.environ, PATH=f"{BIN}:{os.environ['PATH']}",
                 SENDQ_CONFIG=str(d.config)))
    assert result.returncode == 0 and result.stderr == "", result
    return result.stdout.split()


def test_completion(holder):
    assert complete(holder, "re") == ["release", "requeue"]
    assert complete(holder, "release", "") == ["ship7"]
    assert complete(holder, "hold", "--site", "s") == ["ship7"]
    assert complete(holder, "hold", "--site", "x") == []
    assert complete(holder, "--json", "hold", "--dr") == ["--dry-run"]
    assert complete(holder, "list", "--dr") == []
    assert complete(holder, "top", "--sort", "") == ["count", "bytes", "age"]
    assert complete(holder, "-c", str(holder.config), "release",
                    "sh") == ["ship7"]
    assert complete(holder, "import", "--s") == ["--sender", "--site"]
    spool = str(holder.spool)
    assert spool in complete(holder, "export", spool[:-1])
    # All commands and options that the help knows, and no others.
    text = holder.run("sendqctl", "--help").stdout
    offered = set(complete(holder, ""))
    for command in ("list", "hold", "top", "check"):
        offered |= set(complete(holder, command, "--"))
    commands = set(re.findall(r"(?m)^  (\w+)", text)) | {"sites"}
    wanted = set(re.findall(r"--[a-z-]+", text)) | commands
    assert offered - {"-c", "--help", "--version"} == wanted
