/*
 * threads.c - several threads, each with handles of its own.
 *
 * Invariant: a handle is used by one thread at a time; that is all the library asks for. No case forks, so that the
 * thread sanitizer can watch them all.
 */
#define _GNU_SOURCE
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

enum { THREADS = 8, ROUNDS = 200 };

static void run_threads(void *(*body)(void *), void *arguments, size_t size)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        EQ(pthread_create(&threads[i], NULL, body, (char *)arguments + i * size), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        EQ(pthread_join(threads[i], NULL), 0);
    }
}

struct part {
    int number;
    struct qshm_outcome outcome;
};

static int32_t open_as(struct part *part, uint32_t how, const char *key)
{
    return qshm_open(QSHM_KIND_MEMORY, how, 0, (how & QSHM_CREATE) != 0 ? 4096 : 0, key, (uint32_t)strlen(key), NULL, 0,
                     &part->outcome);
}

static _Atomic int inside;
static _Atomic long turns;

/* All on one name, which comes and goes; one in four rounds in the lock. */
static void *hammer(void *argument)
{
    struct part *part = argument;
    for (int round = 0; round < ROUNDS; round++) {
        int32_t r = open_as(part, QSHM_CREATE | QSHM_ATTACH, "shared");
        GT(r, 0);
        uint32_t handle = (uint32_t)r;
        EQ(qshm_write(handle, 8.0 * part->number, &round, sizeof round), 0);
        int32_t got = round % 4 == 0   ? qshm_wait_lock(handle, HUGE_VAL)
                      : round % 4 == 1 ? qshm_try_lock(handle)
                      : round % 4 == 2 ? qshm_poll_lock(handle)
                                       : qshm_wait_lock(handle, 0.1);
        CHECK(got == 0 || got == 1);
        EQ(qshm_cancel_lock(handle), 0);
        if (got > 0) {
            turns++;
            EQ(qshm_unlock(handle), 0);
        }
        EQ(qshm_detach(handle), 0);
    }
    return NULL;
}

CASE(threads_hammer)
{
    static struct part parts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        parts[i].number = i;
    }
    run_threads(hammer, parts, sizeof *parts);
    GT(turns, 0);
    EQ(count_files(), 0);
    EQ(count_maps(), 0);
}

static long counter; /* plain: only the lock of the segment guards it */

static void *count_up(void *argument)
{
    struct part *part = argument;
    int32_t r = open_as(part, QSHM_ATTACH, "guard");
    GT(r, 0);
    for (int round = 0; round < ROUNDS; round++) {
        EQ(qshm_wait_lock((uint32_t)r, HUGE_VAL), 1);
        EQ(atomic_fetch_add(&inside, 1), 0);
        counter++;
        EQ(atomic_fetch_sub(&inside, 1), 1);
        EQ(qshm_unlock((uint32_t)r), 0);
    }
    EQ(qshm_detach((uint32_t)r), 0);
    return NULL;
}

CASE(threads_lock_excludes)
{
    static struct part parts[THREADS];
    int32_t keeper = open_memory(QSHM_CREATE, "guard");
    GT(keeper, 0);
    run_threads(count_up, parts, sizeof *parts);
    EQ(counter, THREADS * ROUNDS);
    EQ(qshm_detach((uint32_t)keeper), 0);
}

/* Handles that were opened by one thread and are used by others, one thread each. */
struct given {
    uint32_t handle;
    pthread_barrier_t *held, *tried;
    int32_t result;
};

static void *hold_given(void *argument)
{
    struct given *given = argument;
    given->result = qshm_wait_lock(given->handle, HUGE_VAL);
    pthread_barrier_wait(given->held);
    pthread_barrier_wait(given->tried);
    EQ(qshm_unlock(given->handle), 0);
    return NULL;
}

static void *wait_given(void *argument)
{
    struct given *given = argument;
    pthread_barrier_wait(given->held);
    given->result = qshm_wait_lock(given->handle, 20);
    pthread_barrier_wait(given->tried);
    return NULL;
}

/* The owner runs in another thread than the one that waits: no deadlock, whoever opened the two handles. */
CASE(threads_deadlock_is_of_the_calling_thread)
{
    pthread_barrier_t held, tried;
    pthread_barrier_init(&held, NULL, 2);
    pthread_barrier_init(&tried, NULL, 2);
    struct given owner = {.handle = (uint32_t)open_memory(QSHM_CREATE, "a"), .held = &held, .tried = &tried};
    struct given waiter = {.handle = (uint32_t)open_memory(QSHM_ATTACH, "a"), .held = &held, .tried = &tried};
    pthread_t threads[2];
    EQ(pthread_create(&threads[0], NULL, hold_given, &owner), 0);
    EQ(pthread_create(&threads[1], NULL, wait_given, &waiter), 0);
    EQ(pthread_join(threads[0], NULL), 0);
    EQ(pthread_join(threads[1], NULL), 0);
    EQ(owner.result, 1);
    EQ(waiter.result, 0); /* time is up */
}

