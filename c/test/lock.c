/*
 * lock.c - what each call of the lock does, one situation at a time. Races are left to torture.c and faults.c.
 *
 * Invariant: the tests choose owner and heir through the API; where a state lasts too short to be met (an heir that has
 * been granted the lock and not asked yet), they wait for it in the word itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

int32_t qshm_test_arm(uint32_t step, uint32_t action);
int32_t qshm_test_steps(void *names, uint32_t capacity);

static uint32_t make(void)
{
    int32_t handle = open_memory(QSHM_CREATE | QSHM_ATTACH, "lock");
    GT(handle, 0);
    return (uint32_t)handle;
}

static uint64_t word(void)
{
    struct qshm__control *control = peek("m-lock");
    uint64_t value = control->lock;
    unpeek(control);
    return value;
}

/* Polls until the attachment is heir of a lock that another one owns. */
static void become_heir(uint32_t handle)
{
    while (word_heir(word()) != id_of((int32_t)handle)) {
        EQ(qshm_poll_lock(handle), 0);
        struct timespec turn = {.tv_nsec = 1000000};
        nanosleep(&turn, NULL); /* the rhythm of an event loop; nothing depends on it */
    }
}

CASE(lock_try_and_unlock)
{
    uint32_t a = make(), b = make();
    EQ(qshm_unlock(a), QSHM_E_LOCK_LOST);
    EQ(qshm_try_lock(a), 1);
    EQ(word(), id_of((int32_t)a));
    EQ(qshm_try_lock(a), 0);
    EQ(qshm_try_lock(b), 0);
    EQ(qshm_unlock(b), QSHM_E_LOCK_LOST);
    EQ(qshm_unlock(a), 0);
    EQ(word(), 0);
    EQ(qshm_unlock(a), QSHM_E_LOCK_LOST);
    EQ(qshm_try_lock(b), 1);
    EQ(qshm_unlock(b), 0);
}

CASE(lock_wait_timeouts)
{
    uint32_t a = make();
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_ATTACH, "lock", HOLDER_LOCKS);
    double before = now_ms();
    EQ(qshm_wait_lock(a, 0), 0);
    EQ(qshm_wait_lock(a, 25), 0);
    GE(now_ms() - before, 25);
    EQ(word_heir(word()), 0);
    EQ(qshm_wait_lock(a, -1), QSHM_E_ARGUMENT);
    EQ(qshm_wait_lock(a, NAN), QSHM_E_ARGUMENT);
    EQ(qshm_wait_lock(a, -HUGE_VAL), QSHM_E_ARGUMENT);
    holder_end(&holder);
    EQ(qshm_wait_lock(a, HUGE_VAL), 1);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_wait_lock(a, 1e300), 1);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_wait_lock(a, 0), 1);
    EQ(qshm_unlock(a), 0);
}

CASE(lock_wait_is_woken)
{
    uint32_t a = make();
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_ATTACH, "lock", HOLDER_LOCKS);
    gate_open(&holder.done);
    EQ(qshm_wait_lock(a, HUGE_VAL), 1);
    EQ(qshm_unlock(a), 0);
    EQ(wait_exit(holder.pid), 0);
}

/* K6 */
CASE(lock_deadlock_of_one_thread)
{
    uint32_t a = make(), b = make();
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_wait_lock(b, HUGE_VAL), QSHM_E_DEADLOCK);
    EQ(qshm_wait_lock(a, HUGE_VAL), QSHM_E_DEADLOCK);
    EQ(qshm_try_lock(b), 0);
    EQ(qshm_poll_lock(b), 0);
    EQ(qshm_cancel_lock(b), 0);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_wait_lock(b, HUGE_VAL), 1);
    EQ(qshm_unlock(b), 0);
    /* Another segment is no obstacle. */
    int32_t other = open_memory(QSHM_CREATE, "other");
    GT(other, 0);
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_wait_lock((uint32_t)other, HUGE_VAL), 1);
}

static void lock_and_die(void *argument)
{
    (void)argument;
    GT(qshm_try_lock(make()), 0);
    raise(SIGKILL);
}

