"""What the benchmark stands on: tools, processes, and what the kernel counts
about them."""
import mmap
import os
import pathlib
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "system"))
SOURCES = pathlib.Path(__file__).resolve().parent
TOOLS = ROOT / "build" / "bench"
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
SYNCS = "fsync,fdatasync,sync,syncfs,sync_file_range,msync"


def build_tools():
    TOOLS.mkdir(parents=True, exist_ok=True)
    for name in ("mload", "msink", "floor"):
        source, program = SOURCES / f"{name}.c", TOOLS / name
        if (program.exists() and
                program.stat().st_mtime > source.stat().st_mtime):
            continue
        subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall",
                        "-Wextra", "-Werror", "-o", program, source],
                       check=True)


def median(values):
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def wait_until(what, check, seconds, pause=0.02):
    """Waits until CHECK gives something true, and gives that."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(pause)


class Load:
    """What one run of mload reached."""

    def __init__(self, line):
        found = dict(re.findall(r"(\w+)=([\d.]+)", line))
        self.acked = int(found.get("acked", 0))
        self.rate = float(found.get("rate", 0))
        self.seconds = float(found.get("secs", 0))
        # From the last bytes of the content to the 250.
        self.p50_ms = int(found.get("dot50us", 0)) / 1000
        self.p99_ms = int(found.get("dot99us", 0)) / 1000
        self.refused = sum(int(found.get(k, 0)) for k in
                           ("temp", "perm", "lost"))


RUNS = 0


def mload(port, connections, each, total, size=4096, seconds=10, domains=200,
          first=0):
    """TOTAL messages, or as many as SECONDS allow."""
    global RUNS
    RUNS += 1
    result = subprocess.run(
        [TOOLS / "mload", "-p", str(port), "-c", str(connections), "-k",
         str(each), "-n", str(total), "-s", str(size), "-D", str(domains),
         "-B", str(first), "-r", f"r{RUNS}", "-t", str(seconds)],
        capture_output=True, text=True, timeout=seconds + 90)
    load = Load(result.stdout)
    if load.acked == 0:
        raise RuntimeError("nothing was acknowledged: " +
                           (result.stderr or result.stdout).strip()[:200])
    return load


def floor_sync(directory, seconds):
    """Milliseconds that a bare write and fdatasync of 4 KB takes: median."""
    result = subprocess.run(
        [TOOLS / "floor", "lat", "4096", str(seconds)], capture_output=True,
        text=True, env=dict(os.environ, FDIR=str(directory)), check=True)
    return int(re.search(r"p50=(\d+)us", result.stdout).group(1)) / 1000


class Sink:
    """msink at a port of all loopback addresses."""
    FIELDS = ("msgs", "rcpts", "conns", "open", "first_rcpt_ns",
              "last_done_ns", "bytes", "maxopen", "last_rcpt_ns")

    def __init__(self, directory, port, *options):
        self.port = port
        stats = pathlib.Path(directory) / f"sink-{port}"
        self.process = subprocess.Popen(
            [TOOLS / "msink", "-a", "0.0.0.0", "-p", str(port), "-c", stats,
             *options])
        wait_until("sink", self.is_listening, 10)
        with stats.open("r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)
        self.clear()

    def is_listening(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def __getattr__(self, name):
        if name not in Sink.FIELDS:
            raise AttributeError(name)
        at = 8 * Sink.FIELDS.index(name)
        return struct.unpack_from("Q", self.map, at)[0]

    def clear(self):
        for name in ("msgs", "rcpts", "first_rcpt_ns", "last_done_ns",
                     "last_rcpt_ns"):
            struct.pack_into("Q", self.map, 8 * Sink.FIELDS.index(name), 0)

    def wait_messages(self, count, seconds):
        """Waits for COUNT messages or as long as allowed; gives how many."""
        end = time.monotonic() + seconds
        while self.msgs < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.msgs

    def rate(self):
        """Messages a second from the first RCPT to the last end."""
        span = self.last_done_ns - self.first_rcpt_ns
        return self.msgs * 1e9 / span if span > 0 else None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def cpu_ms(pids):
    """CPU of PIDS and of their children that have ended."""
    total = 0
    for pid in pids:
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        fields = stat.rsplit(")", 1)[1].split()
        total += sum(int(n) for n in fields[11:15])
    return total * TICK_MS


def rss_mb(pids):
    """Resident memory; what is shared counts for each."""
    total = 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        found = re.search(r"VmRSS:\s+(\d+)", text)
        total += int(found.group(1)) if found else 0
    return total / 1024


class Syncs:
    """Counts the syncs of PIDS, and of what they start, with strace."""

    def __init__(self, directory, pids):
        self.path = pathlib.Path(directory) / "strace"
        self.path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-c", "-o", self.path, "-e",
             "trace=" + SYNCS, *(f"-p{pid}" for pid in pids)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wait_until("strace", lambda: self.is_attached(pids), 10)

    def is_attached(self, pids):
        if self.process.poll() is not None:
            raise RuntimeError("strace: " + self.process.stderr.read()[:200])
        return all("TracerPid:\t0" not in
                   pathlib.Path(f"/proc/{pid}/status").read_text()
                   for pid in pids)

    def stop(self):
        """Gives {call: count}."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        counts = {}
        for line in self.path.read_text().splitlines():
            words = line.split()
            if words and words[-1] in SYNCS.split(","):
                counts[words[-1]] = int(words[3])
        return counts
