/*
 * Addresses and domains (RFC 5321 4.1.2 and 4.1.3, RFC 6531 3.3).  Each
 * mail_take_... function takes one element of the grammar from the front of a
 * text and moves the text, or returns false and leaves it anywhere.
 *
 * Invariant: whatever is taken holds no control character and no byte outside
 * ASCII that is not part of well-formed UTF-8, so that it is safe in a header
 * field, a command and a log line.
 */
#include "mail/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define MAIL_LABEL_MAX 63 /* RFC 1035 2.3.4 */

static bool
mail_take_char(struct str *text, char c)
{
	if (text->size == 0 || *text->data != c)
		return false;
	*text = str_skip(*text, 1);
	return true;
}

/* The length of the UTF-8 character of more than one byte at the front of
   TEXT, or 0: overlong forms, surrogates and the control characters U+0080 to
   U+009F are none (RFC 3629 4). */
static size_t
mail_utf8_size(struct str text)
{
	const unsigned char *p = (const unsigned char *)text.data;
	size_t size;

	if (text.size == 0 || p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	size = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (text.size < size)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xc2 && p[1] < 0xa0) || (p[0] == 0xe0 && p[1] < 0xa0) ||
	    (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
	    (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return size;
}

/* How many bytes at the front of TEXT are one atext (RFC 5322 3.2.3), or 0. */
static size_t
mail_atext_size(struct str text, bool is_utf8)
{
	char c;

	if (text.size == 0)
		return 0;
	c = *text.data;
	if (ascii_is_alpha(c) || ascii_is_digit(c))
		return 1;
	if (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL)
		return 1;
	return is_utf8 ? mail_utf8_size(text) : 0;
}

/* Dot-string = Atom *("."  Atom) */
static bool
mail_take_dot_string(struct str *text, bool is_utf8)
{
	do {
		size_t size = mail_atext_size(*text, is_utf8);

		if (size == 0)
			return false;
		while (size > 0) {
			*text = str_skip(*text, size);
			size = mail_atext_size(*text, is_utf8);
		}
	} while (mail_take_char(text, '.'));
	return true;
}

/* Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool
mail_take_quoted_string(struct str *text, bool is_utf8)
{
	if (!mail_take_char(text, '"'))
		return false;
	while (text->size > 0 && *text->data != '"') {
		/* A quoted pair is ASCII also in RFC 6531. */
		bool is_pair = mail_take_char(text, '\\');
		size_t size = 1;

		if (text->size == 0)
			return false;
		if (*text->data < ' ' || *text->data > '~')
			size = is_utf8 && !is_pair ? mail_utf8_size(*text) : 0;
		if (size == 0)
			return false;
		*text = str_skip(*text, size);
	}
	return mail_take_char(text, '"');
}

static bool
mail_take_local(struct str *text, bool is_utf8, struct str *local_out)
{
	struct str start = *text;
	bool is_taken = text->size > 0 && *text->data == '"'
	                    ? mail_take_quoted_string(text, is_utf8)
	                    : mail_take_dot_string(text, is_utf8);

	*local_out = str_head(start, start.size - text->size);
	return is_taken && local_out->size <= MAIL_LOCAL_MAX;
}

/* How many bytes at the front of TEXT may be in a label, or 0. */
static size_t
mail_label_byte_size(struct str text, bool is_utf8)
{
	if (text.size == 0)
		return 0;
	if (ascii_is_alpha(*text.data) || ascii_is_digit(*text.data) ||
	    *text.data == '-')
		return 1;
	return is_utf8 ? mail_utf8_size(text) : 0;
}

/* sub-domain = Let-dig [Ldh-str] */
static bool
mail_take_label(struct str *text, bool is_utf8)
{
	struct str start = *text;
	size_t size, taken;

	while ((size = mail_label_byte_size(*text, is_utf8)) > 0)
		*text = str_skip(*text, size);
	taken = start.size - text->size;
	return taken > 0 && taken <= MAIL_LABEL_MAX && start.data[0] != '-' &&
	       start.data[taken - 1] != '-';
}

/* Domain = sub-domain *("." sub-domain); COUNT_OUT is the number of labels. */
static bool
mail_take_domain(struct str *text, bool is_utf8, size_t *count_out)
{
	size_t size = text->size;

	*count_out = 0;
	do {
		if (!mail_take_label(text, is_utf8))
			return false;
		++*count_out;
		/* A dot with no label behind it is not part of the domain. */
		if (text->size < 2 || text->data[0] != '.' ||
		    mail_label_byte_size(str_skip(*text, 1), is_utf8) == 0)
			break;
	} while (mail_take_char(text, '.'));
	return size - text->size <= MAIL_DOMAIN_MAX;
}

