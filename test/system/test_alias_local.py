"""Programs and files of aliases: what is run and written, as whom, and what
becomes of those that hang, fail, fill a disk or are killed."""
import fcntl
import os
import pathlib
import signal
import smtplib
import subprocess
import time

import pytest

from harness import BIN, RELAY, Raw, make_maildir, wait_until

MAIL = b"Subject: x\r\n\r\nFrom here\r\nto there\r\n"
USER = 64106 if os.getuid() == 0 else os.getuid()
STORE = "#!/bin/sh\nexec cat >> {out}\n"


class Hub:
    """A daemon with a directory that the user for programs may write to."""

    def __init__(self, daemon, sink, tmp_path):
        self.sink = sink()
        self.path = tmp_path
        self.mail = tmp_path / "mail"
        self.mail.mkdir(mode=0o755)
        if os.getuid() == 0:
            os.chown(self.mail, USER, USER)
        self.aliases = tmp_path / "aliases"
        self.maildir = make_maildir(tmp_path / "maildir")
        self.settings = RELAY + f'''aliases = [ "{self.aliases}" ]
route = ( {{ domain = "far.test"; to = "smtp://127.0.0.1:{self.sink.port}" }} )
site = ( {{ name = "home"; domains = [ "home.test" ];
  route = "maildir:{self.maildir}" }} )
'''
        self.make = lambda settings: daemon(
            "hub", self.settings + settings, start=False)

    def start(self, aliases, settings="alias-programs = true\n"):
        self.aliases.write_text(aliases)
        self.aliases.chmod(0o644)
        self.daemon = self.make(settings)
        return self.daemon.start()

    def script(self, name, text):
        path = self.path / name
        path.write_text(text.replace("{out}", str(self.mail / "out")))
        path.chmod(0o755)
        return path

    def send(self, name, content=MAIL, sender="s@far.test", **options):
        with self.daemon.smtp() as s:
            s.sendmail(sender, [f"{name}@home.test"], content, **options)

    def log(self, what):
        """Waits for a line of the log that has WHAT, and gives it."""
        def find():
            for line in self.daemon.log().splitlines():
                if what in line:
                    return line
            return None
        return wait_until(f"{what!r} in the log", find)

    def bounce(self):
        wait_until("a bounce", lambda: self.sink.messages)
        sender, recipients, content = self.sink.messages[0]
        assert sender == "" and recipients == ["s@far.test"]
        return content.decode()

    def out(self):
        path = self.mail / "out"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def hub(daemon, sink, place):
    return Hub(daemon, sink, place)


def delivered(hub, count=1):
    wait_until("deliveries", lambda: hub.daemon.log().count(" delivered ")
               >= count)


def test_file(hub):
    """An mbox: From_ line, quoted lines, an empty line at the end; a second
    message behind the first; nobody but its owner may read it."""
    box = hub.mail / "box"
    hub.start(f"keep: {box}\n")
    hub.send("keep")
    delivered(hub)
    hub.send("keep", sender="")
    delivered(hub, 2)
    text = box.read_text()
    lines = text.split("\n")
    assert lines[0].startswith("From s@far.test ")
    assert lines[1] == "Return-Path: <s@far.test>"
    assert lines.count(">From here") == 2
    assert text.count("\n\nFrom MAILER-DAEMON ") == 1
    assert text.endswith("\nto there\n\n")
    status = box.stat()
    assert status.st_mode & 0o7777 == 0o600 and status.st_uid == USER
    assert os.listdir(hub.mail) == ["box"]


def test_program(hub):
    """It has the message as it is, a clean environment, and is not root."""
    script = hub.script("prog", "#!/bin/sh\n(env; id -u; id -G; pwd;"
                                ' echo "$# $1 $2"; umask; cat) > {out}\n')
    hub.start(f'run: "|{script} one \'two three\'"\n')
    hub.send("run")
    delivered(hub)
    lines = hub.out().split("\n")
    assert set(lines[:lines.index(str(USER))]) - {
        "OLDPWD=/", "_=/usr/bin/env"} == {
        "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/", "SHELL=/bin/sh",
        "LANG=C", "PWD=/"}
    lines = lines[lines.index(str(USER)):]
    if os.getuid() == 0:
        assert lines[1] == str(USER)
    assert lines[2:5] == ["/", "2 one two three", "0077"]
    assert lines[5].startswith("From s@far.test ")
    assert lines[-4:] == ["", "From here", "to there", ""]


