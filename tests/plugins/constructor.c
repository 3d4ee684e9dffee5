/* A shared object with the descriptor of a plugin and no plugin behind it. What its constructor does is chosen by a macro,
   and NAME gives the name in its descriptor. */

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define JSON "{\"name\":\"" NAME "\",\"version\":\"1.0.0\"}"

__attribute__((used, section(".billhook"))) static const struct {
    char magic[16];
    unsigned abi_major, abi_minor, flags, json_bytes;
    char json[sizeof JSON - 1];
} descriptor = {"billhook-plugin", 1, 0, 1, sizeof JSON - 1, JSON};

#if defined(FAULTS)

__attribute__((constructor)) static void run(void) { *(volatile int *)8 = 1; }

#elif defined(EXITS)

__attribute__((constructor)) static void run(void) { _exit(3); }

#elif defined(WAITS)

__attribute__((constructor)) static void run(void) {
    for (;;) pause();
}

#elif defined(SNOOPS)

/* Ends the process with a code of its own for each thing that a probe should not have. */

extern char **environ;

static void expect_limit(int resource, rlim_t most, int code) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur > most) _exit(code);
}

__attribute__((constructor)) static void run(void) {
#ifndef ENVIRONMENT_EXPECTED
    if (environ != NULL && environ[0] != NULL) _exit(41);
#endif
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) _exit(42);
    int open_descriptors = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') open_descriptors++;
    closedir(folder);
    /* The standard three, the probe's way back, this library's own file while it is opened, and the folder. */
    if (open_descriptors > 6) _exit(43);
    expect_limit(RLIMIT_CORE, 0, 44);
    expect_limit(RLIMIT_FSIZE, 0, 45);
    expect_limit(RLIMIT_NOFILE, 64, 46);
    expect_limit(RLIMIT_CPU, 5, 47);
    /* The program has addresses already, and the limit comes on top of them: what counts is what can still be had. */
    if (mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        _exit(48);
    if (mmap(NULL, 1UL << 29, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        _exit(50);
    /* What is printed must not be taken for the verdict. */
    if (write(1, "{\"verdict\":\"good\"}", 18) != 18) _exit(49);
}

#endif
