"""Recipients that are aliases by the time when they are tried: mail of other
programs, mail that was queued before its alias was there; and sendmail -n."""
import pytest
from harness import RELAY, waiting, wait_until
from test_run_parts import names, put, sent
from test_runs import Queue
from test_submit import dropped, hand_in

ALIASES = """\
many: ann@y.test, bob@y.test
list: carl@y.test, many
owner-list: boss@y.test
self: self@al.test, dora@y.test
loop: pool
pool: loop
"""


class Place(Queue):
    """q.test has aliases and nothing else; al.test is routed, with aliases."""

    def __init__(self, path, messages=()):
        self.aliases = path / "aliases"
        self.aliases.write_text("")
        super().__init__(path, messages, head=RELAY, settings="")
        self.settings = RELAY + f'''
route = ( {{ domain = "y.test"; to = "smtp://127.0.0.1:{self.port}" }},
  {{ domain = "x.test"; to = "smtp://127.0.0.1:{self.port}" }},
  {{ domain = "al.test"; to = "smtp://127.0.0.1:{self.port}" }} )
aliases = "{self.aliases}"
alias-domains = [ "q.test", "al.test" ]
'''
        self.daemon.write_config(self.settings)

    def queue(self, *messages, text=b"Subject: x\r\n\r\nhi\r\n"):
        self.daemon.start()
        for sender, recipients in messages:
            self.daemon.send(sender, recipients, text)
        self.daemon.stop()

    def up(self, **options):
        self.aliases.write_text(ALIASES)
        return super().up(**options)


@pytest.fixture
def queue(tmp_path):
    made = []

    def make(**options):
        made.append(Place(tmp_path, **options))
        return made[-1]
    yield make
    for q in made:
        q.close()


def senders(q):
    return {r: m[0] for m in q.sink.messages for r in m[1]}


def test_of_another_program(queue):
    """In a run of a queue of sendmail's: a list, beside others."""
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["list", "eve@y.test", "ann@y.test"])
    done = q.run("-v", "-q", f"-oQ{mqueue}")
    assert done.returncode == 0, done.stdout
    assert (f"\nRunning {mqueue}/X1 (sequence 1 of 1)\n"
            in done.stdout)
    assert ("\nlist@q.test... aliased to carl@y.test, ann@y.test, bob@y.test\n"
            in done.stdout)
    assert sent(q) == ["ann@y.test", "bob@y.test", "carl@y.test", "eve@y.test"]
    assert senders(q)["carl@y.test"] == "owner-list@q.test"
    assert senders(q)["ann@y.test"] == "a@x.test"
    assert names(mqueue) == []


def test_what_came_of_an_alias_stays(queue):
    """Flag A: sendmail has expanded it; so has ours what it writes itself."""
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["self@al.test"])
    text = (mqueue / "qfX1").read_text()
    (mqueue / "qfX1").write_text(text.replace("RPFD:self", "RPFDA:self"))
    put(mqueue, "qfX2", ["self@al.test"])
    assert q.run("-q", f"-oQ{mqueue}").returncode == 0
    assert sent(q) == ["dora@y.test", "self@al.test", "self@al.test"]
    assert names(mqueue) == []


def test_of_another_program_in_a_daemon(queue):
    """Without a run: an alias is expanded, who is none is unknown."""
    q = queue()
    q.up()
    mqueue = q.path / "mqueue"
    put(mqueue, "qfX1", ["many", "nobody"])
    q.daemon.write_config(q.settings + f'spool = "mqueue:{mqueue}"\n')
    q.daemon.start()
    wait_until("an empty queue", lambda: names(mqueue) == [])
    assert "5.1.1" in q.daemon.log()


def test_queued_before_its_alias(queue):
    """On a spool of ours; a circle waits and says so."""
    q = queue()
    q.queue(("s@x.test", ["many@al.test", "loop@al.test"]))
    assert waiting(q.daemon) == 1
    q.up()
    done = q.run("-v", "-q")
    assert done.returncode == 0
    assert "loop@al.test... Deferred: 451 4.3.0 alias pool goes round in a " \
        "circle\n" in done.stdout
    assert sent(q) == ["ann@y.test", "bob@y.test"]
    listed = q.daemon.run("mailq").stdout
    assert "loop@al.test" in listed and "many@al.test" not in listed
    q.aliases.write_text("loop: dora@y.test\n")
    assert q.run("-q").returncode == 0
    assert sent(q) == ["ann@y.test", "bob@y.test", "dora@y.test"]
    assert waiting(q.daemon) == 0


@pytest.mark.parametrize("is_up", [True, False])
def test_no_aliasing(queue, is_up):
    """sendmail -n, taken by a daemon or left for one: the recipient stays as he
    is, also in a later run."""
    q = queue()
    q.aliases.write_text(ALIASES)
    # Once, so that there is a drop directory.
    q.daemon.start()
    if not is_up:
        q.daemon.stop()
    assert hand_in(q.daemon, "-n", "many@al.test").returncode == 0
    if not is_up:
        assert len(dropped(q.daemon)) == 1
        q.daemon.start()
    wait_until("the message is taken in", lambda: dropped(q.daemon) == [])
    q.up()
    assert q.run("-q").returncode == 0
    assert sent(q) == ["many@al.test"]


def test_no_aliasing_of_nobody(queue):
    q = queue()
    q.aliases.write_text(ALIASES)
    q.daemon.start()
    done = hand_in(q.daemon, "-n", "-oeq", "many@q.test")
    assert done.returncode == 67


@pytest.mark.parametrize("kind", ["spool", "mqueue"])
def test_large(queue, kind):
    """Content that is on the disk all the time: whole, once to each."""
    body = b"".join(b"%07d abcdefghijklmnopqrstuvwxyz\r\n" % n
                    for n in range(90000))
    q = queue()
    mqueue = q.path / "mqueue"
    if kind == "mqueue":
        put(mqueue, "qfX1", ["many@al.test"],
            body=body.decode().replace("\r\n", "\n"))
    else:
        q.queue(("s@x.test", ["many@al.test"]), text=b"Subject: x\r\n\r\n" + body)
    q.up()
    where = [f"-oQ{mqueue}"] if kind == "mqueue" else []
    assert q.run("-q", *where).returncode == 0
    assert sent(q) == ["ann@y.test", "bob@y.test"]
    for _, _, content in q.sink.messages:
        assert content.split(b"\r\n\r\n", 1)[1] == body
    if kind == "mqueue":
        assert names(mqueue) == []
    else:
        assert waiting(q.daemon) == 0
        assert list((q.daemon.spool / "big").iterdir()) == []
