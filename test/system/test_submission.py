"""Local mail: the submission socket and the drop directory."""
import os
import re
import signal
import socket
import stat
import time

import pytest

from harness import Daemon, Raw, below_trace, site, waiting, wait_until

BODY = b"Subject: %s\r\n\r\nbody\r\n"
USER = 12345
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs other users")


def held(extra=""):
    """Nothing leaves: mail of one site is held."""
    return site("ship7", "ship7.test", "smtp://127.0.0.1:9") + extra


def routed(sink, extra=""):
    return (f'route = ( {{ domain = "*"; to = "smtp://127.0.0.1:{sink.port}" '
            f'}} )\n{extra}')


def socket_of(d):
    return d.control.parent / "submission"


def drop_of(d):
    return d.spool.parent / (d.spool.name + "-drop")


class Local(Raw):
    """A dialogue by hand at the submission socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def submit(self, sender, recipient, content):
        assert self.reply().startswith("220 ")
        assert self.ask("EHLO here").startswith("250")
        assert self.ask(f"MAIL FROM:<{sender}>").startswith("250"), sender
        assert self.ask(f"RCPT TO:<{recipient}>").startswith("250"), recipient
        assert self.ask("DATA").startswith("354")
        self.send(content + b".\r\n")
        return self.reply()


def as_user(uid, act):
    """What ACT() returns, done as that user; a text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            text = act()
        except BaseException as error:
            text = f"failed: {error!r}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return text


CRC_TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    CRC_TABLE.append(n)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def drop_bytes(sender, recipients, content, more=""):
    """A file of src/mail/drop.h."""
    data = f"sendq-drop 1\nMAIL FROM:<{sender}>{more}\n".encode()
    for recipient in recipients:
        data += b"RCPT TO:%s\n" % recipient.encode()
    data += b"DATA\n" + content
    return data + b"\nEND %016x %08x\n" % (len(data), crc32c(data))


dropped = 0


def drop(d, data, uid=USER, mode=0o640):
    """DATA as a file of user UID, as sendmail leaves it; its name."""
    global dropped
    dropped += 1
    name = "%016x-%016x" % (int(time.time() * 1000), dropped)
    temp, new = drop_of(d) / "tmp" / name, drop_of(d) / "new" / name
    temp.write_bytes(data)
    temp.chmod(mode)
    if os.getuid() == 0:
        os.chown(temp, uid, drop_of(d).stat().st_gid)
    temp.rename(new)
    return name


def names(d, part):
    return sorted(entry.name for entry in (drop_of(d) / part).iterdir())


def received_of(content):
    """The Received field on top, on one line."""
    head = re.match(rb"Received: .*\r\n([ \t].*\r\n)*", content).group(0)
    return re.sub(r"\r\n\s+", " ", head.decode()).strip()


@as_root
def test_another_user_submits(daemon, sink):
    """Anybody of this host may send anywhere, and is named."""
    far = sink()
    d = daemon("holder", routed(far))
    assert stat.S_IMODE(socket_of(d).stat().st_mode) == 0o666

    def act():
        with Local(socket_of(d)) as r:
            return r.submit("a@x.test", "u@far.test", BODY % b"socket")

    reply = as_user(USER, act)
    assert reply.startswith("250 2.0.0 Ok: queued as "), reply
    wait_until("delivery", lambda: far.messages)
    _, recipients, content = far.messages[0]
    assert recipients == ["u@far.test"]
    assert below_trace(content) == below_trace(BODY % b"socket")
    line = received_of(content)
    assert line.startswith(f"Received: from here (uid {USER}) by holder.test "
                           "with ESMTP id "), line
    event = re.search(r" received .*", d.log()).group(0)
    assert f"peer=uid:{USER}" in event and f" uid={USER}" in event
    # The same recipient is refused to who comes by the network.
    with Raw(d.port) as r:
        r.ask("EHLO c")
        r.ask("MAIL FROM:<a@x.test>")
        assert r.ask("RCPT TO:<u@far.test>").startswith("550 5.7.1")


def test_socket_speaks_smtp(daemon):
    """Greeting, limits and refusals are those of every listener."""
    d = daemon("holder", held('message-size-max = "10k"\n'))
    with Local(socket_of(d)) as r, Raw(d.port, greeting=False) as other:
        assert r.reply() == other.reply() == "220 holder.test ESMTP sendq"
        # And one extension more, for users of this host.
        assert [line for line in r.ask("EHLO c").splitlines()
                if line != "250-XFINAL"] == other.ask("EHLO c").splitlines()
        assert r.ask("MAIL FROM:<> SIZE=10241").startswith("552 5.3.4")
        # Who it is, it does not say itself.
        assert r.ask("MAIL FROM:<> XUID=0").startswith("555 5.5.4")
        assert r.ask("ETRN ship7.test") == r.ask("ETRN none.test").replace(
            "none", "ship7")
        assert r.ask("ETRN ship7.test").startswith("4")
        assert other.ask("ETRN ship7.test").startswith("25")
        assert r.ask("HELO c").startswith("250 ")
        assert r.ask("MAIL FROM:<a@x.test>").startswith("250")
        assert r.ask("RCPT TO:<a@[192.0.2.1]>").startswith("550 5.7.1")
        assert r.ask("RCPT TO:<a@elsewhere.test>").startswith("250")
        assert r.ask("DATA").startswith("354")
        r.send(b"x" * 900 + b"\r\n" + b"y" * 9500 + b"\r\n.\r\n")
        assert r.reply().startswith("552 5.3.4")
        assert r.ask("QUIT").startswith("221")
    uid = os.getuid()
    assert re.search(f" refused .*peer=uid:{uid}", d.log())


