/*
 * liveness.c - see liveness.h.
 */
#include "liveness.h"

#include <errno.h>

#include "../qshm.h"
#include "fault.h"

static int busy(int fd, struct qshm__failure *failure)
{
    struct qshm__stat file;
    uint32_t pid = 0;
    if (qshm__os_stat(fd, &file) == 0) {
        pid = qshm__os_range_holder(file.device, file.inode, QSHM_RANGE_R, 1, 0);
    }
    qshm__fail_check(failure, QSHM_E_BUSY, "the registry lock is held");
    failure->pid = pid;
    return QSHM_E_BUSY;
}

/* 50 us to 1 ms, with jitter, so that two waiters do not walk in step. */
static void pause_before_try(unsigned *tries)
{
    double longest = *tries > 9 ? 1.0 : 0.05 * (double)(1u << *tries / 2);
    (*tries)++;
    qshm__os_sleep(longest * (0.5 + 0.5 * (double)(qshm__os_random() & 1023) / 1024));
}

int qshm__registry_lock(int fd, double deadline, struct qshm__failure *failure)
{
    unsigned tries = 0;
    for (;;) {
        int r = qshm__os_lock_range(fd, QSHM_EXCLUSIVE, QSHM_RANGE_R, 1);
        if (r == 0) {
            return 0;
        }
        if (r != -EAGAIN) {
            return qshm__fail_call(failure, "fcntl", r);
        }
        if (deadline == 0) {
            return qshm__fail_check(failure, QSHM_E_BUSY, "the registry lock is held");
        }
        if (qshm__os_now() >= deadline) {
            return busy(fd, failure);
        }
        pause_before_try(&tries);
    }
}

void qshm__registry_unlock(int fd)
{
    /* The kernel may want memory even for this; giving up would lock others out for as long as we live. */
    for (int tries = 0; tries < 3 && qshm__os_unlock_range(fd, QSHM_RANGE_R, 1) < 0; tries++) {
    }
}

int qshm__registry_pass(int fd, double deadline, struct qshm__failure *failure)
{
    unsigned tries = 0;
    for (;;) {
        int r = qshm__os_range_held(fd, QSHM_RANGE_R, 1, NULL);
        if (r <= 0) {
            return r == 0 ? 0 : qshm__fail_call(failure, "fcntl", r);
        }
        if (qshm__os_now() >= deadline) {
            return busy(fd, failure);
        }
        pause_before_try(&tries);
    }
}

int qshm__anybody_attached(int fd, struct qshm__failure *failure)
{
    int r = qshm__os_range_held(fd, QSHM_RANGE_A, QSHM_IDS, NULL);
    if (r == 0) {
        r = qshm__os_range_held(fd, QSHM_RANGE_B, QSHM_IDS, NULL);
    }
    return r < 0 ? qshm__fail_call(failure, "fcntl", r) : r;
}

int qshm__draw_id(int fd, struct qshm__control *control, uint32_t kind, uint32_t *id, struct qshm__failure *failure)
{
    for (int tries = 0; tries < 4096; tries++) {
        uint32_t drawn = (atomic_fetch_add_explicit(&control->next_id, 1, memory_order_relaxed) + 1) & 0x7fffffff;
        if (drawn == 0 || qshm__names_id(control, kind, drawn)) {
            continue;
        }
        int r = qshm__os_lock_range(fd, QSHM_EXCLUSIVE, QSHM_RANGE_A + drawn, 1);
        if (r == 0) {
            *id = drawn;
            return 0;
        }
        if (r != -EAGAIN) {
            return qshm__fail_call(failure, "fcntl", r);
        }
    }
    return qshm__fail_check(failure, QSHM_E_RESOURCES, "4096 ids in a row are taken");
}

int qshm__draw_observer(int fd, struct qshm__failure *failure)
{
    /* Shared locks of two observers on one byte do no harm: the range is only asked for as a whole. */
    uint64_t at = QSHM_RANGE_B + (qshm__os_random() & (QSHM_IDS - 1));
    int r = qshm__os_lock_range(fd, QSHM_SHARED, at, 1);
    return r < 0 ? qshm__fail_call(failure, "fcntl", r) : 0;
}

bool qshm__is_alive(int fd, uint32_t my_id, uint32_t id)
{
    return id == my_id || qshm__os_range_held(fd, QSHM_RANGE_A + id, 1, NULL) != 0;
}

int qshm__living_ids(int fd, uint32_t *ids, uint32_t capacity, uint32_t *count, struct qshm__failure *failure)
{
    /* The kernel reports the first lock of its list, not the lowest: so the range is split around each one found, and
     * both parts are asked for. Parts that wait for their turn are at most one more than the locks found. */
    struct part {
        uint64_t start, end;
    } parts[QSHM_MOST_LISTED + 1];
    uint32_t waiting = 1;
    *count = 0;
    parts[0] = (struct part){QSHM_RANGE_A, QSHM_RANGE_A + QSHM_IDS};
    while (waiting > 0 && *count < capacity && *count < QSHM_MOST_LISTED) {
        struct part part = parts[--waiting];
        uint64_t found;
        int r = part.start == part.end ? 0 : qshm__os_range_held(fd, part.start, part.end - part.start, &found);
        if (r < 0) {
            return qshm__fail_call(failure, "fcntl", r);
        }
        if (r == 1 && found >= part.start && found < part.end) { /* else a lock that is no attachment's */
            ids[(*count)++] = (uint32_t)(found - QSHM_RANGE_A);
            parts[waiting++] = (struct part){found + 1, part.end};
            parts[waiting++] = (struct part){part.start, found};
        }
    }
    return 0;
}
