"""The measurements. Each takes the bench, asks ours and the peers in turn, and
adds rows to its table; none runs longer than the plan allows."""
import statistics
import time

import mqueue_runs
import rig
from apart import apart


class Row:
    def __init__(self, group, name, unit, higher_is_better=True):
        self.group, self.name, self.unit = group, name, unit
        self.higher_is_better = higher_is_better
        self.values = {}   # server: list of samples
        self.failed = set()  # servers that it could not be taken of
        self.floor = None  # what the machine can do without a server
        self.target = None  # (text, is_met) once known
        self.peer = None    # beside whom, if not beside the bench's

    def add(self, server, value):
        if value is not None:
            self.values.setdefault(server, []).append(value)

    def value(self, server):
        return rig.median(self.values.get(server, []))

    def against(self, peer):
        """How many times better ours is; None where that is unknown."""
        mine, other = self.value("sendq"), self.value(peer)
        if not mine or not other:
            return None
        return mine / other if self.higher_is_better else other / mine


class Shape:
    """Connections, messages a connection, size."""

    def __init__(self, connections, each, size=4096):
        self.connections, self.each, self.size = connections, each, size
        self.name = (f"{connections} connection{'s'[:connections != 1]}, "
                     f"{each} message{'s'[:each != 1]} each, "
                     f"{size // 1024} KB")

    def load(self, port, seconds):
        return rig.mload(port, self.connections, self.each, 10_000_000 if
                         seconds > 30 else 2_000_000, self.size, seconds)


SHAPES = [Shape(1, 100), Shape(20, 100), Shape(100, 100), Shape(20, 1),
          Shape(100, 1), Shape(20, 100, 102400)]


def floor(bench):
    """What the tools and the disk do with no server between them."""
    def sample(shape):
        sink = rig.Sink(bench.memory, 2700)
        try:
            return shape.load(sink.port, bench.plan.seconds / 2).rate
        finally:
            sink.stop()
    for shape in SHAPES:
        bench.floors[shape.name] = rig.median(
            apart(sample, shape) for _ in range(bench.plan.rounds))
    bench.sync_ms = rig.floor_sync(bench.work, bench.plan.seconds / 2)


def intake_sample(server, shape, seconds, rows):
    rate, p50, p99, cpu = rows
    before = rig.cpu_ms(server.pids())
    load = shape.load(server.port, seconds)
    after = rig.cpu_ms(server.pids())
    if load.refused:
        raise RuntimeError(f"{load.refused} messages were refused")
    rate.add(server.name, load.rate)
    p50.add(server.name, load.p50_ms)
    p99.add(server.name, load.p99_ms)
    cpu.add(server.name, (after - before) / load.acked)


def intake(bench):
    """Acknowledged messages a second; every one is durable."""
    for shape in SHAPES:
        rows = (bench.row("intake", shape.name, "/s"),
                bench.row("250 p50", shape.name, "ms", False),
                bench.row("250 p99", shape.name, "ms", False),
                bench.row("CPU a message", shape.name, "ms", False))
        rows[0].floor = bench.floors.get(shape.name)
        if shape.connections == 1:
            rows[1].floor = bench.sync_ms
        bench.each("keep", 200, 200, lambda server: intake_sample(
            server, shape, bench.plan.seconds, rows), bench.plan.rounds)


def syncs(bench):
    """Calls that sync, of all kinds and processes, counted by strace."""
    for connections in (1, 20, 64):
        row = bench.row("syncs a message", f"{connections} connection" +
                        "s"[:connections != 1], "", False)

        def sample(server):
            # What is committed behind the acknowledgements counts as well.
            trace = rig.Syncs(bench.memory, server.pids())
            try:
                load = rig.mload(server.port, connections, 100, 100_000,
                                 seconds=bench.plan.seconds)
                time.sleep(1)
            finally:
                counts = trace.stop()
            row.add(server.name, sum(counts.values()) / load.acked)
            bench.note(f"syncs, {connections} connections, {server.name}: "
                       f"{load.acked} messages, {counts}")
        bench.each("keep", 200, 200, sample, 1)


def fill_part(bench, server, count, sites):
    load = rig.mload(server.port, 20, 100, count, seconds=bench.plan.limit,
                     domains=sites)
    if load.acked < count:
        raise RuntimeError(f"only {load.acked} of {count} queued in time")


def fill(bench, server, have, want, sites):
    """From HAVE queued messages to WANT; gives how many there are. In parts
    each is a life of the server, so that the next one has all of its time."""
    def life(count, total):
        server.resume()
        fill_part(bench, server, count, sites)
        server.wait_queued(total, bench.plan.limit)
        server.halt()
    if bench.plan.is_parted:
        server.halt()
        while have < want:
            count = min(server.part, want - have)
            have += count
            apart(life, count, have)
        server.resume()
    elif have < want:
        fill_part(bench, server, want - have, sites)
        server.wait_queued(want, bench.plan.limit)
    return want


