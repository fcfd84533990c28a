/* Addresses and networks: tables of texts, and prefixes at their edges. */
#include "conf/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void
test_address_good(void **state)
{
	static const struct {
		const char *text, *format;
		unsigned family, port;
	} cases[] = {
	    {"192.0.2.1", "192.0.2.1", 4, 0},
	    {"192.0.2.1:25", "192.0.2.1", 4, 25},
	    {"0.0.0.0:65535", "0.0.0.0", 4, 65535},
	    {"2001:DB8::1", "2001:db8::1", 6, 0},
	    {"[2001:db8::1]", "2001:db8::1", 6, 0},
	    {"[2001:db8::1]:1", "2001:db8::1", 6, 1},
	    {"::", "::", 6, 0},
	    {"::1", "::1", 6, 0},
	    {"::ffff:192.0.2.1", "192.0.2.1", 4, 0},
	    {"[::ffff:c000:201]:25", "192.0.2.1", 4, 25},
	    {"::fffe:192.0.2.1", "::fffe:c000:201", 6, 0},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 6, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_address address;
		char text[46];

		assert_int_equal(
		    conf_address_parse(str_from(cases[i].text), &address), 0);
		assert_int_equal(address.family, cases[i].family);
		assert_int_equal(address.port, cases[i].port);
		conf_address_format(&address, text);
		assert_string_equal(text, cases[i].format);
	}
}

static void
test_address_bad(void **state)
{
	static const struct str cases[] = {
	    {"", 0},
	    {"a", 1},
	    {"\0", 1},
	    {"192.0.2.1\0", 10},
	    {"192.0.2", 7},
	    {"192.0.2.1.1", 11},
	    {"192.0.2.256", 11},
	    {"192.0.2.01", 10},
	    {" 192.0.2.1", 10},
	    {"192.0.2.1 ", 10},
	    {"192.0.2.1:", 10},
	    {"192.0.2.1:0", 11},
	    {"192.0.2.1:025", 13},
	    {"192.0.2.1:65536", 15},
	    {"192.0.2.1:+1", 12},
	    {"192.0.2.1:1x", 12},
	    {"192.0.2.1:1:1", 13},
	    {"[192.0.2.1]", 11},
	    {"[192.0.2.1]:25", 14},
	    {"[]", 2},
	    {"[", 1},
	    {"[::1", 4},
	    {"::1]", 4},
	    {"[::1]25", 7},
	    {"[::1]:", 6},
	    {"[::1]:0", 7},
	    {"[[::1]]", 7},
	    {":", 1},
	    {":25", 3},
	    {":::", 3},
	    {"1:2:3:4:5:6:7:8:9", 17},
	    {"fe80::1%lo", 10},
	    {"12345::", 7},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2550", 46},
	};
	struct conf_address address;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    conf_address_parse(cases[i], &address), -EINVAL);
}

