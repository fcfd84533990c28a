"""Levels of -d that print something."""
from test_run_parts import put, queue, sent  # noqa: F401


def test_places(queue):  # noqa: F811
    q = queue([])
    text = (f"  configuration file: {q.daemon.config}\n"
            "  name of this host:  q.test\n"
            f"  queue directory:    {q.daemon.spool}\n"
            "  store:              our own\n")
    for option in ("-d0.1", "-d", "-d0-99.4"):
        done = q.run(option, "-bp")
        assert done.stderr.startswith("Version sendq ")
        assert text in done.stderr
        assert done.stdout == q.run("-bp").stdout
    assert "Version" not in q.run("-d1-99", "-bp").stderr
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    done = q.run("-d0.4", "-bp", f"-oQ{mqueue}")
    assert f"  queue directory:    {mqueue}\n" in done.stderr
    q.daemon.config.write_text(q.daemon.config.read_text().replace(
        str(q.daemon.spool), f"mqueue:{mqueue}"))
    done = q.run("-d0.4", "-bp")
    assert (f"  queue directory:    {mqueue}\n"
            "  store:              control files of sendmail\n") in done.stderr


def test_connections(queue):  # noqa: F811
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    done = q.run("-d8.99", "-q", f"-oQ{mqueue}")
    assert done.returncode == 0 and sent(q) == ["u1@y.test"]
    assert " detail connected " in done.stderr
    put(mqueue, "qfX2", ["u2@y.test"])
    assert q.run("-d9", "-q", f"-oQ{mqueue}").stderr == ""
