/* Levels of -d, read as sendmail reads them; and its "SYSTEM IDENTITY". */
#include "cmd/sendmail_debug.h"
#include "base/num.h"
#include "cmd/store_place.h"
#include "cmd/view.h"
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>

#define DEBUG_NUMBER_MAX 10000

/* The number at the beginning of *TEXT, which is left behind it; FALLBACK where
   there is none. */
static unsigned
debug_number(struct str *text, unsigned fallback)
{
	uint64_t number = fallback;
	size_t digits = 0;

	while (digits < text->size && ascii_is_digit(text->data[digits]))
		digits++;
	if (digits > 0 &&
	    num_parse(str_head(*text, digits), DEBUG_NUMBER_MAX, &number) < 0)
		number = DEBUG_NUMBER_MAX;
	*text = str_skip(*text, digits);
	return (unsigned)number;
}

unsigned
sendmail_debug_level(struct str levels, unsigned category)
{
	unsigned found = 0;

	while (levels.size > 0) {
		struct str item = str_head(levels, str_find(levels, ','));
		unsigned first, last, level = 1;

		levels = str_skip(levels, item.size + 1);
		if (item.size == 0 || !ascii_is_digit(item.data[0]))
			continue;
		first = last = debug_number(&item, 0);
		if (item.size > 0 && item.data[0] == '-') {
			item = str_skip(item, 1);
			last = debug_number(&item, first);
		}
		if (item.size > 0 && item.data[0] == '.') {
			item = str_skip(item, 1);
			level = debug_number(&item, 1);
		}
		if (item.size == 0 && first <= category && category <= last)
			found = level;
	}
	return found;
}

static const char *
debug_store(const struct conf *conf)
{
	if (store_place_is_mqueue(conf))
		return "control files of sendmail";
	return store_place_is_ram(conf) ? "memory" : "our own";
}

void
sendmail_debug_places(const struct sendmail_options *options)
{
	const char *file =
	    conf_file_name(options->config_file, secure_getenv(CONF_FILE_ENV));
	struct conf *conf;
	char *path;

	if (sendmail_debug_level(options->debug, SENDMAIL_DEBUG_PLACES) < 1)
		return;
	fprintf(stderr,
	    "Version sendq %s\n"
	    "  configuration file: %s\n",
	    SENDQ_VERSION, file);
	conf = view_conf(options->program, file);
	if (conf == NULL)
		return;
	path = store_place_path(conf);
	fprintf(stderr,
	    "  name of this host:  %.*s\n"
	    "  queue directory:    %.*s\n"
	    "  store:              %s\n"
	    "  daemon:             %.*s\n",
	    STR_ARG(conf->hostname),
	    STR_ARG(options->queue_directory.size > 0 ? options->queue_directory
						      : str_from(path)),
	    options->queue_directory.size > 0 ? "that of -oQ"
					      : debug_store(conf),
	    STR_ARG(conf->control_socket));
	free(path);
	conf_free(conf);
}
