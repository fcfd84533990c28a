/*
 * Delivery status notifications: a multipart/report of a text for people, a
 * message/delivery-status for programs, and the message or its header (RFC
 * 3464, RFC 6522).  For an SMTPUTF8 message the forms of RFC 6533 are used.
 *
 * Promises: every line is at most 998 bytes and ends in CRLF; nothing that a
 * far end or a sender wrote can begin a line, a field or a part; a message
 * that cannot be returned whole (bare CR or LF, NUL, long lines, no room) is
 * returned as its header, cut to what is fit.
 */
#include "mail/dsn.h"
#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DSN_LINE_MAX     998 /* RFC 5322 2.1.1, without CRLF */
#define DSN_COLUMNS      76  /* where our own lines are folded */
#define DSN_VALUE_MAX    512
#define DSN_HEADER_MAX   65536
#define DSN_ROOM_MIN     1024 /* kept for what follows the content */
#define DSN_BOUNDARY_TRY 16

struct dsn_writer {
	struct buf *out;
	const struct mail_dsn *dsn;
	bool is_bad;         /* something did not fit */
	bool is_utf8;        /* UTF-8 may be written: RFC 6533 */
	bool is_full;        /* the whole content is returned */
	bool is_8bit;        /* a part holds bytes over 127 */
	struct str returned; /* content or header, as it is stored */
	char boundary[60 + 1];
};

static const char *const dsn_action_names[] = {
    [MAIL_DSN_FAILED] = "failed",
    [MAIL_DSN_DELAYED] = "delayed",
    [MAIL_DSN_RELAYED] = "relayed",
    [MAIL_DSN_EXPANDED] = "expanded",
    [MAIL_DSN_DELIVERED] = "delivered",
};

static const char *const dsn_statuses[] = {
    [MAIL_DSN_FAILED] = "5.0.0",
    [MAIL_DSN_DELAYED] = "4.0.0",
    [MAIL_DSN_RELAYED] = "2.0.0",
    [MAIL_DSN_EXPANDED] = "2.0.0",
    [MAIL_DSN_DELIVERED] = "2.0.0",
};

/* In the order of the enum: the worst action names the notification. */
static const char *const dsn_subjects[] = {
    [MAIL_DSN_FAILED] = "Undelivered mail returned",
    [MAIL_DSN_DELAYED] = "Mail is delayed",
    [MAIL_DSN_RELAYED] = "Mail was passed on",
    [MAIL_DSN_EXPANDED] = "Mail was passed on",
    [MAIL_DSN_DELIVERED] = "Mail was delivered",
};

/* What happened and what happens next. */
static const char *const dsn_explanations[] = {
    [MAIL_DSN_FAILED] =
	"Your message could not be delivered to these recipients.  It will"
	" not be tried\r\nagain for them.\r\n",
    [MAIL_DSN_DELAYED] =
	"Your message has not yet been delivered to these recipients.  It is"
	" kept and\r\ntried again; you need not send it again.\r\n",
    [MAIL_DSN_RELAYED] =
	"Your message was passed on for these recipients to a system that"
	" does not\r\nconfirm deliveries.  No further notice follows.\r\n",
    [MAIL_DSN_EXPANDED] =
	"Your message was passed on to all those for whom these recipients"
	" stand.  You\r\nhear of it again if it cannot be delivered to one."
	"\r\n",
    [MAIL_DSN_DELIVERED] =
	"Your message was delivered to these recipients.\r\n",
};

/* For a postmaster. */
static const char dsn_subject_lost[] = "Mail that nobody can be told of";
static const char dsn_lost[] =
    "This message could not be delivered to these recipients, and its sender"
    " cannot\r\nbe told.  It will not be tried again for them.\r\n";

/* For recipients at a site that fetches its mail. */
static const char dsn_kept[] =
    "Your message is kept for these recipients, whose mail is fetched from time"
    " to\r\ntime, and has not been fetched yet.  You need not send it again."
    "\r\n";

