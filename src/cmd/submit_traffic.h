/*
 * The traffic log of -X: all that comes in and goes out, line by line, behind
 * the number of the process:
 *
 *	PID <<< line     read, of the message or of the daemon
 *	PID <<< [EOF]
 *	PID === CONNECT localhost
 *	PID >>> line     said to the daemon
 */
#ifndef CMD_SUBMIT_TRAFFIC_H
#define CMD_SUBMIT_TRAFFIC_H

#include "base/str.h"

struct submit_traffic;

/* Opens the log PATH, to be written behind its end; NULL after the reason was
   printed. */
struct submit_traffic *submit_traffic_open(const char *path);
/* NULL is no log, here and below.  A log that cannot be written is left at
   that. */
void submit_traffic_close(struct submit_traffic *t);

/* Bytes of the message as they come; no bytes are its end. */
void submit_traffic_message(struct submit_traffic *t, struct str bytes);
void submit_traffic_connect(struct submit_traffic *t);
/* Whole lines of the dialogue as smtp/client.h traces them. */
void submit_traffic_dialogue(struct submit_traffic *t, struct str lines);
/* Bytes of content that go to the daemon. */
void submit_traffic_content(struct submit_traffic *t, struct str bytes);

#endif
