/*
 * names.c - the file name of a key: encoding, limits, and the digest that long names end in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/names.h"
#include "../src/sha256.h"
#include "support.h"

static void expect_name(uint32_t kind, const char *key, const char *expected)
{
    char name[192];
    EQ(qshm_file_name(kind, key, (uint32_t)strlen(key), name), strlen(expected));
    EQ_TEXT(name, expected);
}

CASE(names_vectors)
{
    expect_name(QSHM_KIND_MEMORY, "a", "m-a");
    expect_name(QSHM_KIND_VALUE, "a", "v-a");
    expect_name(QSHM_KIND_SEMAPHORE, "a", "s-a");
    expect_name(QSHM_KIND_INSTANCE, "a", "i-a");
    expect_name(QSHM_KIND_MEMORY, ".", "m-.");
    expect_name(QSHM_KIND_MEMORY, "..", "m-..");
    expect_name(QSHM_KIND_MEMORY, "../x", "m-..%2Fx");
    expect_name(QSHM_KIND_MEMORY, "/etc/passwd", "m-%2Fetc%2Fpasswd");
    expect_name(QSHM_KIND_MEMORY, "A", "m-A");
    expect_name(QSHM_KIND_MEMORY, "a%b~c d", "m-a%25b%7Ec%20d");
    expect_name(QSHM_KIND_MEMORY, "az AZ 09 ._-", "m-az%20AZ%2009%20._-");
    expect_name(QSHM_KIND_MEMORY, "\x01\x7f\n", "m-%01%7F%0A");
    expect_name(QSHM_KIND_MEMORY, "\xc3\xa4", "m-%C3%A4");
    expect_name(QSHM_KIND_MEMORY, "\xf0\x9f\x98\x80", "m-%F0%9F%98%80");
    expect_name(QSHM_KIND_MEMORY, "\xf4\x8f\xbf\xbf", "m-%F4%8F%BF%BF");
    expect_name(QSHM_KIND_MEMORY, "\xed\x9f\xbf", "m-%ED%9F%BF");
}

CASE(names_invalid)
{
    static const struct {
        const char *why, *key;
    } bad[] = {
        {"a lone continuation byte", "\x80"},
        {"a continuation byte after a character", "a\xbf"},
        {"an overlong sequence of two", "\xc0\x80"},
        {"an overlong sequence of two (C1)", "\xc1\xbf"},
        {"an overlong sequence of three", "\xe0\x9f\xbf"},
        {"an overlong sequence of four", "\xf0\x8f\xbf\xbf"},
        {"the first surrogate", "\xed\xa0\x80"},
        {"the last surrogate", "\xed\xbf\xbf"},
        {"beyond U+10FFFF", "\xf4\x90\x80\x80"},
        {"a lead byte of no sequence (F5)", "\xf5\x80\x80\x80"},
        {"a lead byte of no sequence (FF)", "\xff"},
        {"two of two missing", "\xc3"},
        {"three of three missing", "\xe2\x82"},
        {"four of four missing", "\xf0\x9f\x98"},
        {"a character inside a sequence", "\xe2\x28\xa1"},
        {"a character at the end of a sequence", "\xf0\x9f\x98(" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char name[192];
        int32_t r = qshm_file_name(QSHM_KIND_MEMORY, bad[i].key, (uint32_t)strlen(bad[i].key), name);
        if (r != QSHM_E_KEY) {
            runner_fail(__FILE__, __LINE__, "%s: %d against %d", bad[i].why, r, QSHM_E_KEY);
        }
        EQ(open_memory(QSHM_CREATE, bad[i].key), QSHM_E_KEY);
    }
    char name[192];
    EQ(qshm_file_name(QSHM_KIND_MEMORY, "", 0, name), QSHM_E_KEY);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, NULL, 0, name), QSHM_E_KEY);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, "a\0b", 3, name), QSHM_E_KEY);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, "\0", 1, name), QSHM_E_KEY);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, NULL, 5, name), QSHM_E_ARGUMENT);
    EQ(qshm_file_name(0, "a", 1, name), QSHM_E_ARGUMENT);
    EQ(qshm_file_name(5, "a", 1, name), QSHM_E_ARGUMENT);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, "a", 1, NULL), QSHM_E_ARGUMENT);
    EQ(count_files(), 0);
}

static void fill(char *key, uint32_t size)
{
    memset(key, 'k', size);
    key[size] = '\0';
}

CASE(names_boundary)
{
    static char key[(1 << 20) + 2];
    char name[192], expected[192];
    fill(key, 180);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 180, name), 182);
    CHECK(strchr(name, '~') == NULL);
    fill(key, 181);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 181, name), 2 + 100 + 1 + 64);
    uint8_t digest[32];
    qshm__sha256((const uint8_t *)key, 181, digest);
    int at = sprintf(expected, "m-%.100s~", key);
    for (int i = 0; i < 32; i++) {
        at += sprintf(expected + at, "%02x", digest[i]);
    }
    EQ_TEXT(name, expected);

    /* Encoded length decides, and no escape is cut in two: 59 spaces are 177 bytes, and 3 more fit. */
    memset(key, ' ', 61);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 60, name), 182);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 61, name), 167);
    memset(key, 'k', 98);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 98, name), 100);

    fill(key, 10000);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 10000, name), 167);
    GT(open_memory(QSHM_CREATE, key), 0);
    EQ(count_files(), 1);
    fill(key, 1 << 20);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, 1 << 20, name), 167);
    EQ(qshm_file_name(QSHM_KIND_MEMORY, key, (1 << 20) + 1, name), QSHM_E_KEY);
}