#define DSN_ACTION_COUNT (sizeof(dsn_action_names) / sizeof(*dsn_action_names))

static void
dsn_put(struct dsn_writer *w, struct str bytes)
{
	if (!w->is_bad && buf_append(w->out, bytes) < 0)
		w->is_bad = true;
}

static void
dsn_put_text(struct dsn_writer *w, const char *text)
{
	dsn_put(w, str_from(text));
}

/* Size of the UTF-8 sequence (RFC 3629 4) at the front of S, 0 if none. */
static size_t
dsn_utf8_size(struct str s)
{
	unsigned char first = (unsigned char)s.data[0], second;
	size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

	if (first < 0xc2 || first > 0xf4 || s.size < size)
		return 0;
	second = (unsigned char)s.data[1];
	if ((first == 0xe0 && second < 0xa0) ||
	    (first == 0xed && second > 0x9f) ||
	    (first == 0xf0 && second < 0x90) ||
	    (first == 0xf4 && second > 0x8f))
		return 0;
	for (size_t i = 1; i < size; i++)
		if (((unsigned char)s.data[i] & 0xc0) != 0x80)
			return 0;
	return size;
}

/* VALUE as it may stand in a line: controls, and bytes over 127 where they
   are no UTF-8 or not allowed, become "?"; cut to fit. */
static struct str
dsn_clean(
    const struct dsn_writer *w, struct str value, char text[DSN_VALUE_MAX])
{
	size_t size = 0;

	while (value.size > 0 && size < DSN_VALUE_MAX) {
		unsigned char c = (unsigned char)value.data[0];
		size_t n = 1;

		if (c >= 0x80 && w->is_utf8)
			n = dsn_utf8_size(value);
		if (n > DSN_VALUE_MAX - size)
			break;
		if (c < 0x20 || c == 0x7f || n == 0 || (c >= 0x80 && n == 1)) {
			text[size++] = '?';
			n = 1;
		} else {
			memcpy(text + size, value.data, n);
			size += n;
		}
		value = str_skip(value, n);
	}
	return str_of(text, size);
}

/* HEAD VALUE CRLF, folded at blanks of VALUE; further lines begin with
   INDENT, whose last blank stands for the one at which was folded. */
static void
dsn_put_line(struct dsn_writer *w, const char *head, struct str value,
    const char *indent)
{
	char text[DSN_VALUE_MAX];
	struct str rest = dsn_clean(w, value, text);
	size_t column = strlen(head);

	dsn_put_text(w, head);
	while (rest.size > 0) {
		/* A word with the blank before it. */
		size_t n = 1 + str_find(str_skip(rest, 1), ' ');

		if (rest.data[0] == ' ' && n > 1 && column + n > DSN_COLUMNS) {
			dsn_put_text(w, "\r\n");
			dsn_put_text(w, indent);
			column = strlen(indent) - 1;
			dsn_put(w, str_skip(str_head(rest, n), 1));
		} else {
			dsn_put(w, str_head(rest, n));
		}
		column += n;
		rest = str_skip(rest, n);
	}
	dsn_put_text(w, "\r\n");
}

static void
dsn_put_field(struct dsn_writer *w, const char *head, struct str value)
{
	dsn_put_line(w, head, value, " ");
}

static void
dsn_put_date(struct dsn_writer *w, const char *head, uint64_t wall_ms)
{
	char text[40];

	mail_date_format(wall_ms, text);
	dsn_put_field(w, head, str_from(text));
}

static int
dsn_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* XTEXT (RFC 3461 4) decoded; what is no "+HH" is left as it is. */
static struct str
dsn_decode_xtext(struct str xtext, char text[DSN_VALUE_MAX])
{
	size_t size = 0;

	for (size_t i = 0; i < xtext.size && size < DSN_VALUE_MAX; i++) {
		char c = xtext.data[i];

		if (c == '+' && xtext.size - i > 2 &&
		    dsn_hex(xtext.data[i + 1]) >= 0 &&
		    dsn_hex(xtext.data[i + 2]) >= 0) {
			c = (char)(dsn_hex(xtext.data[i + 1]) * 16 +
				   dsn_hex(xtext.data[i + 2]));
			i += 2;
		}
		text[size++] = c;
	}
	return str_of(text, size);
}

