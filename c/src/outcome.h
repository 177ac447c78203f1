/*
 * outcome.h - what the entry points share: checks of arguments, and filling in struct qshm_outcome.
 */
#ifndef QSHM_OUTCOME_H
#define QSHM_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "../qshm.h"
#include "error.h"

bool qshm__is_kind(uint32_t kind);
/* A pointer that may be used with this size: one with size 0 is never looked at. */
bool qshm__is_buffer(const void *pointer, uint32_t size);

/* A whole number from 0 to 2^53. */
bool qshm__is_size(double value);
/* A whole number from 0 to 2^31-1. */
bool qshm__is_count(double value);

/* Empties an outcome; every entry point that has one begins with this. */
void qshm__outcome_clear(struct qshm_outcome *outcome);
void qshm__outcome_set_path(struct qshm_outcome *outcome, const char *directory, const char *name);
/* Fills in what a failure says if `result` is negative, and returns `result`. */
int qshm__outcome_finish(struct qshm_outcome *outcome, int result, const struct qshm__failure *failure);

#endif
