"""Entries of sendmail's queue as they were seen to go out by the real program:
the order of recipients, headers that are none, addresses that are only nearly
good, names of directories, fields that sendmail drops."""
import re

from test_run_parts import names, put, queue, sent  # noqa: F401


def spoil(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def order_of(q):
    return [r for m in q.sink.messages for r in m[1]]


def test_the_last_goes_first(queue):  # noqa: F811
    """But what was tried before goes by its addresses."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    many = ["mike@y.test", "<alice@z.test>", "Zoe <zoe@a.test>",
            "alice@y.test", "B@y.test"]
    bare = ["mike@y.test", "alice@z.test", "zoe@a.test", "alice@y.test",
            "B@y.test"]
    put(mqueue, "qfX1", many)
    said = q.run("-v", "-q", f"-oQ{mqueue}").stdout
    assert order_of(q) == bare[::-1]
    assert ",".join(bare[::-1]) + "... Connecting to" in said
    q.sink.messages.clear()
    put(mqueue, "qfX2", many)
    spoil(mqueue / "qfX2", "N0\n", "N2\n")
    said = q.run("-v", "-q", f"-oQ{mqueue}").stdout
    assert order_of(q) == sorted(bare)
    assert ",".join(sorted(bare)) + "... Connecting to" in said
    assert ",".join(sorted(bare)) + "... Sent (" in said


# An H line, and what sendmail shows of it.
NO_HEADERS = [("H??no colon", "?"), ("H?P?Return", "?P"),
              ("H?Pno end: x", "?Pno end: x"), ("Hno colon", "no colon"),
              ("H??: x", "?"), ("H", "")]


def test_headers_that_are_none(queue):  # noqa: F811
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    for number, (line, shown) in enumerate(NO_HEADERS):
        name = f"qfX{number}"
        put(mqueue, name, ["bob@y.test"])
        spoil(mqueue / name, "\n.\n", f"\nHA: b\n{line}\nHC: d\n.\n")
        q.sink.messages.clear()
        done = q.run("-v", "-q", f"-oQ{mqueue}")
        text = f'header syntax error, line "{shown}"\n'
        assert (done.returncode, done.stdout.count(text)) == (70, 1), line
        assert done.stdout.count("Running") == 1
        assert [m[2] for m in q.sink.messages][0].endswith(
            b"\r\nA: b\r\nC: d\r\n\r\nbody\r\n"), line
        assert names(mqueue) == []


def test_cut_off_in_a_header(queue):  # noqa: F811
    """That is no whole file: it is left, as one that ends between lines."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob@y.test"])
    spoil(mqueue / "qfX1", "\n.\n", "\nH??Subj")
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.stdout == (
        f'\nRunning {mqueue}/X1 (sequence 1 of 1)\nheader syntax error, line '
        '"?"\nreadqf: ./qfX1: incomplete queue file read\n')
    assert (done.returncode, names(mqueue)) == (70, ["dfX1", "qfX1"])


def test_addresses_that_were_accepted(queue):  # noqa: F811
    """By another program: nobody but the next hop may refuse them now."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    odd = ["bob.@y.test", ".bob@y.test", "bo..b@y.test", "v" * 70 + "@y.test"]
    put(mqueue, "qfX1", odd)
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == sorted(odd)


def test_names_without_a_domain(queue):  # noqa: F811
    """They are this host's, also when the entry was tried before."""
    q = queue([])
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob", "<carol>"])
    spoil(mqueue / "qfX1", "\nSa@", "\nS<alice>\nEa@")
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert "${sendq}" in (mqueue / "qfX1").read_text()
    heard = []
    q.up(refuse=lambda verb, words: heard.append(words))
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert [w.split(">")[0] + ">" for w in heard if isinstance(w, str) and
            "<" in w] == ["From:<alice@q.test>", "To:<bob@q.test>",
                          "To:<carol@q.test>"]


def test_directories_by_name(queue):  # noqa: F811
    """d. is the base; of one that there is not, nothing but Running is said,
    as of a file with nothing in it."""
    q = queue([])
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["bob@y.test"], extra="d.\n")
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["bob@y.test"] and names(mqueue) == []
    put(mqueue, "qfX2", ["bob@y.test"], extra="dnowhere\n")
    (mqueue / "qfX3").write_text("")
    (mqueue / "qfX3").chmod(0o600)
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert sorted(re.sub(r"sequence [12]", "", line)
                  for line in done.stdout.splitlines()) == [
        "", "", f"Running {mqueue}/X2 ( of 2)", f"Running {mqueue}/X3 ( of 2)"]
    assert done.returncode == 0
    assert names(mqueue) == ["QfX2", "dfX2", "qfX3"]


def test_fields_that_sendmail_drops(queue):  # noqa: F811
    """What we queued ourselves goes out as it came, and all its header is in
    the control file, where sendmail looks for it."""
    q = queue([])
    mqueue = q.path / "mqueue"
    mqueue.mkdir(mode=0o700)
    text = ("From: a@x.test\nDate: Mon, 2 Nov 2026 10:00:00 +0000\n"
            "Message-Id: <1@x.test>\nContent-Length: 5\nStatus: RO\n\nbody\n")
    assert q.run("-odq", f"-oQ{mqueue}", "-f", "a@x.test", "bob@y.test",
                 input=text).returncode == 0
    control = next(mqueue.glob("qf*")).read_text(encoding="latin-1")
    assert "\nH?${sendq}?Content-Length: 5\nH??Status: RO\n" in control
    assert next(mqueue.glob("df*")).read_text() == "body\n"
    q.up()
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert q.sink.messages[0][2].endswith(
        b"\r\nContent-Length: 5\r\nStatus: RO\r\n\r\nbody\r\n")
