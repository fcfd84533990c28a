/* What sendqctl prints for people; with --json items are printed as they are.
   Part of cmd/sendqctl.c. */
#ifndef CMD_CTL_PRINT_H
#define CMD_CTL_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What was printed so far. */
struct ctl_print {
	size_t item_count;
	char last_id[64];
};

typedef void ctl_print_fn(struct ctl_print *p, const json_t *item);

const char *ctl_text(const json_t *item, const char *key);
long long ctl_number(const json_t *item, const char *key);

void ctl_print_json(const json_t *item);
void ctl_print_message_line(struct ctl_print *p, const json_t *item);
void ctl_print_message(struct ctl_print *p, const json_t *item);
/* A destination or a site; the first with a line of headings. */
void ctl_print_destination(struct ctl_print *p, const json_t *item);
void ctl_print_finding(struct ctl_print *p, const json_t *item);

#endif
