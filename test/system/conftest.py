"""Fixtures: daemons and sinks that are ended whatever happens."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import harness  # noqa: E402


@pytest.fixture
def place(tmp_path):
    """A directory that the roles' users can reach."""
    for directory in [tmp_path, *tmp_path.parents]:
        if str(directory).startswith("/tmp/pytest"):
            directory.chmod(0o755)
    return tmp_path


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
