/*
 * names.c - see names.h.
 */
#include "names.h"

#include <string.h>

#include "../qshm.h"
#include "sha256.h"

enum { LONGEST = 180, KEPT = 100 };

static const char letters[] = {
    [QSHM_KIND_MEMORY] = 'm', [QSHM_KIND_VALUE] = 'v', [QSHM_KIND_SEMAPHORE] = 's', [QSHM_KIND_INSTANCE] = 'i'};

static bool is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

/* The length of the well-formed UTF-8 sequence at `s` (Unicode, table 3-7), or 0. */
static uint32_t sequence_length(const uint8_t *s, uint32_t left)
{
    uint8_t lead = s[0];
    if (lead < 0x80) {
        return 1;
    }
    uint32_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                      : lead >= 0xe0 && lead <= 0xef ? 3
                      : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                     : 0;
    if (length == 0 || length > left) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high) {
        return 0;
    }
    for (uint32_t i = 2; i < length; i++) {
        if (s[i] < 0x80 || s[i] > 0xbf) {
            return 0;
        }
    }
    return length;
}

static bool is_valid_key(const uint8_t *key, uint32_t size)
{
    if (size == 0 || size > QSHM_KEY_LIMIT) {
        return false;
    }
    for (uint32_t i = 0; i < size;) {
        uint32_t length = key[i] == 0 ? 0 : sequence_length(key + i, size - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

static const char upper_hex[] = "0123456789ABCDEF"; /* as percent-encoding is written */
static const char lower_hex[] = "0123456789abcdef"; /* as digests are */

int qshm__file_name(uint32_t kind, const uint8_t *key, uint32_t key_size, char name[QSHM_NAME_CAPACITY])
{
    if (!is_valid_key(key, key_size)) {
        return QSHM_E_KEY;
    }
    name[0] = letters[kind];
    name[1] = '-';
    char *encoded = name + 2;
    uint32_t length = 0;
    uint32_t i = 0;
    while (i < key_size) {
        uint32_t needed = is_plain(key[i]) ? 1 : 3;
        if (length + needed > LONGEST) {
            break;
        }
        if (needed == 1) {
            encoded[length] = (char)key[i];
        } else {
            encoded[length] = '%';
            encoded[length + 1] = upper_hex[key[i] >> 4];
            encoded[length + 2] = upper_hex[key[i] & 15];
        }
        length += needed;
        i++;
    }
    if (i < key_size) {
        uint8_t digest[32];
        qshm__sha256(key, key_size, digest);
        length = KEPT;
        encoded[length++] = '~';
        for (unsigned j = 0; j < 32; j++) {
            encoded[length++] = lower_hex[digest[j] >> 4];
            encoded[length++] = lower_hex[digest[j] & 15];
        }
    }
    encoded[length] = '\0';
    return (int)length + 2;
}

uint32_t qshm__kind_of_name(const char *name)
{
    for (uint32_t kind = QSHM_KIND_MEMORY; kind <= QSHM_KIND_INSTANCE; kind++) {
        if (name[0] == letters[kind] && name[1] == '-' && name[2] != '\0') {
            return kind;
        }
    }
    return 0;
}
