/*
 * qt_lock.c - the lock of Qt's memory, also when others do to it what Qt programs do: set it, raise it, remove it under its
 * holder (Qt's bug A).
 *
 * Invariant of each case: what is done from outside is done by a process of its own, with the system's calls (qt_place.h);
 * after the end of a process that held the lock, or thought so, its value is looked at again: the kernel takes back then.
 */
#define _GNU_SOURCE
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qt_place.h"

/* Two processes of ours, and one that stands for Qt's. */
struct trio {
    int32_t keeper; /* this process's: whoever ends is not the last one out */
    struct qt_peer a, b, qt;
};

static struct trio trio_start(void)
{
    qt_place();
    return (struct trio){.a = qt_peer_start(), .b = qt_peer_start(), .qt = qt_peer_start(), .keeper = qt_created()};
}

/* The lock is free, and works; also when those have ended who are left. Then nothing is left. */
static void trio_end(struct trio *t, bool a_lives, bool b_lives, bool qt_lives)
{
    EQ(qt_value(), 1);
    struct qt_peer *peers[] = {a_lives ? &t->a : NULL, b_lives ? &t->b : NULL, qt_lives ? &t->qt : NULL};
    for (int i = 0; i < 3; i++) {
        if (peers[i] != NULL) {
            qt_peer_end(peers[i]);
        }
    }
    EQ(qshm_qt_lock(t->keeper, 0), 1);
    EQ(qt_value(), 0);
    EQ(qshm_qt_unlock(t->keeper), 1);
    EQ(qt_value(), 1);
    qt_end(t->keeper);
    qt_is_clean();
}

CASE(qt_lock_and_unlock)
{
    qt_place();
    int32_t a = qt_created();
    EQ(qshm_qt_unlock(a), 0);
    EQ(qshm_qt_lock(a, 0), 1);
    EQ(qshm_qt_lock(a, HUGE_VAL), 1); /* held; it does not count */
    EQ(qt_value(), 0);
    struct qt_peer b = qt_peer_start();
    EQ(qt_do(&b, QT_LOCK, 0), 0);
    EQ(qt_do(&b, QT_LOCK, 5), 0);
    EQ(qt_do(&b, QT_UNLOCK, 0), 0);
    EQ(qt_value(), 0);
    qt_begin(&b, QT_LOCK, 1 << 30);
    wait_for_system_call(b.pid, SYS_semtimedop);
    EQ(qshm_qt_unlock(a), 1);
    EQ(qshm_qt_unlock(a), 0);
    EQ(qt_finish(&b), 1);
    EQ(qshm_qt_lock(a, 5), 0);
    EQ(qt_do(&b, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 1);
    qt_peer_end(&b);
    qt_end(a);
    qt_is_clean();
}

/* The kernel gives it back at once, also to Qt's waiters. */
CASE(qt_lock_of_a_killed_holder)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    qt_begin(&t.b, QT_LOCK, 1 << 30);
    wait_for_system_call(t.b.pid, SYS_semtimedop);
    kill_and_wait(t.a.pid);
    EQ(qt_finish(&t.b), 1);
    qt_begin(&t.qt, QT_ADD, -1);
    kill_and_wait(t.b.pid);
    EQ(qt_finish(&t.qt), 0);
    EQ(qt_do(&t.qt, QT_ADD, 1), 0);
    trio_end(&t, false, false, true);
}

/* A holder that is stopped keeps it: others time out, or take it by force. */
CASE(qt_lock_of_a_stopped_holder)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    kill(t.a.pid, SIGSTOP);
    EQ(qt_do(&t.b, QT_LOCK, 20), 0);
    int32_t mine = qt_memory();
    EQ(qt_create(mine, HUGE_VAL), QSHM_E_ALREADY_EXISTS); /* at once */
    EQ(qt_attach(mine, 20), 0);
    uint32_t pid = 0;
    EQ(qshm_qt_force_unlock((uint32_t)mine, &pid), 1);
    EQ(pid, t.a.pid);
    EQ(qshm_qt_force_unlock((uint32_t)mine, &pid), 0);
    EQ(qt_do(&t.b, QT_LOCK, 0), 1);
    kill(t.a.pid, SIGCONT);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1); /* frees nobody else's */
    EQ(qt_value(), 0);
    EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
    qt_end(mine);
    trio_end(&t, true, true, true);
}

