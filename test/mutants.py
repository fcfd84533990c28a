"""Plants bugs in a copy of the source, one at a time; each must make a test
fail. Called by script/test --mutants; the last line is "N passed, N failed",
where a bug that was found is a pass.

  python3 test/mutants.py [WORD]    only the bugs with WORD in their name
"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutants"

# (name, file, what is there, what takes its place, the test that finds it)
MUTANTS = [
    ("the log is not synced", "store/spool/spool_log.c",
     "if (os_datasync(log->os, newest->file) < 0)\n\t\treturn SPOOL_LOST;",
     "if (newest == NULL)\n\t\treturn SPOOL_LOST;",
     "store/spool/spool_crash_test"),
    ("a sync that failed is tried again", "store/spool/spool_log.c",
     "if (os_datasync(log->os, newest->file) < 0)\n\t\treturn SPOOL_LOST;",
     "if (os_datasync(log->os, newest->file) < 0 &&\n"
     "\t    os_datasync(log->os, newest->file) < 0)\n\t\treturn SPOOL_LOST;",
     "store/spool/spool_fault_test"),
    ("the directory of a new segment is not synced",
     "store/spool/spool_log.c",
     "os_sync_directory(log->os, \"log\") < 0))", "newest_is_lost()))",
     "store/spool/spool_crash_test"),
    ("staged content is not synced", "store/spool/spool_stage.c",
     "os_sync(stages->os, stage->file) < 0 ||", "stage == NULL ||",
     "store/spool/spool_crash_test"),
    ("a block's check does not cover its bytes",
     "store/spool/spool_record.c", "return crc32c(crc, block);",
     "return block.size > 0 ? crc : crc32c(crc, block);",
     "store/spool/spool_rebuild_test"),
    ("the reply comes before the sync", "role/queue_intake.c",
     "\tpart->intake->appends_in_hand++;\n"
     "\tq->env->ops->store(q->env, request);\n}",
     "\tpart->intake->appends_in_hand++;\n"
     "\tq->env->ops->store(q->env, request);\n"
     "\tintake_answer(q, part->intake, 250, \"2.0.0\", \"Ok\");\n}",
     "role/queue_test"),
    ("a store without room still says 250", "role/queue_intake.c",
     "if (request->error == 0) {", "if (request->error <= 0) {",
     "role/queue_test"),
    ("the count in 253 is wrong", "role/queue_admin.c",
     "trigger_answer(q, ask->peer, ask->request, result, count);",
     "trigger_answer(q, ask->peer, ask->request, result, count + 1);",
     "role/queue_test"),
    ("mail is settled before the far end's 250", "smtp/client_job.c",
     "if (code >= 400)\n\t\tverdict", "if (code >= 500)\n\t\tverdict",
     "smtp/client_test"),
    ("what a dead deliver role had counts as delivered",
     "role/queue_session.c", "SMTP_TEMPORARY, \"4.3.0\",\n",
     "SMTP_ACCEPTED, \"4.3.0\",\n", "role/queue_test"),
    ("the bounce is forgotten", "role/queue_settle.c",
     "request->u.settle.dsn = dsn;",
     "store_message_free(dsn);\n\trequest->u.settle.dsn = NULL;",
     "role/queue_test"),
    ("other domains are released too", "store/store.c",
     "return count == 0;", "return domains == NULL || count < 99;",
     "role/queue_test"),
    ("anybody may ask", "trigger/entitle.c",
     "conf_networks_contain(&site->from, peer);", "peer != NULL;",
     "trigger/entitle_test"),
    ("a dot between bare line feeds ends a message", "smtp/content.c",
     "c->place == SMTP_CONTENT_DOT_CR && next == '\\n'",
     "c->place != SMTP_CONTENT_DOT_CR && next == '\\n'",
     "smtp/content_test"),
    ("the Maildir's directory is not synced", "role/maildir.c",
     "os_sync_directory(m->os, \"new\")", "maildir_is_lucky(m)",
     "role/maildir_test"),
    ("a control file is not synced", "store/mqueue/mqueue_file.c",
     "int error = os_sync(mq->os, file);", "int error = file == NULL;",
     "store/mqueue/mqueue_crash_test"),
    ("names in a queue directory are not synced",
     "store/mqueue/mqueue_file.c",
     "(d->is_control_dirty || d->is_data_dirty))\n"
     "\t\t\terror = os_sync_directory(mq->os, d->control);",
     "d->is_control_dirty)\n\t\t\terror = mq == NULL;",
     "store/mqueue/mqueue_crash_test"),
    ("what another program wrote is not read anew",
     "store/mqueue/mqueue.c", "if (mq_is_same(&status, &entry->seen))",
     "if (status.is_file || mq_is_same(&status, &entry->seen))",
     "store/mqueue/mqueue_shared_test"),
    ("mail that is left is not synced", "cmd/submit_drop.c",
     "return error == 0 ? os_sync(f->os, f->file) : error;",
     "return error;", "cmd/submit_drop_test"),
    ("a program is run though none is to be run", "conf/alias.c",
     "(local->kind == ALIAS_PROGRAM && conf->alias_programs)))",
     "local->kind == ALIAS_PROGRAM))", "role/route_test"),
    ("a recipient of SMTP may be a program", "role/queue_alias.c",
     "else if (outcome != ALIAS_NONE || alias_local_is(recipient->address))",
     "else if (outcome != ALIAS_NONE)", "role/queue_alias_test"),
    ("a notification may go to a program", "role/queue_alias.c",
     "if (outcome == ALIAS_NONE && !alias_local_is(to->address)) {",
     "if (outcome == ALIAS_NONE) {", "role/queue_alias_test"),
    ("an included file names programs", "mail/alias.c",
     "if (entry->name.size == 0)\n\t\treturn \"names a program",
     "if (entry == NULL)\n\t\treturn \"names a program",
     "mail/alias_test"),
    ("a file of aliases that others write names programs", "mail/alias.c",
     "table->is_distrusted = !is_trusted;", "table->is_distrusted = false;",
     "mail/alias_test"),
    ("what a shell acts upon is an argument", "mail/alias_local.c",
     "memchr(\";&|<>()$`*?[\", c, 12)", "memchr(\"&|<>()$`*?[\", c, 11)",
     "mail/alias_local_test"),
    ("a quote in a command ends its address", "mail/alias_local.c",
     "if (c == '\"' || c == '\\\\')\n\t\t\taddress",
     "if (c == '\\\\')\n\t\t\taddress", "mail/alias_local_test"),
    ("a program that was killed has delivered", "role/program.c",
     "\"451 4.3.0 the program was killed",
     "\"250 2.0.0 the program was killed",
     "role/program_test"),
    ("a line of a message begins another one", "role/mbox.c",
     "STR(\">\" MBOX_FROM)", "STR(MBOX_FROM)", "role/mbox_test"),
    ("who parses a message for a program may execute it", "net/sandbox.c",
     "{SANDBOX_WATCH, SCMP_SYS(wait4)},",
     "{SANDBOX_WATCH, SCMP_SYS(wait4)},\n"
     "    {SANDBOX_WATCH, SCMP_SYS(execve)},",
     "net/sandbox_test"),
    ("a program of an alias may make namespaces", "net/sandbox.c",
     "CLONE_NEWUSER, CLONE_NEWNS,", "CLONE_NEWNS,", "net/sandbox_test"),
]

# What some of the planted bugs call.
HELPERS = {
    "newest_is_lost": "static int\nnewest_is_lost(void)\n{\n\treturn 0;\n}\n",
    "maildir_is_lucky": "static int\nmaildir_is_lucky(struct maildir *m)\n"
                        "{\n\treturn m == NULL;\n}\n",
}


def make(target):
    return subprocess.run(
        ["make", "-s", "-j2", "BUILD=out", "EXTRA_CFLAGS=-Wno-error",
         *target], cwd=COPY, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)


def plant(path, old, new):
    """Replaces the last OLD of the file; False if there is none."""
    text = path.read_text()
    at = text.rfind(old)
    if at < 0:
        return False
    text = text[:at] + new + text[at + len(old):]
    for name, body in HELPERS.items():
        if name in new:
            first = text.index("\nstatic ")
            text = text[:first] + "\n" + body + text[first:]
    path.write_text(text)
    return True


def try_mutant(mutant):
    """"found", or what went wrong."""
    _, name, old, new, test = mutant
    path = COPY / "src" / name
    original = path.read_text()
    binary = f"out/test/{test}"
    try:
        if not plant(path, old, new):
            return "there is no place for it any more"
        built = make([binary])
        if built.returncode != 0:
            return "it does not build:\n" + built.stdout[-2000:]
        result = subprocess.run([str(COPY / binary)], cwd=COPY, timeout=300,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL,
                                stdin=subprocess.DEVNULL)
        return "found" if result.returncode != 0 else "NOT found"
    except subprocess.TimeoutExpired:
        return "found"
    finally:
        path.write_text(original)


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [m for m in MUTANTS if word in m[0]]
    COPY.mkdir(parents=True, exist_ok=True)
    for tree in ("src", "test/unit", "test/corpus"):
        shutil.rmtree(COPY / tree, ignore_errors=True)
        shutil.copytree(ROOT / tree, COPY / tree)
    shutil.copy(ROOT / "Makefile", COPY / "Makefile")
    tests = sorted({f"out/test/{m[4]}" for m in chosen})
    built = make(tests)
    if built.returncode != 0:
        print(built.stdout[-3000:])
        print("0 passed, 1 failed")
        return 1
    passed = failed = 0
    for test in tests:
        result = subprocess.run([str(COPY / test)], cwd=COPY, timeout=300,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL,
                                stdin=subprocess.DEVNULL)
        if result.returncode != 0:
            failed += 1
            print(f"FAILED {test} fails without any bug")
    for mutant in chosen:
        verdict = try_mutant(mutant)
        passed += verdict == "found"
        failed += verdict != "found"
        print(f"{'ok' if verdict == 'found' else 'FAILED':6} {mutant[0]}: "
              f"{verdict}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
