/*
 * Threads that remove files.  Invariants: a job is in one list, or with one
 * thread; the lists and counts change under the lock; a thread touches the job
 * that it has and nothing else without it.
 */
#include "os/remover.h"
#include "base/check.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

/* In microseconds: what is slow, and the most that one job counts for, since it
   may only have waited for a processor. */
#define REMOVER_SLOW 200
#define REMOVER_MOST 2000
/* The weight of what was before, against one job. */
#define REMOVER_PAST 7

struct remover {
	pthread_mutex_t lock;
	pthread_cond_t given; /* a job, or the end */
	pthread_cond_t idle;  /* no job is left */
	/* Under the lock. */
	struct remover_job *first, *last; /* to be done, the oldest first */
	struct remover_job *done;
	size_t open_count; /* to be done or at work */
	uint64_t mean_us;  /* that a job takes */
	bool is_ending;
	/* The owner's. */
	pthread_t *threads;
	size_t thread_count;
};

static uint64_t
remover_now_us(void)
{
	struct timespec now;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void
remover_run(struct remover_job *job)
{
	job->failed = NULL;
	job->error = 0;
	for (size_t i = 0; i < job->count; i++) {
		int error = os_unlink(job->os, job->names[i]);

		if (error < 0 && error != -ENOENT) {
			job->failed = job->names[i];
			job->error = error;
		}
	}
	if (job->file != NULL)
		os_close(job->os, job->file);
	job->file = NULL;
}

/* Counts a job that took so long; under the lock. */
static void
remover_count(struct remover *r, uint64_t us)
{
	if (us > REMOVER_MOST)
		us = REMOVER_MOST;
	r->mean_us = (r->mean_us * REMOVER_PAST + us) / (REMOVER_PAST + 1);
}

void
remover_do(struct remover *r, struct remover_job *job)
{
	uint64_t start_us = remover_now_us();

	remover_run(job);
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	remover_count(r, remover_now_us() - start_us);
	pthread_mutex_unlock(&r->lock);
}

bool
remover_is_slow(struct remover *r)
{
	bool is_slow;

	pthread_mutex_lock(&r->lock);
	is_slow = r->mean_us >= REMOVER_SLOW;
	pthread_mutex_unlock(&r->lock);
	return is_slow;
}

static void *
remover_main(void *arg)
{
	struct remover *r = arg;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		struct remover_job *job = r->first;
		uint64_t start_us;

		if (job == NULL && r->is_ending)
			break;
		if (job == NULL) {
			pthread_cond_wait(&r->given, &r->lock);
			continue;
		}
		r->first = job->next;
		if (r->first == NULL)
			r->last = NULL;
		else
			pthread_cond_signal(&r->given);
		pthread_mutex_unlock(&r->lock);
		start_us = remover_now_us();
		remover_run(job);
		pthread_mutex_lock(&r->lock);
		remover_count(r, remover_now_us() - start_us);
		LL_PREPEND(r->done, job);
		CHECK(r->open_count > 0);
		if (--r->open_count == 0)
			pthread_cond_signal(&r->idle);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

struct remover *
remover_new(size_t count)
{
	struct remover *r = mem_new(1, sizeof(*r));
	sigset_t all, before;

	CHECK(count > 0);
	CHECK(pthread_mutex_init(&r->lock, NULL) == 0);
	CHECK(pthread_cond_init(&r->given, NULL) == 0);
	CHECK(pthread_cond_init(&r->idle, NULL) == 0);
	r->threads = mem_new(count, sizeof(*r->threads));
	r->thread_count = count;
	/* Signals are for others. */
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
	for (size_t i = 0; i < count; i++)
		CHECK(
		    pthread_create(&r->threads[i], NULL, remover_main, r) == 0);
	CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return r;
}

void
remover_free(struct remover *r)
{
	if (r == NULL)
		return;
	pthread_mutex_lock(&r->lock);
	r->is_ending = true;
	pthread_cond_broadcast(&r->given);
	pthread_mutex_unlock(&r->lock);
	for (size_t i = 0; i < r->thread_count; i++)
		CHECK(pthread_join(r->threads[i], NULL) == 0);
	CHECK(r->open_count == 0 && r->done == NULL);
	pthread_cond_destroy(&r->given);
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	free(r->threads);
	free(r);
}

void
remover_give(struct remover *r, struct remover_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&r->lock);
	CHECK(r->open_count < REMOVER_JOBS_MAX);
	r->open_count++;
	/* A thread that takes a job wakes the next one if there are more. */
	if (r->last == NULL)
		pthread_cond_signal(&r->given);
	else
		r->last->next = job;
	if (r->first == NULL)
		r->first = job;
	r->last = job;
	pthread_mutex_unlock(&r->lock);
}

struct remover_job *
remover_take(struct remover *r, bool is_waiting)
{
	struct remover_job *done;

	pthread_mutex_lock(&r->lock);
	while (is_waiting && r->open_count > 0)
		pthread_cond_wait(&r->idle, &r->lock);
	done = r->done;
	r->done = NULL;
	pthread_mutex_unlock(&r->lock);
	return done;
}
