"""Power cuts of the real daemon on real file systems.

The spool lies on a file system in an image. At the instant in which a client
reads a 250, all processes of the daemon are stopped and the image is copied:
what the file system has not written by then is lost. The copy is mounted, so
that its journal is replayed, and a new daemon is started there: every message
that was acknowledged must be in it, whole. Beside each message a file is
written without a sync: some of these must be lost, or the cuts prove nothing.

Everything runs in namespaces of its own (mounts, processes, network), which
end with it. Ends with "N passed, N failed"; one round is one test.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent / "system"))
from apart import apart  # noqa: E402
from harness import Daemon, Sink, site, tool, wait_until  # noqa: E402

# name: (mkfs, size of the image in MB, options of the mount)
SYSTEMS = {
    "ext4": (["mkfs.ext4", "-q", "-F"], 400, "loop"),
    "ext4-writeback": (["mkfs.ext4", "-q", "-F"], 400, "loop,data=writeback"),
    "xfs": (["mkfs.xfs", "-q", "-f"], 600, "loop"),
    "btrfs": (["mkfs.btrfs", "-q", "-f"], 600, "loop"),
}


def run(*command):
    result = subprocess.run([str(word) for word in command],
                            capture_output=True, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{command}: {result.stdout}{result.stderr}")


def content_of(name):
    """What NAME's message says, the same whenever it is asked."""
    chance = random.Random(name)
    size = 1_500_000 if chance.random() < 0.05 else chance.randrange(60_000)
    line = bytes(chance.randrange(97, 123) for _ in range(70)) + b"\r\n"
    return (b"Subject: %s\r\n\r\n" % name.encode() +
            line * (size // len(line)) + b"end\r\n")


class Client(threading.Thread):
    """Sends one message after the other on one connection until the cut."""

    def __init__(self, number, port, cut):
        super().__init__(daemon=True)
        self.number = number
        self.cut = cut
        self.acknowledged = []
        self.in_hand = None
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.file = self.socket.makefile("rb")
        self.expect(b"220")
        self.socket.sendall(b"EHLO c\r\n")
        self.expect(b"250")

    def expect(self, code):
        while True:
            line = self.file.readline()
            if not line.startswith(code):
                raise OSError(f"wanted {code}, got {line}")
            if line[3:4] != b"-":
                return

    def run(self):
        count = 0
        try:
            while not self.cut.is_over:
                self.message(f"c{self.number}n{count}")
                count += 1
        except OSError as error:
            # A daemon that is stopped says nothing more.
            if not self.cut.is_over:
                self.cut.fail(error)

    def message(self, name):
        self.socket.sendall(b"MAIL FROM:<a@x.test>\r\n"
                            b"RCPT TO:<%s@ship7.test>\r\nDATA\r\n" %
                            name.encode())
        for code in (b"250", b"250", b"354"):
            self.expect(code)
        self.in_hand = name
        self.socket.sendall(content_of(name) + b".\r\n")
        self.cut.unsynced(name)
        self.expect(b"250")
        self.acknowledged.append(name)
        self.in_hand = None
        self.cut.acknowledged()

    def last_words(self):
        """A 250 that was sent before the cut counts."""
        self.socket.settimeout(0.05)
        try:
            if self.in_hand and self.file.readline().startswith(b"250"):
                self.acknowledged.append(self.in_hand)
        except OSError:
            pass
        self.socket.close()


class Cut:
    """Stops the daemon at the COUNTth 250."""

    def __init__(self, daemon, count, directory):
        self.daemon = daemon
        self.count = count
        self.directory = directory
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.is_over = False
        self.error = None
        self.pids = [daemon.process.pid, *daemon.children().values()]

    def acknowledged(self):
        with self.lock:
            self.count -= 1
            if self.count == 0:
                self.is_over = True
                for pid in self.pids:
                    os.kill(pid, signal.SIGSTOP)
                self.done.set()

    def unsynced(self, name):
        if not self.is_over:
            (self.directory / name).write_bytes(content_of(name))

    def fail(self, error):
        self.error = error
        self.is_over = True
        self.done.set()


def conf_of(far):
    return site("ship7", "ship7.test", f"smtp://127.0.0.1:{far.port}") + \
        'disk-reserve = "0"\nretry-min = "1s"\n'


def start(place, name, mount, settings):
    d = Daemon(place, name, settings)
    d.spool = mount / "spool"
    d.write_config(settings)
    return d.start()


def load(d, mount, connections, chance):
    """Sends until the cut: what was acknowledged, and what was beside it."""
    beside = mount / "unsynced"
    beside.mkdir()
    cut = Cut(d, chance.randrange(1, 12 * connections), beside)
    clients = [Client(n, d.port, cut) for n in range(connections)]
    for client in clients:
        client.start()
    assert cut.done.wait(120), "no acknowledgement"
    assert cut.error is None, cut.error
    return clients


def arrived(d, far):
    """Releases all that a daemon has: {name: content}."""
    def is_empty():
        tool("sendq", f"127.0.0.1:{d.port}", "ship7.test", check=False)
        return "is empty" in d.run("mailq").stdout
    wait_until("an empty queue", is_empty, 120)
    found = {}
    for _, recipients, content in far.messages:
        name = recipients[0].split("@")[0]
        assert name not in found, f"{name} came twice"
        found[name] = content
    return found


def one_round(place, system, number, chance):
    """How many were acknowledged, and how many unsynced files were lost."""
    mkfs, size, options = SYSTEMS[system]
    image, copy = place / "image", place / "copy"
    mount = place / "mount"
    mount.mkdir()
    with image.open("wb") as f:
        f.truncate(size << 20)
    run(*mkfs, image)
    run("mount", "-o", options, image, mount)
    far = Sink()
    daemons = []
    try:
        daemons.append(start(place, "first", mount, conf_of(far)))
        clients = load(daemons[0], mount, 16 if number % 2 else 1, chance)
        run("cp", "--sparse=always", image, copy)
        for client in clients:
            client.last_words()
        acknowledged = {n for c in clients for n in c.acknowledged}
        daemons[0].kill_all()
        # What was killed may still be on its way out.
        wait_until("umount", lambda: subprocess.run(
            ["umount", str(mount)], capture_output=True).returncode == 0)
        if system == "btrfs":
            # The kernel knows the file system by its number, not its place.
            run("btrfs", "device", "scan", "--forget")
        run("mount", "-o", options, copy, mount)
        daemons.append(start(place, "second", mount, conf_of(far)))
        found = arrived(daemons[1], far)
        lost = acknowledged - set(found)
        assert not lost, f"{len(lost)} of {len(acknowledged)} lost"
        for name, content in found.items():
            assert content.endswith(content_of(name)), f"{name} is torn"
            assert content.count(b"Received:") == 1, name
        assert daemons[1].stop() == 0
        unsynced_lost = 0
        for name in acknowledged:
            path = mount / "unsynced" / name
            unsynced_lost += not path.exists() or \
                path.read_bytes() != content_of(name)
        return len(acknowledged), unsynced_lost
    finally:
        far.stop()
        for d in daemons:
            d.kill_all()
        subprocess.run(["umount", str(mount)], capture_output=True)


def inside(options):
    run("ip", "link", "set", "lo", "up")
    passed = failed = 0
    for system in options.systems.split(","):
        kept = lost = 0
        begin = time.monotonic()
        for number in range(options.rounds):
            seed = f"{options.seed}/{system}/{number}"
            place = pathlib.Path(tempfile.mkdtemp(prefix="sendq-powercut-"))
            try:
                count, unsynced = apart(one_round, place, system, number,
                                        random.Random(seed))
                kept += count
                lost += unsynced
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAILED {seed}: {error}")
                for log in sorted(place.glob("*.log")):
                    print(log.read_text()[-1500:])
            finally:
                shutil.rmtree(place, ignore_errors=True)
        print(f"{system}: {options.rounds} cuts, {kept} acknowledged "
              f"messages, all there and whole; {lost} of as many files "
              f"without a sync lost ({time.monotonic() - begin:.0f} s)",
              flush=True)
        if lost == 0:
            failed += 1
            print(f"FAILED {system}: nothing unsynced was lost, so that this "
                  "proves nothing")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20,
                        help="cuts of each file system")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--inside", action="store_true",
                        help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        return inside(options)
    if os.getuid() != 0:
        print("power cuts need root: namespaces and mounts\n"
              "0 passed, 1 failed")
        return 1
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc",
         "--kill-child", sys.executable, str(HERE), "--inside",
         "--rounds", str(options.rounds), "--systems", options.systems,
         "--seed", options.seed]).returncode


if __name__ == "__main__":
    sys.exit(main())
