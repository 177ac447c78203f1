/*
 * takeover.c - asking the holder of a guard to leave, and making it: who hears it, and that a signal reaches the
 * holder's own process or none.
 *
 * Invariants: whoever must not be signalled waits for a byte with all signals at their default, and must end in order
 * once it has come: a signal would have ended it before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

enum { SOMEBODY = 64321, OTHER = 64322, GROUP = 64400 };
static const uint32_t signals[] = {QSHM_SIGNAL_END, QSHM_SIGNAL_KILL};

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

static uint32_t join_with(uint32_t mode)
{
    int32_t handle = qshm_open(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, mode, 0, "a", 1, NULL, 0, &outcome);
    GT(handle, 0);
    return (uint32_t)handle;
}

static uint32_t join(void)
{
    return join_with(0600);
}

static int32_t elect(uint32_t handle)
{
    return qshm_elect(handle, 1000, "", 0, LARGEST_MESSAGE, &outcome);
}

static uint32_t hold(void)
{
    uint32_t handle = join();
    EQ(elect(handle), 1);
    return handle;
}

static void leave(uint32_t handle)
{
    EQ(qshm_detach(handle), 0);
}

static struct qshm__control *control_of(uint32_t handle)
{
    return qshm__handle_find(handle)->control;
}

static struct qshm__holder_info *info_of(uint32_t handle)
{
    return &((struct qshm__instance_part *)(control_of(handle) + 1))->info;
}

static uint32_t holder_of(uint32_t handle)
{
    return control_of(handle)->holder;
}

static int32_t signal_holder(uint32_t handle, uint32_t number)
{
    return qshm_signal_holder(handle, holder_of(handle), number, &outcome);
}

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* One that does what it does when it begins, and ends when it is let go. */
struct innocent {
    pid_t pid;
    struct gate ready, go, done;
    pid_t *child; /* shared; if it has left one behind */
};

static struct innocent innocent_make(void)
{
    return (struct innocent){
        .ready = gate_make(), .go = gate_make(), .done = gate_make(), .child = shared_memory(sizeof(pid_t))};
}

static struct innocent innocent_start(void (*body)(void *))
{
    struct innocent innocent = innocent_make();
    innocent.pid = spawn(body, &innocent);
    gate_pass(&innocent.ready);
    return innocent;
}

static void innocent_forget(struct innocent *innocent)
{
    gate_close(&innocent->ready);
    gate_close(&innocent->go);
    gate_close(&innocent->done);
    munmap(innocent->child, sizeof *innocent->child);
}

/* Nobody has signalled it. */
static void innocent_end(struct innocent *innocent)
{
    gate_open(&innocent->done);
    EQ(wait_exit(innocent->pid), 0);
    innocent_forget(innocent);
}

static void wait_until_done(struct innocent *innocent)
{
    gate_open(&innocent->ready);
    gate_pass(&innocent->done);
}

static void do_nothing(void *argument)
{
    wait_until_done(argument);
}

static void be_attached(void *argument)
{
    uint32_t handle = join();
    wait_until_done(argument);
    leave(handle);
}

/* Until it is let go; then it releases the guard, and goes on without. */
static void hold_for_a_while(void *argument)
{
    struct innocent *innocent = argument;
    uint32_t handle = hold();
    gate_open(&innocent->ready);
    gate_pass(&innocent->go);
    leave(handle);
    wait_until_done(innocent);
}

