"""Fixtures: daemons and sinks that are ended whatever happens."""
import os
import pathlib
import pickle
import signal
import sys
import time

import pytest
from _pytest import runner

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402


# Where processor time is limited (harness.IS_LIMITED), tests run in children,
# each of which has that time for itself. When a child has used so many seconds,
# it runs one test more.
APART_ENOUGH = 0.3


class Child:
    """A process that runs some of the tests, one after the other."""

    def __init__(self, session):
        self.items = session.items
        # One directory for all children, which pytest removes later.
        session.config._tmp_path_factory.getbasetemp()
        ask_reader, self.ask = os.pipe()
        self.answer, answer_writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.setpgid(0, 0)
            os.close(self.ask)
            os.close(self.answer)
            self.loop(os.fdopen(ask_reader, "rb"),
                      os.fdopen(answer_writer, "wb"))
            os._exit(0)
        os.close(ask_reader)
        os.close(answer_writer)
        self.ask = os.fdopen(self.ask, "wb")
        self.answer = os.fdopen(self.answer, "rb")

    def loop(self, ask, answer):
        is_last = False
        while not is_last:
            try:
                at, next_at = pickle.load(ask)
            except EOFError:
                return
            item = self.items[at]
            is_last = next_at is None or time.process_time() > APART_ENOUGH
            reports = runner.runtestprotocol(
                item, log=False,
                nextitem=None if is_last else self.items[next_at])
            data = [item.config.hook.pytest_report_to_serializable(
                config=item.config, report=report) for report in reports]
            pickle.dump((data, is_last), answer)
            answer.flush()

    def run(self, at, next_at):
        """(data of the reports, whether the child ended); None if it died."""
        try:
            pickle.dump((at, next_at), self.ask)
            self.ask.flush()
            return pickle.load(self.answer)
        except (EOFError, BrokenPipeError):
            self.kill()
            return None
        except BaseException:
            self.kill()
            raise

    def kill(self):
        """Ends it, if it is alive, and the daemons that it has started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def wait(self):
        self.ask.close()
        self.answer.close()
        return os.waitpid(self.pid, 0)[1]


child = None


def run_apart(item, nextitem):
    """The reports of one test that runs in a child."""
    global child
    items = item.session.items
    at = items.index(item)
    next_at = items.index(nextitem) if nextitem else None
    is_new = child is None
    child = child or Child(item.session)
    answer = child.run(at, next_at)
    if answer is None:
        status = child.wait()
        child = None
        if not is_new:
            return run_apart(item, nextitem)
        what = (signal.strsignal(os.WTERMSIG(status))
                if os.WIFSIGNALED(status) else f"status {status}")
        call = runner.CallInfo.from_call(
            lambda: pytest.fail(f"the test's process ended: {what}"), "call")
        return [runner.pytest_runtest_makereport(item, call)]
    data, is_last = answer
    if is_last:
        child.wait()
        child = None
    return [item.config.hook.pytest_report_from_serializable(
        config=item.config, data=report) for report in data]


def pytest_sessionstart(session):
    harness.base = session.config._tmp_path_factory.getbasetemp()


def pytest_runtest_protocol(item, nextitem):
    if not harness.IS_LIMITED:
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in run_apart(item, nextitem):
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.fixture
def place(tmp_path):
    """A directory that the roles' users can reach."""
    return harness.open_path(tmp_path)


@pytest.fixture
def daemon(place):
    """Makes daemons: daemon(name, settings) starts one."""
    made = []

    def make(name="holder", settings="", start=True, **options):
        d = harness.Daemon(place, name, settings, **options)
        made.append(d)
        return d.start() if start else d

    yield make
    for d in made:
        try:
            d.stop()
        finally:
            d.kill_all()


@pytest.fixture
def sink():
    made = []

    def make(*arguments, **options):
        s = harness.Sink(*arguments, **options)
        made.append(s)
        return s

    yield make
    for s in made:
        try:
            s.stop()
        except OSError:
            pass


@pytest.fixture
def link():
    made = []

    def make(*arguments, **options):
        made.append(harness.Link(*arguments, **options))
        return made[-1]

    yield make
    for entry in made:
        entry.stop()
