/*
 * bell.c - bells: who is rung, what remains of those who die, and what stands in the way of a ring.
 *
 * Invariants: a bell is heard or not heard, at once and without a clock: the byte is in its descriptor when the call that
 * rang it has returned. What is stopped or killed is a child; the waiter and those who clean up are the test process.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

enum { NOBODY = 65534, PATIENCE = 10 };

static const uint32_t kinds[] = {QSHM_BELL_FIFO, QSHM_BELL_SOCKET};
enum { KINDS = sizeof kinds / sizeof *kinds };

static uint32_t make(void)
{
    int32_t handle = open_memory(QSHM_CREATE | QSHM_ATTACH, "bell");
    GT(handle, 0);
    return (uint32_t)handle;
}

/* An attachment with a bell. */
struct listener {
    uint32_t handle;
    int fd;
};

static struct listener listen_as(uint32_t kind)
{
    struct listener listener = {.handle = make()};
    listener.fd = qshm_bell_open(listener.handle, kind, &outcome);
    GE(listener.fd, 0);
    return listener;
}

static void leave(struct listener *listener)
{
    EQ(qshm_detach(listener->handle), 0);
    close(listener->fd);
}

/* Takes out all that was heard: so many bytes. */
static int heard(int fd)
{
    int bytes = 0;
    char byte[16];
    ssize_t got;
    while ((got = read(fd, byte, sizeof byte)) > 0) {
        bytes += (int)got;
    }
    EQ(got, -1);
    EQ(errno, EAGAIN);
    return bytes;
}

/* From here on the next change rings. */
static void expect(uint32_t handle)
{
    EQ(qshm_expect_change(handle, qshm_revision(handle)), 0);
}

static struct qshm__bell *entry_of(uint32_t handle)
{
    struct qshm__bell *found = qshm__handle_find(handle)->bell;
    CHECK(found != NULL);
    return found;
}

static const char *file_of(uint64_t nonce)
{
    static char name[24];
    snprintf(name, sizeof name, "b.%016llx", (unsigned long long)nonce);
    return name;
}

/* Of the segment of this attachment. */
static int entries_in_use(uint32_t handle)
{
    int count = 0;
    for (int i = 0; i < QSHM_BELLS; i++) {
        count += qshm__handle_find(handle)->control->bells[i].state != 0;
    }
    return count;
}

static int entries_armed(uint32_t handle)
{
    int count = 0;
    for (int i = 0; i < QSHM_BELLS; i++) {
        count += qshm__handle_find(handle)->control->bells[i].armed != 0;
    }
    return count;
}

/* --- opening and closing ------------------------------------------------------------------------------------------ */

CASE(bell_open_and_close)
{
    uint32_t a = make();
    for (int i = 0; i < KINDS; i++) {
        int fd = qshm_bell_open(a, kinds[i], &outcome);
        GE(fd, 0);
        EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        struct qshm__bell *entry = entry_of(a);
        EQ(entry->state >> 32, id_of((int32_t)a));
        EQ(entry->kind, kinds[i]);
        EQ(entry->armed, 0);
        struct stat status;
        EQ(lstat(path_of(file_of(entry->nonce)), &status), 0);
        EQ(status.st_mode, (kinds[i] == QSHM_BELL_FIFO ? S_IFIFO : S_IFSOCK) | 0600);
        EQ(qshm_bell_open(a, kinds[i], &outcome), QSHM_E_ARGUMENT); /* there is one */
        EQ(heard(fd), 0);
        EQ(qshm_bell_close(a), 0);
        EQ(entries_in_use(a), 0);
        EQ(count_files(), 1);
        EQ(qshm_bell_close(a), 0);
        EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); /* it is ours */
        close(fd);
    }
    EQ(qshm_bell_open(a, 0, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_bell_open(a, 3, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_bell_open(a, QSHM_BELL_FIFO, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_bell_open(a + 1, QSHM_BELL_FIFO, &outcome), QSHM_E_HANDLE);
    EQ(qshm_bell_close(a + 1), QSHM_E_HANDLE);
    EQ(qshm_expect_change(a, -1), QSHM_E_ARGUMENT);
    EQ(qshm_expect_change(a, NAN), QSHM_E_ARGUMENT);
    EQ(qshm_expect_change(a, 2147483648.0), QSHM_E_ARGUMENT);
    EQ(qshm_expect_change(0, 0), QSHM_E_HANDLE);
}

CASE(bell_goes_with_its_attachment)
{
    uint32_t keeper = make();
    for (int i = 0; i < KINDS; i++) {
        for (int way = 0; way < 2; way++) {
            struct listener listener = listen_as(kinds[i]);
            expect(listener.handle);
            EQ(count_files(), 2);
            EQ(way == 0 ? qshm_detach(listener.handle) : qshm_leave(listener.handle), 0);
            EQ(entries_in_use(keeper), 0);
            EQ(entries_armed(keeper), 0);
            EQ(count_files(), 1);
            close(listener.fd);
        }
    }
    struct listener last = listen_as(QSHM_BELL_FIFO);
    EQ(qshm_detach(keeper), 0);
    leave(&last);
    EQ(count_files(), 0);
}

/* A group that may use the segment may ring as well. */
CASE(bell_has_the_mode_of_its_segment)
{
    for (int i = 0; i < KINDS; i++) {
        int32_t handle = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0660, 4096, "bell", 4, NULL, 0, &outcome);
        GT(handle, 0);
        int fd = qshm_bell_open((uint32_t)handle, kinds[i], &outcome);
        GE(fd, 0);
        struct stat status;
        EQ(lstat(path_of(file_of(qshm__handle_find((uint32_t)handle)->bell->nonce)), &status), 0);
        EQ(status.st_mode & 0777, 0660);
        EQ(qshm_detach((uint32_t)handle), 0);
        close(fd);
    }
}

/* Rounds of opening, waiting, ringing and closing leave no descriptor and no file. */
CASE(bell_rounds_leave_nothing)
{
    uint32_t publisher = make(), a = make();
    int fds = -1;
    for (int round = 0; round < 1000; round++) {
        int fd = qshm_bell_open(a, kinds[round % KINDS], &outcome);
        GE(fd, 0);
        expect(a);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(fd), 1);
        EQ(qshm_bell_close(a), 0);
        close(fd);
        fds = round == KINDS ? count_fds() : fds; /* what rings is kept open, once for a place in the table */
    }
    EQ(count_fds(), fds);
    EQ(count_files(), 1);
    EQ(entries_in_use(a), 0);
}

