/*
 * native_peer.c - a process without a JavaScript runtime, for the tests in which several programs share a segment.
 *
 *   native_peer lifetime KEYS SEED   the same rounds as lifetime_worker.ts, over the same line protocol
 *   native_peer count KEY TIMES      waits until four are there (word 1), then adds 1 to word 0 under the lock, TIMES
 *                                    times, and counts in word 3 how often word 2, the last pid, changed
 *   native_peer value KEY SLOT BASE SEED   sets a value on and on, as value_content.ts has it
 *   native_peer datagrams PATH SIZE COUNT  sends datagrams of SIZE bytes to a socket, at most COUNT, until it is full
 *
 * QSHM_DIRECTORY says where; linked against the library that the runtimes load.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../c/qshm.h"

static struct qshm_outcome outcome;
static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % limit);
}

static int32_t join(const char *key, uint32_t how)
{
    double size = (how & QSHM_CREATE) != 0 ? 64 : 0;
    return qshm_open(QSHM_KIND_MEMORY, how, 0, size, key, (uint32_t)strlen(key), "", 0, &outcome);
}

/* Says a line and waits for the answer. False: it is time to leave. */
static int ask(const char *line)
{
    char answer[16];
    if (write(1, line, strlen(line)) < 0) {
        exit(0);
    }
    ssize_t got = read(0, answer, sizeof answer);
    if (got <= 0) {
        exit(0);
    }
    return answer[0] != 'q';
}

/* A range that was viewed has to be given back, or the attachment's slot stays taken. */
static void leave(int32_t handle)
{
    if (qshm_detach((uint32_t)handle) == 1) {
        qshm_unmap((uint32_t)handle, 0);
    }
}

static uint32_t nonce_of(int32_t handle)
{
    _Atomic uint32_t *word = qshm_payload((uint32_t)handle);
    uint32_t mine = below(0x7ffffffe) + 1;
    uint32_t found = 0;
    return atomic_compare_exchange_strong(word, &found, mine) ? mine : found;
}

static int may_fail(int32_t result)
{
    return result == QSHM_E_ALREADY_EXISTS || result == QSHM_E_NOT_FOUND || result == QSHM_E_BUSY;
}

/* While somebody is attached, the name leads to that very segment. */
static int check_again(const char *key, uint32_t nonce)
{
    char line[128];
    int32_t again = join(key, QSHM_ATTACH);
    if (again < 0) {
        snprintf(line, sizeof line, "v lost: attach of %s gives %d while attached\n", key, again);
        return again == QSHM_E_BUSY || ask(line);
    }
    uint32_t found = nonce_of(again);
    leave(again);
    if (found != nonce) {
        snprintf(line, sizeof line, "v two segments of %s: %u and %u\n", key, nonce, found);
        return ask(line);
    }
    return 1;
}

static int lifetime(char *keys)
{
    static const uint32_t hows[] = {QSHM_CREATE, QSHM_ATTACH, QSHM_CREATE | QSHM_ATTACH};
    char *names[16];
    uint32_t count = 0;
    for (char *key = strtok(keys, ","); key != NULL && count < 16; key = strtok(NULL, ",")) {
        names[count++] = key;
    }
    char line[64];
    for (int go_on = 1; go_on;) {
        uint32_t index = below(count);
        int32_t handle = join(names[index], hows[below(3)]);
        if (handle < 0) {
            if (!may_fail(handle)) {
                snprintf(line, sizeof line, "v open of %s gives %d\n", names[index], handle);
                go_on = ask(line);
            }
            continue;
        }
        uint32_t nonce = nonce_of(handle);
        go_on = check_again(names[index], nonce);
        if (go_on && below(16) == 0) {
            snprintf(line, sizeof line, "h %u %u\n", index, nonce);
            go_on = ask(line);
            go_on = check_again(names[index], nonce) && go_on;
            snprintf(line, sizeof line, "l %u %u\n", index, nonce);
            go_on = ask(line) && go_on;
        }
        leave(handle);
    }
    return 0;
}

static int count(const char *key, int times)
{
    int32_t handle = join(key, QSHM_ATTACH);
    if (handle < 0) {
        fprintf(stderr, "attach of %s gives %d\n", key, handle);
        return 1;
    }
    volatile uint32_t *words = qshm_payload((uint32_t)handle);
    ask("ready\n");
    atomic_fetch_add((_Atomic uint32_t *)&words[1], 1);
    while (words[1] < 4) {
    }
    for (int i = 0; i < times; i++) {
        if (qshm_wait_lock((uint32_t)handle, 1e16) < 1) {
            return 1;
        }
        words[0] = words[0] + 1;
        if (words[2] != (uint32_t)getpid()) {
            words[2] = (uint32_t)getpid();
            words[3] = words[3] + 1;
        }
        if (qshm_unlock((uint32_t)handle) < 0) {
            return 1;
        }
        for (int rest = 0; rest < 300; rest++) {
            (void)words[1]; /* so that others come in between */
        }
    }
    leave(handle);
    return 0;
}

/* The same stands in value_content.ts: every byte follows from the size, the counter and the slot. */
static void fill(uint32_t *words, uint32_t size, uint32_t counter, uint32_t slot)
{
    if (size < 12) {
        for (uint32_t i = 0; i < size; i++) {
            ((uint8_t *)words)[i] = (uint8_t)(size * 37 + i * 11);
        }
        return;
    }
    words[0] = counter;
    words[1] = slot;
    words[2] = size;
    for (uint32_t i = 3; i < (size + 3) / 4; i++) {
        words[i] = (counter * 8 + slot) * 2654435761u + i;
    }
}

static int value(const char *key, uint32_t slot, uint32_t counter)
{
    static uint32_t words[(1 << 20) / 4];
    int32_t handle = qshm_open_value(QSHM_ATTACH, 0, 0, key, (uint32_t)strlen(key), "", 0, "bytes", 5, &outcome);
    if (handle < 0) {
        fprintf(stderr, "attach of %s gives %d\n", key, handle);
        return 1;
    }
    if (write(1, "ready\n", 6) < 0) {
        return 1;
    }
    for (;;) {
        uint32_t size = below(1u << (1 + below(20))) + 1;
        fill(words, size, ++counter, slot);
        int32_t r = qshm_value_set((uint32_t)handle, words, size, -1);
        if (r < 0) {
            fprintf(stderr, "set of %s gives %d\n", key, r);
            return 1;
        }
    }
}

static int datagrams(const char *path, size_t size, int most)
{
    static const char bytes[4096];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int sent = 0;
    while (sent < most &&
           sendto(fd, bytes, size, MSG_NOSIGNAL, (const struct sockaddr *)&address, sizeof address) == (ssize_t)size) {
        sent++;
    }
    printf("%d\n", sent);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "lifetime") == 0) {
        random_state = strtoull(argv[3], NULL, 10);
        return lifetime(argv[2]);
    }
    if (argc == 4 && strcmp(argv[1], "count") == 0) {
        return count(argv[2], atoi(argv[3]));
    }
    if (argc == 6 && strcmp(argv[1], "value") == 0) {
        random_state = strtoull(argv[5], NULL, 10);
        return value(argv[2], (uint32_t)atoi(argv[3]), (uint32_t)strtoul(argv[4], NULL, 10));
    }
    if (argc == 5 && strcmp(argv[1], "datagrams") == 0) {
        return datagrams(argv[2], (size_t)atoi(argv[3]), atoi(argv[4]));
    }
    return 2;
}
