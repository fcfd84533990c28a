/*
 * What the parts of the mqueue engine share: mqueue.c carries requests out,
 * mqueue_directories.c finds out which directories there are, mqueue_scan.c
 * what is in them, mqueue_entry.c makes of a control file what the index knows
 * and the other way round, mqueue_facts.c has our own line in it,
 * mqueue_derive.c what is in its place in files of others, mqueue_file.c moves
 * files, mqueue_content.c has what is in them, mqueue_state.c what is
 * kept elsewhere.
 *
 * The index is the model engine (ram_model.h) without content.  Each of its
 * messages has an entry here.
 *
 * Invariants: (1) a message with a lease has its control file open and locked;
 * (2) so has one that is to be written, or will be when there is room; (3) what
 * is durable is as the index has it when a batch ends, but for rows that DUE
 * moved, for what found no room, and for what another program holds locked; (4)
 * a control file is only ever replaced by rename.
 */
#ifndef STORE_MQUEUE_MQUEUE_OWN_H
#define STORE_MQUEUE_MQUEUE_OWN_H

#include "base/hash.h"
#include "os/remover.h"
#include "store/mqueue/mqueue.h"
#include "store/mqueue/qf.h"
#include "store/ram/ram.h"
#include "store/ram/ram_model.h"

#define MQ_NAME_MAX 255
#define MQ_PATH_MAX (3 * (MQ_NAME_MAX + 1))
/* Free bytes without which no control file is written anew. */
#define MQ_ROOM_MIN 262144
/* An empty control file may still be written by its maker for so long. */
#define MQ_YOUNG_MS UINT64_C(600000)
/* A lock file (lf) of sendmail 5 counts for so long. */
#define MQ_LOCK_FILE_MS UINT64_C(3600000)
#define MQ_EXPIRE_MS    UINT64_C(432000000)
#define MQ_PIECE        65536 /* of a data file, read or written at once */
#define MQ_HEADER_MAX   (1 << 20)
#define MQ_TRIES        5   /* to make a file that others may remove */
#define MQ_HOLDS_MAX    200 /* control files open for changes at once */
#define MQ_READERS_MAX  64
#define MQ_STATE_MAX    (1 << 20)
/* What a tf says while content is staged for it. */
#define MQ_STAGED         "V8\n${sendq}staged\n"
#define MQ_SCAN_AGAIN_MS  1000 /* between two looks when nothing is left */
#define MQ_WRITE_AGAIN_MS 1000 /* after there was no room for a file */

/* One queue directory; paths are relative to the base. */
struct mq_directory {
	char name[MQ_NAME_MAX + 1];
	char control[MQ_PATH_MAX]; /* where qf, hf, tf, xf of ours, Qf are */
	char data[MQ_PATH_MAX];    /* df */
	char script[MQ_PATH_MAX];  /* xf of sendmail */
	bool is_left;              /* not of the queue: not looked at */
	uint32_t uid, gid;         /* whose it is, with the control files */
	bool is_group_writable;    /* that, and has control files */
	/* Others than its owner, or the owner of the data files' one, may add
	   files and give them new names. */
	bool is_shared;
	bool is_control_dirty; /* names that are not synced */
	bool is_data_dirty;
};

/* A message as it lies on the disk. */
struct mq_entry {
	struct mq_entry *prev, *next; /* of the held ones */
	struct ram_message *message;
	struct mq_directory *directory;
	bool is_quarantined; /* the file is hfID */
	bool is_lost;        /* the file is QfID */
	bool has_version;
	int64_t attempted_s;   /* K: the last attempt, wall clock; 0 = none */
	int64_t priority;      /* P */
	char *data_path;       /* the df, if it is not dfID in the directory */
	struct os_status seen; /* the control file as it was read or written */
	/* The rows of the recipients in the file, in its order; behind these
	   it has more, which come when these are done. */
	uint32_t *map;
	size_t map_count;
	size_t extra_count;
	uint64_t version;  /* of our line in the file; 0 = it has none */
	bool is_measured;  /* the size of the content is right */
	bool is_raw;       /* the df has all of it, as it is */
	bool is_bare;      /* no empty line behind the header */
	bool is_tried;     /* the next rewrite counts an attempt */
	bool is_changed;   /* to be written */
	bool is_settled;   /* that, with what was delivered */
	bool is_unwritten; /* that, but there was no room */
	bool is_stale;     /* to be read anew, or forgotten */
	bool was_locked;   /* by another program, when it was last wanted */
	bool is_littered;  /* tf or xf may lie beside it */
	uint64_t
	    refused;   /* number of the request in which it was not to be had */
	uint64_t scan; /* number of the scan that saw it last */
	struct os_file *file; /* control file, locked; NULL = not held */
	struct mq_reader *reader;
};

