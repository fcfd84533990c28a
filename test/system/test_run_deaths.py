"""Processes of a run that die in the middle: the run goes on with what is left,
or ends with a line and a status that is not 0; never 0 with mail untried."""
import collections
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import pytest
from apart import apart
from harness import BIN, RELAY, Sink, alive, wait_until
from mqueue_fill import fill
from test_run_kill import IN_FLIGHT, SETTINGS, send_all
from test_run_parts import put, queue, sent  # noqa: F401

MESSAGES = 300


def children(pid):
    """{pid: command line} of the children of PID."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
            line = pathlib.Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == pid and state != b"Z":
            found[int(name)] = line.split(b"\0")
    return found


def role_of(run, role):
    """The process ROLE of RUN, "master" for that of sendqd itself; or None."""
    masters = [p for p, line in children(run.pid).items() if b"--run" in line]
    if role == "master" or not masters:
        return masters[0] if masters else None
    for pid, line in children(masters[0]).items():
        if line[1:3] == [b"--role", role.encode()]:
            return pid
    return None


def start(q, path, *options):
    return subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-q",
         f"-oQ{path}", *options], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_role(run, role):
    """Kills it as soon as it is there; its pid, or None of a run that is
    over."""
    while run.poll() is None:
        pid = role_of(run, role)
        if pid:
            os.kill(pid, signal.SIGKILL)
            return pid
        time.sleep(0.005)
    return None


def count_sent(q):
    return collections.Counter(r for m in q.sink.messages for r in m[1])


def run_with_deaths(q, path, role, marks, *options):
    """A run in which ROLE is killed whenever as many messages as one of MARKS
    were sent: (how often, its status, its lines)."""
    run = start(q, path, *options)
    said = []
    reader = threading.Thread(
        target=lambda: said.extend(run.communicate(timeout=100)))
    reader.start()
    kills = 0
    for mark in marks:
        while run.poll() is None and len(q.sink.messages) < mark:
            time.sleep(0.002)
        pid = kill_role(run, role)
        kills += pid is not None
        wait_until("its end", lambda pid=pid: pid is None or not alive(pid))
    reader.join(100)
    return kills, run.returncode, said


def slow(verb, argument):
    if verb == "DATA":
        time.sleep(0.01)


@pytest.mark.parametrize("role,options", [
    ("queue", ()), ("deliver", ()), ("control", ()),
    ("master", ()), ("queue", ("-v",)), ("deliver", ("-v",)),
    ("queue", ("-qRuser",))])
def test_goes_on(queue, role, options):  # noqa: F811
    q = queue([], settings=SETTINGS)
    q.up(refuse=slow)
    path = q.path / "mqueue"
    path.mkdir(mode=0o700)
    count = MESSAGES // 3 if "-v" in options else MESSAGES
    apart(fill, path, count)
    kills, status, said = run_with_deaths(
        q, path, role, [count // 5, count // 2], *options)
    assert (kills, status) == (2, 0), said
    assert list(path.iterdir()) == []
    counts = count_sent(q)
    assert len(counts) == count
    assert sum(counts.values()) - count <= kills * IN_FLIGHT
    assert ("begins again" in said[1]) == ("-v" in options)


def test_our_spool(queue):  # noqa: F811
    names = [f"u{n}@y.test" for n in range(100)]
    q = queue([], settings=SETTINGS)
    apart(send_all, q.daemon, names)
    q.up(refuse=slow)
    for role in ("receive", "queue"):
        kills, status, said = run_with_deaths(
            q, q.daemon.spool, role, [1 if role == "receive" else 30])
        assert status == 0, said
        assert kills == (role == "queue") or len(q.sink.messages) == 100
    assert sorted(count_sent(q)) == sorted(names)


def test_what_was_deferred_waits(queue):  # noqa: F811
    """What was tried before the death is not tried again, the rest is."""
    tries = collections.Counter()

    def later(verb, argument):
        if verb == "RCPT":
            tries[argument] += 1
            time.sleep(0.005)
            return "451 4.2.0 try later"
        return None
    q = queue([], settings=SETTINGS)
    q.up(refuse=later)
    path = q.path / "mqueue"
    path.mkdir(mode=0o700)
    apart(fill, path, 100)
    run = start(q, path)
    while run.poll() is None and len(tries) < 60:
        time.sleep(0.002)
    assert kill_role(run, "queue")
    assert run.wait(60) == 0
    assert len(tries) == 100
    assert sum(tries.values()) <= 100 + IN_FLIGHT
    assert len(list(path.glob("qf*"))) == 100


@pytest.mark.parametrize("role", ["queue", "deliver"])
def test_gives_up(queue, role):  # noqa: F811
    """It dies again and again before anything is sent."""
    q = queue([], settings=SETTINGS)
    q.up(refuse=lambda verb, argument: (
        time.sleep(5) if verb == "DATA" else None))
    path = q.path / "mqueue"
    put(path, "qfX1", ["u1@y.test"])
    run = start(q, path)
    kills = 0
    while run.poll() is None:
        connections = q.sink.connections
        wait_until("a connection, or the end", lambda n=connections: (
            q.sink.connections > n or run.poll() is not None))
        kills += kill_role(run, role) is not None
    out, err = run.communicate(timeout=60)
    assert run.returncode in (70, 75)
    assert 5 <= kills <= 7
    assert out == ""
    assert re.findall(r"^sendmail: .*", err, re.M) in (
        [f"sendmail: {path}: the run was given up, mail is left: {why}"]
        for why in ("a process of it died", "the queue is gone"))
    assert sorted(p.name for p in path.iterdir()) == ["dfX1", "qfX1"]
    assert sent(q) == []


def test_two_destinations(queue):  # noqa: F811
    """What is left of a message that went to one of its destinations."""
    other = Sink(refuse=lambda verb, argument: (
        time.sleep(1) if verb == "DATA" and other.connections == 1 else None))
    q = queue([], head=RELAY + (
        'route = ( { domain = "z.test", to = "smtp://127.0.0.1:%d" },\n'
        '  { domain = "*", to = "smtp://127.0.0.1:PORT" } )\n' % other.port))
    q.daemon.config.write_text(
        q.daemon.config.read_text().replace("PORT", str(q.port)))
    q.up()
    path = q.path / "mqueue"
    put(path, "qfX1", ["u1@y.test", "u2@z.test"])
    run = start(q, path)
    wait_until("the first", lambda: "u1@y.test" not in (
        path / "qfX1").read_text())
    assert kill_role(run, "queue")
    assert run.wait(60) == 0
    assert sent(q) == ["u1@y.test"]
    assert [m[1] for m in other.messages][-1] == ["u2@z.test"]
    assert list(path.iterdir()) == []
    other.stop()
