"""Runs of a queue in sendmail's format that has damaged entries: what is said
of each, and the exit status, as the real program has them."""
import os

import pytest
from test_run_parts import names, put, queue, sent  # noqa: F401


def spoil(name, edit):
    """Changes the text of one control file."""
    def do(path):
        file = path / name
        file.write_text(edit(file.read_text()))
    return do


CASES = {
    "line": (spoil("qfX1", lambda t: t.replace("Sa@", "Wfoo bar\nSa@")),
             'readqf: ./qfX1: line 6: bad line "Wfoo bar"\n', 70, "QfX1"),
    "no dot": (spoil("qfX1", lambda t: t.replace("\n.\n", "\n")),
               "readqf: ./qfX1: incomplete queue file read\n", 70, "qfX1"),
    "version": (spoil("qfX1", lambda t: t.replace("V8", "V9")),
                "Version number in queue file (9) greater than max (8)\n",
                70, "QfX1"),
    "behind the end": (spoil("qfX1", lambda t: t + "Sx\n"),
                       "SECURITY ALERT: extra or bogus data in queue file: "
                       "Sx\n", 70, "QfX1"),
    "spoof": (spoil("qfX1", lambda t: t.replace("Sa@", "From b@x\nSa@")),
              "SECURITY ALERT: bogus qf line From b@x\n", 70, "QfX1"),
    "not printable": (
        spoil("qfX1", lambda t: t.replace("Sa@", "W\x1b\\\nSa@")),
        'readqf: ./qfX1: line 6: bad line "W\\033\\\\"\n', 70, "QfX1"),
    "no data": (lambda path: (path / "dfX1").unlink(),
                "readqf: cannot open ./dfX1: No such file or directory\n",
                71, "QfX1"),
    "writable": (lambda path: (path / "qfX1").chmod(0o602), "", 0, "QfX1"),
}


@pytest.mark.parametrize("case", CASES)
def test_damaged(queue, case):  # noqa: F811
    edit, line, status, left = CASES[case]
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    put(mqueue, "qfX2", ["u2@y.test"])
    edit(mqueue)
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.stdout.startswith(
        f"\nRunning {mqueue}/X1 (sequence 1 of 1)\n{line}\nRunning {mqueue}/X2")
    assert (done.returncode, done.stderr) == (status, "")
    assert left in names(mqueue)
    assert sent(q) == ["u2@y.test"]
    # What was set aside is seen no more; what is left is complained of anew.
    done = q.run("-q", f"-oQ{mqueue}")
    again = left == "qfX1"
    assert done.stdout == (line if again else "")
    assert done.returncode == (status if again else 0)


@pytest.mark.parametrize("case", CASES)
def test_damaged_in_silence(queue, case):  # noqa: F811
    """What a run without -v has set aside is told of, what was there before
    is not."""
    edit, line, status, left = CASES[case]
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    for name in "qfX1", "qfX2", "QfX9":
        put(mqueue, name, [f"u{name[3:]}@y.test"])
    edit(mqueue)
    spoil("QfX9", lambda t: t.replace("Sa@", "Wfoo bar\nSa@"))(mqueue)
    for run in range(2):
        done = q.run("-q", f"-oQ{mqueue}")
        again = run == 0 or left == "qfX1"
        assert (done.stdout, done.returncode, done.stderr) == (
            (line, status, "") if again else ("", 0, ""))
    assert {left, "QfX9"} <= set(names(mqueue))
    assert sent(q) == ["u2@y.test"]


def test_lost_and_still_bad(queue):  # noqa: F811
    q = queue([])
    mqueue = q.path / "mqueue"
    put(mqueue, "QfX1", ["u1@y.test"])
    spoil("QfX1", lambda t: t.replace("Sa@", "Wfoo bar\nSa@"))(mqueue)
    done = q.run("-v", "-qL", f"-oQ{mqueue}")
    assert done.stdout == (f"\nRunning {mqueue}/X1 (sequence 1 of 1)\nreadqf: "
                           './QfX1: line 6: bad line "Wfoo bar"\n')
    assert (done.returncode, done.stderr) == (70, "")
    assert names(mqueue) == ["QfX1", "dfX1"]


def test_no_file_and_no_name(queue):  # noqa: F811
    q = queue([])
    mqueue = q.path / "mqueue"
    mqueue.mkdir()
    os.mkdir(mqueue / "qfX1")
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.stdout == f"gatherq: {mqueue}/qfX1 is not a regular file\n"
    assert (done.returncode, done.stderr) == (70, "")
    (mqueue / "qfX1").rmdir()
    put(mqueue, "qf1234567890123456789", ["u1@y.test"])
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.stdout.startswith(
        "gatherq: qf1234567890123456789 too long, 21 max characters\n")
    assert done.returncode == 0


def test_selected_only(queue):  # noqa: F811
    q = queue([])
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["u1@y.test"])
    (mqueue / "dfX1").unlink()
    done = q.run("-v", "-qRelsewhere", f"-oQ{mqueue}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_several_directories(queue):  # noqa: F811
    """QueueDirectory with a pattern, as a listing takes it."""
    q = queue([])
    q.up()
    base = q.path / "mqueue"
    put(base / "q1", "qfX1", ["u1@y.test"])
    put(base / "q2", "qfX2", ["u2@y.test"])
    put(base / "q2", "qfX3", ["u3@y.test"])
    put(base / "slow1", "qfX4", ["u4@y.test"])
    (base / "slow1" / "dfX4").unlink()
    put(base / "slow1", "qfX5", ["u5@y.test"])
    spoil("qfX3", lambda t: t + "Sx\n")(base / "q2")
    done = q.run("-v", "-q", f"-oQ{base}/q*")
    assert f"\nRunning {base}/q2/X3 (sequence 1 of 1)\n" in done.stdout
    assert f"\nRunning {base}/q1/X1 (sequence " in done.stdout
    assert (done.returncode, done.stderr) == (70, "")
    assert sent(q) == ["u1@y.test", "u2@y.test"]
    assert "slow1" not in done.stdout
    assert names(base / "slow1") == ["dfX5", "qfX4", "qfX5"]
    done = q.run("-q", f"-oQ{base}/none/q*")
    assert done.returncode == 78
    assert f"can not chdir({base}/none/): No such" in done.stderr
