"""Time goes by: mail that nobody fetches, mail that is late, and what senders
are told of it (RFC 3461, RFC 3464)."""
import email
import email.policy
import email.utils
import time

from harness import (RELAY, Raw, free_port, make_maildir, maildir_files,
                     wait_until)

PLAIN = b"Subject: x\r\nMessage-ID: <1@x.test>\r\n\r\nbody\r\n"
STATUS = ["Reporting-MTA", "Original-Envelope-Id", "Arrival-Date"]


def settings(back, *sites, more=""):
    """Sites, and the senders' domain by way of the sink at BACK."""
    return (RELAY + 'retry-min = "1s"\nretry-max = "1s"\n' + more +
            'route = ( { domain = "back.test", '
            f'to = "smtp://127.0.0.1:{back}" }} )\n'
            "site = ( " + ",\n".join(sites) + " )\n")


def a_site(name, route, hold=True, extra=""):
    return (f'{{ name = "{name}", domains = [ "{name}.test" ], '
            f'hold = {str(hold).lower()}, route = "{route}", '
            f'from = [ "127.0.0.0/8" ]{extra} }}')


def put(daemon, recipients, mail="", content=PLAIN, sender="s@back.test"):
    """Sends by hand; RECIPIENTS are (address, parameters)."""
    with Raw(daemon.port) as r:
        r.ask("EHLO c")
        assert r.ask(f"MAIL FROM:<{sender}> {mail}".rstrip()) \
            .startswith("250")
        for address, parameters in recipients:
            assert r.ask(f"RCPT TO:<{address}> {parameters}".rstrip()) \
                .startswith("250")
        r.ask("DATA")
        r.send(content + b".\r\n")
        assert r.reply().startswith("250")


class Report:
    """A notification, taken apart by Python's parser."""

    def __init__(self, message):
        sender, recipients, content = message
        assert sender == "" and recipients == ["s@back.test"]
        top = email.message_from_bytes(content, policy=email.policy.default)
        assert not top.defects
        self.top = top
        assert top.get_content_type() == "multipart/report"
        assert top.get_param("report-type") == "delivery-status"
        assert top["To"] == "<s@back.test>" or top["To"] == "s@back.test"
        assert top["Auto-Submitted"] == "auto-replied"
        text, status, self.returned = top.get_payload()
        assert text.get_content_type() == "text/plain"
        self.text = text.get_content()
        assert status.get_content_type() == "message/delivery-status"
        self.message, *self.recipients = status.get_payload()
        for block in [self.message, *self.recipients]:
            assert not block.defects

    def fields(self):
        return dict(self.message.items())

    def recipient(self, address):
        """The fields of one recipient; no two are of one."""
        found = [dict(r.items()) for r in self.recipients
                 if r["Final-Recipient"] == f"rfc822; {address}"]
        assert len(found) == 1
        return found[0]


def is_now(text):
    return abs(email.utils.parsedate_to_datetime(text).timestamp() -
               time.time()) < 60


def take(fields, **wanted):
    """FIELDS are those WANTED (with "_" for "-") and no others; dates of now
    are wanted as True."""
    for name, value in wanted.items():
        got = fields.pop(name.replace("_", "-"))
        assert is_now(got) if value is True else got == value, (name, got)
    assert not fields


def reports(sink, count):
    wait_until(f"{count} notifications", lambda: len(sink.messages) >= count)
    assert len(sink.messages) == count
    return [Report(m) for m in sink.messages]


def test_mail_that_nobody_fetches_is_returned(daemon, sink):
    back = sink()
    d = daemon("holder", settings(
        back.port, a_site("ship", "smtp://127.0.0.1:9",
                          extra=', expire = "2s"')))
    put(d, [("u@ship.test", "ORCPT=rfc822;boss+2Bx@q.test"),
            ("v@ship.test", "NOTIFY=FAILURE"), ("w@ship.test", "NOTIFY=NEVER")],
        "RET=FULL ENVID=E+3D1")
    report, = reports(back, 1)
    take(report.fields(), Reporting_MTA="dns; holder.test",
         Original_Envelope_Id="E=1", Arrival_Date=True)
    assert len(report.recipients) == 2
    take(report.recipient("u@ship.test"), Action="failed", Status="4.4.7",
         Final_Recipient="rfc822; u@ship.test",
         Original_Recipient="rfc822; boss+x@q.test",
         Diagnostic_Code="x-sendq; not fetched in time")
    take(report.recipient("v@ship.test"), Action="failed", Status="4.4.7",
         Final_Recipient="rfc822; v@ship.test",
         Diagnostic_Code="x-sendq; not fetched in time")
    assert report.returned.get_content_type() == "message/rfc822"
    assert report.returned.get_payload(0)["Message-ID"] == "<1@x.test>"
    assert b"body" in report.returned.as_bytes()
    wait_until("empty", lambda: "is empty" in d.run("mailq").stdout)
    assert d.log().count(" returned ") == 3


