/*
 * sha256.h - SHA-256 (FIPS 180-4), for keys too long to be a file name.
 */
#ifndef QSHM_SHA256_H
#define QSHM_SHA256_H

#include <stddef.h>
#include <stdint.h>

void qshm__sha256(const uint8_t *bytes, size_t size, uint8_t digest[32]);

#endif
