/*
 * Requests of the control protocol: the table of keys and the table of actions
 * come first.  A request with a key that its action does not have is refused,
 * so that a misspelt filter never means all.
 */
#include "role/control_request.h"
#include "base/arena.h"
#include "mail/address.h"
#include "role/control.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_ARENA_MAX 65536

enum {
	KEY_DO = 1,
	KEY_ID = 2,
	KEY_DESTINATION = 4,
	KEY_SENDER = 8,
	KEY_RECIPIENT = 16,
	KEY_DOMAIN = 32,
	KEY_OLDER = 64,
	KEY_LARGER = 128,
	KEY_DRY = 256,
	KEY_AFTER_KEY = 512,   /* "after" that is a number */
	KEY_AFTER_NAME = 1024, /* "after" that is a string */
	KEY_COUNT = 2048,
	KEY_SITE = 4096,
	KEY_DOMAINS = 8192,
	KEY_SELECT = 16384,
	KEY_VERBOSE = 32768,
	KEY_ORDER = 65536,
	KEY_AGE = 131072,
	KEY_RANK = 262144,
	KEY_STOPPED = 524288,
	KEY_REASON = 1048576,
	KEYS_FILTER = KEY_ID | KEY_DESTINATION | KEY_SENDER | KEY_RECIPIENT |
	              KEY_DOMAIN | KEY_OLDER | KEY_LARGER,
	KEYS_CHANGE = KEYS_FILTER | KEY_DRY | KEY_AFTER_KEY,
	KEYS_RUN = KEY_SELECT | KEY_VERBOSE | KEY_ORDER | KEY_AGE | KEY_RANK |
	           KEY_STOPPED,
};

static const struct {
	const char *name;
	json_type type;
	unsigned key;
} control_keys[] = {
    {"do", JSON_STRING, KEY_DO},
    {"id", JSON_STRING, KEY_ID},
    {"destination", JSON_STRING, KEY_DESTINATION},
    {"sender", JSON_STRING, KEY_SENDER},
    {"recipient", JSON_STRING, KEY_RECIPIENT},
    {"domain", JSON_STRING, KEY_DOMAIN},
    {"older", JSON_INTEGER, KEY_OLDER},
    {"larger", JSON_INTEGER, KEY_LARGER},
    {"reason", JSON_STRING, KEY_REASON},
    {"dry", JSON_TRUE, KEY_DRY},
    {"dry", JSON_FALSE, KEY_DRY},
    {"after", JSON_INTEGER, KEY_AFTER_KEY},
    {"after", JSON_STRING, KEY_AFTER_NAME},
    {"count", JSON_INTEGER, KEY_COUNT},
    {"site", JSON_STRING, KEY_SITE},
    {"domains", JSON_ARRAY, KEY_DOMAINS},
    {"select", JSON_ARRAY, KEY_SELECT},
    {"verbose", JSON_TRUE, KEY_VERBOSE},
    {"verbose", JSON_FALSE, KEY_VERBOSE},
    {"stopped", JSON_TRUE, KEY_STOPPED},
    {"stopped", JSON_FALSE, KEY_STOPPED},
    {"order", JSON_STRING, KEY_ORDER},
    {"age", JSON_INTEGER, KEY_AGE},
    {"rank", JSON_INTEGER, KEY_RANK},
};