/* --- ringing ------------------------------------------------------------------------------------------------------ */

CASE(bell_rings_the_armed_only)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        struct listener a = listen_as(kinds[i]), b = listen_as(kinds[i]);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 0);
        expect(a.handle);
        EQ(entries_armed(publisher), 1);
        EQ(qshm_notify(publisher), 0);
        EQ(entries_armed(publisher), 0);
        EQ(heard(a.fd), 1);
        EQ(heard(b.fd), 0);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 0); /* once */
        expect(a.handle);
        expect(b.handle);
        expect(b.handle); /* twice is once */
        EQ(qshm_notify(a.handle), 0); /* also one's own */
        EQ(heard(a.fd), 1);
        EQ(heard(b.fd), 1);
        leave(&a);
        leave(&b);
    }
}

CASE(bell_rings_for_each_kind_of_change)
{
    uint32_t publisher = make();
    struct listener a = listen_as(QSHM_BELL_FIFO);
    expect(a.handle);
    EQ(qshm_write(publisher, 0, "x", 1), 0);
    EQ(heard(a.fd), 1);
    expect(a.handle);
    EQ(qshm_write_if_changed(publisher, 0, "x", 1), 0);
    EQ(heard(a.fd), 0);
    EQ(qshm_write_if_changed(publisher, 0, "y", 1), 1);
    EQ(heard(a.fd), 1);
    expect(a.handle);
    EQ(qshm_try_lock(publisher), 1);
    EQ(qshm_unlock(publisher), 0); /* nobody waits for the lock */
    EQ(heard(a.fd), 0);
}

static void notify_once(void *argument)
{
    uint32_t handle = make();
    stepper_begin(argument);
    EQ(qshm_notify(handle), 0);
    stepper_end();
}

/* Between the byte and the end of the ring the waiter hears it, looks, and arms again: that stays. */
CASE(bell_ring_takes_down_only_what_it_saw)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        struct listener a = listen_as(kinds[i]);
        expect(a.handle);
        struct stepper *stepper = stepper_make();
        pid_t slow = spawn(notify_once, stepper);
        step_to(stepper, slow, "bell rung");
        EQ(heard(a.fd), 1);
        expect(a.handle);
        step_free(stepper, slow);
        EQ(entries_armed(publisher), 1);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 1);
        leave(&a);
    }
}

/* B1: one that publishes is stopped or killed at each step; another one publishes behind it, and the waiter hears. */
CASE(bell_ring_is_stopped_anywhere)
{
    uint32_t publisher = make();
    int steps = 0;
    for (int i = 0; i < KINDS; i++) {
        for (int dies = 0; dies < 2; dies++) {
            bool ended = false;
            for (int step = 1; !ended; step++) {
                struct listener a = listen_as(kinds[i]);
                expect(a.handle);
                struct stepper *stepper = stepper_make();
                pid_t first = spawn(notify_once, stepper);
                for (int n = 0; n < step && !ended; n++) {
                    ended = !step_on(stepper, first);
                }
                if (!ended && dies != 0) {
                    kill_and_wait(first);
                }
                EQ(qshm_notify(publisher), 0);
                if (heard(a.fd) == 0) {
                    runner_fail(__FILE__, __LINE__, "the waiter was lost at \"%s\"", stepper->at);
                }
                if (!ended && dies == 0) {
                    step_free(stepper, first);
                }
                heard(a.fd);
                expect(a.handle);
                EQ(qshm_notify(publisher), 0);
                EQ(heard(a.fd), 1);
                leave(&a);
                steps++;
            }
        }
    }
    GT(steps, 4 * 6);
    runner_note("%d steps", steps);
}

