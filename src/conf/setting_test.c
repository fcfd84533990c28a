/*
 * The table of settings, row by row: each is read at its limits and refused
 * one past them, its default is right, and help and manual name it.
 */
#include "conf/setting.h"
#include "base/buf.h"
#include "base/num.h"
#include "conf/conf.h"
#include "unit/apart.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define TEXT_MAX (32 << 20)

static void put(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
put(struct buf *b, const char *format, ...)
{
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert_int_equal(buf_append(b, str_from(text)), 0);
}

static void
put_many(struct buf *b, char c, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(buf_append(b, str_of(&c, 1)), 0);
}

/* A host name of SIZE bytes. */
static void
put_host(struct buf *b, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		put_many(b, i % 60 == 59 && i + 1 < size ? '.' : 'a', 1);
}

/* A text of the row's type of SIZE bytes. */
static void
put_bytes(struct buf *b, const struct setting *row, uint64_t size)
{
	put(b, "\"");
	if (row->type == SETTING_HOSTNAME) {
		put_host(b, size);
	} else if (row->type == SETTING_RULE && size > 1) {
		put(b, "@");
		put_host(b, size - 1);
	} else if (row->type == SETTING_MAILBOX && size > 65) {
		put_many(b, 'a', 64);
		put(b, "@");
		put_host(b, size - 65);
	} else if ((row->type == SETTING_SPOOL || row->type == SETTING_PATH) &&
		   size > 0) {
		put(b, "/");
		put_many(b, 'a', size - 1);
	} else if (row->type == SETTING_ROUTE && size == 2) {
		put(b, "mx");
	} else if (row->type == SETTING_ROUTE && size > 9) {
		put(b, "maildir:/");
		put_many(b, 'a', size - 9);
	} else {
		put_many(b, 'a', size);
	}
	put(b, "\"");
}

static void
put_element(struct buf *b, const struct setting *row, unsigned i)
{
	if (row->type == SETTING_NETWORKS)
		put(b, "\"10.0.0.0/8\"");
	else if (row->type == SETTING_DOMAINS || row->type == SETTING_KEYS)
		put(b, "\"d%u.test\"", i);
	else if (row->type == SETTING_PATHS)
		put(b, "\"/d%u\"", i);
	else if (row->type == SETTING_TRIGGERS)
		put(b, "\"etrn\"");
	else if (strcmp(row->name, "listen") == 0)
		put(b, "{ address = \"::\" }");
	else if (strcmp(row->name, "route") == 0)
		put(b, "{ domain = \"d%u.test\"; to = \"mx\" }", i);
	else
		put(b,
		    "{ name = \"n%u\"; domains = ( \"d%u.test\" ); route = "
		    "\"mx\" }",
		    i, i);
}

/* The value N of the row as a file has it. */
static void
put_value(struct buf *b, const struct setting *row, uint64_t n)
{
	enum setting_form form = setting_form(row->type);

	if (setting_is_bytes(row->type)) {
		put_bytes(b, row, n);
	} else if (form == SETTING_AS_TEXTS || form == SETTING_AS_GROUPS) {
		put(b, "(");
		for (unsigned i = 0; i < n; i++) {
			put(b, "%s", i > 0 ? ",\n" : "");
			put_element(b, row, i);
		}
		put(b, ")");
	} else if (row->type == SETTING_MODE) {
		put(b, "\"%04llo\"", (unsigned long long)n);
	} else {
		if (row->type == SETTING_DURATION)
			n /= 1000;
		put(b, "%lldL", (long long)n);
	}
}

/* A whole file in which the row alone has the value N, which is right. */
static void
put_file(struct buf *b, const struct setting *row, uint64_t n)
{
	static const struct {
		enum setting_scope scope;
		const char *open, *name, *value, *close;
	} others[] = {
	    {SETTING_TOP, "", "hostname", "\"h.test\"", ""},
	    {SETTING_TOP, "", "spool", "\"ram:\"", ""},
	    {SETTING_IN_LISTEN, "listen = ( {", NULL, "", "} )"},
	    {SETTING_IN_ROUTE, "route = ( {", NULL, "", "} )"},
	    {SETTING_IN_ROUTE, "", "domain", "\"*\"", ""},
	    {SETTING_IN_ROUTE, "", "to", "\"mx\"", ""},
	    {SETTING_IN_SITE, "site = ( {", NULL, "", "} )"},
	    {SETTING_IN_SITE, "", "name", "\"n\"", ""},
	    {SETTING_IN_SITE, "", "domains", "[ \"d.test\" ]", ""},
	    {SETTING_IN_SITE, "", "route", "\"mx\"", ""},
	};
	const char *close = "";

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (others[i].scope != SETTING_TOP &&
		    others[i].scope != row->scope)
			continue;
		put(b, "%s", others[i].open);
		if (others[i].name == NULL)
			close = others[i].close;
		else if (others[i].scope != row->scope ||
			 strcmp(others[i].name, row->name) != 0)
			put(b, "%s = %s\n", others[i].name, others[i].value);
	}
	/* The longest wait may not be less than the shortest. */
	if (strcmp(row->name, "retry-min") == 0)
		put(b, "retry-max = \"1w\"\n");
	else if (strcmp(row->name, "retry-max") == 0)
		put(b, "retry-min = 1\n");
	put(b, "%s = ", row->name);
	put_value(b, row, n);
	put(b, "%s\n", close);
}

