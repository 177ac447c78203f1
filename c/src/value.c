/*
 * value.c - one whole value, which readers never see half of, and which nobody locks.
 *
 * Owns: `value_...` in the control block, and the payload: four buffers.
 *
 *   current  { sequence:61, buffer:3 }: which buffer has the value; 0: none was set yet
 *   stamp    of each buffer { owner:32, generation:32 }: an owner writes in it, or keeps it for reading
 *
 *   set      claim a buffer that is not the current one and whose owner is nobody, or dead: a new generation. Has it
 *            become current meanwhile? Then give it back, and take another. Write. Make it current. Give it back.
 *   get      copy the current buffer; its generation is still that from before: whole. Else again. After eight failures
 *            keep the current buffer for oneself, so that nobody can claim it, and copy at leisure; one reader at a time
 *            may (the pin), so two buffers are left for those who write.
 *
 * Invariants
 *  - A buffer changes only under a claim, and a claim begins a new generation before the first byte. With two buffers and
 *    a flip, a writer would come round to the buffer that a slow reader still copies (V1; test:
 *    "value_slow_reader_beside_fast_writers").
 *  - A buffer that is current is never claimed for writing: looked at again behind the claim (point "buffer claimed").
 *  - The sequence only grows, so no reader sees a value older than one that it saw.
 *  - Sizes are checked against the kernel's word for the payload before they are used.
 *
 * Failure story: killed before the value is current, the old one stays, and the buffer is claimed from the dead one by
 * whoever needs it; killed behind it, the new one is there, and those who wait look by themselves within half a second.
 * Writers that are stopped keep a buffer each: with three of them nobody can set, and that is BUSY after a second;
 * reading is never kept up.
 */
#include "value.h"

#include <string.h>

#include "../qshm.h"
#include "change.h"
#include "directory.h"
#include "fault.h"
#include "layout.h"
#include "liveness.h"
#include "os.h"
#include "outcome.h"

enum { BUFFER_BITS = 3, BUFFER_MASK = (1 << BUFFER_BITS) - 1, ALIGNMENT = 64, FREE_TRIES = 8 };

static const double pause_between_tries = 0.05; /* ms */

uint64_t qshm__value_payload(uint64_t largest)
{
    return (largest + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT * QSHM_BUFFERS;
}

/* Of each buffer; by the file's size, which the kernel tells. */
static uint64_t stride(const struct qshm__attachment *a)
{
    return a->payload_size / QSHM_BUFFERS / ALIGNMENT * ALIGNMENT;
}

uint64_t qshm__value_capacity(const struct qshm__attachment *a)
{
    uint64_t said = a->control->value_capacity;
    return said < stride(a) ? said : stride(a);
}

static uint8_t *buffer(const struct qshm__attachment *a, unsigned i)
{
    return a->payload + i * stride(a);
}

static uint64_t current(const struct qshm__attachment *a)
{
    return atomic_load_explicit(&a->control->value_current, memory_order_seq_cst);
}

static unsigned index_of(uint64_t word)
{
    return (unsigned)word & BUFFER_MASK & (QSHM_BUFFERS - 1); /* whatever stands there: a buffer that is there */
}

uint64_t qshm__value_sequence(const struct qshm__attachment *a)
{
    return current(a) >> BUFFER_BITS;
}

static uint32_t owner_of(uint64_t stamp)
{
    return (uint32_t)(stamp >> 32);
}

static uint64_t stamp_of(uint32_t owner, uint32_t generation)
{
    return (uint64_t)owner << 32 | generation;
}

static bool is_free(const struct qshm__attachment *a, uint64_t stamp)
{
    uint32_t owner = owner_of(stamp);
    return owner == 0 || (owner != a->id && !qshm__is_alive(a->fd, a->id, owner));
}

static bool swap(_Atomic uint64_t *word, uint64_t *expected, uint64_t desired)
{
    return atomic_compare_exchange_strong(word, expected, desired);
}

#ifdef __SANITIZE_THREAD__
/* By words, so that the sanitizer knows that the race is meant. */
static void copy_out(uint8_t *to, const uint8_t *from, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += 8) {
        uint64_t word = atomic_load_explicit((const _Atomic uint64_t *)(const void *)(from + at), memory_order_relaxed);
        memcpy(to + at, &word, size - at < 8 ? size - at : 8);
    }
}

static void copy_in(uint8_t *to, const uint8_t *from, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += 8) {
        uint64_t word = 0;
        memcpy(&word, from + at, size - at < 8 ? size - at : 8);
        atomic_store_explicit((_Atomic uint64_t *)(void *)(to + at), word, memory_order_relaxed);
    }
}
#else
/* Another may change the bytes meanwhile: then what was copied is thrown away. Words that are atomic one by one would be
 * the letter of the standard, and seven times as slow; the fences around each copy keep it in its place. */
