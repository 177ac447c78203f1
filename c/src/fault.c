/*
 * fault.c - the test build's half of fault.h: counts steps, and stops, kills or fails the process at the one asked for.
 *
 * Armed through qshm_test_arm, or through QSHM_FAULT="n action" in the environment from the first step on. The names of
 * the steps passed since arming are kept, so that a test can print which ones it has covered.
 */
#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../qshm.h"

QSHM_API int32_t qshm_test_arm(uint32_t step, uint32_t action);
QSHM_API int32_t qshm_test_steps(void *names, uint32_t capacity);

enum { NOTHING, STOP, KILL, FAIL, MOST_STEPS = 512, MOST_NAME = 32 };

static _Atomic uint32_t passed, wanted, wanted_action;
static char names[MOST_STEPS][MOST_NAME];

/* Begins counting anew. At step `step` (from 1): 1 stops the process (SIGSTOP), 2 kills it (SIGKILL), 3 fails the call.
 * 0 only counts. */
int32_t qshm_test_arm(uint32_t step, uint32_t action)
{
    passed = 0;
    wanted = step;
    wanted_action = action;
    return 0;
}

/* Ends the counting. Returns the number of steps passed since arming, and their names, a line each. */
int32_t qshm_test_steps(void *text, uint32_t capacity)
{
    uint32_t count = passed;
    wanted = 0;
    size_t at = 0;
    char *to = text;
    for (uint32_t i = 0; i < count && i < MOST_STEPS; i++) {
        size_t length = strlen(names[i]);
        if (at + length + 1 < capacity) {
            memcpy(to + at, names[i], length);
            to[at + length] = '\n';
            at += length + 1;
        }
    }
    if (capacity > 0) {
        to[at] = '\0';
    }
    return (int32_t)count;
}

/* The errno that fits a call best, so that the failure looks as it would. */
static int errno_for(const char *name)
{
    static const struct {
        const char *call;
        int error;
    } likely[] = {
        {"openat", EMFILE}, {"open directory", EMFILE}, {"openat draft", ENOSPC}, {"openat again", EMFILE},
        {"mkdir", ENOSPC},  {"fallocate", ENOSPC},      {"mmap", ENOMEM},         {"mmap fixed", ENOMEM},
        {"linkat", ENOSPC}, {"unlinkat", EACCES},       {"fcntl lock", ENOLCK},   {"fcntl unlock", ENOLCK},
    };
    for (size_t i = 0; i < sizeof likely / sizeof *likely; i++) {
        if (strcmp(likely[i].call, name) == 0) {
            return likely[i].error;
        }
    }
    return EIO;
}

int qshm__fault(const char *name, int is_call)
{
    static _Atomic int asked;
    if (atomic_exchange(&asked, 1) == 0) {
        const char *order = getenv("QSHM_FAULT");
        if (order != NULL) {
            char *end;
            wanted = (uint32_t)strtoul(order, &end, 10);
            wanted_action = (uint32_t)strtoul(end, NULL, 10);
        }
    }
    uint32_t step = atomic_fetch_add(&passed, 1) + 1;
    if (step <= MOST_STEPS) {
        strncpy(names[step - 1], name, MOST_NAME - 1);
    }
    if (step != wanted) {
        return 0;
    }
    switch (wanted_action) {
    case STOP:
        raise(SIGSTOP);
        return 0;
    case KILL:
        raise(SIGKILL);
        return 0;
    case FAIL:
        return is_call ? errno_for(name) : 0;
    default:
        return 0;
    }
}

long qshm__pretend(const char *what, long real)
{
    const char *list = getenv("QSHM_PRETEND");
    const char *found = list == NULL ? NULL : strstr(list, what);
    return found == NULL || found[strlen(what)] != '=' ? real : strtol(found + strlen(what) + 1, NULL, 0);
}
