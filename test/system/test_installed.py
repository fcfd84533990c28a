"""What `make install` puts there, used as an administrator and a user of the
host would: default paths, sendmail setgid, in a name space of its own."""
import os
import re
import stat
import subprocess

import pytest

from harness import MODE, ROOT, free_port, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root")

MESSAGE = "Subject: hello\n\nbody\n"
GROUP = 64105  # of the pickup role, where it has no user by name
MOUNTS = {"usr/local": "/usr/local", "etc": "/etc", "run": "/run",
          "spool": "/var/spool"}


class Host:
    """The installed programs, and directories of their own for the rest."""

    def __init__(self, root, sink):
        self.root, self.sink = root, sink
        self.log_path = root / "log"
        self.daemon = None
        subprocess.run(
            ["make", "-s", "-o", "all", "install", f"BUILD=build/{MODE}",
             f"DESTDIR={root}", f"DROP_GROUP={GROUP}"], cwd=ROOT, check=True)
        for name in ("etc/sendq", "run", "spool"):
            (root / name).mkdir(parents=True)
            (root / name).chmod(0o755)
        (root / "etc").chmod(0o755)
        (root / "etc" / "passwd").write_text(
            "root:x:0:0::/root:/bin/sh\n"
            "someone:x:4321:4321:Some One,,:/nowhere:\n")
        (root / "etc" / "sendq" / "sendq.conf").write_text(
            'hostname = "here.test"\nspool = "/var/spool/sendq"\n'
            f'listen = ( {{ address = "127.0.0.1:{free_port()}" }} )\n'
            f'route = ( {{ domain = "*", '
            f'to = "smtp://127.0.0.1:{sink.port}" }} )\n')
        mounts = " && ".join(f"mount --bind {root}/{name} {place}"
                             for name, place in MOUNTS.items())
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", f"{mounts} && echo && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"\n"
        self.enter = ["nsenter", f"--target={self.holder.pid}", "--mount",
                      "--wd=/"]

    def run(self, *words, uid=0, **options):
        """A program by its name, as the user UID; output and errors in one."""
        user = [] if uid == 0 else ["setpriv", f"--reuid={uid}",
                                    f"--regid={uid}", "--clear-groups"]
        return subprocess.run(
            [*self.enter, *user, "env", "-i", "LC_ALL=C",
             "PATH=/usr/local/sbin:/usr/local/bin:/usr/bin:/bin", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=60, **options)

    def send(self, *words, uid=4321):
        return self.run("sendmail", *words, uid=uid, input=MESSAGE)

    def log(self):
        return self.log_path.read_text()

    def start(self):
        mark = self.log().count(" ready ") if self.log_path.exists() else 0
        with self.log_path.open("ab") as out:
            self.daemon = subprocess.Popen(
                [*self.enter, "/usr/local/sbin/sendqd"], stdout=out,
                stderr=out, stdin=subprocess.DEVNULL)
        wait_until("ready", lambda: self.log().count(" ready ") > mark)

    def stop(self):
        if self.daemon is not None:
            self.daemon.terminate()
            assert self.daemon.wait(30) == 0
            self.daemon = None

    def close(self):
        try:
            self.stop()
        finally:
            self.holder.stdin.close()
            self.holder.wait()

    def dropped(self):
        return sorted((self.root / "spool" / "sendq-drop" / "new").iterdir())

    def got(self, count):
        """The newest of COUNT messages: (sender, recipients, content)."""
        wait_until("mail", lambda: len(self.sink.messages) >= count)
        assert len(self.sink.messages) == count
        return self.sink.messages[-1]


@pytest.fixture
def host(place, sink):
    if subprocess.run(["unshare", "-m", "true"]).returncode != 0:
        pytest.skip("needs a name space of its own")
    if MODE == "asan":
        pytest.skip("the sanitizer does not run with another's rights")
    made = Host(place / "root", sink())
    yield made
    made.close()


def test_what_is_installed(host):
    sbin = host.root / "usr" / "local" / "sbin"
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in sbin.iterdir()}
    assert modes == {"sendmail": 0o2755, "sendqd": 0o755, "sendqctl": 0o755}
    assert (sbin / "sendmail").stat().st_gid == GROUP
    for name in ("mailq", "newaliases", "rmail"):
        link = sbin.parent / "bin" / name
        assert link.resolve() == sbin / "sendmail"
    for page in ("man8/sendmail.8", "man8/sendqd.8", "man5/sendq.conf.5",
                 "man1/mailq.1"):
        assert (sbin.parent / "share" / "man" / page).exists()


def test_mail_of_any_user(host):
    """Down, up, down: by the drop directory, the socket, and again."""
    # Before there was a daemon there is no place for it that is a user's.
    done = host.send("b@b.test")
    assert done.returncode == 75 and "no daemon" in done.stdout
    assert "it is made when sendqd starts for the first time" in done.stdout
    host.start()
    host.stop()
    drop = host.root / "spool" / "sendq-drop"
    assert (drop.stat().st_gid, stat.S_IMODE(drop.stat().st_mode)) == (
        GROUP, 0o3770)

    done = host.send("b@b.test")
    assert (done.returncode, done.stdout) == (0, "")
    (left,) = host.dropped()
    status = left.stat()
    assert (status.st_uid, status.st_gid) == (4321, GROUP)
    assert stat.S_IMODE(status.st_mode) == 0o640
    # Root is told that it waits; who sent it can neither look nor remove it.
    assert "\t\t1 message in the drop directory /var/spool/sendq-drop\n" in \
        host.run("mailq").stdout
    assert host.run("mailq", uid=4321).returncode != 0
    path = f"/var/spool/sendq-drop/new/{left.name}"
    assert host.run("cat", path, uid=4321).returncode != 0
    assert host.run("rm", "-f", path, uid=4321).returncode != 0

    host.start()
    sender, recipients, content = host.got(1)
    assert (sender, recipients) == ("someone@here.test", ["b@b.test"])
    assert b"From: Some One <someone@here.test>\r\n" in content
    wait_until("taken", lambda: not host.dropped())

    done = host.send("-t", "c@c.test")
    assert (done.returncode, done.stdout) == (0, "")
    assert host.got(2)[:2] == ("someone@here.test", ["c@c.test"])
    assert not host.dropped()
    assert host.run("mailq").stdout == (
        "/var/spool/sendq is empty\n\t\tTotal requests: 0\n")
    assert re.search(r"uid=4321\b", host.log())
    host.stop()

    # A configuration of one's own, or a place, has none of the group's right.
    for words in (["-C", "/etc/sendq/sendq.conf"],
                  ["-X", "/var/spool/sendq-drop/log"]):
        done = host.send(*words, "d@d.test")
        assert done.returncode != 0, words
        assert "Permission denied" in done.stdout
    assert not host.dropped()
    assert host.send("d@d.test", uid=4322).returncode == 0
    host.start()
    assert host.got(3)[:2] == ("4322@here.test", ["d@d.test"])