static const struct {
	const char *name;
	enum control_action action;
	unsigned allowed;
	unsigned needed; /* one of them at least */
} control_actions[] = {
    {"ping", CONTROL_PING, 0, 0},
    {"list", CONTROL_LIST, KEYS_FILTER | KEY_AFTER_KEY | KEY_COUNT, 0},
    {"destinations", CONTROL_DESTINATIONS, KEY_AFTER_NAME | KEY_COUNT, 0},
    {"sites", CONTROL_SITES, KEY_AFTER_NAME | KEY_COUNT, 0},
    {"release", CONTROL_RELEASE, KEY_SITE | KEY_DOMAINS, KEY_SITE},
    {"hold", CONTROL_HOLD, KEYS_CHANGE | KEY_REASON, KEYS_FILTER},
    {"free", CONTROL_FREE, KEYS_CHANGE, KEYS_FILTER},
    {"delete", CONTROL_DELETE, KEYS_CHANGE, KEYS_FILTER},
    {"requeue", CONTROL_REQUEUE, KEYS_CHANGE, KEYS_FILTER},
    {"expire", CONTROL_EXPIRE, KEYS_CHANGE, KEYS_FILTER},
    {"run", CONTROL_RUN, KEYS_RUN, 0},
};

static struct str
control_string(const json_t *value)
{
	if (!json_is_string(value))
		return STR("");
	return str_of(json_string_value(value), json_string_length(value));
}

/* The bit of a member, 0 = there is none of this name and type. */
static unsigned
control_key_find(const char *name, const json_t *value)
{
	for (size_t i = 0; i < sizeof(control_keys) / sizeof(control_keys[0]);
	     i++)
		if (strcmp(name, control_keys[i].name) == 0 &&
		    json_typeof(value) == control_keys[i].type)
			return control_keys[i].key;
	return 0;
}

/* One of the site's domains, or of what its trees hold. */
static bool
control_is_of_site(const struct conf *conf, const struct conf_site *site,
    struct str key, bool is_tree)
{
	if (!is_tree)
		return conf_site_of_domain(conf, key) == site;
	for (size_t i = 0; i < site->domain_count; i++) {
		const struct conf_domain *domain = &site->domains[i];

		if (mail_domain_is_under(domain->key, key) ||
		    (domain->is_tree && mail_domain_is_under(key, domain->key)))
			return true;
	}
	return false;
}

/* A domain as a key, with its "@" if it has one. */
static const char *
control_read_domain(
    struct control_request *request, const json_t *value, struct str *to)
{
	char text[MAIL_DOMAIN_MAX + 2] = "@";
	struct str name;
	bool is_tree;

	if (!json_is_string(value))
		return "domains must be strings";
	name = control_string(value);
	is_tree = str_starts(name, STR("@"));
	name = str_skip(name, is_tree);
	if (!mail_domain_is_valid(name, true) ||
	    mail_domain_key(name, text + is_tree) < 0)
		return "bad domain";
	*to = arena_copy(&request->arena, str_from(text));
	return to->data == NULL ? "too many domains" : NULL;
}

/* One more domain of RELEASE. */
static const char *
control_add_domain(const struct conf *conf, struct control_request *request,
    const json_t *value)
{
	struct str *to = &request->domains[request->domain_count];
	const char *wrong = control_read_domain(request, value, to);
	bool is_tree;

	if (wrong != NULL)
		return wrong;
	is_tree = str_starts(*to, STR("@"));
	if (!control_is_of_site(
		conf, request->site, str_skip(*to, is_tree), is_tree))
		return "domain is not of this site";
	request->domain_count++;
	return NULL;
}

/* The site by its name, or that of a domain. */
static const char *
control_read_release(const struct conf *conf, struct control_request *request)
{
	struct str name =
	    control_string(json_object_get(request->root, "site"));
	const json_t *domains = json_object_get(request->root, "domains");
	char key[MAIL_DOMAIN_MAX + 1];
	const char *wrong = NULL;

	request->site_name = name;
	request->site = conf_site_named(conf, name);
	if (request->site == NULL && mail_domain_key(name, key) == 0)
		request->site = conf_site_of_domain(conf, str_from(key));
	if (request->site == NULL)
		return NULL;
	if (json_array_size(domains) > MESSAGE_DOMAINS_MAX)
		return "too many domains";
	for (size_t i = 0; i < json_array_size(domains) && wrong == NULL; i++)
		wrong = control_add_domain(
		    conf, request, json_array_get(domains, i));
	return wrong;
}

