"""sendmail as programs call it: what becomes of a message that they hand in."""
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import BIN, MODE, wait_until

MESSAGE = b"Subject: hello\n\nbody\n"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")


def routed(sink, extra=""):
    return (f'route = ( {{ domain = "*"; to = "smtp://127.0.0.1:{sink.port}" '
            f'}} )\n{extra}')


def hand_in(d, *arguments, data=MESSAGE, name="sendmail", **options):
    """sendmail with -C; the result, with output and errors together."""
    environment = dict(os.environ, SENDQ_CONFIG=str(d.config), LC_ALL="C")
    environment.pop("NAME", None)
    return subprocess.run([str(BIN / name), *map(str, arguments)],
                          input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60,
                          env=environment, **options)


def drop_of(d):
    return d.spool.parent / (d.spool.name + "-drop")


def dropped(d, part="new"):
    return sorted((drop_of(d) / part).iterdir())


def parts(content):
    """{name: value} of the header's fields, and the body."""
    header, _, body = content.partition(b"\r\n\r\n")
    fields = {}
    for line in re.split(rb"\r\n(?![ \t])", header):
        name, _, value = line.partition(b":")
        fields.setdefault(name.decode(), value.strip().decode())
    return fields, body


def one(sink):
    """The only message that arrives: (sender, recipients, content)."""
    wait_until("a message", lambda: sink.messages)
    assert len(sink.messages) == 1
    return sink.messages[0]


@pytest.fixture
def hop(sink):
    return sink()


@pytest.fixture
def make(daemon):
    """A daemon that does not run yet."""
    return lambda settings: daemon("here", settings, start=False)


@pytest.fixture
def up(make, hop):
    return make(routed(hop)).start(), hop


def test_plain_message(up):
    d, sink = up
    done = hand_in(d, "-f", "alice@a.test", "-F", "Al Ice", "bob@b.test")
    assert (done.returncode, done.stdout) == (0, b"")
    sender, recipients, content = one(sink)
    fields, body = parts(content)
    assert (sender, recipients) == ("alice@a.test", ["bob@b.test"])
    assert fields["From"] == "Al Ice <alice@a.test>"
    assert re.fullmatch(r"<\S+@\S+>", fields["Message-ID"])
    assert fields["Date"].endswith("+0000")
    assert body == b"body\r\n"


def test_recipients_from_header(up):
    d, sink = up
    done = hand_in(d, "-t", "-i", "eve@e.test", data=(
        b"From: me <x@y.test>\nTo: Bob (the one) <bob@b.test>,\n"
        b" group: carol@c.test;\nBcc: dave@d.test\nDate: today\n"
        b"Message-Id: <1@2>\n\na\n.\nb\n"))
    assert (done.returncode, done.stdout) == (0, b"")
    _, recipients, content = one(sink)
    assert sorted(recipients) == ["bob@b.test", "carol@c.test", "dave@d.test",
                                  "eve@e.test"]
    fields, body = parts(content)
    assert "Bcc" not in fields and b"dave" not in content
    assert fields["Message-Id"] == "<1@2>"
    assert body == b"a\r\n.\r\nb\r\n"


def test_sender_and_names_of_this_host(up):
    d, sink = up
    done = hand_in(d, "-f", "<>", "bob@b.test", data=b"To: ann\n\nx\n.\ny\n")
    assert done.returncode == 0
    sender, _, content = one(sink)
    assert sender == ""
    fields, body = parts(content)
    assert fields["To"].startswith("ann@") and body == b"x\r\n"
    assert "MAILER-DAEMON@" in fields["From"]


def test_options_of_the_envelope(make, hop):
    hop.extensions = ("8BITMIME", "DSN", "SIZE 0")
    seen = []
    hop.refuse = lambda verb, argument: seen.append((verb, argument))
    d = make(routed(hop)).start()
    done = hand_in(d, "-f", "a@a.test", "-N", "success,delay", "-R", "hdrs",
                   "-V", "id+2B", "b@b.test", data=b"X: y\n\n\xc3\xa4\n")
    assert (done.returncode, done.stdout) == (0, b"")
    one(hop)
    mail = next(text for verb, text in seen if verb == "MAIL")
    rcpt = next(text for verb, text in seen if verb == "RCPT")
    assert "BODY=8BITMIME" in mail and "RET=HDRS" in mail
    assert "ENVID=id+2B" in mail
    assert "NOTIFY=SUCCESS,DELAY" in rcpt


