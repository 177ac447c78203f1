/*
 * qt_semaphore.c - a System V semaphore that Qt programs use as well, without what goes wrong in theirs.
 *
 * Owns: opening, taking and giving back of the set of one semaphore that a key file leads to.
 *
 * Every change is made with SEM_UNDO: the kernel takes it back when the process ends, however it ends. So a lock whose holder
 * is killed is free at once, for Qt's waiters, too.
 *
 * Invariants of a lock (value 1 = free, 0 = held)
 *  - We take it only from 1 to 0, in one operation: {-1, then: is it 0?}. A value of 2, which Qt makes (below), is brought down
 *    to 1 first, so of ours never two hold it (test: "qt_lock_clamps_what_was_raised").
 *  - We give back only what is still ours. Qt sets the value of a lock that others hold, when a create() fails, and
 *    removes it under them, when the one that made it goes; then it adds 1 all the same, and the lock is free twice. We look
 *    who changed it last: if that is not this process, then somebody did so, and there is nothing to give back.
 *    Setting a value also makes the kernel forget what it was to take back; if it was not set, but raised, the kernel has to be
 *    told to forget it: {+1 with undo, -1 without} (tests: "qt_lock_...", test/interop).
 *  - Removed only by who holds it: nobody else is inside then. Those who wait in the kernel are told, and make a new one.
 *    First the file, then the set: a newcomer must not find the old file with a new set that waiters have made.
 *
 * Failure story: killed between making the set and setting its value, it is 0, and never was changed by anybody: whoever opens
 * it and sees that for a second sets the value in its place (point "set made"). A Qt program that comes first waits
 * until then.
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

static const step give_back[] = {{.change = 0, .now = true}, {.change = 1, .undo = true}};
static const step forget[] = {{.change = 1, .undo = true}, {.change = -1, .now = true}};
static const step lower[] = {{.change = -2, .now = true}, {.change = 1, .now = true}};

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

/* Waits until whoever made the set has given it its value; if that died before, does it. */
static void await_value(const struct qshm__qt_semaphore *s)
{
    double deadline = qshm__os_now() + dead_maker;
    for (;;) {
        struct qshm__sysv_stat found;
        bool is_new = qshm__os_semaphore_value(s->id) == 0 && qshm__os_semaphore_changer(s->id) == 0 &&
                      qshm__os_semaphore_stat(s->id, &found) == 0 && found.operated == 0;
        if (!is_new) {
            return;
        }
        if (qshm__os_now() >= deadline) {
            qshm__trace("set the value of semaphore %s, whose maker died", s->key.path);
            qshm__os_semaphore_set(s->id, s->initial);
            return;
        }
        qshm__os_sleep(1);
    }
}

/* Opens or makes the set of the file as it is now: 1; 0 if it was removed meanwhile. */
static int open_once(struct qshm__qt_semaphore *s, struct qshm__failure *failure)
{
    int made_file = qshm__qt_key_make(&s->key, failure);
    if (made_file < 0) {
        return made_file;
    }
    s->made |= made_file == 1;
    int r = qshm__qt_key_number(&s->key, &s->number, failure);
    if (r <= 0) {
        return r;
    }
    r = qshm__os_semaphore_get(s->number, true, &s->id);
    if (r == 0) {
        QSHM_POINT("set made");
        r = qshm__os_semaphore_set(s->id, s->initial);
        s->made = true;
    } else if (r == -EEXIST) {
        r = qshm__os_semaphore_get(s->number, false, &s->id);
        if (r == 0) {
            await_value(s);
        }
    }
    if (r < 0) {
        s->id = -1;
        return r == -ENOENT || is_gone(r) ? 0 : failed(failure, "semget", r);
    }
    struct qshm__sysv_stat found;
    int32_t number;
    if (qshm__os_semaphore_stat(s->id, &found) < 0 || qshm__qt_key_number(&s->key, &number, failure) != 1 ||
        number != s->number) {
        if (s->made) {
            qshm__os_semaphore_remove(s->id);
        }
        s->id = -1;
        return 0;
    }
    s->set_at = found.changed;
    s->opened_at = qshm__os_seconds();
    return 1;
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
static int take_once(const struct qshm__qt_semaphore *s, double ms)
{
    const step one[] = {{.change = -1, .undo = true, .now = ms <= 0}, {.change = 0, .now = true}};
    return qshm__os_semaphore_change(s->id, one, s->is_lock ? 2 : 1, ms > 0 ? ms : HUGE_VAL);
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
        r = take_once(s, rest);
        if (r == 0) {
            return 1;
        }
        if (is_gone(r)) {
            s->id = -1;
            continue;
        }
        if (r == -EAGAIN && s->is_lock && qshm__os_semaphore_value(s->id) > 1) {
            qshm__trace("lowered the lock %s, which was free more than once", s->key.path);
            qshm__os_semaphore_change(s->id, lower, 2, 0);
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

/* Somebody else changed a lock that was ours. Was it set to a value? Seconds are all that tells, so within the second in
 * which it was opened nobody knows: then it is taken to be so, because a wrong `forget` would hold the lock when this process
 * has ended. */
static bool was_set(struct qshm__qt_semaphore *s)
{
    struct qshm__sysv_stat found;
    if (qshm__os_semaphore_stat(s->id, &found) < 0) {
        return true;
    }
    bool surely_not = found.changed == s->set_at && found.changed < s->opened_at;
    s->set_at = found.changed;
    s->opened_at = qshm__os_seconds();
    return !surely_not;
}

int qshm__qt_semaphore_give_back(struct qshm__qt_semaphore *s, struct qshm__failure *failure)
{
    int me = (int)qshm__handle_process();
    /* Another object of this process may have taken it when somebody had set it: then it is free, and changed by us. */
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        int changer = qshm__os_semaphore_changer(s->id);
        int r = changer;
        if (changer == me) {
            r = qshm__os_semaphore_change(s->id, give_back, 2, HUGE_VAL);
        } else if (changer >= 0) {
            qshm__trace("process %d took the lock %s away from us", changer, s->key.path);
            r = was_set(s) ? 0 : qshm__os_semaphore_change(s->id, forget, 2, HUGE_VAL);
        }
        if (is_gone(r)) { /* with all that it was to take back */
            s->id = -1;
            return 0;
        }
        if (r == 0) {
            return 0;
        }
        if (r != -EAGAIN && r != -EINTR) {
            return failed(failure, "semop", r);
        }
    }
    return 0;
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
        if (!s->shares_file) {
            qshm__qt_key_remove(&s->key, s->number);
        }
        QSHM_POINT("lock's file removed");
        qshm__os_semaphore_remove(s->id);
        s->id = -1;
    }
    s->made = false;
}