/* As many as there is room for, by one call. */
CASE(bell_rings_a_full_table)
{
    static struct listener all[QSHM_BELLS];
    uint32_t publisher = make();
    for (int i = 0; i < QSHM_BELLS; i++) {
        all[i] = listen_as(kinds[i % KINDS]);
    }
    uint32_t late = make();
    EQ(qshm_bell_open(late, QSHM_BELL_FIFO, &outcome), QSHM_E_RESOURCES);
    CHECK(strstr(outcome.why, "128") != NULL);
    EQ(qshm_bell_open(late, QSHM_BELL_FIFO, &outcome), QSHM_E_RESOURCES);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < QSHM_BELLS; i++) {
            expect(all[i].handle);
        }
        EQ(qshm_notify(publisher), 0);
        for (int i = 0; i < QSHM_BELLS; i++) {
            EQ(heard(all[i].fd), 1);
        }
    }
    EQ(qshm_bell_close(all[77].handle), 0);
    int fd = qshm_bell_open(late, QSHM_BELL_FIFO, &outcome);
    GE(fd, 0);
    expect(late);
    EQ(qshm_notify(publisher), 0);
    EQ(heard(fd), 1);
}

/* --- the lock's waiters ------------------------------------------------------------------------------------------- */

struct lock_waiter {
    struct gate ready;
    uint32_t kind;
};

static void wait_by_bell(void *argument)
{
    struct lock_waiter *waiter = argument;
    struct listener listener = listen_as(waiter->kind);
    EQ(qshm_poll_lock(listener.handle), 0);
    gate_open(&waiter->ready);
    pause();
}

/* K1: unlock rings all who wait, for the first that hears it may be dead before it takes the lock. */
CASE(bell_unlock_rings_all_who_wait)
{
    uint32_t owner = make();
    for (int i = 0; i < KINDS; i++) {
        for (int dies = 0; dies < 2; dies++) {
            struct lock_waiter waiter = {.ready = gate_make(), .kind = kinds[i]};
            EQ(qshm_try_lock(owner), 1);
            pid_t first = spawn(wait_by_bell, &waiter); /* the first in the table */
            gate_pass(&waiter.ready);
            struct listener a = listen_as(kinds[i]), b = listen_as(kinds[i]);
            EQ(qshm_poll_lock(a.handle), 0);
            EQ(qshm_poll_lock(b.handle), 0);
            if (dies != 0) {
                kill_and_wait(first);
            }
            EQ(qshm_unlock(owner), 0);
            EQ(heard(a.fd), 1);
            EQ(heard(b.fd), 1);
            EQ(qshm_poll_lock(b.handle), 1);
            EQ(qshm_poll_lock(a.handle), 0);
            EQ(qshm_unlock(b.handle), 0);
            EQ(heard(a.fd), 1);
            EQ(qshm_poll_lock(a.handle), 1);
            EQ(qshm_unlock(a.handle), 0);
            leave(&a);
            leave(&b);
            if (dies == 0) {
                kill_and_wait(first);
            }
        }
    }
}

CASE(bell_force_rings_all_who_wait)
{
    uint32_t owner = make();
    struct listener a = listen_as(QSHM_BELL_FIFO), b = listen_as(QSHM_BELL_SOCKET);
    EQ(qshm_try_lock(owner), 1);
    EQ(qshm_poll_lock(a.handle), 0);
    EQ(qshm_poll_lock(b.handle), 0);
    struct qshm_process process;
    EQ(qshm_force_unlock(b.handle, 0, &process), 1);
    EQ(heard(a.fd), 1);
    EQ(heard(b.fd), 1);
}

struct poll_part {
    struct stepper *stepper;
    uint32_t kind;
};

static void poll_once(void *argument)
{
    const struct poll_part *part = argument;
    struct listener listener = listen_as(part->kind);
    stepper_begin(part->stepper);
    int32_t r = qshm_poll_lock(listener.handle);
    stepper_end();
    if (r == 0) {
        EQ(heard(listener.fd), 1);
        r = qshm_poll_lock(listener.handle);
    }
    EQ(r, 1);
    EQ(qshm_unlock(listener.handle), 0);
}