def test_verbose_shows_the_dialogue(up):
    d, sink = up
    done = hand_in(d, "-v", "-f", "a@a.test", "b@b.test")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert text.startswith("b@b.test... Connecting to localhost via relay...")
    assert ">>> MAIL From:<a@a.test>" in text
    assert "b@b.test... Sent (" in text and ">>> QUIT" in text


def test_traffic_log(up, tmp_path):
    d, sink = up
    log = tmp_path / "log"
    log.write_text("before\n")
    assert hand_in(d, "-X", log, "-p", "uucp:far.test", "-f", "a@a.test",
                   "b@b.test").returncode == 0
    lines = [line.partition(" ")[2] for line in log.read_text().splitlines()]
    assert lines[1:6] == ["<<< Subject: hello", "<<< ", "<<< body",
                          "<<< [EOF]", "=== CONNECT localhost"]
    assert ">>> EHLO far.test" in lines and ">>> body" in lines
    assert lines[-2:][0] == ">>> QUIT"
    assert b"far.test" in one(sink)[2]
    assert hand_in(d, "-X", tmp_path, "b@b.test").returncode == 73


def test_gateway_leaves_the_header(up):
    d, sink = up
    assert hand_in(d, "-G", "-f", "a@a.test", "b@b.test",
                   data=b"X:y\nBcc: z\n\nq\n").returncode == 0
    content = one(sink)[2]
    assert content.endswith(b"X:y\r\nBcc: z\r\n\r\nq\r\n")
    assert b"From:" not in content


def test_rmail(up):
    d, sink = up
    done = hand_in(d, "b.test!bob", name="rmail", data=(
        b"From uucp Sat Nov 21 21:13:57 2026 remote from near\n"
        b">From al Sat Nov 21 21:10:00 2026 remote from far\n"
        b"Subject: x\n\nq\n"))
    assert (done.returncode, done.stdout) == (0, b"")
    sender, recipients, content = one(sink)
    assert sender.startswith("near!far!al@")
    assert recipients == ["bob@b.test"]
    assert b"remote from" not in content
    # The name of who called is not that of who wrote it.
    fields = dict(line.split(b": ", 1) for line in content.split(
        b"\r\n\r\n")[0].split(b"\r\n") if line[:1] not in b" \t")
    assert fields[b"From"] == sender.encode()


def test_not_safe(up):
    d, sink = up
    for option, said in (("SuperSafe=False", b"SuperSafe is always on"),
                         ("SuperSafe=True", b"")):
        done = hand_in(d, f"-O{option}", "b@b.test")
        assert (done.returncode, said in done.stdout) == (0, True)
        assert bool(done.stdout) == bool(said)


def test_much_mail_for_many(make, hop):
    """More than fits into memory here, for more than one transaction has."""
    d = make(routed(hop, "recipients-max = 3\n")).start()
    data = b"Subject: much\n\n" + (b"x" * 99 + b"\n") * 30000
    done = hand_in(d, "-v", "-f", "a@a.test",
                   *(f"r{i}@b.test" for i in range(7)), data=data)
    assert done.returncode == 0
    assert done.stdout.count(b">>> MAIL") == 3
    assert done.stdout.count(b"... Sent (") == 3
    got = wait_until("all", lambda: len([r for m in hop.messages
                                         for r in m[1]]) == 7)
    assert got
    assert all(m[2].endswith(data[-99000:].replace(b"\n", b"\r\n"))
               for m in hop.messages)


FAILURES = [
    # arguments, exit status, what is printed, whether dead.letter is written
    ((), 67, "r1@b.test... {}\n{home}/dead.letter... Saved message in "
             "{home}/dead.letter\n", True),
    (("-oeq",), 67, "", False),
    (("-oew",), 67, "", False),
    (("-oem",), 67, "", False),
    (("-oee",), 0, "", False),
]


