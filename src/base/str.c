/* Strings as pointer and length; see str.h for the contracts. */
#include "base/str.h"

#include <string.h>

struct str
str_from(const char *text)
{
	return (struct str){text ? text : "", text ? strlen(text) : 0};
}

struct str
str_of(const char *data, size_t size)
{
	return (struct str){data, size};
}

bool
str_equal(struct str a, struct str b)
{
	return a.size == b.size &&
	       (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool
str_case_equal(struct str a, struct str b)
{
	return a.size == b.size && str_case_starts(a, b);
}

int
str_compare(struct str a, struct str b)
{
	size_t n = a.size < b.size ? a.size : b.size;
	int order = n > 0 ? memcmp(a.data, b.data, n) : 0;

	if (order != 0)
		return order < 0 ? -1 : 1;
	return a.size < b.size ? -1 : a.size > b.size;
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.size >= prefix.size &&
	       str_equal(str_head(s, prefix.size), prefix);
}

bool
str_case_starts(struct str s, struct str prefix)
{
	if (s.size < prefix.size)
		return false;
	for (size_t i = 0; i < prefix.size; i++)
		if (ascii_lower(s.data[i]) != ascii_lower(prefix.data[i]))
			return false;
	return true;
}

size_t
str_find(struct str s, char c)
{
	const char *at = s.size > 0 ? memchr(s.data, c, s.size) : NULL;

	return at ? (size_t)(at - s.data) : s.size;
}

struct str
str_skip(struct str s, size_t n)
{
	if (n > s.size)
		n = s.size;
	return (struct str){s.data + n, s.size - n};
}

struct str
str_head(struct str s, size_t n)
{
	return (struct str){s.data, n < s.size ? n : s.size};
}

struct str
str_trim(struct str s)
{
	while (s.size > 0 && (*s.data == ' ' || *s.data == '\t'))
		s = str_skip(s, 1);
	while (s.size > 0 &&
	       (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t'))
		s.size--;
	return s;
}

char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}