/* --- it was set --------------------------------------------------------------------------------------------------- */

/* As a create() of Qt's does that fails: it sets the value, takes, and gives back. */
static void set_as_qt(struct qt_peer *qt)
{
    EQ(qt_do(qt, QT_SET, 1), 0);
    EQ(qt_do(qt, QT_ADD, -1), 0);
    EQ(qt_do(qt, QT_ADD, 1), 0);
}

CASE(qt_lock_was_set_and_is_free)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    set_as_qt(&t.qt);
    EQ(qt_value(), 1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 1);
    qt_peer_end(&t.a);
    EQ(qt_value(), 1);
    trio_end(&t, false, true, true);
}

/* Another one of ours has it: the first one's unlock does not free it, nor does its end. */
CASE(qt_lock_was_set_and_taken)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    set_as_qt(&t.qt);
    EQ(qt_do(&t.b, QT_LOCK, 0), 1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 0);
    qt_peer_end(&t.a);
    EQ(qt_value(), 0);
    EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 1);
    trio_end(&t, false, true, true);
}

/* The one that set it has ended, and is no more to be asked; nor does that make the lock ours. */
CASE(qt_lock_was_set_by_one_that_ended)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_do(&t.qt, QT_SET, 1), 0);
    qt_peer_end(&t.qt);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 1);
    qt_peer_end(&t.a);
    EQ(qt_value(), 1);
    trio_end(&t, false, true, false);
}

/* Set while we look whose it is: the operation itself finds out. At the step "semop", the look is over. */
struct unlocking {
    struct stepper *stepper;
    struct gate locked, go;
};

static void lock_and_unlock(void *argument)
{
    struct unlocking *u = argument;
    int32_t handle = qt_attached();
    EQ(qshm_qt_lock(handle, 0), 1);
    gate_open(&u->locked);
    gate_pass(&u->go);
    stepper_begin(u->stepper);
    EQ(qshm_qt_unlock(handle), 1);
    stepper_end();
}

CASE(qt_lock_was_set_during_an_unlock)
{
    for (int taken = 0; taken < 2; taken++) {
        struct trio t = trio_start();
        struct unlocking u = {.stepper = stepper_make(), .locked = gate_make(), .go = gate_make()};
        pid_t a = spawn(lock_and_unlock, &u);
        gate_pass(&u.locked);
        gate_open(&u.go);
        step_to(u.stepper, a, "semop");
        set_as_qt(&t.qt);
        if (taken) {
            EQ(qt_do(&t.b, QT_LOCK, 0), 1);
        }
        step_free(u.stepper, a);
        EQ(qt_value(), !taken);
        if (taken) {
            EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
        }
        trio_end(&t, true, true, true);
    }
}

/* --- it was raised ------------------------------------------------------------------------------------------------ */

/* By a Qt program that thought it held it, and so owes 1: we give back all the same, or else nobody has it in the end. */
CASE(qt_lock_was_raised_by_one_that_ends)
{
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        struct trio t = trio_start();
        EQ(qt_do(&t.a, QT_LOCK, 0), 1);
        EQ(qt_do(&t.qt, QT_ADD, 1), 0);
        EQ(qt_value(), 1);
        if (ends_first) { /* then it was as if nothing had happened */
            qt_peer_end(&t.qt);
            EQ(qt_value(), 0);
        }
        EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
        EQ(qt_value(), ends_first ? 1 : 2);
        if (!ends_first) {
            qt_peer_end(&t.qt);
            EQ(qt_value(), 1);
        }
        trio_end(&t, true, true, false);
    }
}

/* And then one of ours took it: it is not freed by the first one, and not lost by the second. What the first one could not give
 * back it gives back the next time. */
