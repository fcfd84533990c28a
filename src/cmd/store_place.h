/*
 * Which store the setting `spool` means, and opening it: "/DIR" is a spool,
 * "mqueue:/DIR" a queue directory of sendmail's ("mqueue:/DIR/q*" the
 * directories in it), "ram:" nothing that stays.
 */
#ifndef CMD_STORE_PLACE_H
#define CMD_STORE_PLACE_H

#include "conf/conf.h"
#include "net/privilege.h"
#include "os/os.h"
#include "store/store.h"

#include <stdbool.h>
#include <sys/stat.h>

bool store_place_is_ram(const struct conf *conf);
bool store_place_is_mqueue(const struct conf *conf);
/* The directory; to be freed. */
char *store_place_path(const struct conf *conf);

/* Who may use the queue directory FD: its owner, whoever that is. */
int store_place_owner(int fd, struct privilege_user *user_out)
    __attribute__((warn_unused_result));

/* True if others than its owner may write to the directory of STATUS. */
bool store_place_is_shared(const struct stat *status);

/* True for a queue of sendmail's that is root's, while others may add files to
   it: they could lead root anywhere that Landlock does not keep it from. */
bool store_place_needs_walls(const struct stat *status);
/* 0, or -EPERM if it needs them and the kernel has none. */
int store_place_check_walls(const struct stat *status)
    __attribute__((warn_unused_result));

/* True if the directory FD of the store is a queue of sendmail's in which files
   of any owner are to be used, as sendmail does as root: nobody but its owner
   may write there, who is root, the queue role's user or the one that has it in
   Debian's packages; and the kernel can keep a role inside it. */
bool store_place_is_anybodys(const struct conf *conf, int fd);

/* The same of a queue directory of sendmail's without a configuration. */
bool store_place_is_trusted(struct str user_queue, int fd);

/* Opens the store of CONF in the directory of OS; FATAL is called when what is
   on disk is unknown.  STATE, or NULL, is the directory for what a queue of
   sendmail's has no place for.  All must live as long.  0 or -errno. */
int store_place_open(const struct conf *conf, struct os *os, struct os *state,
    void (*fatal)(void *arg), struct store **store_out)
    __attribute__((warn_unused_result));

#endif
