"""Queue runs: sendmail -q and its kin, alone and with a daemon, and sendmail's
way of starting the daemon. What is printed is sendmail's to the byte but for
sizes (ours are exact), brackets around addresses (not kept), NOTIFY=NEVER of
what we return (RFC 3461 6.1), and the end of a connection when the next message
goes elsewhere (sendmail keeps two open)."""
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from harness import (BIN, RELAY, Daemon, Sink, free_port, open_path, site,
                     wait_until, waiting)

TEXT = b"Subject: x\r\n\r\nhi\r\n"
EXTENSIONS = ("8BITMIME", "SIZE", "DSN", "ENHANCEDSTATUSCODES", "PIPELINING")


def answer(verb, argument):
    if verb == "RCPT" and "reject" in argument:
        return "550 5.1.1 no such user"
    if verb == "RCPT" and "defer" in argument:
        return "451 4.2.0 try later"
    return None


class Queue:
    """A spool with mail, no daemon on it, and a next hop that may be up."""

    def __init__(self, path, messages, settings="", head=None):
        self.path = open_path(path)
        self.port = free_port()
        self.settings = (head if head is not None else RELAY + (
            f'route = ( {{ domain = "*", '
            f'to = "smtp://127.0.0.1:{self.port}" }} )\n')) + settings
        self.daemon = Daemon(path, "q", self.settings)
        self.sink = None
        if messages:
            self.daemon.start()
            for sender, recipients in messages:
                self.daemon.send(sender, recipients, TEXT)
            self.daemon.stop()

    def up(self, **options):
        self.sink = Sink(port=self.port, **options)
        return self.sink

    def run(self, *options, **kwargs):
        return subprocess.run(
            [str(BIN / "sendmail"), "-C", str(self.daemon.config), *options],
            capture_output=True, text=True, timeout=60, **kwargs)

    def close(self):
        self.daemon.stop()
        if self.sink:
            self.sink.stop()


@pytest.fixture
def queue(tmp_path):
    made = []

    def make(messages, **options):
        made.append(Queue(tmp_path, messages, **options))
        return made[-1]
    yield make
    for q in made:
        q.close()


def lines(q, text):
    """The output with names for what differs each time."""
    text = text.replace(str(q.daemon.spool), "SPOOL")
    text = text.replace(f"port {q.port}", "port N")
    text = re.sub(r"SPOOL/\w{14}", "SPOOL/ID", text)
    return re.sub(r"SIZE=\d+", "SIZE=S", text)


def test_silent(queue):
    q = queue([("a@x.test", ["u@y.test"]), ("a@x.test", ["defer@y.test"])])
    q.up(refuse=answer)
    for option in ("-q", "-qf"):
        done = q.run(option)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [m[1] for m in q.sink.messages] == [["u@y.test"]]
    assert waiting(q.daemon) == 1


HELLO = """220 sink.test ESMTP
>>> EHLO q.test
250-sink.test
250-8BITMIME
250-SIZE
250-DSN
250-ENHANCEDSTATUSCODES
250 PIPELINING
"""

VERBOSE = """
Running SPOOL/ID (sequence 1 of 2)
w@y.test,u@y.test... Connecting to [127.0.0.1] port N via relay...
""" + HELLO + """>>> MAIL From:<a@x.test> SIZE=S
250 2.1.0 ok
>>> RCPT To:<w@y.test>
>>> RCPT To:<u@y.test>
>>> DATA
250 2.1.5 ok
250 2.1.5 ok
354 go
>>> .
250 2.0.0 ok
w@y.test,u@y.test... Sent (ok)

Running SPOOL/ID (sequence 2 of 2)
>>> RSET
250 2.0.0 ok
defer@y.test,reject@y.test... Using cached ESMTP connection to [127.0.0.1] \
via relay...
>>> MAIL From:<b@x.test> SIZE=S
250 2.1.0 ok
>>> RCPT To:<defer@y.test>
>>> RCPT To:<reject@y.test>
>>> DATA
451 4.2.0 try later
defer@y.test... Deferred: 451 4.2.0 try later
550 5.1.1 no such user
reject@y.test... User unknown
503 5.5.1 no recipients
>>> RSET
250 2.0.0 ok
>>> RSET
250 2.0.0 ok
b@x.test... Using cached ESMTP connection to [127.0.0.1] via relay...
>>> MAIL From:<> SIZE=S
250 2.1.0 ok
>>> RCPT To:<b@x.test> NOTIFY=NEVER
>>> DATA
250 2.1.5 ok
354 go
>>> .
250 2.0.0 ok
b@x.test... Sent (ok)
Closing connection to [127.0.0.1]
>>> QUIT
221 2.0.0 bye
"""


