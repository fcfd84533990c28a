/* Short ways to make requests and to look at an engine. */
#include "base/crc32c.h"
#include "mail/address.h"
#include "store/contract_test.h"

struct store_request *
kit_run(struct store *store, struct store_request *request)
{
	store->ops->batch(store, &request, 1);
	store->ops->check(store);
	return request;
}

int
kit_finish(struct store *store, struct store_request *request)
{
	int error = kit_run(store, request)->error;

	store_request_free(request);
	return error;
}

bool
kit_reopen(struct kit *kit)
{
	if (kit->factory->reopen == NULL)
		return false;
	kit->store = kit->factory->reopen(kit->factory->arg, kit->store);
	assert_non_null(kit->store);
	kit->store->ops->check(kit->store);
	return true;
}

void
kit_set_id(char to[STORE_ID_MAX + 1], const char *id)
{
	/* One past the limit must stay one past the limit for the engine. */
	snprintf(to, STORE_ID_MAX + 1, "%s", id);
}

char *
kit_content(const char *id, size_t offset, size_t size)
{
	uint32_t salt = crc32c(0, str_from(id));
	char *bytes = mem_new(size + 1, 1);

	for (size_t i = 0; i < size; i++) {
		size_t at = offset + i;

		bytes[i] = (char)(at * 7 + at / 251 + at / 65536 + salt);
	}
	return bytes;
}

static struct str
kit_domain(struct str address)
{
	return str_skip(address, str_find(address, '@') + 1);
}

void
kit_set_row(struct store_message *message, size_t i, const char *address,
    const char *destination, bool is_held)
{
	struct store_row *row = &message->rows[i];

	row->recipient.address = arena_copy(&message->arena, str_from(address));
	row->recipient.orcpt = arena_copy(&message->arena, STR("rfc822;x"));
	row->recipient.notify = (uint8_t)(i % 3 == 0 ? 0 : MAIL_NOTIFY_DELAY);
	row->destination = arena_copy(&message->arena, str_from(destination));
	row->domain = kit_domain(row->recipient.address);
	row->is_held = is_held;
}

struct store_message *
kit_message_bare(const char *id, uint64_t rank, size_t row_count)
{
	struct store_message *message = store_message_new();

	kit_set_id(message->id, id);
	message->envelope.sender =
	    arena_copy(&message->arena, STR("sender@example.org"));
	message->envelope.envid = arena_copy(&message->arena, STR("QQ314159"));
	message->envelope.body = MAIL_BODY_8BITMIME;
	message->envelope.ret = MAIL_RET_HDRS;
	message->envelope.priority = 3;
	message->rank = rank;
	message->arrival_ms = 1000 + rank;
	message->arrival_wall_ms = 1700000000000 + rank;
	message->expire_ms = message->arrival_ms + KIT_EXPIRE_MS;
	message->row_count = row_count;
	message->rows = arena_new(
	    &message->arena, (row_count + 1) * sizeof(*message->rows));
	CHECK(message->rows != NULL);
	return message;
}

void
kit_set_content(struct store_message *message, size_t size)
{
	char *bytes = kit_content(message->id, 0, size);

	CHECK(buf_append(&message->content, str_of(bytes, size)) == 0);
	message->content_size = size;
	free(bytes);
}

struct store_message *
kit_message(
    const char *id, uint64_t rank, size_t size, const struct kit_row *rows)
{
	struct store_message *message;
	size_t count = 0;

	while (rows[count].address != NULL)
		count++;
	message = kit_message_bare(id, rank, count);
	for (size_t i = 0; i < count; i++)
		kit_set_row(message, i, rows[i].address, rows[i].destination,
		    rows[i].is_held);
	kit_set_content(message, size);
	return message;
}

struct store_message *
kit_message_wide(
    const char *id, uint64_t rank, const char *destination, size_t count)
{
	struct store_message *message = kit_message_bare(id, rank, count);
	char address[64];

	for (size_t i = 0; i < count; i++) {
		snprintf(address, sizeof(address), "u%zu@%s", i, destination);
		kit_set_row(message, i, address, destination, false);
	}
	kit_set_content(message, 10);
	return message;
}

