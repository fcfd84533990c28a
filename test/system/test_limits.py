"""Limits of a whole daemon: clients, triggers, the queue, sites, the disk and
descriptors. What is refused is refused for now, and nothing that was taken is
lost."""
import os
import pathlib
import signal
import stat
import subprocess
import time

import pytest

from harness import PATIENCE, Raw, wait_until

PLAIN = b"Subject: x\r\n\r\nbody\r\n"


def sites(port, **extra):
    """The text of held sites, each with a domain of its name and what EXTRA
    says of it."""
    groups = (f'{{ name = "{name}", domains = [ "{name}.test" ], hold = true, '
              f'route = "smtp://127.0.0.1:{port}", '
              f'from = [ "127.0.0.0/8" ] {more} }}'
              for name, more in extra.items())
    return "site = (" + ",\n".join(groups) + ")\n"


HELD = sites(9, ship7="")


def count(d):
    text = d.run("mailq").stdout
    if "is empty" in text:
        return 0
    return int(text.rsplit("Total requests: ", 1)[1])


def offer(d, recipient, content=PLAIN):
    """Offers a message; the reply that refused it, or the last one."""
    with Raw(d.port) as r:
        r.ask("EHLO c")
        for command in ("MAIL FROM:<a@x.test>", f"RCPT TO:<{recipient}>",
                        "DATA"):
            reply = r.ask(command)
            if reply[0] not in "23":
                return reply
        r.send(content + b".\r\n")
        return r.reply()


def flows(d, recipient="u@ship7.test"):
    return lambda: offer(d, recipient).startswith("250")


def test_connections_of_a_network(daemon):
    d = daemon("crowd", HELD + "connections-network-max = 2\n")
    sessions = [Raw(d.port) for _ in range(2)]
    with Raw(d.port, greeting=False) as r:
        assert r.reply().startswith("421 4.7.0")
        assert r.reply() == ""
    sessions.pop().close()
    wait_until("room", lambda: Raw(d.port, greeting=False).reply()[:3] == "220")
    sessions.pop().close()


def test_triggers_of_a_minute(daemon):
    d = daemon("eager", HELD + "triggers-minute-max = 3\n")
    with Raw(d.port) as r:
        for _ in range(3):
            assert r.ask("ETRN ship7.test").startswith("251 2.0.0")
        for name in ("ship7.test", "nobody.test"):
            assert r.ask(f"ETRN {name}") == \
                f"458 4.3.2 Unable to queue messages for node {name}"
        assert r.ask("NOOP").startswith("250")
    # An administrator is not held up.
    d.run("sendqctl", "release", "ship7")


def test_queue_messages_max(daemon):
    d = daemon("small", HELD + "queue-messages-max = 2\n")
    for _ in range(2):
        assert offer(d, "u@ship7.test").startswith("250")
    wait_until("closed",
               lambda: offer(d, "u@ship7.test").startswith("452 4.3.1"))
    assert count(d) == 2
    d.run("sendqctl", "delete", "--destination",
          "site:ship7")
    wait_until("flow", flows(d))
    assert " intake-closed " in d.log() and " intake-open " in d.log()


def test_quota_of_a_site(daemon, sink):
    far = sink()
    d = daemon("strict", sites(far.port, ship7="quota-messages = 2",
                               boat='quota = "10k"', free=""))
    for _ in range(2):
        assert offer(d, "u@ship7.test").startswith("250")
    assert offer(d, "u@boat.test", PLAIN + b"x" * 900 + b"\r\n") \
        .startswith("250")
    wait_until("closed",
               lambda: offer(d, "u@ship7.test").startswith("452 4.2.2"))
    assert flows(d, "u@free.test")()
    # Below the quota of bytes one more is taken, whatever its size.
    assert offer(d, "u@boat.test", (b"x" * 70 + b"\r\n") * 200) \
        .startswith("250")
    wait_until("closed",
               lambda: offer(d, "u@boat.test").startswith("452 4.2.2"))
    # The quota outlives the daemon, and what is delivered makes room.
    d.stop()
    d.start()
    wait_until("closed",
               lambda: offer(d, "u@ship7.test").startswith("452 4.2.2"))
    with Raw(d.port) as r:
        assert r.ask("ETRN ship7.test").startswith("253")
    wait_until("flow", flows(d, "u@ship7.test"))


@pytest.mark.parametrize("receive, deliver", [(1, 1), (2, 3)])
def test_processes(daemon, receive, deliver):
    d = daemon("many", HELD + f"receive-processes = {receive}\n"
               f"deliver-processes = {deliver}\n")
    log = d.log()
    assert log.count(" child-started - role=receive ") == receive
    assert log.count(" child-started - role=deliver ") == deliver
    for _ in range(4):
        assert offer(d, "u@ship7.test").startswith("250")
    assert count(d) == 4


