/* Selection by parts of the text.  No index helps here: it costs time in
   proportion to what is looked at. */
#include "store/select.h"
#include "base/check.h"

#include <errno.h>

int
store_select_add(struct store_select *select, enum store_select_field field,
    bool is_not, struct str text)
{
	CHECK(field < STORE_SELECT_FIELDS);
	CHECK(select->count <= STORE_SELECT_MAX);
	if (text.size > STORE_SELECT_TEXT_MAX)
		return -EINVAL;
	if (select->count == STORE_SELECT_MAX)
		return -ENOSPC;
	select->terms[select->count++] = (struct store_select_term){
	    .field = field, .is_not = is_not, .text = text};
	return 0;
}

bool
store_select_wants(
    const struct store_select *select, enum store_select_field field)
{
	for (size_t i = 0; i < select->count; i++)
		if (select->terms[i].field == field)
			return true;
	return false;
}

static bool
select_is_part(struct str part, struct str text, bool has_case)
{
	for (size_t at = 0; at + part.size <= text.size; at++) {
		struct str here = str_head(str_skip(text, at), part.size);

		if (has_case ? str_equal(here, part)
			     : str_case_equal(here, part))
			return true;
	}
	return false;
}

bool
store_select_has_text(const struct store_select *select,
    enum store_select_field field, struct str text)
{
	for (size_t i = 0; i < select->count; i++) {
		const struct store_select_term *term = &select->terms[i];

		if (term->field == field &&
		    select_is_part(term->text, text,
			field == STORE_SELECT_REASON) != term->is_not)
			return true;
	}
	return !store_select_wants(select, field);
}

bool
store_select_has(const struct store_select *select, struct str id,
    struct str sender, const struct str *recipients, size_t count)
{
	if (!store_select_has_text(select, STORE_SELECT_ID, id) ||
	    !store_select_has_text(select, STORE_SELECT_SENDER,
		sender.size == 0 ? STR("<>") : sender))
		return false;
	if (!store_select_wants(select, STORE_SELECT_RECIPIENT))
		return true;
	for (size_t i = 0; i < count; i++)
		if (store_select_has_text(
			select, STORE_SELECT_RECIPIENT, recipients[i]))
			return true;
	return false;
}
