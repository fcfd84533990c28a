/* The command line's own memory is what the kernel shows: it is written over.
   The environment behind it is left as it is. */
#include "cmd/title.h"
#include "base/mem.h"

#include <string.h>

static char **title_words; /* the copy lives as long as the process */
static char *title_start;
static size_t title_size;

char **
title_init(int argc, char **argv)
{
	char **copy = mem_new((size_t)argc + 1, sizeof(copy[0]));

	for (int i = 0; i < argc; i++) {
		copy[i] = mem_copy_text(argv[i], strlen(argv[i]));
		/* The words stand one behind the other, as exec puts them. */
		if (i == 0 || argv[i] == title_start + title_size) {
			if (i == 0)
				title_start = argv[0];
			title_size += strlen(argv[i]) + 1;
		}
	}
	title_words = copy;
	return title_words;
}

void
title_set(const char *text)
{
	size_t size = strlen(text);

	if (title_size == 0)
		return;
	if (size > title_size - 1)
		size = title_size - 1;
	memcpy(title_start, text, size);
	memset(title_start + size, 0, title_size - size);
}
