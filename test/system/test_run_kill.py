"""Runs that are killed, kill -9, at any moment: nothing is lost, at most what
was in flight goes twice, and when all is sent nothing is left."""
import collections
import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from apart import apart
from harness import BIN, wait_until, waiting
from test_run_parts import put
from test_runs import TEXT, Queue

LONG = bool(os.environ.get("SENDQ_LONG"))
ROUNDS = 100 if LONG else 3
MESSAGES = 500 if LONG else 120
# How many sessions a run has at one host. Each has two messages in flight at
# most: one that was answered a moment ago, which the store does not know yet,
# and the next one.
SESSIONS = 20
IN_FLIGHT = 2 * SESSIONS


@pytest.fixture
def queue(tmp_path):
    made = []

    def make(messages, **options):
        made.append(Queue(tmp_path, messages, **options))
        return made[-1]
    yield make
    for q in made:
        q.close()


def group_is_gone(leader):
    """Nothing of the process group is alive; what waits to be reaped is not."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                state, _, group = stat.read().rpartition(b")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == leader and state != b"Z":
            return False
    return True


def kill_run(q, path, delay, more):
    """Starts a run, in a process group of its own, and kills all of it when
    MORE messages were sent, if that is not 0, and a time has passed; true if it
    was at work still."""
    mark = len(q.sink.messages) + more
    run = subprocess.Popen(
        [str(BIN / "sendmail"), "-C", str(q.daemon.config), "-q",
         f"-oQ{path}"], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while (more and run.poll() is None and len(q.sink.messages) < mark):
        time.sleep(0.01)
    time.sleep(delay)
    was_at_work = run.poll() is None
    if was_at_work:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(30)
    wait_until("the end of all of it", lambda: group_is_gone(run.pid))
    return was_at_work


def run_to_the_end(q, path):
    """One run more; a role that came to its end of processor time is no
    failure of it."""
    for _ in range(10):
        if q.run("-q", f"-oQ{path}").returncode == 0:
            return
    raise AssertionError("no run came to its end")


def kill_until_done(q, path, seed, is_empty):
    """Kills runs; how many of them were at work."""
    rng = random.Random(seed)
    kills = 0
    for n in range(12):
        # Some while they begin, most while they send.
        if n % 4 == 0:
            kills += kill_run(q, path, rng.uniform(0.01, 0.2), 0)
        else:
            kills += kill_run(
                q, path, rng.uniform(0, 0.003), rng.randint(1, MESSAGES // 7))
        if is_empty():
            break
    print(f"{len(q.sink.messages)} messages were sent by runs that were killed")
    return kills


def check(q, names, kills):
    counts = collections.Counter(r for m in q.sink.messages for r in m[1])
    assert sorted(counts) == sorted(names)
    assert max(counts.values()) <= 1 + kills
    twice = sum(n - 1 for n in counts.values())
    print(f"{kills} runs were killed, {twice} messages went again")
    assert kills > 0
    assert twice <= kills * IN_FLIGHT


SETTINGS = f"deliveries-host-max = {SESSIONS}\ndeliveries-max = {SESSIONS}\n"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_queue_of_sendmail(queue, number):
    q = queue([], settings=SETTINGS)
    q.up()
    path = q.path / "mqueue"
    names = [f"u{n}@y.test" for n in range(MESSAGES)]
    for n, name in enumerate(names):
        put(path, f"{'h' if n % 40 == 7 else 'q'}fX{n}", [name],
            extra="qspam\n" if n % 40 == 7 else "")
    stopped = sorted(f"{kind}fX{n}" for n in range(7, MESSAGES, 40)
                     for kind in "dh")
    seed = random.randrange(1 << 30) if LONG else number
    print(f"seed={seed}")
    kills = kill_until_done(
        q, path, seed, lambda: not any(path.glob("qf*")))
    run_to_the_end(q, path)
    assert sorted(p.name for p in path.iterdir()) == stopped
    # The quarantined ones likewise.
    assert q.run("-qQ", f"-oQ{path}").returncode == 0
    assert list(path.iterdir()) == []
    check(q, names, kills)


def send_all(daemon, names):
    daemon.start()
    with daemon.smtp() as s:
        for name in names:
            s.sendmail("a@x.test", [name], TEXT)
    daemon.stop()


@pytest.mark.parametrize("number", range(ROUNDS))
def test_our_spool(queue, number):
    names = [f"u{n}@y.test" for n in range(MESSAGES)]
    q = queue([], settings=SETTINGS)
    apart(send_all, q.daemon, names)
    q.up()
    # As if it came from elsewhere: -oQ makes the run's spool of it.
    path = q.path / "moved"
    shutil.move(q.daemon.spool, path)
    seed = random.randrange(1 << 30) if LONG else number
    print(f"seed={seed}")
    kills = kill_until_done(
        q, path, seed, lambda: len(q.sink.messages) >= MESSAGES)
    run_to_the_end(q, path)
    check(q, names, kills)
    # What was ours in the directory is gone, so that it can be removed.
    assert list(path.iterdir()) == []
    assert TEXT in q.sink.messages[0][2]
    shutil.move(path, q.daemon.spool)
    q.daemon.start()
    assert waiting(q.daemon) == 0
    q.daemon.stop()
    shutil.rmtree(q.daemon.spool)
