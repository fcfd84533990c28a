/*
 * Kept counts; see spool_counts.h.
 *
 * The oldest message of a destination: messages come in order of arrival, so
 * it is the first by key.  One that does not (its arrival is before that of one
 * already there) is put into the table of special rows; the oldest is the
 * first by key or the earliest special one.
 *
 * A message with recipients of several domains at one destination counts once
 * for each domain and is put into the special table too, so that a count over
 * several domains can be corrected exactly.
 */
#include "store/spool/spool_counts.h"
#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define COUNTS_CACHED_MAX 8192

enum counts_special {
	COUNTS_ODD,
	COUNTS_MULTI
};

struct spool_domain {
	UT_hash_handle hh;
	uint64_t no; /* of the destination */
	struct str name;
	uint64_t messages;
	uint64_t bytes;
	uint64_t mark; /* of the group that counted it last */
	bool is_stored;
	bool is_dirty;
	size_t key_size;
	char key[]; /* number and name */
};

static void
counts_add_destination(
    struct spool_index *index, struct spool_destination *destination)
{
	HASH_ADD_KEYPTR(hh, index->by_name, destination->name,
	    destination->d.name.size, destination);
	HASH_ADD(hh_no, index->by_no, no, sizeof(destination->no), destination);
}

static struct spool_destination *
counts_new_destination(struct spool_index *index, struct str name, uint64_t no)
{
	struct spool_destination *destination =
	    mem_new(1, sizeof(*destination));

	destination->no = no;
	destination->name = mem_copy_text(name.data, name.size);
	destination->d.name = str_of(destination->name, name.size);
	counts_add_destination(index, destination);
	return destination;
}

void
spool_destination_read(
    sqlite3_stmt *row, struct store_destination *destination_out)
{
	*destination_out = (struct store_destination){
	    .name = str_of(sqlite3_column_blob(row, 1),
		(size_t)sqlite3_column_bytes(row, 1)),
	    .messages = spool_sql_u64(row, 6),
	    .bytes = spool_sql_u64(row, 7),
	    .due_ms = spool_sql_u64(row, 13),
	    .failures = (uint32_t)spool_sql_u64(row, 14),
	};
	for (int lane = 0; lane < STORE_LANES; lane++)
		destination_out->rows[lane] = spool_sql_u64(row, 2 + lane);
}

/* Takes what the statement finds into the cache; -ENOENT if nothing. */
static int
counts_load(struct spool_index *index, sqlite3_stmt *row,
    struct spool_destination **destination_out)
{
	struct spool_destination *destination;
	struct store_destination d;
	int result = spool_sql_step(index, row);

	if (result <= 0)
		return result == 0 ? -ENOENT : result;
	spool_destination_read(row, &d);
	destination =
	    counts_new_destination(index, d.name, spool_sql_u64(row, 0));
	d.name = destination->d.name;
	destination->d = d;
	destination->open_messages = spool_sql_u64(row, 8);
	destination->open_bytes = spool_sql_u64(row, 9);
	destination->arrival_max = spool_sql_u64(row, 10);
	destination->odd_count = spool_sql_u64(row, 11);
	destination->multi_count = spool_sql_u64(row, 12);
	destination->is_stored = true;
	spool_sql_end(row);
	*destination_out = destination;
	return 0;
}

int
spool_destination_get(struct spool_index *index, struct str name, bool is_made,
    struct spool_destination **destination_out)
{
	int error;

	HASH_FIND(hh, index->by_name, name.data, name.size, *destination_out);
	if (*destination_out != NULL)
		return 0;
	error = counts_load(index,
	    spool_sql(index, SPOOL_SQL_DESTINATION_BY_NAME, "b", name),
	    destination_out);
	if (error != -ENOENT || !is_made)
		return error;
	*destination_out =
	    counts_new_destination(index, name, ++index->no_last);
	return 0;
}

int
spool_destination_by_no(struct spool_index *index, uint64_t no,
    struct spool_destination **destination_out)
{
	HASH_FIND(hh_no, index->by_no, &no, sizeof(no), *destination_out);
	if (*destination_out != NULL)
		return 0;
	return counts_load(index,
	    spool_sql(index, SPOOL_SQL_DESTINATION_BY_NO, "u", no),
	    destination_out);
}

int
spool_destination_oldest(
    struct spool_index *index, uint64_t no, uint64_t *oldest_out)
{
	uint64_t odd = 0;
	int error = spool_sql_number(index,
	    spool_sql(index, SPOOL_SQL_DESTINATION_OLDEST, "u", no),
	    oldest_out);
	sqlite3_stmt *row;

	if (error < 0)
		return error;
	row = spool_sql(index, SPOOL_SQL_SPECIAL_OLDEST, "u", no);
	error = spool_sql_step(index, row);
	if (error <= 0)
		return error;
	odd = spool_sql_u64(row, 0);
	spool_sql_end(row);
	if (odd < *oldest_out)
		*oldest_out = odd;
	return 0;
}

