/*
 * The table of aliases: names and :include: files in hashes, all that they
 * point to in one arena.
 *
 * Invariants: (1) what a definition holds that was not understood stands in it
 * as a target of ALIAS_BAD, so that nobody is left out of a list unnoticed; an
 * alias of nothing has such a target too; (2) each path of an :include: stands
 * once in the list of includes, in the order of being found; (3) a target that
 * is a program or a file has a number, an address (mail/alias_local.h) and, if
 * it is a program, words.
 */
#include "mail/alias.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "mail/alias_local.h"
#include "mail/alias_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIAS_TARGETS_FIRST 4
#define ALIAS_MISTAKE_MAX   400 /* bytes shown of one */
#define ALIAS_SHOWN_MAX     60  /* bytes shown of a name */

struct alias_node {
	struct alias_entry entry; /* first: an entry is its node */
	size_t file_number;
	UT_hash_handle hh; /* by name */
};

struct alias_include {
	struct alias_entry entry;
	bool is_given; /* or failed */
	bool is_there;
	UT_hash_handle hh; /* by entry.file */
};

/* A program or a file; its address, which is the key, is behind it. */
struct alias_local_node {
	struct alias_local local;
	size_t number;
	UT_hash_handle hh;
};

struct alias_table {
	struct arena arena;
	struct alias_node *names;
	struct alias_include *includes;
	struct alias_local_node *locals;
	struct alias_local_node **local_list; /* by number, ALIAS_LOCALS_MAX */
	bool is_distrusted;
	struct str mistakes[ALIAS_MISTAKES_MAX];
	size_t mistake_count;
	struct alias_file files[ALIAS_FILES_MAX];
	size_t file_count;
	bool is_full; /* and that is noted */
};

struct alias_table *
alias_table_new(void)
{
	struct alias_table *table = mem_new(1, sizeof(*table));

	arena_init(&table->arena, ALIAS_ARENA_MAX);
	return table;
}

void
alias_table_free(struct alias_table *table)
{
	if (table == NULL)
		return;
	HASH_CLEAR(hh, table->names);
	HASH_CLEAR(hh, table->includes);
	HASH_CLEAR(hh, table->locals);
	arena_fini(&table->arena);
	free(table);
}

void
alias_table_mistake(struct alias_table *table, struct str file_name,
    unsigned line, const char *format, ...)
{
	char text[ALIAS_MISTAKE_MAX], place[16] = "";
	struct buf out;
	va_list args;

	if (table->mistake_count++ >= ALIAS_MISTAKES_MAX)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (line > 0)
		snprintf(place, sizeof(place), ":%u", line);
	buf_init(&out, ALIAS_PATH_MAX + ALIAS_MISTAKE_MAX + sizeof(place));
	if (buf_printf(&out, "%.*s%s: %s",
		STR_ARG(str_head(file_name, ALIAS_PATH_MAX)), place, text) == 0)
		table->mistakes[table->mistake_count - 1] =
		    arena_copy(&table->arena, buf_str(&out));
	buf_fini(&out);
}

void
alias_table_mistakes_put(const struct alias_table *table, struct buf *out)
{
	size_t count = table->mistake_count;

	if (count > ALIAS_MISTAKES_MAX)
		count = ALIAS_MISTAKES_MAX;
	for (size_t i = 0; i < count; i++)
		if (table->mistakes[i].data != NULL &&
		    buf_printf(out, "%.*s\n", STR_ARG(table->mistakes[i])) < 0)
			return;
}

/* SIZE bytes of the table, or NULL with a mistake noted. */
static void *
table_take(struct alias_table *table, struct str file, size_t size)
{
	void *space = arena_new(&table->arena, size);

	if (space == NULL && !table->is_full) {
		table->is_full = true;
		alias_table_mistake(
		    table, file, 0, "too many aliases: the rest is left out");
	}
	return space;
}

/* NOLINTBEGIN(readability-function-*): the macros of uthash are long. */
static struct alias_include *
include_find(const struct alias_table *table, struct str path)
{
	struct alias_include *include;

	HASH_FIND(hh, table->includes, path.data, path.size, include);
	return include;
}

