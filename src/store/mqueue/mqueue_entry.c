/*
 * Control files and the index: what is read becomes a message there, what
 * changes there is written.  What a file without our line lacks is derived
 * (mqueue_derive.c).
 */
#include "store/mqueue/mqueue_own.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MQ_DEFERRED "Deferred: "
/* What sendmail adds for each attempt (op.me, RetryFactor). */
#define MQ_RETRY_FACTOR 90000

/* ADDRESS with our name, where it has none. */
static struct str
mq_qualify(struct mqueue *mq, struct arena *arena, struct str address)
{
	size_t size = strlen(mq->hostname);
	char *text;

	if (address.size == 0 || size == 0 ||
	    str_find(address, '@') < address.size)
		return address;
	text = arena_new(arena, address.size + 1 + size);
	if (text == NULL)
		return address;
	memcpy(text, address.data, address.size);
	text[address.size] = '@';
	memcpy(text + address.size + 1, mq->hostname, size);
	return str_of(text, address.size + 1 + size);
}

/* What an M line says, as an answer: "Deferred: 451 later" is "451 later". */
static struct str
mq_status_read(struct str text)
{
	struct str rest = str_skip(text, sizeof(MQ_DEFERRED) - 1);

	if (str_starts(text, STR(MQ_DEFERRED)) &&
	    ((rest.size > 0 && ascii_is_digit(rest.data[0])) ||
		str_starts(rest, STR(MQ_DEFERRED))))
		text = rest;
	return str_head(text, STORE_STATUS_MAX);
}

/* The other way. */
static int
mq_status_write(struct str status, struct arena *arena, struct str *out)
{
	size_t size = sizeof(MQ_DEFERRED) - 1;
	char *text;

	*out = status;
	if (status.size == 0 || (!ascii_is_digit(status.data[0]) &&
				    !str_starts(status, STR(MQ_DEFERRED))))
		return 0;
	text = arena_new(arena, size + status.size);
	if (text == NULL)
		return -ENOBUFS;
	memcpy(text, MQ_DEFERRED, size);
	memcpy(text + size, status.data, status.size);
	*out = str_of(text, size + status.size);
	return 0;
}

/* The line of ours in Q: 0, or -ENOENT if there is none that fits. */
static int
mq_facts_of(const struct qf *q, struct arena *arena, struct mq_facts *facts)
{
	const struct str *text = qf_macro_find(q, STR(QF_PRIVATE));
	bool is_named[STORE_RECIPIENTS_MAX] = {false};

	*facts = (struct mq_facts){.count = 0};
	if (text == NULL || mq_facts_read(*text, arena, facts) < 0 ||
	    facts->count > q->recipient_count)
		return -ENOENT;
	for (size_t i = 0; i < facts->count; i++) {
		const struct mq_fact_row *row = &facts->rows[i];

		if (is_named[row->index] || !row->has_lane ||
		    row->destination.size == 0 ||
		    row->destination.size > STORE_DESTINATION_MAX ||
		    row->domain.size > MAIL_DOMAIN_MAX)
			return -ENOENT;
		is_named[row->index] = true;
	}
	return 0;
}

/* The same of a file that is to be indexed or written anew.  In what we did not
   write nobody is twice. */
static int
mq_facts_begin(
    struct qf *q, struct arena *arena, struct mq_facts *facts, bool *has_out)
{
	*has_out = mq_facts_of(q, arena, facts) == 0;
	return *has_out ? 0 : qf_drop_duplicates(q, arena);
}

/* One recipient of the file as a row. */
static int
mq_read_row(struct mqueue *mq, const struct qf *q, size_t j,
    const struct mq_fact_row *known, struct mq_facts *facts,
    struct store_message *message, uint32_t index)
{
	struct store_row *row = &message->rows[index];
	struct qf_address address;
	int error = qf_get_recipient(
	    &q->recipients[j], &message->arena, &address, &row->recipient);

