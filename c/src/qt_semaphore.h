/*
 * qt_semaphore.h - one System V semaphore behind a key file: Qt's QSystemSemaphore, and the lock of its segments.
 */
#ifndef QSHM_QT_SEMAPHORE_H
#define QSHM_QT_SEMAPHORE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "qt_key.h"

struct qshm__qt_semaphore {
    struct qshm__qt_key key;
    int initial;   /* of one that has to be made */
    int id;        /* -1: not open */
    int32_t number;
    bool made;     /* the set or its file, by this object: which then removes both */
    bool is_lock;  /* its value is 0 or 1; see qt_semaphore.c */
    int taken;     /* of a lock: what is still to be given back; more than 1 if it was raised */
    bool shares_file; /* the file is that of a segment, too, and is removed with that */
};

/* 0 = not yet open: every operation opens it, and opens it anew when somebody has removed it. */
void qshm__qt_semaphore_init(struct qshm__qt_semaphore *s, uint32_t project, int initial, bool is_lock);
int qshm__qt_semaphore_open(struct qshm__qt_semaphore *s, struct qshm__failure *failure);
/* Sets the value of one that exists, too, and makes this object its maker. */
int qshm__qt_semaphore_create(struct qshm__qt_semaphore *s, struct qshm__failure *failure);
/* 1 = taken, 0 = time is up, or an error. */
int qshm__qt_semaphore_take(struct qshm__qt_semaphore *s, double timeout_ms, struct qshm__failure *failure);
/* Adds; the kernel takes it back at the end of the process. */
int qshm__qt_semaphore_add(struct qshm__qt_semaphore *s, int count, struct qshm__failure *failure);
/* Gives a lock back that qshm__qt_semaphore_take gave: 0. */
int qshm__qt_semaphore_give_back(struct qshm__qt_semaphore *s, struct qshm__failure *failure);
/* Takes a lock from whoever has it: 1 and the process, or 0 if it is free. */
int qshm__qt_semaphore_force(struct qshm__qt_semaphore *s, uint32_t *pid, struct qshm__failure *failure);
/* Removes set and file. For a lock: by who holds it. */
void qshm__qt_semaphore_remove(struct qshm__qt_semaphore *s);

#endif
