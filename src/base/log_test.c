/* The log: form of a line, levels, escaping, length. */
#include "base/log.h"

#include <limits.h>
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
	    {LOG_WARN, "i", "a b~", "warn event i key=\"a b~\" n=7"},
	    {LOG_WARN, "i", "a=b", "warn event i key=a=b n=7"},
	    {LOG_WARN, "i", " ", "warn event i key=\" \" n=7"},
	    {LOG_WARN, "i", "\"", "warn event i key=\"\\\"\" n=7"},
	    {LOG_WARN, "i", "\\", "warn event i key=\"\\\\\" n=7"},
	    {LOG_WARN, "i", "x\" n=8", "warn event i key=\"x\\\" n=8\" n=7"},
	    {LOG_WARN, "i", "x \n\"\\",
		"warn event i key=\"x \\x0a\\\"\\\\\" n=7"},
	    {LOG_WARN, "a b\n", "", "warn event a\\x20b\\x0a key= n=7"},
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

static void
log_test_conversions(void **state)
{
	log_set(log_test_sink, LOG_DETAIL);
	log_event(LOG_NOTE, "e", "i", "%s", "");
	assert_string_equal(log_test_line, "note e i");
	log_event(LOG_NOTE, "e", "i", "a=<%.*s> b=%d/%u c=", 3, "x y", -1, 2U);
	assert_string_equal(log_test_line, "note e i a=\"<x y>\" b=-1/2 c=");
	log_event(LOG_NOTE, "e", "i", "a=%.*s", 3, "\0=\0");
	assert_string_equal(log_test_line, "note e i a=\\x00=\\x00");
	log_event(LOG_NOTE, "e", "", "a=%ld b=%lld c=%lu d=%llu e=%zu", -1L,
	    INT64_MIN + 0LL, ULONG_MAX, ULLONG_MAX, SIZE_MAX);
	assert_string_equal(log_test_line,
	    "note e - a=-1 b=-9223372036854775808 c=18446744073709551615 "
	    "d=18446744073709551615 e=18446744073709551615");
}

/* The value of KEY in LOG_TEST_LINE as a reader of the manual page would take
   it, in VALUE_OUT; false if it is not there or the line is not well formed. */
static bool
log_test_find(const char *key, char *value_out)
{
	const char *p = log_test_line;
	bool is_found = false;

	for (int word = 0; word < 3 && p != NULL; word++)
		p = strchr(p, ' ') != NULL ? strchr(p, ' ') + 1 : NULL;
	while (p != NULL && *p != '\0') {
		const char *equals = strchr(p, '=');
		size_t size = strlen(key);
		char value[LOG_LINE_MAX], *out = value;
		bool is_quoted, is_here;

		if (equals == NULL)
			return false;
		is_here =
		    (size_t)(equals - p) == size && memcmp(p, key, size) == 0;
		p = equals + 1;
		is_quoted = *p == '"';
		p += is_quoted ? 1 : 0;
		while (*p != '\0' && *p != (is_quoted ? '"' : ' ')) {
			unsigned byte = (unsigned char)*p++;

			if (byte == '\\' && *p == 'x') {
				if (sscanf(p, "x%2x", &byte) != 1)
					return false;
				p += 3;
			} else if (byte == '\\') {
				byte = (unsigned char)*p++;
			} else if (byte == '"' || byte < 0x20 || byte > 0x7e) {
				return false;
			}
			*out++ = (char)byte;
		}
		*out = '\0';
		if (is_quoted && *p++ != '"')
			return false;
		if (*p != '\0' && *p++ != ' ')
			return false;
		if (is_here) {
			memcpy(value_out, value, (size_t)(out - value) + 1);
			is_found = true;
		}
	}
	return is_found;
}

/* Whatever is in a value, it comes out again, and so does its neighbour. */
static void
log_test_round(void **state)
{
	static const char bytes[] = "  \"\"\\\\\\x0 =ab\n\r\x80\xff";
	char first[40], got[LOG_LINE_MAX];
	uint32_t random = 1;

	log_set(log_test_sink, LOG_DETAIL);
	for (int i = 0; i < 20000; i++) {
		size_t size = 0;

		do {
			random = random * 1664525 + 1013904223;
			first[size++] =
			    bytes[(random >> 16) % (sizeof(bytes) - 1)];
		} while (size < sizeof(first) - 1 && (random >> 8) % 12 != 0);
		first[size] = '\0';
		log_event(LOG_NOTE, "e", "i", "key=%s n=%d", first, 7);
		assert_true(log_test_find("key", got));
		assert_string_equal(got, first);
		assert_true(log_test_find("n", got));
		assert_string_equal(got, "7");
	}
}

/* A value of any length is cut, never between the parts of an escape, and
   hides no other; a line of any length is cut behind a value. */
static void
log_test_long(void **state)
{
	char value[2 * LOG_LINE_MAX + 1], got[LOG_LINE_MAX];

	log_set(log_test_sink, LOG_DETAIL);
	for (size_t size = 0; size < sizeof(value);
	     size += size < LOG_VALUE_MAX + 20 ? 1 : 611) {
		/* Escapes begin at any place of four. */
		for (size_t pad = 0; pad < 4 && pad <= size; pad++) {
			bool is_cut = pad + 4 * (size - pad) > LOG_VALUE_MAX;
			size_t got_size;

			memset(value, ' ', pad);
			memset(value + pad, '\n', size - pad);
			value[size] = '\0';
			log_event(LOG_NOTE, "e", "", "k=%s n=%d", value, 7);
			assert_true(log_test_find("n", got));
			assert_string_equal(got, "7");
			assert_true(log_test_find("k", got));
			got_size = strlen(got);
			if (is_cut) {
				assert_string_equal(got + got_size - 3, "...");
				got_size -= 3;
				assert_true(4 * got_size + 16 > LOG_VALUE_MAX);
			} else {
				assert_int_equal(got_size, size);
			}
			assert_memory_equal(got, value, got_size);
			for (size_t i = 0; i < 5; i++)
				value[size > i ? size - i - 1 : 0] = ' ';
			log_event(LOG_NOTE, "e", value,
			    "k1=%s k2=%s k3=%s k4=%s k5=%s number=%d", value,
			    value, value, value, value, 1234567);
			assert_true(log_test_size <= LOG_LINE_MAX);
			assert_true(size < 2000 || log_test_size > 1900);
			if (!log_test_find("number", got))
				assert_true(log_test_size > 1500);
			else if (strstr(got, "...") == NULL)
				assert_string_equal(got, "1234567");
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(log_test_form),
	    cmocka_unit_test(log_test_levels),
	    cmocka_unit_test(log_test_conversions),
	    cmocka_unit_test(log_test_round),
	    cmocka_unit_test(log_test_long),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
