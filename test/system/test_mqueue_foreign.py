"""What sendmail means by lines of its control files, in a run of ours: the same
recipient twice, quarantine, bad addresses, E of sendmail 5, DELIVERBY, age."""
import re
import time

import pytest
from harness import wait_until
from test_run_parts import names, put, sent
from test_runs import Queue


@pytest.fixture
def queue(tmp_path):
    made = []

    def make(**options):
        made.append(Queue(tmp_path, [], **options))
        return made[-1]
    yield make
    for q in made:
        q.close()


def test_twice(queue):
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["<bob@y.test>", "bob@Y.test", "BOB@y.test",
                         "<bob@y.test>"])
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["BOB@y.test", "bob@y.test"]
    assert names(mqueue) == []


def test_quarantined_by_its_text(queue):
    """A q line in a qf file: not sent, and named as what is quarantined is."""
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob@y.test"], extra="qby hand\n")
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == []
    assert names(mqueue) == ["dfX1", "hfX1"]
    assert "QUARANTINE: by hand" in q.run("-bp", "-qQ", f"-oQ{mqueue}").stdout
    assert q.run("-qQ", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["bob@y.test"]


def test_no_address(queue):
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob@@dest..test <", "c@d.test."])
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.returncode == 67
    assert f"\nRunning {mqueue}/X1 (sequence 1 of 1)\n" in done.stdout
    assert "\nbob@@dest..test <... User unknown\n" in done.stdout
    assert sent(q) == ["a@x.test", "c@d.test"]
    assert names(mqueue) == []


def test_errors_to(queue):
    """Of what sendmail 5 wrote the address for errors is told, not the sender;
    also after a restart and when the file was written anew."""
    q = queue()
    refused = []

    def refuse(verb, argument):
        if verb == "RCPT" and "bob@" in argument:
            refused.append(argument)
            return "451 later" if len(refused) == 1 else "550 5.1.1 nobody"
        return None
    q.up(refuse=refuse)
    mqueue = q.path / "mqueue"
    mqueue.mkdir(mode=0o700)
    (mqueue / "qfAA1").write_text(
        f"P100\nT{int(time.time())}\nDdfAA1\nSadams@x.test\nEerrs@x.test\n"
        "HSubject: old\nRbob@y.test\n")
    (mqueue / "dfAA1").write_text("body\n")
    for file in mqueue.iterdir():
        file.chmod(0o600)
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert q.sink.messages == []
    assert q.run("-q", f"-oQ{mqueue}").returncode == 67
    assert [m[1] for m in q.sink.messages] == [["errs@x.test"]]
    assert names(mqueue) == []


def test_deliver_by(queue):
    """What is to be returned unless it is there in time is, as no host takes
    that on; what is only to be told of goes."""
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob@y.test"], extra="!\x02 86400\n")
    put(mqueue, "qfX2", ["carol@y.test"], extra="!\x01 7200\n")
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.returncode == 69
    assert "bob@y.test... Service unavailable\n" in done.stdout
    assert sent(q) == ["a@x.test", "carol@y.test"]
    report = next(m[2] for m in q.sink.messages if m[1] == ["a@x.test"])
    assert b"5.4.7" in report
    assert names(mqueue) == []
    # With a trace its sender is told where it went, unless never of anything.
    put(mqueue, "qfX3", ["dave@y.test"], extra="!\x11 7200\n")
    put(mqueue, "qfX4", ["eve@y.test"], extra="!\x11 7200\n")
    (mqueue / "qfX4").write_text(
        (mqueue / "qfX4").read_text().replace("RPFD:", "RPN:"))
    q.sink.messages.clear()
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["a@x.test", "dave@y.test", "eve@y.test"]
    report = next(m[2] for m in q.sink.messages if m[1] == ["a@x.test"])
    assert b"\r\nAction: relayed\r\n" in report


def test_deliver_by_and_told(queue):
    """When its time is over the sender is told, once, and it is kept."""
    q = queue()
    q.up(refuse=lambda verb, argument: "451 4.2.0 later"
         if verb == "RCPT" and "bob@" in argument else None)
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob@y.test"], extra="!\x01 7200\n")
    put(mqueue, "qfX2", ["bob@y.test"], extra="!\x01 30\n")
    text = (mqueue / "qfX2").read_text()
    (mqueue / "qfX2").write_text(
        re.sub(r"\nT.*", f"\nT{int(time.time()) - 60}", text))
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["a@x.test"]
    assert b"\r\nAction: delayed\r\n" in q.sink.messages[0][2]
    assert names(mqueue) == ["dfX1", "dfX2", "qfX1", "qfX2"]


def test_late_at_first_sight(queue):
    """Nobody is told of a delay before it was tried."""
    q = queue(settings='delay-notice = "4h"\n')
    mqueue = q.path / "mqueue"
    q.up()
    put(mqueue, "qfX1", ["bob@y.test"])
    text = (mqueue / "qfX1").read_text()
    old = int(time.time()) - 6 * 3600
    (mqueue / "qfX1").write_text(
        "\n".join(f"T{old}" if line.startswith("T") else line
                  for line in text.split("\n")))
    q.daemon.write_config(q.settings + f'spool = "mqueue:{mqueue}"\n')
    q.daemon.start()
    wait_until("nothing left", lambda: names(mqueue) == [])
    assert sent(q) == ["bob@y.test"]
    assert "action=delayed" not in q.daemon.log()


def test_reason_moves_along(queue):
    """From one queue in this format to another, and back."""
    q = queue()
    ours, theirs = q.path / "ours", q.path / "theirs"
    put(theirs, "hfX1", ["bob@y.test"], extra="qby hand\n")
    put(theirs, "hfX2", ["bob@y.test", "carol@z.test"])
    ours.mkdir(mode=0o700)
    q.daemon.write_config(q.settings + f'spool = "mqueue:{ours}"\n')
    for word, where in (("import", ours), ("export", theirs)):
        q.daemon.run("sendqctl", word, theirs)
        assert names(where) == ["dfX1", "dfX2", "hfX1", "hfX2"]
        assert b"\nqby hand\n" in (where / "hfX1").read_bytes()
        assert (b"\nqstopped by the administrator\n"
                in (where / "hfX2").read_bytes())


def test_reason_in_a_spool(queue):
    """Through our own spool, and a start of the daemon on it."""
    q = queue()
    theirs = q.path / "theirs"
    put(theirs, "hfX1", ["bob@y.test"], extra="qby hand\n")
    put(theirs, "hfX2", ["bob@y.test", "carol@z.test"])
    put(theirs, "qfX3", ["bob@y.test", "carol@z.test"])
    q.daemon.write_config(q.settings + f'spool = "{q.path}/ours"\n')
    q.daemon.run("sendqctl", "import", theirs)
    assert names(theirs) == []
    q.daemon.start()
    for id, reason in (("X1", "by hand"), ("X3", "one of two")):
        if id == "X3":
            q.daemon.run("sendqctl", "hold", "--recipient", "bob@y.test",
                         "--id", id, "--reason", reason)
        assert f"\nstopped:   {reason}\n" in q.daemon.run(
            "sendqctl", "show", id).stdout
    q.daemon.stop()
    q.daemon.run("sendqctl", "export", theirs)
    assert names(theirs) == ["dfX1", "dfX2", "dfX3", "hfX1", "hfX2", "qfX3"]
    assert b"\nqby hand\n" in (theirs / "hfX1").read_bytes()
    assert (b"\nqstopped by the administrator\n"
            in (theirs / "hfX2").read_bytes())
    # Half of it is stopped, which sendmail cannot say.
    assert b"\nq" not in (theirs / "qfX3").read_bytes()
    q.daemon.run("sendqctl", "import", theirs)
    assert "\nstopped:   one of two\n" in q.daemon.run(
        "sendqctl", "show", "X3").stdout


@pytest.mark.parametrize("options,count", [(["-q"], 1150), (["-qIX1"], 2150)])
def test_more_than_the_index_takes(queue, options, count):
    """All recipients in one run, those that are deferred once."""
    q = queue()
    tried = []

    def refuse(verb, argument):
        if verb == "RCPT" and "defer" in argument:
            tried.append(argument)
            return "451 4.2.0 later"
        return None
    q.up(refuse=refuse)
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", [f"u{n}@y.test" for n in range(count)])
    put(mqueue, "qfX2", ["defer@y.test"])
    put(mqueue, "qfX3", ["defer@y.test"])
    assert q.run(*options, f"-oQ{mqueue}").returncode == 0
    assert len(sent(q)) == len(set(sent(q))) == count
    assert names(mqueue) == ["dfX2", "dfX3", "qfX2", "qfX3"]
    assert len(tried) == (2 if options == ["-q"] else 0)


def test_pattern(queue):
    """DIR/q* is what begins with q, for mailq and for the daemon."""
    q = queue()
    q.up()
    base = q.path / "mq"
    for place in ("q1", "queue", "slow"):
        put(base / place, f"qfX{place}", [f"{place}@y.test"])
    q.daemon.write_config(q.settings + f'spool = "mqueue:{base}/q*"\n')
    text = q.run("-bp").stdout
    assert "q1@y.test" in text and "queue@y.test" in text
    assert "slow@" not in text
    q.daemon.start()
    wait_until("two", lambda: len(sent(q)) == 2)
    assert sent(q) == ["q1@y.test", "queue@y.test"]
    assert q.daemon.stop() == 0
    assert names(base / "slow") == ["dfXslow", "qfXslow"]
