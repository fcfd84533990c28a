"""Fills a queue directory with entries as sendmail writes them, fast."""
import os
import time

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwx"
CONTROL = """V8
T{created}
K0
N0
P{priority}
Fs
$_root@localhost
${{daemon_flags}}c u
Ssender{number}@site{site:04}.test
Asender{number}@site{site:04}.test
rRFC822; user{number}@site{site:04}.test
RPFD:user{number}@site{site:04}.test
H?P?Return-Path: <\x81g>
H??Received: (from root@localhost)
\tby mail.test (8.17.1/8.17.1/Submit) id {id};
\t{date}
H?D?Date: {date}
H?F?From: sender{number}@site{site:04}.test
H?M?Message-Id: <{id}@mail.test>
H??Subject: message {number}
.
"""


def queue_id(created, number):
    """A name as sendmail makes them; NUMBER takes the place of a process."""
    t = time.gmtime(created)
    letters = "".join(DIGITS[n] for n in (
        (t.tm_year - 1900) % 60, t.tm_mon - 1, t.tm_mday, t.tm_hour, t.tm_min,
        t.tm_sec, number // 60 % 60, number % 60))
    return f"{letters}{number:06}"


def write(path, text):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, text.encode("latin-1"))
    os.close(descriptor)


def fill(directory, count, size=0, sites=200, first=0):
    """COUNT messages with a line "number N" and a body of at least SIZE."""
    created = int(time.time()) - 60
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(created))
    filler = "x" * 71 + "\n"
    for number in range(first, first + count):
        name = queue_id(created, number)
        body = f"number {number}\n" + filler * (size // len(filler))
        write(f"{directory}/df{name}", body)
        write(f"{directory}/qf{name}", CONTROL.format(
            created=created, priority=30000 + number, number=number,
            site=number % sites, id=name, date=date))