def test_verbose(queue):
    q = queue([("a@x.test", ["u@y.test", "w@y.test"]),
               ("b@x.test", ["reject@y.test", "defer@y.test"])])
    q.up(refuse=answer, extensions=EXTENSIONS)
    done = q.run("-v", "-q")
    assert lines(q, done.stdout) == VERBOSE
    assert (done.returncode, done.stderr) == (67, "")
    # The one that waits is alone in the next run.
    done = q.run("-v", "-q")
    assert done.returncode == 0
    assert "(sequence 1 of 1)\ndefer@y.test... Conn" in lines(q, done.stdout)


def test_refused_connection(queue):
    q = queue([("a@x.test", ["u@y.test", "w@y.test"]),
               ("a@x.test", ["v@y.test"])])
    done = q.run("-q", "-v")
    assert lines(q, done.stdout) == """
Running SPOOL/ID (sequence 1 of 2)
v@y.test... Connecting to [127.0.0.1] port N via relay...
v@y.test... Deferred: Connection refused by [127.0.0.1]

Running SPOOL/ID (sequence 2 of 2)
w@y.test,u@y.test... Deferred: Connection refused by [127.0.0.1]
"""
    assert done.returncode == 0
    assert "Deferred: Connection refused by [127.0.0.1]" in \
        q.daemon.run("mailq").stdout
    # Now it is up: what was deferred goes, whenever it is due.
    q.up()
    assert q.run("-q").returncode == 0
    assert waiting(q.daemon) == 0


def test_selection(queue):
    q = queue([("alice@x.test", ["u@y.test"]), ("bob@x.test", ["v@z.test"]),
               ("carol@x.test", ["w@z.test"])])
    q.up()
    for options, senders in (
            (["-qInothere"], []),
            (["-qSALICE", "-qRz.test"], []),
            (["-qSalice", "-qSbob", "-qRZ.test"], ["bob@x.test"]),
            (["-q!Scarol"], ["bob@x.test", "alice@x.test"])):
        assert q.run(*options).returncode == 0
        assert sorted(m[0] for m in q.sink.messages) == sorted(senders)
    assert waiting(q.daemon) == 1


def test_held_goes_when_selected(queue):
    port = free_port()
    q = queue([("a@x.test", ["u@ship.test"]), ("b@x.test", ["v@ship.test"])],
              head=site("ship", "ship.test", f"smtp://127.0.0.1:{port}"))
    q.port = port
    q.up()
    assert q.run("-q").returncode == 0
    assert not q.sink.messages
    assert q.run("-qRv@ship").returncode == 0
    assert [m[0] for m in q.sink.messages] == ["b@x.test"]
    assert waiting(q.daemon) == 1


def test_sigterm_ends_after_the_message(queue):
    q = queue([("a@x.test", [f"u{n}@y.test"]) for n in range(5)])
    first = []

    def slowly(verb, argument):
        if verb == "DOT" and not first:
            first.append(1)
            time.sleep(1)
        return None
    q.up(refuse=slowly)
    process = subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-v", "-q"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until("the first message", lambda: first)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, (out, err)
    assert ">>> .\n250 " in out and "@y.test... Sent (" in out
    assert len(q.sink.messages) == 1
    assert waiting(q.daemon) == 4


def test_killed_run_leaves_no_process(queue):
    q = queue([("a@x.test", ["u@y.test"]), ("a@x.test", ["v@y.test"])])
    first = []

    def slowly(verb, argument):
        if verb == "DOT" and not first:
            first.append(1)
            time.sleep(1)
        return None
    q.up(refuse=slowly)
    process = subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-v", "-q"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until("the first message", lambda: first)
    process.kill()
    process.communicate(timeout=30)
    # The spool is free as soon as the others have ended; nothing is lost.
    wait_until("the end", lambda: q.run("-q").returncode == 0)
    assert waiting(q.daemon) == 0
    assert {m[1][0] for m in q.sink.messages} == {"u@y.test", "v@y.test"}


def test_runs_do_not_overlap(queue):
    q = queue([("a@x.test", ["u@y.test"])])
    begun = []

    def slowly(verb, argument):
        if verb == "DOT":
            begun.append(1)
            time.sleep(1)
        return None
    q.up(refuse=slowly)
    process = subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-q"])
    wait_until("the message", lambda: begun)
    second = q.run("-q")
    assert "already being run" in second.stderr
    assert second.returncode == 75
    assert process.wait(30) == 0
    assert len(q.sink.messages) == 1


