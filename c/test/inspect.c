/*
 * inspect.c - what inspect tells of keys and of a segment's own number, also where the contents are no help.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static int32_t create(const char *key, uint32_t size)
{
    return qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 4096, key, size, NULL, 0, &outcome);
}

static void look(const char *key, uint32_t size, struct qshm_info *info)
{
    char name[192];
    GT(qshm_file_name(QSHM_KIND_MEMORY, key, size, name), 0);
    EQ(inspect_name(name, info), sizeof *info + info->attached * sizeof(uint32_t));
}

/* What is told of a key that is longer: whole characters, as many as fit. */
static void expect_key(const char *key, uint32_t size, uint32_t told)
{
    static struct qshm_info info;
    int32_t handle = create(key, size);
    GT(handle, 0);
    info.attached = 1;
    look(key, size, &info);
    if (info.key_size != told || info.key_is_cut != (told < size) || memcmp(info.key, key, told) != 0) {
        runner_fail(__FILE__, __LINE__, "of %u bytes %u are told, instead of %u; cut: %u", size, info.key_size, told,
                    info.key_is_cut);
    }
    EQ(qshm_detach((uint32_t)handle), 0);
}

static char long_key[5000];

CASE(inspect_long_keys)
{
    memset(long_key, 'k', sizeof long_key);
    static const uint32_t sizes[] = {1, 179, 180, 181, 200, 2046, 2047, 2048, 2049, 2050, 4999};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        expect_key(long_key, sizes[i], sizes[i] < QSHM_STORED_KEY ? sizes[i] : QSHM_STORED_KEY);
    }
}

/* Characters of 2, 3 and 4 bytes, at every distance from the cut. */
CASE(inspect_cut_characters)
{
    static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
        uint32_t width = (uint32_t)strlen(characters[i]);
        for (uint32_t start = QSHM_STORED_KEY - 5; start <= QSHM_STORED_KEY + 1; start++) {
            memset(long_key, 'k', sizeof long_key);
            memcpy(long_key + start, characters[i], width);
            bool straddles = start < QSHM_STORED_KEY && start + width > QSHM_STORED_KEY;
            expect_key(long_key, 2100, straddles ? start : QSHM_STORED_KEY);
        }
        for (uint32_t lead = 0; lead < width; lead++) { /* nothing but such characters */
            uint32_t size = lead;
            memset(long_key, 'k', sizeof long_key);
            for (; size < 2100; size += width) {
                memcpy(long_key + size, characters[i], width);
            }
            expect_key(long_key, size, lead + (QSHM_STORED_KEY - lead) / width * width);
        }
    }
}

static void scribble(const char *name, uint32_t size, const char *text)
{
    static char bytes[QSHM_STORED_KEY];
    memset(bytes, 'z', sizeof bytes);
    memcpy(bytes, text, strlen(text));
    poke(name, offsetof(struct qshm__control, key_size), &size, sizeof size);
    poke(name, offsetof(struct qshm__control, key), bytes, sizeof bytes);
}

/* A key is only told if it leads to the file's name: whoever scribbled over it cannot make another one of it. */
CASE(inspect_scribbled_keys)
{
    int32_t handle = create("key", 3);
    GT(handle, 0);
    struct qshm_info info;
    static const uint32_t sizes[] = {0, 1, 3, 4, 180, 2047, 2048, 2049, 3000, 0x7fffffff, 0xffffffff};
    static const char *const texts[] = {"foreign", "keyhole", "kex", "\xff\xfe", "key~", "k\x80"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) {
            scribble("m-key", sizes[i], texts[j]);
            GT(inspect_name("m-key", &info), 0);
            bool right = sizes[i] == 3 && strncmp(texts[j], "key", 3) == 0;
            if (info.key_size != (right ? 3 : 0) || info.key_is_cut != 0) {
                runner_fail(__FILE__, __LINE__, "size %u, \"%s\": %u bytes are told; cut: %u", sizes[i], texts[j],
                            info.key_size, info.key_is_cut);
            }
        }
    }
    EQ(qshm_detach((uint32_t)handle), 0);
}

/* The same with the name of a key that is cut, whose end cannot be compared. */
CASE(inspect_scribbled_long_key)
{
    memset(long_key, 'k', sizeof long_key);
    char name[192];
    GT(qshm_file_name(QSHM_KIND_MEMORY, long_key, 3000, name), 0);
    int32_t handle = create(long_key, 3000);
    GT(handle, 0);
    struct qshm_info info;
    static const uint32_t sizes[] = {0, 1, 7, 2047, 2048, 2049, 4000, 0xffffffff};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        scribble(name, sizes[i], "foreign");
        GT(inspect_name(name, &info), 0);
        EQ(info.key_size, 0);
        EQ(info.key_is_cut, 0);
    }
    EQ(qshm_detach((uint32_t)handle), 0);
}

/* --- the segment's own number ------------------------------------------------------------------------------------- */