static void copy_out(uint8_t *to, const uint8_t *from, uint64_t size)
{
    memcpy(to, from, size);
}

static void copy_in(uint8_t *to, const uint8_t *from, uint64_t size)
{
    memcpy(to, from, size);
}
#endif

/* --- set ---------------------------------------------------------------------------------------------------------- */

/* Claims a buffer that is not current: its index, and its stamp while it is ours; -1 if none is free now. */
static int claim(struct qshm__attachment *a, uint64_t *mine)
{
    for (unsigned i = 0; i < QSHM_BUFFERS; i++) {
        _Atomic uint64_t *stamp = &a->control->value_stamp[i];
        uint64_t seen = atomic_load(stamp);
        if (index_of(current(a)) == i || !is_free(a, seen)) {
            continue;
        }
        *mine = stamp_of(a->id, (uint32_t)seen + 1);
        if (!swap(stamp, &seen, *mine)) {
            continue;
        }
        QSHM_POINT("buffer claimed");
        if (index_of(current(a)) != i) {
            return (int)i;
        }
        uint64_t taken = *mine;
        swap(stamp, &taken, stamp_of(0, (uint32_t)*mine));
    }
    return -1;
}

static int claim_patiently(struct qshm__attachment *a, uint64_t *mine)
{
    double deadline = qshm__os_now() + QSHM_PATIENCE;
    for (;;) {
        int i = claim(a, mine);
        if (i >= 0 || qshm__os_now() >= deadline) {
            return i;
        }
        qshm__os_sleep(pause_between_tries);
    }
}

uint32_t qshm__value_busy(const struct qshm__attachment *a)
{
    for (unsigned i = 0; i < QSHM_BUFFERS; i++) {
        uint32_t owner = owner_of(atomic_load(&a->control->value_stamp[i]));
        if (owner != 0 && owner != a->id) {
            return owner;
        }
    }
    return 0;
}

static int set(struct qshm__attachment *a, const void *bytes, uint64_t size, const double *expected)
{
    uint64_t mine;
    int i = claim_patiently(a, &mine);
    if (i < 0) {
        return QSHM_E_BUSY;
    }
    atomic_thread_fence(memory_order_seq_cst); /* the new generation is seen before the first byte */
    atomic_store_explicit(&a->control->value_length[i], size, memory_order_relaxed);
    if (size > 0) {
        copy_in(buffer(a, (unsigned)i), bytes, size);
    }
    QSHM_POINT("buffer written");
    uint64_t word = current(a);
    bool stored = false;
    while (!stored && (expected == NULL || (double)(word >> BUFFER_BITS) == *expected)) {
        uint64_t next = ((word >> BUFFER_BITS) + 1) << BUFFER_BITS | (unsigned)i;
        stored = swap(&a->control->value_current, &word, next);
    }
    QSHM_POINT("value current");
    if (stored) {
        atomic_store_explicit(&a->control->value_writer, stamp_of(a->pid, a->id), memory_order_relaxed);
    }
    uint64_t taken = mine;
    swap(&a->control->value_stamp[i], &taken, stamp_of(0, (uint32_t)mine));
    QSHM_POINT("buffer given back");
    if (stored) {
        qshm__change_publish(a);
    }
    return stored ? QSHM_VALUE_STORED : QSHM_VALUE_MOVED_ON;
}

int qshm__value_set(struct qshm__attachment *a, const void *bytes, uint64_t size, const double *expected)
{
    a->thread = qshm__os_thread();
    atomic_store(&a->inside, true);
    /* Another thread may be ending the process (api.c): it sees that we are inside, or we see that it has left. */
    int r = atomic_load(&a->handle) == 0 ? QSHM_E_HANDLE : set(a, bytes, size, expected);
    atomic_store(&a->inside, false);
    return r;
}

/* --- get ---------------------------------------------------------------------------------------------------------- */

static void copy_current(struct qshm__attachment *a, uint64_t word, void *bytes, uint64_t capacity,
                         struct qshm__value_seen *seen)
{
    uint64_t size = atomic_load_explicit(&a->control->value_length[index_of(word)], memory_order_relaxed);
    *seen = (struct qshm__value_seen){.sequence = word >> BUFFER_BITS, .size = size < stride(a) ? size : stride(a)};
    if (seen->size <= capacity) {
        copy_out(bytes, buffer(a, index_of(word)), seen->size);
    }
}

