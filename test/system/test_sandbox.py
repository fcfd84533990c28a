"""The live daemon's roles, as /proc shows them."""
import os
import pathlib

import pytest

from harness import site, wait_until

HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")
FILES = 1 << 1  # CAP_DAC_OVERRIDE


def status(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines()
                if ":\t" in line)


def test_roles_have_no_rights(daemon):
    d = daemon("holder", HELD)
    children = d.children()
    assert set(children) == {"receive", "queue", "deliver", "control",
                             "spawner", "pickup"}
    users = set()
    for role in ("receive", "queue", "deliver", "control", "pickup"):
        s = status(children[role])
        assert s["NoNewPrivs"] == "1", role
        assert s["Seccomp"] == "2", role
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(s[kind], 16) == 0, (role, kind)
        users.add(s["Uid"].split()[1])
    if os.getuid() == 0:
        assert len(users) == 5 and "0" not in users


@pytest.mark.skipif(os.getuid() != 0, reason="root has rights to drop")
@pytest.mark.parametrize("owner,mode,expected", [
    (0, 0o700, FILES), (0, 0o1777, 0), (64102, 0o2750, FILES),
    (12345, 0o700, 0)])
def test_queue_role_in_a_queue_of_sendmails(daemon, place, owner, mode,
                                            expected):
    """Its files may be anybody's: one capability, for that role alone, and
    only where whoever can put files there is trusted."""
    path = place / "mqueue"
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    d = daemon("holder", f'spool = "mqueue:{path}"\n' + HELD)
    for role, pid in [("master", d.process.pid), *d.children().items()]:
        s = status(pid)
        has = expected if role == "queue" else 0
        for kind in ("CapPrm", "CapEff"):
            assert int(s[kind], 16) & FILES == has & FILES, (role, kind)
        if role == "queue":
            assert s["Uid"].split() == [str(owner)] * 4
            assert int(s["CapPrm"], 16) == has
            assert int(s["CapBnd"], 16) == int(s["CapInh"], 16) == 0
            assert s["NoNewPrivs"] == "1" and s["Seccomp"] == "2"


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


def socket_kinds():
    """{inode: kind} of the machine's sockets."""
    kinds = {}
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        kinds[words[6]] = (f"unix {words[7]}" if len(words) > 7 else "pair")
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = pathlib.Path(f"/proc/net/{name}").read_text()
        for line in table.splitlines()[1:]:
            words = line.split()
            kinds[words[9]] = ("listener" if words[3] == "0A" and
                               name.startswith("tcp") else name)
    return kinds


def descriptors(d, pid):
    """[(kind, what)] of what a process has open."""
    kinds = socket_kinds()
    found = []
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        what = os.readlink(entry)
        if what.startswith("socket:["):
            kind = kinds.get(what[8:-1], "unknown socket")
        elif what.startswith("pipe:["):
            kind = "pipe"
        elif what.startswith(f"{d.spool}/"):
            kind = "below the spool"
        else:
            kind = {"/dev/null": "null", str(d.log_path): "log",
                    str(d.spool): "spool", f"{d.spool}-drop": "drop",
                    "anon_inode:[eventpoll]": "loop",
                    "anon_inode:inotify": "watch",
                    "anon_inode:[eventfd]": "event",
                    "/memfd:sendq.conf (deleted)": "settings"}.get(what, what)
        found.append((kind, what))
    return found


def test_descriptors(daemon):
    """No process has one that it does not need, whatever it was started
    with; and nobody has an end of others' channels."""
    d = daemon("holder", HELD, start=False)
    d.start(wrap=("sh", "-c", 'exec 7</etc/passwd 9>/dev/zero; exec "$@"',
                  "sh"))
    d.send("a@x.test", ["u@ship7.test"], b"Subject: x\r\n\r\nx\r\n")
    d.run("mailq")
    control = f"unix {d.control}"
    submission = f"unix {d.control.parent}/submission"
    loop = {"null", "log", "loop", "pipe", "pair"}
    may = {"master": loop | {"settings", "spool", "drop", "listener",
                             control, submission},
           "spawner": {"null", "log", "pair"},
           "receive": loop | {"listener", submission},
           "pickup": loop | {"drop", "watch"},
           "queue": loop | {"event", "spool", "below the spool"},
           "deliver": loop,
           "control": loop | {control}}
    # The master has one to each; the others one to it and to their peers.
    pairs = {"master": 6, "spawner": 2, "receive": 2, "queue": 4,
             "deliver": 3, "control": 2, "pickup": 1}
    owner = {}

    def settled():
        # A client's connection may still be on its way out.
        return not any(kind == "tcp" for kind, _ in
                       descriptors(d, d.children()["receive"]))

    wait_until("clients gone", settled)
    for role, pid in [("master", d.process.pid), *d.children().items()]:
        found = descriptors(d, pid)
        assert {kind for kind, _ in found} == may[role], (role, found)
        ends = {what for kind, what in found if kind == "pair"}
        assert len(ends) == pairs[role], (role, found)
        for end in ends:
            assert owner.setdefault(end, role) == role


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