def test_daemon_is_asked(queue):
    q = queue([("a@x.test", ["u@y.test"]), ("a@x.test", ["defer@y.test"])],
              settings='retry-min = "1h"\n')
    q.daemon.start()
    # The host is down for the daemon, which would wait an hour.
    wait_until("trouble", lambda: "session-failed" in q.daemon.log())
    q.up(refuse=answer)
    done = q.run("-q", "-v")
    assert (done.returncode, done.stderr) == (0, "")
    assert "u@y.test... Sent (2.0.0 ok)\n" in done.stdout
    assert "defer@y.test... Deferred: 451 4.2.0 try later" in done.stdout
    assert waiting(q.daemon) == 1
    assert q.run("-qRdefer").returncode == 0
    assert len(q.sink.messages) == 1


def test_emptied_directory_can_be_removed(queue):
    q = queue([("a@x.test", ["u@y.test"]), ("a@x.test", ["defer@y.test"])])
    moved = q.daemon.spool.with_name("moved")
    q.daemon.spool.rename(moved)
    later = q.up(refuse=answer)
    assert q.run("-q", f"-oQ{moved}").returncode == 0
    assert (moved / "log").is_dir() and len(later.messages) == 1
    later.refuse = lambda verb, argument: None
    assert q.run("-qf", f"-OQueueDirectory={moved}/").returncode == 0
    assert len(later.messages) == 2
    assert os.listdir(moved) == []
    moved.rmdir()
    done = q.run("-q", f"-oQ{moved}")
    assert done.returncode == 78
    assert done.stderr.startswith(f"can not chdir({moved}/): No such file")


def test_moved_spool_takes_the_routes_of_today(queue):
    q = queue([("a@x.test", ["u@y.test"])])
    moved = q.daemon.spool.with_name("moved")
    q.daemon.spool.rename(moved)
    sink = Sink()
    q.daemon.write_config(f'route = ( {{ domain = "*", '
                          f'to = "smtp://127.0.0.1:{sink.port}" }} )\n')
    assert q.run("-q", f"-oQ{moved}").returncode == 0
    assert len(sink.messages) == 1
    sink.stop()


