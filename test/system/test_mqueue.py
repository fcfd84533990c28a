"""The store on a queue directory in sendmail's format."""
import csv
import hashlib
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from harness import BIN, ROOT, RELAY, Raw, open_path, site, wait_until, waiting

CORPUS = ROOT / "test" / "corpus"
PLAIN = (b"From: a@x.test\r\nSubject: held\r\n\r\n"
         b"first line\r\n.second line\r\n")
# What cannot be as the real program sent it: a notification that is made anew,
# a header line that it folds and cuts, a program, a From without a domain.
DIFFERENT = {"deliverby-return", "header-line-over-2048", "alias-program",
             "bounce (DSN) deferred, full"}


def queue(place, name="mq"):
    path = open_path(place) / name
    path.mkdir(mode=0o700)
    os.chmod(path, 0o700)
    return path


def files(path):
    return sorted(p.name for p in path.iterdir())


def test_end_to_end(place, daemon, sink):
    path, far = queue(place), sink()
    d = daemon("holder", f'spool = "mqueue:{path}"\n' +
               site("one", "one.test", f"smtp://127.0.0.1:{far.port}"))
    d.send("a@x.test", ["u@one.test", "v@one.test"], PLAIN)
    # While it is held it is there as sendmail would have it.
    names = files(path)
    assert [n[:2] for n in names] == ["df", "qf"]
    control = (path / names[1]).read_bytes()
    assert control.startswith(b"V8\nT") and control.endswith(b"\n.\n")
    assert b"\nS<a@x.test>\n" in control
    assert b"\nRPFD:<u@one.test>\n" in control
    assert b"\nH??Subject: held\n" in control
    assert (path / names[0]).read_bytes() == b"first line\n.second line\n"
    assert all((path / n).stat().st_mode & 0o777 == 0o600 for n in names)
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert "1 pending messages" in r.ask("ETRN one.test")
    wait_until("mail", lambda: far.messages)
    sender, recipients, content = far.messages[0]
    assert sender == "a@x.test"
    assert sorted(recipients) == ["u@one.test", "v@one.test"]
    assert content.endswith(PLAIN)
    wait_until("nothing left", lambda: files(path) == [])
    assert d.stop() == 0
    path.rmdir()


def test_release_goes_on(place, daemon, sink):
    """Which site was released, and what else is in no file of sendmail's, is
    kept beside the drop directory: a killed queue process is no end of it."""
    def slow(verb, _):
        if verb == "DOT":
            time.sleep(0.05)
    path, far = queue(place), sink(slow)
    d = daemon("holder", f'spool = "mqueue:{path}"\n'
               f'drop-directory = "{place}/drop"\ndeliveries-host-max = 1\n' +
               site("one", "one.test", f"smtp://127.0.0.1:{far.port}"))
    for n in range(20):
        d.send("a@x.test", [f"u{n}@one.test"], PLAIN)
    d.run("sendqctl", "release", "one")
    wait_until("mail", lambda: len(far.messages) > 3)
    assert {name[:2] for name in files(path)} <= {"df", "qf", "xf"}
    os.kill(d.children()["queue"], signal.SIGKILL)
    wait_until("the rest", lambda: {m[1][0] for m in far.messages} ==
               {f"u{n}@one.test" for n in range(20)})
    assert " release-resumed " in d.log()
    wait_until("nothing left", lambda: files(path) == [])
    assert d.stop() == 0
    path.rmdir()


