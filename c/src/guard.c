/*
 * guard.c - the single-instance guard: who is the one, what it says of itself, and whether the last one crashed.
 *
 * Owns: byte P of a guard's file, `holder` in the control block, and the info area.
 *
 *   elect    attached already; take R; is the name still this file, and P free? Then write the info, store our id in
 *            `holder`, lock P, free R.
 *   release  clear `holder`; end the messages (message.c); unlock P.
 *   look     P held, and `holder` names a living id before and after the info was read: then that is the one.
 *
 * Invariants
 *  - P is locked only by a holder of R whose file still bears the name: on an unlinked file a second one could be
 *    elected beside the first (point "attached to guard"; test: "guard_is_not_elected_on_an_unlinked_file").
 *  - Info is complete before P is held, and `holder` names nobody who lives while it is written: who sees P held sees
 *    the info of its holder or none, never a former one's (point "info published"; test: "guard_info_is_never_stale").
 *  - `holder` is cleared before P is free. So a `holder` that is found when P is free died: `recovered`. That trace
 *    stays until the next one is the holder itself: it may die before (point "info begun"; test:
 *    "guard_trace_outlives_an_election"). The file of a dead guard is therefore never removed but by the release of its
 *    next holder, and no sweep touches it.
 *
 * Failure story: killed before P is locked, nobody was the one, and the next is told of a crash; after it, P goes with
 * the process. Killed between clearing `holder` and the end of the release, everything had been given up in order, and
 * the next is told of nothing. A holder that is stopped still holds. One stopped inside R keeps others out for as
 * long: they report BUSY with its pid, and never run unguarded.
 */
#include "guard.h"

#include <errno.h>
#include <string.h>

#include "../qshm.h"
#include "bell.h"
#include "change.h"
#include "directory.h"
#include "fault.h"
#include "file.h"
#include "liveness.h"
#include "message.h"
#include "names.h"
#include "os.h"
#include "outcome.h"

_Static_assert(sizeof(struct qshm_primary) == 40, "part of the ABI");

static struct qshm__instance_part *part_of(struct qshm__control *control)
{
    return (struct qshm__instance_part *)(control + 1);
}

/* --- election ----------------------------------------------------------------------------------------------------- */

static void set_holder(struct qshm__attachment *a, uint32_t holder)
{
    atomic_store_explicit(&a->control->holder, holder, memory_order_seq_cst);
}

/* Under R, with P free: `holder` is 0 or names a dead one, so nobody believes what stands here half-written. It is not
 * cleared: that would destroy the trace of a crash, should this process die before it is the holder itself. */
static void publish(struct qshm__attachment *a, const void *body, uint32_t body_size)
{
    struct qshm__holder_info *info = &part_of(a->control)->info;
    QSHM_POINT("info begun");
    atomic_store(&a->control->wanted, 0);
    info->pid = qshm__os_pid();
    info->started = qshm__os_process_started(info->pid);
    info->start = qshm__os_process_start(info->pid);
    info->pid_namespace = qshm__os_pid_namespace();
    info->cwd_size = qshm__os_working_directory(info->cwd, sizeof info->cwd);
    info->body_size = body_size;
    if (body_size > 0) {
        memcpy(info->body, body, body_size);
    }
    QSHM_POINT("info written");
    set_holder(a, a->id);
}

/* On a file that was removed nobody can be elected, and nobody who holds it still guards the name. */
static int check_name(const struct qshm__attachment *a, struct qshm__failure *failure)
{
    struct qshm__stat file = {.device = a->device, .inode = a->inode};
    int r = qshm__file_is_named(a->directory, a->name, &file, failure);
    return r == 0 ? qshm__fail_check(failure, QSHM_E_NOT_FOUND, "was removed from outside") : r < 0 ? r : 0;
}

/* Under R: 1 if we are the one now, 0 if somebody else is. */
static int take(struct qshm__attachment *a, const void *body, uint32_t body_size, uint32_t largest, uint32_t *flags,
                struct qshm__failure *failure)
{
    int r = check_name(a, failure);
    if (r < 0) {
        return r;
    }
    r = qshm__os_range_held(a->fd, QSHM_RANGE_P, 1, NULL);
    if (r != 0) {
        return r < 0 ? qshm__fail_call(failure, "fcntl", r) : 0;
    }
    uint32_t former = atomic_load_explicit(&a->control->holder, memory_order_seq_cst);
    bool recovered = former != 0;
    qshm__messages_begin(a, largest);
    publish(a, body, body_size);
    QSHM_POINT("info published");
    a->thread = qshm__os_thread(); /* before P is ours: another thread may be ending the process (api.c) */
    a->guards = true;
    r = qshm__os_lock_range(a->fd, QSHM_EXCLUSIVE, QSHM_RANGE_P, 1);
    if (r < 0) { /* EAGAIN: somebody who does not keep to the protocol was faster */
        a->guards = false;
        set_holder(a, former);
        return r == -EAGAIN ? 0 : qshm__fail_call(failure, "fcntl", r);
    }
    QSHM_POINT("guard held");
    atomic_fetch_add_explicit(&a->control->reign, 1, memory_order_seq_cst);
    qshm__change_publish(a); /* senders learn what is lost, and who holds it now */
    *flags = recovered ? QSHM_RECOVERED : 0;
    qshm__trace("guards %s as id %u%s", a->name, a->id, recovered ? ": the last holder crashed" : "");
    return 1;
}

