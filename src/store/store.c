/* Requests and messages: made and freed in one place for all engines. */
#include "store/store.h"
#include "base/check.h"
#include "base/mem.h"
#include "mail/address.h"

#include <stdlib.h>

#define STORE_GAP_MAX_MS UINT64_C(2592000000) /* 30 days */

struct store_request *
store_request_new(enum store_verb verb)
{
	struct store_request *request = mem_new(1, sizeof(*request));

	CHECK(verb < STORE_VERBS);
	request->verb = verb;
	arena_init(&request->arena, STORE_ARENA_MAX);
	return request;
}

void
store_request_free(struct store_request *request)
{
	if (request == NULL)
		return;
	if (request->verb == STORE_APPEND)
		store_message_free(request->u.append.message);
	if (request->verb == STORE_SETTLE)
		store_message_free(request->u.settle.dsn);
	arena_fini(&request->arena);
	free(request);
}

size_t
store_inline_max(const struct store_request *request)
{
	if (request->verb == STORE_TAKE)
		return request->u.take.inline_max;
	return request->verb == STORE_LEASE ? request->u.lease.inline_max : 0;
}

struct store_message *
store_message_new(void)
{
	struct store_message *message = mem_new(1, sizeof(*message));

	arena_init(&message->arena, STORE_ARENA_MAX);
	buf_init(&message->content, STORE_CONTENT_MEMORY);
	return message;
}

void
store_message_free(struct store_message *message)
{
	if (message == NULL)
		return;
	arena_fini(&message->arena);
	buf_fini(&message->content);
	free(message);
}

bool
store_id_is_valid(struct str id)
{
	if (id.size == 0 || id.size > STORE_ID_MAX || id.data[0] == '.')
		return false;
	for (size_t i = 0; i < id.size; i++)
		if (!ascii_is_alpha(id.data[i]) &&
		    !ascii_is_digit(id.data[i]) && id.data[i] != '-' &&
		    id.data[i] != '_' && id.data[i] != '.')
			return false;
	return true;
}

bool
store_domains_have(const struct str *domains, size_t count, struct str domain)
{
	for (size_t i = 0; i < count; i++) {
		bool is_tree = str_starts(domains[i], STR("@"));

		if (is_tree
			? mail_domain_is_under(domain, str_skip(domains[i], 1))
			: str_equal(domain, domains[i]))
			return true;
	}
	return count == 0;
}

bool
store_address_matches(struct str wanted, struct str address)
{
	size_t at = wanted.size, mark = address.size;
	struct str domain;

	if (wanted.size == 0)
		return true;
	if (str_equal(wanted, STR("<>")))
		return address.size == 0;
	/* The last "@": a quoted local part may have one too. */
	while (at > 0 && wanted.data[at - 1] != '@')
		at--;
	while (mark > 0 && address.data[mark - 1] != '@')
		mark--;
	if (at == 0 || mark == 0)
		return str_equal(wanted, address);
	domain = str_skip(wanted, at);
	return str_case_equal(domain, str_skip(address, mark)) &&
	       (at == 1 ||
		   str_equal(str_head(wanted, at), str_head(address, mark)));
}

bool
store_filter_has_message(const struct store_filter *filter, struct str sender,
    uint64_t arrival_ms, uint64_t size)
{
	return (filter->arrival_max_ms == 0 ||
		   arrival_ms <= filter->arrival_max_ms) &&
	       (filter->size_above == 0 || size > filter->size_above) &&
	       store_address_matches(filter->sender, sender);
}

bool
store_filter_has_row(const struct store_filter *filter, struct str destination,
    struct str domain, struct str address)
{
	return (filter->destination.size == 0 ||
		   str_equal(filter->destination, destination)) &&
	       (filter->domain.size == 0 ||
		   store_domains_have(&filter->domain, 1, domain)) &&
	       store_address_matches(filter->recipient, address);
}

uint64_t
store_time_resumed(const struct store_info *info, uint64_t wall_ms)
{
	uint64_t gap_ms = 0;

	if (info->queue_ms == 0)
		return wall_ms;
	if (info->wall_ms > 0 && wall_ms > info->wall_ms &&
	    wall_ms - info->wall_ms <= STORE_GAP_MAX_MS)
		gap_ms = wall_ms - info->wall_ms;
	return info->queue_ms + gap_ms;
}

bool
store_reason_is_valid(struct str reason)
{
	if (reason.size > STORE_REASON_MAX)
		return false;
	for (size_t i = 0; i < reason.size; i++)
		if (reason.data[i] == '\0' || reason.data[i] == '\r' ||
		    reason.data[i] == '\n')
			return false;
	return true;
}

bool
store_move_is_valid(const struct store_move *moves, size_t count)
{
	bool is_named[STORE_RECIPIENTS_MAX] = {false};

	if (count > STORE_SLICE_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (moves[i].index >= STORE_RECIPIENTS_MAX ||
		    is_named[moves[i].index] ||
		    moves[i].destination.size == 0 ||
		    moves[i].destination.size > STORE_DESTINATION_MAX ||
		    moves[i].alarm_ms > INT64_MAX)
			return false;
		is_named[moves[i].index] = true;
	}
	return true;
}

static bool
store_row_is_valid(const struct store_row *row)
{
	const struct mail_recipient *r = &row->recipient;

	return r->address.size > 0 && r->address.size <= MAIL_ADDRESS_MAX &&
	       r->orcpt.size <= MAIL_ORCPT_MAX &&
	       r->notify <= MAIL_NOTIFY_ALL &&
	       row->domain.size <= MAIL_DOMAIN_MAX &&
	       row->destination.size > 0 &&
	       row->destination.size <= STORE_DESTINATION_MAX;
}

/* What mail_envelope_get() will take again. */
static bool
store_envelope_is_valid(const struct mail_envelope *e)
{
	return e->sender.size <= MAIL_ADDRESS_MAX &&
	       e->envid.size <= MAIL_ENVID_MAX &&
	       e->auth.size <= MAIL_AUTH_MAX && e->body <= MAIL_BODY_8BITMIME &&
	       e->ret <= MAIL_RET_HDRS && e->priority >= -MAIL_PRIORITY_MAX &&
	       e->priority <= MAIL_PRIORITY_MAX;
}

bool
store_message_is_valid(const struct store_message *message)
{
	if (!store_id_is_valid(str_from(message->id)) ||
	    message->row_count == 0 ||
	    message->row_count > STORE_RECIPIENTS_MAX)
		return false;
	if (!store_envelope_is_valid(&message->envelope))
		return false;
	if (!message->is_staged &&
	    message->content_size != buf_size(&message->content))
		return false;
	for (size_t i = 0; i < message->row_count; i++)
		if (!store_row_is_valid(&message->rows[i]))
			return false;
	return true;
}
