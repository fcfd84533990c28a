"""Measures sendqd and its peers in one run and prints what came of it: a table
for people, or --json. Called by script/bench, which gives it name spaces of
its own: nothing leaves the loopback device."""
import argparse
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import measure
import ours
import postfix
import readme
import rig
from apart import apart
from harness import IS_LIMITED

PEERS = {"postfix": postfix.Postfix}
HOP_PORT = 2600


class Plan:
    """How much is done."""

    def __init__(self, is_quick):
        self.seconds = 1 if is_quick else 8  # of one load
        self.rounds = 1 if is_quick else 3
        self.few_rounds = 1 if is_quick else 2
        self.limit = 10 if is_quick else 300  # of what has to finish
        self.drain = 2000 if is_quick else 20_000
        self.ask_sizes = (100, 2000) if is_quick else (1000, 100_000)
        self.ask_targets = 2 if is_quick else measure.ASK_TARGETS_MAX
        self.mailq_size = self.ask_sizes[-1]
        self.memory_sizes = (1000, 10_000) if is_quick else (10_000, 200_000)
        self.peer_sizes_max = 2000 if is_quick else 100_000
        self.mqueue = 300 if is_quick else 20_000
        self.mqueue_part = self.mqueue  # entries of one directory
        self.mqueue_rounds = 1 if is_quick else 2
        self.is_parted = IS_LIMITED  # queues are filled in parts
        if IS_LIMITED:
            self.fit()
            if not is_quick:
                self.rounds, self.few_rounds = 9, 3

    def fit(self):
        """What one process can do where processor time is limited: the rest
        is done by more of them, or is smaller, as the rows' names say."""
        self.seconds = 0.8
        self.drain = min(self.drain, 4000)
        self.mailq_size = min(self.mailq_size, 20_000)
        self.peer_sizes_max = min(self.peer_sizes_max, 20_000)
        self.mqueue_part = min(self.mqueue, 1000)

    def text(self):
        """What the limit of processor time changes; "" if there is none."""
        return ("A process may use little processor time here: loads take "
                f"{self.seconds} s, {self.rounds} of them make a figure; "
                "queues are filled in parts, the server being started anew "
                "for each.") if IS_LIMITED else ""


