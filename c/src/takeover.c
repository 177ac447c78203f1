/*
 * takeover.c - asking the holder of a guard to leave, and making it.
 *
 * Owns: `wanted` in the control block.
 *
 * Invariants
 *  - A signal is sent only to a process that is proved to hold the guard. Its pid, as it says itself, is opened first
 *    (pidfd): from then on the descriptor means that very process, whatever becomes of the number. Then it is seen to hold
 *    byte P, to have started when the holder says it did, and to be of this user; and then the descriptor is signalled
 *    (points "pid opened", "holder proved"; test: "takeover_never_signals_another").
 *  - In another PID namespace the number means another process: nothing is signalled.
 *
 * Failure story: the holder ends at any of these steps: the signal goes to nobody, for a pidfd outlives its number. A
 * wrapper was killed and its command lives: the pid that the guard tells is gone, and nothing is signalled; its command
 * has to be ended by hand.
 */
#include "takeover.h"

#include <errno.h>

#include "../qshm.h"
#include "change.h"
#include "fault.h"
#include "handle.h"
#include "liveness.h"
#include "os.h"
#include "outcome.h"

int32_t qshm_ask_to_leave(uint32_t handle, uint32_t holder)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, &error);
    if (a == NULL) {
        return error;
    }
    atomic_store(&a->control->wanted, holder != 0 ? holder : atomic_load(&a->control->holder));
    qshm__change_publish(a);
    return 0;
}

bool qshm__is_wanted(const struct qshm__attachment *a)
{
    return a->guards && atomic_load(&a->control->wanted) == a->id;
}

int32_t qshm_is_asked_to_leave(double handle)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, &error);
    return a == NULL ? error : qshm__is_wanted(a);
}

static bool holds(const struct qshm__attachment *a, uint32_t holder)
{
    return atomic_load(&a->control->holder) == holder && qshm__is_alive(a->fd, a->id, holder);
}

enum { LOOKS = 100 };
static const double pause_between_looks = 1; /* ms */

/* The guard is held, and its process is not seen to hold it. One that ends has no descriptors any more a moment before
 * its locks are free: then 0. Otherwise it has left the guard behind, and others hold it. */
static int left_behind(const struct qshm__attachment *a, uint32_t holder, uint32_t pid, struct qshm__failure *failure)
{
    for (int looks = 0; looks < LOOKS; looks++) {
        if (!holds(a, holder)) {
            return 0;
        }
        qshm__os_sleep(pause_between_looks);
    }
    return qshm__fail_check(failure, QSHM_E_NOT_FOUND, "is held by a process that process %u has left behind", pid);
}

/* Is the process behind the descriptor the holder? 1; 0: nobody holds it any more. */
static int prove(const struct qshm__attachment *a, const struct qshm__holder_info *info, uint32_t holder, uint32_t pid,
                 struct qshm__failure *failure)
{
    if (!holds(a, holder)) {
        return 0;
    }
    bool is_it = qshm__os_range_holder(a->device, a->inode, QSHM_RANGE_P, 1, pid) == pid &&
                 qshm__os_process_start(pid) == info->start;
    return is_it ? 1 : left_behind(a, holder, pid, failure);
}

static int signal_holder(struct qshm__attachment *a, uint32_t expected, int signal, struct qshm__failure *failure)
{
    const struct qshm__holder_info *info = &((struct qshm__instance_part *)(a->control + 1))->info;
    uint32_t holder = atomic_load(&a->control->holder);
    uint32_t pid = info->pid;
    if (holder == 0 || holder != expected || !holds(a, holder)) {
        return 0;
    }
    uint64_t namespace = qshm__os_pid_namespace();
    if (namespace == 0 || info->pid_namespace != namespace) {
        return qshm__fail_check(failure, QSHM_E_PERMISSION, "is held in another PID namespace");
    }
    failure->pid = pid;
    uint32_t uid;
    int fd = qshm__os_open_process(pid, &uid);
    if (fd < 0) {
        bool is_none = fd == -ESRCH || fd == -EINVAL; /* the number of no process, but perhaps of a thread */
        return is_none ? left_behind(a, holder, pid, failure) : qshm__fail_call(failure, "pidfd_open", fd);
    }
    QSHM_POINT("pid opened");
    int r = uid == qshm__os_uid() ? prove(a, info, holder, pid, failure)
                                  : qshm__fail_check(failure, QSHM_E_PERMISSION, "is held by user %u", uid);
    QSHM_POINT("holder proved");
    if (r == 1) {
        r = qshm__os_signal_process(fd, signal);
        r = r == -ESRCH ? 0 : r < 0 ? qshm__fail_call(failure, "pidfd_send_signal", r) : 1;
    }
    qshm__os_close(fd);
    return r;
}

int32_t qshm_signal_holder(uint32_t handle, uint32_t holder, uint32_t signal, void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, &error);
    if (a == NULL || (signal != QSHM_SIGNAL_END && signal != QSHM_SIGNAL_KILL)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    return qshm__outcome_finish(outcome, signal_holder(a, holder, (int)signal, &failure), &failure);
}
