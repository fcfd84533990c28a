/*
 * A configuration from a file to tables: read whole, checked by conf/scan,
 * parsed by libconfig, checked and copied by conf/parse.  The only input is the
 * FILE that is given; nothing is looked up and no other file is opened.
 */
#include "conf/conf.h"
#include "base/check.h"
#include "base/mem.h"
#include "conf/lookup.h"
#include "conf/parse.h"
#include "conf/reader.h"
#include "conf/scan.h"

#include <errno.h>
#include <stdlib.h>

static struct conf *
conf_new(void)
{
	struct conf *conf = mem_new(1, sizeof(*conf));

	arena_init(&conf->arena, READER_ARENA_MAX);
	lookup_new(conf);
	return conf;
}

void
conf_free(struct conf *conf)
{
	if (conf == NULL)
		return;
	lookup_free(conf);
	alias_table_free(conf->aliases);
	arena_fini(&conf->arena);
	free(conf);
}

/* LINE, or the last line of TEXT where the parser ran past it. */
static unsigned
text_line(const char *text, int line)
{
	unsigned last = 1;

	for (; *text != '\0'; text++)
		last += *text == '\n' && text[1] != '\0';
	return line < 1 ? 1 : (unsigned)line < last ? (unsigned)line : last;
}

/* Puts what FROM is, one value, into TO, which is of its type. */
static int
change_copy(config_setting_t *to, const config_setting_t *from)
{
	switch (config_setting_type(from)) {
	case CONFIG_TYPE_INT:
		return config_setting_set_int(to, config_setting_get_int(from));
	case CONFIG_TYPE_INT64:
		return config_setting_set_int64(
		    to, config_setting_get_int64(from));
	case CONFIG_TYPE_BOOL:
		return config_setting_set_bool(
		    to, config_setting_get_bool(from));
	case CONFIG_TYPE_STRING:
		return config_setting_set_string(
		    to, config_setting_get_string(from));
	default:
		return CONFIG_FALSE;
	}
}

/* The same of FROM, a group of such values. */
static int
change_copy_group(config_setting_t *to, const config_setting_t *from)
{
	unsigned count = (unsigned)config_setting_length(from);

	for (unsigned i = 0; i < count; i++) {
		config_setting_t *value = config_setting_get_elem(from, i);
		config_setting_t *copy = config_setting_add(
		    to, config_setting_name(value), config_setting_type(value));

		if (copy == NULL || change_copy(copy, value) == CONFIG_FALSE)
			return CONFIG_FALSE;
	}
	return CONFIG_TRUE;
}

/* The same of FROM, a list of groups. */
static int
change_copy_list(config_setting_t *to, const config_setting_t *from)
{
	unsigned count = (unsigned)config_setting_length(from);

	for (unsigned i = 0; i < count; i++) {
		const config_setting_t *group =
		    config_setting_get_elem(from, i);
		config_setting_t *copy =
		    config_setting_add(to, NULL, CONFIG_TYPE_GROUP);

		if (!config_setting_is_group(group) || copy == NULL ||
		    change_copy_group(copy, group) == CONFIG_FALSE)
			return CONFIG_FALSE;
	}
	return CONFIG_TRUE;
}

/* Puts FROM, a value or a list of groups, in the place of what ROOT has of that
   name. */
static int
change_put(config_setting_t *root, config_setting_t *from)
{
	const char *name = config_setting_name(from);
	config_setting_t *to;

	(void)config_setting_remove(root, name);
	to = config_setting_add(root, name, config_setting_type(from));
	if (to == NULL)
		return CONFIG_FALSE;
	return config_setting_is_list(from) ? change_copy_list(to, from)
	                                    : change_copy(to, from);
}

/* What the command line says instead of the file. */
static void
changes_apply(struct reader *r, config_setting_t *root, const char *changes)
{
	config_t config;
	unsigned count = 0;

	config_init(&config);
	if (config_read_string(&config, changes) == CONFIG_TRUE)
		count = (unsigned)config_setting_length(
		    config_root_setting(&config));
	else
		reader_mistake_line(r, 0, "in what was set besides: %s",
		    config_error_text(&config));
	for (unsigned i = 0; i < count; i++) {
		config_setting_t *setting =
		    config_setting_get_elem(config_root_setting(&config), i);

		if (change_put(root, setting) == CONFIG_FALSE)
			reader_mistake_line(r, 0, "%s cannot be set besides",
			    config_setting_name(setting));
	}
	config_destroy(&config);
}

/* The text that was read to the reader's tables. */
static void
text_parse(struct reader *r, struct scan *scan, const char *changes)
{
	config_t config;
	unsigned line;
	const char *wrong = scan_check(scan, &line);

	if (wrong != NULL) {
		reader_mistake_line(r, line, "%s", wrong);
		return;
	}
	config_init(&config);
	if (config_read_string(&config, scan_text(scan)) == CONFIG_TRUE) {
		config_setting_t *root = config_root_setting(&config);

		scan_lines_set(scan, root);
		changes_apply(r, root, changes);
		parse_tree(r, root);
	} else {
		int error_line = config_error_line(&config);

		reader_mistake_line(r, text_line(scan_text(scan), error_line),
		    "%s", config_error_text(&config));
	}
	config_destroy(&config);
}

int
conf_read(FILE *file, const char *file_name, struct buf *errors,
    struct conf **conf_out)
{
	return conf_read_changed(file, file_name, "", errors, conf_out);
}

int
conf_read_changed(FILE *file, const char *file_name, const char *changes,
    struct buf *errors, struct conf **conf_out)
{
	struct scan scan;
	struct reader *r = mem_new(1, sizeof(*r));
	bool is_good;
	int error;

	*conf_out = NULL;
	scan_init(&scan);
	reader_init(r, conf_new(), file_name);
	error = scan_read(&scan, file);
	if (error == -EFBIG)
		reader_mistake_line(
		    r, 0, "is larger than %d bytes", SCAN_FILE_MAX);
	else if (error < 0)
		reader_mistake_line(r, 0, "cannot be read");
	else
		text_parse(r, &scan, changes);
	is_good = r->mistake_count == 0;
	if (is_good)
		*conf_out = r->conf;
	else
		conf_free(r->conf);
	reader_mistakes_put(r, errors);
	reader_fini(r);
	free(r);
	scan_fini(&scan);
	CHECK(is_good == (*conf_out != NULL));
	return is_good ? 0 : -EINVAL;
}

const char *
conf_file_name(const char *option, const char *env)
{
	if (option != NULL)
		return option;
	return env != NULL && *env != '\0' ? env : CONF_FILE_DEFAULT;
}
