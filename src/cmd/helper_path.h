/* The way to a directory in which a helper writes. */
#ifndef CMD_HELPER_PATH_H
#define CMD_HELPER_PATH_H

#include "base/str.h"
#include "net/privilege.h"

#include <stdbool.h>

/* A place on the way: an open directory and who owns it. */
struct helper_place {
	int fd; /* O_PATH */
	struct privilege_user owner;
	bool is_trusted; /* nobody else can put a link there */
};

/* Becomes USER unless we are somebody already (then -EACCES): 0 or -errno. */
int helper_path_become(const struct privilege_user *user)
    __attribute__((warn_unused_result));

/* Walks to the directory PATH (absolute), as somebody else if need be; with
   IS_MADE its last name is made if it is missing.  0 or -errno; PLACE's
   descriptor is the caller's in any case, -1 = none. */
int helper_walk(struct str path, bool is_made, struct helper_place *place)
    __attribute__((warn_unused_result));

#endif
