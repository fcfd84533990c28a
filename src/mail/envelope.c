/* The envelope's one encoding; fields in the order of the structs. */
#include "mail/envelope.h"
#include "mail/address.h"

#include <errno.h>

#define MAIL_EXPANDED 16 /* beside the bits of NOTIFY */

void
mail_envelope_put(struct wire_writer *w, const struct mail_envelope *e)
{
	wire_put_str(w, e->sender);
	wire_put_str(w, e->envid);
	wire_put_str(w, e->auth);
	wire_put_u8(w, (uint8_t)e->body);
	wire_put_u8(w, (uint8_t)e->ret);
	wire_put_u8(w, e->is_smtputf8);
	wire_put_u8(w, (uint8_t)(e->priority + MAIL_PRIORITY_MAX));
}

/* One byte of at most MAX. */
static uint8_t
mail_get_small(struct wire_reader *r, uint8_t max)
{
	uint8_t value = wire_get_u8(r);

	if (value <= max)
		return value;
	r->is_bad = true;
	return 0;
}

void
mail_envelope_get(struct wire_reader *r, struct mail_envelope *e_out)
{
	e_out->sender = wire_get_str(r, MAIL_ADDRESS_MAX);
	e_out->errors_to = str_of(NULL, 0);
	e_out->notice_ms = 0;
	e_out->envid = wire_get_str(r, MAIL_ENVID_MAX);
	e_out->auth = wire_get_str(r, MAIL_AUTH_MAX);
	e_out->body = (enum mail_body)mail_get_small(r, MAIL_BODY_8BITMIME);
	e_out->ret = (enum mail_ret)mail_get_small(r, MAIL_RET_HDRS);
	e_out->is_smtputf8 = mail_get_small(r, 1) != 0;
	e_out->priority =
	    (int)mail_get_small(r, 2 * MAIL_PRIORITY_MAX) - MAIL_PRIORITY_MAX;
}

uint8_t
mail_recipient_bits(const struct mail_recipient *r)
{
	return r->is_expanded ? (uint8_t)(r->notify | MAIL_EXPANDED)
	                      : r->notify;
}

void
mail_recipient_bits_set(struct mail_recipient *r, uint8_t bits)
{
	r->notify = bits & MAIL_NOTIFY_ALL;
	r->is_expanded = (bits & MAIL_EXPANDED) != 0;
}

void
mail_recipient_put(struct wire_writer *w, const struct mail_recipient *r)
{
	wire_put_str(w, r->address);
	wire_put_str(w, r->orcpt);
	wire_put_u8(w, mail_recipient_bits(r));
}

void
mail_recipient_get(struct wire_reader *r, struct mail_recipient *r_out)
{
	r_out->address = wire_get_str(r, MAIL_ADDRESS_MAX);
	r_out->orcpt = wire_get_str(r, MAIL_ORCPT_MAX);
	mail_recipient_bits_set(
	    r_out, mail_get_small(r, MAIL_RECIPIENT_BITS_MAX));
	if (r_out->address.size == 0)
		r->is_bad = true;
}

int
mail_envelope_copy(
    struct arena *a, const struct mail_envelope *from, struct mail_envelope *to)
{
	*to = *from;
	to->sender = arena_copy(a, from->sender);
	to->errors_to = arena_copy(a, from->errors_to);
	to->envid = arena_copy(a, from->envid);
	to->auth = arena_copy(a, from->auth);
	return to->sender.data && to->errors_to.data && to->envid.data &&
	               to->auth.data
	           ? 0
	           : -ENOBUFS;
}

int
mail_recipient_copy(struct arena *a, const struct mail_recipient *from,
    struct mail_recipient *to)
{
	*to = *from;
	to->address = arena_copy(a, from->address);
	to->orcpt = arena_copy(a, from->orcpt);
	return to->address.data && to->orcpt.data ? 0 : -ENOBUFS;
}
