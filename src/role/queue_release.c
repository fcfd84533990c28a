/*
 * Releases that outlive the process: noted when they begin, forgotten when
 * they are over, taken up by a role that takes the place of one that was
 * killed.  Promise: never is more taken up than was released, for that would
 * give mail to who has no right to it.
 */
#include "role/queue_release.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/queue.h"

#include <stdio.h>

/* What a note holds of SITE's domains, so that bits of another list are not
   taken for bits of this one; never 0. */
static uint64_t
release_print(const struct conf_site *site)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < site->domain_count; i++) {
		sum =
		    crc32c(sum, site->domains[i].is_tree ? STR("@") : STR(" "));
		sum = crc32c(sum, site->domains[i].key);
	}
	return (uint64_t)sum + 1;
}

/* How a store has DOMAIN of a site: its key, or "@" and that. */
static bool
release_is_domain(struct str text, const struct conf_domain *domain)
{
	if (domain->is_tree)
		return str_starts(text, STR("@")) &&
		       str_equal(str_skip(text, 1), domain->key);
	return str_equal(text, domain->key);
}

/* The bit of each of COUNT domains (all of them: QUEUE_RELEASE_ALL); 0 if one
   has none. */
static uint32_t
release_bits(
    const struct conf_site *site, const struct str *domains, size_t count)
{
	uint32_t bits = 0;

	if (count == 0)
		return QUEUE_RELEASE_ALL;
	for (size_t i = 0; i < count; i++) {
		size_t at = 0;

		while (at < site->domain_count && at < QUEUE_RELEASE_DOMAINS &&
		       !release_is_domain(domains[i], &site->domains[at]))
			at++;
		if (at == site->domain_count || at == QUEUE_RELEASE_DOMAINS)
			return 0;
		bits |= UINT32_C(1) << at;
	}
	return bits;
}

/* What is known of SITE to be released. */
static uint32_t *
release_of(struct queue *q, const struct conf_site *site)
{
	if (q->released == NULL)
		q->released =
		    mem_new(q->conf->site_count, sizeof(q->released[0]));
	return &q->released[site - q->conf->sites];
}

static void
release_put(struct queue *q, const char *destination, uint64_t due_ms,
    uint32_t failures)
{
	struct store_request *request = store_request_new(STORE_PARK);

	request->u.park.destination =
	    arena_copy(&request->arena, str_from(destination));
	CHECK(request->u.park.destination.data != NULL);
	request->u.park.due_ms = due_ms;
	request->u.park.failures = failures;
	request->u.park.is_kept = true;
	q->env->ops->store(q->env, request);
}

void
queue_release_begun(struct queue *q, uint64_t now_ms, const char *destination,
    const struct str *domains, size_t count)
{
	const struct conf_site *site =
	    route_site(q->conf, str_from(destination));
	uint32_t bits, *known;

	if (site == NULL)
		return;
	bits = release_bits(site, domains, count);
	known = release_of(q, site);
	if ((*known | bits) == *known)
		return;
	*known |= bits;
	if (*known == QUEUE_RELEASE_ALL)
		release_put(q, destination, queue_time(q, now_ms), 0);
	else
		release_put(q, destination, release_print(site),
		    QUEUE_RELEASE_PART | *known);
}

void
queue_release_over(struct queue *q, const char *destination)
{
	const struct conf_site *site =
	    route_site(q->conf, str_from(destination));

	if (site != NULL)
		*release_of(q, site) = 0;
	release_put(q, destination, 0, 0);
}

/* The domains that BITS of SITE stand for, in A; none for all. */
static const struct str *
release_domains(struct arena *a, const struct conf_site *site, uint32_t bits,
    size_t *count_out)
{
	struct str *domains =
	    arena_new(a, QUEUE_RELEASE_DOMAINS * sizeof(domains[0]));

	CHECK(domains != NULL);
	*count_out = 0;
	for (size_t i = 0; bits != QUEUE_RELEASE_ALL &&
			   i < QUEUE_RELEASE_DOMAINS && i < site->domain_count;
	     i++) {
		const struct conf_domain *domain = &site->domains[i];
		char text[MAIL_DOMAIN_MAX + 2];

		if ((bits & UINT32_C(1) << i) == 0)
			continue;
		snprintf(text, sizeof(text), "%s%.*s",
		    domain->is_tree ? "@" : "", STR_ARG(domain->key));
		domains[*count_out] = arena_copy(a, str_from(text));
		CHECK(domains[(*count_out)++].data != NULL);
	}
	return domains;
}

void
queue_release_resume(struct queue *q, const struct store_destination *d,
    const struct route *route)
{
	const struct conf_site *site = route_site(q->conf, d->name);
	bool is_part = (d->failures & QUEUE_RELEASE_PART) != 0;
	uint32_t bits =
	    is_part ? d->failures & ~QUEUE_RELEASE_PART : QUEUE_RELEASE_ALL;
	struct sched_target target = route_target(route);
	uint64_t count = d->rows[STORE_HELD];
	const struct str *domains;
	size_t domain_count;
	struct arena arena;

	if (d->due_ms == 0 ||
	    (!is_part && (!route->is_held || d->failures > 0)))
		return;
	if (!q->is_resuming || count == 0 || !route->is_held || site == NULL ||
	    bits == 0 || (is_part && d->due_ms != release_print(site))) {
		queue_release_over(q, route->name);
		return;
	}
	arena_init(&arena, STORE_ARENA_MAX);
	domains = release_domains(&arena, site, bits, &domain_count);
	log_event(LOG_NOTE, "release-resumed", "", "destination=%s count=%llu",
	    route->name, (unsigned long long)count);
	*release_of(q, site) = bits;
	(void)sched_release(q->sched, &target, domains, domain_count, count);
	arena_fini(&arena);
}
