"""The daemon started with sendmail's options: the queue of -oQ, time-outs,
loads, MinQueueAge."""
import os
import shutil
import signal
import subprocess

import pytest
from harness import BIN, wait_until
from test_run_parts import put, queue, sent  # noqa: F401
from test_runs import greeting

LOG = 'log = "syslog"\n'


def pid_of(path):
    return int(path.read_text().splitlines()[0])


def stop(path):
    os.kill(pid_of(path), signal.SIGTERM)
    wait_until("the end", lambda: not path.exists())


def pid_files(path):
    return sorted(p for p in path.iterdir() if p.name.startswith("pid-"))


@pytest.mark.parametrize("options", [["-q1h"], ["-bd", "-q1h"]])
def test_directory(queue, tmp_path, options):  # noqa: F811
    q = queue([], settings=f'pid-file = "{tmp_path}/pid"\n' + LOG)
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    assert q.run(*options, f"-oQ{mqueue}").returncode == 0
    files = pid_files(tmp_path) or [tmp_path / "pid"]
    try:
        wait_until("delivery", lambda: sent(q) == ["u1@y.test"])
    finally:
        stop(files[0])
    mqueue.rmdir()


def test_beside_the_daily_one(queue, tmp_path):  # noqa: F811
    q = queue([], settings=f'pid-file = "{tmp_path}/pid"\n' + LOG)
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    assert q.run("-bd").returncode == 0
    try:
        assert q.run("-q1h", f"-oQ{mqueue}").returncode == 0
        again = q.run("-q1h", f"-oQ{mqueue}")
        assert again.returncode == 69
        assert f"running already for {mqueue}" in again.stderr
        stop(pid_files(tmp_path)[0])
        assert "X1" in q.run("-bp", f"-oQ{mqueue}").stdout
    finally:
        stop(tmp_path / "pid")


def test_moved_spool(queue, tmp_path):  # noqa: F811
    q = queue([("a@x.test", ["u@y.test"])],
              settings=f'pid-file = "{tmp_path}/pid"\n' + LOG)
    q.up()
    moved = tmp_path / "moved"
    q.daemon.spool.rename(moved)
    assert q.run("-q1h", f"-oQ{moved}").returncode == 0
    wait_until("delivery", lambda: sent(q) == ["u@y.test"])
    stop(pid_files(tmp_path)[0])


def test_words(queue, tmp_path):  # noqa: F811
    """What a daemon is told, by one that only repeats it."""
    q = queue([])
    place = tmp_path / "bin"
    place.mkdir()
    shutil.copy(BIN / "sendmail", place)
    (place / "sendqd").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (place / "sendqd").chmod(0o755)

    def words(*options):
        return subprocess.run(
            [str(place / "sendmail"), "-C", str(q.daemon.config), "-bD",
             *options], capture_output=True, text=True, timeout=20)

    told = words("-q1h", "-or2m", "-oT3d/2h", "-OQueueLA=5", "-oX9",
                 "-OMinQueueAge=20m").stdout.split("\n")
    for word in ('queue-interval = "3600s"', 'greeting-timeout = "120s"',
                 'dot-timeout = "120s"', 'expire = "259200s"',
                 'delay-notice = "7200s"', "queue-load = 5",
                 "refuse-load = 9", 'queue-age = "1200s"'):
        assert told[told.index(word) - 1] == "-o"
    told = words().stdout
    for name in ("expire", "delay-notice", "-load", "queue-", "timeout",
                 "spool"):
        assert f"{name} =" not in told
    for option in ("-qIx", "-qSx", "-qRx"):
        refused = words("-q15m", option)
        assert (refused.returncode, refused.stdout) == (69, "")
        assert "for one run" in refused.stderr


def test_refuse_load(queue, tmp_path):  # noqa: F811
    """RefuseLA is the daemon's setting; at 0 it has none, as in sendmail."""
    q = queue([], settings=f'pid-file = "{tmp_path}/pid"\n' + LOG)
    load = int(os.getloadavg()[0] + 0.5)
    assert q.run("-bd", f"-ORefuseLA={max(load // 2, 1)}").returncode == 0
    try:
        said = greeting(q.daemon.port)
    finally:
        stop(tmp_path / "pid")
    assert said.startswith("421 4.3.2 " if load > 0 else "220 ")