/* Leaves a child behind that has inherited the guard. */
static void hold_as_a_wrapper(void *argument)
{
    struct innocent *innocent = argument;
    hold();
    pid_t child = fork();
    GE(child, 0);
    if (child == 0) {
        *innocent->child = getpid();
        wait_until_done(innocent);
        _exit(0);
    }
    gate_pass(&innocent->go);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

CASE(takeover_asks)
{
    uint32_t holder = hold(), other = join();
    int bell = qshm_bell_open(holder, QSHM_BELL_FIFO, &outcome);
    GE(bell, 0);
    EQ(qshm_is_asked_to_leave(holder), 0);
    EQ(qshm_is_asked_to_leave(other), 0);
    for (int times = 0; times < 2; times++) {
        EQ(qshm_expect_change(holder, qshm_revision(holder)), 0);
        EQ(qshm_ask_to_leave(other, 0), 0);
        char byte;
        EQ(read(bell, &byte, 1), 1);
        EQ(qshm_is_asked_to_leave(holder), 1);
        EQ(qshm_is_asked_to_leave(other), 0);
    }
    leave(holder);
    EQ(qshm_is_asked_to_leave(other), 0);
    EQ(elect(other), 1);
    EQ(qshm_is_asked_to_leave(other), 0);
    EQ(qshm_ask_to_leave(other, 0), 0); /* by itself */
    EQ(qshm_is_asked_to_leave(other), 1);
    leave(other);

    other = join(); /* nobody hears it: nor does the next one */
    EQ(qshm_ask_to_leave(other, 0), 0);
    holder = hold();
    EQ(qshm_is_asked_to_leave(holder), 0);
    leave(holder);
    leave(other);
    EQ(count_files(), 0);
    close(bell);
}

/* Of a holder that died having been asked. */
CASE(takeover_is_not_inherited)
{
    struct innocent innocent = innocent_start(hold_for_a_while);
    uint32_t next = join();
    EQ(qshm_ask_to_leave(next, 0), 0);
    EQ(control_of(next)->wanted, 1);
    kill_and_wait(innocent.pid);
    EQ(elect(next), 1);
    EQ(outcome.flags, QSHM_RECOVERED);
    EQ(qshm_is_asked_to_leave(next), 0);
    leave(next);
    innocent_forget(&innocent);
}

CASE(takeover_refuses_bad_arguments)
{
    uint32_t stale = join();
    leave(stale);
    struct innocent innocent = innocent_start(hold_for_a_while);
    uint32_t other = join(), holder = holder_of(other);
    int32_t memory = open_memory(QSHM_CREATE, "memory");
    GT(memory, 0);
    const struct {
        uint32_t handle;
        int32_t error;
    } wrong[] = {{0, QSHM_E_HANDLE}, {stale, QSHM_E_HANDLE}, {(uint32_t)memory, QSHM_E_ARGUMENT}};
    for (int i = 0; i < 3; i++) {
        EQ(qshm_ask_to_leave(wrong[i].handle, 0), wrong[i].error);
        EQ(qshm_is_asked_to_leave(wrong[i].handle), wrong[i].error);
        EQ(qshm_signal_holder(wrong[i].handle, holder, QSHM_SIGNAL_END, &outcome), wrong[i].error);
    }
    const uint32_t others[] = {0, 1, 2, 8, 10, 14, 16, 18, 19, 64, 65, UINT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        EQ(qshm_signal_holder(other, holder, others[i], &outcome), QSHM_E_ARGUMENT);
    }
    EQ(qshm_signal_holder(other, holder, QSHM_SIGNAL_KILL, NULL), QSHM_E_ARGUMENT);
    gate_open(&innocent.go);
    gate_pass(&innocent.ready);
    innocent_end(&innocent);
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

CASE(takeover_signals_the_holder)
{
    for (int i = 0; i < 2; i++) {
        struct innocent innocent = innocent_start(hold_for_a_while), attached = innocent_start(be_attached);
        uint32_t other = join();
        EQ(signal_holder(other, signals[i]), 1);
        wait_killed(innocent.pid, (int)signals[i]);
        EQ(signal_holder(other, signals[i]), 0);
        EQ(elect(other), 1);
        EQ(outcome.flags, QSHM_RECOVERED);
        leave(other);
        innocent_end(&attached);
        innocent_forget(&innocent);
        EQ(count_files(), 0);
    }
}

static void end_by_own_signal(void *argument)
{
    (void)argument;
    uint32_t handle = hold();
    signal_holder(handle, QSHM_SIGNAL_END);
}

CASE(takeover_signals_oneself)
{
    wait_killed(spawn(end_by_own_signal, NULL), SIGTERM);
}

CASE(takeover_without_a_holder)
{
    uint32_t handle = join();
    EQ(qshm_signal_holder(handle, 0, QSHM_SIGNAL_KILL, &outcome), 0);
    EQ(qshm_signal_holder(handle, id_of((int32_t)handle), QSHM_SIGNAL_KILL, &outcome), 0);
    info_of(handle)->pid = (uint32_t)getpid();
    EQ(qshm_signal_holder(handle, 0, QSHM_SIGNAL_KILL, &outcome), 0);
    leave(handle);
}

/* The caller, led from step to step. */
struct caller {
    struct stepper *stepper;
    struct gate ready, go;
    uint32_t holder, signal;
    int32_t result;
    _Atomic bool through;
};

static void call_led(void *argument)
{
    struct caller *caller = argument;
    uint32_t handle = join();
    caller->holder = holder_of(handle);
    gate_open(&caller->ready);
    gate_pass(&caller->go);
    stepper_begin(caller->stepper);
    caller->result = qshm_signal_holder(handle, caller->holder, caller->signal, &outcome);
    stepper_end();
    caller->through = true;
    if (caller->stepper->order != 0) {
        raise(SIGSTOP);
        raise(SIGSTOP);
    }
    leave(handle);
}

/* Starts it and leads it to its n-th step; false if it stands behind the last one. */
static bool call_to(struct caller *caller, pid_t *pid, int n)
{
    caller->stepper = stepper_make();
    caller->ready = gate_make();
    caller->go = gate_make();
    *pid = spawn(call_led, caller);
    gate_pass(&caller->ready);
    gate_open(&caller->go);
    for (int i = 0; i < n; i++) {
        CHECK(step_on(caller->stepper, *pid));
        if (caller->through) {
            return false;
        }
    }
    return true;
}

static void call_end(struct caller *caller, pid_t pid)
{
    step_free(caller->stepper, pid);
    gate_close(&caller->ready);
    gate_close(&caller->go);
    munmap(caller->stepper, sizeof *caller->stepper);
}

/* A process of this pid, which must be free. False if this system does not let us choose. */
static bool recycle(struct innocent *innocent, pid_t pid)
{
    *innocent = innocent_make();
    struct clone_args how = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1};
    fflush(NULL);
    long r = syscall(SYS_clone3, &how, sizeof how);
    if (r == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        wait_until_done(innocent);
        _exit(0);
    }
    if (r < 0) {
        innocent_forget(innocent);
        return false;
    }
    EQ(r, pid);
    innocent->pid = pid;
    gate_pass(&innocent->ready);
    return true;
}

/* What becomes of the holder while the caller is on its way. */
enum { DIES, DIES_AND_IS_RECYCLED, LEAVES, IS_FOLLOWED, ENDS };

static bool go_through(int end, uint32_t number)
{
    int signalled = 0;
    bool more = true, recycles = true;
    for (int n = 1; more && recycles; n++) {
        struct innocent holder = innocent_start(hold_for_a_while), next;
        struct caller *caller = shared_memory(sizeof *caller);
        caller->signal = number;
        pid_t pid;
        more = call_to(caller, &pid, n);
        if (!more || strcmp(caller->stepper->at, "close") == 0) { /* it was sent */
            wait_killed(holder.pid, (int)number);
            call_end(caller, pid);
            EQ(caller->result, 1);
            innocent_forget(&holder);
            leave(hold());
            munmap(caller, sizeof *caller);
            break;
        }
        bool is_proved =
            strcmp(caller->stepper->at, "holder proved") == 0 || strcmp(caller->stepper->at, "pidfd_send_signal") == 0;
        bool dies = end == DIES || end == DIES_AND_IS_RECYCLED;
        if (dies) {
            kill_and_wait(holder.pid);
            recycles = end == DIES || recycle(&next, holder.pid);
        } else {
            gate_open(&holder.go);
            gate_pass(&holder.ready);
            if (end == IS_FOLLOWED) {
                next = innocent_start(hold_for_a_while);
            }
        }
        call_end(caller, pid);
        if (!dies && is_proved) { /* that it was the holder was true a moment ago, and cannot be made to last */
            EQ(caller->result, 1);
            wait_killed(holder.pid, (int)number);
            signalled++;
        } else {
            EQ(caller->result, 0);
        }
        if (end == IS_FOLLOWED) {
            gate_open(&next.go);
            gate_pass(&next.ready);
        }
        if (end == IS_FOLLOWED || (end == DIES_AND_IS_RECYCLED && recycles)) {
            innocent_end(&next);
        }
        if (dies || is_proved) {
            innocent_forget(&holder);
        } else {
            innocent_end(&holder);
        }
        leave(hold());
        munmap(caller, sizeof *caller);
    }
    CHECK(end <= DIES_AND_IS_RECYCLED || signalled == 2);
    return recycles;
}

/* The holder ends at each step of the caller, and another has its pid, or holds the guard, then. */
CASE(takeover_never_signals_another)
{
    for (int i = 0; i < 2; i++) {
        for (int end = 0; end < ENDS; end++) {
            if (!go_through(end, signals[i])) {
                runner_note("no pid could be used again on purpose");
            }
        }
    }
    EQ(count_files(), 0);
}

CASE(takeover_of_another_id)
{
    struct innocent holder = innocent_start(hold_for_a_while), attached = innocent_start(be_attached);
    uint32_t handle = join(), id = holder_of(handle);
    const uint32_t others[] = {0, id - 1, id + 1, id + 2, id_of((int32_t)handle), id | 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        for (int k = 0; k < 2; k++) {
            EQ(others[i] == id ? 0 : qshm_signal_holder(handle, others[i], signals[k], &outcome), 0);
        }
    }
    control_of(handle)->holder = id + 1; /* as if that were the holder: it lives, but byte P is another's */
    for (int k = 0; k < 2; k++) {
        info_of(handle)->pid = (uint32_t)attached.pid;
        EQ(signal_holder(handle, signals[k]), QSHM_E_NOT_FOUND);
    }
    control_of(handle)->holder = id;
    gate_open(&holder.go);
    gate_pass(&holder.ready);
    innocent_end(&holder);
    innocent_end(&attached);
    leave(handle);
    EQ(count_files(), 0);
}

/* What the holder says of itself is no proof. */
CASE(takeover_does_not_believe_what_is_written)
{
    struct innocent holder = innocent_start(hold_for_a_while), attached = innocent_start(be_attached),
                    bystander = innocent_start(do_nothing);
    uint32_t handle = join();
    struct qshm__holder_info *info = info_of(handle), sound = *info;
    EQ(sound.pid, holder.pid);
    const uint32_t pids[] = {(uint32_t)attached.pid,
                             (uint32_t)bystander.pid,
                             (uint32_t)getpid(),
                             (uint32_t)getppid(),
                             0,
                             1,
                             0x7fffffff,
                             (uint32_t)-holder.pid,
                             UINT32_MAX};
    const uint64_t starts[] = {0, UINT64_MAX, sound.start + 1, sound.start - 1, sound.start * 2};
    const uint64_t namespaces[] = {0, sound.pid_namespace + 1, sound.pid_namespace ^ UINT64_C(1) << 40, UINT64_MAX};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof pids / sizeof *pids; i++) {
            info->pid = pids[i];
            int32_t r = signal_holder(handle, signals[k]);
            CHECK(i < 3 ? r == QSHM_E_NOT_FOUND : r < 0);
        }
        info->pid = sound.pid;
        for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
            info->start = starts[i];
            EQ(signal_holder(handle, signals[k]), QSHM_E_NOT_FOUND);
            EQ(outcome.pid, holder.pid);
        }
        info->start = sound.start;
        for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
            info->pid_namespace = namespaces[i];
            EQ(signal_holder(handle, signals[k]), QSHM_E_PERMISSION);
            CHECK(outcome.why[0] != '\0');
        }
        info->pid_namespace = sound.pid_namespace;
    }
    gate_open(&holder.go);
    gate_pass(&holder.ready);
    innocent_end(&holder);
    innocent_end(&attached);
    innocent_end(&bystander);
    leave(handle);
    EQ(count_files(), 0);
}

