/* Which names the functions of os.h take; the same for every os. */
#ifndef OS_OS_NAME_H
#define OS_OS_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define OS_NAME_DEPTH 2 /* directories before the last part */

/* True for parts between single slashes, none of them empty, "." or with "..",
   at most DEPTH slashes. */
static inline bool
os_name_has_parts(const char *name, size_t depth)
{
	if (strstr(name, "..") != NULL)
		return false;
	for (;;) {
		size_t size = strcspn(name, "/");

		if (size == 0 || (size == 1 && name[0] == '.'))
			return false;
		if (name[size] == '\0')
			return true;
		if (depth-- == 0)
			return false;
		name += size + 1;
	}
}

/* True for "file", "directory/file" and "directory/directory/file". */
static inline bool
os_name_is_valid(const char *name)
{
	return os_name_has_parts(name, OS_NAME_DEPTH);
}

/* True for "" (the root), "directory" and "directory/directory". */
static inline bool
os_directory_is_valid(const char *name)
{
	return name[0] == '\0' || os_name_has_parts(name, OS_NAME_DEPTH - 1);
}

#endif