/* The cached counts of a domain, read from the index if need be. */
static int
counts_domain(struct spool_index *index, uint64_t no, struct str name,
    struct spool_domain **domain_out)
{
	size_t key_size = sizeof(no) + name.size;
	struct spool_domain *domain = mem_new(1, sizeof(*domain) + key_size);
	sqlite3_stmt *row;
	int result;

	memcpy(domain->key, &no, sizeof(no));
	if (name.size > 0)
		memcpy(domain->key + sizeof(no), name.data, name.size);
	HASH_FIND(hh, index->domains, domain->key, key_size, *domain_out);
	if (*domain_out != NULL) {
		free(domain);
		return 0;
	}
	row = spool_sql(index, SPOOL_SQL_DOMAIN_GET, "ub", no, name);
	result = spool_sql_step(index, row);
	if (result < 0) {
		free(domain);
		return result;
	}
	if (result > 0) {
		domain->messages = spool_sql_u64(row, 0);
		domain->bytes = spool_sql_u64(row, 1);
		domain->is_stored = true;
		spool_sql_end(row);
	}
	domain->no = no;
	domain->name = str_of(domain->key + sizeof(no), name.size);
	domain->key_size = key_size;
	HASH_ADD_KEYPTR(
	    hh, index->domains, domain->key, domain->key_size, domain);
	*domain_out = domain;
	return 0;
}

/* Adds to or takes from COUNT what must not fall below 0. */
static void
counts_change(uint64_t *count, uint64_t amount, bool is_added)
{
	CHECK(is_added || *count >= amount);
	*count = is_added ? *count + amount : *count - amount;
}

/* Counts each domain with rows that are not STOPPED once. */
static int
counts_domains(
    struct spool_index *index, const struct spool_group *group, bool is_added)
{
	uint64_t mark = ++index->mark_last;

	for (size_t i = 0; i < group->count; i++) {
		struct spool_domain *domain;
		int error;

		if (group->rows[i].lane == STORE_STOPPED)
			continue;
		error = counts_domain(index, group->destination->no,
		    group->rows[i].domain, &domain);
		if (error < 0)
			return error;
		if (domain->mark == mark)
			continue;
		domain->mark = mark;
		domain->is_dirty = true;
		counts_change(&domain->messages, 1, is_added);
		counts_change(&domain->bytes, group->size, is_added);
	}
	return 0;
}

static int
counts_apply(
    struct spool_index *index, const struct spool_group *group, bool is_added)
{
	struct spool_destination *to = group->destination;
	bool is_open = false;

	if (group->count == 0)
		return 0;
	for (size_t i = 0; i < group->count; i++) {
		enum store_lane lane = group->rows[i].lane;

		CHECK(lane < STORE_LANES);
		counts_change(&to->d.rows[lane], 1, is_added);
		is_open |= lane != STORE_STOPPED;
	}
	counts_change(&to->d.messages, 1, is_added);
	counts_change(&to->d.bytes, group->size, is_added);
	counts_change(&to->open_messages, is_open, is_added);
	counts_change(&to->open_bytes, is_open ? group->size : 0, is_added);
	to->is_dirty = true;
	return counts_domains(index, group, is_added);
}

int
spool_counts_add(struct spool_index *index, const struct spool_group *group)
{
	return counts_apply(index, group, true);
}

int
spool_counts_remove(struct spool_index *index, const struct spool_group *group)
{
	return counts_apply(index, group, false);
}

static int
counts_special(struct spool_index *index, enum spool_sql sql,
    const struct spool_group *group, enum counts_special special)
{
	uint64_t kind = special;

	return spool_sql_run(
	    index, spool_sql(index, sql, "uuuu", group->destination->no, kind,
		       group->arrival_ms, group->key));
}

static bool
counts_has_many_domains(const struct spool_group *group)
{
	for (size_t i = 1; i < group->count; i++)
		if (!str_equal(group->rows[i].domain, group->rows[0].domain))
			return true;
	return false;
}

int
spool_counts_enter(struct spool_index *index, const struct spool_group *group)
{
	struct spool_destination *to = group->destination;
	int error = 0;

	if (counts_has_many_domains(group)) {
		to->multi_count++;
		error = counts_special(
		    index, SPOOL_SQL_SPECIAL_ADD, group, COUNTS_MULTI);
	}
	if (error == 0 && group->arrival_ms < to->arrival_max) {
		to->odd_count++;
		error = counts_special(
		    index, SPOOL_SQL_SPECIAL_ADD, group, COUNTS_ODD);
	}
	if (group->arrival_ms > to->arrival_max)
		to->arrival_max = group->arrival_ms;
	to->is_dirty = true;
	return error;
}

/* Drops the special row of the group if there is one. */
static int
counts_drop_special(struct spool_index *index, const struct spool_group *group,
    enum counts_special special, uint64_t *count)
{
	int error;

