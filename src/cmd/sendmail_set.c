/*
 * The options that -O and -o set.  sendmail_sets is the table of the names that
 * sendmail has; a row with a function means something here and is read at
 * once, the others are kept as they were given, so that a command line which
 * was right for sendmail is right here.
 *
 * Only an unknown name and a value that cannot be meant end the program.
 */
#include "cmd/sendmail_set.h"
#include "base/num.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>

#define SET_TIME_MAX   UINT64_C(3155760000000) /* a hundred years */
#define SET_NUMBER_MAX UINT64_C(1000000000000)

/* Reads VALUE; PART is what stood behind the dot of the name. */
typedef int set_fn(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages);

struct set_row {
	const char *name; /* "" = there is only the letter */
	char letter;      /* '\0' = there is none */
	set_fn *read;
};

static void say(struct buf *messages, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line that finds no room is not worth an error of its own. */
static void
say(struct buf *messages, const char *format, ...)
{
	char line[400];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (buf_printf(messages, "%s\n", line) < 0)
		return;
}

/* sendmail's rule: nothing, T, Y, 1 and their small letters are true. */
static bool
set_is_true(struct str value)
{
	return value.size == 0 ||
	       str_find(STR("tTyY1"), value.data[0]) < STR("tTyY1").size;
}

static uint64_t
set_scale(char unit)
{
	switch (unit) {
	case 'w':
		return UINT64_C(604800000);
	case 'd':
		return UINT64_C(86400000);
	case 'h':
		return UINT64_C(3600000);
	case 'm':
		return UINT64_C(60000);
	case 's':
		return UINT64_C(1000);
	default:
		return 0;
	}
}

int
sendmail_time_parse(
    struct str text, char unit, uint64_t *ms_out, struct buf *messages)
{
	uint64_t total = 0, value = 0, scale;
	int error = 0;

	*ms_out = 0;
	if (str_case_equal(text, STR("now")))
		return 0;
	for (size_t i = 0; i <= text.size; i++) {
		char c = i < text.size ? text.data[i] : unit;

		if (i == text.size &&
		    (i == 0 || !ascii_is_digit(text.data[i - 1])))
			break;
		if (i < text.size && ascii_is_digit(c)) {
			value = value * 10 + (uint64_t)(c - '0');
			if (value > SET_TIME_MAX)
				value = SET_TIME_MAX;
			continue;
		}
		scale = set_scale(c);
		if (scale == 0) {
			say(messages, "Invalid time unit `%c'", c);
			error = -EINVAL;
		}
		total +=
		    value > SET_TIME_MAX / 1000 ? SET_TIME_MAX : value * scale;
		if (total > SET_TIME_MAX)
			total = SET_TIME_MAX;
		value = 0;
	}
	if (error == 0)
		*ms_out = total;
	return error;
}

/* A number as strtol() would find it at the beginning; 0 where there is none,
   as the real program has it. */
static uint64_t
set_number(struct str value)
{
	uint64_t number = 0;
	size_t digits = 0;

	while (digits < value.size && ascii_is_digit(value.data[digits]))
		digits++;
	if (num_parse(str_head(value, digits), SET_NUMBER_MAX, &number) < 0)
		return digits > 0 ? SET_NUMBER_MAX : 0;
	return number;
}

static int
set_queue_directory(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->queue_directory = value;
	return EX_OK;
}

static int
set_sort_order(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	static const char *const orders[] = {"filename", "host", "modification",
	    "none", "priority", "random", "shuffle", "time"};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++)
		if (value.size > 0 &&
		    ascii_lower(value.data[0]) == orders[i][0]) {
			options->sort_order = str_from(orders[i]);
			return EX_OK;
		}
	say(messages, "Invalid queue sort order \"%.*s\"", STR_ARG(value));
	return EX_USAGE;
}

/* The names that may follow "Timeout.": those that concern us are queuereturn
   and queuewarn, which may have a class of mail behind them. */
