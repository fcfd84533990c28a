/* Numbers, sizes and durations; parsers never repair, they refuse. */
#include "base/num.h"
#include "base/check.h"

#include <errno.h>
#include <stdio.h>

/* Reads digits at *AT and moves it; -EINVAL if there is none. */
static int
num_scan(struct str text, size_t *at, uint64_t *value_out)
{
	uint64_t value = 0;
	size_t first = *at;

	for (; *at < text.size && ascii_is_digit(text.data[*at]); ++*at) {
		unsigned digit = (unsigned)(text.data[*at] - '0');

		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return -ERANGE;
	}
	*value_out = value;
	return *at > first ? 0 : -EINVAL;
}

int
num_parse(struct str text, uint64_t max, uint64_t *value_out)
{
	uint64_t value;
	size_t at = 0;
	int error = num_scan(text, &at, &value);

	if (error < 0)
		return error;
	if (at != text.size)
		return -EINVAL;
	if (value > max)
		return -ERANGE;
	*value_out = value;
	return 0;
}

int
num_parse_size(struct str text, uint64_t max, uint64_t *bytes_out)
{
	static const char units[] = "kMG";
	uint64_t value;
	size_t at = 0, unit;
	int error = num_scan(text, &at, &value);

	if (error < 0)
		return error;
	if (at + 1 == text.size) {
		unit = str_find(str_from(units), text.data[at++]);
		if (unit == sizeof(units) - 1)
			return -EINVAL;
		if (__builtin_mul_overflow(
			value, UINT64_C(1) << (10 * (unit + 1)), &value))
			return -ERANGE;
	}
	if (at != text.size)
		return -EINVAL;
	if (value > max)
		return -ERANGE;
	*bytes_out = value;
	return 0;
}

static const struct {
	char letter;
	uint64_t ms;
} num_units[] = {
    {'w', UINT64_C(604800000)},
    {'d', UINT64_C(86400000)},
    {'h', UINT64_C(3600000)},
    {'m', UINT64_C(60000)},
    {'s', UINT64_C(1000)},
};

#define NUM_UNITS_COUNT (sizeof(num_units) / sizeof(num_units[0]))

int
num_parse_duration(struct str text, uint64_t max_ms, uint64_t *ms_out)
{
	uint64_t total = 0, value;
	size_t at = 0, unit = 0;
	bool is_first = true;
	int error;

	do {
		error = num_scan(text, &at, &value);
		if (error < 0)
			return error;
		if (at == text.size && is_first)
			unit = NUM_UNITS_COUNT - 1;
		else
			while (unit < NUM_UNITS_COUNT &&
			       (at == text.size ||
				   num_units[unit].letter != text.data[at]))
				unit++;
		if (unit == NUM_UNITS_COUNT)
			return -EINVAL;
		if (__builtin_mul_overflow(value, num_units[unit].ms, &value) ||
		    __builtin_add_overflow(total, value, &total))
			return -ERANGE;
		at++;
		unit++;
		is_first = false;
	} while (at < text.size);
	if (total > max_ms)
		return -ERANGE;
	*ms_out = total;
	return 0;
}

void
num_format_duration(uint64_t ms, char text[32])
{
	uint64_t left = ms - ms % 1000;
	size_t at = 0;

	for (size_t i = 0; i < NUM_UNITS_COUNT; i++) {
		uint64_t n = left / num_units[i].ms;

		left %= num_units[i].ms;
		if (n == 0 && !(at == 0 && i == NUM_UNITS_COUNT - 1))
			continue;
		at += (size_t)snprintf(text + at, 32 - at, "%llu%c",
		    (unsigned long long)n, num_units[i].letter);
		CHECK(at < 32);
	}
}

uint64_t
num_add_capped(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

uint32_t
num_narrow_u32(uint64_t value)
{
	CHECK(value <= UINT32_MAX);
	return (uint32_t)value;
}