def test_restart_and_defer(place, daemon, sink):
    """What was deferred is told so in the file, and survives a restart."""
    path = queue(place)
    far = sink(lambda verb, argument: "451 4.2.0 try later"
               if verb == "RCPT" and "u@" in argument else None)
    settings = (f'spool = "mqueue:{path}"\nretry-min = "1h"\n' + RELAY +
                f'route = ( {{ domain = "*", '
                f'to = "smtp://127.0.0.1:{far.port}" }} )\n')
    d = daemon("out", settings)
    d.send("a@x.test", ["u@one.test", "v@one.test"], PLAIN)
    wait_until("one of two", lambda: far.messages)

    def control():
        names = [n for n in files(path) if n.startswith("qf")]
        return (path / names[0]).read_bytes() if names else b""
    wait_until("deferred", lambda: b"MDeferred: 451 4.2.0" in control())
    assert b"v@one.test" not in control()
    assert b"\nN1\n" in control()
    d.stop()
    far.refuse = lambda verb, argument: None
    d.start()
    assert waiting(d) == 1
    assert "try later" in d.run("mailq").stdout
    d.run("sendqctl", "requeue", "--recipient", "u@one.test")
    wait_until("the other", lambda: len(far.messages) == 2)
    assert far.messages[1][1] == ["u@one.test"]
    wait_until("nothing left", lambda: files(path) == [])


def test_dropped_in(place, daemon, sink):
    """A message that another program puts there is seen and sent."""
    path, far = queue(place), sink()
    settings = (f'spool = "mqueue:{path}"\n' +
                f'route = ( {{ domain = "*", '
                f'to = "smtp://127.0.0.1:{far.port}" }} )\n')
    (path / "dfAA00001").write_bytes(b"body\n")
    (path / "qfAA00001").write_bytes(
        b"V8\nT1795295638\nS<a@x.test>\nR:<b@dest.test>\n"
        b"H??Subject: by hand\n.\n")
    for name in files(path):
        os.chmod(path / name, 0o600)
    daemon("out", settings)
    wait_until("mail", lambda: far.messages)
    assert far.messages == [("a@x.test", ["b@dest.test"],
                             b"Subject: by hand\r\n\r\nbody\r\n")]
    wait_until("nothing left", lambda: files(path) == [])


def put_entry(path, name, control, body=b"body\n"):
    """One entry by hand; CONTROL from S to the last H."""
    (path / f"df{name}").write_bytes(body)
    (path / f"qf{name}").write_bytes(
        b"V8\nT%d\n" % time.time() + control + b".\n")
    for kind in ("df", "qf"):
        os.chmod(path / f"{kind}{name}", 0o600)


def relay_of(path, far):
    return (f'spool = "mqueue:{path}"\n'
            f'route = ( {{ domain = "*", '
            f'to = "smtp://127.0.0.1:{far.port}" }} )\n')


def test_linked_control_file(place, daemon, sink):
    """One that is a symbolic link: delivered once, and the link is gone."""
    path, far = queue(place), sink()
    put_entry(path, "AA1", b"S<a@x.test>\nRPFD:<b@y.test>\nH??X: 1\n")
    (path / "qfAA1").rename(path / "real")
    (path / "qfAA1").symlink_to("real")
    d = daemon("out", relay_of(path, far))
    wait_until("mail", lambda: far.messages)
    wait_until("link gone", lambda: files(path) == ["real"])
    assert d.stop() == 0
    assert len(far.messages) == 1
    assert "mqueue-fatal" not in d.log()


def test_bare_cr(place, daemon, sink):
    """A CR or NUL inside a line goes out as it is; but none before a dot, so
    that no far end takes one for the end of the message."""
    path, far = queue(place), sink()
    put_entry(path, "AA1", b"S<a@x.test>\nRPFD:<b@y.test>\nH??X: 1\n",
              b"10%\r20%\r\0done\na\r.\r\nMAIL FROM:<c@x.test>\n\0.\n")
    daemon("out", relay_of(path, far))
    wait_until("mail", lambda: far.messages)
    assert far.messages == [
        ("a@x.test", ["b@y.test"],
         b"X: 1\r\n\r\n10%\r20%\r\0done\r\na\r\n.\r\n"
         b"MAIL FROM:<c@x.test>\r\n .\r\n")]
    wait_until("nothing left", lambda: files(path) == [])


def manifest(name):
    path = CORPUS / name / "MANIFEST.tsv"
    if not path.exists():
        path = CORPUS / "MANIFEST.tsv"
    with path.open(newline="") as f:
        return list(csv.DictReader(f, delimiter="\t"))


