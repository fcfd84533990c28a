/* Files of the drop directory: what is written is read, what was torn or
   changed is not. */
#include "mail/drop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define BODY "Subject: x\r\n\r\nb\r\nEND 0\r\n"

static struct str
drop_make(struct buf *out, struct str content)
{
	struct drop_writer w;

	buf_init(out, 1 << 20);
	assert_int_equal(drop_begin(&w, out), 0);
	assert_int_equal(
	    drop_put_line(&w, STR("MAIL FROM:<a@b> RET=HDRS"), out), 0);
	assert_int_equal(drop_put_line(&w, STR("RCPT TO:<c@d>"), out), 0);
	assert_int_equal(
	    drop_put_line(&w, STR("RCPT TO:<e@f> NOTIFY=NEVER"), out), 0);
	assert_int_equal(drop_put_line(&w, STR("DATA"), out), 0);
	assert_int_equal(drop_put_content(&w, content, out), 0);
	assert_int_equal(drop_end(&w, out), 0);
	return buf_str(out);
}

/* Reads FILE, of which SIZE is said to be the size, in pieces of STEP bytes;
   what was found is in FOUND.  0 at DROP_END, -EAGAIN where the bytes ended
   before. */
static int
drop_read(struct str file, uint64_t size, size_t step, struct buf *found)
{
	struct drop_reader r;
	struct drop_item item;
	size_t start = 0, end = 0;

	buf_init(found, 1 << 20);
	drop_reader_init(&r, size);
	for (;;) {
		struct str in = str_of(file.data + start, end - start);
		int error = drop_reader_next(&r, &in, &item);

		start = (size_t)(in.data - file.data);
		if (error < 0)
			return error;
		if (item.kind == DROP_END)
			return start == file.size ? 0 : -EMSGSIZE;
		if (item.kind == DROP_MORE) {
			if (end == file.size)
				return -EAGAIN;
			end = end + step < file.size ? end + step : file.size;
			continue;
		}
		if (item.kind == DROP_CONTENT) {
			assert_int_equal(buf_append(found, item.text), 0);
			assert_true(drop_reader_content_size(&r) > 0);
			continue;
		}
		assert_int_equal(
		    buf_printf(found, "[%.*s]", STR_ARG(item.text)), 0);
	}
}

static void
test_round_trip(void **state)
{
	static const size_t steps[] = {1, 2, 7, 31, 1000};
	struct buf out, found;
	struct str file = drop_make(&out, STR(BODY));
	struct str want = STR("[FROM:<a@b> RET=HDRS][TO:<c@d>]"
			      "[TO:<e@f> NOTIFY=NEVER]" BODY);

	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(
		    drop_read(file, file.size, steps[i], &found), 0);
		assert_true(str_equal(buf_str(&found), want));
		buf_fini(&found);
	}
	buf_fini(&out);
	file = drop_make(&out, STR(""));
	assert_int_equal(drop_read(file, file.size, 9, &found), 0);
	buf_fini(&found);
	buf_fini(&out);
}

/* A file that is cut anywhere, or has one byte changed, is never whole. */
static void
test_torn(void **state)
{
	struct buf out, found;
	struct str file = drop_make(&out, STR(BODY));
	char copy[500];

	assert_true(file.size < sizeof(copy));
	for (size_t size = 0; size < file.size; size++) {
		int error = drop_read(str_head(file, size), size, 50, &found);

		assert_true(error == -EBADMSG || error == -EAGAIN);
		buf_fini(&found);
	}
	for (size_t at = 0; at < file.size; at++) {
		memcpy(copy, file.data, file.size);
		copy[at] ^= 1;
		assert_int_equal(
		    drop_read(str_of(copy, file.size), file.size, 50, &found),
		    -EBADMSG);
		buf_fini(&found);
	}
	buf_fini(&out);
}

static void
test_heads(void **state)
{
	static const char *const heads[] = {
	    "sendq-drop 2\nMAIL FROM:<a>\nRCPT TO:<b>\nDATA\n",
	    "sendq-drop 1\nRCPT TO:<b>\nDATA\n",
	    "sendq-drop 1\nMAIL FROM:<a>\nDATA\n",
	    "sendq-drop 1\nMAIL FROM:<a>\nMAIL FROM:<a>\nRCPT TO:<b>\n",
	    "sendq-drop 1\nMAIL FROM:<a>\nRCPT TO:<b>\nQUIT\n",
	    "sendq-drop 1\nMAIL FROM:<a\x01>\nRCPT TO:<b>\n",
	    "\n",
	};
	struct buf found;

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		assert_int_equal(
		    drop_read(str_from(heads[i]), 1000, 7, &found), -EBADMSG);
		buf_fini(&found);
	}
}

/* A line at its maximum, and one byte over it; a recipient too many. */
static void
test_limits(void **state)
{
	char line[DROP_LINE_MAX + 1];
	struct drop_writer w;
	struct buf out, found;
	struct str text;

	memset(line, 'x', sizeof(line));
	memcpy(line, "MAIL FROM:", 10);
	buf_init(&out, 1 << 20);
	assert_int_equal(drop_begin(&w, &out), 0);
	assert_int_equal(
	    drop_put_line(&w, str_of(line, DROP_LINE_MAX), &out), -EINVAL);
	assert_int_equal(drop_put_line(&w, STR("a\nb"), &out), -EINVAL);
	assert_int_equal(
	    drop_put_line(&w, str_of(line, DROP_LINE_MAX - 1), &out), 0);
	for (size_t i = 0; i <= DROP_LINES_MAX; i++) {
		if (i == DROP_LINES_MAX) {
			text = buf_str(&out);
			assert_int_equal(
			    drop_read(text, text.size + 100, 4096, &found),
			    -EAGAIN);
			buf_fini(&found);
		}
		assert_int_equal(
		    drop_put_line(&w, STR("RCPT TO:<b>"), &out), 0);
	}
	text = buf_str(&out);
	assert_int_equal(
	    drop_read(text, text.size + 100, 4096, &found), -EBADMSG);
	buf_fini(&found);
	buf_fini(&out);
	memset(line, 'x', sizeof(line));
	assert_int_equal(
	    drop_read(str_of(line, DROP_LINE_MAX), 9999, 9999, &found),
	    -EBADMSG);
	buf_fini(&found);
}

static void
test_names(void **state)
{
	char name[DROP_NAME_SIZE];

	drop_name_format(0x123, 0xfeed, name);
	assert_string_equal(name, "0000000000000123-000000000000feed");
	assert_true(drop_name_is_valid(str_from(name)));
	assert_false(drop_name_is_valid(str_head(str_from(name), 32)));
	name[16] = '0';
	assert_false(drop_name_is_valid(str_from(name)));
	drop_name_format(UINT64_MAX, UINT64_MAX, name);
	assert_true(drop_name_is_valid(str_from(name)));
	name[0] = 'F';
	assert_false(drop_name_is_valid(str_from(name)));
	assert_false(drop_name_is_valid(STR("../x")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_torn),
	    cmocka_unit_test(test_heads),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