int
kit_append(struct store *store, struct store_message *message)
{
	struct store_request *request = store_request_new(STORE_APPEND);

	request->u.append.message = message;
	return kit_finish(store, request);
}

void
kit_append_one(struct store *store, const char *id, uint64_t rank,
    const char *destination, bool is_held)
{
	char address[STORE_DESTINATION_MAX + 3];
	struct kit_row rows[] = {{address, destination, is_held}, {NULL}};

	snprintf(address, sizeof(address), "u@%s", destination);
	assert_int_equal(
	    kit_append(store, kit_message(id, rank, 100 + rank, rows)), 0);
}

int
kit_stage(struct store *store, const char *id, size_t offset, size_t size)
{
	struct store_request *request = store_request_new(STORE_STAGE);
	char *bytes = kit_content(id, offset, size);
	int error;

	kit_set_id(request->u.stage.id, id);
	request->u.stage.bytes = str_of(bytes, size);
	error = kit_finish(store, request);
	free(bytes);
	return error;
}

int
kit_unstage(struct store *store, const char *id)
{
	struct store_request *request = store_request_new(STORE_UNSTAGE);

	kit_set_id(request->u.unstage.id, id);
	return kit_finish(store, request);
}

struct store_request *
kit_take_domains(struct store *store, const char *destination,
    const char *const *domains, bool is_released, size_t count)
{
	struct store_request *request = store_request_new(STORE_TAKE);
	struct str *wanted =
	    arena_new(&request->arena, 16 * sizeof(struct str));
	size_t domain_count = 0;

	for (; domains != NULL && domains[domain_count] != NULL; domain_count++)
		wanted[domain_count] = str_from(domains[domain_count]);
	request->u.take.destination = str_from(destination);
	request->u.take.domains = wanted;
	request->u.take.domain_count = domain_count;
	request->u.take.is_released = is_released;
	request->u.take.count = count;
	request->u.take.inline_max = STORE_BLOCK;
	assert_int_equal(kit_run(store, request)->error, 0);
	assert_true(request->u.take.lease_count <= count);
	return request;
}

struct store_request *
kit_take(struct store *store, const char *destination, bool is_released,
    size_t count)
{
	return kit_take_domains(store, destination, NULL, is_released, count);
}

void
kit_expect_take(struct store *store, const char *destination, bool is_released,
    size_t count, const char *want)
{
	struct store_request *request =
	    kit_take(store, destination, is_released, count);
	char got[1000] = "";

	for (size_t i = 0; i < request->u.take.lease_count; i++) {
		size_t at = strlen(got);

		snprintf(got + at, sizeof(got) - at, "%s%s", at ? " " : "",
		    request->u.take.leases[i].id);
	}
	assert_string_equal(got, want);
	store_request_free(request);
}

struct store_request *
kit_settle_new(const char *id, const char *destination,
    const struct store_result *results, size_t count)
{
	struct store_request *request = store_request_new(STORE_SETTLE);

	kit_set_id(request->u.settle.id, id);
	request->u.settle.destination = str_from(destination);
	request->u.settle.results = results;
	request->u.settle.result_count = count;
	return request;
}

int
kit_settle(struct store *store, const char *id, const char *destination,
    struct store_result result, bool *is_done_out)
{
	struct store_request *request =
	    kit_settle_new(id, destination, &result, 1);
	int error = kit_run(store, request)->error;

	if (is_done_out != NULL)
		*is_done_out = request->u.settle.is_message_done;
	store_request_free(request);
	return error;
}

/* Carries out, slice by slice, what LIKE asks for. */
static int
kit_change_all(struct store *store, const struct store_request *like,
    size_t *changed_out, size_t *leased_out)
{
	bool is_dry = like->u.change.is_dry;
	uint64_t key = 0;
	int error;

	*changed_out = *leased_out = 0;
	do {
		struct store_request *request = store_request_new(STORE_CHANGE);

		request->u.change = like->u.change;
		request->u.change.after_key = key;
		error = kit_run(store, request)->error;
		assert_true(is_dry ||
			    request->u.change.changed_count <= STORE_SLICE_MAX);
		*changed_out += request->u.change.changed_count;
		*leased_out += request->u.change.leased_count;
		key = request->u.change.next_key;
		store_request_free(request);
	} while (error == 0 && key != 0);
	return error;
}