@pytest.mark.parametrize("mode", ["0600", "0666"])
def test_control_mode(daemon, mode):
    d = daemon("modest", HELD + f'control-mode = "{mode}"\n')
    assert stat.S_IMODE(d.control.stat().st_mode) == int(mode, 8)


class Disk:
    """A file system of SIZE that only daemons started with wrap can see, and
    that outlives them."""

    def __init__(self, path, size):
        pathlib.Path(path).mkdir()
        mount = f'mount -t tmpfs -o size={size},mode=755 none "$0" && ' \
                'echo ready && exec sleep 1000'
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private",
             "sh", "-c", mount, str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            error = self.process.communicate()[1].strip()
            pytest.skip(f"no file system of its own may be mounted: {error}")
        self.wrap = ["nsenter", "--mount", "--target", str(self.process.pid)]
        self.path = pathlib.Path(f"/proc/{self.process.pid}/root{path}")
        self.filler = self.path / "filler"

    def room(self):
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def fill(self, leave=0):
        """Takes all room but LEAVE bytes."""
        with self.filler.open("ab") as f:
            while self.room() > leave:
                f.write(bytes(min(65536, self.room() - leave)))
                f.flush()

    def free(self):
        self.filler.unlink()

    def stop(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def disk(place):
    made = []

    def make(path, size="24m"):
        if os.getuid() != 0:
            pytest.skip("only root may mount a small file system")
        made.append(Disk(path, size))
        return made[-1]

    yield make
    for d in made:
        d.stop()


LINE = b"0123456789abcdef" * 4 + b"\r\n"


def body(n):
    return b"Subject: %d\r\n\r\n" % n + LINE * 1000


def test_disk_that_fills_up(daemon, sink, disk):
    """Filled until 452: what was taken is there, also after a kill; with room
    mail flows again, and all of it arrives as it was."""
    far = sink()
    d = daemon("tiny", sites(far.port, ship7="") + 'disk-reserve = "4M"\n',
               start=False)
    small = disk(d.spool)
    d.start(wrap=small.wrap)
    taken = 0
    while True:
        reply = offer(d, "u@ship7.test", body(taken))
        if not reply.startswith("250"):
            break
        taken += 1
    assert reply.startswith("452 4.3.1"), reply
    # The reserve is there, and most of the disk was used.
    assert 3 << 20 < small.room() < 8 << 20, small.room()
    assert taken * len(body(0)) > 10 << 20
    wait_until("closed at MAIL", lambda: " intake-closed " in d.log())
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert r.ask("MAIL FROM:<>").startswith("452 4.3.1")
    assert count(d) == taken
    # Others take what is left.
    small.fill()
    for _ in range(10):
        assert offer(d, "u@ship7.test").startswith("452 4.3.1")
    assert count(d) == taken
    d.kill_all()
    small.free()
    d.start(wrap=small.wrap)
    assert count(d) == taken
    assert offer(d, "u@ship7.test").startswith("452 4.3.1")
    # What goes makes room by itself.
    with Raw(d.port) as r:
        assert r.ask("ETRN ship7.test").startswith(f"253 2.0.0 OK, {taken} ")
    wait_until("delivery", lambda: len(far.messages) >= taken)
    got = sorted(content[content.index(b"Subject: "):]
                 for _, _, content in far.messages)
    assert got == sorted(body(n) for n in range(taken))
    wait_until("flow", flows(d))
    assert " intake-open " in d.log()


def test_a_size_that_the_disk_has_no_room_for(daemon, disk):
    """RFC 1870 6.1: 452 at MAIL, before it is sent in vain."""
    d = daemon("tiny", HELD + 'disk-reserve = "4M"\n', start=False)
    small = disk(d.spool)
    d.start(wrap=small.wrap)
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert r.ask(f"MAIL FROM:<> SIZE={30 << 20}").startswith("452 4.3.1")
        assert r.ask(f"MAIL FROM:<> SIZE={10 << 20}").startswith("250")
        assert r.ask("RSET").startswith("250")
        small.fill(leave=7 << 20)
        # Known when the next message comes, at the latest.
        wait_until("known", lambda: flows(d)() and r.ask(
            f"MAIL FROM:<> SIZE={10 << 20}").startswith("452 4.3.1"))
        small.free()
        wait_until("room", lambda: r.ask(
            f"MAIL FROM:<> SIZE={10 << 20}").startswith("250"))


def test_disk_of_others_fills_up(daemon, sink, disk):
    """Without any room at all nothing is taken, nothing ends, and what is
    under way is remembered when there is room again."""
    far = sink()
    d = daemon("victim", sites(far.port, ship7="") + 'disk-reserve = "1M"\n',
               start=False)
    small = disk(d.spool)
    d.start(wrap=small.wrap)
    for n in range(20):
        assert offer(d, "u@ship7.test", body(n)).startswith("250")
    small.fill()
    big = offer(d, "u@ship7.test", LINE * 40000)
    assert big.startswith("452 4.3.1"), big
    wait_until("closed", lambda: " intake-closed " in d.log())
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert r.ask("MAIL FROM:<>").startswith("452 4.3.1")
        assert r.ask("ETRN ship7.test").startswith("253 ")
    wait_until("delivery", lambda: len(far.messages) >= 20)
    small.free()
    wait_until("flow", flows(d))
    wait_until("empty", lambda: count(d) <= 1)
    assert sorted(content[content.index(b"Subject: "):]
                  for _, _, content in far.messages
                  if b"Subject: x" not in content) == \
        sorted(body(n) for n in range(20))
    assert "child-ended" not in d.log()


def cpu_ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1]
    return sum(int(n) for n in fields.split()[11:13])


