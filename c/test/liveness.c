/*
 * liveness.c - the bytes that tell who lives. Invariant: a word names an id only while, or after, its byte was held.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>

#include "../src/handle.h"
#include "support.h"

int32_t qshm_test_arm(uint32_t step, uint32_t action);
int32_t qshm_test_steps(void *names, uint32_t capacity);

struct look_in {
    uint32_t step;
};

static void lock_stopping(void *argument)
{
    const struct look_in *in = argument;
    qshm_test_arm(in->step, 1);
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    GT(handle, 0);
    GT(qshm_try_lock((uint32_t)handle), 0);
    EQ(qshm_unlock((uint32_t)handle), 0);
    EQ(qshm_detach((uint32_t)handle), 0);
}

/* Stopped at every step from attach to detach: no word names an id whose byte nobody holds. */
CASE(id_is_stored_after_its_byte)
{
    int32_t keeper = open_memory(QSHM_CREATE, "a");
    struct qshm__control *control = peek("m-a");
    int held = 0;
    for (uint32_t step = 1;; step++) {
        struct look_in in = {.step = step};
        pid_t pid = spawn(lock_stopping, &in);
        if (!wait_stopped(pid)) {
            GT(step, 10);
            break;
        }
        uint32_t owner = word_owner(control->lock);
        uint32_t hint = (uint32_t)control->lock_holder;
        CHECK(owner == 0 || range_is_held("m-a", QSHM_RANGE_A + owner, 1));
        CHECK(owner == 0 || hint != owner || control->lock_holder >> 32 == (uint32_t)pid);
        held += owner != 0;
        EQ(kill(pid, SIGCONT), 0);
        EQ(wait_exit(pid), 0);
    }
    GT(held, 0);
    unpeek(control);
    EQ(qshm_detach((uint32_t)keeper), 0);
    EQ(count_files(), 0);
}

/* A description does not see its own locks: the answer about oneself does not come from the kernel. */
CASE(liveness_of_oneself)
{
    int32_t a = open_memory(QSHM_CREATE, "a"), b = open_memory(QSHM_ATTACH, "a");
    struct qshm__attachment *mine = qshm__handle_find((uint32_t)a), *other = qshm__handle_find((uint32_t)b);
    EQ(qshm__is_alive(mine->fd, mine->id, mine->id), 1);
    EQ(qshm__is_alive(mine->fd, mine->id, other->id), 1);
    EQ(qshm__is_alive(mine->fd, mine->id, other->id + 1), 0);
    struct qshm_process owner;
    EQ(qshm_try_lock((uint32_t)a), 1);
    EQ(qshm_lock_owner((uint32_t)a, &owner), 1);
    EQ(owner.alive, 1);
}

CASE(liveness_lists_everybody)
{
    enum { MANY = 300 };
    int32_t handles[MANY];
    for (int i = 0; i < MANY; i++) {
        handles[i] = open_memory(QSHM_CREATE | QSHM_ATTACH, "a");
        GT(handles[i], 0);
    }
    for (int i = 0; i < MANY; i += 3) {
        EQ(qshm_detach((uint32_t)handles[i]), 0);
    }
    static struct {
        struct qshm_info info;
        uint32_t ids[MANY];
    } found;
    int32_t needed = qshm_inspect("m-a", 3, NULL, 0, NULL, 0, &outcome);
    EQ(needed, sizeof(struct qshm_info) + 200 * sizeof(uint32_t));
    EQ(qshm_inspect("m-a", 3, NULL, 0, &found, sizeof found, &outcome), needed);
    EQ(found.info.attached, 200);
    bool seen[MANY + 1] = {false};
    for (int i = 0; i < 200; i++) {
        CHECK(found.ids[i] >= 1 && found.ids[i] <= MANY && !seen[found.ids[i]]);
        seen[found.ids[i]] = true;
    }
    for (int i = 0; i < MANY; i++) {
        EQ(seen[i + 1], i % 3 != 0);
    }
}
