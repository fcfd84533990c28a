/*
 * The share of a site: what all of its networks may hold at a time, at the
 * limit and one past it.
 */
#include "role/receive_kit.h"

static const char site_conf[] =
    "hostname = \"holder.test\"; spool = \"ram:\";\n"
    "connections-max = 40; connections-network-max = 4;\n"
    "connections-site-max = 3;\n"
    "site = (\n"
    " { name = \"ship\"; domains = [ \"ship.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.1\"; connections = 2;\n"
    "   from = [ \"192.0.2.0/25\", \"192.0.2.0/24\", \"203.0.113.9\" ]; },\n"
    " { name = \"other\"; domains = [ \"other.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.6\";\n"
    "   from = [ \"192.0.2.0/24\", \"198.51.100.0/23\",\n"
    "            \"2001:db8:4::/46\" ]; },\n"
    " { name = \"none\"; domains = [ \"none.test\" ]; hold = true;\n"
    "   route = \"smtp://192.0.2.6\"; }\n"
    ");\n";

#define TURNED_AWAY                                                            \
	"421 4.7.0 holder.test Too many connections from your site, try "      \
	"later\r\n"

#define CONNS 20

struct site_case {
	const char *address;
	bool is_taken;
	int leaves; /* the case before whose session ends first; 0 = none */
};

static void
run_cases(const struct site_case *cases, size_t count)
{
	role_conn conns[CONNS];

	assert_true(count <= CONNS);
	for (size_t i = 0; i < count; i++) {
		bool is_open;

		if (cases[i].leaves > 0)
			fake_close(&f, conns[cases[i].leaves - 1], 0);
		conns[i] = come(cases[i].address);
		is_open = fake_is_open(&f, conns[i]);
		fake_take_text(&f, conns[i], said, sizeof(said));
		assert_string_equal(said,
		    is_open ? "220 holder.test ESMTP sendq\r\n" : TURNED_AWAY);
		if (is_open != cases[i].is_taken)
			fail_msg("case %zu, %s", i + 1, cases[i].address);
	}
}

/* Without a number of its own a site has that of all. */
static void
test_connections_site_max(void **state)
{
	static const struct site_case cases[] = {
	    {"198.51.100.1", true},
	    {"198.51.101.1", true},
	    {"2001:db8:7:ffff::1", true},
	    {"198.51.100.2", false},
	    {"2001:db8:4::1", false},
	    /* Just outside its networks. */
	    {"198.51.102.1", true},
	    {"198.51.99.255", true},
	    {"2001:db8:8::1", true},
	    {"2001:db8:3:ffff::1", true},
	    /* The same bits as 198.51.100.x in another family. */
	    {"c633:6400::1", true},
	    /* What is refused is not counted; what ends makes room. */
	    {"198.51.100.2", true, 2},
	    {"198.51.100.3", false},
	    {"198.51.100.3", true, 3},
	};

	run_cases(cases, sizeof(cases) / sizeof(cases[0]));
	assert_true(was_logged("detail turned-away - peer=198.51.100.2 "
			       "reason=\"Too many connections from your site"));
}

/* A site's own number; a session in two of its networks counts once. */
static void
test_site_connections(void **state)
{
	static const struct site_case cases[] = {
	    {"192.0.2.1", true},
	    {"203.0.113.9", true},
	    {"203.0.113.9", false},
	    {"192.0.2.200", false},
	    {"203.0.113.8", true},
	    /* In a network of two sites it counts for both. */
	    {"198.51.100.1", true},
	    {"198.51.100.2", true},
	    {"198.51.100.3", false},
	    {"198.51.100.3", true, 1},
	    {"192.0.2.1", false},
	    {"192.0.2.1", true, 6},
	    {"192.0.2.1", false},
	};

	run_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* One that its site turns away does not count for its network either. */
static void
test_network_is_left(void **state)
{
	for (int i = 0; i < 10; i++) {
		role_conn conn = come("192.0.2.1");

		assert_int_equal(fake_is_open(&f, conn), i < 2);
		fake_take_text(&f, conn, said, sizeof(said));
	}
	assert_non_null(strstr(said, "from your site"));
}

/* Each process has its share, rounded up. */
static void
test_share(void **state)
{
	struct conf shared = *conf;
	struct receive *r;

	shared.receive_processes = 2;
	r = role_receive_new(&f.env, &shared);
	assert_int_equal(r->sites[0].connections_max, 1);
	assert_int_equal(r->sites[1].connections_max, 2);
	role_receive_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_connections_site_max),
	    TEST(test_site_connections),
	    TEST(test_network_is_left),
	    TEST(test_share),
	};

	kit_conf = site_conf;
	return cmocka_run_group_tests(tests, read_conf, free_conf);
}
