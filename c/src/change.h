/*
 * change.h - the count of changes, and waiting for it to move. See change.c.
 */
#ifndef QSHM_CHANGE_H
#define QSHM_CHANGE_H

#include <stdint.h>

#include "handle.h"

enum { QSHM_ARMED = 0, QSHM_CHANGED = 1 };

uint32_t qshm__change_revision(const struct qshm__attachment *a);
/* Whatever was changed is in place before this. */
void qshm__change_publish(struct qshm__attachment *a);
/* Arms the bell for the change that follows `since`; CHANGED if it has come already. */
int qshm__change_expect(struct qshm__attachment *a, uint32_t since);
/* Blocks until the revision is another than `since`, and returns it; time being up, returns `since`. */
uint32_t qshm__change_wait(struct qshm__attachment *a, uint32_t since, double timeout);

#endif