/* A wrapper was killed, and what it has left behind holds the guard; its pid is free, and then another's. */
CASE(takeover_of_a_dead_wrapper)
{
    struct innocent wrapper = innocent_start(hold_as_a_wrapper), next;
    uint32_t handle = join();
    kill_and_wait(wrapper.pid);
    for (int k = 0; k < 2; k++) {
        EQ(signal_holder(handle, signals[k]), QSHM_E_NOT_FOUND);
        CHECK(outcome.why[0] != '\0');
    }
    bool recycles = recycle(&next, wrapper.pid);
    for (int k = 0; recycles && k < 2; k++) {
        EQ(signal_holder(handle, signals[k]), QSHM_E_NOT_FOUND);
    }
    if (recycles) {
        innocent_end(&next);
    } else {
        runner_note("no pid could be used again on purpose");
    }
    info_of(handle)->pid = (uint32_t)*wrapper.child; /* it holds byte P, but is not the one that was elected */
    for (int k = 0; k < 2; k++) {
        info_of(handle)->start -= 100; /* they may have started in the same moment */
        EQ(signal_holder(handle, signals[k]), QSHM_E_NOT_FOUND);
    }
    EQ(elect(handle), 0);
    gate_open(&wrapper.done);
    while (elect(handle) == 0) { /* it is nobody's child: the end of its lock is all that can be seen */
        sched_yield();
    }
    innocent_forget(&wrapper);
    leave(handle);
    EQ(count_files(), 0);
}

