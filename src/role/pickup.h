/*
 * The pickup role: takes the files of the drop directory (mail/drop.h) to the
 * receive role by SMTP, as their owners.  It has that directory and one stream,
 * which it asks the master for when there is work.  This header is shared by
 * its parts only:
 *
 *   pickup.c          the role: the stream, time, which file is next
 *   pickup_list.c     the files that are known, and when each is tried
 *   pickup_job.c      one file: who is still to get it, and what is then done
 *   pickup_notice.c   tells a sender who did not get it
 *   pickup_reader.c   reads and checks a file
 *
 * A file goes from DIR/new only when all of it is settled: taken by the receive
 * role, which has it on disk by then, or returned to its sender, or moved to
 * DIR/bad.  So what a crash leaves is sent once more, and nothing is lost.
 */
#ifndef ROLE_PICKUP_H
#define ROLE_PICKUP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/heap.h"
#include "conf/conf.h"
#include "mail/drop.h"
#include "mail/envelope.h"
#include "os/os.h"
#include "role/env.h"
#include "role/newid.h"
#include "smtp/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PICKUP_DIR_BAD      "bad"
#define PICKUP_FILES_MAX    10000     /* known at a time; the rest waits */
#define PICKUP_USER_MAX     1000      /* of these of one user */
#define PICKUP_LOOKS_MAX    100000    /* whose they are, in one look */
#define PICKUP_SCAN_MS      10000     /* from one look at new/ to the next */
#define PICKUP_NOTICE_MS    100       /* at least, also if names come up */
#define PICKUP_CLEAN_MS     3600000   /* from one look at tmp/ to the next */
#define PICKUP_RETRY_MS     1000      /* before a second try; it doubles */
#define PICKUP_RETRY_MAX_MS 300000    /* of a file */
#define PICKUP_ASK_MAX_MS   30000     /* of the stream */
#define PICKUP_RETURN_MAX   65536     /* content that a sender gets back */
#define PICKUP_ARENA_MAX    (8 << 20) /* of an envelope */
#define PICKUP_PATH_SIZE    64
#define PICKUP_REASON_SIZE  (SMTP_ANSWER_MAX + 1)

/* pickup_reader.c */

struct pickup_reader {
	struct os *os;
	struct os_file *file; /* NULL: closed */
	struct drop_reader drop;
	struct buf in;
	uint64_t at;  /* bytes read into IN */
	size_t taken; /* of IN, by the last item */
};

/* Opens DIR/new/NAME and looks at whose it is: 0 or -errno; -EPERM is a file
   that not only its owner may have written. */
int pickup_reader_open(struct pickup_reader *r, struct os *os, const char *name,
    uint32_t *uid_out) __attribute__((warn_unused_result));
void pickup_reader_close(struct pickup_reader *r);
/* Begins again with the first item: 0 or -errno. */
int pickup_reader_rewind(struct pickup_reader *r)
    __attribute__((warn_unused_result));
/* The next item, valid until the next call: 0, -EBADMSG if this is no whole
   file, or -errno.  DROP_MORE is never one. */
int pickup_reader_next(struct pickup_reader *r, struct drop_item *item_out)
    __attribute__((warn_unused_result));

/* pickup_list.c */

/* Whose files are known; there while there are any. */
struct pickup_owner {
	uint32_t uid;
	size_t count;
	UT_hash_handle hh;
};

/* A file that is known. */
struct pickup_file {
	char name[DROP_NAME_SIZE];
	struct pickup_owner *owner;
	uint64_t retry_ms; /* the next wait; 0 = it was not tried */
	bool *is_done;     /* by recipient: is settled; NULL = nobody is */
	size_t done_size;
	struct heap_node due;
	UT_hash_handle hh; /* by name */
};

struct pickup_list {
	struct os *os;
	struct pickup_file *files;
	struct pickup_owner *owners;
	struct heap due;
	bool is_cut;  /* there are more in the directory */
	bool is_gone; /* since that was seen, some are known no more */
};

void pickup_list_init(struct pickup_list *l, struct os *os);
void pickup_list_fini(struct pickup_list *l);
/* Learns the names in DIR/new: 0 or -errno.  What cannot be ours is moved
   away. */
int pickup_list_scan(struct pickup_list *l, uint64_t now_ms)
    __attribute__((warn_unused_result));
/* Removes what was begun in DIR/tmp long before WALL_MS. */
void pickup_list_clean(struct pickup_list *l, uint64_t wall_ms);
/* Says how many files DIR/bad holds, if any: nothing removes them. */
void pickup_list_tell_bad(const struct pickup_list *l);
/* The first whose time has come, or NULL. */
struct pickup_file *pickup_list_first(
    const struct pickup_list *l, uint64_t now_ms);
