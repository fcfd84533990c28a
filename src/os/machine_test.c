/*
 * The machine's own addresses: those that a socket may be bound to.
 */
#include "os/machine.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static bool
is_own(const unsigned char bytes[4])
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in name = {.sin_family = AF_INET};
	bool is_bound;

	assert_true(fd >= 0);
	memcpy(&name.sin_addr, bytes, 4);
	is_bound = bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0;
	close(fd);
	return is_bound;
}

static void
test_addresses(void **state)
{
	static const unsigned char loopback[4] = {127, 0, 0, 1};
	struct machine_address list[256];
	size_t count = machine_addresses(list, 256);
	bool has_loopback = false;

	assert_in_range(count, 0, 256);
	for (size_t i = 0; i < count; i++) {
		assert_true(list[i].family == 4 || list[i].family == 6);
		if (list[i].family == 6)
			continue;
		assert_true(is_own(list[i].bytes));
		has_loopback |= memcmp(list[i].bytes, loopback, 4) == 0;
	}
	/* A machine may be without even that. */
	assert_int_equal(has_loopback, is_own(loopback));
}

static void
test_limit(void **state)
{
	struct machine_address list[2] = {{0}, {77}};
	size_t count = machine_addresses(list, 1);

	assert_in_range(count, 0, 1);
	assert_int_equal(list[1].family, 77);
	assert_int_equal(machine_addresses(list, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
