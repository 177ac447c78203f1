/*
 * faults.c - every operation is killed, stopped and failed at every one of its steps.
 *
 * A step is an operating system call or a QSHM_POINT of the library (src/fault.h). For each operation a rehearsal
 * counts the steps; then a victim process is forked for each step n:
 *
 *   kill   the victim dies at n. The test process then completes the same operation: with RECOVERED exactly if a file
 *          was left on which nobody lives, with a lock result of 2 exactly if an owner died inside. At the end the
 *          directory is empty, and the test process has as many descriptors and mappings as before.
 *   stop   the victim is stopped at n. The test process completes the same operation, or gets BUSY and the victim's
 *          pid. Then the victim goes on and completes too, and the next user of the name leaves nothing behind.
 *   fail   the call at n fails. The operation returns a documented error that names the call, or succeeds because the
 *          failure does not matter; nothing is leaked; and then the same operation succeeds in the same process.
 *
 * Each is done with nameless drafts, and, where an operation makes a draft, also with drafts that bear a name. A draft
 * is also made by the first call of a process, which finds out whether locks work. qshm_cancel_lock has no step: it is
 * one compare-and-swap.
 *
 * Invariants: each step is tried in a driver process of its own with a directory of its own, forked from one that never
 * called the library, so that the steps are the same each time; the victim is the only process that is disturbed; what
 * the test process sees before its own operation (`look`) decides what that operation has to report, never what the
 * step's name suggests.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

int32_t qshm_test_arm(uint32_t step, uint32_t action);
int32_t qshm_test_steps(void *names, uint32_t capacity);

enum action { COUNT, STOP, KILL, FAIL };
/* What surrounds a run: nothing; a victim that is stopped, or has been; a call of this very run that fails. */
enum when { ALONE, BESIDE, FAILING };
/* Listing all holders takes a step for each attachment on the device, whoever made it: the first ones stand for all. */
enum { MOST_STEPS = 200, MOST_VARYING = 20, TEXT = 16384 };

/* What stands at the name before a run. */
struct sight {
    bool exists, dead, persistent;
    uint32_t attached, holder;
    uint64_t word;
};

struct scene {
    int32_t keeper; /* the test process's own attachment, 0 if it has none */
    int32_t mine;   /* that of the run */
    struct holder holder;
    bool has_holder;
    pid_t victim;
    struct sight sight;
    uint32_t process_id; /* filled in by force and owner */
    bool crashed;        /* a guard's holder died, and nobody has been told yet */
    _Atomic int *told;   /* how often somebody was; shared */
};

struct operation {
    const char *name;
    unsigned flags;
    void (*setup)(struct scene *);              /* in the test process */
    int32_t (*prepare)(struct scene *);         /* before the steps count; an error ends the run */
    int32_t (*run)(struct scene *);
    bool (*good)(struct scene *, int32_t, enum when);
    void (*finish)(struct scene *, enum when);  /* leaves what `prepare` and `run` made */
    void (*settle)(struct scene *);             /* in the test process: once the victim is gone */
};
enum {
    DRAFTS = 1, /* makes a draft with a name where nameless files are not supported */
    VARIES = 2, /* the number of steps depends on time, or on what else lives on the device */
    KEEPS = 4,  /* leaves mappings by design */
    GUARD = 8,  /* the name is a guard's */
};

static const char *file_name = "m-name";

/* --- what is seen before a run ------------------------------------------------------------------------------------ */

static struct sight look(void)
{
    struct sight sight = {.exists = exists(file_name)};
    if (sight.exists) {
        struct qshm__control *control = peek(file_name);
        sight.dead = is_dead(file_name);
        sight.persistent = (control->header.flags & QSHM_FLAG_PERSISTENT) != 0;
        sight.attached = control->attached;
        sight.holder = control->holder;
        sight.word = control->lock;
        unpeek(control);
    }
    return sight;
}

static bool recovery_is_due(const struct sight *sight)
{
    return sight->exists && sight->dead && (!sight->persistent || sight->attached != 0);
}

static bool told_rightly(const struct scene *s, enum when when)
{
    return when != ALONE || ((outcome.flags & QSHM_RECOVERED) != 0) == recovery_is_due(&s->sight);
}

/* The result that a lock call must have, given the word that it found. Owners that live are processes of the scene. */
static int32_t lock_result_due(const struct scene *s)
{
    uint64_t word = s->sight.word;
    uint32_t owner = word_owner(word);
    if (owner != 0 && range_is_held(file_name, QSHM_RANGE_A + owner, 1)) {
        return 0;
    }
    return owner != 0 || (word & WORD_DIED) != 0 ? 2 : 1;
}

