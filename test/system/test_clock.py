"""A wall clock that is wrong: nothing expires early and nothing stops.

libfaketime gives each start of the daemon a wall clock of its own; what a
clock does that jumps while the daemon runs is in src/role/queue_clock_test.c.
"""
import glob
import re
import time

import pytest

from harness import below_trace, site, tool, wait_until

LIBRARY = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
pytestmark = pytest.mark.skipif(not LIBRARY, reason="no libfaketime")
DAY = 86400
BODY = b"Subject: %d\r\n\r\nbody %d\r\n"


def at(when):
    """The words before the daemon's that give it the wall clock WHEN, as
    seconds since 1970."""
    return ("env", f"LD_PRELOAD={LIBRARY[0]}",
            f"FAKETIME={when - time.time():+.0f}", "NO_FAKE_STAT=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1")


def years(log):
    return {line[:4] for line in log.splitlines()}


def test_years_forward_and_back(daemon, sink):
    """Mail is held while each start of the daemon has another year."""
    far = sink()
    d = daemon("holder", site("ship7", "ship7.test",
                              f"smtp://127.0.0.1:{far.port}") +
               'expire = "5d"\nretry-min = "1s"\n', start=False)
    now = time.time()
    clocks = [now, now + 3650 * DAY, now - 7300 * DAY, 12.0, 3600.0,
              now + 40 * DAY, now + 39 * DAY, 5.0, now]
    for number, clock in enumerate(clocks):
        d.start(wrap=at(clock))
        year = time.gmtime(clock).tm_year
        mark = d.log_mark
        assert years(d.log(mark)) == {str(year)}
        d.send("a@x.test", [f"u{number}@ship7.test"],
               BODY % (number, number))
        mailq = d.run("mailq").stdout
        assert mailq.count("@ship7.test") == number + 1, mailq
        assert d.stop() == 0
        assert not re.search(r" (returned|bounce-lost|failed|error) ",
                             d.log())
    d.start(wrap=at(1.0))
    tool("sendq", f"127.0.0.1:{d.port}", "ship7.test")
    wait_until("all mail", lambda: len(far.messages) == len(clocks))
    assert sorted(below_trace(m[2]) for m in far.messages) == sorted(
        (BODY % (n, n)).replace(b"\r\n", b"\n") for n in range(len(clocks)))
    wait_until("an empty queue",
               lambda: "is empty" in d.run("mailq").stdout)
    assert " returned " not in d.log()


def test_deferred_mail_is_tried_in_1970(daemon, sink):
    """Retries go by the time that passes: a board without a clock delivers
    as soon as the far end does its part."""
    answers = ["450 4.2.0 later", "450 4.2.0 later"]

    def refuse(verb, _):
        return answers.pop() if verb == "RCPT" and answers else None

    far = sink(refuse)
    d = daemon("out", f'route = ( {{ domain = "*", '
               f'to = "smtp://127.0.0.1:{far.port}" }} )\n'
               'relay-from = [ "127.0.0.0/8" ]\nretry-min = "1s"\n',
               start=False)
    d.start(wrap=at(30.0))
    d.send("a@x.test", ["u@y.test"], BODY % (1, 1))
    wait_until("a deferral", lambda: " deferred " in d.log())
    assert d.stop() == 0
    # It got a clock, and lost it again.
    d.start(wrap=at(time.time()))
    wait_until("another", lambda: d.log().count(" deferred ") == 2)
    assert d.stop() == 0
    d.start(wrap=at(10.0))
    wait_until("mail", lambda: far.messages)
    assert " returned " not in d.log()


def test_a_stop_counts_up_to_30_days(daemon, sink):
    """A stop of four days and one of two make five days of waiting; one of a
    hundred days is a clock that is wrong."""
    far = sink(lambda verb, _: "450 4.2.0 no" if verb == "RCPT" else None)
    settings = (f'route = ( {{ domain = "*", '
                f'to = "smtp://127.0.0.1:{far.port}" }} )\n'
                'relay-from = [ "127.0.0.0/8" ]\nretry-min = "1s"\n'
                'retry-max = "1s"\nexpire = "5d"\n')
    for gaps, is_returned in (([4 * DAY], False), ([4 * DAY, 2 * DAY], True),
                              ([100 * DAY, 3600], False),
                              ([-100 * DAY, 4 * DAY], False)):
        d = daemon(f"out{len(gaps)}{gaps[0] // DAY}", settings, start=False)
        clock = time.time()
        d.start(wrap=at(clock))
        d.send("a@x.test", ["u@y.test"], BODY % (1, 1))
        wait_until("a deferral", lambda d=d: " deferred " in d.log())
        assert d.stop() == 0
        for gap in gaps:
            clock += gap
            d.start(wrap=at(clock))
            wait_until("another try",
                       lambda d=d: re.search(r" (deferred|failed|returned) ",
                                             d.log(d.log_mark)))
            assert d.stop() == 0
        assert (" returned " in d.log()) == is_returned, (gaps, d.log())