static void
test_network_parse(void **state)
{
	static const struct {
		const char *text;
		int result;
		unsigned family, prefix;
	} cases[] = {
	    {"0.0.0.0/0", 0, 4, 0},
	    {"10.0.0.0/8", 0, 4, 8},
	    {"10.0.0.1", 0, 4, 32},
	    {"10.0.0.1/32", 0, 4, 32},
	    {"10.0.0.0/33", -EINVAL, 0, 0},
	    {"10.0.0.0/08", -EINVAL, 0, 0},
	    {"10.0.0.0/", -EINVAL, 0, 0},
	    {"10.0.0.0/-1", -EINVAL, 0, 0},
	    {"10.0.0.0/8/8", -EINVAL, 0, 0},
	    {"10.0.0.0:25", -EINVAL, 0, 0},
	    {"/8", -EINVAL, 0, 0},
	    {"", -EINVAL, 0, 0},
	    {"10.0.0.1/31", -ERANGE, 0, 0},
	    {"10.0.0.1/0", -ERANGE, 0, 0},
	    {"10.0.0.2/31", 0, 4, 31},
	    {"::/0", 0, 6, 0},
	    {"2001:db8::/32", 0, 6, 32},
	    {"2001:db8::/33", 0, 6, 33},
	    {"2001:db8:8000::/33", 0, 6, 33},
	    {"2001:db8:8000::/32", -ERANGE, 0, 0},
	    {"::1/128", 0, 6, 128},
	    {"::1", 0, 6, 128},
	    {"::1/129", -EINVAL, 0, 0},
	    {"[::1]/128", -EINVAL, 0, 0},
	    {"::1/127", -ERANGE, 0, 0},
	    {"::ffff:0:0/96", 0, 4, 0},
	    {"::ffff:10.0.0.0/104", 0, 4, 8},
	    {"::ffff:10.0.0.1", 0, 4, 32},
	    {"::ffff:0:0/95", -ERANGE, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_network network = {0};

		assert_int_equal(
		    conf_network_parse(str_from(cases[i].text), &network),
		    cases[i].result);
		assert_int_equal(network.address.family, cases[i].family);
		assert_int_equal(network.prefix, cases[i].prefix);
	}
}

static void
test_networks_contain(void **state)
{
	static const struct {
		const char *network, *address;
		bool is_in;
	} cases[] = {
	    {"0.0.0.0/0", "255.255.255.255", true},
	    {"0.0.0.0/0", "::1", false},
	    {"0.0.0.0/0", "::ffff:1.2.3.4", true},
	    {"::/0", "ffff::1", true},
	    {"::/0", "1.2.3.4", false},
	    {"::ffff:0:0/96", "1.2.3.4", true},
	    {"10.0.0.0/8", "10.255.255.255", true},
	    {"10.0.0.0/8", "11.0.0.0", false},
	    {"10.0.0.0/8", "9.255.255.255", false},
	    {"10.128.0.0/9", "10.128.0.0", true},
	    {"10.128.0.0/9", "10.127.255.255", false},
	    {"10.0.0.6/31", "10.0.0.7", true},
	    {"10.0.0.6/31", "10.0.0.5", false},
	    {"10.0.0.6/31", "10.0.0.8", false},
	    {"10.0.0.6/32", "10.0.0.6", true},
	    {"10.0.0.6/32", "10.0.0.7", false},
	    {"2001:db8::/32", "2001:db8:ffff::", true},
	    {"2001:db8::/32", "2001:db9::", false},
	    {"2001:db8::/33", "2001:db8:7fff::", true},
	    {"2001:db8::/33", "2001:db8:8000::", false},
	    {"::1/128", "::1", true},
	    {"::1/128", "::2", false},
	    {"::2/127", "::3", true},
	    {"::2/127", "::4", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_network list[2] = {{{{127}, 4, 0}, 8}};
		struct conf_networks networks = {list, 2};
		struct conf_address address;

		assert_int_equal(
		    conf_network_parse(str_from(cases[i].network), &list[1]),
		    0);
		assert_int_equal(
		    conf_address_parse(str_from(cases[i].address), &address),
		    0);
		assert_int_equal(
		    conf_networks_contain(&networks, &address), cases[i].is_in);
	}
}

/* A socket of both families gives IPv4 peers in mapped form. */
static void
test_networks_mapped(void **state)
{
	struct conf_address mapped = {
	    {[10] = 0xff, [11] = 0xff, [12] = 10}, 6, 25};
	struct conf_network list = {{{10}, 4, 0}, 8};
	struct conf_networks one = {&list, 1}, none = {NULL, 0};

	assert_true(conf_networks_contain(&one, &mapped));
	assert_false(conf_networks_contain(&none, &mapped));
	assert_int_equal(mapped.family, 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_address_good),
	    cmocka_unit_test(test_address_bad),
	    cmocka_unit_test(test_network_parse),
	    cmocka_unit_test(test_networks_contain),
	    cmocka_unit_test(test_networks_mapped),
	};

	return cmocka_run_group_tests_name("conf/address", tests, NULL, NULL);
}
