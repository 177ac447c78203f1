/*
 * semaphore.c - permits: all or none, in turn, and each comes back exactly once.
 *
 * Invariants: what is checked is the sum. The permits that are free, and those that the living hold, are as many as there
 * should be, after whatever was stopped or killed at whatever step. Nothing here waits by a clock but where 20 ms are
 * the rule itself.
 */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

enum { TOTAL = 5, PATIENCE = 10, MOST = 0x7fffffff };

static int32_t open_semaphore(uint32_t how, double initial, double max)
{
    return qshm_open_semaphore(how, 0, initial, max, "permits", 7, NULL, 0, &outcome);
}

static uint32_t make_of(double initial, double max)
{
    int32_t handle = open_semaphore(QSHM_CREATE | QSHM_ATTACH, initial, max);
    GT(handle, 0);
    return (uint32_t)handle;
}

static uint32_t make(void)
{
    return make_of(TOTAL, MOST);
}

static struct qshm__control *control_of(uint32_t handle)
{
    return qshm__handle_find(handle)->control;
}

static struct qshm__semaphore_part *part_of(uint32_t handle)
{
    return (struct qshm__semaphore_part *)(control_of(handle) + 1);
}

/* As one that waits does: looks again and again until it is served. */
static void acquire_in_turn(uint32_t handle, double count)
{
    int32_t r;
    while ((r = qshm_acquire(handle, count, 1)) == 0) {
        sched_yield();
    }
    EQ(r, 1);
}

static int tickets_of(uint32_t handle)
{
    int count = 0;
    for (int i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        count += part_of(handle)->ticket[i].claim != 0;
    }
    return count;
}

static int records_of(uint32_t handle)
{
    int count = 0;
    for (int i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        count += part_of(handle)->record[i] != 0;
    }
    return count;
}

/* All that there are can be had at once: nothing was lost, and nothing came twice. */
static void expect_permits(uint32_t handle, uint32_t count)
{
    EQ(qshm_available(handle), count);
    if (count > 0) {
        acquire_in_turn(handle, count);
        EQ(qshm_acquire(handle, 1, 0), 0);
        EQ(qshm_give_back(handle, count), 0);
    } else {
        EQ(qshm_acquire(handle, 1, 0), 0);
    }
    EQ(records_of(handle), 0);
}

/* --- one at a time ------------------------------------------------------------------------------------------------ */

CASE(semaphore_all_or_none)
{
    uint32_t a = make(), b = make();
    EQ(qshm_available(a), TOTAL);
    EQ(qshm_permits_max(a), MOST);
    EQ(qshm_acquire(a, 3, 0), 1);
    EQ(qshm_available(b), 2);
    EQ(qshm_acquire(b, 3, 0), 0);
    EQ(qshm_available(b), 2);
    EQ(qshm_acquire(b, 2, 0), 1);
    EQ(qshm_acquire(b, 1, 0), 0);
    EQ(qshm_acquire(a, 1, 0), 0);
    EQ(qshm_give_back(a, 1), 0);
    EQ(qshm_acquire(b, 1, 0), 1); /* to those it has */
    EQ(qshm_give_back(b, 4), QSHM_E_ARGUMENT);
    EQ(qshm_give_back(b, 3), 0);
    EQ(qshm_give_back(b, 1), QSHM_E_ARGUMENT);
    EQ(qshm_give_back(a, 2), 0);
    EQ(qshm_consume(a, 1), QSHM_E_ARGUMENT);
    expect_permits(b, TOTAL);
}

CASE(semaphore_consume_and_post)
{
    uint32_t a = make_of(2, 4), b = make_of(9, 9);
    EQ(qshm_permits_max(b), 4); /* one that exists keeps its own */
    EQ(qshm_available(b), 2);
    EQ(qshm_acquire(a, 2, 0), 1);
    EQ(qshm_consume(a, 3), QSHM_E_ARGUMENT);
    EQ(qshm_consume(a, 1), 0);
    EQ(qshm_give_back(a, 2), QSHM_E_ARGUMENT);
    EQ(qshm_give_back(a, 1), 0);
    expect_permits(b, 1);
    EQ(qshm_post(b, 4), QSHM_E_ARGUMENT);
    EQ(qshm_available(a), 1);
    EQ(qshm_post(b, 3), 0);
    EQ(qshm_post(b, 1), QSHM_E_ARGUMENT);
    EQ(qshm_acquire(a, 4, 0), 1);
    EQ(qshm_post(b, 1), QSHM_E_ARGUMENT); /* those that are held are there */
    EQ(qshm_consume(a, 4), 0);
    expect_permits(b, 0);
    EQ(qshm_post(b, 4), 0);
    expect_permits(b, 4);
    /* What was posted stays when the one that posted ends; what was consumed is gone. */
    EQ(qshm_detach(b), 0);
    expect_permits(a, 4);
}

