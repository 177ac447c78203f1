/*
 * guard.c - the single-instance guard: there is one holder at most, what it says is its own, and the next one is told
 * exactly if the last one crashed.
 *
 * Invariants: steps are found by counting up to them, so that a new one before them moves nothing; what a process that
 * is stopped there must look like from outside is told by byte P and the word `holder`, never by the step's name.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/os.h"
#include "support.h"

int32_t qshm_test_arm(uint32_t step, uint32_t action);
int32_t qshm_test_steps(void *names, uint32_t capacity);

enum { MOST_BODY = 61376, PATIENCE = 1000 };

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

static uint32_t join(const char *key)
{
    int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, key);
    GT(handle, 0);
    return (uint32_t)handle;
}

static int32_t elect_saying(uint32_t handle, const char *text)
{
    return qshm_elect(handle, PATIENCE, text, (uint32_t)strlen(text), LARGEST_MESSAGE, &outcome);
}

static int32_t elect(uint32_t handle)
{
    return elect_saying(handle, "");
}

static bool recovered(void)
{
    return (outcome.flags & QSHM_RECOVERED) != 0;
}

static void leave(uint32_t handle)
{
    EQ(qshm_detach(handle), 0);
}

/* Becomes the one, and gives it up again. */
static void expect_next(const char *key, bool is_told)
{
    uint32_t handle = join(key);
    EQ(elect(handle), 1);
    EQ(recovered(), is_told);
    leave(handle);
    EQ(count_files(), 0);
}

static union {
    struct qshm_primary primary;
    uint8_t bytes[QSHM_PRIMARY_CAPACITY];
} told;

static int32_t ask(const char *key)
{
    return qshm_primary(key, (uint32_t)strlen(key), NULL, 0, &told, sizeof told, &outcome);
}

static const char *told_text(uint32_t at, uint32_t size)
{
    static char text[QSHM_PRIMARY_CAPACITY];
    LE(sizeof told.primary + at + size, sizeof told);
    memcpy(text, told.bytes + sizeof told.primary + at, size);
    text[size] = '\0';
    return text;
}

static const char *told_body(void)
{
    return told_text(told.primary.cwd_size, told.primary.body_size);
}

static bool is_held(const char *name)
{
    return range_is_held(name, QSHM_RANGE_P, 1);
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* Attaches; is elected when told to; detaches and ends when told to. */
struct guardian {
    pid_t pid;
    struct gate ready, go, held, done;
};

struct guarding {
    struct guardian *guardian;
    const char *key, *body;
};

static void guard(void *argument)
{
    struct guarding *guarding = argument;
    struct guardian *guardian = guarding->guardian;
    uint32_t handle = join(guarding->key);
    gate_open(&guardian->ready);
    gate_pass(&guardian->go);
    EQ(elect_saying(handle, guarding->body), 1);
    gate_open(&guardian->held);
    gate_pass(&guardian->done);
    leave(handle);
}

static struct guardian guardian_attach(const char *key, const char *body)
{
    struct guardian guardian = {.ready = gate_make(), .go = gate_make(), .held = gate_make(), .done = gate_make()};
    struct guarding guarding = {.guardian = &guardian, .key = key, .body = body};
    guardian.pid = spawn(guard, &guarding);
    gate_pass(&guardian.ready);
    return guardian;
}

static void guardian_hold(struct guardian *guardian)
{
    gate_open(&guardian->go);
    gate_pass(&guardian->held);
}

static struct guardian guardian_start(const char *key, const char *body)
{
    struct guardian guardian = guardian_attach(key, body);
    guardian_hold(&guardian);
    return guardian;
}

static void guardian_forget(struct guardian *guardian)
{
    gate_close(&guardian->ready);
    gate_close(&guardian->go);
    gate_close(&guardian->held);
    gate_close(&guardian->done);
}

static void guardian_end(struct guardian *guardian)
{
    gate_open(&guardian->done);
    EQ(wait_exit(guardian->pid), 0);
    guardian_forget(guardian);
}

static void guardian_kill(struct guardian *guardian)
{
    kill_and_wait(guardian->pid);
    guardian_forget(guardian);
}

static void crash_holding(const char *key)
{
    struct guardian guardian = guardian_start(key, "crashed");
    guardian_kill(&guardian);
}

static void crash_waiting(const char *key)
{
    struct guardian guardian = guardian_attach(key, "");
    guardian_kill(&guardian);
}

struct stop {
    uint32_t step; /* 0: rehearses, and notes which step bears `name` for the last time */
    const char *name;
};

static void begin(const struct stop *stop)
{
    qshm_test_arm(stop->step, stop->step == 0 ? 0 : 1);
}

static void end(struct stop *stop)
{
    static char names[16384];
    qshm_test_steps(names, sizeof names);
    if (stop->step != 0) {
        return;
    }
    uint32_t number = 1;
    for (char *at = strtok(names, "\n"); at != NULL; at = strtok(NULL, "\n"), number++) {
        stop->step = strcmp(at, stop->name) == 0 ? number : stop->step;
    }
    NE(stop->step, 0);
}

/* Starts `body` in a process, which stops at the last step of this name. */
static pid_t stop_at(const char *name, void (*body)(void *))
{
    struct stop *stop = shared_memory(sizeof *stop);
    stop->name = name;
    EQ(wait_exit(spawn(body, stop)), 0);
    pid_t pid = spawn(body, stop);
    CHECK(wait_stopped(pid));
    return pid;
}

static void go_on(pid_t pid)
{
    EQ(kill(pid, SIGCONT), 0);
    EQ(wait_exit(pid), 0);
}

/* --- election ----------------------------------------------------------------------------------------------------- */

CASE(guard_is_one)
{
    uint32_t a = join("a"), b = join("a");
    EQ(elect(a), 1);
    EQ(outcome.flags, 0);
    EQ(elect(b), 0);
    EQ(qshm_elect(b, 0, NULL, 0, LARGEST_MESSAGE, &outcome), 0);
    leave(a);
    EQ(elect(b), 1);
    EQ(outcome.flags, 0);
    leave(b);
    EQ(count_files(), 0);
    expect_next("a", false);
}

CASE(guard_is_one_among_processes)
{
    struct guardian first = guardian_start("a", "first"), second = guardian_attach("a", "second");
    uint32_t mine = join("a");
    EQ(elect(mine), 0);
    guardian_end(&first);
    guardian_hold(&second);
    EQ(elect(mine), 0);
    guardian_kill(&second);
    EQ(elect(mine), 1);
    CHECK(recovered());
    leave(mine);
    EQ(count_files(), 0);
}

/* Ended by qshm_leave as well. */
CASE(guard_is_left_in_order)
{
    uint32_t a = join("a");
    EQ(elect(a), 1);
    EQ(qshm_leave(a), 0);
    EQ(count_files(), 0);
    expect_next("a", false);
}

CASE(guard_has_names_of_its_own)
{
    static const char *const keys[] = {"a", "A", "b", "a/b", "", "\xc3\xa4"};
    uint32_t handles[6];
    for (int i = 0; i < 6; i++) {
        if (keys[i][0] == '\0') {
            EQ(open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, ""), QSHM_E_KEY);
            continue;
        }
        handles[i] = join(keys[i]);
        EQ(elect_saying(handles[i], keys[i]), 1);
    }
    for (int i = 0; i < 6; i++) {
        if (keys[i][0] != '\0') {
            EQ(ask(keys[i]), 1);
            EQ_TEXT(told_body(), keys[i]);
            leave(handles[i]);
        }
    }
    EQ(count_files(), 0);
}

