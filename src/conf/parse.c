/*
 * libconfig's tree to the tables of struct conf.  All mistakes are looked for,
 * not only the first; a mistake makes the whole configuration void.
 *
 * Invariants: every setting is read through its row of the table of settings;
 * nothing of libconfig is kept; the settings at the top that are no groups are
 * read before the groups, because routes need smtp-port.
 */
#include "conf/parse.h"
#include "base/check.h"
#include "conf/address.h"
#include "conf/alias.h"
#include "conf/lookup.h"
#include "conf/setting.h"
#include "conf/value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT_SMTP 25
#define PORT_DNS  53

typedef void list_fn(struct reader *r, const config_setting_t *list,
    const struct setting *row, void *object);
typedef void finish_fn(
    struct reader *r, const config_setting_t *group, void *object);

static const char *const form_wants[] = {
    [SETTING_AS_NUMBER] = "must be a number",
    [SETTING_AS_TEXT] = "must be a text in quotes",
    [SETTING_AS_EITHER] = "must be a number or a text in quotes",
    [SETTING_AS_FLAG] = "must be true or false",
    [SETTING_AS_TEXTS] = "must be a list of texts in quotes",
    [SETTING_AS_GROUPS] = "must be a list of groups, ( { ... } )",
};

static void
wants_note(
    struct reader *r, const config_setting_t *setting, enum setting_form form)
{
	reader_mistake(r, setting, NULL, "%s", form_wants[form]);
}

/* Notes why value_read() refused TEXT, whose quotes are QUOTE. */
static void
refusal_note(struct reader *r, const config_setting_t *setting,
    const struct setting *row, struct str text, int error)
{
	bool is_text = config_setting_type(setting) == CONFIG_TYPE_STRING;
	const char *quote = is_text ? "\"" : "";
	char min[SETTING_VALUE_SIZE], max[SETTING_VALUE_SIZE];

	setting_value_format(row->type, row->min, min);
	setting_value_format(row->type, row->max, max);
	if (error == -EINVAL)
		reader_mistake(r, setting, NULL, "%s%.*s%s is not %s", quote,
		    READER_QUOTED(text), quote, setting_noun(row->type));
	else if (error == -ERANGE && setting_is_bytes(row->type))
		reader_mistake(r, setting, NULL,
		    "%zu bytes long, must be from %s to %s", text.size, min,
		    max);
	else if (error == -ERANGE)
		reader_mistake(r, setting, NULL,
		    "%s%.*s%s is not from %s to %s", quote, READER_QUOTED(text),
		    quote, min, max);
}

/* The text of a setting in quotes; false with a mistake noted. */
static bool
text_of(struct reader *r, const config_setting_t *setting, struct str *text_out)
{
	struct str text = str_from(config_setting_get_string(setting));

	for (size_t i = 0; i < text.size; i++)
		if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f) {
			reader_mistake(
			    r, setting, NULL, "holds a control character");
			return false;
		}
	*text_out = text;
	return true;
}

/* A number as text in DIGITS, so that one parser serves both ways to write a
   value.  libconfig cuts hexadecimal numbers without a word. */
static bool
number_of(struct reader *r, const config_setting_t *setting, char digits[32],
    struct str *text_out)
{
	if (config_setting_get_format(setting) == CONFIG_FORMAT_HEX) {
		reader_mistake(r, setting, NULL, "must be a decimal number");
		return false;
	}
	snprintf(digits, 32, "%lld", config_setting_get_int64(setting));
	*text_out = str_from(digits);
	return true;
}

/* The value of a setting as text, if its form is one that the row takes. */
static bool
value_text(struct reader *r, const config_setting_t *setting,
    const struct setting *row, char digits[32], struct str *text_out)
{
	enum setting_form form = setting_form(row->type);

	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		if (form == SETTING_AS_TEXT || form == SETTING_AS_EITHER)
			return text_of(r, setting, text_out);
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		if (form == SETTING_AS_NUMBER || form == SETTING_AS_EITHER)
			return number_of(r, setting, digits, text_out);
		break;
	}
	wants_note(r, setting, form);
	return false;
}