CASE(semaphore_arguments)
{
    EQ(open_semaphore(QSHM_CREATE, 2, 1), QSHM_E_ARGUMENT);
    EQ(open_semaphore(QSHM_CREATE, 0, 0), QSHM_E_ARGUMENT);
    EQ(open_semaphore(QSHM_CREATE, -1, 1), QSHM_E_ARGUMENT);
    EQ(open_semaphore(QSHM_CREATE, 1, 2147483648.0), QSHM_E_ARGUMENT);
    EQ(open_semaphore(QSHM_CREATE, NAN, 1), QSHM_E_ARGUMENT);
    uint32_t a = make_of(MOST, MOST);
    static const double wrong[] = {0, -1, 0.5, 2147483648.0, 1e300, NAN, HUGE_VAL};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EQ(qshm_acquire(a, wrong[i], 0), QSHM_E_ARGUMENT);
        EQ(qshm_acquire(a, wrong[i], 1), QSHM_E_ARGUMENT);
        EQ(qshm_give_back(a, wrong[i]), QSHM_E_ARGUMENT);
        EQ(qshm_consume(a, wrong[i]), QSHM_E_ARGUMENT);
        EQ(qshm_post(a, wrong[i]), QSHM_E_ARGUMENT);
    }
    EQ(qshm_post(a, 1), QSHM_E_ARGUMENT);
    EQ(qshm_acquire(a, MOST, 0), 1);
    EQ(qshm_available(a), 0);
    EQ(qshm_acquire(a, 1, 0), 0);
    EQ(qshm_give_back(a, MOST), 0);
    EQ(qshm_available(a), MOST);
    int32_t memory = open_memory(QSHM_CREATE, "memory");
    GT(memory, 0);
    EQ(qshm_acquire(memory, 1, 0), QSHM_E_ARGUMENT);
    EQ(qshm_withdraw(memory), QSHM_E_ARGUMENT);
    EQ(qshm_give_back(memory, 1), QSHM_E_ARGUMENT);
    EQ(qshm_consume(memory, 1), QSHM_E_ARGUMENT);
    EQ(qshm_post(memory, 1), QSHM_E_ARGUMENT);
    EQ(qshm_available(memory), QSHM_E_ARGUMENT);
    EQ(qshm_permits_max(memory), QSHM_E_ARGUMENT);
    EQ(qshm_acquire(0, 1, 0), QSHM_E_HANDLE);
    EQ(qshm_available(0), QSHM_E_HANDLE);
}

CASE(semaphore_detach_gives_back)
{
    uint32_t a = make();
    for (int way = 0; way < 2; way++) {
        uint32_t b = make(), c = make();
        EQ(qshm_acquire(b, 4, 0), 1);
        EQ(qshm_acquire(c, 2, 1), 0);
        EQ(tickets_of(a), 1);
        EQ(way == 0 ? qshm_detach(b) : qshm_leave(b), 0);
        EQ(qshm_available(a), TOTAL);
        EQ(way == 0 ? qshm_detach(c) : qshm_leave(c), 0);
        EQ(tickets_of(a), 0);
        expect_permits(a, TOTAL);
    }
    EQ(qshm_detach(a), 0);
    EQ(count_files(), 0);
}

CASE(semaphore_persists)
{
    int32_t a = open_semaphore(QSHM_CREATE | QSHM_PERSISTENT, TOTAL, MOST);
    GT(a, 0);
    EQ(qshm_acquire(a, 2, 0), 1);
    EQ(qshm_consume(a, 1), 0);
    EQ(qshm_post(a, 3), 0);
    EQ(qshm_detach((uint32_t)a), 0);
    a = open_semaphore(QSHM_ATTACH, 0, 1);
    GT(a, 0);
    expect_permits((uint32_t)a, TOTAL + 2);
}

