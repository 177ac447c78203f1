/*
 * qt_faults.c - every operation on Qt's objects is killed, stopped and failed at every one of its steps (see faults.c).
 *
 *   kill   the victim dies at n. The next create() succeeds in one call, with RECOVERED exactly if a segment was left to
 *          which nobody is attached; or says ALREADY_EXISTS if somebody is, and then an attach succeeds. The lock is free.
 *   stop   the victim is stopped at n. Nobody else waits for ever: each call gives what it should, or times out. Then the
 *          victim goes on, and gets one of the results that it may have beside another.
 *   fail   the call at n fails. The operation returns a documented error, or succeeds because the failure does not matter;
 *          the same operation succeeds in the same process then.
 *
 * After the last one out nothing is left, with one exception: a set whose file was removed before it, by a process that was
 * killed, or failed, just in between. Nothing leads to that one; it is counted.
 *
 * Invariants: each step is tried in a driver process with a directory and an IPC namespace of its own; what it sees before
 * its own operation decides what that has to report.
 */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qt_place.h"

enum action { COUNT, STOP, KILL, FAIL };
enum { MOST_STEPS = 100, TEXT = 8192, BRIEFLY = 20 };

struct scene {
    int32_t keeper, mine;
    struct qt_peer peer;
    bool has_peer;
    double patience; /* ms; short beside one that is stopped */
};

struct operation {
    const char *name;
    void (*setup)(struct scene *);   /* in the driver */
    void (*prepare)(struct scene *); /* in the victim, before the steps count */
    int32_t (*run)(struct scene *);
    int32_t due;
    int32_t beside[4]; /* what else it may give beside another; ends with 0, which is "timed out", and always may be */
};

/* --- setups and preparations -------------------------------------------------------------------------------------- */

static void keep(struct scene *s)
{
    s->keeper = qt_created();
}

static void die_attached(void *argument)
{
    (void)argument;
    qt_created();
    raise(SIGKILL);
}

static void leave_dead_segment(struct scene *s)
{
    (void)s;
    wait_killed(spawn(die_attached, NULL), SIGKILL);
}

static void leave_files(struct scene *s)
{
    (void)s;
    qt_touch("shm");
    qt_touch("sem");
}

static void have_peer(struct scene *s)
{
    s->peer = qt_peer_start();
    s->has_peer = true;
    EQ(qt_do(&s->peer, QT_CREATE, 1000), 1);
}

static void have_holder(struct scene *s)
{
    have_peer(s);
    EQ(qt_do(&s->peer, QT_LOCK, 1000), 1);
}

static void have_semaphore(struct scene *s)
{
    s->keeper = qt_semaphore(1, 0);
    GT(s->keeper, 0);
}

static void with_object(struct scene *s)
{
    s->mine = qt_memory();
}

static void with_created(struct scene *s)
{
    s->mine = qt_created();
}

static void with_view(struct scene *s)
{
    with_created(s);
    CHECK(qshm_qt_payload((uint32_t)s->mine) != NULL);
}

static void with_attached(struct scene *s)
{
    s->mine = qt_attached();
}

static void with_locked(struct scene *s)
{
    with_attached(s);
    EQ(qshm_qt_lock(s->mine, 1000), 1);
}

static void with_created_and_locked(struct scene *s)
{
    with_created(s);
    EQ(qshm_qt_lock(s->mine, 1000), 1);
}

