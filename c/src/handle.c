/*
 * handle.c - see handle.h.
 */
#include "handle.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "os.h"

enum { SLOT_BITS = 12, SLOTS = 1 << SLOT_BITS, GENERATIONS = 1 << (31 - SLOT_BITS) };

static struct qshm__attachment *_Atomic slots[SLOTS];
static _Atomic uint32_t slots_made; /* slots from here on hold nothing yet */
static uint32_t next_slot;          /* where the search begins: a freed slot is used again as late as possible */
static atomic_flag table_busy = ATOMIC_FLAG_INIT;

static _Atomic uint32_t owner_pid;           /* the process that the table belongs to */
static volatile uint32_t *_Atomic fork_word; /* 1: surely the owner; 0, or none: ask for the pid */

static void lock_table(void)
{
    while (atomic_flag_test_and_set_explicit(&table_busy, memory_order_acquire)) {
        qshm__os_sleep(0.01);
    }
}

static void unlock_table(void)
{
    atomic_flag_clear_explicit(&table_busy, memory_order_release);
}

/* In a child: the mappings are gone (they are not inherited), and the descriptors are copies that keep the parent's
 * bytes alive. */
static void forget_inherited(void)
{
    atomic_flag_clear(&table_busy); /* a thread that exists only in the parent may have held it */
    for (uint32_t i = 0; i < slots_made; i++) {
        struct qshm__attachment *attachment = slots[i];
        if (attachment->fd >= 0) { /* neither left nor detached */
            qshm__os_close(attachment->fd);
            qshm__os_close(attachment->directory);
            attachment->fd = attachment->directory = -1;
        }
        attachment->handle = 0;
        attachment->reserved = false;
    }
}

/* The slow half of every look-up: the first call of a process, a forked child, or a system without a fork word. */
static void make_sure_of_process(void)
{
    uint32_t pid = qshm__os_pid();
    if (owner_pid == pid) {
        return;
    }
    if (owner_pid != 0) {
        forget_inherited();
    }
    lock_table();
    if (owner_pid != pid) {
        fork_word = qshm__os_fork_word();
        owner_pid = pid;
    }
    unlock_table();
}

static inline void check_process(void)
{
    volatile uint32_t *word = atomic_load_explicit(&fork_word, memory_order_acquire);
    if (word == NULL || *word == 0) {
        make_sure_of_process();
    }
}

/* The next slot that is free, made if need be; under the table's lock. */
static struct qshm__attachment *free_slot(void)
{
    for (uint32_t tries = 0; tries < slots_made; tries++) {
        struct qshm__attachment *attachment = slots[next_slot++ % slots_made];
        if (!attachment->reserved) {
            return attachment;
        }
    }
    struct qshm__attachment *made = slots_made < SLOTS ? calloc(1, sizeof *made) : NULL;
    if (made != NULL) {
        made->slot = slots_made;
        slots[slots_made] = made;
        slots_made++;
    }
    return made;
}

struct qshm__attachment *qshm__handle_reserve(void)
{
    check_process();
    lock_table();
    struct qshm__attachment *attachment = free_slot();
    if (attachment != NULL) {
        uint32_t slot = attachment->slot;
        uint32_t generation = attachment->generation % (GENERATIONS - 1) + 1; /* never 0: a handle is positive */
        memset(attachment, 0, sizeof *attachment);
        attachment->slot = slot;
        attachment->generation = generation;
        attachment->reserved = true;
        attachment->fd = attachment->directory = -1;
    }
    unlock_table();
    return attachment;
}

uint32_t qshm__handle_publish(struct qshm__attachment *attachment)
{
    uint32_t handle = attachment->generation << SLOT_BITS | attachment->slot;
    attachment->pid = owner_pid;
    atomic_store_explicit(&attachment->handle, handle, memory_order_release);
    return handle;
}

void qshm__handle_free(struct qshm__attachment *attachment)
{
    atomic_store_explicit(&attachment->handle, 0, memory_order_release);
    lock_table();
    attachment->reserved = false;
    unlock_table();
}

struct qshm__attachment *qshm__handle_find(uint32_t handle)
{
    check_process();
    struct qshm__attachment *attachment = atomic_load_explicit(&slots[handle % SLOTS], memory_order_acquire);
    bool found = attachment != NULL && handle != 0 &&
                 atomic_load_explicit(&attachment->handle, memory_order_acquire) == handle;
    return found ? attachment : NULL;
}

struct qshm__attachment *qshm__handle_each(bool (*visit)(struct qshm__attachment *, const void *), const void *context)
{
    check_process();
    for (uint32_t i = 0; i < slots_made; i++) {
        struct qshm__attachment *attachment = slots[i];
        if (atomic_load_explicit(&attachment->handle, memory_order_acquire) != 0 && visit(attachment, context)) {
            return attachment;
        }
    }
    return NULL;
}