/* --- setups ------------------------------------------------------------------------------------------------------- */

static void keep(struct scene *s)
{
    s->keeper = open_memory(QSHM_CREATE, "name");
    GT(s->keeper, 0);
}

static void leave_file(struct scene *s)
{
    (void)s;
    leave_dead(QSHM_KIND_MEMORY, 0, "name");
}

static void make_persistent(struct scene *s)
{
    (void)s;
    int32_t handle = open_memory(QSHM_CREATE | QSHM_PERSISTENT, "name");
    GT(handle, 0);
    EQ(qshm_detach((uint32_t)handle), 0);
}

static void hold_lock(struct scene *s)
{
    s->holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "name", HOLDER_LOCKS | HOLDER_MAY_LOSE);
    s->has_holder = true;
}

static void hold_only(struct scene *s)
{
    s->holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "name", 0);
    s->has_holder = true;
}

static void lock_and_die(void *argument)
{
    (void)argument;
    int32_t handle = open_memory(QSHM_ATTACH, "name");
    GT(handle, 0);
    EQ(qshm_try_lock((uint32_t)handle), 1);
    raise(SIGKILL);
}

static void leave_dead_owner(struct scene *s)
{
    keep(s);
    wait_killed(spawn(lock_and_die, NULL), SIGKILL);
}

static int32_t open_guard(void)
{
    return open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "name");
}

static int32_t elect(int32_t handle, const char *body)
{
    return qshm_elect((uint32_t)handle, 1000, body, (uint32_t)strlen(body), LARGEST_MESSAGE, &outcome);
}

static void hold_guard_and_die(void *argument)
{
    (void)argument;
    int32_t handle = open_guard();
    GT(handle, 0);
    EQ(elect(handle, "dead"), 1);
    raise(SIGKILL);
}

static void leave_dead_guard(struct scene *s)
{
    wait_killed(spawn(hold_guard_and_die, NULL), SIGKILL);
    s->crashed = true;
}

static void hold_guard_until(void *argument)
{
    struct holder *holder = argument;
    int32_t handle = open_guard();
    GT(handle, 0);
    EQ(elect(handle, "holder"), 1);
    gate_open(&holder->ready);
    gate_pass(&holder->done);
    EQ(qshm_detach((uint32_t)handle), 0);
}

static void hold_guard(struct scene *s)
{
    s->holder = (struct holder){.ready = gate_make(), .done = gate_make()};
    s->holder.pid = spawn(hold_guard_until, &s->holder);
    gate_pass(&s->holder.ready);
    s->has_holder = true;
}

/* --- preparations ------------------------------------------------------------------------------------------------- */

static int32_t join(struct scene *s)
{
    s->sight = look();
    s->mine = open_memory(QSHM_CREATE | QSHM_ATTACH, "name");
    if (s->mine > 0) {
        return 0;
    }
    return s->mine;
}

static int32_t join_and_lock(struct scene *s)
{
    int32_t r = join(s);
    if (r == 0) {
        s->sight = look();
        int32_t due = lock_result_due(s);
        EQ(qshm_try_lock((uint32_t)s->mine), due);
    }
    return r;
}

static int32_t join_and_view(struct scene *s)
{
    int32_t r = join(s);
    if (r == 0) {
        CHECK(qshm_payload((uint32_t)s->mine) != NULL);
    }
    return r;
}

/* The word as it stands when the keeper has been passed over for too long. */
static int32_t join_and_lock_before_heir(struct scene *s)
{
    int32_t r = join_and_lock(s);
    if (r == 0 && s->keeper > 0) {
        struct qshm__control *control = peek(file_name);
        if (word_owner(control->lock) == id_of(s->mine)) {
            control->lock = control->lock | WORD_WAITERS | (uint64_t)1 << 32; /* the keeper made the segment: id 1 */
        }
        unpeek(control);
    }
    return r;
}

static int32_t join_and_wait(struct scene *s)
{
    int32_t r = join(s);
    if (r == 0) {
        s->sight = look();
        EQ(qshm_poll_lock((uint32_t)s->mine), lock_result_due(s));
        struct qshm__control *control = peek(file_name);
        if (word_owner(control->lock) != id_of(s->mine)) {
            control->lock = (control->lock & ~((uint64_t)0x7fffffff << 32)) | (uint64_t)id_of(s->mine) << 32;
        }
        unpeek(control);
    }
    return r;
}

