/* The setgid right of sendmail; see rights.h.  The kernel keeps it as the saved
   group. */
#include "cmd/rights.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

int
rights_put_aside(void)
{
	return setegid(getgid()) < 0 ? -errno : 0;
}

int
rights_take_up(bool is_up)
{
	gid_t real, effective, saved;

	if (getresgid(&real, &effective, &saved) < 0)
		return -errno;
	return setegid(is_up ? saved : real) < 0 ? -errno : 0;
}

int
rights_give_up(void)
{
	gid_t real = getgid();

	return setresgid(real, real, real) < 0 ? -errno : 0;
}