static bool copy_freely(struct qshm__attachment *a, void *bytes, uint64_t capacity, struct qshm__value_seen *seen)
{
    uint64_t word = current(a);
    _Atomic uint64_t *stamp = &a->control->value_stamp[index_of(word)];
    uint64_t before = atomic_load_explicit(stamp, memory_order_acquire);
    if (current(a) != word) {
        return false;
    }
    QSHM_POINT("copying");
    copy_current(a, word, bytes, capacity, seen);
    QSHM_POINT("copied");
    atomic_thread_fence(memory_order_acquire);
    return (uint32_t)atomic_load_explicit(stamp, memory_order_relaxed) == (uint32_t)before;
}

/* Keeps the buffer that is current, so that no writer claims it. */
static bool copy_pinned(struct qshm__attachment *a, void *bytes, uint64_t capacity, struct qshm__value_seen *seen)
{
    uint64_t word = current(a);
    _Atomic uint64_t *stamp = &a->control->value_stamp[index_of(word)];
    uint64_t before = atomic_load(stamp);
    uint64_t mine = stamp_of(a->id, (uint32_t)before);
    if (!is_free(a, before) || !swap(stamp, &before, mine)) {
        return false;
    }
    QSHM_POINT("buffer kept");
    bool whole = current(a) == word;
    if (whole) {
        copy_current(a, word, bytes, capacity, seen);
    }
    swap(stamp, &mine, stamp_of(0, (uint32_t)mine));
    return whole;
}

static bool take_pin(struct qshm__attachment *a)
{
    uint32_t owner = atomic_load(&a->control->value_pin);
    return (owner == 0 || (owner != a->id && !qshm__is_alive(a->fd, a->id, owner))) &&
           atomic_compare_exchange_strong(&a->control->value_pin, &owner, a->id);
}

int qshm__value_get(struct qshm__attachment *a, void *bytes, uint64_t capacity, struct qshm__value_seen *seen)
{
    *seen = (struct qshm__value_seen){0};
    for (int tries = 0; tries < FREE_TRIES; tries++) {
        if (current(a) == 0 || copy_freely(a, bytes, capacity, seen)) {
            return 0;
        }
    }
    double deadline = qshm__os_now() + QSHM_PATIENCE;
    do {
        if (a->id != 0 && take_pin(a)) { /* an observer cannot write here: it goes on trying */
            QSHM_POINT("pinned");
            bool whole = false;
            while (!whole && qshm__os_now() < deadline) {
                whole = copy_pinned(a, bytes, capacity, seen) || copy_freely(a, bytes, capacity, seen);
            }
            atomic_store(&a->control->value_pin, 0);
            return whole ? 0 : QSHM_E_BUSY;
        }
        if (copy_freely(a, bytes, capacity, seen)) {
            return 0;
        }
    } while (qshm__os_now() < deadline);
    return QSHM_E_BUSY;
}

/* --- entry points ------------------------------------------------------------------------------------------------ */

int32_t qshm_value_set(double handle, const void *bytes, double size, double expected)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_VALUE, &error);
    if (a == NULL || a->read_only) {
        return a == NULL ? error : QSHM_E_READ_ONLY;
    }
    if (!qshm__is_size(size) || (bytes == NULL && size > 0) || (uint64_t)size > qshm__value_capacity(a) ||
        !(expected < 1e19) || (expected >= 0 && expected < 9007199254740992.0 && !qshm__is_size(expected))) {
        return QSHM_E_ARGUMENT;
    }
    return qshm__value_set(a, bytes, (uint64_t)size, expected >= 0 ? &expected : NULL);
}

int32_t qshm_value_get(double handle, void *value, double capacity)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    struct qshm_value header;
    if (a == NULL || a->kind != QSHM_KIND_VALUE) {
        return a == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    if (value == NULL || !qshm__is_size(capacity) || capacity < sizeof header) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__value_seen seen;
    int r = qshm__value_get(a, (uint8_t *)value + sizeof header, (uint64_t)capacity - sizeof header, &seen);
    if (r < 0) {
        return r;
    }
    header = (struct qshm_value){.sequence = (double)seen.sequence, .size = (double)seen.size};
    memcpy(value, &header, sizeof header);
    return (int32_t)(sizeof header + seen.size);
}

double qshm_value_sequence(double handle)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    return a == NULL ? QSHM_E_HANDLE : a->kind != QSHM_KIND_VALUE ? QSHM_E_ARGUMENT : (double)qshm__value_sequence(a);
}

double qshm_value_capacity(double handle)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    return a == NULL ? QSHM_E_HANDLE : a->kind != QSHM_KIND_VALUE ? QSHM_E_ARGUMENT : (double)qshm__value_capacity(a);
}
