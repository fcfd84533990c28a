/*
 * Recipients that are aliases, replaced by those for whom they stand, before
 * anything is stored.
 *
 * What a sender asked for goes on by RFC 3461 5.2.7:
 *	an alias of one: all of it;
 *	an alias of many: all but NOTIFY=SUCCESS, which is answered "expanded";
 *	a list (there is an owner): nothing, and NOTIFY=SUCCESS is answered
 *	"delivered"; who is told of trouble is the owner.
 *
 * Invariants: an alias is replaced whole, or the message is refused; a program
 * or a file becomes a recipient here only, as a member of an alias.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "conf/alias.h"
#include "mail/alias_local.h"
#include "role/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* True if both are one mailbox: only domains have no case. */
static bool
alias_is_same(struct str a, struct str b)
{
	struct mail_address left, right;

	if (!str_case_equal(a, b))
		return false;
	if (alias_local_is(a))
		return str_equal(a, b);
	return mail_address_parse(a, &left) == 0 &&
	       mail_address_parse(b, &right) == 0 &&
	       str_equal(left.local, right.local);
}

static bool
alias_is_there(const struct queue_intake *intake, struct str address)
{
	const struct queue_part *part;

	for (size_t i = 0; i < intake->again.other_count; i++)
		if (alias_is_same(intake->again.others[i], address))
			return true;
	for (part = intake->parts; part != NULL; part = part->next)
		for (size_t i = 0; i < part->message->row_count; i++)
			if (alias_is_same(
				part->message->rows[i].recipient.address,
				address))
				return true;
	return false;
}

/* ADDRESS as an ORCPT (RFC 3461 4.2, 5.2.1); empty where it does not fit. */
static struct str
alias_orcpt(struct str address, char text[MAIL_ORCPT_MAX])
{
	static const char hex[] = "0123456789ABCDEF";
	struct str type = STR("rfc822;");
	size_t size = type.size;

	memcpy(text, type.data, size);
	for (size_t i = 0; i < address.size; i++) {
		unsigned char c = (unsigned char)address.data[i];

		if (size + 3 > MAIL_ORCPT_MAX || c >= 0x80)
			return STR("");
		if (c > ' ' && c <= '~' && c != '+' && c != '=') {
			text[size++] = (char)c;
			continue;
		}
		text[size++] = '+';
		text[size++] = hex[c / 16];
		text[size++] = hex[c % 16];
	}
	return str_of(text, size);
}

/* LEAF as a recipient, with what FROM asked for. */
static struct mail_recipient
alias_recipient(const struct alias_leaf *leaf,
    const struct mail_recipient *from, bool is_one, char orcpt[MAIL_ORCPT_MAX])
{
	struct mail_recipient to = {
	    .address = leaf->address,
	    .orcpt = STR(""),
	    .is_expanded = !leaf->is_alias,
	};

	if (leaf->owner.size > 0)
		return to;
	to.orcpt = from->orcpt.size > 0 ? from->orcpt
	                                : alias_orcpt(from->address, orcpt);
	to.notify = from->notify;
	if (is_one || (to.notify & MAIL_NOTIFY_SUCCESS) == 0)
		return to;
	to.notify &= (uint8_t)~MAIL_NOTIFY_SUCCESS;
	if (to.notify == 0)
		to.notify = MAIL_NOTIFY_NEVER;
	return to;
}

/* Remembers that the sender is to be told, if he asked for it. */
static int
alias_note(struct queue_intake *intake, const struct mail_recipient *recipient,
    const struct alias_expansion *e)
{
	struct queue_alias_note *note;
	bool is_list = e->leaf_count > 0;

	if ((recipient->notify & MAIL_NOTIFY_SUCCESS) == 0)
		return 0;
	for (size_t i = 0; i < e->leaf_count; i++)
		is_list = is_list && e->leaves[i].owner.size > 0;
	/* Where one gets it, he tells of it himself. */
	if (e->leaf_count == 1 && !is_list)
		return 0;
	note = arena_new(&intake->arena, sizeof(*note));
	if (note == NULL || mail_recipient_copy(&intake->arena, recipient,
				&note->recipient) < 0)
		return -ENOBUFS;
	note->action = is_list || e->leaf_count == 0 ? MAIL_DSN_DELIVERED
	                                             : MAIL_DSN_EXPANDED;
	note->next = intake->notes;
	intake->notes = note;
	intake->note_count++;
	return 0;
}

static int
alias_take_leaf(struct queue *q, struct queue_intake *intake,
    const struct alias_leaf *leaf, const struct mail_recipient *to)
{
	struct str sender = intake->envelope.sender;
	struct queue_part *part;

	if (alias_is_there(intake, to->address))
		return 0;
	/* Who has no sender to tell of trouble wants none to be told. */
	if (leaf->owner.size > 0 && sender.size > 0)
		sender = leaf->owner;
	part = queue_intake_part(q, intake, sender);
	if (part == NULL)
		return -EMLINK;
	return queue_intake_add(q, part, to) < 0 ? -EMLINK : 0;
}

int
queue_alias_expanded(struct queue *q, struct queue_intake *intake,
    const struct mail_recipient *recipient, const struct alias_expansion *e)
{
	char orcpt[MAIL_ORCPT_MAX];
	int error = alias_note(intake, recipient, e);

	intake->is_aliased = true;
	intake->is_discarded = intake->is_discarded || e->leaf_count == 0;
	for (size_t i = 0; error == 0 && i < e->leaf_count; i++) {
		struct mail_recipient to = alias_recipient(
		    &e->leaves[i], recipient, e->leaf_count == 1, orcpt);

		error = alias_take_leaf(q, intake, &e->leaves[i], &to);
	}
	log_event(LOG_DETAIL, "alias", intake->id, "rcpt=<%.*s> nrcpt=%zu",
	    STR_ARG(recipient->address), e->leaf_count);
	return error;
}

