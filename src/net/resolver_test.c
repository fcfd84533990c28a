/*
 * The resolver against a tiny DNS server in a process of its own on 127.0.0.1.
 * Where there are walls the questions are asked from behind those of the
 * deliver role: libunbound must need nothing else.
 */
#include "base/mem.h"
#include "net/net.h"
#include "net/sandbox.h"
#include "net/stderr_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TYPE_A     1
#define TYPE_CNAME 5
#define TYPE_MX    15
#define TYPE_AAAA  28

/* The zone.  DATA: for MX preference and name; for others as usual. */
static const struct {
	const char *name;
	int type;
	int preference;
	const char *data;
} zone[] = {
    {"site.test", TYPE_MX, 20, "backup.site.test"},
    {"site.test", TYPE_MX, 10, "mail.site.test"},
    {"null.test", TYPE_MX, 0, ""},
    {"mail.site.test", TYPE_A, 0, "192.0.2.1"},
    {"mail.site.test", TYPE_A, 0, "192.0.2.2"},
    {"mail.site.test", TYPE_AAAA, 0, "2001:db8::1"},
    {"four.test", TYPE_A, 0, "192.0.2.4"},
    {"six.test", TYPE_AAAA, 0, "2001:db8::6"},
    {"alias.test", TYPE_CNAME, 0, "four.test"},
    {"mx.home.arpa", TYPE_A, 0, "192.0.2.5"},
    {"many.test", TYPE_A, 0, "192.0.2.9"},
    {"only-text.test", TYPE_MX, 5, "x.test"},
};

/* Where the answer is being written. */
struct answer {
	unsigned char bytes[4096];
	size_t size;
	int count;
};

static void
add16(struct answer *a, unsigned value)
{
	a->bytes[a->size++] = (unsigned char)(value >> 8);
	a->bytes[a->size++] = (unsigned char)value;
}

static void
add_name(struct answer *a, const char *name)
{
	while (*name != '\0') {
		size_t size = strcspn(name, ".");

		a->bytes[a->size++] = (unsigned char)size;
		memcpy(a->bytes + a->size, name, size);
		a->size += size;
		name += size + (name[size] == '.');
	}
	a->bytes[a->size++] = 0;
}

static void
add_record(struct answer *a, size_t i)
{
	size_t at;

	add_name(a, zone[i].name);
	add16(a, (unsigned)zone[i].type);
	add16(a, 1);
	add16(a, 0);
	add16(a, 60); /* time to live */
	at = a->size;
	add16(a, 0);
	if (zone[i].type == TYPE_A) {
		inet_pton(AF_INET, zone[i].data, a->bytes + a->size);
		a->size += 4;
	} else if (zone[i].type == TYPE_AAAA) {
		inet_pton(AF_INET6, zone[i].data, a->bytes + a->size);
		a->size += 16;
	} else {
		if (zone[i].type == TYPE_MX)
			add16(a, (unsigned)zone[i].preference);
		add_name(a, zone[i].data);
	}
	a->bytes[at] = (unsigned char)((a->size - at - 2) >> 8);
	a->bytes[at + 1] = (unsigned char)(a->size - at - 2);
	a->count++;
}

/* The question's name as text; the bytes that name, type and class took. */
static size_t
read_question(const unsigned char *q, size_t size, char name[256], int *type)
{
	size_t at = 0, out = 0;

	while (at < size && q[at] != 0 && out + q[at] < 250) {
		if (out > 0)
			name[out++] = '.';
		for (size_t i = 1; i <= q[at]; i++) {
			char c = (char)q[at + i];

			/* libunbound may write names in mixed case. */
			name[out++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		}
		at += q[at] + 1U;
	}
	name[out] = '\0';
	*type = q[at + 1] << 8 | q[at + 2];
	return at + 5;
}

static size_t
serve_one(const unsigned char *query, size_t size, struct answer *a)
{
	char name[256];
	int type, rcode = 3;
	size_t question;

	if (size < 17)
		return 0;
	question = read_question(query + 12, size - 12, name, &type);
	if (strcmp(name, "silent.test") == 0)
		return 0;
	*a = (struct answer){0};
	memcpy(a->bytes, query, 12 + question);
	a->size = 12 + question;
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		if (strcmp(zone[i].name, name) != 0)
			continue;
		rcode = 0;
		if (zone[i].type != type && zone[i].type != TYPE_CNAME)
			continue;
		for (int n = strcmp(name, "many.test") == 0 ? 50 : 1; n > 0;
		     n--) {
			add_record(a, i);
			/* Fifty different ones: the last byte tells. */
			if (strcmp(name, "many.test") == 0)
				a->bytes[a->size - 1] = (unsigned char)n;
		}
		if (zone[i].type == TYPE_CNAME)
			for (size_t j = 0; j < sizeof(zone) / sizeof(zone[0]);
			     j++)
				if (strcmp(zone[j].name, zone[i].data) == 0 &&
				    zone[j].type == type)
					add_record(a, j);
	}
	if (strcmp(name, "broken.test") == 0)
		rcode = 2;
	a->bytes[2] = 0x85; /* an authoritative answer */
	a->bytes[3] = (unsigned char)(0x80 | rcode);
	memset(a->bytes + 4, 0, 8);
	a->bytes[5] = 1;
	a->bytes[7] = (unsigned char)a->count;
	return a->size;
}

