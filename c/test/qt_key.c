/*
 * qt_key.c - names and numbers of Qt's key files. The names are those that real Qt programs made.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/sha1.h"
#include "qt_place.h"

static const char *hex(const uint8_t digest[20])
{
    static char text[41];
    for (int i = 0; i < 20; i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
    return text;
}

/* FIPS 180's own, and then every length of padding, up to four blocks: the hash of all hashes. */
CASE(qt_key_hash)
{
    uint8_t digest[20];
    qshm__sha1((const uint8_t *)"abc", 3, digest);
    EQ_TEXT(hex(digest), "a9993e364706816aba3e25717850c26c9cd0d89d");
    qshm__sha1((const uint8_t *)"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, digest);
    EQ_TEXT(hex(digest), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    static uint8_t million[1000000];
    memset(million, 'a', sizeof million);
    qshm__sha1(million, sizeof million, digest);
    EQ_TEXT(hex(digest), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    static uint8_t bytes[256], all[256 * 20];
    for (unsigned n = 0; n < 256; n++) {
        bytes[n] = (uint8_t)n;
        qshm__sha1(bytes, n, all + 20 * (size_t)n); /* 0, 1, ... n - 1 */
    }
    qshm__sha1(all, sizeof all, digest);
    EQ_TEXT(hex(digest), "18eb7565ae903c365fa4ddb4d158fbdfca1cfb96");
}

static const char *file_of(uint32_t semaphore, const char *key, size_t size)
{
    static char path[4097];
    memset(path, 0, sizeof path);
    int32_t length = qshm_qt_key_file(semaphore, key, (uint32_t)size, path, 4096);
    GT(length, 0);
    EQ(strlen(path), length);
    return path;
}

static void is_named(const char *key, size_t size, const char *rest)
{
    char path[8192];
    snprintf(path, sizeof path, "%s/qipc_sharedmemory_%s", runner_directory(), rest);
    EQ_TEXT(file_of(0, key, size), path);
    snprintf(path, sizeof path, "%s/qipc_systemsem_%s", runner_directory(), rest);
    EQ_TEXT(file_of(1, key, size), path);
}

CASE(qt_key_names)
{
    setenv("TMPDIR", runner_directory(), 1);
    is_named("a-b_c", 5, "abc6721b22e3507c196cbea67e0504f48a3003aa8cd");
    is_named("../etc/passwd", 13, "etcpasswde96c47eabf3d85aeea0d3921a414e847ceb4e49b");
    is_named("MyApp", 5, "MyApp73f8d4a808b3dc3c5b8b1da325f683e4a44f9eed");
    is_named("app \xf0\x9f\x98\x80 key", 12, "appkey3d6eb90d5e78eb69a11aeea293791793622e9d2a");
    is_named("{67c8770b-44f1-410a-ab9a-f9b5446f13ee}", 38, "cbfaabafbfee424ffaecb6628054279322ff5d1d562af9d86bd4");
    is_named("\0", 1, "5ba93c9db0cff93f52b521d7420e43f6eda2784f");
    is_named("No\xc3\xabl", 5, "Nolf74a492d6bd59d7591144462d27aa3e29d1701c1");
    char many[300];
    memset(many, '7', sizeof many);
    is_named(many, sizeof many, "7e5e609027810ed43b671440cba81a9d28e3e1f0");
    char rest[300];
    memset(rest, 'k', sizeof rest);
    strcpy(rest + 197, "b676889f003121f02b8b0fee0a1d3bf8c7708fdb");
    memset(many, 'k', sizeof many);
    is_named(many, 197, rest);
    strcpy(rest + 201, "76e7153607cf07648dffdf9402d0a0934822b828");
    memset(rest, 'k', 201);
    is_named(many, 201, rest);
}

static void is_in(const char *directory)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/qipc_systemsem_MyApp73f8d4a808b3dc3c5b8b1da325f683e4a44f9eed", directory);
    EQ_TEXT(file_of(1, "MyApp", 5), path);
}

/* Qt resolves links, and takes what leads nowhere for nothing. */
CASE(qt_key_directory)
{
    const char *own = runner_directory();
    char text[256];
    EQ(mkdir(path_of("real"), 0700), 0);
    EQ(symlink("real", path_of("link")), 0);
    char real[256];
    snprintf(real, sizeof real, "%s/real", own);
    static const char *const forms[] = {"%s/real", "%s/real/", "%s/real///", "%s/link", "%s/link/", "%s//./real", "%s/real/../link"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, forms[i], own);
#pragma GCC diagnostic pop
        setenv("TMPDIR", text, 1);
        is_in(real);
    }
    EQ(chdir(own), 0);
    setenv("TMPDIR", "real", 1);
    is_in(real);
    setenv("TMPDIR", ".", 1);
    is_in(own);
    snprintf(text, sizeof text, "%s/missing", own);
    setenv("TMPDIR", text, 1);
    is_in("");
    setenv("TMPDIR", "/", 1);
    is_in("/");
    setenv("TMPDIR", "", 1);
    is_in("/tmp");
    unsetenv("TMPDIR");
    is_in("/tmp");
}

CASE(qt_key_arguments)
{
    char path[4097];
    EQ(qshm_qt_key_file(0, "", 0, path, 4096), QSHM_E_KEY);
    EQ(qshm_qt_key_file(0, NULL, 0, path, 4096), QSHM_E_KEY);
    EQ(qshm_qt_key_file(0, NULL, 1, path, 4096), QSHM_E_ARGUMENT);
    EQ(qshm_qt_key_file(0, "a", 1, NULL, 1), QSHM_E_ARGUMENT);
    int32_t length = qshm_qt_key_file(0, "a", 1, NULL, 0);
    GT(length, 40);
    memset(path, '#', sizeof path);
    EQ(qshm_qt_key_file(0, "a", 1, path, (uint32_t)length - 1), length);
    EQ(path[0], '#');
    EQ(qshm_qt_key_file(0, "a", 1, path, (uint32_t)length), length);
    EQ(path[length], '#');
    EQ(path[0], '/');
    static char long_key[8192];
    memset(long_key, 'k', sizeof long_key);
    setenv("TMPDIR", "/", 1); /* "//qipc_sharedmemory_", letters, 40 digits, NUL: 4096 */
    EQ(qshm_qt_key_file(0, long_key, 4035, path, 4096), 4095);
    EQ(qshm_qt_key_file(0, long_key, 4036, path, 4096), QSHM_E_RESOURCES);
    EQ(qshm_qt_key_file(0, long_key, 8192, path, 4096), QSHM_E_RESOURCES);
    memset(long_key, '7', sizeof long_key);
    EQ(qshm_qt_key_file(0, long_key, 8192, path, 4096), 60);
}

/* Mode 0640 less the umask, as Qt's; and a number as ftok gives it. */
CASE(qt_key_file)
{
    qt_place();
    for (int masked = 0; masked < 2; masked++) {
        umask(masked ? 0077 : 0022);
        int32_t handle = qt_created();
        struct stat status;
        EQ(stat(path_of("shm"), &status), 0);
        EQ(status.st_mode & 07777, masked ? 0600 : 0640);
        EQ(stat(path_of("sem"), &status), 0);
        EQ(status.st_mode & 07777, masked ? 0600 : 0640);
        GE(qt_segment_id("shm"), 0);
        GE(qt_set_id("sem"), 0);
        qt_end(handle);
        qt_is_clean();
    }
}

static void is_refused(int32_t error)
{
    int32_t handle = qt_memory();
    EQ(qt_create(handle, 1000), error);
    EQ(qt_attach(handle, 1000), error == QSHM_E_KEY && outcome.os_error == 0 ? QSHM_E_NOT_FOUND : error);
    qt_end(handle);
    EQ(count_segments(), 0);
    EQ(count_sets(), 0);
}

/* Whoever may write the directory puts a link there: nobody follows it, whether or not it leads somewhere. */
CASE(qt_key_is_a_link)
{
    qt_place();
    static const char *const names[] = {"shm", "sem"};
    for (int i = 0; i < 2; i++) {
        for (int leads = 0; leads < 2; leads++) {
            if (leads) {
                qt_touch("target");
            }
            EQ(symlink("target", path_of(names[i])), 0);
            if (i == 1) {
                qt_touch("shm");
            }
            is_refused(QSHM_E_UNSAFE_FILE);
            EQ(exists("target"), leads);
            EQ(unlink(path_of(names[i])), 0);
            unlink(path_of("target"));
            unlink(path_of("shm"));
        }
    }
    EQ(count_files(), 0);
}

CASE(qt_key_cannot_be_made)
{
    qt_place();
    char name[400];
    memset(name, 'k', sizeof name);
    name[256] = '\0';
    int32_t handle = qt_memory_of(name, name);
    EQ(qt_create(handle, 1000), QSHM_E_KEY);
    EQ(qt_attach(handle, 1000), QSHM_E_KEY);
    EQ(outcome.os_error != 0 && outcome.call[0] != '\0', 1);
    qt_end(handle);
    handle = qt_memory_of("missing/shm", "missing/sem");
    EQ(qt_create(handle, 1000), QSHM_E_KEY);
    EQ(qt_attach(handle, 1000), QSHM_E_NOT_FOUND);
    qt_end(handle);
    handle = qt_memory_of("missing/shm", "sem"); /* the lock was made for nothing */
    EQ(qt_create(handle, 1000), QSHM_E_KEY);
    qt_end(handle);
    qt_is_clean();
}
