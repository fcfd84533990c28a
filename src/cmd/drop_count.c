/* Counts names; what is in the files is the daemon's to find out. */
#include "cmd/drop_count.h"
#include "mail/drop.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

size_t
drop_count(const struct conf *conf)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	size_t count = 0;
	DIR *dir;
	int size = snprintf(path, sizeof(path), "%.*s/" DROP_DIR_NEW,
	    STR_ARG(conf->drop_directory));

	if (conf->drop_directory.size == 0 || size < 0 ||
	    (size_t)size >= sizeof(path))
		return 0;
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += drop_name_is_valid(str_from(entry->d_name));
	if (dir != NULL)
		closedir(dir);
	return count;
}

void
drop_count_print(const struct conf *conf, size_t count, const char *indent)
{
	if (count > 0)
		printf("%s%zu message%s in the drop directory %.*s\n", indent,
		    count, count == 1 ? "" : "s",
		    STR_ARG(conf->drop_directory));
}