/* Two long keys that share the part that is kept. */
CASE(names_long_keys_differ)
{
    char one[301], two[301], name_one[192], name_two[192];
    fill(one, 300);
    fill(two, 300);
    two[299] = 'j';
    qshm_file_name(QSHM_KIND_MEMORY, one, 300, name_one);
    qshm_file_name(QSHM_KIND_MEMORY, two, 300, name_two);
    CHECK(strcmp(name_one, name_two) != 0);
    /* What a long key ends in cannot be written as a short key: `~` is escaped. */
    EQ(qshm_file_name(QSHM_KIND_MEMORY, name_one + 2, (uint32_t)strlen(name_one + 2), name_two), 169);
    CHECK(strcmp(name_one, name_two) != 0);
}

/* Injective, and nothing but plain characters, for random keys. */
CASE(names_random_keys)
{
    struct random random = random_from(runner_seed());
    enum { MOST = 4000 };
    static char keys[MOST][8];
    static char names[MOST][192];
    int count = 0;
    for (int tries = 0; tries < MOST; tries++) {
        uint32_t length = 1 + random_below(&random, 6);
        char key[8] = {0};
        for (uint32_t i = 0; i < length; i++) {
            static const char interesting[] = "aA.%~-/_ 2F5";
            key[i] = interesting[random_below(&random, sizeof interesting - 1)];
        }
        int32_t r = qshm_file_name(QSHM_KIND_VALUE, key, length, names[count]);
        EQ(r, strlen(names[count]));
        EQ(strspn(names[count], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%~-"), (size_t)r);
        memcpy(keys[count], key, sizeof key);
        for (int i = 0; i < count; i++) {
            if ((strcmp(names[i], names[count]) == 0) != (strcmp(keys[i], keys[count]) == 0)) {
                runner_fail(__FILE__, __LINE__, "\"%s\" and \"%s\" give \"%s\"", keys[i], keys[count], names[i]);
            }
        }
        count++;
    }
}

static void expect_digest(const void *bytes, size_t size, const char *expected)
{
    uint8_t digest[32];
    char text[65];
    qshm__sha256(bytes, size, digest);
    for (int i = 0; i < 32; i++) {
        sprintf(text + 2 * i, "%02x", digest[i]);
    }
    EQ_TEXT(text, expected);
}

CASE(names_sha256)
{
    expect_digest("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    expect_digest("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
                  "mnopqrstnopqrstu",
                  112, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
    static char million[1000000];
    memset(million, 'a', sizeof million);
    expect_digest(million, sizeof million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* One key, four kinds: four segments that know nothing of each other; and keys differ by case. */
CASE(names_kinds_are_separate)
{
    for (uint32_t kind = QSHM_KIND_MEMORY; kind <= QSHM_KIND_INSTANCE; kind++) {
        GT(open_kind(kind, QSHM_CREATE, 4096, "same"), 0);
    }
    GT(open_memory(QSHM_CREATE, "Same"), 0);
    GT(open_memory(QSHM_CREATE, ".."), 0);
    GT(open_memory(QSHM_CREATE, "."), 0);
    EQ(count_files(), 7);
    EQ(qshm__kind_of_name("m-"), 0);
    EQ(qshm__kind_of_name("x.123"), 0);
    EQ(qshm__kind_of_name("i-x"), QSHM_KIND_INSTANCE);
}