	if (error < 0)
		return error;
	row->recipient.notify = mq_notify_of(q, row->recipient.notify);
	if (row->recipient.address.size == 0)
		row->recipient.address = STR("unknown");
	row->recipient.address =
	    str_head(row->recipient.address, MAIL_ADDRESS_MAX);
	/* The postmaster needs no domain (RFC 5321 4.5.1): such a row of ours
	   stays what it was. */
	if (address.kind == QF_ADDRESS_MAIL && !address.has_domain &&
	    (known == NULL ||
		!str_case_equal(row->recipient.address, STR("postmaster"))))
		row->recipient.address = str_head(
		    mq_qualify(mq, &message->arena, row->recipient.address),
		    MAIL_ADDRESS_MAX);
	if (known != NULL) {
		row->destination = known->destination;
		row->domain = known->domain;
		row->is_held = known->is_held;
		row->alarm_ms = known->has_alarm ? known->alarm_ms : 0;
		return 0;
	}
	mq_derive_row(mq, q, &address, facts, row, &message->arena);
	return row->destination.data == NULL ? -ENOBUFS : 0;
}

/* The message that Q describes, without content. */
static int
mq_read_message(struct mqueue *mq, const struct qf *q, struct mq_facts *facts,
    bool has_facts, uint32_t *map, struct store_message *message)
{
	bool is_whole;
	int error =
	    qf_get_envelope(q, &message->arena, &message->envelope, &is_whole);

	message->row_count = facts->row_count;
	message->rows = arena_new(
	    &message->arena, message->row_count * sizeof(*message->rows));
	if (error < 0 || message->rows == NULL)
		return -ENOBUFS;
	/* Those that are gone keep their numbers. */
	for (size_t i = 0; i < message->row_count; i++)
		message->rows[i] =
		    (struct store_row){.recipient.address = STR("gone"),
			.destination = STR("gone")};
	for (size_t j = 0; error == 0 && j < facts->count; j++) {
		map[j] = has_facts ? facts->rows[j].index : (uint32_t)j;
		error = mq_read_row(mq, q, j,
		    has_facts ? &facts->rows[j] : NULL, facts, message, map[j]);
	}
	message->envelope.errors_to = str_head(
	    mq_qualify(mq, &message->arena, message->envelope.errors_to),
	    MAIL_ADDRESS_MAX);
	message->envelope.sender =
	    str_head(mq_qualify(mq, &message->arena, message->envelope.sender),
		MAIL_ADDRESS_MAX);
	message->envelope.priority = facts->priority;
	message->arrival_ms = facts->arrival_ms;
	message->arrival_wall_ms = facts->arrival_wall_ms;
	message->expire_ms = facts->expire_ms;
	message->rank = facts->rank;
	message->content_size = facts->size;
	message->is_staged = true; /* it is not in memory */
	return error;
}

/* True for a rest as mq_compose() leaves it: nobody in it was tried. */
static bool
mq_is_rest(const struct qf *q)
{
	const struct str *ours = qf_macro_find(q, STR(QF_PRIVATE));

	return ours != NULL && ours->size == 0;
}

/* What of a row in the file goes on top of what an append sets. */
static void
mq_restore_row(struct mqueue *mq, struct ram_row *row,
    const struct qf_recipient *from, const struct qf *q,
    const struct mq_fact_row *known, enum store_lane lane)
{
	struct str status = mq_status_read(from->status);

	row->attempts =
	    q->attempts > UINT32_MAX ? UINT32_MAX : (uint32_t)q->attempts;
	if (mq_is_rest(q))
		row->attempts = 0;
	if (known != NULL && known->has_attempts)
		row->attempts = known->attempts;
	if (status.size > 0)
		row->status = mem_copy_text(status.data, status.size);
	row->is_told = known != NULL ? known->is_told : q->is_warned;
	if (lane == STORE_WAITING && known->due_ms <= mq->due_mark_ms)
		lane = ram_row_home(row);
	if (lane != row->lane)
		ram_row_set_lane(mq->ram, row, lane,
		    lane == STORE_WAITING ? known->due_ms : 0);
}

/* The lane of a row of the file.  Where the name of the file or its q line say
   otherwise than our line, another program has quarantined or released it. */
