"""Runs of a part of the queue: what is quarantined, what was set aside as lost,
one queue group; directories below one; recipients that nothing leads to."""
import json
import subprocess
import time

import pytest
from harness import BIN, tool, wait_until
from test_runs import Queue, answer, lines

FILE = """V8
T{now}
K0
N0
P30118
{extra}Sa@x.test
{rows}H??From: a@x.test
H??Subject: x
.
"""


@pytest.fixture
def queue(tmp_path):
    made = []

    def make(messages, **options):
        made.append(Queue(tmp_path, messages, **options))
        return made[-1]
    yield make
    for q in made:
        q.close()


def put(path, name, recipients, extra="", where="", body="body\n"):
    """A control file and its data file, as sendmail leaves them."""
    path.mkdir(mode=0o700, exist_ok=True, parents=True)
    rows = "".join(f"RPFD:{r}\n" for r in recipients)
    for file, text in ((path / name, FILE.format(
            now=int(time.time()), extra=extra, rows=rows)),
                       (path / where / f"df{name[2:]}", body)):
        file.write_text(text)
        file.chmod(0o600)


def names(path):
    return sorted(p.name for p in path.iterdir())


def sent(q):
    return sorted(r for m in q.sink.messages for r in m[1])


def ids(q):
    listed = tool("sendqctl", "-c", str(q.daemon.config), "list", "--json")
    return {json.loads(line)["recipients"][0]["address"]:
            json.loads(line)["id"] for line in listed.stdout.splitlines()}


def fill_quarantine(path):
    put(path, "qfX1", ["u1@y.test"])
    put(path, "hfX2", ["u2@y.test"], extra="qspam suspicion\n")
    put(path, "hfX3", ["u3@y.test"], extra="qvirus\n")
    put(path, "hfX4", ["defer@y.test", "u4@y.test"], extra="qvirus\n")


@pytest.mark.parametrize("options,gone", [
    (["-q"], ["u1@y.test"]),
    (["-qQ"], ["u2@y.test", "u3@y.test", "u4@y.test"]),
    (["-qQvirus"], ["u3@y.test", "u4@y.test"]),
    (["-qQVIRUS"], []),
    (["-q!Qvirus"], ["u2@y.test"]),
    (["-qQ", "-qRu2@"], ["u2@y.test"]),
    (["-qQspam", "-qQvir", "-qI3"], ["u3@y.test"])])
def test_quarantine(queue, options, gone):
    q = queue([])
    q.up(refuse=answer)
    fill_quarantine(q.path / "mqueue")
    done = q.run(*options, f"-oQ{q.path}/mqueue")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sent(q) == gone


def test_quarantined_stays_so_when_deferred(queue):
    q = queue([])
    q.up(refuse=answer)
    mqueue = q.path / "mqueue"
    fill_quarantine(mqueue)
    q.run("-qQ", f"-oQ{mqueue}")
    assert names(mqueue) == ["dfX1", "dfX4", "hfX4", "qfX1"]
    text = (mqueue / "hfX4").read_text()
    assert "\nqvirus\n" in text and "\nN1\n" in text
    assert "\nMDeferred: 451 4.2.0 try later\n" in text
    assert "u4@" not in text
    shown = q.run("-bp", "-qQ", f"-oQ{mqueue}").stdout
    assert "     QUARANTINE: virus\n" in shown and "defer@y.test" in shown
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert names(mqueue) == ["dfX4", "hfX4"]


@pytest.mark.parametrize("is_running", [False, True])
def test_stopped_in_our_spool(queue, is_running):
    q = queue([("a@x.test", ["u@y.test"]), ("a@x.test", ["v@y.test"]),
               ("a@x.test", ["defer@y.test"]), ("a@x.test", ["w@y.test"])])
    known = ids(q)
    for who in ("u", "v", "defer"):
        assert q.run("-Qspam", f"-qI{known[f'{who}@y.test']}"
                     ).returncode == 0
    q.up(refuse=answer)
    if is_running:
        q.daemon.settings = q.settings
        q.daemon.start()
    assert q.run("-qQvirus").returncode == 0
    assert q.run("-qQ", "-qRu@").returncode == 0
    assert [r for r in sent(q) if r != "w@y.test"] == ["u@y.test"]
    done = q.run("-v", "-qQspam")
    assert "(sequence 1 of 2)" in done.stdout
    assert [r for r in sent(q) if r != "w@y.test"] == ["u@y.test", "v@y.test"]
    # What was deferred is stopped as before.
    shown = q.run("-bp", "-qQ").stdout
    assert "defer@y.test" in shown and "QUARANTINE: spam\n" in shown
    assert "try later" in shown
    assert q.run("-q").returncode == 0
    assert "defer@y.test" in q.run("-bp", "-qQ").stdout


