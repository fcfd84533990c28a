/* Addresses and From_ lines of UUCP. */
#include "mail/uucp.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
	const char *in, *out; /* NULL: there is none */
} senders[] = {
    {"From alice Sat Nov 21 21:13:57 2026 remote from uuhost\r\n",
	"uuhost!alice"},
    {"From b!alice Sat Nov 21 21:13 2026 remote from a\r\n", "a!b!alice"},
    {"From uucp Sat Nov 21 21:13:57 2026 remote from near\r\n"
     ">From alice Sat Nov 21 21:10:00 2026 remote from far\r\n",
	"near!far!alice"},
    {"From alice@a.test Sat Nov 21 21:13:57 2026\r\n", "alice@a.test"},
    {"From alice\r\n", "alice"},
    {"From x remote from a remote from b c\r\n", "b!x"},
    {"From \r\n", NULL},
    {"", NULL},
};

static const struct {
	const char *in, *out;
} addresses[] = {
    {"dest.test!bob", "bob@dest.test"},
    {"dest.test!next!bob", "next!bob@dest.test"},
    {"uuhost!bob", "uuhost!bob"},
    {"bob@a.test", "bob@a.test"},
    {"a.test!", "a.test!"},
    {"!bob", "!bob"},
    {"", ""},
};

static void
test_senders(void **state)
{
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		struct buf out;
		int error;

		buf_init(&out, 100);
		error = uucp_sender_put(&out, str_from(senders[i].in));
		assert_int_equal(error, senders[i].out ? 0 : -EINVAL);
		if (senders[i].out != NULL)
			assert_true(
			    str_equal(buf_str(&out), str_from(senders[i].out)));
		buf_fini(&out);
	}
}

static void
test_addresses(void **state)
{
	struct buf out;

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		buf_init(&out, 100);
		assert_int_equal(
		    uucp_address_put(&out, str_from(addresses[i].in)), 0);
		assert_true(
		    str_equal(buf_str(&out), str_from(addresses[i].out)));
		buf_fini(&out);
	}
	buf_init(&out, 12);
	assert_int_equal(
	    uucp_address_put(&out, STR("dest.test!bob")), -ENOBUFS);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_senders),
	    cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