/* Asks for the content of an :include: file; false if there are too many. */
static bool
include_want(struct alias_table *table, struct str path)
{
	struct alias_include *include = include_find(table, path);

	if (include != NULL)
		return true;
	if (HASH_COUNT(table->includes) >= ALIAS_INCLUDES_MAX)
		return false;
	include = arena_new(&table->arena, sizeof(*include));
	if (include == NULL)
		return false;
	include->entry.file = path;
	include->entry.name = STR("");
	HASH_ADD_KEYPTR(hh, table->includes, include->entry.file.data,
	    include->entry.file.size, include);
	return true;
}

static struct alias_node *
node_find(const struct alias_table *table, struct str key)
{
	struct alias_node *node;

	HASH_FIND(hh, table->names, key.data, key.size, node);
	return node;
}

/* The node for a definition of NAME, or NULL where it does not count. */
static struct alias_node *
node_for(
    struct alias_table *table, struct str file, unsigned line, struct str name)
{
	struct alias_node *node = node_find(table, name);

	if (node != NULL) {
		if (node->file_number != table->file_count)
			return NULL;
		alias_table_mistake(table, file, line,
		    "%.*s is an alias already, on line %u: this one counts",
		    STR_ARG(str_head(name, ALIAS_SHOWN_MAX)), node->entry.line);
		return node;
	}
	node = table_take(table, file, sizeof(*node) + name.size + 1);
	if (node == NULL)
		return NULL;
	memcpy(node + 1, name.data, name.size);
	node->entry.name = str_of((const char *)(node + 1), name.size);
	HASH_ADD_KEYPTR(hh, table->names, node->entry.name.data,
	    node->entry.name.size, node);
	return node;
}

static struct alias_local_node *
local_find(const struct alias_table *table, struct str address)
{
	struct alias_local_node *node;

	HASH_FIND(hh, table->locals, address.data, address.size, node);
	return node;
}

/* Gives LOCAL with ADDRESS a number; NULL, or what is wrong. */
static const char *
local_add(struct alias_table *table, const struct alias_local *local,
    struct str address)
{
	size_t count = HASH_COUNT(table->locals);
	struct alias_local_node *node;

	if (local_find(table, address) != NULL)
		return NULL;
	if (table->local_list == NULL)
		table->local_list = arena_new(&table->arena,
		    ALIAS_LOCALS_MAX * sizeof(struct alias_local_node *));
	node = arena_new(&table->arena, sizeof(*node) + address.size);
	if (node == NULL || table->local_list == NULL ||
	    count == ALIAS_LOCALS_MAX)
		return "is one program or file too many";
	memcpy(node + 1, address.data, address.size);
	node->local.kind = local->kind;
	node->local.text = arena_copy(&table->arena, local->text);
	node->number = count;
	if (node->local.text.data == NULL)
		return "is one program or file too many";
	HASH_ADD_KEYPTR(
	    hh, table->locals, (const char *)(node + 1), address.size, node);
	table->local_list[count] = node;
	return NULL;
}
/* NOLINTEND(readability-function-*) */

/* A target of ENTRY that is a program or a file; NULL, or what is wrong. */
static const char *
local_take(struct alias_table *table, const struct alias_entry *entry,
    const struct alias_target *target)
{
	struct alias_local local = {.kind = target->kind, .text = target->text};
	char address[MAIL_ADDRESS_MAX + 1];
	struct alias_command command;
	const char *wrong = NULL;
	int size;

	if (entry->name.size == 0)
		return "names a program or a file, which an :include: may not";
	if (table->is_distrusted)
		return "names a program or a file, but not only root may write "
		       "to this file of aliases";
	size = alias_local_put(&local, address);
	if (size < 0)
		return "has a command or path that is too long or no ASCII";
	if (local.kind == ALIAS_PROGRAM)
		wrong = alias_command_split(local.text, &command);
	return wrong != NULL
	           ? wrong
	           : local_add(table, &local, str_of(address, (size_t)size));
}

/* Targets being gathered, in the arena. */
struct gather {
	struct alias_table *table;
	struct alias_entry *entry;
	struct buf scratch;
	struct alias_target *targets;
	size_t capacity;
	bool is_over; /* the table is full */
};

/* In place of a list that does not fit: it is refused, never cut. */
static const struct alias_target gather_nothing = {
    .kind = ALIAS_BAD, .text = {"", 0}};