static enum store_lane
mq_lane_of(const struct mq_facts *facts, const struct mq_fact_row *known,
    bool is_quarantined)
{
	bool is_released = !is_quarantined;

	if (is_quarantined)
		return STORE_STOPPED;
	for (size_t j = 0; known != NULL && j < facts->count; j++)
		is_released &= facts->rows[j].lane == STORE_STOPPED;
	if (known == NULL || is_released)
		return STORE_LANES;
	return known->lane;
}

static void
mq_restore(struct mqueue *mq, struct ram_message *message, const struct qf *q,
    const struct mq_facts *facts, bool has_facts)
{
	struct mq_entry *entry = mq_entry_of(message);
	bool is_there[STORE_RECIPIENTS_MAX] = {false};

	for (size_t j = 0; j < entry->map_count; j++) {
		const struct mq_fact_row *known =
		    has_facts ? &facts->rows[j] : NULL;
		struct ram_row *row = &message->rows[entry->map[j]];
		enum store_lane lane = mq_lane_of(
		    facts, known, entry->is_quarantined || q->has_quarantine);

		is_there[row->index] = true;
		mq_restore_row(mq, row, &q->recipients[j], q, known,
		    lane == STORE_LANES ? ram_row_home(row) : lane);
	}
	for (size_t i = 0; i < message->row_count; i++) {
		if (is_there[i])
			continue;
		ram_row_end(mq->ram, &message->rows[i]);
		message->rows[i].is_gone = true;
		message->left_count--;
	}
}

uint64_t
mq_version_of(const struct qf *q, struct arena *arena)
{
	struct mq_facts facts;

	return mq_facts_of(q, arena, &facts) == 0 ? facts.version : 0;
}

/* Where the data file is, if not in its place; NULL = there. */
static char *
mq_find_data(struct mqueue *mq, const struct mq_directory *directory,
    const char *id, const struct qf *q)
{
	char path[MQ_PATH_MAX], plain[MQ_PATH_MAX];
	struct os_status status;

	mq_path(plain, directory->data, "df", id);
	path[0] = '\0';
	if (q->data_directory.size > 0 && q->data_directory.size < MQ_NAME_MAX)
		for (size_t i = 0; i < mq->directory_count; i++)
			if (mq_is_directory_of(
				&mq->directories[i], q->data_directory))
				mq_path(
				    path, mq->directories[i].data, "df", id);
	if (!q->has_version && q->data_file.size > 0 &&
	    q->data_file.size < MQ_NAME_MAX &&
	    str_find(q->data_file, '/') == q->data_file.size) {
		char name[MQ_NAME_MAX + 1];

		snprintf(name, sizeof(name), "%.*s", STR_ARG(q->data_file));
		mq_path(path, directory->data, "", name);
	}
	if (path[0] == '\0' || strcmp(path, plain) == 0)
		return NULL;
	/* Between two moves of ours it may be in its place already. */
	if (os_status(mq->os, path, &status) == -ENOENT &&
	    os_status(mq->os, plain, &status) == 0)
		return NULL;
	return mem_copy_text(path, strlen(path));
}

/* Why what Q says is stopped; data is NULL if the arena is full. */
static struct str
mq_reason_of(
    const struct qf *q, const struct mq_facts *facts, struct arena *arena)
{
	struct str text =
	    str_head(q->has_quarantine ? q->quarantine : facts->reason,
		STORE_REASON_MAX);
	char *copy = arena_new(arena, text.size + 1);

	if (copy == NULL)
		return str_of(NULL, 0);
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		copy[i] = c == '\0' || c == '\r' || c == '\n' ? ' ' : c;
	}
	/* Our words for no reason at all. */
	if (str_equal(text, STR(STORE_STOPPED_TEXT)))
		text.size = 0;
	return str_of(copy, text.size);
}