int
queue_alias_take(struct queue *q, struct queue_intake *intake,
    const struct mail_recipient *recipient)
{
	struct alias_expansion e = {.leaf_count = 0};
	enum alias_outcome outcome = ALIAS_NONE;
	int error = 0;

	if (!recipient->is_expanded)
		outcome = conf_alias_expand(
		    q->conf, recipient->address, STORE_RECIPIENTS_MAX, &e);

	if (outcome == ALIAS_DONE)
		error = queue_alias_expanded(q, intake, recipient, &e);
	else if (outcome != ALIAS_NONE || alias_local_is(recipient->address))
		error = -EINVAL;
	else if (!intake->is_aliased ||
		 !alias_is_there(intake, recipient->address))
		error = queue_intake_add(q, intake->parts, recipient);
	alias_expansion_fini(&e);
	return error;
}

/* Writes the notification about the notes. */
static int
alias_write(struct queue *q, const struct queue_intake *intake,
    struct store_message *dsn)
{
	const struct store_message *first = intake->parts->message;
	struct mail_dsn_recipient *recipients =
	    mem_new(intake->note_count, sizeof(recipients[0]));
	struct mail_dsn what = {
	    .hostname = q->conf->hostname,
	    .id = str_from(dsn->id),
	    .origin_id = str_from(intake->id),
	    .envelope = &intake->envelope,
	    .arrival_wall_ms = first->arrival_wall_ms,
	    .now_wall_ms = dsn->arrival_wall_ms,
	    .recipients = recipients,
	    .content = buf_str(&first->content),
	};
	const struct queue_alias_note *note = intake->notes;
	int error;

	for (; note != NULL; note = note->next)
		recipients[what.recipient_count++] =
		    (struct mail_dsn_recipient){
			.recipient = note->recipient,
			.action = note->action,
			.status = STR("2.0.0"),
		    };
	CHECK(what.recipient_count == intake->note_count);
	error = mail_dsn_put(&dsn->content, &what);
	free(recipients);
	dsn->content_size = buf_size(&dsn->content);
	return error;
}

static void
alias_log(const struct queue_intake *intake, const struct store_message *dsn)
{
	const struct queue_alias_note *note = intake->notes;

	for (; note != NULL; note = note->next)
		log_event(LOG_NOTE, "notified", intake->id,
		    "to=%.*s dsn=%s action=%s",
		    STR_ARG(note->recipient.address), dsn->id,
		    note->action == MAIL_DSN_EXPANDED ? "expanded"
						      : "delivered");
}

struct store_message *
queue_alias_notice(struct queue *q, const struct queue_intake *intake)
{
	struct store_message *dsn;
	struct mail_recipient to = {
	    .address = intake->envelope.sender,
	    .orcpt = STR(""),
	    .notify = MAIL_NOTIFY_NEVER,
	};

	if (intake->notes == NULL || to.address.size == 0)
		return NULL;
	dsn = store_message_new();
	newid_next(&q->newid, dsn->id);
	dsn->arrival_ms = intake->parts->message->arrival_ms;
	dsn->arrival_wall_ms = intake->parts->message->arrival_wall_ms;
	dsn->envelope.is_smtputf8 = intake->envelope.is_smtputf8;
	dsn->envelope.body = MAIL_BODY_8BITMIME;
	if (queue_alias_rows(q, dsn, &to) == 0 &&
	    alias_write(q, intake, dsn) == 0) {
		alias_log(intake, dsn);
		return dsn;
	}
	log_event(LOG_WARN, "notice-lost", intake->id, "sender=%.*s",
	    STR_ARG(to.address));
	store_message_free(dsn);
	return NULL;
}

bool
queue_alias_reaches(const struct queue *q, struct str alias, struct str address)
{
	struct alias_expansion e;
	enum alias_outcome outcome =
	    conf_alias_expand(q->conf, alias, STORE_RECIPIENTS_MAX, &e);
	bool is_reached = str_case_equal(alias, address);

	for (size_t i = 0; outcome == ALIAS_DONE && i < e.leaf_count; i++)
		is_reached =
		    is_reached || str_case_equal(e.leaves[i].address, address);
	alias_expansion_fini(&e);
	return is_reached;
}

/* Room for COUNT rows. */
static int
alias_rows_new(struct store_message *message, size_t count)
{
	CHECK(message->row_count == 0 && count > 0);
	message->rows =
	    arena_new(&message->arena, count * sizeof(message->rows[0]));
	return message->rows != NULL ? 0 : -ENOBUFS;
}

int
queue_alias_rows(struct queue *q, struct store_message *message,
    const struct mail_recipient *to)
{
	struct alias_expansion e;
	enum alias_outcome outcome =
	    conf_alias_expand(q->conf, to->address, STORE_RECIPIENTS_MAX, &e);
	int error = -EINVAL;

	if (outcome == ALIAS_NONE && !alias_local_is(to->address)) {
		error = alias_rows_new(message, 1);
		if (error == 0)
			error = queue_add_row(q, message, 1, to);
	} else if (outcome == ALIAS_DONE && e.leaf_count > 0) {
		struct mail_recipient leaf = *to;

		error = alias_rows_new(message, e.leaf_count);
		for (size_t i = 0; error == 0 && i < e.leaf_count; i++) {
			leaf.address = e.leaves[i].address;
			leaf.is_expanded = true;
			error = queue_add_row(q, message, e.leaf_count, &leaf);
		}
	}
	alias_expansion_fini(&e);
	return error;
}
