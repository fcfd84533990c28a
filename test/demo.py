"""The story of 1997, with real processes over real sockets: a holder keeps
the mail of a site whose link is down; the link comes up; the site asks with
sendq; its mail arrives in its Maildir. Exits 0 only if every message arrived
as it was sent. Called by script/demo."""
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "system"))

from harness import (  # noqa: E402
    Daemon, Link, RELAY, below_trace, maildir_files, make_maildir, site, tool,
    wait_until)


def messages():
    """(what, sender, recipients, content) of each message."""
    head = "From: <captain@port.test>\r\nTo: <crew@ship7.test>\r\n"
    yield ("plain", "captain@port.test", ["cook@ship7.test"],
           (head + "Subject: flour\r\n\r\nTwo sacks on the quay.\r\n"
            ".a line that begins with a dot\r\n").encode())
    yield ("8-bit", "captain@port.test", ["mate@ship7.test"],
           (head + "Subject: tide\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n\r\n"
            "H\u00f6chststand um f\u00fcnf, \u6f6e\u6c50\r\n").encode())
    yield ("two recipients", "owner@port.test",
           ["cook@ship7.test", "mate@ship7.test"],
           (head + "Subject: wages\r\n\r\nPaid on Friday.\r\n").encode())
    yield ("null sender", "", ["mate@ship7.test"],
           (head + "Subject: returned mail\r\n\r\nCould not be.\r\n").encode())
    line = "0123456789abcdef" * 4 + "\r\n"
    yield ("2 MB", "charts@port.test", ["mate@ship7.test"],
           (head + "Subject: charts\r\n\r\n" + line * 32000).encode())


def step(text):
    print(f"\n== {text}", flush=True)


def indented(text):
    print("".join(f"   {line}\n" for line in text.splitlines()), end="",
          flush=True)


def story(directory):
    maildir = make_maildir(directory / "Maildir")
    step("the site: a sendqd on the ship, local domain ship7.test")
    ship = Daemon(directory, "ship7", site(
        "ship7", "ship7.test", f"maildir:{maildir}", hold=False))
    ship.start()
    link = Link(ship.port, up=False)
    print(f"   listens on 127.0.0.1:{ship.port}; the link to it is DOWN")

    step("the holder: a sendqd ashore that keeps mail for ship7")
    holder = Daemon(directory, "holder", RELAY + site(
        "ship7", "ship7.test", f"smtp://127.0.0.1:{link.port}"))
    holder.start()
    print(f"   listens on 127.0.0.1:{holder.port}")
    try:
        return act(directory, holder, link, maildir)
    finally:
        holder.stop()
        ship.stop()
        link.stop()


def act(directory, holder, link, maildir):
    step("an ordinary SMTP client sends mail for the ship to the holder")
    sent = []
    for what, sender, recipients, content in messages():
        holder.send(sender, recipients, content)
        sent += [content] * len(recipients)
        print(f"   accepted: {what}, {len(content)} bytes for "
              f"{', '.join(recipients)}")

    step("mailq at the holder: all of it is held")
    before = holder.run("mailq").stdout
    indented(before)
    assert "Total requests: 5" in before, "the queue should hold 5 messages"
    assert not maildir_files(maildir)

    step("the link comes up")
    link.switch()
    wait_until("link", link.is_listening)

    step(f"the ship asks: sendq 127.0.0.1:{holder.port} ship7.test")
    asked = tool("sendq", f"127.0.0.1:{holder.port}", "ship7.test")
    indented(asked.stdout)

    step("the mail arrives in the ship's Maildir")
    files = wait_until(
        "the mail", lambda: len(maildir_files(maildir)) >= len(sent) and
        maildir_files(maildir))
    arrived = sorted(below_trace(f.read_bytes()) for f in files)
    for f in files:
        print(f"   new/{f.name}: {f.stat().st_size} bytes")
    expected = sorted(c.replace(b"\r\n", b"\n") for c in sent)
    assert arrived == expected, "what arrived differs from what was sent"

    step("mailq at the holder again")
    after = wait_until("an empty queue", lambda: (
        lambda text: "is empty" in text and text)(holder.run("mailq").stdout))
    indented(after)
    print(f"\nAll {len(sent)} copies arrived, equal to the byte below the "
          "trace fields.")
    return 0


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sendq-demo-"))
    try:
        return story(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


sys.exit(main())
