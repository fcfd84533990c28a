/*
 * Mutated control files.  Whatever the bytes: the reader ends with an answer,
 * and what it takes can be written, read again, rendered and addressed.
 */
#include "store/mqueue/qf.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED      UINT64_C(8170109)
#define ROUNDS    4000
#define BYTES_MAX 4000

static const char *const seeds[] = {
    "V8\nT1795295637\nK0\nN0\nP30107\nI254/0/1\nB8BITMIME\nqspam\n"
    "MDeferred\nF8bdnsw\n$_root@localhost\n${daemon_flags}c u\n"
    "Salice@example.com\nZQQ+2B3\nA<>\n!\x01 86400\n"
    "MUser unknown\nCu:8:0:u\nQrfc822;x@y\nrRFC822; bob@dest.test\n"
    "RPFD:<bob@dest.test>\nC\nRPN:Name (x) <c@d>\nRPA:|\"/bin/true\"\n"
    "H?P?Return-Path: <\x81g>\nH??Received: by a\n\tid b\n\tfor c\n"
    "H?D?Date: x\nH?${x}?Y: \xE2\xFF\x80\xFF\x93\nH??Subject: x\n.\n",
    "P1043\nT696532598\nDdfAA00101\nSadams@dc.example.com\nEe@f\n"
    "H?P?return-path: <a@b>\nHReceived: by oak (5.61/1.34)\n"
    "\tid AA00101\nHDate: x\nRbob@dest.test\nRcarol@other.test\n",
    "V8\r\nS<a@b>\r\nR:<c@d>\r\n.\r\n",
    "V8\nS<a@b>\nR:<c@d>\n.\n",
};
static const char *const tokens[] = {"\n", "\r\n", "\n.\n", "\n ", "V9", "V0\n",
    "R", "RPFD:", "S", "H?", "\nH??X: y", "\xFF", "\x81", "<", ">", "\"", "(",
    ")", "\\", "@", ":", "\nFrom ", "${", "}", "\nA", "\n!", "\n$",
    "99999999999999999999"};

static uint64_t random_state = SEED;

static size_t
draw(size_t below)
{
	random_state =
	    random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (size_t)(random_state >> 33) % below;
}

/* Puts SIZE bytes of WHAT at AT. */
static void
insert(char *bytes, size_t *size, size_t at, const char *what, size_t what_size)
{
	if (*size + what_size > BYTES_MAX)
		return;
	memmove(bytes + at + what_size, bytes + at, *size - at);
	memcpy(bytes + at, what, what_size);
	*size += what_size;
}

static void
mutate(char *bytes, size_t *size)
{
	size_t at = draw(*size + 1), count = 1 + draw(20);
	char copy[20];

	if (count > *size - at)
		count = *size - at;
	memcpy(copy, bytes + at, count);
	switch (draw(6)) {
	case 0:
		if (at < *size)
			bytes[at] = (char)draw(256);
		break;
	case 1: {
		const char *token =
		    tokens[draw(sizeof(tokens) / sizeof(tokens[0]))];

		insert(bytes, size, at, token, strlen(token));
		break;
	}
	case 2:
		memmove(bytes + at, bytes + at + count, *size - at - count);
		*size -= count;
		break;
	case 3:
		insert(bytes, size, draw(*size + 1), copy, count);
		break;
	case 4:
		if (draw(8) == 0)
			*size = at;
		break;
	case 5:
		insert(bytes, size, at, "\0", 1);
		break;
	}
}

/* No text of a usable address can end a command or begin another. */
static void
assert_sendable(struct str text, struct arena *arena)
{
	struct qf_address a;

	assert_int_equal(qf_address(text, arena, &a), 0);
	if (a.kind != QF_ADDRESS_MAIL)
		return;
	assert_true(a.bare.size > 0);
	for (size_t i = 0; i < a.bare.size; i++)
		assert_true((unsigned char)a.bare.data[i] >= ' ');
}

/* What was read can be written, and stays what it is from then on. */
static void
assert_usable(const struct qf *q, struct arena *arena)
{
	struct buf first, second, header;
	struct mail_envelope envelope;
	struct qf_problem problem;
	struct qf again;
	bool is_whole;

	buf_init(&first, 4 * (size_t)BYTES_MAX);
	buf_init(&second, 4 * (size_t)BYTES_MAX);
	buf_init(&header, 4 * (size_t)BYTES_MAX);
	assert_int_equal(qf_write(q, &first), 0);
	assert_int_equal(qf_read(buf_str(&first), arena, &again, &problem), 0);
	assert_int_equal(again.recipient_count, q->recipient_count);
	assert_int_equal(again.header_count, q->header_count);
	assert_int_equal(qf_write(&again, &second), 0);
	assert_true(str_equal(buf_str(&first), buf_str(&second)));
	assert_int_equal(qf_render_header(q, &header), 0);
	assert_int_equal(qf_get_envelope(q, arena, &envelope, &is_whole), 0);
	for (size_t i = 0; i < q->recipient_count; i++)
		assert_sendable(q->recipients[i].text, arena);
	assert_sendable(q->sender, arena);
	buf_fini(&first);
	buf_fini(&second);
	buf_fini(&header);
}

static void
test_mutations(void **state)
{
	struct arena arena;
	int usable = 0, bad = 0;

	(void)state;
	print_message("seed %" PRIu64 "\n", random_state);
	arena_init(&arena, QF_ARENA_SIZE(16 * (size_t)BYTES_MAX));
	for (int i = 0; i < ROUNDS; i++) {
		const char *seed =
		    seeds[draw(sizeof(seeds) / sizeof(seeds[0]))];
		size_t size = strlen(seed);
		char bytes[BYTES_MAX];
		struct qf_problem problem;
		struct qf q;

		memcpy(bytes, seed, size);
		for (size_t n = 1 + draw(6); n > 0; n--)
			mutate(bytes, &size);
		arena_fini(&arena);
		if (qf_read(str_of(bytes, size), &arena, &q, &problem) == 0) {
			assert_int_equal(problem.remedy, QF_RUN);
			assert_usable(&q, &arena);
			usable++;
		} else {
			assert_int_not_equal(problem.remedy, QF_RUN);
			assert_true(problem.text.size <= QF_PROBLEM_MAX);
			bad++;
		}
	}
	arena_fini(&arena);
	/* Both ways were gone often enough to mean something. */
	assert_true(usable > ROUNDS / 10);
	assert_true(bad > ROUNDS / 10);
}

/* A file cut anywhere is never taken, but where no V line tells its version
   and the last line is a whole recipient. */
static void
test_truncations(void **state)
{
	struct arena arena;

	(void)state;
	arena_init(&arena, QF_ARENA_SIZE(BYTES_MAX));
	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		struct str whole = str_from(seeds[i]);

		for (size_t size = 0; size + 3 < whole.size; size++) {
			struct str part = str_head(whole, size);
			struct qf_problem problem;
			struct qf q;
			int result;

			arena_fini(&arena);
			result = qf_read(part, &arena, &q, &problem);
			assert_int_equal(result == 0,
			    i == 1 && str_equal(str_skip(whole, size),
					  STR("Rcarol@other.test\n")));
		}
	}
	arena_fini(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_mutations),
	    cmocka_unit_test(test_truncations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