/* The died bit lasts until an orderly unlock: a second death is told again. */
CASE(lock_death_is_told)
{
    uint32_t a = make();
    for (int round = 0; round < 3; round++) {
        wait_killed(spawn(lock_and_die, NULL), SIGKILL);
        struct qshm_process owner;
        EQ(qshm_lock_owner(a, &owner), 1);
        EQ(owner.alive, 0);
        EQ(owner.pid, 0);
        wait_killed(spawn(lock_and_die, NULL), SIGKILL);
        int32_t r = round == 0 ? qshm_try_lock(a) : round == 1 ? qshm_wait_lock(a, HUGE_VAL) : qshm_poll_lock(a);
        EQ(r, 2);
        EQ(qshm_unlock(a), 0);
        EQ(qshm_try_lock(a), 1);
        EQ(qshm_unlock(a), 0);
    }
}

CASE(lock_detach_frees)
{
    uint32_t a = make(), b = make();
    EQ(qshm_try_lock(b), 1);
    EQ(qshm_detach(b), 0);
    EQ(word(), 0);
    EQ(qshm_try_lock(a), 1);
}

CASE(lock_force)
{
    uint32_t a = make(), b = make();
    struct qshm_process process;
    EQ(qshm_force_unlock(a, 0, &process), 0);
    EQ(process.id, 0);
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_force_unlock(b, 0, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_lock_owner(b, &process), 1);
    EQ(process.id, id_of((int32_t)a));
    EQ(process.pid, getpid());
    EQ(process.alive, 1);
    GT(process.started, 0);
    EQ(qshm_force_unlock(b, process.id + 1, &process), 0);
    EQ(qshm_force_unlock(b, id_of((int32_t)a), &process), 1);
    EQ(process.id, id_of((int32_t)a));
    EQ(process.pid, getpid());
    EQ(qshm_lock_owner(b, &process), 0);
    EQ(qshm_try_lock(b), 2); /* K4 */
    EQ(qshm_unlock(a), QSHM_E_LOCK_LOST);
    EQ(qshm_unlock(b), 0);
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_unlock(a), 0);
}

/* The lock that somebody wanted to take from its owner is another one's by now. */
CASE(lock_force_of_a_former_owner)
{
    uint32_t a = make(), b = make(), c = make();
    struct qshm_process process;
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_lock_owner(c, &process), 1);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_try_lock(b), 1);
    uint32_t former = process.id;
    EQ(qshm_force_unlock(c, former, &process), 0);
    EQ(process.id, 0);
    EQ(qshm_unlock(b), 0);
}

/* Forced out, and not told to the next one before it dies: told to the one after that. */
CASE(lock_force_then_death)
{
    uint32_t a = make(), b = make();
    struct qshm_process process;
    EQ(qshm_try_lock(b), 1);
    EQ(qshm_force_unlock(a, 0, &process), 1);
    wait_killed(spawn(lock_and_die, NULL), SIGKILL);
    EQ(qshm_try_lock(a), 2);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_try_lock(a), 1);
}

CASE(lock_heir_is_granted)
{
    uint32_t a = make(), b = make(), c = make();
    EQ(qshm_try_lock(a), 1);
    become_heir(b);
    EQ(qshm_unlock(a), 0);
    EQ(word_owner(word()), id_of((int32_t)b));
    EQ(qshm_try_lock(a), 0);
    EQ(qshm_try_lock(c), 0);
    EQ(qshm_poll_lock(b), 1);
    EQ(qshm_unlock(b), 0);
    EQ(qshm_try_lock(c), 1);
}

CASE(lock_cancel)
{
    uint32_t a = make(), b = make();
    EQ(qshm_cancel_lock(b), 0);
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_poll_lock(b), 0);
    EQ(qshm_cancel_lock(b), 0);
    become_heir(b);
    EQ(qshm_cancel_lock(b), 0);
    EQ(word_heir(word()), 0);
    EQ(qshm_unlock(a), 0);
    EQ(word(), 0);
    /* Granted in the meantime: handed on. */
    EQ(qshm_try_lock(a), 1);
    become_heir(b);
    EQ(qshm_unlock(a), 0);
    EQ(word_owner(word()), id_of((int32_t)b));
    EQ(qshm_cancel_lock(b), 0);
    EQ(word(), 0);
    /* The same after force: the next owner is told. */
    struct qshm_process process;
    EQ(qshm_try_lock(a), 1);
    become_heir(b);
    EQ(qshm_force_unlock(b, 0, &process), 1);
    EQ(qshm_cancel_lock(b), 0);
    EQ(qshm_unlock(a), QSHM_E_LOCK_LOST);
    EQ(qshm_try_lock(a), 2);
    EQ(qshm_unlock(a), 0);
}

