/*
 * error.h - how a failure travels from the call that failed to the caller of the library.
 *
 * Owns: struct qshm__failure, which every fallible internal function fills in before it returns a negative error, and
 * the trace. Invariant: an error and its details come back in the same call; nothing is kept per thread or process.
 */
#ifndef QSHM_ERROR_H
#define QSHM_ERROR_H

#include <stdint.h>

struct qshm__failure {
    int os_error;
    uint32_t pid;
    uint32_t layout;
    const char *call;
    char why[104];
};

/* Records a failed operating system call (`result` is its negative errno) and returns the error that it means. */
int qshm__fail_call(struct qshm__failure *failure, const char *call, int result);
/* Records what a check found, printf-like, and returns `error`. */
int qshm__fail_check(struct qshm__failure *failure, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes a line to stderr if QSHM_DEBUG=1. */
void qshm__trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
