"""Queue directories that nobody has thought of: entries of sendmail's queue
made of random parts, by a seed. Good ones may be run; broken ones only be
looked at. What both programs do with them is compared by mqueue_unseen.py."""
import os
import random
import time

from mqueue_fill import queue_id

NOW = int(time.time())
VERSIONS = ["V8"] * 8 + ["V7", "V6", "V5", "V4", "V2", "V08", "V8x"]
# The first PLAIN ones have no more than a name and brackets.
PLAIN = 6
SENDERS = ["alice@x.test", "<alice@x.test>", "Al <alice@x.test>", "<>",
           "ALICE@X.TEST", '"al ice"@x.test',
           '"Al, I" <alice@x.test>', "alice@x.test (Al)", "MAILER-DAEMON",
           "<@r1.test,@r2.test:alice@x.test>", "alice%q@x.test",
           "a" * 50 + "@" + "x." * 20 + "test", "alice@x.test.", "alice @ x.test"]
RECIPIENTS = ["bob@y.test", "<eve@w.test>", "Gil <gil@y.test>",
              '"bo b"@y.test', "carol@z.test", "BOBBY@Y.TEST",
              "<@r1.test:bob@y.test>", "<bob@y.test>", "Bob <bob@y.test>",
              "bob%z.test@y.test", "BOB@Y.TEST", "dave@y.test (Dave)",
              "=?utf-8?q?=C3=A4?= <frank@w.test>",
              "b" * 60 + "@" + "y." * 30 + "test", "bob@y.test.",
              "bob(here)@y.test", "bob.@y.test", "bo..b@y.test",
              "v" * 70 + "@y.test", "<bob@y.test >"]
LETTERS = ["PFD", "PFD", "PFD", "", "P", "PN", "PNS", "PNSFD", "PND", "PNFD",
           "NF", "PFDA", "PFDx", "PNSB"]
NO_HEADERS = ["H??no colon", "H?Pno end: x"]
HEADERS = ["H??Subject: plain", "HX-Bare: no condition", "H??X-Empty:",
           "H??X-Folded: a\n\tb\n c\n   d", "H??X-Gap: a\n \n b",
           "H??X-Raw: gr\xc3\xbc\xc3\xff\x9f \xa0\xff\xff",
           "H?M?Message-Id: <1@x.test>", "H?P?X-Never: a", "H?x?X-Never: b",
           "H?Pm?X-Some: c", "H??Return-Path: <q@q>", "H??Bcc: e@w.test",
           "H?x?Full-Name: Al", "H??Content-Length: 7", "H?$r?X-Proto: d",
           "H?${daemon_flags}?X-Flags: e", "H?${none}?X-Never: f",
           "H??Received: by r.test\n\tid x", "H??Precedence: bulk",
           "H??X-Blank : g", "H??Resent-To: h@y.test", *NO_HEADERS,
           "H??X-Cr: a\rb", "H??X-Tab:\tt\tu",
           "H??To: bob@y.test (Bob), \"C, D\" <c@z.test>",
           "H??X-Long: " + "word " * 150]
BODIES = [b"", b"text\n", b"no end", b".\n..\n.x\n...\n", b"From x\n>From y\n",
          b"\n\n\n", b"\x80\x9f\xa0\xff\n", b"a  \nb\t\n", b"\nbegins\n",
          b"tab\tformfeed\f\n", b"line of text\n" * 400, b"y" * 1500 + b"\n"]
STATUSES = ["Deferred: Connection refused by y.test.", "hello", "",
            "Deferred: 451 4.2.0 try later", "m" * 150, "with (brackets)",
            "percent %s and \\ back"]
REASONS = ["spam suspicion", "virus", "", "r" * 150, "Virus in (part 2)"]
EXTRA = ["$_root@localhost", "${daemon_flags}c u", "$rESMTP", "$shelo.test",
         "${if_addr}127.0.0.1", "${none}", "Zenv-77+3D1", "Zid", "A<>",
         "Aalice+2Bx@x.test", "E", "Lx", "I8/1/12345", "B7BIT", "B8BITMIME"]
BROKEN = [b"Xwhat\n", b"V9\n", b"\n", b"BFUNNY\n", b"Aa b\n", b"From x\n",
          b".\nmore\n", b"#x\n", b"dnowhere\n", b"Rno colon\n", b"RPFD:\n"]
NAMES = ["X1", "a-b.c_1", "MAA20989", "AA12345", "x" * 18, "x" * 19, "x" * 30]


def number(rng):
    """Of a P line."""
    return rng.choice([30041 + rng.randrange(90000), -rng.randrange(200000),
                       rng.randrange(1 << 31), 0])


