"""Aliases: mail for lists, their owners, what is wrong in the files, newaliases
and sendmail -bv."""
import os
import smtplib

import pytest

from harness import (RELAY, Raw, maildir_files, make_maildir, tool,
                     wait_until)

MAIL = b"Subject: x\r\n\r\nbody\r\n"
ALIASES = """\
# who gets what
root: joe
postmaster: root
staff: joe, "Ann B" <ann@far.test>,
\t:include:{include}
owner-staff: boss
boss: bob@far.test
loop: loop2
loop2: loop
self: self, ann@far.test
prog: joe, "|/bin/true"
nobody: /dev/null
"""


class Hub:
    """A daemon with a Maildir for home.test and a sink for far.test."""

    def __init__(self, daemon, sink, tmp_path):
        self.sink = sink()
        self.path = tmp_path
        self.maildir = make_maildir(tmp_path / "maildir")
        self.aliases = tmp_path / "aliases"
        self.include = tmp_path / "members"
        self.include.write_text("# members\ncarl@far.test\nbob@far.test\n")
        self.aliases.write_text(ALIASES.format(include=self.include))
        self.settings = RELAY + f'''aliases = [ "{self.aliases}" ]
route = ( {{ domain = "far.test"; to = "smtp://127.0.0.1:{self.sink.port}" }} )
site = ( {{ name = "home"; domains = [ "home.test" ];
  route = "maildir:{self.maildir}" }} )
'''
        self.daemon = daemon("hub", self.settings, start=False)

    def got(self, count):
        """What the sink got, [(sender, sorted recipients)], COUNT of them."""
        wait_until("mail at the sink",
                   lambda: sum(len(m[1]) for m in self.sink.messages) >= count)
        merged = {}
        for sender, recipients, _ in self.sink.messages:
            merged.setdefault(sender, []).extend(recipients)
        return {s: sorted(r) for s, r in merged.items()}

    def delivered(self, count):
        wait_until("mail in the Maildir",
                   lambda: len(maildir_files(self.maildir)) >= count)
        return [f.read_text() for f in maildir_files(self.maildir)]


@pytest.fixture
def hub(daemon, sink, place):
    return Hub(daemon, sink, place)


def test_list_with_owner_and_include(hub):
    """Each member once, from the owner; the Maildir of joe gets his."""
    hub.daemon.start()
    hub.daemon.send("s@client.test", ["Staff@home.test"], MAIL)
    assert hub.got(3) == {"owner-staff@home.test": [
        "ann@far.test", "bob@far.test", "carl@far.test"]}
    assert "owner-staff@home.test" in hub.delivered(1)[0]


def test_list_and_another_recipient(hub):
    """One message in, two senders out; the other recipient keeps his."""
    hub.daemon.start()
    hub.daemon.send("s@client.test", ["x@far.test", "staff@hub.test"], MAIL)
    got = hub.got(4)
    assert got["s@client.test"] == ["x@far.test"]
    assert got["owner-staff@hub.test"] == [
        "ann@far.test", "bob@far.test", "carl@far.test"]


def test_bounce_goes_to_the_owner(hub):
    hub.sink.refuse = lambda verb, argument: (
        "550 5.1.1 no such user"
        if verb == "RCPT" and "carl" in argument else None)
    hub.daemon.start()
    hub.daemon.send("s@client.test", ["staff@home.test"], MAIL)
    # The owner is an alias: his mail is for bob.
    assert hub.got(3)[""] == ["bob@far.test"]
    assert any(b"Undelivered" in content for sender, _, content
               in hub.sink.messages if sender == "")


