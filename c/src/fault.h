/*
 * fault.h - steps at which the test build can stop, kill or fail the process.
 *
 * Every operating system call is a step, and so is every QSHM_POINT, which marks a place between two stores or checks
 * that another process could see. The release build compiles both away. A comment that speaks of a race names the
 * point, or the test, that stops there.
 */
#ifndef QSHM_FAULT_H
#define QSHM_FAULT_H

#ifdef QSHM_TEST
/* Counts a step. Returns 0, or the errno with which a call shall fail. */
int qshm__fault(const char *name, int is_call);
#define QSHM_CALL(name)                            \
    do {                                           \
        int injected = qshm__fault("" name "", 1); \
        if (injected != 0) {                       \
            return -injected;                      \
        }                                          \
    } while (0)
/* For calls without a result: they can be stopped and killed, not failed. */
#define QSHM_CALL_VOID(name) ((void)qshm__fault("" name "", 0))
#define QSHM_POINT(name) ((void)qshm__fault("" name "", 0))
/* What the system said, or what QSHM_PRETEND="name=value,..." in the environment says in its place. */
long qshm__pretend(const char *what, long real);
#define QSHM_PRETEND(what, real) qshm__pretend("" what "", (real))
#else
#define QSHM_PRETEND(what, real) (real)
#define QSHM_CALL(name) ((void)0)
#define QSHM_CALL_VOID(name) ((void)0)
#define QSHM_POINT(name) ((void)0)
#endif

#endif
