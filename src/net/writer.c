/*
 * The store's writer.  Invariants: the thread touches the batch only in state
 * GIVEN, the loop only in the others; the state changes under the lock; the
 * store is the thread's from writer_open() to writer_free().
 */
#include "net/writer.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* So long nothing has to come before idle work is begun.  Without it a single
   sender, whose next message comes right after the answer, would wait for a
   commit and a checkpoint each time. */
#define WRITER_QUIET_MS 200

enum writer_state {
	WRITER_FREE,  /* -> GIVEN by writer_submit */
	WRITER_GIVEN, /* -> DONE by the thread */
	WRITER_DONE,  /* -> FREE by writer_take */
};

struct writer_batch {
	struct store_request **requests;
	size_t count;
	size_t capacity;
};

struct writer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t given; /* a batch, a store or the end */
	pthread_cond_t done;
	int event_fd;
	/* Under the lock. */
	enum writer_state state;
	bool is_ending;
	struct store *store;
	/* The owner is told by the state. */
	struct writer_batch batch;
	/* The loop's. */
	struct writer_batch taken;
	bool is_busy; /* the loop's view: submitted and not yet taken */
};

static void
writer_run_batch(struct writer *w)
{
	uint64_t one = 1;
	ssize_t n;

	pthread_mutex_unlock(&w->lock);
	w->store->ops->batch(w->store, w->batch.requests, w->batch.count);
	pthread_mutex_lock(&w->lock);
	w->state = WRITER_DONE;
	pthread_cond_signal(&w->done);
	do
		n = write(w->event_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
	CHECK(n == sizeof(one));
}

/* One step of idle work without the lock; whether there is more. */
static bool
writer_run_idle(struct writer *w)
{
	bool is_more;

	pthread_mutex_unlock(&w->lock);
	is_more = w->store->ops->idle(w->store);
	pthread_mutex_lock(&w->lock);
	return is_more;
}

/* Waits for something to do, as long as it may; true if nothing came. */
static bool
writer_is_quiet(struct writer *w)
{
	struct timespec until;
	int error;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
	until.tv_nsec += WRITER_QUIET_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	error = pthread_cond_timedwait(&w->given, &w->lock, &until);
	CHECK(error == 0 || error == ETIMEDOUT);
	return error == ETIMEDOUT && w->state != WRITER_GIVEN && !w->is_ending;
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	bool is_idle_work = true, is_quiet = false;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		if (w->state == WRITER_GIVEN && w->store != NULL) {
			writer_run_batch(w);
			is_idle_work = true;
			is_quiet = false;
		} else if (w->is_ending) {
			break;
		} else if (is_idle_work && w->store != NULL) {
			if (is_quiet)
				is_idle_work = writer_run_idle(w);
			else
				is_quiet = writer_is_quiet(w);
		} else {
			pthread_cond_wait(&w->given, &w->lock);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct writer *
writer_new(void)
{
	struct writer *w = mem_new(1, sizeof(*w));
	pthread_condattr_t attributes;
	sigset_t all, before;

	CHECK(pthread_mutex_init(&w->lock, NULL) == 0);
	CHECK(pthread_condattr_init(&attributes) == 0);
	CHECK(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	CHECK(pthread_cond_init(&w->given, &attributes) == 0);
	pthread_condattr_destroy(&attributes);
	CHECK(pthread_cond_init(&w->done, NULL) == 0);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK(w->event_fd >= 0);
	/* Signals are the loop's. */
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
	CHECK(pthread_create(&w->thread, NULL, writer_main, w) == 0);
	CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return w;
}

void
writer_free(struct writer *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_ending = true;
	pthread_cond_signal(&w->given);
	pthread_mutex_unlock(&w->lock);
	CHECK(pthread_join(w->thread, NULL) == 0);
	pthread_cond_destroy(&w->done);
	pthread_cond_destroy(&w->given);
	pthread_mutex_destroy(&w->lock);
	close(w->event_fd);
	free(w->batch.requests);
	free(w->taken.requests);
	free(w);
}

void
writer_open(struct writer *w, struct store *store)
{
	pthread_mutex_lock(&w->lock);
	CHECK(w->store == NULL);
	w->store = store;
	pthread_cond_signal(&w->given);
	pthread_mutex_unlock(&w->lock);
}

int
writer_fd(const struct writer *w)
{
	return w->event_fd;
}

bool
writer_is_free(const struct writer *w)
{
	return !w->is_busy;
}

void
writer_submit(
    struct writer *w, struct store_request *const *requests, size_t count)
{
	CHECK(count > 0 && !w->is_busy);
	if (w->batch.capacity < count) {
		w->batch.requests = mem_resize(
		    w->batch.requests, count, sizeof(struct store_request *));
		w->batch.capacity = count;
	}
	memcpy(w->batch.requests, requests,
	    count * sizeof(struct store_request *));
	w->batch.count = count;
	w->is_busy = true;
	pthread_mutex_lock(&w->lock);
	CHECK(w->state == WRITER_FREE);
	w->state = WRITER_GIVEN;
	pthread_cond_signal(&w->given);
	pthread_mutex_unlock(&w->lock);
}

struct store_request **
writer_take(struct writer *w, size_t *count_out)
{
	struct writer_batch batch;
	uint64_t count;
	bool is_done;

	*count_out = 0;
	pthread_mutex_lock(&w->lock);
	is_done = w->state == WRITER_DONE;
	if (is_done)
		w->state = WRITER_FREE;
	pthread_mutex_unlock(&w->lock);
	if (!is_done)
		return NULL;
	/* Nothing to read means that writer_wait() was faster; both fine. */
	while (read(w->event_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	/* The arrays change places, so that the next batch may be submitted
	   while this one is still looked at. */
	batch = w->taken;
	w->taken = w->batch;
	w->batch = batch;
	w->is_busy = false;
	*count_out = w->taken.count;
	return w->taken.requests;
}

void
writer_wait(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	while (w->state == WRITER_GIVEN)
		pthread_cond_wait(&w->done, &w->lock);
	pthread_mutex_unlock(&w->lock);
}
