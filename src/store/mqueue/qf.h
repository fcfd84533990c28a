/*
 * Control files of sendmail's queue (qf, hf, tf, Qf): the envelope and the
 * headers of one message as lines "C text", C being a letter; a line that
 * begins with a blank belongs to the line before it.  The body is in a data
 * file (df) of its own, with LF line ends.
 *
 * Reads what sendmail 8.17 reads, version 8 down to 0, and what sendmail 5
 * wrote (no V line, no final dot, D names the data file).  Writes version 8 to
 * the byte as 8.17 does.
 *
 * Quoting: in the text of S, R, r, C and H, 0xFF stands before each byte
 * 0x80..0x9F and 0xFF that means itself; 0x81 alone begins a macro.  In struct
 * qf these texts are as they stand in the file; qf_address(), qf_unquote() and
 * the rendering take the quoting away.
 *
 * Pure: bytes in, struct out; no I/O, no clock.
 */
#ifndef STORE_MQUEUE_QF_H
#define STORE_MQUEUE_QF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QF_VERSION        8
#define QF_FILE_MAX       ((size_t)16 << 20) /* bytes of a control file */
#define QF_RECIPIENTS_MAX 20000
#define QF_HEADERS_MAX    20000
#define QF_MACROS_MAX     1000
#define QF_ATTEMPTS_MAX   1000000000
#define QF_PROBLEM_MAX    200 /* bytes shown of a bad line */
/* What an arena must hold to read any file of SIZE bytes, with room for the
   conversions. */
#define QF_ARENA_SIZE(size) ((size_t)(size)*4 + ((size_t)8 << 20))
/* The macro in which we keep what sendmail does not know. */
#define QF_PRIVATE "{sendq}"

enum qf_created {
	QF_CREATED_GIVEN,
	QF_CREATED_MISSING, /* no T line */
	QF_CREATED_BAD,     /* not a number above 0 */
};

/* Letters before the colon of an R line. */
enum {
	QF_RECIPIENT_PRIMARY = 1,  /* P */
	QF_RECIPIENT_NOTIFY = 2,   /* N: NOTIFY was given */
	QF_RECIPIENT_SUCCESS = 4,  /* S */
	QF_RECIPIENT_FAILURE = 8,  /* F */
	QF_RECIPIENT_DELAY = 16,   /* D */
	QF_RECIPIENT_BCC = 32,     /* B */
	QF_RECIPIENT_ALIAS = 64,   /* A: from an alias */
	QF_RECIPIENT_DEFAULT = 25, /* PFD */
};

struct qf_recipient {
	uint8_t flags;     /* QF_RECIPIENT_... */
	struct str text;   /* the address as it stands; never empty */
	struct str orcpt;  /* Q, or empty */
	struct str final;  /* r ("RFC822; a@b"), or empty */
	struct str status; /* M, or empty */
	struct str user;   /* C that is in force ("name:8:0:alias"), or empty */
};

struct qf_macro {
	struct str name;  /* "r", "{daemon_flags}" */
	struct str value; /* may be empty */
};

struct qf_header {
	/* What stands between the question marks: letters of mailers, "$x",
	   "${name}"; empty = always. */
	struct str condition;
	struct str text; /* "Name: value", LF before continuation lines */
};

/* The mode of a deliver-by line. */
enum {
	QF_BY_NOTIFY = 1,
	QF_BY_RETURN = 2,
	QF_BY_MODE = 0x0F,  /* which of these */
	QF_BY_TRACE = 0x10, /* beside it */
};

