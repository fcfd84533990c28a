/* The kernel is asked, for the real user. */
#include "cmd/trusted.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* The directory of PATH that is no pattern. */
static void
trusted_base(const char *path, char base[PATH_MAX])
{
	char *slash;

	snprintf(base, PATH_MAX, "%s", path);
	slash = strrchr(base, '/');
	if (slash != NULL && slash != base && strchr(slash, '*') != NULL)
		*slash = '\0';
}

bool
trusted_is(const char *path)
{
	char base[PATH_MAX];

	if (getuid() == 0)
		return true;
	trusted_base(path, base);
	return access(base, R_OK | W_OK | X_OK) == 0 || errno == ENOENT;
}

bool
trusted_is_of(const struct conf *conf)
{
	struct str format = STR("mqueue:"), spool = conf->spool;

	return trusted_is(
	    spool.data + (str_starts(spool, format) ? format.size : 0));
}

bool
trusted_may_look(const struct conf *conf)
{
	if (getuid() == 0 ||
	    access(conf->control_socket.data, R_OK | W_OK) == 0)
		return true;
	if (errno == EACCES)
		return false;
	return access(conf->spool.data, R_OK | X_OK) == 0 || errno != EACCES;
}

int
trusted_refuse_place(const char *path)
{
	char base[PATH_MAX];

	trusted_base(path, base);
	fprintf(stderr,
	    "can not chdir(%s/): %s\n"
	    "Program mode requires special privileges, e.g., root or "
	    "TrustedUser.\n",
	    base, strerror(EACCES));
	return EX_CONFIG;
}

int
trusted_refuse_user(void)
{
	fputs("Permission denied (real uid not trusted)\n", stderr);
	return EX_USAGE;
}