int32_t qshm_elect(uint32_t handle, double patience_ms, const void *body, uint32_t body_size, uint32_t largest_message,
                   void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    if (a->kind != QSHM_KIND_INSTANCE || a->id == 0 || a->guards || !qshm__is_buffer(body, body_size) ||
        body_size > sizeof part_of(a->control)->info.body || largest_message > QSHM_MESSAGE_MOST ||
        !(patience_ms >= 0 && patience_ms <= QSHM_PATIENCE)) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    QSHM_POINT("attached to guard");
    qshm__bell_arm(a, QSHM_NEWS_FREE);
    int r = qshm__os_range_held(a->fd, QSHM_RANGE_P, 1, NULL);
    if (r < 0) {
        return qshm__outcome_finish(out, qshm__fail_call(&failure, "fcntl", r), &failure);
    }
    if (r == 1) { /* held: that is known without R, also when a stopped process has it */
        r = check_name(a, &failure);
        return qshm__outcome_finish(out, r, &failure);
    }
    r = qshm__registry_lock(a->fd, patience_ms == 0 ? 0 : qshm__os_now() + patience_ms, &failure);
    if (r == QSHM_E_BUSY && patience_ms == 0) {
        return 0;
    }
    if (r == 0) {
        r = take(a, body, body_size, largest_message, &out->flags, &failure);
        qshm__registry_unlock(a->fd);
    }
    return qshm__outcome_finish(out, r, &failure);
}

void qshm__guard_release(struct qshm__attachment *a)
{
    if (!a->guards) {
        return;
    }
    set_holder(a, 0);
    QSHM_POINT("info cleared");
    qshm__messages_end(a);
    /* The kernel may want memory even for this: closing the description will do it as well. */
    qshm__os_unlock_range(a->fd, QSHM_RANGE_P, 1);
    a->guards = false;
    QSHM_POINT("guard released");
    qshm__bells_ring(a, QSHM_NEWS_FREE);
    qshm__trace("released guard %s", a->name);
}

bool qshm__guard_has_trace(const struct qshm__attachment *a)
{
    return a->kind == QSHM_KIND_INSTANCE && atomic_load_explicit(&a->control->holder, memory_order_seq_cst) != 0;
}

int32_t qshm_is_lost(uint32_t handle)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    struct qshm__failure ignored;
    struct qshm__stat file = {.device = a->device, .inode = a->inode};
    /* What cannot be found out is no loss: the next look may tell. */
    return qshm__file_is_named(a->directory, a->name, &file, &ignored) == 0;
}

/* --- looking from outside ----------------------------------------------------------------------------------------- */

static int read_at(int fd, void *bytes, size_t size, uint64_t offset, struct qshm__failure *failure)
{
    int r = qshm__os_read(fd, bytes, size, offset);
    return r < 0 ? qshm__fail_call(failure, "pread", r) : r == (int)size;
}

/* Whoever is the holder now, if it lives; else 0. */
static int living_holder(int fd, uint32_t *holder, struct qshm__failure *failure)
{
    int r = read_at(fd, holder, sizeof *holder, offsetof(struct qshm__control, holder), failure);
    if (r == 1 && *holder != 0 && !qshm__is_alive(fd, 0, *holder)) {
        *holder = 0;
    }
    return r == 1 ? 0 : r < 0 ? r : qshm__fail_check(failure, QSHM_E_INCOMPATIBLE, "is damaged");
}

/* A pid is told only if that process is seen to hold P: the one that the info names, else any, such as the command of a
 * wrapper that was killed. */
static uint32_t find_pid(const struct qshm__stat *file, uint32_t hinted)
{
    uint32_t pid = hinted == 0 ? 0 : qshm__os_range_holder(file->device, file->inode, QSHM_RANGE_P, 1, hinted);
    return pid != 0 ? pid : qshm__os_range_holder(file->device, file->inode, QSHM_RANGE_P, 1, 0);
}