/* K2: the lock is freed while one is about to wait, at each of its steps: it has the lock, or hears the bell. */
CASE(bell_waiter_for_the_lock_is_stopped_anywhere)
{
    uint32_t owner = make();
    for (int i = 0; i < KINDS; i++) {
        bool ended = false;
        for (int step = 1; !ended; step++) {
            EQ(qshm_try_lock(owner), 1);
            struct poll_part part = {.stepper = stepper_make(), .kind = kinds[i]};
            pid_t waiter = spawn(poll_once, &part);
            for (int n = 0; n < step; n++) {
                CHECK(step_on(part.stepper, waiter));
            }
            EQ(qshm_unlock(owner), 0);
            ended = strcmp(part.stepper->at, "lock looked at") == 0; /* its last step */
            step_free(part.stepper, waiter);
        }
    }
}

/* A wait that has come to its end leaves the bell to those who wait for something else. */
CASE(bell_of_two_waits)
{
    uint32_t owner = make();
    struct listener a = listen_as(QSHM_BELL_FIFO);
    double since = qshm_revision(a.handle);
    EQ(qshm_try_lock(owner), 1);
    EQ(qshm_poll_lock(a.handle), 0);
    EQ(qshm_notify(owner), 0); /* nobody waits for this: it rings nobody */
    EQ(heard(a.fd), 0);
    EQ(qshm_expect_change(a.handle, since), 1);
    EQ(qshm_unlock(owner), 0);
    EQ(heard(a.fd), 1);
}

/* --- the dead ----------------------------------------------------------------------------------------------------- */

enum deed { OPEN, CLOSE, DETACH, DEEDS };

struct life {
    struct stepper *stepper;
    uint32_t kind;
    enum deed deed;
};

static void live(void *argument)
{
    const struct life *life = argument;
    uint32_t handle = make();
    if (life->deed == OPEN) {
        stepper_begin(life->stepper);
        GE(qshm_bell_open(handle, life->kind, &outcome), 0);
    } else {
        GE(qshm_bell_open(handle, life->kind, &outcome), 0);
        expect(handle);
        stepper_begin(life->stepper);
        EQ(life->deed == CLOSE ? qshm_bell_close(handle) : qshm_detach(handle), 0);
    }
    stepper_end();
}

/* Leads a process so many steps through its deed, and kills it there. False if it has ended before. */
static bool die_at(int step, uint32_t kind, enum deed deed, struct stepper *stepper)
{
    struct life life = {.stepper = stepper, .kind = kind, .deed = deed};
    pid_t pid = spawn(live, &life);
    for (int n = 0; n < step; n++) {
        if (!step_on(stepper, pid)) {
            return false;
        }
    }
    kill_and_wait(pid);
    return true;
}

/* Those that were made just now are left alone. */
static void make_old(void)
{
    DIR *directory = opendir(path_of("."));
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        static const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        if (strncmp(entry->d_name, "b.", 2) == 0) {
            EQ(utimensat(dirfd(directory), entry->d_name, long_ago, AT_SYMLINK_NOFOLLOW), 0);
        }
    }
    closedir(directory);
}

static void sweep(void)
{
    make_old();
    for (int i = 0; i < 2; i++) { /* the first one may begin behind what is left */
        int32_t sweeper = open_memory(QSHM_CREATE, "sweeper");
        GT(sweeper, 0);
        EQ(qshm_detach((uint32_t)sweeper), 0);
    }
}

/* Who finds what a dead one has left, while the segment is in use, ... */
static void end_segment(uint32_t keeper)
{
    EQ(qshm_detach(keeper), 0);
}

static void need_all_entries(uint32_t keeper)
{
    static struct listener all[QSHM_BELLS];
    for (int i = 0; i < QSHM_BELLS; i++) {
        all[i] = listen_as(kinds[i % KINDS]);
    }
    EQ(count_files(), 1 + QSHM_BELLS);
    for (int i = 0; i < QSHM_BELLS; i++) {
        leave(&all[i]);
    }
    EQ(entries_in_use(keeper), 0);
    EQ(count_files(), 1);
    EQ(qshm_detach(keeper), 0);
}

static void ring_all(uint32_t keeper)
{
    struct listener other = listen_as(QSHM_BELL_FIFO);
    expect(other.handle);
    EQ(qshm_notify(keeper), 0);
    EQ(heard(other.fd), 1);
    EQ(entries_armed(keeper), 0);
    leave(&other);
    EQ(qshm_detach(keeper), 0);
}

static void sweep_without_segment(uint32_t keeper)
{
    EQ(remove_name("m-bell", true), 1);
    EQ(qshm_detach(keeper), 0);
    sweep();
}

/* ... and when nobody is left. */
static void create_again(uint32_t none)
{
    (void)none;
    int32_t next = open_memory(QSHM_CREATE, "bell");
    GT(next, 0);
    EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
    EQ(count_files(), 1);
    EQ(qshm_detach((uint32_t)next), 0);
}

static void remove_dead(uint32_t none)
{
    (void)none;
    EQ(remove_name("m-bell", false), 1);
}

static void sweep_dead(uint32_t none)
{
    (void)none;
    sweep();
}