def test_replies(hub):
    """What cannot be expanded is refused for now, with the reason; names that
    are no aliases are unknown at the host's own name."""
    hub.daemon.start()
    with Raw(hub.daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@client.test>")
        assert raw.ask("RCPT TO:<loop@home.test>") == \
            "451 4.2.4 The alias goes round in a circle"
        assert raw.ask("RCPT TO:<prog@home.test>") == \
            "451 4.2.4 The alias names a program, and alias-programs is not on"
        assert raw.ask("RCPT TO:<joe@hub.test>") == "550 5.1.1 User unknown"
        assert raw.ask("RCPT TO:<root@hub.test>").startswith("250 ")
        assert raw.ask("RCPT TO:<anybody@home.test>").startswith("250 ")
        assert raw.ask("VRFY staff@home.test").startswith("252 ")


def test_discarded_and_self(hub):
    hub.daemon.start()
    hub.daemon.send("s@client.test", ["nobody@home.test"], MAIL)
    hub.daemon.send("s@client.test", ["self@home.test"], MAIL)
    assert hub.got(1) == {"s@client.test": ["ann@far.test"]}
    assert len(hub.delivered(1)) == 1
    assert " discarded " in hub.daemon.log()


def test_success_is_answered(hub):
    """RFC 3461 5.2.7.3: for a list "delivered", by us."""
    hub.daemon.start()
    with hub.daemon.smtp() as s:
        s.sendmail("s@far.test", ["staff@home.test"], MAIL,
                   rcpt_options=["NOTIFY=SUCCESS"])
    got = hub.got(4)
    assert got[""] == ["s@far.test"]
    text = next(c for s, _, c in hub.sink.messages if s == "").decode()
    assert "Action: delivered" in text and "staff@home.test" in text


def test_too_many_recipients(hub):
    """A list that does not fit is refused, not cut."""
    names = ",\n ".join(f"u{i}@far.test" for i in range(1001))
    hub.aliases.write_text(f"big: {names}\nfits: {names[:-14]}\n")
    hub.daemon.start()
    with Raw(hub.daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@client.test>")
        assert raw.ask("RCPT TO:<big@home.test>") == \
            "451 4.2.4 The alias has too many recipients"
        assert raw.ask("RCPT TO:<fits@home.test>").startswith("250 ")
        assert raw.ask("RCPT TO:<x@far.test>").startswith("452 4.5.3")


def test_newaliases_and_reload(hub):
    """The daemon reads the files anew when newaliases says so."""
    hub.daemon.start()
    hub.aliases.write_text("new: ann@far.test\n")
    mark = hub.daemon.log_size()
    result = hub.daemon.run("sendmail", "-bi")
    assert result.stdout == (f"{hub.aliases}: 1 aliases, longest 12 bytes, "
                             "15 bytes total\n")
    assert result.stderr == ""
    wait_until("reload", lambda: " ready " in hub.daemon.log(mark))
    hub.daemon.send("s@client.test", ["new@hub.test"], MAIL)
    assert hub.got(1) == {"s@client.test": ["ann@far.test"]}
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        hub.daemon.send("s@client.test", ["root@hub.test"], MAIL)


def test_mistakes(hub):
    """newaliases names file and line, also of what is wrong as a whole."""
    hub.include.write_text("ann@far.test\nno address\n")
    result = hub.daemon.run("sendmail", "-bi", check=False)
    assert result.returncode == 65
    assert sorted(result.stderr.splitlines()) == sorted([
        f"{hub.include}:2: has an item that is no address",
        f"{hub.aliases}:8: loop goes round in a circle: loop",
        f"{hub.aliases}:9: loop2 goes round in a circle: loop2",
        f"{hub.aliases}:11: prog names a program, and alias-programs is not "
        "on: /bin/true"])
    assert ": 10 aliases, " in result.stdout
    hub.daemon.start()
    assert f'error="{hub.include}:2: has' in hub.daemon.log()
    with Raw(hub.daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@client.test>")
        assert raw.ask("RCPT TO:<staff@home.test>") == \
            "451 4.2.4 The alias has a mistake in its definition"


def test_missing_file(hub):
    """A file that is named must be there, at the start and at a reload."""
    hub.daemon.start()
    hub.aliases.rename(hub.path / "gone")
    result = hub.daemon.run("sendmail", "-bi", check=False)
    assert result.returncode == 78
    assert result.stderr == f"{hub.aliases}: No such file or directory\n"
    hub.daemon.process.send_signal(1)
    wait_until("refusal",
               lambda: " reload-refused " in hub.daemon.log())
    # The old ones are in force.
    hub.daemon.send("s@client.test", ["self@hub.test"], MAIL)
    assert hub.got(1) == {"s@client.test": ["ann@far.test"]}


def test_open_to_all(hub):
    """A file that everybody may write to is none."""
    hub.include.chmod(0o666)
    result = hub.daemon.run("sendmail", "-bi", check=False)
    assert result.returncode == 65
    assert f"{hub.include}: can be written to by everybody" in result.stderr
    hub.aliases.chmod(0o666)
    result = hub.daemon.run("sendmail", "-bi", check=False)
    assert result.returncode == 78


def test_verify(hub):
    """sendmail -bv, in sendmail's words."""
    result = hub.daemon.run("sendmail", "-bv", "root", "self@hub.test",
                              "nobody", "bob@far.test", "x@mx.test")
    port = hub.sink.port
    assert port > 0
    assert result.stdout.splitlines() == [
        "joe@home.test... deliverable: mailer local, user joe@home.test",
        "self@home.test... deliverable: mailer local, user self@home.test",
        "ann@far.test... deliverable: mailer relay, host [127.0.0.1], "
        "user ann@far.test",
        "/dev/null... deliverable: mailer *file*, user /dev/null",
        "bob@far.test... deliverable: mailer relay, host [127.0.0.1], "
        "user bob@far.test",
        "x@mx.test... deliverable: mailer esmtp, host mx.test, "
        "user x@mx.test"]
    result = hub.daemon.run("sendmail", "-bv", "loop", "x@hub.test", "a b",
                              check=False)
    assert result.returncode == 67
    assert result.stdout.splitlines() == [
        "loop... alias loop2 goes round in a circle: loop",
        "x@hub.test... User unknown",
        "a b... User unknown"]


def test_verify_as_given(hub):
    """sendmail -bv shows what it was given, brackets or none."""
    result = hub.daemon.run("sendmail", "-bv", "<bob@far.test>", "<root>",
                            "<x@hub.test>", check=False)
    assert result.returncode == 67
    assert result.stdout.splitlines() == [
        "<bob@far.test>... deliverable: mailer relay, host [127.0.0.1], "
        "user bob@far.test",
        "joe@home.test... deliverable: mailer local, user joe@home.test",
        "<x@hub.test>... User unknown"]


def test_another_file(hub):
    """newaliases -oA/file: that one, and no word to the daemon."""
    hub.daemon.start()
    other = hub.path / "other"
    other.write_text("a: b\n")
    mark = hub.daemon.log_size()
    for option in [f"-oA{other}", f"-OAliasFile=hash:{other}"]:
        result = hub.daemon.run("sendmail", option, "-bi")
        assert result.stdout == (f"{other}: 1 aliases, longest 1 bytes, "
                                 "2 bytes total\n")
    assert "stopping" not in hub.daemon.log(mark)
    result = hub.daemon.run("sendmail", "-oA/a,/b", "-bi", check=False)
    assert result.returncode == 78


def test_without_aliases(daemon, place):
    d = daemon("hub", start=False)
    result = d.run("sendmail", "-bi")
    assert "no files are configured" in result.stderr
    result = tool("sendmail", "-C", str(place / "none"), "-bi", check=False)
    assert result.returncode == 78


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
@pytest.mark.parametrize("way", ["link", "nested", "mode"])
def test_include_reads_nothing_for_its_writer(hub, way):
    """Who may write an included file does not get at what only root reads."""
    secret = hub.path / "secret"
    secret.write_text("SECRET-WORD\n")
    secret.chmod(0o600)
    hub.include.unlink()
    if way == "link":
        hub.include.symlink_to(secret)
    elif way == "nested":
        hub.include.write_text(f"ann@far.test\n:include:{secret}\n")
    else:
        secret.rename(hub.include)
    hub.daemon.start()
    with Raw(hub.daemon.port) as raw:
        raw.ask("EHLO client.test")
        raw.ask("MAIL FROM:<s@client.test>")
        assert raw.ask("RCPT TO:<staff@home.test>") == \
            "451 4.2.4 The alias includes a file that could not be read"
    assert "Permission denied" in hub.daemon.log()
    said = tool("sendmail", "-C", hub.daemon.config, "-bv",
                "staff@home.test", check=False)
    assert "SECRET" not in said.stdout + said.stderr
