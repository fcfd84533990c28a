/*
 * Everything that sendmail's command line can say, as one struct.  It is read
 * once, checked whole, and then handed to the part that does the work:
 *
 *	submit.h          submit_run(): -bm, -bs, -t, rmail
 *	sendmail_print.h  sendmail_print(): -bp, -bP, -bh, -bH, mailq, hoststat,
 *	                  purgestat, -Q
 *	run.h             sendmail_run(): -q..., -bd, -bD, -bl
 *	sendmail_aliases.h sendmail_aliases(): -bi, newaliases, -bv
 *
 * Each has the form int f(const struct sendmail_options *), prints what it has
 * to say, and returns the exit status (sysexits.h).
 *
 * Strings point into argv, which lives as long as the program.  Times are in
 * milliseconds.
 */
#ifndef CMD_SENDMAIL_OPTIONS_H
#define CMD_SENDMAIL_OPTIONS_H

#include "base/buf.h"
#include "base/str.h"
#include "mail/envelope.h"
#include "store/select.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SENDMAIL_ARGS_MAX 65536 /* words on the command line */
#define SENDMAIL_SETS_MAX 100   /* -O and -o, each counted */

/* What is to be done: argv[0], then -b, then what -q and -Q imply. */
enum sendmail_mode {
	SENDMAIL_DELIVER,    /* -bm: read a message and send it; the default */
	SENDMAIL_SMTP,       /* -bs: SMTP on standard input and output */
	SENDMAIL_RMAIL,      /* rmail: a message that came by UUCP */
	SENDMAIL_DAEMON,     /* -bd, smtpd: a daemon in the background */
	SENDMAIL_FOREGROUND, /* -bD: a daemon that stays in the foreground */
	SENDMAIL_LOOPBACK,   /* -bl: a daemon that listens on loopback only */
	SENDMAIL_RUN,        /* -q...: run the queue, without -bd */
	SENDMAIL_QUARANTINE, /* -Q...: quarantine or release what is selected */
	SENDMAIL_PRINT,      /* -bp, mailq: list the queue */
	SENDMAIL_COUNT,      /* -bP: how many entries there are */
	SENDMAIL_HOSTSTAT,   /* -bh, hoststat: what is known of hosts */
	SENDMAIL_PURGESTAT,  /* -bH, purgestat: forget it */
	SENDMAIL_VERIFY,     /* -bv: say what would become of recipients */
	SENDMAIL_ALIASES,    /* -bi, -I, newaliases: check the aliases */
	SENDMAIL_CHECK,      /* -bC: check the configuration */
	SENDMAIL_TRY,        /* -bt: the same as -bv, of what is read */
	SENDMAIL_HELP,       /* --help with nothing else */
};

/* -od: what happens to a new message; and to a queue run with -odq. */
enum sendmail_delivery {
	SENDMAIL_BACKGROUND,  /* b, the default */
	SENDMAIL_INTERACTIVE, /* i */
	SENDMAIL_QUEUE_ONLY,  /* q */
	SENDMAIL_DEFER,       /* d */
};

/* -oe: how errors of a submission are told. */
enum sendmail_errors {
	SENDMAIL_ERRORS_PRINT,   /* p, the default: print, keep dead.letter */
	SENDMAIL_ERRORS_MAIL,    /* m: mail it back */
	SENDMAIL_ERRORS_WRITE,   /* w: as q here, nobody is written to */
	SENDMAIL_ERRORS_QUIET,   /* q: the exit status only */
	SENDMAIL_ERRORS_BERKNET, /* e: as m, and exit status 0 */
};

/* Whose files are worked on. */
enum sendmail_queue {
	SENDMAIL_QUEUE_NORMAL,
	SENDMAIL_QUEUE_QUARANTINED, /* -qQ: hf */
	SENDMAIL_QUEUE_LOST,        /* -qL: Qf */
};

/* One -O Name=value or -o letter: the name is the long one as the table of
   options spells it ("QueueDirectory", "Timeout.queuereturn"), or the letter
   where there is no long one. */
struct sendmail_set {
	struct str name;
	struct str value;
};

