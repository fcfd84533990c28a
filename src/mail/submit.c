/*
 * Completing a message that was handed in; see submit.h.  submit_fields is the
 * table of the fields that matter here.
 */
#include "mail/submit.h"
#include "base/check.h"
#include "base/hash.h"
#include "mail/dsn.h"
#include "mail/field.h"
#include "mail/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUBMIT_ARENA_MAX (64 << 20)

struct submit_rcpt {
	UT_hash_handle hh;
};

void
submit_rcpts_init(struct submit_rcpts *r, struct str hostname)
{
	*r = (struct submit_rcpts){.hostname = hostname};
	arena_init(&r->arena, SUBMIT_ARENA_MAX);
}

void
submit_rcpts_fini(struct submit_rcpts *r)
{
	struct submit_rcpt *seen, *next;

	HASH_ITER(hh, r->seen, seen, next)
	{
		HASH_DEL(r->seen, seen);
		free(seen);
	}
	free(r->list);
	r->list = NULL;
	arena_fini(&r->arena);
}

/* ADDRESS and, where it has no domain, "@HOSTNAME"; -EINVAL if that is too
   long. */
static int
submit_whole(const struct mail_list_item *item, struct str hostname,
    char address[MAIL_ADDRESS_MAX + 1])
{
	int size = snprintf(address, MAIL_ADDRESS_MAX + 1, "%s%s%.*s",
	    item->address, item->has_domain ? "" : "@",
	    item->has_domain ? 0 : (int)hostname.size, hostname.data);

	return size > 0 && size <= MAIL_ADDRESS_MAX ? 0 : -EINVAL;
}

static void
rcpts_add_problem(struct submit_rcpts *r, struct str text, const char *reason,
    const char *status)
{
	struct str copy = arena_copy(&r->arena, text);

	if (r->problem_count < SUBMIT_PROBLEMS_MAX && copy.data != NULL)
		r->problems[r->problem_count] = (struct submit_problem){
		    .text = copy, .reason = reason, .status = status};
	r->problem_count++;
}

/* Programs, files and lists are what aliases name, and nobody else: why ITEM is
   no recipient then, or NULL. */
static const char *
item_is_alias_only(const struct mail_list_item *item)
{
	bool is_quoted = item->address[0] == '"';
	const char *name = item->address + is_quoted;

	/* "|a"@b is a mailbox of b. */
	if (name[0] == '|' && !(is_quoted && item->has_domain))
		return "Cannot mail directly to programs";
	return name[0] == '/' && !item->has_domain
	           ? "Cannot mail directly to files"
	           : NULL;
}

/* Domains are the same in any case, local parts are not. */
static int
rcpts_add_address(struct submit_rcpts *r, struct str address)
{
	struct submit_rcpt *seen;
	char key[MAIL_ADDRESS_MAX + 1];
	size_t at = 0;
	struct str copy;

	CHECK(address.size <= MAIL_ADDRESS_MAX);
	for (size_t i = 0; i < address.size; i++)
		if (address.data[i] == '@')
			at = i;
	for (size_t i = 0; i < address.size; i++)
		key[i] =
		    i < at ? address.data[i] : ascii_lower(address.data[i]);
	HASH_FIND(hh, r->seen, key, address.size, seen);
	if (seen != NULL)
		return 0;
	if (r->count == SUBMIT_RECIPIENTS_MAX)
		return -E2BIG;
	copy = arena_copy(&r->arena, address);
	if (copy.data == NULL)
		return -E2BIG;
	if (r->count == r->capacity) {
		r->capacity = r->capacity * 2 + 16;
		r->list = mem_resize(r->list, r->capacity, sizeof(*r->list));
	}
	r->list[r->count++] = copy;
	seen = mem_new(1, sizeof(*seen));
	copy = arena_copy(&r->arena, str_of(key, address.size));
	if (copy.data == NULL) {
		free(seen);
		return -E2BIG;
	}
	HASH_ADD_KEYPTR(hh, r->seen, copy.data, copy.size, seen);
	return 0;
}