@as_root
def test_a_user_has_a_share(daemon):
    """As a network has one: others are not kept out by it."""
    d = daemon("holder", held("connections-network-max = 2;\n"))

    def greeting(path):
        with Local(path) as r:
            return r.reply()

    with Local(socket_of(d)) as a, Local(socket_of(d)) as b:
        assert a.reply().startswith("220 ") and b.reply().startswith("220 ")
        with Local(socket_of(d)) as c:
            assert c.reply() == ("421 4.7.0 holder.test Too many connections "
                                 "of yours, try later")
        assert as_user(USER, lambda: greeting(socket_of(d))).startswith("220 ")
        a.ask("QUIT")
        wait_until("room", lambda: greeting(socket_of(d)).startswith("220 "))


def test_without_either(daemon):
    d = daemon("holder", held('submission-socket = ""\ndrop-directory = ""\n'))
    assert not socket_of(d).exists()
    assert not drop_of(d).exists()
    assert "pickup" not in d.children()


def test_socket_is_removed_and_taken_over(daemon):
    d = daemon("holder", held())
    d.kill_all()
    assert socket_of(d).exists()
    d.start()
    with Local(socket_of(d)) as r:
        assert r.reply().startswith("220 ")
    d.process.send_signal(signal.SIGHUP)
    wait_until("reload", lambda: d.log(d.log_mark).count(" ready ") == 2)
    with Local(socket_of(d)) as r:
        assert r.reply().startswith("220 ")
    assert d.stop() == 0
    assert not socket_of(d).exists()


def test_drop_directory(daemon):
    d = daemon("holder", held())
    path = drop_of(d)
    pickup = path.stat().st_uid
    for part in (path, path / "tmp", path / "new"):
        assert stat.S_IMODE(part.stat().st_mode) == 0o3770, part
        assert part.stat().st_uid == pickup
    assert stat.S_IMODE((path / "bad").stat().st_mode) == 0o700
    if os.getuid() == 0:
        assert pickup != 0
        # Others get nowhere near it.
        for act in (lambda: str(os.listdir(path)),
                    lambda: str(os.listdir(path / "new")),
                    lambda: str((path / "new" / "x").write_bytes(b"x"))):
            assert "PermissionError" in as_user(USER, act)


def test_left_while_no_daemon_runs(daemon, sink):
    """Mail waits for the daemon, and comes from the file's owner."""
    far = sink()
    d = daemon("holder", routed(far))
    d.stop()
    uid = USER if os.getuid() == 0 else os.getuid()
    name = drop(d, drop_bytes("a@x.test", ["<u@far.test>"], BODY % b"late"))
    d.start()
    wait_until("delivery", lambda: far.messages)
    sender, recipients, content = far.messages[0]
    assert (sender, recipients) == ("a@x.test", ["u@far.test"])
    assert below_trace(content) == below_trace(BODY % b"late")
    line = received_of(content)
    assert line.startswith(f"Received: from holder.test (uid {uid}) by "
                           "holder.test with ESMTP id "), line
    wait_until("removed", lambda: not names(d, "new"))
    log = d.log(d.log_mark)
    assert re.search(f" received .*peer=pickup .*uid={uid}", log)
    picked = re.search(f" picked-up .*file={name} uid={uid} .*", log).group(0)
    queued = re.search(r" received (\S+) ", log).group(1)
    assert queued in picked


def test_picked_up_at_once(daemon):
    """While it runs a file is noticed, not found by chance."""
    d = daemon("holder", held())
    for n in range(3):
        start = time.monotonic()
        drop(d, drop_bytes("a@x.test", ["<u@ship7.test>"], BODY % b"x"))
        wait_until("taken", lambda: waiting(d) == n + 1)
        assert time.monotonic() - start < 8
    assert names(d, "new") == []