/* And the other way round: opened by two threads, used by one. */
static void *open_given(void *argument)
{
    struct part *part = argument;
    part->number = open_as(part, QSHM_ATTACH, "a");
    return NULL;
}

CASE(threads_deadlock_of_handles_from_elsewhere)
{
    static struct part part;
    int32_t a = open_memory(QSHM_CREATE, "a");
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, open_given, &part), 0);
    EQ(pthread_join(thread, NULL), 0);
    GT(part.number, 0);
    EQ(qshm_try_lock((uint32_t)part.number), 1);
    EQ(qshm_wait_lock((uint32_t)a, 2000), QSHM_E_DEADLOCK);
}

/* --- a guard ------------------------------------------------------------------------------------------------------ */

static _Atomic int guarding;

static int32_t join_guard(struct part *part)
{
    return qshm_open(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, 0, "guard", 5, NULL, 0, &part->outcome);
}

static void *stand_for_it(void *argument)
{
    struct part *part = argument;
    for (int round = 0; round < ROUNDS; round++) {
        int32_t r = join_guard(part);
        GT(r, 0);
        uint32_t handle = (uint32_t)r;
        r = qshm_elect(handle, round % 2 == 0 ? 0 : 1000, "body", 4, LARGEST_MESSAGE, &part->outcome);
        CHECK(r == 0 || r == 1);
        EQ(qshm_is_lost(handle), 0);
        if (r == 1) {
            EQ(part->outcome.flags, 0); /* nobody crashes */
            EQ(atomic_fetch_add(&guarding, 1), 0);
            turns++;
            EQ(atomic_fetch_sub(&guarding, 1), 1);
        }
        EQ(qshm_detach(handle), 0);
    }
    return NULL;
}

CASE(threads_guard_is_one)
{
    static struct part parts[THREADS];
    run_threads(stand_for_it, parts, sizeof *parts);
    GT(turns, 0);
    EQ(count_files(), 0);
    EQ(count_maps(), 0);
}

struct standing {
    struct part part;
    pthread_barrier_t *joined;
};

static void *stand_once(void *argument)
{
    struct standing *standing = argument;
    int32_t r = join_guard(&standing->part);
    GT(r, 0);
    pthread_barrier_wait(standing->joined);
    EQ(qshm_elect((uint32_t)r, 0, "body", 4, LARGEST_MESSAGE, &standing->part.outcome), 1);
    for (;;) {
        pause();
    }
    return NULL;
}

/* The library's destructor looks at what another thread guards, or is just about to. Nothing but the kernel's word for
 * P goes between the two. (For the thread sanitizer.) */
CASE(threads_guard_beside_an_exit)
{
    static struct standing standing;
    static pthread_barrier_t joined;
    EQ(pthread_barrier_init(&joined, NULL, 2), 0);
    standing.joined = &joined;
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, stand_once, &standing), 0);
    pthread_barrier_wait(&joined);
    while (!range_is_held("i-guard", QSHM_RANGE_P, 1)) {
    }
    exit(0);
}

/* --- values, permits and changes ---------------------------------------------------------------------------------- */

static int32_t join_value(struct part *part)
{
    return qshm_open_value(QSHM_CREATE | QSHM_ATTACH, 0, 512, "value", 5, NULL, 0, "", 0, &part->outcome);
}

/* Half of them write, half of them read: every value is whole. */
static void *use_value(void *argument)
{
    struct part *part = argument;
    int32_t handle = join_value(part);
    GT(handle, 0);
    struct {
        struct qshm_value header;
        uint8_t bytes[512];
    } seen;
    uint8_t bytes[512];
    double sequence = 0;
    for (int round = 0; round < 10 * ROUNDS; round++) {
        if (part->number % 2 == 0) {
            size_t size = (size_t)(round * 7 % 512) + 1;
            memset(bytes, part->number + (int)size, size);
            EQ(qshm_value_set(handle, bytes, (double)size, -1), 1);
        } else {
            GE(qshm_value_get(handle, &seen, sizeof seen), sizeof seen.header);
            GE(seen.header.sequence, sequence);
            sequence = seen.header.sequence;
            for (size_t i = 1; i < (size_t)seen.header.size; i++) {
                EQ(seen.bytes[i], seen.bytes[0]);
            }
        }
    }
    EQ(qshm_detach((uint32_t)handle), 0);
    return NULL;
}

