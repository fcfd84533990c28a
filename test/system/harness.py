"""What the system tests and the demo share: real daemons, sinks and links on
loopback, each in a temporary directory and ended by its own pid."""
import os
import pathlib
import re
import resource
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODE = os.environ.get("SENDQ_MODE", "plain")
BIN = ROOT / "build" / MODE / "bin"
PATIENCE = 30.0
# Where a process may use little processor time, as in some containers, loads
# are smaller: a role of the daemon has that time for all that it does.
CPU_LIMIT = resource.getrlimit(resource.RLIMIT_CPU)[0]
IS_LIMITED = CPU_LIMIT != resource.RLIM_INFINITY and CPU_LIMIT < 600
# The directory of what pytest makes, from conftest.py.
base = None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(what, check, seconds=PATIENCE):
    """Waits until CHECK gives something true, and gives that. It looks less and
    less often, so that waiting costs little processor time."""
    start = time.monotonic()
    while True:
        value = check()
        if value:
            return value
        waited = time.monotonic() - start
        if waited > seconds:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(min(0.02 + waited / 10, 0.2))


class Daemon:
    """One sendqd with its own configuration, spool and control socket."""

    def __init__(self, directory, name, settings="", port=None):
        self.directory = pathlib.Path(directory)
        self.name = name
        self.port = port or free_port()
        self.spool = self.directory / f"{name}-spool"
        self.config = self.directory / f"{name}.conf"
        self.control = self.directory / f"{name}-run" / "control"
        self.log_path = self.directory / f"{name}.log"
        self.process = None
        self.write_config(settings)
        # Roles have users of their own: they must reach the directory.
        os.chmod(self.directory, 0o755)

    def write_config(self, settings):
        head = f'hostname = "{self.name}.test"\n'
        if "spool =" not in settings:
            head += f'spool = "{self.spool}"\n'
        head += f'control-socket = "{self.control}"\n'
        if "listen =" not in settings:
            head += f'listen = ( {{ address = "127.0.0.1:{self.port}" }} )\n'
        self.config.write_text(head + settings)

    def start(self, wait=True, wrap=()):
        self.log_mark = self.log_size()
        out = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [*wrap, str(BIN / "sendqd"), "-c", str(self.config)],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            cwd=self.directory)
        out.close()
        if wait:
            self.wait_ready()
        return self

    def log_size(self):
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def wait_ready(self):
        def ready():
            assert self.process.poll() is None, self.log()[-3000:]
            return " ready " in self.log(self.log_mark)
        try:
            wait_until("ready", ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-3000:]}") from None

    def log(self, start=0):
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as f:
            f.seek(start)
            return f.read().decode(errors="replace")

    def stop(self):
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill_all()
                raise
        status, self.process = self.process.returncode, None
        return status

    def children(self):
        """{role: pid} of the running roles (the last one of a kind counts)."""
        found = {}
        pid = self.process.pid
        try:
            pids = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except OSError:
            return found
        for child in pids.split():
            try:
                words = pathlib.Path(
                    f"/proc/{child}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            role = "spawner"
            if b"--role" in words:
                role = words[words.index(b"--role") + 1].decode()
            found[role] = int(child)
        return found

    def kill_all(self):
        """kill -9 of the master and all its children at once."""
        if self.process is None:
            return
        pids = [self.process.pid, *self.children().values()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:
                pass
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        wait_until("children gone",
                   lambda: not any(alive(pid) for pid in pids))

    def run(self, program, *arguments, check=True, **options):
        option = "-C" if program in ("mailq", "sendmail") else "-c"
        return tool(program, option, str(self.config), *arguments,
                    check=check, **options)

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port, "client.test", timeout=20)

    def send(self, sender, recipients, content):
        """CONTENT as bytes with CRLF; raises where it is refused."""
        with self.smtp() as s:
            return s.sendmail(sender, recipients, content)


def alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return state.rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def tool(program, *arguments, check=True, timeout=60, **options):
    result = subprocess.run([str(BIN / program), *map(str, arguments)],
                            capture_output=True, text=True, timeout=timeout,
                            stdin=subprocess.DEVNULL, **options)
    if check and result.returncode != 0:
        raise AssertionError(f"{program} {arguments}: {result.returncode}\n"
                             f"{result.stdout}{result.stderr}")
    return result


class Raw:
    """A dialogue by hand."""

    def __init__(self, port, greeting=True):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.file = self.socket.makefile("rb")
        if greeting:
            assert self.reply().startswith("220 ")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def reply(self):
        """One reply, its lines joined by newlines; "" at the end."""
        lines = []
        while True:
            line = self.file.readline().decode().rstrip("\r\n")
            lines.append(line)
            if not re.match(r"\d\d\d-", line):
                return "\n".join(lines)

    def ask(self, command):
        self.send(command + "\r\n")
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Link:
    """test/tools/linkem before a port: a line that can be down."""

    def __init__(self, to, *options, up=True):
        self.port = free_port()
        self.up = up
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "test" / "tools" / "linkem"),
             "--listen", f"127.0.0.1:{self.port}", "--to", f"127.0.0.1:{to}",
             *options, *([] if up else ["--start-down"])],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until("link", self.is_listening)

    def is_listening(self):
        assert self.process.poll() is None, self.process.stderr.read()
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def switch(self):
        self.process.send_signal(signal.SIGUSR1)
        self.up = not self.up

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=10)[0]


