/* The clock of a process that loads this first is wrong by WRONG_BY seconds, or by the number in the file WRONG_BY_FILE, which may
   change. What measures how long something takes is right. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long wrong_by(void)
{
    const char *file = getenv("WRONG_BY_FILE");
    const char *seconds = getenv("WRONG_BY");
    char text[32] = "";
    int opened;
    if (!file)
        return seconds ? atol(seconds) : 0;
    opened = open(file, O_RDONLY | O_CLOEXEC);
    if (opened < 0 || read(opened, text, sizeof text - 1) < 0)
        text[0] = 0;
    if (opened >= 0)
        close(opened);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += wrong_by();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec at;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *now)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (now)
        *now = at.tv_sec;
    return at.tv_sec;
}

/* The client of Kafka adds to what the clock says how long it will wait; the kernel compares that with a clock that is right. */
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
    static int (*wait)(cnd_t *, mtx_t *, const struct timespec *);
    struct timespec at = *until;
    if (!wait)
        wait = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    at.tv_sec -= wrong_by();
    return wait(condition, mutex, &at);
}
