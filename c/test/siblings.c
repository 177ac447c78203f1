/*
 * siblings.c - attachments of one thread that want the same lock: while one blocks, the others cannot run.
 */
#define _GNU_SOURCE
#include <time.h>

#include "support.h"

static uint32_t make(void)
{
    int32_t handle = open_memory(QSHM_CREATE | QSHM_ATTACH, "lock");
    GT(handle, 0);
    return (uint32_t)handle;
}

static void become_heir(uint32_t handle)
{
    struct qshm__control *control = peek("m-lock");
    while (word_heir(control->lock) != id_of((int32_t)handle)) {
        EQ(qshm_poll_lock(handle), 0);
        struct timespec turn = {.tv_nsec = 1000000};
        nanosleep(&turn, NULL); /* the rhythm of an event loop; nothing depends on it */
    }
    unpeek(control);
}

/* A wait that blocks takes at once what is offered to a sibling, which could not accept it meanwhile: also with no time
 * to wait until the offer is old. The sibling goes on waiting. Sabotage "no-step-back". */
CASE(siblings_step_back_at_once)
{
    uint32_t owner = make(), patient = make(), blocking = make();
    EQ(qshm_try_lock(owner), 1);
    become_heir(patient);
    EQ(qshm_unlock(owner), 0);
    EQ(qshm_wait_lock(blocking, 0), 1);
    EQ(qshm_poll_lock(patient), 0);
    EQ(qshm_unlock(blocking), 0);
    EQ(qshm_poll_lock(patient), 1);
}
