/* Starting the daemon's program from another of our programs. */
#ifndef CMD_SENDQD_START_H
#define CMD_SENDQD_START_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SENDQD_WORDS_MAX 80    /* on its command line */
#define SENDQD_TEXT_MAX  16384 /* bytes of these */

/* A command line that grows; all zero is none.  What does not fit is found by
   sendqd_start(). */
struct sendqd_words {
	char text[SENDQD_TEXT_MAX];
	size_t size;
	size_t at[SENDQD_WORDS_MAX];
	size_t count;
	bool is_over;
};

void sendqd_word(struct sendqd_words *words, const char *word);
/* -o NAME = "VALUE"; VALUE in any bytes but NUL. */
void sendqd_word_set(
    struct sendqd_words *words, const char *name, struct str value);
/* Executes it; -errno if that fails.  The program is the one beside ours, else
   the installed one. */
int sendqd_exec(struct sendqd_words *words);
/* Forks and executes it: its process id or -errno.  INPUT becomes its standard
   input; it gets SIGTERM when we end. */
pid_t sendqd_start(struct sendqd_words *words, int input);

#endif
