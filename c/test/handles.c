/*
 * handles.c - handles and ids: which are valid, and which numbers are never drawn.
 *
 * Invariant: every entry point takes any number for a handle, and NULL or a pointer of size 0 for a buffer.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support.h"

CASE(handles_wrong_numbers)
{
    int32_t made = open_memory(QSHM_CREATE, "a");
    GT(made, 0);
    uint32_t handle = (uint32_t)made;
    uint32_t wrong[] = {0, 1, handle + 1, handle + 4096, handle ^ 0x80000000u,
                        0x7fffffff, 0x80000000u, 0xffffffffu, 8192};
    char bytes[8];
    struct qshm_process process;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint32_t w = wrong[i];
        EQ(qshm_detach(w), QSHM_E_HANDLE);
        EQ(qshm_unmap(w, 0), QSHM_E_HANDLE);
        EQ(qshm_leave(w), QSHM_E_HANDLE);
        CHECK(qshm_payload(w) == NULL);
        EQ(qshm_read(w, 0, bytes, 1), QSHM_E_HANDLE);
        EQ(qshm_write(w, 0, bytes, 1), QSHM_E_HANDLE);
        EQ(qshm_write_if_changed(w, 0, bytes, 1), QSHM_E_HANDLE);
        EQ(qshm_revision(w), QSHM_E_HANDLE);
        EQ(qshm_try_lock(w), QSHM_E_HANDLE);
        EQ(qshm_poll_lock(w), QSHM_E_HANDLE);
        EQ(qshm_cancel_lock(w), QSHM_E_HANDLE);
        EQ(qshm_wait_lock(w, 1), QSHM_E_HANDLE);
        EQ(qshm_unlock(w), QSHM_E_HANDLE);
        EQ(qshm_lock_owner(w, &process), QSHM_E_HANDLE);
        EQ(qshm_force_unlock(w, 0, &process), QSHM_E_HANDLE);
    }
    static const double nothing[] = {-1, -0.5, 0.5, 2147483648.0, 4294967296.0, 1e300, HUGE_VAL, -HUGE_VAL, NAN};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) { /* where a handle is a double */
        EQ(qshm_revision(nothing[i]), QSHM_E_HANDLE);
        EQ(qshm_try_lock(nothing[i]), QSHM_E_HANDLE);
        EQ(qshm_poll_lock(nothing[i]), QSHM_E_HANDLE);
        EQ(qshm_cancel_lock(nothing[i]), QSHM_E_HANDLE);
        EQ(qshm_wait_lock(nothing[i], 1), QSHM_E_HANDLE);
        EQ(qshm_unlock(nothing[i]), QSHM_E_HANDLE);
    }
    EQ(qshm_unmap(handle, 0), QSHM_E_HANDLE); /* not detached */
    EQ(qshm_detach(handle), 0);
    EQ(qshm_detach(handle), QSHM_E_HANDLE);
    EQ(qshm_revision(handle), QSHM_E_HANDLE);
}

/* A slot that is used again gives another handle; the old one stays stale. */
CASE(handles_generations)
{
    int32_t first = open_memory(QSHM_CREATE, "a");
    EQ(qshm_detach((uint32_t)first), 0);
    int32_t before = first;
    for (int i = 0; i < 1000; i++) {
        int32_t handle = open_memory(QSHM_CREATE, "a");
        GT(handle, 0);
        NE(handle, before);
        EQ(qshm_revision((uint32_t)before), QSHM_E_HANDLE);
        EQ(qshm_revision((uint32_t)first), QSHM_E_HANDLE);
        EQ(qshm_detach((uint32_t)handle), 0);
        before = handle;
    }
}

CASE(handles_view_outlives_detach)
{
    int32_t keeper = open_memory(QSHM_CREATE, "a");
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    char *view = qshm_payload((uint32_t)handle);
    CHECK(view != NULL && qshm_payload((uint32_t)handle) == (void *)view);
    view[0] = 'x';
    char byte = 0;
    EQ(qshm_read((uint32_t)keeper, 0, &byte, 1), 0);
    EQ(byte, 'x');
    EQ(qshm_detach((uint32_t)handle), 1);
    view[0] = 'y'; /* inert: no fault, and nobody sees it */
    EQ(qshm_read((uint32_t)keeper, 0, &byte, 1), 0);
    EQ(byte, 'x');
    EQ(qshm_revision((uint32_t)handle), QSHM_E_HANDLE);
    EQ(qshm_unmap((uint32_t)handle, 0), 0);
    EQ(qshm_unmap((uint32_t)handle, 0), QSHM_E_HANDLE);
}

