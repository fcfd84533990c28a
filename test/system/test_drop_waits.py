"""Mail that waits in the drop directory is in no queue; listings tell of it."""
import json
import os
import subprocess

from harness import BIN, RELAY, site, wait_until

PLAIN = b"Subject: x\r\n\r\nbody\r\n"
HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")


def drop_of(d):
    return d.spool.parent / (d.spool.name + "-drop")


def leave(d, recipient):
    subprocess.run([str(BIN / "sendmail"), "-C", str(d.config), "-f",
                    "a@a.test", recipient], input=PLAIN, check=True)


def test_listed_while_no_daemon_runs(daemon):
    d = daemon("holder", HELD)
    d.send("alice@example.com", ["bob@ship7.test"], PLAIN)
    empty = d.run("mailq").stdout
    items = d.run("sendqctl", "list").stdout
    d.stop()
    assert d.run("mailq").stdout == empty
    assert d.run("sendqctl", "list").stdout == items
    drop = drop_of(d)
    for n, noun in ((1, "message"), (2, "messages")):
        leave(d, "bob@ship7.test")
        # What is being written, or is nobody's, is no message.
        (drop / "new" / "x").touch()
        (drop / "tmp" / "0123456789abcdef-0123456789abcdef").touch()
        assert d.run("mailq").stdout == empty.replace(
            "\t\tTotal requests: 1\n",
            f"\t\t{n} {noun} in the drop directory {drop}\n"
            "\t\tTotal requests: 1\n")
    assert d.run("sendmail", "-bP").stdout == (
        f"{d.spool}: entries=1\n2 messages in the drop directory {drop}\n"
        "\t\tTotal requests: 1\n")
    assert d.run("sendqctl", "list").stdout == (
        f"{items}2 messages in the drop directory {drop}\n")
    last = d.run("sendqctl", "--json", "list").stdout.splitlines()[1]
    assert json.loads(last) == {"item": "drop", "directory": str(drop),
                                "messages": 2}
    # It cannot be told which of it would be selected.
    assert str(drop) not in d.run("mailq", "-qRbob").stdout
    assert str(drop) not in d.run("mailq", "-qGmqueue").stdout
    assert str(drop) not in d.run("sendqctl", "list", "--sender",
                                  "alice@example.com").stdout
    # Nor is it part of a queue elsewhere.
    moved = d.spool.with_name("moved")
    d.spool.rename(moved)
    assert d.run("mailq", f"-oQ{moved}").stdout == empty.replace(
        str(d.spool), str(moved))


def test_listed_while_it_is_refused(daemon, place):
    """The daemon takes a recipient later that it cannot have now."""
    aliases = place / "aliases"
    aliases.write_text('prog: "|/bin/true"\n')
    aliases.chmod(0o644)
    d = daemon("holder", RELAY + f'aliases = [ "{aliases}" ]\n'
               'control-mode = "0666"\n', start=False)
    leave(d, "prog@holder.test")
    d.start()
    wait_until("refused", lambda: "drop-deferred" in d.log())
    drop = drop_of(d)
    assert d.run("mailq").stdout == (
        f"{d.spool} is empty\n\t\t1 message in the drop directory {drop}\n"
        "\t\tTotal requests: 0\n")
    assert d.run("sendqctl", "list").stdout == (
        f"1 message in the drop directory {drop}\n")
    assert d.run("sendmail", "-bP").stdout == (
        f"{d.spool} is empty\n1 message in the drop directory {drop}\n")
    if os.getuid() == 0:
        # Who may ask the daemon, but not look there, is told nothing of it.
        done = subprocess.run(
            ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups",
             str(BIN / "sendqctl"), "-c", str(d.config), "list"],
            capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_was_set_aside_is_told_of(daemon):
    """Nothing removes what is in bad/: at each start it is said."""
    d = daemon("holder", HELD)
    drop = drop_of(d)
    (drop / "new" / "junk").touch()
    wait_until("it is set aside", lambda: (drop / "bad" / "junk").exists())
    assert "drop-bad-kept" not in d.log()
    d.stop()
    d.start()
    wait_until("it is told of", lambda: "drop-bad-kept - count=1" in d.log())
