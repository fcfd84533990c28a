/* sendmail's control files: what is read can be written, and is the same when
   it is read again. */
#include "fuzz/fuzz.h"
#include "store/mqueue/qf.h"

static void
check_addresses(const struct qf *q, struct arena *arena)
{
	struct mail_recipient recipient;
	struct qf_address address;

	for (size_t i = 0; i < q->recipient_count; i++) {
		CHECK(qf_get_recipient(
			  &q->recipients[i], arena, &address, &recipient) == 0);
		if (address.kind != QF_ADDRESS_MAIL)
			continue;
		/* Nothing that could end a command. */
		for (size_t n = 0; n < address.bare.size; n++)
			CHECK((unsigned char)address.bare.data[n] >= ' ');
	}
}

static void
check_usable(const struct qf *q, struct arena *arena, size_t size)
{
	struct buf first, second;
	struct mail_envelope envelope;
	struct qf_problem problem;
	struct qf again;
	bool is_whole;

	buf_init(&first, 65536 + 8 * size);
	buf_init(&second, 65536 + 8 * size);
	CHECK(qf_write(q, &first) == 0);
	CHECK(qf_read(buf_str(&first), arena, &again, &problem) == 0);
	CHECK(again.recipient_count == q->recipient_count);
	CHECK(again.header_count == q->header_count);
	CHECK(qf_write(&again, &second) == 0);
	CHECK(str_equal(buf_str(&first), buf_str(&second)));
	buf_clear(&second);
	CHECK(qf_render_header(q, &second) == 0);
	CHECK(qf_get_envelope(q, arena, &envelope, &is_whole) == 0);
	check_addresses(q, arena);
	buf_fini(&first);
	buf_fini(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qf_problem problem;
	struct arena arena;
	struct qf q;

	arena_init(&arena, QF_ARENA_SIZE(64 * size));
	if (qf_read(fuzz_rest(data, size), &arena, &q, &problem) == 0) {
		CHECK(problem.remedy == QF_RUN);
		check_usable(&q, &arena, size);
	} else {
		CHECK(problem.remedy != QF_RUN);
		CHECK(problem.text.size <= QF_PROBLEM_MAX);
	}
	arena_fini(&arena);
	return 0;
}