CASE(handles_read_and_write)
{
    uint32_t h = (uint32_t)open_memory(QSHM_CREATE, "a");
    char bytes[16] = {0};
    EQ(qshm_revision(h), 0);
    EQ(qshm_write(h, 4093, "abc", 3), 0);
    EQ(qshm_revision(h), 1);
    EQ(qshm_read(h, 4093, bytes, 3), 0);
    EQ_TEXT(bytes, "abc");
    EQ(qshm_write_if_changed(h, 4093, "abc", 3), 0);
    EQ(qshm_write_if_changed(h, 4093, "abd", 3), 1);
    EQ(qshm_revision(h), 2);
    EQ(qshm_read(h, 4096, NULL, 0), 0);
    double bad[] = {-1, 0.5, 4094, 4097, 1e300, HUGE_VAL, -HUGE_VAL, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EQ(qshm_write(h, bad[i], "abc", 3), QSHM_E_ARGUMENT);
        EQ(qshm_read(h, bad[i], bytes, 3), QSHM_E_ARGUMENT);
    }
    EQ(qshm_read(h, 0, bytes, 4097), QSHM_E_ARGUMENT);
    EQ(qshm_read(h, 0, NULL, 1), QSHM_E_ARGUMENT);
    EQ(qshm_write(h, 0, NULL, 1), QSHM_E_ARGUMENT);
    EQ(qshm_revision(h), 2);
}

CASE(handles_limit)
{
    runner_watchdog(300);
    struct rlimit limit;
    EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 3 * 4096;
    limit.rlim_max = limit.rlim_max < limit.rlim_cur ? limit.rlim_cur : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        runner_skip("12288 descriptors are not to be had");
    }
    static int32_t handles[4096];
    for (int i = 0; i < 4096; i++) {
        handles[i] = open_memory(QSHM_CREATE | QSHM_ATTACH, "a");
        GT(handles[i], 0);
    }
    int fds = count_fds();
    EQ(open_memory(QSHM_CREATE | QSHM_ATTACH, "a"), QSHM_E_RESOURCES);
    EQ(open_memory(QSHM_CREATE, "b"), QSHM_E_RESOURCES);
    EQ(count_fds(), fds);
    EQ(count_files(), 1);
    EQ(qshm_detach((uint32_t)handles[77]), 0);
    handles[77] = open_memory(QSHM_ATTACH, "a");
    GT(handles[77], 0);
    for (int i = 0; i < 4096; i++) {
        EQ(qshm_detach((uint32_t)handles[i]), 0);
    }
    EQ(count_files(), 0);
}

/* Out of descriptors: a typed error, and nothing is left. */
CASE(handles_out_of_descriptors)
{
    struct rlimit limit;
    EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int32_t warm = open_memory(QSHM_CREATE, "warm");
    EQ(qshm_detach((uint32_t)warm), 0);
    for (rlim_t most = 0; most < 16; most++) {
        struct rlimit low = {.rlim_cur = most, .rlim_max = limit.rlim_max};
        EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
        int32_t r = open_memory(QSHM_CREATE, "a");
        EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (r > 0) {
            EQ(qshm_detach((uint32_t)r), 0);
        } else {
            EQ(r, QSHM_E_RESOURCES);
            EQ(outcome.os_error, 24);
        }
        EQ(count_files(), 0);
    }
}

/* --- any argument ------------------------------------------------------------------------------------------------- */

static double odd_double(struct random *random)
{
    static const double some[] = {0, 1, -1, 0.5, 3, 4096, 4097, 8192, 9007199254740992.0, 9007199254740994.0, 1e300};
    uint32_t pick = random_below(random, 16);
    return pick < 11 ? some[pick] : pick == 11 ? NAN : pick == 12 ? HUGE_VAL : pick == 13 ? -HUGE_VAL
           : (double)(int64_t)random_next(random);
}

