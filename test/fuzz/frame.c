/* Frames between roles, of any sender to any receiver: one that is taken is
   made again as it was. */
#include "fuzz/fuzz.h"
#include "role/message.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message m;
	struct arena arena;
	struct buf again;
	uint8_t choice[2];

	fuzz_choose(&data, &size, choice, sizeof(choice));
	arena_init(&arena, MESSAGE_ARENA_MAX);
	if (message_decode(fuzz_rest(data, size), choice[0] % ROLE_KINDS,
		choice[1] % ROLE_KINDS, &arena, &m) == 0) {
		buf_init(&again, MESSAGE_FRAME_MAX);
		CHECK(message_encode(&again, &m) == 0);
		CHECK(str_equal(buf_str(&again), fuzz_rest(data, size)));
		buf_fini(&again);
	}
	arena_fini(&arena);
	return 0;
}