int
submit_rcpts_add(struct submit_rcpts *r, struct str text)
{
	struct mail_list list;
	struct mail_list_item item;
	enum mail_list_result result;
	const char *why;
	int error = 0;

	if (str_case_starts(str_trim(text), STR(":include:"))) {
		rcpts_add_problem(r, str_trim(text),
		    "Cannot mail directly to :include:s", "5.1.3");
		return 0;
	}
	mail_list_init(&list, text);
	while (error == 0 &&
	       (result = mail_list_next(&list, &item)) != MAIL_LIST_END) {
		char address[MAIL_ADDRESS_MAX + 1];

		why =
		    result == MAIL_LIST_ONE ? item_is_alias_only(&item) : NULL;
		if (why != NULL)
			rcpts_add_problem(r, item.text, why, "5.1.3");
		else if (result == MAIL_LIST_ONE &&
			 submit_whole(&item, r->hostname, address) == 0)
			error = rcpts_add_address(r, str_from(address));
		else if (result != MAIL_LIST_VOID)
			rcpts_add_problem(
			    r, item.text, item.reason, item.status);
	}
	return error;
}

int
submit_sender_parse(
    struct str text, struct str hostname, char address[MAIL_ADDRESS_MAX + 1])
{
	struct mail_list list;
	struct mail_list_item item, more;
	enum mail_list_result result;

	address[0] = '\0';
	mail_list_init(&list, text);
	result = mail_list_next(&list, &item);
	if (result == MAIL_LIST_END)
		return str_trim(text).size == 0 ? 0 : -EINVAL;
	if (result == MAIL_LIST_WRONG || item_is_alias_only(&item) != NULL ||
	    mail_list_next(&list, &more) != MAIL_LIST_END)
		return -EINVAL;
	return result == MAIL_LIST_VOID
	           ? 0
	           : submit_whole(&item, hostname, address);
}

enum {
	FIELD_ADDRESSES = 1, /* a list of addresses: made whole */
	FIELD_RECIPIENTS = 2,
	FIELD_DROPPED = 4,
	FIELD_RESENT = 8,
	FIELD_RECEIVED = 16,
};

/* A bit for each field that is added where it is missing or empty. */
enum {
	HAS_FROM = 1,
	HAS_DATE = 2,
	HAS_ID = 4,
};

static const struct {
	const char *name;
	unsigned flags;
	unsigned has;
} submit_fields[] = {
    {"From", FIELD_ADDRESSES, HAS_FROM},
    {"Sender", FIELD_ADDRESSES},
    {"Reply-To", FIELD_ADDRESSES},
    {"To", FIELD_ADDRESSES | FIELD_RECIPIENTS},
    {"Cc", FIELD_ADDRESSES | FIELD_RECIPIENTS},
    {"Bcc", FIELD_RECIPIENTS | FIELD_DROPPED},
    {"Apparently-To", FIELD_ADDRESSES | FIELD_RECIPIENTS},
    {"Date", 0, HAS_DATE},
    {"Message-ID", 0, HAS_ID},
    {"Return-Path", FIELD_DROPPED},
    {"Full-Name", FIELD_DROPPED},
    {"Received", FIELD_RECEIVED},
};

#define RESENT STR("Resent-")

/* The flags of a field, and in *HAS what it is. */
static unsigned
field_flags(struct str name, unsigned *has)
{
	bool is_resent = str_case_starts(name, RESENT);
	struct str plain = is_resent ? str_skip(name, RESENT.size) : name;

	*has = 0;
	for (size_t i = 0; i < sizeof(submit_fields) / sizeof(submit_fields[0]);
	     i++)
		if (str_case_equal(plain, str_from(submit_fields[i].name))) {
			*has = submit_fields[i].has;
			return submit_fields[i].flags |
			       (is_resent ? FIELD_RESENT : 0);
		}
	return is_resent ? FIELD_RESENT : 0;
}