int
kit_change_filter(struct store *store, enum store_change change, bool is_dry,
    const struct store_filter *filter, size_t *changed_out, size_t *leased_out)
{
	const struct store_request like = {.u.change.change = change,
	    .u.change.filter = *filter,
	    .u.change.is_dry = is_dry};

	return kit_change_all(store, &like, changed_out, leased_out);
}

int
kit_hold(struct store *store, const struct store_filter *filter,
    const char *reason, size_t *changed_out, size_t *leased_out)
{
	const struct store_request like = {.u.change.change = STORE_CHANGE_HOLD,
	    .u.change.filter = *filter,
	    .u.change.reason = str_from(reason)};

	return kit_change_all(store, &like, changed_out, leased_out);
}

int
kit_change(struct store *store, enum store_change change, const char *id,
    const char *destination, size_t *changed_out, size_t *leased_out)
{
	struct store_filter filter = {
	    .id = str_from(id), .destination = str_from(destination)};

	return kit_change_filter(
	    store, change, false, &filter, changed_out, leased_out);
}

int
kit_park(struct store *store, const char *destination, uint64_t due_ms,
    uint32_t failures)
{
	struct store_request *request = store_request_new(STORE_PARK);

	request->u.park.destination = str_from(destination);
	request->u.park.due_ms = due_ms;
	request->u.park.failures = failures;
	return kit_finish(store, request);
}

int
kit_rehold(struct store *store, const char *destination)
{
	struct store_request *request = store_request_new(STORE_REHOLD);

	request->u.rehold.destination = str_from(destination);
	return kit_finish(store, request);
}

int
kit_clock(struct store *store, uint64_t queue_ms, uint64_t wall_ms)
{
	struct store_request *request = store_request_new(STORE_CLOCK);

	request->u.clock.queue_ms = queue_ms;
	request->u.clock.wall_ms = wall_ms;
	return kit_finish(store, request);
}

int
kit_read(struct store *store, const char *id, struct buf *out)
{
	int error = 0;
	size_t size = 1;

	for (uint64_t index = 0; error == 0 && size > 0; index++) {
		struct store_request *request = store_request_new(STORE_READ);

		kit_set_id(request->u.read.id, id);
		request->u.read.index = index;
		error = kit_run(store, request)->error;
		size = request->u.read.bytes.size;
		assert_true(size <= STORE_BLOCK);
		if (error == 0 && size > 0) {
			/* Only the last block may be short. */
			assert_int_equal(buf_size(out), index * STORE_BLOCK);
			assert_int_equal(
			    buf_append(out, request->u.read.bytes), 0);
		}
		store_request_free(request);
	}
	return error;
}

void
kit_put(struct buf *out, const char *format, ...)
{
	char line[4096];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	CHECK(size >= 0 && (size_t)size < sizeof(line));
	CHECK(buf_append(out, str_of(line, (size_t)size)) == 0);
}

void
kit_put_envelope(struct buf *out, const struct mail_envelope *e)
{
	kit_put(out, " from=%.*s envid=%.*s auth=%.*s %d %d %d %d",
	    STR_ARG(e->sender), STR_ARG(e->envid), STR_ARG(e->auth), e->body,
	    e->ret, e->is_smtputf8, e->priority);
}

static void
kit_put_found(struct buf *out, const struct store_found *found)
{
	kit_put(out, "%s arrival=%llu/%llu expire=%llu size=%llu", found->id,
	    KIT_U(found->arrival_ms), KIT_U(found->arrival_wall_ms),
	    KIT_U(found->expire_ms), KIT_U(found->content_size));
	kit_put_envelope(out, &found->envelope);
	if (found->reason.size > 0)
		kit_put(out, " reason=%.*s", STR_ARG(found->reason));
	for (size_t i = 0; i < found->row_count; i++) {
		const struct store_found_row *row = &found->rows[i];

		kit_put(out,
		    "\n  %u lane=%d leased=%d attempts=%u due=%llu to=%.*s"
		    " orcpt=%.*s notify=%d at=%.*s status=%.*s",
		    row->index, row->lane, row->is_leased, row->attempts,
		    KIT_U(row->due_ms), STR_ARG(row->recipient.address),
		    STR_ARG(row->recipient.orcpt),
		    mail_recipient_bits(&row->recipient),
		    STR_ARG(row->destination), STR_ARG(row->status));
		if (row->alarm_ms > 0)
			kit_put(out, " alarm=%llu told=%d",
			    KIT_U(row->alarm_ms), row->is_told);
	}
	kit_put(out, "\n");
}

