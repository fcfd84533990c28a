"""Far ends by script: a next hop that does what its plan says at each moment
of a session, and remembers what it saw."""
import contextlib
import re
import socket
import struct
import threading
import time

RESET, CLOSE, SILENCE = "RESET", "CLOSE", "SILENCE"
OFFERS = ("PIPELINING", "8BITMIME", "SIZE 0")
USUAL = {
    "GREETING": b"220 far.test ESMTP\r\n",
    "HELO": b"250 far.test\r\n",
    "MAIL": b"250 2.1.0 ok\r\n",
    "RCPT": b"250 2.1.5 ok\r\n",
    "DATA": b"354 go\r\n",
    "DOT": b"250 2.0.0 ok\r\n",
    "QUIT": b"221 2.0.0 bye\r\n",
}


def reset(connection):
    """Ends CONNECTION with a reset, whoever else holds it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack("ii", 1, 0))
    connection.close()


class Over(Exception):
    """The session is over."""


class Far:
    """PLAN(moment, argument, number) says what is done at a moment of session
    NUMBER (0, 1, ...): bytes that are said instead of the usual ones, RESET,
    CLOSE, SILENCE, or None for what is usual. The moments are GREETING, the
    verbs, BODY (content has begun to come), DOT (it is here) and NEXT (the
    reply to it was given; bytes are said unasked).

    seen: (seconds, number, moment, argument); messages: (sender, recipients,
    content) of all that came whole and to which nothing but 2xx or nothing at
    all was said; raw: what came as content, dots and all."""

    def __init__(self, plan=None, offers=OFFERS, split=False, receive=None,
                 pace=0.0):
        self.plan = plan or (lambda moment, argument, number: None)
        self.offers = offers
        self.split = split
        self.pace = pace
        self.seen, self.messages, self.raw = [], [], []
        self.lock = threading.Lock()
        self.connections = 0
        self.listener = socket.socket()
        if receive:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     receive)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            number = self.connections
            self.connections += 1
            threading.Thread(target=self.serve, args=(connection, number),
                             daemon=True).start()

    def serve(self, connection, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, Over), connection:
            Session(self, connection, number).run()

    def moments(self, moment):
        """When MOMENT came, as (seconds, session)."""
        return [(at, number) for at, number, name, _ in list(self.seen)
                if name == moment]

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Session:
    def __init__(self, far, connection, number):
        self.far = far
        self.connection = connection
        self.number = number
        self.file = connection.makefile("rb", buffering=4096)
        self.sender, self.recipients = None, []

    def say(self, data):
        if not self.far.split:
            self.connection.sendall(data)
            return
        for at in range(len(data)):
            self.connection.sendall(data[at:at + 1])
            time.sleep(0.001)

    def meet(self, moment, argument=""):
        """Does what the plan says at MOMENT; gives the reply that was said."""
        far = self.far
        far.seen.append((time.monotonic(), self.number, moment, argument))
        act = far.plan(moment, argument, self.number)
        if act == SILENCE:
            while self.connection.recv(65536):
                pass
            raise Over
        if act in (RESET, CLOSE):
            self.file.close()
            if act == RESET:
                reset(self.connection)
            raise Over
        if act is None and moment == "EHLO":
            lines = ["far.test", *far.offers]
            act = "".join(f"250-{line}\r\n" for line in lines[:-1]) + \
                f"250 {lines[-1]}\r\n"
            act = act.encode()
        elif act is None:
            act = USUAL.get(moment, b"" if moment in ("BODY", "NEXT") else
                            b"250 2.0.0 ok\r\n")
        if act:
            self.say(act)
        if act.startswith(b"421") and moment != "DOT":
            self.leave()
        return act

    def leave(self):
        """Closes so that what was said last is not lost in a reset."""
        self.connection.shutdown(socket.SHUT_WR)
        while self.connection.recv(65536):
            pass
        raise Over

    def run(self):
        self.meet("GREETING")
        while True:
            line = self.file.readline()
            if not line:
                return
            verb, _, argument = \
                line.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            self.command(verb.upper(), argument)

    def command(self, verb, argument):
        if verb in ("RCPT", "DATA") and self.sender is None:
            self.say(b"503 5.5.1 MAIL first\r\n")
            return
        reply = self.meet(verb, argument)
        is_good = reply.startswith(b"2")
        if verb in ("EHLO", "HELO", "RSET") or (verb == "MAIL" and is_good):
            self.sender, self.recipients = None, []
        if verb == "MAIL" and is_good:
            self.sender = re.search(r"<(.*?)>", argument).group(1)
        elif verb == "RCPT" and is_good:
            self.recipients.append(re.search(r"<(.*)>", argument).group(1))
        elif verb == "DATA" and reply.startswith(b"3"):
            self.content()
        elif verb == "QUIT":
            raise Over

    def content(self):
        far, lines = self.far, []
        while True:
            line = self.file.readline()
            if not line.endswith(b"\r\n"):
                far.raw.append(b"".join(lines) + line)
                raise Over
            if not lines:
                self.meet("BODY")
            lines.append(line)
            if line == b".\r\n":
                break
            if far.pace:
                time.sleep(far.pace)
        far.raw.append(b"".join(lines))
        message = (self.sender, self.recipients,
                   b"".join(line[1:] if line.startswith(b".") else line
                            for line in lines[:-1]))
        try:
            reply = self.meet("DOT", message)
        except Over:
            reply = b""
        if (not reply or reply.startswith(b"2")) and self.recipients:
            with far.lock:
                far.messages.append(message)
        self.sender, self.recipients = None, []
        if not reply:
            raise Over
        if reply.startswith(b"421"):
            self.leave()
        self.meet("NEXT")
