/*
 * os_linux_start.c - what this process was started with, before its runtime changed it: arguments, environment,
 * descriptors, limits and ignored signals.
 *
 * The runtimes drop or mangle arguments, reset signals, mark descriptors as not to be inherited, make pipes
 * non-blocking and raise limits before any of our code runs. What the kernel does not tell afterwards the launcher
 * (src/cli/launch.sh) has noted in the environment:
 *
 *   QSHM_SIGNALS_IGNORED  SigIgn of /proc/self/status
 *   QSHM_DESCRIPTORS      NUMBER:FLAGS of each descriptor that is to be inherited, the flags as in fdinfo
 *   QSHM_OPEN_FILES       ulimit -Sn
 *   QSHM_ARGUMENT_<n>     from 1 on, the arguments, for a runtime that does not start with what is not UTF-8
 *
 * Invariant: none of these reaches a command. They come from the environment, so they are checked like any input; the
 * worst that they can do is what their author could do without us.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "command.h"
#include "fault.h"

/* Reads digits of a base; gives what follows them, or NULL if there are none. */
static const char *number_at(const char *text, unsigned base, uint64_t *number)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = text;
    *number = 0;
    for (const char *digit; *at != '\0' && (digit = strchr(digits, *at)) != NULL && digit - digits < (int)base; at++) {
        *number = *number * base + (uint64_t)(digit - digits);
    }
    return at == text ? NULL : at;
}

uint64_t qshm__start_ignored_signals(void)
{
    const char *text = getenv("QSHM_SIGNALS_IGNORED");
    uint64_t mask = 0;
    return text != NULL && number_at(text, 16, &mask) != NULL ? mask : 0;
}

static void inherit(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) {
        fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
    }
}

void qshm__start_restore_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) { /* Node marks them at its start */
        inherit(fd);
    }
    const char *at = getenv("QSHM_DESCRIPTORS");
    uint64_t fd, before;
    while (at != NULL && (at = number_at(at, 10, &fd)) != NULL && *at == ':' &&
           (at = number_at(at + 1, 8, &before)) != NULL && fd <= INT32_MAX) {
        int now = fcntl((int)fd, F_GETFL);
        if (now >= 0) {
            inherit((int)fd);
            if (((uint64_t)now & O_NONBLOCK) != (before & O_NONBLOCK)) {
                fcntl((int)fd, F_SETFL, now ^ O_NONBLOCK);
            }
        }
        at += *at == ' ';
    }
}

void qshm__start_restore_limits(void)
{
    const char *text = getenv("QSHM_OPEN_FILES");
    struct rlimit limit;
    uint64_t files;
    if (text != NULL && number_at(text, 10, &files) != NULL && getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        files < limit.rlim_cur) {
        limit.rlim_cur = files;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* --- environment and arguments ------------------------------------------------------------------------------------ */

extern char **environ;

static bool is_own_variable(const char *entry)
{
    static const char *const own[] = {"QSHM_ARGUMENT_",
                                      "QSHM_SIGNALS_IGNORED=", "QSHM_DESCRIPTORS=", "QSHM_OPEN_FILES="};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strncmp(entry, own[i], strlen(own[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* The environment without what the launcher put there. */
char **qshm__start_environment(void)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **copy = malloc((count + 1) * sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; copy != NULL && i < count; i++) {
        if (!is_own_variable(environ[i])) {
            copy[kept++] = environ[i];
        }
    }
    if (copy != NULL) {
        copy[kept] = NULL;
    }
    return copy;
}

static uint32_t append(void *to, uint32_t capacity, uint32_t used, const char *bytes, size_t size)
{
    if (used <= capacity && size <= capacity - used) {
        memcpy((uint8_t *)to + used, bytes, size);
    }
    return used + (uint32_t)size;
}

/* A launcher passes them by the environment to a runtime that does not start with arguments that are not UTF-8. */
static uint32_t arguments_of_environment(void *bytes, uint32_t capacity)
{
    uint32_t used = 0;
    const char *value;
    for (unsigned i = 1;; i++) {
        char name[40];
        snprintf(name, sizeof name, "QSHM_ARGUMENT_%u", i);
        value = getenv(name);
        if (value == NULL) {
            break;
        }
        used = append(bytes, capacity, used, value, strlen(value) + 1);
    }
    return used;
}

int qshm__os_arguments(void *bytes, uint32_t capacity, bool *complete)
{
    *complete = getenv("QSHM_ARGUMENT_1") == NULL;
    if (!*complete) {
        return (int)arguments_of_environment(bytes, capacity);
    }
    QSHM_CALL("open");
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    uint32_t used = 0;
    char part[4096];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) > 0) {
        used = append(bytes, capacity, used, part, (size_t)got);
    }
    close(fd);
    return (int)used;
}