static enum mail_dsn_action
dsn_worst(const struct mail_dsn *dsn)
{
	enum mail_dsn_action worst = MAIL_DSN_DELIVERED;

	for (size_t i = 0; i < dsn->recipient_count; i++)
		if (dsn->recipients[i].action < worst)
			worst = dsn->recipients[i].action;
	return worst;
}

/* True if the content may go out as it is in a message/rfc822 part. */
static bool
dsn_is_fit(struct str content)
{
	size_t column = 0;

	for (size_t i = 0; i < content.size; i++) {
		char c = content.data[i];

		if (c == '\0' || c == '\n')
			return false;
		if (c != '\r') {
			if (++column > DSN_LINE_MAX)
				return false;
			continue;
		}
		if (++i == content.size || content.data[i] != '\n')
			return false;
		column = 0;
	}
	return true;
}

/* The header block of CONTENT without the empty line; whole lines of it where
   it does not end in what is there. */
static struct str
dsn_header_of(struct str content)
{
	const char *end;
	struct str header = str_head(content, DSN_HEADER_MAX);

	if (str_starts(header, STR("\r\n")))
		return str_head(header, 0);
	end = memmem(header.data, header.size, "\r\n\r\n", 4);
	if (end != NULL)
		return str_head(header, (size_t)(end - header.data) + 2);
	end = memrchr(header.data, '\n', header.size);
	return end ? str_head(header, (size_t)(end - header.data) + 1) : header;
}

/* What is returned: RFC 3461 4.3 gives the whole message only to tell of a
   failure, and not with RET=HDRS. */
static void
dsn_choose_returned(struct dsn_writer *w)
{
	const struct mail_dsn *dsn = w->dsn;

	w->is_full =
	    dsn->is_content_whole && dsn_worst(dsn) == MAIL_DSN_FAILED &&
	    dsn->envelope->ret != MAIL_RET_HDRS && dsn_is_fit(dsn->content);
	w->returned = w->is_full ? dsn->content : dsn_header_of(dsn->content);
	w->is_8bit = w->is_utf8;
	for (size_t i = 0; i < w->returned.size && !w->is_8bit; i++)
		w->is_8bit = (unsigned char)w->returned.data[i] >= 0x80;
}

/* A boundary (RFC 2046 5.1.1) that the returned bytes do not contain.  Nothing
   is returned in the case, which takes intent, that each one tried is there. */
static void
dsn_choose_boundary(struct dsn_writer *w)
{
	char text[DSN_VALUE_MAX];
	struct str id = str_head(dsn_clean(w, w->dsn->id, text), 40);

	for (size_t i = 0; i < id.size; i++)
		if (!ascii_is_alpha(text[i]) && !ascii_is_digit(text[i]))
			text[i] = '_';
	for (unsigned i = 0; i < DSN_BOUNDARY_TRY; i++) {
		int size = snprintf(w->boundary, sizeof(w->boundary),
		    "%.*s=%u=report", STR_ARG(id), i);

		CHECK(size > 0 && (size_t)size < sizeof(w->boundary));
		if (w->returned.size == 0 ||
		    memmem(w->returned.data, w->returned.size, w->boundary,
			(size_t)size) == NULL)
			return;
	}
	w->is_full = false;
	w->returned = str_of("", 0);
}

static void
dsn_put_boundary(struct dsn_writer *w, const char *end)
{
	dsn_put_text(w, "--");
	dsn_put_text(w, w->boundary);
	dsn_put_text(w, end);
}

static void
dsn_put_8bit(struct dsn_writer *w, bool is_8bit)
{
	if (is_8bit)
		dsn_put_text(w, "Content-Transfer-Encoding: 8bit\r\n");
}

