/* What a client says: the same replies and questions however it is cut. */
#include "fuzz/fuzz.h"
#include "smtp/session_test.h"

#define ANSWERS 8

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_server_options options = test_options;
	struct session sessions[3];
	uint8_t choice[1 + ANSWERS];
	char answers[ANSWERS + 1];

	fuzz_choose(&data, &size, choice, sizeof(choice));
	for (size_t i = 0; i < ANSWERS; i++)
		answers[i] = "2222245c"[choice[1 + i] % 8];
	answers[ANSWERS] = '\0';
	options.has_uid = choice[0] & 1;
	options.has_final = choice[0] & 2;
	for (unsigned cut = 0; cut < 3; cut++) {
		struct session *t = &sessions[cut];

		session_init(t, &options, answers);
		session_feed_cut(
		    t, fuzz_rest(data, size), cut < 2 ? cut : 2 + choice[0]);
		session_end(t);
		assert_str("output", cut, buf_str(&t->output),
		    buf_str(&sessions[0].output));
		assert_str("questions", cut, buf_str(&t->asks),
		    buf_str(&sessions[0].asks));
	}
	for (unsigned cut = 0; cut < 3; cut++)
		session_fini(&sessions[cut]);
	return 0;
}
