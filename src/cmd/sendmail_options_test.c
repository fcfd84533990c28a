/* Command lines: what each means, what each is refused with. */
#include "cmd/sendmail_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <cmocka.h>

#define WORDS_MAX 32
#define RECIPIENT "bob@dest.test"

static struct sendmail_options options;
static char *words[WORDS_MAX + 1];
static struct buf messages;

/* Reads LINE, words between blanks ("_" is a blank in a word); the exit
   status. */
static int
line_read(const char *line)
{
	static char text[4000];
	char *at = text;
	int count = 0;

	assert_true(strlen(line) < sizeof(text));
	memcpy(text, line, strlen(line) + 1);
	while (*at != '\0') {
		assert_true(count < WORDS_MAX);
		words[count++] = at;
		for (; *at != '\0' && *at != ' '; at++)
			if (*at == '_')
				*at = ' ';
		if (*at != '\0')
			*at++ = '\0';
	}
	words[count] = NULL;
	buf_clear(&messages);
	return sendmail_options_read(&options, count, words, &messages);
}

static void
check_messages(const char *line, const char *want)
{
	struct str got = buf_str(&messages);

	if (!str_equal(got, str_from(want)))
		print_error("%s: got %.*s\n", line, STR_ARG(got));
	assert_true(str_equal(got, str_from(want)));
}

