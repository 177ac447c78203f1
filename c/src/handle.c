/*
 * handle.c - see handle.h.
 */
#include "handle.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../qshm.h"
#include "bell.h"
#include "message.h"
#include "os.h"

enum { SLOT_BITS = 12, SLOTS = 1 << SLOT_BITS, GENERATIONS = 1 << (31 - SLOT_BITS) };

static struct qshm__attachment *_Atomic slots[SLOTS];
static _Atomic uint32_t slots_made; /* slots from here on hold nothing yet */
static uint32_t next_slot;          /* where the search begins: a freed slot is used again as late as possible */
static atomic_flag table_busy = ATOMIC_FLAG_INIT;

/*
 * Whose table is it? A word in memory that the kernel clears in a forked child tells at the price of a load; where
 * there is no such memory the pid is asked for each time. The library's constructor sets both, before any other
 * thread can call.
 */
enum { INHERITED = 0, OURS = 1, CHANGING = 2 };
static _Atomic uint32_t *fork_word;
static _Atomic uint32_t owner_pid;

__attribute__((constructor)) static void set_up(void)
{
    fork_word = (_Atomic uint32_t *)qshm__os_fork_word();
    owner_pid = qshm__os_pid();
}

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
        if (attachment->reserved && attachment->fd >= 0) {
            qshm__os_close(attachment->fd);
        }
        if (attachment->reserved && attachment->directory >= 0) {
            qshm__os_close(attachment->directory);
        }
        qshm__bell_forget(attachment);
        qshm__messages_forget(attachment);
        attachment->handle = 0;
        attachment->reserved = false;
    }
    owner_pid = qshm__os_pid();
}

/* In a child several threads may make its first call at once: exactly one of them resets the table. */
static void take_over_table(void)
{
    uint32_t expected = INHERITED;
    if (atomic_compare_exchange_strong(fork_word, &expected, CHANGING)) {
        forget_inherited();
        atomic_store(fork_word, OURS);
    }
    while (atomic_load(fork_word) != OURS) {
        qshm__os_sleep(0.01);
    }
}

static inline void check_process(void)
{
    if (fork_word == NULL) {
        if (owner_pid != qshm__os_pid()) {
            forget_inherited();
        }
    } else if (atomic_load_explicit(fork_word, memory_order_acquire) != OURS) {
        take_over_table();
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
        made->fd = made->directory = -1;
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
        attachment->holding = false;
        attachment->guards = false;
        attachment->inside = false;
        attachment->thread = 0;
        const size_t kept = offsetof(struct qshm__attachment, slot);
        memset((char *)attachment + kept, 0, sizeof *attachment - kept);
        attachment->slot = slot;
        attachment->generation = generation;
        attachment->fd = attachment->directory = -1;
        attachment->reserved = true;
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
    attachment->fd = attachment->directory = -1;
    attachment->reserved = false;
    unlock_table();
}

uint32_t qshm__handle_process(void)
{
    check_process();
    return owner_pid;
}

struct qshm__attachment *qshm__handle_find(uint32_t handle)
{
    check_process();
    struct qshm__attachment *attachment = atomic_load_explicit(&slots[handle % SLOTS], memory_order_acquire);
    bool found =
        attachment != NULL && handle != 0 && atomic_load_explicit(&attachment->handle, memory_order_acquire) == handle;
    return found ? attachment : NULL;
}

struct qshm__attachment *qshm__handle_attached(uint32_t handle)
{
    struct qshm__attachment *attachment = qshm__handle_find(handle);
    return attachment == NULL || attachment->neutralised ? NULL : attachment;
}

struct qshm__attachment *qshm__handle_hot(double handle)
{
    /* 0 is nobody's; but it is a call, and notices a fork */
    return qshm__handle_attached(handle >= 1 && handle <= INT32_MAX ? (uint32_t)handle : 0);
}

struct qshm__attachment *qshm__handle_writer(double handle, uint32_t kind, int *error)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    if (a != NULL && a->id != 0 && (kind == 0 || a->kind == kind)) {
        return a;
    }
    *error = a == NULL ? QSHM_E_HANDLE : kind != 0 && a->kind != kind ? QSHM_E_ARGUMENT : QSHM_E_READ_ONLY;
    return NULL;
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
