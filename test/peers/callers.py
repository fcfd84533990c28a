"""Our sendmail as programs call it, beside the real one called the same way:
what is delivered, and what the exit status is. Called by run.py."""
import os
import pwd
import re
import shutil
import subprocess

import servers
from harness import BIN, wait_until
from mqueue import check
from mqueue_kit import (ENVIRONMENT, SECONDS, Hop, Ours, Real, new_queue,
                        path_of)

NAMED = b"From: Alice <alice@x.test>\n"
# (who calls so, options, message).
FORMS = [
    ("cron", ["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root@y.test"],
     "From: root (Cron Daemon)\nTo: root@y.test\nSubject: Cron <root@h> x\n"
     "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"
     "Content-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\n"
     "gr\u00fc\u00df\n.\n..\nend\n".encode()),
    ("at", ["-i", "root@y.test"], b"Subject: Output from your job 1\n"
     b"To: root@y.test\n\nx\n"),
    ("PHP", ["-t", "-i"], b"To: bob@y.test\r\nSubject: from PHP\r\n"
     b"X-PHP-Originating-Script: 0:x.php\r\nFrom: web@x.test\r\n\r\n"
     b"one\n.\ntwo"),
    ("PHP with a fifth argument", ["-t", "-i", "-fbounce@x.test"],
     b"To: bob@y.test\nSubject: x\nFrom: web@x.test\nCc: carol@y.test\n"
     b"Bcc: dave@z.test\n\nbody\n"),
    ("git send-email", ["-i", "bob@y.test", "carol@z.test"],
     NAMED + b"To: bob@y.test\nCc: carol@z.test\nSubject: [PATCH] x\n"
     b"Date: Mon,  2 Nov 2026 10:00:00 +0000\n"
     b"Message-Id: <20261102.1-alice@x.test>\nX-Mailer: git-send-email\n\n"
     b"---\n a | 1 +\n\n-- \n2.39\n"),
    ("git with an envelope sender", ["-f", "alice@x.test", "-i",
                                     "bob@y.test"],
     NAMED + b"To: bob@y.test\nSubject: [PATCH] y\n\n.\n"),
    ("mutt", ["-oem", "-oi", "-f", "alice@x.test", "--", "bob@y.test"],
     b"Date: Mon, 2 Nov 2026 10:00:00 +0000\n" + NAMED +
     b"To: bob@y.test\nSubject: x\nMessage-ID: <ZZ@x.test>\n"
     b"User-Agent: Mutt/2\n\nbody\n"),
    ("mutt with reports", ["-oem", "-oi", "-N", "failure,delay", "-R", "full",
                           "-V", "id+2Bx", "-f", "alice@x.test", "--",
                           "bob@y.test"],
     NAMED + b"To: bob@y.test\nSubject: x\n\nbody\n"),
    ("mutt with 8 bits", ["-B8BITMIME", "-oem", "-oi", "--", "bob@y.test"],
     NAMED + "To: bob@y.test\nSubject: x\n\n\u00e4\n".encode()),
    ("Perl's Mail::Mailer", ["-t", "-oi", "-oem"],
     NAMED + b"To: bob@y.test,\n carol@z.test\nSubject: folded\n\nx\n"),
    ("majordomo", ["-oi", "-f", "owner-list@x.test", "bob@y.test",
                   "carol@z.test", "dave@y.test"],
     NAMED + b"To: list@x.test\nReply-To: list@x.test\nPrecedence: list\n"
     b"Sender: owner-list@x.test\nSubject: x\n\nto the list\n"),
    ("vacation", ["-i", "-f", "<>", "--", "bob@y.test"],
     NAMED + b"To: bob@y.test\nAuto-Submitted: auto-replied\n"
     b"Subject: away\n\nx\n"),
    ("logwatch", ["-t"],
     b"To: bob@y.test\nFrom: logwatch@x.test\nSubject: Logwatch\n"
     b"X-Bytes: 7\n\nlast line\n.\nnot read\n"),
    ("a shell", ["bob@y.test"], b"just a line\n"),
    ("a shell with a name", ["-F", "Full Name", "bob@y.test"],
     b"Subject: x\n\nx\n"),
    ("resent", ["-t", "-i"], NAMED + b"To: old@y.test\nSubject: x\n"
     b"Resent-From: alice@x.test\nResent-To: bob@y.test\n"
     b"Resent-Message-Id: <r@x.test>\n\nx\n"),
]
# What each program words itself; Date and Message-Id are its own where the
# message has none.
ADDED = (b"date", b"message-id", b"resent-date", b"resent-message-id")
OWN = (b"received", b"x-authentication-warning", b"return-path")


def fields_of(content, given):
    """The header as a sorted list, without what each makes its own way, and
    the body."""
    header, _, body = content.partition(b"\r\n\r\n")
    kept = []
    for field in re.split(rb"\r\n(?![ \t])", header):
        name, _, value = field.partition(b":")
        name = name.lower()
        if name in ADDED and b"\n" + name + b":" not in b"\n" + given.lower():
            value = b" added"
        if name not in OWN:
            kept.append(name + b":" + re.sub(rb"\s+", b" ", value).strip())
    return sorted(kept), body