/* 0: a victim that is stopped still holds, or is just giving up. */
static int32_t join_and_hold(struct scene *s)
{
    s->mine = open_guard();
    int32_t r = s->mine > 0 ? elect(s->mine, "mine") : s->mine;
    CHECK(r <= 0 || (outcome.flags & QSHM_RECOVERED) == 0); /* whoever dies in a release has given up in order */
    return r < 0 ? r : 0;
}

/* --- runs, and what they must give -------------------------------------------------------------------------------- */

static int32_t open_how(struct scene *s, uint32_t how)
{
    s->mine = open_memory(how, "name");
    return s->mine;
}

static int32_t run_create(struct scene *s)
{
    return open_how(s, QSHM_CREATE);
}

static int32_t run_create_for_group(struct scene *s)
{
    s->mine = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0660, 4096, "name", 4, NULL, 0, &outcome);
    return s->mine;
}

static int32_t run_create_persistent(struct scene *s)
{
    return open_how(s, QSHM_CREATE | QSHM_PERSISTENT);
}

static int32_t run_attach(struct scene *s)
{
    return open_how(s, QSHM_ATTACH);
}

static int32_t run_attach_read_only(struct scene *s)
{
    return open_how(s, QSHM_ATTACH | QSHM_READ_ONLY);
}

static int32_t run_open(struct scene *s)
{
    return open_how(s, QSHM_CREATE | QSHM_ATTACH);
}

static bool good_create(struct scene *s, int32_t r, enum when when)
{
    if (r == QSHM_E_ALREADY_EXISTS) {
        return when == BESIDE || (s->sight.exists && s->sight.persistent);
    }
    return r > 0 && (outcome.flags & QSHM_CREATED) != 0 && told_rightly(s, when);
}

static bool good_exists(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    (void)when;
    return r == QSHM_E_ALREADY_EXISTS && outcome.why[0] != '\0';
}

static bool good_attach(struct scene *s, int32_t r, enum when when)
{
    return r > 0 && (outcome.flags & QSHM_CREATED) == 0 && told_rightly(s, when);
}

static bool good_open(struct scene *s, int32_t r, enum when when)
{
    return r > 0 && told_rightly(s, when);
}

static bool good_not_found(struct scene *s, int32_t r, enum when when)
{
    return r == QSHM_E_NOT_FOUND && told_rightly(s, when);
}

static int32_t run_detach(struct scene *s)
{
    return qshm_detach((uint32_t)s->mine);
}

static int32_t run_leave(struct scene *s)
{
    return qshm_leave((uint32_t)s->mine);
}

static bool good_zero(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    (void)when;
    return r == 0;
}

static bool good_one(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    (void)when;
    return r == 1;
}

static int32_t run_try_lock(struct scene *s)
{
    return qshm_try_lock((uint32_t)s->mine);
}

static int32_t run_wait_lock(struct scene *s)
{
    return qshm_wait_lock((uint32_t)s->mine, 1);
}

static int32_t run_poll_lock(struct scene *s)
{
    return qshm_poll_lock((uint32_t)s->mine);
}

/* A query that fails counts as "alive": the lock is not taken then. */
static bool good_lock(struct scene *s, int32_t r, enum when when)
{
    int32_t due = when == BESIDE ? r : lock_result_due(s);
    return r == due || (when == FAILING && r == 0) || (when == BESIDE && r >= 0);
}

static int32_t run_unlock(struct scene *s)
{
    return qshm_unlock((uint32_t)s->mine);
}

/* Whoever could not lock, because a stopped victim or an heir owns it, cannot unlock. */
static bool good_unlock(struct scene *s, int32_t r, enum when when)
{
    (void)when;
    return r == (word_owner(s->sight.word) == id_of(s->mine) ? 0 : QSHM_E_LOCK_LOST);
}

static int32_t run_force(struct scene *s)
{
    struct qshm_process process;
    int32_t r = qshm_force_unlock((uint32_t)s->mine, 0, &process);
    s->process_id = process.id;
    return r;
}

static bool good_force(struct scene *s, int32_t r, enum when when)
{
    uint32_t owner = word_owner(s->sight.word);
    return when == BESIDE ? r == 0 || r == 1 : r == (owner != 0) && s->process_id == owner;
}

static int32_t run_owner(struct scene *s)
{
    struct qshm_process process;
    int32_t r = qshm_lock_owner((uint32_t)s->mine, &process);
    CHECK(process.pid == 0 || process.pid == (uint32_t)s->holder.pid);
    return r;
}

