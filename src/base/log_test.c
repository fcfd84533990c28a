/* The log: form of a line, levels, escaping, length. */
#include "base/log.h"

#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char log_test_line[LOG_LINE_MAX + 1];
static size_t log_test_size, log_test_count;
static enum log_level log_test_level;

static void
log_test_sink(enum log_level level, struct str line)
{
	assert_true(line.size <= LOG_LINE_MAX);
	memcpy(log_test_line, line.data, line.size);
	log_test_line[line.size] = '\0';
	log_test_size = line.size;
	log_test_level = level;
	log_test_count++;
}

static void
log_test_form(void **state)
{
	static const struct {
		enum log_level level;
		const char *id, *value, *want;
	} cases[] = {
	    {LOG_NOTE, "AB12", "x", "note event AB12 key=x n=7"},
	    {LOG_ERROR, "", "", "error event - key= n=7"},
	    {LOG_WARN, "i", "a b~", "warn event i key=a b~ n=7"},
	    {LOG_DETAIL, "i", "\n\r\t",
		"detail event i key=\\x0a\\x0d\\x09"
		" n=7"},
	    {LOG_NOTE, "i", "\x7f\x80\xff\x1b[m",
		"note event i key=\\x7f\\x80\\xff\\x1b[m n=7"},
	};

	log_set(log_test_sink, LOG_DETAIL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		log_event(cases[i].level, "event", cases[i].id, "key=%s n=%d",
		    cases[i].value, 7);
		assert_string_equal(log_test_line, cases[i].want);
		assert_int_equal(log_test_level, cases[i].level);
	}
}

static void
log_test_levels(void **state)
{
	for (int max = LOG_ERROR; max <= LOG_DETAIL; max++)
		for (int level = LOG_ERROR; level <= LOG_DETAIL; level++) {
			log_set(log_test_sink, (enum log_level)max);
			log_test_count = 0;
			log_event((enum log_level)level, "e", "", "k=v");
			assert_int_equal(log_test_count, level <= max);
		}
	log_set(NULL, LOG_DETAIL);
	log_test_count = 0;
	log_event(LOG_ERROR, "e", "", "k=v");
	assert_int_equal(log_test_count, 0);
}

/* A line of any length is cut, never between the parts of an escape. */
static void
log_test_long(void **state)
{
	char value[2 * LOG_LINE_MAX + 1];

	log_set(log_test_sink, LOG_DETAIL);
	for (size_t size = LOG_LINE_MAX - 60; size < sizeof(value);
	     size += size < LOG_LINE_MAX + 20 ? 1 : 611) {
		/* Escapes begin at any place of four. */
		for (size_t pad = 0; pad < 4; pad++) {
			memset(value, 'x', pad);
			memset(value + pad, '\n', size - pad);
			value[size] = '\0';
			log_event(LOG_NOTE, "e", "", "k=%s", value);
			assert_true(log_test_size > LOG_LINE_MAX - 70);
			assert_memory_equal(log_test_line, "note e - k=", 11);
			assert_int_equal((log_test_size - 11 - pad) % 4, 0);
			memset(value, 'x', size);
			log_event(LOG_NOTE, "e", "", "k=%s", value);
			assert_true(log_test_size > LOG_LINE_MAX - 70);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(log_test_form),
	    cmocka_unit_test(log_test_levels),
	    cmocka_unit_test(log_test_long),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
