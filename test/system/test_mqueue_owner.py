"""Whose the files of sendmail's queue are: in a directory of root's, and in one
that has the owner of Debian's packages, mail of any owner is run, as sendmail
runs it; elsewhere the rights of the directory's owner are all there is."""
import os
import pathlib
import shutil
import subprocess

import pytest

from harness import BIN, MODE, RELAY, Daemon, Sink, open_path, wait_until

pytestmark = pytest.mark.skipif(
    os.getuid() != 0, reason="needs root to make files of others")

FILES = 1 << 1  # CAP_DAC_OVERRIDE
CONTROL = ("V8\nT{time}\nK0\nN0\nP30118\nFbs\nS<a@x.test>\nrRFC822; {to}\n"
           "RPFD:<{to}>\nH??From: a@x.test\nH??Subject: x\n.\n")


class Mqueue:
    """A directory of sendmail's, a next hop, and how both are used."""

    def __init__(self, place, owner, mode, settings=""):
        self.path = open_path(place) / "mqueue"
        self.path.mkdir()
        os.chown(self.path, *owner)
        os.chmod(self.path, mode)
        self.sink = Sink(refuse=lambda verb, argument: "451 4.2.0 later"
                         if verb == "RCPT" and "defer" in argument else None)
        self.settings = RELAY + (
            f'route = ( {{ domain = "*", '
            f'to = "smtp://127.0.0.1:{self.sink.port}" }} )\n') + settings
        self.daemon = Daemon(place, "q", self.settings)

    def add(self, name, to, owner, mode=0o600):
        now = int(self.daemon.config.stat().st_mtime)
        for prefix, text in (("df", "body\n"),
                             ("qf", CONTROL.format(time=now, to=to))):
            path = self.path / (prefix + name)
            path.write_text(text)
            os.chown(path, *owner)
            os.chmod(path, mode if prefix == "qf" else mode & 0o640)

    def names(self):
        return sorted(p.name for p in self.path.iterdir())

    def run(self, *options, wrap=()):
        return subprocess.run(
            [*wrap, str(BIN / "sendmail"), "-C", str(self.daemon.config),
             "-v", "-q", f"-oQ{self.path}", *options],
            capture_output=True, text=True, timeout=60)

    def start(self):
        self.daemon.write_config(
            self.settings + f'spool = "mqueue:{self.path}"\n')
        return self.daemon.start()

    def got(self):
        return sorted(m[1][0] for m in self.sink.messages)

    def close(self):
        self.daemon.kill_all()
        self.sink.stop()


@pytest.fixture
def mqueue(place):
    made = []

    def make(*args, **kwargs):
        made.append(Mqueue(place, *args, **kwargs))
        return made[-1]
    yield make
    for q in made:
        q.close()


