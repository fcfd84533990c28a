/* Which names the functions of os.h take; the same for every os. */
#ifndef OS_OS_NAME_H
#define OS_OS_NAME_H

#include <stdbool.h>
#include <string.h>

/* True for "file" and "directory/file", without "..". */
static inline bool
os_name_is_valid(const char *name)
{
	const char *slash = strchr(name, '/');

	if (name[0] == '\0' || strstr(name, "..") != NULL)
		return false;
	if (slash == NULL)
		return strcmp(name, ".") != 0;
	return slash > name && slash[1] != '\0' &&
	       strchr(slash + 1, '/') == NULL && strncmp(name, "./", 2) != 0 &&
	       strcmp(slash, "/.") != 0;
}

/* True for "" (the root) and for one name without "/". */
static inline bool
os_directory_is_valid(const char *name)
{
	return name[0] == '\0' ||
	       (os_name_is_valid(name) && strchr(name, '/') == NULL);
}

#endif
