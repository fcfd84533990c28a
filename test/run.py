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

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test" / "system"))
from apart import apart  # noqa: E402

LOGS = ROOT / "build" / "test-logs"
FUZZ_SECONDS = 60  # of each target in the long run
JOBS = f"-j{os.cpu_count() or 1}"


def run(name, command, timeout):
    """Runs COMMAND, keeps its output, gives (status, output)."""
    log = LOGS / (name.replace(" ", "-").replace("/", "-") + ".log")
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    if name.startswith("unit asan"):  # long and slow at once is too much
        environment.pop("SENDQ_LONG", None)
    with log.open("wb") as out:
        # Not subprocess's timeout: it would wake up all the time.
        status = subprocess.run(["timeout", "-k", "10", str(timeout), *command],
                                cwd=ROOT, stdout=out,
                                stderr=subprocess.STDOUT,
                                stdin=subprocess.DEVNULL,
                                env=environment).returncode
        if status == 124:
            out.write(f"\ntimeout after {timeout} s\n".encode())
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
    """Some of the steps, in a process of its own."""
    def count():
        steps.passed = steps.failed = steps.skipped = 0
        run_steps()
        return steps.passed, steps.failed, steps.skipped
    try:
        passed, failed, skipped = apart(count)
    except RuntimeError as error:
        print(f"FAILED: a part of the test run: {error}", flush=True)
        passed, failed, skipped = 0, 1, 0
    steps.passed += passed
    steps.failed += failed
    steps.skipped += skipped


def unit_tests(steps, mode):
    for source in sorted((ROOT / "src").rglob("*_test.c")):
        name = source.relative_to(ROOT / "src").with_suffix("")
        steps.step(f"unit {mode} {name}", [f"build/{mode}/test/{name}"],
                   count_cmocka, 3600)


def system_tests(steps, path):
    """A file of them. What they leave behind is kept where one failed."""
    place = tempfile.mkdtemp(prefix="pytest-sendq-")
    os.chmod(place, 0o755)  # the roles have users of their own
    if steps.step(f"system {path.stem}",
                  ["/usr/bin/python3", "-m", "pytest", "-q",
                   "-p", "no:cacheprovider", "--basetemp", f"{place}/t",
                   str(path)], count_pytest, 7200):
        for entry in pathlib.Path(place, "t").glob("*"):
            subprocess.run(["rm", "-rf", entry])
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


def fuzz(steps, seconds):
    goals = "MODE=fuzz fuzzers"
    if steps.step("build fuzz", [
            "sh", "-c", f"make -s -k {JOBS} {goals} || make -s {goals}"]):
        steps.step("fuzz", ["/usr/bin/python3", "test/fuzz/run.py",
                            "--seconds", str(seconds)], count_words, 36000)


def main():
    options = argparse.ArgumentParser(prog="script/test", description=__doc__)
    options.add_argument("--mutants", action="store_true",
                         help="plants bugs; each must be found")
    options.add_argument("--long", action="store_true",
                         help="all tests, with longer campaigns: kills, power "
                         "cuts, faults, fuzzing; more than an hour")
    options.add_argument("--peers", action="store_true",
                         help="with the mail servers and clients of others, "
                         "as root")
    options.add_argument("--fuzz", metavar="SECONDS", type=int,
                         help="the fuzz targets, each so long")
    options.add_argument("-k", metavar="WORD", default="",
                         help="only the steps whose name has WORD in it")
    args = options.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    if args.long:
        os.environ["SENDQ_LONG"] = "1"
    steps = Steps(args.k)
    if args.peers:
        build(steps, "plain")
        steps.step("peers", ["/usr/bin/python3", "test/peers/run.py"],
                   count_words, 3600)
    elif args.mutants:
        steps.step("mutants", ["/usr/bin/python3", "test/mutants.py"],
                   count_words, 5000)
    elif args.fuzz:
        fuzz(steps, args.fuzz)
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
            fuzz(steps, FUZZ_SECONDS)
    print(f"{steps.passed} passed, {steps.failed} failed" +
          (f", {steps.skipped} skipped" if steps.skipped else ""))
    return 1 if steps.failed or not steps.passed else 0


sys.exit(main())