struct sendmail_options {
	const char *program; /* argv[0] without its directory */
	enum sendmail_mode mode;
	/* True if -C, or $SENDQ_CONFIG, or the default could be meant: the
	   argument of -C, NULL if not given. */
	const char *config_file;
	bool is_verbose;          /* -v */
	struct str debug;         /* -d's levels, empty = none */
	const char *debug_file;   /* -D, NULL = none */
	const char *traffic_file; /* -X, NULL = none */
	struct str syslog_label;  /* -L */

	/* The queue: -q.  IS_RUN says that any form of -q stood there; it is
	   with SENDMAIL_DAEMON too (-bd -q1h) and with SENDMAIL_PRINT. */
	bool is_run;
	bool is_run_foreground;   /* -qf, or -v */
	bool is_run_persistent;   /* -qp: runners that stay */
	uint64_t run_interval_ms; /* -q15m, -qp10s; 0 = one run */
	enum sendmail_queue queue;
	struct store_select select; /* -qI -qS -qR -qQ, -M -R -S (old) */
	struct str queue_group;     /* -qG, empty = all */
	struct str quarantine; /* -Q's reason; empty = release (mode decides) */

	/* -O and -o; the last of one name counts (sendmail_set_find()).  What
	   follows is taken from there, read and checked. */
	struct sendmail_set sets[SENDMAIL_SETS_MAX];
	size_t set_count;
	struct str queue_directory; /* QueueDirectory, -oQ; empty = the spool */
	struct str sort_order; /* QueueSortOrder, lower case; empty = default */
	uint64_t timeout_ms;   /* -or2h: of all commands; 0 = default */
	uint64_t queue_return_ms;  /* Timeout.queuereturn, -oT; 0 = default */
	uint64_t queue_warn_ms;    /* Timeout.queuewarn; 0 = default */
	uint64_t min_queue_age_ms; /* MinQueueAge; 0 = none */
	bool has_queue_load;       /* QueueLA, -ox was given */
	uint64_t queue_load;
	bool has_refuse_load; /* RefuseLA, -oX */
	uint64_t refuse_load;
	uint64_t queue_factor;           /* QueueFactor; 600000 unless given */
	uint64_t message_size_max;       /* MaxMessageSize; 0 = none given */
	uint64_t hops_max;               /* MaxHopCount, -oh; 25 unless given */
	enum sendmail_delivery delivery; /* DeliveryMode, -od */
	enum sendmail_errors errors;     /* ErrorMode, -oe */

	/* Submission. */
	bool is_recipients_from_header; /* -t */
	bool is_dot_ordinary;           /* -i, -oi */
	bool is_gateway;                /* -G: headers are left as they are */
	bool is_smtputf8;               /* -U */
	bool is_without_aliases;        /* -n */
	bool has_sender;                /* -f, -r */
	struct str sender;    /* as given; empty or "<>" = the null sender */
	struct str full_name; /* -F */
	uint8_t notify;       /* -N: MAIL_NOTIFY bits, 0 = not given */
	enum mail_ret ret;    /* -R hdrs, full */
	struct str envid;     /* -V, xtext */
	enum mail_body body;  /* -B */
	uint64_t hops;        /* -h */
	struct str protocol;  /* -p protocol[:host] */
	struct str protocol_host;

	/* What stands behind the options: recipients, or names (-bv). */
	char **operands;
	size_t operand_count;
};

/*
 * Reads the command line.  EX_OK, or the exit status with which the program
 * ends; MESSAGES gets what is to be printed, one line each, also with EX_OK.
 * ARGV's strings stay in use; the array may be put in another order.
 */
int sendmail_options_read(struct sendmail_options *options, int argc,
    char **argv, struct buf *messages) __attribute__((warn_unused_result));

/* The value of -O NAME=... (any case), the last one given; data is NULL if
   there is none. */
struct str sendmail_set_find(
    const struct sendmail_options *options, struct str name);

/* A time as sendmail writes it: "15m", "1h30m", "1d12h", "2w", bare numbers in
   UNIT ('m', 'h', 'd', 's').  0; or -EINVAL, with one line in MESSAGES for each
   character that is no unit. */
int sendmail_time_parse(struct str text, char unit, uint64_t *ms_out,
    struct buf *messages) __attribute__((warn_unused_result));

#endif