def test_queue_of_sendmail(queue):
    """What the real one wrote is sent and leaves nothing behind."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    mqueue.mkdir(mode=0o700)
    (mqueue / "dfX1").write_text("body\n")
    (mqueue / "qfX1").write_text(
        "V8\nT1795295638\nK0\nN0\nP30118\nFbs\nSa@x.test\n"
        "rRFC822; u@y.test\nRPFD:u@y.test\nH??From: a@x.test\n"
        "H??Subject: x\n.\n")
    (mqueue / "qfX1").chmod(0o600)
    (mqueue / "dfX1").chmod(0o600)
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert f"\nRunning {mqueue}/X1 (sequence 1 of 1)\nu@y.test... Conn" in \
        done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert [m[:2] for m in q.sink.messages] == [("a@x.test", ["u@y.test"])]
    mqueue.rmdir()


def test_two_runs_share_a_queue_of_sendmail(queue):
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    mqueue.mkdir(mode=0o700)
    for n in range(60):
        for name, text in (
                (f"dfX{n}", "body\n"),
                (f"qfX{n}", f"V8\nT1795295638\nK0\nN0\nP30118\nSa@x.test\n"
                            f"RPFD:u{n}@y.test\nH??From: a@x.test\n.\n")):
            (mqueue / name).write_text(text)
            (mqueue / name).chmod(0o600)
    runs = [subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-q",
         f"-oQ{mqueue}"]) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert sorted(m[1][0] for m in q.sink.messages) == sorted(
        f"u{n}@y.test" for n in range(60))
    mqueue.rmdir()


@pytest.mark.parametrize("options,status,text", [
    (["-q", "-OSuperSafe=False"], 0, "SuperSafe is always on"),
    (["-qL"], 0, "nothing is lost"),
    (["-bd", "-qQ"], 69, "one run"),
    (["-qGslow"], 0, "Queue group slow unknown")])
def test_what_cannot_be_had(queue, options, status, text):
    done = queue([]).run(*options)
    assert done.returncode == status
    assert text in done.stdout + done.stderr


def test_queue_load(queue):
    q = queue([("a@x.test", ["u@y.test"])], settings="queue-load = 100000\n")
    q.up()
    done = q.run("-v", "-q", "-OQueueLA=0", "-OQueueFactor=100")
    assert done.stdout == "Skipping queue run -- load average too high\n\n"
    assert done.returncode == 0
    assert q.run("-q").returncode == 0
    assert waiting(q.daemon) == 0


def title(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read().strip(b"\0").decode()


def test_daemon_by_sendmail(queue, tmp_path):
    q = queue([("a@x.test", ["u@y.test"])],
              settings=f'pid-file = "{tmp_path}/pid"\nlog = "syslog"\n'
              'retry-min = "1h"\n')
    done = q.run("-bd", "-q1h")
    assert done.returncode == 0, done.stderr
    pid, command = (tmp_path / "pid").read_text().splitlines()
    try:
        assert command.endswith("-bd -q1h")
        assert title(pid) == "sendmail: accepting connections"
        again = q.run("-bd")
        assert again.returncode == 69
        assert "running already" in again.stderr
        q.up()
        assert q.run("-q").returncode == 0
        wait_until("delivery", lambda: len(q.sink.messages) == 1)
    finally:
        os.kill(int(pid), signal.SIGTERM)
    wait_until("the end", lambda: not (tmp_path / "pid").exists())


def greeting(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        return s.recv(200).decode()


def greets(port, text):
    try:
        return text in greeting(port)
    except OSError:
        return False


@pytest.mark.parametrize("mode", ["-bd", "-bD"])
def test_daemon_reads_its_file_again(queue, tmp_path, mode):
    """SIGHUP: the file as it is now, with what the command line said."""
    q = queue([], settings=f'pid-file = "{tmp_path}/pid"\nlog = "syslog"\n')
    words = [str(BIN / "sendmail"), "-C", str(q.daemon.config), mode, "-q1h"]
    started = subprocess.Popen(words)
    if mode == "-bd":
        assert started.wait(30) == 0
    wait_until("the start", lambda: greets(q.daemon.port, " q.test "))
    pid = int((tmp_path / "pid").read_text().splitlines()[0])
    # In the foreground it is the process that was started.
    assert (pid == started.pid) == (mode == "-bD")
    try:
        text = q.daemon.config.read_text()
        q.daemon.config.write_text(
            text.replace('"q.test"', '"anew.test"'))
        os.kill(pid, signal.SIGHUP)
        wait_until("the new name",
                   lambda: greets(q.daemon.port, " anew.test "))
        assert title(pid) == "sendmail: accepting connections"
        assert (tmp_path / "pid").read_text().splitlines()[0] == str(pid)
        # A file with a mistake changes nothing.
        q.daemon.config.write_text(text + "nonsense = 1\n")
        os.kill(pid, signal.SIGHUP)
        time.sleep(0.3)
        assert greets(q.daemon.port, " anew.test ")
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until("the end", lambda: not (tmp_path / "pid").exists())
    if mode == "-bD":
        assert started.wait(30) == 0


def test_loopback_only(queue, tmp_path):
    q = queue([], settings=f'pid-file = "{tmp_path}/pid"\nlog = "syslog"\n')
    text = q.daemon.config.read_text()
    port, other = q.daemon.port, free_port()
    q.daemon.config.write_text(re.sub(
        r"listen = .*", f'listen = ( {{ address = "0.0.0.0:{port}" }}, '
        f'{{ address = "127.0.0.2:{other}" }} )', text))
    assert q.run("-bl").returncode == 0
    pid = int((tmp_path / "pid").read_text().splitlines()[0])
    try:
        with open("/proc/net/tcp") as f:
            places = [line.split()[1] for line in f
                      if line.split()[3] == "0A"]
        for n in (port, other):
            assert [p for p in places if p.endswith(f":{n:04X}")] == \
                [f"0100007F:{n:04X}"]
        assert greets(port, " q.test ")
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until("the end", lambda: not (tmp_path / "pid").exists())


def test_interval_alone(queue, tmp_path):
    q = queue([("a@x.test", ["u@y.test"])],
              settings=f'pid-file = "{tmp_path}/pid"\nlog = "syslog"\n'
              'retry-min = "1h"\n')
    assert q.run("-q2s").returncode == 0
    pid = (tmp_path / "pid").read_text().splitlines()[0]
    try:
        assert title(pid) == \
            f"sendmail: Queue runner@00:00:02 for {q.daemon.spool}"
        time.sleep(1)
        q.up()
        wait_until("the next run", lambda: len(q.sink.messages) == 1)
    finally:
        os.kill(int(pid), signal.SIGTERM)
    wait_until("the end", lambda: not (tmp_path / "pid").exists())
    shutil.rmtree(tmp_path / "q-run", ignore_errors=True)


def test_takes_in_what_was_submitted_meanwhile(queue):
    q = queue([("a@x.test", ["u@y.test"])])
    q.up()
    done = q.run("-f", "b@x.test", "v@y.test", input="Subject: x\n\nhi\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert q.run("-q").returncode == 0
    assert sorted(m[0] for m in q.sink.messages) == ["a@x.test", "b@x.test"]
