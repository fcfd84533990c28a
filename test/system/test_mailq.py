"""mailq, sendmail -bp, -bP and -Q on queues in sendmail's own format, compared
with what the real program printed (test/corpus/transcripts), to the byte.

A transcript is of a queue of which the corpus has only some entries.  The
others are made anew from the listings themselves: the verbose listing has all
that a listing needs.  Every entry that the corpus does have is compared from
the real file.

What is different on purpose, and is left out here or put right:

- -qI looks for its text in any case (issue: as the older descriptions say), so
  "-qI6allDv" finds what the real program does not.
- Entries of the same priority come in the order of the directory, which is
  nobody's promise: such are put in order before they are compared.
- -Am is left out of the commands (it is accepted); paths are the test's own.
- A listing "X" depends on the load of the machine: the factor is set so that
  any load is too high.  "-" depends on the clock: the minimum age is set so
  that any age is too young.
- Debian's mailq has headings of its own (MSP, MTA): only the queue is taken.
- hoststat: ours has what the daemon knows, not files.
"""
import fcntl
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import BIN, ROOT, tool

CORPUS = ROOT / "test" / "corpus"
TRANSCRIPTS = CORPUS / "transcripts"
HEAD = re.compile(r"-----Q-ID----- .*\n")
# Years that no test waits for.
OLD = "-OMinQueueAge=5000w"


def transcript(name):
    return (TRANSCRIPTS / f"{name}.txt").read_text()


def commands(name):
    """[(command, output, status)] of a transcript; None = not recorded."""
    found = []
    for part in re.split(r"(?m)^\$ ", transcript(name))[1:]:
        command, _, output = part.partition("\n")
        status = None
        match = re.search(r"(?m)^\[?rc=(\d+)\]?$\n?", output)
        if match:
            output, status = output[:match.start()], int(match.group(1))
        found.append((command, output, status))
    return found


def output_of(name, command):
    return next(o for c, o, _ in commands(name) if c == command)


class Entry:
    """One entry of a listing: its id and its lines."""

    def __init__(self, text):
        self.text = text
        self.id = re.match(r"\w{14}", text).group()


def split_listing(text):
    """(heading, [Entry], what follows) of the listing of one directory."""
    head = HEAD.search(text)
    if head is None:
        return text, [], ""
    end = text.find("\t\tTotal requests", head.end())
    if end < 0:
        end = len(text)
    body = text[head.end():end]
    parts = re.split(r"(?m)^(?=6\w{13}[ *X?-] )", body)
    return text[:head.end()], [Entry(p) for p in parts if p], text[end:]


def priorities():
    """{id: priority} of all that the verbose listings show."""
    text = transcript("mailq-full-v") + transcript("mailq-markers")
    found = re.findall(r"(?m)^(6ALL\w{10}).[ \d]{8} +(-?\d+)[ +][A-Z]", text)
    return {id: int(p) for id, p in found} | {"6ALLFs1A020207": 30071}


def in_order(text, priority):
    """TEXT with entries of the same priority in order of their ids."""
    head, entries, tail = split_listing(text)
    keys = [priority[e.id] for e in entries]
    assert keys == sorted(keys), text
    entries.sort(key=lambda e: (priority[e.id], e.id))
    return head + "".join(e.text for e in entries) + tail


def read_control(path):
    return [line for line in path.read_bytes().split(b"\n") if line]


def write_entry(queue, entry, priority, attempted=1795296000, prefix="qf"):
    """A control file and a data file that are listed as the verbose ENTRY."""
    lines = entry.text.splitlines()
    first = re.match(r"\w+.([ \d]{8}) +(-?\d+)([ +])(\w{3} \d\d) "
                     r"(\d\d):(\d\d) (.*)", lines[0])
    day = {"Nov 21": 1795219200}[first.group(4)]
    created = day + int(first.group(5)) * 3600 + int(first.group(6)) * 60 + 7
    control = ["V8", f"T{created}", f"K{attempted}", "N1", f"P{priority}"]
    rest, sender = [], f"S{first.group(7)}"
    for line in lines[1:]:
        if line.startswith("     QUARANTINE: "):
            control.append("q" + line[17:])
        elif line.startswith("\t\t (") and rest:
            # A recipient's status stands before it in the file.
            rest.insert(len(rest) - 1, "M" + line[4:-1])
        elif line.startswith("\t\t\t\t\t\t(---"):
            rest.append("C" + line[10:-4])
        elif line.startswith("\t\t\t\t\t\t"):
            rest.append("RPFD:" + line[6:])
        else:
            body, status = re.match(r" {4}(.{0,10})(?:   \((.*)\))?$",
                                    line).groups()
            if body.strip():
                control.append("B" + body.strip())
            if status:
                control.append("M" + status)
    control.append("Fwbs" if first.group(3) == "+" else "Fbs")
    control += [sender, *rest, "H??Subject: x", "."]
    (queue / (prefix + entry.id)).write_text("\n".join(control) + "\n")
    with (queue / ("df" + entry.id)).open("wb") as data:
        data.truncate(int(first.group(1)))