static const struct {
	const char *line, *messages;
	int status;
} refusals[] = {
    {"sendmail", "Recipient names must be specified\n", EX_USAGE},
    {"sendmail -odq", "Recipient names must be specified\n", EX_USAGE},
    {"sendmail --version", "Recipient names must be specified\n", EX_USAGE},
    {"rmail", "Recipient names must be specified\n", EX_USAGE},
    {"/usr/sbin/sendmail -Z " RECIPIENT,
	"/usr/sbin/sendmail: illegal option -- Z\n", EX_USAGE},
    {"sendmail -E " RECIPIENT, "sendmail: illegal option -- E\n", EX_USAGE},
    {"sendmail -tx", "sendmail: illegal option -- x\n", EX_USAGE},
    {"sendmail -J", "sendmail: illegal option -- J\n", EX_USAGE},
    {"sendmail -:", "sendmail: illegal option -- :\n", EX_USAGE},
    {"sendmail -tf", "sendmail: option requires an argument -- f\n", EX_USAGE},
    {"sendmail -bz x", "Frozen configurations unsupported\n", EX_USAGE},
    {"sendmail -bX x", "Invalid operation mode X\n", EX_USAGE},
    {"sendmail -bO", "-bO is not supported\n", EX_USAGE},
    {"sendmail -Rbogus " RECIPIENT, "Invalid -R value\n", EX_USAGE},
    {"sendmail -t -Rwnj", "Invalid -R value\n", EX_USAGE},
    {"sendmail -Salice " RECIPIENT, "sendmail: illegal option -- S\n",
	EX_USAGE},
    {"sendmail -Nbogus x", "Invalid -N argument\n", EX_USAGE},
    {"sendmail -Nnever,success x", "Invalid -N argument\n", EX_USAGE},
    {"sendmail -N success, x", NULL, EX_OK},
    {"sendmail -V bad=xtext x", "Invalid syntax in -V flag\n", EX_USAGE},
    {"sendmail -V a+2 x", "Invalid syntax in -V flag\n", EX_USAGE},
    {"sendmail -V a+2b x", "Invalid syntax in -V flag\n", EX_USAGE},
    {"sendmail -V a+2B x", NULL, EX_OK},
    {"sendmail -hxyz x", "Bad hop count (xyz)\n", EX_USAGE},
    {"sendmail -h 1x x", "Bad hop count (1x)\n", EX_USAGE},
    {"sendmail -h - x", "Bad hop count (-)\n", EX_USAGE},
    {"sendmail -h -1 x", NULL, EX_OK},
    {"sendmail -R full -R hdrs x", "Duplicate -R flag\n", EX_USAGE},
    {"sendmail -ba x", NULL, EX_OK},
    {"sendmail -OTimeout.nosuch=5d x", "settimeout: invalid timeout nosuch\n",
	EX_SOFTWARE},
    {"sendmail -OTimeout.queuereturn.nosuch=5d x",
	"settimeout: invalid queuereturn subtimeout nosuch\n", EX_SOFTWARE},
    {"sendmail -OTimeout.QueueReturn.Urgent=5d x", NULL, EX_OK},
    {"sendmail -OTimeout.quit=5m x", NULL, EX_OK},
    {"sendmail -OEightBitMode=x x", "Unknown 8-bit mode x\n", EX_USAGE},
    {"sendmail -OEightBitMode=strict x", NULL, EX_OK},
    {"sendmail -o8 x", NULL, EX_OK},
    {"sendmail -Omaxhop=3 x",
	"Option maxhop used as abbreviation for MaxHopCount\n", EX_OK},
    {"sendmail -OMAXHOPCOUNT=3 x", NULL, EX_OK},
    {"sendmail -h 99999999999999999999 x",
	"Bad hop count (99999999999999999999)\n", EX_USAGE},
    {"sendmail -BFUNNY x", "Illegal body type FUNNY\n", EX_USAGE},
    {"sendmail -f a -f b x", "More than one \"from\" person\n", EX_USAGE},
    {"sendmail -f a -r b x", "More than one \"from\" person\n", EX_USAGE},
    {"sendmail -q99x", "Invalid time unit `x'\n", EX_USAGE},
    {"sendmail -qbogus",
	"Invalid time unit `b'\nInvalid time unit `o'\n"
	"Invalid time unit `g'\nInvalid time unit `u'\n",
	EX_USAGE},
    {"sendmail -q bob@",
	"Invalid time unit `b'\nInvalid time unit `o'\n"
	"Invalid time unit `b'\nInvalid time unit `@'\n",
	EX_USAGE},
    {"sendmail -q -bs", "550 Can not use -q with -bs\n", EX_USAGE},
    {"sendmail -bv -qf x", "Can not use -q with -bv\n", EX_USAGE},
    {"sendmail -bp -Qx", "Can not use -Q with -bp\n", EX_USAGE},
    {"sendmail -Q. -qQ", "Can not use -Q.\n", EX_USAGE},
    {"sendmail -Qx -qL", "Can not use -Q with -qL\n", EX_USAGE},
    {"sendmail -qGa -qGb", "Can not use multiple -qG options\n", EX_USAGE},
    {"sendmail -q!Xa", "Invalid -q! option\n", EX_USAGE},
    {"sendmail -ONoSuchOption=1 x",
	"readcf: unknown option name NoSuchOption\n", EX_SOFTWARE},
    {"sendmail -OQueue=1 x",
	"readcf: ambiguous option name Queue (matches QueueDirectory and "
	"QueueFactor)\n",
	EX_SOFTWARE},
    {"sendmail -O =1 x", "readcf: null option name\n", EX_SOFTWARE},
    {"sendmail -odz x", "Unknown delivery mode z\n", EX_USAGE},
    {"sendmail -OQueueSortOrder=x x", "Invalid queue sort order \"x\"\n",
	EX_USAGE},
    {"sendmail -or2y -q", "Invalid time unit `y'\n", EX_USAGE},
    {"sendmail -c -e m -m -s -T 3d -i -odq " RECIPIENT,
	"Invalid time unit `T'\nInvalid time unit `T'\n", EX_OK},
};

static void
test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const char *want = refusals[i].messages;
		int status = line_read(refusals[i].line);

		if (status != refusals[i].status)
			print_error("%s: %d\n", refusals[i].line, status);
		assert_int_equal(status, refusals[i].status);
		check_messages(refusals[i].line, want != NULL ? want : "");
	}
}

