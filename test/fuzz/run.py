"""Runs the fuzz targets: any bytes, those that reach new code being kept and
changed further. Called by script/test --fuzz; one target is one test, the last
line is "N passed, N failed".

Each target runs in many short processes, as the processor time of one may be
limited. What was found is kept in build/fuzz-kept/TARGET, for the next run as
well; what ends a target is in build/fuzz-kept/crashes.

  python3 test/fuzz/run.py [--seconds N] [WORD]
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "system"))
from apart import apart  # noqa: E402

PROGRAMS = ROOT / "build" / "fuzz" / "fuzz"
KEPT = ROOT / "build" / "fuzz-kept"
# Real control files to begin with; the other targets have dictionaries.
SEEDS = {"qf": sorted(path for path in (ROOT / "test" / "corpus").rglob("qf?*")
                      if path.is_file())}
CHUNK_SECONDS = 0.5   # of the processor in one process
SLICE_SECONDS = 20    # of one process that starts these
SEEDS_MAX = 500       # that one process begins with
KEPT_MAX = 3000       # of one target: many reach the same code
INPUT_MAX = {"qf": 6000, "smtp_server": 3000, "smtp_client": 3000}


class Target:
    def __init__(self, name, programs):
        self.name, self.program = name, programs / name
        self.kept = KEPT / name
        self.crashes = KEPT / "crashes"
        self.kept.mkdir(parents=True, exist_ok=True)
        self.crashes.mkdir(exist_ok=True)
        for seed in SEEDS.get(name, []):
            shutil.copy(seed, self.kept / seed.name)
        self.dictionary = ROOT / "test" / "fuzz" / f"{name}.dict"
        self.runs = 200     # of one process; adapted to its time
        self.total = 0

    def command(self, new):
        kept = os.listdir(self.kept)
        chosen = random.sample(kept, min(len(kept), SEEDS_MAX))
        listed = KEPT / f"{self.name}.seeds"
        listed.write_text(",".join(f"{self.kept}/{name}" for name in chosen))
        return [self.program, new, f"-runs={self.runs + len(chosen)}",
                *([f"-seed_inputs=@{listed}"] if chosen else []),
                *([f"-dict={self.dictionary}"] if self.dictionary.exists()
                  else []),
                f"-max_len={INPUT_MAX.get(self.name, 1000)}",
                f"-artifact_prefix={self.crashes}/{self.name}-",
                "-timeout=20", "-rss_limit_mb=1000", "-detect_leaks=0"]

    def step(self):
        """One process; what it says where it found a fault, else ""."""
        new = KEPT / f"{self.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        log = KEPT / f"{self.name}.log"
        with log.open("wb") as out:
            child = subprocess.Popen(self.command(new), stdout=out, stderr=out,
                                     stdin=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        for path in new.iterdir():
            path.rename(self.kept / path.name)
        kept = os.listdir(self.kept)
        for name in random.sample(kept, max(len(kept) - KEPT_MAX, 0)):
            (self.kept / name).unlink()
        seconds = used.ru_utime + used.ru_stime
        self.total += self.runs
        if child.returncode < 0:  # it had no more time
            self.runs = max(self.runs // 2, 10)
            return ""
        self.runs = int(self.runs * min(max(CHUNK_SECONDS / seconds, 0.3), 2))
        if child.returncode == 0:
            return ""
        return log.read_text(errors="replace")

    def slice(self, end):
        """(what was found, self.runs, self.total): in a process of its own."""
        end = min(end, time.monotonic() + SLICE_SECONDS)
        fault = ""
        while not fault and time.monotonic() < end:
            fault = self.step()
        return fault, self.runs, self.total

    def run(self, seconds):
        """True if nothing was found."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            fault, self.runs, self.total = apart(self.slice, end)
            if fault:
                print("\n".join(line for line in fault.splitlines()
                                if not re.match(r"#\d|\s*NEW_FUNC", line)))
                return False
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60,
                        help="for each target")
    parser.add_argument("--programs", type=pathlib.Path, default=PROGRAMS)
    parser.add_argument("word", nargs="?", default="")
    options = parser.parse_args()
    passed = failed = 0
    for source in sorted((ROOT / "test" / "fuzz").glob("*.c")):
        if options.word not in source.stem:
            continue
        target = Target(source.stem, options.programs)
        is_good = target.run(options.seconds)
        passed, failed = passed + is_good, failed + (not is_good)
        print(f"{'ok' if is_good else 'FAILED':6} fuzz {target.name}: "
              f"{target.total} inputs, "
              f"{sum(1 for _ in target.kept.iterdir())} kept", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