/* An address to look for; "" if there is none. */
static const char *
control_read_address(
    const struct control_request *request, const char *key, struct str *to)
{
	const json_t *value = json_object_get(request->root, key);

	*to = control_string(value);
	if (value != NULL && (to->size == 0 || to->size > MAIL_ADDRESS_MAX + 1))
		return "bad address";
	return NULL;
}

/* A number from 1 to MAX; 0 if there is none. */
static const char *
control_read_number(const struct control_request *request, const char *key,
    json_int_t max, uint64_t *to)
{
	const json_t *value = json_object_get(request->root, key);
	json_int_t number = json_integer_value(value);

	*to = (uint64_t)number;
	if (value != NULL && (number < 1 || number > max))
		return "number out of range";
	return NULL;
}

static const char *
control_read_filter(struct control_request *request)
{
	json_t *root = request->root, *domain = json_object_get(root, "domain");
	struct store_filter *filter = &request->filter;
	const char *wrong;
	uint64_t older;

	filter->id = control_string(json_object_get(root, "id"));
	filter->destination =
	    control_string(json_object_get(root, "destination"));
	if (json_object_get(root, "id") != NULL &&
	    !store_id_is_valid(filter->id))
		return "bad id";
	if (json_object_get(root, "destination") != NULL &&
	    (filter->destination.size == 0 ||
		filter->destination.size > STORE_DESTINATION_MAX))
		return "bad destination";
	wrong = control_read_address(request, "sender", &filter->sender);
	if (wrong == NULL)
		wrong = control_read_address(
		    request, "recipient", &filter->recipient);
	if (wrong == NULL && domain != NULL)
		wrong = control_read_domain(request, domain, &filter->domain);
	if (wrong == NULL)
		wrong = control_read_number(
		    request, "larger", INT64_MAX, &filter->size_above);
	if (wrong == NULL)
		wrong = control_read_number(
		    request, "older", CONTROL_OLDER_MAX, &older);
	if (wrong == NULL)
		request->older_ms = older * 1000;
	return wrong;
}

/* The members that several actions have. */
static const char *
control_read_members(struct control_request *request)
{
	json_t *root = request->root;
	const json_t *after = json_object_get(root, "after");
	const json_t *count = json_object_get(root, "count");
	json_int_t number = json_integer_value(count);

	request->is_dry = json_is_true(json_object_get(root, "dry"));
	request->reason = control_string(json_object_get(root, "reason"));
	if (!store_reason_is_valid(request->reason))
		return "bad reason";
	if (json_integer_value(after) < 0)
		return "bad after";
	request->after_key = (uint64_t)json_integer_value(after);
	request->after_name = control_string(after);
	/* "site:" is put before it. */
	if (request->after_name.size > STORE_DESTINATION_MAX - 5)
		return "bad after";
	if (count != NULL && (number < 1 || number > STORE_PAGE_MAX))
		return "bad count";
	request->count = count != NULL ? (uint32_t)number : STORE_PAGE_MAX;
	return NULL;
}

/* "!Sbob@" and the like. */
static const char *
control_add_term(struct control_request *request, const json_t *value)
{
	static const char letters[] = {[STORE_SELECT_ID] = 'I',
	    [STORE_SELECT_SENDER] = 'S',
	    [STORE_SELECT_RECIPIENT] = 'R',
	    [STORE_SELECT_REASON] = 'Q'};
	struct str text = control_string(value);
	bool is_not = str_starts(text, STR("!"));
	struct str rest = str_skip(text, is_not);

	for (size_t i = 0; rest.size > 0 && i < sizeof(letters); i++)
		if (rest.data[0] == letters[i])
			return store_select_add(&request->select,
				   (enum store_select_field)i, is_not,
				   str_skip(rest, 1)) < 0
			           ? "too many terms, or too long"
			           : NULL;
	return "bad term";
}