def test_corpus(place, daemon, sink):
    """What the real program queued goes out as it would have sent it."""
    path, far = queue(place), sink()
    rows = {r["file"][2:]: r for r in manifest("flat") if r["set"] == "flat"}
    for entry in (CORPUS / "flat").iterdir():
        if entry.name[2:] in rows and \
                rows[entry.name[2:]]["label"] not in DIFFERENT:
            shutil.copy2(entry, path / entry.name)
            os.chmod(path / entry.name, 0o600)
    wanted = {rows[n[2:]]["sha256_raw"]: rows[n[2:]] for n in files(path)
              if n.startswith("qf")}
    daemon("mail.example", f'spool = "mqueue:{path}"\n'
           f'route = ( {{ domain = "*", '
           f'to = "smtp://127.0.0.1:{far.port}" }} )\n')
    try:
        wait_until("mail", lambda: len(far.messages) >= len(wanted), 15)
    except AssertionError:
        pass
    got = {hashlib.sha256(m[2]).hexdigest(): m for m in far.messages}
    missing = [r["label"] for h, r in wanted.items() if h not in got]
    assert missing == []
    for digest, row in wanted.items():
        sender, recipients, _ = got[digest]
        assert f"<{sender}>" == row["mail_params"].split(" ")[0]
        assert sorted(f"<{r}>" for r in recipients) == sorted(
            re.findall("<[^>]*>", row["rcpts_seen"]))


def ids(path):
    return sorted(p.name[2:] for p in path.iterdir()
                  if p.name[:2] in ("qf", "hf"))


def listed(daemon):
    text = daemon.run("sendqctl", "--json", "list").stdout
    return sorted(re.findall(r'"id":"([^"]*)"', text))


def fill(daemon, count):
    with daemon.smtp() as s:
        for n in range(count):
            s.sendmail("a@x.test", [f"u{n}@one.test"], PLAIN)


def test_import_of_nothing(place, daemon):
    """It is said why that is no success."""
    path, far = queue(place, "elsewhere"), queue(place, "nothing")
    d = daemon("holder", f'spool = "mqueue:{path}"\n')
    d.stop()
    for verb, where in (("import", far), ("export", f"mqueue:{path}")):
        done = d.run("sendqctl", verb, far, check=False)
        assert done.returncode == 1
        assert done.stderr == f"sendqctl: no such message in {where}\n"


def test_import_and_export(place, daemon, sink):
    """There and back with a selection, and then out as it came in."""
    path, far = queue(place, "elsewhere"), sink()
    d = daemon("holder", site("one", "one.test",
                              f"smtp://127.0.0.1:{far.port}"))
    fill(d, 5)
    assert "a daemon is running" in d.run(
        "sendqctl", "export", path, check=False).stderr
    d.stop()
    names = listed(d)
    assert d.run("sendqctl", "export", path, "--recipient",
                 "u3@one.test").stdout.startswith("export: 1 messages, 0 ")
    assert len(ids(path)) == 1
    assert d.run("sendqctl", "export", path).stdout.startswith(
        "export: 4 messages, 0 were in both")
    assert ids(path) == names and listed(d) == []
    assert all((path / n).stat().st_uid == path.stat().st_uid
               for n in files(path))
    assert d.run("sendqctl", "import", path).stdout.startswith(
        "import: 5 messages, 0 were in both")
    assert listed(d) == names
    path.rmdir()
    assert d.run("sendqctl", "import", path, check=False).returncode == 69
    d.start()
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert "5 pending messages" in r.ask("ETRN one.test")
    wait_until("mail", lambda: len(far.messages) == 5)
    assert all(m[2].endswith(PLAIN) for m in far.messages)


