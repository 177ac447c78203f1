/*
 * names.h - the file name of a key: `<kind letter>-<encoded key>`.
 *
 * Invariants: two keys, or two kinds, never share a file (the encoding is injective; what is too long ends in the
 * SHA-256 of the key after a `~`, which the encoding never gives otherwise); a name is at most 182 bytes of
 * [A-Za-z0-9._%~-], so that no key, `.` and `..` included, names anything but a file of the directory itself.
 */
#ifndef QSHM_NAMES_H
#define QSHM_NAMES_H

#include <stdbool.h>
#include <stdint.h>

enum { QSHM_NAME_CAPACITY = 192, QSHM_KEY_LIMIT = 1 << 20 };

/* Returns the name's length, or QSHM_E_KEY if the key is empty, over QSHM_KEY_LIMIT, has a NUL or is not UTF-8. */
int qshm__file_name(uint32_t kind, const uint8_t *key, uint32_t key_size, char name[QSHM_NAME_CAPACITY]);

/* The kind that a file name speaks of, or 0 if it is no segment's. */
uint32_t qshm__kind_of_name(const char *name);

#endif