def arrived(hop, given):
    """(sender, recipients with parameters, fields, body) of the only mail."""
    wait_until("a message", lambda: hop.mails, SECONDS)
    assert len(hop.mails) == 1, hop.mails
    mail, rcpts, content = hop.mails[0]
    return (path_of(mail), sorted(path_of(r) for r in rcpts),
            *fields_of(content, given))


@check("sendmail")
def same_mail_of_the_same_call(place):
    """Each form of call, to both: the same envelope and content."""
    real, ours = Real(), Ours(place, name="real")
    queue = new_queue(place, "queue")
    ours.daemon.start()
    # Both find one name for root.
    (real.root / "etc/passwd").write_text(re.sub(
        "(?m)^(root:[^:]*:0:0:)[^:]*", lambda m: m[1] +
        pwd.getpwuid(0).pw_gecos,
        (real.root / "etc/passwd").read_text()))
    wrong = []
    for who, arguments, message in FORMS:
        got = []
        for program, more in ((ours, []), (real, [f"-oQ{queue}", "-odi"])):
            with Hop() as hop:
                program.good(*more, *arguments, data=message)
                got.append(arrived(hop, message))
        mine, theirs = got
        if mine != theirs:
            wrong.append(f"{who}:\n  sendq    {mine}\n  sendmail {theirs}")
    assert not wrong, "\n".join(wrong)


@check()
def daemon_down(place):
    """What is handed in while no daemon runs waits for it."""
    ours = Ours(place)
    ours.daemon.start()
    ours.daemon.stop()
    for _, arguments, message in FORMS:
        ours.good(*arguments, data=message)
    with Hop() as hop:
        ours.daemon.start()
        wait_until("all of it", lambda: len(hop.mails) >= len(FORMS), SECONDS)
        assert len(hop.mails) == len(FORMS)
        assert ours.daemon.stop() == 0


PATCH = """From %040d Mon Sep 17 00:00:00 2001
From: Alice <alice@x.test>
Date: Mon, 2 Nov 2026 10:00:00 +0000
Subject: [PATCH] one line

---
 a | 1 +
 1 file changed, 1 insertion(+)

diff --git a/a b/a
--- a/a
+++ b/a
@@ -0,0 +1 @@
+.
"""
PHP = """<?php
exit(mail("bob@y.test", "of PHP", "one\\n.\\nlast", "From: web@x.test\\r\\n" .
          "Cc: carol@z.test", "-fbounce@x.test") ? 0 : 1);
"""
# (words of the command, its input, recipients, sender, text in the content).
PROGRAMS = [
    (["mailx", "-s", "of mailx", "-c", "carol@z.test", "bob@y.test"],
     b"one\n.x\n", {"bob@y.test", "carol@z.test"}, "root@real.test",
     b"Subject: of mailx\r\n"),
    (["mailx", "-v", "-r", "alice@x.test", "bob@y.test"], b"one\n",
     {"bob@y.test"}, "alice@x.test", b"one\r\n"),
    (["mutt", "-n", "-F", "/dev/null", "-e", "set from=alice@x.test",
      "-e", "set use_envelope_from", "-e", "set copy=no", "-e",
      "set dsn_notify='failure,delay'", "-s", "of mutt", "-b",
      "carol@z.test", "--", "bob@y.test"], "gr\u00fc\u00df\n".encode(),
     {"bob@y.test", "carol@z.test"}, "alice@x.test",
     b"Subject: of mutt\r\n"),
    (["php", "/tmp/callers.php"], b"", {"bob@y.test", "carol@z.test"},
     "bounce@x.test", b"one\r\n.\r\nlast\r\n"),
    (["git", "send-email", "--quiet", "--confirm=never", "--no-thread",
      "--from=alice@x.test", "--to=bob@y.test", "--cc=carol@z.test",
      "--suppress-cc=all", "--envelope-sender=bounce@x.test",
      "--sendmail-cmd=/usr/sbin/sendmail", "/tmp/callers.patch"], b"",
     {"bob@y.test", "carol@z.test"}, "bounce@x.test",
     b"Subject: [PATCH] one line\r\n"),
    (["sh", "-c", "echo body | /usr/sbin/sendmail -i bob@y.test"], b"",
     {"bob@y.test"}, "root@real.test", b"body\r\n"),
]


def install_ours(root):
    """Our program in the place of the one that came with the callers."""
    target = root / "usr/local/lib/sendq"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(BIN / "sendmail", target / "sendmail")
    link = root / "usr/sbin/sendmail"
    link.unlink(missing_ok=True)
    link.symlink_to("/usr/local/lib/sendq/sendmail")


