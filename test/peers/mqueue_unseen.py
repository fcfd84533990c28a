"""Random directories (mqueue_random.py), listed, run and steered by the real
program and by ours: both print, send and leave the same. What is different on
purpose (doc/decisions/0041 and 0045) is taken out here, where it is named."""
import os
import random
import re
import shutil

from mqueue import bare, check, compare_lists, first_difference
from mqueue_kit import (Hop, Ours, Real, copy_queue, left, new_queue, path_of)
from mqueue_random import Entries

# One chosen, one that is new each time.
SEEDS = [int(os.environ.get("SEED", 20261122)), random.randrange(1 << 30)]
# As in the real one's configuration.
NO_NOTICE = 'delay-notice = "0"\n'
ORDERS = ["priority", "host", "time", "filename", "modification"]
ANSWERS = [{}, {}, {"carol@": "451 4.2.0 try later"},
           {"bob": "450 4.2.1 mailbox is busy"}]


def seeded(function):
    """Runs the check once for each seed, and says which one failed."""
    def run(place):
        for n, seed in enumerate(SEEDS):
            here = place / str(n)
            here.mkdir()
            here.chmod(0o755)
            try:
                function(here, seed)
            except AssertionError as error:
                raise AssertionError(f"SEED={seed}: {error}") from None
    run.__name__ = function.__name__
    return check("sendmail")(run)


def limits(rng, names):
    """Options of -bp or -q that select some. Brackets of addresses are not
    kept where a run looks."""
    words = []
    for _ in range(rng.choice([0, 1, 1, 2])):
        name = rng.choice(names)
        words.append("-q" + rng.choice(["", "", "!"]) + rng.choice([
            "I" + name, "I" + name[:9], "Iqf", "Salice", "S<>", "SAL",
            "Rbob", "RY.TEST", "Rcarol", "Rtest", "Qspam", "Q"]))
    return words


def views(rng, names):
    """What -bp is asked for."""
    found = [["-v"], ["-v", "-qQ"], ["-qL"], ["-OTimeZoneSpec=XYZ-5"],
             ["-OQueueSortOrder=" + rng.choice(ORDERS)],
             ["-OMinQueueAge=1h"], ["-OQueueLA=0", "-OQueueFactor=50000"],
             [f"-OMaxQueueRunSize={rng.randrange(1, 9)}"]]
    return found + [rng.choice([[], ["-v"]]) + limits(rng, names)
                    for _ in range(5)]


@seeded
def unseen_lists(place, seed):
    """Good and broken entries are listed the same, to the byte."""
    entries = Entries(seed)
    real, ours = Real(), Ours(place, NO_NOTICE)
    for count in (0, 1, entries.rng.randrange(2, 30)):
        queue = new_queue(place, f"queue{count}")
        names = [entries.good(queue, entries.rng.choice(["qf", "qf", "hf"]))
                 for _ in range(count)]
        for _ in range(count // 2):
            entries.odd(queue)
        if names:
            compare_lists(real, ours, queue, views(entries.rng, names))
        else:
            assert ours.good("-bp", f"-oQ{queue}") == \
                real.good("-bp", f"-oQ{queue}")


def sent(mails):
    """What arrived but for reports: {(sender and parameters, content):
    recipients}. SIZE is reckoned in other ways."""
    found = {}
    for mail, rcpts, content in mails:
        if path_of(mail)[0] == "" and b"MAILER-DAEMON" in content:
            continue
        key = (path_of(mail.replace("@ours.test", "@real.test")), content)
        found.setdefault(key, []).extend(path_of(r) for r in rcpts)
    return {key: sorted(rcpts) for key, rcpts in found.items()}


def run(program, queue, *words, answers=None):
    """(what arrived, what -v showed, exit status)."""
    with Hop(answers) as hop:
        result = program.call("-v", "-q", f"-oQ{queue}", *words)
    text = re.sub(rb"(?m)^>>> EHLO .*", b">>> EHLO me", result.stdout)
    text = re.sub(rb" SIZE=[0-9]+", b"", text)
    text = re.sub(rb"(?m)^Running \S*/", b"Running ", text)
    text = text.replace(b"@ours.test", b"@real.test")
    # The words of addresses, and headers that are none, are told before.
    return sent(hop.mails), bare(text), result.returncode


@seeded
def unseen_runs(place, seed):
    """Good entries are sent the same, and what is left is the same."""
    entries = Entries(seed)
    rng = entries.rng
    real, ours = Real(), Ours(place, NO_NOTICE)
    queue = new_queue(place, "queue")
    names = [entries.good(queue) for _ in range(12)]
    for words, answers in ((limits(rng, names), rng.choice(ANSWERS)),
                           (limits(rng, names), rng.choice(ANSWERS)),
                           ([], {})):
        copy = copy_queue(queue, "copy")
        mine, said, _ = run(ours, queue, *words, answers=answers)
        theirs, said_there, _ = run(real, copy, *words, answers=answers)
        for key in set(mine) | set(theirs):
            assert mine.get(key) == theirs.get(key), \
                (words, answers, key[0], key[1][:200], mine.get(key),
                 theirs.get(key), said[-900:], said_there[-900:])
        assert left(queue) == left(copy), (words, left(queue), left(copy))
        # Each program goes on with what the other one has left.
        shutil.rmtree(queue)
        queue = copy.rename(queue)
        if rng.random() < 0.5:
            real, ours = ours, real
    assert left(queue) == []


@seeded
def unseen_words(place, seed):
    """What -v shows of each entry by itself, the exit status, and what is in
    the listing afterwards."""
    entries = Entries(seed, is_plain=True)
    real, ours = Real(), Ours(place, NO_NOTICE)
    for _ in range(8):
        queue = new_queue(place, "queue")
        entries.good(queue)
        copy = copy_queue(queue, "copy")
        answers = entries.rng.choice(ANSWERS)
        _, mine, status = run(ours, queue, answers=answers)
        _, theirs, status_there = run(real, copy, answers=answers)
        assert (mine, status) == (theirs, status_there), \
            first_difference(mine, theirs)
        assert left(queue) == left(copy)
        if left(queue):
            compare_lists(real, ours, queue, [["-v"]])
        shutil.rmtree(copy)


@seeded
def unseen_quarantine(place, seed):
    """-Q takes the same entries out of the queue and puts them back."""
    entries = Entries(seed)
    rng = entries.rng
    real, ours = Real(), Ours(place, NO_NOTICE)
    queue = new_queue(place, "queue")
    names = [entries.good(queue, rng.choice(["qf", "qf", "hf"]))
             for _ in range(10)]
    copy = copy_queue(queue, "copy")
    for _ in range(8):
        words = [rng.choice(["-Q", "-Qspam", "-Qnew reason", "-Qvirus"])]
        words += ["-qQ"] * (words == ["-Q"]) + limits(rng, names)
        mine = ours.call("-v", f"-oQ{queue}", *words)
        theirs = real.call("-v", f"-oQ{copy}", *words)
        said, said_there = (sorted(r.stdout.replace(b"/copy", b"/queue")
                                   .splitlines()) for r in (mine, theirs))
        assert (said, mine.returncode) == (said_there, theirs.returncode), \
            (words, said, said_there)
        assert left(queue) == left(copy), (words, left(queue), left(copy))
    for name in left(queue):
        # Ours leaves other line ends as they are.
        mine, theirs = ((q / name).read_bytes().replace(b"\r\n", b"\n")
                        for q in (queue, copy))
        assert mine == theirs, (name, first_difference(mine, theirs))