struct qf {
	int version;        /* 0..8; qf_write() always writes 8 */
	bool has_version;   /* there is a V line */
	bool is_terminated; /* there is a final dot */
	enum qf_created created;
	int64_t created_s;         /* T, wall clock; 0 unless GIVEN */
	int64_t attempted_s;       /* K, 0 = never */
	int64_t attempts;          /* N, 0..QF_ATTEMPTS_MAX */
	int64_t priority;          /* P, lower is sooner, may be negative */
	struct str data_directory; /* d, or empty */
	/* D, or empty.  Counts only in version 0, and in what we wrote anew
	   (QF_PRIVATE is there); sendmail 8 ignores it, so link the file to
	   the name that goes with the control file before it is written. */
	struct str data_file;
	struct str inode;    /* I ("major/minor/inode"), or empty */
	enum mail_body body; /* B */
	bool has_quarantine;
	struct str quarantine; /* q, the reason */
	struct str status;     /* M before S, or empty */
	/* F */
	bool is_warned;      /* w: the sender was told of the delay */
	bool is_response;    /* r: goes out from <> whatever S says */
	bool has_8bit;       /* 8 */
	bool is_bcc_deleted; /* b: else Bcc goes out empty */
	bool has_ret;        /* d: RET was given */
	bool is_ret_headers; /* n: do not return the body */
	bool is_split;       /* s */
	bool is_smtputf8;    /* e */
	struct qf_macro *macros;
	size_t macro_count;
	bool has_sender;
	struct str sender; /* S as it stands; empty means root of this host */
	/* E, or empty: bounces go there.  Counts where D does. */
	struct str errors_to;
	bool has_envid;
	struct str envid; /* Z, xtext */
	bool has_auth;
	struct str auth; /* A, xtext or "<>" */
	bool has_deliver_by;
	uint8_t deliver_mode;            /* QF_BY_... */
	int64_t deliver_by_s;            /* seconds after creation */
	struct qf_recipient *recipients; /* in order of the file */
	size_t recipient_count;
	struct qf_header *headers;
	size_t header_count;
	/* H lines that are no header field are left out, as sendmail does. */
	size_t header_bad_count;
	struct str header_bad; /* the first one behind its letter, or empty */
};

/* What is wrong with a file. */
enum qf_problem_kind {
	QF_FINE,
	QF_EMPTY,         /* no byte */
	QF_INCOMPLETE,    /* no final dot */
	QF_BAD_LINE,      /* a letter or text that has no meaning */
	QF_BAD_VERSION,   /* above QF_VERSION */
	QF_BAD_BODY,      /* B is neither 7BIT nor 8BITMIME */
	QF_BAD_AUTH,      /* A is no xtext */
	QF_BAD_RECIPIENT, /* R without a colon or without an address */
	QF_SPOOFED,       /* "From " at the start of a line */
	QF_EXTRA,         /* lines behind the final dot */
	QF_NO_SENDER,
	QF_NO_RECIPIENT,
	QF_TOO_LARGE, /* over a limit of this header */
};

/* What is to be done with a file.  None is ever deleted or sent. */
enum qf_remedy {
	QF_RUN,       /* nothing wrong */
	QF_LEAVE,     /* leave it, say so: it may still be written */
	QF_SET_ASIDE, /* rename it to Qf, say so */
	/* LEAVE while it is younger than ten minutes, then SET_ASIDE. */
	QF_LEAVE_YOUNG,
};

struct qf_problem {
	enum qf_problem_kind kind;
	enum qf_remedy remedy;
	size_t line;     /* from 1; 0 = of the whole file */
	struct str text; /* the bad line, at most QF_PROBLEM_MAX bytes */
};

/* An envelope with nothing in it, of version QF_VERSION. */
void qf_init(struct qf *q);

/* Reads a whole file.  0: Q is usable.  -EBADMSG: PROBLEM says why it is not;
   Q has what was read before the bad line.  -ENOBUFS: the arena is full.  The
   strings of Q and PROBLEM are in ARENA; BYTES may go. */
int qf_read(struct str bytes, struct arena *arena, struct qf *q_out,
    struct qf_problem *problem_out) __attribute__((warn_unused_result));
/* What is wrong in words, "unknown line". */
const char *qf_problem_name(enum qf_problem_kind kind);