static const struct finder {
    const char *name;
    void (*find)(uint32_t keeper);
    bool in_use;
} finders[] = {
    {"the last detach", end_segment, true},    {"one that needs an entry", need_all_entries, true},
    {"a ring", ring_all, true},                {"a sweep, the segment being gone", sweep_without_segment, true},
    {"the next creator", create_again, false}, {"a removal", remove_dead, false},
    {"a sweep", sweep_dead, false},
};

CASE(bell_owner_is_killed_anywhere)
{
    runner_watchdog(240);
    int deaths = 0;
    for (size_t f = 0; f < sizeof finders / sizeof *finders; f++) {
        for (enum deed deed = OPEN; deed < DEEDS; deed++) {
            for (int i = 0; i < KINDS; i++) {
                bool died = true;
                for (int step = 1; died; step++) {
                    struct stepper *stepper = stepper_make();
                    uint32_t keeper = finders[f].in_use ? make() : 0;
                    struct holder holder;
                    if (!finders[f].in_use) {
                        holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "bell", 0);
                    }
                    died = die_at(step, kinds[i], deed, stepper);
                    if (!finders[f].in_use) {
                        kill_and_wait(holder.pid);
                        gate_close(&holder.ready);
                        gate_close(&holder.done);
                    }
                    finders[f].find(keeper);
                    if (count_files() != 0) {
                        runner_fail(__FILE__, __LINE__, "%s did not find all that died at \"%s\"", finders[f].name,
                                    stepper->at);
                    }
                    deaths += died;
                }
            }
        }
    }
    runner_note("%d deaths", deaths);
}

static void arm_and_stay(void *argument)
{
    struct lock_waiter *waiter = argument;
    struct listener listener = listen_as(waiter->kind);
    expect(listener.handle);
    gate_open(&waiter->ready);
    pause();
}

/* Killed while it waits: the next ring finds it, and takes its entry and its file away. */
CASE(bell_of_a_dead_waiter)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        for (int known = 0; known < 2; known++) { /* was it rung before? */
            struct lock_waiter waiter = {.ready = gate_make(), .kind = kinds[i]};
            pid_t pid = spawn(arm_and_stay, &waiter);
            gate_pass(&waiter.ready);
            struct listener other = listen_as(kinds[i]);
            if (known != 0) {
                struct qshm__control *control = qshm__handle_find(publisher)->control;
                uint32_t generation = control->bells[0].armed;
                EQ(qshm_notify(publisher), 0);
                control->bells[0].armed = generation + 4;
            }
            expect(other.handle);
            EQ(count_files(), 3);
            kill_and_wait(pid);
            EQ(qshm_notify(publisher), 0);
            EQ(heard(other.fd), 1);
            EQ(entries_in_use(publisher), 1);
            EQ(entries_armed(publisher), 0);
            EQ(count_files(), 2);
            leave(&other);
        }
    }
}

/* Who clears a dead one's entry is stopped before it does; meanwhile the entry is cleared, and has another owner. */
CASE(bell_of_a_dead_waiter_is_cleared_late)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        struct lock_waiter waiter = {.ready = gate_make(), .kind = kinds[i]};
        pid_t pid = spawn(arm_and_stay, &waiter);
        gate_pass(&waiter.ready);
        kill_and_wait(pid);
        struct stepper *stepper = stepper_make();
        pid_t slow = spawn(notify_once, stepper);
        step_to(stepper, slow, "bell dead");
        EQ(qshm_notify(publisher), 0);
        EQ(entries_in_use(publisher), 0);
        struct listener next = listen_as(kinds[i]);
        expect(next.handle);
        step_free(stepper, slow);
        heard(next.fd);
        EQ(entries_in_use(publisher), 1);
        EQ(count_files(), 2);
        expect(next.handle);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(next.fd), 1);
        leave(&next);
    }
}

/* --- what stands in the way --------------------------------------------------------------------------------------- */

static void stand_regular(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    GE(fd, 0);
    close(fd);
}

static void stand_directory(const char *path)
{
    EQ(mkdir(path, 0700), 0);
}

static void stand_fifo(const char *path)
{
    EQ(mkfifo(path, 0600), 0);
}

static void stand_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EQ(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    close(fd);
}

static void stand_stream_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EQ(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    EQ(listen(fd, 1), 0);
    /* stays open: it lives as long as the case */
}

static void stand_link_to_file(const char *path)
{
    stand_regular(path_of("target"));
    EQ(symlink(path_of("target"), path), 0);
}

static void stand_link_to_itself(const char *path)
{
    EQ(symlink(path, path), 0);
}

static void stand_link_to_bell(const char *path)
{
    EQ(symlink("hidden", path), 0);
}

static void stand_nothing(const char *path)
{
    (void)path;
}

static void stand_unreadable(const char *path)
{
    EQ(mkfifo(path, 0600), 0);
    EQ(chmod(path, 0), 0);
}

static void (*const obstacles[])(const char *) = {
    stand_regular,      stand_directory,      stand_fifo,         stand_socket,  stand_stream_socket,
    stand_link_to_file, stand_link_to_itself, stand_link_to_bell, stand_nothing, stand_unreadable,
};

