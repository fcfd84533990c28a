/*
 * The decoder of content, against a table and against a plain decoder that
 * looks at one byte at a time.
 */
#include "smtp/content.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SIZE_MAX_TEST 64
#define LINE_MAX_TEST 16

#define TEXT(text)                                                             \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

/* What became of an input. */
struct decoded {
	struct buf content; /* if nothing is wrong */
	unsigned faults;
	bool is_ended;
	size_t taken; /* bytes up to the end of content */
};

static void
decode(struct decoded *d, struct str in, unsigned cut)
{
	struct smtp_content c;
	unsigned seed = cut;

	*d = (struct decoded){0};
	buf_init(&d->content, 65536);
	smtp_content_init(&c, SIZE_MAX_TEST, LINE_MAX_TEST);
	while (in.size > 0 && !d->is_ended) {
		size_t size = cut == 0   ? in.size
		              : cut == 1 ? 1
		                         : 1 + (size_t)rand_r(&seed) % 9;
		struct str rest = str_head(in, size), chunk, before = rest;

		while (rest.size > 0 && !d->is_ended) {
			const char *at = rest.data;

			switch (smtp_content_read(&c, &rest, &chunk)) {
			case SMTP_CONTENT_MORE:
				assert_int_equal(rest.size, 0);
				break;
			case SMTP_CONTENT_CHUNK:
				assert_true(
				    chunk.size > 0 && chunk.data >= at &&
				    chunk.data + chunk.size == rest.data);
				assert_int_equal(
				    buf_append(&d->content, chunk), 0);
				break;
			case SMTP_CONTENT_END:
				d->is_ended = true;
				break;
			}
		}
		d->taken += before.size - rest.size;
		in = str_skip(in, before.size - rest.size);
	}
	d->faults = c.faults;
}

/* The same by the letter of RFC 5321, one byte at a time. */
static void
decode_plainly(struct decoded *d, struct str in)
{
	char line[70000];
	size_t size = 0, total = 0;

	*d = (struct decoded){0};
	buf_init(&d->content, 65536);
	while (d->taken < in.size && !d->is_ended) {
		bool is_crlf;

		line[size++] = in.data[d->taken++];
		is_crlf = size >= 2 && line[size - 2] == '\r' &&
		          line[size - 1] == '\n';
		if (!is_crlf)
			continue;
		d->is_ended = size == 3 && line[0] == '.';
		if (d->is_ended)
			break;
		for (size_t i = line[0] == '.'; i < size - 2; i++) {
			if (line[i] == '\r' || line[i] == '\n')
				d->faults |= SMTP_CONTENT_BARE;
			if (line[i] == '\0')
				d->faults |= SMTP_CONTENT_NUL;
		}
		total += size - (line[0] == '.');
		if (size - (line[0] == '.') > LINE_MAX_TEST)
			d->faults |= SMTP_CONTENT_LONG_LINE;
		if (total > SIZE_MAX_TEST)
			d->faults |= SMTP_CONTENT_TOO_BIG;
		assert_int_equal(
		    buf_append(&d->content,
			str_skip(str_of(line, size), line[0] == '.')),
		    0);
		size = 0;
	}
}

struct content_case {
	struct str in;
	struct str content;
	unsigned faults;
	size_t left; /* bytes behind the end; all others have no end */
};

#define NO_END 999

static const struct content_case content_cases[] = {
    {TEXT(".\r\n"), TEXT(""), 0, 0},
    {TEXT("a\r\n.\r\n"), TEXT("a\r\n"), 0, 0},
    {TEXT("a\r\n.\r\nQUIT\r\n"), TEXT("a\r\n"), 0, 6},
    {TEXT("\r\n.\r\n.\r\n"), TEXT("\r\n"), 0, 3},
    {TEXT("..\r\n...\r\n.a\r\na.\r\n.\r\n"), TEXT(".\r\n..\r\na\r\na.\r\n"), 0,
	0},
    {TEXT("a\r\n.b"), TEXT("a\r\nb"), 0, NO_END},
    {TEXT("a\r\n."), TEXT("a\r\n"), 0, NO_END},
    {TEXT("a\r\n.\r"), TEXT("a\r\n"), 0, NO_END},
    {TEXT("\xff\x80\x01\t\r\n.\r\n"), TEXT("\xff\x80\x01\t\r\n"), 0, 0},
    {TEXT("a\rb\r\n.\r\n"), TEXT(""), SMTP_CONTENT_BARE, 0},
    {TEXT("a\nb\r\n.\r\n"), TEXT(""), SMTP_CONTENT_BARE, 0},
    {TEXT("\n\r\n.\r\n"), TEXT(""), SMTP_CONTENT_BARE, 0},
    {TEXT("\r\r\n.\r\nx"), TEXT(""), SMTP_CONTENT_BARE, 1},
    {TEXT(".\r\r\n.\r\n"), TEXT(""), SMTP_CONTENT_BARE, 0},
    {TEXT(".\n.\r\n"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\n.\n"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\n.\r\n"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\r\n.\n"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\r.\r"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\r\n.\rx"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\n.\r"), TEXT(""), SMTP_CONTENT_BARE, NO_END},
    {TEXT("\r\n\0.\r\n"), TEXT(""), SMTP_CONTENT_NUL, NO_END},
    {TEXT("a\0\n\r\n.\r\n"), TEXT(""), SMTP_CONTENT_NUL | SMTP_CONTENT_BARE, 0},
    {TEXT("a\r\n.\r\n\0\n"), TEXT("a\r\n"), 0, 2},
    {TEXT("12345678901234\r\n.\r\n"), TEXT("12345678901234\r\n"), 0, 0},
    {TEXT(".12345678901234\r\n.\r\n"), TEXT("12345678901234\r\n"), 0, 0},
    {TEXT("123456789012345\r\n.\r\n"), TEXT(""), SMTP_CONTENT_LONG_LINE, 0},
    {TEXT("12345678901234567"), TEXT(""), SMTP_CONTENT_LONG_LINE, NO_END},
    {TEXT("12345678901234\r\n12345678901234\r\n12345678901234\r\n"
	  "12345678901234\r\n.\r\n"),
	TEXT("12345678901234\r\n12345678901234\r\n12345678901234\r\n"
	     "12345678901234\r\n"),
	0, 0},
    {TEXT("12345678901234\r\n12345678901234\r\n12345678901234\r\n"
	  "12345678901234\r\n\r\n.\r\n"),
	TEXT(""), SMTP_CONTENT_TOO_BIG, 0},
};