static const struct {
	const char *line;
	enum sendmail_mode mode;
	const char *program;
	size_t operands;
} modes[] = {
    {"sendmail x", SENDMAIL_DELIVER, "sendmail", 1},
    {"sendmail -bm x y", SENDMAIL_DELIVER, "sendmail", 2},
    {"sendmail -t", SENDMAIL_DELIVER, "sendmail", 0},
    {"sendmail -- -x", SENDMAIL_DELIVER, "sendmail", 1},
    {"sendmail x -t", SENDMAIL_DELIVER, "sendmail", 2},
    {"sendmail -M6ALL x", SENDMAIL_DELIVER, "sendmail", 1},
    {"sendmail -d x", SENDMAIL_DELIVER, "sendmail", 1},
    {"/a/b/rmail x", SENDMAIL_RMAIL, "rmail", 1},
    {"sendmail -bs", SENDMAIL_SMTP, "sendmail", 0},
    {"sendmail -bd -q1h", SENDMAIL_DAEMON, "sendmail", 0},
    {"sendmail -bD", SENDMAIL_FOREGROUND, "sendmail", 0},
    {"sendmail -bl", SENDMAIL_LOOPBACK, "sendmail", 0},
    {"smtpd", SENDMAIL_DAEMON, "smtpd", 0},
    {"mailq", SENDMAIL_PRINT, "mailq", 0},
    {"mailq -qQ", SENDMAIL_PRINT, "mailq", 0},
    {"sendmail -bp extra args", SENDMAIL_PRINT, "sendmail", 2},
    {"sendmail -bp -f x", SENDMAIL_PRINT, "sendmail", 0},
    {"sendmail -bP", SENDMAIL_COUNT, "sendmail", 0},
    {"hoststat", SENDMAIL_HOSTSTAT, "hoststat", 0},
    {"sendmail -bh", SENDMAIL_HOSTSTAT, "sendmail", 0},
    {"purgestat", SENDMAIL_PURGESTAT, "purgestat", 0},
    {"newaliases", SENDMAIL_ALIASES, "newaliases", 0},
    {"sendmail -I", SENDMAIL_ALIASES, "sendmail", 0},
    {"sendmail -bv x", SENDMAIL_VERIFY, "sendmail", 1},
    {"sendmail -q", SENDMAIL_RUN, "sendmail", 0},
    {"sendmail -q x", SENDMAIL_RUN, "sendmail", 0},
    {"sendmail -Q -qIx", SENDMAIL_QUARANTINE, "sendmail", 0},
    {"sendmail -Rother.test", SENDMAIL_RUN, "sendmail", 0},
    {"sendmail -Malice", SENDMAIL_RUN, "sendmail", 0},
    {"sendmail -bC", SENDMAIL_CHECK, "sendmail", 0},
    {"sendmail -bt", SENDMAIL_TRY, "sendmail", 0},
    {"sendmail --help", SENDMAIL_HELP, "sendmail", 0},
};

static void
test_modes(void **state)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		/* "-q x" takes x as a time, which it is not. */
		bool is_time = strcmp(modes[i].line, "sendmail -q x") == 0;

		assert_int_equal(
		    line_read(modes[i].line), is_time ? EX_USAGE : EX_OK);
		if (options.mode != modes[i].mode)
			print_error("%s: %d\n", modes[i].line, options.mode);
		assert_int_equal(options.mode, modes[i].mode);
		assert_string_equal(options.program, modes[i].program);
		assert_int_equal(options.operand_count, modes[i].operands);
	}
}

#define M UINT64_C(60000)

static const struct {
	const char *text;
	char unit;
	uint64_t ms;
} times[] = {
    {"15m", 'm', 15 * M},
    {"1h30m", 'm', 90 * M},
    {"1d12h", 'm', 36 * 60 * M},
    {"30", 'm', 30 * M},
    {"2", 'h', 120 * M},
    {"1h2m3s", 'm', 62 * M + 3000},
    {"2w", 'm', 14 * 1440 * M},
    {"", 'm', 0},
    {"0", 'm', 0},
    {"now", 'm', 0},
    {"s", 'm', 0},
    {"1h30", 'm', 90 * M},
    {"99999999999999999999d", 'm', UINT64_C(3155760000000)},
};

static void
test_times(void **state)
{
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		uint64_t ms;

		assert_int_equal(sendmail_time_parse(str_from(times[i].text),
				     times[i].unit, &ms, &messages),
		    0);
		if (ms != times[i].ms)
			print_error("%s: %llu\n", times[i].text,
			    (unsigned long long)ms);
		assert_int_equal(ms, times[i].ms);
	}
}

