"""One queue directory, two programs: what either wrote, the other lists and
delivers, also both at once. Called by run.py."""
import os
import re
import subprocess

from apart import apart
from harness import wait_until
from mqueue_kit import (Hop, Ours, Real, copy_queue, differences, left,
                        new_queue, path_of, same_mail)
from mqueue_fill import fill

CHECKS = []
# Of both programs at work in one directory.
TOGETHER = 500


def check(*peers):
    """Marks a check that needs PEERS and that gets a directory of its own."""
    def add(function):
        CHECKS.append((f"mqueue_{function.__name__}",
                       lambda world: function(world.place), peers))
        return function
    return add


# What callers hand in: (options, message). Each message has a length of its
# own, and with it a priority: the order of equal ones is not defined.
LONG = b"".join(b"word%d " % n for n in range(150))
MESSAGES = [
    (["-f", "alice@x.test", "bob@y.test"], b"Subject: plain\n\nbody\n"),
    (["-f", "alice@x.test", "bob@y.test", "carol@z.test", "dave@y.test"],
     b"Subject: three\n\nbody of three\n"),
    (["-f", "<>", "bob@y.test"], b"Subject: null\n\nno sender\n"),
    (["-f", "alice@x.test", "-N", "success,delay", "-R", "hdrs", "-V",
      "env-77+3D1", "bob@y.test", "carol@y.test"],
     b"Subject: reports\n\nwith parameters\n"),
    (["-f", "alice@x.test", "-N", "never", "-R", "full", "bob@y.test"],
     b"Subject: never\n\nno report ever\n"),
    (["-f", "alice@x.test", "-B", "8BITMIME", "bob@y.test"],
     "Subject: =?utf-8?q?x?=\nMIME-Version: 1.0\n"
     "Content-Type: text/plain; charset=utf-8\n\ngr\u00fc\u00df\n".encode()),
    (["-f", "alice@x.test", "bob@y.test"],
     "Subject: raw gr\u00fc\u00df \u2013 \u0081\n\nb\u00f6dy\n".encode()),
    (["-f", "alice@x.test", "bob@y.test"],
     b"Subject: latin\nX-Bytes: \x80\x9f\xa0\xff\n\n\x80\x9f\xa0\xff\n"),
    (["-f", "alice@x.test", "-t", "-i"],
     b"Subject: of the header\nTo: Bob (there) <bob@y.test>,\n"
     b"\tCarol <carol@z.test>\nCc: \"D, ave\" <dave@y.test>\n"
     b"Bcc: eve@y.test\n\n.\n..\n.x\nend\n"),
    (["-f", "alice@x.test", "-F", "Al I. Ce", "bob@y.test"],
     b"To: bob@y.test\nSubject: folded\n by\n\tthree\n lines\n\nbody\n\n\n"),
    (["-f", "alice@x.test", "bob@y.test"], b"Subject: empty\n\n"),
    (["-f", "alice@x.test", "bob@y.test"],
     b"Subject: no end of line\n\nfrom here to there"),
    (["-f", "alice@x.test", "bob@y.test"],
     b"Subject: long\n\n" + LONG[:985] + b"\n" + LONG[:700] + b"\n"),
    (["-f", "alice@x.test", "bob@y.test"],
     b"Subject: other line ends\r\n\r\nline\r\nand\nlf\r\n"),
    (["-f", "\"al ice\"@x.test", "\"bo b\"@y.test"],
     b"Subject: quoted\nFrom: Al <alice@x.test>\nPrecedence: bulk\n\nx\n"),
    (["-f", "alice@x.test", *(f"u{n:03}@y.test" for n in range(130))],
     b"Subject: many\n\nto more than go into one transaction\n"),
    (["-f", "alice@x.test", "bob@y.test"], b"Subject: large\n\n" +
     b"".join(b"line %d of a message that is longer than a buffer\n" % n
              for n in range(1500))),
    (["-f", "alice." * 9 + "a@" + "x." * 9 + "test", "bob." * 15 + "b@y.test",
      "bob@" + "y." * 40 + "test"], b"Subject: long names\n\nlong\n"),
    (["-f", "alice@x.test", "bob@y.test"],
     b"From here on: no header\nbut a body\n"),
    (["-f", "alice@x.test", "bob@y.test"],
     b"Subject: length\nContent-Length: 12\nStatus: RO\n\nwith a length\n"),
    (["-f", "alice@x.test", "-h", "3", "-p", "ESMTP:far.test",
      "bob@y.test"], b"Received: by one\nReceived: by two\n"
     b"Return-Path: <q@q>\nResent-From: <c@x.test>\nSubject: received\n\nx\n"),
]