static bool
timeout_is_known(struct str part, struct buf *messages)
{
	static const char *const names[] = {"", "aconnect", "auth", "command",
	    "connect", "control", "datablock", "datafinal", "datainit",
	    "fileopen", "helo", "hoststatus", "iconnect", "ident", "initial",
	    "lhlo", "mail", "misc", "queuereturn", "queuewarn", "quit", "rcpt",
	    "resolver.retrans", "resolver.retry", "rset", "starttls"};
	static const char *const classes[] = {
	    "normal", "urgent", "non-urgent", "dsn"};
	size_t dot = str_find(part, '.');
	struct str head = str_head(part, dot), class = str_skip(part, dot + 1);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_case_equal(part, str_from(names[i])))
			return true;
	if (str_case_starts(head, STR("resolver")))
		return true;
	if (!str_case_equal(head, STR("queuereturn")) &&
	    !str_case_equal(head, STR("queuewarn"))) {
		say(messages, "settimeout: invalid timeout %.*s",
		    STR_ARG(head));
		return false;
	}
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (str_case_equal(class, str_from(classes[i])))
			return true;
	say(messages, "settimeout: invalid %.*s subtimeout %.*s", STR_ARG(head),
	    STR_ARG(class));
	return false;
}

/* "Timeout.queuereturn=5d", also ".queuereturn.normal"; a bare -or2h is that of
   every command. */
static int
set_timeout(struct sendmail_options *options, struct str part, struct str value,
    struct buf *messages)
{
	uint64_t *field = NULL;
	uint64_t ignored;
	char unit = 'm';

	if (!timeout_is_known(part, messages))
		return EX_SOFTWARE;
	if (part.size == 0)
		field = &options->timeout_ms;
	if (str_case_starts(part, STR("queuereturn"))) {
		field = &options->queue_return_ms;
		unit = 'd';
	}
	if (str_case_starts(part, STR("queuewarn"))) {
		field = &options->queue_warn_ms;
		unit = 'h';
	}
	return sendmail_time_parse(
		   value, unit, field != NULL ? field : &ignored, messages) == 0
	           ? EX_OK
	           : EX_USAGE;
}

/* -oT5d or -oT5d/4h: when mail is returned, and when its sender is warned.
   What is wrong is said and leaves both as they were. */
static int
set_queue_timeout(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	size_t slash = str_find(value, '/');
	struct str warn =
	    slash < value.size ? str_skip(value, slash + 1) : value;
	uint64_t return_ms, warn_ms;

	if (sendmail_time_parse(
		str_head(value, slash), 'd', &return_ms, messages) == 0)
		options->queue_return_ms = return_ms;
	if (sendmail_time_parse(warn, 'h', &warn_ms, messages) == 0 &&
	    slash < value.size)
		options->queue_warn_ms = warn_ms;
	return EX_OK;
}

static int
set_min_queue_age(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	return sendmail_time_parse(
		   value, 'm', &options->min_queue_age_ms, messages) == 0
	           ? EX_OK
	           : EX_USAGE;
}

static int
set_queue_load(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->has_queue_load = true;
	options->queue_load = set_number(value);
	return EX_OK;
}

static int
set_refuse_load(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->has_refuse_load = true;
	options->refuse_load = set_number(value);
	return EX_OK;
}

static int
set_queue_factor(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->queue_factor = set_number(value);
	return EX_OK;
}

static int
set_message_size(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->message_size_max = set_number(value);
	return EX_OK;
}

static int
set_hops_max(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->hops_max = set_number(value);
	return EX_OK;
}

static int
set_ignore_dots(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	options->is_dot_ordinary = set_is_true(value);
	return EX_OK;
}

static int
set_verbose(struct sendmail_options *options, struct str part, struct str value,
    struct buf *messages)
{
	options->is_verbose = set_is_true(value);
	return EX_OK;
}

static int
set_delivery(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	static const char letters[] = "biqd";
	size_t at = value.size == 0 ? 0
	                            : str_find(str_from(letters),
					  ascii_lower(value.data[0]));

	if (at == sizeof(letters) - 1) {
		say(messages, "Unknown delivery mode %c", value.data[0]);
		return EX_USAGE;
	}
	options->delivery = (enum sendmail_delivery)at;
	return EX_OK;
}

/* What to do with eight bits: to us all is one, but a word is no way. */
static int
set_eight_bits(struct sendmail_options *options, struct str part,
    struct str value, struct buf *messages)
{
	if (value.size == 0 || str_find(STR("mps"), value.data[0]) < 3)
		return EX_OK;
	say(messages, "Unknown 8-bit mode %c", value.data[0]);
	return EX_USAGE;
}

/* A letter that is none leaves it as it was, as the real program does. */
static int
set_errors(struct sendmail_options *options, struct str part, struct str value,
    struct buf *messages)
{
	static const char letters[] = "pmwqe";
	size_t at = value.size == 0 ? 0
	                            : str_find(str_from(letters),
					  ascii_lower(value.data[0]));

