"""Postfix of Debian 12 in a chroot, tuned in its own favour: no throttling of
any kind, no DNS, no log, enough processes, one transport to the sink."""
import os
import pathlib
import shutil
import subprocess
import time

import ours
import rig

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "peer.test",
    "mydestination": "",
    "mynetworks": "127.0.0.0/8",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "smtpd_relay_restrictions": "permit_mynetworks, reject",
    "smtpd_peername_lookup": "no",
    "smtpd_client_event_limit_exceptions": "static:all",
    "smtpd_client_connection_count_limit": "0",
    "disable_dns_lookups": "yes",
    "smtp_host_lookup": "native",
    "smtp_dns_support_level": "disabled",
    "smtp_bind_address": "",
    "relay_domains": "texthash:/etc/postfix/sites",
    "relay_transport": "smtp",
    "transport_maps": "texthash:/etc/postfix/transport",
    "relay_recipient_maps": "",
    "alias_maps": "",
    "alias_database": "",
    "local_recipient_maps": "",
    "fast_flush_domains": "$relay_domains",
    "in_flow_delay": "0",
    "default_process_limit": "300",
    "initial_destination_concurrency": "20",
    "default_destination_concurrency_limit": "20",
    "qmgr_message_active_limit": "200000",
    "qmgr_message_recipient_limit": "200000",
    "queue_run_delay": "1d",
    "minimal_backoff_time": "1d",
    "maximal_backoff_time": "1d",
    "max_use": "100000",
    "message_size_limit": "60000000",
}


class Postfix:
    name = "postfix"
    port = 2625
    part = 1500  # of messages: what it takes in during a life at most

    def __init__(self, cache, memory):
        self.root = pathlib.Path(cache) / "postfix"
        self.memory = memory
        self.is_running = False
        if os.geteuid() != 0:
            raise RuntimeError("needs root for its users and its chroot")
        if not os.access(self.root / "usr/sbin/postfix", os.X_OK):
            raise RuntimeError(f"is not in {self.root}")
        self.prepare()

    def prepare(self):
        """A /dev without a log and without a console to write to."""
        dev = self.root / "dev"
        subprocess.run(["mount", "-t", "tmpfs", "dev", dev], check=True)
        for name, minor in (("null", 3), ("zero", 5), ("random", 8),
                            ("urandom", 9)):
            os.mknod(dev / name, 0o20666, os.makedev(1, minor))
            os.chmod(dev / name, 0o666)
        subprocess.run(["mount", "-t", "proc", "proc", self.root / "proc"],
                       check=True)
        master = self.root / "etc/postfix/master.cf"
        if not master.with_suffix(".cf.dist").exists():
            shutil.copy(master, master.with_suffix(".cf.dist"))
        lines = []
        dist = master.with_suffix(".cf.dist").read_text()
        for line in dist.splitlines():
            words = line.split()
            if line[:1].isalpha() and len(words) >= 8:
                words[4] = "n"  # no chroot inside the chroot
                if words[0] == "smtp" and words[1] == "inet":
                    words[0] = str(self.port)
                line = " ".join(words)
            lines.append(line)
        master.write_text("\n".join(lines) + "\n")

    def run(self, *command, check=True):
        return subprocess.run(
            ["chroot", self.root, *command], check=check, text=True,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=300).stdout

    def configure(self, **changes):
        text = "".join(f"{k} = {v}\n"
                       for k, v in {**SETTINGS, **changes}.items())
        (self.root / "etc/postfix/main.cf").write_text(text)

    def start(self, mode, sites, hops, hop_port):
        """As Ours.start(). Kept mail goes into the hold queue, which costs
        least; ETRN serves the deferred one, so that is used for "ask"."""
        self.stop()
        etc = self.root / "etc/postfix"
        names = [f"site{i:04d}.test" for i in range(sites)]
        (etc / "sites").write_text("".join(f"{n} x\n" for n in names))
        (etc / "transport").write_text("".join(
            f"{n} smtp:[{ours.hop_address(i, hops)}]:{hop_port}\n"
            for i, n in enumerate(names)))
        self.configure(**{
            "keep": {"smtpd_data_restrictions":
                     "check_client_access static:HOLD"},
            "ask": {"defer_transports": "smtp"},
            "pass": {}}[mode])
        self.resume()

    def halt(self):
        """A clean end; the queue stays."""
        self.run("postfix", "stop")
        rig.wait_until("postfix gone", lambda: not self.pids(), 20, 0.1)
        self.is_running = False

    def resume(self):
        self.run("postfix", "start")
        self.is_running = True

    def pids(self):
        """All processes whose root is the chroot."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if (entry.name.isdigit() and
                        os.readlink(entry / "root") == str(self.root)):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def queue_pid(self):
        for pid in self.pids():
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "qmgr\n":
                return pid
        return None

    def stop(self):
        if self.is_running or self.pids():
            self.run("postfix", "abort", check=False)
            rig.wait_until("postfix gone", lambda: not self.pids(), 20, 0.1)
            self.is_running = False
        spool = self.root / "var/spool/postfix"
        for name in ("incoming", "active", "deferred", "defer", "maildrop",
                     "flush", "hold", "corrupt", "bounce", "saved", "trace"):
            subprocess.run(["find", spool / name, "-mindepth", "1", "-delete"],
                           check=True)

    def count(self, queue):
        top = self.root / "var/spool/postfix" / queue
        return sum(len(files) for _, _, files in os.walk(top))

    def wait_queued(self, count, seconds):
        """Until the queue manager has put all that is not on hold into
        deferred."""
        rig.wait_until("deferred", lambda: self.count("hold") +
                       self.count("deferred") >= count, seconds, 0.3)
        time.sleep(1)

    def release_all(self, sites):
        self.run("postsuper", "-H", "ALL")
        self.run("postqueue", "-f")

    def release_site(self, i):
        ours.etrn(self.port, i)

    def mailq(self):
        return self.run("postqueue", "-p")
