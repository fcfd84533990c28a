"""The mail servers of others, each on a port of its own on loopback: mail for
IN goes on to sendq, all other mail to the sink."""
import shutil
import socket
import subprocess
import time

import chroots

IN = "to-sendq.test"
PORTS = {"postfix": 2501, "exim": 2502, "opensmtpd": 2503, "sendmail": 2504}
SENDQ_PORT, SINK_PORT = 2600, 2601


def is_up(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """Runs in its chroot; ends with the name space of processes."""

    def __init__(self, name, place):
        self.name, self.port = name, PORTS[name]
        self.root = prepare(name)
        self.log = (place / f"{name}.log").open("wb")
        self.process = subprocess.Popen(
            ["chroot", str(self.root), *getattr(self, name)()],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not is_up(self.port):
            if time.monotonic() > end:
                raise RuntimeError(f"{name} does not listen: " +
                                   (place / f"{name}.log").read_text(
                                       errors="replace")[-2000:])
            time.sleep(0.1)

    def write(self, path, text):
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def clear(self, path):
        """Forgets the queue of an earlier run."""
        for entry in (self.root / path.lstrip("/")).glob("*"):
            if entry.is_dir():
                for file in entry.rglob("*"):
                    if file.is_file():
                        file.unlink()
            else:
                entry.unlink()

    def postfix(self):
        self.write("/etc/postfix/main.cf", f"""compatibility_level = 3.6
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{SINK_PORT}
transport_maps = inline:{{{IN}=smtp:[127.0.0.1]:{SENDQ_PORT}}}
disable_dns_lookups = yes
smtp_host_lookup = native
minimal_backoff_time = 2s
maximal_backoff_time = 2s
queue_run_delay = 2s
maillog_file = /dev/stdout
smtpd_peername_lookup = no
""")
        source = (self.root / "usr/share/postfix/master.cf.dist").read_text()
        lines = []
        for line in source.splitlines():
            words = line.split()
            if len(words) > 7 and not line.startswith(("#", " ")):
                words[4] = "n"
                if words[0] == "smtp" and words[1] == "inet":
                    words[0] = f"127.0.0.1:{self.port}"
                line = " ".join(words)
            lines.append(line)
        self.write("/etc/postfix/master.cf", "\n".join(lines) + "\n")
        for queue in ("incoming", "active", "deferred", "defer", "bounce"):
            self.clear(f"/var/spool/postfix/{queue}")
        (self.root / "var/spool/postfix/pid/master.pid").unlink(
            missing_ok=True)
        return ["postfix", "start-fg"]

    def exim(self):
        self.write("/etc/exim4/exim4.conf", f"""primary_hostname = exim.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {self.port}
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
rfc1413_query_timeout = 0s
queue_run_max = 2
smtp_accept_max_per_connection = 5
begin routers
sendq:
  driver = manualroute
  domains = {IN}
  transport = sendq
  route_list = * 127.0.0.1 byname
  self = send
sink:
  driver = manualroute
  domains = *
  transport = sink
  route_list = * 127.0.0.1 byname
  self = send
begin transports
sendq:
  driver = smtp
  port = {SENDQ_PORT}
  allow_localhost
sink:
  driver = smtp
  port = {SINK_PORT}
  allow_localhost
begin retry
* * F,1h,2s
""")
        self.clear("/var/spool/exim4")
        return ["exim4", "-bdf", "-q2s"]

    def opensmtpd(self):
        self.write("/etc/smtpd.conf", f"""listen on 127.0.0.1 port {self.port}
action "sendq" relay host smtp://127.0.0.1:{SENDQ_PORT}
action "sink" relay host smtp://127.0.0.1:{SINK_PORT}
match from any for domain "{IN}" action "sendq"
match from any for any action "sink"
""")
        self.write("/etc/mailname", "opensmtpd.test\n")
        for queue in ("queue", "incoming"):
            shutil.rmtree(self.root / "var/spool/smtpd" / queue,
                          ignore_errors=True)
        return ["smtpd", "-d"]

    def sendmail(self):
        self.write("/etc/mail/peer.mc", f"""divert(0)dnl
include(`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(`debian')dnl
define(`confDOMAIN_NAME', `sendmail.test')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/peer.switch')dnl
define(`confTO_IDENT', `0')dnl
define(`confMIN_QUEUE_AGE', `0')dnl
define(`confLOG_LEVEL', `9')dnl
define(`confRUN_AS_USER', `smmta:smmsp')dnl
define(`SMTP_MAILER_ARGS', `TCP $h {SENDQ_PORT}')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {SINK_PORT}')dnl
define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={self.port}, Addr=127.0.0.1')dnl
MAILER(`smtp')dnl
LOCAL_RULE_0
R$* < @ {IN} $* > $*\t$#smtp $@ [127.0.0.1] $: $1 < @ {IN} $2 > $3
""")
        self.write("/etc/mail/peer.switch", "hosts files\naliases files\n")
        cf = subprocess.run(
            ["chroot", str(self.root), "m4", "/etc/mail/peer.mc"],
            capture_output=True, text=True, check=True, timeout=60).stdout
        self.write("/etc/mail/peer.cf", cf)
        self.clear("/var/spool/mqueue")
        return ["/usr/libexec/sendmail/sendmail", "-C/etc/mail/peer.cf", "-bD",
                "-q2s"]


def prepare(name):
    """The directory of peer NAME, with the devices and processes of here."""
    root = chroots.CACHE / name
    for directory, options in (("proc", ["-t", "proc", "proc"]),
                               ("dev", ["--rbind", "/dev"]),
                               ("tmp", ["--bind", "/tmp"])):
        if not (root / directory).is_mount():
            subprocess.run(["mount", *options, str(root / directory)],
                           check=True)
    hosts = f"127.0.0.1 localhost {socket.gethostname()} " + \
        " ".join(f"{n}.test" for n in PORTS) + "\n"
    (root / "etc/hosts").write_text(hosts)
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n"
                                          "options timeout:1 attempts:1\n")
    (root / "etc/nsswitch.conf").write_text(
        "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
        "services: files\nprotocols: files\n")
    return root
