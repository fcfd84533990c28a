"""mailq, -bP, -Q and hoststat over our own queue: sendmail's format, with and
without a daemon."""
import os
import re
import shutil

import pytest

from harness import RELAY, site, tool, wait_until

PLAIN = b"Subject: x\r\n\r\nbody\r\n"
HELD = site("ship7", "ship7.test", "smtp://127.0.0.1:9")


@pytest.fixture
def holder(daemon):
    d = daemon("holder", HELD)
    d.send("alice@example.com", ["bob@ship7.test"], PLAIN)
    d.send("", ["bob@ship7.test", "carol@ship7.test"], PLAIN * 50)
    d.send("Eve@example.org", ["dave@ship7.test"], PLAIN)
    return d


def listed(text):
    """[(id, mark, sender)] of a plain listing."""
    return re.findall(r"(?m)^([0-9A-Za-x]{14})(.)[ \d]{8} .{16} (.*)$", text)


def senders(d, *options):
    return [sender for _, _, sender in listed(d.run("mailq", *options).stdout)]


ALICE, NULL, EVE = "alice@example.com", "<>", "Eve@example.org"


@pytest.mark.parametrize("is_up", [True, False])
def test_selection(holder, is_up):
    text = holder.run("mailq").stdout
    ids = [id for id, _, _ in listed(text)]
    if not is_up:
        holder.stop()
    for options, expected in [
            ([], [ALICE, NULL, EVE]),
            (["-qI" + ids[0]], [ALICE]),
            (["-qIqf" + ids[0].lower(), "-qI" + ids[2].upper()], [ALICE, EVE]),
            (["-q!I" + ids[1]], [ALICE, EVE]),
            (["-qSEXAMPLE"], [ALICE, EVE]),
            (["-qS<>"], [NULL]),
            (["-q!S<>"], [ALICE, EVE]),
            (["-qRcarol"], [NULL]),
            (["-q!Rbob"], [NULL, EVE]),
            (["-qRbob", "-qSalice"], [ALICE]),
            (["-qRbob", "-qRdave"], [ALICE, NULL, EVE]),
            (["-qRnobody"], []),
            (["-qQ"], []),
            (["-qL"], []),
    ]:
        assert senders(holder, *options) == expected, options
        text = holder.run("mailq", *options).stdout
        assert text.endswith(f"\t\tTotal requests: {len(expected)}\n")
        count = f"({len(expected)} request{'s' * (len(expected) != 1)})"
        assert text.startswith(
            f"\t\t{holder.spool} {count}\n" if expected else
            f"{holder.spool} is empty\n")


def test_very_many_recipients(daemon):
    """The control protocol gives such a message in pieces."""
    d = daemon("holder", HELD)
    everybody = [f"u{i:03}@ship7.test" for i in range(450)]
    d.send("a@x.test", everybody, PLAIN)
    d.send("b@x.test", everybody[:1], PLAIN)
    text = d.run("mailq", "-qRu449").stdout
    assert text.startswith(f"\t\t{d.spool} (1 request)\n")
    lines = text.splitlines()
    assert [line.strip() for line in lines[3:-1]] == everybody
    assert senders(d) == ["a@x.test", "b@x.test"]


def test_verbose(holder):
    lines = holder.run("mailq", "-v").stdout.splitlines()
    assert lines[1] == ("-----Q-ID----- --Size-- -Priority- ---Q-Time--- "
                        "--------Sender/Recipient--------")
    size, priority = re.match(
        r"\w{14} ([ \d]{8}) ([ \d]{10}) \w{3} [ \d]\d \d\d:\d\d <>$",
        lines[4]).groups()
    assert int(priority) == int(size) + 2 * 30000
    assert lines[5:7] == ["\t\t\t\t\t\tbob@ship7.test",
                          "\t\t\t\t\t\tcarol@ship7.test"]


