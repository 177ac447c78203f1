/*
 * change.c - the count of changes, and those who wait for it, by futex or by bell.
 *
 * Invariants: whether a wake-up was lost is seen without a clock. A waiter with a bell has heard it, or not, when the
 * call has returned; a waiter that sleeps is one of the test's own, whose sleep has no bound, since the library's waiters
 * look by themselves after half a second.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

enum { WAITING = 1, PATIENCE = 10 };

static uint32_t make(void)
{
    int32_t handle = open_memory(QSHM_CREATE | QSHM_ATTACH, "change");
    GT(handle, 0);
    return (uint32_t)handle;
}

static _Atomic uint32_t *word_of(uint32_t handle)
{
    return &qshm__handle_find(handle)->control->revision;
}

static int open_bell(uint32_t handle)
{
    int fd = qshm_bell_open(handle, QSHM_BELL_FIFO, &outcome);
    GE(fd, 0);
    return fd;
}

static void expect(uint32_t handle)
{
    EQ(qshm_expect_change(handle, qshm_revision(handle)), 0);
}

/* Takes out all that was heard. */
static int heard(int fd)
{
    char bytes[64];
    ssize_t got = read(fd, bytes, sizeof bytes);
    return got < 0 ? 0 : (int)got;
}

/* --- one at a time ------------------------------------------------------------------------------------------------ */

CASE(change_is_counted)
{
    uint32_t a = make(), b = make();
    EQ(qshm_revision(a), 0);
    EQ(qshm_notify(b), 0);
    EQ(qshm_revision(a), 1);
    EQ(qshm_write(b, 0, "x", 1), 0);
    EQ(qshm_write(b, 0, "x", 0), 0); /* that nothing was written is a change as well */
    EQ(qshm_revision(a), 3);
    EQ(qshm_write_if_changed(b, 0, "x", 1), 0);
    EQ(qshm_revision(a), 3);
    EQ(qshm_write_if_changed(b, 0, "y", 1), 1);
    EQ(qshm_revision(a), 4);
    EQ(qshm_notify(0), QSHM_E_HANDLE);
    EQ(qshm_revision(0), QSHM_E_HANDLE);
}

CASE(change_wait_times_out)
{
    uint32_t a = make();
    EQ(qshm_wait_change(a, 0, 0), 0);
    double before = now_ms();
    EQ(qshm_wait_change(a, 0, 25), 0);
    GE(now_ms() - before, 25);
    EQ(qshm_notify(a), 0);
    EQ(qshm_wait_change(a, 0, 0), 1);
    EQ(qshm_wait_change(a, 0, HUGE_VAL), 1);
    EQ(qshm_wait_change(a, 7, HUGE_VAL), 1); /* any other than it is */
    EQ(qshm_wait_change(a, 1, 1), 1);
    EQ(qshm_wait_change(a, -1, 1), QSHM_E_ARGUMENT);
    EQ(qshm_wait_change(a, 2147483648.0, 1), QSHM_E_ARGUMENT);
    EQ(qshm_wait_change(a, 0.5, 1), QSHM_E_ARGUMENT);
    EQ(qshm_wait_change(a, NAN, 1), QSHM_E_ARGUMENT);
    EQ(qshm_wait_change(a, 0, -1), QSHM_E_ARGUMENT);
    EQ(qshm_wait_change(a, 0, NAN), QSHM_E_ARGUMENT);
    EQ(qshm_wait_change(0, 0, 1), QSHM_E_HANDLE);
}

/* One of the library's sleepers. */
struct sleeper {
    double since, timeout;
    int32_t result;
};

static void sleep_once(void *argument)
{
    struct sleeper *sleeper = argument;
    uint32_t handle = make();
    sleeper->result = qshm_wait_change(handle, sleeper->since, sleeper->timeout);
}

static struct sleeper *sleeper_make(double since)
{
    struct sleeper *sleeper = shared_memory(sizeof *sleeper);
    *sleeper = (struct sleeper){.since = since, .timeout = HUGE_VAL, .result = -1};
    return sleeper;
}

static pid_t sleeper_start(struct sleeper *sleeper)
{
    pid_t pid = spawn(sleep_once, sleeper);
    wait_for_system_call(pid, SYS_futex);
    return pid;
}