def descriptors(d, role):
    """The lowest number of a descriptor that the role does not have."""
    folder = pathlib.Path(f"/proc/{d.children()[role]}/fd")
    return max(int(p.name) for p in folder.iterdir()) + 1


def with_descriptors(number):
    return ["prlimit", f"--nofile={number}:{number}"]


@pytest.fixture
def queue_descriptors(daemon):
    """How many the queue role needs, which are more than any other does."""
    d = daemon("probe", HELD)
    assert flows(d)()
    number = descriptors(d, "queue")
    d.stop()
    return number


def test_descriptors_used_up(daemon, queue_descriptors):
    """More clients than descriptors: no spin, and those that wait are served
    when others go."""
    d = daemon("poor", HELD, start=False)
    d.start(wrap=with_descriptors(queue_descriptors + 4))
    receive = d.children()["receive"]
    room = queue_descriptors + 4 - descriptors(d, "receive")
    idle = [Raw(d.port, greeting=False) for _ in range(room)]
    for r in idle:
        assert r.reply().startswith("220")
    waiting = [Raw(d.port, greeting=False) for _ in range(20)]
    wait_until("pause", lambda: " accept-paused " in d.log())
    start = cpu_ticks(receive)
    time.sleep(2)
    spent = (cpu_ticks(receive) - start) / os.sysconf("SC_CLK_TCK")
    assert spent < 0.5, spent
    assert d.children()["receive"] == receive
    # A session that is there goes on.
    r = idle[0]
    assert r.ask("EHLO c").startswith("250")
    r.ask("MAIL FROM:<a@x.test>")
    r.ask("RCPT TO:<u@ship7.test>")
    r.ask("DATA")
    r.send(PLAIN + b".\r\n")
    assert r.reply().startswith("250")
    for r in idle:
        r.close()
    # The next ones come in, and when they go the rest.
    for r in waiting:
        assert r.reply().startswith("220")
        r.close()
    wait_until("flow", flows(d))
    assert count(d) == 2


def begin(d):
    """A session that was told to go on with the content."""
    r = Raw(d.port)
    for command in ("EHLO c", "MAIL FROM:<a@x.test>", "RCPT TO:<u@ship7.test>",
                    "DATA"):
        r.ask(command)
    return r


def test_queue_without_descriptors(daemon, queue_descriptors):
    """Of many large messages at a time some find no file to be written to:
    those are refused for now, and nothing else is."""
    d = daemon("dry", HELD, start=False)
    d.start(wrap=with_descriptors(queue_descriptors + 4))
    sessions = [begin(d) for _ in range(8)]
    for r in sessions:
        r.send(LINE * 30000)
    for r in sessions:
        r.send(b".\r\n")
    replies = [r.reply()[:9] for r in sessions]
    assert "451 4.3.0" in replies
    assert set(replies) <= {"250 2.0.0", "451 4.3.0"}
    for r in sessions:
        assert r.ask("NOOP").startswith("250")
        r.close()
    assert flows(d)()
    assert offer(d, "u@ship7.test", LINE * 30000).startswith("250")
    assert count(d) == replies.count("250 2.0.0") + 2
    assert "child-ended" not in d.log()


def test_shutdown_within_a_message(daemon):
    """One in the middle of its content, one between dot and 250: both get
    their reply, then 421."""
    d = daemon("ending", HELD)
    queue = d.children()["queue"]
    inside, waiting = begin(d), begin(d)
    inside.send(b"Subject: x\r\n\r\nhalf")
    os.kill(queue, signal.SIGSTOP)
    try:
        waiting.send(PLAIN + b".\r\n")
        d.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    finally:
        os.kill(queue, signal.SIGCONT)
    assert waiting.reply().startswith("250 2.0.0")
    assert waiting.reply().startswith("421 4.3.2")
    assert waiting.reply() == ""
    inside.send(b" and half\r\n.\r\n")
    assert inside.reply().startswith("250 2.0.0")
    assert inside.reply().startswith("421 4.3.2")
    assert d.process.wait(PATIENCE) == 0
    assert count(d) == 2
