/*
 * Between the control file's envelope and the one of mail/envelope.h.  Nothing
 * is cut: what does not fit or could not be said in SMTP is left out, and the
 * caller is told.
 */
#include "mail/address.h"
#include "mail/alias_local.h"
#include "store/mqueue/qf_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint8_t
qf_notify(uint8_t recipient_flags)
{
	uint8_t notify = 0;

	if ((recipient_flags & QF_RECIPIENT_NOTIFY) == 0)
		return 0;
	if ((recipient_flags & QF_RECIPIENT_SUCCESS) != 0)
		notify |= MAIL_NOTIFY_SUCCESS;
	if ((recipient_flags & QF_RECIPIENT_FAILURE) != 0)
		notify |= MAIL_NOTIFY_FAILURE;
	if ((recipient_flags & QF_RECIPIENT_DELAY) != 0)
		notify |= MAIL_NOTIFY_DELAY;
	return notify != 0 ? notify : MAIL_NOTIFY_NEVER;
}

uint8_t
qf_flags_of_notify(uint8_t notify)
{
	uint8_t flags = QF_RECIPIENT_PRIMARY | QF_RECIPIENT_NOTIFY;

	if (notify == 0)
		return QF_RECIPIENT_DEFAULT;
	if ((notify & MAIL_NOTIFY_SUCCESS) != 0)
		flags |= QF_RECIPIENT_SUCCESS;
	if ((notify & MAIL_NOTIFY_FAILURE) != 0)
		flags |= QF_RECIPIENT_FAILURE;
	if ((notify & MAIL_NOTIFY_DELAY) != 0)
		flags |= QF_RECIPIENT_DELAY;
	return flags;
}

/* The bare sender; false if S has no usable address. */
static bool
sender_of(const struct qf *q, const struct qf_address *address,
    struct str *sender_out)
{
	*sender_out = STR("");
	if (q->is_response || address->kind == QF_ADDRESS_NULL)
		return true;
	if (address->kind == QF_ADDRESS_EMPTY) {
		*sender_out = STR("root");
		return true;
	}
	if (address->kind == QF_ADDRESS_MAIL && !address->is_oversize) {
		*sender_out = address->bare;
		return true;
	}
	*sender_out = STR("postmaster");
	return false;
}

/* The bare address of E, empty where it has none. */
static int
errors_to_of(const struct qf *q, struct arena *arena, struct str *out)
{
	struct qf_address address;
	int error = qf_address(q->errors_to, arena, &address);

	*out = STR("");
	if (error == 0 && address.kind == QF_ADDRESS_MAIL &&
	    !address.is_oversize)
		*out = address.bare;
	return error;
}

uint64_t
qf_notice_ms(const struct qf *q)
{
	if (!q->has_deliver_by ||
	    (q->deliver_mode & QF_BY_MODE) != QF_BY_NOTIFY)
		return 0;
	/* It may have been over when it came here. */
	return q->deliver_by_s > 0 ? (uint64_t)q->deliver_by_s * 1000 : 1000;
}

int
qf_get_envelope(const struct qf *q, struct arena *arena,
    struct mail_envelope *envelope_out, bool *is_whole_out)
{
	struct qf_address address;
	bool has_envid = q->has_envid && q->envid.size <= MAIL_ENVID_MAX &&
	                 qf_is_xtext(q->envid);
	bool has_auth = q->has_auth && q->auth.size <= MAIL_AUTH_MAX;
	bool is_sender_whole;
	int error = qf_address(q->sender, arena, &address);

	if (error != 0)
		return error;
	*envelope_out = (struct mail_envelope){
	    .envid = has_envid ? q->envid : STR(""),
	    .auth = has_auth ? q->auth : STR(""),
	    .body = q->body,
	    .is_smtputf8 = q->is_smtputf8,
	    .notice_ms = qf_notice_ms(q),
	};
	if (q->has_ret)
		envelope_out->ret =
		    q->is_ret_headers ? MAIL_RET_HDRS : MAIL_RET_FULL;
	is_sender_whole = sender_of(q, &address, &envelope_out->sender);
	error = errors_to_of(q, arena, &envelope_out->errors_to);
	if (error != 0)
		return error;
	*is_whole_out = is_sender_whole && has_envid == q->has_envid &&
	                has_auth == q->has_auth;
	return 0;
}

