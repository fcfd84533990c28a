/*
 * The files of aliases and what they include, read once and passed on as
 * records behind the configuration's text (cmd/conf_text.h): so every process
 * of one run sees the same, and none but the first opens them.
 */
#ifndef CMD_ALIAS_FILES_H
#define CMD_ALIAS_FILES_H

#include "base/buf.h"
#include "conf/conf.h"

#define ALIAS_RECORDS_MAX (64U << 20) /* bytes of all records */

/* Reads the files that CONF names and appends their records to OUT, which has
   ALIAS_RECORDS_MAX: also of those that cannot be read, with the reason.  Only
   regular files are read that not everybody may write to, and of those that
   are included only what everybody may read. */
void alias_files_gather(const struct conf *conf, struct buf *out);

/* Sets conf.aliases from the records: 0, or -EINVAL if a file of aliases could
   not be read or the records are none; ERRORS says which, a line each.  What
   an :include: lacks is a mistake of the table only. */
int alias_files_take(struct conf *conf, struct str records, struct buf *errors)
    __attribute__((warn_unused_result));

/* Logs how many there are, and each mistake. */
void alias_files_log(const struct conf *conf);

#endif
