/*
 * The protocol of the control socket, and what formats its items (also for
 * the tools that look into a queue whose daemon does not run).
 *
 * A client sends one request after the other, each one JSON object in one line
 * of at most CONTROL_REQUEST_MAX bytes with its newline.  The answer to each is
 * any number of lines with an item, and one line with the end.  Answers come
 * in order.  Numbers are whole; times are seconds since 1970, 0 = none.  Text
 * is ASCII with JSON's escapes; bytes that are no UTF-8 are shown as "?".
 *
 * Requests ("?" = may be left out; other keys are refused):
 *
 *   {"do":"ping"}
 *   {"do":"list",FILTER,"after"?:KEY,"count"?:N}
 *   {"do":"destinations","after"?:NAME,"count"?:N}
 *   {"do":"sites","after"?:NAME,"count"?:N}
 *   {"do":"release","site":NAME-OR-DOMAIN,"domains"?:[DOMAIN,...]}
 *   {"do":"hold"|"free"|"delete"|"requeue"|"expire",FILTER,"dry"?:BOOL,
 *    "after"?:KEY,"reason"?:TEXT}                only hold has a reason
 *   {"do":"run","select"?:[TERM,...],"verbose"?:BOOL,"order"?:"priority"|
 *    "host"|"time"|"name"|"any","age"?:SECONDS,"rank"?:N}
 *
 * FILTER is any of these members, all of which have to fit a recipient; the
 * changes need one at least:
 *
 *   "id":ID,"destination":NAME,"domain":DOMAIN     of the recipient
 *   "sender":ADDRESS,"recipient":ADDRESS           "<>" is the null sender
 *   "older":SECONDS,"larger":BYTES                 1 or more
 *
 * count is 1 to 200 and 200 if left out.  A domain is "a.test", or "@a.test"
 * for it and all below; none with release = all of the site.  An address may
 * be "@a.test" too, for all addresses at that domain.  With "dry":true what
 * would be done is counted and not done.
 *
 * A run tries what waits, once.  A TERM is one letter of I (id), S (sender), R
 * (recipient), with "!" before it or not, and a part of the text: terms of one
 * letter are alternatives, all letters have to fit; held mail goes only with a
 * term.  What was tried within "age" is left out, and what has a priority (as
 * sendmail writes it, at least 0) above "rank".
 *
 * Items:
 *
 *   {"item":"message","key":KEY,"id":ID,"sender":ADDRESS,"size":BYTES,
 *    "arrival":TIME,"expire":TIME,"reason"?:TEXT,"recipients":[{"address":
 *    ADDRESS,
 *    "lane":"ready"|"waiting"|"held"|"stopped","leased":BOOL,"attempts":N,
 *    "due":TIME,"destination":NAME,"status":TEXT},...],"omitted":N}
 *   {"item":"destination","name":NAME,"messages":N,"bytes":N,"ready":N,
 *    "waiting":N,"held":N,"stopped":N,"oldest":TIME,"failures":N,
 *    "state":TEXT,"answer":TEXT,"next":TIME,"answered":TIME}
 *   {"item":"site","name":NAME,"domains":[DOMAIN,...],"domain_count":N,
 *    "hold":BOOL,"route":TEXT,"messages":N,... as of a destination to the end}
 *
 *   {"item":"text","text":LINE}                  of a run with "verbose"
 *
 * ready to stopped count recipients.  A message with many recipients comes in
 * several items with the same key, one behind the other; omitted is how many
 * recipients of an item did not fit its line.  domains has the first 100 of
 * domain_count.
 *
 * Ends, always with these two members first ("more" may be true after fewer
 * items than asked for, and false after as many):
 *
 *   {"end":true,"error":TEXT}                     it was not done
 *   {"end":true,"error":null,"queue":BOOL}        ping: the queue is up
 *   {"end":true,"error":null,"more":BOOL,"after":KEY-OR-NAME}
 *                         list, destinations, sites: ask on behind "after";
 *                         list also has "total":N, messages in the queue
 *   {"end":true,"error":null,"site":NAME,"result":"started"|"active"|"empty"|
 *    "busy"|"unknown","count":N}                  release: messages
 *                                                "unknown": no such site
 *   {"end":true,"error":null,"more":BOOL,"after":KEY,"changed":N,"leased":N,
 *    "moved":N}           the changes: recipients; leased ones were left as
 *                         they are; of those that were requeued so many have
 *                         a new destination.  A bounded number is done at a
 *                         time: ask on behind "after"
 *
 *   {"end":true,"error":null,"status":N,"messages":N}     run: of sysexits.h,
 *                         for the last recipient that was refused, or 0
 *
 * After a line that is no JSON object or too long the connection is closed
 * behind its end; a client over CONTROL_CONNS_MAX gets an end and is closed,
 * unless another has been idle for CONTROL_IDLE_MS: then that one is.
 */
#ifndef ROLE_CONTROL_H
#define ROLE_CONTROL_H

#include "base/buf.h"
#include "base/str.h"
#include "conf/conf.h"
#include "store/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CONTROL_REQUEST_MAX 65536
#define CONTROL_CONNS_MAX   32
#define CONTROL_IDLE_MS     10000     /* idle for so long: it may be closed */
#define CONTROL_LINE_MAX    1000000   /* of an answer */
#define CONTROL_OLDER_MAX   315360000 /* seconds: ten years */

/* Queue and wall time of one moment, to show queue times by.  Both 0 = not
   known: then a message's times are shown by its own arrival. */
struct control_clock {
	uint64_t queue_ms;
	uint64_t wall_ms;
};

/* What the scheduler says of a destination. */
struct control_state {
	struct str state;
	struct str answer;
	uint64_t next_ms;     /* from now, 0 = none */
	uint64_t answered_ms; /* queue time of the answer, 0 = none */
};

/* Append an item with its newline: 0 or -ENOBUFS. */
int control_format_message(struct buf *out, const struct store_found *found,
    const struct control_clock *clock) __attribute__((warn_unused_result));
int control_format_destination(struct buf *out,
    const struct store_destination *destination,
    const struct control_state *state, const struct control_clock *clock)
    __attribute__((warn_unused_result));
int control_format_site(struct buf *out, const struct conf_site *site,
    const struct store_destination *destination,
    const struct control_state *state, const struct control_clock *clock)
    __attribute__((warn_unused_result));
/* The sites in the order in which they are shown; the caller frees the list. */
const struct conf_site **control_sites_sorted(const struct conf *conf);

/* An end; WRONG is NULL or what went wrong. */
json_t *control_end(const char *wrong);
/* The end of a change, which goes on behind NEXT_KEY (0 = all is done). */
json_t *control_format_changed(
    uint64_t next_key, uint64_t changed, uint64_t leased, uint64_t moved);

/* TEXT as JSON; never NULL. */
json_t *control_text(struct str text);
/* Sets KEY of OBJECT to VALUE, which becomes the object's. */
void control_set(json_t *object, const char *key, json_t *value);
void control_set_number(json_t *object, const char *key, uint64_t value);
/* Appends OBJECT as one line and frees it: 0 or -ENOBUFS. */
int control_put(struct buf *out, json_t *object)
    __attribute__((warn_unused_result));

#endif
