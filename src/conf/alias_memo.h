/*
 * How many recipients an alias stands for, remembered: the aliases of a process
 * stay as they are, and whoever asks for a long list again and again is to cost
 * no more than one look-up each time.
 */
#ifndef CONF_ALIAS_MEMO_H
#define CONF_ALIAS_MEMO_H

#include "conf/conf.h"
#include "mail/alias_expand.h"

#include <stddef.h>

#define ALIAS_MEMO_MAX 4096 /* aliases remembered, by the domain of names */

struct alias_memo;

/* For the aliases of CONF, which must live as long and stay the same;
   LEAVES_MAX as for conf_alias_expand(). */
struct alias_memo *alias_memo_new(const struct conf *conf, size_t leaves_max);
void alias_memo_free(struct alias_memo *memo);

/* What conf_alias_expand() comes to; *COUNT_OUT: its leaves, 0 unless that is
   ALIAS_DONE. */
enum alias_outcome alias_memo_ask(
    struct alias_memo *memo, struct str address, size_t *count_out);

#endif