def rights(pid):
    """{kind: capabilities} of a process."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[:6]: int(line.split()[1], 16) for line in lines
            if line.startswith("Cap")}


# owner of the directory, its mode, settings, owner and mode of files
PLACES = {
    "damaged/17: of root, the file of somebody else":
        ((0, 0), 0o700, "", (8, 8), 0o600),
    "of root and a group":
        ((0, 4322), 0o2750, "", (4323, 4322), 0o640),
    "of sendmail's user, files of root":
        ((4321, 4322), 0o2750, 'user-queue = "4321"\n', (0, 4322), 0o600),
}


@pytest.mark.parametrize("name", PLACES)
def test_one_run(mqueue, name):
    owner, mode, settings, file_owner, file_mode = PLACES[name]
    q = mqueue(owner, mode, settings)
    q.add("X1", "u@y.test", file_owner, file_mode)
    q.add("X2", "defer@y.test", file_owner, file_mode)
    done = q.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "u@y.test... Sent" in done.stdout
    assert q.got() == ["u@y.test"]
    # Rewritten it is the directory's owner's, who has it for sendmail again.
    assert q.names() == ["dfX2", "qfX2"]
    control = q.path / "qfX2"
    assert control.stat().st_uid == owner[0]
    assert control.stat().st_mode & 0o777 == 0o600
    assert "MDeferred: 451 4.2.0 later" in control.read_text()
    assert (q.path / "dfX2").stat().st_uid == file_owner[0]
    q.sink.refuse = lambda verb, argument: None
    assert q.run().returncode == 0
    assert q.got() == ["defer@y.test", "u@y.test"] and q.names() == []


@pytest.mark.parametrize("name", PLACES)
def test_daemon(mqueue, name):
    owner, mode, settings, file_owner, file_mode = PLACES[name]
    q = mqueue(owner, mode, settings)
    q.add("X1", "u@y.test", file_owner, file_mode)
    d = q.start()
    wait_until("mail", lambda: q.got() == ["u@y.test"])
    wait_until("nothing left", lambda: q.names() == [])
    children = d.children()
    for role, pid in children.items():
        has = rights(pid)
        if role == "queue":
            assert has["CapPrm"] == has["CapEff"] == FILES
            assert has["CapInh"] == has["CapAmb"] == has["CapBnd"] == 0
        else:
            assert has["CapPrm"] & FILES == 0, role
    assert rights(d.process.pid)["CapPrm"] & FILES == 0
    status = pathlib.Path(f"/proc/{children['queue']}/status").read_text()
    assert f"\nUid:\t{owner[0]}\t" in status
    assert "\nSeccomp:\t2\n" in status or MODE == "asan"
    assert d.stop() == 0


def test_user_of_debian(mqueue):
    """Its name is enough, without a word in the configuration."""
    if subprocess.run(["unshare", "-m", "true"]).returncode != 0:
        pytest.skip("needs a name space of its own")
    q = mqueue((4321, 4322), 0o2750)
    q.add("X1", "u@y.test", (0, 4322), 0o640)
    assert q.run().returncode == 0 and q.got() == []
    etc = q.path.parent / "etc"
    etc.mkdir()
    (etc / "passwd").write_text("root:x:0:0::/root:/bin/sh\n"
                                "smmta:x:4321:4322::/nowhere:\n")
    done = q.run(wrap=("unshare", "-m", "sh", "-c",
                       f'mount --bind {etc} /etc && exec "$@"', "sh"))
    assert (done.returncode, done.stderr) == (0, "")
    assert q.got() == ["u@y.test"] and q.names() == []


def test_quarantine_and_list(mqueue):
    """The tools see the same files, inside the same walls."""
    q = mqueue((64102, 4322), 0o2750)
    q.add("X1", "u@y.test", (0, 4322), 0o640)
    done = q.daemon.run("sendmail", "-v", "-Qspam", f"-oQ{q.path}")
    assert done.stdout.splitlines()[1:] == [
        'X1: Quarantined with "spam"', "1 change"]
    assert q.names() == ["dfX1", "hfX1"]
    q.daemon.write_config(q.settings + f'spool = "mqueue:{q.path}"\n')
    done = q.daemon.run("sendqctl", "list")
    assert " <a@x.test> u@y.test " in done.stdout and done.stderr == ""
    if MODE == "asan":
        return
    outside = q.path.parent / "outside"
    shutil.move(q.path / "hfX1", outside)
    (q.path / "hfX1").symlink_to(outside)
    done = q.daemon.run("sendqctl", "list", check=False)
    assert "u@y.test" not in done.stdout
    assert "Permission denied" in done.stderr


# The same directories when they, or the files, are open to others.
REFUSED = {
    "a file that anybody may write":
        ((0, 0), 0o700, (8, 8), 0o602, "Qf"),
    "a file that its group may write":
        ((0, 0), 0o700, (8, 8), 0o620, "Qf"),
    "a directory of root's that a group may write":
        ((0, 4322), 0o2770, (8, 8), 0o600, "qf"),
    "a directory that anybody may write":
        ((0, 0), 0o1777, (8, 8), 0o600, "qf"),
    "a directory of some user":
        ((4321, 4322), 0o2750, (0, 4322), 0o640, "qf"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(mqueue, name):
    owner, mode, file_owner, file_mode, prefix = REFUSED[name]
    q = mqueue(owner, mode)
    q.add("X1", "u@y.test", file_owner, file_mode)
    q.run()
    assert q.got() == []
    assert q.names() == sorted(["dfX1", prefix + "X1"])


# What sendmail's submission program leaves: files of who submitted, which its
# group may write, as it may the directory.
CLIENT = {
    "of sendmail's submission program": ((4321, 4322), 0o2770, (8, 4322)),
    "its own files": ((4321, 4322), 0o2770, (4321, 4322)),
    "of root": ((0, 4322), 0o2770, (8, 4322)),
}


@pytest.mark.parametrize("name", CLIENT)
def test_client_queue(mqueue, name):
    owner, mode, file_owner = CLIENT[name]
    q = mqueue(owner, mode)
    q.add("X1", "u@y.test", file_owner, 0o660)
    q.add("X2", "defer@y.test", file_owner, 0o660)
    q.add("X3", "other@y.test", (8, 8), 0o660)
    os.chmod(q.path / "dfX1", 0o660)
    os.chmod(q.path / "dfX2", 0o660)
    done = q.run()
    assert "u@y.test... Sent" in done.stdout, done.stdout + done.stderr
    # Only the one of another group is damaged.
    assert done.stdout.count("/mqueue/X1 ") == 1, done.stdout
    assert done.stdout.count("Running ") == 3, done.stdout
    # Another group's cannot be read.
    assert q.got() == ["u@y.test"]
    assert q.names() == ["dfX2", "dfX3", "qfX2", "qfX3"]
    assert (q.path / "qfX2").stat().st_uid == owner[0]
    (q.path / "dfX3").unlink()
    # Written anew it is still the same message.
    done = q.daemon.run("sendmail", "-v", "-Qspam", "-qIX2", f"-oQ{q.path}")
    assert done.stdout.endswith('X2: Quarantined with "spam"\n1 change\n')
    assert q.daemon.run("sendmail", "-v", "-Q", "-qQ",
                        f"-oQ{q.path}").stdout.endswith("1 change\n")
    q.add("X4", "u@y.test", file_owner, 0o660)
    done = q.daemon.run("sendmail", "-v", "-Qspam", "-qIX4", f"-oQ{q.path}")
    assert done.stdout.endswith("1 change\n"), done.stdout
    os.rename(q.path / "hfX4", q.path / "qfX4")
    q.daemon.run("sendqctl", "import", q.path, "--recipient",
                 "defer@y.test")
    assert "dfX2" not in q.names()


# In a directory that others may write to: what else must be as it is.
LINKED = {
    "a control file with another name": (["qfX1"], {}),
    "a data file with another name": (["dfX1"], {}),
    "a data file of another owner": ([], {"dfX1": (0, 4322)}),
}


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("mode,is_sent", [(0o2770, False), (0o2750, True)])
def test_what_others_may_have_made(mqueue, name, mode, is_sent):
    linked, owners = LINKED[name]
    q = mqueue((4321, 4322), mode, 'user-queue = "4321"\n')
    q.add("X1", "u@y.test", (8, 4322), 0o640 if is_sent else 0o660)
    (q.path / "dfX1").chmod(0o640)
    for file in linked:
        os.link(q.path / file, q.path.parent / "other")
    for file, owner in owners.items():
        os.chown(q.path / file, *owner)
    q.run()
    assert q.got() == (["u@y.test"] if is_sent else [])
    assert q.names() == ([] if is_sent else ["QfX1", "dfX1"])


def test_move(mqueue):
    """sendqctl uses the same files as a run does, and goes nowhere else."""
    q = mqueue((4321, 4322), 0o2750, 'user-queue = "4321"\n')
    q.add("X1", "u@y.test", (0, 0), 0o600)
    q.add("X2", "v@y.test", (4321, 4322), 0o640)
    q.daemon.run("sendqctl", "import", q.path)
    assert q.names() == []
    listed = q.daemon.run("sendqctl", "list").stdout
    assert "u@y.test" in listed and "v@y.test" in listed
    q.add("X3", "w@y.test", (0, 0), 0o600)
    q.daemon.run("sendqctl", "export", q.path, "--id", "X1")
    assert q.names() == ["dfX1", "dfX3", "qfX1", "qfX3"]
    assert (q.path / "qfX1").stat().st_uid == 4321
    if MODE == "asan":
        return
    outside = q.path.parent / "outside"
    shutil.move(q.path / "dfX3", outside)
    (q.path / "dfX3").symlink_to(outside)
    q.daemon.run("sendqctl", "import", q.path, check=False)
    assert "X3" not in q.daemon.run("sendqctl", "list").stdout
    assert outside.read_text() == "body\n"


@pytest.mark.skipif(MODE == "asan", reason="nothing is walled off there")
@pytest.mark.parametrize("part", ["df", "qf"])
def test_nothing_outside(mqueue, part):
    """A link leads nowhere, whatever root could read there."""
    q = mqueue((0, 0), 0o700)
    q.add("X1", "u@y.test", (8, 8))
    outside = q.path.parent / "outside"
    shutil.move(q.path / f"{part}X1", outside)
    (q.path / f"{part}X1").symlink_to(outside)
    before = outside.read_bytes()
    q.run()
    assert q.got() == [] and outside.read_bytes() == before