@pytest.fixture
def corpus(place):
    subprocess.run([CORPUS / "unpack", place / "corpus"], check=True)
    return place / "corpus"


class Queue:
    """A queue directory below a place that stands for /var/spool."""

    def __init__(self, place, name):
        self.spool = place
        self.path = place / name
        self.path.mkdir(mode=0o700, exist_ok=True)

    def run(self, program, *arguments, **options):
        environment = dict(os.environ, TZ="UTC",
                           SENDQ_CONFIG="/nonexistent/sendq.conf")
        return tool(program, *arguments, check=False, env=environment,
                    **options)

    def text(self, program, *arguments):
        """What is printed, with the paths of the transcripts, on a machine
        that is never too busy."""
        result = self.run(program, f"-oQ{self.path}", "-OQueueLA=1000000",
                          *arguments)
        assert result.stderr == ""
        return result.stdout.replace(str(self.spool), "/var/spool")


@pytest.fixture
def queue(place):
    return lambda name="mqueue": Queue(place, name)


@pytest.fixture
def full(queue):
    """The queue of 55 messages of mailq-full-v."""
    q = queue()
    priority = priorities()
    _, entries, _ = split_listing(transcript("mailq-full-v"))
    assert len(entries) == 55
    for entry in entries:
        write_entry(q.path, entry, priority[entry.id])
    return q


def test_real_files_are_listed_as_in_the_transcripts(corpus, queue):
    q = queue("mqueue")
    shutil.rmtree(q.path)
    shutil.copytree(corpus / "flat", q.path)
    compared = 0
    for name, options in (("mailq-full", ()), ("mailq-full-v", ("-v",)),
                          ("mailq-basic", ())):
        text = transcript(name)
        if name == "mailq-basic":
            text = output_of(name, "sendmail -Am -bp extra args")
        _, theirs, _ = split_listing(text)
        _, ours, _ = split_listing(q.text("mailq", *options))
        both = {e.id for e in theirs} & {e.id for e in ours}
        assert (sorted(e.text for e in theirs if e.id in both) ==
                sorted(e.text for e in ours if e.id in both))
        compared += len(both)
    assert compared >= 80


def test_the_full_listing(full):
    priority = priorities()
    for name, options in (("mailq-full", ()), ("mailq-full-v", ("-v",))):
        expected = transcript(name).partition("\n")[2].replace("rc=0\n", "")
        assert (in_order(full.text("mailq", *options), priority) ==
                in_order(expected, priority))
    assert (full.text("mailq") == full.text("sendmail", "-bp") ==
            full.text("sendmail", "-Am", "-bp", "extra", "args"))


def test_marks(full):
    """X and -, in plain and verbose listings, with a selection."""
    _, entries, _ = split_listing(output_of(
        "mailq-markers", "mailq -v -OMinQueueAge=1h -qRdefer"))
    late = next(e for e in entries if e.id == "6ALLFsbl020209")
    write_entry(full.path, late, 120172)
    priority = priorities()
    cases = [
        ("mailq -OQueueLA=0 -OQueueFactor=100000 -qSalice -qRother.test",
         ["-OQueueLA=0", "-OQueueFactor=1", "-qSalice", "-qRother.test"]),
        ("mailq -OMinQueueAge=1h -qRdefer", [OLD, "-qRdefer"]),
        ("mailq -v -OMinQueueAge=1h -qRdefer", ["-v", OLD, "-qRdefer"]),
    ]
    for command, options in cases:
        assert (in_order(full.text("mailq", *options), priority) ==
                in_order(output_of("mailq-markers", command), priority))