/* "<a@b>", quoted. */
static struct str
angled(struct str address, struct arena *arena)
{
	struct str quoted = qf_quote(address, arena);
	char *text = arena_new(arena, quoted.size + 2);

	if (quoted.data == NULL || text == NULL)
		return str_of(NULL, 0);
	text[0] = '<';
	if (quoted.size > 0)
		memcpy(text + 1, quoted.data, quoted.size);
	text[quoted.size + 1] = '>';
	return str_of(text, quoted.size + 2);
}

int
qf_set_envelope(
    struct qf *q, struct arena *arena, const struct mail_envelope *envelope)
{
	struct str sender = angled(envelope->sender, arena);
	struct str envid = arena_copy(arena, envelope->envid);
	struct str auth = arena_copy(arena, envelope->auth);

	if (sender.data == NULL || envid.data == NULL || auth.data == NULL)
		return -ENOBUFS;
	q->has_sender = true;
	q->sender = sender;
	q->has_envid = envid.size > 0;
	q->envid = envid;
	q->has_auth = auth.size > 0;
	q->auth = auth;
	q->body = envelope->body;
	q->has_ret = envelope->ret != MAIL_RET_NONE;
	q->is_ret_headers = envelope->ret == MAIL_RET_HDRS;
	q->is_smtputf8 = envelope->is_smtputf8;
	return 0;
}

/* "type;xtext" (RFC 3461 4.2). */
static bool
is_orcpt(struct str text)
{
	size_t semicolon = str_find(text, ';');

	return text.size <= MAIL_ORCPT_MAX && semicolon > 0 &&
	       semicolon + 1 < text.size && str_find(text, '+') > semicolon &&
	       qf_is_xtext(text);
}

/* Sets the address of a program or a file; of an included list, and of what has
   no such address, it is what is there. */
static int
get_local(const struct qf_recipient *r, struct arena *arena,
    const struct qf_address *from, struct str *address)
{
	struct alias_local local = {
	    .kind = from->kind == QF_ADDRESS_FILE ? ALIAS_FILE : ALIAS_PROGRAM,
	    .text = from->bare,
	};
	char text[MAIL_ADDRESS_MAX + 1];
	int size = from->kind == QF_ADDRESS_INCLUDE
	               ? -EINVAL
	               : alias_local_put(&local, text);

	*address = size < 0 ? str_trim(r->text)
	                    : arena_copy(arena, str_of(text, (size_t)size));
	return address->data != NULL ? 0 : -ENOBUFS;
}

int
qf_get_recipient(const struct qf_recipient *r, struct arena *arena,
    struct qf_address *address_out, struct mail_recipient *recipient_out)
{
	int error = qf_address(r->text, arena, address_out);

	if (error != 0)
		return error;
	*recipient_out = (struct mail_recipient){
	    .address = address_out->bare,
	    .orcpt = is_orcpt(r->orcpt) ? r->orcpt : STR(""),
	    .notify = qf_notify(r->flags),
	    .is_expanded = (r->flags & QF_RECIPIENT_ALIAS) != 0,
	};
	if (address_out->kind == QF_ADDRESS_PROGRAM ||
	    address_out->kind == QF_ADDRESS_FILE ||
	    address_out->kind == QF_ADDRESS_INCLUDE)
		return get_local(
		    r, arena, address_out, &recipient_out->address);
	return 0;
}

/* A program or a file.  sendmail takes one only from an alias, as whose user it
   runs it: nobody's, who is nobody on both sides. */
static int
set_local(struct qf_recipient *r, struct arena *arena,
    const struct mail_recipient *recipient)
{
	*r = (struct qf_recipient){
	    .flags = (uint8_t)(qf_flags_of_notify(recipient->notify) |
			       QF_RECIPIENT_ALIAS),
	    .text = qf_quote(recipient->address, arena),
	    .orcpt = arena_copy(arena, recipient->orcpt),
	    .final = STR(""),
	    .status = STR(""),
	    .user = STR("nobody:65534:65534:nobody"),
	};
	return r->text.data != NULL && r->orcpt.data != NULL ? 0 : -ENOBUFS;
}

