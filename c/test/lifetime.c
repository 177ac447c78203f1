/*
 * lifetime.c - the order of the steps in which attachments come and go. In each case one process stands between two
 * steps that must not be the other way round, and another does what would then go wrong.
 *
 * Invariant: the step is found by its name in a rehearsal, so that a new one before it moves nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

int32_t qshm_test_arm(uint32_t step, uint32_t action);
int32_t qshm_test_steps(void *names, uint32_t capacity);

struct stop {
    uint32_t step; /* 0: rehearses, and notes which step bears `name` for the last time */
    const char *name;
};

static void begin(const struct stop *stop)
{
    qshm_test_arm(stop->step, stop->step == 0 ? 0 : 1);
}

static void end(struct stop *stop)
{
    static char names[16384];
    qshm_test_steps(names, sizeof names);
    if (stop->step != 0) {
        return;
    }
    uint32_t number = 1;
    for (char *at = strtok(names, "\n"); at != NULL; at = strtok(NULL, "\n"), number++) {
        stop->step = strcmp(at, stop->name) == 0 ? number : stop->step;
    }
    NE(stop->step, 0);
}

/* Starts `body` in a process, which stops at the last step of this name. */
static pid_t stop_at(const char *name, void (*body)(void *))
{
    struct stop *stop = shared_memory(sizeof *stop);
    stop->name = name;
    EQ(wait_exit(spawn(body, stop)), 0);
    pid_t pid = spawn(body, stop);
    CHECK(wait_stopped(pid));
    return pid;
}

static void go_on(pid_t pid)
{
    EQ(kill(pid, SIGCONT), 0);
    EQ(wait_exit(pid), 0);
}

static void create_over_dead(void *argument)
{
    leave_dead(QSHM_KIND_MEMORY, 0, "a");
    begin(argument);
    int32_t handle = open_memory(QSHM_CREATE, "a");
    end(argument);
    if (handle > 0) {
        EQ(qshm_detach((uint32_t)handle), 0);
    } else {
        EQ(handle, QSHM_E_ALREADY_EXISTS);
    }
}

/* Whoever opened a dead file and came late to R finds another one at its name, and spares it. Sabotage
 * "missing-inode-recheck". */
CASE(create_looks_again_under_r)
{
    pid_t pid = stop_at("opened", create_over_dead);
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
    go_on(pid);
    CHECK(exists("m-a"));
    EQ(qshm_detach((uint32_t)handle), 0);
    EQ(count_files(), 0);
}

static void remove_dead(void *argument)
{
    leave_dead(QSHM_KIND_MEMORY, 0, "a");
    begin(argument);
    int32_t r = remove_name("m-a", false);
    end(argument);
    CHECK(r == 1 || r == QSHM_E_IN_USE);
}

static void create_beside_dead(void *argument)
{
    leave_dead(QSHM_KIND_MEMORY, 0, "a");
    begin(argument);
    int32_t handle = open_memory(QSHM_CREATE, "b");
    end(argument);
    EQ(qshm_detach((uint32_t)handle), 0);
}

/* A process stands before R of a dead file; meanwhile its name has become that of a live one. */
static void name_is_taken_before_r(void (*body)(void *))
{
    pid_t pid = stop_at("fcntl lock", body);
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    go_on(pid);
    CHECK(exists("m-a"));
    EQ(qshm_detach((uint32_t)handle), 0);
    EQ(count_files(), 0);
}

CASE(remove_looks_again_under_r)
{
    name_is_taken_before_r(remove_dead);
}

CASE(sweep_looks_again_under_r)
{
    name_is_taken_before_r(create_beside_dead);
}

static void attach_meanwhile(void *argument)
{
    begin(argument);
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    end(argument);
    if (handle > 0) {
        CHECK(exists("m-a")); /* else each of two processes could have a segment of this name */
        EQ(qshm_detach((uint32_t)handle), 0);
    } else {
        EQ(handle, QSHM_E_NOT_FOUND);
    }
}

/* Whoever attaches holds R until its byte is locked: the last one cannot leave in between and take the file along.
 * Sabotage "id-before-byte". */
CASE(attach_holds_r_until_its_byte)
{
    int32_t last = open_memory(QSHM_CREATE, "a");
    pid_t pid = stop_at("fcntl lock", attach_meanwhile);
    EQ(qshm_detach((uint32_t)last), 0);
    go_on(pid);
    EQ(count_files(), 0);
}

static void detach_last(void *argument)
{
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    begin(argument);
    EQ(qshm_detach((uint32_t)handle), 0);
    end(argument);
}

/* Between the answer "nobody is left" and the unlink nobody can make the name his own. Sabotage
 * "check-outside-registry-lock". */
CASE(detach_holds_r_until_the_name_is_gone)
{
    GT(open_memory(QSHM_CREATE, "warm"), 0); /* the first call of a process takes other steps */
    pid_t pid = stop_at("unlinkat", detach_last);
    int32_t handle = open_memory(QSHM_CREATE, "a");
    go_on(pid);
    if (handle > 0) {
        CHECK(exists("m-a"));
    } else {
        EQ(handle, QSHM_E_BUSY);
        EQ(outcome.pid, pid);
        CHECK(!exists("m-a"));
    }
}