/* Every entry point with numbers from nowhere: no crash; no success through a handle that does not exist. */
CASE(handles_random_calls)
{
    struct random random = random_from(runner_seed());
    uint32_t valid = (uint32_t)open_memory(QSHM_CREATE, "a");
    static char buffer[8192];
    char name[192];
    void *nowhere = (void *)(uintptr_t)16; /* allowed where the size is 0 */
    int64_t successes = 0;
    for (int i = 0; i < 100000; i++) {
        uint32_t n = (uint32_t)random_next(&random), m = (uint32_t)random_next(&random) >> random_below(&random, 32);
        uint32_t h = random_below(&random, 8) == 0 ? m % 4096 : n;
        h += h == valid;
        double x = odd_double(&random), y = odd_double(&random);
        int32_t r = QSHM_E_HANDLE;
        switch (random_below(&random, 26)) {
        case 0: r = qshm_detach(h); break;
        case 1: r = qshm_unmap(h, m); break;
        case 2: r = qshm_leave(h); break;
        case 3: r = qshm_payload(h) == NULL ? QSHM_E_HANDLE : 0; break;
        case 4: r = qshm_read(h, x, buffer, y); break;
        case 5: r = qshm_write(h, x, NULL, y); break;
        case 6: r = qshm_write_if_changed(h, x, nowhere, 0); break;
        case 7: r = qshm_revision(h); break;
        case 8: r = qshm_try_lock(h); break;
        case 9: r = qshm_poll_lock(h); break;
        case 10: r = qshm_cancel_lock(h); break;
        case 11: r = qshm_wait_lock(h, x); break;
        case 12: r = qshm_unlock(h); break;
        case 13: r = qshm_lock_owner(h, NULL); break;
        case 14: r = qshm_force_unlock(h, m, NULL); break;
        /* Those below have no handle: they may succeed where the arguments are sound. */
        case 15: r = qshm_file_name(m, nowhere, 0, name); CHECK(r < 0); break;
        case 16: r = qshm_file_name(m, NULL, n, name); CHECK(r < 0); break;
        case 17: r = qshm_describe(NULL, n); CHECK(r > 0); r = -1; break;
        case 18: r = qshm_list(NULL, n, NULL, m, &outcome); CHECK(r < 0 || (n == 0 && m == 0)); r = -1; break;
        case 19: r = qshm_list(nowhere, 0, nowhere, 0, &outcome); GT(r, 0); r = -1; break;
        case 20: r = qshm_inspect(NULL, n, NULL, 0, NULL, m, &outcome); CHECK(r < 0); break;
        case 21:
            r = qshm_holders(random_below(&random, 64) == 0 ? x : -1, NULL, m);
            CHECK(r < 0 || m == 0);
            r = -1;
            break;
        case 22: r = qshm_remove(NULL, n, nowhere, 0, m, &outcome); CHECK(r < 0); break;
        case 23: r = qshm_remove("m-a", 3, NULL, 0, m, NULL); CHECK(r < 0); break;
        case 24:
            r = qshm_open(m, n, (uint32_t)random_next(&random), x, nowhere, 0, NULL, m % 2, &outcome);
            CHECK(r < 0);
            break;
        default: {
            uint32_t how = n % 32, kind = m % 7;
            r = qshm_open(kind, how, 0, x, "b", 1, nowhere, 0, random_below(&random, 8) == 0 ? NULL : &outcome);
            if (r > 0) {
                CHECK(kind >= 1 && kind <= 4 && (how & 3) != 0 && how < 16);
                EQ(qshm_detach((uint32_t)r), 0);
                remove_name("m-b", true);
                remove_name("v-b", true);
                remove_name("s-b", true);
                remove_name("i-b", true);
                successes++;
                r = -1;
            } else {
                GE(r, QSHM_E_SYSTEM);
            }
        }
        }
        LT(r, 0);
    }
    GT(successes, 0);
    EQ(qshm_revision(valid), 0);
    EQ(qshm_detach(valid), 0);
    EQ(count_files(), 0);
}

/* --- ids ---------------------------------------------------------------------------------------------------------- */

struct places {
    uint32_t kind;
    char name[8];
};