class Bench:
    def __init__(self, options, memory):
        self.plan = Plan(options.quick)
        self.cache = pathlib.Path(options.cache)
        self.work = self.cache / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.memory = pathlib.Path(memory)
        self.is_talking = not options.json
        self.rows, self.notes, self.failed = [], [], {}
        self.floors, self.sync_ms = {}, None
        self.sink = None
        self.group, self.first_row = "", 0  # of the group at work
        self.servers = [ours.Ours(self.work, memory)]
        self.peer_names = [] if options.peer == "none" else [options.peer]
        for name in self.peer_names:
            self.add_peer(name)

    def add_peer(self, name):
        try:
            self.servers.append(PEERS[name](self.cache, self.memory))
        except Exception as error:
            self.fail(name, "installation", error)

    def row(self, group, name, unit, higher_is_better=True):
        row = measure.Row(group, name, unit, higher_is_better)
        self.rows.append(row)
        return row

    def note(self, text):
        self.notes.append(text)

    def fail(self, server, what, error):
        text = f"{what}: {type(error).__name__}: {error}"
        if isinstance(error, subprocess.CalledProcessError):
            text += " " + (error.stderr or "").strip()[-300:]
        self.failed.setdefault(server, []).append(text)
        self.note(f"failed: {server}, {text}")
        if "BENCH_DEBUG" in os.environ:
            traceback.print_exception(error)

    def one(self, server, mode, sites, hops, sample):
        """SAMPLE with an empty queue: what it has added to each row, and the
        notes. In a process of its own, whose rows and notes are its own."""
        rows, self.notes = self.rows[self.first_row:], []
        for row in rows:
            row.values = {}
        self.sink = rig.Sink(self.memory, HOP_PORT)
        try:
            server.start(mode, sites, hops, HOP_PORT)
            sample(server)
        finally:
            server.stop()
            self.sink.stop()
        return [row.values for row in rows], self.notes

    def each(self, mode, sites, hops, sample, rounds):
        """SAMPLE of each server in turn, ROUNDS times, each with an empty
        queue. One that fails is not asked again for this."""
        bad = set()
        for _ in range(rounds):
            for server in self.servers:
                if server in bad:
                    continue
                try:
                    found, notes = apart(self.one, server, mode, sites, hops,
                                         sample)
                except RuntimeError as error:
                    bad.add(server)
                    for row in self.rows[self.first_row:]:
                        row.failed.add(server.name)
                    self.fail(server.name, self.group, error)
                    continue
                self.notes += notes
                for row, values in zip(self.rows[self.first_row:], found):
                    for value in values.get(server.name, []):
                        row.add(server.name, value)

    def run(self, groups):
        for name in groups:
            start = time.monotonic()
            self.group, self.first_row = name, len(self.rows)
            try:
                measure.GROUPS[name](self)
            except RuntimeError as error:
                self.fail("bench", name, error)
            if self.is_talking:
                print(f"{name}: {time.monotonic() - start:.0f} s",
                      file=sys.stderr, flush=True)

    def find(self, group, start=""):
        return [r for r in self.rows
                if r.group == group and r.name.startswith(start)]

    def judge(self):
        """The targets of the project, where the run has the figures."""
        peer = self.peer_names[0] if self.peer_names else None
        for row in self.find("intake") + self.find("drain"):
            times = row.against(peer) if peer else None
            # One connection waits for the disk, whoever serves it.
            if times and not row.name.startswith("1 connection,"):
                row.target = (f"10 x {peer}", times >= 10)
        for row in self.find("intake", "100 connections, 100"):
            if row.floor and row.value("sendq"):
                part = row.value("sendq") / row.floor
                is_met = row.target is None or row.target[1]
                text = row.target[0] + ", " if row.target else ""
                row.target = (text + "1/4 of the floor",
                              is_met and part >= 0.25)
        for row in self.find("250 p50", "1 connection,"):
            if row.floor and row.value("sendq"):
                row.target = ("3 x a bare sync",
                              row.value("sendq") <= 3 * row.floor)
        for row in self.find("syncs a message", "64"):
            if row.value("sendq") is not None:
                row.target = ("at most 0.1", row.value("sendq") <= 0.1)
        for row in self.find("sendmail -q") + self.find("mailq"):
            times = row.against(row.peer) if row.peer else None
            least = 3 if row.group == "sendmail -q" else 1
            if times:
                row.target = (f"{least} x {row.peer}", times >= least)
        self.judge_growth("ETRN to first RCPT", "1.5 x the row before", 1.5, 0)
        self.judge_growth("ETRN to last RCPT", "1.5 x the row before", 1.5, 0)
        self.judge_growth("RSS of the queue's process",
                          "5 MB over the row before", 1, 5)

    def judge_growth(self, group, text, factor, more):
        rows = self.find(group)
        for small, large in zip(rows, rows[1:]):
            a, b = small.value("sendq"), large.value("sendq")
            if a is not None and b is not None:
                large.target = (text, b <= factor * a + more)


