/* Walking over our queue.  The filters of the control protocol know whole ids
   and addresses only, so but for the null sender the parts of texts that
   sendmail looks for are looked for here. */
#include "cmd/spool_walk.h"
#include "cmd/ctl_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 64

struct walk {
	const struct sendmail_options *options;
	spool_message_fn *fn;
	void *arg;
	json_t *item;       /* the message that is gathered; NULL = none */
	json_t *recipients; /* its; part of the item */
};

json_t *
spool_request(const char *what)
{
	json_t *request = json_object();

	if (request == NULL ||
	    json_object_set_new(request, "do", json_string(what)) < 0)
		abort();
	return request;
}

bool
spool_walk_is_selective(const struct sendmail_options *options)
{
	return options->select.count > 0 ||
	       options->queue != SENDMAIL_QUEUE_NORMAL;
}

const char *
spool_reason(const json_t *item, const json_t *recipients)
{
	const char *reason = ctl_text(item, "reason");
	size_t count = json_array_size(recipients);

	for (size_t i = 0; i < count; i++)
		if (strcmp(ctl_text(json_array_get(recipients, i), "lane"),
			"stopped") != 0)
			return NULL;
	if (count == 0)
		return NULL;
	return reason[0] != '\0' ? reason : STORE_STOPPED_TEXT;
}

static bool
has_recipient(const struct store_select *select, const json_t *recipients)
{
	if (!store_select_wants(select, STORE_SELECT_RECIPIENT))
		return true;
	for (size_t i = 0; i < json_array_size(recipients); i++)
		if (store_select_has_text(select, STORE_SELECT_RECIPIENT,
			str_from(ctl_text(
			    json_array_get(recipients, i), "address"))))
			return true;
	return false;
}

/* The id is looked at as the file's name in sendmail's queue would be. */
static bool
is_selected(const struct walk *w)
{
	const struct store_select *select = &w->options->select;
	const char *sender = ctl_text(w->item, "sender");
	const char *reason = spool_reason(w->item, w->recipients);
	char name[ID_MAX];

	snprintf(name, sizeof(name), "qf%s", ctl_text(w->item, "id"));
	switch (w->options->queue) {
	case SENDMAIL_QUEUE_NORMAL:
		break;
	case SENDMAIL_QUEUE_QUARANTINED:
		if (reason == NULL ||
		    !store_select_has_text(
			select, STORE_SELECT_REASON, str_from(reason)))
			return false;
		break;
	case SENDMAIL_QUEUE_LOST:
		return false;
	}
	return store_select_has_text(select, STORE_SELECT_ID, str_from(name)) &&
	       store_select_has_text(select, STORE_SELECT_SENDER,
		   str_from(sender[0] != '\0' ? sender : "<>")) &&
	       has_recipient(select, w->recipients);
}

/* The gathered message is whole. */
static void
walk_flush(struct walk *w)
{
	if (w->item != NULL && is_selected(w))
		w->fn(w->arg, w->item, w->recipients);
	json_decref(w->item);
	w->item = w->recipients = NULL;
}

/* One with very many recipients comes in several items. */
static void
walk_item(void *arg, const json_t *item)
{
	struct walk *w = arg;

	if (w->item != NULL &&
	    strcmp(ctl_text(w->item, "id"), ctl_text(item, "id")) == 0) {
		if (json_array_extend(
			w->recipients, json_object_get(item, "recipients")) < 0)
			abort();
		return;
	}
	walk_flush(w);
	w->item = json_deep_copy(item);
	if (w->item == NULL)
		abort();
	w->recipients = json_object_get(w->item, "recipients");
}

/* The filter that says the same as the selection, where there is one. */
static void
walk_filter(const struct store_select *select, json_t *request)
{
	const struct store_select_term *term = &select->terms[0];

	if (select->count == 1 && term->field == STORE_SELECT_SENDER &&
	    !term->is_not && str_equal(term->text, STR("<>")))
		json_object_set_new(request, "sender", json_string("<>"));
}

bool
spool_walk(struct view *view, const struct sendmail_options *options,
    spool_message_fn *fn, void *arg)
{
	struct walk w = {.options = options, .fn = fn, .arg = arg};
	json_t *request = spool_request("list"), *end;

	walk_filter(&options->select, request);
	end = view_ask(view, request, walk_item, &w);
	walk_flush(&w);
	json_decref(end);
	return end != NULL;
}
