/* Routes of mail that another program has queued. */
#include "role/route_foreign.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char settings[] =
    "hostname = \"h.test\"\nspool = \"mqueue:/q\"\n"
    "site = ( { name = \"one\", domains = [ \"one.test\" ], hold = true,\n"
    "  route = \"smtp://192.0.2.1\", from = [ \"192.0.2.0/24\" ],\n"
    "  expire = \"9d\" } )\n";

static void
test_routes(void **state)
{
	static const struct {
		const char *address, *destination, *domain;
		bool is_held;
	} cases[] = {
	    {"a@one.test", "site:one", "one.test", true},
	    {"a@Far.Test", "mx:far.test", "far.test", false},
	    {"a", MQUEUE_BAD, "", false},
	    {"", MQUEUE_BAD, "", false},
	    {"a@b@", MQUEUE_BAD, "", false},
	};
	struct buf errors;
	struct conf *conf = NULL;
	FILE *file;

	buf_init(&errors, 65536);
	file = fmemopen((void *)(uintptr_t)settings, strlen(settings), "r");
	assert_non_null(file);
	if (conf_read(file, "t.conf", &errors, &conf) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&errors)));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mqueue_route route;

		route_foreign(conf, str_from(cases[i].address), &route);
		assert_string_equal(route.destination, cases[i].destination);
		assert_string_equal(route.domain, cases[i].domain);
		assert_int_equal(route.is_held, cases[i].is_held);
		if (cases[i].is_held)
			assert_int_equal(route.expire_ms, 777600000);
	}
	fclose(file);
	conf_free(conf);
	buf_fini(&errors);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
