/* The command line of the daemon's program, and its start.  Between fork and
   exec nothing but system calls is used. */
#include "cmd/sendqd_start.h"
#include "base/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define START_NAME "sendqd"

static void
words_put(struct sendqd_words *words, struct str bytes)
{
	if (words->size + bytes.size > sizeof(words->text)) {
		words->is_over = true;
		return;
	}
	memcpy(words->text + words->size, bytes.data, bytes.size);
	words->size += bytes.size;
}

/* A new word begins. */
static void
words_begin(struct sendqd_words *words)
{
	if (words->count == SENDQD_WORDS_MAX) {
		words->is_over = true;
		return;
	}
	words->at[words->count++] = words->size;
}

void
sendqd_word(struct sendqd_words *words, const char *word)
{
	words_begin(words);
	words_put(words, str_of(word, strlen(word) + 1));
}

void
sendqd_word_set(struct sendqd_words *words, const char *name, struct str value)
{
	sendqd_word(words, "-o");
	words_begin(words);
	words_put(words, str_from(name));
	words_put(words, STR(" = \""));
	for (size_t i = 0; i < value.size; i++) {
		char c = value.data[i], escaped[5];

		snprintf(escaped, sizeof(escaped), "\\x%02x",
		    (unsigned)(unsigned char)c);
		if (c == '"' || c == '\\' || (unsigned char)c < 0x20 ||
		    c == 0x7f)
			words_put(words, str_from(escaped));
		else
			words_put(words, str_of(&c, 1));
	}
	words_put(words, STR("\""));
	words_put(words, str_of("", 1));
}

/* The daemon's program beside this one; false if there is none. */
static bool
start_find(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size);

	while (length > 0 && path[length - 1] != '/')
		length--;
	if (length <= 0 || (size_t)length + sizeof(START_NAME) > size)
		return false;
	memcpy(path + length, START_NAME, sizeof(START_NAME));
	return access(path, X_OK) == 0;
}

int
sendqd_exec(struct sendqd_words *words)
{
	char path[4096], *argv[SENDQD_WORDS_MAX + 1];
	const char *program =
	    start_find(path, sizeof(path)) ? path : SENDQD_PATH;

	if (words->is_over)
		return -E2BIG;
	for (size_t i = 0; i < words->count; i++)
		argv[i] = words->text + words->at[i];
	argv[words->count] = NULL;
	execv(program, argv);
	return -errno;
}

pid_t
sendqd_start(struct sendqd_words *words, int input)
{
	pid_t parent = getpid(), pid;

	if (words->is_over)
		return -E2BIG;
	pid = fork();
	if (pid != 0)
		return pid < 0 ? -errno : pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	/* The parent may have gone before that. */
	if (getppid() != parent || dup2(input, STDIN_FILENO) < 0)
		_exit(EX_OSERR);
	(void)sendqd_exec(words);
	_exit(EX_OSFILE);
}