@pytest.mark.parametrize("status,answer", [
    (67, "550 5.1.1 User unknown: no such list"),
    (77, "550 5.0.0 Insufficient permission: no such list"),
    (1, "554 5.3.0 unknown mailer error 1: no such list"),
])
def test_program_refuses(hub, status, answer):
    """The first lines of its output are in the notification, no more."""
    script = hub.script(
        "no", f"#!/bin/sh\ncat > /dev/null\necho 'no such list'\n"
        f"i=0; while [ $i -lt 99 ]; do echo line $i; i=$((i+1)); done >&2\n"
        f"exit {status}\n")
    hub.start(f'run: "|{script}"\n')
    hub.send("run")
    text = hub.bounce()
    assert answer in " ".join(text.split())
    assert "line 1" in text and "line 9" not in text
    assert f'Final-Recipient: rfc822; "|{script}"' in text
    print(text)
    assert "Original-Recipient: rfc822; run@home.test" in text


@pytest.mark.parametrize("text,answer", [
    ("exit 75", "451 4.0.0 Deferred"),
    ("exit 71", "451 4.0.0 Operating system error"),
    ("kill -9 $$", "451 4.3.0 the program was killed by signal 9"),
    ("sleep 600 & sleep 600", "451 4.3.0 the program took too long"),
    ("trap '' TERM; sleep 600", "451 4.3.0 the program took too long"),
    ("yes 123456789", "451 4.3.0 the program writes too much"),
])
def test_program_fails(hub, text, answer):
    """Deferred, and nothing of it is left."""
    script = hub.script("bad", f"#!/bin/sh\necho $$ > {{out}}\n{text}\n")
    hub.start(f'run: "|{script}"\n',
              "alias-programs = true\nalias-time = 2\n")
    hub.send("run")
    assert answer in hub.log(" deferred ")
    group = int(hub.out())

    def members():
        return [p for p in pathlib.Path("/proc").glob("[0-9]*/stat")
                if is_member(p, group)]
    wait_until("nobody left", lambda: not members())


def is_member(path, group):
    try:
        return int(path.read_text().rsplit(")", 1)[1].split()[2]) == group
    except OSError:
        return False


@pytest.mark.parametrize("make,answer", [
    (lambda p: None, "No such file or directory"),
    (lambda p: p.write_text("#!/bin/sh\n"), "Permission denied"),
    (lambda p: (p.write_bytes(b"\0no program"), p.chmod(0o755)),
     "Exec format error"),
])
def test_program_that_is_none(hub, make, answer):
    """Our own mistake: it is tried again."""
    make(hub.path / "prog")
    hub.start(f'run: "|{hub.path}/prog"\n')
    hub.send("run")
    assert f"cannot be run: {answer}" in hub.log(" deferred ")
    hub.log(" alias-target-failed ")


def test_program_reads_nothing(hub):
    """Of a long message; what it leaves in the background is left alone."""
    script = hub.script(
        "lazy", "#!/bin/sh\n(sleep 1; echo late > {out}) > /dev/null &\n")
    hub.start(f'run: "|{script}"\n')
    hub.send("run", MAIL + b"yyyyyyy\r\n" * 300000)
    delivered(hub)
    wait_until("the rest of it", lambda: hub.out() == "late\n")