static _Noreturn void
serve(int fd)
{
	static struct answer answer;
	unsigned char query[1024];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct sockaddr_in from;
		socklen_t from_size = sizeof(from);
		ssize_t n = recvfrom(fd, query, sizeof(query), 0,
		    (struct sockaddr *)&from, &from_size);
		size_t size = n > 0 ? serve_one(query, (size_t)n, &answer) : 0;

		if (size > 0)
			(void)sendto(fd, answer.bytes, size, 0,
			    (struct sockaddr *)&from, from_size);
	}
}

/* The port of the server. */
static uint16_t
server_start(pid_t *pid_out)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*pid_out = fork();
	if (*pid_out == 0)
		serve(fd);
	close(fd);
	return ntohs(at.sin_port);
}

/* What is asked and what must come.  TEXT: "10 mail.site.test; ..." in order
   of preference or as given. */
static const struct {
	enum role_dns what;
	const char *name;
	enum role_dns_status status;
	bool is_no_name;
	const char *text;
} cases[] = {
    {ROLE_DNS_MX, "site.test", ROLE_DNS_OK, false,
	"10 mail.site.test;20 backup.site.test;"},
    {ROLE_DNS_MX, "SITE.test.", ROLE_DNS_OK, false,
	"10 mail.site.test;20 backup.site.test;"},
    {ROLE_DNS_MX, "null.test", ROLE_DNS_OK, false, "0 ;"},
    {ROLE_DNS_MX, "four.test", ROLE_DNS_NONE, false, ""},
    {ROLE_DNS_MX, "nobody.test", ROLE_DNS_NONE, true, ""},
    {ROLE_DNS_MX, "broken.test", ROLE_DNS_FAILED, false, ""},
    {ROLE_DNS_MX, "", ROLE_DNS_NONE, true, ""},
    {ROLE_DNS_MX, "a..b.test", ROLE_DNS_FAILED, false, ""},
    {ROLE_DNS_ADDRESS, "mail.site.test", ROLE_DNS_OK, false,
	"192.0.2.1;192.0.2.2;2001:db8::1;"},
    {ROLE_DNS_ADDRESS, "four.test", ROLE_DNS_OK, false, "192.0.2.4;"},
    {ROLE_DNS_ADDRESS, "six.test", ROLE_DNS_OK, false, "2001:db8::6;"},
    {ROLE_DNS_ADDRESS, "alias.test", ROLE_DNS_OK, false, "192.0.2.4;"},
    {ROLE_DNS_ADDRESS, "mx.home.arpa", ROLE_DNS_OK, false, "192.0.2.5;"},
    {ROLE_DNS_ADDRESS, "only-text.test", ROLE_DNS_NONE, false, ""},
    {ROLE_DNS_ADDRESS, "nobody.test", ROLE_DNS_NONE, true, ""},
    {ROLE_DNS_ADDRESS, "a.invalid", ROLE_DNS_NONE, true, ""},
    {ROLE_DNS_ADDRESS, "broken.test", ROLE_DNS_FAILED, false, ""},
};

#define CASES (sizeof(cases) / sizeof(cases[0]))

struct asker {
	size_t answered;
	size_t wrong;
	bool is_inside; /* an operation is running: nothing may be told */
	size_t many;    /* records of "many.test" */
	bool is_silent_failed;
};