TRIED_SELECTIONS = [[], ["-v"], ["-qRcarol"], ["-v", "-q!Salice"]]
RUN_SELECTIONS = [["-qI{I}"], ["-qRcarol"], ["-qS<>"], ["-q!Salice"],
                  ["-qSalice", "-qRdave"]]

# What -bp is asked for; {I} is an id, {P} a part of some ids.
SELECTIONS = [
    [], ["-v"], ["-qI{I}"], ["-qIqf{I}"], ["-qI{P}"], ["-qI"],
    ["-qSalice"], ["-qSALICE@x"], ["-qS<>"], ["-q!Salice"], ["-qRcarol"],
    ["-qRz.TEST"], ["-q!Rbob"], ["-q!Rcarol"], ["-q!I{I}"],
    ["-qRbob", "-qRcarol"], ["-qSalice", "-qRcarol"],
    ["-qSalice", "-qRcarol", "-qI{I}"], ["-q!I{I}", "-q!Rbob"], ["-qR.*@y"],
    ["-qQ"], ["-v", "-qQ"], ["-qQspam"], ["-qQSPAM"], ["-q!Qspam"], ["-qL"],
    ["-v", "-qL"], ["-qRPFD"], ["-OQueueSortOrder=time"], ["-bp", "extra"],
]

DIALOGUE = [
    "EHLO client.test",
    "MAIL FROM:<alice@x.test> RET=FULL ENVID=env-77+3D1 BODY=8BITMIME "
    "AUTH=alice+2Bx@x.test",
    "RCPT TO:<bob@y.test> NOTIFY=SUCCESS,DELAY "
    "ORCPT=rfc822;Bob+2Bx@orig.test",
    "RCPT TO:<carol@y.test> NOTIFY=NEVER",
    "RCPT TO:<Dave.D@y.test>",
    "DATA", None,
    "MAIL FROM:<> AUTH=<>",
    "RCPT TO:<bob@y.test>",
    "DATA", None, "QUIT"]


def speak(program, queue):
    """Hands in by -bs: each command after the reply to the one before."""
    process = program.start("-bs", "-odq", f"-oQ{queue}",
                            stdin=subprocess.PIPE)
    for line in DIALOGUE:
        while True:
            reply = process.stdout.readline()
            assert reply[:1] in (b"2", b"3"), reply
            if reply[3:4] == b" ":
                break
        text = line.encode() if line else b"Subject: spoken\r\n\r\n..x\r\n."
        process.stdin.write(text + b"\r\n")
        process.stdin.flush()
    assert process.stdout.read().startswith(b"221")
    assert process.wait(20) == 0


def write_all(program, queue):
    for arguments, message in MESSAGES:
        program.good("-odq", f"-oQ{queue}", *arguments, data=message)
    speak(program, queue)


def ids_of(queue, prefix="qf"):
    return [n[2:] for n in left(queue) if n.startswith(prefix)]


def id_with(queue, text, prefix="qf"):
    """The entry with TEXT in its control file."""
    found = [f.name[2:] for f in sorted(queue.glob(f"{prefix}*"))
             if text in f.read_bytes()]
    assert len(found) == 1, (text, found)
    return found[0]


def compare_lists(real, ours, queue, selections=SELECTIONS):
    """Both print the same, to the byte."""
    one = (ids_of(queue) or ids_of(queue, "Qf") or ids_of(queue, "hf"))[0]
    wrong = []
    for words in selections:
        words = [w.format(I=one, P=one[:8]) for w in words]
        # The load of this machine is no matter: it is 8 by default, and 1000
        # in the real one's configuration.
        words = ["-OQueueLA=1000", *words]
        theirs = real.call("-bp", f"-oQ{queue}", *words)
        mine = ours.call("-bp", f"-oQ{queue}", *words)
        if (mine.stdout, mine.returncode) != (theirs.stdout,
                                              theirs.returncode):
            wrong.append(f"{words}: {mine.returncode}, "
                         f"{theirs.returncode}\n" + first_difference(
                             mine.stdout, theirs.stdout))
    assert not wrong, "\n".join(wrong)