def test_long_message(hub):
    """Whole, byte by byte, in a program and in a file."""
    script = hub.script("store", STORE)
    hub.start(f'both: "|{script}", {hub.mail}/box, joe\n')
    lines = [b"%06d " % i + b"z" * (i % 70) for i in range(20000)]
    hub.send("both", b"Subject: x\r\n\r\n" + b"\r\n".join(lines) + b"\r\n")
    delivered(hub, 3)
    want = b"\n".join(lines) + b"\n"
    assert (hub.mail / "out").read_bytes().endswith(b"\n\n" + want)
    assert (hub.mail / "box").read_bytes().endswith(b"\n\n" + want + b"\n")


def test_off_by_default(hub):
    """Programs are not run unless that is allowed; files are written."""
    script = hub.script("prog", STORE)
    hub.start(f'run: "|{script}"\nkeep: {hub.mail}/box\n', "")
    with Raw(hub.daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@far.test>")
        assert raw.ask("RCPT TO:<run@home.test>") == (
            "451 4.2.4 The alias names a program, and alias-programs is not on")
        assert raw.ask("RCPT TO:<keep@home.test>").startswith("250 ")
    result = hub.daemon.run("sendmail", "-bi", check=False)
    assert result.returncode == 65
    assert result.stderr == (
        f"{hub.aliases}:1: run names a program, and alias-programs is not on: "
        f"{script}\n")
    result = hub.daemon.run("sendmail", "-bv", "run@home.test", "keep@home.test",
                            check=False)
    assert result.returncode == 67
    assert result.stdout == (
        "run@home.test... alias run names a program, and alias-programs is not "
        f"on: {script}\n"
        f"{hub.mail}/box... deliverable: mailer *file*, user {hub.mail}/box\n")


def test_verify(hub):
    """-bv and -bi where programs are allowed."""
    hub.start('run: |/bin/true\n')
    result = hub.daemon.run("sendmail", "-bv", "run@home.test")
    assert result.stdout == (
        '"|/bin/true"... deliverable: mailer prog, user /bin/true\n')
    assert hub.daemon.run("sendmail", "-bi").stderr == ""


def submit(hub, text, *arguments):
    """By the command; what it says to it is of no interest."""
    subprocess.run([BIN / "sendmail", "-i", "-f", "s@far.test", *arguments],
                   env=dict(os.environ, SENDQ_CONFIG=str(hub.daemon.config)),
                   input=text.encode(), capture_output=True, timeout=30)


@pytest.mark.parametrize("rcpt", [
    '"|{script}"@hub.test', "|{script}@hub.test", '"|{script}"@home.test',
    '"{box}"@hub.test', '"|{script}"', "|{script}", "{box}", '"{box}"',
    '@hub.test:"|{script}"@hub.test', '"|{script}"@[127.0.0.1]',
], ids=iter("abcdefghij"))  # short: a local part has 64 octets at most
def test_outside(hub, rcpt):
    """However it is written, a recipient or sender of SMTP is no program and
    no file; nor is one of a submitting program."""
    script, box = hub.script("prog", STORE), hub.mail / "box"
    hub.start(f'run: "|{script}"\nkeep: {box}\nfail: "|/bin/false"\n')
    rcpt = rcpt.format(script=script, box=box)
    with Raw(hub.daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@far.test>")
        reply = raw.ask(f"RCPT TO:<{rcpt}>")
        if "home.test" in rcpt:
            assert reply.startswith("250 ")
            raw.ask("DATA")
            raw.ask("x\r\n.")
        else:
            assert reply[0] == "5", reply
        raw.ask("RSET")
        # A notification to it.
        if raw.ask(f"MAIL FROM:<{rcpt}>")[0] == "2":
            raw.ask("RCPT TO:<fail@home.test>")
            raw.ask("DATA")
            raw.ask("x\r\n.")
            hub.log(" bounced " if " bounced " in hub.daemon.log() else "fail")
    submit(hub, "Subject: x\n\nx\n", rcpt)
    submit(hub, f"To: {rcpt}\n\nx\n", "-t")
    hub.send("fail")
    hub.log("554 5.3.0 unknown mailer error 1")
    time.sleep(0.5)
    assert os.listdir(hub.mail) == []


def test_include_names_none(hub):
    """What an :include: file names is not run and not written."""
    script, members = hub.script("prog", STORE), hub.path / "members"
    members.write_text(f'"|{script}"\n')
    members.chmod(0o644)
    hub.start(f'run: "|{script}"\nlist: :include:{members}\n')
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        hub.send("list")
    assert refused.value.recipients["list@home.test"] == (
        451, b"4.2.4 The alias has a mistake in its definition")
    hub.log(f'error="{members}:1: names a program or a file, which an '
            ':include: may not"')


@pytest.mark.skipif(os.getuid() != 0, reason="owners are root's to give")
def test_file_of_aliases_of_another(hub):
    """Where others than root may write to the file, it names none."""
    hub.aliases.write_text("")
    os.chown(hub.aliases, USER, USER)
    hub.start(f'keep: {hub.mail}/box\nann: ann@far.test\n')
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        hub.send("keep")
    hub.send("ann")
    hub.log(":1: keep names a program or a file, but not only root may write")


@pytest.mark.parametrize("command,wrong", [
    ("/bin/cat > /tmp/x", "needs a shell, which is not asked"),
    ("/bin/cat && exit 75", "needs a shell, which is not asked"),
    ("cat", "names no program by its absolute path"),
    ("/bin/cat " + "x" * 400, "is too long"),
    ("/bin/cat 'x", "has a quoted text that does not end"),
])
def test_commands_that_are_none(hub, command, wrong):
    hub.start(f'run: "|{command}"\n')
    result = hub.daemon.run("sendmail", "-bi", check=False)
    assert result.returncode == 65
    assert result.stderr.startswith(f"{hub.aliases}:1: run ")
    assert wrong in result.stderr


def bad_link(path):
    (path.parent / "other").write_text("")
    path.symlink_to(path.parent / "other")


def bad_mode(mode):
    def make(path):
        path.write_text("")
        path.chmod(mode)
    return make


def bad_names(path):
    path.write_text("")
    os.link(path, path.parent / "other")


@pytest.mark.parametrize("make,wrong", [
    (bad_link, "Too many levels of symbolic links"),
    (bad_mode(0o4600), "has its owner's or group's rights"),
    (bad_mode(0o700), "can be executed"),
    (bad_names, "has more than one name"),
    (os.mkdir, "Is a directory"),
    (lambda path: os.mkfifo(path), "is no regular file"),
    (lambda path: (path.write_text(""), path.chmod(0o400)),
     "Permission denied"),
])
def test_file_that_is_none(hub, make, wrong):
    """Deferred, with a line of the log, and not changed."""
    box = hub.mail / "box"
    hub.aliases.write_text("")
    make(box)
    if os.getuid() == 0 and not box.is_symlink():
        os.chown(box, USER, USER)
        if box.is_file() and wrong.startswith("has its"):
            box.chmod(0o4600)
    hub.start(f"keep: {box}\n")
    hub.send("keep")
    assert wrong in hub.log(" deferred ")
    assert wrong in hub.log(" alias-target-failed ")
    if box.is_file():
        assert box.read_bytes() == b""


def test_link_on_the_way(hub):
    """A link in a directory that others write to leads nowhere."""
    (hub.path / "secret").mkdir()
    shared = hub.path / "shared"
    shared.mkdir()
    (shared / "mail").symlink_to(hub.mail)
    shared.chmod(0o777)
    hub.start(f"keep: {shared}/mail/box\n")
    hub.send("keep")
    hub.log(" deferred ")
    assert os.listdir(hub.mail) == []


def test_locks(hub):
    """Waits for fcntl(2) and for the lock file; an old lock file is nobody's."""
    box, lock = hub.mail / "box", hub.mail / "box.lock"
    hub.start(f"keep: {box}\n")
    box.write_text("")
    if os.getuid() == 0:
        os.chown(box, USER, USER)
    with box.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        hub.send("keep")
        time.sleep(0.7)
        assert box.read_text() == ""
        lock.write_text("")
        fcntl.lockf(held, fcntl.LOCK_UN)
    time.sleep(0.7)
    assert box.read_text() == ""
    os.utime(lock, (time.time() - 400, time.time() - 400))
    delivered(hub)
    assert box.read_text().count("Subject: x") == 1
    assert not lock.exists()


def test_moved_while_it_is_waited_for(hub):
    """Who reads the mail renames the file: the new one gets it."""
    box = hub.mail / "box"
    hub.start(f"keep: {box}\n")
    box.write_text("")
    if os.getuid() == 0:
        os.chown(box, USER, USER)
    with box.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        hub.send("keep")
        time.sleep(0.5)
        box.rename(hub.mail / "old")
    delivered(hub)
    assert (hub.mail / "old").read_text() == ""
    assert box.read_text().count("Subject: x") == 1


def test_file_is_full(hub):
    """What does not fit is taken back, and comes again."""
    box = hub.mail / "box"
    limit = 100 << 20
    box.touch()
    with box.open("r+b") as f:
        f.seek(limit - 102)
        f.write(b"\n\n")
    if os.getuid() == 0:
        os.chown(box, USER, USER)
    hub.aliases.write_text(f"keep: {box}\n")
    hub.daemon = hub.make("")
    hub.daemon.start(wrap=["/bin/bash", "-c",
                           f'ulimit -f {limit // 1024}; exec "$@"', "sh"])
    hub.send("keep")
    assert "452 4.2.2 File too large" in hub.log(" deferred ")
    assert box.stat().st_size == limit - 100
    os.truncate(box, 0)
    hub.daemon.run("sendmail", "-q")
    delivered(hub)
    assert box.read_text().startswith("From s@far.test ")


def test_torn_end(hub):
    """Behind the beginning of a message that was cut off, the next one stands
    on a line of its own."""
    box = hub.mail / "box"
    box.write_text("From x@y Sun Nov 22 00:00:00 2026\nSubj")
    if os.getuid() == 0:
        os.chown(box, USER, USER)
    hub.start(f"keep: {box}\n")
    hub.send("keep")
    delivered(hub)
    assert "\nSubj\n\nFrom s@far.test " in box.read_text()


def test_killed_in_the_middle(hub):
    """kill -9 of the daemon while a program runs: it has the whole message
    each time that it is run, and in the end it was delivered."""
    script = hub.script("slow", "#!/bin/sh\ncat > {out}.$$\nsleep 2\n"
                                "echo done >> {out}\n")
    hub.start(f'run: "|{script}"\n')
    hub.send("run")
    wait_until("it runs", lambda: list(hub.mail.glob("out.*")))
    hub.daemon.kill_all()
    hub.daemon.start()
    delivered(hub)
    runs = [p.read_text() for p in hub.mail.glob("out.*")]
    assert 1 <= len(runs) <= 2
    assert all(t.endswith("to there\n") for t in runs)
    assert "done" in hub.out()


def test_stopped_in_the_middle(hub):
    """SIGTERM of the daemon: what still runs is ended, and runs again."""
    script = hub.script("slow", "#!/bin/sh\ncat > /dev/null\n"
                                "[ -e {out} ] || { echo $$ > {out}; "
                                "sleep 600; }\n")
    hub.start(f'run: "|{script}"\n')
    hub.send("run")
    pid = int(wait_until("it runs", hub.out))
    assert hub.daemon.stop() == 0
    wait_until("its end", lambda: not os.path.exists(f"/proc/{pid}"))
    hub.daemon.start()
    delivered(hub)


def test_watcher_is_killed(hub):
    """kill -9 of the one that waits: the program goes, the message stays."""
    script = hub.script("slow", "#!/bin/sh\ncat > /dev/null\n"
                                "[ -e {out} ] || { echo $PPID $$ > {out}; "
                                "exec sleep 600; }\n")
    hub.start(f'run: "|{script}"\n')
    hub.send("run")
    watcher, pid = wait_until("it runs", hub.out).split()
    os.kill(int(watcher), signal.SIGKILL)
    hub.log("451 4.3.0 helper ended")
    wait_until("its end", lambda: not os.path.exists(f"/proc/{pid}"))
    hub.daemon.run("sendmail", "-q")
    delivered(hub)


def test_runner_is_killed(hub):
    """kill -9 of the one that starts programs: it is there again."""
    script = hub.script("prog", STORE)
    hub.start(f'run: "|{script}"\n')
    spawner = hub.daemon.children()["spawner"]
    runner = pathlib.Path(
        f"/proc/{spawner}/task/{spawner}/children").read_text()
    os.kill(int(runner), signal.SIGKILL)
    hub.log(" child-ended ")
    hub.send("run")
    wait_until("its start", lambda: (
        hub.daemon.run("sendmail", "-q"), hub.out())[1])
    delivered(hub)


def test_many_at_a_time(hub):
    """More than may run at once wait for their turn."""
    script = hub.script("count", "#!/bin/sh\ncat > /dev/null\nsleep 0.2\n"
                                 "echo $1 >> {out}\n")
    hub.start("".join(f'r{i}: "|{script} {i}"\n' for i in range(30)) +
              "all: " + ", ".join(f"r{i}" for i in range(30)) + "\n")
    hub.send("all")
    delivered(hub, 30)
    assert sorted(map(int, hub.out().split())) == list(range(30))


def test_list_with_owner(hub):
    """Of trouble with a member the owner is told; success is told at once."""
    hub.start('list: "|/bin/false", ann@far.test\nowner-list: boss@far.test\n')
    hub.send("list", rcpt_options=["NOTIFY=SUCCESS"])
    wait_until("three", lambda: len(hub.sink.messages) >= 3)
    got = {(s, *r) for s, r, _ in hub.sink.messages}
    assert got == {("", "s@far.test"), ("", "boss@far.test"),
                   ("owner-list@home.test", "ann@far.test")}


def test_queue_shows_it(hub):
    """mailq and sendqctl name the program; requeue finds its way again, and
    one that no alias names any more waits."""
    hub.start('run: "|/bin/sh -c \'exit 75\'"\n')
    hub.send("run")
    hub.log(" deferred ")
    command = '"|/bin/sh -c \'exit 75\'"'
    assert command in hub.daemon.run("mailq").stdout
    assert "prog:/bin/sh -c 'exit 75'" in \
        hub.daemon.run("sendqctl", "destinations").stdout
    hub.daemon.run("sendqctl", "requeue", "--sender", "s@far.test")
    wait_until("another try",
               lambda: hub.daemon.log().count(" deferred ") > 1)
    hub.aliases.write_text('run: "|/bin/true"\n')
    mark = hub.daemon.log_size()
    hub.daemon.run("sendmail", "-bi")
    wait_until("reload", lambda: " ready " in hub.daemon.log(mark))
    hub.daemon.run("sendmail", "-q")
    assert command in hub.daemon.run("mailq").stdout
    assert " delivered " not in hub.daemon.log()


def mqueue(hub):
    path = hub.path / "mq"
    path.mkdir(mode=0o700)
    return path


# As sendmail 8.17 writes it for aliases.
FOREIGN = """V8
T{now}
K0
N0
P30118
Fbs
$_root@localhost
Ss@far.test
Aalice@example.com
Cprogalias:8:0:progalias
rRFC822; progalias@mail.example.test
RPFDA:{program}
Cfilealias:8:0:filealias
rRFC822; filealias@mail.example.test
RPFDA:{box}
C
RPFD:<ann@far.test>
H??From: s@far.test
H??Subject: by sendmail
.
"""


def put_foreign(hub, path, program, box):
    (path / "df6ALLDwW1013807").write_text("body\n")
    (path / "df6ALLDwW1013807").chmod(0o600)
    (path / "qf6ALLDwW1013807").write_text(FOREIGN.format(
        now=int(time.time()), program=program, box=box))
    (path / "qf6ALLDwW1013807").chmod(0o600)


def test_sendmails_queue(hub):
    """What sendmail queued for its aliases is delivered by ours, where ours
    name the same."""
    path, script = mqueue(hub), hub.script("prog", STORE)
    put_foreign(hub, path, f'|"{script}"', f"{hub.mail}/box")
    hub.start(f'run: |{script}\nkeep: {hub.mail}/box\n',
              f'alias-programs = true\nspool = "mqueue:{path}"\n')
    delivered(hub, 3)
    assert "Subject: by sendmail" in hub.out()
    assert "Subject: by sendmail" in (hub.mail / "box").read_text()
    wait_until("an empty queue", lambda: os.listdir(path) == [])


@pytest.mark.parametrize("aliases,settings", [
    ("run: |{script}\nkeep: {box}\n", ""),
    ("run: |{script} x\nkeep: {box}.old\n", "alias-programs = true\n"),
    ("ann: joe\n", "alias-programs = true\n"),
])
def test_sendmails_queue_waits(hub, aliases, settings):
    """What no alias of ours names is not run and not written, and waits."""
    path, script = mqueue(hub), hub.script("prog", STORE)
    put_foreign(hub, path, f'|"{script}"', f"{hub.mail}/box")
    names = aliases.format(script=script, box=f"{hub.mail}/box")
    hub.start(names, settings + f'spool = "mqueue:{path}"\n')
    delivered(hub, 2 if "keep: " in names and not settings else 1)
    hub.daemon.run("sendmail", "-q")
    time.sleep(0.5)
    assert hub.out() == ""
    assert (hub.mail / "box").exists() == (not settings)
    control = (path / "qf6ALLDwW1013807").read_text()
    assert f':|"{script}"\n' in control
    assert "bounced" not in hub.daemon.log()


def test_written_for_sendmail(hub):
    """In a queue of sendmail's a program is what sendmail calls it; it is there
    after a restart, and in another queue after an export."""
    path = mqueue(hub)
    other = hub.path / "other"
    other.mkdir(mode=0o700)
    flag = hub.path / "flag"
    script = hub.script(
        "prog", f"#!/bin/sh\n[ -e {flag} ] || exit 75\ncat >> {{out}}\n")
    settings = f'alias-programs = true\nspool = "mqueue:{path}"\n'
    hub.start(f'run: "|{script} \\"a b\\"", {hub.mail}/no/box\n', settings)
    hub.send("run")
    wait_until("two tries",
               lambda: hub.daemon.log().count(" deferred ") >= 2)
    assert hub.daemon.stop() == 0
    name = next(n for n in os.listdir(path) if n.startswith("qf"))
    control = (path / name).read_bytes().decode("latin-1")
    assert "\nCnobody:65534:65534:nobody\n" in control
    assert f'A:"|{script} \\"a b\\""\n' in control
    assert f"A:{hub.mail}/no/box\n" in control
    hub.daemon.run("sendqctl", "export", str(other))
    assert os.listdir(path) == []
    hub.daemon.write_config(hub.settings + settings.replace(
        str(path), str(other)))
    flag.write_text("")
    (hub.mail / "no").mkdir()
    if os.getuid() == 0:
        os.chown(hub.mail / "no", USER, USER)
    hub.daemon.start()
    hub.daemon.run("sendmail", "-q")
    delivered(hub, 2)
    assert "Subject: x" in hub.out()
    wait_until("an empty queue", lambda: os.listdir(other) == [])


def test_run_says_it(hub):
    """sendmail -v -q, in sendmail's words."""
    hub.start(f'run: |/bin/true, {hub.mail}/box\n', 'alias-programs = true\n')
    assert hub.daemon.stop() == 0
    submit(hub, "Subject: x\n\nx\n", "run@home.test")
    text = hub.daemon.run("sendmail", "-v", "-q").stdout
    lines = text.splitlines()
    at = lines.index('"|/bin/true"... Connecting to prog...')
    assert lines[at + 1] == '"|/bin/true"... Sent'
    assert f"{hub.mail}/box... Sent" in lines
    assert not any("*file*" in line for line in lines)
