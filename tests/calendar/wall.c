/* A wall clock that is WALL_OFFSET_S seconds off, for every program that is started with this library preloaded.
 *
 * Only looks at the wall clock are changed, and waits until a moment on it. All else (the monotonic clocks, condition
 * variables, signals, epoll) is the C library's own, so that PostgreSQL's timeouts and Python's threads keep working.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int is_wall(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

static time_t offset_s(void) {
  static int known;
  static time_t seconds;
  if (!known) {
    const char *given = getenv("WALL_OFFSET_S");
    seconds = given ? atoll(given) : 0;
    known = 1;
  }
  return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int failed = real(clock, at);
  if (!failed && is_wall(clock)) at->tv_sec += offset_s();
  return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}

int timespec_get(struct timespec *at, int base) {
  if (base != TIME_UTC) return 0;
  clock_gettime(CLOCK_REALTIME, at);
  return base;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
  static int (*real)(clockid_t, int, const struct timespec *, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_nanosleep");
  struct timespec truly = *until;
  if (flags & TIMER_ABSTIME && is_wall(clock)) truly.tv_sec -= offset_s();
  return real(clock, flags, &truly, left);
}