CASE(qt_lock_was_raised_and_taken)
{
    for (int ends = 0; ends < 2; ends++) {
        struct trio t = trio_start();
        EQ(qt_do(&t.a, QT_LOCK, 0), 1);
        EQ(qt_do(&t.qt, QT_ADD, 1), 0);
        EQ(qt_do(&t.b, QT_LOCK, 0), 1);
        EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
        EQ(qt_value(), 0);
        EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
        EQ(qt_value(), 1);
        if (ends) {
            qt_peer_end(&t.a);
        } else {
            EQ(qt_do(&t.a, QT_LOCK, 0), 1);
            EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
        }
        EQ(qt_value(), 2);
        qt_peer_end(&t.qt);
        trio_end(&t, !ends, true, false);
    }
}

/* It could not give back, and then it was set: of what it takes next it gives back just that. */
CASE(qt_lock_was_set_before_it_was_given_back)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_do(&t.qt, QT_ADD, 1), 0);
    EQ(qt_do(&t.b, QT_LOCK, 0), 1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
    set_as_qt(&t.qt);
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 1);
    trio_end(&t, true, true, true);
}

/* What a Qt program owes for having added too much makes the kernel write its number into our lock when it ends. */
CASE(qt_lock_survives_what_others_owe)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.qt, QT_ADD, 1), 0);
    EQ(qt_value(), 2);
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_value(), 0);
    qt_peer_end(&t.qt); /* the value does not change, but who changed it last */
    EQ(qt_value(), 0);
    EQ(qt_do(&t.b, QT_LOCK, 5), 0);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    GE(qt_value(), 1);
    EQ(qt_do(&t.b, QT_LOCK, 0), 1);
    EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
    EQ(qt_do(&t.b, QT_SET, 1), 0);
    trio_end(&t, true, true, false);
}

/* The same while nobody has waited for that program: it is gone for the lock. */
CASE(qt_lock_survives_what_zombies_owe)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.qt, QT_ADD, 1), 0);
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    kill(t.qt.pid, SIGKILL);
    siginfo_t info;
    EQ(waitid(P_PID, (id_t)t.qt.pid, &info, WEXITED | WNOWAIT), 0);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    GE(qt_value(), 1);
    kill_and_wait(t.qt.pid);
    EQ(qt_do(&t.b, QT_SET, 1), 0);
    trio_end(&t, true, true, false);
}

/* Free more than once, as Qt makes it: of ours never two hold it. What a dead holder had is given back by the kernel. */
CASE(qt_lock_takes_all_that_was_raised)
{
    static const int values[] = {2, 3, 17, 1000, 1001, 32767};
    for (int i = 0; i < 6; i++) {
        struct trio t = trio_start();
        EQ(qt_do(&t.qt, QT_SET, values[i]), 0);
        int kept = values[i] < 1000 ? values[i] : 1000;
        EQ(qt_do(&t.a, QT_LOCK, 0), 1);
        EQ(qt_value(), 0);
        EQ(qt_do(&t.b, QT_LOCK, 0), 0);
        EQ(qt_do(&t.b, QT_LOCK, 5), 0);
        EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
        EQ(qt_value(), kept);
        EQ(qt_do(&t.a, QT_LOCK, 0), 1);
        qt_begin(&t.b, QT_LOCK, 1 << 30);
        wait_for_system_call(t.b.pid, SYS_semtimedop);
        kill_and_wait(t.a.pid);
        EQ(qt_finish(&t.b), 1);
        EQ(qt_value(), 0);
        EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
        EQ(qt_value(), kept);
        EQ(qt_do(&t.qt, QT_SET, 1), 0);
        trio_end(&t, false, true, true);
    }
}

/* Raised to 2 while one of ours waits for it in the kernel. */
CASE(qt_lock_takes_all_after_a_wait)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.qt, QT_ADD, -1), 0);
    qt_begin(&t.a, QT_LOCK, 1 << 30);
    wait_for_system_call(t.a.pid, SYS_semtimedop);
    EQ(qt_do(&t.qt, QT_ADD, 2), 0);
    EQ(qt_finish(&t.a), 1);
    EQ(qt_value(), 0);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 2);
    qt_peer_end(&t.qt); /* which owed 1 */
    trio_end(&t, true, true, false);
}

