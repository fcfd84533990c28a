/*
 * What the disk can do, in the folder $FDIR (or the current one):
 *
 *   floor lat SIZE SECONDS          write, then fdatasync, one after the other
 *   floor prealloc SIZE SECONDS     the same into space that is allocated
 *   floor batch SIZE COUNT SECONDS  COUNT writes for each fdatasync
 *   floor seq MB                    one long write
 *   floor create SIZE SECONDS       a file for each, in $FDIR/fl
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <fcntl.h>
#include <time.h>
#include <sys/resource.h>
static uint64_t
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static int
cmp(const void *a, const void *b)
{
	uint64_t x = *(uint64_t *)a, y = *(uint64_t *)b;
	return x < y ? -1 : x > y;
}
static double
cpu(void)
{
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return r.ru_utime.tv_sec + r.ru_stime.tv_sec +
	       (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
/* What cannot be written makes every figure worthless. */
static void
must(int is_good)
{
	if (!is_good) {
		perror("floor");
		exit(1);
	}
}
int
main(int c, char **v)
{
	if (c < 3) {
		fprintf(stderr, "usage: floor lat|prealloc|batch|seq|create "
				"SIZE ...\n");
		return 64;
	}
	const char *dir = getenv("FDIR") ? getenv("FDIR") : ".";
	char fn[300];
	snprintf(fn, sizeof fn, "%s/floor.tmp", dir);
	unlink(fn);
	int fd = open(fn, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char *b = malloc(4 << 20);
	for (int i = 0; i < 4 << 20; i++)
		b[i] = i * 131;
	static uint64_t L[4000000];
	long n = 0;
	if (!strcmp(v[1], "lat") || !strcmp(v[1], "prealloc")) {
		size_t s = atol(v[2]);
		double secs = atof(v[3]);
		uint64_t t0 = now();
		int pre = v[1][0] == 'p';
		off_t off = 0, lim = 256 << 20;
		if (pre) {
			for (off_t o = 0; o < lim; o += 4 << 20)
				must(pwrite(fd, b, 4 << 20, o) == 4 << 20);
			fsync(fd);
		}
		t0 = now();
		double c0 = cpu();
		while (now() - t0 < secs * 1e9) {
			uint64_t a = now();
			if (pre) {
				must(pwrite(fd, b, s, off) == (ssize_t)s);
				off = (off + s) % lim;
			} else
				must(write(fd, b, s) == (ssize_t)s);
			fdatasync(fd);
			L[n++] = now() - a;
		}
		double el = (now() - t0) / 1e9;
		qsort(L, n, 8, cmp);
		printf("%s %zu: n=%ld p50=%.0fus p99=%.0fus max=%.0fus "
		       "rate=%.0f/s MB/s=%.1f cpu_us/op=%.1f\n",
		    v[1], s, n, L[n / 2] / 1e3, L[n * 99 / 100] / 1e3,
		    L[n - 1] / 1e3, n / el, n * s / el / 1e6,
		    (cpu() - c0) * 1e6 / n);
	} else if (!strcmp(v[1], "batch")) {
		size_t s = atol(v[2]);
		int k = atoi(v[3]);
		double secs = atof(v[4]);
		uint64_t t0 = now();
		double c0 = cpu();
		long m = 0;
		off_t tot = 0;
		while (now() - t0 < secs * 1e9 && tot < (4ll << 30)) {
			uint64_t a = now();
			for (int i = 0; i < k; i++) {
				must(write(fd, b, s) == (ssize_t)s);
				m++;
				tot += s;
			}
			fdatasync(fd);
			L[n++] = now() - a;
		}
		double el = (now() - t0) / 1e9;
		qsort(L, n, 8, cmp);
		printf("batch rec=%zu k=%d: rec/s=%.0f sync_p50=%.0fus "
		       "p99=%.0fus MB/s=%.1f cpu_us/rec=%.2f\n",
		    s, k, m / el, L[n / 2] / 1e3, L[n * 99 / 100] / 1e3,
		    tot / el / 1e6, (cpu() - c0) * 1e6 / m);
	} else if (!strcmp(v[1], "seq")) {
		long mb = atol(v[2]);
		uint64_t t0 = now();
		for (long i = 0; i < mb; i += 4)
			must(write(fd, b, 4 << 20) == 4 << 20);
		fdatasync(fd);
		double el = (now() - t0) / 1e9;
		printf("seq %ldMB: %.1f MB/s\n", mb, mb * 1048576 / el / 1e6);
	} else if (!strcmp(v[1], "create")) {
		size_t s = atol(v[2]);
		double secs = atof(v[3]);
		uint64_t t0 = now();
		char p[400];
		while (now() - t0 < secs * 1e9) {
			uint64_t a = now();
			snprintf(p, sizeof p, "%s/fl/%ld", dir, n);
			int f = open(p, O_WRONLY | O_CREAT, 0644);
			must(write(f, b, s) == (ssize_t)s);
			fsync(f);
			close(f);
			L[n++] = now() - a;
		}
		double el = (now() - t0) / 1e9;
		qsort(L, n, 8, cmp);
		printf("create+fsync %zu: p50=%.0fus p99=%.0fus rate=%.0f/s\n",
		    s, L[n / 2] / 1e3, L[n * 99 / 100] / 1e3, n / el);
	}
	unlink(fn);
	return 0;
}
