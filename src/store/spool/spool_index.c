/*
 * SQLite as an index: opening, committing, statements.
 *
 * Invariants: (1) a transaction is open whenever a statement runs; (2) a commit
 * stores the log position that it covers, and everything before that position
 * was synced; (3) counts kept in memory are written before a commit and
 * forgotten at a rollback.
 */
#include "store/spool/spool_index.h"
#include "base/check.h"
#include "base/log.h"
#include "store/spool/spool_counts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_SCRATCH_MAX      ((size_t)64 << 20)
#define INDEX_ASIDE_MAX        1000
#define INDEX_STRING_MAX       (1 << 24)
#define INDEX_APPLICATION      0x53514951 /* "SQIQ" */

#define INDEX_TEXT(name, text) text,
static const char *const index_texts[] = {SPOOL_SQL(INDEX_TEXT)};

#define INDEX_CHECK(text) text,
static const char *const index_checks[] = {SPOOL_SQL_CHECKS(INDEX_CHECK)};

int
spool_index_fail(struct spool_index *index, int error)
{
	CHECK(error < 0);
	if (index->error == 0 || error == SPOOL_LOST || error == -EUCLEAN)
		index->error = error;
	return error;
}

/* What SQLite's code CODE means for us. */
static int
index_error(struct spool_index *index, int code)
{
	int error = spool_vfs_take_error(index->vfs);

	if (spool_vfs_is_sync_lost(index->vfs))
		return SPOOL_LOST;
	if (spool_vfs_is_damaged(index->vfs) ||
	    (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
		return -EUCLEAN;
	if ((code & 0xff) == SQLITE_FULL)
		return -ENOSPC;
	return error < 0 ? error : -EIO;
}

static int
index_fail_code(struct spool_index *index, int code)
{
	int error = index_error(index, code);

	log_event(LOG_WARN, "spool-index", "", "error=%d code=%d text=%s",
	    -error, sqlite3_extended_errcode(index->db),
	    sqlite3_errmsg(index->db));
	return spool_index_fail(index, error);
}

static int
index_exec(struct spool_index *index, const char *text)
{
	int code = sqlite3_exec(index->db, text, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : index_fail_code(index, code);
}

/* Runs a PRAGMA and copies its answer. */
static int
index_ask(
    struct spool_index *index, const char *text, char *answer, size_t size)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(index->db, text, -1, &statement, NULL);
	int error = 0;

	answer[0] = '\0';
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		snprintf(answer, size, "%s",
		    (const char *)sqlite3_column_text(statement, 0));
	else if (code != SQLITE_DONE)
		error = index_fail_code(index, code);
	sqlite3_finalize(statement);
	return error;
}

/* Runs a PRAGMA whose answer must be WANT. */
static int
index_demand(struct spool_index *index, const char *text, const char *want)
{
	char answer[32];
	int error = index_ask(index, text, answer, sizeof(answer));

	if (error < 0 || strcmp(answer, want) == 0)
		return error;
	log_event(
	    LOG_ERROR, "spool-index", "", "asked=%s answer=%s", text, answer);
	return spool_index_fail(index, -ENOTSUP);
}

/* Without EXCLUSIVE and without shared memory SQLite would silently stay out
   of WAL, so each answer is looked at. */
static int
index_set_modes(struct spool_index *index)
{
	int reserved = SPOOL_PAGE_RESERVED, error;

	if (sqlite3_file_control(index->db, "main", SQLITE_FCNTL_RESERVE_BYTES,
		&reserved) != SQLITE_OK)
		return spool_index_fail(index, -ENOTSUP);
	error =
	    index_demand(index, "PRAGMA locking_mode = EXCLUSIVE", "exclusive");
	if (error == 0)
		error = index_exec(index,
		    "PRAGMA page_size = 4096; PRAGMA temp_store = MEMORY;"
		    "PRAGMA mmap_size = 0; PRAGMA cache_size = -6144;"
		    "PRAGMA cell_size_check = ON;"
		    "PRAGMA trusted_schema = OFF");
	if (error == 0)
		error = index_demand(index, "PRAGMA journal_mode = WAL", "wal");
	if (error == 0)
		error = index_exec(index, "PRAGMA synchronous = NORMAL;"
					  "PRAGMA wal_autocheckpoint = 0");
	return error;
}

/* Makes the tables of a new file, or looks at the version of an old one. */
static int
index_set_schema(struct spool_index *index)
{
	char version[32], text[256];
	int error =
	    index_ask(index, "PRAGMA user_version", version, sizeof(version));

	if (error < 0)
		return error;
	if (strtol(version, NULL, 10) == SPOOL_INDEX_VERSION) {
		snprintf(text, sizeof(text), "%d", INDEX_APPLICATION);
		error = index_demand(index, "PRAGMA application_id", text);
		return error == -ENOTSUP ? spool_index_fail(index, -EUCLEAN)
		                         : error;
	}
	if (strcmp(version, "0") != 0)
		return spool_index_fail(index, -EUCLEAN);
	snprintf(text, sizeof(text),
	    "PRAGMA application_id = %d; PRAGMA user_version = %d",
	    INDEX_APPLICATION, SPOOL_INDEX_VERSION);
	error = index_exec(index, "BEGIN IMMEDIATE;" SPOOL_SQL_SCHEMA);
	if (error == 0)
		error = index_exec(index, text);
	if (error == 0)
		error = index_exec(index, "COMMIT");
	return error;
}

/* Reads what the last commit said. */
static int
index_load(struct spool_index *index)
{
	sqlite3_stmt *row = spool_sql(index, SPOOL_SQL_STATE_GET, "");
	struct spool_state *state = &index->state;
	int error = spool_sql_step(index, row);

	if (error == 0)
		return spool_index_fail(index, -EUCLEAN);
	if (error < 0)
		return error;
	state->covered.segment = spool_sql_u64(row, 0);
	state->covered.offset = spool_sql_u64(row, 1);
	state->seq = spool_sql_u64(row, 2);
	state->queue_ms = spool_sql_u64(row, 3);
	state->wall_ms = spool_sql_u64(row, 4);
	state->is_clean = spool_sql_u64(row, 5) != 0;
	index->is_disordered = spool_sql_u64(row, 6) != 0;
	spool_sql_end(row);
	error = spool_sql_number(index,
	    spool_sql(index, SPOOL_SQL_DESTINATION_LAST, ""), &index->no_last);
	return error;
}

/* Reads the counts of the segments into the log's list. */
static int
index_load_segments(struct spool_index *index)
{
	sqlite3_stmt *row = spool_sql(index, SPOOL_SQL_SEGMENT_ALL, "");
	int result;

	index->log->live_count = index->log->live_content = 0;
	for (size_t i = 0; i < index->log->count; i++) {
		index->log->segments[i].live_count = 0;
		index->log->segments[i].live_bytes = 0;
		index->log->segments[i].live_content = 0;
		index->log->segments[i].is_dirty = true;
	}
	while ((result = spool_sql_step(index, row)) > 0) {
		struct spool_segment *segment =
		    spool_log_segment(index->log, spool_sql_u64(row, 0));

		if (segment == NULL)
			continue;
		segment->live_count = spool_sql_u64(row, 1);
		segment->live_bytes = spool_sql_u64(row, 2);
		segment->is_damaged |= spool_sql_u64(row, 3) != 0;
		segment->live_content = spool_sql_u64(row, 4);
		index->log->live_count += segment->live_count;
		index->log->live_content += segment->live_content;
		segment->is_dirty = false;
	}
	return result;
}

static int
index_begin(struct spool_index *index)
{
	int error = spool_sql_run(index, spool_sql(index, SPOOL_SQL_BEGIN, ""));

	index->is_begun = error == 0;
	return error;
}

int
spool_index_open(
    struct spool_index *index, struct os *os, struct spool_log *log)
{
	int flags =
	    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int error = 0, code;

	*index = (struct spool_index){.os = os, .log = log};
	arena_init(&index->scratch, INDEX_SCRATCH_MAX);
	/* One thread at a time is in the store of a process, so SQLite needs
	   no locks.  Where it has begun already it says no, and stays so. */
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	index->vfs = spool_vfs_new(os);
	code = sqlite3_open_v2(
	    SPOOL_INDEX_NAME, &index->db, flags, spool_vfs_name(index->vfs));
	if (code != SQLITE_OK)
		error = index_fail_code(index, code);
	if (error == 0)
		error = index_set_modes(index);
	if (error == 0)
		error = index_set_schema(index);
	if (error == 0)
		error = index_begin(index);
	if (error == 0)
		error = index_load(index);
	if (error == 0)
		error = index_load_segments(index);
	return error;
}

static void
index_forget(struct spool_index *index)
{
	struct spool_gone *gone;

	spool_counts_clear(index);
	arena_fini(&index->scratch);
	while ((gone = index->gone) != NULL) {
		index->gone = gone->next;
		free(gone);
	}
	index->change_count = 0;
	index->is_disordered = false;
}

void
spool_index_close(struct spool_index *index, bool is_clean)
{
	/* SQLite would checkpoint by itself what may not be trusted. */
	if (!is_clean)
		sqlite3_db_config(
		    index->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	index_forget(index);
	for (size_t i = 0; i < SPOOL_SQL_COUNT; i++) {
		sqlite3_finalize(index->statements[i]);
		index->statements[i] = NULL;
	}
	sqlite3_close(index->db);
	index->db = NULL;
	spool_vfs_free(index->vfs);
	index->vfs = NULL;
}

int
spool_index_set_aside(struct os *os)
{
	struct os_file *file;
	char name[64], wal[72];
	int n, error = 0;

	for (n = 1; n <= INDEX_ASIDE_MAX; n++) {
		snprintf(name, sizeof(name), SPOOL_INDEX_NAME ".damaged-%d", n);
		error = os_open(os, name, OS_READ, &file);
		if (error < 0)
			break;
		os_close(os, file);
	}
	if (error != -ENOENT)
		return error < 0 ? error : -EMFILE;
	log_event(LOG_WARN, "spool-index-aside", "", "name=%s", name);
	snprintf(wal, sizeof(wal), "%s-wal", name);
	error = os_rename(os, SPOOL_INDEX_NAME, name);
	if (error < 0 && error != -ENOENT)
		return error;
	/* SQLite drops a log without a database, but would believe a database
	   without its log: so the database goes first, durably. */
	if (os_sync_directory(os, "") < 0)
		return SPOOL_LOST;
	error = os_rename(os, SPOOL_INDEX_NAME "-wal", wal);
	if (error < 0 && error != -ENOENT)
		return error;
	error = os_unlink(os, SPOOL_INDEX_NAME "-journal");
	if (error < 0 && error != -ENOENT)
		return error;
	return os_sync_directory(os, "") < 0 ? SPOOL_LOST : 0;
}

/* Writes the counts of the segments that changed. */
static int
index_save_segments(struct spool_index *index)
{
	int error = 0;

	for (size_t i = 0; error == 0 && i < index->log->count; i++) {
		const struct spool_segment *s = &index->log->segments[i];
		uint64_t is_damaged = s->is_damaged;

		if (s->is_dirty)
			error = spool_sql_run(index,
			    spool_sql(index, SPOOL_SQL_SEGMENT_SET, "uuuuu",
				s->number, s->live_count, s->live_bytes,
				is_damaged, s->live_content));
	}
	if (error == 0 && index->log->count > 0 &&
	    index->dropped_before < index->log->segments[0].number)
		error = spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_SEGMENT_DROP, "u",
			       index->log->segments[0].number));
	return error;
}

/* Marks what index_save_segments() wrote. */
static void
index_saved_segments(struct spool_index *index)
{
	for (size_t i = 0; i < index->log->count; i++)
		index->log->segments[i].is_dirty = false;
	if (index->log->count > 0)
		index->dropped_before = index->log->segments[0].number;
}

int
spool_index_commit(struct spool_index *index, const struct spool_state *state)
{
	uint64_t is_clean = state->is_clean;
	uint64_t is_disordered = index->is_disordered;
	int error = spool_counts_flush(index);

	if (error == 0)
		error = index_save_segments(index);
	if (error == 0)
		error = spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_STATE_SET, "uuuuuuu",
			       state->covered.segment, state->covered.offset,
			       state->seq, state->queue_ms, state->wall_ms,
			       is_clean, is_disordered));
	if (error == 0)
		error = spool_sql_run(
		    index, spool_sql(index, SPOOL_SQL_COMMIT, ""));
	if (error < 0)
		return error;
	index->is_begun = false;
	index->state = *state;
	index->change_count = 0;
	index_saved_segments(index);
	spool_counts_trim(index);
	return index_begin(index);
}