static void
single_read(struct reader *r, const config_setting_t *setting,
    const struct setting *row, void *object)
{
	char digits[32];
	struct str text;
	int error;

	if (!value_text(r, setting, row, digits, &text))
		return;
	error = value_read(r, row, text, object);
	if (error < 0)
		refusal_note(r, setting, row, text, error);
}

static void
flag_read(struct reader *r, const config_setting_t *setting,
    const struct setting *row, void *object)
{
	if (config_setting_type(setting) != CONFIG_TYPE_BOOL)
		wants_note(r, setting, SETTING_AS_FLAG);
	else
		*(bool *)((char *)object + row->offset) =
		    config_setting_get_bool(setting) == CONFIG_TRUE;
}

/* True if LIST is a list of as many elements as the row takes. */
static bool
list_check(
    struct reader *r, const config_setting_t *list, const struct setting *row)
{
	enum setting_form form = setting_form(row->type);
	size_t count;

	/* One path may stand alone. */
	if (row->type == SETTING_PATHS &&
	    config_setting_type(list) == CONFIG_TYPE_STRING)
		return true;
	if (!config_setting_is_list(list) &&
	    !(form == SETTING_AS_TEXTS && config_setting_is_array(list))) {
		wants_note(r, list, form);
		return false;
	}
	count = (size_t)config_setting_length(list);
	if (count >= row->min && count <= row->max)
		return true;
	reader_mistake(r, list, NULL, "%zu %s, must be from %llu to %llu",
	    count, row->unit, (unsigned long long)row->min,
	    (unsigned long long)row->max);
	return false;
}

/* Element I of a list of texts, if it is one. */
static const config_setting_t *
element_text(struct reader *r, const config_setting_t *list, size_t i,
    struct str *text_out)
{
	config_setting_t *element = config_setting_get_elem(list, (unsigned)i);

	CHECK(element != NULL);
	if (config_setting_type(element) != CONFIG_TYPE_STRING)
		wants_note(r, element, SETTING_AS_TEXT);
	else if (text_of(r, element, text_out))
		return element;
	return NULL;
}

static void
networks_read(struct reader *r, const config_setting_t *list,
    const struct setting *row, void *object)
{
	struct conf_networks *networks = (void *)((char *)object + row->offset);
	size_t count = (size_t)config_setting_length(list);
	struct conf_network *table = reader_new(r, count, sizeof(*table));

	if (table == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		struct str text;
		const config_setting_t *element =
		    element_text(r, list, i, &text);
		int error = element ? conf_network_parse(text, &table[i]) : 0;

		if (error < 0)
			reader_mistake(r, element, NULL,
			    "\"%.*s\" is not a network%s", READER_QUOTED(text),
			    error == -ERANGE ? ": bits behind the prefix" : "");
	}
	networks->list = table;
	networks->count = count;
}

/* A domain that is wrong leaves an empty key, so that indexes stay true. */
static void
domains_read(struct reader *r, const config_setting_t *list,
    const struct setting *row, void *object)
{
	struct conf_site *site = object;
	size_t count = (size_t)config_setting_length(list);
	struct conf_domain *table = reader_new(r, count, sizeof(*table));

	if (table == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		struct str text;
		const config_setting_t *element =
		    element_text(r, list, i, &text);

		if (element && value_domain_read(r, text, &table[i]) == -EINVAL)
			refusal_note(r, element, row, text, -EINVAL);
	}
	site->domains = table;
	site->domain_count = count;
}

/* As for a site, but of the whole configuration. */
static void
keys_read(struct reader *r, const config_setting_t *list,
    const struct setting *row, void *object)
{
	struct conf *conf = object;
	size_t count = (size_t)config_setting_length(list);
	struct conf_domain *table = reader_new(r, count, sizeof(*table));

	if (table == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		struct str text;
		const config_setting_t *element =
		    element_text(r, list, i, &text);

		if (element && value_domain_read(r, text, &table[i]) == -EINVAL)
			refusal_note(r, element, row, text, -EINVAL);
	}
	conf->alias_domains = table;
	conf->alias_domain_count = count;
}

