"""Writes the figures of a run into the table of README.md."""
import pathlib
import re

README = pathlib.Path(__file__).resolve().parent.parent.parent / "README.md"
HEAD = "| | sendq | Postfix 3.7 | ratio |\n|---|---|---|---|\n"
# What a line says, and the rows of the bench that it shows: (group, how the
# name begins or ends). {name} is the name of the first one.
LINES = [
    ("durable intake, 100 connections of 100 messages, 4 KB",
     [("intake", "100 connections, 100 messages each, 4 KB")]),
    ("100 connections of one message",
     [("intake", "100 connections, 1 message each, 4 KB")]),
    ("20 connections of 100 messages",
     [("intake", "20 connections, 100 messages each, 4 KB")]),
    ("20 connections, 100 KB",
     [("intake", "20 connections, 100 messages each, 100 KB")]),
    ("one connection: last byte to 250, a bare sync being {sync_ms:.2f} ms",
     [("250 p50", "1 connection, ")]),
    ("syncs a message at 64 connections", [("syncs a message", "64 ")]),
    ("drain of {name}, and to one",
     [("drain", " to 200 sites"), ("drain", " to 1 site")]),
    ("{name}, in and out at once", [("through", "")]),
    ("ETRN to first and last RCPT: {name}",
     [("ETRN to first RCPT", "", 0), ("ETRN to last RCPT", "", 0)]),
    ("the same: {name}",
     [("ETRN to first RCPT", "", 1), ("ETRN to last RCPT", "", 1)]),
    ("memory of the queue's process, {name}, and {last}",
     [("RSS of the queue's process", "", 0),
      ("RSS of the queue's process", "", 1)]),
    ("`mailq`, {name}", [("mailq", " queued")]),
    ("`sendmail -q`, {name} (beside sendmail 8.17)", [("sendmail -q", "")]),
    ("`mailq`, {name} (beside sendmail 8.17)", [("mailq", "entries of")]),
]
SPACES = {"/s": "", "": ""}  # before a unit


def find(bench, group, text, index=0):
    rows = [r for r in bench.rows if r.group == group and
            (r.name.startswith(text) or text.strip() in r.name)]
    return rows[index] if len(rows) > index else None


def cell(row, server, show):
    value = row.value(server)
    if value is None:
        return "failed" if server in row.failed else ""
    return show(value) + SPACES.get(row.unit, " ") + row.unit


def line(bench, text, wanted, show):
    rows = [find(bench, *w) for w in wanted]
    if None in rows:
        return ""
    peer = rows[0].peer or "postfix"
    ratios = [row.against(peer) for row in rows]
    text = text.format(name=rows[0].name, last=rows[-1].name,
                       sync_ms=bench.sync_ms or 0)
    text = re.sub(r"\d{4,}", lambda n: f"{int(n[0]):,}", text)
    cells = [", ".join(filter(None, (cell(row, s, show) for row in rows)))
             for s in ("sendq", peer)]
    ratio = ", ".join(f"{r:.2g}" if r < 10 else f"{r:.0f}"
                      for r in ratios if r)
    return f"| {text} | {cells[0]} | {cells[1]} | {ratio} |\n"


def write(bench, show):
    """Replaces the table; what stands around it is for people to write."""
    text = README.read_text()
    before, _, rest = text.partition(HEAD)
    after = rest[rest.index("\n\n"):]
    body = "".join(line(bench, *entry, show) for entry in LINES)
    README.write_text(before + HEAD + body.rstrip("\n") + after)