	if (at < sizeof(letters) - 1)
		options->errors = (enum sendmail_errors)at;
	return EX_OK;
}

/* clang-format off */
static const struct set_row sendmail_sets[] = {
    {"AliasFile", 'A'}, {"AliasWait", 'a'}, {"AllowBogusHELO"},
    {"AuthMaxBits"}, {"AuthMechanisms"}, {"AuthOptions"}, {"AuthRealm"},
    {"BadRcptThrottle"}, {"BlankSub", 'B'}, {"CACertFile"}, {"CACertPath"},
    {"CertFingerprintAlgorithm"}, {"CheckAliases", 'n'},
    {"CheckpointInterval", 'C'}, {"CipherList"}, {"ClassFactor", 'z'},
    {"ClientCertFile"}, {"ClientKeyFile"}, {"ClientPortOptions"},
    {"ClientSSLOptions"}, {"ColonOkInAddr"}, {"ConnectOnlyTo"},
    {"ConnectionCacheSize", 'k'}, {"ConnectionCacheTimeout", 'K'},
    {"ConnectionRateThrottle"}, {"ConnectionRateWindowSize"},
    {"ControlSocketName"}, {"CRLFile"}, {"CRLPath"},
    {"DaemonPortOptions", 'O'}, {"DANE"}, {"DataFileBufferSize"},
    {"DeadLetterDrop"}, {"DefaultAuthInfo"}, {"DefaultCharSet"},
    {"DefaultUser", 'u'}, {"DelayLA"}, {"DeliverByMin"},
    {"DeliveryMode", 'd', set_delivery}, {"DHParameters"}, {"DialDelay"},
    {"DontBlameSendmail"}, {"DontExpandCnames"}, {"DontInitGroups"},
    {"DontProbeInterfaces"}, {"DontPruneRoutes"}, {"DoubleBounceAddress"},
    {"EightBitMode", '8', set_eight_bits}, {"ErrorHeader", 'E'},
    {"ErrorMode", 'e', set_errors}, {"FallbackMXhost", 'V'},
    {"FallbackSmartHost"}, {"FastSplit"}, {"ForkEachJob", 'Y'},
    {"ForwardPath", 'J'}, {"HeloName"}, {"HelpFile", 'H'},
    {"HoldExpensive", 'c'}, {"HostsFile"}, {"HostStatusDirectory"},
    {"IgnoreDots", 'i', set_ignore_dots}, {"InputMailFilters"},
    {"LDAPDefaultSpec"}, {"LogLevel", 'L'}, {"MailboxDatabase"},
    {"MatchGECOS", 'G'}, {"MaxAliasRecursion"}, {"MaxDaemonChildren"},
    {"MaxHeadersLength"}, {"MaxHopCount", 'h', set_hops_max},
    {"MaxMessageSize", '\0', set_message_size}, {"MaxMimeHeaderLength"},
    {"MaxNOOPCommands"}, {"MaxQueueChildren"}, {"MaxQueueRunSize"},
    {"MaxRecipientsPerMessage"}, {"MaxRunnersPerQueue"}, {"MeToo", 'm'},
    {"Milter"}, {"MinFreeBlocks", 'b'},
    {"MinQueueAge", '\0', set_min_queue_age}, {"MustQuoteChars"},
    {"NiceQueueRun"}, {"NoRecipientAction"}, {"OldStyleHeaders", 'o'},
    {"OperatorChars"}, {"PidFile"}, {"PostmasterCopy", 'P'},
    {"PrivacyOptions", 'p'}, {"ProcessTitlePrefix"},
    {"QueueDirectory", 'Q', set_queue_directory},
    {"QueueFactor", 'q', set_queue_factor}, {"QueueFileMode"},
    {"QueueLA", 'x', set_queue_load},
    {"QueueSortOrder", '\0', set_sort_order},
    {"QueueTimeout", 'T', set_queue_timeout}, {"RandFile"},
    {"RecipientFactor", 'y'}, {"RefuseLA", 'X', set_refuse_load},
    {"RejectLogInterval"}, {"RequiresDirfsync"}, {"ResolverOptions", 'I'},
    {"RetryFactor", 'Z'}, {"RrtImpliesDsn"}, {"RunAsUser"},
    {"SafeFileEnvironment"}, {"SaveFromLine", 'f'}, {"SendMimeErrors", 'j'},
    {"ServerCertFile"}, {"ServerKeyFile"}, {"ServerSSLOptions"},
    {"ServiceSwitchFile"}, {"SevenBitInput", '7'}, {"SharedMemoryKey"},
    {"SharedMemoryKeyFile"}, {"SingleLineFromHeader"},
    {"SingleThreadDelivery"}, {"SMTPUTF8"}, {"SoftBounce"}, {"SSLEngine"},
    {"SSLEnginePath"}, {"StatusFile", 'S'}, {"SuperSafe", 's'},
    {"TempFileMode", 'F'}, {"Timeout", 'r', set_timeout},
    {"TimeZoneSpec", 't'}, {"TLSFallbacktoClear"}, {"TLSSrvOptions"},
    {"TrustedUser"}, {"TryNullMXList", 'w'}, {"UnixFromLine"},
    {"UnsafeGroupWrites"}, {"UseErrorsTo", 'l'}, {"UseMSP"},
    {"UserDatabaseSpec", 'U'}, {"Verbose", 'v', set_verbose},
    {"XscriptFileBufferSize"}, {"", 'M'}, {"", 'R'}, {"", 'g'},
};
/* clang-format on */