CASE(change_wakes_a_sleeper)
{
    uint32_t a = make();
    for (int round = 0; round < 20; round++) {
        struct sleeper *sleeper = sleeper_make(round);
        pid_t pid = sleeper_start(sleeper);
        EQ(*word_of(a) & WAITING, WAITING);
        EQ(qshm_notify(a), 0);
        EQ(wait_exit(pid), 0);
        EQ(sleeper->result, round + 1);
    }
}

/* A sleeper of the test's own: it wakes when it is woken, and only then. */
static void sleep_without_bound(void *argument)
{
    const double *since = argument;
    _Atomic uint32_t *word = word_of(make());
    uint32_t seen = *word;
    CHECK(seen >> 1 == (uint32_t)*since);
    if ((seen & WAITING) == 0 && !atomic_compare_exchange_strong(word, &seen, seen | WAITING)) {
        EQ(seen >> 1, *since);
    }
    while (*word >> 1 == (uint32_t)*since) {
        syscall(SYS_futex, word, FUTEX_WAIT, (uint32_t)*since << 1 | WAITING, NULL, NULL, 0);
    }
}

CASE(change_wakes_all_sleepers)
{
    uint32_t a = make();
    double since = 0;
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = spawn(sleep_without_bound, &since);
        wait_for_system_call(pids[i], SYS_futex);
    }
    runner_watchdog(PATIENCE);
    EQ(qshm_notify(a), 0);
    for (int i = 0; i < 4; i++) {
        EQ(wait_exit(pids[i]), 0);
    }
}

/* What has come before the bell was armed is told at once, and is not waited for. */
CASE(change_expected_too_late)
{
    uint32_t a = make();
    int fd = open_bell(a);
    double since = qshm_revision(a);
    EQ(qshm_notify(a), 0);
    EQ(qshm_expect_change(a, since), 1);
    EQ(*word_of(a) & WAITING, 0);
    EQ(qshm_expect_change(a, since), 1);
    EQ(heard(fd), 0);
    expect(a);
    EQ(qshm_notify(a), 0);
    EQ(heard(fd), 1);
    /* Without a bell it tells the same. */
    uint32_t b = make();
    EQ(qshm_expect_change(b, since), 1);
    expect(b);
}

CASE(change_read_only)
{
    uint32_t a = make();
    int32_t reader = open_memory(QSHM_ATTACH | QSHM_READ_ONLY, "change");
    GT(reader, 0);
    EQ(qshm_notify(reader), QSHM_E_READ_ONLY);
    EQ(qshm_wait_change(reader, 0, 1), 0);
    EQ(*word_of(a) & WAITING, WAITING); /* it waits like any other */
    EQ(qshm_notify(a), 0);
    EQ(qshm_wait_change(reader, 0, HUGE_VAL), 1);
}

struct observation {
    struct gate ready;
    int32_t result;
};

static void observe(void *argument)
{
    struct observation *observation = argument;
    turn_into(65534);
    int32_t reader = open_memory(QSHM_ATTACH | QSHM_READ_ONLY, "change");
    GT(reader, 0);
    EQ(outcome.flags & QSHM_OBSERVER, QSHM_OBSERVER);
    EQ(qshm_wait_change(reader, 0, 15), 0);
    gate_open(&observation->ready);
    EQ(qshm_wait_change(reader, 0, HUGE_VAL), 1);
}

/* Who may not write the word cannot be woken: it looks from time to time. */
CASE(change_seen_by_an_observer)
{
    share_with(65534);
    int32_t owner = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0640, 4096, "change", 6, NULL, 0, &outcome);
    GT(owner, 0);
    struct observation observation = {.ready = gate_make()};
    pid_t pid = spawn(observe, &observation);
    gate_pass(&observation.ready);
    EQ(*word_of((uint32_t)owner) & WAITING, 0);
    EQ(qshm_notify(owner), 0);
    EQ(wait_exit(pid), 0);
}

/* --- the word ----------------------------------------------------------------------------------------------------- */