def recipient_lines(rng, end):
    for text in rng.sample(RECIPIENTS[:end], rng.choice([1, 1, 1, 2, 3, 6])):
        if rng.random() < 0.2:
            yield "M" + rng.choice(STATUSES)
        if rng.random() < 0.15:
            yield "Qrfc822;" + rng.choice(["Bob+2Bx@orig.test", "b@o.test"])
        if rng.random() < 0.7:
            yield "rRFC822; bob@y.test"
        yield f"R{rng.choice(LETTERS)}:{text}"


def control_lines(rng, reason, is_plain):
    """Those of a control file that both programs take."""
    end = PLAIN if is_plain else None
    lines = [f"T{NOW - 60 - rng.randrange(80000)}",
             f"K{rng.choice([0, NOW - 60])}", f"N{rng.randrange(4)}",
             f"P{number(rng)}"]
    lines += [line for line in EXTRA if rng.random() < 0.2]
    if reason is not None:
        lines.append("q" + reason)
    if rng.random() < 0.4:
        lines.append("M" + rng.choice(STATUSES))
    flags = "".join(c for c in "w8bdns" if rng.random() < 0.3)
    if flags or rng.random() < 0.5:
        lines.append("F" + flags)
    lines.append("S" + rng.choice(SENDERS[:end]))
    # Of a q behind S the real -Q says more than it does.
    if rng.random() < 0.2 and reason is None:
        rng.shuffle(lines)
    lines += recipient_lines(rng, end)
    lines.append("H?P?Return-Path: <\x81g>")
    fields = rng.sample(HEADERS, rng.randrange(8))
    lines += [f for f in fields if not (is_plain and f in NO_HEADERS)]
    return [rng.choice(VERSIONS), *lines, "."]


def control_bytes(rng, reason=None, is_plain=False):
    end = rng.choice(["\n"] * 9 + ["\r\n"])
    lines = control_lines(rng, reason, is_plain)
    return "".join(line.replace("\n", end) + end
                   for line in lines).encode("latin-1")


def break_bytes(rng, data):
    """DATA, damaged."""
    kind = rng.randrange(5)
    at = rng.randrange(len(data) + 1)
    if kind == 0:
        return data[:at]
    start = data.rfind(b"\n", 0, at) + 1
    if kind == 1:
        return data[:start] + rng.choice(BROKEN) + data[start:]
    end = data.find(b"\n", at) + 1 or len(data)
    if kind == 2:
        return data[:start] + data[end:]
    if kind == 3:
        return data[:start] + data[start:end] * 2 + data[end:]
    return data + rng.choice([b"x\n", b".\n", b"\n"])


class Entries:
    """Puts entries into directories, one after the other."""

    def __init__(self, seed, is_plain=False):
        """IS_PLAIN: what -v shows of them is the same for both programs."""
        self.rng = random.Random(seed)
        self.is_plain = is_plain
        self.count = 0

    def put(self, directory, name, data, mode=0o600):
        path = directory / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        os.fchmod(descriptor, mode)
        os.write(descriptor, data)
        os.close(descriptor)
        when = NOW - 600 - self.rng.randrange(100000)
        os.utime(path, (when, when))

    def name(self):
        self.count += 1
        return queue_id(NOW - self.count, self.rng.randrange(100000))

    def good(self, directory, prefix="qf"):
        """An entry that both programs run; its id."""
        name = self.name()
        reason = self.rng.choice(REASONS) if prefix == "hf" else None
        self.put(directory, prefix + name,
                 control_bytes(self.rng, reason, self.is_plain))
        self.put(directory, "df" + name, self.rng.choice(BODIES))
        return name

    def odd(self, directory):
        """One that is only to be listed."""
        rng = self.rng
        name = rng.choice(NAMES) + str(self.count) \
            if rng.random() < 0.3 else self.name()
        self.count += 1
        prefix = rng.choice(["qf"] * 6 + ["hf", "Qf", "tf", "xf", "Tf", "lf"])
        reason = rng.choice(REASONS) if rng.random() < 0.2 else None
        data = control_bytes(rng, reason)
        is_broken = rng.random() < 0.6 or b"H??no" in data or b"?Pno" in data
        if is_broken:
            data = break_bytes(rng, data)
        mode = rng.choice([0o600] * 5 + [0o640, 0o660, 0o666])
        self.put(directory, prefix + name, data, mode)
        # Where there is no data file the real one reads on while it prints,
        # says in the middle of a line what it finds broken, and renames it.
        if is_broken or mode & 0o022 or rng.random() < 0.7:
            self.put(directory, "df" + name, rng.choice(BODIES))