/* Whoever raised it ends while it is free: what it owes is there to be taken. */
CASE(qt_lock_is_not_lost_to_what_others_owe)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.qt, QT_ADD, -1), 0);
    set_as_qt(&t.b);
    EQ(qt_do(&t.qt, QT_ADD, 1), 0);
    EQ(qt_value(), 2);
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_value(), 0);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    qt_peer_end(&t.qt);
    EQ(qt_value(), 1);
    trio_end(&t, true, true, false);
}

/* --- it was removed ----------------------------------------------------------------------------------------------- */

CASE(qt_lock_was_removed)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_do(&t.qt, QT_REMOVE, 0), 0);
    EQ(qt_value(), -1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(count_sets(), 0); /* an unlock makes none */
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    trio_end(&t, true, true, true);
}

/* And made anew by another, who has it. */
CASE(qt_lock_was_removed_and_taken)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.a, QT_LOCK, 0), 1);
    EQ(qt_do(&t.qt, QT_REMOVE, 0), 0);
    EQ(qt_do(&t.b, QT_LOCK, 0), 1);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 0);
    EQ(qt_do(&t.a, QT_LOCK, 5), 0);
    EQ(qt_do(&t.b, QT_UNLOCK, 0), 1);
    qt_peer_end(&t.a);
    EQ(qt_value(), 1);
    trio_end(&t, false, true, true);
}

CASE(qt_lock_is_removed_under_a_waiter)
{
    struct trio t = trio_start();
    EQ(qt_do(&t.qt, QT_ADD, -1), 0);
    qt_begin(&t.a, QT_LOCK, 1 << 30);
    wait_for_system_call(t.a.pid, SYS_semtimedop);
    EQ(qt_do(&t.qt, QT_REMOVE, 0), 0);
    EQ(qt_finish(&t.a), 1);
    EQ(qt_value(), 0);
    EQ(qt_do(&t.a, QT_UNLOCK, 0), 1);
    trio_end(&t, true, true, true);
}

/* Made anew with the same file, which leads to the same number: whoever goes does not remove that one's file. */
CASE(qt_lock_made_anew_keeps_its_file)
{
    struct trio t = trio_start();
    EQ(qshm_qt_lock(t.keeper, 0), 1);
    EQ(qt_do(&t.qt, QT_REMOVE, 0), 0);
    EQ(qt_do(&t.b, QT_LOCK, 0), 1);
    EQ(qt_detach(t.keeper), 1); /* thinks that it holds it */
    CHECK(exists("sem"));
    EQ(qt_value(), 0);
    EQ(qt_do(&t.b, QT_CREATE, 0), 1);
    EQ(qt_attach(t.keeper, 0), 1);
    trio_end(&t, true, true, true);
}

static void detach_step_by_step(void *argument)
{
    struct unlocking *u = argument;
    int32_t handle = qt_created();
    EQ(qshm_qt_lock(handle, 0), 1);
    gate_open(&u->locked);
    gate_pass(&u->go);
    stepper_begin(u->stepper);
    EQ(qt_detach(handle), 1);
    stepper_end();
}

/* The last one out removes the lock's file before the set: whoever waits for that makes both anew, as a newcomer does, and not
 * a set for a file that is about to go. */