struct ram_message *
mq_index(struct mqueue *mq, struct mq_directory *directory, const char *id,
    bool is_quarantined, struct qf *q, const struct mq_seen *seen)
{
	struct store_message *message = store_message_new();
	uint32_t *map = NULL;
	struct mq_entry *entry = mem_new(1, sizeof(*entry));
	struct ram_message *indexed = NULL;
	struct mq_facts facts;
	bool has_facts;
	int error = mq_facts_begin(q, &message->arena, &facts, &has_facts);

	snprintf(message->id, sizeof(message->id), "%s", id);
	entry->data_path = mq_find_data(mq, directory, id, q);
	entry->directory = directory;
	if (!has_facts)
		mq_facts_derive(mq, q, &seen->control, seen->data.size, &facts);
	map = mem_new(facts.count, sizeof(*map));
	if (error == 0)
		error = mq_read_message(mq, q, &facts, has_facts, map, message);
	if (error == 0 && store_message_is_valid(message)) {
		indexed = ram_append(mq->ram, message, facts.order);
		indexed->entry = entry;
		entry->message = indexed;
		entry->is_quarantined = is_quarantined;
		ram_set_reason(
		    indexed, mq_reason_of(q, &facts, &message->arena));
		entry->has_version = q->has_version;
		entry->attempted_s = q->attempted_s;
		entry->priority = q->priority;
		entry->seen = seen->control;
		entry->map = map;
		entry->map_count = facts.count;
		entry->extra_count = q->recipient_count - facts.count;
		entry->is_measured = has_facts;
		entry->version = facts.version;
		entry->is_raw = facts.is_raw;
		entry->is_bare = facts.is_bare;
		map = NULL;
		mq_restore(mq, indexed, q, &facts, has_facts);
	} else {
		free(entry->data_path);
		free(entry);
	}
	free(map);
	store_message_free(message);
	return indexed;
}

/* Our line for MESSAGE, whose rows in the file MAP has. */
static int
mq_put_facts(struct mq_entry *entry, struct qf *q, struct arena *arena)
{
	const struct ram_message *message = entry->message;
	struct mq_facts facts = {
	    .arrival_ms = message->arrival_ms,
	    .arrival_wall_ms = message->arrival_wall_ms,
	    .expire_ms = message->expire_ms,
	    .rank = message->rank,
	    .size = message->content_size,
	    .order = message->key,
	    .version = ++entry->version,
	    .priority = message->envelope.priority,
	    .is_raw = entry->is_raw,
	    .is_bare = entry->is_bare,
	    .reason = q->has_quarantine ? STR("") : str_from(message->reason),
	    .row_count = (uint32_t)message->row_count,
	    .count = entry->map_count,
	};
	struct qf_macro *macros =
	    arena_new(arena, (q->macro_count + 1) * sizeof(*macros));
	struct buf text;
	struct str value;
	size_t count = 0;
	int error;

	facts.rows = arena_new(arena, facts.count * sizeof(*facts.rows));
	if (macros == NULL || facts.rows == NULL)
		return -ENOBUFS;
	for (size_t j = 0; j < facts.count; j++) {
		const struct ram_row *row = &message->rows[entry->map[j]];

		facts.rows[j] = (struct mq_fact_row){
		    .index = row->index,
		    .lane = row->lane,
		    .due_ms = row->due_ms,
		    .has_attempts = row->attempts != q->attempts,
		    .attempts = row->attempts,
		    .has_alarm = row->row.alarm_ms > 0,
		    .alarm_ms = row->row.alarm_ms,
		    .is_told = row->is_told,
		    .is_held = row->row.is_held,
		    .destination = row->row.destination,
		    .domain = row->row.domain,
		};
	}
	buf_init(&text, QF_FILE_MAX);
	error = mq_facts_write(&facts, &text);
	value = arena_copy(arena, buf_str(&text));
	buf_fini(&text);
	if (error < 0 || value.data == NULL)
		return -ENOBUFS;
	for (size_t i = 0; i < q->macro_count; i++)
		if (!str_equal(q->macros[i].name, STR(QF_PRIVATE)))
			macros[count++] = q->macros[i];
	macros[count++] = (struct qf_macro){STR(QF_PRIVATE), value};
	q->macros = macros;
	q->macro_count = count;
	return 0;
}

