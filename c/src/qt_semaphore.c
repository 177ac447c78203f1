/*
 * qt_semaphore.c - a System V semaphore that Qt programs use as well, without what goes wrong in theirs.
 *
 * Owns: opening, taking and giving back of the set of one semaphore that a key file leads to.
 *
 * Every change is made with SEM_UNDO: the kernel takes it back when the process ends, however it ends. So a lock whose holder
 * is killed is free at once, for Qt's waiters, too.
 *
 * Invariants of a lock (value 1 = free, 0 = held)
 *  - Who takes it takes all there is, down to 0, in one operation: {-1, then: is it 0?}. Of a value of 2, which Qt makes
 *    (below), it takes 2, so of ours never two hold it (test: "qt_lock_takes_all_that_was_raised"), and gives 2 back. To
 *    lower it to 1 for good would be wrong: who raised it owes 1, which the kernel takes at the end of that process, and then
 *    nobody would ever get it (test: "qt_lock_is_not_lost_to_what_others_owe").
 *  - We give back only what is still ours. Qt sets the value of a lock that others hold, when a create() fails, and
 *    removes it under them, when the one that made it goes; then it adds 1 all the same, and the lock is free twice. Setting
 *    makes the kernel forget what it was to take back from us: that tells us, and then there is nothing to give back (tests:
 *    "qt_lock_was_set_..."). Nor is there if it was removed.
 *  - If it was raised, it may be another's by now: its value is 0, and another process, which lives, changed it last. Then
 *    we change nothing, not even who changed it last, since that one would take its lock for lost; it is given back
 *    together with the next, or by the kernel when this process ends (test: "qt_lock_was_raised_and_taken"). If nobody has
 *    it, we give back: who raised it owes 1 (test: "qt_lock_was_raised_by_one_that_ends").
 *  - A process that has ended holds nothing: what it owed may have made it the last one that changed the lock, even though the
 *    value stayed 0 (tests: "qt_lock_survives_what_...").
 *  - Removed only by who holds it: nobody else is inside then. Those who wait in the kernel are told, and make a new one.
 *    First the file, then the set: a newcomer must not find the old file with a new set that waiters have made
 *    (test: "qt_lock_removed_with_its_segment").
 *
 * Failure story: killed between making the set and setting its value, it is 0, and never was changed by anybody: whoever opens
 * it and sees that for a second removes it, and makes another. To set it instead would be to share it with a maker that was
 * stopped, and sets it later, when somebody holds it (test: "qt_lock_of_a_stopped_maker"). A Qt program that comes
 * first waits until then.
 * Killed in a removal, between file and set, it leaves a set to which nothing leads (point "lock's file removed").
 */
#include "qt_semaphore.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "../qshm.h"
#include "fault.h"
#include "handle.h"
#include "os.h"

enum { MOST_TRIES = 100 };             /* of opening, while others remove it again */
static const double dead_maker = 1000; /* ms without a value */

typedef struct qshm__semaphore_step step;

enum { HALF = 16384, MOST_TAKEN = 1000, PAY_STEPS = 9, MOST_STEPS = 11 };

/*
 * Appends what adds `count`, and lets the kernel forget that it was to add them for us; -ERANGE if it was not to. For it counts
 * what it is to take back down to -32768, and no further: in the midst of this, 32768 + `count` were added.
 */
static uint32_t append_pay(step *at, int count)
{
    const step pay[PAY_STEPS] = {
        {.change = HALF, .undo = true},
        {.change = -HALF},
        {.change = HALF, .undo = true},
        {.change = -HALF},
        {.change = (int16_t)count, .undo = true},
        {.change = HALF},
        {.change = -HALF, .undo = true},
        {.change = HALF},
        {.change = -HALF, .undo = true},
    };
    memcpy(at, pay, sizeof pay);
    return PAY_STEPS;
}

void qshm__qt_semaphore_init(struct qshm__qt_semaphore *s, uint32_t project, int initial, bool is_lock)
{
    s->key.project = project;
    s->initial = initial;
    s->is_lock = is_lock;
    s->id = -1;
}

static bool is_gone(int result)
{
    return result == -EIDRM || result == -EINVAL;
}

static int failed(struct qshm__failure *failure, const char *call, int result)
{
    /* more than a semaphore can hold */
    return result == -ERANGE ? (qshm__fail_call(failure, call, result), QSHM_E_RESOURCES)
                             : qshm__fail_call(failure, call, result);
}