int
qf_set_recipient(struct qf_recipient *r, struct arena *arena,
    const struct mail_recipient *recipient)
{
	static const char type[] = "RFC822; ";
	struct str text = angled(recipient->address, arena);
	struct str orcpt = arena_copy(arena, recipient->orcpt);
	char *final = arena_new(arena, sizeof(type) + text.size);

	if (alias_local_is(recipient->address))
		return set_local(r, arena, recipient);
	if (text.data == NULL || orcpt.data == NULL || final == NULL)
		return -ENOBUFS;
	memcpy(final, type, sizeof(type) - 1);
	memcpy(final + sizeof(type) - 1, text.data + 1, text.size - 2);
	*r = (struct qf_recipient){
	    .flags =
		(uint8_t)(qf_flags_of_notify(recipient->notify) |
			  (recipient->is_expanded ? QF_RECIPIENT_ALIAS : 0)),
	    .text = text,
	    .orcpt = orcpt,
	    .final = str_of(final, sizeof(type) - 1 + text.size - 2),
	    .status = STR(""),
	    .user = STR(""),
	};
	return 0;
}

/* What makes a recipient the same as another one. */
struct recipient_key {
	enum qf_address_kind kind;
	struct str text; /* the domain in small letters */
	struct str user;
	size_t index;
};

static int
compare_keys(const void *a, const void *b)
{
	const struct recipient_key *x = a, *y = b;
	int order = str_compare(x->text, y->text);

	if (order == 0)
		order = str_compare(x->user, y->user);
	if (order == 0 && x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return order;
}

static int
compare_keys_and_places(const void *a, const void *b)
{
	const struct recipient_key *x = a, *y = b;
	int order = compare_keys(a, b);

	return order != 0 ? order
	                  : (x->index > y->index) - (x->index < y->index);
}

static int
set_key(const struct qf_recipient *r, struct arena *arena,
    struct recipient_key *key_out)
{
	struct qf_address address;
	int error = qf_address(r->text, arena, &address);
	char *text;
	size_t at;

	if (error != 0)
		return error;
	key_out->kind = address.kind;
	key_out->text = address.bare;
	/* Mail to an address is the same whoever has it sent. */
	key_out->user = address.kind == QF_ADDRESS_MAIL ? STR("") : r->user;
	if (address.kind != QF_ADDRESS_MAIL || !address.has_domain)
		return 0;
	key_out->text = arena_copy(arena, address.bare);
	if (key_out->text.data == NULL)
		return -ENOBUFS;
	text = (char *)(uintptr_t)key_out->text.data;
	for (at = address.bare.size; text[at - 1] != '@'; at--)
		text[at - 1] = ascii_lower(text[at - 1]);
	return 0;
}

int
qf_drop_duplicates(struct qf *q, struct arena *arena)
{
	size_t count = q->recipient_count, kept = 0;
	struct recipient_key *keys = arena_new(arena, count * sizeof(*keys));
	bool *is_dropped = arena_new(arena, count * sizeof(*is_dropped));

	if (count < 2)
		return 0;
	if (keys == NULL || is_dropped == NULL)
		return -ENOBUFS;
	for (size_t i = 0; i < count; i++) {
		int error = set_key(&q->recipients[i], arena, &keys[i]);

		if (error != 0)
			return error;
		keys[i].index = i;
		is_dropped[i] = false;
	}
	qsort(keys, count, sizeof(*keys), compare_keys_and_places);
	for (size_t i = 1; i < count; i++)
		if (compare_keys(&keys[i - 1], &keys[i]) == 0)
			is_dropped[keys[i].index] = true;
	for (size_t i = 0; i < count; i++)
		if (!is_dropped[i])
			q->recipients[kept++] = q->recipients[i];
	q->recipient_count = kept;
	return 0;
}