CASE(threads_value_is_whole)
{
    static struct part parts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        parts[i].number = i;
    }
    int32_t keeper = join_value(&parts[0]);
    GT(keeper, 0);
    run_threads(use_value, parts, sizeof *parts);
    EQ(qshm_value_sequence(keeper), THREADS / 2 * 10 * ROUNDS);
    EQ(qshm_detach((uint32_t)keeper), 0);
    EQ(count_files(), 0);
}

enum { PERMITS = 3 };
static _Atomic int in_use;

static int32_t join_semaphore(struct part *part)
{
    return qshm_open_semaphore(QSHM_CREATE | QSHM_ATTACH, 0, PERMITS, 100, "permits", 7, NULL, 0, &part->outcome);
}

static void *use_permits(void *argument)
{
    struct part *part = argument;
    for (int round = 0; round < ROUNDS / 2; round++) {
        int32_t handle = join_semaphore(part);
        GT(handle, 0);
        int count = 1 + (round + part->number) % PERMITS;
        int32_t r;
        while ((r = qshm_acquire(handle, count, round % 3 != 0)) == 0) {
            sched_yield();
        }
        EQ(r, 1);
        LE(atomic_fetch_add(&in_use, count) + count, PERMITS);
        GE(qshm_available(handle), 0);
        atomic_fetch_sub(&in_use, count);
        if (round % 4 == 0) {
            EQ(qshm_consume(handle, 1), 0);
            EQ(qshm_post(handle, 1), 0);
        } else if (round % 4 == 1) {
            EQ(qshm_give_back(handle, 1), 0);
        }
        EQ(qshm_detach((uint32_t)handle), 0); /* gives the others back */
    }
    return NULL;
}

CASE(threads_permits_are_conserved)
{
    static struct part parts[THREADS];
    for (int i = 0; i < THREADS; i++) {
        parts[i].number = i;
    }
    int32_t keeper = join_semaphore(&parts[0]);
    GT(keeper, 0);
    run_threads(use_permits, parts, sizeof *parts);
    EQ(qshm_available(keeper), PERMITS);
    EQ(qshm_acquire(keeper, PERMITS, 0), 1);
    EQ(qshm_detach((uint32_t)keeper), 0);
    EQ(count_files(), 0);
}

static _Atomic int publishing;

/* Three publish, the others wait for it, by a bell or asleep. */
static void *wait_for_changes(void *argument)
{
    struct part *part = argument;
    int32_t handle = open_as(part, QSHM_ATTACH, "change");
    GT(handle, 0);
    if (part->number < 3) {
        for (int round = 0; round < 2 * ROUNDS; round++) {
            EQ(qshm_notify(handle), 0);
            if (round % 16 == 0) {
                sched_yield();
            }
        }
        publishing--;
        EQ(qshm_notify(handle), 0);
    } else {
        int fd = part->number % 2 == 0 ? qshm_bell_open((uint32_t)handle, QSHM_BELL_FIFO, &part->outcome) : -1;
        for (bool last = false; !last;) {
            int32_t seen = qshm_revision(handle);
            last = publishing == 0;
            if (!last && fd < 0) {
                qshm_wait_change(handle, seen, HUGE_VAL);
            } else if (!last && qshm_expect_change(handle, seen) == 0) {
                struct pollfd poller = {.fd = fd, .events = POLLIN};
                EQ(poll(&poller, 1, -1), 1);
                char bytes[64];
                GT(read(fd, bytes, sizeof bytes), 0);
            }
        }
        if (fd >= 0) {
            EQ(qshm_bell_close((uint32_t)handle), 0);
            close(fd);
        }
    }
    EQ(qshm_detach((uint32_t)handle), 0);
    return NULL;
}

CASE(threads_changes_are_heard)
{
    static struct part parts[THREADS];
    publishing = 3;
    for (int i = 0; i < THREADS; i++) {
        parts[i].number = i;
    }
    int32_t keeper = open_memory(QSHM_CREATE, "change");
    GT(keeper, 0);
    run_threads(wait_for_changes, parts, sizeof *parts);
    EQ(qshm_revision(keeper), 3 * (2 * ROUNDS + 1));
    EQ(qshm_detach((uint32_t)keeper), 0);
    EQ(count_files(), 0);
}