/* Content that is being staged: the df, all of it as it came, and a tf that
   says whose it is. */
struct mq_stage {
	UT_hash_handle hh;
	char id[STORE_ID_MAX + 1];
	struct mq_directory *directory;
	struct os_file *control; /* the tf, locked */
	struct os_file *data;
	uint64_t size;
};

/* A message that is done, until its files are gone. */
struct mq_done {
	struct remover_job job; /* first: a job is one of these */
	struct mq_done *next;
	struct mq_directory *directory;
	char id[STORE_ID_MAX + 1];
	char *data_path;
	char path[MQ_PATH_MAX]; /* xf */
	struct os_file *file;
	bool is_kept; /* its files could not be removed */
	bool is_littered;
};

/* A message whose first recipients are done: those that did not fit into the
   index are to be read. */
struct mq_rest {
	struct mq_rest *next;
	struct mq_directory *directory;
	char id[STORE_ID_MAX + 1];
};

/* A file that was found to be bad, and said to be. */
struct mq_bad {
	UT_hash_handle hh;
	char *path;
	uint64_t inode, mtime_ns;
	uint64_t scan;
	bool is_done; /* a message that is done, whose file had to stay */
};

struct mqueue {
	struct store store; /* first: a struct store * is one of these */
	struct os *os;
	struct store_mqueue_options options;
	char *hostname;
	char *group;
	char *prefix;
	struct ram *ram;
	struct mq_directory *directories;
	size_t directory_count;
	struct mq_directory **fresh; /* where new messages go, by turns */
	size_t fresh_count, fresh_next;
	struct mq_entry *held;
	struct mq_entry **stale; /* to be looked at when the request is done */
	size_t stale_count, stale_capacity;
	struct mq_done *done;
	size_t removal_count; /* of these, with the remover */
	struct mq_rest *rests;
	struct mq_stage *stages;
	struct mq_bad *bad;
	struct mq_reader *readers;
	size_t reader_count;
	size_t inline_max;   /* of the request at work */
	uint64_t hold_count; /* control files that were wanted, so far */
	uint64_t request_number;
	uint64_t scan_number;
	uint64_t scan_mono_ms;
	uint64_t found_count;
	uint64_t derived_count; /* messages without a line of ours, so far */
	int64_t offset_ms;      /* queue time minus wall clock */
	bool is_dead;
	int write_error;        /* of the request at work: there was no room */
	uint64_t write_mono_ms; /* when that may be tried again */
	/* What is kept in the state directory. */
	bool is_state_dirty;
	uint64_t clock_queue_ms, clock_wall_ms;
	uint64_t due_mark_ms; /* all that was due then was moved */
};

static inline struct mqueue *
mqueue_of(struct store *store)
{
	return (struct mqueue *)(void *)store;
}

static inline struct mq_entry *
mq_entry_of(const struct ram_message *message)
{
	return message->entry;
}

/* mqueue.c */
uint64_t mq_now_ms(struct mqueue *mq);
/* What is on disk is unknown: logs, and ends the process. */
void mq_fatal(struct mqueue *mq, const char *act, const char *path, int error);
void mq_release(struct mqueue *mq, struct mq_entry *entry);
/* Forgets a message and what we know of it; its files stay. */
void mq_forget(struct mqueue *mq, struct ram_message *message);
void mq_set_stale(struct mqueue *mq, struct mq_entry *entry);