/* Whoever is granted a lock that was forced away, and leaves before asking, was not told: the next one must be. */
CASE(lock_granted_heir_detaches_untold)
{
    uint32_t a = make(), b = make(), c = make();
    struct qshm_process process;
    EQ(qshm_try_lock(a), 1);
    become_heir(b);
    EQ(qshm_force_unlock(c, 0, &process), 1);
    EQ(word_owner(word()), id_of((int32_t)b));
    EQ(qshm_detach(b), 0);
    EQ(qshm_try_lock(c), 2);
}

/* An asynchronous wait is granted a lock that was forced away; its thread blocks on another handle, which makes the
 * former step back. Whoever gets the lock then must be told. */
CASE(lock_granted_heir_steps_back_untold)
{
    uint32_t a = make(), b = make(), c = make();
    struct qshm_process process;
    EQ(qshm_try_lock(a), 1);
    become_heir(b);
    EQ(qshm_force_unlock(c, 0, &process), 1);
    EQ(qshm_unlock(a), QSHM_E_LOCK_LOST);
    EQ(qshm_wait_lock(c, 10000), 2);
}

/* unlock by somebody that was granted the lock and has not been told so: it does not know that it owns it. */
CASE(lock_unlock_before_the_grant_is_seen)
{
    uint32_t a = make(), b = make(), c = make();
    struct qshm_process process;
    EQ(qshm_try_lock(a), 1);
    become_heir(b);
    EQ(qshm_force_unlock(c, 0, &process), 1);
    int32_t r = qshm_unlock(b);
    int32_t next = r == 0 ? qshm_try_lock(c) : qshm_poll_lock(b);
    EQ(next, 2);
}

static void become_heir_and_die(void *argument)
{
    (void)argument;
    become_heir(make());
    raise(SIGKILL);
}

CASE(lock_dead_heir_is_passed_over)
{
    uint32_t a = make(), b = make();
    EQ(qshm_try_lock(a), 1);
    wait_killed(spawn(become_heir_and_die, NULL), SIGKILL);
    NE(word_heir(word()), 0);
    EQ(qshm_unlock(a), 0);
    EQ(word(), 0);
    EQ(qshm_try_lock(a), 1);
    wait_killed(spawn(become_heir_and_die, NULL), SIGKILL);
    become_heir(b); /* a waiter takes the dead one's place */
    EQ(qshm_unlock(a), 0);
    EQ(qshm_poll_lock(b), 1);
    /* force */
    wait_killed(spawn(become_heir_and_die, NULL), SIGKILL);
    struct qshm_process process;
    EQ(qshm_force_unlock(a, 0, &process), 1);
    EQ(word_owner(word()), 0);
    EQ(qshm_try_lock(a), 2);
}

static void die_as_granted_heir(void *argument)
{
    struct gate *gate = argument;
    become_heir(make());
    gate_open(gate);
    pause();
}

CASE(lock_granted_heir_dies)
{
    uint32_t a = make();
    struct gate gate = gate_make();
    EQ(qshm_try_lock(a), 1);
    pid_t pid = spawn(die_as_granted_heir, &gate);
    gate_pass(&gate);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_try_lock(a), 0);
    kill_and_wait(pid);
    EQ(qshm_try_lock(a), 2); /* it may have been inside, for all that is known */
}

static void be_greedy(void *argument)
{
    (void)argument;
    uint32_t handle = make();
    for (;;) {
        GT(qshm_wait_lock(handle, HUGE_VAL), 0);
        EQ(qshm_unlock(handle), 0);
    }
}