/* From 2^31 - 1 to 0, with and without somebody who waits. */
CASE(change_version_wraps)
{
    enum { LAST = 0x7fffffff };
    uint32_t a = make(), b = make();
    int fd = open_bell(b);
    *word_of(a) = (uint32_t)LAST << 1;
    EQ(qshm_revision(a), LAST);
    EQ(qshm_wait_change(a, LAST, 0), LAST);
    EQ(qshm_notify(a), 0);
    EQ(qshm_revision(a), 0);
    EQ(*word_of(a), 0);

    *word_of(a) = (uint32_t)LAST << 1;
    expect(b);
    struct sleeper *sleeper = sleeper_make(LAST);
    pid_t pid = sleeper_start(sleeper);
    EQ(*word_of(a), UINT32_MAX);
    EQ(qshm_notify(a), 0);
    EQ(*word_of(a), WAITING); /* somebody was woken: the bit stays */
    EQ(heard(fd), 1);
    EQ(wait_exit(pid), 0);
    EQ(sleeper->result, 0);
    EQ(qshm_expect_change(b, LAST), 1);
    EQ(qshm_notify(a), 0);
    EQ(*word_of(a), 2); /* nobody was: it goes */
}

static int steps_of_notify(uint32_t handle, char *names, uint32_t capacity)
{
    qshm_test_arm(0, 0);
    EQ(qshm_notify(handle), 0);
    return qshm_test_steps(names, capacity);
}

static void arm_and_stay(void *argument)
{
    struct gate *ready = argument;
    uint32_t handle = make();
    open_bell(handle);
    expect(handle);
    gate_open(ready);
    pause();
}

/* B2: once nobody waits any more, a change makes no system call, whoever was killed in the middle of a wait. */
CASE(change_killed_waiters_cost_nothing)
{
    enum { SLEEPERS = 5, LISTENERS = 5 };
    uint32_t a = make();
    char names[512];
    pid_t pids[SLEEPERS + LISTENERS];
    struct gate ready = gate_make();
    for (int i = 0; i < SLEEPERS; i++) {
        pids[i] = sleeper_start(sleeper_make(0));
    }
    for (int i = SLEEPERS; i < SLEEPERS + LISTENERS; i++) {
        pids[i] = spawn(arm_and_stay, &ready);
        gate_pass(&ready);
    }
    EQ(count_files(), 1 + LISTENERS);
    for (int i = 0; i < SLEEPERS + LISTENERS; i++) {
        kill_and_wait(pids[i]);
    }
    EQ(qshm_notify(a), 0);
    EQ(count_files(), 1);
    for (int round = 0; round < 3; round++) {
        EQ(steps_of_notify(a, names, sizeof names), 2);
        EQ_TEXT(names, "written\nbumped\n");
    }
    EQ(*word_of(a) & WAITING, 0);
}

/* The same after those who waited have been woken, and wait no more. */
CASE(change_served_waiters_cost_nothing)
{
    uint32_t a = make(), b = make();
    char names[512];
    int fd = open_bell(b);
    for (int round = 0; round < 3; round++) {
        expect(b);
        EQ(qshm_notify(a), 0);
        EQ(heard(fd), 1);
        EQ(qshm_notify(a), 0); /* finds nobody, and takes the bit down */
        EQ(steps_of_notify(a, names, sizeof names), 2);
    }
}

/* As many as the table takes, half of them killed while they wait. */
CASE(change_many_waiters_half_of_them_killed)
{
    enum { WAITERS = 120 };
    uint32_t a = make();
    struct gate ready = gate_make();
    static pid_t pids[WAITERS];
    for (int i = 0; i < WAITERS; i++) {
        pids[i] = spawn(arm_and_stay, &ready);
    }
    for (int i = 0; i < WAITERS; i++) {
        gate_pass(&ready);
    }
    uint32_t b = make();
    int fd = open_bell(b);
    expect(b);
    for (int i = 0; i < WAITERS; i += 2) {
        kill_and_wait(pids[i]);
    }
    EQ(qshm_notify(a), 0);
    EQ(heard(fd), 1);
    EQ(count_files(), 1 + WAITERS / 2 + 1);
    EQ(qshm_notify(a), 0);
    char names[512];
    EQ(steps_of_notify(a, names, sizeof names), 2);
    for (int i = 1; i < WAITERS; i += 2) {
        kill_and_wait(pids[i]);
    }
}