def test_time_goes_on_while_it_is_down(daemon, sink):
    back = sink()
    d = daemon("holder", settings(
        back.port, a_site("ship", "smtp://127.0.0.1:9",
                          extra=', expire = "3s"'),
        a_site("boat", "smtp://127.0.0.1:9", extra=', expire = "3w"')))
    put(d, [("u@ship.test", "")])
    put(d, [("u@boat.test", "")])
    d.stop()
    time.sleep(3)
    d.start()
    report, = reports(back, 1)
    assert report.recipients[0]["Final-Recipient"] == "rfc822; u@ship.test"
    assert "u@boat.test" in d.run("mailq").stdout


def test_nobody_is_told_of_a_notification_that_expires(daemon, sink):
    back = sink()
    d = daemon("holder", settings(
        back.port, a_site("ship", "smtp://127.0.0.1:9",
                          extra=', expire = "1s", delay-notice = "0"')))
    put(d, [("u@ship.test", "")], sender="")
    wait_until("lost", lambda: "bounce-lost" in d.log())
    wait_until("empty", lambda: "is empty" in d.run("mailq").stdout)
    assert back.messages == []


def test_late_mail_is_told_of_once_though_killed(daemon, sink):
    back = sink()
    down = free_port()
    d = daemon("relay", settings(
        back.port,
        a_site("site", f"smtp://127.0.0.1:{down}", hold=False,
               extra=', expire = "6s", delay-notice = "1s"')))
    put(d, [("u@site.test", ""), ("v@site.test", "NOTIFY=FAILURE")],
        "ENVID=e2")
    report, = reports(back, 1)
    take(report.fields(), Reporting_MTA="dns; relay.test",
         Original_Envelope_Id="e2", Arrival_Date=True)
    fields = report.recipient("u@site.test")
    assert len(report.recipients) == 1
    refused = "connect to [127.0.0.1]: Connection refused"
    take(fields, Action="delayed", Status="4.4.1", Will_Retry_Until=True,
         Final_Recipient="rfc822; u@site.test",
         Diagnostic_Code=f"x-sendq; {refused}")
    assert report.top["Subject"] == "Mail is delayed"
    assert report.returned.get_content_type() == "text/rfc822-headers"
    assert "tried again" in report.text
    d.kill_all()
    d.start()
    first, second = reports(back, 2)
    assert {r["Action"] for r in second.recipients} == {"failed"}
    assert len(second.recipients) == 2
    assert second.recipient("u@site.test")["Diagnostic-Code"] == \
        f"x-sendq; delivery time expired: {refused}"
    assert d.log().count(" notified ") == 1


def test_held_site_may_have_its_senders_told(daemon, sink):
    back = sink()
    d = daemon("holder", settings(
        back.port,
        a_site("secret", "smtp://127.0.0.1:9",
               extra=', expire = "1w", delay-notice = "1s"').replace(
                   "secret.test", "ship.test"),
        a_site("quiet", "smtp://127.0.0.1:9"),
        more='delay-notice = "1s"\n'))
    put(d, [("u@ship.test", ""), ("u@quiet.test", "")])
    report, = reports(back, 1)
    fields = report.recipient("u@ship.test")
    assert len(report.recipients) == 1
    until = email.utils.parsedate_to_datetime(fields["Will-Retry-Until"])
    assert abs(until.timestamp() - time.time() - 7 * 86400) < 60
    take(fields, Action="delayed", Status="4.0.0",
         Will_Retry_Until=fields["Will-Retry-Until"],
         Final_Recipient="rfc822; u@ship.test")
    assert "is fetched from time to" in report.text
    assert "secret" not in str(report.top)