static bool
mail_is_ip(int family, struct str text)
{
	unsigned char address[sizeof(struct in6_addr)];
	char copy[INET6_ADDRSTRLEN];

	if (text.size >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	return strlen(copy) == text.size &&
	       inet_pton(family, copy, address) == 1;
}

/* General-address-literal = Standardized-tag ":" 1*dcontent */
static bool
mail_is_general_literal(struct str text)
{
	size_t colon = str_find(text, ':');

	if (colon == 0 || colon + 1 >= text.size || text.data[colon - 1] == '-')
		return false;
	for (size_t i = 0; i < colon; i++)
		if (mail_label_byte_size(str_skip(text, i), false) == 0)
			return false;
	for (size_t i = colon + 1; i < text.size; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~' ||
		    text.data[i] == '\\')
			return false;
	return true;
}

/* address-literal (RFC 5321 4.1.3): "[192.0.2.1]", "[IPv6:2001:db8::1]". */
static bool
mail_take_literal(struct str *text)
{
	struct str inside, tag = STR("IPv6:");
	size_t end = str_find(*text, ']');

	if (!mail_take_char(text, '[') || end > text->size ||
	    end > MAIL_DOMAIN_MAX - 1)
		return false;
	inside = str_head(*text, end - 1);
	if (str_find(inside, '[') < inside.size)
		return false;
	*text = str_skip(*text, end);
	if (str_case_starts(inside, tag))
		return mail_is_ip(AF_INET6, str_skip(inside, tag.size));
	return mail_is_ip(AF_INET, inside) || mail_is_general_literal(inside);
}

/* Mailbox = Local-part "@" ( Domain / address-literal ) */
static bool
mail_take_mailbox(
    struct str *text, bool is_utf8, struct mail_address *address_out)
{
	struct str start = *text, domain;
	size_t count;
	bool is_taken;

	if (!mail_take_local(text, is_utf8, &address_out->local) ||
	    !mail_take_char(text, '@'))
		return false;
	domain = *text;
	is_taken = domain.size > 0 && *domain.data == '['
	               ? mail_take_literal(text)
	               : mail_take_domain(text, is_utf8, &count);
	address_out->domain = str_head(domain, domain.size - text->size);
	address_out->whole = str_head(start, start.size - text->size);
	return is_taken;
}

/* A-d-l ":", which RFC 5321 4.1.2 wants parsed and appendix C passed over. */
static bool
mail_take_route(struct str *text, bool is_utf8)
{
	size_t count;

	do {
		if (!mail_take_char(text, '@') ||
		    !mail_take_domain(text, is_utf8, &count))
			return false;
	} while (mail_take_char(text, ','));
	return mail_take_char(text, ':');
}

/* "Postmaster" with no domain, in any case (RFC 5321 4.5.1). */
static bool
mail_take_postmaster(struct str *text, struct mail_address *address_out)
{
	struct str name = STR("Postmaster");

	if (!str_case_starts(*text, name))
		return false;
	address_out->whole = address_out->local = str_head(*text, name.size);
	address_out->domain = str_of("", 0);
	*text = str_skip(*text, name.size);
	return true;
}

int
mail_path_parse(struct str text, bool is_utf8, struct mail_address *address_out,
    size_t *size_out)
{
	size_t size = text.size;
	struct str inside, bare;

	*address_out = (struct mail_address){
	    .whole = {"", 0}, .local = {"", 0}, .domain = {"", 0}};
	*size_out = 0;
	if (!mail_take_char(&text, '<'))
		return -EINVAL;
	inside = bare = text;
	if (!mail_take_char(&inside, '>')) {
		if (mail_take_postmaster(&bare, address_out) &&
		    mail_take_char(&bare, '>')) {
			*size_out = size - bare.size;
			return 0;
		}
		if (inside.size > 0 && *inside.data == '@' &&
		    !mail_take_route(&inside, is_utf8))
			return -EINVAL;
		if (!mail_take_mailbox(&inside, is_utf8, address_out) ||
		    !mail_take_char(&inside, '>'))
			return -EINVAL;
	}
	*size_out = size - inside.size;
	return 0;
}

int
mail_address_parse(struct str text, struct mail_address *address_out)
{
	struct str bare = text;

	if (mail_take_postmaster(&bare, address_out) && bare.size == 0)
		return 0;
	if (!mail_take_mailbox(&text, true, address_out) || text.size > 0)
		return -EINVAL;
	return 0;
}

/* Takes atoms and dots in any order. */
static bool
mail_take_loose_local(struct str *text)
{
	size_t size, taken = 0;

	while ((size = mail_atext_size(*text, true)) > 0 ||
	       mail_take_char(text, '.')) {
		*text = str_skip(*text, size);
		taken += size;
	}
	return taken > 0;
}

int
mail_address_parse_loose(struct str text, struct mail_address *address_out)
{
	struct str rest = text, domain;
	size_t count;
	bool is_taken;

	if (mail_address_parse(text, address_out) == 0)
		return 0;
	if (text.size > MAIL_ADDRESS_MAX || !mail_take_loose_local(&rest))
		return -EINVAL;
	address_out->whole = text;
	address_out->local = str_head(text, text.size - rest.size);
	if (!mail_take_char(&rest, '@'))
		return -EINVAL;
	domain = address_out->domain = rest;
	is_taken = domain.size > 0 && *domain.data == '['
	               ? mail_take_literal(&rest)
	               : mail_take_domain(&rest, true, &count);
	return is_taken && rest.size == 0 ? 0 : -EINVAL;
}

bool
mail_domain_is_valid(struct str domain, bool is_single)
{
	size_t count;

	if (!mail_take_domain(&domain, false, &count))
		return false;
	(void)mail_take_char(&domain, '.');
	return domain.size == 0 && (count > 1 || is_single);
}

int
mail_domain_key(struct str domain, char key[MAIL_DOMAIN_MAX + 1])
{
	key[0] = '\0';
	if (domain.size > 0 && domain.data[domain.size - 1] == '.')
		domain.size--;
	if (domain.size > MAIL_DOMAIN_MAX)
		return -EINVAL;
	for (size_t i = 0; i < domain.size; i++)
		key[i] = ascii_lower(domain.data[i]);
	key[domain.size] = '\0';
	return 0;
}

/* An empty parent has nothing under it: it must never open everything. */
bool
mail_domain_is_under(struct str domain, struct str parent)
{
	struct str above;

	if (parent.size == 0 || domain.size < parent.size)
		return false;
	above = str_skip(domain, domain.size - parent.size);
	if (!str_equal(above, parent))
		return false;
	return domain.size == parent.size ||
	       domain.data[domain.size - parent.size - 1] == '.';
}