/* K3: without the heir a slow poller would win by luck only. */
CASE(lock_greedy_locker)
{
    uint32_t a = make();
    pid_t greedy[2] = {spawn(be_greedy, NULL), spawn(be_greedy, NULL)};
    for (int turn = 0; turn < 50; turn++) {
        while (qshm_poll_lock(a) == 0) {
            struct timespec rhythm = {.tv_nsec = 2000000};
            nanosleep(&rhythm, NULL);
        }
        EQ(qshm_unlock(a), 0);
    }
    kill_and_wait(greedy[0]);
    kill_and_wait(greedy[1]);
    GT(qshm_wait_lock(a, HUGE_VAL), 0);
}

/* A waiter reduced to its sleep: it takes the wake-up and dies before its compare-and-swap. */
static void swallow_a_wake(void *argument)
{
    (void)argument;
    struct qshm__control *control = peek("m-lock");
    uint64_t seen = control->lock;
    CHECK(atomic_compare_exchange_strong(&control->lock, &seen, seen | WORD_WAITERS));
    uint32_t expected = (uint32_t)(seen | WORD_WAITERS);
    while (syscall(SYS_futex, &control->lock, FUTEX_WAIT, expected, NULL, NULL, 0) != 0) {
    }
    raise(SIGKILL);
}

static void wait_for_ever(void *argument)
{
    (void)argument;
    uint32_t handle = make();
    EQ(qshm_wait_lock(handle, HUGE_VAL), 1);
    EQ(qshm_unlock(handle), 0);
    EQ(qshm_detach(handle), 0);
}

/* K1 */
CASE(lock_woken_waiter_is_killed)
{
    uint32_t a = make();
    for (int round = 0; round < 5; round++) {
        EQ(qshm_try_lock(a), 1);
        pid_t first = spawn(swallow_a_wake, NULL);
        wait_for_system_call(first, SYS_futex);
        pid_t second = spawn(wait_for_ever, NULL);
        wait_for_system_call(second, SYS_futex);
        /* Not the heir's way: that would wake all. */
        struct qshm__control *control = peek("m-lock");
        uint64_t now = control->lock;
        while (!atomic_compare_exchange_strong(&control->lock, &now, now & ~((uint64_t)0x7fffffff << 32))) {
        }
        unpeek(control);
        EQ(qshm_unlock(a), 0);
        wait_killed(first, SIGKILL);
        EQ(wait_exit(second), 0);
    }
}

/* As wait_for_ever; the one before may have died inside. */
static void wait_and_take(void *argument)
{
    (void)argument;
    uint32_t handle = make();
    GT(qshm_wait_lock(handle, HUGE_VAL), 0);
    EQ(qshm_unlock(handle), 0);
    EQ(qshm_detach(handle), 0);
}

static void wait_and_die_at(void *argument)
{
    uint32_t handle = make();
    qshm_test_arm(*(const uint32_t *)argument, 2);
    qshm_wait_lock(handle, HUGE_VAL);
}

/* The same with the library's own waiters, killed at their n-th step while the lock changes hands. */
CASE(lock_waiters_are_killed)
{
    uint32_t a = make();
    for (uint32_t step = 1; step < 40; step++) {
        EQ(qshm_try_lock(a), 1);
        pid_t first = spawn(wait_and_die_at, &step);
        pid_t second = spawn(wait_and_take, NULL);
        wait_for_system_call(second, SYS_futex);
        EQ(qshm_unlock(a), 0);
        int32_t r = qshm_wait_lock(a, HUGE_VAL);
        GT(r, 0);
        EQ(qshm_unlock(a), 0);
        int status;
        EQ(waitpid(first, &status, 0), first);
        CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
        EQ(wait_exit(second), 0);
        r = qshm_wait_lock(a, HUGE_VAL);
        GT(r, 0);
        EQ(qshm_unlock(a), 0);
    }
}

