/* q lines that come, change and go. */
#include "cmd/mqueue_reason.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "V8\nT1\nP2\n"
#define TAIL "Sa@b\nRPFD:c@d\nH??Subject: q\n\tqx\n.\n"

static const struct {
	const char *text;
	const char *reason;
	const char *expected;
	enum mqueue_change change;
	const char *old;
} cases[] = {
    {HEAD TAIL, "spam", HEAD "qspam\n" TAIL, MQUEUE_QUARANTINED, ""},
    {HEAD "qspam\n" TAIL, "spam", HEAD "qspam\n" TAIL, MQUEUE_SAME_REASON,
	"spam"},
    {HEAD "qspam\n" TAIL, "virus", HEAD "qvirus\n" TAIL, MQUEUE_CHANGED,
	"spam"},
    {HEAD "qspam\n" TAIL, "", HEAD TAIL, MQUEUE_RELEASED, "spam"},
    {HEAD TAIL, "", HEAD TAIL, MQUEUE_SAME, ""},
    /* It stands where sendmail does not look for it any more. */
    {HEAD "Sa@b\nqspam\n.\n", "virus", HEAD "qvirus\nSa@b\n.\n", MQUEUE_CHANGED,
	"spam"},
    {HEAD "Sa@b\nSb@c\n.\n", "x", HEAD "qx\nSa@b\nSb@c\n.\n",
	MQUEUE_QUARANTINED, ""},
    {HEAD "qa\n b\n" TAIL, "", HEAD TAIL, MQUEUE_RELEASED, "a"},
    {"V8\r\nqa\r\nSx\r\n.\r\n", "b", "V8\r\nqb\nSx\r\n.\r\n", MQUEUE_CHANGED,
	"a"},
    {"P1\nSx\nRy", "b", "P1\nqb\nSx\nRy", MQUEUE_QUARANTINED, ""},
    {HEAD ".\n", "x", HEAD ".\n", MQUEUE_INCOMPLETE, ""},
    {"", "x", "", MQUEUE_INCOMPLETE, ""},
    {HEAD "Sx\nRPFD:y\n", "x", HEAD "qx\nSx\nRPFD:y\n", MQUEUE_INCOMPLETE, ""},
    {HEAD "Sx\nRPFD:y\n.", "x", HEAD "qx\nSx\nRPFD:y\n.", MQUEUE_QUARANTINED,
	""},
};

static void
test_reasons(void **state)
{
	struct buf out;

	buf_init(&out, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		enum mqueue_change change;
		struct str old;

		assert_int_equal(
		    mqueue_requarantine(str_from(cases[i].text),
			str_from(cases[i].reason), &out, &change, &old),
		    0);
		if (!str_equal(buf_str(&out), str_from(cases[i].expected)) ||
		    change != cases[i].change ||
		    !str_equal(old, str_from(cases[i].old)))
			fail_msg("case %zu: %d \"%.*s\" %.*s", i, (int)change,
			    STR_ARG(old), STR_ARG(buf_str(&out)));
	}
	buf_fini(&out);
	(void)state;
}

static void
test_no_room(void **state)
{
	for (size_t max = 0; max < sizeof(HEAD "qspam\n" TAIL) - 1; max++) {
		enum mqueue_change change;
		struct str old;
		struct buf out;

		buf_init(&out, max);
		assert_true(mqueue_requarantine(STR(HEAD TAIL), STR("spam"),
				&out, &change, &old) < 0);
		buf_fini(&out);
	}
	(void)state;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reasons),
	    cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
