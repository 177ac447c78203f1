/*
 * exit.c - what the next user is told of the last one: crashed, or left in order; and processes that exit() while
 * others of their threads, or other processes, go on.
 *
 * Invariant: children that are to run the library's destructor call exit(); all others end by a signal.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

/* --- exit() beside a thread that holds the lock ------------------------------------------------------------------- */

enum { ATTACHMENTS = 300, ROUNDS = 10 };

struct writing {
    struct gate locked, ready, leave;
    uint32_t handle;
    uint64_t seen; /* by the next owner, as soon as it had the lock */
};

/* Writes under the lock, and never ends. */
static void *write_on(void *argument)
{
    struct writing *writing = argument;
    _Atomic uint64_t *payload = qshm_payload(writing->handle);
    GT(qshm_try_lock(writing->handle), 0);
    gate_open(&writing->locked);
    for (;;) {
        atomic_fetch_add(payload, 1);
    }
}

static void exit_beside(void *argument)
{
    struct writing *writing = argument;
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    GT(handle, 0);
    writing->handle = (uint32_t)handle;
    for (int i = 1; i < ATTACHMENTS; i++) { /* they take their time to leave */
        char key[16];
        snprintf(key, sizeof key, "other%d", i % 8);
        GT(open_memory(QSHM_CREATE | QSHM_ATTACH, key), 0);
    }
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, write_on, writing), 0);
    gate_pass(&writing->locked);
    gate_open(&writing->ready);
    gate_pass(&writing->leave);
    exit(0);
}

static void take_next(void *argument)
{
    struct writing *writing = argument;
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    GT(handle, 0);
    _Atomic uint64_t *payload = qshm_payload((uint32_t)handle);
    EQ(qshm_wait_lock((uint32_t)handle, HUGE_VAL), 2);
    writing->seen = atomic_load(payload);
    EQ(qshm_unlock((uint32_t)handle), 0);
    EQ(qshm_detach((uint32_t)handle), 1);
}

/* Nobody else gets in before the writer can write no more. */
CASE(exit_beside_an_owner)
{
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    _Atomic uint64_t *payload = qshm_payload((uint32_t)handle);
    struct writing *writing = shared_memory(sizeof *writing);
    for (int round = 0; round < ROUNDS; round++) {
        *writing = (struct writing){.locked = gate_make(), .ready = gate_make(), .leave = gate_make()};
        pid_t writer = spawn(exit_beside, writing);
        gate_pass(&writing->ready);
        pid_t next = spawn(take_next, writing);
        wait_for_system_call(next, SYS_futex);
        gate_open(&writing->leave);
        EQ(wait_exit(writer), 0);
        EQ(wait_exit(next), 0);
        GT(writing->seen, 0);
        EQ(atomic_load(payload), writing->seen);
        gate_close(&writing->locked);
        gate_close(&writing->ready);
        gate_close(&writing->leave);
    }
    EQ(qshm_detach((uint32_t)handle), 1);
    EQ(count_files(), 0);
}

/* --- is the next one told? ---------------------------------------------------------------------------------------- */

enum { LEAVERS = 8, EXITS = 100 };

struct leavers {
    struct gate ready, go;
};

static void exit_in_order(void *argument)
{
    struct leavers *leavers = argument;
    GT(open_memory(QSHM_CREATE | QSHM_ATTACH, "a"), 0);
    EQ(outcome.flags & QSHM_RECOVERED, 0);
    gate_open(&leavers->ready);
    gate_pass(&leavers->go);
    exit(0);
}

/* Many that exit at once contend for the registry lock, and may leave the file behind; but nobody has crashed. */
CASE(exit_of_many_is_no_crash)
{
    struct leavers leavers = {gate_make(), gate_make()};
    for (int round = 0; round < EXITS; round++) {
        pid_t pids[LEAVERS];
        for (int i = 0; i < LEAVERS; i++) {
            pids[i] = spawn(exit_in_order, &leavers);
        }
        for (int i = 0; i < LEAVERS; i++) {
            gate_pass(&leavers.ready);
        }
        for (int i = 0; i < LEAVERS; i++) {
            gate_open(&leavers.go);
        }
        for (int i = 0; i < LEAVERS; i++) {
            EQ(wait_exit(pids[i]), 0);
        }
        int32_t r = open_memory(round % 2 == 0 ? QSHM_CREATE : QSHM_ATTACH, "a");
        EQ(outcome.flags & QSHM_RECOVERED, 0);
        if (r > 0) {
            EQ(qshm_detach((uint32_t)r), 0);
        } else {
            EQ(r, QSHM_E_NOT_FOUND);
        }
        EQ(count_files(), 0);
    }
}

