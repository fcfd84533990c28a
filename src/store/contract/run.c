/* The entry point that runs all contract cases. */

#include "store/contract/contract_own.h"

#define CONTRACT_TEST(f)                                                       \
	cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

__attribute__((unused)) int
store_contract_run(
    const char *name, const struct store_contract_factory *factory)
{
	struct store_contract_factory copy = *factory;
	struct CMUnitTest tests[] = {
	    CONTRACT_TEST(contract_empty),
	    CONTRACT_TEST(contract_append_shows_all),
	    CONTRACT_TEST(contract_append_keeps_envelope),
	    CONTRACT_TEST(contract_append_refuses_used_id),
	    CONTRACT_TEST(contract_batch_in_order),
	    CONTRACT_TEST(contract_take_by_rank),
	    CONTRACT_TEST(contract_take_domains),
	    CONTRACT_TEST(contract_take_one_lane),
	    CONTRACT_TEST(contract_take_inline),
	    CONTRACT_TEST(contract_settle_outcomes),
	    CONTRACT_TEST(contract_settle_last_row),
	    CONTRACT_TEST(contract_settle_refuses),
	    CONTRACT_TEST(contract_settle_nothing),
	    CONTRACT_TEST(contract_settle_with_dsn),
	    CONTRACT_TEST(contract_settle_with_staged),
	    CONTRACT_TEST(contract_read_sizes),
	    CONTRACT_TEST(contract_read_out_of_range),
	    CONTRACT_TEST(contract_stage_pieces),
	    CONTRACT_TEST(contract_unstage),
	    CONTRACT_TEST(contract_append_limits),
	    CONTRACT_TEST(contract_append_wrong_size),
	    CONTRACT_TEST(contract_take_lease_rows_max),
	    CONTRACT_TEST(contract_take_more_than_fits),
	    CONTRACT_TEST(contract_take_refuses),
	    CONTRACT_TEST(contract_due_to_home),
	    CONTRACT_TEST(contract_due_in_slices),
	    CONTRACT_TEST(contract_rehold),
	    CONTRACT_TEST(contract_count),
	    CONTRACT_TEST(contract_totals),
	    CONTRACT_TEST(contract_destinations_pages),
	    CONTRACT_TEST(contract_destinations_oldest),
	    CONTRACT_TEST(contract_park),
	    CONTRACT_TEST(contract_find_pages),
	    CONTRACT_TEST(contract_find_rows),
	    CONTRACT_TEST(contract_find_more_than_fits),
	    CONTRACT_TEST(contract_change_lanes),
	    CONTRACT_TEST(contract_change_leaves_leased),
	    CONTRACT_TEST(contract_change_in_slices),
	    CONTRACT_TEST(reason_is_kept),
	    CONTRACT_TEST(reason_of_many_rows),
	    CONTRACT_TEST(reason_limits),
	    CONTRACT_TEST(contract_clock),
	    CONTRACT_TEST(contract_alarm_in_order),
	    CONTRACT_TEST(contract_alarm_by_destination),
	    CONTRACT_TEST(contract_alarm_again),
	    CONTRACT_TEST(contract_alarm_stopped),
	    CONTRACT_TEST(steer_filters),
	    CONTRACT_TEST(steer_filters_change),
	    CONTRACT_TEST(steer_find_bounded),
	    CONTRACT_TEST(steer_dry),
	    CONTRACT_TEST(steer_move),
	    CONTRACT_TEST(steer_move_leased),
	    CONTRACT_TEST(steer_move_counts),
	    CONTRACT_TEST(steer_move_disordered),
	    CONTRACT_TEST(steer_move_refuses),
	    CONTRACT_TEST(steer_lease),
	    CONTRACT_TEST(steer_lease_slices),
	    CONTRACT_TEST(steer_lease_behind),
	    CONTRACT_TEST(steer_lease_content),
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tests[i].initial_state = &copy;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
