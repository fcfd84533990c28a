/* Fields in frames: bytes as they are to be, and frames that are cut. */
#include "base/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One of each, and how they lie. */
static const char wire_test_bytes[] = "\x81"
				      "\x04\x03\x02\x81"
				      "\x08\x07\x06\x05\x04\x03\x02\x81"
				      "\x03\0\0\0a\0b"
				      "\0\0\0\0";

#define WIRE_TEST_SIZE (sizeof(wire_test_bytes) - 1)

static void
wire_test_put(struct wire_writer *w)
{
	wire_put_u8(w, 0x81);
	wire_put_u32(w, 0x81020304);
	wire_put_u64(w, UINT64_C(0x8102030405060708));
	wire_put_str(w, STR("a\0b"));
	wire_put_str(w, STR(""));
}

static void
wire_test_write(void **state)
{
	struct buf out;

	for (size_t max = 0; max < WIRE_TEST_SIZE + 2; max++) {
		struct wire_writer w = {.out = &out};

		buf_init(&out, max);
		wire_test_put(&w);
		assert_int_equal(w.is_bad, max < WIRE_TEST_SIZE);
		if (max >= WIRE_TEST_SIZE)
			assert_true(str_equal(buf_str(&out),
			    str_of(wire_test_bytes, WIRE_TEST_SIZE)));
		buf_fini(&out);
	}
}

/* After the first field that does not fit nothing more is written. */
static void
wire_test_write_sticky(void **state)
{
	struct buf out;
	struct wire_writer w = {.out = &out};

	buf_init(&out, 3);
	wire_put_u8(&w, 1);
	wire_put_u32(&w, 2);
	wire_put_u8(&w, 3);
	wire_put_str(&w, STR(""));
	assert_true(w.is_bad);
	assert_true(str_equal(buf_str(&out), STR("\1")));
	buf_fini(&out);
}

static void
wire_test_read(void **state)
{
	struct wire_reader r = {str_of(wire_test_bytes, WIRE_TEST_SIZE), false};

	assert_int_equal(wire_get_u8(&r), 0x81);
	assert_int_equal(wire_get_u32(&r), 0x81020304);
	assert_int_equal(wire_get_u64(&r), UINT64_C(0x8102030405060708));
	assert_true(str_equal(wire_get_str(&r, 3), STR("a\0b")));
	assert_false(wire_is_whole(&r));
	assert_int_equal(wire_get_str(&r, 0).size, 0);
	assert_true(wire_is_whole(&r));
	assert_int_equal(wire_get_u8(&r), 0);
	assert_false(wire_is_whole(&r));
}

/* Cut at every byte: it is seen, and what is behind the cut reads as zero. */
static void
wire_test_read_cut(void **state)
{
	for (size_t size = 0; size < WIRE_TEST_SIZE; size++) {
		struct wire_reader r = {str_of(wire_test_bytes, size), false};

		wire_get_u8(&r);
		wire_get_u32(&r);
		if (size < 13)
			assert_int_equal(wire_get_u64(&r), 0);
		else
			wire_get_u64(&r);
		if (size < 20)
			assert_int_equal(wire_get_str(&r, 100).size, 0);
		else
			wire_get_str(&r, 100);
		assert_int_equal(wire_get_str(&r, 100).size, 0);
		assert_true(r.is_bad);
		assert_false(wire_is_whole(&r));
		assert_int_equal(wire_get_u8(&r), 0);
	}
}

static void
wire_test_read_limits(void **state)
{
	static const struct {
		struct str in;
		size_t max;
		bool is_bad;
	} strings[] = {
	    {STR("\2\0\0\0ab"), 2, false},
	    {STR("\2\0\0\0ab"), 1, true},
	    {STR("\3\0\0\0ab"), 100, true},
	    {STR("\xff\xff\xff\xff"
		 "ab"),
		SIZE_MAX, true},
	};
	static const struct {
		struct str in;
		uint32_t max, value;
		bool is_bad;
	} numbers[] = {
	    {STR("\5\0\0\0"), 5, 5, false},
	    {STR("\6\0\0\0"), 5, 0, true},
	    {STR("\0\0\0\x80"), 5, 0, true},
	    {STR("\xff\xff\xff\xff"), UINT32_MAX, UINT32_MAX, false},
	    {STR("\5\0\0"), 5, 0, true},
	};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		struct wire_reader r = {strings[i].in, false};
		struct str got = wire_get_str(&r, strings[i].max);

		assert_int_equal(r.is_bad, strings[i].is_bad);
		assert_true(
		    str_equal(got, strings[i].is_bad ? STR("") : STR("ab")));
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct wire_reader r = {numbers[i].in, false};

		assert_int_equal(
		    wire_get_bounded(&r, numbers[i].max), numbers[i].value);
		assert_int_equal(r.is_bad, numbers[i].is_bad);
	}
}

static void
wire_test_places(void **state)
{
	char bytes[14];

	memset(bytes, '?', sizeof(bytes));
	wire_store_u32(bytes + 1, 0x81020304);
	wire_store_u64(bytes + 5, UINT64_C(0x8102030405060708));
	assert_memory_equal(bytes,
	    "?"
	    "\x04\x03\x02\x81"
	    "\x08\x07\x06\x05\x04\x03\x02\x81"
	    "?",
	    sizeof(bytes));
	assert_int_equal(wire_load_u32(bytes + 1), 0x81020304);
	assert_int_equal(
	    wire_load_u64(bytes + 5), UINT64_C(0x8102030405060708));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wire_test_write),
	    cmocka_unit_test(wire_test_write_sticky),
	    cmocka_unit_test(wire_test_read),
	    cmocka_unit_test(wire_test_read_cut),
	    cmocka_unit_test(wire_test_read_limits),
	    cmocka_unit_test(wire_test_places),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
