"""The live daemon's roles, as /proc shows them."""
import os
import pathlib

import pytest

from harness import site

HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")


def status(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines()
                if ":\t" in line)


def test_roles_have_no_rights(daemon):
    d = daemon("holder", HELD)
    children = d.children()
    assert set(children) == {"receive", "queue", "deliver", "control",
                             "spawner"}
    users = set()
    for role in ("receive", "queue", "deliver", "control"):
        s = status(children[role])
        assert s["NoNewPrivs"] == "1", role
        assert s["Seccomp"] == "2", role
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(s[kind], 16) == 0, (role, kind)
        users.add(s["Uid"].split()[1])
    if os.getuid() == 0:
        assert len(users) == 4 and "0" not in users


@pytest.mark.skipif(os.getuid() != 0, reason="root has rights to drop")
def test_master_and_spawner_keep_what_they_need(daemon):
    d = daemon("holder", HELD)
    master = int(status(d.process.pid)["CapPrm"], 16)
    spawner = int(status(d.children()["spawner"])["CapPrm"], 16)
    kill, setgid, setuid, bind = 1 << 5, 1 << 6, 1 << 7, 1 << 10
    assert master & ~(kill | setgid | setuid | bind) == 0
    assert spawner & ~(setgid | setuid) == 0


def test_spool_is_private(daemon):
    d = daemon("holder", HELD)
    assert d.spool.stat().st_mode & 0o077 == 0
    for path in d.spool.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to be somebody else")
def test_as_a_plain_user(place):
    """All roles run as that user, sandboxed the same."""
    from harness import Daemon
    home = place / "home"
    home.mkdir()
    os.chown(home, 12345, 12345)
    d = Daemon(home, "plain", HELD)
    d.log_path.touch()
    os.chown(d.log_path, 12345, 12345)
    os.chown(d.config, 12345, 12345)
    try:
        d.start(wrap=("setpriv", "--reuid=12345", "--regid=12345",
                      "--clear-groups"))
        for role, pid in d.children().items():
            s = status(pid)
            assert s["Uid"].split()[1] == "12345", role
            if role != "spawner":
                assert s["Seccomp"] == "2", role
        d.send("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\nx\r\n")
        assert "u@ship7.test" in d.run("mailq").stdout
        assert d.stop() == 0
    finally:
        d.kill_all()