int
spool_index_rollback(struct spool_index *index)
{
	int error = 0;

	for (size_t i = 0; i < SPOOL_SQL_COUNT; i++)
		sqlite3_reset(index->statements[i]);
	index_forget(index);
	if (index->error == SPOOL_LOST || index->error == -EUCLEAN)
		return index->error;
	index->error = 0;
	/* SQLite may have rolled back by itself. */
	if (!sqlite3_get_autocommit(index->db))
		error = index_exec(index, "ROLLBACK");
	index->is_begun = false;
	if (error == 0)
		error = index_begin(index);
	if (error == 0)
		error = index_load(index);
	if (error == 0)
		error = index_load_segments(index);
	return error;
}

int
spool_index_checkpoint(struct spool_index *index)
{
	int code, error;

	CHECK(index->change_count == 0);
	error = spool_sql_run(index, spool_sql(index, SPOOL_SQL_COMMIT, ""));
	if (error < 0)
		return error;
	index->is_begun = false;
	code = sqlite3_wal_checkpoint_v2(
	    index->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
	if (code != SQLITE_OK)
		return index_fail_code(index, code);
	index->durable = index->state.covered;
	return index_begin(index);
}

static void
index_bind(sqlite3_stmt *statement, const char *types, va_list args)
{
	for (int i = 1; types[i - 1] != '\0'; i++) {
		struct str bytes;
		int code;

		if (types[i - 1] == 'u') {
			code = sqlite3_bind_int64(statement, i,
			    (sqlite3_int64)va_arg(args, uint64_t));
		} else {
			CHECK(types[i - 1] == 'b');
			bytes = va_arg(args, struct str);
			CHECK(bytes.size < INDEX_STRING_MAX);
			/* Without an address SQLite would bind NULL. */
			code = sqlite3_bind_blob(statement, i,
			    bytes.size > 0 ? bytes.data : "", (int)bytes.size,
			    SQLITE_STATIC);
		}
		CHECK(code == SQLITE_OK);
	}
}

sqlite3_stmt *
spool_sql(struct spool_index *index, enum spool_sql sql, const char *types, ...)
{
	sqlite3_stmt **statement = &index->statements[sql];
	va_list args;
	int code;

	if (*statement == NULL) {
		code = sqlite3_prepare_v3(index->db, index_texts[sql], -1,
		    SQLITE_PREPARE_PERSISTENT, statement, NULL);
		if (code != SQLITE_OK) {
			index_fail_code(index, code);
			return NULL;
		}
	}
	va_start(args, types);
	index_bind(*statement, types, args);
	va_end(args);
	return *statement;
}

int
spool_sql_step(struct spool_index *index, sqlite3_stmt *statement)
{
	int code;

	if (statement == NULL)
		return index->error;
	code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		return 1;
	sqlite3_reset(statement);
	return code == SQLITE_DONE ? 0 : index_fail_code(index, code);
}

void
spool_sql_end(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
}

int
spool_sql_run(struct spool_index *index, sqlite3_stmt *statement)
{
	int result = spool_sql_step(index, statement);

	CHECK(result <= 0);
	return result;
}

int
spool_sql_number(
    struct spool_index *index, sqlite3_stmt *statement, uint64_t *number_out)
{
	int result = spool_sql_step(index, statement);

	*number_out = 0;
	if (result <= 0)
		return result;
	*number_out = spool_sql_u64(statement, 0);
	spool_sql_end(statement);
	return 0;
}

uint64_t
spool_sql_u64(sqlite3_stmt *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement, column);
}