/* The recipients that are left, with what was last said of them. */
static int
mq_put_recipients(struct mq_entry *entry, struct qf *q, struct arena *arena)
{
	const struct ram_message *message = entry->message;
	size_t count = 0, map_count = 0;

	if (q->recipient_count < entry->map_count)
		return -EBADMSG;
	for (size_t j = 0; j < q->recipient_count; j++) {
		struct qf_recipient *to = &q->recipients[count];
		const struct ram_row *row;
		int error;

		*to = q->recipients[j];
		if (j >= entry->map_count) {
			count++;
			continue;
		}
		row = &message->rows[entry->map[j]];
		if (row->is_gone)
			continue;
		error =
		    mq_status_write(str_from(row->status), arena, &to->status);
		if (error < 0)
			return error;
		if (to->status.size > 0)
			q->status = to->status;
		q->is_warned |= row->is_told;
		entry->map[map_count++] = entry->map[j];
		count++;
	}
	q->recipient_count = count;
	entry->map_count = map_count;
	return 0;
}

/* True if all rows that are left are stopped. */
static bool
mq_is_stopped(const struct mq_entry *entry)
{
	for (size_t j = 0; j < entry->map_count; j++)
		if (entry->message->rows[entry->map[j]].lane != STORE_STOPPED)
			return false;
	return entry->map_count > 0 && entry->extra_count == 0;
}

void
mq_describe(struct mqueue *mq, struct store_request *request)
{
	for (size_t i = 0; i < request->u.find.found_count; i++) {
		struct store_found *found = &request->u.find.found[i];
		const struct mq_entry *entry;
		struct ram_message *message;

		HASH_FIND_STR(mq->ram->by_id, found->id, message);
		CHECK(message != NULL);
		entry = mq_entry_of(message);
		/* Where it does not fit it is not known. */
		found->directory = arena_copy(
		    &request->arena, str_from(entry->directory->data));
		found->attempted_wall_ms = (uint64_t)entry->attempted_s * 1000;
		found->has_priority = true;
		found->priority = entry->priority;
	}
}

/* Sets q to why all of it is stopped.  One that only lost something on its way
   into the index stays as it is. */
static int
mq_put_reason(const struct mq_entry *entry, struct qf *q, struct arena *arena)
{
	static const struct mq_facts none = {.count = 0};
	struct str reason = str_from(entry->message->reason);
	struct str there = mq_reason_of(q, &none, arena);

	if (there.data == NULL)
		return -ENOBUFS;
	if (reason.size == 0)
		reason = STR(STORE_STOPPED_TEXT);
	if (!mq_is_stopped(entry))
		q->quarantine = STR("");
	else if (!q->has_quarantine || !str_equal(there, reason))
		q->quarantine = reason;
	q->has_quarantine = mq_is_stopped(entry);
	return 0;
}

int
mq_compose(struct mqueue *mq, struct mq_entry *entry, struct qf *q,
    struct arena *arena, struct buf *out)
{
	int error = mq_put_recipients(entry, q, arena);

	if (error < 0)
		return error;
	if (entry->is_tried) {
		q->attempts += q->attempts < QF_ATTEMPTS_MAX;
		q->attempted_s = (int64_t)(os_wall_ms(mq->os) / 1000);
		entry->attempted_s = q->attempted_s;
		q->priority += MQ_RETRY_FACTOR;
		entry->priority = q->priority;
	}
	if (q->created != QF_CREATED_GIVEN) {
		q->created = QF_CREATED_GIVEN;
		q->created_s =
		    (int64_t)(entry->message->arrival_wall_ms / 1000);
	}
	error = mq_put_reason(entry, q, arena);
	if (error < 0)
		return error;
	/* A message all of whose known rows are gone is read anew. */
	if (entry->map_count > 0)
		error = mq_put_facts(entry, q, arena);
	else
		for (size_t i = 0; i < q->macro_count; i++)
			if (str_equal(q->macros[i].name, STR(QF_PRIVATE)))
				q->macros[i].value = STR("");
	return error < 0 ? error : qf_write(q, out);
}

/* Puts the new control file FILE in the place of the one that ENTRY has.  Where
   it gets another name there are two for a moment: the later one counts. */