/* mqueue_file.c */
void mq_path(char to[MQ_PATH_MAX], const char *directory, const char *prefix,
    const char *id);
void mq_control_path(char to[MQ_PATH_MAX], const struct mq_entry *entry);
void mq_data_path(char to[MQ_PATH_MAX], const struct mq_entry *entry);
/* A file of SIZE bytes, at most QF_FILE_MAX: 0 or -errno.  What it has gained
   since it had that size is left. */
int mq_read_file(
    struct os *os, struct os_file *file, uint64_t size, struct buf *out);
/* True if A and B are the same file, unchanged. */
bool mq_is_same(const struct os_status *a, const struct os_status *b);
/* Opens and locks the file at PATH and makes sure that it is still there: 0,
   -EWOULDBLOCK, -ESTALE: it has just been replaced, or another -errno. */
int mq_lock(struct mqueue *mq, const char *path, struct os_file **file_out,
    struct os_status *status_out);
/* Makes the tf of a message, locked; one that is in the way goes away. */
int mq_make_control(struct mqueue *mq, const struct mq_directory *directory,
    const char *id, struct os_file **file_out);
/* FILE has TEXT and nothing else. */
int mq_write_all(struct mqueue *mq, struct os_file *file, struct str text);
/* Syncs the file at PATH; fatal if that fails. */
int mq_sync_file(struct mqueue *mq, struct os_file *file, const char *path);
/* Renames a control file to QfID, unless there is one: 0 or -errno. */
int mq_set_aside(struct mqueue *mq, const struct mq_directory *directory,
    const char *prefix, const char *id);
/* The message is done: its control file becomes xfID.  FILE and DATA_PATH are
   taken over. */
void mq_finish(struct mqueue *mq, struct mq_entry *entry);
/* Makes all names durable, then removes what is done; with a remover it may be
   there for a while, unless nothing is leased. */
void mq_sync(struct mqueue *mq);
/* Waits until all that is done is removed. */
void mq_removed_wait(struct mqueue *mq);
void mq_sync_names(struct mqueue *mq);
/* Removes the rest of a message that was done, or was never finished: its
   CONTROL file and, in DIRECTORY unless that is NULL, its data file. */
void mq_remove_rest(struct mqueue *mq, const struct mq_directory *directory,
    const char *control, const char *id);

/* mqueue_facts.c: the value of the macro ${sendq}. */
struct mq_fact_row {
	uint32_t index;
	bool has_lane, has_attempts, has_alarm;
	enum store_lane lane;
	uint64_t due_ms;
	uint32_t attempts;
	uint64_t alarm_ms;
	bool is_told;
	bool is_held;
	struct str destination, domain; /* decoded, in the arena */
};

struct mq_facts {
	uint64_t version; /* grows with each rewrite, from 1 */
	uint64_t order;   /* microseconds since 1970, or just behind another */
	uint64_t arrival_ms, arrival_wall_ms, expire_ms, rank, size;
	int priority;
	bool is_raw, is_bare;
	struct str reason;  /* of some that are stopped; decoded, or empty */
	uint32_t row_count; /* when it was appended */
	struct mq_fact_row *rows;
	size_t count;
};

/* 0, -EINVAL if the text is not one of ours, -ENOBUFS. */
int mq_facts_read(struct str text, struct arena *arena, struct mq_facts *out)
    __attribute__((warn_unused_result));
int mq_facts_write(const struct mq_facts *facts, struct buf *out)
    __attribute__((warn_unused_result));

/* The files of a message when they were looked at. */
struct mq_seen {
	struct os_status control;
	struct os_status data;
};

/* mqueue_derive.c: of files without our line. */
void mq_facts_derive(struct mqueue *mq, const struct qf *q,
    const struct os_status *status, uint64_t data_size, struct mq_facts *facts);
/* Where a recipient goes, and until when. */
void mq_derive_row(struct mqueue *mq, const struct qf *q,
    const struct qf_address *address, struct mq_facts *facts,
    struct store_row *row, struct arena *arena);
