/*
 * semaphore.h - permits that come back when their holder dies. See semaphore.c.
 */
#ifndef QSHM_SEMAPHORE_H
#define QSHM_SEMAPHORE_H

#include <stdbool.h>
#include <stdint.h>

#include "handle.h"

enum { QSHM_PERMITS_REFUSED = 0, QSHM_PERMITS_TAKEN = 1 };

/* TAKEN, REFUSED (then, with `queue`, this attachment has its place in the queue), or an error: BUSY, RESOURCES. */
int qshm__semaphore_acquire(struct qshm__attachment *a, uint32_t count, bool queue);
/* Gives up the place in the queue. */
void qshm__semaphore_withdraw(struct qshm__attachment *a);
/* Gives permits back that this attachment holds; at most those. */
int qshm__semaphore_return(struct qshm__attachment *a, uint32_t count);
/* Consumes permits that this attachment holds. */
int qshm__semaphore_forget(struct qshm__attachment *a, uint32_t count);
/* Adds permits; ARGUMENT beyond the maximum. */
int qshm__semaphore_post(struct qshm__attachment *a, uint32_t count);
/* Free permits. */
uint32_t qshm__semaphore_available(struct qshm__attachment *a);
/* Before the attachment's byte goes: what it holds comes back. */
void qshm__semaphore_leave(struct qshm__attachment *a);

#endif