def first_difference(mine, theirs):
    mine, theirs = mine.split(b"\n"), theirs.split(b"\n")
    for n in range(max(len(mine), len(theirs))):
        one, other = mine[n:n + 1], theirs[n:n + 1]
        if one != other:
            return f"line {n}: sendq {mine[n:n + 3]}\n" \
                   f"     sendmail {theirs[n:n + 3]}"
    return "the same text"


def deliver(program, queue, *arguments, answers=None, status=0):
    """What arrives of a run in the foreground."""
    with Hop(answers) as hop:
        result = program.call("-v", "-q", f"-oQ{queue}", *arguments)
        assert result.returncode == status, \
            (program.name, result.returncode, result.stdout[-2000:])
        return hop.mails


def compare_runs(real, ours, queue, *arguments, is_exact=True, status=0):
    """Both deliver the same from the same directory, to the byte if what is
    there was written by the real one: it folds lists of addresses. STATUS is
    ours: the real one forgets a failure with the next entry that is well."""
    copy = copy_queue(queue, queue.name + "-copy")
    mine = deliver(ours, queue, *arguments, status=status)
    theirs = deliver(real, copy, *arguments)
    assert theirs, "nothing to compare"
    wrong = differences(same_mail(mine), same_mail(theirs))
    assert not wrong, wrong
    mine, theirs = ({m[2] for m in mails} for mails in (mine, theirs))
    assert mine == theirs or not is_exact, (mine - theirs, theirs - mine)
    return copy


@check("sendmail")
def real_to_ours(place):
    """The real one queued, nothing tried it yet."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    compare_lists(real, ours, queue)
    copy = compare_runs(real, ours, queue)
    assert left(queue) == left(copy) == []


@check("sendmail")
def real_tried(place):
    """What the real one could not deliver: all of it while the next hop was
    down, then some recipients."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    real.good("-qf", f"-oQ{queue}")
    compare_lists(real, ours, queue, TRIED_SELECTIONS)
    answers = {"carol@": "451 4.2.0 try later",
               "dave@": "452 4.2.2 mailbox is full"}
    deliver(real, queue, answers=answers)
    assert len(ids_of(queue)) == 4, left(queue)
    compare_lists(real, ours, queue, TRIED_SELECTIONS)
    copy = compare_runs(real, ours, queue)
    assert left(queue) == left(copy) == []


@check("sendmail")
def ours_tried(place):
    """The same, but our program tried first: the real one lists what we
    noted, and delivers the rest."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    ours.good("-qf", f"-oQ{queue}")
    compare_lists(real, ours, queue, TRIED_SELECTIONS)
    answers = {"carol@": "451 4.2.0 try later",
               "dave@": "452 4.2.2 mailbox is full"}
    deliver(ours, queue, answers=answers)
    assert len(ids_of(queue)) == 4, left(queue)
    text = real.good("-bp", f"-oQ{queue}")
    assert b"451 4.2.0 try later" in text, text
    compare_lists(real, ours, queue, TRIED_SELECTIONS)
    copy = compare_runs(real, ours, queue)
    assert left(queue) == left(copy) == []


@check("sendmail")
def selected_runs(place):
    """Runs of a part of the queue take the same part."""
    real, ours = Real(), Ours(place)
    base = new_queue(place, "base")
    write_all(real, base)
    one = ids_of(base)[0]
    for number, words in enumerate(RUN_SELECTIONS):
        words = [w.format(I=one) for w in words]
        queue = copy_queue(base, f"queue{number}")
        copy = compare_runs(real, ours, queue, *words)
        assert left(queue) == left(copy), words


def said(program, queue, *arguments, answers=None):
    """What -v shows, but for what each knows alone: its name, and how it
    reckons sizes."""
    with Hop(answers):
        text = program.call("-v", "-q", f"-oQ{queue}", *arguments).stdout
    text = re.sub(rb"(?m)^>>> EHLO .*", b">>> EHLO me", text)
    text = re.sub(rb" SIZE=[0-9]+", b"", text)
    return re.sub(rb"^Running \S*/", b"Running ", text, flags=re.M)


@check("sendmail")
def run_order(place):
    """A run takes the entries by the priorities in their files; those of the
    same the real one takes as the directory has them."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    rank = {name.encode(): int(re.search(
        rb"(?m)^P(-?[0-9]+)", (queue / f"qf{name}").read_bytes())[1])
            for name in ids_of(queue)}
    copy = copy_queue(queue, "copy")
    mine, theirs = (
        re.findall(rb"(?m)^Running (\S+) (.*)", said(program, where))
        for program, where in ((ours, queue), (real, copy)))
    assert sorted(m[0] for m in mine) == sorted(t[0] for t in theirs)
    mine, theirs = ([(rank[name], text) for name, text in lines]
                    for lines in (mine, theirs))
    assert mine == theirs, (mine, theirs)