/* The configuration, or NULL if it has mistakes; they must then name the
   row's setting. */
static struct conf *
read_value(const struct setting *row, uint64_t n)
{
	struct buf text, errors;
	struct conf *conf;
	FILE *file;
	int error;

	buf_init(&text, TEXT_MAX);
	buf_init(&errors, 100000);
	put_file(&text, row, n);
	file = fmemopen(text.data, buf_size(&text), "r");
	assert_non_null(file);
	error = conf_read(file, "t", &errors, &conf);
	fclose(file);
	assert_int_equal(error, conf != NULL ? 0 : -EINVAL);
	put(&errors, "%c", '\0');
	put_many(&errors, '\0', 1);
	if (error < 0)
		assert_non_null(strstr(buf_str(&errors).data, row->name));
	buf_fini(&errors);
	buf_fini(&text);
	return conf;
}

static uint64_t
step(const struct setting *row)
{
	return row->type == SETTING_DURATION ? 1000 : 1;
}

/* A value at a limit, or one past it. */
struct limit {
	struct setting row;
	uint64_t value;
	bool is_allowed;
};

static int
limit_holds(void *arg)
{
	const struct limit *limit = arg;
	struct conf *conf = read_value(&limit->row, limit->value);

	if ((conf != NULL) != limit->is_allowed)
		fail_msg("%s = %llu", limit->row.name,
		    (unsigned long long)limit->value);
	conf_free(conf);
	return 0;
}

static void
limit_test(const struct setting *row, uint64_t value, bool is_allowed)
{
	struct limit limit = {*row, value, is_allowed};

	apart(limit_holds, &limit);
}

static void
test_limits(void **state)
{
	size_t count;
	const struct setting *rows = setting_table(&count);

	for (size_t i = 0; i < count; i++) {
		const struct setting *row = &rows[i];

		if (row->max == 0 || row->type == SETTING_FLAG)
			continue;
		limit_test(row, row->min, true);
		limit_test(row, row->max, true);
		if (row->min > 0)
			limit_test(row, row->min - step(row), false);
		limit_test(row, row->max + step(row), false);
	}
}

static void
test_fields(void **state)
{
	size_t count;
	const struct setting *rows = setting_table(&count);

	for (size_t i = 0; i < count; i++) {
		struct conf *conf;
		const void *field;

		if (setting_form(rows[i].type) != SETTING_AS_NUMBER &&
		    rows[i].type != SETTING_SIZE &&
		    rows[i].type != SETTING_DURATION)
			continue;
		conf = read_value(&rows[i], rows[i].min);
		assert_non_null(conf);
		field = rows[i].scope == SETTING_IN_SITE
		            ? (const char *)conf->sites
		            : (const char *)conf;
		field = (const char *)field + rows[i].offset;
		if (rows[i].type == SETTING_PORT)
			assert_int_equal(*(const uint16_t *)field, rows[i].min);
		else
			assert_true(*(const uint64_t *)field == rows[i].min);
		conf_free(conf);
	}
}

/* Rows are named once, say one sentence, and have limits that make sense. */
static void
test_rows(void **state)
{
	size_t count;
	const struct setting *rows = setting_table(&count);

	for (size_t i = 0; i < count; i++) {
		size_t about_size = strlen(rows[i].about);

		assert_ptr_equal(
		    setting_find(rows[i].scope, rows[i].name), &rows[i]);
		assert_true(rows[i].min <= rows[i].max);
		assert_int_equal(rows[i].about[about_size - 1], '.');
		assert_in_range(about_size, 10, 79);
		assert_true(i == 0 || rows[i].scope >= rows[i - 1].scope);
	}
	assert_null(setting_find(SETTING_TOP, "to"));
	assert_null(setting_find(SETTING_IN_SITE, ""));
}