struct str
spool_sql_str(struct spool_index *index, sqlite3_stmt *statement, int column)
{
	const void *data = sqlite3_column_blob(statement, column);
	int size = sqlite3_column_bytes(statement, column);
	struct str copy = arena_copy(
	    &index->scratch, str_of(data, size > 0 ? (size_t)size : 0));

	CHECK(copy.data != NULL);
	return copy;
}

/* Asks TEXT, which is number CHECK; another answer than WANT is wrong. */
static int
index_verify(struct spool_index *index, const char *text, size_t check,
    const char *want, uint64_t *wrong_count)
{
	char answer[200];
	int error = index_ask(index, text, answer, sizeof(answer));

	if (error < 0 || strcmp(answer, want) == 0)
		return error;
	log_event(LOG_ERROR, "spool-check", "", "check=%zu offenders=%s", check,
	    answer);
	(*wrong_count)++;
	return 0;
}

/* Asks what has to be true of the counts. */
static int
index_verify_counts(struct spool_index *index, uint64_t *wrong_count)
{
	size_t count = sizeof(index_checks) / sizeof(index_checks[0]);
	int error = spool_counts_flush(index);

	if (error == 0)
		error = index_save_segments(index);
	for (size_t i = 0; error == 0 && i < count; i++)
		error =
		    index_verify(index, index_checks[i], i, "0", wrong_count);
	return error;
}

int
spool_index_verify(struct spool_index *index, uint64_t *wrong_count)
{
	size_t number = sizeof(index_checks) / sizeof(index_checks[0]);
	int error = index_verify_counts(index, wrong_count);

	return error < 0 ? error
	                 : index_verify(index, "PRAGMA integrity_check(1)",
			       number, "ok", wrong_count);
}

int
spool_index_check(struct spool_index *index)
{
	uint64_t wrong_count = 0;
	int error = index_verify_counts(index, &wrong_count);

	CHECK(wrong_count == 0);
	return error;
}
