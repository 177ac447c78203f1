/* rivals.h - what rivals.c and partners.c share. */
#ifndef QSHM_RIVALS_H
#define QSHM_RIVALS_H

#include <stdint.h>

#include "../../c/qshm.h"

#define TRY(condition) ((condition) ? (void)0 : rivals_fail(#condition))

_Noreturn void rivals_fail(const char *what);

/* Of a file in $QSHM_DIRECTORY; valid until the next call. */
const char *rivals_path(const char *name);

/* CLOCK_MONOTONIC, in nanoseconds. */
double rivals_now(void);

/* The functions of the library under test. */
struct rivals_library {
    __typeof__(&qshm_open) open;
    __typeof__(&qshm_detach) detach;
    __typeof__(&qshm_payload) payload;
    __typeof__(&qshm_try_lock) try_lock;
    __typeof__(&qshm_unlock) unlock;
    __typeof__(&qshm_read) read;
    __typeof__(&qshm_write) write;
    __typeof__(&qshm_revision) revision;
    __typeof__(&qshm_notify) notify;
    __typeof__(&qshm_wait_change) wait_change;
};
extern struct rivals_library library;

uint32_t rivals_open(uint32_t how, const char *key, double size);

/* A subject that takes its time itself: does it `count` times, and gives the nanoseconds that count. With 0 it only
 * prepares. */
struct rivals_partner {
    const char *name;
    double (*run)(long count);
};
extern const struct rivals_partner partners[]; /* ends with a NULL name */

#endif