def show(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def peers_of(bench, row):
    return [row.peer] if row.peer and bench.peer_names else bench.peer_names


def cell(bench, row, server):
    value = row.value(server)
    is_there = row.peer or server in [s.name for s in bench.servers]
    if value is None and (server in row.failed or not is_there):
        return "failed"
    return show(value)


def table(bench):
    """One for each set of peers."""
    sets = {tuple(peers_of(bench, row)): None for row in bench.rows}
    for peers in sets:
        part(bench, list(peers), [row for row in bench.rows if
                                  tuple(peers_of(bench, row)) == peers])
    print(f"A bare write and fdatasync of 4 KB: p50 {show(bench.sync_ms)} ms"
          f"; {os.cpu_count()} processors; load before "
          f"{bench.load_before:.1f}, load tools and servers share the "
          "machine. What a peer keeps: Postfix in its hold queue for intake "
          "and drain (released by postsuper -H ALL and postqueue -f), "
          "deferred for ETRN; sendq as held sites (released by ETRN).")
    for note in [bench.plan.text(), *bench.notes]:
        if note:
            print(note)


def part(bench, peers, rows):
    head = ["", "", "sendq", *peers, "times better", "floor", "target", ""]
    lines = [head]
    last = None
    for row in rows:
        times = [row.against(p) for p in peers]
        target, is_met = row.target or ("", None)
        lines.append([row.group if row.group != last else "",
                      row.name + (f" [{row.unit}]" if row.unit else ""),
                      cell(bench, row, "sendq"),
                      *(cell(bench, row, p) for p in peers),
                      show(times[0]) if times else "-", show(row.floor),
                      target, {True: "met", False: "MISSED",
                               None: ""}[is_met]])
        last = row.group
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    numbers = range(2, 2 + len(peers) + 3)
    for line in lines:
        print("  ".join(
            text.rjust(width) if i in numbers else text.ljust(width)
            for i, (text, width) in enumerate(zip(line, widths))).rstrip())
    print()


def as_json(bench):
    rows = []
    for row in bench.rows:
        values = {s: row.value(s) for s in ("sendq", *peers_of(bench, row))}
        rows.append({
            "group": row.group, "name": row.name, "unit": row.unit,
            "values": values, "samples": row.values, "floor": row.floor,
            "failed": [s for s in values
                       if cell(bench, row, s) == "failed"],
            "times_better": {p: row.against(p) for p in peers_of(bench, row)},
            "target": row.target[0] if row.target else None,
            "is_met": row.target[1] if row.target else None})
    json.dump({"rows": rows, "failed": bench.failed, "notes": bench.notes,
               "limits": bench.plan.text(), "sync_ms": bench.sync_ms, "processors": os.cpu_count(),
               "load_before": bench.load_before}, sys.stdout, indent=1)
    print()


def parse():
    parser = argparse.ArgumentParser(prog="script/bench",
                                     description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true",
                        help="scaled down, about two minutes")
    parser.add_argument("--peer", choices=[*PEERS, "none"],
                        default="postfix")
    parser.add_argument("--cache", default="/var/cache/sendq-bench",
                        help="where peers are installed and spools lie: a "
                        "directory on the disk that is to be measured")
    parser.add_argument("--readme", action="store_true",
                        help="writes the table of README.md as well")
    parser.add_argument("--only", metavar="GROUP", action="append",
                        choices=list(measure.GROUPS),
                        help=", ".join(measure.GROUPS) + "; may be repeated")
    return parser.parse_args()


def take_lock(cache):
    """One run at a time has the chroot and the ports."""
    pathlib.Path(cache).mkdir(parents=True, exist_ok=True)
    lock = open(pathlib.Path(cache) / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"script/bench: another run uses {cache}")
    return lock


def main():
    options = parse()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    rig.build_tools()
    lock = take_lock(options.cache)
    with lock, tempfile.TemporaryDirectory(prefix="sendq-bench-",
                                           dir="/dev/shm") as memory:
        os.chmod(memory, 0o755)
        bench = Bench(options, memory)
        bench.load_before = os.getloadavg()[0]
        bench.run(options.only or list(measure.GROUPS))
        bench.judge()
        if options.readme:
            readme.write(bench, show)
        if options.json:
            as_json(bench)
        else:
            table(bench)
    return 1 if bench.failed.keys() & {"sendq", "bench"} else 0


if __name__ == "__main__":
    sys.exit(main())