# What the next hop says to some recipient of the messages that run apart.
TALKS = [{}, {"bob@": "451 4.2.0 try later"},
         {"carol@": "450 4.2.1 mailbox is busy"}]


def bare(text):
    """Recipients by their addresses alone: the real program shows what the
    queue file has ("<a@b>", "Name <a@b>"), ours does not keep that."""
    lines = []
    for line in text.splitlines():
        who, dots, what = line.partition(b"... ")
        if dots and not line.startswith(b">>> "):
            who = re.sub(rb'(?:"[^"]*"|[^",<>]*) ?<([^<>]*)>', rb"\1", who)
        lines.append(who + dots + what)
    return b"\n".join(lines)


@check("sendmail")
def verbose_runs(place):
    """The dialogue of a run, entry by entry."""
    real, ours = Real(), Ours(place)
    base = new_queue(place, "base")
    write_all(real, base)
    many = id_with(base, b"u100@y.test")
    wrong = []
    for number, name in enumerate(i for i in ids_of(base) if i != many):
        queue = copy_queue(base, f"queue{number}")
        copy = copy_queue(base, f"copy{number}")
        answers = TALKS[number % len(TALKS)]
        mine = bare(said(ours, queue, f"-qI{name}", answers=answers))
        theirs = bare(said(real, copy, f"-qI{name}", answers=answers))
        if mine != theirs:
            wrong.append(f"{name}, {answers}: " +
                         first_difference(mine, theirs))
    mine, theirs = (
        said(program, copy_queue(base, program.name), f"-qI{many}")
        for program in (ours, real))
    if mine != theirs:
        wrong.append(first_difference(mine, theirs))
    assert not wrong, "\n".join(wrong)


@check("sendmail")
def bare_cr(place):
    """A carriage return inside a line is no reason to return a message that
    the real program would deliver."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    real.good("-odq", f"-oQ{queue}", "-f", "a@x.test", "bob@y.test",
              data=b"Subject: progress\n\n10 %\r20 %\rdone\n")
    mails = deliver(ours, queue)
    assert [m[1] for m in mails] == [["To:<bob@y.test>"]], mails
    assert re.search(rb"10 %\s+20 %\s+done", mails[0][2]), mails


@check("sendmail")
def refused(place):
    """A recipient that is refused for good is returned, once, and the others
    get theirs."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    real.good("-odq", f"-oQ{queue}", "-f", "alice@x.test", "bob@y.test",
              "nobody@y.test", data=b"Subject: x\n\nbody\n")
    copy = copy_queue(queue, "copy")
    answers = {"nobody@": "550 5.1.1 no such user"}
    for program, where in ((ours, queue), (real, copy)):
        mails = deliver(program, where, answers=answers, status=67)
        mails += deliver(program, where)
        whom = sorted((path_of(m[0])[0], path_of(r)[0])
                      for m in mails for r in m[1])
        assert whom == [("", "alice@x.test"), ("alice@x.test", "bob@y.test")]
        report = next(m[2] for m in mails if path_of(m[0])[0] == "")
        for field in (b"Final-Recipient: RFC822; nobody@y.test",
                      b"Status: 5.1.1", b"Action: failed"):
            assert field.lower() in report.lower(), (program.name, report)
        assert left(where) == []


