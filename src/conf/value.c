/* Values of settings, one function for each type; see value.h. */
#include "conf/value.h"
#include "base/check.h"
#include "base/num.h"
#include "conf/route.h"
#include "mail/address.h"

#include <errno.h>

typedef int value_fn(
    struct reader *r, const struct setting *row, struct str text, void *field);

/* Takes VALUE into FIELD if ERROR is 0 and the row's minimum allows it; the
   parsers check the maximum. */
static int
limited_take(
    const struct setting *row, int error, uint64_t value, uint64_t *field)
{
	if (error == 0 && value < row->min)
		error = -ERANGE;
	if (error == 0)
		*field = value;
	return error;
}

/* A negative number is one, but out of any range. */
static int
negative_check(struct str text, int error)
{
	if (error == -EINVAL && text.size > 1 && *text.data == '-' &&
	    ascii_is_digit(text.data[1]))
		return -ERANGE;
	return error;
}

static int
number_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	uint64_t value = 0;
	int error = negative_check(text, num_parse(text, row->max, &value));

	return limited_take(row, error, value, field);
}

static int
port_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	uint64_t value;
	int error = number_read(r, row, text, &value);

	if (error == 0)
		*(uint16_t *)field = (uint16_t)value;
	return error;
}

static int
duration_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	uint64_t value = 0;
	int error =
	    negative_check(text, num_parse_duration(text, row->max, &value));

	return limited_take(row, error, value, field);
}

static int
size_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	uint64_t value = 0;
	int error =
	    negative_check(text, num_parse_size(text, row->max, &value));

	return limited_take(row, error, value, field);
}

/* Three or four octal digits. */
static int
mode_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	uint32_t value = 0;

	if (text.size < 3 || text.size > 4)
		return -EINVAL;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '7')
			return -EINVAL;
		value = value * 8 + (uint32_t)(text.data[i] - '0');
	}
	if (value < row->min || value > row->max)
		return -ERANGE;
	*(uint32_t *)field = value;
	return 0;
}

static int
hostname_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	char key[MAIL_DOMAIN_MAX + 1];

	if (!mail_domain_is_valid(text, true) || mail_domain_key(text, key) < 0)
		return -EINVAL;
	return reader_copy(r, str_from(key), field);
}

static int
mailbox_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	struct mail_address address;

	if (mail_address_parse(text, &address) < 0 || address.domain.size == 0)
		return -EINVAL;
	return reader_copy(r, text, field);
}

static int
path_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	if (*text.data != '/')
		return -EINVAL;
	return reader_copy(r, text, field);
}

static int
spool_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	if (*text.data != '/' && !str_equal(text, STR("ram:")) &&
	    !str_starts(text, STR("mqueue:/")))
		return -EINVAL;
	return reader_copy(r, text, field);
}

static int
level_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	static const char *const levels[] = {"error", "warn", "note", "detail"};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (str_equal(text, str_from(levels[i])))
			return reader_copy(r, text, field);
	return -EINVAL;
}

static int
log_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	if (!str_equal(text, STR("stderr")) && !str_equal(text, STR("syslog")))
		return -EINVAL;
	return reader_copy(r, text, field);
}

/* True for letters, digits, "-", "_" and "." only. */
static bool
is_name(struct str text)
{
	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-' &&
		    c != '_' && c != '.')
			return false;
	}
	return text.size > 0;
}

static int
name_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	if (text.size > 0 && !is_name(text))
		return -EINVAL;
	return reader_copy(r, text, field);
}

/* A name that does not look like an option, or a number that is not root's. */
static int
user_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	uint64_t number = 1;

	if (!is_name(text) || *text.data == '-')
		return -EINVAL;
	if (ascii_is_digit(*text.data) &&
	    (num_parse(text, UINT32_MAX - 1, &number) < 0 || number == 0))
		return -EINVAL;
	return reader_copy(r, text, field);
}

static int
address_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	return conf_address_parse(text, field);
}

static int
route_value_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	return route_read(r, text, field);
}

/* The field is the whole rule. */
static int
rule_read(
    struct reader *r, const struct setting *row, struct str text, void *field)
{
	struct conf_route_rule *rule = field;

	rule->is_any = str_equal(text, STR("*"));
	return rule->is_any ? 0 : value_domain_read(r, text, &rule->domain);
}

int
value_domain_read(
    struct reader *r, struct str text, struct conf_domain *domain_out)
{
	char key[MAIL_DOMAIN_MAX + 1];
	bool is_tree = str_starts(text, STR("@"));
	struct str name = str_skip(text, is_tree);

	if (!mail_domain_is_valid(name, true) || mail_domain_key(name, key) < 0)
		return -EINVAL;
	domain_out->is_tree = is_tree;
	return reader_copy(r, str_from(key), &domain_out->key);
}

static value_fn *const value_fns[SETTING_TYPES] = {
    [SETTING_NUMBER] = number_read,
    [SETTING_PORT] = port_read,
    [SETTING_DURATION] = duration_read,
    [SETTING_SIZE] = size_read,
    [SETTING_MODE] = mode_read,
    [SETTING_HOSTNAME] = hostname_read,
    [SETTING_MAILBOX] = mailbox_read,
    [SETTING_SPOOL] = spool_read,
    [SETTING_PATH] = path_read,
    [SETTING_LOG] = log_read,
    [SETTING_LEVEL] = level_read,
    [SETTING_USER] = user_read,
    [SETTING_NAME] = name_read,
    [SETTING_ADDRESS] = address_read,
    [SETTING_ROUTE] = route_value_read,
    [SETTING_RULE] = rule_read,
};

int
value_read(
    struct reader *r, const struct setting *row, struct str text, void *object)
{
	CHECK(row->type < SETTING_TYPES && value_fns[row->type] != NULL);
	if (setting_is_bytes(row->type)) {
		if (text.size > row->max || (text.size < row->min && text.size))
			return -ERANGE;
		if (text.size == 0)
			return row->min > 0 ? -EINVAL : 0;
	}
	return value_fns[row->type](r, row, text, (char *)object + row->offset);
}