static void with_semaphore(struct scene *s)
{
    s->mine = qt_semaphore(1, 0);
    GT(s->mine, 0);
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

static int32_t run_create(struct scene *s)
{
    return qt_create(s->mine, s->patience);
}

static int32_t run_attach(struct scene *s)
{
    return qt_attach(s->mine, s->patience);
}

static int32_t run_detach(struct scene *s)
{
    return qshm_qt_detach((uint32_t)s->mine, s->patience, &outcome);
}

static int32_t run_lock(struct scene *s)
{
    return qshm_qt_lock(s->mine, s->patience);
}

static int32_t run_lock_briefly(struct scene *s)
{
    return qshm_qt_lock(s->mine, 1);
}

static int32_t run_unlock(struct scene *s)
{
    return qshm_qt_unlock(s->mine);
}

static int32_t run_force(struct scene *s)
{
    uint32_t pid;
    return qshm_qt_force_unlock((uint32_t)s->mine, &pid);
}

static int32_t run_remove(struct scene *s)
{
    return qshm_qt_remove((uint32_t)s->mine, 0, s->patience, &outcome);
}

static int32_t run_remove_forced(struct scene *s)
{
    return qshm_qt_remove((uint32_t)s->mine, 1, BRIEFLY, &outcome);
}

/* 1: as for the others, where 0 is "timed out". */
static int32_t run_close(struct scene *s)
{
    int32_t r = qshm_qt_close((uint32_t)s->mine);
    s->mine = 0;
    return r == 0 ? 1 : r;
}

static int32_t run_open_semaphore(struct scene *s)
{
    s->mine = qt_semaphore(1, 0);
    return s->mine > 0 ? 1 : s->mine;
}

static int32_t run_create_semaphore(struct scene *s)
{
    s->mine = qt_semaphore(1, 1);
    return s->mine > 0 ? 1 : s->mine;
}

static int32_t run_acquire(struct scene *s)
{
    return qshm_qt_acquire(s->mine, s->patience);
}

static int32_t run_release(struct scene *s)
{
    return qshm_qt_release(s->mine, 1);
}

static const struct operation operations[] = {
    {"create_new", NULL, with_object, run_create, 1, {QSHM_E_ALREADY_EXISTS}},
    {"create_dead", leave_dead_segment, with_object, run_create, 1, {QSHM_E_ALREADY_EXISTS}},
    {"create_over_files", leave_files, with_object, run_create, 1, {QSHM_E_ALREADY_EXISTS}},
    {"create_existing", keep, with_object, run_create, QSHM_E_ALREADY_EXISTS, {0}},
    {"attach_live", keep, with_object, run_attach, 1, {0}},
    {"attach_dead", leave_dead_segment, with_object, run_attach, 1, {QSHM_E_NOT_FOUND}},
    {"attach_missing", NULL, with_object, run_attach, QSHM_E_NOT_FOUND, {1}},
    {"attach_over_files", leave_files, with_object, run_attach, QSHM_E_NOT_FOUND, {1}},
    {"detach_last", NULL, with_created, run_detach, 1, {0}},
    {"detach_not_last", keep, with_attached, run_detach, 1, {0}},
    {"detach_viewed", NULL, with_view, run_detach, 1, {0}},
    {"detach_locked", keep, with_locked, run_detach, 1, {0}},
    {"lock_new", NULL, with_object, run_lock, 1, {0}},
    {"lock", keep, with_attached, run_lock, 1, {0}},
    {"lock_in_vain", have_holder, with_object, run_lock_briefly, 0, {0}},
    {"unlock", keep, with_locked, run_unlock, 1, {0}},
    {"force_unlock", have_holder, with_object, run_force, 1, {0}},
    {"remove_dead", leave_dead_segment, with_object, run_remove, 1, {QSHM_E_IN_USE, QSHM_E_NOT_FOUND}},
    {"remove_own", NULL, with_created, run_remove, 1, {QSHM_E_IN_USE, QSHM_E_NOT_FOUND}},
    {"remove_used", have_peer, with_object, run_remove, QSHM_E_IN_USE, {0}},
    {"remove_forced", have_holder, with_object, run_remove_forced, 1, {QSHM_E_NOT_FOUND}},
    {"close_attached", NULL, with_created, run_close, 1, {0}},
    {"close_viewed", NULL, with_view, run_close, 1, {0}},
    {"close_locked", NULL, with_created_and_locked, run_close, 1, {0}},
    {"semaphore_new", NULL, NULL, run_open_semaphore, 1, {0}},
    {"semaphore_open", have_semaphore, NULL, run_open_semaphore, 1, {0}},
    {"semaphore_create", have_semaphore, NULL, run_create_semaphore, 1, {0}},
    {"acquire", have_semaphore, with_semaphore, run_acquire, 1, {0}},
    {"release", have_semaphore, with_semaphore, run_release, 1, {0}},
    {"semaphore_close", NULL, with_semaphore, run_close, 1, {0}},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static bool is_semaphore(const struct operation *op)
{
    return op->run == run_open_semaphore || op->run == run_create_semaphore || op->prepare == with_semaphore;
}

struct order {
    const struct operation *operation;
    enum action action;
    char name[64];
};

struct attempt {
    const struct order *order;
    uint32_t step;
    int32_t steps;
    bool reached;
    bool orphan; /* a set was left to which nothing leads */
    char names[TEXT];
};

/* --- the victim --------------------------------------------------------------------------------------------------- */

struct victim {
    struct attempt *attempt;
    struct scene *scene;
};

static bool may_be(const struct operation *op, int32_t r)
{
    return r == op->due || r == 0 || r == op->beside[0] || r == op->beside[1];
}

static void say_bad(const struct attempt *a, const char *who, int32_t r)
{
    runner_fail(__FILE__, __LINE__, "%s, step %u: %s got %d (%s), flags %u, os_error %d, call \"%s\", why \"%s\"",
                a->order->name, a->step, who, r, error_name(r), outcome.flags, outcome.os_error, outcome.call, outcome.why);
}

static bool is_documented(int32_t r)
{
    return r <= QSHM_E_HANDLE && r >= QSHM_E_TOO_LARGE;
}

/* A set to which no file leads. */
static int orphans(void)
{
    return count_sets() - (qt_set_id("sem") >= 0);
}

static void end_mine(struct scene *s)
{
    if (s->mine > 0) {
        qt_end(s->mine);
        s->mine = 0;
    }
}

/* `done`: it has been done already, and what it was done to may be gone. */
static void do_again(const struct attempt *a, struct scene *s, bool done)
{
    const struct operation *op = a->order->operation;
    if (op->prepare != NULL) {
        op->prepare(s);
    }
    int32_t r = op->run(s);
    if (done ? !may_be(op, r) : r != op->due) {
        say_bad(a, "the second try", r);
    }
    end_mine(s);
}

static void be_victim(void *argument)
{
    struct victim *v = argument;
    struct attempt *a = v->attempt;
    struct scene *s = v->scene;
    const struct operation *op = a->order->operation;
    int fds = count_fds();
    s->mine = 0;
    if (op->prepare != NULL) {
        op->prepare(s);
    }
    memset(&outcome, 0, sizeof outcome);
    enum action action = a->step == 0 ? COUNT : a->order->action;
    qshm_test_arm(a->step, action);
    int32_t r = op->run(s);
    a->steps = qshm_test_steps(a->names, TEXT);
    if (action == STOP ? !may_be(op, r) : action == FAIL ? !may_be(op, r) && !is_documented(r) : r != op->due) {
        say_bad(a, "the victim", r);
    }
    end_mine(s);
    if (action == FAIL) {
        a->orphan = orphans() > 0;
        do_again(a, s, r == op->due);
    }
    EQ(count_fds(), fds);
}

/* --- the driver --------------------------------------------------------------------------------------------------- */

/* The next user: is told of what was left, gets the lock, and leaves nothing behind. */
static void use_next(struct attempt *a, struct scene *s)
{
    if (is_semaphore(a->order->operation)) {
        int32_t handle = qt_semaphore(1, 1);
        GT(handle, 0);
        EQ(qshm_qt_acquire(handle, HUGE_VAL), 1);
        EQ(qshm_qt_release(handle, 1), 1);
        qt_end(handle);
        return;
    }
    int attachments = qt_attachments();
    int32_t handle = qt_memory();
    int32_t r = qt_create(handle, HUGE_VAL);
    if (r != (attachments > 0 ? QSHM_E_ALREADY_EXISTS : 1)) {
        say_bad(a, "the next one's create", r);
    }
    if (r < 0) {
        r = qt_attach(handle, HUGE_VAL);
    }
    EQ(r, 1);
    EQ((outcome.flags & QSHM_RECOVERED) != 0, attachments == 0);
    if (!s->has_peer || a->order->operation->setup != have_holder) {
        EQ(qshm_qt_lock(handle, HUGE_VAL), 1);
        EQ(qshm_qt_unlock(handle), 1);
    }
    qt_end(handle);
}

static void tear_down(struct attempt *a, struct scene *s)
{
    a->orphan |= orphans() > 0;
    if (s->has_peer) {
        kill_and_wait(s->peer.pid);
    }
    use_next(a, s);
    if (s->keeper > 0) {
        qt_end(s->keeper);
    }
    EQ(count_segments(), 0);
    EQ(count_files(), 0);
    EQ(count_sets(), a->orphan);
}

static pid_t start_victim(struct attempt *a, struct scene *s)
{
    struct victim victim = {.attempt = a, .scene = s};
    return spawn(be_victim, &victim);
}

static void kill_at(struct attempt *a, struct scene *s)
{
    pid_t victim = start_victim(a, s);
    wait_killed(victim, SIGKILL);
    a->reached = true;
}

static void stop_at(struct attempt *a, struct scene *s)
{
    const struct operation *op = a->order->operation;
    pid_t victim = start_victim(a, s);
    a->reached = wait_stopped(victim);
    struct scene beside = {.patience = BRIEFLY};
    if (is_semaphore(op)) {
        beside.mine = qt_semaphore(1, 0);
        GT(beside.mine, 0);
        int32_t r = qshm_qt_acquire(beside.mine, BRIEFLY);
        CHECK(r == 0 || r == 1);
        CHECK(r == 0 || qshm_qt_release(beside.mine, 1) == 1);
        end_mine(&beside);
    } else {
        int attachments = qt_attachments();
        beside.mine = qt_memory();
        int32_t r = run_create(&beside);
        if (attachments > 0 ? r != QSHM_E_ALREADY_EXISTS : r != 0 && r != 1) {
            say_bad(a, "create beside", r);
        }
        if (r == QSHM_E_ALREADY_EXISTS) {
            r = run_attach(&beside);
            CHECK(r == 0 || r == 1);
        }
        r = run_lock(&beside);
        CHECK(r == 0 || r == 1);
        end_mine(&beside); /* which gives up, too */
    }
    EQ(kill(victim, SIGCONT), 0);
    EQ(wait_exit(victim), 0);
}

static void drive(void *argument)
{
    struct attempt *a = argument;
    const struct order *order = a->order;
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%u", runner_directory(), a->step);
    EQ(mkdir(directory, 0700), 0);
    setenv("QSHM_DIRECTORY", directory, 1);
    qt_place();
    struct scene s = {.patience = HUGE_VAL};
    if (order->operation->setup != NULL) {
        order->operation->setup(&s);
    }
    switch (a->step == 0 ? COUNT : order->action) {
    case COUNT:
        EQ(wait_exit(start_victim(a, &s)), 0);
        break;
    case STOP:
        stop_at(a, &s);
        break;
    case KILL:
        kill_at(a, &s);
        break;
    case FAIL:
        EQ(wait_exit(start_victim(a, &s)), 0);
        break;
    }
    tear_down(a, &s);
    EQ(rmdir(directory), 0);
}

static void run_order(const void *argument)
{
    const struct order *order = argument;
    runner_watchdog(300);
    enum { AT_ONCE = 8 };
    struct attempt *rehearsal = shared_memory(sizeof *rehearsal);
    rehearsal->order = order;
    EQ(wait_exit(spawn(drive, rehearsal)), 0);
    uint32_t steps = (uint32_t)rehearsal->steps;
    GE(steps, 1);
    LE(steps, MOST_STEPS);
    struct attempt *attempts = shared_memory(sizeof *attempts * (steps + 1));
    pid_t running[AT_ONCE] = {0};
    int failed = 0;
    for (uint32_t n = 1; n <= steps + AT_ONCE; n++) {
        pid_t *slot = &running[n % AT_ONCE];
        if (*slot != 0) {
            failed += wait_exit(*slot) != 0;
            *slot = 0;
        }
        if (n <= steps) {
            attempts[n].order = order;
            attempts[n].step = n;
            *slot = spawn(drive, &attempts[n]);
        }
    }
    int left = 0;
    for (uint32_t n = 1; n <= steps; n++) {
        left += attempts[n].orphan;
    }
    static const char *const figures[] = {[STOP] = "stops", [KILL] = "kills", [FAIL] = "failures"};
    runner_count(figures[order->action], steps);
    if (left > 0) {
        runner_count("sets to which nothing leads", left);
    }
    EQ(failed, 0);
    LE(left, 2); /* between the file's removal and the set's: a point, and the call */
}

__attribute__((constructor)) static void register_orders(void)
{
    static const char *const words[] = {[STOP] = "stop", [KILL] = "kill", [FAIL] = "fail"};
    static struct order orders[OPERATIONS * 3];
    int count = 0;
    for (enum action action = STOP; action <= FAIL; action++) {
        for (int i = 0; i < OPERATIONS; i++) {
            struct order *order = &orders[count++];
            order->operation = &operations[i];
            order->action = action;
            snprintf(order->name, sizeof order->name, "qt_%s_%s", words[action], operations[i].name);
            runner_add(order->name, run_order, order);
        }
    }
}