def test_what_is_locked_is_marked(full):
    """flock by another program, but neither its shared kind nor fcntl's."""
    path = full.path / "qf6ALLEWQr015098"
    text = transcript("mailq-markers")
    locked = text[text.index("# * marker"):]
    locked = locked[locked.index("\t\t"):locked.index("$ sendmail")]
    free = locked.replace("15098*", "15098 ")
    option = "-qI6ALLEWQr015098"
    with path.open("r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert full.text("mailq", option) == locked
        fcntl.flock(f, fcntl.LOCK_UN)
        assert full.text("mailq", option) == free
        fcntl.flock(f, fcntl.LOCK_SH)
        assert full.text("mailq", option) == free
        fcntl.flock(f, fcntl.LOCK_UN)
        fcntl.lockf(f, fcntl.LOCK_EX)
        assert full.text("mailq", option) == free


def test_empty_and_missing_queues(queue):
    q = queue("qempty")
    for command in ("/usr/libexec/sendmail/mailq -Am "
                    "-OQueueDirectory=/var/spool/qempty",
                    "sendmail -Am -bp -v -OQueueDirectory=/var/spool/qempty"):
        expected = output_of("mailq-basic", command)
        assert q.text("mailq", "-Am") == expected
        assert q.text("sendmail", "-Am", "-bp", "-v") == expected
    q.path = q.spool / "nosuchdir"
    result = q.run("sendmail", "-bp", f"-OQueueDirectory={q.path}")
    assert result.returncode == 78
    assert result.stdout.replace(str(q.spool), "/var/spool") == output_of(
        "mailq-basic",
        "sendmail -Am -bp -OQueueDirectory=/var/spool/nosuchdir")
    assert not q.path.exists()


def test_several_directories_and_groups(corpus, queue):
    q = queue("mq2")
    shutil.rmtree(q.path)
    shutil.copytree(corpus / "subdirs", q.path)
    # These came in after the listing was made.
    for name in ("q2/qf/qf6ALLHSC6028630", "slow1/qf6ALLHSC5028630"):
        (q.path / name).unlink()
    priority = {path.name[2:]: int(line[1:]) for path in q.path.rglob("qf?*")
                if path.is_file()
                for line in read_control(path) if line.startswith(b"P")}

    def sections(text):
        """The listings of the directories, each in order; what follows."""
        parts = re.split(r"(?m)^(?=\t\t/)", text)
        return [in_order(p, priority) for p in parts]

    expected = transcript("mailq-subdirs")
    whole = expected[expected.index("\t\t/"):expected.index("rc=0")]
    assert sections(q.text("mailq")) == sections(whole)
    slow = output_of("mailq-subdirs", "mailq -qGslow")
    assert sections(q.text("mailq", "-qGslow")) == sections(slow)
    pattern = Queue(q.spool, "mq2")
    pattern.path = q.path / "q*"
    text = pattern.text("mailq")
    assert "slow1" not in text and "Total requests: 8\n" in text
    assert sections(pattern.text("mailq", "-qGslow")) == sections(slow)
    assert pattern.text("mailq", "-qGmqueue") == text.split("\t\tTotal")[0]
    result = q.run("mailq", f"-oQ{q.path}", "-qGnosuch")
    assert (result.stdout, result.returncode) == next(
        (o, s) for c, o, s in commands("mailq-subdirs")
        if c == "mailq -qGnosuch")


def selection_queue(queue):
    """The queue of selection.txt: real files where there are some."""
    q = queue("qsel")
    _, listed, _ = split_listing(output_of(
        "selection",
        "sendmail -Am -bp -OQueueDirectory=/var/spool/qsel -qI"))
    ids = {e.id for e in listed}
    _, verbose, _ = split_listing(transcript("mailq-full-v"))
    priority = priorities()
    for entry in verbose:
        if entry.id in ids:
            write_entry(q.path, entry, priority[entry.id])
    flat = CORPUS / "flat"
    for id in ids:
        if (flat / f"qf{id}").exists():
            for prefix in ("qf", "df"):
                shutil.copy(flat / (prefix + id), q.path)
    assert len(list(q.path.glob("qf*"))) == len(ids) == 7
    return q


def test_selection(queue):
    q = selection_queue(queue)
    compared = 0
    for command, expected, status in commands("selection"):
        words = command.split()
        if words[0] != "sendmail" or words[-1] == "-qI6allDv":
            continue
        options = words[4:]
        assert q.text("sendmail", "-bp", *options) == expected, command
        assert status == 0
        compared += 1
    assert compared == 16
    assert q.text("sendmail", "-bp", "-qS<>") == output_of(
        "mailq-basic", "sendmail -Am -bp -oQ/var/spool/qsel -qS<>")
    # The one that is different.
    assert q.text("sendmail", "-bp", "-qI6allDv") == q.text(
        "sendmail", "-bp", "-qI6ALLDv")
    assert q.text("mailq").endswith(
        transcript("selection").split("MTA Queue status...\n")[1]
        .split("[rc=0]")[0])


def test_quarantine(corpus, queue):
    q = queue("mqueue")
    _, verbose, _ = split_listing(output_of(
        "quarantine", "sendmail -bp -v -qQ"))
    for entry in verbose:
        entry.text = re.sub(r"(?m)^     QUARANTINE: .*\n", "", entry.text)
        write_entry(q.path, entry, 30119 if "0R01" in entry.id else 30123)
    before = {p.name: p.read_bytes() for p in q.path.iterdir()}
    options = {
        'sendmail -v "-Qspam suspicion" -qI<id>':
            ["-v", "-Qspam suspicion", "-qI6ALLDw0R013745"],
    }
    for command, expected, status in commands("quarantine"):
        words = options.get(command,
                            command.partition("   (")[0].split()[1:])
        result = q.run("sendmail", f"-oQ{q.path}", "-OQueueLA=1000000",
                       *words)
        text = (result.stdout + result.stderr).replace(str(q.spool),
                                                       "/var/spool")
        assert (text, result.returncode) == (expected, status), command
        assert {p.name[:2] for p in q.path.iterdir()} <= {"qf", "hf", "df"}
    q.text("sendmail", "-Q", "-qQ")
    assert {p.name: p.read_bytes() for p in q.path.iterdir()} == before


def test_quarantine_writes_the_line_of_the_real_program(corpus, queue):
    """The corpus has a message that it put into quarantine itself."""
    q = queue("mqueue")
    shutil.copy(corpus / "flat" / "hf6ALLDw0R013745", q.path)
    shutil.copy(corpus / "flat" / "df6ALLDw0R013745", q.path)
    theirs = (q.path / "hf6ALLDw0R013745").read_bytes()
    assert q.text("sendmail", "-Q", "-qQspam") == ""
    assert b"\nq" not in (q.path / "qf6ALLDw0R013745").read_bytes()
    assert q.text("sendmail", "-Qspam suspicion", "-qI6ALLDw0R") == ""
    lines = read_control(q.path / "hf6ALLDw0R013745")
    assert sorted(lines) == sorted(theirs.splitlines())
    assert lines[lines.index(b"Salice@example.com") - 1] == b"qspam suspicion"


def test_quarantine_passes_over_what_it_cannot_change(corpus, queue):
    q = queue("mqueue")
    for name in ("qf6ALLDvRC012936", "df6ALLDvRC012936"):
        shutil.copy(corpus / "damaged" / "00-control-good" / name, q.path)
    control = q.path / "qf6ALLDvRC012936"
    with control.open("r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert q.text("sendmail", "-v", "-Qx", "-qI") == (
            "Processing /var/spool/mqueue:\n6ALLDvRC012936: locked\n"
            "Skipping ./6ALLDvRC012936\nNo changes\n")
    # A file that a writer left behind, and one that it still works on.
    stale = q.path / "tf6ALLDvRC012936"
    stale.write_text("V8\n")
    with stale.open("r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        assert q.text("sendmail", "-Qx", "-qI") == (
            "Skipping ./6ALLDvRC012936: Could not open "
            "./tf6ALLDvRC012936: "
            "File exists\n")
        assert control.exists()
    control.chmod(0o640)
    assert q.text("sendmail", "-v", "-Qx", "-qI").endswith("1 change\n")
    assert not stale.exists() and not control.exists()
    hold = q.path / "hf6ALLDvRC012936"
    assert hold.stat().st_mode & 0o777 == 0o640
    # What is not whole, or not to be believed, stays as it is.
    whole = ": Incomplete file: ./qf6ALLDvRC012936"
    for case, reason in (("02-truncated-in-recipients", whole),
                         ("04-qf-zero-length", ""), ("14-no-S-line", whole),
                         ("16-world-writable-qf", ""),
                         ("24-binary-garbage", whole),
                         ("36-no-dot-but-newline", whole)):
        hold.unlink(missing_ok=True)
        control.unlink(missing_ok=True)
        shutil.copy(corpus / "damaged" / case / control.name, control)
        data = control.read_bytes()
        assert q.text("sendmail", "-v", "-Qx", "-qI") == (
            "Processing /var/spool/mqueue:\n"
            f"Skipping ./6ALLDvRC012936{reason}\nNo changes\n"), case
        assert control.read_bytes() == data and not hold.exists()
    # What would only not be sent can be stopped, and comes back as it was.
    for case in ("06-unknown-code-letter", "12-From-spoof-line",
                 "20-bad-B-line", "22-bad-recipient-syntax"):
        shutil.copy(corpus / "damaged" / case / control.name, control)
        data = control.read_bytes()
        assert q.text("sendmail", "-v", "-Qx", "-qI").endswith("1 change\n")
        assert hold.exists() and not control.exists()
        assert q.text("sendmail", "-v", "-Q", "-qQ").endswith("1 change\n")
        assert control.read_bytes() == data and not hold.exists()
    # One that lost its reason is released too.
    control.rename(hold)
    assert q.text("sendmail", "-v", "-Q", "-qQ").endswith("1 change\n")
    assert control.exists()


def test_lost_files(corpus, queue):
    q = queue("qsel")
    for path in (corpus / "damaged" / "38-Qf-lost-file").iterdir():
        shutil.copy(path, q.path)
    prefix = "sendmail -Am -OQueueDirectory=/var/spool/qsel "
    assert q.text("sendmail", "-bp") == output_of("lost", prefix + "-bp")
    assert q.text("sendmail", "-bp", "-qL") == output_of(
        "lost", prefix + "-bp -qL")
    result = q.run("sendmail", f"-oQ{q.path}", "-Qx", "-qL")
    assert (result.stdout + result.stderr, result.returncode) == next(
        (o, s) for c, o, s in commands("lost") if c == prefix + "-Qx -qL")


def test_counts(queue):
    q = selection_queue(queue)
    assert q.text("sendmail", "-bP") == output_of("mailq-basic",
                                                  "sendmail -Am -bP")
    (q.path / "qf6ALLDvRC012936").unlink()
    (_, expected, _), = commands("bP")
    assert q.text("sendmail", "-bP", "-OSharedMemoryKey=4243") == expected
    for path in q.path.glob("qf*"):
        path.unlink()
    assert q.text("sendmail", "-bP", "-OSharedMemoryKey=4243") == (
        "/var/spool/qsel is empty\n")


@pytest.mark.skipif(os.getuid() != 0, reason="becomes nobody")
def test_nobody_may_look_only_where_he_may_read(queue):
    q = queue("mqueue")
    os.chmod(q.spool, 0o755)
    nobody = {"user": 65534, "group": 65534, "extra_groups": [],
              "cwd": "/"}
    result = q.run("sendmail", "-bp", f"-oQ{q.path}", **nobody)
    expected = next(o for c, o, _ in commands("nonroot"))
    text = result.stdout + result.stderr
    assert text.replace(str(q.spool), "/var/spool") == expected
    assert result.returncode == 78
    result = q.run("sendmail", f"-oQ{q.path}", "-Qx", "-qI1", **nobody)
    assert (result.stdout, result.returncode) == next(
        (o, s) for c, o, s in commands("nonroot") if c.endswith("-Qx -qI1"))
    os.chmod(q.path, 0o755)
    entry = Entry("6ALLDvRC012936       41      30107 Nov 21 21:13 a@b\n"
                  "\t\t\t\t\t\tb@c\n")
    write_entry(q.path, entry, 30107)
    os.chmod(q.path / "qf6ALLDvRC012936", 0o644)
    result = q.run("mailq", "-v", f"-oQ{q.path}", **nobody)
    assert entry.text in result.stdout
    os.chmod(q.path / "qf6ALLDvRC012936", 0o600)
    result = q.run("mailq", f"-oQ{q.path}", **nobody)
    assert "\n6ALLDvRC012936 (permission denied)\n" in result.stdout


GOOD = ("       23 Sat Nov 21 21:13 alice@example.com\n"
        "\t\t\t\t\t bob@dest.test\n")
DAMAGED = {
    "00-control-good": GOOD,
    "02-truncated-in-recipients": GOOD.replace("bob@dest.test", "bob@d"),
    "04-qf-zero-length": "  (no control file)\n",
    "06-unknown-code-letter": GOOD,
    "08-tf-left-with-qf": GOOD,
    "12-From-spoof-line": GOOD,
    "14-no-S-line": " \n\t\t\t\t\t bob@dest.test\n",
    "16-world-writable-qf": GOOD,
    "18-crlf-line-endings": GOOD,
    "20-bad-B-line": GOOD.replace("com\n", "com\n         FUNNY\n"),
    "22-bad-recipient-syntax": GOOD.replace("bob@dest.test",
                                            "bob@@dest..test <"),
    "28-qf-is-symlink": GOOD,
    "30-line-over-2048-in-R": GOOD.replace("bob@dest.test", "u" * 38),
    "32-old-T-beyond-queuereturn": GOOD.replace("Sat Nov 21 21",
                                                "Mon Sep 21 14"),
    "34-duplicate-S": GOOD.replace(
        "com\n", "com      23 Sat Nov 21 21:13 mallory@evil.test\n"),
    "36-no-dot-but-newline": GOOD,
    "40-qf-hardlinked-nlink2": GOOD,
}


def test_damaged_files_are_listed_as_far_as_they_go(corpus, queue):
    for case, expected in DAMAGED.items():
        q = Queue(corpus / "damaged", case)
        _, entries, tail = split_listing(q.text("mailq"))
        text = "".join(e.text for e in entries)
        assert text == "6ALLDvRC012936" + expected, case
        assert tail == "\t\tTotal requests: 1\n"
    q = Queue(corpus / "damaged", "24-binary-garbage")
    assert "Total requests: 1\n" in q.text("mailq")
    q = Queue(corpus / "damaged", "10-orphan-nf-df-tf-without-qf")
    assert q.text("mailq").endswith("is empty\n\t\tTotal requests: 0\n")


def test_what_is_no_control_file(queue):
    q = queue("mqueue")
    (q.path / "qf6ALLDvRC012936").mkdir()
    (q.path / "qfabcdefghijklmnopqrs").write_text("V8\n")
    os.mkfifo(q.path / "qffifo")
    (q.path / "qf6ALLDvRC012937").write_text("V8\nT1795295637\nSa\nRPFD:b\n")
    assert "30-" not in q.text("mailq")
    lines = sorted(q.text("mailq", "-v").splitlines())
    assert ("gatherq: qfabcdefghijklmnopqrs too long, 21 max characters" in
            lines)
    for name in ("qf6ALLDvRC012936", "qffifo"):
        assert (f"gatherq: /var/spool/mqueue/{name} is not a regular file" in
                lines)
    # As the real program complains of a data file that is not there.
    assert ("6ALLDvRC012937readqf: cannot open ./df6ALLDvRC012937: "
            "No such file or directory" in lines)
    assert "       -1 2147483647 Nov 21 21:13 a" in lines


def test_of_one_that_is_too_young_no_data_file_is_looked_for(queue):
    q = queue("mqueue")
    (q.path / "qf6ALLDvRC012937").write_text(
        f"V8\nT1795295637\nK{int(time.time()) - 1}\nN1\nP1\nSa@b\n"
        "RPFD:c@d\n.\n")
    lost = "readqf: cannot open ./df6ALLDvRC012937: No such file or directory"
    assert f"6ALLDvRC012937{lost}\n       -1 " in q.text("mailq")
    assert "6ALLDvRC012937-      -1 " in q.text("mailq", OLD)
    for limit in ((), ("-qIqf",)):
        assert re.search(
            r"\n6ALLDvRC0129376ALLDvRC012937: too young \(00:00:\d\d\)\n"
            r"-      -1          1 Nov 21 21:13 a@b\n",
            q.text("mailq", "-v", OLD, *limit))
    control = q.path / "qf6ALLDvRC012937"
    control.write_text(control.read_text().replace("N1", "N0"))
    assert f"6ALLDvRC012937{lost}\n       -1 " in q.text("mailq", OLD)


def test_zones(queue):
    q = queue("mqueue")
    (q.path / "qf6ALLDvRC012937").write_text(
        "V8\nT1795295637\nSa@b\nRPFD:c@d\n.\n")
    (q.path / "df6ALLDvRC012937").write_text("x")
    for zone, hour in (("-otUTC", 21), ("-OTimeZoneSpec=XYZ-2", 23),
                       ("-OTimeZoneSpec=XYZ+3", 18)):
        assert f"1 Sat Nov 21 {hour}:13 a@b" in q.text("mailq", zone)


def test_data_files_elsewhere(corpus, queue):
    """d names a directory of the queue; D, in version 0, another file."""
    q = queue("mq")
    for name in ("q1", "q2/qf", "q2/df"):
        (q.path / name).mkdir(parents=True)
    control = "V8\nT1795295637\nP1\ndq2\nSa@b\nRPFD:c@d\n.\n"
    (q.path / "q1" / "qf6ALLDvRC012936").write_text(control)
    (q.path / "q2" / "df" / "df6ALLDvRC012936").write_text("x" * 77)
    assert "6ALLDvRC012936       77 " in q.text("mailq")
    (q.path / "df6ALLDvRC012936").write_text("x" * 78)
    (q.path / "q1" / "qf6ALLDvRC012936").write_text(
        control.replace("dq2", "d."))
    assert "6ALLDvRC012936       78 " in q.text("mailq")
    for bad in ("d../q2", "dq1/../q2", "d..", "d"):
        (q.path / "q1" / "qf6ALLDvRC012936").write_text(
            control.replace("dq2", bad))
        assert "       -1 " in q.text("mailq")
    old = queue("old")
    (old.path / "qfAA00101").write_text("P1\nT696532598\nDdfAA00102\nSa\nRb\n")
    (old.path / "dfAA00102").write_text("x" * 9)
    assert "      AA00101        9 Mon Jan 27 17:16 a\n" in old.text("mailq")


def test_orders(full):
    _, entries, _ = split_listing(transcript("mailq-full-v"))
    by_name = [e.id for e in split_listing(
        full.text("mailq", "-OQueueSortOrder=filename"))[1]]
    assert by_name == sorted(e.id for e in entries)
    by_time = [e.text[24:36] for e in split_listing(
        full.text("mailq", "-OQueueSortOrder=time"))[1]]
    assert by_time == sorted(by_time)
    hosts = [re.search(r"\t\t.*@(.*)", e.text).group(1)[::-1].lower()
             for e in split_listing(full.text(
                 "mailq", "-OQueueSortOrder=host", "-qR@"))[1]]
    assert hosts == sorted(hosts)
    text = full.text("mailq", "-OMaxQueueRunSize=3")
    assert text.startswith(
        "\t\t/var/spool/mqueue (55 requests, only 3 printed)\n")
    assert len(split_listing(text)[1]) == 3


def test_a_listing_changes_nothing(full):
    def state():
        return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns,
                         p.stat().st_ctime_ns, p.stat().st_size)
                for p in full.path.iterdir()}

    before, directory = state(), full.path.stat().st_mtime_ns
    for options in ((), ("-v",), ("-qQ",), ("-qL",), ("-qSalice",)):
        full.text("mailq", *options)
    full.text("sendmail", "-bP")
    assert state() == before
    assert full.path.stat().st_mtime_ns == directory


