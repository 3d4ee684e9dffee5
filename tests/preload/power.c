/*
 * Keeps what a power cut would leave, and lets syncs fail.
 *
 * Loaded by LD_PRELOAD. Each fsync and fdatasync of a file in the folder POWER_FOLDER first copies the file to the
 * folder POWER_KEPT: its content there is what has been synced, and nothing that was written since. POWER_FAILS names
 * a file of eight bytes, in the order of bytes of this machine: how many of the next syncs of such files fail with EIO.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int (*sync_call)(int);

static sync_call next_fsync;
static sync_call next_fdatasync;
static const char *folder;
static const char *kept;
static _Atomic long long no_fails;
static _Atomic long long *fails = &no_fails;
static pthread_mutex_t one_copy = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void)
{
    next_fsync = (sync_call)dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = (sync_call)dlsym(RTLD_NEXT, "fdatasync");
    folder = getenv("POWER_FOLDER");
    kept = getenv("POWER_KEPT");

    const char *path = getenv("POWER_FAILS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd >= 0) {
        void *shared = mmap(NULL, sizeof *fails, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (shared != MAP_FAILED)
            fails = shared;
        close(fd);
    }
}

/* Copies the file to `to`. What cannot be copied must not be taken for synced. */
static int copy(int fd, const char *to)
{
    static char bytes[1 << 20];
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0)
        return -1;
    off_t at = 0;
    ssize_t count;
    while ((count = pread(fd, bytes, sizeof bytes, at)) > 0) {
        if (pwrite(out, bytes, (size_t)count, at) != count) {
            count = -1;
            break;
        }
        at += count;
    }
    close(out);
    return count == 0 ? 0 : -1;
}

/* Where the copy of an open file goes; nothing for files that are not in the folder itself. */
static int place(int fd, char *coming, char *there)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    struct stat about;
    if (length <= 0 || !folder || !kept || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
        return 0;
    path[length] = '\0';
    size_t prefix = strlen(folder);
    if (strncmp(path, folder, prefix) != 0 || path[prefix] != '/' || strchr(path + prefix + 1, '/'))
        return 0;
    snprintf(there, PATH_MAX, "%s/%s", kept, path + prefix + 1);
    snprintf(coming, PATH_MAX, "%s/.coming", kept);
    return 1;
}

static int watched(sync_call next, int fd)
{
    if (!next) {
        errno = ENOSYS;
        return -1;
    }
    char coming[PATH_MAX], there[PATH_MAX];
    if (!place(fd, coming, there))
        return next(fd);
    long long left = atomic_load(fails);
    while (left > 0 && !atomic_compare_exchange_weak(fails, &left, left - 1)) {
    }
    if (left > 0) {
        errno = EIO;
        return -1;
    }
    pthread_mutex_lock(&one_copy);
    int result = -1;
    if (copy(fd, coming) == 0 && next(fd) == 0 && rename(coming, there) == 0)
        result = 0;
    else
        errno = EIO;
    pthread_mutex_unlock(&one_copy);
    return result;
}

int fsync(int fd)
{
    return watched(next_fsync, fd);
}

int fdatasync(int fd)
{
    return watched(next_fdatasync, fd);
}
