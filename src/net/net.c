/*
 * The loop: events of the kernel first, then what the role asked, then output.
 *
 * Invariants: (1) handlers are called from here and from event callbacks only,
 * never from an operation; (2) now_ms changes only between turns; (3) while
 * something waits for the next turn the kernel is asked without waiting.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/net_internal.h"
#include "net/stderr_log.h"
#include "os/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longest sleep of the one timer; it is armed again afterwards. */
#define NET_SLEEP_MAX_MS 3600000

void
net_begin(struct net *net)
{
	if (net->is_in_turn)
		return;
	net->is_in_turn = true;
	net->now_ms = machine_mono_ms();
}

struct net *
net_of(struct role_env *env)
{
	return (struct net *)(void *)env;
}

static void
net_resolve(
    struct role_env *env, uint64_t query, enum role_dns what, struct str name)
{
	CHECK(net_of(env)->resolver != NULL);
	resolver_ask(net_of(env)->resolver, query, what, name);
}

static void
net_store(struct role_env *env, struct store_request *request)
{
	struct net *net = net_of(env);

	CHECK(net->writer != NULL);
	if (net->request_count == net->request_capacity) {
		net->request_capacity =
		    net->request_capacity > 0 ? net->request_capacity * 2 : 64;
		net->requests = mem_resize(net->requests, net->request_capacity,
		    sizeof(struct store_request *));
	}
	net->requests[net->request_count++] = request;
}

static void
net_wake_at(struct role_env *env, uint64_t due_ms)
{
	struct net *net = net_of(env);

	if (due_ms == UINT64_MAX)
		heap_remove(&net->timers, &net->role_timer);
	else
		heap_set(&net->timers, &net->role_timer, due_ms);
}

static uint64_t
net_wall_ms(struct role_env *env)
{
	return machine_wall_ms();
}

static uint32_t
net_load(struct role_env *env)
{
	return machine_load();
}

static void
net_random(struct role_env *env, void *data, size_t size)
{
	machine_random(data, size);
}

static void
net_stop(struct role_env *env)
{
	net_of(env)->is_stopping = true;
}

static const struct role_env_ops net_env_ops = {
    .conn_send = net_conn_send,
    .conn_unsent = net_conn_unsent,
    .conn_acked = net_conn_acked,
    .conn_user = net_conn_user,
    .conn_close = net_conn_close,
    .conn_abort = net_conn_abort,
    .conn_wake = net_conn_wake,
    .connect = net_reach_connect,
    .spawn = net_reach_spawn,
    .ask_stream = net_ask_stream,
    .listen = net_reach_listen,
    .resolve = net_resolve,
    .send = net_peer_send,
    .store = net_store,
    .wake_at = net_wake_at,
    .wall_ms = net_wall_ms,
    .load = net_load,
    .random = net_random,
    .stop = net_stop,
};

/* Only ends the wait: what is due is seen in the turn. */
static void
net_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	net->armed_ms = UINT64_MAX;
}

static struct event_base *
net_base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	CHECK(config != NULL);
	/* One thread uses the base; the time is ours. */
	CHECK(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0);
	CHECK(event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0);
	base = event_base_new_with_config(config);
	event_config_free(config);
	CHECK(base != NULL);
	return base;
}

struct net *
net_new(const struct role_ops *ops)
{
	struct net *net = mem_new(1, sizeof(*net));

	net->env.ops = &net_env_ops;
	net->ops = ops;
	net->base = net_base_new();
	net->armed_ms = UINT64_MAX;
	net->is_listening = true;
	net->spare_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	net->master_fd = -1;
	net->spawner_fd = -1;
	net->watch_fd = -1;
	heap_init(&net->timers);
	CHECK(evtimer_assign(&net->timer_event, net->base, net_on_timer, net) ==
	      0);
	net_begin(net);
	return net;
}

void
net_free(struct net *net)
{
	if (net == NULL)
		return;
	net_conns_free(net);
	net_peers_free(net);
	net_listeners_free(net);
	net_channels_free(net);
	net_watch_free(net);
	if (net->writer != NULL)
		event_del(&net->writer_event);
	resolver_free(net->resolver);
	event_del(&net->timer_event);
	event_base_free(net->base);
	if (net->spare_fd >= 0)
		close(net->spare_fd);
	heap_fini(&net->timers);
	free(net->requests);
	free(net);
}

struct role_env *
net_env(struct net *net)
{
	return &net->env;
}

void
net_set_role(struct net *net, void *role)
{
	net->role = role;
}

uint64_t
net_now(struct net *net)
{
	return net->now_ms;
}

int
net_set_resolver(struct net *net, const struct conf_address *server)
{
	CHECK(net->resolver == NULL);
	return resolver_new(net->base, server, &net->resolver);
}