static void
test_queue(void **state)
{
	assert_int_equal(line_read("sendmail -qIa -q!Sb -qRc -qR -qQd -v "
				   "-qGg"),
	    EX_OK);
	assert_int_equal(options.select.count, 5);
	assert_int_equal(options.select.terms[0].field, STORE_SELECT_ID);
	assert_int_equal(options.select.terms[1].field, STORE_SELECT_SENDER);
	assert_true(options.select.terms[1].is_not);
	assert_true(str_equal(options.select.terms[1].text, STR("b")));
	assert_int_equal(options.select.terms[2].field, STORE_SELECT_RECIPIENT);
	assert_int_equal(options.select.terms[3].text.size, 0);
	assert_int_equal(options.select.terms[4].field, STORE_SELECT_REASON);
	assert_int_equal(options.queue, SENDMAIL_QUEUE_QUARANTINED);
	assert_true(options.is_run_foreground);
	assert_true(str_equal(options.queue_group, STR("g")));

	assert_int_equal(line_read("sendmail -bp -qL"), EX_OK);
	assert_int_equal(options.queue, SENDMAIL_QUEUE_LOST);
	assert_int_equal(line_read("sendmail -qf"), EX_OK);
	assert_true(options.is_run_foreground);
	assert_int_equal(line_read("sendmail -qp10s"), EX_OK);
	assert_true(options.is_run_persistent);
	assert_int_equal(options.run_interval_ms, 10000);
	assert_int_equal(line_read("sendmail -q30"), EX_OK);
	assert_int_equal(options.run_interval_ms, 30 * M);
	assert_int_equal(line_read("sendmail -q -v"), EX_OK);
	assert_int_equal(options.run_interval_ms, 0);
	assert_int_equal(line_read("sendmail -M6ALL -Rother -Salice"), EX_OK);
	assert_int_equal(options.select.count, 3);
	assert_int_equal(options.select.terms[0].field, STORE_SELECT_ID);
	assert_int_equal(line_read("sendmail -Qspam_x -qRa"), EX_OK);
	assert_true(str_equal(options.quarantine, STR("spam x")));
	assert_int_equal(line_read("sendmail -Q -qRa"), EX_OK);
	assert_int_equal(options.quarantine.size, 0);
}

static void
test_sets(void **state)
{
	assert_int_equal(
	    line_read("sendmail -OQueueDirectory=/a -oQ/b -or2h -odi -oem -oi "
		      "-oX12 -OQueueLA=3 -OTimeout.queuereturn=30d "
		      "-OTimeout.queuewarn=4 -OMinQueueAge=30 -ov "
		      "-OQueueSortOrder=Priority -OMaxMess=3 x"),
	    EX_OK);
	assert_true(str_equal(options.queue_directory, STR("/b")));
	assert_int_equal(options.timeout_ms, 120 * M);
	assert_int_equal(options.delivery, SENDMAIL_INTERACTIVE);
	assert_int_equal(options.errors, SENDMAIL_ERRORS_MAIL);
	assert_true(options.is_dot_ordinary && options.is_verbose);
	assert_true(options.has_refuse_load && options.has_queue_load);
	assert_int_equal(options.refuse_load, 12);
	assert_int_equal(options.queue_load, 3);
	assert_int_equal(options.queue_return_ms, 30 * 1440 * M);
	assert_int_equal(options.queue_warn_ms, 240 * M);
	assert_int_equal(options.min_queue_age_ms, 30 * M);
	assert_true(str_equal(options.sort_order, STR("priority")));
	assert_int_equal(options.message_size_max, 3);
	assert_true(str_equal(
	    sendmail_set_find(&options, STR("queuedirectory")), STR("/b")));
	assert_null(sendmail_set_find(&options, STR("PidFile")).data);
	assert_int_equal(line_read("sendmail -oT5d/4h -h 3 -oh7 x"), EX_OK);
	assert_int_equal(options.queue_return_ms, 5 * 1440 * M);
	assert_int_equal(options.queue_warn_ms, 240 * M);
	assert_int_equal(options.hops, 3);
	assert_int_equal(options.hops_max, 7);
}

