/*
 * The cases of the contract, one function each, and what they share.
 */
#ifndef STORE_CONTRACT_OWN_H
#define STORE_CONTRACT_OWN_H

#include "store/contract_kit.h"
#include "store/contract_test.h"

/* cases.c */
int contract_setup(void **state);
int contract_teardown(void **state);
void contract_expect_durable(struct kit *kit);
void contract_expect_content(struct store *store, const char *id, size_t size);
void contract_empty(void **state);
void contract_append_shows_all(void **state);
void contract_append_keeps_envelope(void **state);
void contract_append_refuses_used_id(void **state);
void contract_batch_in_order(void **state);
void contract_take_by_rank(void **state);
void contract_take_domains(void **state);
void contract_take_one_lane(void **state);
void contract_take_inline(void **state);
void contract_settle_outcomes(void **state);
void contract_settle_last_row(void **state);
void contract_settle_refuses(void **state);
void contract_settle_nothing(void **state);
void contract_settle_with_dsn(void **state);
void contract_settle_with_staged(void **state);

/* alarm.c */
void contract_alarm_in_order(void **state);
void contract_alarm_by_destination(void **state);
void contract_alarm_again(void **state);
void contract_alarm_stopped(void **state);

/* reason.c */
void reason_is_kept(void **state);
void reason_of_many_rows(void **state);
void reason_limits(void **state);

/* limits.c */
void contract_read_sizes(void **state);
void contract_read_out_of_range(void **state);
void contract_stage_pieces(void **state);
void contract_unstage(void **state);
void contract_append_limits(void **state);
void contract_append_wrong_size(void **state);
void contract_take_lease_rows_max(void **state);
void contract_take_more_than_fits(void **state);
void contract_totals(void **state);
void contract_take_refuses(void **state);

/* lists.c */
void contract_expect_lanes(
    struct store *store, const char *destination, const char *want);
void contract_expect_due(struct store *store, uint64_t now_ms, size_t moved,
    size_t moved_to, uint64_t next_ms);
void contract_defer(struct store *store, const char *id,
    const char *destination, uint32_t index, uint64_t due_ms);
void contract_due_to_home(void **state);
void contract_due_in_slices(void **state);
void contract_rehold(void **state);
void contract_expect_count(struct store *store, const char *destination,
    const char *domains, uint64_t messages, uint64_t bytes);
void contract_count(void **state);
void contract_destinations_oldest(void **state);
void contract_destinations_pages(void **state);
void contract_park(void **state);
void contract_find_pages(void **state);
void contract_find_rows(void **state);
void contract_find_more_than_fits(void **state);
void contract_change_lanes(void **state);
void contract_change_leaves_leased(void **state);
void contract_change_in_slices(void **state);
void contract_clock(void **state);

/* steer.c */
void steer_filters(void **state);
void steer_filters_change(void **state);
void steer_find_bounded(void **state);
void steer_dry(void **state);
void steer_move_expect(struct store *store, const char *id,
    const struct store_move *moves, size_t count, bool is_now,
    const char *want);
void steer_move(void **state);
void steer_move_leased(void **state);
void steer_move_counts(void **state);
void steer_move_disordered(void **state);
void steer_move_refuses(void **state);
void steer_lease(void **state);
void steer_lease_slices(void **state);
void steer_lease_behind(void **state);
void steer_lease_content(void **state);

#endif