static void
dsn_put_header(struct dsn_writer *w)
{
	const struct mail_dsn *dsn = w->dsn;
	bool is_lost = dsn->postmaster.size > 0;
	char id[DSN_VALUE_MAX], host[DSN_VALUE_MAX], to[DSN_VALUE_MAX];
	struct str id_clean = dsn_clean(w, str_head(dsn->id, 64), id);
	struct str hostname = dsn_clean(w, str_head(dsn->hostname, 255), host);
	struct str sender =
	    dsn_clean(w, is_lost ? dsn->postmaster : dsn->envelope->sender, to);

	dsn_put_date(w, "Date: ", dsn->now_wall_ms);
	dsn_put_text(w, "From: Mail Delivery System <MAILER-DAEMON@");
	dsn_put(w, hostname);
	/* A null sender gets no notification (RFC 5321 4.5.5); who asks for
	   one all the same means the postmaster of this host. */
	dsn_put_text(w, ">\r\nTo: <");
	if (sender.size > 0) {
		dsn_put(w, sender);
	} else {
		dsn_put_text(w, "postmaster@");
		dsn_put(w, hostname);
	}
	dsn_put_text(w, ">\r\nSubject: ");
	dsn_put_text(
	    w, is_lost ? dsn_subject_lost : dsn_subjects[dsn_worst(dsn)]);
	dsn_put_text(w, "\r\nMessage-ID: <");
	dsn_put(w, id_clean);
	dsn_put_text(w, "@");
	dsn_put(w, hostname);
	dsn_put_text(w, ">\r\n"
			"Auto-Submitted: auto-replied\r\n" /* RFC 3834 5 */
			"MIME-Version: 1.0\r\n"
			"Content-Type: multipart/report;"
			" report-type=delivery-status;\r\n boundary=\"");
	dsn_put_text(w, w->boundary);
	dsn_put_text(w, "\"\r\n");
	dsn_put_8bit(w, w->is_8bit); /* RFC 2045 6.4 */
	dsn_put_text(
	    w, "\r\nThis is a delivery report in MIME format.\r\n\r\n");
}

static void
dsn_put_human_recipient(
    struct dsn_writer *w, const struct mail_dsn_recipient *r)
{
	char address[DSN_VALUE_MAX], host[DSN_VALUE_MAX], head[300];
	struct str name = dsn_clean(w, r->recipient.address, address);
	struct str mta = dsn_clean(w, str_head(r->remote_mta, 255), host);

	dsn_put_text(w, "\r\n  <");
	dsn_put(w, name);
	dsn_put_text(w, ">\r\n");
	if (r->diagnostic.size == 0)
		return;
	snprintf(head, sizeof(head), "    %.*s%s", STR_ARG(mta),
	    mta.size > 0 ? " said: " : "");
	dsn_put_line(w, head, r->diagnostic, "    ");
}

/* What is said of all recipients of one action. */
static void
dsn_put_explanation(struct dsn_writer *w, size_t action)
{
	bool is_delay = action == MAIL_DSN_DELAYED;
	const char *text = dsn_explanations[action];

	if (is_delay && w->dsn->is_kept)
		text = dsn_kept;
	else if (w->dsn->postmaster.size > 0)
		text = dsn_lost;
	dsn_put_text(w, "\r\n");
	dsn_put_text(w, text);
	if (is_delay && w->dsn->retry_until_wall_ms > 0)
		dsn_put_date(w, "If nothing changes it is returned to you at ",
		    w->dsn->retry_until_wall_ms);
}

