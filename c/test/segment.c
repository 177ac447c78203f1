/*
 * segment.c - the orderly life of a segment: sizes, kinds, persistence, removal, the sweep, listings.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

CASE(segment_create_and_attach)
{
    EQ(open_memory(QSHM_ATTACH, "a"), QSHM_E_NOT_FOUND);
    EQ(outcome.flags, 0);
    int32_t a = open_memory(QSHM_CREATE, "a");
    GT(a, 0);
    EQ(outcome.flags, QSHM_CREATED);
    EQ(outcome.size, 4096);
    EQ_TEXT(outcome.path, path_of("m-a"));
    EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_ALREADY_EXISTS);
    int32_t b = open_memory(QSHM_ATTACH, "a");
    EQ(outcome.flags, 0);
    EQ(outcome.size, 4096);
    int32_t c = open_memory(QSHM_CREATE | QSHM_ATTACH, "a");
    EQ(outcome.flags, 0);
    EQ(open_kind(QSHM_KIND_MEMORY, QSHM_ATTACH, 4095, "a"), QSHM_E_SIZE_MISMATCH);
    EQ(outcome.size, 4096);
    EQ(open_kind(QSHM_KIND_MEMORY, QSHM_CREATE | QSHM_ATTACH, 5000, "a"), QSHM_E_SIZE_MISMATCH);
    EQ(qshm_detach((uint32_t)a), 0);
    EQ(qshm_detach((uint32_t)c), 0);
    CHECK(exists("m-a"));
    EQ(qshm_detach((uint32_t)b), 0);
    EQ(count_files(), 0);
}

CASE(segment_sizes)
{
    double sizes[] = {1, 4095, 4096, 4097, 65536, 3 << 20, 70 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int32_t a = open_kind(QSHM_KIND_MEMORY, QSHM_CREATE, sizes[i], "a");
        GT(a, 0);
        char byte = 1;
        EQ(qshm_read((uint32_t)a, sizes[i] - 1, &byte, 1), 0);
        EQ(byte, 0);
        EQ(qshm_detach((uint32_t)a), 0);
    }
    double bad[] = {0, -1, 0.5, 1.5, 9007199254740994.0, 1e300};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        EQ(open_kind(QSHM_KIND_MEMORY, QSHM_CREATE, bad[i], "a"), QSHM_E_ARGUMENT);
    }
    EQ(open_kind(QSHM_KIND_MEMORY, QSHM_CREATE, 9007199254740992.0, "a"), QSHM_E_RESOURCES);
    EQ(count_files(), 0);
}

/* Every kind in every way of attaching; semaphores and guards have no payload. */
CASE(segment_kinds_and_read_only)
{
    for (uint32_t kind = QSHM_KIND_MEMORY; kind <= QSHM_KIND_INSTANCE; kind++) {
        double size = kind <= QSHM_KIND_VALUE ? 4096 : 0;
        int32_t a = open_kind(kind, QSHM_CREATE, size, "a");
        GT(a, 0);
        int32_t b = open_kind(kind, QSHM_ATTACH, 0, "a");
        GT(b, 0);
        int32_t c = open_kind(kind, QSHM_ATTACH | QSHM_READ_ONLY, 0, "a");
        if (c <= 0) {
            runner_fail(__FILE__, __LINE__, "read-only attach of kind %u: %d (%s), %s, errno %d", kind,
                        c, error_name(c),
                        outcome.call, outcome.os_error);
        }
        EQ(outcome.flags & QSHM_OBSERVER, 0);
        EQ(qshm_write((uint32_t)c, 0, NULL, 0), QSHM_E_READ_ONLY);
        EQ(qshm_try_lock((uint32_t)c), 1);
        EQ(qshm_unlock((uint32_t)c), 0);
        EQ(qshm_detach((uint32_t)a), 0);
        EQ(qshm_detach((uint32_t)b), 0);
        EQ(qshm_detach((uint32_t)c), 0);
        EQ(count_files(), 0);
    }
}