def test_lost(queue):
    q = queue([], settings='log-level = "warn"\n')
    q.up(refuse=answer)
    mqueue = q.path / "mqueue"
    put(mqueue, "QfX1", ["u1@y.test"])
    put(mqueue, "QfX2", ["u2@y.test"], extra="Wfoo bar\n")
    put(mqueue, "QfX3", ["defer@y.test", "u3@y.test"])
    put(mqueue, "QfX4", ["reject@y.test"])
    put(mqueue, "qfX5", ["u5@y.test"])
    put(mqueue, "hfX6", ["u6@y.test"], extra="qspam\n")
    done = q.run("-v", "-qL", f"-oQ{mqueue}")
    assert done.returncode == 67
    assert f"\nRunning {mqueue}/X1 (sequence 1 of 3)\n" in done.stdout
    assert 'readqf: ./QfX2: line 6: bad line "Wfoo bar"\n' in done.stdout
    assert sent(q) == ["a@x.test", "u1@y.test", "u3@y.test"]
    assert names(mqueue) == [
        "QfX2", "QfX3", "dfX2", "dfX3", "dfX5", "dfX6", "hfX6", "qfX5"]
    assert "RPFD:u3" not in (mqueue / "QfX3").read_text()
    assert q.run("-qL", "-qRnobody", f"-oQ{mqueue}").returncode == 0
    # Nobody else takes them for mail, and none of them is anybody's rest, be
    # there also what a kill of such a run leaves.
    (mqueue / "tfX3").write_bytes((mqueue / "QfX3").read_bytes())
    (mqueue / "tfX3").chmod(0o600)
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert names(mqueue) == ["QfX2", "QfX3", "dfX2", "dfX3", "dfX6", "hfX6"]


def test_looked_at_while_it_runs(queue):
    """Who looks is told that a run has the spool, and may try again."""
    q = queue([("a@x.test", [f"u{n}@y.test"]) for n in range(2)])
    first = []

    def slowly(verb, argument):
        if verb == "DOT" and not first:
            first.append(1)
            time.sleep(1.5)
        return None
    q.up(refuse=slowly)
    run = subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-q"])
    wait_until("the first message", lambda: first)
    for done in (q.run("-bp"), q.run("-bP"), q.run("-Qx", "-qRu1@"),
                 tool("sendqctl", "-c", str(q.daemon.config), "list",
                      check=False)):
        assert done.returncode == 75, done
        assert done.stdout == ""
        assert "another process runs it" in done.stderr
        assert "try again" in done.stderr
    assert run.wait(30) == 0
    assert q.run("-bp").returncode == 0
    assert len(q.sink.messages) == 2


def test_group(queue):
    q = queue([])
    q.up()
    base = q.path / "mq"
    for place in ("q1", "q2", "slow", "slow1", "slowly"):
        put(base / place, f"qfX{place}", [f"{place}@y.test"])
    (base / "slow1" / "df").mkdir(mode=0o700)
    (base / "slow1" / "dfXslow1").rename(base / "slow1" / "df" / "dfXslow1")
    done = q.run("-qGnone", f"-oQ{base}/q*")
    assert (done.returncode, done.stdout) == (0, "Queue group none unknown\n")
    done = q.run("-v", "-qGslow", f"-oQ{base}/q*")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"\nRunning {base}/slow/Xslow (" in done.stdout
    assert f"\nRunning {base}/slow1/df/Xslow1 (" in done.stdout
    assert sent(q) == ["slow1@y.test", "slow@y.test"]
    done = q.run("-v", "-qGmqueue", f"-oQ{base}/q*")
    assert f"\nRunning {base}/q1/Xq1 (" in done.stdout
    assert "q2@y.test" in sent(q)


def test_strays_are_told(queue):
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ['|"exec /bin/prog"', "u@y.test"])
    put(mqueue, "qfX2", ["/var/mail/file"])
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.returncode == 0
    text = lines(q, done.stdout)
    assert f"\nRunning {mqueue}/X1 (sequence " in text
    assert '... Cannot be routed here\nu@y.test... Connecting to' in text
    assert f"\nRunning {mqueue}/X2 (sequence " in text
    assert "/var/mail/file... Cannot be routed here\n" in text
    assert sent(q) == ["u@y.test"]
    assert names(mqueue) == ["dfX1", "dfX2", "qfX1", "qfX2"]


def test_all_of_very_many(queue):
    """Those behind the first hundred are tried though these were deferred."""
    many = [f"defer{n}@y.test" for n in range(150)] + ["u@y.test"]
    q = queue([])
    q.up(refuse=answer)
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", many)
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["u@y.test"]
    text = (mqueue / "qfX1").read_text()
    # One of them says it of the message.
    assert text.count("MDeferred: 451") == 150 + 1
