/* The machine's clocks and randomness, without which this cannot run, and its
   addresses, without which it can. */
#include "os/machine.h"
#include "base/check.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <time.h>

static uint64_t
machine_clock_ms(clockid_t clock)
{
	struct timespec now;

	CHECK(clock_gettime(clock, &now) == 0 && now.tv_sec >= 0);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t
machine_mono_ms(void)
{
	return machine_clock_ms(CLOCK_MONOTONIC);
}

uint64_t
machine_wall_ms(void)
{
	return machine_clock_ms(CLOCK_REALTIME);
}

void
machine_random(void *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = getrandom((char *)data + done, size - done, 0);

		CHECK(n >= 0 || errno == EINTR);
		if (n > 0)
			done += (size_t)n;
	}
}

uint32_t
machine_load(void)
{
	struct sysinfo info;
	unsigned long unit = 1UL << SI_LOAD_SHIFT;

	if (sysinfo(&info) < 0)
		return 0;
	return (uint32_t)((info.loads[0] + unit / 2) / unit);
}

static bool
machine_address_get(
    const struct sockaddr *from, struct machine_address *address_out)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	*address_out = (struct machine_address){.family = 0};
	if (from != NULL && from->sa_family == AF_INET) {
		memcpy(&in, from, sizeof(in));
		memcpy(address_out->bytes, &in.sin_addr, sizeof(in.sin_addr));
		address_out->family = 4;
	} else if (from != NULL && from->sa_family == AF_INET6) {
		memcpy(&in6, from, sizeof(in6));
		memcpy(
		    address_out->bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
		address_out->family = 6;
	}
	return address_out->family != 0;
}

size_t
machine_addresses(struct machine_address *list, size_t count_max)
{
	struct ifaddrs *all = NULL;
	size_t count = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *i = all; i != NULL && count < count_max;
	     i = i->ifa_next)
		count += machine_address_get(i->ifa_addr, &list[count]);
	freeifaddrs(all);
	return count;
}