@check("callers")
def programs_that_call(place):
    """mailx, mutt, PHP's mail() and git send-email, in a chroot."""
    root = servers.prepare("callers")
    install_ours(root)
    ours = Ours(place, name="real")
    ours.daemon.start()
    # Their /tmp is ours.
    php, patch = place / "callers.php", place / "callers.patch"
    php.write_text(PHP)
    patch.write_text(PATCH % 1)
    for words, data, recipients, sender, text in PROGRAMS:
        words = [{"/tmp/callers.php": str(php), "/tmp/callers.patch":
                  str(patch)}.get(w, w) for w in words]
        with Hop() as hop:
            result = subprocess.run(
                ["chroot", str(root), *words], input=data,
                capture_output=True, timeout=SECONDS,
                env=dict(ENVIRONMENT, SENDQ_CONFIG=str(ours.config)))
            assert result.returncode == 0, (words, result)
            wait_until(f"mail of {words[0]}", lambda: recipients <= {
                path_of(r)[0] for m in hop.mails for r in m[1]}, SECONDS)
            senders = {path_of(m[0])[0] for m in hop.mails}
            assert senders == {sender}, (words, hop.mails)
            assert all(text in m[2] for m in hop.mails), (words, hop.mails)


# Command lines whose exit status is compared; DIR is the queue directory of
# the real one, NONE is no directory.
STATUS = [
    ["bob@y.test"], [], ["-t"], ["-Z", "bob@y.test"], ["-bz", "bob@y.test"],
    ["-bX", "bob@y.test"], ["-Rbogus", "bob@y.test"],
    ["-Nbogus", "bob@y.test"],
    ["-Nnever,success", "bob@y.test"], ["-Vbad=xtext", "bob@y.test"],
    ["-hxyz", "bob@y.test"], ["-h", "200", "bob@y.test"],
    ["-BFUNNY", "bob@y.test"], ["-n", "bob@y.test"],
    ["-f", "a@x.test", "-f", "b@x.test", "bob@y.test"],
    ["-f", "a@x.test", "-r", "b@x.test", "bob@y.test"],
    ["-q", "bob@y.test"], ["-qbogus"], ["-q99x"], ["-q", "-bs"],
    ["bad@@addr <"], ["-ONoSuchOption=1", "bob@y.test"],
    ["-OMaxMessageSize=3", "bob@y.test"], ["-E", "bob@y.test"],
    ["-x", "bob@y.test"], ["-J", "bob@y.test"], ["-U", "bob@y.test"],
    ["--", "bob@y.test"], ["-oo", "bob@y.test", "carol@z.test"],
    ["-L", "label", "-G", "bob@y.test"], ["--version"], ["--help"],
    ["-bp", "-oQNONE"], ["-q", "-v", "-oQNONE"], ["-bp", "-oQDIR"],
    ["-bp", "-oQDIR", "extra", "words"], ["-q", "-v", "-oQDIR"],
    ["-Q.", "-oQDIR"], ["-Qx", "-qL", "-oQDIR"], ["-Qx", "-qI1", "-oQDIR"],
    ["-M6ALLDvRC012936", "bob@y.test"], ["-C/nonexistent.cf", "bob@y.test"],
    ["-oem", "bad@@addr <"], ["-oeq", "bad@@addr <"], ["-I"],
    ["-T", "3d", "bob@y.test"], ["-s", "-m", "-c", "bob@y.test"],
    ["-bv", "bob@y.test"], ["-qG"], ["-qGnone"], ["-Rwnj"],
]
# Where ours ends otherwise: {command line: (ours, sendmail, why)}.
OTHER_STATUS = {
    "-t": (69, 0, "a message that nobody gets was not taken"),
    "-OMaxMessageSize=3 bob@y.test": (
        69, 0, "a message that nobody gets was not taken"),
    "-U bob@y.test": (0, 64, "Debian's build has no SMTPUTF8"),
    "-I": (0, 64, "Debian's build has no -I; others rebuild the aliases"),
    "-T 3d bob@y.test": (0, 67, "3d is a recipient: here no user is unknown"),
    "-qG": (64, 0, "a group without a name"),
    "-Rwnj": (0, 64, "the old form: a run of what has this recipient"),
}


@check("sendmail")
def exit_status(place):
    """The same exit status as the real one, but for those in the table."""
    real, ours = Real(), Ours(place)
    queue = new_queue(place, "queue")
    ours.daemon.start()
    wrong = []
    for words in STATUS:
        found = []
        for program in (ours, real):
            more = [] if program is ours or "-oQ" in "".join(words) else \
                [f"-oQ{queue}"]
            result = program.call(
                "-oeq", "-odq", *more,
                *(w.replace("-oQDIR", f"-oQ{queue}").replace(
                    "-oQNONE", f"-oQ{queue}/none") for w in words),
                data=b"Subject: x\n\nbody\n")
            found.append((result.returncode, result.stdout[:200]))
        mine, theirs = found
        expected = OTHER_STATUS.get(" ".join(words), (theirs[0], theirs[0]))
        if (mine[0], theirs[0]) != tuple(expected[:2]):
            wrong.append(f"{' '.join(words)}: sendq {mine}, sendmail {theirs}")
    assert not wrong, "\n".join(wrong)