static void detach_as_owner(void *argument)
{
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    GT(qshm_try_lock((uint32_t)handle), 0);
    begin(argument);
    EQ(qshm_detach((uint32_t)handle), 0);
    qshm_test_steps(NULL, 0);
}

/* An owner that detaches in order never looks dead: its byte goes after its id has left the lock's word. Sabotage
 * "byte-before-lock-word". */
CASE(detach_frees_the_lock_before_its_byte)
{
    int32_t keeper = open_memory(QSHM_CREATE, "a");
    GT(keeper, 0);
    struct qshm__control *control = peek("m-a");
    struct stop stop = {.step = 1};
    for (;; stop.step++) {
        pid_t pid = spawn(detach_as_owner, &stop);
        if (!wait_stopped(pid)) {
            break;
        }
        uint32_t owner = word_owner(control->lock);
        CHECK(owner == 0 || range_is_held("m-a", QSHM_RANGE_A + owner, 1));
        go_on(pid);
    }
    GT(stop.step, 5);
    unpeek(control);
}

static void stand_before_exec(void *argument)
{
    gate_pass(argument);
}

/* A forked child that has not yet called exec keeps copies of the descriptors: closing ours frees nothing.
 * Sabotage "close-instead-of-unlock". */
CASE(detach_frees_its_byte_beside_a_fork)
{
    int32_t keeper = open_memory(QSHM_CREATE, "a");
    GT(keeper, 0);
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    uint32_t id = id_of(handle);
    struct gate gate = gate_make();
    pid_t pid = spawn(stand_before_exec, &gate);
    CHECK(range_is_held("m-a", QSHM_RANGE_A + id, 1));
    EQ(qshm_detach((uint32_t)handle), 0);
    CHECK(!range_is_held("m-a", QSHM_RANGE_A + id, 1));
    gate_open(&gate);
    EQ(wait_exit(pid), 0);
}

/* --- R in the hands of somebody who does not give it back ----------------------------------------------------------- */

static int hold_r(void)
{
    int fd = open(path_of("m-a"), O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)QSHM_RANGE_R, .l_len = 1};
    EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

/* Those who leave leave, in order; the file is the next creator's. Sabotage "L1-leaving-waits". */
CASE(leave_ends_while_r_is_held)
{
    int32_t a = open_memory(QSHM_CREATE, "a"), b = open_memory(QSHM_ATTACH, "a");
    int fd = hold_r();
    EQ(qshm_leave((uint32_t)a), 0);
    EQ(qshm_detach((uint32_t)b), 0);
    close(fd);
    CHECK(is_dead("m-a"));
    int32_t next = open_memory(QSHM_CREATE, "a");
    GT(next, 0);
    EQ(outcome.flags, QSHM_CREATED);
}

/* Sabotage "L1-unbounded-for-observers". */
CASE(observers_pass_r_within_a_deadline)
{
    GT(open_memory(QSHM_CREATE, "a"), 0);
    int observing = open(path_of("m-a"), O_RDONLY | O_CLOEXEC);
    struct qshm__failure failure = {0};
    EQ(qshm__registry_pass(observing, now_ms() + 10, &failure), 0);
    int fd = hold_r();
    EQ(qshm__registry_pass(observing, now_ms() + 10, &failure), QSHM_E_BUSY);
    EQ(failure.pid, getpid());
    close(fd);
    EQ(qshm__registry_pass(observing, now_ms() + 10, &failure), 0);
}

/* --- an exit, step by step --------------------------------------------------------------------------------------------- */

struct inside {
    uint32_t handle;
    struct gate locked;
};

static void *stay_inside(void *argument)
{
    struct inside *inside = argument;
    GT(qshm_try_lock(inside->handle), 0);
    gate_open(&inside->locked);
    for (;;) {
        pause();
    }
}

static void exit_stopping(void *argument)
{
    struct inside inside = {(uint32_t)open_memory(QSHM_ATTACH, "a"), gate_make()};
    GT(open_memory(QSHM_CREATE, "b"), 0);
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, stay_inside, &inside), 0);
    gate_pass(&inside.locked);
    begin(argument);
    exit(0);
}

/* As long as a thread may still be inside, nobody else gets in: at no step of the exit. Sabotage
 * "exit-frees-other-threads-locks". */
CASE(exit_keeps_the_locks_of_other_threads)
{
    uint32_t handle = (uint32_t)open_memory(QSHM_CREATE, "a");
    struct stop stop = {.step = 1};
    for (;; stop.step++) {
        pid_t pid = spawn(exit_stopping, &stop);
        if (!wait_stopped(pid)) {
            break;
        }
        EQ(qshm_try_lock(handle), 0);
        go_on(pid);
        EQ(qshm_wait_lock(handle, HUGE_VAL), 2);
        EQ(qshm_unlock(handle), 0);
    }
    GT(stop.step, 5);
}
