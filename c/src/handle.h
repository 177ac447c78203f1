/*
 * handle.h - the table of this process's attachments, and what one of them is.
 *
 * Invariants: a handle is a slot number with a generation, positive in 31 bits; a stale one finds nothing. Attachment
 * structs are never freed, only used again, so a lookup with any number reads valid memory. The table is shared by all
 * threads of the process; one attachment is used by one thread at a time (qshm.h, caveats).
 *
 * Failure story: a fork copies the table, but the bytes and mappings belong to the parent. A word that the kernel
 * clears in children tells them apart; the first call in a child closes its copies and forgets them, and never unlocks
 * or unlinks (unlocking through an inherited description would drop the parent's byte; test: "fork_child_lets_go").
 */
#ifndef QSHM_HANDLE_H
#define QSHM_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "names.h"

struct qshm__attachment {
    /* What threads look at in the attachments of others: only if `thread` is their own do they look at the rest. */
    _Atomic uint32_t handle;  /* 0 = not published */
    _Atomic bool holding;     /* the lock, as far as is known here */
    _Atomic bool guards;      /* holds byte P, or is about to: guard.c */
    _Atomic bool inside;      /* sets a value, has permits, or waits for a reply */
    _Atomic uintptr_t thread; /* that does any of this */

    uint32_t slot, generation; /* from here on a reservation clears everything */
    bool reserved;             /* taken from the table, published or not */
    uint32_t id;               /* 0: an observer */
    uint32_t pid;
    uint32_t kind;
    int fd, directory;
    uint64_t device, inode;
    char name[QSHM_NAME_CAPACITY];
    bool persistent, read_only;

    struct qshm__control *control;
    uint64_t control_size;
    uint8_t *payload; /* read-only attachments map it shared, without write permission */
    uint64_t payload_size;
    void *view;       /* what qshm_payload gave; NULL until then */
    bool neutralised; /* detached, the view's range still mapped */

    /* The lock: since when (ms) does an asynchronous wait go on (0 = none)? See lock.c. */
    double waiting_since, next_check, check_interval;
    uint64_t offer; /* to another's heir, as seen last, and since when (ms) */
    double offer_seen;

    struct qshm__bell *bell; /* in the control block; NULL: none. See bell.c */
    uint32_t bell_generation;
    struct qshm__ringer *ringers; /* to the bells of others, made when the first is rung */

    struct qshm__sent *sent; /* the messages that wait for a reply; made with the first. See message.c */
    uint64_t taken; /* entries of messages that this attachment, a guard, has taken and not answered; message.c */
    uint32_t largest_message; /* of a guard's holder */
};

/* A free attachment, with a handle that is not yet valid; NULL when 4096 are in use or memory is out. */
struct qshm__attachment *qshm__handle_reserve(void);
/* Makes the handle valid and returns it. */
uint32_t qshm__handle_publish(struct qshm__attachment *attachment);
/* Gives a reserved or published attachment back. */
void qshm__handle_free(struct qshm__attachment *attachment);
/* This process's number, at the price of a load; notices a fork. */
uint32_t qshm__handle_process(void);
/* The attachment of a handle, also one that is detached and only keeps a view's range mapped; or NULL. */
struct qshm__attachment *qshm__handle_find(uint32_t handle);
/* The attachment of a handle, or NULL if it is detached. */
struct qshm__attachment *qshm__handle_attached(uint32_t handle);
/* The same for a handle as the entry points that are called most take it. */
struct qshm__attachment *qshm__handle_hot(double handle);
/* The attachment, if it is of this kind (0: any) and may write the control block; else fills in the error. */
struct qshm__attachment *qshm__handle_writer(double handle, uint32_t kind, int *error);
/* Calls `visit` for every attachment; stops when that returns true, and returns the attachment it stopped at. */
struct qshm__attachment *qshm__handle_each(bool (*visit)(struct qshm__attachment *, const void *), const void *context);

#endif
