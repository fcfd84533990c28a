/* Replies as they come from real and other servers, over any cuts. */
#include "smtp/answer.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* BYTES become the events: "(code status text)" a reply, "junk", "part". */
static const struct {
	const char *bytes;
	const char *events;
} cases[] = {
    {"250 ok\r\n", "(250 2.0.0 250 ok)"},
    {"250\r\n", "(250 2.0.0 250)"},
    {"250 \r\n", "(250 2.0.0 250)"},
    {"250-\r\n250\r\n", "(250 2.0.0 250)"},
    {"250-a\r\n250-\r\n250 b\r\n354 c\r\n",
	"(250 2.0.0 250 a b)(354 3.0.0 354 c)"},
    {"550 5.1.1 no\r\n", "(550 5.1.1 550 5.1.1 no)"},
    {"550-5.1.1 no\r\n550 5.1.1 one\r\n", "(550 5.1.1 550 5.1.1 no one)"},
    {"550 5.1.1\r\n", "(550 5.1.1 550 5.1.1)"},
    {"550 5.123.456 no\r\n", "(550 5.123.456 550 5.123.456 no)"},
    /* Status codes that are none, or of another class. */
    {"550 5.1234.1 no\r\n", "(550 5.0.0 550 5.1234.1 no)"},
    {"550 5.1 no\r\n", "(550 5.0.0 550 5.1 no)"},
    {"550 5.1.1x\r\n", "(550 5.0.0 550 5.1.1x)"},
    {"550 5..1 no\r\n", "(550 5.0.0 550 5..1 no)"},
    {"550 4.1.1 no\r\n", "(550 5.0.0 550 4.1.1 no)"},
    {"550 no 5.1.1\r\n", "(550 5.0.0 550 no 5.1.1)"},
    /* Codes of one class may differ: the last counts. */
    {"250-a\r\n251 b\r\n", "(251 2.0.0 251 a b)"},
    {"250-a\r\n550 b\r\n", "junk"},
    /* Only CRLF ends a line. */
    {"250 a\n250 b\r\n", "(250 2.0.0 250 a 250 b)"},
    {"250 a\r550 b\r\n", "(250 2.0.0 250 a?550 b)"},
    {"250 \377\001\r\n", "(250 2.0.0 250 ?\?)"},
    {"250 ok", "part"},
    {"250-ok\r\n", "part"},
    {"", ""},
    {"120 x\r\n", "junk"},
    {"620 x\r\n", "junk"},
    {"2500 x\r\n", "junk"},
    {"25 x\r\n", "junk"},
    {"250\tx\r\n", "junk"},
    {"\r\n", "junk"},
    {"x250 y\r\n", "junk"},
    {" 250 y\r\n", "junk"},
};

static void
test_read(struct str bytes, unsigned cut, char *events, size_t events_max)
{
	struct smtp_answer a;
	char text[SMTP_ANSWER_MAX + 1], status[12];
	uint64_t seed = cut;
	bool is_junk = false;

	smtp_answer_init(&a);
	events[0] = '\0';
	while (bytes.size > 0 && !is_junk) {
		size_t n = cut == 0 ? bytes.size : 1, size = strlen(events);
		struct str piece;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		if (cut > 1)
			n = 1 + (size_t)(seed >> 33) % 5;
		piece = str_head(bytes, n);
		n = piece.size;
		switch (smtp_answer_read(&a, &piece)) {
		case SMTP_ANSWER_MORE:
			assert_int_equal(piece.size, 0);
			break;
		case SMTP_ANSWER_WHOLE:
			assert_false(smtp_answer_is_partial(&a));
			smtp_answer_print(&a, text);
			smtp_answer_status(
			    &a, (char)('0' + a.code / 100), status);
			snprintf(events + size, events_max - size, "(%d %s %s)",
			    a.code, status, text);
			break;
		case SMTP_ANSWER_JUNK:
			snprintf(events + size, events_max - size, "junk");
			is_junk = true;
			break;
		}
		bytes = str_skip(bytes, n - piece.size);
	}
	if (!is_junk && smtp_answer_is_partial(&a))
		snprintf(events + strlen(events), events_max - strlen(events),
		    "part");
	smtp_answer_fini(&a);
}

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (unsigned cut = 0; cut < 12; cut++) {
			char events[2000];

			test_read(str_from(cases[i].bytes), cut, events,
			    sizeof(events));
			assert_string_equal(events, cases[i].events);
		}
}

static void
test_lines(void **state)
{
	static const char *const lines[] = {"h", "", "SIZE 10", "ETRN"};
	struct str in = STR("250-h\r\n250-\r\n250-SIZE 10\r\n250 ETRN\r\n");
	struct smtp_answer a;
	struct str line;
	size_t at = 0;

	(void)state;
	smtp_answer_init(&a);
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_WHOLE);
	for (size_t i = 0; i < COUNT(lines); i++) {
		assert_true(smtp_answer_line(&a, &at, &line));
		assert_true(str_equal(line, str_from(lines[i])));
	}
	assert_false(smtp_answer_line(&a, &at, &line));
	/* The next reply has nothing of this one. */
	in = STR("354\r\n");
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_WHOLE);
	assert_int_equal(a.code, 354);
	at = 0;
	assert_true(smtp_answer_line(&a, &at, &line));
	assert_int_equal(line.size, 0);
	assert_false(smtp_answer_line(&a, &at, &line));
	smtp_answer_fini(&a);
}

/* A 552 counted as 452 gets a status of that class. */
static void
test_status_class(void **state)
{
	struct str in = STR("552 5.2.2 full\r\n");
	struct smtp_answer a;
	char status[12];

	(void)state;
	smtp_answer_init(&a);
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_WHOLE);
	smtp_answer_status(&a, '4', status);
	assert_string_equal(status, "4.2.2");
	smtp_answer_fini(&a);
}

/* Long lines and many lines are read whole and kept in part. */
static void
test_bounds(void **state)
{
	static char line[SMTP_ANSWER_TAKEN];
	struct smtp_answer a;
	char text[SMTP_ANSWER_MAX + 1];
	struct str in;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "250-", 4);
	smtp_answer_init(&a);
	for (int i = 0; i < 10; i++) {
		in = str_of(line, 4000);
		assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_MORE);
		in = STR("\r\n");
		assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_MORE);
		assert_true(buf_size(&a.text) <= SMTP_ANSWER_KEPT);
	}
	in = STR("250 end\r\n354 next\r\n");
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_WHOLE);
	assert_int_equal(a.code, 250);
	smtp_answer_print(&a, text);
	assert_int_equal(strlen(text), SMTP_ANSWER_MAX);
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_WHOLE);
	smtp_answer_print(&a, text);
	assert_string_equal(text, "354 next");
	in = str_of(line, SMTP_ANSWER_TAKEN);
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_MORE);
	in = STR("x");
	assert_int_equal(smtp_answer_read(&a, &in), SMTP_ANSWER_JUNK);
	smtp_answer_fini(&a);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_lines),
	    cmocka_unit_test(test_status_class),
	    cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
