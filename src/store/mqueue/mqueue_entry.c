/*
 * Control files and the index: what is read becomes a message there, what
 * changes there is written.  A file that we did not write, or that another
 * program has written since, has no line of ours; then what it lacks is
 * derived: times from T, the place in the queue from P, attempts from N, where
 * each recipient goes from the configuration.
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
/* sendmail's factors (op.me, RecipientFactor and RetryFactor). */
#define MQ_RECIPIENT_FACTOR 30000
#define MQ_RETRY_FACTOR     90000
/* The rank of a message with priority 0 and no size, after its arrival, as
   others have it. */
#define MQ_RANK_MS   UINT64_C(5400000)
#define MQ_GRACE_MS  UINT64_C(1800000) /* for one attempt at what is too old */
#define MQ_HELD_TEXT "held"
/* Modes of a deliver-by line. */
#define MQ_BY_MODE   0x0F
#define MQ_BY_RETURN 2

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

/* Facts of a file without ours. */
static void
mq_facts_derive(struct mqueue *mq, const struct qf *q,
    const struct os_status *status, uint64_t data_size, struct mq_facts *facts)
{
	uint64_t now_ms = mq_now_ms(mq);
	int64_t priority = q->priority < -1000000 ? -1000000 : q->priority;

	*facts = (struct mq_facts){
	    .arrival_wall_ms = q->created == QF_CREATED_GIVEN
	                           ? (uint64_t)q->created_s * 1000
	                           : status->mtime_ns / 1000000,
	    .size = status->size + data_size,
	    .row_count = q->recipient_count < STORE_RECIPIENTS_MAX
	                     ? (uint32_t)q->recipient_count
	                     : STORE_RECIPIENTS_MAX,
	};
	facts->count = facts->row_count;
	/* Of one second, as they were read. */
	facts->order =
	    facts->arrival_wall_ms * 1000 + mq->derived_count++ % 1000000;
	facts->arrival_ms = facts->arrival_wall_ms;
	if (mq->offset_ms < 0 && facts->arrival_ms <= (uint64_t)-mq->offset_ms)
		facts->arrival_ms = 1;
	else
		facts->arrival_ms += (uint64_t)mq->offset_ms;
	if (facts->arrival_ms > now_ms)
		facts->arrival_ms = now_ms;
	if (priority > INT32_MAX)
		priority = INT32_MAX;
	facts->rank =
	    facts->arrival_ms + MQ_RANK_MS + (uint64_t)(priority / 16);
	facts->expire_ms = facts->arrival_ms;
}

/* True if the message is to be returned unless it is delivered by a time, and
   that cannot be promised: who takes it on has to know of it, as no host does
   here, and a Maildir has it at once or not at all. */
static bool
mq_is_over_time(struct mqueue *mq, const struct qf *q,
    const struct mq_facts *facts, const char *destination)
{
	if (!q->has_deliver_by ||
	    (q->deliver_mode & MQ_BY_MODE) != MQ_BY_RETURN)
		return false;
	return !str_starts(str_from(destination), STR("maildir:")) ||
	       mq_now_ms(mq) >=
	           facts->arrival_ms + (uint64_t)q->deliver_by_s * 1000;
}

/* Where a recipient of a foreign file goes, and until when. */
static void
mq_derive_row(struct mqueue *mq, const struct qf *q,
    const struct qf_address *address, struct mq_facts *facts,
    struct store_row *row, struct arena *arena)
{
	uint8_t notify = row->recipient.notify;
	struct mqueue_route route = {.destination = ""};
	uint64_t now_ms = mq_now_ms(mq), end_ms;