/* Whatever stands at a bell's name, a ring ends at once, and changes nothing; the bell works when it is back. */
CASE(bell_of_another_type)
{
    uint32_t publisher = make();
    char name[512], hidden[512], target[512];
    snprintf(hidden, sizeof hidden, "%s", path_of("hidden"));
    snprintf(target, sizeof target, "%s", path_of("target"));
    for (int i = 0; i < KINDS; i++) {
        for (size_t j = 0; j < sizeof obstacles / sizeof *obstacles; j++) {
            struct listener a = listen_as(kinds[i]);
            snprintf(name, sizeof name, "%s", path_of(file_of(entry_of(a.handle)->nonce)));
            EQ(rename(name, hidden), 0);
            obstacles[j](name);
            int fds = count_fds();
            for (int round = 0; round < 3; round++) {
                expect(a.handle);
                runner_watchdog(PATIENCE);
                EQ(qshm_notify(publisher), 0);
                EQ(heard(a.fd), 0);
                EQ(entries_armed(publisher), 0);
            }
            struct stat status;
            if (stat(name, &status) == 0 && S_ISREG(status.st_mode)) {
                EQ(status.st_size, 0);
            }
            LE(count_fds(), fds + 1);
            remove(name);
            remove(target);
            /* A FIFO that a stranger has put there is no obstacle that can be seen: it was rung in the bell's place. */
            if (obstacles[j] != stand_fifo && obstacles[j] != stand_unreadable) {
                EQ(rename(hidden, name), 0);
                expect(a.handle);
                EQ(qshm_notify(publisher), 0);
                EQ(heard(a.fd), 1);
            } else {
                remove(hidden);
            }
            leave(&a);
            EQ(count_files(), 1);
        }
    }
}

CASE(bell_of_another_owner)
{
    if (geteuid() != 0) {
        runner_skip("needs root, to give a file away");
    }
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        struct listener a = listen_as(kinds[i]);
        const char *path = path_of(file_of(entry_of(a.handle)->nonce));
        EQ(lchown(path, NOBODY, NOBODY), 0);
        expect(a.handle);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 0);
        EQ(entries_armed(publisher), 0);
        EQ(lchown(path, 0, 0), 0);
        expect(a.handle);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 1);
        leave(&a);
    }
}

static void open_a_bell(void *argument)
{
    struct stepper *stepper = argument;
    uint32_t handle = make();
    stepper_begin(stepper);
    int fd = qshm_bell_open(handle, QSHM_BELL_FIFO, &outcome);
    stepper_end();
    CHECK(fd >= 0 || outcome.why[0] != '\0' || outcome.call[0] != '\0');
}

/* In a directory that others may write, one of them puts a link in a bell's place while it is being made: whatever it leads
 * to keeps its mode. */
CASE(bell_never_changes_another_file)
{
    stand_regular(path_of("precious"));
    EQ(chmod(path_of("precious"), 0400), 0);
    struct stepper *stepper = stepper_make();
    uint32_t keeper = make();
    pid_t pid = spawn(open_a_bell, stepper);
    step_to(stepper, pid, "bell file made");
    const struct qshm__control *control = qshm__handle_find(keeper)->control;
    char name[24];
    snprintf(name, sizeof name, "%s", file_of(control->bells[0].nonce));
    EQ(unlink(path_of(name)), 0);
    EQ(symlink("precious", path_of(name)), 0);
    step_free(stepper, pid);
    struct stat file;
    EQ(stat(path_of("precious"), &file), 0);
    EQ(file.st_mode & 07777, 0400);
}

static void notify_without_descriptors(void *argument)
{
    (void)argument;
    uint32_t publisher = make();
    struct rlimit none = {.rlim_cur = 3, .rlim_max = 3};
    EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    EQ(qshm_notify(publisher), 0);
}

/* It stays armed for another one that can. */
CASE(bell_that_one_cannot_ring_stays_armed)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        struct listener a = listen_as(kinds[i]);
        expect(a.handle);
        EQ(wait_exit(spawn(notify_without_descriptors, NULL)), 0);
        EQ(heard(a.fd), 0);
        EQ(entries_armed(publisher), 1);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 1);
        leave(&a);
    }
}