/* Waits until whoever made the set has given it its value: 0. If that died before, removes it. */
static int await_value(const struct qshm__qt_semaphore *s)
{
    double deadline = qshm__os_now() + dead_maker;
    for (;;) {
        struct qshm__sysv_stat found;
        bool is_new = qshm__os_semaphore_value(s->id) == 0 && qshm__os_semaphore_changer(s->id) == 0 &&
                      qshm__os_semaphore_stat(s->id, &found) == 0 && found.operated == 0;
        if (!is_new) {
            return 0;
        }
        if (qshm__os_now() >= deadline) {
            qshm__trace("removed semaphore %s, whose maker died", s->key.path);
            qshm__os_semaphore_remove(s->id);
            return -EIDRM;
        }
        qshm__os_sleep(1);
    }
}

/* A set of another user's, who may have let everybody in, would leave it to that one who is let in here. Root may use all. */
static int check_creator(int id)
{
    struct qshm__sysv_stat found;
    uint32_t me = qshm__os_uid();
    int r = me == 0 ? 0 : qshm__os_semaphore_stat(id, &found);
    return me == 0 || r < 0 || found.creator == me ? r : -EACCES;
}

/* Opens or makes the set of the file as it is now: 1; 0 if it was removed meanwhile. */
static int open_once(struct qshm__qt_semaphore *s, struct qshm__failure *failure)
{
    int made_file = qshm__qt_key_make(&s->key, failure);
    if (made_file < 0) {
        return made_file;
    }
    int r = qshm__qt_key_number(&s->key, &s->number, failure);
    if (r <= 0) {
        return r;
    }
    r = qshm__os_semaphore_get(s->number, true, &s->id);
    bool made_set = r == 0;
    if (made_set) {
        QSHM_POINT("set made");
        r = qshm__os_semaphore_set(s->id, s->initial);
    } else if (r == -EEXIST) {
        r = qshm__os_semaphore_get(s->number, false, &s->id);
        r = r == 0 ? check_creator(s->id) : r;
        r = r == 0 ? await_value(s) : r;
    }
    int32_t number;
    bool leads_to_it = r >= 0 && qshm__qt_key_number(&s->key, &number, failure) == 1 && number == s->number;
    if (leads_to_it) {
        s->made |= made_file == 1 || made_set;
        s->taken = 0;
        return 1;
    }
    if (made_set) {
        qshm__os_semaphore_remove(s->id);
    }
    s->id = -1;
    if (r >= 0 || r == -ENOENT || is_gone(r)) {
        return 0;
    }
    if (made_file == 1) { /* for nothing */
        qshm__qt_key_remove(&s->key, s->number);
    }
    return failed(failure, made_set ? "semctl" : "semget", r);
}

int qshm__qt_semaphore_open(struct qshm__qt_semaphore *s, struct qshm__failure *failure)
{
    for (int tries = 0; s->id < 0 && tries < MOST_TRIES; tries++) {
        int r = open_once(s, failure);
        if (r < 0) {
            return r;
        }
    }
    return s->id >= 0 ? 0 : qshm__fail_check(failure, QSHM_E_BUSY, "others remove it again and again");
}

int qshm__qt_semaphore_create(struct qshm__qt_semaphore *s, struct qshm__failure *failure)
{
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        int r = qshm__qt_semaphore_open(s, failure);
        if (r < 0) {
            return r;
        }
        r = qshm__os_semaphore_set(s->id, s->initial);
        if (r >= 0) {
            s->made = true;
            return 0;
        }
        if (!is_gone(r)) {
            return failed(failure, "semctl", r);
        }
        s->id = -1;
    }
    return qshm__fail_check(failure, QSHM_E_BUSY, "others remove it again and again");
}

/* `ms` of HUGE_VAL: no limit. */
static int take_once(struct qshm__qt_semaphore *s, int count, double ms)
{
    const step all[] = {{.change = (int16_t)-count, .undo = true, .now = ms <= 0}, {.change = 0, .now = true}};
    int r = qshm__os_semaphore_change(s->id, all, s->is_lock ? 2 : 1, ms > 0 ? ms : HUGE_VAL);
    s->taken += r == 0 && s->is_lock ? count : 0;
    return r;
}

/* A lock is not to be had as it should be: is it free more than once? Then takes all of that. */
static int take_raised(struct qshm__qt_semaphore *s)
{
    int value = qshm__os_semaphore_value(s->id);
    if (value <= 1) {
        return value < 0 ? value : -EAGAIN;
    }
    qshm__trace("the lock %s is free %d times", s->key.path, value);
    if (value > MOST_TAKEN) { /* that was not Qt */
        const step lower[] = {{.change = (int16_t)(MOST_TAKEN - value), .now = true}};
        int r = qshm__os_semaphore_change(s->id, lower, 1, HUGE_VAL);
        value = MOST_TAKEN;
        if (r < 0) {
            return r;
        }
    }
    return take_once(s, value, 0);
}