def test_the_programs_are_one(full):
    """mailq is a name of sendmail."""
    assert (BIN / "mailq").resolve() == (BIN / "sendmail").resolve()


@pytest.mark.skipif(os.getuid() != 0, reason="becomes nobody")
@pytest.mark.parametrize("way", ["links", "hard link", "open to all"])
def test_root_is_not_led_to_other_places(corpus, queue, way):
    """Who may write to a queue directory changes nothing outside of it by what
    root does there."""
    q = queue("mqueue")
    os.chmod(q.spool, 0o755)
    other = q.spool / "other"
    other.mkdir(mode=0o700)
    control = other / "qf6ALLDvRC012936"
    shutil.copy(corpus / "damaged" / "00-control-good" / control.name, control)
    control.chmod(0o600)
    before = control.read_bytes()
    if way == "hard link":
        os.link(control, q.path / control.name)
    else:
        (q.path / "qf").symlink_to(other)
    if way == "open to all":
        q.path.chmod(0o1777)
    else:
        os.chown(q.path, 65534, 65534)
    result = q.run("sendmail", f"-oQ{q.path}", "-v", "-Qx", "-qI")
    assert control.read_bytes() == before
    assert "1 change" not in result.stdout
    assert [path.name for path in q.path.iterdir()] in (
        [], ["qf"], [control.name])