def test_success_is_told_where_nobody_else_will(daemon, sink, place):
    back, plain, knows, seen = sink(), sink(), None, []

    def keep(verb, argument):
        if verb == "RCPT":
            seen.append(argument)

    knows = sink(keep, extensions=("PIPELINING", "DSN"))
    box = make_maildir(place / "box")
    d = daemon("relay", settings(
        back.port, a_site("home", f"maildir:{box}", hold=False),
        a_site("plain", f"smtp://127.0.0.1:{plain.port}", hold=False),
        a_site("knows", f"smtp://127.0.0.1:{knows.port}", hold=False)))
    put(d, [("a@home.test", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@q.test"),
            ("b@home.test", "NOTIFY=SUCCESS"), ("c@home.test", "")],
        "RET=HDRS ENVID=e3")
    wait_until("mail", lambda: len(maildir_files(box)) == 3)
    report, = reports(back, 1)
    take(report.fields(), Reporting_MTA="dns; relay.test",
         Original_Envelope_Id="e3", Arrival_Date=True)
    assert len(report.recipients) == 2
    take(report.recipient("a@home.test"), Action="delivered", Status="2.0.0",
         Last_Attempt_Date=True, Original_Recipient="rfc822; o@q.test",
         Final_Recipient="rfc822; a@home.test")
    put(d, [("a@plain.test", "NOTIFY=SUCCESS"), ("b@plain.test", "")])
    report = reports(back, 2)[1]
    assert len(report.recipients) == 1
    take(report.recipient("a@plain.test"), Action="relayed", Status="2.0.0",
         Last_Attempt_Date=True, Remote_MTA="dns; [127.0.0.1]",
         Diagnostic_Code="smtp; 250 2.0.0 ok",
         Final_Recipient="rfc822; a@plain.test")
    put(d, [("a@knows.test", "NOTIFY=SUCCESS ORCPT=rfc822;o@q.test")])
    wait_until("mail", lambda: knows.messages)
    assert seen == ["To:<a@knows.test> NOTIFY=SUCCESS ORCPT=rfc822;o@q.test"]
    wait_until("empty", lambda: "is empty" in d.run("mailq").stdout)
    assert len(back.messages) == 2


def test_failures_of_one_message_are_told_together(daemon, sink):
    back = sink()

    def refuse(verb, argument):
        if verb == "RCPT" and "good" not in argument:
            return "550 5.1.1 no such user here"
        return None

    far = sink(refuse)
    d = daemon("relay", settings(
        back.port, a_site("far", f"smtp://127.0.0.1:{far.port}", hold=False)))
    put(d, [("x@far.test", "ORCPT=rfc822;x+40far@q.test"),
            ("good@far.test", ""), ("y@far.test", "NOTIFY=FAILURE,DELAY"),
            ("z@far.test", "NOTIFY=DELAY")], "RET=HDRS ENVID=e4")
    report, = reports(back, 1)
    assert len(report.recipients) == 2
    for address, more in (("x@far.test", {"Original_Recipient":
                                          "rfc822; x@far@q.test"}),
                          ("y@far.test", {})):
        take(report.recipient(address), Action="failed", Status="5.1.1",
             Remote_MTA="dns; [127.0.0.1]", Last_Attempt_Date=True,
             Diagnostic_Code="smtp; 550 5.1.1 no such user here",
             Final_Recipient=f"rfc822; {address}", **more)
    assert report.returned.get_content_type() == "text/rfc822-headers"
    assert "Message-ID: <1@x.test>" in report.returned.get_payload()
    assert "body" not in report.returned.get_payload()


def test_a_release_gives_bulk_mail_last(daemon, sink):
    back, far = sink(), sink()
    d = daemon("holder", settings(
        back.port, a_site("ship", f"smtp://127.0.0.1:{far.port}")))
    for name, head, size in (("junk", b"Precedence: junk\r\n", 0),
                             ("bulk", b"precedence: BULK\r\n", 0),
                             ("list", b"Precedence: list\r\n", 0),
                             ("large", b"", 3000000), ("small", b"", 0)):
        put(d, [(f"{name}@ship.test", "")],
            content=head + b"Subject: x\r\n\r\n" +
            (b"y" * 98 + b"\r\n") * (size // 100))
    with Raw(d.port) as r:
        r.ask("EHLO c")
        assert r.ask("ETRN ship.test").startswith("253 2.0.0 OK, 5 ")
    wait_until("mail", lambda: len(far.messages) == 5)
    order = [m[1][0].split("@")[0] for m in far.messages]
    # Two sessions at most begin at once: neighbours may change places.
    wanted = ["small", "large", "list", "bulk", "junk"]
    for at, name in enumerate(order):
        assert abs(wanted.index(name) - at) <= 1, order
