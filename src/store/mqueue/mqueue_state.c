/*
 * What is no message: the clock, and which destinations are not to be tried
 * before when.  It is one small text file in the state directory, written anew
 * and renamed; without such a directory it is forgotten.
 *
 *   clock QUEUE_MS WALL_MS
 *   due MS                     all that was due then has been moved home
 *   park DUE_MS FAILURES NAME
 */
#include "store/mqueue/mqueue_own.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define MQ_STATE     "mqueue.state"
#define MQ_STATE_NEW "mqueue.state.new"

static struct str
mq_state_word(struct str *line)
{
	struct str word = str_head(*line, str_find(*line, ' '));

	*line = str_skip(*line, word.size + 1);
	return word;
}

static void
mq_state_park(struct mqueue *mq, struct str line)
{
	struct store_request *request = store_request_new(STORE_PARK);
	uint64_t failures = 0;

	if (num_parse(mq_state_word(&line), UINT64_MAX,
		&request->u.park.due_ms) == 0 &&
	    num_parse(mq_state_word(&line), UINT32_MAX, &failures) == 0) {
		request->u.park.failures = (uint32_t)failures;
		request->u.park.destination = line;
		ram_do(mq->ram, request);
	}
	store_request_free(request);
}

static void
mq_state_line(struct mqueue *mq, struct str line)
{
	struct str word = mq_state_word(&line);
	uint64_t queue_ms, wall_ms;

	if (str_equal(word, STR("park")))
		mq_state_park(mq, line);
	else if (str_equal(word, STR("due")) &&
		 num_parse(line, UINT64_MAX, &queue_ms) == 0)
		mq->due_mark_ms = queue_ms;
	else if (str_equal(word, STR("clock")) &&
		 num_parse(mq_state_word(&line), INT64_MAX, &queue_ms) == 0 &&
		 num_parse(line, INT64_MAX, &wall_ms) == 0) {
		mq->clock_queue_ms = queue_ms;
		mq->clock_wall_ms = wall_ms;
	}
}

void
mq_state_read(struct mqueue *mq)
{
	struct os_file *file;
	uint64_t size = 0;
	struct buf text;
	struct str rest;

	if (mq->options.state == NULL ||
	    os_open(mq->options.state, MQ_STATE, OS_READ, &file) < 0)
		return;
	buf_init(&text, MQ_STATE_MAX);
	if (os_size(mq->options.state, file, &size) < 0 ||
	    mq_read_file(mq->options.state, file, size, &text) < 0)
		buf_clear(&text);
	for (rest = buf_str(&text); rest.size > 0;) {
		struct str line = str_head(rest, str_find(rest, '\n'));

		rest = str_skip(rest, line.size + 1);
		mq_state_line(mq, line);
	}
	buf_fini(&text);
	os_close(mq->options.state, file);
}

static int
mq_state_text(struct mqueue *mq, struct buf *out)
{
	struct ram_park *park, *next;
	int error = buf_printf(out, "clock %llu %llu\ndue %llu\n",
	    (unsigned long long)mq->clock_queue_ms,
	    (unsigned long long)mq->clock_wall_ms,
	    (unsigned long long)mq->due_mark_ms);

	HASH_ITER(hh, mq->ram->parks, park, next)
	if (error == 0)
		error = buf_printf(out, "park %llu %u %s\n",
		    (unsigned long long)park->due_ms, park->failures,
		    park->name);
	return error;
}

void
mq_state_write(struct mqueue *mq)
{
	struct os *os = mq->options.state;
	struct os_file *file = NULL;
	struct buf text;
	int error;

	if (!mq->is_state_dirty || os == NULL)
		return;
	mq->is_state_dirty = false;
	buf_init(&text, MQ_STATE_MAX);
	error = mq_state_text(mq, &text);
	if (error == 0)
		error = os_open(os, MQ_STATE_NEW, OS_WRITE | OS_CREATE, &file);
	if (error == 0)
		error = os_truncate(os, file, 0);
	if (error == 0)
		error = os_pwrite(os, file, buf_str(&text), 0);
	if (error == 0)
		error = os_sync(os, file);
	if (file != NULL)
		os_close(os, file);
	if (error == 0)
		error = os_rename(os, MQ_STATE_NEW, MQ_STATE);
	if (error == 0)
		error = os_sync_directory(os, "");
	buf_fini(&text);
	if (error < 0)
		log_event(
		    LOG_WARN, "mqueue-state", "", "error=%s", strerror(-error));
}
