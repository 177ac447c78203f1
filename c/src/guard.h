/*
 * guard.h - the single-instance guard: who is the one. The protocol stands in guard.c.
 */
#ifndef QSHM_GUARD_H
#define QSHM_GUARD_H

#include <stdbool.h>

#include "handle.h"

/* Gives up what qshm_elect gave, in order. Nothing if the attachment does not guard. */
void qshm__guard_release(struct qshm__attachment *attachment);
/* Does the segment tell of a holder that ended without releasing? Under R, when nobody else is attached. */
bool qshm__guard_has_trace(const struct qshm__attachment *attachment);

#endif
