/*
 * layout.h - the bytes that processes of different programs, runtimes and libcs agree on.
 *
 * Owns: the control block that precedes the payload of every segment, and its versioning.
 *
 * Invariants:
 *  - The first 16 bytes (struct qshm__header) and the lock-byte ranges of liveness.h are frozen for ever: any
 *    version can tell whether a segment of any other version is in use, and whether it must be kept.
 *  - Everything else belongs to one layout version. A change of any size or offset changes the fingerprint.
 *  - Every field that another process may change is atomic and of fixed width; no pointer, no `long`, no pthread
 *    object (glibc and musl disagree about those) stands here.
 *  - Nothing read from here is ever used as an index or a length before it was checked against what the kernel says.
 *
 * Failure story: a process may die between any two stores. Each word is therefore a protocol of its own (lock.c),
 * and no rule spans two words, except where the file that owns the rule says how a half-done pair reads.
 */
#ifndef QSHM_LAYOUT_H
#define QSHM_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QSHM_MAGIC 0x4d485351u /* "QSHM" in memory, little-endian */
#define QSHM_LAYOUT 1u

enum { QSHM_FLAG_PERSISTENT = 1 };

/* Frozen for all versions to come. */
struct qshm__header {
    uint32_t magic;
    uint16_t layout;
    uint8_t kind; /* enum qshm_kind */
    uint8_t flags;
    uint64_t fingerprint; /* of this layout's sizes and offsets, for this kind */
};

/* A waiter's bell: where to write one byte to wake it. */
struct qshm__bell {
    _Atomic uint64_t state; /* owner id in the high half, generation of the claim in the low half; 0 = free */
    _Atomic uint32_t armed; /* generation of the wait, or 0 */
    _Atomic uint32_t kind;  /* FIFO or datagram socket */
    _Atomic uint64_t nonce; /* names the bell's file */
    uint64_t reserved;
};

/* A semaphore's waiting request: large requests are served in ticket order. */
struct qshm__ticket {
    _Atomic uint64_t claim; /* owner id in the high half, permits wanted in the low half; 0 = free */
    _Atomic uint64_t number;
};

/* A message on its way to a guard's holder. The bytes stand in a file of their own, named by the nonce. See message.c. */
struct qshm__message {
    _Atomic uint64_t state; /* sender id in the high half, state in the low half: the one arbitrating word */
    _Atomic uint64_t nonce;
    _Atomic uint64_t request_size;
    _Atomic uint64_t reply_size;
    _Atomic uint64_t sequence;
    _Atomic uint32_t sender_pid; /* a hint */
    uint32_t reserved[5];
};

enum {
    QSHM_BELLS = 128,
    QSHM_BUFFERS = 4,
    QSHM_PERMIT_RECORDS = 256,
    QSHM_MESSAGES = 64,
    QSHM_INFO_SIZE = 65536,
    QSHM_STORED_CWD = 4096,
    QSHM_STORED_KEY = 2048,
    QSHM_CODEC_NAME = 64,
};

/* Every kind begins with this. Parts that a kind does not use stay zero. */
struct qshm__control {
    struct qshm__header header;
    uint64_t payload_offset;
    uint64_t payload_size;
    _Atomic uint32_t next_id;  /* the last id drawn; ids are 1 to 2^31-1 */
    _Atomic uint32_t attached; /* attachments that have not ended in order; only changed under the registry lock */
    uint64_t birth;            /* random: tells this segment from all others, also of the same name */
    uint64_t reserved_head[2];

    _Alignas(64) _Atomic uint64_t lock; /* lock.c */
    _Atomic uint64_t lock_holder;       /* pid in the high half, id in the low half; a hint, see lock.c */

    _Alignas(64) _Atomic uint32_t revision; /* {version:31, waiters:1} */

    _Alignas(64) _Atomic uint64_t value_current; /* {sequence:61, buffer:3} */
    _Atomic uint64_t value_stamp[QSHM_BUFFERS];  /* {owner:32, generation:32} */
    _Atomic uint64_t value_length[QSHM_BUFFERS];
    _Atomic uint64_t value_writer; /* pid in the high half, id in the low half; a hint */
    uint64_t value_capacity;
    _Atomic uint32_t value_pin;
    char value_codec[QSHM_CODEC_NAME];

    _Alignas(64) _Atomic int64_t permits_total;
    _Atomic uint64_t next_ticket;
    uint32_t permits_max;

    _Alignas(64) _Atomic uint32_t reign; /* counts a guard's holders */
    _Atomic uint32_t closing;            /* the holder takes no more messages */
    _Atomic uint64_t messages;           /* counts those that were sent */
    _Atomic uint32_t holder;             /* id of the holder, and of whom the info area speaks; 0: none. See guard.c */
    _Atomic uint32_t largest_message;
    _Atomic uint32_t wanted; /* the holder that somebody asks to leave, or a former one */