static int32_t run_remove(struct scene *s)
{
    (void)s;
    return remove_name(file_name, false);
}

static int32_t run_remove_forced(struct scene *s)
{
    (void)s;
    return remove_name(file_name, true);
}

static bool good_remove(struct scene *s, int32_t r, enum when when)
{
    return when == BESIDE ? r == 0 || r == 1 : r == s->sight.exists;
}

static bool good_in_use(struct scene *s, int32_t r, enum when when)
{
    (void)when;
    return r == QSHM_E_IN_USE && outcome.pid == (uint32_t)s->holder.pid;
}

static int32_t run_list(struct scene *s)
{
    (void)s;
    char names[256];
    int32_t r = qshm_list(NULL, 0, names, sizeof names, &outcome);
    CHECK(r <= 0 || strcmp(names, file_name) == 0);
    return r;
}

static bool good_list(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    (void)when;
    return r == (int32_t)strlen(file_name) + 1;
}

static int32_t run_inspect(struct scene *s)
{
    (void)s;
    struct {
        struct qshm_info info;
        uint32_t ids[8];
    } found;
    int32_t r = qshm_inspect(file_name, (uint32_t)strlen(file_name), NULL, 0, &found, sizeof found, &outcome);
    if (r > 0) { /* a success must not lie */
        EQ(found.info.state, QSHM_LIVE);
        EQ(found.info.attached, 1);
        EQ(found.ids[0], 1);
    }
    return r;
}

static bool good_inspect(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    (void)when;
    return r == (int32_t)(sizeof(struct qshm_info) + sizeof(uint32_t));
}

static int32_t run_holders(struct scene *s)
{
    (void)s;
    struct stat status;
    EQ(stat(path_of(file_name), &status), 0);
    struct qshm_holder holders[64];
    uint64_t device = (uint64_t)major(status.st_dev) << 32 | minor(status.st_dev);
    return qshm_holders((double)device, holders, sizeof holders);
}

static bool good_holders(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    (void)when;
    return r >= (int32_t)sizeof(struct qshm_holder) && r % (int32_t)sizeof(struct qshm_holder) == 0;
}

static int32_t run_write(struct scene *s)
{
    int32_t r = qshm_write((uint32_t)s->mine, 0, "new", 3);
    return r < 0 ? r : qshm_write_if_changed((uint32_t)s->mine, 0, "old", 3);
}

static bool good_write(struct scene *s, int32_t r, enum when when)
{
    (void)s;
    return r == 1 || (when == BESIDE && r == 0);
}

static int32_t run_acquire(struct scene *s)
{
    s->mine = open_guard();
    return s->mine < 0 ? s->mine : elect(s->mine, "mine");
}

/* Told is who follows a holder that died: the one of the setup, or a victim whose id stands in the file. */
static bool good_acquire(struct scene *s, int32_t r, enum when when)
{
    bool told = r == 1 && (outcome.flags & QSHM_RECOVERED) != 0;
    bool due = s->crashed || s->sight.holder != 0;
    *s->told += told;
    if (r == 1) {
        s->crashed = false;
    }
    return (r == 1 && (when == BESIDE || told == due)) || (r == 0 && when == BESIDE);
}

static int32_t run_primary(struct scene *s)
{
    (void)s;
    static union {
        struct qshm_primary primary;
        uint8_t bytes[QSHM_PRIMARY_CAPACITY];
    } told;
    int32_t r = qshm_primary("name", 4, NULL, 0, &told, sizeof told, &outcome);
    if (r == 1) { /* a success must not lie */
        EQ(told.primary.process.pid, s->holder.pid);
        EQ(told.primary.body_size, 6);
        EQ(memcmp(told.bytes + sizeof told.primary + told.primary.cwd_size, "holder", 6), 0);
    }
    return r;
}

/* --- afterwards --------------------------------------------------------------------------------------------------- */

static void part(struct scene *s, enum when when)
{
    (void)when;
    if (s->mine > 0) {
        EQ(qshm_detach((uint32_t)s->mine), 0);
    }
    s->mine = 0;
}

static void part_and_remove(struct scene *s, enum when when)
{
    part(s, when);
    int32_t r = remove_name(file_name, false);
    CHECK(r >= 0 || (when == BESIDE && (r == QSHM_E_IN_USE || r == QSHM_E_BUSY)));
}

