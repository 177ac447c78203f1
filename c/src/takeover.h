/*
 * takeover.h - asking the holder of a guard to leave. What that means stands in takeover.c.
 */
#ifndef QSHM_TAKEOVER_H
#define QSHM_TAKEOVER_H

#include <stdbool.h>

#include "handle.h"

/* Does this attachment hold the guard, and was it asked to leave? */
bool qshm__is_wanted(const struct qshm__attachment *attachment);

#endif