CASE(qt_lock_removed_with_its_segment)
{
    qt_place();
    struct unlocking u = {.stepper = stepper_make(), .locked = gate_make(), .go = gate_make()};
    pid_t last = spawn(detach_step_by_step, &u);
    gate_pass(&u.locked);
    struct qt_peer waiter = qt_peer_start(), newcomer = qt_peer_start();
    qt_begin(&waiter, QT_LOCK, 1 << 30);
    wait_for_system_call(waiter.pid, SYS_semtimedop);
    gate_open(&u.go);
    do {
        step_to(u.stepper, last, "semctl remove");
    } while (qt_segment_id("shm") >= 0);
    bool goes_on = step_on(u.stepper, last);
    EQ(qt_finish(&waiter), 1);
    if (goes_on) {
        step_free(u.stepper, last);
    }
    EQ(qt_do(&newcomer, QT_LOCK, 5), 0);
    EQ(qt_do(&waiter, QT_UNLOCK, 0), 1);
    EQ(qt_do(&newcomer, QT_LOCK, 0), 1);
    EQ(qt_do(&newcomer, QT_UNLOCK, 0), 1);
    qt_peer_end(&waiter);
    qt_peer_end(&newcomer);
    qt_end(qt_created());
    qt_is_clean();
}

/* --- the maker of the set ----------------------------------------------------------------------------------------- */

struct making {
    struct stepper *stepper;
    struct gate locked;
};

static void make_and_lock(void *argument)
{
    struct making *making = argument;
    int32_t handle = qt_memory();
    stepper_begin(making->stepper);
    int32_t r = qshm_qt_lock(handle, 0);
    stepper_end();
    EQ(r, 0); /* another has it */
    gate_open(&making->locked);
}

/* Stopped between making the set and setting its value, for long: it does not set it under whoever holds it by then. */
CASE(qt_lock_of_a_stopped_maker)
{
    qt_place();
    struct making making = {.stepper = stepper_make(), .locked = gate_make()};
    pid_t maker = spawn(make_and_lock, &making);
    step_to(making.stepper, maker, "semctl set");
    struct qt_peer a = qt_peer_start();
    EQ(qt_do(&a, QT_LOCK, 1 << 30), 1);
    step_free(making.stepper, maker);
    EQ(qt_value(), 0);
    struct qt_peer b = qt_peer_start();
    EQ(qt_do(&b, QT_LOCK, 5), 0);
    EQ(qt_do(&a, QT_UNLOCK, 0), 1);
    EQ(qt_value(), 1);
    qt_peer_end(&a);
    qt_peer_end(&b);
    int32_t handle = qt_created();
    qt_end(handle);
    qt_is_clean();
}

/* --- two objects of one process ----------------------------------------------------------------------------------- */

/* Each call that would wait for this very thread says so. */
CASE(qt_lock_of_the_same_thread)
{
    qt_place();
    int32_t a = qt_created();
    int32_t b = qt_attached();
    int32_t c = qt_memory();
    EQ(qshm_qt_lock(a, 0), 1);
    EQ(qshm_qt_lock(b, 0), 0);
    EQ(qshm_qt_lock(b, HUGE_VAL), QSHM_E_DEADLOCK);
    EQ(qt_attach(c, HUGE_VAL), QSHM_E_DEADLOCK);
    EQ(qt_create(c, HUGE_VAL), QSHM_E_ALREADY_EXISTS);
    EQ(qshm_qt_detach((uint32_t)b, HUGE_VAL, &outcome), QSHM_E_DEADLOCK);
    EQ(qshm_qt_remove((uint32_t)b, 0, HUGE_VAL, &outcome), QSHM_E_DEADLOCK);
    EQ(qshm_qt_unlock(a), 1);
    EQ(qshm_qt_lock(b, 0), 1);
    EQ(qt_detach(b), 1); /* gives it back */
    EQ(qt_value(), 1);
    EQ(qshm_qt_lock(b, 0), 1); /* one that is not attached may */
    qt_end(b);
    EQ(qt_value(), 1);
    EQ(qshm_qt_lock(a, 0), 1);
    EQ(qshm_qt_remove((uint32_t)c, 1, HUGE_VAL, &outcome), 1);
    EQ(qshm_qt_unlock(a), 1);
    qt_end(c);
    qt_end(a);
    qt_is_clean();
}

static void wait_for_parent(void *argument)
{
    struct gate *gate = argument;
    int32_t handle = qt_memory();
    EQ(qt_attach(handle, 5), 0);
    EQ(qshm_qt_lock(handle, 5), 0);
    gate_open(gate);
    EQ(qshm_qt_lock(handle, HUGE_VAL), 1);
    EQ(qshm_qt_unlock(handle), 1);
    qt_end(handle);
}