@check("sendmail")
def quarantine(place):
    """What one sets aside by -Q, the other lists, keeps, and frees."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    held = id_with(queue, b"Subject: plain")
    other = id_with(queue, b"Subject: null")
    real.good("-Qlooks like spam" + 9 * ", really", f"-qI{held}",
              f"-oQ{queue}")
    ours.good("-Qours too", f"-qI{other}", f"-oQ{queue}")
    assert sorted(ids_of(queue, "hf")) == sorted([held, other]), left(queue)
    compare_lists(real, ours, queue)
    copy = compare_runs(real, ours, queue)
    assert left(queue) == left(copy) == sorted(
        p + i for i in (held, other) for p in ("df", "hf"))
    compare_lists(real, ours, queue, [
        ["-qQ"], ["-v", "-qQ"], ["-qQlooks"], ["-qQours"], ["-q!Qours"], []])
    for program, where in ((ours, queue), (real, copy)):
        program.good("-Q", "-qQ", f"-oQ{where}")
    copy = compare_runs(real, ours, queue)
    assert left(queue) == left(copy) == []


@check("sendmail")
def quarantine_words(place):
    """-v -Q says what it did."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    copy = copy_queue(queue, "copy")
    one = ids_of(queue)[0]
    for words in (["-Qfirst", f"-qI{one}"], ["-Qfirst", "-qQ"],
                  ["-Qsecond", "-qQ"], ["-Qx", "-qInothing"],
                  ["-Q", "-qQsecond"], ["-Q", "-qQ"], ["-Q."],
                  ["-Qx", "-qL"]):
        mine = ours.call("-v", f"-oQ{queue}", *words)
        theirs = real.call("-v", f"-oQ{copy}", *words)
        assert (mine.returncode, mine.stdout.replace(b"queue", b"copy")) == \
            (theirs.returncode, theirs.stdout.replace(b"queue", b"copy")), \
            (words, mine, theirs)


@check("sendmail")
def lost(place):
    """Entries that must not run become Qf, for either; -qL shows them."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    write_all(real, queue)
    bad = id_with(queue, b"Subject: plain")
    control = queue / f"qf{bad}"
    control.write_bytes(control.read_bytes().replace(b"\nN0\n", b"\nY?\n"))
    copy = compare_runs(real, ours, queue, status=os.EX_SOFTWARE)
    for where in (queue, copy):
        assert left(where) == [f"Qf{bad}", f"df{bad}"], left(where)
    for where in (queue, copy):
        compare_lists(real, ours, where, [[], ["-qL"], ["-v", "-qL"]])


@check("sendmail")
def subdirectories(place):
    """QueueDirectory=.../q*, one of them with qf/, df/ and xf/."""
    real, ours = Real(), Ours(place)
    base = new_queue(place, "base")
    for name in ("q1", "q2/qf", "q2/df", "q2/xf", "q3/qf"):
        (base / name).mkdir(mode=0o700, parents=True)
    write_all(real, base / "q*")
    for words in ([], ["-v"], ["-qRcarol"], ["-q!Salice"]):
        mine = ours.good("-bp", "-OQueueLA=1000", f"-oQ{base}/q*", *words)
        theirs = real.good("-bp", f"-oQ{base}/q*", *words)
        assert mine == theirs, (words, mine, theirs)
    copy = copy_queue(base, "copy")
    mine = deliver(ours, base / "q*")
    theirs = deliver(real, copy / "q*")
    wrong = differences(same_mail(mine), same_mail(theirs))
    assert theirs and not wrong, wrong
    files = [f for where in (base, copy) for f in where.rglob("*")
             if not f.is_dir()]
    assert files == []


SETTINGS = """spool = "mqueue:{queue}"
retry-min = "1h"
retry-max = "1h"
"""


@check("sendmail")
def ours_to_real(place):
    """Our daemon queues in a directory of sendmail's; the real one lists it
    and delivers it all."""
    real = Real()
    queue = new_queue(place, "queue")
    ours = Ours(place, SETTINGS.format(queue=queue))
    ours.daemon.start()
    for arguments, message in MESSAGES:
        ours.good(*arguments, data=message)
    ours.daemon.send("alice@x.test", ["bob@y.test"], HEAD + b"by SMTP\r\n")
    assert ours.daemon.stop() == 0
    assert len(ids_of(queue)) == len(MESSAGES) + 1
    assert not [n for n in left(queue) if n[:2] not in ("qf", "df")]
    compare_lists(real, ours, queue)
    # What the real one notes of its tries, we read, and the other way round.
    for program in (real, ours):
        program.good("-qf", f"-oQ{queue}")
        compare_lists(real, ours, queue, TRIED_SELECTIONS)
    copy = compare_runs(real, ours, queue)
    assert left(queue) == left(copy) == []


HEAD = (b"From: <alice@x.test>\r\nTo: <bob@y.test>\r\n"
        b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\n"
        b"Message-Id: <one@x.test>\r\nSubject: \xc3\xa4\r\n\r\n")


@check("sendmail")
def daemon_asked(place):
    """Our daemon has the directory; a run that it is asked for takes what the
    real one queued there in the meantime."""
    real = Real()
    queue = new_queue(place, "queue")
    ours = Ours(place, SETTINGS.format(queue=queue))
    ours.daemon.start()
    write_all(real, queue)
    count = len(ids_of(queue))
    with Hop() as hop:
        ours.good("-v", "-q")
        assert len({m[2] for m in hop.mails}) == count, len(hop.mails)
    assert left(queue) == []
    assert ours.daemon.stop() == 0


@check("sendmail")
def daemon_not_asked(place):
    """Within a minute the daemon sees it without being asked; the real one
    has a part of it first."""
    real = Real()
    queue = new_queue(place, "queue")
    ours = Ours(place, SETTINGS.format(queue=queue))
    # Those spoken are two more. The daemon's first look may find some already:
    # were the next hop not up by then, it would not be tried for an hour.
    count = len(MESSAGES) + 2
    with Hop() as hop:
        ours.daemon.start()
        write_all(real, queue)
        real.good("-qf", "-qRcarol", f"-oQ{queue}")
        assert sum("carol@" in r for m in hop.mails for r in m[1]) == 4
        wait_until("all of it", lambda: not left(queue), 75)
        assert len({m[2] for m in hop.mails}) == count, \
            (count, same_mail(hop.mails), ours.daemon.log()[-9000:])
        rcpts = [(m[2], r) for m in hop.mails for r in m[1]]
        assert len(rcpts) == len(set(rcpts))
    assert ours.daemon.stop() == 0


@check("sendmail")
def export(place):
    """sendqctl export: from our spool to sendmail's queue, and import."""
    real = Real()
    queue = new_queue(place, "queue")
    ours = Ours(place, "retry-min = \"1h\"\nretry-max = \"1h\"\n")
    ours.daemon.start()
    for arguments, message in MESSAGES:
        ours.good(*arguments, data=message)
    ours.daemon.stop()
    ours.daemon.run("sendqctl", "export", queue)
    assert len(ids_of(queue)) == len(MESSAGES)
    assert "is empty" in ours.daemon.run("mailq").stdout
    compare_lists(real, ours, queue)
    back = copy_queue(queue, "back")
    compare_runs(real, ours, queue, is_exact=False)
    theirs = deliver(real, copy_queue(back, "again"))
    ours.daemon.run("sendqctl", "import", back)
    assert left(back) == []
    with Hop() as hop:
        ours.good("-q")
        wrong = differences(same_mail(hop.mails), same_mail(theirs))
    assert not wrong, wrong