@pytest.mark.parametrize("mode,status,text,is_kept", FAILURES)
def test_refused_recipients(make, hop, tmp_path, mode, status, text,
                            is_kept):
    # What the daemon refuses: no mail may be relayed for this one.
    d = make(routed(hop)).start()
    kept = tmp_path / "dead.letter"
    done = hand_in(d, *mode, "-f", "a@a.test", f"-ODeadLetterDrop={kept}",
                   "ba..d@addr", data=MESSAGE)
    printed = (f"ba..d@addr... User unknown\n{kept}... Saved message in "
               f"{kept}\n")
    assert (done.returncode, done.stdout.decode()) == (
        status, printed if is_kept else "")
    assert kept.exists() == is_kept
    if is_kept:
        text = kept.read_text()
        assert re.match(r"From a@a\.test \w{3} \w{3}", text)
        assert "\nSubject: hello\n" in text and text.endswith("\nbody\n\n")
    if mode in (("-oem",), ("-oee",)):
        sender, recipients, content = one(hop)
        assert (sender, recipients) == ("", ["a@a.test"])
        assert b"ba..d@addr" in content and b"Subject: hello" in content


def test_good_recipients_get_it_all_the_same(up, tmp_path):
    d, sink = up
    done = hand_in(d, f"-ODeadLetterDrop={tmp_path}/d", "-f", "a@a.test",
                   "bad@@x", "b@b.test", "c@c.test <")
    assert done.returncode == 64
    assert done.stdout.decode().splitlines()[:3] == [
        "bad@@x... Invalid route address", "c@c.test <... Unbalanced '<'",
        "c@c.test <... User unknown"]
    assert one(sink)[1] == ["b@b.test"]


def test_what_cannot_be_sent(up, tmp_path):
    d, sink = up
    keep = f"-ODeadLetterDrop={tmp_path}/d"
    done = hand_in(d, keep, "-OMaxMessageSize=3", "-f", "a@a.test", "b@b.test")
    assert (done.returncode, done.stdout) == (
        0, b"Message exceeds maximum fixed size (3)\n")
    assert one(sink)[1] == ["a@a.test"]
    done = hand_in(d, keep, "-t", "-f", "a@a.test")
    assert (done.returncode, done.stdout) == (
        0, b"No recipient addresses found in header\n")
    # Who cannot get it back finds it here; that is no failure either.
    done = hand_in(d, keep, "-t", "-f", "<>")
    assert done.returncode == 0
    assert done.stdout.decode() == (
        "No recipient addresses found in header\n"
        f"{tmp_path}/d... Saved message in {tmp_path}/d\n")
    (tmp_path / "d").unlink()
    done = hand_in(d, keep, "-h", "200", "b@b.test")
    assert done.returncode == 69
    assert done.stdout.decode() == f"{tmp_path}/d... Saved message in " \
                                   f"{tmp_path}/d\n"


def test_command_lines(up):
    d, _ = up
    for arguments, status, text in (
            ((), 64, "Recipient names must be specified\n"),
            (("-Z", "x"), 64, f"{BIN}/sendmail: illegal option -- Z\n"),
            (("-ONoSuch=1", "x"), 70, "readcf: unknown option name NoSuch\n"),
            (("-q", "-bs"), 64, "550 Can not use -q with -bs\n"),
            (("-C/nonexistent", "x"), 72, "/nonexistent: line 0: cannot open: "
                                          "No such file or directory\n")):
        done = hand_in(d, *arguments)
        assert (done.returncode, done.stdout.decode()) == (status, text)
    assert hand_in(d, "--help").returncode == 0


# What sendmail says of each, and its exit status.
MISTAKES = [
    ("a@@b", 64, "Invalid route address"),
    ("a@b@c", 64, "Invalid route address"),
    ("bob@", 64, "Hostname required"),
    ("@y.test", 64, "User address required"),
    ("bob@y..test", 68, "Invalid host name"),
    ("|/bin/true", 64, "Cannot mail directly to programs"),
    ("/dev/null", 64, "Cannot mail directly to files"),
    (":include:/dev/null", 64, "Cannot mail directly to :include:s"),
]


