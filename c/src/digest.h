/*
 * digest.h - what SHA-1 and SHA-256 have in common: blocks of 64 bytes, the padding behind the last, words in big-endian order.
 */
#ifndef QSHM_DIGEST_H
#define QSHM_DIGEST_H

#include <stddef.h>
#include <stdint.h>

/* Hands `bytes` and their padding to `block`, 64 at a time, and writes the first `words` of `state` to `digest`. */
void qshm__digest(const uint8_t *bytes, size_t size, void (*block)(uint32_t *state, const uint8_t *bytes),
                  uint32_t *state, unsigned words, uint8_t *digest);

/* The 32 bits at `bytes`. */
uint32_t qshm__big_endian(const uint8_t *bytes);

#endif
