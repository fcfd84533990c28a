/* The configuration's text in sealed memory, with the files of aliases that it
   names, so that all processes of one run see the same, whatever becomes of the
   files. */
#ifndef CMD_CONF_TEXT_H
#define CMD_CONF_TEXT_H

#include "base/buf.h"
#include "conf/conf.h"

#define CONF_TEXT_MAX (256U << 20)

/* A descriptor of the sealed text of FILE_NAME, with settings that take the
   place of those in it (as conf_read_changed() has them, "" = none),
   close-on-exec, or -errno. */
int conf_text_open(const char *file_name, const char *changes);
/* Reads it, from the start whatever others have read: as conf_read(). */
int conf_text_read(int fd, const char *file_name, struct buf *errors,
    struct conf **conf_out) __attribute__((warn_unused_result));

#endif