def test_recipients_that_are_none(up):
    d, _ = up
    for word, status, why in MISTAKES:
        done = hand_in(d, "-oeq", "-f", "a@a.test", word)
        assert (done.returncode, done.stdout) == (status, b""), word
        done = hand_in(d, "-f", "<>", "-ODeadLetterDrop=/dev/null", word)
        assert done.returncode == status, word
        assert done.stdout.decode().startswith(f"{word}... {why}\n"), word
        assert b"User unknown" not in done.stdout, word


def test_fields_and_dots(up):
    """An empty field is no field; the root's dot is no part of a name; two
    dots are one unless dots are ordinary."""
    d, sink = up
    text = (b"From:\nDate:\nMessage-Id: \nApparently-To: b@b.test.\n\n"
            b"..\n...x\n.y\n")
    assert hand_in(d, "-t", "-f", "a@a.test", data=text).returncode == 0
    sender, recipients, content = one(sink)
    head, body = content.split(b"\r\n\r\n", 1)
    assert recipients == ["b@b.test"] and body == b".\r\n..x\r\n.y\r\n"
    for name in (b"from", b"date", b"message-id"):
        values = re.findall(rb"(?im)^%s:(.*)\r?$" % name, head)
        assert len(values) == 1 and len(values[0].strip()) > 5, head
    sink.messages.clear()
    assert hand_in(d, "-ti", "-f", "a@a.test", data=text).returncode == 0
    assert one(sink)[2].endswith(b"\r\n\r\n..\r\n...x\r\n.y\r\n")


def test_smtp_on_standard_input(up):
    d, sink = up
    done = hand_in(d, "-bs", data=(
        b"EHLO x\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n"
        b"Subject: s\r\n\r\nb\r\n.\r\nQUIT\r\n"))
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(b"220 ")
    assert b"\r\n354 " in done.stdout and b"\r\n221 " in done.stdout
    assert one(sink)[0] == "a@a.test"
    # Input that ends without QUIT ends it too.
    done = hand_in(d, "-bs", data=b"NOOP\r\n")
    assert done.returncode == 0 and b"\r\n250 " in done.stdout


def test_without_a_daemon(make, hop):
    """What was left got status 0; the daemon sends it when it comes."""
    d = make(routed(hop)).start()
    d.stop()
    done = hand_in(d, "-f", "a@a.test", "-N", "never", "b@b.test", "c@c.test")
    assert (done.returncode, done.stdout) == (0, b"")
    assert len(dropped(d)) == 1 and not dropped(d, "tmp")
    text = dropped(d)[0].read_bytes()
    assert text.startswith(b"sendq-drop 1\nMAIL FROM:<a@a.test>\n"
                           b"RCPT TO:<b@b.test> NOTIFY=NEVER\n")
    done = hand_in(d, "-bs", data=b"QUIT\r\n")
    assert done.returncode == 75 and done.stdout.startswith(b"421 4.3.2 ")
    d.start()
    assert sorted(one(hop)[1]) == ["b@b.test", "c@c.test"]
    wait_until("taken", lambda: not dropped(d))


@pytest.mark.parametrize("is_up", [True, False])
def test_without_standard_streams(make, hop, place, is_up):
    """What is printed does not go where a missing stream's number went."""
    d = make(routed(hop)).start()
    if not is_up:
        d.stop()
    letter = place / "letter"
    letter.write_bytes(MESSAGE)
    command = f"{BIN}/sendmail -v -X {place}/log -f a@a.test b@b.test "
    environment = dict(os.environ, SENDQ_CONFIG=str(d.config))
    done = subprocess.run(["sh", "-c", f"{command} <{letter} >&- 2>&-"],
                          env=environment)
    assert done.returncode == 0
    assert b"Connecting" not in (place / "log").read_bytes()
    done = subprocess.run(["sh", "-c", f"{command} <&- >&- 2>&-"],
                          env=environment)
    assert done.returncode == 74
    if not is_up:
        assert len(dropped(d)) == 1
        d.start()
    assert one(hop)[1] == ["b@b.test"]


def test_before_the_first_daemon(make, hop):
    """The drop directory is made where it is not there yet."""
    d = make(routed(hop))
    assert hand_in(d, "-f", "a@a.test", "b@b.test").returncode == 0
    assert len(dropped(d)) == 1
    d.start()
    assert one(hop)[1] == ["b@b.test"]