static void
test_table(void **state)
{
	size_t count = sizeof(content_cases) / sizeof(content_cases[0]);

	(void)state;
	for (size_t i = 0; i < count; i++)
		for (unsigned cut = 0; cut < 30; cut++) {
			const struct content_case *c = &content_cases[i];
			bool is_ended = c->left != NO_END;
			struct decoded d;

			decode(&d, c->in, cut);
			if (d.faults != c->faults || d.is_ended != is_ended ||
			    (is_ended && d.taken + c->left != c->in.size) ||
			    (d.faults == 0 &&
				!str_equal(buf_str(&d.content), c->content))) {
				print_error("case %zu, cut %u\n", i, cut);
				fail();
			}
			buf_fini(&d.content);
		}
}

/* Random texts of the bytes that matter. */
static void
test_against_the_plain_decoder(void **state)
{
	static const char bytes[] = "\r\n.\r\n.\r\n.ab\0";
	static const char words[] = "ab\r\n..c\r\n";
	unsigned seed = 7;
	int good = 0;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		struct decoded fast, plain;
		char text[48];
		size_t size = 0, want = (size_t)rand_r(&seed) % 40;

		while (size < want) {
			if (rand_r(&seed) % 3 == 0) {
				text[size++] = bytes[(size_t)rand_r(&seed) %
						     (sizeof(bytes) - 1)];
				continue;
			}
			memcpy(text + size, &words[rand_r(&seed) % 8], 2);
			size += 2;
		}
		/* Ends for certain, so that all faults are behind. */
		memcpy(text + size, "\r\n.\r\n", 5);
		size += 5;
		decode_plainly(&plain, str_of(text, size));
		decode(&fast, str_of(text, size), (unsigned)round % 7);
		assert_true(plain.is_ended && fast.is_ended);
		assert_int_equal(fast.taken, plain.taken);
		assert_int_equal(fast.faults, plain.faults);
		if (plain.faults == 0) {
			assert_true(str_equal(
			    buf_str(&fast.content), buf_str(&plain.content)));
			good++;
		}
		buf_fini(&fast.content);
		buf_fini(&plain.content);
	}
	/* The texts are not all bad. */
	assert_true(good > 5000);
}

static void
test_refusals(void **state)
{
	static const struct {
		unsigned faults;
		int code;
		const char *enhanced;
	} cases[] = {
	    {SMTP_CONTENT_BARE, 550, "5.6.0"},
	    {SMTP_CONTENT_NUL, 550, "5.6.0"},
	    {SMTP_CONTENT_LONG_LINE, 554, "5.6.0"},
	    {SMTP_CONTENT_TOO_BIG, 552, "5.3.4"},
	    {SMTP_CONTENT_TOO_BIG | SMTP_CONTENT_BARE, 550, "5.6.0"},
	    {SMTP_CONTENT_TOO_BIG | SMTP_CONTENT_LONG_LINE, 554, "5.6.0"},
	};
	struct smtp_content c;
	struct smtp_reply reply;

	(void)state;
	smtp_content_init(&c, 100, 10);
	assert_true(smtp_content_is_good(&c, &reply));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		c.faults = cases[i].faults;
		assert_false(smtp_content_is_good(&c, &reply));
		assert_int_equal(reply.code, cases[i].code);
		assert_string_equal(reply.enhanced, cases[i].enhanced);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_against_the_plain_decoder),
	    cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
