"""Queue runs and listings of a directory of sendmail's, by ours and by the
real program on copies of the same directory."""
import resource
import shutil
import subprocess
import sys
import time

import rig

sys.path += [str(rig.ROOT / "test" / "peers"), str(rig.ROOT / "test" /
                                                   "system")]
import mqueue_kit  # noqa: E402
from mqueue_fill import fill  # noqa: E402

SIZE = 4096
HOP_PORT = 2602


def programs(bench):
    """Ours, and the real one if it can be had; one that cannot is failed."""
    place = bench.memory / "mqueue"
    place.mkdir()
    found = [mqueue_kit.Ours(place, port=HOP_PORT)]
    if bench.peer_names:
        try:
            found.append(mqueue_kit.Real(HOP_PORT, bench.work))
        except Exception as error:
            bench.fail(mqueue_kit.Real.name, "installation", error)
    return found


def listing(program, queue, count, row):
    """The median of three."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        text = program.good("-bp", f"-oQ{queue}", seconds=300)
        times.append(time.monotonic() - start)
    if f"Total requests: {count}".encode() not in text:
        raise RuntimeError(f"{text[-100:]} and not {count} entries")
    row.add(program.name, rig.median(times))


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(program, sink, queue, count, limit, rows):
    """From the start of the program to its end, all being delivered."""
    rate, cpu = rows
    sink.clear()
    before, start = cpu_of_children(), time.monotonic()
    program.good("-qf", f"-oQ{queue}", seconds=limit)
    seconds = time.monotonic() - start
    if sink.msgs != count:
        raise RuntimeError(f"{sink.msgs} of {count} arrived")
    if any(queue.iterdir()):
        raise RuntimeError("something is left in the directory")
    rate.add(program.name, count / seconds)
    cpu.add(program.name, (cpu_of_children() - before) * 1000 / count)


def sample(bench, program, sink, queue, rows):
    """Of a fresh copy of QUEUE."""
    count = bench.plan.mqueue
    copy = bench.work / "mqueue-copy"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-a", queue, copy], check=True)
    subprocess.run(["sync", "-f", copy], check=True)
    try:
        listing(program, copy, count, rows[2])
        run(program, sink, copy, count, 4 * bench.plan.limit, rows[:2])
    finally:
        shutil.rmtree(copy)


def measure(bench, found, sink, rows):
    queue = bench.work / "mqueue"
    shutil.rmtree(queue, ignore_errors=True)
    queue.mkdir(mode=0o700)
    fill(queue, bench.plan.mqueue, SIZE)
    for _ in range(bench.plan.few_rounds):
        for program in list(found):
            try:
                sample(bench, program, sink, queue, rows)
            except Exception as error:
                found.remove(program)
                bench.fail(program.name, "mqueue", error)
    shutil.rmtree(queue)


def mqueue(bench):
    """All entries go to one next hop, which acknowledges each segment at
    once: sendmail sends the end of a message in a segment of its own."""
    count = bench.plan.mqueue
    rows = [bench.row("sendmail -q", f"{count} entries of sendmail's", "/s"),
            bench.row("CPU a message", "sendmail -q", "ms", False),
            bench.row("mailq", f"{count} entries of sendmail's", "s", False)]
    found = programs(bench)
    sink = rig.Sink(bench.memory, HOP_PORT, "-Q")
    try:
        measure(bench, found, sink, rows)
    finally:
        sink.stop()
    for row in rows:
        row.peer = mqueue_kit.Real.name
        row.failed = {name for name in ("sendq", row.peer)
                      if name in bench.failed and not row.value(name)}