#define SETS_COUNT (sizeof(sendmail_sets) / sizeof(sendmail_sets[0]))

/* Keeps NAME=VALUE and reads it. */
static int
set_take(struct sendmail_options *options, const struct set_row *row,
    struct sendmail_set set, struct buf *messages)
{
	size_t dot = str_find(set.name, '.');

	if (options->set_count == SENDMAIL_SETS_MAX) {
		say(messages, "Too many options (%d)", SENDMAIL_SETS_MAX);
		return EX_USAGE;
	}
	options->sets[options->set_count++] = set;
	if (row == NULL || row->read == NULL)
		return EX_OK;
	return row->read(
	    options, str_skip(set.name, dot + 1), set.value, messages);
}

/* The row of the name, or of the only one that begins so; NULL after it was
   said why there is none. */
static const struct set_row *
set_row_find(struct str name, struct buf *messages)
{
	const struct set_row *found = NULL;

	for (size_t i = 0; i < SETS_COUNT; i++) {
		const struct set_row *row = &sendmail_sets[i];
		struct str full = str_from(row->name);

		if (str_case_equal(full, name))
			return row;
		if (!str_case_starts(full, name))
			continue;
		if (found != NULL) {
			say(messages,
			    "readcf: ambiguous option name %.*s (matches %s "
			    "and %s)",
			    STR_ARG(name), found->name, row->name);
			return NULL;
		}
		found = row;
	}
	if (found == NULL)
		say(messages, "readcf: unknown option name %.*s",
		    STR_ARG(name));
	else
		say(messages, "Option %.*s used as abbreviation for %s",
		    STR_ARG(name), found->name);
	return found;
}

int
sendmail_set_long(
    struct sendmail_options *options, struct str text, struct buf *messages)
{
	size_t equals = str_find(text, '=');
	struct sendmail_set set = {
	    .name = str_trim(str_head(text, equals)),
	    .value = str_trim(str_skip(text, equals + 1)),
	};
	size_t dot = str_find(set.name, '.');
	struct str head = str_head(set.name, dot);
	const struct set_row *row;

	if (head.size == 0) {
		say(messages, "readcf: null option name");
		return EX_SOFTWARE;
	}
	row = set_row_find(head, messages);
	if (row == NULL)
		return EX_SOFTWARE;
	if (dot == set.name.size)
		set.name = str_from(row->name);
	return set_take(options, row, set, messages);
}

int
sendmail_set_letter(struct sendmail_options *options, char letter,
    struct str value, struct buf *messages)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t at = str_find(str_from(letters), letter);
	struct sendmail_set set = {
	    .name = str_of(letters + at, at < sizeof(letters) - 1),
	    .value = value,
	};

	for (size_t i = 0; i < SETS_COUNT; i++) {
		if (sendmail_sets[i].letter != letter || letter == '\0')
			continue;
		if (sendmail_sets[i].name[0] != '\0')
			set.name = str_from(sendmail_sets[i].name);
		return set_take(options, &sendmail_sets[i], set, messages);
	}
	return set_take(options, NULL, set, messages);
}

struct str
sendmail_set_find(const struct sendmail_options *options, struct str name)
{
	struct str value = {NULL, 0};

	for (size_t i = 0; i < options->set_count; i++)
		if (str_case_equal(options->sets[i].name, name))
			value = options->sets[i].value;
	return value;
}