static void describe(struct qshm_process *process, uint32_t pid)
{
    process->pid = pid;
    process->started = pid != 0 ? qshm__os_process_started(pid) : 0;
    process->alive = 1;
}

/* Reads all that the holder says, and finds its process. 1, or 0 if the guard has changed hands meanwhile: then what was
 * read may be of two (tests: "guard_changes_hands_beside_a_look", "guard_is_killed_beside_a_look"). */
static int read_holder(int fd, const struct qshm__stat *file, uint32_t holder, struct qshm_primary *primary,
                       struct qshm__holder_info *info, struct qshm__failure *failure)
{
    const uint64_t info_at = sizeof(struct qshm__control) + offsetof(struct qshm__instance_part, info);
    int r = read_at(fd, info, sizeof *info, info_at, failure);
    if (r == 1) {
        r = read_at(fd, &primary->process.segment, sizeof primary->process.segment,
                    offsetof(struct qshm__control, birth), failure);
    }
    if (r < 1) {
        return r;
    }
    QSHM_POINT("info read");
    describe(&primary->process, find_pid(file, info->pid));
    uint32_t now;
    r = living_holder(fd, &now, failure);
    if (r < 0) {
        return r;
    }
    int held = qshm__os_range_held(fd, QSHM_RANGE_P, 1, NULL);
    return held < 0 ? qshm__fail_call(failure, "fcntl", held) : held == 1 && now == holder;
}

enum { LOOKS = 5 };
static const double pause_between_looks = 1; /* ms: an election or a release writes its words in microseconds */

static int look(int fd, const struct qshm__stat *file, struct qshm_primary *primary, uint8_t *text,
                struct qshm__failure *failure)
{
    struct qshm__contents seen;
    struct qshm__holder_info info;
    for (int looks = 0; looks < LOOKS; looks++) {
        int r = qshm__os_range_held(fd, QSHM_RANGE_P, 1, NULL);
        if (r <= 0) {
            return r < 0 ? qshm__fail_call(failure, "fcntl", r) : 0;
        }
        r = qshm__file_classify(fd, file, QSHM_KIND_INSTANCE, &seen, failure);
        if (r < 0) {
            return r;
        }
        if (seen.state != QSHM_LIVE) {
            failure->pid = find_pid(file, 0);
            return qshm__file_incompatible(&seen, failure);
        }
        uint32_t holder;
        r = living_holder(fd, &holder, failure);
        if (r == 0 && holder != 0) {
            r = read_holder(fd, file, holder, primary, &info, failure);
        }
        if (r < 0) {
            return r;
        }
        if (r == 1 && (info.cwd_size > sizeof info.cwd || info.body_size > sizeof info.body)) {
            qshm__fail_check(failure, QSHM_E_INCOMPATIBLE, "is damaged");
            failure->pid = primary->process.pid;
            return QSHM_E_INCOMPATIBLE;
        }
        if (r == 1) {
            primary->process.id = holder;
            primary->cwd_size = info.cwd_size;
            primary->body_size = info.body_size;
            memcpy(text, info.cwd, info.cwd_size);
            memcpy(text + info.cwd_size, info.body, info.body_size);
            return 1;
        }
        qshm__os_sleep(pause_between_looks);
    }
    *primary = (struct qshm_primary){0};
    describe(&primary->process, find_pid(file, 0));
    return 2;
}

int32_t qshm_primary(const void *key, uint32_t key_size, const void *directory, uint32_t directory_size, void *primary,
                     uint32_t capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    if (!qshm__is_buffer(key, key_size) || !qshm__is_buffer(directory, directory_size) || primary == NULL ||
        capacity < QSHM_PRIMARY_CAPACITY) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    char name[QSHM_NAME_CAPACITY];
    int r = qshm__file_name(QSHM_KIND_INSTANCE, key, key_size, name);
    if (r < 0) {
        return qshm__outcome_finish(out, r, &failure);
    }
    struct qshm__directory place;
    r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    qshm__outcome_set_path(out, place.path, name);
    if (r < 0) {
        return r == QSHM_E_NOT_FOUND ? 0 : qshm__outcome_finish(out, r, &failure);
    }
    int fd;
    struct qshm__stat file;
    r = qshm__file_open(&place, name, false, &fd, &file, &failure);
    if (r == 0 && fd >= 0) {
        struct qshm_primary *header = primary;
        *header = (struct qshm_primary){0};
        r = look(fd, &file, header, (uint8_t *)(header + 1), &failure);
        qshm__os_close(fd);
    }
    qshm__directory_close(&place);
    return qshm__outcome_finish(out, r, &failure);
}