CASE(segment_read_only_view_is_private)
{
    uint32_t a = (uint32_t)open_memory(QSHM_CREATE, "a");
    uint32_t b = (uint32_t)open_memory(QSHM_ATTACH | QSHM_READ_ONLY, "a");
    EQ(qshm_write(a, 0, "one", 3), 0);
    char *view = qshm_payload(b);
    EQ(memcmp(view, "one", 3), 0);
    view[0] = 'X';
    char bytes[4] = "";
    EQ(qshm_read(a, 0, bytes, 3), 0);
    EQ_TEXT(bytes, "one");
    EQ(qshm_write(b, 0, "two", 3), QSHM_E_READ_ONLY);
    EQ(qshm_detach(b), 1);
    EQ(qshm_unmap(b, 0), 0);
    EQ(count_maps(), 1);
}

/* --- persistent --------------------------------------------------------------------------------------------------- */

static void attach_and_die(void *argument)
{
    (void)argument;
    GT(open_memory(QSHM_ATTACH, "a"), 0);
    raise(SIGKILL);
}

CASE(persistent_life)
{
    uint32_t a = (uint32_t)open_memory(QSHM_CREATE | QSHM_PERSISTENT, "a");
    EQ(outcome.flags, QSHM_CREATED | QSHM_IS_PERSISTENT);
    EQ(qshm_write(a, 0, "kept", 4), 0);
    EQ(qshm_detach(a), 0);
    CHECK(exists("m-a"));
    EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_ALREADY_EXISTS);
    EQ(open_memory(QSHM_CREATE | QSHM_PERSISTENT, "a"), QSHM_E_ALREADY_EXISTS);
    a = (uint32_t)open_memory(QSHM_ATTACH, "a");
    EQ(outcome.flags, QSHM_IS_PERSISTENT);
    char bytes[5] = "";
    EQ(qshm_read(a, 0, bytes, 4), 0);
    EQ_TEXT(bytes, "kept");
    EQ(qshm_detach(a), 0);
    wait_killed(spawn(attach_and_die, NULL), SIGKILL);
    a = (uint32_t)open_memory(QSHM_ATTACH, "a");
    EQ(outcome.flags, QSHM_IS_PERSISTENT | QSHM_RECOVERED);
    EQ(qshm_read(a, 0, bytes, 4), 0);
    EQ_TEXT(bytes, "kept");
    EQ(remove_name("m-a", false), QSHM_E_IN_USE);
    EQ(outcome.pid, getpid());
    EQ(qshm_detach(a), 0);
    a = (uint32_t)open_memory(QSHM_CREATE | QSHM_ATTACH, "a");
    EQ(outcome.flags, QSHM_IS_PERSISTENT);
    EQ(qshm_detach(a), 0);
    EQ(remove_name("m-a", false), 1);
    EQ(remove_name("m-a", false), 0);
    EQ(count_files(), 0);
}

/* One of several users crashed while others lived: whoever is alone first learns of it. */
CASE(persistent_crash_beside_others)
{
    uint32_t a = (uint32_t)open_memory(QSHM_CREATE | QSHM_PERSISTENT, "a");
    wait_killed(spawn(attach_and_die, NULL), SIGKILL);
    uint32_t b = (uint32_t)open_memory(QSHM_ATTACH, "a");
    EQ(outcome.flags, QSHM_IS_PERSISTENT);
    EQ(qshm_detach(a), 0);
    EQ(qshm_detach(b), 0);
    a = (uint32_t)open_memory(QSHM_ATTACH, "a");
    EQ(outcome.flags, QSHM_IS_PERSISTENT | QSHM_RECOVERED);
    EQ(qshm_detach(a), 0);
    a = (uint32_t)open_memory(QSHM_ATTACH, "a");
    EQ(outcome.flags, QSHM_IS_PERSISTENT);
}

/* --- remove ------------------------------------------------------------------------------------------------------- */

CASE(remove_used_and_dead)
{
    EQ(remove_name("m-a", false), 0);
    EQ(remove_name("a", false), QSHM_E_ARGUMENT);
    EQ(remove_name("m-a/b", true), QSHM_E_ARGUMENT);
    EQ(remove_name("../m-a", true), QSHM_E_ARGUMENT);
    leave_dead(QSHM_KIND_MEMORY, 0, "a");
    EQ(remove_name("m-a", false), 1);
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", 0);
    EQ(remove_name("m-a", false), QSHM_E_IN_USE);
    EQ(outcome.pid, holder.pid);
    EQ(remove_name("m-a", true), 1);
    int32_t other = open_memory(QSHM_CREATE, "a");
    GT(other, 0);
    holder_end(&holder); /* must not take the new one with it */
    CHECK(exists("m-a"));
    EQ(qshm_detach((uint32_t)other), 0);
    EQ(count_files(), 0);
}

