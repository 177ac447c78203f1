/*
 * bounds.c - calls that somebody of the same directory could draw out: they end, whatever he does.
 *
 * Invariant: "bounded" means within a watchdog of ten seconds, ten times what the library promises.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum { PATIENCE = 10 };

static void lock_byte(int fd, short type, uint64_t at)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)at, .l_len = 1};
    EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

/* Puts file after file at the name, each with R held; so who waited for the R of one finds another. */
static void hold_r_again_and_again(void *argument)
{
    struct gate *ready = argument;
    static const char *const names[] = {"next0", "next1"};
    int before = -1;
    for (unsigned turn = 0;; turn++) {
        const char *next = names[turn % 2];
        int fd = open(path_of(next), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        GE(fd, 0);
        lock_byte(fd, F_WRLCK, QSHM_RANGE_R);
        char from[512];
        snprintf(from, sizeof from, "%s", path_of(next));
        EQ(rename(from, path_of("m-a")), 0);
        if (before >= 0) {
            close(before);
        } else {
            gate_open(ready);
        }
        before = fd;
    }
}

CASE(bounds_of_a_changing_name)
{
    struct gate ready = gate_make();
    GT(open_memory(QSHM_CREATE, "warm"), 0);
    pid_t pid = spawn(hold_r_again_and_again, &ready);
    gate_pass(&ready);
    static const uint32_t hows[] = {QSHM_ATTACH, QSHM_CREATE, QSHM_CREATE | QSHM_ATTACH, QSHM_ATTACH | QSHM_READ_ONLY};
    int fds = count_fds(), maps = count_maps();
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        runner_watchdog(PATIENCE);
        EQ(open_memory(hows[i], "a"), QSHM_E_BUSY);
    }
    runner_watchdog(PATIENCE);
    EQ(remove_name("m-a", true), QSHM_E_BUSY);
    runner_watchdog(PATIENCE);
    struct qshm_info info;
    int32_t r = inspect_name("m-a", &info);
    CHECK(r > 0 || r == QSHM_E_NOT_FOUND || r == QSHM_E_UNSAFE_FILE); /* replaced while it was looked at */
    runner_watchdog(PATIENCE);
    GT(open_memory(QSHM_CREATE, "b"), 0);
    EQ(count_fds(), fds + 2);
    EQ(count_maps(), maps + 1);
    kill_and_wait(pid);
    GT(open_memory(QSHM_CREATE, "a"), 0);
}

/* One that holds R for good: the same bound, and it is named. */
CASE(bounds_of_a_held_registry_lock)
{
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", 0);
    int fd = open(path_of("m-a"), O_RDWR | O_CLOEXEC);
    lock_byte(fd, F_WRLCK, QSHM_RANGE_R);
    for (uint32_t how = QSHM_CREATE; how <= (QSHM_CREATE | QSHM_ATTACH); how++) {
        runner_watchdog(PATIENCE);
        EQ(open_memory(how, "a"), QSHM_E_BUSY);
        EQ(outcome.pid, getpid());
    }
    close(fd);
    holder_end(&holder);
}

/* Locks that need no more than reading: as many as one likes, each of which looks like an attachment. */
CASE(bounds_of_many_readers_locks)
{
    enum { LOCKS = 5000 };
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    int fd = open(path_of("m-a"), O_RDONLY | O_CLOEXEC);
    GE(fd, 0);
    for (uint64_t i = 0; i < LOCKS; i++) {
        lock_byte(fd, F_RDLCK, QSHM_RANGE_A + 10 + 2 * i); /* apart, or the kernel would merge them */
    }
    static struct {
        struct qshm_info info;
        uint32_t ids[LOCKS];
    } found;
    runner_watchdog(PATIENCE);
    int32_t bytes = qshm_inspect("m-a", 3, NULL, 0, &found, sizeof found, &outcome);
    EQ(bytes, sizeof found.info + QSHM_MOST_LISTED * sizeof(uint32_t));
    EQ(found.info.attached, QSHM_MOST_LISTED);
    EQ(found.info.state, QSHM_LIVE);
    runner_watchdog(PATIENCE);
    EQ(qshm_list(NULL, 0, NULL, 0, &outcome), sizeof "m-a");
    runner_watchdog(PATIENCE);
    EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_ALREADY_EXISTS);
    int32_t second = open_memory(QSHM_ATTACH, "a");
    GT(second, 0);
    EQ(qshm_detach((uint32_t)second), 0);
    EQ(qshm_detach((uint32_t)handle), 0);
    CHECK(exists("m-a"));
    close(fd);
    EQ(remove_name("m-a", false), 1);
}

/* A lock on the whole file, its own range of every kind included. */
CASE(bounds_of_a_lock_on_everything)
{
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    int fd = open(path_of("m-a"), O_RDONLY | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = (off_t)QSHM_RANGE_A};
    EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
    struct qshm_info info;
    runner_watchdog(PATIENCE);
    GT(inspect_name("m-a", &info), 0);
    EQ(open_memory(QSHM_ATTACH, "a"), QSHM_E_BUSY);
    EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_BUSY);
    runner_watchdog(PATIENCE);
    EQ(qshm_detach((uint32_t)handle), 0);
    close(fd);
    EQ(remove_name("m-a", false), 1);
}
