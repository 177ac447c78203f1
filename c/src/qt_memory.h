/*
 * qt_memory.h - a System V segment behind a key file, under the lock that Qt programs take as well.
 */
#ifndef QSHM_QT_MEMORY_H
#define QSHM_QT_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "qt_key.h"
#include "qt_semaphore.h"

struct qshm__qt_memory {
    struct qshm__qt_key key;
    struct qshm__qt_semaphore lock;
    bool holds; /* the lock */
    int id;     /* of the segment; valid while `address` is */
    int32_t number;
    uint8_t *address; /* NULL: not attached */
    uint64_t size;
    bool read_only;
    void *view; /* what JavaScript got of it; outlives the attachment */
    uint64_t view_size;
    bool (*awaits_itself)(const struct qshm__qt_memory *); /* does whoever asks for the lock hold it by another object? */
};

/* What became of waiting for the lock: an operation that could not have it in time. */
enum { QSHM_QT_TIMED_OUT = 0, QSHM_QT_DONE = 1 };

/* Takes the lock, unless it is held: DONE, TIMED_OUT, or an error, also DEADLOCK. */
int qshm__qt_memory_lock(struct qshm__qt_memory *m, double timeout_ms, struct qshm__failure *failure);
/* DONE, TIMED_OUT, or an error. `*recovered`: what was there was left behind by a crash; create removes it, attach
 * attaches to it. All of them give the lock back in the end, also if it was held before. */
int qshm__qt_memory_create(struct qshm__qt_memory *m, uint64_t size, bool read_only, double timeout_ms, bool *recovered,
                           struct qshm__failure *failure);
int qshm__qt_memory_attach(struct qshm__qt_memory *m, bool read_only, double timeout_ms, bool *recovered,
                           struct qshm__failure *failure);
/* The last one out removes the segment, its lock, and their files; others leave a lock that they made to who comes next. */
int qshm__qt_memory_detach(struct qshm__qt_memory *m, double timeout_ms, struct qshm__failure *failure);
/* Detaches without the lock, and removes nothing. */
void qshm__qt_memory_let_go(struct qshm__qt_memory *m);
/* Removes segment, lock and files of a key: DONE, NOT_FOUND, TIMED_OUT; IN_USE if more than `own` are attached, unless
 * `force`. */
int qshm__qt_memory_remove(struct qshm__qt_memory *m, uint64_t own, bool force, double timeout_ms,
                           struct qshm__failure *failure);
/* The id of the segment that the key leads to now, -1 if there is none. */
int qshm__qt_memory_find(struct qshm__qt_memory *m);

#endif