def test_bad_files_are_set_aside(daemon):
    """What is torn, or not surely of its owner; the others go."""
    d = daemon("holder", held())
    whole = drop_bytes("a@x.test", ["<u@ship7.test>"], BODY % b"x")
    bad = {drop(d, whole[:-1]): "not whole",
           drop(d, whole.replace(b"body", b"b0dy")): "not whole",
           drop(d, b""): "not whole",
           drop(d, whole, mode=0o646): "others may have written it"}
    if os.getuid() == 0:
        bad[drop(d, whole, mode=0o600)] = "Permission denied"
        bad[drop(d, whole, mode=0o660)] = "others may have written it"
    (drop_of(d) / "new" / "strange").write_text("x")
    linked = "%016x-%016x" % (1, 1)
    (drop_of(d) / "new" / linked).symlink_to("/etc/passwd")
    os.mkfifo(drop_of(d) / "new" / ("%016x-%016x" % (1, 2)))
    drop(d, whole)
    wait_until("taken", lambda: waiting(d) == 1)
    wait_until("put away", lambda: not names(d, "new"))
    # A link and a pipe hold nothing, and are gone.
    assert names(d, "bad") == sorted([*bad, "strange"])
    for name, reason in bad.items():
        lines = re.findall(f' drop-bad .*file={name}.*', d.log())
        assert len(lines) == 1 and reason in lines[0], (name, lines)
    assert waiting(d) == 1


def test_refused_comes_back(daemon, sink):
    """Who cannot get it is told to the sender, with what NOTIFY and RET
    say."""
    far = sink()
    d = daemon("holder", routed(far))
    drop(d, drop_bytes("a@x.test",
                       ["<u@far.test>", "<Postmaster> NOTIFY=FAILURE",
                        "<postmaster> NOTIFY=NEVER"],
                       BODY % b"some", " RET=HDRS ENVID=e7"))
    wait_until("both", lambda: len(far.messages) == 2)
    wait_until("removed", lambda: not names(d, "new"))
    by_sender = {sender: (recipients, content)
                 for sender, recipients, content in far.messages}
    assert by_sender["a@x.test"][0] == ["u@far.test"]
    recipients, notice = by_sender[""]
    assert recipients == ["a@x.test"]
    assert b"Original-Envelope-Id: e7" in notice
    assert b"; Postmaster" in notice and b"; postmaster" not in notice
    assert b"550 5.1.1" in notice and b"Subject: some" in notice
    assert names(d, "bad") == []


def test_no_room(daemon):
    """While mail is refused for now files stay, and go when there is room."""
    reserve = 'disk-reserve = "%s"\n'
    d = daemon("holder", held(reserve % "1000G"))
    name = drop(d, drop_bytes("a@x.test", ["<u@ship7.test>"], BODY % b"x"))
    wait_until("put off", lambda: f" drop-deferred - file={name}" in d.log())
    assert re.search(r" drop-deferred .*452 4\.3\.1", d.log())
    assert names(d, "new") == [name]
    d.write_config(held(reserve % "1M"))
    d.process.send_signal(signal.SIGHUP)
    wait_until("reload", lambda: d.log(d.log_mark).count(" ready ") == 2)
    wait_until("taken", lambda: waiting(d) == 1)
    wait_until("removed", lambda: not names(d, "new"))


@pytest.mark.parametrize("role", ["pickup", "receive", "queue"])
def test_killed_in_between(daemon, role):
    """kill -9 again and again: nothing is lost, a file at most sent again."""
    d = daemon("holder", held())
    count = 120
    data = [drop_bytes("a@x.test", [f"<u{n}@ship7.test>"], BODY % b"x")
            for n in range(count)]
    kills = 0
    for n in range(count):
        drop(d, data[n])
        if n % 30 == 15:
            pid = wait_until(role, lambda: d.children().get(role))
            wait_until("some", lambda: len(names(d, "new")) < n)
            os.kill(pid, signal.SIGKILL)
            kills += 1
    wait_until("all taken", lambda: not names(d, "new"), 60)
    assert names(d, "bad") == []
    assert f"child-ended - role={role}" in d.log()
    listing = d.run("sendqctl", "list", "--json").stdout
    got = re.findall(r'"u(\d+)@ship7\.test"', listing)
    assert set(map(int, got)) == set(range(count))
    assert len(got) <= count + kills * 2, (len(got), kills)


def test_plain_user(place):
    """A plain user's daemon has both, as that user."""
    if os.getuid() != 0:
        pytest.skip("is what all other tests are then")
    home = place / "home"
    home.mkdir()
    os.chown(home, USER, USER)
    d = Daemon(home, "plain", held())
    d.log_path.touch()
    os.chown(d.log_path, USER, USER)
    os.chown(d.config, USER, USER)
    try:
        d.start(wrap=("setpriv", f"--reuid={USER}", f"--regid={USER}",
                      "--clear-groups"))
        drop(d, drop_bytes("a@x.test", ["<u@ship7.test>"], BODY % b"x"))
        wait_until("taken", lambda: waiting(d) == 1)
        with Local(socket_of(d)) as r:
            assert r.submit("a@x.test", "u@ship7.test",
                            BODY % b"y").startswith("250")
        assert waiting(d) == 2
        assert d.stop() == 0
    finally:
        d.kill_all()