static const char *
control_read_run(struct control_request *request)
{
	static const char *const orders[] = {
	    [MESSAGE_RUN_PRIORITY] = "priority",
	    [MESSAGE_RUN_HOST] = "host",
	    [MESSAGE_RUN_TIME] = "time",
	    [MESSAGE_RUN_NAME] = "name",
	    [MESSAGE_RUN_ANY] = "any",
	};
	json_t *root = request->root, *order = json_object_get(root, "order");
	const json_t *terms = json_object_get(root, "select");
	const char *wrong = NULL;
	uint64_t age;
	size_t i = 0;

	for (size_t n = 0; n < json_array_size(terms) && wrong == NULL; n++)
		wrong = control_add_term(request, json_array_get(terms, n));
	request->is_verbose = json_is_true(json_object_get(root, "verbose"));
	request->is_stopped = json_is_true(json_object_get(root, "stopped"));
	while (order != NULL && i < sizeof(orders) / sizeof(orders[0]) &&
	       !str_equal(control_string(order), str_from(orders[i])))
		i++;
	if (wrong == NULL && i == sizeof(orders) / sizeof(orders[0]))
		wrong = "bad order";
	request->order = (enum message_run_order)i;
	if (wrong == NULL)
		wrong = control_read_number(
		    request, "age", CONTROL_OLDER_MAX, &age);
	if (wrong == NULL)
		wrong = control_read_number(
		    request, "rank", INT32_MAX, &request->rank_max);
	if (wrong == NULL)
		request->age_ms = age * 1000;
	return wrong;
}

/* The keys of ROOT in *KEYS_OUT. */
static const char *
control_read_keys(json_t *root, unsigned *keys_out)
{
	const char *name;
	json_t *value;

	*keys_out = 0;
	json_object_foreach(root, name, value)
	{
		unsigned key = control_key_find(name, value);

		if (key == 0)
			return "unknown key, or of the wrong type";
		*keys_out |= key;
	}
	return NULL;
}

static const char *
control_read_action(struct control_request *request, unsigned keys)
{
	const json_t *action = json_object_get(request->root, "do");
	size_t count = sizeof(control_actions) / sizeof(control_actions[0]);

	for (size_t i = 0; i < count; i++) {
		if (action == NULL || !str_equal(control_string(action),
					  str_from(control_actions[i].name)))
			continue;
		if (keys & ~(control_actions[i].allowed | KEY_DO))
			return "key is not for this action";
		if (control_actions[i].needed != 0 &&
		    (keys & control_actions[i].needed) == 0)
			return "key is missing";
		request->action = control_actions[i].action;
		return NULL;
	}
	return "unknown action";
}

const char *
control_request_read(const struct conf *conf, struct str line,
    struct control_request *request_out, bool *is_broken_out)
{
	struct control_request *request = request_out;
	json_error_t error;
	const char *wrong;
	unsigned keys;

	memset(request, 0, sizeof(*request));
	arena_init(&request->arena, CONTROL_ARENA_MAX);
	/* Its depth is bounded by the library (2048 arrays). */
	request->root =
	    json_loadb(line.data, line.size, JSON_REJECT_DUPLICATES, &error);
	*is_broken_out = !json_is_object(request->root);
	if (*is_broken_out)
		return "not a JSON object";
	wrong = control_read_keys(request->root, &keys);
	if (wrong == NULL)
		wrong = control_read_action(request, keys);
	if (wrong == NULL)
		wrong = control_read_filter(request);
	if (wrong == NULL)
		wrong = control_read_members(request);
	if (wrong == NULL && request->action == CONTROL_RELEASE)
		wrong = control_read_release(conf, request);
	if (wrong == NULL && request->action == CONTROL_RUN)
		wrong = control_read_run(request);
	return wrong;
}

void
control_request_fini(struct control_request *request)
{
	json_decref(request->root);
	arena_fini(&request->arena);
	request->root = NULL;
}
