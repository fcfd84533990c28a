/* sendmail's command line, the words divided by NUL: an answer comes, and a
   refusal says why. */
#include "cmd/sendmail_options.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define WORDS_MAX 64

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char name[] = "sendmail";
	char *words[WORDS_MAX + 1] = {name}, *text = malloc(size + 1);
	struct sendmail_options options;
	struct buf messages;
	int count = 1, status;

	CHECK(text != NULL);
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text; at < text + size && count < WORDS_MAX;
	     at += strlen(at) + 1)
		words[count++] = at;
	words[count] = NULL;
	buf_init(&messages, 65536);
	status = sendmail_options_read(&options, count, words, &messages);
	CHECK(status == EX_OK || status == EX_USAGE || status == EX_SOFTWARE);
	CHECK(status == EX_OK || buf_size(&messages) > 0);
	CHECK(status != EX_OK || options.set_count <= SENDMAIL_SETS_MAX);
	buf_fini(&messages);
	free(text);
	return 0;
}