/* True if nothing but blanks and line ends is in it. */
static bool
field_is_empty(const struct mail_field *field)
{
	for (size_t i = 0; i < field->body.size; i++)
		if (str_find(STR(" \t\r\n"), field->body.data[i]) == 4)
			return false;
	return true;
}

/* What was found in a header in a first reading. */
struct submit_found {
	unsigned has;        /* HAS_ bits */
	unsigned has_resent; /* of Resent- fields */
	bool is_resent;
	uint64_t received_count;
};

static struct submit_found
header_look(struct str header)
{
	struct submit_found found = {.has = 0};
	struct mail_field field;
	unsigned has, flags;

	while (mail_field_next(&header, &field)) {
		flags = field_flags(field.name, &has);
		if (field_is_empty(&field))
			has = 0;
		if (flags & FIELD_RESENT)
			found.has_resent |= has;
		else
			found.has |= has;
		found.is_resent =
		    found.is_resent || (flags & FIELD_RESENT) != 0;
		found.received_count += (flags & FIELD_RECEIVED) != 0;
	}
	return found;
}

/* Sums up what was appended; once -ENOBUFS, always. */
static void
put(struct buf *out, struct str text, int *error)
{
	if (*error == 0)
		*error = buf_append(out, text);
}

/* The body of a field with "@HOSTNAME" behind each address that has no
   domain. */
static void
put_whole(
    const struct submit_header *h, struct str body, struct buf *out, int *error)
{
	struct mail_list list;
	struct mail_list_item item;
	enum mail_list_result result;
	size_t done = 0;

	mail_list_init(&list, body);
	while ((result = mail_list_next(&list, &item)) != MAIL_LIST_END) {
		if (result != MAIL_LIST_ONE || item.has_domain ||
		    !item.is_alone)
			continue;
		put(out, str_head(str_skip(body, done), item.end - done),
		    error);
		put(out, STR("@"), error);
		put(out, h->hostname, error);
		done = item.end;
	}
	put(out, str_skip(body, done), error);
}

static void
put_field(const struct submit_header *h, const struct mail_field *field,
    unsigned flags, struct buf *out, int *error)
{
	if (h->is_gateway) {
		put(out, field->whole, error);
		return;
	}
	put(out, field->name, error);
	put(out, STR(":"), error);
	if (field->body.size > 0 && field->body.data[0] != ' ' &&
	    field->body.data[0] != '\t' && field->body.data[0] != '\r')
		put(out, STR(" "), error);
	if (flags & FIELD_ADDRESSES)
		put_whole(h, field->body, out, error);
	else
		put(out, field->body, error);
	put(out, STR("\r\n"), error);
}

/* RFC 2047 5 (3) for a name with other bytes than ASCII; each word is whole
   characters of UTF-8. */
static void
put_name_encoded(struct str name, struct buf *out, int *error)
{
	size_t word = 0;

	for (size_t i = 0; i < name.size; i++) {
		unsigned char c = (unsigned char)name.data[i];
		char text[4];

		if (word == 0 || (word > 12 && (c & 0xc0) != 0x80)) {
			put(out,
			    word > 0 ? STR("?=\r\n =?utf-8?Q?")
				     : STR("=?utf-8?Q?"),
			    error);
			word = 0;
		}
		word++;
		if (ascii_is_alpha((char)c) || ascii_is_digit((char)c)) {
			put(out, str_of(name.data + i, 1), error);
			continue;
		}
		snprintf(text, sizeof(text), "=%02X", c);
		put(out, c == ' ' ? STR("_") : str_of(text, 3), error);
	}
	put(out, STR("?="), error);
}