    _Alignas(1024) uint32_t key_size; /* the key as it was given, for listings; cut to QSHM_STORED_KEY bytes */
    char key[QSHM_STORED_KEY];

    _Alignas(4096) struct qshm__bell bells[QSHM_BELLS];
};

/* What follows the control block, by kind; the payload begins on the next page boundary. */
struct qshm__semaphore_part {
    _Atomic uint64_t record[QSHM_PERMIT_RECORDS]; /* owner id in the high half, permits held in the low half */
    struct qshm__ticket ticket[QSHM_PERMIT_RECORDS];
};

/* What a guard's holder says of itself. Written by the holder only, read by everybody; see guard.c. */
struct qshm__holder_info {
    uint32_t pid; /* a hint, in the holder's PID namespace */
    uint32_t cwd_size;
    uint32_t body_size;
    uint32_t reserved;
    double started;         /* of that process, ms since 1970 */
    uint64_t pid_namespace; /* 0: unknown */
    uint64_t start;         /* of that process, as the system counts it: of no use but to compare */
    uint64_t reserved_tail[3];
    char cwd[QSHM_STORED_CWD];
    uint8_t body[QSHM_INFO_SIZE - 64 - QSHM_STORED_CWD]; /* of no meaning to this library */
};

struct qshm__instance_part {
    struct qshm__message message[QSHM_MESSAGES];
    struct qshm__holder_info info;
};

#define QSHM__AT(type, field, offset) _Static_assert(offsetof(struct qshm__##type, field) == (offset), #type "." #field)
#define QSHM__SIZE(type, size) _Static_assert(sizeof(struct qshm__##type) == (size), "size of " #type)

QSHM__SIZE(header, 16);
QSHM__AT(header, magic, 0);
QSHM__AT(header, layout, 4);
QSHM__AT(header, kind, 6);
QSHM__AT(header, flags, 7);
QSHM__AT(header, fingerprint, 8);
QSHM__SIZE(bell, 32);
QSHM__AT(bell, state, 0);
QSHM__AT(bell, armed, 8);
QSHM__AT(bell, kind, 12);
QSHM__AT(bell, nonce, 16);
QSHM__SIZE(ticket, 16);
QSHM__AT(ticket, number, 8);
QSHM__SIZE(message, 64);
QSHM__AT(message, nonce, 8);
QSHM__AT(message, request_size, 16);
QSHM__AT(message, reply_size, 24);
QSHM__AT(message, sequence, 32);
QSHM__AT(message, sender_pid, 40);
QSHM__AT(control, payload_offset, 16);
QSHM__AT(control, payload_size, 24);
QSHM__AT(control, next_id, 32);
QSHM__AT(control, attached, 36);
QSHM__AT(control, birth, 40);
QSHM__AT(control, lock, 64);
QSHM__AT(control, lock_holder, 72);
QSHM__AT(control, revision, 128);
QSHM__AT(control, value_current, 192);
QSHM__AT(control, value_stamp, 200);
QSHM__AT(control, value_length, 232);
QSHM__AT(control, value_writer, 264);
QSHM__AT(control, value_capacity, 272);
QSHM__AT(control, value_pin, 280);
QSHM__AT(control, value_codec, 284);
QSHM__AT(control, permits_total, 384);
QSHM__AT(control, next_ticket, 392);
QSHM__AT(control, permits_max, 400);
QSHM__AT(control, reign, 448);
QSHM__AT(control, closing, 452);
QSHM__AT(control, messages, 456);
QSHM__AT(control, holder, 464);
QSHM__AT(control, largest_message, 468);
QSHM__AT(control, wanted, 472);
QSHM__AT(control, key_size, 1024);
QSHM__AT(control, key, 1028);
QSHM__AT(control, bells, 4096);
QSHM__SIZE(control, 8192);
QSHM__SIZE(semaphore_part, 6144);
QSHM__AT(semaphore_part, ticket, 2048);
QSHM__SIZE(holder_info, 65536);
QSHM__AT(holder_info, started, 16);
QSHM__AT(holder_info, pid_namespace, 24);
QSHM__AT(holder_info, cwd, 64);
QSHM__AT(holder_info, body, 4160);
QSHM__SIZE(instance_part, 69632);
QSHM__AT(instance_part, info, 4096);

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics must work between processes");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the layout is little-endian");

/* The bytes before the payload of a segment of this kind: whole pages. */
uint64_t qshm__control_size(uint32_t kind);

/* The value that the header of this kind must carry. */
uint64_t qshm__fingerprint(uint32_t kind);

/* Does any word of the control block still name this attachment? Such an id must not be drawn again (an id equal to
 * a dead one that is still named would make the dead look alive; test: "draw_id_skips_named_ids"). */
bool qshm__names_id(const struct qshm__control *control, uint32_t kind, uint32_t id);

#endif