/* A child is not the thread that it was forked from, nor does it have what that holds. */
CASE(qt_lock_of_the_parent)
{
    qt_place();
    int32_t a = qt_created();
    EQ(qshm_qt_lock(a, 0), 1);
    struct gate gate = gate_make();
    pid_t child = spawn(wait_for_parent, &gate);
    gate_pass(&gate);
    EQ(qshm_qt_unlock(a), 1);
    EQ(wait_exit(child), 0);
    EQ(qt_value(), 1);
    qt_end(a);
    qt_is_clean();
}

/* --- two processes, and kill -9 ----------------------------------------------------------------------------------- */

struct counting {
    _Atomic uint32_t done[2]; /* increments that each has finished, in all its lives */
};

struct counter {
    struct counting *counting;
    int which;
    uint32_t rounds;
};

/* Adds 1 to the segment's number under the lock. A kill in between is seen: both halves differ. */
static void count_up(void *argument)
{
    struct counter *counter = argument;
    int32_t handle = qt_attached();
    volatile uint32_t *numbers = qshm_qt_payload((uint32_t)handle);
    for (uint32_t i = 0; i < counter->rounds; i++) {
        EQ(qshm_qt_lock(handle, HUGE_VAL), 1);
        numbers[1] = numbers[0]; /* what a dead one left undone */
        numbers[0] = numbers[0] + 1;
        numbers[1] = numbers[1] + 1;
        counter->counting->done[counter->which]++;
        EQ(qshm_qt_unlock(handle), 1);
    }
}

static void count_and_kill(double ms, uint32_t rounds)
{
    qt_place();
    int32_t keeper = qt_created();
    volatile uint32_t *numbers = qshm_qt_payload((uint32_t)keeper);
    struct counting *counting = shared_memory(sizeof *counting);
    struct counter counters[2] = {{counting, 0, rounds}, {counting, 1, rounds}};
    struct random random = random_from(runner_seed());
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = spawn(count_up, &counters[i]);
    }
    uint32_t kills = 0;
    double end = now_ms() + ms;
    while (kills < 20 || now_ms() < end) {
        int victim = (int)random_below(&random, 2);
        uint32_t until = counting->done[victim] + random_below(&random, 200);
        int status;
        while (counting->done[victim] < until && waitpid(pids[victim], &status, WNOHANG) == 0) {
            sched_yield();
        }
        kill(pids[victim], SIGKILL);
        waitpid(pids[victim], &status, 0);
        kills++;
        pids[victim] = spawn(count_up, &counters[victim]);
    }
    for (int i = 0; i < 2; i++) {
        kill_and_wait(pids[i]);
    }
    EQ(qt_value(), 1);
    /* Whoever was killed behind its increment, and before it was noted, or in between, is one more. */
    uint32_t noted = counting->done[0] + counting->done[1];
    GE(numbers[0], noted);
    LE(numbers[0], noted + kills + 2);
    uint32_t before = numbers[0];
    counters[0].rounds = counters[1].rounds = 2000; /* the survivors count exactly */
    for (int i = 0; i < 2; i++) {
        pids[i] = spawn(count_up, &counters[i]);
    }
    for (int i = 0; i < 2; i++) {
        EQ(wait_exit(pids[i]), 0);
    }
    EQ(numbers[0] - before, 4000);
    EQ(qt_value(), 1);
    runner_count("kills", kills);
    qt_end(keeper);
    qt_is_clean();
}

CASE(qt_lock_under_kills)
{
    count_and_kill(0, 1000000);
}

CASE(torture_qt_lock)
{
    unsigned seconds = runner_torture_seconds();
    if (seconds == 0) {
        runner_skip("long: QSHM_TORTURE_SECONDS=n");
    }
    runner_watchdog(seconds + 60);
    count_and_kill(seconds * 1e3, 1000000);
}