int qshm__qt_semaphore_take(struct qshm__qt_semaphore *s, double timeout_ms, struct qshm__failure *failure)
{
    double deadline = timeout_ms > 0 ? qshm__os_now() + timeout_ms : 0;
    for (;;) {
        int r = qshm__qt_semaphore_open(s, failure);
        if (r < 0) {
            return r;
        }
        double rest = timeout_ms > 1e15 || timeout_ms <= 0 ? timeout_ms : deadline - qshm__os_now();
        r = take_once(s, 1, rest);
        if (r == -EAGAIN && s->is_lock) {
            r = take_raised(s);
        }
        if (r == 0) {
            return 1;
        }
        if (is_gone(r)) {
            s->id = -1;
            continue;
        }
        if (r == -EAGAIN && rest <= 0) {
            return 0;
        }
        if (r != -EAGAIN && r != -EINTR) {
            return failed(failure, "semop", r);
        }
    }
}

int qshm__qt_semaphore_add(struct qshm__qt_semaphore *s, int count, struct qshm__failure *failure)
{
    for (;;) {
        int r = qshm__qt_semaphore_open(s, failure);
        if (r < 0) {
            return r;
        }
        step all[] = {{.change = (int16_t)count, .undo = true}};
        r = qshm__os_semaphore_change(s->id, all, 1, HUGE_VAL);
        if (r == 0) {
            return 0;
        }
        if (is_gone(r)) {
            s->id = -1;
        } else if (r != -EINTR) {
            return failed(failure, "semop", r);
        }
    }
}

/* Is it ours still, provided that its value is 0? 1 or 0, or a negative errno. A process of another PID namespace, whose
 * number is 0 here, lives. */
static int is_ours(const struct qshm__qt_semaphore *s)
{
    int changer = qshm__os_semaphore_changer(s->id);
    if (changer <= 0) {
        return changer;
    }
    return (uint32_t)changer == qshm__handle_process() || qshm__os_process_has_ended((uint32_t)changer);
}

int qshm__qt_semaphore_give_back(struct qshm__qt_semaphore *s, struct qshm__failure *failure)
{
    int r = 0;
    for (int tries = 0; tries < MOST_TRIES && s->taken > 0; tries++) {
        step if_held[MOST_STEPS] = {{.change = 0, .now = true}};
        uint32_t held_steps = 1 + append_pay(if_held + 1, s->taken);
        step if_free[MOST_STEPS] = {{.change = -1, .now = true}, {.change = 1}};
        uint32_t free_steps = 2 + append_pay(if_free + 2, s->taken);
        int ours = is_ours(s);
        r = ours <= 0 ? ours : qshm__os_semaphore_change(s->id, if_held, held_steps, HUGE_VAL);
        if (ours == 0 || r == -EAGAIN) {
            qshm__trace("the lock %s was taken away from us", s->key.path);
            r = qshm__os_semaphore_change(s->id, if_free, free_steps, HUGE_VAL);
        }
        if (r == -EAGAIN && ours == 0) { /* another's: paid when this object takes it and gives it back again */
            return 0;
        }
        if (r == 0 || is_gone(r)) {
            s->taken = 0;
            s->id = r == 0 ? s->id : -1;
            return 0;
        }
        if (r == -ERANGE) { /* of what was taken before it was set, the kernel knows no more */
            s->taken--;
            tries--;
        }
    }
    return r == -EAGAIN || r == -ERANGE ? 0 : failed(failure, "semop", r);
}

int qshm__qt_semaphore_force(struct qshm__qt_semaphore *s, uint32_t *pid, struct qshm__failure *failure)
{
    int r = qshm__qt_semaphore_open(s, failure);
    if (r < 0) {
        return r;
    }
    int value = qshm__os_semaphore_value(s->id);
    if (value != 0) {
        return value > 0 || is_gone(value) ? 0 : failed(failure, "semctl", value);
    }
    int changer = qshm__os_semaphore_changer(s->id);
    *pid = changer > 0 ? (uint32_t)changer : 0;
    r = qshm__os_semaphore_set(s->id, 1);
    return r == 0 ? 1 : is_gone(r) ? 0 : failed(failure, "semctl", r);
}

void qshm__qt_semaphore_remove(struct qshm__qt_semaphore *s)
{
    if (s->id >= 0) {
        /* What was removed under us may have been made anew: then the file is that one's. */
        if (!s->shares_file && !is_gone(qshm__os_semaphore_value(s->id))) {
            qshm__qt_key_remove(&s->key, s->number);
        }
        QSHM_POINT("lock's file removed");
        qshm__os_semaphore_remove(s->id);
        s->id = -1;
    }
    s->made = false;
}
