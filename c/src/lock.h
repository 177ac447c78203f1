/*
 * lock.h - the segment's lock: one 64-bit word, owned by attachments, recovered when an owner dies. See lock.c.
 */
#ifndef QSHM_LOCK_H
#define QSHM_LOCK_H

#include <stdint.h>

#include "handle.h"

enum { QSHM_LOCK_BUSY = 0, QSHM_LOCK_TAKEN = 1, QSHM_LOCK_TAKEN_DIED = 2 };

/* Each returns one of these, or an error of qshm.h. */
int qshm__lock_try(struct qshm__attachment *a);
int qshm__lock_poll(struct qshm__attachment *a);
int qshm__lock_cancel(struct qshm__attachment *a);
int qshm__lock_wait(struct qshm__attachment *a, double timeout);
/* 0, or LOCK_LOST. */
int qshm__lock_release(struct qshm__attachment *a);
/* Before the attachment's byte goes: frees the lock, and leaves no trace of its id in the word. `died`: the process
 * ends while it holds the lock, and the next owner is to be told. */
void qshm__lock_abandon(struct qshm__attachment *a, bool died);

/* The owner's id and, if it can be told, its pid; id 0 if the lock is free. */
struct qshm__lock_owner {
    uint32_t id, hinted_pid;
};
struct qshm__lock_owner qshm__lock_owner(const struct qshm__control *control);
/* Takes the lock from its owner, if that is `expected` or `expected` is 0. Returns whom it was taken from; id 0:
 * nobody. */
struct qshm__lock_owner qshm__lock_force(struct qshm__attachment *a, uint32_t expected);

#endif
