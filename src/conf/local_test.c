/* Where local mail comes in unless the file says so. */
#include "base/buf.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *settings;
	const char *socket, *drop;
} cases[] = {
    {"spool = \"/var/spool/sendq\";", "/run/sendq/submission",
	"/var/spool/sendq-drop"},
    {"spool = \"/s\"; control-socket = \"/a/b/c\";", "/a/b/submission",
	"/s-drop"},
    {"spool = \"/s\"; control-socket = \"/c\";", "/submission", "/s-drop"},
    /* What the file says stands. */
    {"spool = \"/s\"; control-socket = \"/a/b\"; drop-directory = \"/d\";\n"
     "submission-socket = \"/e/f\";",
	"/e/f", "/d"},
    {"spool = \"ram:\"; drop-directory = \"/d\";", "/run/sendq/submission",
	"/d"},
    /* None, by choice or because there is no directory beside. */
    {"spool = \"/s\"; submission-socket = \"\"; drop-directory = \"\";", "",
	""},
    {"spool = \"ram:\";", "/run/sendq/submission", ""},
    /* One that is only too long because of ours. */
    {"spool = \"/s\"; control-socket = \"/" X50 "/" X50 "/c\";", "", "/s-drop"},
};

static void
test_beside(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1000];
		struct buf errors;
		struct conf *conf;
		FILE *file;

		snprintf(text, sizeof(text), "hostname = \"h.test\";\n%s\n",
		    cases[i].settings);
		file = fmemopen(text, strlen(text), "r");
		buf_init(&errors, 10000);
		assert_int_equal(conf_read(file, "t", &errors, &conf), 0);
		buf_fini(&errors);
		fclose(file);
		if (!str_equal(
			conf->submission_socket, str_from(cases[i].socket)) ||
		    !str_equal(conf->drop_directory, str_from(cases[i].drop)))
			fail_msg("case %zu: %.*s %.*s", i,
			    STR_ARG(conf->submission_socket),
			    STR_ARG(conf->drop_directory));
		conf_free(conf);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