/* A holder that is killed is told of, once, whichever call comes next. */
CASE(exit_by_a_kill_is_told)
{
    for (uint32_t how = QSHM_CREATE; how <= (QSHM_CREATE | QSHM_ATTACH); how++) {
        struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", 0);
        kill_and_wait(holder.pid);
        int32_t r = open_memory(how, "a");
        EQ(outcome.flags & QSHM_RECOVERED, QSHM_RECOVERED);
        if (r > 0) {
            EQ(qshm_detach((uint32_t)r), 0);
        } else {
            EQ(r, QSHM_E_NOT_FOUND);
        }
        r = open_memory(QSHM_CREATE, "a");
        EQ(outcome.flags, QSHM_CREATED);
        EQ(qshm_detach((uint32_t)r), 0);
    }
}

/* One that is killed beside others that leave in order is told of when those are gone. */
CASE(exit_by_a_kill_beside_others)
{
    struct holder first = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", 0);
    struct holder second = holder_start(QSHM_KIND_MEMORY, QSHM_ATTACH, "a", 0);
    kill_and_wait(first.pid);
    kill_and_wait(second.pid);
    int32_t r = open_memory(QSHM_CREATE, "a");
    EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
    EQ(qshm_detach((uint32_t)r), 0);
}

/* --- beside an observer ------------------------------------------------------------------------------------------- */

enum { SOMEBODY = 64321, OTHER = 64322, GROUP = 64400 };

static void become(uid_t user)
{
    gid_t group = GROUP;
    EQ(setgroups(1, &group), 0);
    EQ(setresgid(group, group, group), 0);
    EQ(setresuid(user, user, user), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

struct part {
    struct gate ready, go;
};

static void write_for_a_group(void *argument)
{
    struct part *part = argument;
    become(SOMEBODY);
    int32_t handle = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0640, 4096, "a", 1, NULL, 0, &outcome);
    GT(handle, 0);
    gate_open(&part->ready);
    gate_pass(&part->go);
    EQ(qshm_detach((uint32_t)handle), 0);
}

static void observe(void *argument)
{
    struct part *part = argument;
    become(OTHER);
    int32_t handle = open_memory(QSHM_ATTACH | QSHM_READ_ONLY, "a");
    GT(handle, 0);
    EQ(outcome.flags & QSHM_OBSERVER, QSHM_OBSERVER);
    gate_open(&part->ready);
    gate_pass(&part->go);
    EQ(qshm_detach((uint32_t)handle), 0);
}

struct next {
    uint32_t how;
    int32_t result;
    uint32_t flags;
};

static void open_next(void *argument)
{
    const struct next *next = argument;
    become(SOMEBODY);
    int32_t r = open_memory(next->how, "a");
    EQ(r < 0 ? r : 0, next->result);
    EQ(outcome.flags, next->flags);
    if (r > 0) {
        EQ(qshm_detach((uint32_t)r), 0);
    }
}

static void expect_next(uint32_t how, int32_t result, uint32_t flags)
{
    struct next next = {how, result, flags};
    EQ(wait_exit(spawn(open_next, &next)), 0);
}

static pid_t start_part(void (*body)(void *), struct part *part)
{
    *part = (struct part){gate_make(), gate_make()};
    pid_t pid = spawn(body, part);
    gate_pass(&part->ready);
    return pid;
}

static void need_users(void)
{
    if (geteuid() != 0) {
        runner_skip("needs root, to become other users");
    }
    EQ(chown(runner_directory(), 0, GROUP), 0);
    EQ(chmod(runner_directory(), 0770), 0);
}

/* An observer that leaves last cannot remove the file; the next creator can, and there was no crash. */
CASE(exit_of_an_observer_comes_last)
{
    need_users();
    struct part writer, observer;
    pid_t writing = start_part(write_for_a_group, &writer);
    pid_t observing = start_part(observe, &observer);
    gate_open(&writer.go);
    EQ(wait_exit(writing), 0);
    expect_next(QSHM_CREATE, QSHM_E_ALREADY_EXISTS, 0); /* the observer uses it */
    gate_open(&observer.go);
    EQ(wait_exit(observing), 0);
    CHECK(exists("m-a"));
    expect_next(QSHM_CREATE, 0, QSHM_CREATED);
    EQ(count_files(), 0);
}

/* The writer's crash is told although an observer has kept the file in use. */
CASE(exit_of_a_writer_beside_an_observer)
{
    need_users();
    struct part writer, observer;
    for (int stays = 0; stays < 2; stays++) {
        pid_t writing = start_part(write_for_a_group, &writer);
        pid_t observing = start_part(observe, &observer);
        kill_and_wait(writing);
        if (stays != 0) {
            expect_next(QSHM_ATTACH, 0, QSHM_RECOVERED);
            expect_next(QSHM_ATTACH, 0, 0); /* once */
        }
        gate_open(&observer.go);
        EQ(wait_exit(observing), 0);
        expect_next(QSHM_CREATE, 0, QSHM_CREATED | (stays != 0 ? 0 : QSHM_RECOVERED));
        EQ(count_files(), 0);
    }
}
