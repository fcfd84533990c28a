"""Runs of a part of the queue by the clock, and what those may not who are not
trusted with the queue."""
import os
import pathlib
import signal

import pytest
from harness import wait_until
from test_mailq import commands
from test_run_parts import names, put, sent
from test_runs import Queue, answer

NOBODY = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/"}


@pytest.fixture
def queue(place):
    made = []

    def make(messages, **options):
        made.append(Queue(place, messages, **options))
        return made[-1]
    yield make
    for q in made:
        q.close()
        for pid in runners(q):
            os.kill(pid, signal.SIGKILL)


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def runners(q):
    """Those that show the place of Q, or whose command line names it."""
    return [int(p.name) for p in pathlib.Path("/proc").iterdir()
            if p.name.isdigit() and str(q.path) in title(p.name) and
            "Queue runner@" in title(p.name)]


def end(q):
    for pid in runners(q):
        os.kill(pid, signal.SIGTERM)
    wait_until("the end of the runner", lambda: runners(q) == [])


def test_selection_holds_for_each_run(queue):
    """-q1s -qRu@: what comes later and is selected goes, too; the rest stays."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u@y.test"])
    put(mqueue, "qfX2", ["v@y.test"])
    done = q.run("-q1s", "-qRu@", f"-oQ{mqueue}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wait_until("the first run", lambda: sent(q) == ["u@y.test"])
    assert len(runners(q)) == 1
    put(mqueue, "qfX3", ["u2u@y.test"])
    wait_until("another run", lambda: len(sent(q)) == 2)
    assert sent(q) == ["u2u@y.test", "u@y.test"]
    end(q)
    assert names(mqueue) == ["dfX2", "qfX2"]


def test_beside_a_daemon(queue, tmp_path):
    """-bd -q1s -qSb@: the daemon has no runs of its own, the runner asks it."""
    q = queue([("a@x.test", ["defer@y.test"]), ("b@x.test", ["defer@y.test"])],
              settings=f'pid-file = "{tmp_path}/pid"\nlog = "syslog"\n'
              'retry-min = "1h"\n')
    assert q.run("-q").returncode == 0
    asked = []

    def refuse(verb, argument):
        if verb == "MAIL":
            asked.append(argument)
        return answer(verb, argument)
    q.up(refuse=refuse)
    assert q.run("-bd", "-q1s", "-qSb@").returncode == 0
    wait_until("three runs", lambda: len(asked) >= 3)
    end(q)
    os.kill(int((tmp_path / "pid").read_text().splitlines()[0]),
            signal.SIGTERM)
    wait_until("the daemon's end", lambda: not (tmp_path / "pid").exists())
    assert all("<b@x.test>" in text for text in asked)


def test_foreground_has_no_selection(queue):
    done = queue([]).run("-bD", "-q1s", "-qSb@")
    assert done.returncode == 69 and "for one run" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="becomes nobody")
def test_who_is_not_trusted(queue):
    """The words and exit statuses of sendmail."""
    q = queue([("a@x.test", ["u@y.test"])])
    os.chmod(q.daemon.config, 0o644)
    expected = {c.split("-Am ", 1)[1]: (o, s)
                for c, o, s in commands("nonroot") if "-Am " in c}
    for options, where in ((["-q", "-v"], "-q -v"), (["-q1h"], "-q1h"),
                           (["-bd"], "-bd"), (["-bi"], "-bi"),
                           (["-bp"], "-bp")):
        done = q.run(*options, **NOBODY)
        text = (done.stdout + done.stderr).replace(
            str(q.daemon.spool), "/var/spool/mqueue")
        assert (text, done.returncode) == expected[where], options
    assert runners(q) == []