size_t
kit_put_filter(struct store *store, struct buf *out,
    const struct store_filter *filter, size_t page)
{
	uint64_t key = 0, next_key;
	size_t total = 0, count;

	do {
		struct store_request *request = store_request_new(STORE_FIND);

		request->u.find.filter = *filter;
		request->u.find.after_key = key;
		request->u.find.count = page;
		assert_int_equal(kit_run(store, request)->error, 0);
		count = request->u.find.found_count;
		assert_true(count <= page && count <= STORE_PAGE_MAX);
		for (size_t i = 0; i < count; i++) {
			assert_true(request->u.find.found[i].key > key);
			assert_true(request->u.find.found[i].row_count > 0);
			key = request->u.find.found[i].key;
			kit_put_found(out, &request->u.find.found[i]);
		}
		total += count;
		next_key = request->u.find.next_key;
		assert_true(next_key == 0 || next_key >= key);
		assert_true(
		    next_key == 0 || next_key > request->u.find.after_key);
		key = next_key;
		store_request_free(request);
	} while (key > 0);
	return total;
}

size_t
kit_put_find(struct store *store, struct buf *out, const char *id,
    const char *destination, size_t page)
{
	struct store_filter filter = {
	    .id = str_from(id), .destination = str_from(destination)};

	return kit_put_filter(store, out, &filter, page);
}

static void
kit_put_destination(struct buf *out, const struct store_destination *d)
{
	kit_put(out,
	    "%.*s rows=%llu/%llu/%llu/%llu messages=%llu bytes=%llu"
	    " oldest=%llu due=%llu failures=%u\n",
	    STR_ARG(d->name), KIT_U(d->rows[STORE_READY]),
	    KIT_U(d->rows[STORE_WAITING]), KIT_U(d->rows[STORE_HELD]),
	    KIT_U(d->rows[STORE_STOPPED]), KIT_U(d->messages), KIT_U(d->bytes),
	    KIT_U(d->oldest_ms), KIT_U(d->due_ms), d->failures);
}

void
kit_put_destinations(struct store *store, struct buf *out, bool is_ready,
    uint64_t now_ms, size_t page)
{
	char after[STORE_DESTINATION_MAX + 1] = "";
	size_t count;

	do {
		struct store_request *request =
		    store_request_new(STORE_DESTINATIONS);

		request->u.destinations.after = str_from(after);
		request->u.destinations.is_ready = is_ready;
		request->u.destinations.now_ms = now_ms;
		request->u.destinations.count = page;
		assert_int_equal(kit_run(store, request)->error, 0);
		count = request->u.destinations.destination_count;
		assert_true(count <= page);
		for (size_t i = 0; i < count; i++) {
			const struct store_destination *d =
			    &request->u.destinations.destinations[i];

			assert_int_equal(
			    str_compare(d->name, str_from(after)), 1);
			kit_put_destination(out, d);
			snprintf(
			    after, sizeof(after), "%.*s", STR_ARG(d->name));
		}
		if (is_ready)
			kit_put(out, "next=%llu\n",
			    KIT_U(request->u.destinations.next_due_ms));
		store_request_free(request);
	} while (count > 0);
}

struct buf
kit_state(struct store *store)
{
	struct buf out;

	buf_init(&out, KIT_STATE_MAX);
	kit_put_find(store, &out, "", "", STORE_PAGE_MAX);
	kit_put_destinations(store, &out, false, 0, 100);
	return out;
}

void
kit_expect_same(struct buf *a, struct buf *b)
{
	if (!str_equal(buf_str(a), buf_str(b)))
		fail_msg("these differ:\n%.*s\nand\n%.*s", STR_ARG(buf_str(a)),
		    STR_ARG(buf_str(b)));
	buf_fini(a);
	buf_fini(b);
}
