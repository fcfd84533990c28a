/* The table of leases: what a batch gave and ended stays, or is undone. */
#include "store/spool/spool_lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct spool_lease *
begin(struct spool_leases *leases, uint64_t key, const void *owner)
{
	return spool_lease_begin(leases, key, STR("d"), owner);
}

static bool
has(struct spool_leases *leases, uint64_t key)
{
	return spool_lease_get(leases, key, STR("d")) != NULL;
}

/* Each case: what a batch did with a lease, and whether it is there behind. */
static void
test_settle(void **state)
{
	static const struct {
		bool is_old; /* from the batch before */
		bool is_ended;
		bool is_durable;
		bool is_there;
	} cases[] = {
	    {false, false, true, true},
	    {false, false, false, false},
	    {false, true, true, false},
	    {false, true, false, false},
	    {true, false, true, true},
	    {true, false, false, true},
	    {true, true, true, false},
	    {true, true, false, true},
	};
	struct spool_leases leases = {0};
	size_t count = sizeof(cases) / sizeof(cases[0]);

	for (size_t i = 0; i < count; i++) {
		struct spool_lease *lease = begin(&leases, i + 1, NULL);

		if (cases[i].is_old)
			spool_lease_settle(&leases, true);
		assert_ptr_equal(
		    spool_lease_get(&leases, i + 1, STR("d")), lease);
		assert_null(spool_lease_get(&leases, i + 1, STR("e")));
		if (cases[i].is_ended)
			spool_lease_end(&leases, lease);
		assert_int_equal(has(&leases, i + 1), !cases[i].is_ended);
		spool_lease_settle(&leases, cases[i].is_durable);
		assert_int_equal(has(&leases, i + 1), cases[i].is_there);
		/* A batch that failed later changes nothing of it. */
		spool_lease_settle(&leases, false);
		assert_int_equal(has(&leases, i + 1), cases[i].is_there);
	}
	spool_leases_fini(&leases);
}

/* What was put back can end again, for good. */
static void
test_end_again(void **state)
{
	struct spool_leases leases = {0};
	struct spool_lease *lease = begin(&leases, 1, NULL);

	spool_lease_settle(&leases, true);
	spool_lease_end(&leases, lease);
	spool_lease_settle(&leases, false);
	assert_ptr_equal(spool_lease_get(&leases, 1, STR("d")), lease);
	spool_lease_end(&leases, lease);
	spool_lease_settle(&leases, true);
	assert_false(has(&leases, 1));
	spool_leases_fini(&leases);
}

/* Of a request that failed all goes, and nothing of others. */
static void
test_cancel(void **state)
{
	struct spool_leases leases = {0};
	int first = 0, second = 0;

	begin(&leases, 1, &first);
	spool_lease_settle(&leases, true);
	begin(&leases, 2, &first);
	begin(&leases, 3, &second);
	begin(&leases, 4, &first);
	spool_lease_cancel(&leases, &first);
	assert_true(has(&leases, 1) && has(&leases, 3));
	assert_false(has(&leases, 2) || has(&leases, 4));
	spool_lease_settle(&leases, true);
	assert_true(has(&leases, 1) && has(&leases, 3));
	spool_leases_fini(&leases);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settle),
	    cmocka_unit_test(test_end_again),
	    cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests_name("spool_lease", tests, NULL, NULL);
}