/* --- stopped and killed ------------------------------------------------------------------------------------------- */

static void notify_once(void *argument)
{
    uint32_t handle = make();
    stepper_begin(argument);
    EQ(qshm_notify(handle), 0);
    stepper_end();
}

/* Starts one that publishes, and leads it so many steps. False if it has ended before. */
static bool publish_until(struct stepper *stepper, int step, bool dies, pid_t *pid)
{
    *pid = spawn(notify_once, stepper);
    for (int n = 0; n < step; n++) {
        if (!step_on(stepper, *pid)) {
            return false;
        }
    }
    if (dies) {
        kill_and_wait(*pid);
    }
    return true;
}

enum how { BY_BELL, BY_FUTEX, BY_BOTH, HOWS };

/* One publishes, and is stopped or killed at each of its steps; those who wait are woken by the next one that does. */
CASE(change_publisher_is_killed_anywhere)
{
    runner_watchdog(120);
    uint32_t a = make(), b = make();
    int fd = open_bell(b), steps = 0;
    for (enum how how = BY_BELL; how < HOWS; how++) {
        for (int dies = 0; dies < 2; dies++) {
            bool ended = false;
            for (int step = 1; !ended; step++) {
                double since = qshm_revision(a);
                pid_t first, sleeper = 0;
                if (how != BY_FUTEX) {
                    expect(b);
                }
                if (how != BY_BELL) {
                    sleeper = spawn(sleep_without_bound, &since);
                    wait_for_system_call(sleeper, SYS_futex);
                }
                struct stepper *stepper = stepper_make();
                ended = !publish_until(stepper, step, dies != 0, &first);
                EQ(qshm_notify(a), 0);
                if (how != BY_FUTEX && heard(fd) == 0) {
                    runner_fail(__FILE__, __LINE__, "the waiter was lost at \"%s\"", stepper->at);
                }
                if (how != BY_BELL) {
                    EQ(wait_exit(sleeper), 0);
                }
                if (!ended && dies == 0) {
                    step_free(stepper, first);
                }
                heard(fd);
                steps++;
            }
        }
    }
    runner_note("%d steps", steps);
}

/* The bit is left from one that waits no more, so that the publisher takes it down; at each of its steps somebody begins
 * to wait, and another one publishes. Behind "waiting cleared" a death may cost the one that waits its wake-up: the
 * library's sleeps are bounded for that. */
CASE(change_waiting_is_cleared_beside_a_new_waiter)
{
    uint32_t a = make(), b = make();
    int fd = open_bell(b);
    for (int between = 0; between < 2; between++) { /* is there a change before the waiter comes? */
        for (int dies = 0; dies < 2; dies++) {
            bool ended = false;
            for (int step = 1; !ended; step++) {
                *word_of(a) |= WAITING;
                struct stepper *stepper = stepper_make();
                pid_t first;
                ended = !publish_until(stepper, step, false, &first);
                if (between != 0) {
                    EQ(qshm_notify(a), 0);
                }
                expect(b);
                bool died = !ended && dies != 0 && step_and_die(stepper, first);
                if (!ended && dies == 0) {
                    step_free(stepper, first);
                }
                if (heard(fd) > 0) {
                    expect(b); /* looks, and waits on */
                }
                EQ(qshm_notify(a), 0);
                bool excused = died && between == 0 && strcmp(stepper->at, "nobody woken") == 0;
                if (heard(fd) == 0 && !excused) {
                    runner_fail(__FILE__, __LINE__, "the waiter was lost behind \"%s\"", stepper->at);
                }
                EQ(qshm_notify(a), 0);
            }
        }
    }
}

/* A waiter of the library's, beside a publisher that died where no other one can make good for it. */
CASE(change_sleep_is_bounded)
{
    uint32_t a = make();
    *word_of(a) |= WAITING;
    struct stepper *stepper = stepper_make();
    pid_t first = spawn(notify_once, stepper);
    step_to(stepper, first, "nobody woken");
    struct sleeper *sleeper = sleeper_make(1);
    pid_t pid = sleeper_start(sleeper);
    CHECK(step_and_die(stepper, first)); /* at "waiting cleared" */
    EQ(qshm_notify(a), 0);
    runner_watchdog(PATIENCE);
    EQ(wait_exit(pid), 0);
    EQ(sleeper->result, 2);
}

