"""Runs every step of the tests and counts: the last line is
"N passed, N failed". Called by script/test."""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "test-logs"
JOBS = f"-j{os.cpu_count() or 1}"


def run(name, command, timeout):
    """Runs COMMAND, keeps its output, gives (status, output)."""
    log = LOGS / (name.replace(" ", "-").replace("/", "-") + ".log")
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    with log.open("wb") as out:
        try:
            status = subprocess.run(command, cwd=ROOT, stdout=out,
                                    stderr=subprocess.STDOUT,
                                    stdin=subprocess.DEVNULL,
                                    env=environment,
                                    timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            out.write(f"\ntimeout after {timeout} s\n".encode())
            status = 124
    return status, log.read_text(errors="replace")


def count_cmocka(output):
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
    failed = sum(int(n) for n in
                 re.findall(r"\[  FAILED  \] (\d+) test", output))
    return passed, failed


def count_pytest(output):
    last = ""
    for line in output.splitlines():
        if re.search(r"\d+ (passed|failed|error)", line):
            last = line
    passed = sum(int(n) for n in re.findall(r"(\d+) passed", last))
    failed = sum(int(n) for n in re.findall(r"(\d+) (?:failed|error)", last))
    return passed, failed


def count_words(output):
    """Of a program whose last line is "N passed, N failed"."""
    found = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.M)
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


class Steps:
    def __init__(self, word):
        self.word = word
        self.passed = self.failed = self.skipped = 0

    def step(self, name, command, counter=None, timeout=900):
        if self.word and self.word not in name:
            return True
        start = time.monotonic()
        status, output = run(name, command, timeout)
        passed, failed = counter(output) if counter else (0, 0)
        skipped = sum(int(n) for n in
                      re.findall(r"\[  SKIPPED \] (\d+) test", output))
        if counter is None or passed + failed + skipped == 0:
            passed, failed = (1, 0) if status == 0 and counter is None else (0, 1)
        if status != 0 and failed == 0:
            failed = 1
        self.skipped += skipped
        self.passed += passed
        self.failed += failed
        print(f"{'ok' if failed == 0 else 'FAILED':6} {name}: {passed} passed, "
              f"{failed} failed{f', {skipped} skipped' if skipped else ''} "
              f"({time.monotonic() - start:.0f} s)", flush=True)
        if failed:
            print("\n".join(output.splitlines()[-60:]), flush=True)
        return failed == 0


def phase(steps, run_steps):
    """Some of the steps, in a process of its own, as the processor time of one
    may be limited; one that dies is a failure."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        steps.passed = steps.failed = steps.skipped = 0
        try:
            run_steps()
            os.write(writer, f"{steps.passed} {steps.failed} "
                             f"{steps.skipped}".encode())
        except Exception:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        counts = [int(n) for n in pipe.read().split()]
    os.waitpid(child, 0)
    if len(counts) != 3:
        print("FAILED: a process of the test run itself ended", flush=True)
        counts = [0, 1, 0]
    steps.passed += counts[0]
    steps.failed += counts[1]
    steps.skipped += counts[2]


def unit_tests(steps, mode):
    for source in sorted((ROOT / "src").rglob("*_test.c")):
        name = source.relative_to(ROOT / "src").with_suffix("")
        steps.step(f"unit {mode} {name}", [f"build/{mode}/test/{name}"],
                   count_cmocka, 600)


def system_tests(steps, path):
    """A file of them. What they leave behind is kept where one failed."""
    place = tempfile.mkdtemp(prefix="pytest-sendq-")
    if steps.step(f"system {path.stem}",
                  ["/usr/bin/python3", "-m", "pytest", "-q",
                   "-p", "no:cacheprovider", "--basetemp", f"{place}/t",
                   str(path)], count_pytest, 2400):
        shutil.rmtree(place)
    else:
        print(f"files: {place}", flush=True)


def build(steps, mode):
    """False if it failed. What a compiler ended by a limit of processor time
    had no time for is tried once more, alone."""
    goals = f"MODE={mode} all test-programs"
    return steps.step(f"build {mode}", [
        "sh", "-c", f"make -s -k {JOBS} {goals} || make -s {goals}"])


def look(steps):
    steps.step("pure", ["tools/pure", "build/plain/obj"])
    steps.step("lint", ["tools/lint"])
    for path in sorted((ROOT / "test" / "system").glob("test_*.py")):
        system_tests(steps, path)
    steps.step("demo", ["/usr/bin/python3", "test/demo.py"])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--mutants", action="store_true")
    options.add_argument("--long", action="store_true")
    options.add_argument("--peers", action="store_true")
    options.add_argument("-k", metavar="WORD", default="")
    args = options.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    if args.long:
        os.environ["SENDQ_LONG"] = "1"
    steps = Steps(args.k)
    if args.peers:
        build(steps, "plain")
        steps.step("peers", ["/usr/bin/python3", "test/peers/run.py"],
                   lambda output: tuple(
                       int(n) for n in
                       re.findall(r"(\d+) passed, (\d+) failed", output)[-1]),
                   3600)
    elif args.mutants:
        steps.step("mutants", ["/usr/bin/python3", "test/mutants.py"],
                   lambda output: tuple(
                       int(n) for n in
                       re.findall(r"(\d+) passed, (\d+) failed", output)[-1]),
                   5000)
    else:
        phase(steps, lambda: build(steps, "plain") and
              unit_tests(steps, "plain"))
        phase(steps, lambda: look(steps))
        phase(steps, lambda: build(steps, "asan") and
              unit_tests(steps, "asan"))
        phase(steps, lambda: build(steps, "clang"))
        if args.long:
            steps.step("powercut", ["/usr/bin/python3",
                                    "test/crash/powercut.py"],
                       count_words, 5000)
    print(f"{steps.passed} passed, {steps.failed} failed" +
          (f", {steps.skipped} skipped" if steps.skipped else ""))
    return 1 if steps.failed or not steps.passed else 0


sys.exit(main())
