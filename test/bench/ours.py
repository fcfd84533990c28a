"""sendqd as a server under measurement."""
import pathlib
import re
import shutil
import subprocess

import rig
from harness import BIN, RELAY, Daemon, Raw


class Ours:
    name = "sendq"
    port = 2525
    part = 5000  # of messages: what it takes in during a life at most

    def __init__(self, work, memory):
        """Spools below WORK; configuration and log in MEMORY (a tmpfs), as
        the peers log nothing to a disk."""
        self.work, self.memory = pathlib.Path(work), pathlib.Path(memory)
        self.spool = self.work / "sendq-spool"
        self.daemon = None

    def settings(self, sites, is_held, hops, hop_port):
        groups = ",\n".join(
            f'{{ name = "s{i:04d}", domains = [ "site{i:04d}.test" ], '
            f'hold = {str(is_held).lower()}, '
            f'route = "smtp://{hop_address(i, hops)}:{hop_port}", '
            f'from = [ "127.0.0.0/8" ] }}' for i in range(sites))
        return (f'{RELAY}spool = "{self.spool}"\n'
                f'site = (\n{groups}\n)\n')

    def start(self, mode, sites, hops, hop_port):
        """A fresh queue for SITES, behind HOPS addresses of HOP_PORT. MODE:
        "keep" until all is released, "ask" by site, or "pass" at once."""
        self.stop()
        directory = self.memory / "sendq"
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        self.daemon = Daemon(directory, "bench",
                             self.settings(sites, mode != "pass", hops,
                                           hop_port),
                             self.port)
        self.daemon.start()

    def stop(self):
        if self.daemon is not None:
            self.daemon.kill_all()
            self.daemon = None
        shutil.rmtree(self.spool, ignore_errors=True)

    def halt(self):
        """A clean end; the queue stays."""
        self.daemon.stop()

    def resume(self):
        self.daemon.start()

    def pids(self):
        return [self.daemon.process.pid, *self.daemon.children().values()]

    def queue_pid(self):
        return self.daemon.children()["queue"]

    def release_all(self, sites):
        """ETRN for each site, on one connection."""
        for i in range(sites):
            if i % 50 == 0:
                raw = Raw(self.port)
                raw.ask("EHLO bench.test")
            answer = raw.ask(f"ETRN site{i:04d}.test")
            if not answer.startswith("25"):
                raise RuntimeError(answer)

    def release_site(self, i):
        etrn(self.port, i)

    def wait_queued(self, count, seconds):
        """What was acknowledged is queued; nothing is behind."""

    def mailq(self):
        return subprocess.run(
            [BIN / "mailq", "-C", self.daemon.config], text=True, check=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=300).stdout


def hop_address(i, hops):
    """Of site I: an address of its own, or one of HOPS."""
    i %= hops
    return f"127.1.{i // 250}.{i % 250 + 1}"


def etrn(port, i):
    with Raw(port) as raw:
        raw.ask("EHLO bench.test")
        answer = raw.ask(f"ETRN site{i:04d}.test")
        if not re.match(r"25[0-3]", answer):
            raise RuntimeError(answer)