	if (*count == 0)
		return 0;
	error = counts_special(index, SPOOL_SQL_SPECIAL_DROP, group, special);
	if (error == 0)
		*count -= (uint64_t)sqlite3_changes(index->db);
	return error;
}

int
spool_counts_leave(struct spool_index *index, const struct spool_group *group)
{
	struct spool_destination *from = group->destination;
	int error =
	    counts_drop_special(index, group, COUNTS_ODD, &from->odd_count);

	if (error == 0)
		error = counts_drop_special(
		    index, group, COUNTS_MULTI, &from->multi_count);
	if (from->d.messages == 0)
		from->arrival_max = 0;
	from->is_dirty = true;
	return error;
}

void
spool_counts_move(struct spool_destination *destination, enum store_lane from,
    enum store_lane to, uint64_t count)
{
	CHECK(from != STORE_STOPPED && to != STORE_STOPPED);
	counts_change(&destination->d.rows[from], count, false);
	counts_change(&destination->d.rows[to], count, true);
	destination->is_dirty = true;
}

int
spool_counts_domain(struct spool_index *index,
    const struct spool_destination *destination, struct str name,
    struct store_destination *counts_out)
{
	struct spool_domain *domain;
	int error = counts_domain(index, destination->no, name, &domain);

	if (error < 0)
		return error;
	counts_out->messages = domain->messages;
	counts_out->bytes = domain->bytes;
	/* Names that are only asked for are not remembered. */
	if (domain->messages == 0 && !domain->is_dirty) {
		HASH_DEL(index->domains, domain);
		free(domain);
	}
	return 0;
}

bool
spool_counts_are_many(const struct spool_index *index)
{
	return HASH_CNT(hh, index->by_name) > COUNTS_CACHED_MAX ||
	       HASH_CNT(hh, index->domains) > COUNTS_CACHED_MAX;
}

/* A destination with nothing queued and not parked needs no row. */
static int
counts_flush_destination(
    struct spool_index *index, struct spool_destination *to)
{
	uint64_t failures = to->d.failures;
	enum spool_sql sql = to->is_stored ? SPOOL_SQL_DESTINATION_SET
	                                   : SPOOL_SQL_DESTINATION_ADD;
	int error;

	if (to->d.messages == 0 && to->d.due_ms == 0) {
		if (to->is_stored)
			error = spool_sql_run(
			    index, spool_sql(index, SPOOL_SQL_DESTINATION_DROP,
				       "u", to->no));
		else
			error = 0;
		to->is_stored &= error < 0;
	} else {
		error = spool_sql_run(index,
		    spool_sql(index, sql, "ubuuuuuuuuuuuuu", to->no, to->d.name,
			to->d.rows[STORE_READY], to->d.rows[STORE_WAITING],
			to->d.rows[STORE_HELD], to->d.rows[STORE_STOPPED],
			to->d.messages, to->d.bytes, to->open_messages,
			to->open_bytes, to->arrival_max, to->odd_count,
			to->multi_count, to->d.due_ms, failures));
		to->is_stored |= error == 0;
	}
	to->is_dirty &= error < 0;
	return error;
}

static int
counts_flush_domain(struct spool_index *index, struct spool_domain *domain)
{
	int error = 0;

	if (domain->messages > 0)
		error = spool_sql_run(index,
		    spool_sql(index, SPOOL_SQL_DOMAIN_SET, "ubuu", domain->no,
			domain->name, domain->messages, domain->bytes));
	else if (domain->is_stored)
		error =
		    spool_sql_run(index, spool_sql(index, SPOOL_SQL_DOMAIN_DROP,
					     "ub", domain->no, domain->name));
	if (error < 0)
		return error;
	domain->is_stored = domain->messages > 0;
	domain->is_dirty = false;
	return 0;
}

int
spool_counts_flush(struct spool_index *index)
{
	struct spool_destination *destination, *next;
	struct spool_domain *domain, *next_domain;
	int error = 0;

	HASH_ITER(hh, index->by_name, destination, next)
	{
		if (error == 0 && destination->is_dirty)
			error = counts_flush_destination(index, destination);
	}
	HASH_ITER(hh, index->domains, domain, next_domain)
	{
		if (error == 0 && domain->is_dirty)
			error = counts_flush_domain(index, domain);
	}
	return error;
}

void
spool_counts_trim(struct spool_index *index)
{
	if (spool_counts_are_many(index))
		spool_counts_clear(index);
}

void
spool_counts_clear(struct spool_index *index)
{
	struct spool_destination *destination, *next;
	struct spool_domain *domain, *next_domain;

	HASH_ITER(hh, index->by_name, destination, next)
	{
		HASH_DELETE(hh, index->by_name, destination);
		HASH_DELETE(hh_no, index->by_no, destination);
		free(destination->name);
		free(destination);
	}
	HASH_ITER(hh, index->domains, domain, next_domain)
	{
		HASH_DELETE(hh, index->domains, domain);
		free(domain);
	}
}