CASE(inspect_segment_number)
{
    struct qshm_info info;
    struct qshm_process process;
    uint64_t seen[8];
    for (int i = 0; i < 8; i++) {
        int32_t handle = create("a", 1);
        GT(handle, 0);
        GT(inspect_name("m-a", &info), 0);
        NE(info.segment, 0);
        EQ(qshm_lock_owner((uint32_t)handle, &process), 0);
        CHECK(process.segment == info.segment);
        EQ(qshm_try_lock((uint32_t)handle), 1);
        EQ(qshm_lock_owner((uint32_t)handle, &process), 1);
        CHECK(process.segment == info.segment);
        EQ(qshm_force_unlock((uint32_t)handle, 0, &process), 1);
        CHECK(process.segment == info.segment);
        seen[i] = info.segment;
        for (int j = 0; j < i; j++) { /* the ids are the same each time */
            CHECK(seen[j] != seen[i]);
        }
        EQ(qshm_detach((uint32_t)handle), 0);
    }
    /* Of one that persists it stays. */
    int32_t handle = open_memory(QSHM_CREATE | QSHM_PERSISTENT, "kept");
    GT(inspect_name("m-kept", &info), 0);
    uint64_t number = info.segment;
    EQ(qshm_detach((uint32_t)handle), 0);
    GT(open_memory(QSHM_ATTACH, "kept"), 0);
    GT(inspect_name("m-kept", &info), 0);
    CHECK(info.segment == number);
}

/* --- values, semaphores, and who waits ---------------------------------------------------------------------------- */

CASE(inspect_value)
{
    struct qshm_info info;
    int32_t handle = qshm_open_value(QSHM_CREATE, 0, 1000, "a", 1, NULL, 0, "json", 4, &outcome);
    GT(handle, 0);
    GT(inspect_name("v-a", &info), 0);
    EQ(info.kind, QSHM_KIND_VALUE);
    EQ(info.largest, 1000);
    EQ(info.sequence, 0);
    EQ(info.value_size, 0);
    EQ(info.writer, 0);
    EQ(info.revision, 0);
    EQ_TEXT(info.codec, "json");
    EQ(qshm_value_set(handle, "hello", 5, -1), 1);
    EQ(qshm_value_set(handle, "no", 2, -1), 1);
    EQ(qshm_notify(handle), 0);
    GT(inspect_name("v-a", &info), 0);
    EQ(info.sequence, 2);
    EQ(info.value_size, 2);
    EQ(info.writer, id_of(handle));
    EQ(info.revision, 3);
    EQ(info.waiting, 0);
    EQ(info.available, 0);
    EQ(info.total, 0);
}

static void hold_and_die(void *argument)
{
    (void)argument;
    int32_t handle = qshm_open_semaphore(QSHM_ATTACH, 0, 0, 1, "a", 1, NULL, 0, &outcome);
    GT(handle, 0);
    EQ(qshm_acquire(handle, 2, 0), 1);
    _exit(0);
}

CASE(inspect_semaphore)
{
    struct qshm_info info;
    int32_t a = qshm_open_semaphore(QSHM_CREATE, 0, 5, 9, "a", 1, NULL, 0, &outcome);
    int32_t b = qshm_open_semaphore(QSHM_ATTACH, 0, 0, 1, "a", 1, NULL, 0, &outcome);
    GT(b, 0);
    EQ(wait_exit(spawn(hold_and_die, NULL)), 0);
    GT(inspect_name("s-a", &info), 0);
    EQ(info.kind, QSHM_KIND_SEMAPHORE);
    EQ(info.available, 5); /* those of the dead are free */
    EQ(info.total, 5);
    EQ(info.max, 9);
    EQ(info.queued, 0);
    EQ(qshm_acquire(a, 4, 0), 1);
    EQ(qshm_acquire(b, 3, 1), 0);
    GT(inspect_name("s-a", &info), 0);
    EQ(info.available, 1);
    EQ(info.queued, 1);
    EQ(qshm_consume(a, 1), 0);
    EQ(qshm_post(b, 3), 0);
    GT(inspect_name("s-a", &info), 0);
    EQ(info.available, 4);
    EQ(info.total, 7);
    EQ(info.lock_owner, 0);
    EQ(info.codec[0], 0);
}

CASE(inspect_waiting)
{
    struct qshm_info info;
    int32_t a = create("a", 1);
    GT(a, 0);
    int32_t b = open_memory(QSHM_ATTACH, "a");
    GE(qshm_bell_open((uint32_t)a, QSHM_BELL_FIFO, &outcome), 0);
    GE(qshm_bell_open((uint32_t)b, QSHM_BELL_SOCKET, &outcome), 0);
    GT(inspect_name("m-a", &info), 0);
    EQ(info.waiting, 0);
    EQ(qshm_expect_change(a, 0), 0);
    GT(inspect_name("m-a", &info), 0);
    EQ(info.waiting, 1);
    EQ(qshm_expect_change(b, 0), 0);
    GT(inspect_name("m-a", &info), 0);
    EQ(info.waiting, 2);
    EQ(qshm_notify(b), 0);
    GT(inspect_name("m-a", &info), 0);
    EQ(info.waiting, 0);
    EQ(info.revision, 1);
}