static void
test_value_format(void **state)
{
	static const struct {
		enum setting_type type;
		uint64_t value;
		const char *text;
	} cases[] = {
	    {SETTING_NUMBER, 0, "0"},
	    {SETTING_NUMBER, 18446744073709551615u, "18446744073709551615"},
	    {SETTING_DURATION, 90000, "1m30s"},
	    {SETTING_SIZE, 0, "0"},
	    {SETTING_SIZE, 1000, "1000"},
	    {SETTING_SIZE, 1024, "1k"},
	    {SETTING_SIZE, 1536, "1536"},
	    {SETTING_SIZE, UINT64_C(1) << 40, "1024G"},
	    {SETTING_MODE, 0660, "0660"},
	    {SETTING_PORT, 25, "25"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[SETTING_VALUE_SIZE];

		setting_value_format(cases[i].type, cases[i].value, text);
		assert_string_equal(text, cases[i].text);
	}
}

/* Where what a number does is tested: at it, and one past it. */
static const struct {
	const char *path, *file, *test;
} behaviours[] = {
    {"smtp-port", "test/system/test_delivery.py", "test_by_mx"},
    {"control-mode", "test/system/test_limits.py", "test_control_mode"},
    {"release-time", "src/sched/sched_test.c",
	"test_run_ends_when_the_host_fails_too_long"},
    {"retry-min", "src/sched/sched_test.c",
	"test_backoff_doubles_to_its_maximum"},
    {"retry-max", "src/sched/sched_test.c",
	"test_backoff_doubles_to_its_maximum"},
    {"expire", "src/role/queue_alarm_test.c", "test_each_site_has_its_time"},
    {"delay-notice", "src/role/queue_alarm_test.c",
	"test_late_mail_is_told_of_once"},
    {"message-size-max", "src/smtp/server_edge_test.c", "test_limits"},
    {"recipients-max", "src/role/receive_test.c", "test_recipients_max"},
    {"transactions-max", "src/smtp/server_test.c", "test_dialogues"},
    {"errors-max", "src/smtp/server_test.c", "test_dialogues"},
    {"connections-max", "src/role/receive_session_test.c",
	"test_connections_max"},
    {"connections-network-max", "src/role/receive_limits_test.c",
	"test_connections_network_max"},
    {"connections-site-max", "src/role/receive_site_test.c",
	"test_connections_site_max"},
    {"triggers-minute-max", "src/role/receive_limits_test.c",
	"test_triggers_of_a_network"},
    {"deliveries-max", "src/role/queue_room_test.c", "test_deliveries"},
    {"deliveries-host-max", "src/role/queue_room_test.c", "test_deliveries"},
    {"destinations-max", "src/sched/sched_test.c", "test_memory_is_bounded"},
    {"receive-processes", "test/system/test_limits.py", "test_processes"},
    {"deliver-processes", "test/system/test_limits.py", "test_processes"},
    {"alias-time", "test/system/test_alias_local.py", "test_program_fails"},
    {"idle-timeout", "src/role/receive_session_test.c", "test_idle"},
    {"greeting-timeout", "src/smtp/client_content_test.c", "test_deadlines"},
    {"data-timeout", "src/smtp/client_content_test.c", "test_deadlines"},
    {"block-timeout", "src/smtp/client_content_test.c", "test_deadlines"},
    {"dot-timeout", "src/smtp/client_content_test.c", "test_deadlines"},
    {"command-line-max", "src/smtp/server_edge_test.c", "test_limits"},
    {"content-line-max", "src/smtp/server_edge_test.c", "test_limits"},
    {"staging-max", "src/role/queue_room_test.c", "test_staging_max"},
    {"disk-reserve", "src/role/queue_room_test.c", "test_disk_reserve"},
    {"queue-bytes-max", "src/role/queue_room_test.c", "test_queue_bytes_max"},
    {"queue-messages-max", "src/role/queue_room_test.c",
	"test_queue_messages_max"},
    {"queue-interval", "src/role/queue_run_test.c", "test_interval"},
    {"queue-age", "src/role/queue_run_age_test.c", "test_interval_age"},
    {"queue-load", "src/role/queue_run_test.c", "test_interval_at_load"},
    {"refuse-load", "src/role/receive_load_test.c", "test_refuse_load"},
    {"site[].expire", "src/role/queue_alarm_test.c",
	"test_each_site_has_its_time"},
    {"site[].delay-notice", "src/role/queue_alarm_test.c",
	"test_held_site_may_tell"},
    {"site[].quota", "src/role/queue_room_test.c", "test_quota_bytes"},
    {"site[].quota-messages", "src/role/queue_room_test.c",
	"test_quota_messages"},
    {"site[].connections", "src/role/receive_site_test.c",
	"test_site_connections"},
};

#define BEHAVIOURS (sizeof(behaviours) / sizeof(behaviours[0]))

/* True if FILE has the function TEST, or cannot be read from here. */
static bool
has_test(const char *file, const char *test)
{
	FILE *f = fopen(file, "r");
	char line[400];
	bool is_found = f == NULL;

	while (f != NULL && !is_found && fgets(line, sizeof(line), f) != NULL) {
		const char *at = strstr(line, test);

		is_found = at != NULL && at[strlen(test)] == '(' &&
		           (at == line || strncmp(line, "def ", 4) == 0);
	}
	if (f != NULL)
		fclose(f);
	return is_found;
}

/* A number without a test of what it does is a mistake, and so is a test that
   is gone. */
static void
test_behaviour(void **state)
{
	size_t count;
	const struct setting *rows = setting_table(&count);

	for (size_t i = 0; i < count; i++) {
		char path[SETTING_PATH_SIZE];
		size_t at = 0;

		if (rows[i].type != SETTING_NUMBER &&
		    rows[i].type != SETTING_PORT &&
		    rows[i].type != SETTING_DURATION &&
		    rows[i].type != SETTING_SIZE &&
		    rows[i].type != SETTING_MODE)
			continue;
		setting_path_format(&rows[i], path);
		while (at < BEHAVIOURS && strcmp(behaviours[at].path, path))
			at++;
		if (at == BEHAVIOURS)
			fail_msg("no test of what %s does", path);
		if (!has_test(behaviours[at].file, behaviours[at].test))
			fail_msg("%s has no %s", behaviours[at].file,
			    behaviours[at].test);
	}
	for (size_t i = 0; i < BEHAVIOURS; i++) {
		bool is_site = strncmp(behaviours[i].path, "site[].", 7) == 0;

		assert_non_null(
		    setting_find(is_site ? SETTING_IN_SITE : SETTING_TOP,
			behaviours[i].path + (is_site ? 7 : 0)));
	}
}

/* A list fails wherever its room ends. */
static void
assert_needs_room(int put_list(struct buf *out), size_t full_size)
{
	struct buf small;

	for (size_t max = 0; max < full_size; max += 97) {
		buf_init(&small, max);
		assert_int_equal(put_list(&small), -ENOBUFS);
		buf_fini(&small);
	}
}

/* Both lists name every row and its default. */
static void
test_lists(void **state)
{
	size_t count;
	const struct setting *rows = setting_table(&count);
	struct buf help, manual;

	buf_init(&help, 100000);
	buf_init(&manual, 100000);
	assert_int_equal(conf_help_put(&help), 0);
	assert_int_equal(conf_manual_put(&manual), 0);
	assert_needs_room(conf_help_put, buf_size(&help));
	assert_needs_room(conf_manual_put, buf_size(&manual));
	put_many(&help, '\0', 1);
	put_many(&manual, '\0', 1);
	for (size_t i = 0; i < count; i++) {
		char path[SETTING_PATH_SIZE];

		setting_path_format(&rows[i], path);
		assert_non_null(strstr(buf_str(&help).data, path));
		assert_non_null(strstr(buf_str(&manual).data, path));
		assert_non_null(strstr(buf_str(&manual).data, rows[i].about));
	}
	assert_non_null(strstr(buf_str(&help).data,
	    "recipients-max       a number, 1 to 1000 recipients; default "
	    "1000\n"));
	assert_non_null(strstr(
	    buf_str(&manual).data, ".It Ic site[].name\nThe name, unique,"));
	buf_fini(&help);
	buf_fini(&manual);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_behaviour),
	    cmocka_unit_test(test_value_format),
	    cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests_name("conf/setting", tests, NULL, NULL);
}
