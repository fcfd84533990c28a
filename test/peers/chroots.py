"""The mail servers and clients of Debian 12, each in a directory of its own
under /var/cache/sendq-peers, made once by debootstrap and apt."""
import os
import pathlib
import shutil
import subprocess

CACHE = pathlib.Path("/var/cache/sendq-peers")
# Another mirror than debootstrap's own.
MIRROR = [os.environ["MIRROR"]] if os.environ.get("MIRROR") else []
PACKAGES = {
    "postfix": ["postfix"],
    "exim": ["exim4-daemon-light"],
    "opensmtpd": ["opensmtpd"],
    "sendmail": ["sendmail-bin", "sensible-mda"],
    "fetchmail": ["fetchmail"],
    "nmap": ["nmap"],
    # What calls /usr/sbin/sendmail, and libraries for ours in its place.
    "callers": ["bsd-mailx", "mutt", "php-cli", "git-email",
                "libmailtools-perl", "libconfig9", "libjansson4",
                "libsqlite3-0"],
}
INSTALL_SECONDS = 900


def run(*command, timeout=INSTALL_SECONDS, **options):
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive",
                       LC_ALL="C")
    result = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True,
                            stdin=subprocess.DEVNULL, timeout=timeout,
                            env=environment, **options)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {result.returncode}\n" +
                           result.stdout[-3000:])
    return result.stdout


def make_base():
    """A minimal Debian 12, from which the others are copied."""
    base = CACHE / "base"
    if base.exists():
        return base
    CACHE.mkdir(parents=True, exist_ok=True)
    if shutil.which("debootstrap") is None:
        run("apt-get", "install", "-q", "-y", "--no-install-recommends",
            "debootstrap")
    part = CACHE / "base.part"
    shutil.rmtree(part, ignore_errors=True)
    run("debootstrap", "--variant=minbase", "bookworm", str(part), *MIRROR)
    # No daemon is started while packages are installed.
    policy = part / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    part.rename(base)
    return base


def path(name):
    """The directory of peer NAME, installed if it is not there yet."""
    root = CACHE / name
    mark = root / ".installed"
    wanted = " ".join(PACKAGES[name])
    if mark.exists() and mark.read_text() == wanted:
        return root
    base = make_base()
    part = CACHE / f"{name}.part"
    for old in (part, root):
        shutil.rmtree(old, ignore_errors=True)
    run("cp", "-a", str(base), str(part))
    shutil.copy("/etc/resolv.conf", part / "etc" / "resolv.conf")
    # Scripts of packages stop daemons: they see no process but their own.
    run("unshare", "-m", "-p", "-f", "sh", "-ec",
        'mount -t proc proc "$0/proc"; exec chroot "$0" sh -ec "$1"',
        str(part), "apt-get update -q; apt-get install -q -y "
        f"--no-install-recommends {wanted}")
    (part / ".installed").write_text(wanted)
    part.rename(root)
    return root
