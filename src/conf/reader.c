/* Mistakes of a configuration and the memory of its tables; see reader.h. */
#include "conf/reader.h"
#include "conf/scan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MISTAKE_MAX 1000 /* bytes of one line */

void
reader_init(struct reader *r, struct conf *conf, const char *file_name)
{
	*r = (struct reader){.conf = conf, .file_name = file_name};
	arena_init(&r->arena, (size_t)CONF_ERRORS_MAX * (MISTAKE_MAX + 1));
}

void
reader_fini(struct reader *r)
{
	arena_fini(&r->arena);
	r->conf = NULL;
}

static void
mistake_add(struct reader *r, unsigned line, struct str text)
{
	struct reader_mistake *mistake;

	if (r->mistake_count++ >= CONF_ERRORS_MAX)
		return;
	mistake = &r->mistakes[r->mistake_count - 1];
	mistake->line = line;
	mistake->order = r->mistake_count;
	mistake->text = arena_copy(&r->arena, text);
}

/* What snprintf says it wrote, cut to what there was room for. */
static size_t
size_cut(int size, size_t room)
{
	if (size < 0)
		return 0;
	return (size_t)size < room ? (size_t)size : room - 1;
}

void
reader_mistake_line(struct reader *r, unsigned line, const char *format, ...)
{
	char text[MISTAKE_MAX];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	mistake_add(r, line, str_of(text, size_cut(size, sizeof(text))));
}

/* Writes "site[0].from[1]"; returns its size. */
static size_t
path_format(const config_setting_t *setting, const char *name, char *path)
{
	const config_setting_t *parents[SCAN_DEPTH_MAX + 2];
	size_t count = 0, at = 0;

	path[0] = '\0';
	while (!config_setting_is_root(setting) && count < SCAN_DEPTH_MAX + 2) {
		parents[count++] = setting;
		setting = config_setting_parent(setting);
	}
	while (count-- > 0) {
		const char *part = config_setting_name(parents[count]);
		size_t room = READER_SETTING - at;
		int size;

		if (part != NULL)
			size = snprintf(
			    path + at, room, "%s%s", at > 0 ? "." : "", part);
		else
			size = snprintf(path + at, room, "[%d]",
			    config_setting_index(parents[count]));
		at += size_cut(size, room);
	}
	if (name != NULL)
		at += size_cut(snprintf(path + at, READER_SETTING - at, "%s%s",
				   at > 0 ? "." : "", name),
		    READER_SETTING - at);
	return at;
}

void
reader_mistake(struct reader *r, const config_setting_t *setting,
    const char *name, const char *format, ...)
{
	char text[MISTAKE_MAX];
	unsigned line = scan_line(setting);
	size_t at;
	va_list args;
	int size;

	/* Finding an index takes time in proportion to the list. */
	if (r->mistake_count >= CONF_ERRORS_MAX) {
		r->mistake_count++;
		return;
	}
	at = path_format(setting, name, text);
	at += size_cut(
	    snprintf(text + at, sizeof(text) - at, ": "), sizeof(text) - at);
	va_start(args, format);
	size = vsnprintf(text + at, sizeof(text) - at, format, args);
	va_end(args);
	at += size_cut(size, sizeof(text) - at);
	/* The root has no line of its own. */
	mistake_add(r, line > 0 ? line : 1, str_of(text, at));
}

static int
mistake_compare(const void *a_void, const void *b_void)
{
	const struct reader_mistake *a = a_void, *b = b_void;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

void
reader_mistakes_put(struct reader *r, struct buf *out)
{
	size_t kept = r->mistake_count < CONF_ERRORS_MAX ? r->mistake_count
	                                                 : CONF_ERRORS_MAX;
	int error = 0;

	qsort(r->mistakes, kept, sizeof(r->mistakes[0]), mistake_compare);
	for (size_t i = 0; i < kept && error == 0; i++) {
		const struct reader_mistake *mistake = &r->mistakes[i];

		error = mistake->line > 0
		            ? buf_printf(out, "%s:%u: %.*s\n", r->file_name,
				  mistake->line, STR_ARG(mistake->text))
		            : buf_printf(out, "%s: %.*s\n", r->file_name,
				  STR_ARG(mistake->text));
	}
	if (kept < r->mistake_count && error == 0)
		error = buf_printf(out, "%s: %zu more mistakes are not shown\n",
		    r->file_name, r->mistake_count - kept);
	(void)error; /* what does not fit is not shown */
}

static void
full_note(struct reader *r)
{
	if (!r->is_full)
		reader_mistake_line(r, 0, "the configuration is too large");
	r->is_full = true;
}

void *
reader_new(struct reader *r, size_t count, size_t size)
{
	size_t total;
	void *p = NULL;

	if (!__builtin_mul_overflow(count, size, &total))
		p = arena_new(&r->conf->arena, total);
	if (p == NULL)
		full_note(r);
	return p;
}

int
reader_copy(struct reader *r, struct str text, struct str *copy_out)
{
	struct str copy = arena_copy(&r->conf->arena, text);

	if (copy.data == NULL) {
		full_note(r);
		return -ENOMEM;
	}
	*copy_out = copy;
	return 0;
}