/* Appends the file: version 8, the order of sendmail 8.17, final dot; texts are
   written as they are, so what is new must be quoted.  D and E only with a
   macro QF_PRIVATE.  Line ends become blanks, but before the continuation lines
   of headers.  0, -ENOBUFS, -ENOMEM; or -EINVAL if it could not be read again:
   no sender, no recipient, a NUL, an empty address, a header without a name,
   a bad condition, a macro without a name, AUTH that is no xtext. */
int qf_write(const struct qf *q, struct buf *out)
    __attribute__((warn_unused_result));

/* Lines as they stand, for printing; in order of the file. */
struct qf_line {
	size_t number;   /* from 1, of its first line */
	char code;       /* the letter, 0 of an empty line */
	struct str text; /* behind the letter; LF before continuation lines */
};
/* The next line at *AT (begins at 0) of BYTES, in which CR is no line end;
   false at the end.  *NUMBER (begins at 0) counts lines. */
bool qf_line_next(
    struct str bytes, size_t *at, size_t *number, struct qf_line *line_out);

/* The value of a macro ("{sendq}"), the last one of that name; NULL if there is
   none. */
const struct str *qf_macro_find(const struct qf *q, struct str name);

enum qf_address_kind {
	QF_ADDRESS_MAIL,    /* "a@b", or a name without a domain */
	QF_ADDRESS_NULL,    /* "<>" */
	QF_ADDRESS_EMPTY,   /* nothing */
	QF_ADDRESS_PROGRAM, /* "|/bin/prog arg" or "|"/bin/prog arg"" */
	QF_ADDRESS_FILE,    /* "/path" */
	QF_ADDRESS_INCLUDE, /* ":include:/path" */
	QF_ADDRESS_BAD,     /* no address: to be bounced (5.1.3) */
};

struct qf_address {
	enum qf_address_kind kind;
	/* MAIL: the envelope address; PROGRAM: the command; FILE, INCLUDE: the
	   path; BAD: the text.  Unquoted. */
	struct str bare;
	bool has_domain; /* MAIL: there is an "@" with something behind it */
	/* MAIL: longer than MAIL_ADDRESS_MAX: bounce it (5.1.3), never send. */
	bool is_oversize;
};

/* What the text of an R or S line means: "<a@b>", "a@b", "Name <a@b>",
   "a@b (Name)", "group: a@b", programs and files.  -ENOBUFS: arena full. */
int qf_address(struct str text, struct arena *arena,
    struct qf_address *address_out) __attribute__((warn_unused_result));

/* TEXT without the quoting of internal bytes; data is NULL over the maximum. */
struct str qf_unquote(struct str text, struct arena *arena)
    __attribute__((warn_unused_result));
/* TEXT with it. */
struct str qf_quote(struct str text, struct arena *arena)
    __attribute__((warn_unused_result));

/* NOTIFY of a recipient as mail/envelope.h has it (0 = not given), and back:
   not given is PFD. */
uint8_t qf_notify(uint8_t recipient_flags);
uint8_t qf_flags_of_notify(uint8_t notify);

/* How long after it arrived the sender is told that it is not there yet, in
   milliseconds: by-mode N of a deliver-by line (RFC 2852); 0 = has none. */
uint64_t qf_notice_ms(const struct qf *q);

/* What of Q a struct mail_envelope holds; the strings are in ARENA or Q's.  The
   sender is the bare address of S, empty with <> or is_response.  ENVID, AUTH
   over their limits or no xtext are left out, *IS_WHOLE_OUT is then false.
   0 or -ENOBUFS. */
int qf_get_envelope(const struct qf *q, struct arena *arena,
    struct mail_envelope *envelope_out, bool *is_whole_out)
    __attribute__((warn_unused_result));
/* Sets sender ("<a@b>"), ENVID, AUTH, B and the flags d n e of Q. */
int qf_set_envelope(struct qf *q, struct arena *arena,
    const struct mail_envelope *envelope) __attribute__((warn_unused_result));

