"""Hostile neighbours of programs and files of aliases: what a program has from
us, what becomes of odd messages, and who else may lead us astray."""
import os
import subprocess

import pytest

from harness import Raw, wait_until
from test_alias_local import Hub, USER, delivered

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="users are root's to make")


@pytest.fixture
def hub(daemon, sink, place):
    return Hub(daemon, sink, place)


@ROOT
def test_what_a_program_has(hub):
    """No descriptor, right, group or way to new rights that is ours."""
    script = hub.script(
        "look", "#!/bin/sh\nexec > {out}\nls -l /proc/self/fd\n"
                "cat /proc/self/status\nunshare -U true && echo unshared\n"
                "cat > /dev/null\n")
    hub.start(f'run: "|{script}"\n')
    hub.send("run")
    delivered(hub)
    text = hub.out()
    print(text)
    for line in ("NoNewPrivs:\t1", "CapEff:\t0000000000000000",
                 "CapPrm:\t0000000000000000", "Groups:\t \n",
                 "SigIgn:\t0000000000000000", "SigBlk:\t0000000000000000",
                 f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}",
                 f"Gid:\t{USER}\t{USER}\t{USER}\t{USER}", "Umask:\t0077",
                 "Seccomp:\t2"):
        assert line in text, line
    assert "unshared" not in text
    fds = [line.split(" -> ")[0].split()[-1] for line in text.splitlines()
           if " -> " in line]
    # ls(1) opens the directory that it lists.
    assert set(fds) <= {"0", "1", "2", "3"}


ODD = [
    b"",
    b"X: y\r\n\r\nFrom \xff\xfe\r\n\x01\x7f\x80\r\n",
    b"From a\r\nFrom: b\r\n\r\nFrom c\r\n.\r\n>From d\r\n",
    b"Subject: x\r\n\r\n" + b"y" * 900 + b"From z\r\n From \r\nFrom",
]


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_odd_messages(hub, content):
    """In a file there is one From_ line a message, and all of the content."""
    box = hub.mail / "box"
    hub.start(f"keep: {box}\n")
    for i in range(2):
        hub.send("keep", content)
        delivered(hub, i + 1)
    data = box.read_bytes()
    print(data)
    lines = data.split(b"\n")
    assert sum(line.startswith(b"From ") for line in lines) == 2
    assert data.endswith(b"\n\n")
    for line in content.replace(b"\r\n", b"\n").split(b"\n"):
        quoted = b">" + line if line.startswith(b"From ") else line
        assert lines.count(quoted) >= 2


@ROOT
def test_program_kills_all(hub):
    """One that kills all of its user's processes ends itself and deferred
    mail comes again: nothing of ours but its helpers is hit."""
    script = hub.script("kill", "#!/bin/sh\ntest -e {out} && exit 0\n"
                                "echo x > {out}\nkill -9 -1\n")
    hub.start(f'run: "|{script}"\nkeep: {hub.mail}/box\n')
    hub.send("run")
    hub.log(" deferred ")
    hub.send("keep")
    delivered(hub)
    assert (hub.mail / "box").exists()


def untrusted(hub):
    """The file of aliases that stands there names no file."""
    daemon = hub.make("alias-programs = true\n").start()
    with Raw(daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@far.test>")
        assert raw.ask("RCPT TO:<keep@home.test>") == (
            "451 4.2.4 The alias has a mistake in its definition")
    wait_until("the reason in the log",
               lambda: "but not only root may write" in daemon.log())


def in_open_directory(hub, shared):
    hub.aliases.rename(shared / "aliases")


def by_link_in_open_directory(hub, shared):
    (shared / "aliases").symlink_to(hub.aliases)


def by_link_on_the_way(hub, shared):
    (shared / "link").symlink_to(hub.path)
    (shared / "aliases").symlink_to(shared / "link" / "aliases")


@pytest.mark.parametrize("place_it", [
    in_open_directory, by_link_in_open_directory, by_link_on_the_way])
@pytest.mark.parametrize("mode,is_trusted", [
    (0o775, False), (0o777, False), (0o1777, True), (0o755, True)])
def test_directory_of_aliases(hub, place_it, mode, is_trusted):
    """Who can put another file in the place of that of root could take one of
    root's with his own words in it, as in /proc."""
    shared = hub.path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    hub.aliases.write_text(f"keep: {hub.mail}/box\n")
    hub.aliases.chmod(0o644)
    place_it(hub, shared)
    hub.settings = hub.settings.replace(
        str(hub.aliases), str(shared / "aliases"))
    if not is_trusted:
        untrusted(hub)
        return
    hub.daemon = hub.make("").start()
    hub.send("keep")
    delivered(hub)


@ROOT
def test_link_of_another(hub):
    """A link to the file of aliases that is not root's says nothing."""
    shared = hub.path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    hub.aliases.write_text(f"keep: {hub.mail}/box\n")
    hub.aliases.chmod(0o644)
    (shared / "aliases").symlink_to(hub.aliases)
    os.lchown(shared / "aliases", USER, USER)
    hub.settings = hub.settings.replace(
        str(hub.aliases), str(shared / "aliases"))
    untrusted(hub)


SWAP = '''
import os, sys, time
secret, path = sys.argv[1:]
end = time.monotonic() + 0.5
makes = (lambda: os.symlink(secret, "t"), lambda: os.link(secret, "t"),
         lambda: os.mkfifo("t"), lambda: open("t", "w").close())
os.chdir(path)
while time.monotonic() < end:
    for make in makes:
        make()
        if os.lstat("t").st_nlink == 1 and not os.path.islink("t"):
            os.chmod("t", 0o666)
        os.rename("t", "box")
        if os.path.lexists("t"):
            os.unlink("t")
'''


def test_file_is_swapped(hub):
    """Who may write to the directory swaps the file for links to another one of
    the user's all the time: that one gets nothing."""
    shared, secret = hub.path / "shared", hub.mail / "secret"
    shared.mkdir()
    shared.chmod(0o777)
    secret.write_text("s")
    os.chown(secret, USER, USER)
    hub.start(f"keep: {shared}/box\n")
    swapper = subprocess.Popen(
        ["/usr/bin/python3", "-c", SWAP, str(secret), str(shared)])
    for i in range(20):
        hub.send("keep")
    assert swapper.wait() == 0
    wait_until("all answers", lambda: hub.daemon.log().count(" delivered ")
               + hub.daemon.log().count(" deferred ") >= 20)
    assert secret.read_text() == "s"