/* When the first is due, UINT64_MAX = none is known. */
uint64_t pickup_list_due(const struct pickup_list *l);
/* It is tried again later; returns how long it waits. */
uint64_t pickup_list_defer(
    struct pickup_list *l, struct pickup_file *file, uint64_t now_ms);
/* It is in the directory no more. */
void pickup_list_forget(struct pickup_list *l, struct pickup_file *file);
/* Moves DIR/new/NAME to DIR/bad: 0 or -errno; logged.  IS_VOID: what cannot be
   moved because it is no file is removed. */
int pickup_list_set_aside(struct os *os, const char *name, uint32_t uid,
    bool is_void, const char *reason) __attribute__((warn_unused_result));

/* pickup_job.c */

enum pickup_fate {
	PICKUP_OPEN,    /* to be tried */
	PICKUP_TAKEN,   /* the receive role has it */
	PICKUP_REFUSED, /* for good */
	PICKUP_LATER,   /* for now */
};

struct pickup_rcpt {
	enum pickup_fate fate;
	char status[12];
	struct str answer; /* to a refusal; in the arena */
};

/* What is to be done next with a file. */
enum pickup_step {
	PICKUP_SEND,    /* a transaction for the batch */
	PICKUP_RETURN,  /* a transaction for the notice */
	PICKUP_REMOVE,  /* it is settled */
	PICKUP_KEEP,    /* it is tried again later */
	PICKUP_DISCARD, /* nobody can be told: to DIR/bad */
};

struct pickup_job {
	struct pickup_file *file;
	struct pickup_reader reader;
	uint32_t uid; /* the file's owner */
	struct arena arena;
	struct mail_envelope envelope;
	struct mail_recipient *recipients;
	struct pickup_rcpt *rcpts; /* of each */
	size_t recipient_count;
	uint64_t content_size;
	/* The transaction in hand. */
	enum pickup_step step;
	struct mail_recipient *batch;
	size_t *batch_rcpts; /* their places in RECIPIENTS */
	size_t batch_count;
	uint64_t given_size; /* of its content */
	struct str piece;    /* read and not given */
	/* The notice, once there is one. */
	struct buf notice;
	struct mail_envelope notice_envelope;
	bool is_returned, is_discarded, is_expired;
	char reason[PICKUP_REASON_SIZE]; /* the last answer that was no yes */
	char said[PICKUP_REASON_SIZE];   /* the last that was */
};

/* Reads all of FILE and checks it.  0; else no job and -errno, -EBADMSG and
   -EPERM being the file's own fault. */
int pickup_job_new(struct os *os, struct pickup_file *file,
    struct pickup_job **job_out) __attribute__((warn_unused_result));
void pickup_job_free(struct pickup_job *job);
/* What is next; prepares the batch or begins to read the content anew. */
enum pickup_step pickup_job_next(
    struct pickup_job *job, const struct conf *conf);
/* Who was put off once more is refused, if the file is older than mail may be
   and was tried again until its waits were the longest. */
void pickup_job_expire(
    struct pickup_job *job, const struct conf *conf, uint64_t wall_ms);
/* Begins the transaction: 0, or -errno if the file cannot be read. */
int pickup_job_begin(struct pickup_job *job, struct smtp_client *client,
    uint64_t now_ms) __attribute__((warn_unused_result));
/* Gives CLIENT content: 0, or -errno if the file has changed or cannot be
   read. */
int pickup_job_give(struct pickup_job *job, struct smtp_client *client,
    uint64_t now_ms) __attribute__((warn_unused_result));
/* Takes what became of the transaction. */
void pickup_job_report(
    struct pickup_job *job, const struct smtp_client *client);
/* Remembers with the file who is settled. */
void pickup_job_save(struct pickup_job *job);

/* pickup_notice.c */

/* Writes the notification for those who were refused: 0 or -errno. */
int pickup_notice_make(struct pickup_job *job, const struct conf *conf,
    const char *id, uint64_t wall_ms) __attribute__((warn_unused_result));
/* True if somebody was refused and is not to be passed over in silence. */
bool pickup_notice_is_wanted(const struct pickup_job *job);

/* pickup.c */

struct pickup {
	struct role_env *env;
	const struct conf *conf;
	struct pickup_list list;
	struct newid newid;
	uint64_t now_ms;
	uint64_t scan_due_ms, scanned_ms, clean_due_ms;
	role_conn conn;             /* 0: no stream */
	struct smtp_client *client; /* exactly while there is one */
	struct pickup_job *job;     /* the file in hand */
	bool is_sending;            /* its transaction is the client's */
	uint64_t ask_due_ms, ask_wait_ms;
	bool is_stopping, is_stopped;
};

#endif