class Sink:
    """A next hop by hand: takes mail, keeps it, and answers as told.

    REFUSE(verb, argument) gives a reply line instead of the usual one, or
    None. It keeps (sender, recipients, content) of what it said 250 to."""

    def __init__(self, refuse=None, port=None, extensions=("PIPELINING",
                                                           "8BITMIME",
                                                           "SIZE 0")):
        self.refuse = refuse or (lambda verb, argument: None)
        self.extensions = extensions
        self.messages = []
        self.connections = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port or 0),
                                             backlog=200)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection,),
                             daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rwb") as f:
                self.session(f)
        except OSError:
            pass

    def session(self, f):
        def say(line):
            f.write(line.encode() + b"\r\n")
            f.flush()

        say("220 sink.test ESMTP")
        sender, recipients = None, []
        while True:
            line = f.readline()
            if not line:
                return
            text = line.decode().rstrip("\r\n")
            verb, _, argument = text.partition(" ")
            verb = verb.upper()
            refusal = self.refuse(verb, argument)
            if refusal == "DROP":
                return
            if refusal:
                say(refusal)
            elif verb == "EHLO":
                lines = ["sink.test", *self.extensions]
                for keyword in lines[:-1]:
                    say("250-" + keyword)
                say("250 " + lines[-1])
            elif verb == "MAIL":
                sender, recipients = argument, []
                say("250 2.1.0 ok")
            elif verb == "RCPT" and sender is None:
                say("503 5.5.1 MAIL first")
            elif verb == "RCPT":
                recipients.append(re.search(r"<(.*)>", argument).group(1))
                say("250 2.1.5 ok")
            elif verb == "DATA":
                if not recipients:
                    say("503 5.5.1 no recipients")
                    continue
                say("354 go")
                content = self.data(f)
                if content is None:
                    return
                refusal = self.refuse("DOT", content)
                if refusal == "DROP":
                    return
                if refusal:
                    say(refusal)
                    continue
                with self.lock:
                    self.messages.append(
                        (re.search(r"<(.*?)>", sender).group(1),
                         list(recipients), content))
                say("250 2.0.0 ok")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")

    @staticmethod
    def data(f):
        lines = []
        while True:
            line = f.readline()
            if not line.endswith(b"\r\n"):
                return None
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def site(name, domain, route, hold=True, extra=""):
    """The text of one site."""
    return f'''site = ( {{ name = "{name}", domains = [ "{domain}" ],
  hold = {str(hold).lower()}, route = "{route}",
  from = [ "127.0.0.0/8" ]{extra} }} )
'''


RELAY = 'relay-from = [ "127.0.0.0/8" ]\n'


def open_path(path):
    """Lets the roles' users reach PATH, below pytest's directory."""
    for directory in [path, *path.parents]:
        if (base in [directory, *directory.parents] or
                directory.name.startswith("pytest-of-")):
            directory.chmod(0o755)
        assert os.getuid() != 0 or directory.stat().st_mode & 0o001, \
            f"the roles' users cannot reach {path}: {directory} is closed"
    return path


def waiting(daemon):
    """How many messages are in its queue."""
    text = daemon.run("mailq").stdout
    if "is empty" in text:
        return 0
    return int(text.rsplit("Total requests: ", 1)[1])


def make_maildir(path):
    """A Maildir with an owner: mail is never delivered as root."""
    path = pathlib.Path(path)
    path.mkdir(mode=0o700)
    if os.getuid() == 0:
        os.chown(path, 12345, 12345)
    return path


def maildir_files(path):
    new = pathlib.Path(path) / "new"
    return sorted(new.iterdir()) if new.is_dir() else []


def below_trace(content):
    """The content below the Received, Return-Path and Delivered-To fields
    that were added, with LF line ends."""
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    at = 0
    while at < len(lines):
        if re.match(rb"(?i)(received|return-path|delivered-to):", lines[at]):
            at += 1
            while lines[at][:1] in (b" ", b"\t"):
                at += 1
        else:
            break
    return b"\n".join(lines[at:])