static int
mq_replace(struct mqueue *mq, struct mq_entry *entry, struct os_file *file,
    bool is_quarantined)
{
	char from[MQ_PATH_MAX], old[MQ_PATH_MAX], to[MQ_PATH_MAX];
	struct os_status status;
	int error = os_file_status(mq->os, file, &status);

	mq_control_path(old, entry);
	mq_path(from, entry->directory->control, "tf", entry->message->id);
	entry->is_quarantined = is_quarantined;
	mq_control_path(to, entry);
	if (error == 0)
		error = os_rename(mq->os, from, to);
	if (error == 0 && strcmp(old, to) != 0) {
		error = os_sync_directory(mq->os, entry->directory->control);
		if (error == 0)
			error = os_unlink(mq->os, old);
	}
	if (error < 0)
		return error;
	entry->directory->is_control_dirty = true;
	os_close(mq->os, entry->file);
	entry->file = file;
	entry->seen = status;
	return 0;
}

/* A data file under the name that its old control file gave it gets the one
   that a control file of today gives it. */
static int
mq_name_data(struct mqueue *mq, struct mq_entry *entry)
{
	char path[MQ_PATH_MAX];
	int error;

	if (entry->has_version || entry->data_path == NULL)
		return 0;
	mq_path(path, entry->directory->data, "df", entry->message->id);
	error = os_rename(mq->os, entry->data_path, path);
	if (error < 0)
		return error;
	free(entry->data_path);
	entry->data_path = NULL;
	return os_sync_directory(mq->os, entry->directory->data);
}

/* Makes the new control file from the one that is open, and puts it there. */
static int
mq_rewrite_file(struct mqueue *mq, struct mq_entry *entry, struct qf *q,
    struct arena *arena, struct buf *out)
{
	bool was_quarantined = entry->is_quarantined;
	struct os_file *file = NULL;
	char path[MQ_PATH_MAX];
	int error = mq_compose(mq, entry, q, arena, out);

	mq_path(path, entry->directory->control, "tf", entry->message->id);
	if (error == 0)
		error = mq_name_data(mq, entry);
	if (error == 0)
		error = mq_make_control(
		    mq, entry->directory, entry->message->id, &file);
	if (error == 0)
		error = mq_write_all(mq, file, buf_str(out));
	if (error == 0)
		error = mq_sync_file(mq, file, path);
	if (error == 0)
		error = mq_replace(mq, entry, file, mq_is_stopped(entry));
	if (error == 0)
		return 0;
	entry->is_quarantined = was_quarantined;
	if (file != NULL) {
		(void)os_unlink(mq->os, path);
		os_close(mq->os, file);
	}
	return error;
}

int
mq_rewrite(struct mqueue *mq, struct mq_entry *entry)
{
	size_t map_count = entry->map_count;
	struct qf_problem problem;
	struct mq_facts facts;
	struct arena arena;
	struct buf text, out;
	uint32_t *map;
	bool has_facts;
	struct qf q;
	int error;

	CHECK(entry->file != NULL);
	buf_init(&text, QF_FILE_MAX);
	buf_init(&out, QF_FILE_MAX);
	map = mem_new(map_count, sizeof(*map));
	memcpy(map, entry->map, map_count * sizeof(*map));
	error = mq_read_file(mq->os, entry->file, entry->seen.size, &text);
	arena_init(&arena, 2 * QF_ARENA_SIZE(buf_size(&text)) + QF_FILE_MAX);
	if (error == 0)
		error = qf_read(buf_str(&text), &arena, &q, &problem);
	/* The recipients as they were counted when it was indexed. */
	if (error == 0)
		error = mq_facts_begin(&q, &arena, &facts, &has_facts);
	if (error == 0)
		error = mq_rewrite_file(mq, entry, &q, &arena, &out);
	if (error == 0) {
		entry->has_version = true;
		entry->is_tried = false;
	} else {
		/* The file is as it was. */
		memcpy(entry->map, map, map_count * sizeof(*map));
		entry->map_count = map_count;
	}
	free(map);
	arena_fini(&arena);
	buf_fini(&text);
	buf_fini(&out);
	return error;
}