/* The same for a recipient.  The address is the bare one of qf_address(),
   whatever its kind and size: look at ADDRESS_OUT before it is sent to or put
   into a frame.  An ORCPT that is too long or no xtext is left out. */
int qf_get_recipient(const struct qf_recipient *r, struct arena *arena,
    struct qf_address *address_out, struct mail_recipient *recipient_out)
    __attribute__((warn_unused_result));
/* Sets all of R: text "<a@b>", final "RFC822; a@b", flags, orcpt. */
int qf_set_recipient(struct qf_recipient *r, struct arena *arena,
    const struct mail_recipient *recipient) __attribute__((warn_unused_result));

/* Leaves out each recipient that was there before, as sendmail does when it
   delivers: the same address, with the domain in any case.  0 or -ENOBUFS. */
int qf_drop_duplicates(struct qf *q, struct arena *arena)
    __attribute__((warn_unused_result));

/*
 * Content.  Rendered = header fields that the relay mailer of sendmail (flags
 * mDFMuXa8) sends, with CRLF, an empty line, the data file with CRLF.
 */

/* Appends header fields and the empty line; CR and NUL before a dot become
   blanks.  0, -ENOBUFS, -ENOMEM. */
int qf_render_header(const struct qf *q, struct buf *out)
    __attribute__((warn_unused_result));

/* The body, in pieces of any size; zeroed at the start. */
struct qf_body {
	uint64_t size;  /* bytes rendered up to now */
	bool is_inside; /* behind a byte that is no line end */
	bool has_cr;    /* a CR waits for what follows it */
	bool has_nul;   /* and so does a NUL */
};
/* Renders a piece of the data file: LF becomes CRLF, CR before LF goes away,
   CR before a dot becomes CRLF, NUL before a dot a blank; else these stay.
   OUT may be NULL, then only the size is counted.  At most 2 * size + 1 bytes.
   0, -ENOBUFS, -ENOMEM (then the state is as before). */
int qf_body_render(struct qf_body *body, struct str piece, struct buf *out)
    __attribute__((warn_unused_result));
/* The end: adds a line end that is missing. */
int qf_body_end(struct qf_body *body, struct buf *out)
    __attribute__((warn_unused_result));

/* The other way: CONTENT as it is received by SMTP (CRLF).  Where its body
   begins: behind the first empty line; 0 when it does not begin with a header
   field, its size when all of it is header. */
size_t qf_content_body(struct str content);
/* Sets the headers of Q from the header part of a content (all before its
   body), with sendmail's own conditional Return-Path before them, and has_8bit
   and is_bcc_deleted.  *IS_EXACT_OUT tells whether qf_render_header() gives the
   same bytes; it is false where there is no empty line behind, and where a line
   is no field: that is left out.  Fields that sendmail drops (Bcc, Return-Path,
   Full-Name, Content-Length) are under the condition ${sendq}, with which we
   send them.  0 or -ENOBUFS. */
int qf_set_headers(struct qf *q, struct arena *arena, struct str header,
    bool *is_exact_out) __attribute__((warn_unused_result));

/* The body part in pieces of any size, CRLF to LF; zeroed at the start. */
struct qf_unbody {
	bool has_cr;     /* a CR waits for what follows it */
	bool is_inside;  /* behind a byte that is no line end */
	bool is_inexact; /* rendering will not give the same bytes */
	bool is_bare_cr; /* the last byte given out is a CR */
	bool is_after_nul;
	bool has_8bit; /* there is a byte above 0x7F */
};
int qf_unbody_store(struct qf_unbody *body, struct str piece, struct buf *out)
    __attribute__((warn_unused_result));
/* The end; is_inexact is now final. */
int qf_unbody_end(struct qf_unbody *body, struct buf *out)
    __attribute__((warn_unused_result));

#endif