def run_both(queue, first, second):
    with Hop() as hop:
        runs = [program.start("-qf", f"-oQ{queue}")
                for program in (first, second)]
        for run in runs:
            run.communicate(timeout=60)
        last = first.call("-qf", f"-oQ{queue}")
        numbers = sorted(int(re.search(rb"number (\d+)\r", m[2])[1])
                         for m in hop.mails)
    assert numbers == list(range(TOGETHER)), \
        (len(numbers), len(set(numbers)), last.stdout[-500:])
    assert left(queue) == []


def together(place, first, second):
    """Two runs of one directory at once, twice: each message arrives once."""
    queue = new_queue(place, "queue")
    for _ in range(2):
        apart(fill, queue, TOGETHER)
        apart(run_both, queue, first, second)


@check("sendmail")
def both_at_once(place):
    together(place, Real(), Ours(place))


@check("sendmail")
def ours_twice_at_once(place):
    together(place, Ours(place), Ours(place, name="second"))


@check("sendmail")
def daemon_and_real_at_once(place):
    """The same with our daemon, which does not end by itself."""
    real = Real()
    queue = new_queue(place, "queue")
    ours = Ours(place, SETTINGS.format(queue=queue))
    apart(fill, queue, TOGETHER)
    with Hop() as hop:
        run = real.start("-qf", f"-oQ{queue}")
        ours.daemon.start()
        run.communicate(timeout=60)
        wait_until("an empty directory", lambda: not left(queue), 75)
        numbers = sorted(int(re.search(rb"number (\d+)\r", m[2])[1])
                         for m in hop.mails)
    assert numbers == list(range(TOGETHER)), (len(numbers), len(set(numbers)))
    assert ours.daemon.stop() == 0