@pytest.mark.parametrize("is_up", [True, False])
def test_quarantine(holder, is_up):
    id = listed(holder.run("mailq").stdout)[0][0]
    if not is_up:
        holder.stop()
    text = holder.run("sendmail", "-v", '-Qlooks like "spam"',
                      "-qSalice").stdout
    assert text == (f"Processing {holder.spool}:\n"
                    f'{id}: Quarantined with "looks like "spam""\n1 change\n')
    assert senders(holder, "-qQ") == senders(holder, "-qQlike") == [ALICE]
    assert senders(holder, "-qQnothing") == senders(holder, "-qQLike") == []
    assert f' {ALICE}\n     QUARANTINE: looks like "spam"\n' in holder.run(
        "mailq").stdout
    text = holder.run("sendmail", "-v", '-Qlooks like "spam"', "-qQ").stdout
    assert text == (f"Processing {holder.spool}:\n"
                    f'{id}: Already quarantined with "looks like "spam""\n'
                    "No changes\n")
    text = holder.run("sendmail", "-v", "-Qa\nvirus", "-qQ").stdout
    assert text == (f"Processing {holder.spool}:\n{id}: Quarantine changed "
                    'from "looks like "spam"" to "a virus"\n1 change\n')
    assert "\nstopped:   a virus\n" in holder.run(
        "sendqctl", "show", id).stdout
    text = holder.run("sendmail", "-v", "-Q", "-qQ").stdout
    assert text == (f"Processing {holder.spool}:\n"
                    f'{id}: Removed quarantine of "a virus"\n1 change\n')
    assert senders(holder, "-qQ") == []
    holder.run("sendqctl", "hold", "--id", id)
    assert (f" {ALICE}\n     QUARANTINE: stopped by the administrator\n"
            in holder.run("mailq").stdout)
    assert senders(holder, "-qQstopped") == [ALICE]
    holder.run("sendqctl", "hold", "--id", id, "--reason", "later")
    assert senders(holder, "-qQlater") == [ALICE]
    assert '"reason":"later"' in holder.run("sendqctl", "list", "--json").stdout
    text = holder.run("sendmail", "-v", "-Q", "-qQ").stdout
    assert text.endswith(f'{id}: Removed quarantine of "later"\n1 change\n')
    text = holder.run("sendmail", "-v", "-Qspam", "-qSnobody").stdout
    assert text == f"{holder.spool}: no matches\nNo changes\n"


def test_counts_and_groups(holder):
    assert holder.run("sendmail", "-bP").stdout == (
        f"{holder.spool}: entries=3\n\t\tTotal requests: 3\n")
    assert holder.run("mailq", "-qGnosuch").stdout == (
        "Queue group nosuch unknown\n")
    assert "Total" not in holder.run("mailq", "-qGmqueue").stdout


def test_a_spool_that_is_named(holder):
    """-oQ with a spool of ours: the one of the daemon, and one elsewhere."""
    expected = holder.run("mailq").stdout
    option = f"-oQ{holder.spool}"
    assert holder.run("mailq", option).stdout == expected
    holder.stop()
    other = holder.directory / "other"
    shutil.move(holder.spool, other)
    text = holder.run("mailq", f"-oQ{other}").stdout
    assert text == expected.replace(str(holder.spool), str(other))
    missing = holder.run("mailq", option, check=False)
    assert missing.returncode == 78 and "can not chdir" in missing.stdout
    # The daemon has another one now.
    holder.start()
    assert senders(holder) == []
    assert senders(holder, f"-oQ{other}") == [ALICE, NULL, EVE]


def test_a_spool_that_is_in_sendmails_format(daemon, place):
    d = daemon("holder", f'spool = "mqueue:{place}/mqueue"\n' + HELD,
               start=False)
    queue = place / "mqueue"
    queue.mkdir()
    (queue / "qf6ALLDvRC012936").write_text(
        "V8\nT1795295637\nK0\nN0\nP30107\nSa@b.test\nRPFD:c@d.test\n.\n")
    text = d.run("mailq", env=dict(os.environ, TZ="UTC")).stdout
    assert text.startswith(f"\t\t{queue} (1 request)\n")
    assert " Sat Nov 21 21:13 a@b.test\n\t\t\t\t\t c@d.test\n" in text


def test_hoststat(daemon):
    d = daemon("out", RELAY + 'route = ( { domain = "*", '
               'to = "smtp://127.0.0.1:9" } )\n')
    assert d.run("sendmail", "-bh").stdout == ""
    d.send("a@x.test", ["u@far.test"], PLAIN)
    text = wait_until("an answer", lambda: d.run("sendmail", "-bh").stdout)
    head, line = text.splitlines()
    assert head == (" -------------- Hostname --------------- How long ago "
                    "---------Results---------")
    match = re.match(r" (\S+) +(\d\d:\d\d:\d\d) (.{1,25})$", line)
    assert match and len(match.group(1).ljust(39)) == 39, line
    verbose = d.run("sendmail", "-bh", "-v").stdout.splitlines()[1]
    assert verbose.startswith(line) and "Deferred: " in verbose
    assert verbose.endswith(" Deferred: Connection refused")
    assert match.group(1) == "127.0.0.1"
    assert match.group(3) == "Deferred: Connection refu"
    # A listing has the words of a run, too.
    assert "(Deferred: Connection refused by [127.0.0.1])" in d.run(
        "sendmail", "-bp").stdout
    assert d.run("sendmail", "-bH").stdout == ""


def test_no_configuration_is_said(place):
    result = tool("mailq", "-C", place / "none.conf", check=False)
    assert result.returncode == 78 and "none.conf" in result.stderr
