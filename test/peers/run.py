"""sendq against the mail servers and clients that people have: as their next
hop, as their sender, and asked by them. Called by script/test --peers, as
root; each check is a line, the last line is "N passed, N failed".

The programs of others are those of Debian 12, installed once into directories
under /var/cache/sendq-peers. Each check is a process of its own, in name spaces
of its own that have nothing but a loopback and take all that it started with
them. A program that cannot be installed is a failed line."""
import argparse
import fcntl
import functools
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

import callers  # noqa: E402, F401
import chroots  # noqa: E402
import mqueue  # noqa: E402
import mqueue_unseen  # noqa: E402, F401
import servers  # noqa: E402
from harness import (RELAY, Daemon, Raw, Sink, free_port, site,  # noqa: E402
                     wait_until)

CHECK_SECONDS = 90
CHECKS = []
HEAD = (b"From: <a@x.test>\r\nTo: <u@y.test>\r\n"
        b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n")


def check(*peers):
    """Marks a check that needs PEERS."""
    def add(function):
        CHECKS.append((function.__name__, function, peers))
        return function
    return add


class World:
    """What a check may use: started when first needed."""

    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.place.chmod(0o755)
        self.made, self.servers, self.count = [], {}, 0

    @functools.cached_property
    def sink(self):
        return Sink(port=servers.SINK_PORT)

    @functools.cached_property
    def relay(self):
        """It sends to the servers by their names, and all else to the sink."""
        assert self.sink
        rules = ", ".join(
            f'{{ domain = "by-{name}.test", to = "smtp://127.0.0.1:{port}" }}'
            for name, port in servers.PORTS.items())
        return self.daemon("relay", RELAY + f'''
retry-min = "2s"
retry-max = "2s"
route = ( {rules}, {{ domain = "*",
  to = "smtp://127.0.0.1:{servers.SINK_PORT}" }} )
''', port=servers.SENDQ_PORT)

    def daemon(self, name, settings, **options):
        d = Daemon(self.place, name, settings, **options)
        self.made.append(d)
        return d.start()

    def server(self, name):
        if name not in self.servers:
            self.servers[name] = servers.Server(name, self.place)
        return self.servers[name]

    def mark(self):
        self.count += 1
        return b"mark-%d-" % self.count

    def stop(self):
        for d in self.made:
            try:
                d.stop()
            finally:
                d.kill_all()


def contents(mark, count=12):
    """Messages that a relay must not change below the header."""
    noise = random.Random(count)
    for n in range(count):
        lines = [b".", b"..", b"", b".x", b"From the start", b"-- ", b"\ttab",
                 "gr\u00fc\u00df".encode(), b"z" * 900,
                 b"=" * 70, b"body " + mark]
        noise.shuffle(lines)
        yield (HEAD + b"Message-Id: <" + mark + b"%d@x.test>\r\n" % n +
               b"Subject: %d\r\nMIME-Version: 1.0\r\n"
               b"Content-Type: text/plain; charset=utf-8\r\n"
               b"Content-Transfer-Encoding: 8bit\r\n\r\n" % n +
               b"\r\n".join(lines * (1 + n * 20)) + b"\r\n")


def body_of(content):
    return content.split(b"\r\n\r\n", 1)[1]


def send_all(port, recipient, messages):
    """Four of them over each connection, by a client that is not picky."""
    if len(messages) > 4:
        send_all(port, recipient, messages[:4])
        send_all(port, recipient, messages[4:])
        return
    with Raw(port, greeting=False) as r:
        r.reply()
        assert r.ask("EHLO client.test").startswith("250")
        for content in messages:
            assert r.ask("MAIL FROM:<a@x.test> BODY=8BITMIME") \
                .startswith("250")
            reply = r.ask(f"RCPT TO:<{recipient}>")
            assert reply.startswith("250"), reply
            assert r.ask("DATA").startswith("354")
            r.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
            reply = r.reply()
            assert reply.startswith("250"), reply
        r.ask("QUIT")


def arrive(world, mark, messages):
    """Waits for MESSAGES at the sink: each once, none changed."""
    wanted = sorted(body_of(m) for m in messages)

    def got():
        return [m for m in list(world.sink.messages) if mark in m[2]]
    wait_until("mail at the sink", lambda: len(got()) >= len(wanted), 60)
    assert sorted(body_of(m[2]) for m in got()) == wanted


def is_empty(d):
    return "is empty" in d.run("mailq").stdout


def add_chains():
    for name in servers.PORTS:
        def next_hop(world, name=name):
            world.server(name)
            mark = world.mark()
            messages = list(contents(mark))
            before = world.relay.log_size()
            send_all(world.relay.port, f"u@by-{name}.test", messages)
            arrive(world, mark, messages)
            # One that takes only so many messages at a time is no trouble.
            log = world.relay.log(before)
            assert "session-failed" not in log and "deferred" not in log, log
            wait_until("empty", lambda: is_empty(world.relay))

        def sender(world, name=name):
            server = world.server(name)
            mark = world.mark()
            messages = list(contents(mark))
            before = world.relay.log_size()
            send_all(server.port, f"u@{servers.IN}", messages)
            arrive(world, mark, messages)
            log = world.relay.log(before)
            assert log.count(" received ") == len(messages), log
            wait_until("empty", lambda: is_empty(world.relay))

        next_hop.__name__, sender.__name__ = f"to_{name}", f"from_{name}"
        check(name)(next_hop)
        check(name)(sender)


add_chains()


def chroot(name, *command, **options):
    root = servers.prepare(name)
    return subprocess.run(["chroot", str(root), *command],
                          capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, **options)


@check("postfix")
def smtp_source(world):
    """Postfix's load generator: one message a connection, and many."""
    for options, total in (((), 300), (("-d",), 300),
                           (("-r", "20", "-l", "100000"), 40)):
        before = len(world.sink.messages)
        result = chroot("postfix", "smtp-source", "-s", "20", "-m", str(total),
                        "-f", "a@x.test", "-t", "u@sink.test", *options,
                        f"127.0.0.1:{world.relay.port}")
        assert result.returncode == 0, result.stderr
        wait_until("all of it", lambda n=before + total:
                   len(world.sink.messages) >= n, 60)
        assert len(world.sink.messages) == before + total


# How smtp-sink is told to behave, and what becomes of the mail: taken, kept
# until it behaves, or returned.
SINKS = {
    "plain": ((), "taken"), "no-esmtp": (("-e",), "taken"),
    "no-pipelining": (("-p",), "taken"), "no-8bitmime": (("-8",), "taken"),
    "no-codes": (("-E",), "taken"), "no-dsn": (("-N",), "taken"),
    "tiny-window": (("-T", "1024"), "taken"),
    "slow-data": (("-w", "1"), "taken"),
    # It answers out of order when it delays one command of a group.
    "slow-rcpt": (("-p", "-W", "RCPT:1"), "taken"),
    "slow-mail": (("-p", "-W", "MAIL:1"), "taken"),
    "slow-dot": (("-p", "-W", ".:1"), "taken"),
    **{f"drop-{c}": (("-q", c), "kept")
       for c in ("connect", "mail", "rcpt", "data", ".")},
    # HELO is tried then.
    "drop-ehlo": (("-q", "ehlo"), "taken"),
    **{f"421-{c}": (("-Q", c), "kept")
       for c in ("connect", "mail", "rcpt", "data", ".")},
    **{f"soft-{c}": (("-r", c), "kept")
       for c in ("mail", "rcpt", "data", ".")},
    **{f"hard-{c}": (("-f", c), "returned")
       for c in ("mail", "rcpt", "data", ".")},
    "hard-ehlo": (("-f", "ehlo"), "taken"),
    "hard-connect": (("-f", "connect"), "kept"),
}


class SmtpSink:
    def __init__(self, port, *options):
        root = servers.prepare("postfix")
        self.process = subprocess.Popen(
            ["chroot", str(root), "smtp-sink", "-u", "nobody", *options,
             f"127.0.0.1:{port}", "100"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(0.2)
        assert self.process.poll() is None, self.process.stderr.read()

    def stop(self):
        self.process.kill()
        self.process.wait()


@check("postfix")
def smtp_sink(world):
    """Delays, drops, soft and hard failures, all at the same time."""
    ports = {name: free_port() for name in SINKS}
    sinks = {name: SmtpSink(ports[name], *options)
             for name, (options, _) in SINKS.items()}
    rules = ", ".join(f'{{ domain = "{name.replace(".", "dot")}.test", '
                      f'to = "smtp://127.0.0.1:{port}" }}'
                      for name, port in ports.items())
    d = world.daemon("bouncy", RELAY + f'''
retry-min = "1s"
retry-max = "2s"
log-level = "detail"
route = ( {rules} )
''')
    domains = {name: name.replace(".", "dot") + ".test" for name in SINKS}
    for domain in domains.values():
        for n in range(3):
            d.send("", [f"u{n}@{domain}"], b"Subject: x\r\n\r\n.x\r\n")

    def events(event, domain):
        return [line for line in d.log().splitlines()
                if f" {event} " in line and f"@{domain} " in line]

    for name, (_, fate) in SINKS.items():
        event = {"taken": "delivered", "returned": "bounce-lost"}.get(fate)
        if event:
            wait_until(f"{name}: {event}", lambda e=event, n=name:
                       len(events(e, domains[n])) == 3, 30)
    kept = [name for name, (_, fate) in SINKS.items() if fate == "kept"]
    for name in kept:
        wait_until(f"{name}: a failure", lambda n=name: [
            line for line in d.log().splitlines() if "-failed" in line or
            "deferred" in line if f":{ports[n]} " in line or domains[n] in
            line], 30)
    text = d.run("mailq").stdout
    for name in kept:
        assert text.count(f"@{domains[name]}") == 3, (name, text)
        assert not events("delivered", domains[name]), name
        sinks[name].stop()
        sinks[name] = SmtpSink(ports[name])
    wait_until("empty", lambda: is_empty(d), 60)
    for name in kept:
        assert len(events("delivered", domains[name])) == 3, name
    for s in sinks.values():
        s.stop()


def fetchmail(port, *domains):
    names = " ".join(f'"{name}"' for name in domains)
    rc = servers.prepare("fetchmail") / "fetchmailrc"
    rc.write_text(f'poll 127.0.0.1 proto ETRN port {port} timeout 20 '
                  f'fetchdomains {names} sslproto ""\n')
    rc.chmod(0o600)
    return chroot("fetchmail", "env", "HOME=/root", "fetchmail", "-v",
                  "--fetchmailrc", "/fetchmailrc", "--pidfile",
                  "/fetchmail.pid")


@check("fetchmail")
def fetchmail_etrn(world):
    """Its exit status is what scripts go by; and 251 to the first of two
    names must not keep it from asking for the second."""
    far = Sink()
    d = world.daemon("holder", f'''site = (
 {{ name = "two", domains = [ "empty.test", "full.test" ], hold = true,
   route = "smtp://127.0.0.1:{far.port}", from = [ "127.0.0.0/8" ] }},
 {{ name = "foreign", domains = [ "foreign.test" ], hold = true,
   route = "smtp://127.0.0.1:9", from = [ "192.0.2.0/24" ] }} )
''')
    d.send("a@x.test", ["u@full.test"], b"Subject: x\r\n\r\nx\r\n")
    result = fetchmail(d.port, "empty.test", "full.test")
    assert result.returncode == 0, result.stdout + result.stderr
    wait_until("mail", lambda: far.messages)
    assert fetchmail(d.port, "full.test").returncode == 0
    assert fetchmail(d.port, "foreign.test").returncode == 3
    assert fetchmail(d.port, "not..valid").returncode == 4


@check("sendmail")
def sendmail_etrn_script(world):
    """contrib/etrn.pl ends its lines with a bare LF."""
    far = Sink()
    d = world.daemon("asked", site("one", "one.test",
                                   f"smtp://127.0.0.1:{far.port}"))
    d.send("a@x.test", ["u@one.test"], b"Subject: x\r\n\r\nx\r\n")
    root = servers.prepare("sendmail")
    text = (root / "usr/sbin/etrn").read_text()
    assert "$port = 'smtp';" in text
    (root / "etrn").write_text(
        text.replace("$port = 'smtp';", f"$port = {d.port};"))
    result = chroot("sendmail", "perl", "/etrn", "-v", "127.0.0.1", "one.test")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "253 2.0.0 OK, 1 pending" in result.stdout + result.stderr
    wait_until("mail", lambda: far.messages)


@check("nmap")
def nmap_scripts(world):
    """What a scanner tries: 16 ways to relay, names, old holes."""
    d = world.daemon("scanned", site("one", "one.test", "smtp://127.0.0.1:9"))
    result = chroot(
        "nmap", "nmap", "-n", "-Pn", "-sT", "-sV", "-p", str(d.port),
        "--script", "smtp-open-relay,smtp-commands,smtp-enum-users,"
        "smtp-ntlm-info,smtp-strangeport,smtp-vuln-cve2010-4344,"
        "smtp-vuln-cve2011-1720,smtp-vuln-cve2011-1764", "127.0.0.1")
    assert result.returncode == 0, result.stderr
    said = result.stdout
    assert re.search(r"open relay, all tests failed", said), said
    assert "VULNERABLE" not in said.replace("NOT VULNERABLE", ""), said
    assert "PIPELINING" in said and "ETRN" in said, said
    assert is_empty(d)
    assert " exited" not in d.log() and "died" not in d.log()
    with d.smtp() as s:
        assert s.noop()[0] == 250


# The ends that the public testers of smuggling try.
ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r",
        b"\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n",
        b"\r\r\n.\r\n", b"\n\n.\r\n", b"\r\n\n.\n", b"\r\n.\n\r\n"]
SMUGGLED = (b"MAIL FROM:<smuggled@x.test>\r\nRCPT TO:<smuggled@y.test>\r\n"
            b"DATA\r\nSubject: two\r\n\r\nsmuggled\r\n.\r\n")


def try_end(port, recipient, end):
    """Sends a message that might end at END; how many replies came."""
    with Raw(port, greeting=False) as r:
        r.reply()
        r.ask("EHLO client.test")
        r.ask("MAIL FROM:<a@x.test>")
        assert r.ask(f"RCPT TO:<{recipient}>").startswith("250")
        assert r.ask("DATA").startswith("354")
        r.send(HEAD + b"Subject: one\r\n\r\none" + end + SMUGGLED +
               b"QUIT\r\n")
        replies = []
        while True:
            try:
                reply = r.reply()
            except OSError:
                return replies
            if not reply:
                return replies
            replies.append(reply[:3])


@check()
def smuggling_in(world):
    before = len(world.sink.messages)
    for end in ENDS:
        if end == b"\r\r\n.\r\n":
            continue
        replies = try_end(world.relay.port, "u@sink.test", end)
        assert replies == ["550", "221"], (end, replies)
    # A bare CR before a true end: refused, and then commands in step.
    assert try_end(world.relay.port, "u@sink.test", b"\r\r\n.\r\n")[0] == "550"
    time.sleep(0.5)
    assert not [m for m in world.sink.messages[before:] if m[1] !=
                ["smuggled@y.test"]]


def add_smuggling():
    for name in servers.PORTS:
        def smuggling_through(world, name=name):
            """A peer that passes odd ends on must find no second message in
            them here: what we take is no more than what it says it sent."""
            server = world.server(name)
            before = world.relay.log_size()
            for end in ENDS:
                try_end(server.port, f"u@{servers.IN}", end)
            time.sleep(3)
            log = world.relay.log(before)
            assert "smuggled@" not in log, log
        smuggling_through.__name__ = f"smuggling_through_{name}"
        check(name)(smuggling_through)


add_smuggling()
CHECKS += mqueue.CHECKS


def on_alarm(*_):
    raise TimeoutError(f"not done in {CHECK_SECONDS} s")


def run_inside(name, place):
    """The check NAME, in a process of its own: its exit status."""
    function = next(f for n, f, _ in CHECKS if n == name)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(CHECK_SECONDS)
    world, status = World(place), 0
    try:
        function(world)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        status = 1
    signal.alarm(0)
    world.stop()
    return status


def run_apart(name):
    """True if the check NAME passed."""
    with tempfile.TemporaryDirectory(prefix="sendq-peers-") as place:
        status = subprocess.run(
            ["unshare", "-n", "-m", "-p", "-f", "--mount-proc",
             "--kill-child", sys.executable, __file__, "--inside", name,
             "--place", place]).returncode
    if status not in (0, 1):
        print(f"its process ended with {status}", flush=True)
    return status == 0


def run_checks(word, missing):
    passed = failed = 0
    for name, _, peers in CHECKS:
        if word not in name:
            continue
        start = time.monotonic()
        absent = [p for p in peers if p in missing]
        if absent:
            print(f"not installed: {' '.join(absent)}")
        is_good = not absent and run_apart(name)
        failed, passed = failed + (not is_good), passed + is_good
        print(f"{'ok' if is_good else 'FAILED':6} peers {name} "
              f"({time.monotonic() - start:.0f} s)", flush=True)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def install(word):
    """The names of peers that cannot be had."""
    missing = []
    wanted = {p for name, _, peers in CHECKS if word in name for p in peers}
    for name in sorted(wanted):
        try:
            chroots.path(name)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            missing.append(name)
            print(f"peer {name}: {error}", flush=True)
    return missing


def loopback_up():
    """A new name space of networks has a loopback that is down."""
    set_flags, up_and_running = 0x8914, 0x41
    with socket.socket() as s:
        fcntl.ioctl(s, set_flags, struct.pack("16sh", b"lo", up_and_running))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("-k", metavar="WORD", default="")
    options.add_argument("--inside", help=argparse.SUPPRESS)
    options.add_argument("--place", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.inside:
        loopback_up()
        return run_inside(args.inside, args.place)
    if os.getuid() != 0:
        print("FAILED peers: to be run as root\n0 passed, 1 failed")
        return 1
    return run_checks(args.k, install(args.k))


sys.exit(main())