def test_import_into_a_new_spool(place, daemon):
    """The spool is made as the daemon would make it, which takes it then."""
    d = daemon(settings='site = ( { name = "one", hold = true,\n'
               ' domains = [ "one.test", "two.test" ],\n'
               ' route = "smtp://127.0.0.1:9" } )\n', start=False)
    path = place / "foreign"
    path.mkdir()
    put_foreign(path, 3)
    assert not d.spool.exists()
    assert d.run("sendqctl", "import", path).stdout.startswith(
        "import: 3 messages")
    assert files(path) == []
    d.start()
    assert len(listed(d)) == 3


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("mode", [0o700, 0o1777])
def test_import_brings_nothing_of_others(place, daemon, mode):
    """Who may write to the directory does not get at what only root, or its
    group, may read."""
    d = daemon(settings=site("one", "one.test", "smtp://127.0.0.1:9"),
               start=False)
    path = place / "elsewhere"
    path.mkdir()
    put_foreign(path, 1)
    secret = place / "secret"
    secret.write_text("SECRET-WORD\n")
    secret.chmod(0o640)
    (path / "df6ALL00000000").unlink()
    (path / "df6ALL00000000").symlink_to(secret)
    if mode == 0o700:
        for name in [path, path / "qf6ALL00000000"]:
            os.chown(name, 4321, 4321)
    path.chmod(mode)
    d.run("sendqctl", "import", path, check=False, extra_groups=[0])
    assert secret.exists()
    assert not any(b"SECRET" in f.read_bytes()
                   for f in d.spool.rglob("*") if f.is_file())


def test_export_cut_off(place, daemon):
    """Killed anywhere, each message is in one place, or in both with its id;
    the next one ends it."""
    path = queue(place, "elsewhere")
    d = daemon("holder", site("one", "one.test", "smtp://127.0.0.1:9"))
    fill(d, 30)
    d.stop()
    names = listed(d)
    for n in range(1, 12):
        p = subprocess.Popen(
            [str(BIN / "sendqctl"), "-c", str(d.config),
             "export" if n % 2 else "import", str(path)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.004 * n)
        p.kill()
        p.wait()
        assert sorted({*ids(path), *listed(d)}) == names
    d.run("sendqctl", "import", path, check=False)
    assert listed(d) == names and files(path) == []


def put_foreign(path, count):
    for n in range(count):
        (path / f"df6ALL{n:08d}").write_bytes(b"body\n")
        (path / f"qf6ALL{n:08d}").write_bytes(
            b"V8\nT%d\nS<a@x.test>\n"
            b"RPFD:<u%d@one.test>\nRPFD:<v%d@two.test>\nH??X: %d\n.\n"
            % (time.time(), n, n, n))
    for name in files(path):
        os.chmod(path / name, 0o600)


def test_killed_in_a_run(place, daemon, sink):
    """Killed again and again: all is delivered, nothing is left lying."""
    path, far = queue(place), sink()
    put_foreign(path, 40)
    d = daemon("out", f'spool = "mqueue:{path}"\n'
               f'route = ( {{ domain = "*", '
               f'to = "smtp://127.0.0.1:{far.port}" }} )\n', start=False)
    for n in range(1, 9):
        d.start()
        time.sleep(0.01 * n)
        d.kill_all()
    d.start()
    wait_until("nothing left", lambda: files(path) == [])
    got = sorted(r for m in far.messages for r in m[1])
    wanted = {f"{c}{n}@{x}.test" for n in range(40)
              for c, x in (("u", "one"), ("v", "two"))}
    assert set(got) == wanted
    # What was in flight may come twice, each time.
    assert len(got) <= len(wanted) + 9 * 40


def test_two_daemons(place, daemon, sink):
    """Two on one directory deliver each message once."""
    path, far = queue(place), sink()
    settings = (f'spool = "mqueue:{path}"\n' + RELAY +
                f'route = ( {{ domain = "*", '
                f'to = "smtp://127.0.0.1:{far.port}" }} )\n')
    put_foreign(path, 40)
    one = daemon("one", settings, start=False).start(wait=False)
    two = daemon("two", settings, start=False).start(wait=False)
    one.wait_ready()
    two.wait_ready()
    for n in range(10):
        (one if n % 2 else two).send("a@x.test", [f"w{n}@one.test"], PLAIN)
    wait_until("nothing left", lambda: files(path) == [])
    got = sorted(r for m in far.messages for r in m[1])
    assert len(got) == len(set(got)) == 90
