"""sendmail -bt, and what -bv -v says of aliases."""
import subprocess

import pytest
from harness import BIN

CONFIG = """hostname = "q.test"
spool = "{path}/spool"
route = ( {{ domain = "y.test"; to = "smtp://127.0.0.1:25" }} )
site = ( {{ name = "ship"; domains = [ "s.test" ]; hold = true; route = "mx";
  from = [ "192.0.2.1" ] }} )
aliases = "{path}/aliases"
"""
LONG = ", ".join(f"user{n}@list.test" for n in range(1, 21)) + ", z@list.test"


@pytest.fixture
def sendmail(tmp_path):
    (tmp_path / "q.conf").write_text(CONFIG.format(path=tmp_path))
    (tmp_path / "aliases").write_text(
        "list: a@y.test, b@z.test\nowner-list: root\nroot: c@s.test\n"
        f"big: {LONG}\n")

    def call(*options, text=""):
        return subprocess.run(
            [str(BIN / "sendmail"), "-C", str(tmp_path / "q.conf"), *options],
            input=text, capture_output=True, text=True, timeout=60)
    return call


def test_lines(sendmail):
    done = sendmail("-bt", text="foo\n3,0 list@q.test\n/parse root\n0 nobody\n"
                    "/mx y.test\n/mx z.test\n/mx\n/parse\n/bogus x\n# c\n\n"
                    "3 c@s.test\n/quit\n0 a@y.test\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == """\
ADDRESS TEST MODE (there are no rulesets: where mail goes is shown)
Enter <ruleset> <address>
> No address!
> list@q.test... aliased to a@y.test, b@z.test
a@y.test... deliverable: mailer relay, host [127.0.0.1], user a@y.test
a@y.test... destination smtp://127.0.0.1:25
b@z.test... deliverable: mailer esmtp, host z.test, user b@z.test
b@z.test... destination mx:z.test
> root... aliased to c@s.test
c@s.test... deliverable: mailer esmtp, host s.test, user c@s.test
c@s.test... destination site:ship, held until it is asked for
> nobody... User unknown
> y.test is not looked up: destination smtp://127.0.0.1:25
> getmxrr(z.test) is asked when mail is sent
> Usage: /mx address
> Usage: /parse address
> Unknown "/" command /bogus
> > > c@s.test... deliverable: mailer esmtp, host s.test, user c@s.test
c@s.test... destination site:ship, held until it is asked for
> """


def test_end_of_input(sendmail):
    done = sendmail("-bt", text="")
    assert done.returncode == 0 and done.stdout.endswith("<address>\n> ")


def test_long_list(sendmail):
    """As sendmail has it: of 203 bytes and more the ends."""
    said = sendmail("-bv", "-v", "big", "list").stdout.split("\n")
    assert said[0] == f"big... aliased to {LONG[:100]}...{LONG[-100:]}"
    assert "list... aliased to a@y.test, b@z.test" in said
    assert "aliased" not in sendmail("-bv", "big").stdout
