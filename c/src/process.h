/*
 * process.h - which process is behind an id, for people.
 */
#ifndef QSHM_PROCESS_H
#define QSHM_PROCESS_H

#include "../qshm.h"
#include "handle.h"

/* Describes the process of the attachment `id`, which says itself that it is `hinted_pid` (0: it says nothing). 1; 0 and
 * nobody for id 0. */
int qshm__describe_process(const struct qshm__attachment *attachment, uint32_t id, uint32_t hinted_pid,
                           struct qshm_process *out);

#endif