/* A display name (RFC 5322 3.4): words as they are, else in quotes. */
static void
put_name(struct str name, struct buf *out, int *error)
{
	static const char special[] = "()<>[]:;@\\,.\"";
	char clean[2 * SUBMIT_NAME_MAX];
	size_t size = 0;
	bool is_quoted = false, is_8bit = false;

	for (size_t i = 0; i < name.size && i < SUBMIT_NAME_MAX; i++) {
		char c = name.data[i];

		is_8bit = is_8bit || (unsigned char)c >= 0x80;
		if ((unsigned char)c < ' ' || c == 127)
			c = ' ';
		if (c == '"' || c == '\\')
			clean[size++] = '\\';
		if (str_find(str_from(special), c) < sizeof(special) - 1)
			is_quoted = true;
		clean[size++] = c;
	}
	if (is_8bit) {
		put_name_encoded(str_head(name, SUBMIT_NAME_MAX), out, error);
		return;
	}
	put(out, is_quoted ? STR("\"") : STR(""), error);
	put(out, str_of(clean, size), error);
	put(out, is_quoted ? STR("\"") : STR(""), error);
}

static void
put_from(const struct submit_header *h, struct str prefix, struct buf *out,
    int *error)
{
	put(out, prefix, error);
	put(out, STR("From: "), error);
	if (h->sender.size == 0) {
		put(out, STR("Mail Delivery System <MAILER-DAEMON@"), error);
		put(out, h->hostname, error);
		put(out, STR(">\r\n"), error);
		return;
	}
	if (str_trim(h->full_name).size > 0) {
		put_name(str_trim(h->full_name), out, error);
		put(out, STR(" <"), error);
		put(out, h->sender, error);
		put(out, STR(">\r\n"), error);
		return;
	}
	put(out, h->sender, error);
	put(out, STR("\r\n"), error);
}

/* The fields that HAS does not have. */
static void
put_missing(const struct submit_header *h, unsigned has, struct str prefix,
    struct buf *out, int *error)
{
	char text[80];

	if (!(has & HAS_FROM))
		put_from(h, prefix, out, error);
	if (!(has & HAS_DATE)) {
		put(out, prefix, error);
		put(out, STR("Date: "), error);
		mail_date_format(h->wall_ms, text);
		put(out, str_from(text), error);
		put(out, STR("\r\n"), error);
	}
	if (!(has & HAS_ID)) {
		put(out, prefix, error);
		snprintf(text, sizeof(text), "Message-ID: <%llx.%016llx@",
		    (unsigned long long)h->wall_ms,
		    (unsigned long long)h->random);
		put(out, str_from(text), error);
		put(out, h->hostname, error);
		put(out, STR(">\r\n"), error);
	}
}

/* Takes the recipients of a field, where recipients are taken from it. */
static int
field_recipients(const struct submit_header *h,
    const struct submit_found *found, const struct mail_field *field,
    unsigned flags, struct submit_rcpts *recipients)
{
	bool is_resent = (flags & FIELD_RESENT) != 0;

	if (!h->is_taking_recipients || !(flags & FIELD_RECIPIENTS) ||
	    is_resent != found->is_resent)
		return 0;
	return submit_rcpts_add(recipients, field->body);
}

int
submit_header_put(const struct submit_header *h, struct str header,
    struct submit_rcpts *recipients, struct buf *out,
    uint64_t *received_count_out)
{
	struct submit_found found = header_look(header);
	struct mail_field field;
	unsigned flags, has;
	int error = 0;

	*received_count_out = found.received_count;
	if (!h->is_gateway && found.is_resent)
		put_missing(h, found.has_resent, RESENT, out, &error);
	while (error == 0 && mail_field_next(&header, &field)) {
		flags = field_flags(field.name, &has);
		error = field_recipients(h, &found, &field, flags, recipients);
		if ((flags & FIELD_DROPPED) &&
		    (!h->is_gateway || (h->is_taking_recipients &&
					   (flags & FIELD_RECIPIENTS))))
			continue;
		if (!h->is_gateway && has != 0 && field_is_empty(&field))
			continue;
		put_field(h, &field, flags, out, &error);
	}
	if (!h->is_gateway)
		put_missing(h, found.has, STR(""), out, &error);
	return error;
}