/* A pid is believed only if that process holds the owner's byte. */
CASE(lock_owner_is_not_a_lie)
{
    uint32_t a = make();
    struct holder bystander = holder_start(QSHM_KIND_MEMORY, QSHM_ATTACH, "lock", 0);
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_ATTACH, "lock", HOLDER_LOCKS);
    struct qshm_process owner;
    EQ(qshm_lock_owner(a, &owner), 1);
    EQ(owner.pid, holder.pid);
    uint32_t id = owner.id;
    struct qshm__control *control = peek("m-lock");
    uint64_t lies[] = {
        (uint64_t)bystander.pid << 32 | id, /* attached, but with another byte */
        (uint64_t)1 << 32 | id,             /* a process that has nothing to do with it */
        (uint64_t)0xffffffff << 32 | id,    /* none at all */
        (uint64_t)holder.pid << 32 | (id + 1),
        0,
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        control->lock_holder = lies[i];
        EQ(qshm_lock_owner(a, &owner), 1);
        EQ(owner.id, id);
        EQ(owner.alive, 1);
        EQ(owner.pid, 0);
        EQ(owner.started, 0);
    }
    control->lock_holder = (uint64_t)holder.pid << 32 | id;
    kill_and_wait(holder.pid);
    EQ(qshm_lock_owner(a, &owner), 1);
    EQ(owner.alive, 0);
    EQ(owner.pid, 0);
    unpeek(control);
    holder_end(&bystander);
}

/* A stopped owner lives: others time out, or force; going on, it learns that the lock is gone. */
CASE(lock_stopped_owner)
{
    uint32_t a = make();
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_ATTACH, "lock", HOLDER_LOCKS | HOLDER_MAY_LOSE);
    EQ(kill(holder.pid, SIGSTOP), 0);
    CHECK(wait_stopped(holder.pid));
    EQ(qshm_try_lock(a), 0);
    EQ(qshm_wait_lock(a, 20), 0);
    struct qshm_process process;
    EQ(qshm_lock_owner(a, &process), 1);
    EQ(process.alive, 1);
    EQ(process.pid, holder.pid);
    EQ(qshm_force_unlock(a, process.id, &process), 1);
    EQ(qshm_try_lock(a), 2);
    EQ(kill(holder.pid, SIGCONT), 0);
    holder_end(&holder);
    EQ(qshm_unlock(a), 0);
    EQ(qshm_try_lock(a), 1);
}

/* Which step (from 1) bears this name, in what was counted since qshm_test_arm(0, 0)? */
static uint32_t step_named(const char *name)
{
    static char names[16384];
    qshm_test_steps(names, sizeof names);
    uint32_t step = 1;
    for (char *at = strtok(names, "\n"); at != NULL; at = strtok(NULL, "\n"), step++) {
        if (strcmp(at, name) == 0) {
            return step;
        }
    }
    runner_fail(__FILE__, __LINE__, "no step \"%s\"", name);
}

struct late_taker {
    uint32_t step;
    int32_t result;
};

static void find_takeover_step(void *argument)
{
    struct late_taker *late = argument;
    uint32_t handle = make();
    qshm_test_arm(0, 0);
    EQ(qshm_try_lock(handle), 2);
    late->step = step_named("takeover");
    raise(SIGKILL); /* dead as owner again, for the next one */
}

static void take_over_late(void *argument)
{
    struct late_taker *late = argument;
    uint32_t handle = make();
    qshm_test_arm(late->step, 1);
    late->result = qshm_try_lock(handle);
    qshm_test_steps(NULL, 0);
    EQ(qshm_detach(handle), 0);
}

/* Two find the same owner dead; one takes over while the other stands between its finding and its change of the word.
 * Sabotage "plain-store takeover" makes both owners; torture.c meets that too rarely to be relied on. */
CASE(lock_double_takeover)
{
    uint32_t a = make();
    struct late_taker *late = shared_memory(sizeof *late);
    wait_killed(spawn(lock_and_die, NULL), SIGKILL);
    wait_killed(spawn(find_takeover_step, late), SIGKILL);
    pid_t second = spawn(take_over_late, late);
    CHECK(wait_stopped(second));
    EQ(qshm_try_lock(a), 2);
    EQ(kill(second, SIGCONT), 0);
    EQ(wait_exit(second), 0);
    EQ(late->result, 0);
    EQ(word_owner(word()), id_of((int32_t)a));
    EQ(qshm_unlock(a), 0);
}