/* Full is rung: it was not heard yet. */
CASE(bell_is_full)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        struct listener a = listen_as(kinds[i]);
        for (int round = 0; round < 3; round++) { /* as one does that never looks */
            expect(a.handle);
            EQ(qshm_notify(publisher), 0);
        }
        EQ(heard(a.fd), 3);
        char path[512];
        snprintf(path, sizeof path, "%s", path_of(file_of(entry_of(a.handle)->nonce)));
        int fill;
        static const char bytes[4096];
        if (kinds[i] == QSHM_BELL_FIFO) {
            fill = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
            while (write(fill, bytes, sizeof bytes) > 0 || write(fill, bytes, 1) > 0) {
            }
        } else {
            struct sockaddr_un address = {.sun_family = AF_UNIX};
            snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path);
            fill = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            EQ(connect(fill, (const struct sockaddr *)&address, sizeof address), 0);
            while (send(fill, bytes, 1, 0) > 0) {
            }
        }
        EQ(errno, EAGAIN);
        expect(a.handle);
        runner_watchdog(PATIENCE);
        EQ(qshm_notify(publisher), 0);
        EQ(entries_armed(publisher), 0);
        /* It counts as woken: the waiting bit stays, as for anybody who was. */
        EQ(qshm__handle_find(publisher)->control->revision & 1, 1);
        GT(heard(a.fd), 1);
        expect(a.handle);
        EQ(qshm_notify(publisher), 0);
        EQ(heard(a.fd), 1);
        close(fill);
        leave(&a);
    }
}

/* An empty datagram, from anybody. */
CASE(bell_hears_an_empty_datagram)
{
    uint32_t publisher = make();
    struct listener a = listen_as(QSHM_BELL_SOCKET);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path_of(file_of(entry_of(a.handle)->nonce)));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    EQ(sendto(fd, NULL, 0, 0, (const struct sockaddr *)&address, sizeof address), 0);
    char byte;
    EQ(read(a.fd, &byte, 1), 0);
    expect(a.handle);
    EQ(qshm_notify(publisher), 0);
    EQ(heard(a.fd), 1);
}

/* The descriptor was closed without a word: no SIGPIPE, no wait. */
CASE(bell_that_nobody_listens_to)
{
    uint32_t publisher = make();
    for (int i = 0; i < KINDS; i++) {
        for (int known = 0; known < 2; known++) {
            struct listener a = listen_as(kinds[i]);
            if (known != 0) {
                expect(a.handle);
                EQ(qshm_notify(publisher), 0);
            }
            close(a.fd);
            for (int round = 0; round < 3; round++) {
                expect(a.handle);
                runner_watchdog(PATIENCE);
                EQ(qshm_notify(publisher), 0);
                EQ(entries_armed(publisher), 0);
            }
            EQ(qshm_detach(a.handle), 0);
            EQ(count_files(), 1);
        }
    }
}

/* Nonsense in the table: calls end, and a bell of another segment is not touched. */
CASE(bell_table_of_nonsense)
{
    struct random random = random_from(runner_seed());
    int32_t other = open_memory(QSHM_CREATE, "other");
    GT(other, 0);
    int other_fd = qshm_bell_open((uint32_t)other, QSHM_BELL_FIFO, &outcome);
    GE(other_fd, 0);
    uint32_t publisher = make();
    struct listener a = listen_as(QSHM_BELL_FIFO);
    struct qshm__bell *bells = qshm__handle_find(publisher)->control->bells;
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < QSHM_BELLS; i++) {
            uint64_t id = random_below(&random, 3) == 0 ? id_of((int32_t)publisher) : random_below(&random, 64);
            bells[i].state = random_below(&random, 4) == 0 ? random_next(&random) : id << 32 | random_below(&random, 9);
            bells[i].armed = random_below(&random, 3) == 0 ? 0 : (uint32_t)random_next(&random);
            bells[i].kind = random_below(&random, 2) == 0 ? random_below(&random, 4) : (uint32_t)random_next(&random);
            bells[i].nonce = random_below(&random, 2) == 0 ? random_below(&random, 4) : random_next(&random);
        }
        runner_watchdog(PATIENCE);
        EQ(qshm_notify(publisher), 0);
        int32_t r = qshm_expect_change(a.handle, qshm_revision(a.handle));
        EQ(r, 0);
        struct listener late = {.handle = make()};
        late.fd = qshm_bell_open(late.handle, kinds[round % KINDS], &outcome);
        CHECK(late.fd >= 0 || late.fd == QSHM_E_RESOURCES);
        EQ(qshm_notify(publisher), 0);
        EQ(qshm_bell_close(late.handle), 0);
        EQ(qshm_detach(late.handle), 0);
        if (late.fd >= 0) {
            close(late.fd);
        }
    }
    EQ(qshm_bell_close(a.handle), 0);
    EQ(qshm_detach(a.handle), 0);
    EQ(qshm_detach(publisher), 0);
    CHECK(!exists("m-bell"));
    EQ(qshm_expect_change(other, qshm_revision(other)), 0);
    EQ(qshm_notify(other), 0);
    EQ(heard(other_fd), 1);
}

/* --- sweeping ----------------------------------------------------------------------------------------------------- */

/* One that was made just now may not be open yet: it would lose its name for good. */
CASE(bell_that_is_new_is_not_swept)
{
    stand_fifo(path_of("b.0000000000000001"));
    stand_socket(path_of("b.0000000000000002"));
    for (int i = 0; i < 3; i++) {
        int32_t sweeper = open_memory(QSHM_CREATE, "sweeper");
        GT(sweeper, 0);
        EQ(qshm_detach((uint32_t)sweeper), 0);
    }
    EQ(count_files(), 2);
    sweep();
    EQ(count_files(), 0);
}

