"""The real sendmail and ours on one queue directory: both programs, a next hop
that keeps the whole envelope, and what is the same mail for both."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading

import servers
from harness import BIN, RELAY, Daemon, Sink

HOP_PORT = 2610
REAL = "/usr/libexec/sendmail/sendmail"
# No limit by load: others may be at work on this machine.
MC = """divert(0)dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
define(`confDOMAIN_NAME', `real.test')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/mqueue.switch')dnl
define(`confTO_IDENT', `0')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
define(`confTO_CONNECT', `5s')dnl
define(`confTO_QUEUEWARN', `')dnl
define(`confHOST_STATUS_DIRECTORY', `')dnl
define(`RELAY_MAILER_ARGS', `TCP $h PORT')dnl
define(`SMART_HOST', `relay:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
               "HOME": "/root", "TZ": "UTC"}
SECONDS = 60


class Program:
    """What both have: it is called like /usr/sbin/sendmail."""

    def call(self, *arguments, data=b"", seconds=SECONDS):
        """The result; output and errors are bytes, together."""
        command, environment = self.command()
        return subprocess.run(
            [*command, *map(str, arguments)], input=data,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=seconds, env=environment, cwd="/")

    def start(self, *arguments, stdin=subprocess.DEVNULL):
        command, environment = self.command()
        return subprocess.Popen(
            [*command, *map(str, arguments)], stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environment, cwd="/")

    def good(self, *arguments, **options):
        """Its output, where it ends well."""
        result = self.call(*arguments, **options)
        assert result.returncode == 0, \
            (self.name, arguments, result.returncode, result.stdout[-3000:])
        return result.stdout


class Real(Program):
    """Debian's sendmail in its chroot, on the queue directory that -oQ says;
    its only way out is the next hop."""
    name = "sendmail"

    def __init__(self, port=HOP_PORT, directory=None):
        """DIRECTORY has the same path in the chroot; /tmp has so always."""
        self.root = servers.prepare("sendmail")
        if directory:
            inside = self.root / str(directory).lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", str(directory), str(inside)],
                           check=True)
        self.cf = f"/etc/mail/mqueue-{port}.cf"
        text = subprocess.run(["chroot", str(self.root), "m4", "-"],
                              input=MC.replace("PORT", str(port)).encode(),
                              capture_output=True, check=True,
                              timeout=SECONDS).stdout
        self.put(self.cf, text)
        self.put("/etc/mail/mqueue.switch", b"hosts files\naliases files\n")

    def put(self, path, data):
        """At once: another run of the tests may be reading it."""
        target = self.root / path.lstrip("/")
        with tempfile.NamedTemporaryFile(dir=target.parent,
                                         delete=False) as part:
            part.write(data)
            os.fchmod(part.fileno(), 0o644)
            os.rename(part.name, target)

    def command(self):
        return (["chroot", str(self.root), REAL, f"-C{self.cf}", "-Am"],
                dict(ENVIRONMENT))


class Ours(Program):
    """sendmail of this tree; its daemon runs where a check starts it."""
    name = "sendq"

    def __init__(self, place, settings="", name="ours", port=HOP_PORT):
        self.daemon = Daemon(place, name, RELAY + f"""
route = ( {{ domain = "*", to = "smtp://127.0.0.1:{port}" }} )
{settings}""")
        self.config = self.daemon.config

    def command(self):
        return ([str(BIN / "sendmail")],
                dict(ENVIRONMENT, SENDQ_CONFIG=str(self.config)))


class Hop(Sink):
    """A next hop that keeps what was said in MAIL and RCPT."""

    def __init__(self, answers=None):
        """ANSWERS: {text: reply} to RCPT with that text in it."""
        self.here = threading.local()
        self.answers = answers or {}
        self.mails = []
        super().__init__(self.hear, HOP_PORT, (
            "ENHANCEDSTATUSCODES", "PIPELINING", "8BITMIME", "SIZE", "DSN"))

    def hear(self, verb, argument):
        if verb == "MAIL":
            self.here.mail, self.here.rcpts = argument, []
        elif verb == "RCPT":
            for text, reply in self.answers.items():
                if text in argument:
                    return reply
            self.here.rcpts.append(argument)
        elif verb == "DOT":
            with self.lock:
                self.mails.append((self.here.mail, self.here.rcpts, argument))
        return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def path_of(argument):
    """(address, its parameters) of what MAIL or RCPT was given."""
    address, _, rest = re.fullmatch(
        r"(?i)(?:from|to):\s*<([^>]*)>( (.*))?", argument).groups()
    words = sorted(w for w in (rest or "").upper().split()
                   if not w.startswith("SIZE="))
    return address, " ".join(words)


# Fields of one hop, and those with the time of a notification.
OWN_FIELDS = re.compile(
    rb"(?im)^(?:received|date|message-id|x-authentication-warning):.*\r\n"
    rb"(?:[ \t].*\r\n)*")


def below(content):
    """CONTENT without the fields that each program makes its own way, and
    unfolded: sendmail folds lists of addresses anew."""
    header, gap, body = content.partition(b"\r\n\r\n")
    header = OWN_FIELDS.sub(b"", header + b"\r\n")
    return re.sub(rb"\r\n[ \t]+", b" ", header) + gap[2:] + body


def same_mail(mails):
    """What was delivered, so that it can be compared: {(sender and its
    parameters, content): recipients, each as often as it came}. One message
    may come in several transactions."""
    found = {}
    for mail, rcpts, content in mails:
        key = (path_of(mail), below(content))
        found.setdefault(key, []).extend(path_of(r) for r in rcpts)
    return {key: sorted(rcpts) for key, rcpts in found.items()}


def differences(mine, theirs):
    """Text for a failure."""
    lines = []
    for name, one, other in (("sendq only", mine, theirs),
                             ("sendmail only", theirs, mine)):
        for key, rcpts in one.items():
            if other.get(key) != rcpts:
                lines.append(f"{name}: {key[0]} -> {rcpts[:5]} "
                             f"({len(rcpts)})\n{key[1][:1500]!r}")
    return "\n".join(lines)


def new_queue(place, name):
    """An empty queue directory as the real program has it."""
    queue = pathlib.Path(place) / name
    shutil.rmtree(queue, ignore_errors=True)
    queue.mkdir(mode=0o700)
    return queue


def copy_queue(queue, name):
    """A copy beside it, with modes, owners, times and hard links."""
    copy = queue.parent / name
    while copy.exists():
        copy = copy.with_name(copy.name + "+")
    subprocess.run(["cp", "-a", str(queue), str(copy)], check=True)
    return copy


def left(queue):
    return sorted(os.listdir(queue))