/* Adds a copy of TARGET; that, or NULL where the table is full. */
static const struct alias_target *
gather_add(struct gather *g, const struct alias_target *target)
{
	struct alias_entry *entry = g->entry;
	struct alias_target *targets = g->targets;
	size_t capacity = g->capacity;
	struct str text = arena_copy(&g->table->arena, target->text);

	if (text.data != NULL && entry->target_count == capacity) {
		capacity = capacity > 0 ? capacity * 2 : ALIAS_TARGETS_FIRST;
		targets = table_take(
		    g->table, entry->file, capacity * sizeof(*targets));
		if (targets != NULL && entry->target_count > 0)
			memcpy(targets, g->targets,
			    entry->target_count * sizeof(*targets));
	}
	if (text.data == NULL || targets == NULL) {
		g->is_over = true;
		entry->targets = &gather_nothing;
		entry->target_count = 1;
		return NULL;
	}
	g->targets = targets;
	g->capacity = capacity;
	entry->targets = targets;
	targets += entry->target_count++;
	*targets = *target;
	targets->text = text;
	return targets;
}

static unsigned
lines_between(const char *from, const char *to)
{
	unsigned count = 0;

	for (; from < to; from++)
		count += *from == '\n';
	return count;
}

static void
gather_list(struct gather *g, struct str list, unsigned line)
{
	const char *wrong = NULL;
	const struct alias_target *added;
	struct alias_target target;
	struct str before = list;
	unsigned passed;

	while (!g->is_over && alias_parse_target(&list, &g->scratch, &target,
				  &passed, &wrong) != ALIAS_FOUND_NONE) {
		if (wrong == NULL &&
		    (target.kind == ALIAS_PROGRAM || target.kind == ALIAS_FILE))
			wrong = local_take(g->table, g->entry, &target);
		if (wrong != NULL) {
			target.kind = ALIAS_BAD;
			alias_table_mistake(g->table, g->entry->file,
			    line + passed, "%.*s%s%s",
			    STR_ARG(str_head(g->entry->name, ALIAS_SHOWN_MAX)),
			    g->entry->name.size > 0 ? " " : "", wrong);
			target.text = STR("");
		}
		added = gather_add(g, &target);
		if (added != NULL && added->kind == ALIAS_INCLUDE &&
		    !include_want(g->table, added->text))
			alias_table_mistake(g->table, g->entry->file,
			    line + passed, "too many :include: files");
		line += lines_between(before.data, list.data);
		before = list;
	}
}

static void
gather_init(
    struct gather *g, struct alias_table *table, struct alias_entry *entry)
{
	*g = (struct gather){.table = table, .entry = entry};
	buf_init(&g->scratch, 2 * ALIAS_DEFINITION_MAX);
	entry->targets = NULL;
	entry->target_count = 0;
}

/* How long the right side is without the ends of its lines. */
static size_t
right_size(struct str right)
{
	size_t size = 0;

	for (size_t i = 0; i < right.size; i++)
		size += right.data[i] != '\n';
	return size;
}

/* One definition of a file of aliases. */
static void
table_define(struct alias_table *table, struct str file, unsigned line,
    struct str definition)
{
	struct alias_file *counts = &table->files[table->file_count - 1];
	char name[MAIL_LOCAL_MAX + 1];
	struct alias_node *node;
	struct gather g;
	struct str right;
	const char *wrong = alias_parse_name(definition, name, &right);

	if (wrong != NULL) {
		alias_table_mistake(table, file, line, "%s", wrong);
		return;
	}
	counts->aliases++;
	counts->total += strlen(name) + right_size(right);
	if (counts->longest < right_size(right))
		counts->longest = right_size(right);
	node = node_for(table, file, line, str_from(name));
	if (node == NULL)
		return;
	node->file_number = table->file_count;
	node->entry.file = file;
	node->entry.line = line;
	gather_init(&g, table, &node->entry);
	gather_list(
	    &g, right, line + lines_between(definition.data, right.data));
	if (node->entry.target_count == 0) {
		alias_table_mistake(table, file, line,
		    "%.*s has nothing behind the colon",
		    STR_ARG(str_head(node->entry.name, ALIAS_SHOWN_MAX)));
		(void)gather_add(&g, &gather_nothing);
	}
	buf_fini(&g.scratch);
}