CASE(bell_sweep_leaves_strangers)
{
    stand_regular(path_of("b.0000000000000001"));
    stand_directory(path_of("b.0000000000000002"));
    stand_fifo(path_of("b.0000000000000003"));
    int reader = open(path_of("b.0000000000000003"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    GE(reader, 0);
    stand_stream_socket(path_of("b.0000000000000004"));
    stand_fifo(path_of("b.000000000000000"));   /* a digit too few */
    stand_fifo(path_of("b.000000000000000A"));  /* not of ours */
    stand_fifo(path_of("b.00000000000000005")); /* a digit too many */
    stand_fifo(path_of("hidden"));
    EQ(symlink("hidden", path_of("b.0000000000000006")), 0);
    int strangers = count_files();
    stand_fifo(path_of("b.0000000000000007"));
    stand_socket(path_of("b.0000000000000008"));
    sweep();
    EQ(count_files(), strangers);
    CHECK(!exists("b.0000000000000007"));
    CHECK(!exists("b.0000000000000008"));
    char byte;
    EQ(read(reader, &byte, 1), 0); /* nobody has written */
}

/* Of others' bells it cannot know. */
CASE(bell_sweep_leaves_other_users)
{
    if (geteuid() != 0) {
        runner_skip("needs root, to give a file away");
    }
    stand_fifo(path_of("b.0000000000000001"));
    EQ(lchown(path_of("b.0000000000000001"), NOBODY, NOBODY), 0);
    sweep();
    CHECK(exists("b.0000000000000001"));
}

CASE(bell_sweep_leaves_the_living)
{
    struct listener a = listen_as(QSHM_BELL_FIFO), b = listen_as(QSHM_BELL_SOCKET);
    sweep();
    EQ(count_files(), 3);
    for (int round = 0; round < 2; round++) {
        expect(a.handle);
        expect(b.handle);
        EQ(qshm_notify(a.handle), 0);
        EQ(heard(a.fd), 1);
        EQ(heard(b.fd), 1);
        EQ(remove_name("m-bell", true), round == 0); /* those attached go on */
        sweep();
        EQ(count_files(), 2);
    }
}

/* --- a forked child, and those that may only read ----------------------------------------------------------------- */

static void call_in_child(void *argument)
{
    const struct listener *listener = argument;
    int before = count_fds();
    EQ(qshm_bell_close(listener->handle), QSHM_E_HANDLE);
    EQ(before - count_fds(), 5); /* two of each attachment, and what rings */
    EQ(qshm_detach(listener->handle), QSHM_E_HANDLE);
    EQ(qshm_notify(listener->handle), QSHM_E_HANDLE);
}

CASE(bell_in_a_forked_child)
{
    uint32_t publisher = make();
    struct listener a = listen_as(QSHM_BELL_FIFO);
    expect(a.handle);
    EQ(qshm_notify(publisher), 0);
    EQ(heard(a.fd), 1);
    EQ(wait_exit(spawn(call_in_child, &a)), 0);
    EQ(count_files(), 2);
    expect(a.handle);
    EQ(qshm_notify(publisher), 0);
    EQ(heard(a.fd), 1);
}

CASE(bell_of_a_read_only_attachment)
{
    uint32_t publisher = make();
    int32_t reader = open_memory(QSHM_ATTACH | QSHM_READ_ONLY, "bell");
    GT(reader, 0);
    int fd = qshm_bell_open((uint32_t)reader, QSHM_BELL_FIFO, &outcome);
    GE(fd, 0);
    EQ(qshm_notify(reader), QSHM_E_READ_ONLY);
    expect((uint32_t)reader);
    EQ(qshm_notify(publisher), 0);
    EQ(heard(fd), 1);
}

static void observe(void *argument)
{
    (void)argument;
    turn_into(NOBODY);
    int32_t reader = open_memory(QSHM_ATTACH | QSHM_READ_ONLY, "bell");
    GT(reader, 0);
    EQ(outcome.flags & QSHM_OBSERVER, QSHM_OBSERVER);
    EQ(qshm_bell_open((uint32_t)reader, QSHM_BELL_FIFO, &outcome), QSHM_E_READ_ONLY);
    EQ(qshm_expect_change(reader, 0), QSHM_E_READ_ONLY);
    EQ(qshm_notify(reader), QSHM_E_READ_ONLY);
    EQ(qshm_bell_close((uint32_t)reader), 0);
}

CASE(bell_of_an_observer)
{
    share_with(NOBODY);
    int32_t owner = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0640, 4096, "bell", 4, NULL, 0, &outcome);
    GT(owner, 0);
    EQ(wait_exit(spawn(observe, NULL)), 0);
}