	if (address->kind == QF_ADDRESS_PROGRAM ||
	    address->kind == QF_ADDRESS_FILE ||
	    address->kind == QF_ADDRESS_INCLUDE)
		snprintf(route.destination, sizeof(route.destination), "%s",
		    MQUEUE_LOCAL);
	else if (address->kind != QF_ADDRESS_MAIL || address->is_oversize)
		snprintf(route.destination, sizeof(route.destination), "%s",
		    MQUEUE_BAD);
	else
		mq->options.route(
		    mq->options.route_arg, row->recipient.address, &route);
	if (mq_is_over_time(mq, q, facts, route.destination))
		snprintf(route.destination, sizeof(route.destination), "%s",
		    str_equal(str_from(route.destination), STR(MQUEUE_BAD))
			? MQUEUE_BAD
			: MQUEUE_BY);
	if (route.expire_ms == 0)
		route.expire_ms = MQ_EXPIRE_MS;
	end_ms = facts->arrival_ms + route.expire_ms;
	if (facts->expire_ms < end_ms)
		facts->expire_ms = end_ms;
	row->destination = arena_copy(arena, str_from(route.destination));
	row->domain = arena_copy(arena, str_from(route.domain));
	row->is_held = route.is_held;
	row->alarm_ms = end_ms;
	if (!q->is_warned && route.notice_ms > 0 &&
	    route.notice_ms < route.expire_ms &&
	    (notify == 0 || (notify & MAIL_NOTIFY_DELAY) != 0))
		row->alarm_ms = facts->arrival_ms + route.notice_ms;
	/* What is too old, or late, is tried once before anybody is told; what
	   is bad is returned now. */
	if (row->alarm_ms < now_ms + MQ_GRACE_MS)
		row->alarm_ms = now_ms + MQ_GRACE_MS;
	if (str_equal(row->destination, STR(MQUEUE_BAD)) ||
	    str_equal(row->destination, STR(MQUEUE_BY)))
		row->alarm_ms = 1;
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
	if (row->recipient.address.size == 0)
		row->recipient.address = STR("unknown");
	row->recipient.address =
	    str_head(row->recipient.address, MAIL_ADDRESS_MAX);
	if (known != NULL) {
		row->destination = known->destination;
		row->domain = known->domain;
		row->is_held = known->is_held;
		row->alarm_ms = known->has_alarm ? known->alarm_ms : 0;
		return 0;
	}
	if (address.kind == QF_ADDRESS_MAIL && !address.has_domain)
		row->recipient.address = str_head(
		    mq_qualify(mq, &message->arena, row->recipient.address),
		    MAIL_ADDRESS_MAX);
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
	if (!has_facts)
		message->envelope.sender = str_head(
		    mq_qualify(mq, &message->arena, message->envelope.sender),
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

/* True for what is left of a message when all that were in the index are gone:
   nobody of these was tried.  See mq_compose(). */
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
			if (str_equal(q->data_directory,
				str_from(mq->directories[i].name)))
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

struct ram_message *
mq_index(struct mqueue *mq, struct mq_directory *directory, const char *id,
    bool is_quarantined, struct qf *q, const struct os_status *status)
{
	struct store_message *message = store_message_new();
	uint32_t *map = mem_new(STORE_RECIPIENTS_MAX, sizeof(*map));
	struct mq_entry *entry = mem_new(1, sizeof(*entry));
	struct ram_message *indexed = NULL;
	struct mq_facts facts;
	struct os_status data = {.size = 0};
	char path[MQ_PATH_MAX];
	bool has_facts;
	int error = mq_facts_begin(q, &message->arena, &facts, &has_facts);

	snprintf(message->id, sizeof(message->id), "%s", id);
	entry->data_path = mq_find_data(mq, directory, id, q);
	entry->directory = directory;
	if (!has_facts) {
		mq_path(path, directory->data, "df", id);
		(void)os_status(mq->os,
		    entry->data_path != NULL ? entry->data_path : path, &data);
		mq_facts_derive(mq, q, status, data.size, &facts);
	}
	if (error == 0)
		error = mq_read_message(mq, q, &facts, has_facts, map, message);
	if (error == 0 && store_message_is_valid(message)) {
		indexed = ram_append(mq->ram, message, facts.order);
		indexed->entry = entry;
		entry->message = indexed;
		entry->is_quarantined = is_quarantined;
		if (q->has_quarantine)
			entry->reason = mem_copy_text(
			    q->quarantine.data, q->quarantine.size);
		entry->has_version = q->has_version;
		entry->attempted_s = q->attempted_s;
		entry->priority = q->priority;
		entry->seen = *status;
		entry->map = mem_resize(map, facts.count, sizeof(*map));
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
		const char *reason = "";

		HASH_FIND_STR(mq->ram->by_id, found->id, message);
		CHECK(message != NULL);
		entry = mq_entry_of(message);
		if (mq_is_stopped(entry))
			reason = entry->reason != NULL ? entry->reason
			                               : MQ_HELD_TEXT;
		/* Where they do not fit they are not known. */
		found->reason = arena_copy(&request->arena, str_from(reason));
		found->directory = arena_copy(
		    &request->arena, str_from(entry->directory->data));
		found->attempted_wall_ms = (uint64_t)entry->attempted_s * 1000;
		found->has_priority = true;
		found->priority = entry->priority;
	}
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
	q->has_quarantine = mq_is_stopped(entry);
	if (!q->has_quarantine) {
		q->quarantine = STR("");
		free(entry->reason);
		entry->reason = NULL;
	} else if (entry->reason != NULL)
		q->quarantine = str_from(entry->reason);
	else if (q->quarantine.size == 0)
		q->quarantine = STR(MQ_HELD_TEXT);
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
	int error = os_file_status(mq->os, file, &entry->seen);

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
	error = mq_read_file(mq->os, entry->file, &text);
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