static int
compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* The answer as text, its records sorted. */
static void
answer_text(const struct role_dns_answer *answer, enum role_dns what,
    char *text, size_t size)
{
	char records[ROLE_DNS_MAX][300];

	for (size_t i = 0; i < answer->count; i++) {
		char address[46];

		if (what == ROLE_DNS_MX) {
			snprintf(records[i], sizeof(records[i]), "%d %s",
			    answer->records[i].preference,
			    answer->records[i].name);
			continue;
		}
		conf_address_format(&answer->records[i].address, address);
		snprintf(records[i], sizeof(records[i]), "%s", address);
	}
	qsort(records, answer->count, sizeof(records[0]), compare_text);
	text[0] = '\0';
	for (size_t i = 0; i < answer->count; i++) {
		size_t used = strlen(text);

		snprintf(text + used, size - used, "%.*s;", 99, records[i]);
	}
}

static void
asker_resolved(void *role, uint64_t now_ms, uint64_t query,
    const struct role_dns_answer *answer)
{
	struct asker *asker = role;
	char text[ROLE_DNS_MAX * 100 + 1];
	bool is_good;

	asker->answered++;
	if (query == 1000) {
		asker->many = answer->count;
		return;
	}
	if (query == 1001) {
		asker->is_silent_failed = answer->status == ROLE_DNS_FAILED;
		return;
	}
	answer_text(answer, cases[query].what, text, sizeof(text));
	is_good = !asker->is_inside && answer->status == cases[query].status &&
	          answer->is_no_name == cases[query].is_no_name &&
	          strcmp(text, cases[query].text) == 0;
	/* A failure is printed with its case: cmocka is not in this process. */
	if (!is_good)
		fprintf(stderr, "%s: status %d no-name %d \"%s\"\n",
		    cases[query].name, (int)answer->status, answer->is_no_name,
		    text);
	if (!is_good)
		asker->wrong++;
}

static const struct role_ops asker_ops = {
    .kind = ROLE_DELIVER, .resolved = asker_resolved};

static void
ask_all(struct net *net, struct asker *asker)
{
	struct role_env *env = net_env(net);

	asker->is_inside = true;
	for (size_t i = 0; i < CASES; i++)
		env->ops->resolve(
		    env, i, cases[i].what, str_from(cases[i].name));
	asker->is_inside = false;
	for (int i = 0; i < 2000 && asker->answered < CASES; i++) {
		net_turn(net, false);
		usleep(1000);
	}
}

/* 0 if all is well, else the number of the check that is not. */
static int
ask(uint16_t port)
{
	struct conf_address server = {
	    .family = 4, .port = port, .bytes = {127, 0, 0, 1}};
	struct asker asker = {0};
	struct net *net = net_new(&asker_ops);
	struct role_env *env = net_env(net);

	net_set_role(net, &asker);
	if (net_set_resolver(net, &server) < 0)
		return 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    sandbox_lock(ROLE_DELIVER, -1) < 0 ||
	    sandbox_seal(ROLE_DELIVER) < 0)
		return 2;
	ask_all(net, &asker);
	if (asker.wrong > 0 || asker.answered != CASES)
		return 3;
	/* Again, now that libunbound has them. */
	asker.answered = 0;
	ask_all(net, &asker);
	if (asker.wrong > 0 || asker.answered != CASES)
		return 4;
	env->ops->resolve(env, 1000, ROLE_DNS_ADDRESS, STR("many.test"));
	for (int i = 0; i < 2000 && asker.many == 0; i++) {
		net_turn(net, false);
		usleep(1000);
	}
	if (asker.many != ROLE_DNS_MAX)
		return 5;
	/* A question that is open at the end is forgotten. */
	env->ops->resolve(env, 1001, ROLE_DNS_MX, STR("silent.test"));
	net_turn(net, false);
	net_free(net);
	return 0;
}

static void
test_resolver(void **state)
{
	pid_t server, asker;
	uint16_t port = server_start(&server);
	int status;

	asker = fork();
	if (asker == 0)
		_exit(ask(port));
	assert_true(waitpid(asker, &status, 0) == asker);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* The system's files are read, whatever is in them. */
static void
test_system(void **state)
{
	struct conf_address none = {0};
	struct asker asker = {0};
	struct net *net = net_new(&asker_ops);

	net_set_role(net, &asker);
	assert_int_equal(net_set_resolver(net, &none), 0);
	net_free(net);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_resolver),
	    cmocka_unit_test(test_system),
	};

	signal(SIGPIPE, SIG_IGN);
	log_set(stderr_log_line, LOG_NOTE);
	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