struct expecting {
    struct stepper *stepper;
    double since;
};

static void expect_once(void *argument)
{
    const struct expecting *expecting = argument;
    uint32_t handle = make();
    int fd = open_bell(handle);
    stepper_begin(expecting->stepper);
    int32_t r = qshm_expect_change(handle, expecting->since);
    stepper_end();
    CHECK(r == 1 || (r == 0 && heard(fd) == 1));
}

/* K2: the change comes while one is about to wait, at each of its steps: it sees the change, or hears the bell. */
CASE(change_waiter_is_stopped_anywhere)
{
    uint32_t a = make();
    int steps = 0;
    for (bool last = false; !last; steps++) {
        struct expecting expecting = {.stepper = stepper_make(), .since = qshm_revision(a)};
        *word_of(a) &= ~(uint32_t)WAITING;
        pid_t waiter = spawn(expect_once, &expecting);
        for (int n = 0; n <= steps; n++) {
            CHECK(step_on(expecting.stepper, waiter));
        }
        EQ(qshm_notify(a), 0);
        last = strcmp(expecting.stepper->at, "waiting announced") == 0;
        step_free(expecting.stepper, waiter);
    }
    GE(steps, 2);
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

enum { READERS = 4, PUBLISHERS = 3 };

struct board {
    _Atomic long round;              /* that the publishers may begin */
    _Atomic long published;          /* in all */
    _Atomic uint32_t reached[READERS]; /* the newest revision that each reader has seen */
    _Atomic long rings;
    uint64_t seed;
};

struct part {
    struct board *board;
    int me;
};

static void pause_at_random(struct random *random)
{
    uint32_t what = random_below(random, 8);
    if (what == 0) {
        struct timespec time = {.tv_nsec = random_below(random, 200000)};
        nanosleep(&time, NULL);
    } else if (what < 4) {
        for (volatile uint32_t i = 0, turns = random_below(random, 2000); i < turns; i++) {
        }
    }
}

/* Even readers listen to a bell, and wait for it without any bound; odd ones sleep in the library. */
static void read_on(void *argument)
{
    const struct part *part = argument;
    struct board *board = part->board;
    struct random random = random_from(board->seed ^ (uint64_t)(part->me + 1) << 32);
    uint32_t handle = make();
    int fd = part->me % 2 == 0 ? open_bell(handle) : -1;
    for (;;) {
        uint32_t seen = (uint32_t)qshm_revision(handle);
        board->reached[part->me] = seen;
        pause_at_random(&random);
        if (fd < 0) {
            qshm_wait_change(handle, seen, HUGE_VAL);
        } else if (qshm_expect_change(handle, seen) == 0) {
            pause_at_random(&random);
            struct pollfd poller = {.fd = fd, .events = POLLIN};
            EQ(poll(&poller, 1, -1), 1);
            board->rings += heard(fd);
        }
    }
}

/* Each publishes once a round. */
static void publish_on(void *argument)
{
    const struct part *part = argument;
    struct board *board = part->board;
    struct random random = random_from(board->seed ^ (uint64_t)(part->me + 1) << 40);
    uint32_t handle = make();
    for (long round = 1;; round++) {
        while (board->round < round) {
            sched_yield();
        }
        pause_at_random(&random);
        EQ(qshm_notify(handle), 0);
        board->published++;
    }
}

/* A round ends when all readers have seen its newest revision: one wake-up that is lost, and it never ends. */
static void torture_wakeups(double seconds)
{
    struct board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    uint32_t keeper = make();
    pid_t pids[READERS + PUBLISHERS];
    for (int i = 0; i < READERS; i++) {
        pids[i] = spawn(read_on, &(struct part){.board = board, .me = i});
    }
    for (int i = 0; i < PUBLISHERS; i++) {
        pids[READERS + i] = spawn(publish_on, &(struct part){.board = board, .me = i});
    }
    double end = now_ms() + seconds * 1e3;
    long rounds = 0;
    do {
        board->round = ++rounds;
        while (board->published < rounds * PUBLISHERS) {
            sched_yield();
        }
        uint32_t newest = (uint32_t)qshm_revision(keeper);
        EQ(newest, (rounds * PUBLISHERS) & 0x7fffffff);
        for (int i = 0; i < READERS; i++) {
            while (board->reached[i] != newest) {
                sched_yield();
            }
        }
    } while (now_ms() < end);
    for (int i = 0; i < READERS + PUBLISHERS; i++) {
        kill_and_wait(pids[i]);
    }
    runner_note("%ld rounds, %ld rings", rounds, board->rings);
    runner_count("rounds without a lost wake-up", rounds);
    GT(board->rings, 0);
}

CASE(change_wakeups_are_not_lost)
{
    torture_wakeups(1);
}

CASE(torture_change_wakeups)
{
    unsigned seconds = runner_torture_seconds();
    if (seconds == 0) {
        runner_skip("QSHM_TORTURE_SECONDS is not set (make torture)");
    }
    runner_watchdog(seconds + 600);
    torture_wakeups(seconds);
}

/* The same with deaths, of those who publish and of those who read: all get on, and all that is left is removed. */
static void publish_for_ever(void *argument)
{
    const struct part *part = argument;
    struct random random = random_from(part->board->seed ^ (uint64_t)getpid() << 20);
    uint32_t handle = make();
    for (;;) {
        pause_at_random(&random);
        EQ(qshm_notify(handle), 0);
        part->board->published++;
    }
}

static void read_with_bound(void *argument)
{
    const struct part *part = argument;
    struct board *board = part->board;
    struct random random = random_from(board->seed ^ (uint64_t)getpid() << 20);
    uint32_t handle = make();
    int fd = part->me % 2 == 0 ? open_bell(handle) : -1;
    for (;;) {
        uint32_t seen = (uint32_t)qshm_revision(handle);
        board->reached[part->me] = seen;
        pause_at_random(&random);
        if (fd < 0) {
            qshm_wait_change(handle, seen, HUGE_VAL);
        } else if (qshm_expect_change(handle, seen) == 0) {
            struct pollfd poller = {.fd = fd, .events = POLLIN};
            poll(&poller, 1, 500);
            board->rings += heard(fd);
        }
    }
}

static void torture_deaths(double seconds)
{
    struct board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    struct random random = random_from(board->seed);
    uint32_t keeper = make();
    pid_t pids[READERS + PUBLISHERS];
    for (int i = 0; i < READERS + PUBLISHERS; i++) {
        struct part part = {.board = board, .me = i < READERS ? i : i - READERS};
        pids[i] = spawn(i < READERS ? read_with_bound : publish_for_ever, &part);
    }
    double end = now_ms() + seconds * 1e3;
    long kills = 0;
    while (now_ms() < end) {
        struct timespec time = {.tv_nsec = random_below(&random, 3000000)};
        nanosleep(&time, NULL);
        int i = (int)random_below(&random, READERS + PUBLISHERS);
        kill_and_wait(pids[i]);
        kills++;
        struct part part = {.board = board, .me = i < READERS ? i : i - READERS};
        pids[i] = spawn(i < READERS ? read_with_bound : publish_for_ever, &part);
    }
    for (int i = READERS; i < READERS + PUBLISHERS; i++) {
        kill_and_wait(pids[i]);
    }
    EQ(qshm_notify(keeper), 0);
    uint32_t newest = (uint32_t)qshm_revision(keeper);
    for (int i = 0; i < READERS; i++) {
        while (board->reached[i] != newest) {
            sched_yield();
        }
        kill_and_wait(pids[i]);
    }
    EQ(qshm_notify(keeper), 0);
    char names[512];
    EQ(steps_of_notify(keeper, names, sizeof names), 2);
    runner_note("%ld changes, %ld rings, %ld kills", board->published, board->rings, kills);
    runner_count("kills beside changes", kills);
    GT(kills, 0);
    EQ(qshm_detach(keeper), 0);
    EQ(count_files(), 0);
}

CASE(change_deaths_at_random)
{
    torture_deaths(1);
}

CASE(torture_change_deaths)
{
    unsigned seconds = runner_torture_seconds();
    if (seconds == 0) {
        runner_skip("QSHM_TORTURE_SECONDS is not set (make torture)");
    }
    runner_watchdog(seconds + 600);
    torture_deaths(seconds);
}
