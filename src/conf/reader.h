/*
 * One reading of a configuration: the tables being made and the mistakes found
 * so far.  A mistake never stops the reading; it is noted and the next setting
 * is looked at.
 */
#ifndef CONF_READER_H
#define CONF_READER_H

#include "base/arena.h"
#include "base/buf.h"
#include "conf/conf.h"

#include <libconfig.h>
#include <stddef.h>

#define READER_ARENA_MAX  (512 << 20) /* bytes of the tables */
#define READER_SETTING    250         /* bytes shown of a setting's path */
#define READER_QUOTED_MAX 100         /* bytes shown of a value */

/* For "%.*s": so much of a value as is shown. */
#define READER_QUOTED(text)                                                    \
	(int)((text).size < READER_QUOTED_MAX ? (text).size                    \
					      : READER_QUOTED_MAX),            \
	    (text).data

struct reader_mistake {
	unsigned line;
	size_t order; /* of being found */
	struct str text;
};

struct reader {
	struct conf *conf; /* being filled; owns all that is kept */
	const char *file_name;
	struct arena arena; /* texts of mistakes */
	struct reader_mistake mistakes[CONF_ERRORS_MAX];
	size_t mistake_count; /* found; the first CONF_ERRORS_MAX are kept */
	bool is_full;         /* READER_ARENA_MAX was reached, and noted */
};

void reader_init(struct reader *r, struct conf *conf, const char *file_name);
void reader_fini(struct reader *r);

/* Notes a mistake in a line (0 = in the file as such). */
void reader_mistake_line(struct reader *r, unsigned line, const char *format,
    ...) __attribute__((format(printf, 3, 4)));
/* Notes a mistake in a setting, or in its member NAME if not NULL. */
void reader_mistake(struct reader *r, const config_setting_t *setting,
    const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Writes the mistakes in the order of lines, at most what OUT has room for. */
void reader_mistakes_put(struct reader *r, struct buf *out);

/* COUNT zeroed objects in the configuration's arena, or NULL with a mistake
   noted. */
void *reader_new(struct reader *r, size_t count, size_t size)
    __attribute__((warn_unused_result));
/* A copy there: 0 or -ENOMEM with a mistake noted. */
int reader_copy(struct reader *r, struct str text, struct str *copy_out)
    __attribute__((warn_unused_result));

#endif