static void
test_submission(void **state)
{
	assert_int_equal(line_read("sendmail -i -G -U -n -t -f <> -FA_B "
				   "-Nsuccess,DELAY -Rhdrs -VID -B8bitmime "
				   "-puucp:host -L tag -Xlog -d0.1 -Dfile -Am "
				   "-C /c x"),
	    EX_OK);
	assert_true(options.is_dot_ordinary && options.is_gateway);
	assert_true(options.is_smtputf8 && options.is_without_aliases);
	assert_true(options.is_recipients_from_header && options.has_sender);
	assert_true(str_equal(options.sender, STR("<>")));
	assert_true(str_equal(options.full_name, STR("A B")));
	assert_int_equal(
	    options.notify, MAIL_NOTIFY_SUCCESS | MAIL_NOTIFY_DELAY);
	assert_int_equal(options.ret, MAIL_RET_HDRS);
	assert_true(str_equal(options.envid, STR("ID")));
	assert_int_equal(options.body, MAIL_BODY_8BITMIME);
	assert_true(str_equal(options.protocol, STR("uucp")));
	assert_true(str_equal(options.protocol_host, STR("host")));
	assert_true(str_equal(options.syslog_label, STR("tag")));
	assert_string_equal(options.traffic_file, "log");
	assert_string_equal(options.debug_file, "file");
	assert_true(str_equal(options.debug, STR("0.1")));
	assert_string_equal(options.config_file, "/c");
	assert_int_equal(options.operand_count, 1);
	assert_int_equal(line_read("sendmail -Nnever -Rfull x"), EX_OK);
	assert_int_equal(options.notify, MAIL_NOTIFY_NEVER);
	assert_int_equal(options.ret, MAIL_RET_FULL);
	assert_int_equal(options.queue_factor, 600000);
	assert_int_equal(options.hops_max, 25);
}

/* Each limit at its edge and one past it. */
static void
test_limits(void **state)
{
	char program[] = "sendmail", set[] = "-oi", operand[] = "x";
	char *many[SENDMAIL_SETS_MAX + 4] = {program};
	char line[200];

	for (int over = 0; over < 2; over++) {
		int count = 1;

		while (count <= SENDMAIL_SETS_MAX + over)
			many[count++] = set;
		many[count++] = operand;
		assert_int_equal(
		    sendmail_options_read(&options, count, many, &messages),
		    over ? EX_USAGE : EX_OK);
	}
	for (int over = 0; over < 2; over++) {
		snprintf(line, sizeof(line), "sendmail -V %0*d x",
		    MAIL_ENVID_MAX + over, 1);
		assert_int_equal(line_read(line), over ? EX_USAGE : EX_OK);
	}
}

/* Any words come to an end, and what is refused says why. */
static void
test_random(void **state)
{
	static const char *const pieces[] = {"-", "q", "Q", "I", "R", "!", "b",
	    "d", "p", "o", "O", "Queue", "Timeout.", "=", "1", "h", "x", ".",
	    "N", "V", "+", "T", "f", "<>", "@", "L", "G", "M", "S", "C", "e",
	    "never,", "t", "\xff", "-", "-"};
	unsigned seed = 7;

	for (int round = 0; round < 20000; round++) {
		char line[200] = "sendmail";
		size_t size = strlen(line);
		int status;

		for (int i = 0; i < 12; i++) {
			const char *piece;

			seed = seed * 1103515245 + 12345;
			piece = pieces[(seed >> 16) %
				       (sizeof(pieces) / sizeof(pieces[0]))];
			size += (size_t)snprintf(line + size,
			    sizeof(line) - size, "%s%s",
			    (seed >> 20) % 3 == 0 ? " " : "", piece);
		}
		status = line_read(line);
		assert_true(status == EX_OK || buf_size(&messages) > 0);
		assert_true(status == EX_OK || status == EX_USAGE ||
			    status == EX_SOFTWARE);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refusals),
	    cmocka_unit_test(test_modes),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_queue),
	    cmocka_unit_test(test_sets),
	    cmocka_unit_test(test_submission),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_random),
	};

	buf_init(&messages, 65536);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
