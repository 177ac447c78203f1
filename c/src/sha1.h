/*
 * sha1.h - SHA-1, which Qt names its key files by.
 */
#ifndef QSHM_SHA1_H
#define QSHM_SHA1_H

#include <stddef.h>
#include <stdint.h>

void qshm__sha1(const uint8_t *bytes, size_t size, uint8_t digest[20]);

#endif