void
alias_table_read(
    struct alias_table *table, struct str file_name, struct str text)
{
	struct alias_source source = {.rest = text, .line = 1};
	struct str file = arena_copy(&table->arena, file_name);
	struct buf definition;
	const char *wrong = NULL;
	enum alias_found found;
	unsigned line;

	if (file.data == NULL || table->file_count == ALIAS_FILES_MAX) {
		alias_table_mistake(
		    table, file_name, 0, "too many files of aliases");
		return;
	}
	table->files[table->file_count++].name = file;
	buf_init(&definition, ALIAS_DEFINITION_MAX);
	while ((found = alias_parse_definition(&source, false, &definition,
		    &line, &wrong)) != ALIAS_FOUND_NONE) {
		if (found == ALIAS_FOUND_WRONG)
			alias_table_mistake(table, file, line, "%s", wrong);
		else
			table_define(table, file, line, buf_str(&definition));
	}
	buf_fini(&definition);
}

void
alias_table_trust(struct alias_table *table, bool is_trusted)
{
	table->is_distrusted = !is_trusted;
}

const struct alias_file *
alias_table_file(const struct alias_table *table, size_t index)
{
	return index < table->file_count ? &table->files[index] : NULL;
}

bool
alias_table_wants(const struct alias_table *table, struct str *path_out)
{
	const struct alias_include *include = table->includes;

	while (include != NULL && include->is_given)
		include = include->hh.next;
	if (include != NULL)
		*path_out = include->entry.file;
	return include != NULL;
}

void
alias_table_include(struct alias_table *table, struct str path, struct str text)
{
	struct alias_include *include = include_find(table, path);
	struct alias_source source = {.rest = text, .line = 1};
	const char *wrong = NULL;
	enum alias_found found;
	struct buf line_text;
	struct gather g;
	unsigned line;

	if (include == NULL || include->is_given)
		return;
	include->is_given = include->is_there = true;
	gather_init(&g, table, &include->entry);
	buf_init(&line_text, ALIAS_DEFINITION_MAX);
	while ((found = alias_parse_definition(&source, true, &line_text, &line,
		    &wrong)) != ALIAS_FOUND_NONE) {
		if (found == ALIAS_FOUND_ONE) {
			gather_list(&g, buf_str(&line_text), line);
			continue;
		}
		alias_table_mistake(table, path, line, "%s", wrong);
		(void)gather_add(&g, &gather_nothing);
	}
	buf_fini(&line_text);
	buf_fini(&g.scratch);
}

void
alias_table_include_failed(
    struct alias_table *table, struct str path, const char *reason)
{
	struct alias_include *include = include_find(table, path);

	if (include == NULL || include->is_given)
		return;
	include->is_given = true;
	alias_table_mistake(table, path, 0, "%s", reason);
}

const struct alias_entry *
alias_table_next(
    const struct alias_table *table, const struct alias_entry *entry)
{
	const struct alias_node *node = (const struct alias_node *)entry;

	node = node == NULL ? table->names : node->hh.next;
	return node == NULL ? NULL : &node->entry;
}

const struct alias_entry *
alias_table_find(const struct alias_table *table, struct str name)
{
	char key[MAIL_LOCAL_MAX + 1];
	const struct alias_node *node;

	if (name.size == 0 || name.size >= sizeof(key))
		return NULL;
	for (size_t i = 0; i < name.size; i++)
		key[i] = ascii_lower(name.data[i]);
	node = node_find(table, str_of(key, name.size));
	return node == NULL ? NULL : &node->entry;
}

const struct alias_local *
alias_table_local(const struct alias_table *table, size_t number)
{
	return number < HASH_COUNT(table->locals)
	           ? &table->local_list[number]->local
	           : NULL;
}

size_t
alias_table_local_number(
    const struct alias_table *table, const struct alias_local *local)
{
	char address[MAIL_ADDRESS_MAX + 1];
	int size = alias_local_put(local, address);
	const struct alias_local_node *node = NULL;

	if (size > 0)
		node = local_find(table, str_of(address, (size_t)size));
	return node != NULL ? node->number : SIZE_MAX;
}

const struct alias_entry *
alias_table_included(const struct alias_table *table, struct str path)
{
	const struct alias_include *include = include_find(table, path);

	return include != NULL && include->is_there ? &include->entry : NULL;
}