static void call_from_elsewhere(void *argument)
{
    (void)argument;
    if (unshare(CLONE_NEWPID) != 0) {
        _exit(2);
    }
    pid_t child = fork();
    GE(child, 0);
    if (child == 0) { /* this one is in it */
        uint32_t handle = join();
        for (int k = 0; k < 2; k++) {
            EQ(signal_holder(handle, signals[k]), QSHM_E_PERMISSION);
            CHECK(strstr(outcome.why, "PID namespace") != NULL);
        }
        leave(handle);
        _exit(0);
    }
    EQ(wait_exit(child), 0);
}

CASE(takeover_from_another_pid_namespace)
{
    struct innocent holder = innocent_start(hold_for_a_while);
    int status = wait_exit(spawn(call_from_elsewhere, NULL));
    gate_open(&holder.go);
    gate_pass(&holder.ready);
    innocent_end(&holder);
    if (status == 2) {
        runner_skip("no PID namespace can be made here");
    }
    EQ(status, 0);
}

/* --- other users -------------------------------------------------------------------------------------------------- */

static void become(uid_t user)
{
    gid_t group = GROUP;
    EQ(setgroups(1, &group), 0);
    EQ(setresgid(group, group, group), 0);
    EQ(setresuid(user, user, user), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void hold_as_somebody(void *argument)
{
    struct innocent *innocent = argument;
    become(SOMEBODY);
    uint32_t handle = join_with(0660);
    EQ(elect(handle), 1);
    gate_open(&innocent->ready);
    gate_pass(&innocent->go);
    leave(handle);
    wait_until_done(innocent);
}

static void call_as(uid_t user)
{
    if (user != 0) {
        become(user);
    }
    uint32_t handle = join_with(0660);
    for (int k = 0; k < 2; k++) {
        EQ(signal_holder(handle, signals[k]), QSHM_E_PERMISSION);
        CHECK(outcome.why[0] != '\0' || outcome.call[0] != '\0');
    }
    leave(handle);
}

static void call_as_other(void *argument)
{
    (void)argument;
    call_as(OTHER);
}

static void call_as_root(void *argument)
{
    (void)argument;
    call_as(0);
}

/* Not even by root, who could. */
CASE(takeover_of_another_user)
{
    share_with(GROUP);
    struct innocent holder = innocent_start(hold_as_somebody);
    EQ(wait_exit(spawn(call_as_other, NULL)), 0);
    EQ(wait_exit(spawn(call_as_root, NULL)), 0);
    gate_open(&holder.go);
    gate_pass(&holder.ready);
    innocent_end(&holder);
}

/* --- a wrapper ---------------------------------------------------------------------------------------------------- */

struct wrapper {
    struct gate ready, go;
    int input, output; /* of the command */
    int far_end;       /* of its input */
    int32_t *result;   /* shared */
};

static void wrap(void *argument)
{
    struct wrapper *wrapper = argument;
    close(wrapper->far_end); /* or the command's input would never end */
    GE(dup2(wrapper->input, STDIN_FILENO), 0);
    GE(dup2(wrapper->output, STDOUT_FILENO), 0);
    uint32_t handle = hold();
    gate_open(&wrapper->ready);
    gate_pass(&wrapper->go);
    GT(qshm_run(handle, "/proc/self/exe", sizeof "/proc/self/exe", &outcome), 0);
    gate_open(&wrapper->ready);
    gate_pass(&wrapper->go);
    *wrapper->result = qshm_await(handle);
    leave(handle);
}

static int next_byte(int fd)
{
    unsigned char byte;
    ssize_t got = read(fd, &byte, 1);
    GE(got, 0);
    return got == 0 ? -1 : byte;
}

#ifdef SYS_poll
enum { WAITS = SYS_poll };
#else
enum { WAITS = SYS_ppoll };
#endif

/* `what`: what the command does (the helper of command.c); `before` the wrapper waits for it, or while it does. */
static int32_t ask_wrapper(const char *what, bool before)
{
    struct gate in = gate_make(), out = gate_make();
    struct wrapper wrapper = {.ready = gate_make(),
                              .go = gate_make(),
                              .input = in.read,
                              .output = out.write,
                              .far_end = in.write,
                              .result = shared_memory(sizeof(int32_t))};
    setenv("QSHM_TEST_HELPER", what, 1);
    pid_t pid = spawn(wrap, &wrapper);
    close(in.read);
    close(out.write);
    gate_pass(&wrapper.ready);
    uint32_t handle = join();
    int32_t number = qshm_send(handle, "early", 5, &outcome);
    GT(number, 0);
    gate_open(&wrapper.go);
    gate_pass(&wrapper.ready);
    EQ(next_byte(out.read), 'r');
    EQ(qshm_sent(handle, number), QSHM_SENT_REFUSED);
    EQ(qshm_send(handle, "late", 4, &outcome), 0);
    EQ(outcome.flags, QSHM_LEAVING);
    EQ(count_files(), 1);
    if (before) {
        EQ(qshm_ask_to_leave(handle, 0), 0);
        gate_open(&wrapper.go);
    } else {
        gate_open(&wrapper.go);
        wait_for_system_call(pid, WAITS);
        EQ(qshm_ask_to_leave(handle, 0), 0);
    }
    if (strcmp(what, "signals") == 0) {
        EQ(next_byte(out.read), SIGTERM);
        EQ(qshm_send(handle, "late", 4, &outcome), 0);
        EQ(outcome.flags, QSHM_LEAVING);
        close(in.write);
    }
    EQ(wait_exit(pid), 0);
    EQ(next_byte(out.read), -1); /* it was told once */
    int32_t result = *wrapper.result;
    if (strcmp(what, "signals") != 0) {
        close(in.write);
    }
    close(out.read);
    gate_close(&wrapper.ready);
    gate_close(&wrapper.go);
    leave(handle);
    EQ(count_files(), 0);
    return result;
}

CASE(takeover_command)
{
    for (int before = 0; before < 2; before++) {
        EQ(ask_wrapper("signals", before != 0), 7); /* which ends when its input does */
        EQ(ask_wrapper("nothing", before != 0), 128 + SIGTERM);
    }
}
