/*
 * value.h - one whole value, read without a lock. See value.c.
 */
#ifndef QSHM_VALUE_H
#define QSHM_VALUE_H

#include <stdint.h>

#include "handle.h"

/* The payload's size for values of up to `largest` bytes. */
uint64_t qshm__value_payload(uint64_t largest);
/* How many bytes a value may have. */
uint64_t qshm__value_capacity(const struct qshm__attachment *a);
/* Counts the values that were set; 0: none yet. */
uint64_t qshm__value_sequence(const struct qshm__attachment *a);

enum { QSHM_VALUE_STORED = 1, QSHM_VALUE_MOVED_ON = 0 };
/* STORED, MOVED_ON if `*expected` (unless NULL) is not the sequence any more, or BUSY. */
int qshm__value_set(struct qshm__attachment *a, const void *bytes, uint64_t size, const double *expected);
/* The id of one that keeps a buffer, of several anyone: whoever cannot set is told. 0: nobody. */
uint32_t qshm__value_busy(const struct qshm__attachment *a);

/* Copies the value if it fits into `capacity`; fills in its size and sequence either way. 0, or BUSY. */
struct qshm__value_seen {
    uint64_t sequence, size;
};
int qshm__value_get(struct qshm__attachment *a, void *bytes, uint64_t capacity, struct qshm__value_seen *seen);

#endif