/* NOTIFY of a recipient of Q, which may ask for more. */
uint8_t mq_notify_of(const struct qf *q, uint8_t notify);

/* mqueue_entry.c */
/* Puts a message that was read into the index; NULL if it cannot be.  Q loses
   recipients that it has twice. */
struct ram_message *mq_index(struct mqueue *mq, struct mq_directory *directory,
    const char *id, bool is_quarantined, struct qf *q,
    const struct mq_seen *seen);
/* How often we wrote the file, 0 = it is not ours as it is. */
uint64_t mq_version_of(const struct qf *q, struct arena *arena);
/* The text of the control file of MESSAGE, from Q, the one that it has now;
   entry->map becomes that of the new one.  0 or -errno. */
int mq_compose(struct mqueue *mq, struct mq_entry *entry, struct qf *q,
    struct arena *arena, struct buf *out);
/* Writes the control file of a held message anew: 0, or -errno and the file is
   as it was. */
int mq_rewrite(struct mqueue *mq, struct mq_entry *entry);
/* What the index does not know of what was found. */
void mq_describe(struct mqueue *mq, struct store_request *request);
/* Appends MESSAGE to disk and index: 0 or -errno. */
int mq_append(struct mqueue *mq, struct store_message *message);

/* mqueue_content.c */
/* Sets the size of the content of a held message; what was read for that is
   kept in its reader. */
int mq_measure(struct mqueue *mq, struct mq_entry *entry);
int mq_content_read(struct mqueue *mq, struct mq_entry *entry, uint64_t offset,
    size_t size, char *to);
void mq_reader_free(struct mqueue *mq, struct mq_entry *entry);
/* Puts the header of CONTENT into Q and its body, or all of it, into BODY. */
struct mq_split {
	bool is_raw, is_bare, has_8bit;
	uint64_t body_offset; /* of staged content */
};
int mq_split(struct str content, struct qf *q, struct arena *arena,
    struct buf *body, struct mq_split *split_out);
/* The same for what was staged, whose df stays as it is. */
int mq_split_stage(struct mqueue *mq, struct mq_stage *stage, struct qf *q,
    struct arena *arena, struct mq_split *split_out);
/* Makes of it the df that SPLIT says, synced; with an error it is spoilt. */
int mq_stage_finish(
    struct mqueue *mq, struct mq_stage *stage, struct mq_split *split);
void mq_stage(struct mqueue *mq, struct store_request *request);
struct mq_stage *mq_stage_find(struct mqueue *mq, const char *id);
/* Forgets a stage; with IS_DROPPED its files too. */
void mq_stage_end(struct mqueue *mq, struct mq_stage *stage, bool is_dropped);

/* mqueue_directories.c */
/* The directories below the base: 0 or -errno. */
int mq_scan_directories(struct mqueue *mq);
/* Finds out whose the directory is by now. */
void mq_look_at_owner(struct mqueue *mq, struct mq_directory *directory);
/* Why files of the directory are not to be believed; NULL = they are. */
const char *mq_distrust(const struct mq_directory *directory,
    const struct os_status *control, const struct os_status *data);
/* The one that the next new message goes to. */
struct mq_directory *mq_fresh(struct mqueue *mq);

/* mqueue_scan.c */
/* True if a d line with TEXT means the directory: "." is the base. */
bool mq_is_directory_of(const struct mq_directory *directory, struct str text);
void mq_scan(struct mqueue *mq);
/* The note that the file at PATH is not to be looked at as it is. */
struct mq_bad *mq_set_bad(
    struct mqueue *mq, const char *path, const struct os_status *status);
/* Reads a message that is not known, if it is there. */
void mq_look_at(
    struct mqueue *mq, struct mq_directory *directory, const char *id);
/* Reads a message again that is known, or forgets it. */
void mq_look_again(struct mqueue *mq, struct mq_entry *entry);

/* mqueue_state.c */
void mq_state_read(struct mqueue *mq);
void mq_state_write(struct mqueue *mq);

#endif