static void unlock_and_part(struct scene *s, enum when when)
{
    int32_t r = qshm_unlock((uint32_t)s->mine);
    CHECK(r == 0 || (when != ALONE && r == QSHM_E_LOCK_LOST));
    part(s, when);
}

static void unlock_if_held_and_part(struct scene *s, enum when when)
{
    qshm_unlock((uint32_t)s->mine);
    part(s, when);
}

/* Whom the lock was taken from must be told to the next owner. */
static void check_told_and_part(struct scene *s, enum when when)
{
    s->sight = look();
    int32_t due = lock_result_due(s);
    CHECK(when != ALONE || s->process_id == 0 || due == 2);
    int32_t r = qshm_try_lock((uint32_t)s->mine);
    EQ(r, due);
    if (r > 0) {
        EQ(qshm_unlock((uint32_t)s->mine), 0);
    }
    part(s, when);
}

static void give_view_back(struct scene *s, enum when when)
{
    (void)when;
    EQ(qshm_unmap((uint32_t)s->mine, 0), 0);
}

static void forget(struct scene *s, enum when when)
{
    (void)when;
    s->mine = 0;
}

/* The keeper was heir: takes what was granted, and gives it back. */
static void settle_keeper(struct scene *s)
{
    int32_t r = qshm_try_lock((uint32_t)s->keeper);
    GE(r, 0);
    if (r > 0) {
        EQ(qshm_unlock((uint32_t)s->keeper), 0);
    }
}

