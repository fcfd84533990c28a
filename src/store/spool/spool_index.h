/*
 * The spool's index: "queue.db", SQLite in one transaction at a time that is
 * committed now and then and never before the log that it covers is synced.
 * It can be lost at any time: the log has all of it but parked times.
 *
 * Functions return 0 or -errno.  Whatever goes wrong inside is also kept in
 * ERROR until the index is opened or rolled back: what is not committed is
 * then void.  -EUCLEAN means that the file is damaged, SPOOL_LOST that a sync
 * failed.
 */
#ifndef STORE_SPOOL_SPOOL_INDEX_H
#define STORE_SPOOL_SPOOL_INDEX_H

#include "base/arena.h"
#include "os/os.h"
#include "store/spool/spool_log.h"
#include "store/spool/spool_sql.h"
#include "store/spool/spool_vfs.h"

#include <sqlite3.h>
#include <stdbool.h>

#define SPOOL_INDEX_NAME           "queue.db"

#define SPOOL_SQL_NAME(name, text) SPOOL_SQL_##name,
enum spool_sql {
	SPOOL_SQL(SPOOL_SQL_NAME) SPOOL_SQL_COUNT
};
#undef SPOOL_SQL_NAME

struct spool_destination;
struct spool_domain;

/* What a commit says about the log. */
struct spool_state {
	struct spool_at covered; /* all before it is in the index */
	uint64_t seq;            /* of the next record behind it */
	uint64_t queue_ms;
	uint64_t wall_ms;
	bool is_clean;
};

/* A big content file to be removed once the log is synced. */
struct spool_gone {
	struct spool_gone *next;
	char id[STORE_ID_MAX + 1];
};

struct spool_index {
	struct os *os;
	struct spool_log *log; /* for its segments' counts */
	struct spool_vfs *vfs;
	sqlite3 *db;
	sqlite3_stmt *statements[SPOOL_SQL_COUNT];
	struct arena scratch; /* what the request at hand has read */
	struct spool_destination *by_name;
	struct spool_destination *by_no;
	struct spool_domain *domains;
	uint64_t no_last;   /* highest number of a destination */
	uint64_t mark_last; /* of a group that was counted */
	struct spool_gone *gone;
	struct spool_state state; /* of the last commit */
	struct spool_at durable;  /* covered even after a power cut */
	uint64_t dropped_before;  /* segments below it are forgotten */
	size_t change_count;      /* rows since the last commit */
	bool is_disordered; /* special rows of kind 0 are to be made anew */
	bool is_begun;
	int error;
};

/* Opens or makes the file and reads its state; -EUCLEAN if it is damaged or
   of another version. */
int spool_index_open(
    struct spool_index *index, struct os *os, struct spool_log *log);
/* Closes without committing; IS_CLEAN: all is committed and checkpointed. */
void spool_index_close(struct spool_index *index, bool is_clean);
/* Moves the files of a closed index aside, so that a new one can be made. */
int spool_index_set_aside(struct os *os);

/* Commits what was done so far as STATE, and begins anew. */
int spool_index_commit(
    struct spool_index *index, const struct spool_state *state);
/* Drops all that is not committed. */
int spool_index_rollback(struct spool_index *index);
/* Moves what is committed from SQLite's own log to the database and syncs
   both; only after a commit. */
int spool_index_checkpoint(struct spool_index *index);

/* Binds the values as TYPES says: 'u' uint64_t, 'b' struct str.  NULL if that
   fails, and then so does spool_sql_step(). */
sqlite3_stmt *spool_sql(
    struct spool_index *index, enum spool_sql sql, const char *types, ...);
/* 1 for a row, 0 at the end, -errno.  After the end it is reset. */
int spool_sql_step(struct spool_index *index, sqlite3_stmt *statement);
/* For a statement that is left before its end. */
void spool_sql_end(sqlite3_stmt *statement);
/* Steps a statement that has no rows: 0 or -errno. */
int spool_sql_run(struct spool_index *index, sqlite3_stmt *statement);
/* The first column of the first row, or 0 if there is none. */
int spool_sql_number(
    struct spool_index *index, sqlite3_stmt *statement, uint64_t *number_out);

uint64_t spool_sql_u64(sqlite3_stmt *statement, int column);
/* A copy in the scratch arena. */
struct str spool_sql_str(
    struct spool_index *index, sqlite3_stmt *statement, int column);

/* Notes an error of the index and returns it. */
int spool_index_fail(struct spool_index *index, int error);
/* Asserts that the counts are what the rows say; for tests.  0 or -errno. */
int spool_index_check(struct spool_index *index);
/* The same, and SQLite's own check, for an administrator: each thing that is
   wrong is logged and counted.  0 or -errno. */
int spool_index_verify(struct spool_index *index, uint64_t *wrong_count);

#endif
