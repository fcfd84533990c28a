/* Addresses, lists of them, and files of aliases. */
#include "fuzz/fuzz.h"
#include "mail/address.h"
#include "mail/alias.h"
#include "mail/list.h"

static void
check_list(struct str text)
{
	struct mail_list list;
	struct mail_list_item item;
	enum mail_list_result result;
	size_t end = 0;

	mail_list_init(&list, text);
	while ((result = mail_list_next(&list, &item)) != MAIL_LIST_END) {
		if (result != MAIL_LIST_ONE)
			continue;
		CHECK(item.end <= text.size && item.end >= end);
		end = item.end;
		CHECK(item.address[0] != '\0');
	}
}

static void
check_aliases(struct str text, struct str included)
{
	struct alias_table *table = alias_table_new();
	const struct alias_entry *entry = NULL;
	struct str path;
	struct buf mistakes;

	alias_table_read(table, STR("/etc/aliases"), text);
	for (int i = 0; i < 3 && alias_table_wants(table, &path); i++)
		alias_table_include(table, path, included);
	while (alias_table_wants(table, &path))
		alias_table_include_failed(table, path, "no such file");
	while ((entry = alias_table_next(table, entry)) != NULL)
		CHECK(alias_table_find(table, entry->name) == entry);
	buf_init(&mistakes, 65536);
	alias_table_mistakes_put(table, &mistakes);
	buf_fini(&mistakes);
	alias_table_free(table);
}

static void
check_paths(struct str text, bool is_utf8)
{
	struct mail_address address, again;
	size_t size;

	if (mail_path_parse(text, is_utf8, &address, &size) == 0) {
		CHECK(size <= text.size);
		CHECK(address.whole.size <= MAIL_ADDRESS_MAX);
	}
	if (mail_address_parse(text, &address) == 0) {
		CHECK(mail_address_parse(address.whole, &again) == 0);
		CHECK(str_equal(again.local, address.local));
		CHECK(str_equal(again.domain, address.domain));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = fuzz_rest(data, size);

	check_list(text);
	check_paths(text, size % 2);
	check_aliases(text, str_skip(text, size / 2));
	return 0;
}