/* Whatever makes permits free rings those who wait; so does whatever makes the next one in the queue the first. */
CASE(semaphore_rings_those_who_wait)
{
    uint32_t a = make_of(2, 9), b = make_of(2, 9), c = make_of(2, 9);
    int fd = qshm_bell_open(b, QSHM_BELL_FIFO, &outcome);
    GE(fd, 0);
    char bytes[16];
    EQ(qshm_acquire(a, 2, 0), 1);
    for (int way = 0; way < 5; way++) {
        uint32_t d = make_of(2, 9);
        if (way >= 3) {
            EQ(qshm_acquire(d, 2, 1), 0);
        }
        EQ(qshm_expect_change(b, qshm_revision(b)), 0);
        EQ(qshm_acquire(b, 1, 1), 0);
        while (read(fd, bytes, sizeof bytes) > 0) { /* asking has rung it as well */
            EQ(qshm_expect_change(b, qshm_revision(b)), 0);
        }
        EQ(way == 0   ? qshm_give_back(a, 1)
           : way == 1 ? qshm_post(c, 1)
           : way == 2 ? qshm_detach(d)
           : way == 3 ? qshm_withdraw(d)
                      : qshm_detach(d),
           0);
        EQ(read(fd, bytes, sizeof bytes), way == 2 ? -1 : 1); /* one that had nothing changes nothing */
        if (way < 2) {
            EQ(qshm_acquire(b, 1, 1), 1);
            EQ(qshm_give_back(b, 1), 0);
            EQ(way == 0 ? qshm_acquire(a, 1, 0) : qshm_acquire(c, 1, 0), 1);
        } else {
            EQ(qshm_withdraw(b), 0);
        }
        if (way != 2 && way != 4) {
            EQ(qshm_detach(d), 0);
        }
    }
    /* The first in the queue takes, and what is left is enough for the next. */
    uint32_t e = make_of(2, 9);
    EQ(qshm_acquire(e, 1, 1), 0);
    EQ(qshm_acquire(b, 1, 1), 0);
    EQ(qshm_give_back(a, 2), 0);
    EQ(qshm_acquire(b, 1, 1), 0); /* not yet its turn */
    EQ(qshm_expect_change(b, qshm_revision(b)), 0);
    while (read(fd, bytes, sizeof bytes) > 0) {
        EQ(qshm_expect_change(b, qshm_revision(b)), 0);
    }
    EQ(qshm_acquire(e, 1, 1), 1);
    EQ(read(fd, bytes, sizeof bytes), 1);
    EQ(qshm_acquire(b, 1, 1), 1);
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

CASE(semaphore_queue_is_in_order)
{
    enum { QUEUED = 4 };
    uint32_t a = make_of(1, 9), queued[QUEUED];
    EQ(qshm_acquire(a, 1, 0), 1);
    for (int i = 0; i < QUEUED; i++) {
        queued[i] = make_of(1, 9);
        EQ(qshm_acquire(queued[i], 1, 1), 0);
        EQ(qshm_acquire(queued[i], 1, 1), 0); /* its place stays */
    }
    EQ(tickets_of(a), QUEUED);
    EQ(qshm_give_back(a, 1), 0);
    EQ(qshm_acquire(a, 1, 0), 0); /* nor past them */
    for (int i = 0; i < QUEUED; i++) {
        for (int j = QUEUED - 1; j > i; j--) {
            EQ(qshm_acquire(queued[j], 1, 1), 0);
        }
        EQ(qshm_acquire(queued[i], 1, 1), 1);
        EQ(tickets_of(a), QUEUED - i - 1);
        EQ(qshm_give_back(queued[i], 1), 0);
    }
    EQ(qshm_acquire(a, 1, 0), 1);
}

CASE(semaphore_withdraw)
{
    uint32_t a = make_of(1, 9), b = make_of(1, 9), c = make_of(1, 9);
    EQ(qshm_withdraw(a), 0); /* nothing to withdraw */
    EQ(qshm_acquire(a, 1, 0), 1);
    EQ(qshm_acquire(b, 1, 1), 0);
    EQ(qshm_acquire(c, 1, 1), 0);
    EQ(qshm_withdraw(b), 0);
    EQ(qshm_withdraw(b), 0);
    EQ(qshm_give_back(a, 1), 0);
    EQ(qshm_acquire(b, 1, 1), 0); /* behind c now */
    EQ(qshm_acquire(c, 1, 1), 1);
}

static void take_and_return_for_ever(void *argument)
{
    (void)argument;
    uint32_t handle = make();
    for (;;) {
        acquire_in_turn(handle, 1);
        sched_yield();
        EQ(qshm_give_back(handle, 1), 0);
    }
}

/* One that wants all gets all, beside many that want one each and always have some. */
CASE(semaphore_large_request_is_served)
{
    enum { SMALL = 4 };
    uint32_t a = make();
    pid_t pids[SMALL];
    for (int i = 0; i < SMALL; i++) {
        pids[i] = spawn(take_and_return_for_ever, NULL);
    }
    for (int turn = 0; turn < 50; turn++) {
        acquire_in_turn(a, TOTAL);
        EQ(qshm_available(a), 0);
        EQ(qshm_give_back(a, TOTAL), 0);
    }
    for (int i = 0; i < SMALL; i++) {
        kill_and_wait(pids[i]);
    }
    /* The same, without luck: it is first, and nobody takes what it waits for. */
    uint32_t b = make(), c = make();
    EQ(qshm_acquire(b, 1, 0), 1);
    EQ(qshm_acquire(a, TOTAL, 1), 0);
    EQ(tickets_of(a), 1);
    EQ(qshm_acquire(c, 1, 0), 0);
    EQ(qshm_acquire(c, 1, 1), 0);
    EQ(qshm_give_back(b, 1), 0);
    EQ(qshm_acquire(c, 1, 1), 0);
    EQ(qshm_acquire(a, TOTAL, 1), 1);
}

struct queued {
    struct gate ready;
    double count;
};

static void queue_up_and_stay(void *argument)
{
    struct queued *queued = argument;
    uint32_t handle = make();
    EQ(qshm_acquire(handle, queued->count, 1), 0);
    gate_open(&queued->ready);
    pause();
}

static pid_t queued_start(double count)
{
    struct queued queued = {.ready = gate_make(), .count = count};
    pid_t pid = spawn(queue_up_and_stay, &queued);
    gate_pass(&queued.ready);
    gate_close(&queued.ready);
    return pid;
}

/* The first in the queue does not ask any more: after 20 ms in which it could have taken, it is passed over. */
CASE(semaphore_stopped_waiter_is_passed_over)
{
    uint32_t a = make(), b = make();
    EQ(qshm_acquire(a, TOTAL, 0), 1);
    pid_t first = queued_start(2);
    EQ(kill(first, SIGSTOP), 0);
    CHECK(wait_stopped(first));
    EQ(qshm_acquire(b, 1, 1), 0);
    EQ(qshm_give_back(a, 1), 0);
    double end = now_ms() + 60;
    while (now_ms() < end) { /* what it waits for is not there: it keeps its place */
        EQ(qshm_acquire(b, 1, 1), 0);
    }
    EQ(qshm_give_back(a, 2), 0);
    acquire_in_turn(b, 1);
    EQ(tickets_of(a), 1); /* and has it still */
    kill_and_wait(first);
    EQ(qshm_give_back(b, 1), 0);
    EQ(qshm_give_back(a, 2), 0);
    expect_permits(b, TOTAL);
    EQ(tickets_of(a), 0);
}

/* What the first one waits for never comes, and it does not ask any more: after a second its place is another's. */
CASE(semaphore_stopped_ticket_blocks_nobody)
{
    uint32_t a = make(), b = make();
    EQ(qshm_acquire(a, TOTAL, 0), 1);
    pid_t first = queued_start(TOTAL);
    EQ(kill(first, SIGSTOP), 0);
    CHECK(wait_stopped(first));
    EQ(qshm_give_back(a, 1), 0);
    EQ(qshm_acquire(b, 1, 1), 0);
    acquire_in_turn(b, 1);
    EQ(tickets_of(a), 0);
    kill_and_wait(first);
}

/* One that is stopped is passed over; another that waits for more than there is, and lives, is not. */
CASE(semaphore_stopped_waiter_before_a_large_request)
{
    uint32_t a = make_of(2, 9), b = make_of(2, 9), c = make_of(2, 9);
    EQ(qshm_acquire(a, 2, 0), 1);
    pid_t first = queued_start(1);
    EQ(kill(first, SIGSTOP), 0);
    CHECK(wait_stopped(first));
    EQ(qshm_acquire(b, 2, 1), 0);
    EQ(qshm_acquire(c, 1, 1), 0);
    EQ(qshm_give_back(a, 1), 0);
    double end = now_ms() + 80;
    while (now_ms() < end) {
        EQ(qshm_acquire(b, 2, 1), 0);
        EQ(qshm_acquire(c, 1, 1), 0); /* b is before it, and waits for what would be gone */
    }
    EQ(qshm_give_back(a, 1), 0);
    acquire_in_turn(b, 2);
    kill_and_wait(first);
}

/* Killed in the queue: its place is gone at once. */
CASE(semaphore_dead_waiter_makes_room)
{
    uint32_t a = make(), b = make();
    EQ(qshm_acquire(a, TOTAL, 0), 1);
    pid_t first = queued_start(TOTAL);
    EQ(qshm_acquire(b, 1, 1), 0);
    EQ(qshm_give_back(a, 1), 0);
    EQ(qshm_acquire(b, 1, 1), 0);
    kill_and_wait(first);
    EQ(qshm_acquire(b, 1, 1), 1);
    EQ(tickets_of(a), 0);
}

/* --- 256 at once -------------------------------------------------------------------------------------------------- */

struct crowd {
    struct gate ready;
    int size;
};

static void hold_one_each(void *argument)
{
    struct crowd *crowd = argument;
    for (int i = 0; i < crowd->size; i++) {
        EQ(qshm_acquire(make_of(1000, 1000), 1, 0), 1);
    }
    gate_open(&crowd->ready);
    pause();
}

CASE(semaphore_records_are_full)
{
    enum { DEAD = 10 };
    uint32_t a = make_of(1000, 1000), b = make_of(1000, 1000);
    struct crowd crowd = {.ready = gate_make(), .size = DEAD};
    pid_t pid = spawn(hold_one_each, &crowd);
    gate_pass(&crowd.ready);
    for (int i = 0; i < QSHM_PERMIT_RECORDS - DEAD; i++) {
        EQ(qshm_acquire(i == 0 ? a : make_of(1000, 1000), 1, 0), 1);
    }
    EQ(records_of(a), QSHM_PERMIT_RECORDS);
    EQ(qshm_acquire(b, 1, 0), QSHM_E_RESOURCES);
    EQ(qshm_acquire(b, 1, 1), QSHM_E_RESOURCES);
    EQ(tickets_of(a), 0);
    EQ(qshm_acquire(a, 1, 0), 1); /* who has one, has its record */
    EQ(qshm_available(b), 1000 - QSHM_PERMIT_RECORDS - 1);
    kill_and_wait(pid);
    EQ(qshm_acquire(b, 1, 0), 1);
    EQ(records_of(a), QSHM_PERMIT_RECORDS - DEAD + 1);
    EQ(qshm_available(b), 1000 - (QSHM_PERMIT_RECORDS - DEAD) - 2);
}

CASE(semaphore_tickets_are_full)
{
    uint32_t a = make_of(1, 9), b = make_of(1, 9), first = 0;
    EQ(qshm_acquire(a, 1, 0), 1);
    pid_t pid = queued_start(1);
    for (int i = 0; i < QSHM_PERMIT_RECORDS - 1; i++) {
        uint32_t queued = make_of(1, 9);
        first = i == 0 ? queued : first;
        EQ(qshm_acquire(queued, 1, 1), 0);
    }
    EQ(tickets_of(a), QSHM_PERMIT_RECORDS);
    EQ(qshm_acquire(b, 1, 1), QSHM_E_RESOURCES);
    EQ(qshm_acquire(b, 1, 0), 0);
    kill_and_wait(pid);
    EQ(qshm_acquire(b, 1, 1), 0);
    EQ(qshm_give_back(a, 1), 0);
    EQ(qshm_acquire(first, 1, 1), 1);
}

/* --- stopped and killed ------------------------------------------------------------------------------------------- */

/* One thing that a process does, holding HELD of the TOTAL permits, or none. */
enum { HELD = 2 };
enum deed { TAKE, QUEUE, TAKE_IN_TURN, RETURN, CONSUME, POST, WITHDRAW, DETACH, LEAVE, DEEDS };

struct acting {
    struct stepper *stepper;
    enum deed deed;
};

static bool holds(enum deed deed)
{
    return deed == RETURN || deed == CONSUME || deed == DETACH || deed == LEAVE;
}

static void act(void *argument)
{
    const struct acting *acting = argument;
    uint32_t handle = make();
    if (holds(acting->deed)) {
        EQ(qshm_acquire(handle, HELD, 0), 1);
    }
    if (acting->deed == WITHDRAW || acting->deed == TAKE_IN_TURN) { /* is queued: there are not so many */
        EQ(qshm_acquire(handle, 99, 1), 0);
    }
    stepper_begin(acting->stepper);
    switch (acting->deed) {
    case TAKE:
        EQ(qshm_acquire(handle, HELD, 0), 1);
        break;
    case QUEUE:
        EQ(qshm_acquire(handle, 99, 1), 0);
        break;
    case TAKE_IN_TURN:
        EQ(qshm_acquire(handle, HELD, 1), 1);
        break;
    case RETURN:
        EQ(qshm_give_back(handle, 1), 0);
        break;
    case CONSUME:
        EQ(qshm_consume(handle, 1), 0);
        break;
    case POST:
        EQ(qshm_post(handle, 1), 0);
        break;
    case WITHDRAW:
        EQ(qshm_withdraw(handle), 0);
        break;
    case DETACH:
        EQ(qshm_detach(handle), 0);
        break;
    default:
        EQ(qshm_leave(handle), 0);
    }
    stepper_end();
}

/* What the deed changes for good, be it cut short at any of its steps. */
static int gained(enum deed deed)
{
    return deed == CONSUME ? -1 : deed == POST ? 1 : 0;
}

/* Makes them as many as they were. */
static void make_up_for(uint32_t handle, int32_t gain)
{
    if (gain < 0) {
        EQ(qshm_post(handle, -gain), 0);
    } else if (gain > 0) {
        EQ(qshm_acquire(handle, gain, 0), 1);
        EQ(qshm_consume(handle, gain), 0);
    }
}

CASE(semaphore_taker_is_killed_anywhere)
{
    uint32_t a = make();
    int deaths = 0;
    for (enum deed deed = TAKE; deed < DEEDS; deed++) {
        bool ended = false;
        for (int step = 1; !ended; step++) {
            struct acting acting = {.stepper = stepper_make(), .deed = deed};
            pid_t pid = spawn(act, &acting);
            for (int n = 0; n < step && !ended; n++) {
                ended = !step_on(acting.stepper, pid);
            }
            if (!ended) {
                kill_and_wait(pid);
                deaths++;
            }
            expect_permits(a, (uint32_t)(TOTAL + gained(deed)));
            EQ(tickets_of(a), 0);
            make_up_for(a, gained(deed));
        }
    }
    runner_note("%d deaths", deaths);
    GT(deaths, 2 * DEEDS);
}

/* The same for one that is stopped: others are served, or are told that it is in the way; when it goes on, all is well. */
CASE(semaphore_taker_is_stopped_anywhere)
{
    runner_watchdog(180);
    uint32_t a = make();
    int busy = 0, stops = 0;
    for (enum deed deed = TAKE; deed < DEEDS; deed++) {
        bool ended = false;
        for (int step = 1; !ended; step++, stops++) {
            struct acting acting = {.stepper = stepper_make(), .deed = deed};
            pid_t pid = spawn(act, &acting);
            for (int n = 0; n < step && !ended; n++) {
                ended = !step_on(acting.stepper, pid);
            }
            int32_t r = qshm_acquire(a, 1, 0);
            CHECK(r == 1 || r == 0 || r == QSHM_E_BUSY);
            if (r == QSHM_E_BUSY) {
                EQ(qshm_busy_process(a), pid);
                busy++;
            } else if (r == 0) { /* it waits, or waited, for more */
                CHECK(deed == QUEUE || deed == WITHDRAW || deed == TAKE_IN_TURN);
            } else {
                EQ(qshm_give_back(a, 1), 0);
            }
            if (!ended) {
                step_free(acting.stepper, pid);
            }
            expect_permits(a, (uint32_t)(TOTAL + gained(deed)));
            EQ(tickets_of(a), 0);
            make_up_for(a, gained(deed));
        }
    }
    runner_note("%d stops, %d times in the way", stops, busy);
    GT(busy, 0);
}

struct consuming {
    struct stepper *stepper;
};

static void consume_all(void *argument)
{
    const struct consuming *consuming = argument;
    uint32_t handle = make();
    EQ(qshm_acquire(handle, TOTAL, 0), 1);
    stepper_begin(consuming->stepper);
    EQ(qshm_consume(handle, TOTAL), 0);
    stepper_end();
}

/* Between the two halves of a consumption there are too few, never too many. */
CASE(semaphore_half_consumed)
{
    uint32_t a = make();
    struct consuming consuming = {.stepper = stepper_make()};
    pid_t pid = spawn(consume_all, &consuming);
    CHECK(step_on(consuming.stepper, pid));
    EQ_TEXT(consuming.stepper->at, "total lowered");
    EQ(qshm_available(a), 0);
    EQ(qshm_acquire(a, 1, 0), 0);
    EQ(qshm_post(a, 2), 0);
    EQ(qshm_available(a), 0);
    EQ(qshm_acquire(a, 1, 0), 0);
    kill_and_wait(pid);
    expect_permits(a, 2);
}

/* --- contents that nobody has written ----------------------------------------------------------------------------- */

static void damage(uint32_t handle, struct random *random)
{
    struct qshm__semaphore_part *part = part_of(handle);
    uint64_t large = random_next(random) >> random_below(random, 64);
    uint64_t mine = (uint64_t)id_of((int32_t)handle) << 32;
    switch (random_below(random, 6)) {
    case 0:
        control_of(handle)->permits_total = random_below(random, 3) == 0   ? INT64_MAX
                                            : random_below(random, 2) == 0 ? INT64_MIN
                                                                           : (int64_t)large;
        break;
    case 1:
        control_of(handle)->permits_max = (uint32_t)large;
        break;
    case 2:
        control_of(handle)->next_ticket = UINT64_MAX - random_below(random, 3);
        break;
    case 3:
        for (int i = 0; i < QSHM_PERMIT_RECORDS; i++) {
            part->record[i] = random_below(random, 8) == 0 ? mine | (uint32_t)large : random_next(random);
        }
        break;
    case 4:
        for (int i = 0; i < QSHM_PERMIT_RECORDS; i++) {
            part->ticket[i].claim = random_below(random, 8) == 0 ? mine | (uint32_t)large : random_next(random);
            part->ticket[i].number = random_next(random) >> random_below(random, 64);
        }
        break;
    default:
        control_of(handle)->lock = random_next(random);
    }
}

static void expect_documented(int32_t r)
{
    GE(r, QSHM_E_SYSTEM);
}

CASE(semaphore_hostile_contents)
{
    runner_watchdog(180);
    struct random random = random_from(runner_seed());
    for (int round = 0; round < 150; round++) {
        uint32_t a = make(), b = make();
        for (int blow = 0; blow < 6; blow++) {
            damage(random_below(&random, 2) == 0 ? a : b, &random);
            double count = 1 + random_below(&random, 4);
            expect_documented(qshm_available(a));
            GE(qshm_available(a), 0);
            expect_documented(qshm_acquire(a, count, 0));
            expect_documented(qshm_acquire(a, count, 1));
            expect_documented(qshm_post(a, count));
            expect_documented(qshm_post(a, MOST));
            expect_documented(qshm_give_back(a, count));
            expect_documented(qshm_consume(a, count));
            expect_documented(qshm_withdraw(a));
            expect_documented(qshm_busy_process(a));
            qshm_permits_max(a);
            struct qshm_info info;
            expect_documented(inspect_name("s-permits", &info));
        }
        EQ(qshm_detach(a), 0);
        EQ(qshm_detach(b), 0);
        EQ(count_files(), 0);
    }
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

enum { PROCESSES = 6, PERMITS = 8 };

struct board {
    _Atomic int32_t gained;              /* by posts, less those that were consumed */
    _Atomic int32_t doubtful[PROCESSES]; /* 1: killed now, it may or may not have posted, or consumed, one more */
    _Atomic long turns[PROCESSES];
    uint64_t seed;
};

struct part {
    struct board *board;
    int me;
};

static void use_permits(void *argument)
{
    const struct part *part = argument;
    struct board *board = part->board;
    _Atomic int32_t *doubtful = &board->doubtful[part->me];
    struct random random = random_from(board->seed ^ (uint64_t)getpid() << 20);
    uint32_t handle = make_of(PERMITS, MOST);
    for (;;) {
        uint32_t count = random_below(&random, 8) == 0 ? PERMITS / 2 : 1 + random_below(&random, 2);
        if (random_below(&random, 4) != 0) {
            acquire_in_turn(handle, count);
        } else if (qshm_acquire(handle, count, 0) == 0) {
            continue;
        }
        board->turns[part->me]++;
        switch (random_below(&random, 6)) {
        case 0: /* used up, and made up for */
            *doubtful = 1;
            EQ(qshm_consume(handle, 1), 0);
            board->gained--;
            EQ(qshm_post(handle, 1), 0);
            board->gained++;
            *doubtful = 0;
            if (count > 1) {
                EQ(qshm_give_back(handle, count - 1), 0);
            }
            break;
        case 1:
            EQ(qshm_detach(handle), 0);
            handle = make_of(PERMITS, MOST);
            break;
        default:
            EQ(qshm_give_back(handle, count), 0);
        }
    }
}

/* Kills one: 1 if it is not known what it has done last. */
static int32_t end_user(struct board *board, pid_t *pids, int me)
{
    kill(pids[me], SIGKILL);
    wait_killed(pids[me], SIGKILL); /* and not by what it found */
    return atomic_exchange(&board->doubtful[me], 0);
}

static pid_t start_user(struct board *board, int me)
{
    return spawn(use_permits, &(struct part){.board = board, .me = me});
}

/* All are killed: the permits that are there are those that should be, but for so many doubts. */
static void count_permits(struct board *board, pid_t *pids, uint32_t keeper, int32_t doubtful)
{
    for (int i = 0; i < PROCESSES; i++) {
        doubtful += end_user(board, pids, i);
    }
    int32_t gain = qshm_available(keeper) - PERMITS;
    GE(gain, board->gained - doubtful);
    LE(gain, board->gained + doubtful);
    expect_permits(keeper, (uint32_t)(PERMITS + gain));
    EQ(tickets_of(keeper), 0);
    make_up_for(keeper, gain);
    board->gained = 0;
}

static void torture_semaphore(double seconds)
{
    struct board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    struct random random = random_from(board->seed);
    uint32_t keeper = make_of(PERMITS, MOST);
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = start_user(board, i);
    }
    double end = now_ms() + seconds * 1e3;
    long kills = 0, turns = 0;
    int32_t doubtful = 0;
    while (now_ms() < end) {
        struct timespec time = {.tv_nsec = random_below(&random, 4000000)};
        nanosleep(&time, NULL);
        int i = (int)random_below(&random, PROCESSES);
        doubtful += end_user(board, pids, i);
        pids[i] = start_user(board, i);
        if (++kills % 25 == 0) {
            count_permits(board, pids, keeper, doubtful);
            doubtful = 0;
            for (i = 0; i < PROCESSES; i++) {
                pids[i] = start_user(board, i);
            }
        }
    }
    for (int i = 0; i < PROCESSES; i++) { /* all get on */
        turns += board->turns[i];
        for (long done = board->turns[i]; board->turns[i] == done;) {
            EQ(waitpid(pids[i], NULL, WNOHANG), 0);
            sched_yield();
        }
    }
    count_permits(board, pids, keeper, doubtful);
    runner_note("%ld turns, %ld kills", turns, kills);
    runner_count("kills beside permits", kills);
    GT(kills, 0);
    EQ(qshm_detach(keeper), 0);
    EQ(count_files(), 0);
}

CASE(semaphore_deaths_at_random)
{
    torture_semaphore(2);
}

CASE(torture_semaphore)
{
    unsigned seconds = runner_torture_seconds();
    if (seconds == 0) {
        runner_skip("QSHM_TORTURE_SECONDS is not set (make torture)");
    }
    runner_watchdog(seconds + 600);
    torture_semaphore(seconds);
}

/* --- the end of a process ----------------------------------------------------------------------------------------- */

static void *work_with_a_permit(void *argument)
{
    struct gate *taken = argument;
    sigset_t all; /* SIGCONT is for the thread that steps: the steps are its own */
    sigfillset(&all);
    EQ(pthread_sigmask(SIG_BLOCK, &all, NULL), 0);
    EQ(qshm_acquire(make(), TOTAL, 0), 1);
    gate_open(taken);
    for (;;) {
        pause();
    }
}

static void exit_beside_a_permit(void *argument)
{
    struct stepper *stepper = argument;
    struct gate taken = gate_make();
    make();
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, work_with_a_permit, &taken), 0);
    gate_pass(&taken);
    stepper_begin(stepper);
    exit(0);
}

/* As long as a thread may still do what its permits are for, they are nobody else's: at no step of the exit. */
CASE(exit_keeps_the_permits_of_other_threads)
{
    uint32_t mine = make();
    struct stepper *stepper = stepper_make();
    pid_t pid = spawn(exit_beside_a_permit, stepper);
    int steps = 0;
    for (; step_on(stepper, pid); steps++) {
        EQ(qshm_acquire(mine, 1, 0), 0);
    }
    GT(steps, 2);
    EQ(qshm_acquire(mine, TOTAL, 0), 1);
}