/* A guard that is held (byte P) is removed by nobody. */
CASE(remove_held_guard)
{
    int32_t a = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE, 0, "a");
    GT(a, 0);
    int fd = open(path_of("i-a"), O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)QSHM_RANGE_P, .l_len = 1};
    EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
    EQ(remove_name("i-a", false), QSHM_E_IN_USE);
    EQ(remove_name("i-a", true), QSHM_E_IN_USE);
    EQ(outcome.pid, getpid());
    struct qshm_info info;
    GT(inspect_name("i-a", &info), 0);
    EQ(info.held, 1);
    close(fd);
    EQ(remove_name("i-a", true), 1);
}

/* --- sweep -------------------------------------------------------------------------------------------------------- */

CASE(sweep_takes_the_dead_only)
{
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "live", 0);
    leave_dead(QSHM_KIND_MEMORY, 0, "dead");
    leave_dead(QSHM_KIND_VALUE, 0, "dead");
    leave_dead(QSHM_KIND_SEMAPHORE, 0, "dead");
    leave_dead(QSHM_KIND_INSTANCE, 0, "guard");
    leave_dead(QSHM_KIND_MEMORY, QSHM_PERSISTENT, "kept");
    int text = open(path_of("m-text"), O_CREAT | O_RDWR, 0600);
    EQ(write(text, "text", 4), 4);
    close(text);
    close(open(path_of("README"), O_CREAT | O_RDWR, 0600));
    close(open(path_of("x.0123456789abcdef"), O_CREAT | O_RDWR, 0600)); /* a draft whose maker died */
    int32_t a = open_memory(QSHM_CREATE, "a");
    GT(a, 0);
    EQ(outcome.flags, QSHM_CREATED);
    CHECK(!exists("m-dead") && !exists("v-dead") && !exists("s-dead") && !exists("x.0123456789abcdef"));
    CHECK(exists("i-guard") && exists("m-kept") && exists("m-live") && exists("m-text") && exists("README"));
    holder_end(&holder);
}

static void put_file(const char *name, const char *bytes, size_t size)
{
    int fd = open(path_of(name), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    GE(fd, 0);
    EQ(write(fd, bytes, size), size);
    close(fd);
}

/* Names that a draft could not have, and contents that its maker could not have made, are somebody else's. */
CASE(sweep_leaves_strangers_alone)
{
    static const char zeros[8192];
    static const char *const strangers[] = {"x.c", "x.ts", "x.important.db", "x.", "x.0123456789abcde",
                                            "x.0123456789abcdef0", "x.0123456789ABCDEF", "x.0123456789abcdeg"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        put_file(strangers[i], i % 2 == 0 ? "" : "int x;", i % 2 == 0 ? 0 : 6);
    }
    put_file("x.0123456789abcdef", "a stranger's, of any length", 27);
    put_file("x.aaaaaaaaaaaaaaaa", "short", 5);
    put_file("x.0000000000000000", "", 0);
    put_file("x.1111111111111111", zeros, sizeof zeros);
    leave_dead(QSHM_KIND_MEMORY, 0, "whole");
    EQ(rename(path_of("m-whole"), path_of("x.2222222222222222")), 0); /* its maker died before it was published */
    for (int creates = 0; creates < 3; creates++) {
        int32_t a = open_memory(QSHM_CREATE, "a");
        GT(a, 0);
        EQ(outcome.flags, QSHM_CREATED);
        EQ(qshm_detach((uint32_t)a), 0);
    }
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        CHECK(exists(strangers[i]));
    }
    CHECK(exists("x.0123456789abcdef") && exists("x.aaaaaaaaaaaaaaaa"));
    CHECK(!exists("x.0000000000000000") && !exists("x.1111111111111111") && !exists("x.2222222222222222"));
}

static void leave_many(void *argument)
{
    int many = *(const int *)argument;
    for (int i = 0; i < many; i++) {
        char key[16];
        snprintf(key, sizeof key, "dead%d", i);
        GT(open_memory(QSHM_CREATE, key), 0);
    }
    raise(SIGKILL);
}