/* Writes `id` to the i-th word that can name one; false when there are no more. */
static bool name_id(struct qshm__control *control, uint32_t kind, int i, uint32_t id)
{
    const uint64_t high = (uint64_t)id << 32;
    struct qshm__semaphore_part *semaphore = (void *)(control + 1);
    struct qshm__instance_part *instance = (void *)(control + 1);
    switch (i) {
    case 0: control->lock = id; return true;
    case 1: control->lock = high; return true;
    case 2: control->lock = high | WORD_DIED | WORD_WAITERS; return true;
    case 3: control->bells[0].state = high; return true;
    case 4: control->bells[QSHM_BELLS - 1].state = high | 7; return true;
    case 5: if (kind == QSHM_KIND_VALUE) control->value_stamp[0] = high | 3;
            if (kind == QSHM_KIND_SEMAPHORE) semaphore->record[0] = high | 1;
            if (kind == QSHM_KIND_INSTANCE) instance->message[0].state = high | 1;
            return kind != QSHM_KIND_MEMORY;
    case 6: if (kind == QSHM_KIND_VALUE) control->value_stamp[QSHM_BUFFERS - 1] = high;
            if (kind == QSHM_KIND_SEMAPHORE) semaphore->record[QSHM_PERMIT_RECORDS - 1] = high;
            if (kind == QSHM_KIND_INSTANCE) instance->message[QSHM_MESSAGES - 1].state = high;
            return kind != QSHM_KIND_MEMORY;
    case 7: if (kind == QSHM_KIND_VALUE) control->value_pin = id;
            if (kind == QSHM_KIND_SEMAPHORE) semaphore->ticket[0].claim = high | 2;
            if (kind == QSHM_KIND_INSTANCE) control->holder = id;
            return kind != QSHM_KIND_MEMORY;
    case 8: if (kind == QSHM_KIND_SEMAPHORE) semaphore->ticket[QSHM_PERMIT_RECORDS - 1].claim = high;
            return kind == QSHM_KIND_SEMAPHORE;
    default: return false;
    }
}

static void draw_for_kind(uint32_t kind, const char *name)
{
    int32_t keeper = open_kind(kind, QSHM_CREATE, 4096, "a");
    GT(keeper, 0);
    uint64_t control_size = qshm__control_size(kind);
    int fd = open(path_of(name), O_RDWR | O_CLOEXEC);
    uint8_t *clean = malloc(control_size), *bytes = aligned_alloc(4096, control_size);
    EQ(pread(fd, clean, control_size, 0), control_size);
    for (int i = 0;; i++) {
        const uint32_t id = 1000;
        memcpy(bytes, clean, control_size);
        struct qshm__control *control = (void *)bytes;
        control->next_id = id - 1;
        bool named = name_id(control, kind, i, id);
        EQ(pwrite(fd, bytes, control_size, 0), control_size);
        int32_t handle = open_kind(kind, QSHM_ATTACH, 0, "a");
        GT(handle, 0);
        if (id_of(handle) != (named ? id + 1 : id)) {
            runner_fail(__FILE__, __LINE__, "kind %u, place %d: drew %u", kind, i, id_of(handle));
        }
        EQ(pwrite(fd, clean, control_size, 0), control_size);
        EQ(qshm_detach((uint32_t)handle), 0);
        if (!named) {
            GE(i, 5);
            break;
        }
    }
    free(clean);
    free(bytes);
    close(fd);
    EQ(qshm_detach((uint32_t)keeper), 0);
}

/* L6 */
CASE(draw_id_skips_named_ids)
{
    draw_for_kind(QSHM_KIND_MEMORY, "m-a");
    draw_for_kind(QSHM_KIND_VALUE, "v-a");
    draw_for_kind(QSHM_KIND_SEMAPHORE, "s-a");
    draw_for_kind(QSHM_KIND_INSTANCE, "i-a");
}

CASE(draw_id_wraps)
{
    int32_t keeper = open_memory(QSHM_CREATE, "a");
    EQ(id_of(keeper), 1);
    struct qshm__control *control = peek("m-a");
    static const struct {
        uint32_t next, drawn;
    } wraps[] = {{0x7ffffffd, 0x7ffffffe}, {0x7ffffffe, 0x7fffffff}, {0x7fffffff, 2}, {0xffffffff, 2}, {0x80000005, 6}};
    for (size_t i = 0; i < sizeof wraps / sizeof *wraps; i++) {
        control->next_id = wraps[i].next;
        int32_t handle = open_memory(QSHM_ATTACH, "a");
        GT(handle, 0);
        EQ(id_of(handle), wraps[i].drawn); /* 0 is nobody, 1 is the keeper, alive */
        EQ(qshm_try_lock((uint32_t)handle), 1);
        EQ(word_owner(control->lock), wraps[i].drawn);
        EQ(qshm_unlock((uint32_t)handle), 0);
        EQ(qshm_detach((uint32_t)handle), 0);
    }
    unpeek(control);
}