/* The first part, for people (RFC 3464 2). */
static void
dsn_put_human(struct dsn_writer *w)
{
	const struct mail_dsn *dsn = w->dsn;

	dsn_put_boundary(w, "\r\n");
	dsn_put_text(w, "Content-Type: text/plain; charset=");
	dsn_put_text(w, w->is_utf8 ? "utf-8\r\n" : "us-ascii\r\n");
	dsn_put_8bit(w, w->is_utf8);
	dsn_put_text(w, "\r\n");
	dsn_put_line(w, "This is the mail system at host ", dsn->hostname, "");
	for (size_t a = 0; a < DSN_ACTION_COUNT; a++) {
		bool is_first = true;

		for (size_t i = 0; i < dsn->recipient_count; i++) {
			if (dsn->recipients[i].action != a)
				continue;
			if (is_first)
				dsn_put_explanation(w, a);
			is_first = false;
			dsn_put_human_recipient(w, &dsn->recipients[i]);
		}
	}
	dsn_put_text(w, "\r\n");
	dsn_put_line(w, "Queue id of the message: ", dsn->origin_id, "");
	dsn_put_date(w, "It arrived here: ", dsn->arrival_wall_ms);
	dsn_put_text(w, "\r\n");
}

/* "rfc822;xtext" as received becomes the decoded address (RFC 3464 2.3.1);
   "utf-8;..." has an encoding of its own that is legal in the field as it is
   (RFC 6533 3). */
static void
dsn_put_original_recipient(struct dsn_writer *w, struct str orcpt)
{
	char type[DSN_VALUE_MAX], text[DSN_VALUE_MAX], head[120];
	size_t colon = str_find(orcpt, ';');
	struct str name, value;

	if (colon == 0 || colon >= orcpt.size || colon > 40)
		return;
	name = dsn_clean(w, str_head(orcpt, colon), type);
	value = str_skip(orcpt, colon + 1);
	if (!str_case_equal(name, STR("utf-8")))
		value = dsn_decode_xtext(value, text);
	snprintf(
	    head, sizeof(head), "Original-Recipient: %.*s; ", STR_ARG(name));
	dsn_put_field(w, head, value);
}

static bool
dsn_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.size; i++)
		if ((unsigned char)s.data[i] >= 0x80)
			return false;
	return true;
}

/* The fields of one recipient in the order of RFC 3464 2.3. */
static void
dsn_put_recipient(struct dsn_writer *w, const struct mail_dsn_recipient *r)
{
	struct str address = r->recipient.address;
	/* RFC 3464 2.3.6: "smtp" is for what an SMTP server said. */
	bool is_reply =
	    r->diagnostic.size > 0 && ascii_is_digit(r->diagnostic.data[0]);

	dsn_put_text(w, "\r\n");
	dsn_put_original_recipient(w, r->recipient.orcpt);
	dsn_put_field(w,
	    w->is_utf8 && !dsn_is_ascii(address) ? "Final-Recipient: utf-8; "
						 : "Final-Recipient: rfc822; ",
	    address);
	dsn_put_field(w, "Action: ", str_from(dsn_action_names[r->action]));
	dsn_put_field(w, "Status: ",
	    r->status.size > 0 ? r->status : str_from(dsn_statuses[r->action]));
	if (r->remote_mta.size > 0)
		dsn_put_field(w, "Remote-MTA: dns; ", r->remote_mta);
	if (r->diagnostic.size > 0)
		dsn_put_field(w,
		    is_reply ? "Diagnostic-Code: smtp; "
			     : "Diagnostic-Code: x-sendq; ",
		    r->diagnostic);
	if (w->dsn->attempt_wall_ms > 0)
		dsn_put_date(w, "Last-Attempt-Date: ", w->dsn->attempt_wall_ms);
	if (r->action == MAIL_DSN_DELAYED && w->dsn->retry_until_wall_ms > 0)
		dsn_put_date(
		    w, "Will-Retry-Until: ", w->dsn->retry_until_wall_ms);
}

