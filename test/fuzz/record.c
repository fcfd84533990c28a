/* Records of the spool whose checks are right: one that is taken is made again
   as it was. */
#include "fuzz/fuzz.h"
#include "store/spool/spool_record.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool_record_header header = {.seq = 7};
	struct spool_body body;
	struct arena arena;
	struct buf again;
	uint8_t choice[3];

	fuzz_choose(&data, &size, choice, sizeof(choice));
	header.type = SPOOL_MESSAGE + choice[0] % (SPOOL_TYPES - SPOOL_MESSAGE);
	header.body_size = (uint32_t)size;
	header.content_size = (uint32_t)(choice[1] << 8 | choice[2]);
	arena_init(&arena, 1 << 20);
	if (spool_body_get(fuzz_rest(data, size), &header, &arena, &body) ==
	    0) {
		buf_init(&again, 1 << 20);
		CHECK(spool_body_put(&again, header.type, &body) == 0);
		CHECK(str_equal(buf_str(&again), fuzz_rest(data, size)));
		buf_fini(&again);
	}
	arena_fini(&arena);
	return 0;
}