/* The path in ELEMENT, if it is one. */
static void
path_take(struct reader *r, const config_setting_t *element,
    const struct setting *row, struct str *path_out)
{
	struct str text = {"", 0};

	if (config_setting_type(element) != CONFIG_TYPE_STRING)
		wants_note(r, element, SETTING_AS_TEXT);
	else if (text_of(r, element, &text)) {
		if (text.size > 0 && *text.data == '/' &&
		    text.size <= ALIAS_PATH_MAX)
			(void)!reader_copy(r, text, path_out);
		else
			refusal_note(r, element, row, text, -EINVAL);
	}
}

static void
paths_read(struct reader *r, const config_setting_t *list,
    const struct setting *row, void *object)
{
	struct conf *conf = object;
	bool is_one = config_setting_type(list) == CONFIG_TYPE_STRING;
	size_t count = is_one ? 1 : (size_t)config_setting_length(list);
	struct str *table = reader_new(r, count, sizeof(*table));

	if (table == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		path_take(r,
		    is_one ? list : config_setting_get_elem(list, (unsigned)i),
		    row, &table[i]);
	conf->alias_files = table;
	conf->alias_file_count = count;
}

static void
triggers_read(struct reader *r, const config_setting_t *list,
    const struct setting *row, void *object)
{
	unsigned *triggers = (void *)((char *)object + row->offset);
	size_t count = (size_t)config_setting_length(list);

	for (size_t i = 0; i < count; i++) {
		struct str text;
		const config_setting_t *element =
		    element_text(r, list, i, &text);

		if (element == NULL)
			continue;
		if (str_equal(text, STR("etrn")))
			*triggers |= CONF_TRIGGER_ETRN;
		else if (str_equal(text, STR("qsnd")))
			*triggers |= CONF_TRIGGER_QSND;
		else
			refusal_note(r, element, row, text, -EINVAL);
	}
}

static list_fn *const list_fns[SETTING_TYPES] = {
    [SETTING_NETWORKS] = networks_read,
    [SETTING_DOMAINS] = domains_read,
    [SETTING_TRIGGERS] = triggers_read,
    [SETTING_PATHS] = paths_read,
    [SETTING_KEYS] = keys_read,
};

/* What a row means that is not in the file; GROUP is where it could be. */
static void
fallback_read(struct reader *r, const config_setting_t *group,
    const struct setting *row, void *object)
{
	int error = 0;

	if (row->fallback == NULL)
		reader_mistake(r, group, row->name, "is missing");
	else if (*row->fallback != '\0' && row->type != SETTING_FLAG)
		error = value_read(r, row, str_from(row->fallback), object);
	CHECK(error == 0 || error == -ENOMEM);
}

/* Notes the members of GROUP that no row of SCOPE has. */
static void
unknown_note(
    struct reader *r, const config_setting_t *group, enum setting_scope scope)
{
	unsigned count = (unsigned)config_setting_length(group);

	for (unsigned i = 0; i < count; i++) {
		config_setting_t *setting = config_setting_get_elem(group, i);

		if (!setting_find(scope, config_setting_name(setting)))
			reader_mistake(
			    r, setting, NULL, "there is no such setting");
	}
}

/* Reads all rows of SCOPE but lists of groups into OBJECT. */
static void
group_read(struct reader *r, const config_setting_t *group,
    enum setting_scope scope, void *object)
{
	size_t row_count;
	const struct setting *rows = setting_table(&row_count);

	unknown_note(r, group, scope);
	for (size_t i = 0; i < row_count; i++) {
		const struct setting *row = &rows[i];
		const config_setting_t *setting;

		if (row->scope != scope || row->type == SETTING_GROUPS)
			continue;
		setting = config_setting_get_member(group, row->name);
		if (setting == NULL)
			fallback_read(r, group, row, object);
		else if (row->type == SETTING_FLAG)
			flag_read(r, setting, row, object);
		else if (list_fns[row->type] == NULL)
			single_read(r, setting, row, object);
		else if (list_check(r, setting, row))
			list_fns[row->type](r, setting, row, object);
	}
}

static void
listen_finish(struct reader *r, const config_setting_t *group, void *object)
{
	struct conf_listen *listen = object;

	if (listen->address.port == 0)
		listen->address.port = PORT_SMTP;
}

static void
rule_finish(struct reader *r, const config_setting_t *group, void *object)
{
	struct conf_route_rule *rule = object;

	if (!rule->is_any && rule->domain.key.size == 0)
		return; /* a mistake noted before */
	if (lookup_add_rule(r, rule) == -EEXIST)
		reader_mistake(r, config_setting_get_member(group, "domain"),
		    NULL, "\"%s%.*s\" has a route already",
		    rule->is_any           ? "*"
		    : rule->domain.is_tree ? "@"
					   : "",
		    STR_ARG(rule->domain.key));
}

static void
site_domains_add(struct reader *r, const config_setting_t *group,
    const struct conf_site *site)
{
	const config_setting_t *list =
	    config_setting_get_member(group, "domains");

	for (size_t i = 0; i < site->domain_count; i++) {
		const struct conf_domain *domain = &site->domains[i];
		const struct conf_site *other = NULL;

		if (domain->key.size == 0)
			continue; /* a mistake noted before */
		if (lookup_add_domain(r, domain, site, &other) == -EEXIST)
			reader_mistake(r,
			    config_setting_get_elem(list, (unsigned)i), NULL,
			    "\"%s%.*s\" is a domain of site[%zu] already",
			    domain->is_tree ? "@" : "", STR_ARG(domain->key),
			    (size_t)(other - r->conf->sites));
	}
}

static void
site_finish(struct reader *r, const config_setting_t *group, void *object)
{
	struct conf_site *site = object;

	if (site->name.size > 0 && lookup_add_name(r, site) == -EEXIST)
		reader_mistake(r, config_setting_get_member(group, "name"),
		    NULL, "\"%.*s\" is the name of site[%zu] already",
		    STR_ARG(site->name),
		    (size_t)(conf_site_named(r->conf, site->name) -
			     r->conf->sites));
	site_domains_add(r, group, site);
	if (site->is_held && !config_setting_get_member(group, "triggers"))
		site->triggers = CONF_TRIGGER_ETRN | CONF_TRIGGER_QSND;
	if (!config_setting_get_member(group, "expire"))
		site->expire_ms = r->conf->expire_ms;
	if (!config_setting_get_member(group, "connections"))
		site->connections_max = r->conf->connections_site_max;
	/* That held mail waits is no trouble. */
	if (!config_setting_get_member(group, "delay-notice") && !site->is_held)
		site->delay_notice_ms = r->conf->delay_notice_ms;
}

/* Reads the groups in LIST into the objects of TABLE, each of SIZE bytes. */
static void
groups_read(struct reader *r, const config_setting_t *list,
    enum setting_scope scope, void *table, size_t size, finish_fn *finish)
{
	size_t count = (size_t)config_setting_length(list);

	for (size_t i = 0; i < count; i++) {
		config_setting_t *group =
		    config_setting_get_elem(list, (unsigned)i);
		void *object = (char *)table + i * size;

		if (!config_setting_is_group(group)) {
			reader_mistake(r, group, NULL, "must be a group");
			continue;
		}
		group_read(r, group, scope, object);
		finish(r, group, object);
	}
}

/* The list of groups NAME at the top, if it is there, right and not empty, and
   a table for as many objects of SIZE bytes. */
static const config_setting_t *
groups_find(struct reader *r, const config_setting_t *root, const char *name,
    size_t size, void **table_out)
{
	const config_setting_t *list = config_setting_get_member(root, name);
	size_t count;

	if (list == NULL ||
	    !list_check(r, list, setting_find(SETTING_TOP, name)))
		return NULL;
	count = (size_t)config_setting_length(list);
	*table_out = reader_new(r, count, size);
	return *table_out != NULL ? list : NULL;
}

static void
all_groups_read(struct reader *r, const config_setting_t *root)
{
	struct conf *conf = r->conf;
	const config_setting_t *list;
	void *table;

	list =
	    groups_find(r, root, "listen", sizeof(struct conf_listen), &table);
	if (list != NULL) {
		conf->listen = table;
		conf->listen_count = (size_t)config_setting_length(list);
		groups_read(r, list, SETTING_IN_LISTEN, table,
		    sizeof(struct conf_listen), listen_finish);
	}
	list = groups_find(
	    r, root, "route", sizeof(struct conf_route_rule), &table);
	if (list != NULL) {
		conf->routes = table;
		conf->route_count = (size_t)config_setting_length(list);
		groups_read(r, list, SETTING_IN_ROUTE, table,
		    sizeof(struct conf_route_rule), rule_finish);
	}
	list = groups_find(r, root, "site", sizeof(struct conf_site), &table);
	if (list != NULL) {
		conf->sites = table;
		conf->site_count = (size_t)config_setting_length(list);
		groups_read(r, list, SETTING_IN_SITE, table,
		    sizeof(struct conf_site), site_finish);
	}
}

/* FIRST and SECOND as one text of the configuration. */
static struct str
joined(struct reader *r, struct str first, struct str second)
{
	char *text = reader_new(r, first.size + second.size, 1);

	if (text == NULL)
		return STR("");
	if (first.size > 0)
		memcpy(text, first.data, first.size);
	if (second.size > 0)
		memcpy(text + first.size, second.data, second.size);
	return str_of(text, first.size + second.size);
}

/* Where local mail comes in, unless the file says so: beside what the file
   does say, so that two daemons never share it.  A store that is not our own
   directory has no drop directory. */
static void
local_finish(struct reader *r, const config_setting_t *root)
{
	struct conf *conf = r->conf;
	size_t size = conf->control_socket.size;

	while (size > 0 && conf->control_socket.data[size - 1] != '/')
		size--;
	if (config_setting_get_member(root, "submission-socket") == NULL)
		conf->submission_socket = joined(
		    r, str_head(conf->control_socket, size), STR("submission"));
	/* A name that is only too long because of ours is none. */
	if (conf->submission_socket.size >
	    setting_find(SETTING_TOP, "submission-socket")->max)
		conf->submission_socket = STR("");
	if (config_setting_get_member(root, "drop-directory") != NULL)
		return;
	conf->drop_directory = STR("");
	if (str_starts(conf->spool, STR("/")))
		conf->drop_directory = joined(r, conf->spool, STR("-drop"));
}

/* What two settings must say together. */
static void
top_finish(struct reader *r, const config_setting_t *root)
{
	struct conf *conf = r->conf;
	const config_setting_t *setting;

	if (conf->resolver.family != 0 && conf->resolver.port == 0)
		conf->resolver.port = PORT_DNS;
	local_finish(r, root);
	if (conf->retry_max_ms >= conf->retry_min_ms)
		return;
	setting = config_setting_get_member(root, "retry-max");
	if (setting == NULL)
		setting = config_setting_get_member(root, "retry-min");
	/* A value that was refused is 0 here, and its mistake is noted. */
	if (setting != NULL && conf->retry_max_ms > 0)
		reader_mistake(
		    r, setting, NULL, "retry-max is less than retry-min");
}

void
parse_tree(struct reader *r, const config_setting_t *root)
{
	CHECK(config_setting_is_root(root));
	group_read(r, root, SETTING_TOP, r->conf);
	top_finish(r, root);
	all_groups_read(r, root);
	conf_alias_home_set(r->conf);
	if (lookup_maildirs_list(r) < 0)
		CHECK(r->mistake_count > 0);
}
