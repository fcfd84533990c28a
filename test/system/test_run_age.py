"""MinQueueAge: what was tried a short while ago waits, in runs and listings."""
import re
import time

from test_run_parts import put, queue, sent  # noqa: F401

AGE = "-OMinQueueAge=30m"


def test_queue_of_sendmail(queue):  # noqa: F811
    """What K says counts, also of what sendmail tried."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    for name, ago in (("qfX1", 600), ("qfX2", 3600)):
        put(mqueue, name, [f"{name}@y.test"])
        file = mqueue / name
        file.write_text(file.read_text().replace(
            "K0\nN0\n", f"K{int(time.time()) - ago}\nN3\n"))
    listed = q.run("-bp", AGE, f"-oQ{mqueue}").stdout
    assert re.search(r"X1-", listed) and not re.search(r"X2-", listed)
    done = q.run("-v", "-q", AGE, f"-oQ{mqueue}")
    assert f"Running {mqueue}/X2 (sequence 1 of 1)\n" in done.stdout
    assert sent(q) == ["qfX2@y.test"]
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["qfX1@y.test", "qfX2@y.test"]


def test_what_was_just_deferred(queue):  # noqa: F811
    q = queue([])
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    q.up()
    assert q.run("-q", AGE, f"-oQ{mqueue}").returncode == 0
    assert sent(q) == []
    assert q.run("-q", "-OMinQueueAge=1s", f"-oQ{mqueue}").returncode == 0


def test_own_queue(queue):  # noqa: F811
    q = queue([("a@x.test", ["u1@y.test"])])
    assert q.run("-q").returncode == 0
    assert re.search(r"^\w{14}-", q.run("-bp", AGE).stdout, re.M)
    assert re.search(r"^\w{14} ", q.run("-bp").stdout, re.M)
    q.up()
    assert q.run("-q", AGE).returncode == 0
    assert sent(q) == []
    assert q.run("-q").returncode == 0
    assert sent(q) == ["u1@y.test"]