/* The second part, for programs (RFC 3464 2). */
static void
dsn_put_status(struct dsn_writer *w)
{
	const struct mail_dsn *dsn = w->dsn;
	char text[DSN_VALUE_MAX];

	dsn_put_boundary(w, "\r\n");
	dsn_put_text(w, w->is_utf8
			    ? "Content-Type: message/global-delivery-status\r\n"
			    : "Content-Type: message/delivery-status\r\n");
	dsn_put_8bit(w, w->is_utf8);
	dsn_put_text(w, "\r\n");
	if (dsn->envelope->envid.size > 0)
		dsn_put_field(w, "Original-Envelope-Id: ",
		    dsn_decode_xtext(dsn->envelope->envid, text));
	dsn_put_field(w, "Reporting-MTA: dns; ", dsn->hostname);
	dsn_put_date(w, "Arrival-Date: ", dsn->arrival_wall_ms);
	for (size_t i = 0; i < dsn->recipient_count; i++)
		dsn_put_recipient(w, &dsn->recipients[i]);
	dsn_put_text(w, "\r\n");
}

/* One line of a returned header without its CRLF: hard folded where it is
   over-long, bare CR, LF and NUL made harmless. */
static void
dsn_put_header_line(struct dsn_writer *w, struct str line)
{
	size_t column = 0;

	for (size_t i = 0; i < line.size && !w->is_bad; i++) {
		char c = line.data[i];
		bool is_inside = ((unsigned char)c & 0xc0) == 0x80;

		if (c == '\r' || c == '\n' || c == '\0')
			c = '?';
		if (column >= DSN_LINE_MAX - 8 &&
		    (!is_inside || column == DSN_LINE_MAX)) {
			dsn_put_text(w, "\r\n ");
			column = 1;
		}
		dsn_put(w, str_of(&c, 1));
		column++;
	}
	dsn_put_text(w, "\r\n");
}

static void
dsn_put_header_block(struct dsn_writer *w, struct str header)
{
	while (header.size > 0 && buf_room(w->out) > 2 * DSN_ROOM_MIN) {
		const char *end = memmem(header.data, header.size, "\r\n", 2);
		size_t size = end ? (size_t)(end - header.data) : header.size;

		if (size > buf_room(w->out) / 2)
			break;
		dsn_put_header_line(w, str_head(header, size));
		header = str_skip(header, size + 2);
	}
}

/* The third part: the message or its header (RFC 6522 3 and 4). */
static void
dsn_put_returned(struct dsn_writer *w)
{
	static const char *const types[2][2] = {
	    {"text/rfc822-headers", "message/rfc822"},
	    {"message/global-headers", "message/global"},
	};

	dsn_put_boundary(w, "\r\n");
	dsn_put_text(w, "Content-Type: ");
	dsn_put_text(w, types[w->is_utf8][w->is_full]);
	dsn_put_text(w, "\r\n");
	dsn_put_8bit(w, w->is_8bit);
	dsn_put_text(w, "\r\n");
	if (w->is_full)
		dsn_put(w, w->returned);
	else
		dsn_put_header_block(w, w->returned);
	dsn_put_text(w, "\r\n");
}

int
mail_dsn_put(struct buf *out, const struct mail_dsn *dsn)
{
	struct dsn_writer w = {
	    .out = out,
	    .dsn = dsn,
	    .is_utf8 = dsn->envelope->is_smtputf8,
	};

	CHECK(dsn->recipient_count > 0);
	for (size_t i = 0; i < dsn->recipient_count; i++)
		CHECK(dsn->recipients[i].action < DSN_ACTION_COUNT);
	dsn_choose_returned(&w);
	dsn_choose_boundary(&w);
	dsn_put_header(&w);
	dsn_put_human(&w);
	dsn_put_status(&w);
	if (w.is_full && (buf_room(out) < DSN_ROOM_MIN ||
			     w.returned.size > buf_room(out) - DSN_ROOM_MIN)) {
		w.is_full = false;
		w.returned = dsn_header_of(w.returned);
	}
	if (w.returned.size > 0)
		dsn_put_returned(&w);
	dsn_put_boundary(&w, "--\r\n");
	return w.is_bad ? -ENOBUFS : 0;
}
