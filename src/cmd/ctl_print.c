/* Items as people read them: one line a message or destination, or the whole
   of one message. */
#include "cmd/ctl_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PRINT_TIME 24

const char *
ctl_text(const json_t *item, const char *key)
{
	const char *text = json_string_value(json_object_get(item, key));

	return text != NULL ? text : "";
}

long long
ctl_number(const json_t *item, const char *key)
{
	return (long long)json_integer_value(json_object_get(item, key));
}

static void
print_time(long long seconds, char text[PRINT_TIME])
{
	time_t when = (time_t)seconds;
	struct tm parts;

	if (seconds == 0 || localtime_r(&when, &parts) == NULL ||
	    strftime(text, PRINT_TIME, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		snprintf(text, PRINT_TIME, "-");
}

void
ctl_print_json(const json_t *item)
{
	char *line = json_dumps(item, JSON_COMPACT | JSON_ENSURE_ASCII);

	if (line != NULL)
		puts(line);
	free(line);
}

/* id size arrival sender recipients destination lane */
void
ctl_print_message_line(struct ctl_print *p, const json_t *item)
{
	const json_t *recipients = json_object_get(item, "recipients");
	const json_t *first = json_array_get(recipients, 0);
	const char *sender = ctl_text(item, "sender");
	size_t count = json_array_size(recipients);
	char arrival[PRINT_TIME], more[32] = "";

	print_time(ctl_number(item, "arrival"), arrival);
	if (count > 1)
		snprintf(more, sizeof(more), " +%zu", count - 1);
	printf("%-14s %9lld %s <%s> %s%s %s %s\n", ctl_text(item, "id"),
	    ctl_number(item, "size"), arrival, sender,
	    ctl_text(first, "address"), more, ctl_text(first, "destination"),
	    ctl_text(first, "lane"));
	(void)p;
}

static void
print_recipient(const json_t *r)
{
	char when[PRINT_TIME];

	printf("recipient: <%s>\n           %s for %s", ctl_text(r, "address"),
	    ctl_text(r, "lane"), ctl_text(r, "destination"));
	if (json_is_true(json_object_get(r, "leased")))
		printf(", being delivered");
	if (ctl_number(r, "attempts") > 0)
		printf(", attempts %lld", ctl_number(r, "attempts"));
	print_time(ctl_number(r, "due"), when);
	if (ctl_number(r, "due") > 0)
		printf(", next %s", when);
	putchar('\n');
	if (ctl_text(r, "status")[0] != '\0')
		printf("           %s\n", ctl_text(r, "status"));
}

void
ctl_print_message(struct ctl_print *p, const json_t *item)
{
	const json_t *recipients = json_object_get(item, "recipients");
	char when[PRINT_TIME];

	/* One with very many recipients comes in pieces. */
	if (strcmp(p->last_id, ctl_text(item, "id")) != 0) {
		printf("id:        %s\nsender:    <%s>\nsize:      %lld\n",
		    ctl_text(item, "id"), ctl_text(item, "sender"),
		    ctl_number(item, "size"));
		print_time(ctl_number(item, "arrival"), when);
		printf("arrival:   %s\n", when);
		print_time(ctl_number(item, "expire"), when);
		printf("expire:    %s\n", when);
		if (ctl_text(item, "reason")[0] != '\0')
			printf("stopped:   %s\n", ctl_text(item, "reason"));
		snprintf(
		    p->last_id, sizeof(p->last_id), "%s", ctl_text(item, "id"));
	}
	for (size_t i = 0; i < json_array_size(recipients); i++)
		print_recipient(json_array_get(recipients, i));
}

void
ctl_print_destination(struct ctl_print *p, const json_t *item)
{
	char oldest[PRINT_TIME], next[PRINT_TIME];

	if (p->item_count == 1)
		printf("%-24s %9s %12s %-10s %-19s %-19s %s\n", "name",
		    "messages", "bytes", "state", "oldest", "next try",
		    "last answer");
	print_time(ctl_number(item, "oldest"), oldest);
	print_time(ctl_number(item, "next"), next);
	printf("%-24s %9lld %12lld %-10s %-19s %-19s %s\n",
	    ctl_text(item, "name"), ctl_number(item, "messages"),
	    ctl_number(item, "bytes"), ctl_text(item, "state"), oldest, next,
	    ctl_text(item, "answer"));
}

void
ctl_print_finding(struct ctl_print *p, const json_t *item)
{
	puts(ctl_text(item, "text"));
	(void)p;
}