CASE(guard_beside_other_kinds)
{
    int32_t others[3];
    for (uint32_t kind = QSHM_KIND_MEMORY; kind <= QSHM_KIND_SEMAPHORE; kind++) {
        others[kind - 1] = open_kind(kind, QSHM_CREATE, 4096, "a");
        GT(others[kind - 1], 0);
    }
    EQ(ask("a"), 0);
    uint32_t guarding = join("a");
    EQ(elect(guarding), 1);
    EQ(ask("a"), 1);
    EQ(count_files(), 4);
    for (int i = 0; i < 3; i++) {
        EQ(qshm_elect((uint32_t)others[i], 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_is_lost((uint32_t)others[i]), 0);
        EQ(qshm_detach((uint32_t)others[i]), 0);
    }
    EQ(ask("a"), 1);
    leave(guarding);
    EQ(count_files(), 0);
}

CASE(guard_refuses_bad_arguments)
{
    static uint8_t body[MOST_BODY + 1];
    uint32_t handle = join("a");
    EQ(qshm_elect(handle, 0, NULL, 0, LARGEST_MESSAGE, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_elect(0, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_HANDLE);
    EQ(qshm_elect(handle + 1, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_HANDLE);
    const double patiences[] = {-1, -0.001, 1000.001, 1e15, HUGE_VAL, -HUGE_VAL, NAN};
    for (size_t i = 0; i < sizeof patiences / sizeof *patiences; i++) {
        EQ(qshm_elect(handle, patiences[i], NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
    }
    EQ(qshm_elect(handle, 0, NULL, 1, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_elect(handle, 0, body, MOST_BODY + 1, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_elect(handle, 0, body, UINT32_MAX, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
    CHECK(!is_held("i-a"));
    EQ(qshm_elect(handle, 0, NULL, 0, LARGEST_MESSAGE, &outcome), 1);
    EQ(qshm_elect(handle, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT); /* twice */
    CHECK(is_held("i-a"));
    leave(handle);
    EQ(qshm_elect(handle, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_HANDLE);
    EQ(qshm_is_lost(handle), QSHM_E_HANDLE);
    EQ(qshm_is_lost(0), QSHM_E_HANDLE);
    CHECK(!exists("i-a"));
}

CASE(guard_primary_refuses_bad_arguments)
{
    EQ(qshm_primary("a", 1, NULL, 0, &told, sizeof told, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_primary("a", 1, NULL, 0, NULL, sizeof told, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_primary("a", 1, NULL, 0, &told, sizeof told - 1, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_primary(NULL, 1, NULL, 0, &told, sizeof told, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_primary("a", 1, NULL, 1, &told, sizeof told, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_primary("", 0, NULL, 0, &told, sizeof told, &outcome), QSHM_E_KEY);
    EQ(qshm_primary("\xff", 1, NULL, 0, &told, sizeof told, &outcome), QSHM_E_KEY);
    EQ(qshm_primary("a", 1, "/nowhere", 8, &told, sizeof told, &outcome), QSHM_E_NO_DIRECTORY);
    EQ(count_files(), 0);
}

CASE(guard_tells_bodies_of_all_sizes)
{
    static uint8_t body[MOST_BODY];
    struct random random = random_from(runner_seed());
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)random_next(&random);
    }
    const uint32_t sizes[] = {0, 1, 4096, MOST_BODY - 1, MOST_BODY};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint32_t handle = join("a");
        EQ(qshm_elect(handle, 0, body, sizes[i], LARGEST_MESSAGE, &outcome), 1);
        EQ(ask("a"), 1);
        EQ(told.primary.body_size, sizes[i]);
        EQ(memcmp(told.bytes + sizeof told.primary + told.primary.cwd_size, body, sizes[i]), 0);
        leave(handle);
    }
}

/* --- an attachment that may only read ----------------------------------------------------------------------------- */

enum { SOMEBODY = 64321, OTHER = 64322, GROUP = 64400 };

static void become(uid_t user)
{
    gid_t group = GROUP;
    EQ(setgroups(1, &group), 0);
    EQ(setresgid(group, group, group), 0);
    EQ(setresuid(user, user, user), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void hold_for_a_group(void *argument)
{
    struct guardian *guardian = argument;
    become(SOMEBODY);
    int32_t handle =
        qshm_open(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0640, 0, "a", 1, NULL, 0, &outcome);
    GT(handle, 0);
    gate_open(&guardian->ready);
    gate_pass(&guardian->go);
    EQ(elect_saying((uint32_t)handle, "for a group"), 1);
    gate_open(&guardian->held);
    gate_pass(&guardian->done);
    leave((uint32_t)handle);
}

static void observe(void *argument)
{
    struct guardian *guardian = argument;
    become(OTHER);
    int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_ATTACH | QSHM_READ_ONLY, 0, "a");
    GT(handle, 0);
    EQ(outcome.flags & QSHM_OBSERVER, QSHM_OBSERVER);
    EQ(qshm_elect((uint32_t)handle, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
    EQ(ask("a"), 0);
    guardian_hold(guardian);
    EQ(qshm_elect((uint32_t)handle, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_ARGUMENT);
    EQ(ask("a"), 1);
    EQ_TEXT(told_body(), "for a group");
    EQ(told.primary.process.pid, 0); /* of another user: not ours to see */
    EQ(qshm_is_lost((uint32_t)handle), 0);
    leave((uint32_t)handle);
}

CASE(guard_is_told_to_observers_only)
{
    if (geteuid() != 0) {
        runner_skip("needs root, to become other users");
    }
    EQ(chown(runner_directory(), 0, GROUP), 0);
    EQ(chmod(runner_directory(), 0770), 0);
    struct guardian guardian = {.ready = gate_make(), .go = gate_make(), .held = gate_make(), .done = gate_make()};
    guardian.pid = spawn(hold_for_a_group, &guardian);
    gate_pass(&guardian.ready);
    EQ(wait_exit(spawn(observe, &guardian)), 0);
    guardian_end(&guardian);
    EQ(count_files(), 0);
}

/* --- is the next one told? ---------------------------------------------------------------------------------------- */

CASE(guard_recovery_is_told_once)
{
    crash_holding("a");
    CHECK(exists("i-a"));
    uint32_t handle = join("a");
    EQ(elect(handle), 1);
    CHECK(recovered());
    leave(handle);
    EQ(count_files(), 0);
    expect_next("a", false);
}

CASE(guard_recovery_is_told_to_one_of_two_waiters)
{
    struct guardian holder = guardian_start("a", "");
    uint32_t one = join("a"), two = join("a");
    guardian_kill(&holder);
    EQ(elect(two), 1);
    CHECK(recovered());
    EQ(elect(one), 0);
    leave(two);
    EQ(elect(one), 1);
    CHECK(!recovered());
    leave(one);
    EQ(count_files(), 0);
}

/* Crashes one after the other are each told. */
CASE(guard_recovery_of_each_crash)
{
    for (int i = 0; i < 3; i++) {
        crash_holding("a");
    }
    struct guardian holder = guardian_start("a", "");
    uint32_t waiter = join("a");
    guardian_kill(&holder);
    EQ(elect(waiter), 1);
    CHECK(recovered());
    leave(waiter);
    EQ(count_files(), 0);
}

CASE(guard_trace_outlives_waiters)
{
    crash_holding("a");
    for (int i = 0; i < 3; i++) { /* each is the last one attached, and holds nothing */
        leave(join("a"));
        CHECK(exists("i-a"));
    }
    crash_waiting("a");
    expect_next("a", true);

    struct guardian holder = guardian_start("a", "");
    uint32_t loser = join("a");
    EQ(elect(loser), 0);
    guardian_kill(&holder);
    leave(loser);
    CHECK(exists("i-a"));
    expect_next("a", true);

    holder = guardian_start("a", "");
    struct guardian waiter = guardian_attach("a", "");
    guardian_kill(&holder);
    guardian_kill(&waiter);
    expect_next("a", true);
    expect_next("a", false);
}

static void exit_holding(void *argument)
{
    (void)argument;
    EQ(elect(join("a")), 1);
    exit(0);
}

static void exit_waiting(void *argument)
{
    (void)argument;
    EQ(elect(join("a")), 0);
    exit(0);
}

CASE(guard_orderly_end_is_no_crash)
{
    struct guardian holder = guardian_start("a", "");
    guardian_end(&holder);
    EQ(count_files(), 0);
    expect_next("a", false);

    EQ(wait_exit(spawn(exit_holding, NULL)), 0);
    EQ(count_files(), 0);
    expect_next("a", false);

    holder = guardian_start("a", ""); /* a loser that leaves in order, before and after */
    EQ(wait_exit(spawn(exit_waiting, NULL)), 0);
    uint32_t loser = join("a");
    EQ(elect(loser), 0);
    guardian_end(&holder);
    leave(loser);
    EQ(count_files(), 0);
    expect_next("a", false);
}

CASE(guard_crash_of_a_waiter_is_no_crash)
{
    crash_waiting("a");
    expect_next("a", false);

    struct guardian holder = guardian_start("a", "");
    crash_waiting("a");
    guardian_end(&holder);
    expect_next("a", false);

    struct guardian waiter = guardian_attach("a", "");
    uint32_t mine = join("a");
    EQ(elect(mine), 1);
    leave(mine);
    guardian_kill(&waiter);
    expect_next("a", false);
}

static int32_t opened;
static uint32_t opened_flags;

static void join_late(void *argument)
{
    begin(argument);
    opened = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
    opened_flags = outcome.flags;
    end(argument);
    GT(opened, 0);
}

/* One that found no file, and made its own, comes back to the name after a holder has crashed there. Told by the open
 * of a file that it made anew, or by the election: by one of them. */
static void join_late_after_a_crash(void *argument)
{
    bool rehearses = ((const struct stop *)argument)->step == 0;
    join_late(argument);
    EQ(elect((uint32_t)opened), 1);
    EQ(recovered() || opened_flags == (QSHM_CREATED | QSHM_RECOVERED), !rehearses);
    leave((uint32_t)opened);
}

static void join_late_after_a_waiter(void *argument)
{
    join_late(argument);
    EQ(elect((uint32_t)opened), 1);
    CHECK(!recovered());
    NE(opened_flags, QSHM_CREATED | QSHM_RECOVERED);
    leave((uint32_t)opened);
}

CASE(guard_trace_outlives_creators)
{
    leave(join("warm")); /* the first call of a process takes other steps */
    pid_t pid = stop_at("built", join_late_after_a_crash);
    crash_holding("a");
    go_on(pid);
    EQ(count_files(), 0);
}

CASE(guard_crash_of_a_waiter_beside_a_creator)
{
    leave(join("warm"));
    pid_t pid = stop_at("built", join_late_after_a_waiter);
    crash_waiting("a");
    go_on(pid);
    EQ(count_files(), 0);
}

static void elect_after_a_crash(void *argument)
{
    uint32_t handle = join("a");
    begin(argument);
    EQ(elect_saying(handle, "heir"), 1);
    qshm_test_steps(NULL, 0);
}

/* A holder has crashed; whoever takes over dies at each step: somebody is told all the same. */
CASE(guard_trace_outlives_an_election)
{
    struct stop stop = {.step = 1};
    for (bool again = true; again; stop.step++) {
        crash_holding("a");
        pid_t pid = spawn(elect_after_a_crash, &stop);
        again = wait_stopped(pid);
        if (again) {
            kill_and_wait(pid);
        }
        uint32_t handle = join("a");
        EQ(elect(handle), 1);
        if (!recovered()) {
            runner_fail(__FILE__, __LINE__, "nobody was told: the next holder died at step %u of its election", stop.step);
        }
        leave(handle);
        EQ(count_files(), 0);
    }
    GT(stop.step, 8);
}

/* --- processes that are stopped ----------------------------------------------------------------------------------- */

CASE(guard_of_a_stopped_holder_is_held)
{
    struct guardian holder = guardian_start("a", "stopped");
    uint32_t mine = join("a");
    EQ(kill(holder.pid, SIGSTOP), 0);
    CHECK(wait_stopped(holder.pid));
    EQ(elect(mine), 0);
    EQ(qshm_elect(mine, 0, NULL, 0, LARGEST_MESSAGE, &outcome), 0);
    EQ(ask("a"), 1);
    EQ(told.primary.process.pid, holder.pid);
    EQ(told.primary.process.alive, 1);
    EQ_TEXT(told_body(), "stopped");
    EQ(kill(holder.pid, SIGCONT), 0);
    guardian_end(&holder);
    EQ(elect(mine), 1);
    CHECK(!recovered());
}

static void elect_stopping(void *argument)
{
    uint32_t handle = join("a");
    begin(argument);
    EQ(elect_saying(handle, "new"), 1);
    end(argument);
    leave(handle);
}

/* One that is stopped inside R keeps others out: they tell who, and never run unguarded. */
CASE(guard_election_beside_a_stopped_one)
{
    uint32_t mine = join("a");
    pid_t pid = stop_at("info written", elect_stopping);
    EQ(qshm_elect(mine, 20, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_BUSY);
    EQ(outcome.pid, pid);
    EQ(qshm_elect(mine, 0, NULL, 0, LARGEST_MESSAGE, &outcome), 0);
    EQ(qshm_elect(mine, PATIENCE, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_BUSY);
    EQ(outcome.pid, pid);
    EQ(ask("a"), 0);
    go_on(pid);
    EQ(elect(mine), 1);
    CHECK(!recovered());
}

static void attach_stopping(void *argument)
{
    begin(argument);
    uint32_t handle = join("a");
    end(argument);
    leave(handle);
}

/* That the guard is held is known without R. */
CASE(guard_that_is_held_needs_no_r)
{
    struct guardian holder = guardian_start("a", "");
    uint32_t mine = join("a");
    pid_t pid = stop_at("id drawn", attach_stopping);
    CHECK(range_is_held("i-a", QSHM_RANGE_R, 1));
    char names[256];
    qshm_test_arm(0, 0);
    EQ(elect(mine), 0);
    qshm_test_steps(names, sizeof names);
    CHECK(strstr(names, "fcntl lock") == NULL);
    EQ(ask("a"), 1);
    go_on(pid);
    guardian_end(&holder);
}

/* --- a file that lost its name ------------------------------------------------------------------------------------ */

static void elect_unlinked(void *argument)
{
    struct stop *stop = argument;
    bool rehearses = stop->step == 0;
    uint32_t handle = join("a");
    begin(stop);
    int32_t r = elect(handle);
    end(stop);
    EQ(r, rehearses ? 1 : QSHM_E_NOT_FOUND);
    if (!rehearses) {
        CHECK(outcome.why[0] != '\0');
        EQ(qshm_is_lost(handle), 1);
    }
    leave(handle);
}

/* Between attaching and R the file may be removed, and another one be made and guarded. */
CASE(guard_is_not_elected_on_an_unlinked_file)
{
    pid_t pid = stop_at("attached to guard", elect_unlinked);
    EQ(remove_name("i-a", true), 1);
    uint32_t mine = join("a");
    EQ(elect(mine), 1);
    go_on(pid);
    CHECK(exists("i-a"));
    EQ(qshm_is_lost(mine), 0);
    leave(mine);

    pid = stop_at("attached to guard", elect_unlinked); /* and if there is none in its place */
    EQ(unlink(path_of("i-a")), 0);
    go_on(pid);
    EQ(count_files(), 0);
}

/* Whoever waits on a file that lost its name would wait for a holder that no longer guards the name. */
CASE(guard_is_not_awaited_on_an_unlinked_file)
{
    struct guardian holder = guardian_start("a", "");
    uint32_t waiter = join("a");
    EQ(elect(waiter), 0);
    EQ(unlink(path_of("i-a")), 0);
    EQ(elect(waiter), QSHM_E_NOT_FOUND);
    EQ(qshm_elect(waiter, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_NOT_FOUND);
    leave(waiter);
    uint32_t mine = join("a");
    EQ(elect(mine), 1);
    guardian_end(&holder);
    EQ(qshm_is_lost(mine), 0);
    leave(mine);
    EQ(count_files(), 0);
}

CASE(guard_is_lost)
{
    uint32_t mine = join("a");
    EQ(qshm_is_lost(mine), 0);
    EQ(elect(mine), 1);
    EQ(qshm_is_lost(mine), 0);
    struct guardian waiter = guardian_attach("a", "");
    EQ(qshm_is_lost(mine), 0);
    guardian_kill(&waiter);
    leave(join("b"));
    EQ(qshm_is_lost(mine), 0);
    qshm_test_arm(1, 3); /* what cannot be found out is no loss */
    EQ(qshm_is_lost(mine), 0);
    qshm_test_steps(NULL, 0);
    EQ(unlink(path_of("i-a")), 0);
    EQ(qshm_is_lost(mine), 1);
    EQ(ask("a"), 0);
    struct guardian other = guardian_start("a", "other");
    EQ(qshm_is_lost(mine), 1);
    leave(mine); /* it spares the other one's file */
    CHECK(exists("i-a"));
    EQ(ask("a"), 1);
    EQ_TEXT(told_body(), "other");
    guardian_end(&other);
    EQ(count_files(), 0);
}

CASE(guard_is_not_removed)
{
    struct guardian holder = guardian_start("a", "");
    for (int force = 0; force < 2; force++) {
        EQ(remove_name("i-a", force != 0), QSHM_E_IN_USE);
        EQ(outcome.pid, holder.pid);
    }
    CHECK(exists("i-a"));
    guardian_end(&holder);
    struct guardian waiter = guardian_attach("a", "");
    EQ(remove_name("i-a", false), QSHM_E_IN_USE);
    EQ(remove_name("i-a", true), 1); /* nobody guards */
    guardian_kill(&waiter);
    crash_holding("a");
    EQ(remove_name("i-a", false), 1);
    expect_next("a", false);
}

CASE(guard_is_not_swept)
{
    crash_holding("crashed");
    crash_waiting("waited");
    struct guardian holder = guardian_start("held", "");
    leave_dead(QSHM_KIND_MEMORY, 0, "swept");
    for (int i = 0; i < 8; i++) {
        int32_t handle = open_memory(QSHM_CREATE, "sweeper");
        GT(handle, 0);
        EQ(qshm_detach((uint32_t)handle), 0);
    }
    CHECK(!exists("m-swept"));
    CHECK(exists("i-crashed"));
    CHECK(exists("i-waited"));
    CHECK(exists("i-held"));
    guardian_end(&holder);
    uint32_t handle = join("crashed");
    EQ(elect(handle), 1);
    CHECK(recovered());
}

/* --- other versions, damage --------------------------------------------------------------------------------------- */

CASE(guard_of_another_layout)
{
    const uint16_t layout = 77;
    struct guardian holder = guardian_start("a", "");
    poke("i-a", offsetof(struct qshm__header, layout), &layout, 2);
    for (uint32_t how = QSHM_CREATE; how <= (QSHM_CREATE | QSHM_ATTACH); how++) {
        EQ(open_kind(QSHM_KIND_INSTANCE, how, 0, "a"), QSHM_E_INCOMPATIBLE);
        EQ(outcome.flags, QSHM_USED);
        EQ(outcome.layout, 77);
    }
    EQ(ask("a"), QSHM_E_INCOMPATIBLE);
    EQ(outcome.layout, 77);
    EQ(outcome.pid, holder.pid);
    EQ(remove_name("i-a", true), QSHM_E_IN_USE);
    guardian_kill(&holder);
    EQ(ask("a"), 0);
    uint32_t handle = join("a");
    EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
    EQ(elect(handle), 1);
    leave(handle);
    EQ(count_files(), 0);
}

CASE(guard_that_is_damaged)
{
    static const size_t checked[] = {
        offsetof(struct qshm__control, header.fingerprint), offsetof(struct qshm__control, header.kind),
        offsetof(struct qshm__control, payload_offset), offsetof(struct qshm__control, payload_size)};
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++) {
        struct guardian holder = guardian_start("a", "");
        poke("i-a", (off_t)checked[i], "\x7e", 1);
        EQ(open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a"), QSHM_E_INCOMPATIBLE);
        EQ(outcome.flags, QSHM_USED);
        EQ(ask("a"), QSHM_E_INCOMPATIBLE);
        EQ_TEXT(outcome.why, "is damaged");
        EQ(outcome.pid, holder.pid);
        guardian_kill(&holder);
        uint32_t handle = join("a");
        EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
        EQ(elect(handle), 1);
        leave(handle);
        EQ(count_files(), 0);
    }
}

/* Sizes that cannot be: it is of this version, it holds, and what it says is damaged. */
CASE(guard_that_says_nonsense)
{
    struct guardian holder = guardian_start("a", "");
    const off_t info = sizeof(struct qshm__control) + offsetof(struct qshm__instance_part, info);
    const uint32_t size = MOST_BODY + 1;
    poke("i-a", info + (off_t)offsetof(struct qshm__holder_info, body_size), &size, sizeof size);
    EQ(ask("a"), QSHM_E_INCOMPATIBLE);
    EQ(outcome.pid, holder.pid);
    guardian_end(&holder);
}

/* --- looking from outside ----------------------------------------------------------------------------------------- */

CASE(guard_primary_of_nobody)
{
    EQ(ask("a"), 0);
    uint32_t handle = join("a");
    EQ(ask("a"), 0);
    EQ(elect(handle), 1);
    EQ(ask("a"), 1);
    leave(handle);
    EQ(ask("a"), 0);
    crash_holding("a");
    EQ(ask("a"), 0);
    CHECK(exists("i-a")); /* it changes nothing */
    expect_next("a", true);
}

CASE(guard_primary_tells_all)
{
    char cwd[4096];
    CHECK(getcwd(cwd, sizeof cwd) != NULL);
    struct guardian holder = guardian_start("a", "what it says");
    uint32_t mine = join("a");
    struct qshm__control *control = peek("i-a");
    int fds = count_fds(), maps = count_maps();
    EQ(ask("a"), 1);
    EQ(outcome.os_error, 0);
    EQ_TEXT(outcome.path, path_of("i-a"));
    EQ(told.primary.process.id, control->holder);
    EQ(told.primary.process.pid, holder.pid);
    EQ(told.primary.process.alive, 1);
    EQ(told.primary.process.started, qshm__os_process_started((uint32_t)holder.pid));
    NE(told.primary.process.started, 0);
    EQ_TEXT(told_text(0, told.primary.cwd_size), cwd);
    EQ_TEXT(told_body(), "what it says");
    EQ(count_fds(), fds);
    EQ(count_maps(), maps);
    guardian_end(&holder);
    leave(mine);
}

/* struct qshm_process: ids mean nothing without the segment's number. */
CASE(guard_primary_tells_its_segment)
{
    uint32_t mine = join("a");
    EQ(elect(mine), 1);
    struct qshm__control *control = peek("i-a");
    EQ(ask("a"), 1);
    CHECK(told.primary.process.segment == control->birth);
}

static void hold_nowhere(void *argument)
{
    struct guardian *guardian = argument;
    char path[128];
    snprintf(path, sizeof path, "%s/gone", runner_directory());
    EQ(mkdir(path, 0700), 0);
    EQ(chdir(path), 0);
    EQ(rmdir(path), 0);
    EQ(elect_saying(join("a"), "nowhere"), 1);
    gate_open(&guardian->held);
    gate_pass(&guardian->done);
}

CASE(guard_primary_without_a_place)
{
    struct guardian holder = {.ready = gate_make(), .go = gate_make(), .held = gate_make(), .done = gate_make()};
    holder.pid = spawn(hold_nowhere, &holder);
    gate_pass(&holder.held);
    EQ(ask("a"), 1);
    EQ(told.primary.cwd_size, 0);
    EQ_TEXT(told_body(), "nowhere");
    guardian_end(&holder);
}

/* What is told of a process that stands at some step must be true: nobody, this one, or one that is just leaving. */
static void expect_truth(const struct qshm__control *control, pid_t pid)
{
    int32_t r = ask("a");
    EQ(r, !is_held("i-a") ? 0 : control->holder != 0 ? 1 : 2);
    if (r != 0) {
        EQ(told.primary.process.pid, pid);
        EQ(told.primary.process.alive, 1);
    }
    if (r == 1) {
        EQ(told.primary.process.id, control->holder);
        EQ_TEXT(told_body(), "new");
    }
}

static void release_stopping(void *argument)
{
    uint32_t handle = join("a");
    EQ(elect_saying(handle, "new"), 1);
    begin(argument);
    leave(handle);
    qshm_test_steps(NULL, 0);
}

static void elect_after(void *argument)
{
    uint32_t handle = join("a");
    begin(argument);
    EQ(elect_saying(handle, "new"), 1);
    qshm_test_steps(NULL, 0);
    leave(handle);
}

/* Info of a former holder lies in the file; the process takes over, or gives up, and is looked at after each step. */
static void look_at_each_step(void (*body)(void *), uint32_t least)
{
    struct stop stop = {.step = 1};
    int results[3] = {0};
    for (;; stop.step++) {
        crash_holding("a");
        uint32_t waiter = join("a");
        struct qshm__control *control = peek("i-a");
        pid_t pid = spawn(body, &stop);
        bool stopped = wait_stopped(pid);
        if (stopped) {
            expect_truth(control, pid);
            results[ask("a")]++;
            go_on(pid);
        }
        unpeek(control);
        leave(waiter);
        EQ(remove_name("i-a", false), 0);
        if (!stopped) {
            break;
        }
    }
    GT(stop.step, least);
    GT(results[0], 0);
    runner_note("%d times nobody, %d times the holder, %d times one that leaves", results[0], results[1], results[2]);
}

CASE(guard_info_is_never_stale)
{
    look_at_each_step(elect_after, 8);
    look_at_each_step(release_stopping, 8);
}

/* Once it has been told that nobody holds, or somebody else, the former one is not told of again: who looks is stopped
 * at each step, while the guard changes hands. */
struct looking {
    uint32_t step;
    pid_t first, second;
};

static void look_stopping(void *argument)
{
    const struct looking *looking = argument;
    qshm_test_arm(looking->step, 1);
    int32_t r = ask("a");
    qshm_test_steps(NULL, 0);
    CHECK(r >= 0 && r <= 2);
    if (r == 1) {
        bool of_first = strcmp(told_body(), "first") == 0;
        CHECK(of_first || strcmp(told_body(), "second") == 0);
        pid_t its = of_first ? looking->first : looking->second;
        pid_t pid = (pid_t)told.primary.process.pid;
        if (pid != 0 && pid != its) {
            runner_fail(__FILE__, __LINE__, "stopped at step %u: says \"%s\", which is process %d, and names process %d",
                        looking->step, told_body(), (int)its, (int)pid);
        }
    }
}

static void change_hands_beside_a_look(bool by_kill)
{
    struct looking looking = {.step = 1};
    for (bool again = true; again; looking.step++) {
        struct guardian first = guardian_start("a", "first"), second = guardian_attach("a", "second");
        looking.first = first.pid;
        looking.second = second.pid;
        pid_t pid = spawn(look_stopping, &looking);
        again = wait_stopped(pid);
        if (by_kill) {
            guardian_kill(&first);
        } else {
            guardian_end(&first);
        }
        guardian_hold(&second);
        if (again) {
            go_on(pid);
        }
        guardian_end(&second);
        EQ(count_files(), 0);
    }
    GT(looking.step, 10);
}

CASE(guard_changes_hands_beside_a_look)
{
    change_hands_beside_a_look(false);
}

CASE(guard_is_killed_beside_a_look)
{
    change_hands_beside_a_look(true);
}

/* --- bodies that check themselves --------------------------------------------------------------------------------- */

enum { WRITERS = 2, READERS = 3, READINGS = 60 };

struct checked_body {
    uint32_t pid, id, size, seed;
    uint8_t bytes[MOST_BODY - 16];
};

static void fill_body(struct checked_body *body, uint32_t size)
{
    struct random random = random_from(body->seed ^ (uint64_t)body->id << 32);
    body->size = size;
    for (uint32_t i = 0; i < size - 16; i++) {
        body->bytes[i] = (uint8_t)(random.state += 0x9d * (i + 1));
    }
}

static void elect_for_ever(void *argument)
{
    static struct checked_body body;
    struct random random = random_from(*(const uint64_t *)argument ^ (uint64_t)getpid() << 20);
    for (;;) {
        uint32_t handle = join("a");
        body.pid = (uint32_t)getpid();
        body.id = id_of((int32_t)handle);
        body.seed = (uint32_t)random_next(&random);
        fill_body(&body, 16 + random_below(&random, sizeof body.bytes + 1));
        int32_t r = qshm_elect(handle, PATIENCE, &body, body.size, LARGEST_MESSAGE, &outcome);
        CHECK(r == 0 || r == 1);
        leave(handle);
    }
}

static void check_told_body(void)
{
    static struct checked_body body, expected;
    GE(told.primary.body_size, 16);
    memcpy(&body, told.bytes + sizeof told.primary + told.primary.cwd_size, told.primary.body_size);
    EQ(body.size, told.primary.body_size);
    EQ(body.id, told.primary.process.id);
    CHECK(told.primary.process.pid == 0 || told.primary.process.pid == body.pid);
    memcpy(&expected, &body, 16);
    fill_body(&expected, body.size);
    EQ(memcmp(&body, &expected, body.size), 0);
}

static void read_often(void *argument)
{
    _Atomic long *readings = argument;
    for (int read = 0; read < READINGS;) {
        int32_t r = ask("a");
        CHECK(r >= 0 && r <= 2);
        if (r == 1) {
            check_told_body();
            read++;
            (*readings)++;
        }
    }
}

CASE(guard_info_torture)
{
    runner_watchdog(240); /* finding a process in /proc takes long on a busy machine */
    uint64_t seed = runner_seed();
    _Atomic long *readings = shared_memory(sizeof *readings);
    pid_t writers[WRITERS], readers[READERS];
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = spawn(elect_for_ever, &seed);
    }
    for (int i = 0; i < READERS; i++) {
        readers[i] = spawn(read_often, readings);
    }
    int failed = 0;
    for (int i = 0; i < READERS; i++) {
        failed += wait_exit(readers[i]) != 0;
    }
    for (int i = 0; i < WRITERS; i++) {
        kill_and_wait(writers[i]);
    }
    runner_count("bodies read", *readings);
    EQ(failed, 0);
}

/* --- fork, threads, exit ------------------------------------------------------------------------------------------ */

static uint32_t inherited;

static void use_inherited(void *argument)
{
    (void)argument;
    EQ(qshm_elect(inherited, 0, NULL, 0, LARGEST_MESSAGE, &outcome), QSHM_E_HANDLE);
    EQ(qshm_is_lost(inherited), QSHM_E_HANDLE);
    EQ(qshm_run(inherited, "true", 5, &outcome), QSHM_E_HANDLE);
    CHECK(is_held("i-a"));
    uint32_t own = join("a");
    EQ(elect(own), 0);
    leave(own);
    exit(0); /* with the library's destructor */
}

static void only_exit(void *argument)
{
    (void)argument;
    exit(0);
}

CASE(guard_is_not_a_forked_childs)
{
    inherited = join("a");
    EQ(elect(inherited), 1);
    EQ(wait_exit(spawn(use_inherited, NULL)), 0);
    EQ(wait_exit(spawn(only_exit, NULL)), 0);
    CHECK(is_held("i-a"));
    EQ(ask("a"), 1);
    EQ(told.primary.process.pid, getpid());
    leave(inherited);
    EQ(count_files(), 0);
}

static void stand_before_exec(void *argument)
{
    gate_pass(argument);
}

/* A child that stands between fork and exec keeps copies of the descriptors: a release frees P all the same. */
CASE(guard_is_released_beside_a_fork)
{
    uint32_t mine = join("a");
    EQ(elect(mine), 1);
    struct gate gate = gate_make();
    pid_t pid = spawn(stand_before_exec, &gate);
    uint32_t other = join("a");
    leave(mine);
    EQ(elect(other), 1);
    CHECK(!recovered());
    gate_open(&gate);
    EQ(wait_exit(pid), 0);
}

struct inside {
    struct gate held;
};

static void *stay_elected(void *argument)
{
    struct inside *inside = argument;
    static struct qshm_outcome own;
    int32_t handle = qshm_open(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, 0, "a", 1, NULL, 0, &own);
    GT(handle, 0);
    EQ(qshm_elect((uint32_t)handle, 0, "thread", 6, LARGEST_MESSAGE, &own), 1);
    gate_open(&inside->held);
    for (;;) {
        pause();
    }
}

static void exit_beside_a_guard(void *argument)
{
    struct inside inside = {gate_make()};
    GT(open_memory(QSHM_CREATE | QSHM_ATTACH, "b"), 0);
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, stay_elected, &inside), 0);
    gate_pass(&inside.held);
    begin(argument);
    exit(0);
}

/* As long as a thread may still do what the guard guards, nobody else is elected: at no step of the exit. */
CASE(guard_of_another_thread_is_left_to_the_kernel)
{
    uint32_t mine = join("a");
    struct stop stop = {.step = 1};
    for (;; stop.step++) {
        pid_t pid = spawn(exit_beside_a_guard, &stop);
        if (!wait_stopped(pid)) {
            break;
        }
        EQ(elect(mine), 0);
        EQ(ask("a"), 1);
        EQ(told.primary.process.pid, pid);
        EQ_TEXT(told_body(), "thread");
        go_on(pid);
        EQ(elect(mine), 1);
        CHECK(recovered()); /* nobody gave it up */
        leave(mine);
        mine = join("a");
    }
    GT(stop.step, 5);
}
