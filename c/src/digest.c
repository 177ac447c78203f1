/*
 * digest.c - see digest.h; as FIPS 180-4 writes it down, for input that is in memory as a whole.
 */
#include "digest.h"

#include <string.h>

uint32_t qshm__big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void qshm__digest(const uint8_t *bytes, size_t size, void (*block)(uint32_t *state, const uint8_t *bytes),
                  uint32_t *state, unsigned words, uint8_t *digest)
{
    size_t whole = size / 64 * 64;
    for (size_t i = 0; i < whole; i += 64) {
        block(state, bytes + i);
    }
    uint8_t tail[128] = {0};
    size_t rest = size - whole;
    if (rest > 0) {
        memcpy(tail, bytes + whole, rest);
    }
    tail[rest] = 0x80;
    size_t padded = rest < 56 ? 64 : 128;
    uint64_t bits = (uint64_t)size * 8;
    for (unsigned i = 0; i < 8; i++) {
        tail[padded - 1 - i] = (uint8_t)(bits >> 8 * i);
    }
    for (size_t i = 0; i < padded; i += 64) {
        block(state, tail + i);
    }
    for (unsigned i = 0; i < 4 * words; i++) {
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
    }
}
