/* The machine's clocks and randomness; a machine without them is not one that
   this can run on. */
#include "os/machine.h"
#include "base/check.h"

#include <errno.h>
#include <sys/random.h>
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