def drain(bench):
    """From the first RCPT at the next hop to the end of the last message."""
    for sites in (200, 1):
        row = bench.row("drain", f"{bench.plan.drain} messages to {sites} "
                        f"site{'s'[:sites != 1]}", "/s")
        cpu = bench.row("CPU a message", f"drain to {sites}", "ms", False)

        def sample(server):
            queued = fill(bench, server, 0, bench.plan.drain, sites)
            bench.sink.clear()
            before = rig.cpu_ms(server.pids())
            server.release_all(sites)
            sent = bench.sink.wait_messages(queued, bench.plan.limit)
            row.add(server.name, bench.sink.rate())
            cpu.add(server.name,
                    (rig.cpu_ms(server.pids()) - before) / max(sent, 1))
            if sent < queued:
                bench.note(f"drain to {sites}, {server.name}: only {sent} of "
                           f"{queued} in {bench.plan.limit} s")
        bench.each("keep", sites, sites, sample, bench.plan.few_rounds)


def through(bench):
    """In and out at once: what arrived, over the time from the first byte."""
    row = bench.row("through", "20 connections in, 200 hosts out", "/s")
    cpu = bench.row("CPU a message", "through", "ms", False)

    def sample(server):
        bench.sink.clear()
        before = rig.cpu_ms(server.pids())
        start = time.monotonic_ns()
        load = rig.mload(server.port, 20, 100, bench.plan.drain,
                         seconds=bench.plan.seconds)
        sent = bench.sink.wait_messages(load.acked, bench.plan.limit)
        row.add(server.name, sent * 1e9 / (bench.sink.last_done_ns - start))
        cpu.add(server.name,
                (rig.cpu_ms(server.pids()) - before) / max(sent, 1))
    bench.each("pass", 200, 200, sample, bench.plan.few_rounds)


ASK_SITES = 1000
ASK_TARGETS_MAX = 5
ASK_EACH = 100


def ask_sample(bench, server, standing, rows):
    """ETRN for a site with ASK_EACH messages beside STANDING for others."""
    first, last = rows
    for i in range(bench.plan.ask_targets):
        site = ASK_SITES + i
        rig.mload(server.port, 10, 10, ASK_EACH, seconds=20, domains=1,
                  first=site)
        server.wait_queued(standing + ASK_EACH, 60)
        bench.sink.clear()
        start = time.monotonic_ns()
        server.release_site(site)
        got = bench.sink.wait_messages(ASK_EACH, 20)
        if got < ASK_EACH:
            raise RuntimeError(f"ETRN brought {got} of {ASK_EACH}")
        first.add(server.name, (bench.sink.first_rcpt_ns - start) / 1e6)
        last.add(server.name, (bench.sink.last_rcpt_ns - start) / 1e6)


def memory_sample(server, rows):
    time.sleep(2)  # what is done when idle is done
    one, all_of_it = rows
    pid = server.queue_pid()
    one.add(server.name, rig.rss_mb([pid]) if pid else None)
    all_of_it.add(server.name, rig.rss_mb(server.pids()))


def mailq_sample(bench, server, queued, row):
    times = []
    for _ in range(3):
        if bench.plan.is_parted:
            server.halt()
            server.resume()
        start = time.monotonic()
        lines = server.mailq().count("\n")
        times.append(time.monotonic() - start)
    if lines < queued:
        raise RuntimeError(f"mailq printed {lines} lines for {queued}")
    row.add(server.name, statistics.median(times))


def ask_rows(bench, standing):
    name = f"{ASK_EACH} messages, {standing} queued for others"
    return (bench.row("ETRN to first RCPT", name, "ms", False),
            bench.row("ETRN to last RCPT", name, "ms", False))


def memory_rows(bench, queued):
    name = f"{queued} queued"
    return (bench.row("RSS of the queue's process", name, "MB", False),
            bench.row("RSS of all processes", name, "MB", False))


def standing(bench):
    """A queue that grows: ETRN, mailq and memory at several sizes."""
    plan = bench.plan
    asks = {n: ask_rows(bench, n) for n in plan.ask_sizes}
    memory = {n: memory_rows(bench, n) for n in plan.memory_sizes}
    mailq = bench.row("mailq", f"{plan.mailq_size} queued", "s", False)

    def sample(server):
        have = 0
        sizes = sorted({*plan.ask_sizes, *plan.memory_sizes, plan.mailq_size})
        for size in sizes:
            if server.name != "sendq" and size > plan.peer_sizes_max:
                continue
            have = fill(bench, server, have, size, ASK_SITES)
            if size in memory:
                memory_sample(server, memory[size])
            if size in asks:
                ask_sample(bench, server, size, asks[size])
            if size == plan.mailq_size:
                mailq_sample(bench, server, size, mailq)
    bench.each("ask", ASK_SITES + ASK_TARGETS_MAX, 200, sample, 1)


GROUPS = {"floor": floor, "intake": intake, "syncs": syncs, "drain": drain,
          "through": through, "standing": standing,
          "mqueue": mqueue_runs.mqueue}