static const struct operation operations[] = {
    {"create", DRAFTS, NULL, NULL, run_create, good_create, part, NULL},
    {"create_for_group", DRAFTS, NULL, NULL, run_create_for_group, good_create, part, NULL},
    {"create_over_dead", DRAFTS, leave_file, NULL, run_create, good_create, part, NULL},
    {"create_persistent", DRAFTS, NULL, NULL, run_create_persistent, good_create, part_and_remove, NULL},
    {"create_existing", DRAFTS, keep, NULL, run_create, good_exists, forget, NULL},
    {"attach", DRAFTS, keep, NULL, run_attach, good_attach, part, NULL},
    {"attach_missing", DRAFTS, NULL, NULL, run_attach, good_not_found, forget, NULL},
    {"attach_dead", DRAFTS, leave_file, NULL, run_attach, good_not_found, forget, NULL},
    {"attach_persistent", DRAFTS, make_persistent, NULL, run_attach, good_attach, part, NULL},
    {"attach_read_only", DRAFTS, keep, NULL, run_attach_read_only, good_attach, part, NULL},
    {"open_existing", DRAFTS, keep, NULL, run_open, good_open, part, NULL},
    {"open_missing", DRAFTS, NULL, NULL, run_open, good_open, part, NULL},
    {"open_dead", DRAFTS, leave_file, NULL, run_open, good_open, part, NULL},
    {"detach_last", 0, NULL, join, run_detach, good_zero, forget, NULL},
    {"detach_not_last", 0, keep, join, run_detach, good_zero, forget, NULL},
    {"detach_owner", 0, keep, join_and_lock, run_detach, good_zero, forget, NULL},
    {"detach_heir", 0, hold_lock, join_and_wait, run_detach, good_zero, forget, NULL},
    {"detach_viewed", 0, NULL, join_and_view, run_detach, good_one, give_view_back, NULL},
    {"leave", KEEPS, NULL, join, run_leave, good_zero, forget, NULL},
    {"try_lock", 0, keep, join, run_try_lock, good_lock, unlock_and_part, NULL},
    {"try_lock_of_dead", 0, leave_dead_owner, join, run_try_lock, good_lock, unlock_and_part, NULL},
    {"wait_lock_in_vain", VARIES, hold_lock, join, run_wait_lock, good_lock, part, NULL},
    {"wait_lock_of_dead", VARIES, leave_dead_owner, join, run_wait_lock, good_lock, unlock_and_part, NULL},
    {"poll_lock", 0, hold_lock, join, run_poll_lock, good_lock, part, NULL},
    {"unlock", 0, keep, join_and_lock, run_unlock, good_unlock, part, NULL},
    {"unlock_to_heir", 0, keep, join_and_lock_before_heir, run_unlock, good_unlock, unlock_if_held_and_part,
     settle_keeper},
    {"force_unlock", 0, hold_lock, join, run_force, good_force, check_told_and_part, NULL},
    {"lock_owner", 0, hold_lock, join, run_owner, good_one, part, NULL},
    {"remove_dead", DRAFTS, leave_file, NULL, run_remove, good_remove, forget, NULL},
    {"remove_persistent", DRAFTS, make_persistent, NULL, run_remove, good_remove, forget, NULL},
    {"remove_used", DRAFTS, hold_only, NULL, run_remove, good_in_use, forget, NULL},
    {"remove_forced", DRAFTS, hold_only, NULL, run_remove_forced, good_remove, forget, NULL},
    {"list", DRAFTS, keep, NULL, run_list, good_list, forget, NULL},
    {"inspect", DRAFTS, keep, NULL, run_inspect, good_inspect, forget, NULL},
    {"holders", DRAFTS | VARIES, keep, NULL, run_holders, good_holders, forget, NULL},
    {"write", 0, keep, join, run_write, good_write, part, NULL},
    {"acquire_new", GUARD | DRAFTS, NULL, NULL, run_acquire, good_acquire, part, NULL},
    {"acquire_dead", GUARD | DRAFTS, leave_dead_guard, NULL, run_acquire, good_acquire, part, NULL},
    {"acquire_contended", GUARD | DRAFTS, hold_guard, NULL, run_acquire, good_zero, part, NULL},
    {"release", GUARD, NULL, join_and_hold, run_detach, good_zero, forget, NULL},
    {"release_at_exit", GUARD | KEEPS, NULL, join_and_hold, run_leave, good_zero, forget, NULL},
    {"primary", GUARD | DRAFTS, hold_guard, NULL, run_primary, good_one, forget, NULL},
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

struct order {
    const struct operation *operation;
    enum action action;
    bool named; /* drafts have names */
    char name[64];
};

/* --- the victim --------------------------------------------------------------------------------------------------- */

struct report {
    int32_t steps;
    _Atomic int told;
    char names[TEXT];
};

struct victim {
    const struct order *order;
    struct scene *scene;
    uint32_t step;
    struct report *report; /* shared */
};

static void say_bad(const struct order *order, uint32_t step, const char *who, int32_t r, const struct scene *s)
{
    runner_fail(__FILE__, __LINE__,
                "%s, step %u: %s got %d (%s), flags %u, os_error %d, call \"%s\", why \"%s\", pid %u; before: "
                "exists %d, dead %d, persistent %d, attached %u, holder %u, word %llx",
                order->name, step, who, r, error_name(r), outcome.flags, outcome.os_error, outcome.call, outcome.why,
                outcome.pid, s->sight.exists, s->sight.dead, s->sight.persistent, s->sight.attached, s->sight.holder,
                (unsigned long long)s->sight.word);
}

/* The same operation from beginning to end, with nothing in its way. */
static void do_alone(const struct order *order, struct scene *s, uint32_t step, const char *who)
{
    const struct operation *op = order->operation;
    s->mine = 0;
    int32_t r = op->prepare == NULL ? 0 : op->prepare(s);
    if (r < 0) {
        say_bad(order, step, who, r, s);
    }
    s->sight = look();
    memset(&outcome, 0, sizeof outcome);
    r = op->run(s);
    if (!op->good(s, r, ALONE)) {
        say_bad(order, step, who, r, s);
    }
    op->finish(s, ALONE);
}

static bool is_documented(int32_t r)
{
    return r <= QSHM_E_HANDLE && r >= QSHM_E_SYSTEM;
}

static void be_victim(void *argument)
{
    struct victim *v = argument;
    const struct operation *op = v->order->operation;
    struct scene *s = v->scene;
    EQ(qshm_revision(0), QSHM_E_HANDLE); /* the first call lets go of the parent's attachments */
    int fds = count_fds();
    int maps = count_maps();
    int32_t r = op->prepare == NULL ? 0 : op->prepare(s);
    GE(r, 0);
    s->sight = look();
    memset(&outcome, 0, sizeof outcome);
    qshm_test_arm(v->step, v->step == 0 ? COUNT : v->order->action);
    r = op->run(s);
    v->report->steps = qshm_test_steps(v->report->names, TEXT);
    static const enum when whens[] = {[COUNT] = ALONE, [STOP] = BESIDE, [KILL] = ALONE, [FAIL] = FAILING};
    enum when when = whens[v->step == 0 ? COUNT : v->order->action];
    bool good = op->good(s, r, when);
    if (good) {
        op->finish(s, when);
    } else if (when != FAILING || !is_documented(r) || outcome.os_error == 0 || outcome.call[0] == '\0') {
        say_bad(v->order, v->step, "the victim", r, s);
    } else if (s->mine > 0) {
        part(s, when);
    }
    if (when == FAILING) {
        do_alone(v->order, s, v->step, "the second try");
        if ((op->flags & KEEPS) == 0) {
            EQ(count_fds(), fds);
            EQ(count_maps(), maps);
        }
    }
}

/* --- the test process --------------------------------------------------------------------------------------------- */

static void settle(const struct order *order, struct scene *s)
{
    if (order->operation->settle != NULL) {
        order->operation->settle(s);
    }
}

/* Ends the scene. `sweep`: let the next user of the name, and the sweep of its create, have a turn first. */
static void tear_down(const struct order *order, struct scene *s, uint32_t step, bool sweep)
{
    settle(order, s);
    if (s->has_holder) {
        holder_end(&s->holder);
    }
    if (s->keeper > 0) {
        EQ(qshm_detach((uint32_t)s->keeper), 0);
    }
    if (exists(file_name) && look().persistent) {
        EQ(remove_name(file_name, false), 1);
    }
    if (sweep) {
        bool guards = (order->operation->flags & GUARD) != 0;
        int32_t handle = guards ? open_guard() : open_memory(QSHM_CREATE | QSHM_ATTACH, "name");
        GT(handle, 0);
        EQ(qshm_detach((uint32_t)handle), 0);
    }
    if (count_files() != 0) {
        fflush(stdout);
        runner_fail(__FILE__, __LINE__, "%s, step %u: %d files are left (%s: %d)", order->name, step, count_files(),
                    file_name, exists(file_name));
    }
}

/* One step of one order, to be tried in a driver process. Step 0 is the rehearsal. */
struct attempt {
    const struct order *order;
    uint32_t step;
    bool reached;
    struct report report;
};

static pid_t start_victim(struct attempt *attempt, struct scene *s)
{
    struct victim victim = {.order = attempt->order, .scene = s, .step = attempt->step, .report = &attempt->report};
    return spawn(be_victim, &victim);
}

static void kill_at(struct attempt *attempt, struct scene *s)
{
    const struct order *order = attempt->order;
    int fds = count_fds();
    int maps = count_maps();
    pid_t victim = start_victim(attempt, s);
    int status;
    EQ(waitpid(victim, &status, 0), victim);
    attempt->reached = WIFSIGNALED(status);
    if (attempt->reached) {
        EQ(WTERMSIG(status), SIGKILL);
    } else {
        EQ(WEXITSTATUS(status), 0);
    }
    settle(order, s);
    do_alone(order, s, attempt->step, "the survivor");
    if ((order->operation->flags & KEEPS) == 0) {
        EQ(count_fds(), fds);
        EQ(count_maps(), maps);
    }
}

static void fail_at(struct attempt *attempt, struct scene *s)
{
    EQ(wait_exit(start_victim(attempt, s)), 0);
    attempt->reached = true;
}

static void stop_at(struct attempt *attempt, struct scene *s)
{
    const struct order *order = attempt->order;
    const struct operation *op = order->operation;
    pid_t victim = start_victim(attempt, s);
    attempt->reached = wait_stopped(victim);
    if (!attempt->reached) {
        return;
    }
    s->mine = 0;
    int32_t r = op->prepare == NULL ? 0 : op->prepare(s);
    if (r == 0) {
        s->sight = look();
        memset(&outcome, 0, sizeof outcome);
        r = op->run(s);
        if (op->good(s, r, BESIDE)) {
            op->finish(s, BESIDE);
            r = 0;
        }
    }
    if (r != 0 && (r != QSHM_E_BUSY || outcome.pid != (uint32_t)victim)) {
        say_bad(order, attempt->step, "the process beside", r, s);
    }
    if (r != 0) {
        part(s, BESIDE);
    }
    EQ(kill(victim, SIGCONT), 0);
    EQ(wait_exit(victim), 0);
}

/* The body of a driver. */
static void drive(void *argument)
{
    struct attempt *attempt = argument;
    const struct order *order = attempt->order;
    char directory[128];
    snprintf(directory, sizeof directory, "%s/%u", runner_directory(), attempt->step);
    EQ(mkdir(directory, 0700), 0);
    setenv("QSHM_DIRECTORY", directory, 1);
    file_name = (order->operation->flags & GUARD) != 0 ? "i-name" : "m-name";
    struct scene s = {.told = &attempt->report.told};
    if (order->operation->setup != NULL) {
        order->operation->setup(&s);
    }
    switch (attempt->step == 0 ? COUNT : order->action) {
    case COUNT:
        EQ(wait_exit(start_victim(attempt, &s)), 0);
        break;
    case STOP:
        stop_at(attempt, &s);
        break;
    case KILL:
        kill_at(attempt, &s);
        break;
    case FAIL:
        fail_at(attempt, &s);
        break;
    }
    if (order->operation->setup == leave_dead_guard) { /* one crash, or two, if the victim held when it was killed */
        int told = attempt->report.told;
        CHECK(told == 1 || (told == 2 && order->action == KILL));
    }
    tear_down(order, &s, attempt->step, order->action == STOP || order->named);
    EQ(rmdir(directory), 0);
}

/* "openat 3, statx 4, ...": in the order of their first appearance. */
static void print_steps(const char *what, const char *names, long total)
{
    struct {
        char name[40];
        int count;
    } seen[MOST_STEPS];
    int kinds = 0;
    for (const char *at = names; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        int i = 0;
        while (i < kinds && (strlen(seen[i].name) != length || strncmp(seen[i].name, at, length) != 0)) {
            i++;
        }
        if (i == kinds) {
            snprintf(seen[i].name, sizeof seen[i].name, "%.*s", (int)length, at);
            seen[i].count = 0;
            kinds++;
        }
        seen[i].count++;
        at += length + (at[length] == '\n');
    }
    char line[4096];
    int used = snprintf(line, sizeof line, "%s:", what);
    for (int i = 0; i < kinds && used < (int)sizeof line - 64; i++) {
        const char *comma = i == 0 ? "" : ",";
        used += snprintf(line + used, sizeof line - (size_t)used, "%s %s %d", comma, seen[i].name, seen[i].count);
    }
    runner_note("%s; %ld in all", line, total);
}

static void run_order(const void *argument)
{
    const struct order *order = argument;
    runner_watchdog(300); /* many processes; those that look through /proc take long on a busy machine */
    if (order->named) {
        setenv("QSHM_PRETEND", "O_TMPFILE=-95", 1);
    }
    enum { AT_ONCE = 16 };
    struct attempt *rehearsal = shared_memory(sizeof *rehearsal);
    rehearsal->order = order;
    EQ(wait_exit(spawn(drive, rehearsal)), 0);
    bool varies = (order->operation->flags & VARIES) != 0;
    uint32_t steps = (uint32_t)rehearsal->report.steps;
    if (varies && steps > MOST_VARYING) {
        runner_note("%u steps here and now, of which the first %d are tried", steps, MOST_VARYING);
        steps = MOST_VARYING;
    }
    GE(steps, 1);
    LE(steps, MOST_STEPS);

    uint32_t last = varies ? steps + 20 : steps;
    struct attempt *attempts = shared_memory(sizeof *attempts * (last + 1));
    pid_t running[AT_ONCE] = {0};
    int failed = 0;
    for (uint32_t n = 1; n <= last + AT_ONCE; n++) {
        pid_t *slot = &running[n % AT_ONCE];
        if (*slot != 0) {
            failed += wait_exit(*slot) != 0;
            *slot = 0;
        }
        if (n <= last) {
            attempts[n] = (struct attempt){.order = order, .step = n};
            *slot = spawn(drive, &attempts[n]);
        }
    }
    long done = 0;
    for (uint32_t n = 1; n <= last; n++) {
        done += attempts[n].reached;
        CHECK(failed > 0 || varies || attempts[n].reached);
    }
    static const char *const figures[] = {[STOP] = "stops", [KILL] = "kills", [FAIL] = "failures"};
    runner_count(figures[order->action], done);
    if (order->action == KILL) {
        print_steps(order->operation->name, rehearsal->report.names, done);
    }
    EQ(failed, 0);
}

__attribute__((constructor)) static void register_orders(void)
{
    static const char *const words[] = {[STOP] = "stop", [KILL] = "kill", [FAIL] = "fail"};
    static struct order orders[OPERATIONS * 6];
    int count = 0;
    for (enum action action = STOP; action <= FAIL; action++) {
        for (int i = 0; i < OPERATIONS; i++) {
            for (int named = 0; named <= ((operations[i].flags & DRAFTS) != 0); named++) {
                struct order *order = &orders[count++];
                order->operation = &operations[i];
                order->action = action;
                order->named = named != 0;
                snprintf(order->name, sizeof order->name, "faults_%s_%s%s", words[action], operations[i].name,
                         named != 0 ? "_named_drafts" : "");
                runner_add(order->name, run_order, order);
            }
        }
    }
}
