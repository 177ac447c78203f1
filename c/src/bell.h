/*
 * bell.h - bells: how a process that waits in its event loop is woken by one that changes something. See bell.c.
 */
#ifndef QSHM_BELL_H
#define QSHM_BELL_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "handle.h"

/* Makes this attachment's bell. Returns the descriptor to listen to, which becomes the caller's; RESOURCES if all
 * entries are taken by the living, ARGUMENT if there is a bell already. */
int qshm__bell_open(struct qshm__attachment *a, uint32_t kind, struct qshm__failure *failure);
/* Takes the bell out of the table and its file away; the descriptor stays with whoever listens to it. */
void qshm__bell_close(struct qshm__attachment *a);

/* What a bell may be armed for. */
enum qshm__news {
    QSHM_NEWS_CHANGE = 1, /* the revision moved */
    QSHM_NEWS_FREE = 2,   /* the lock, or the guard, is free */
};

/* From here on the next ring for such news comes. The caller then looks again at what it waits for. Nothing if there is
 * no bell. */
void qshm__bell_arm(struct qshm__attachment *a, enum qshm__news news);
void qshm__bell_disarm(struct qshm__attachment *a, enum qshm__news news);

/* Rings every bell of the segment that is armed for such news; returns how many. */
int qshm__bells_ring(struct qshm__attachment *a, enum qshm__news news);

/* Removes the files of all bells of a segment that nobody uses: `fd` is its file. */
void qshm__bells_discard(int directory, int fd);
/* Removes a file of this name if it is a bell that nobody listens to. */
void qshm__bell_sweep(int directory, const char *name);
bool qshm__is_bell_name(const char *name);

/* In a forked child, and at detach: closes what was opened to ring others. */
void qshm__bell_forget(struct qshm__attachment *a);

#endif
