/*
 * Requests of the control protocol: the table of keys and the table of actions
 * come first.  A request with a key that its action does not have is refused,
 * so that a misspelt filter never means all.
 */
#include "role/control_request.h"
#include "base/arena.h"
#include "mail/address.h"

#include <stdlib.h>
#include <string.h>

#define CONTROL_ARENA_MAX 65536

enum {
	KEY_DO = 1,
	KEY_ID = 2,
	KEY_DESTINATION = 4,
	KEY_AFTER_KEY = 8,   /* "after" that is a number */
	KEY_AFTER_NAME = 16, /* "after" that is a string */
	KEY_COUNT = 32,
	KEY_SITE = 64,
	KEY_DOMAINS = 128,
};

static const struct {
	const char *name;
	json_type type;
	unsigned key;
} control_keys[] = {
    {"do", JSON_STRING, KEY_DO},
    {"id", JSON_STRING, KEY_ID},
    {"destination", JSON_STRING, KEY_DESTINATION},
    {"after", JSON_INTEGER, KEY_AFTER_KEY},
    {"after", JSON_STRING, KEY_AFTER_NAME},
    {"count", JSON_INTEGER, KEY_COUNT},
    {"site", JSON_STRING, KEY_SITE},
    {"domains", JSON_ARRAY, KEY_DOMAINS},
};

static const struct {
	const char *name;
	enum control_action action;
	unsigned allowed;
	unsigned needed; /* one of them at least */
} control_actions[] = {
    {"ping", CONTROL_PING, 0, 0},
    {"list", CONTROL_LIST, KEY_ID | KEY_DESTINATION | KEY_AFTER_KEY | KEY_COUNT,
	0},
    {"destinations", CONTROL_DESTINATIONS, KEY_AFTER_NAME | KEY_COUNT, 0},
    {"sites", CONTROL_SITES, KEY_AFTER_NAME | KEY_COUNT, 0},
    {"release", CONTROL_RELEASE, KEY_SITE | KEY_DOMAINS, KEY_SITE},
    {"hold", CONTROL_HOLD, KEY_ID | KEY_DESTINATION, KEY_ID | KEY_DESTINATION},
    {"free", CONTROL_FREE, KEY_ID | KEY_DESTINATION, KEY_ID | KEY_DESTINATION},
    {"delete", CONTROL_DELETE, KEY_ID | KEY_DESTINATION,
	KEY_ID | KEY_DESTINATION},
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

/* A domain of RELEASE as a key, with its "@". */
static const char *
control_add_domain(const struct conf *conf, struct control_request *request,
    const json_t *value)
{
	char text[MAIL_DOMAIN_MAX + 2] = "@";
	struct str name, copy;
	bool is_tree;

	if (!json_is_string(value))
		return "domains must be strings";
	name = control_string(value);
	is_tree = str_starts(name, STR("@"));
	name = str_skip(name, is_tree);
	if (!mail_domain_is_valid(name, true) ||
	    mail_domain_key(name, text + is_tree) < 0)
		return "bad domain";
	if (!control_is_of_site(
		conf, request->site, str_from(text + is_tree), is_tree))
		return "domain is not of this site";
	copy = arena_copy(&request->arena, str_from(text));
	if (copy.data == NULL)
		return "too many domains";
	request->domains[request->domain_count++] = copy;
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

	request->site = conf_site_named(conf, name);
	if (request->site == NULL && mail_domain_key(name, key) == 0)
		request->site = conf_site_of_domain(conf, str_from(key));
	if (request->site == NULL)
		return "no such site";
	if (json_array_size(domains) > MESSAGE_DOMAINS_MAX)
		return "too many domains";
	for (size_t i = 0; i < json_array_size(domains) && wrong == NULL; i++)
		wrong = control_add_domain(
		    conf, request, json_array_get(domains, i));
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

	request->id = control_string(json_object_get(root, "id"));
	request->destination =
	    control_string(json_object_get(root, "destination"));
	if (json_object_get(root, "id") != NULL &&
	    !store_id_is_valid(request->id))
		return "bad id";
	if (json_object_get(root, "destination") != NULL &&
	    (request->destination.size == 0 ||
		request->destination.size > STORE_DESTINATION_MAX))
		return "bad destination";
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
		wrong = control_read_members(request);
	if (wrong == NULL && request->action == CONTROL_RELEASE)
		wrong = control_read_release(conf, request);
	return wrong;
}

void
control_request_fini(struct control_request *request)
{
	json_decref(request->root);
	arena_fini(&request->arena);
	request->root = NULL;
}
