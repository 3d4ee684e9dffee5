/*
 * Makes every fsync and fdatasync of a program longer, and counts them.
 *
 * Loaded by LD_PRELOAD. BENCH_SYNC_DELAY_US is how much longer, in microseconds. BENCH_SYNC_COUNT names a file of
 * eight bytes, which holds the number of syncs so far, in the order of bytes of this machine.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef int (*sync_call)(int);

static sync_call next_fsync;
static sync_call next_fdatasync;
static struct timespec delay;
static _Atomic unsigned long long own_count;
static _Atomic unsigned long long *count = &own_count;

__attribute__((constructor)) static void begin(void)
{
    next_fsync = (sync_call)dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = (sync_call)dlsym(RTLD_NEXT, "fdatasync");

    const char *text = getenv("BENCH_SYNC_DELAY_US");
    long us = text ? strtol(text, NULL, 10) : 0;
    if (us > 0) {
        delay.tv_sec = us / 1000000;
        delay.tv_nsec = us % 1000000 * 1000;
    }

    const char *path = getenv("BENCH_SYNC_COUNT");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *shared = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED)
            count = shared;
        close(fd);
    }
}

static int slowly(sync_call next, int fd)
{
    if (!next) {
        errno = ENOSYS;
        return -1;
    }
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    if (delay.tv_sec || delay.tv_nsec) {
        struct timespec left = delay;
        while (nanosleep(&left, &left) == -1 && errno == EINTR) {
        }
    }
    return next(fd);
}

int fsync(int fd)
{
    return slowly(next_fsync, fd);
}

int fdatasync(int fd)
{
    return slowly(next_fdatasync, fd);
}
