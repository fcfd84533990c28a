"""Queue runs and listings of a directory of sendmail's, by ours and by the
real program on copies of the same directory."""
import operator
import resource
import subprocess
import sys
import time

import rig
from apart import apart

sys.path.append(str(rig.ROOT / "test" / "peers"))
import mqueue_kit  # noqa: E402
from mqueue_fill import fill  # noqa: E402

SIZE, SITES = 4096, 200
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


def listing(program, queue, count):
    """Seconds: the median of three."""
    times = []
    for _ in range(3):
        start = time.monotonic()
        text = program.good("-bp", f"-oQ{queue}", seconds=300)
        times.append(time.monotonic() - start)
    if f"Total requests: {count}".encode() not in text:
        raise RuntimeError(f"{text[-100:]} and not {count} entries")
    return rig.median(times)


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(program, sink, queue, count, limit):
    """(seconds, those of processors) from the start of the program to its end,
    all being delivered."""
    sink.clear()
    before, start = cpu_of_children(), time.monotonic()
    program.good("-qf", f"-oQ{queue}", seconds=limit)
    seconds = time.monotonic() - start
    if sink.msgs != count:
        raise RuntimeError(f"{sink.msgs} of {count} arrived")
    if any(queue.iterdir()):
        raise RuntimeError("something is left in the directory")
    return seconds, cpu_of_children() - before


def sample(bench, program, queue):
    """Of a fresh copy of QUEUE: seconds of the run, those of processors, and
    seconds of a listing."""
    count = bench.plan.mqueue_part
    copy = bench.work / "mqueue-copy"
    remove(copy)
    subprocess.run(["cp", "-a", queue, copy], check=True)
    subprocess.run(["sync", "-f", copy], check=True)
    sink = rig.Sink(bench.memory, HOP_PORT, "-Q")
    try:
        listed = listing(program, copy, count)
        return *run(program, sink, copy, count, 4 * bench.plan.limit), listed
    finally:
        sink.stop()
        remove(copy)


def remove(directory):
    subprocess.run(["rm", "-rf", directory], check=True)


def prepare(queue, count):
    remove(queue)
    queue.mkdir(mode=0o700)
    for first in range(0, count, 250):
        apart(fill, queue, min(250, count - first), SIZE, SITES, first)


def one_round(bench, found):
    """All of the entries, in parts one after the other, each a directory that
    all get copies of: {name: sums of sample(), or a text where it failed}."""
    queue = bench.work / "mqueue"
    sums = {program.name: (0, 0, 0) for program in found}
    for _ in range(bench.plan.mqueue // bench.plan.mqueue_part):
        prepare(queue, bench.plan.mqueue_part)
        for program in found:
            try:
                sums[program.name] = tuple(map(
                    operator.add, sums[program.name],
                    apart(sample, bench, program, queue)))
            except RuntimeError as error:
                sums[program.name] = str(error)
        found = [p for p in found if not isinstance(sums[p.name], str)]
    remove(queue)
    return sums


def mqueue(bench):
    """All entries go to one next hop, which acknowledges each segment at
    once: sendmail sends the end of a message in a segment of its own."""
    name = f"{bench.plan.mqueue} entries of sendmail's"
    if bench.plan.mqueue_part < bench.plan.mqueue:
        name += f", {bench.plan.mqueue_part} a directory"
    rows = [bench.row("sendmail -q", name, "/s"),
            bench.row("CPU a message", "sendmail -q", "ms", False),
            bench.row("mailq", name, "s", False)]
    found = programs(bench)
    for _ in range(bench.plan.mqueue_rounds):
        for who, took in apart(one_round, bench, found).items():
            if isinstance(took, str):
                found = [p for p in found if p.name != who]
                bench.fail(who, "mqueue", RuntimeError(took))
                continue
            seconds, cpu, listed = took
            rows[0].add(who, bench.plan.mqueue / seconds)
            rows[1].add(who, cpu * 1000 / bench.plan.mqueue)
            rows[2].add(who, listed)
    for row in rows:
        row.peer = mqueue_kit.Real.name
        row.failed = {name for name in ("sendq", row.peer)
                      if name in bench.failed and not row.value(name)}