/* Hands what was collected to the writer, if it is free. */
static void
net_writer_submit(struct net *net)
{
	if (net->writer == NULL || net->request_count == 0 ||
	    !writer_is_free(net->writer))
		return;
	writer_submit(net->writer, net->requests, net->request_count);
	net->request_count = 0;
}

static void
net_writer_collect(struct net *net)
{
	struct store_request **requests;
	size_t count;

	requests = writer_take(net->writer, &count);
	/* What came while the batch ran is the next one, and runs while these
	   answers are looked at. */
	net_writer_submit(net);
	for (size_t i = 0; i < count; i++)
		net->ops->stored(net->role, net->now_ms, requests[i]);
}

static void
net_on_writer(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	net_begin(net);
	net_writer_collect(net);
}

void
net_set_writer(struct net *net, struct writer *writer)
{
	CHECK(net->writer == NULL && net->ops->stored != NULL);
	net->writer = writer;
	CHECK(event_assign(&net->writer_event, net->base, writer_fd(writer),
		  EV_READ | EV_PERSIST, net_on_writer, net) == 0);
	CHECK(event_add(&net->writer_event, NULL) == 0);
}

static void
net_timers_run(struct net *net)
{
	struct heap_node *node;

	/* A handler that asks for a time that has come is served next turn. */
	while ((node = heap_first(&net->timers)) != NULL &&
	       node->due_ms <= net->now_ms && !net->is_stopping) {
		heap_remove(&net->timers, node);
		if (node == &net->starved_timer) {
			net->is_starved = false;
			net_listeners_update(net);
		} else if (node != &net->role_timer) {
			net_conn_timer(
			    HEAP_OBJECT(node, struct net_conn, timer));
		} else {
			if (net->ops->timer != NULL)
				net->ops->timer(net->role, net->now_ms);
			break;
		}
	}
}

/* Sets the one timer of the loop to the earliest due time. */
static void
net_timer_arm(struct net *net)
{
	const struct heap_node *node = heap_first(&net->timers);
	uint64_t due_ms = node == NULL ? UINT64_MAX : node->due_ms, wait_ms;
	struct timeval wait;

	if (due_ms == net->armed_ms)
		return;
	if (due_ms == UINT64_MAX) {
		event_del(&net->timer_event);
		net->armed_ms = due_ms;
		return;
	}
	wait_ms = due_ms > net->now_ms ? due_ms - net->now_ms : 0;
	if (wait_ms > NET_SLEEP_MAX_MS)
		wait_ms = NET_SLEEP_MAX_MS;
	wait.tv_sec = (time_t)(wait_ms / 1000);
	wait.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
	CHECK(event_add(&net->timer_event, &wait) == 0);
	net->armed_ms = due_ms;
}

static void
net_resolver_deliver(struct net *net)
{
	const struct role_dns_answer *answer;
	uint64_t query;

	while (net->resolver != NULL &&
	       resolver_next(net->resolver, &query, &answer))
		net->ops->resolved(net->role, net->now_ms, query, answer);
}

/* True if the next turn has work without waiting for the kernel. */
static bool
net_is_busy(const struct net *net)
{
	return net->pending != NULL || net->dirty != NULL ||
	       net->is_peer_news || net->is_stopping ||
	       (net->resolver != NULL && resolver_is_ready(net->resolver));
}

void
net_turn(struct net *net, bool is_waiting)
{
	int flags = EVLOOP_ONCE;

	if (!is_waiting || net_is_busy(net))
		flags |= EVLOOP_NONBLOCK;
	net_timer_arm(net);
	net->is_in_turn = false;
	CHECK(event_base_loop(net->base, flags) >= 0);
	net_begin(net);
	net_peers_settle(net);
	net_conns_offer(net);
	net_resolver_deliver(net);
	net_timers_run(net);
	/* What the far ends are told stands in the log before. */
	stderr_log_write();
	net_conns_flush(net);
	net_peers_flush(net);
	net_writer_submit(net);
	net_conns_bury(net);
	stderr_log_write();
}

/* Everything that the role handed to the store is carried out; the answers are
   dropped with the role. */
static void
net_writer_drain(struct net *net)
{
	struct store_request **requests;
	size_t count;

	if (net->writer == NULL)
		return;
	for (;;) {
		writer_wait(net->writer);
		requests = writer_take(net->writer, &count);
		for (size_t i = 0; i < count; i++)
			store_request_free(requests[i]);
		if (net->request_count == 0)
			break;
		net_writer_submit(net);
	}
}

void
net_run(struct net *net)
{
	stderr_log_hold();
	while (!net->is_stopping)
		net_turn(net, true);
	net_writer_drain(net);
	stderr_log_release();
	net_conns_flush(net);
	net_peers_flush(net);
}