def test_nowhere_to_leave_it(make, hop):
    d = make(routed(hop, 'drop-directory = ""\n'))
    done = hand_in(d, "-f", "a@a.test", "b@b.test")
    assert done.returncode == 75
    assert b"no daemon at" in done.stdout
    assert b"1 of 1 recipients" in done.stdout


@as_root
def test_setgid(make, hop, place):
    """As any user, by the group of the program, which leaves nothing else."""
    d = make(routed(hop)).start()
    d.stop()
    group = drop_of(d).stat().st_gid
    if subprocess.run(["unshare", "-m", "true"]).returncode != 0:
        pytest.skip("needs a name space of its own")
    if MODE == "asan":
        pytest.skip("the sanitizer does not run with another's rights")
    program = place / "sendmail"
    shutil.copy(BIN / "sendmail", program)
    os.chown(program, 0, group)
    program.chmod(0o2755)
    etc = place / "etc"
    (etc / "sendq").mkdir(parents=True)
    (etc / "passwd").write_text("someone:x:4321:4321:Some One,,:/nowhere:\n")
    shutil.copy(d.config, etc / "sendq" / "sendq.conf")
    command = (f"mount --bind {etc} /etc && exec setpriv --reuid 4321 "
               f"--regid 4321 --clear-groups {program} ")

    def send(arguments):
        return subprocess.run(["unshare", "-m", "sh", "-c",
                               command + arguments], input=MESSAGE,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
    done = send("b@b.test")
    assert (done.returncode, done.stdout) == (0, b"")
    (left,) = dropped(d)
    status = left.stat()
    assert (status.st_uid, status.st_gid) == (4321, group)
    assert stat.S_IMODE(status.st_mode) == 0o640
    # With a configuration of the caller's there is no such right.
    done = send(f"-C {d.config} b@b.test")
    assert done.returncode == 75 and b"Permission denied" in done.stdout
    d.start()
    content = one(hop)[2]
    assert b"From: Some One <someone@" in content
    wait_until("taken", lambda: not dropped(d))


@as_root
def test_no_right_to_leave_it(make, hop):
    """As another user, without the group: 75, and nothing is left."""
    d = make(routed(hop)).start()
    d.stop()
    os.chmod(d.config, 0o644)

    def lose_rights():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    done = hand_in(d, "-f", "a@a.test", "b@b.test", preexec_fn=lose_rights)
    assert done.returncode == 75, done.stdout
    assert b"Permission denied" in done.stdout
    assert not dropped(d) and not dropped(d, "tmp")


def test_disk_full(make, hop):
    """A file that cannot grow is a full disk: 75, and nothing is left."""
    d = make(routed(hop)).start()
    d.stop()

    def full():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    done = hand_in(d, "-f", "a@a.test", "b@b.test", preexec_fn=full,
                   data=MESSAGE + b"x\n" * 10000)
    assert done.returncode == 75, done.stdout
    assert b"nothing can be left in" in done.stdout
    assert not dropped(d) and not dropped(d, "tmp")
    # A message that is too much for memory here has nowhere to wait either.
    done = hand_in(d, "-f", "a@a.test", "b@b.test", preexec_fn=full,
                   data=MESSAGE + (b"x" * 99 + b"\n") * 20000)
    assert done.returncode == 74, done.stdout
    assert not dropped(d) and not dropped(d, "tmp")


def test_killed_while_it_reads(up):
    """Who is ended before the message is has sent nothing."""
    d, sink = up
    environment = dict(os.environ, SENDQ_CONFIG=str(d.config))
    program = subprocess.Popen([str(BIN / "sendmail"), "b@b.test"],
                               stdin=subprocess.PIPE, env=environment)
    program.stdin.write(b"Subject: x\n\n" + b"y\n" * 100)
    program.stdin.flush()
    time.sleep(0.1)
    program.kill()
    program.wait()
    assert hand_in(d, "-f", "a@a.test", "c@c.test").returncode == 0
    assert one(sink)[1] == ["c@c.test"]


def test_killed_while_it_leaves_mail(make, hop):
    """Wherever it is ended: what is left is whole, what got 0 is left."""
    d = make(routed(hop)).start()
    d.stop()
    environment = dict(os.environ, SENDQ_CONFIG=str(d.config))
    data = MESSAGE + (b"x" * 99 + b"\n") * 30000
    good = 0
    for i in range(12):
        program = subprocess.Popen(
            [str(BIN / "sendmail"), "-f", "a@a.test", "b@b.test"],
            stdin=subprocess.PIPE, env=environment)
        program.stdin.write(data)
        program.stdin.close()
        time.sleep(0.003 * i)
        program.kill()
        good += program.wait() == 0
        files = dropped(d)
        assert len(files) >= good
        for left in files:
            text = left.read_bytes()
            end = re.fullmatch(rb"\nEND ([0-9a-f]{16}) [0-9a-f]{8}\n",
                               text[-31:])
            assert end and int(end[1], 16) == len(text) - 31
    for left in dropped(d)[1:]:
        left.unlink()
    kept = len(dropped(d))
    d.start()
    wait_until("taken", lambda: not dropped(d))
    wait_until("sent", lambda: len(hop.messages) == kept)


class Far(socket.socket):
    """A daemon by hand at the submission socket."""

    def __init__(self, d):
        super().__init__(socket.AF_UNIX)
        path = d.control.parent / "submission"
        path.parent.mkdir(exist_ok=True)
        if path.exists():
            path.unlink()
        self.bind(str(path))
        self.listen(5)


@pytest.mark.parametrize("replies", [
    [b"421 4.3.2 not now\r\n"],
    [b"220 x\r\n", b"250 x\r\n", b"452 4.3.1 no room\r\n"],
    [b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"],
    [b"220 x\r\n", b"250 x\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n",
     b"451 4.3.0 trouble\r\n"],
    [b"junk\r\n"],
])
def test_daemon_in_trouble(make, hop, replies):
    """What it does not take for now is left in the drop directory, once."""
    d = make(routed(hop)).start()
    d.stop()
    with Far(d) as far:
        environment = dict(os.environ, SENDQ_CONFIG=str(d.config))
        program = subprocess.Popen(
            [str(BIN / "sendmail"), "-f", "a@a.test", "b@b.test"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=environment)
        program.stdin.write(MESSAGE)
        program.stdin.close()
        connection, _ = far.accept()
        with connection, connection.makefile("rb") as lines:
            for i, reply in enumerate(replies):
                connection.sendall(reply)
                if i + 1 == len(replies):
                    break
                line = lines.readline()
                while reply.startswith(b"354") and line not in (b".\r\n", b""):
                    line = lines.readline()
        text = program.stdout.read()
        assert (program.wait(), text) == (0, b"")
    assert len(dropped(d)) == 1
    d.start()
    assert one(hop)[1] == ["b@b.test"]


def test_into_a_queue_directory(make, hop, place):
    """-oQ: queued there in sendmail's format, for a run of it."""
    d = make(routed(hop))
    queue = place / "mqueue"
    queue.mkdir(mode=0o700)
    where = f"-OQueueDirectory={queue}"
    done = hand_in(d, where, "-odq", "-f", "a@a.test", "b@b.test", "c@c.test")
    assert (done.returncode, done.stdout) == (0, b"")
    names = sorted(p.name[:2] for p in queue.iterdir())
    assert names == ["df", "qf"]
    text = next(queue.glob("qf*")).read_text(errors="replace")
    assert text.startswith("V8\n") and text.endswith("\n.\n")
    assert "b@b.test" in text and "c@c.test" in text
    assert "H??Received: (from " in text
    assert (next(queue.glob("df*")).read_text()) == "body\n"
    many = MESSAGE + b"x\n" * 1000000
    assert hand_in(d, where, "-f", "a@a.test", "b@b.test",
                   data=many).returncode == 0
    assert sorted(p.stat().st_size for p in queue.glob("df*")) == [5, 2000005]
    done = hand_in(d, f"-oQ{place}/nosuch", "b@b.test")
    assert done.returncode == 78
    assert done.stdout.startswith(b"can not chdir(")
