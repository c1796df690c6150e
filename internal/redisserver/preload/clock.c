// Preloaded into redis-server, it sets the clock of Redis off by the seconds in a file.
// Redis asks gettimeofday for all that it tells and expires.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static long offset(void) {
	char text[32] = {0};
	const char *name = getenv("CLOCK_OFFSET_FILE");
	int file = name ? open(name, O_RDONLY) : -1;
	if (file < 0)
		return 0;
	long seconds = read(file, text, sizeof text - 1) > 0 ? atol(text) : 0;
	close(file);
	return seconds;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
	int failed = (int)syscall(SYS_gettimeofday, now, zone);
	now->tv_sec += offset();
	return failed;
}