CASE(sweep_is_bounded)
{
    int many = 100;
    wait_killed(spawn(leave_many, &many), SIGKILL);
    EQ(count_files(), many);
    for (int creates = 0; count_files() > 0; creates++) {
        LT(creates, 100);
        int before = count_files();
        int32_t a = open_memory(QSHM_CREATE, "a");
        GT(a, 0);
        EQ(qshm_detach((uint32_t)a), 0);
        GE(count_files(), before - 16);
    }
}

/* Dead files beyond those that one read of the directory gives are found too. */
CASE(sweep_reaches_everything)
{
    leave_dead(QSHM_KIND_MEMORY, 0, "first");
    enum { MANY = 800 };
    for (int i = 0; i < MANY; i++) { /* these stay: nobody's to sweep */
        char name[64];
        snprintf(name, sizeof name, "m-%050d", i);
        close(open(path_of(name), O_CREAT | O_RDWR, 0600));
    }
    leave_dead(QSHM_KIND_MEMORY, 0, "last");
    for (int creates = 0; creates < 300 && (exists("m-first") || exists("m-last")); creates++) {
        int32_t a = open_memory(QSHM_CREATE, "a");
        GT(a, 0);
        EQ(qshm_detach((uint32_t)a), 0);
    }
    EQ(exists("m-first"), 0);
    EQ(exists("m-last"), 0);
}

/* --- inspect and list --------------------------------------------------------------------------------------------- */

CASE(inspect_states)
{
    struct qshm_info info;
    EQ(inspect_name("m-a", &info), QSHM_E_NOT_FOUND);
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", HOLDER_LOCKS);
    struct {
        struct qshm_info info;
        uint32_t ids[4];
    } found;
    EQ(qshm_inspect("m-a", 3, NULL, 0, &found, sizeof found, &outcome), sizeof found.info + sizeof(uint32_t));
    EQ(found.info.state, QSHM_LIVE);
    EQ(found.info.kind, QSHM_KIND_MEMORY);
    EQ(found.info.layout, QSHM_LAYOUT);
    EQ(found.info.size, 4096);
    EQ(found.info.attached, 1);
    EQ(found.ids[0], 1);
    EQ(found.info.lock_owner, 1);
    struct qshm_holder holders[16];
    int32_t bytes = qshm_holders(found.info.device, holders, sizeof holders);
    bool seen = false;
    for (int32_t i = 0; i < bytes / (int32_t)sizeof *holders && i < 16; i++) {
        seen = seen || (holders[i].inode == found.info.inode && holders[i].id == 1 &&
                        holders[i].pid == (uint32_t)holder.pid);
    }
    CHECK(seen || bytes > (int32_t)sizeof holders); /* other cases use this device too */
    holder_end(&holder);
}

CASE(inspect_dead)
{
    leave_dead(QSHM_KIND_MEMORY, 0, "a");
    struct qshm_info info;
    GT(inspect_name("m-a", &info), 0);
    EQ(info.state, QSHM_DEAD);
    EQ(info.attached, 0);
    EQ(info.key_size, 1);
    EQ(info.key[0], 'a');
    CHECK(exists("m-a"));
}

CASE(list_names)
{
    EQ(qshm_list(NULL, 0, NULL, 0, &outcome), 0);
    int32_t a = open_memory(QSHM_CREATE, "a");
    int32_t b = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE, 0, "b");
    GT(a, 0);
    GT(b, 0);
    close(open(path_of("unrelated"), O_CREAT | O_RDWR, 0600));
    EQ(qshm_list(NULL, 0, NULL, 0, &outcome), 8);
    char names[9] = "--------";
    EQ(qshm_list(NULL, 0, names, 8, &outcome), 8);
    CHECK(memcmp(names, "m-a\0i-b\0", 8) == 0 || memcmp(names, "i-b\0m-a\0", 8) == 0);
    EQ(qshm_list(NULL, 0, names, 3, &outcome), 8);
    struct qshm_info info;
    GT(inspect_name("m-a", &info), 0);
    struct qshm_holder holders[8];
    EQ(qshm_holders(info.device, NULL, 0) % (int32_t)sizeof *holders, 0);
    EQ(qshm_holders(-1, holders, sizeof holders), QSHM_E_ARGUMENT);
}
