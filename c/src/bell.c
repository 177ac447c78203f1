/*
 * bell.c - bells: how a process that waits in its event loop is woken by one that changes something.
 *
 * Owns: the table of bells in the control block, and the files `b.<16 hex digits>` beside the segment.
 *
 * A bell is a descriptor of the waiter's, a FIFO or a datagram socket, which its runtime polls together with everything
 * else: no thread stands between. Its entry in the table tells those who change something where to write one byte.
 *
 *   open    claim a free entry; write its nonce and kind; make the file `b.<nonce>`
 *   wait    arm: store a new generation and what news is waited for; then look again; sleep, but not for ever
 *   ring    per entry that is armed for the news: write one byte, then compare-and-swap what was seen to 0
 *   close   disarm; remove the file; free the entry
 *
 * Invariants
 *  - The byte is written before the generation is taken down, and only the generation that was seen is. The other order
 *    loses the wake-up when the one that rings is stopped or killed between the two (B1; points "bell rung", "bell
 *    armed"; test: "bell_ring_is_stopped_anywhere"); a plain store would disarm a waiter that has armed again.
 *  - Arming and looking again, changing and looking for armed bells: each side stores first and loads then, with a full
 *    fence between, so at least one sees the other.
 *  - No path stands in shared memory: the name is made from the nonce, the file is opened in the segment's own
 *    directory without following links, and its type and owner are checked.
 *  - The nonce stands in the entry before there is a file of that name: whoever finds the entry of a dead one can remove
 *    its file (test: "bell_owner_is_killed_anywhere").
 *  - Whether an owner is dead the kernel says (liveness.h): a refused connection may come from one that is just opening
 *    or closing its bell (B3).
 *
 * Failure story: killed while it waits, a process leaves its entry and its file to whoever rings next, needs an entry,
 * or removes the segment. What is not found that way (the segment lost its name while the process lived) a sweep finds:
 * nobody listens at that file. Killed between the byte and the compare-and-swap, it leaves a waiter that is woken. The
 * table full, or a bell broken by somebody else: the waiter looks by itself, at longer intervals.
 */
#include "bell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../qshm.h"
#include "fault.h"
#include "file.h"
#include "layout.h"
#include "liveness.h"
#include "os.h"
#include "outcome.h"

enum { NAME_CAPACITY = 24 };

static void name_of(uint64_t nonce, char name[NAME_CAPACITY])
{
    snprintf(name, NAME_CAPACITY, "b.%016llx", (unsigned long long)nonce);
}

bool qshm__is_bell_name(const char *name)
{
    return strncmp(name, "b.", 2) == 0 && strspn(name + 2, "0123456789abcdef") == 16 && name[18] == '\0';
}

static uint32_t owner_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

/* Frees the entry of a dead one, and removes its file. */
static void reap(struct qshm__attachment *a, struct qshm__bell *bell, uint64_t state)
{
    uint64_t nonce = atomic_load(&bell->nonce);
    uint32_t armed = atomic_load(&bell->armed);
    if (atomic_load(&bell->state) != state) {
        return; /* somebody was faster, and the nonce may be the next owner's */
    }
    char name[NAME_CAPACITY];
    name_of(nonce, name);
    QSHM_POINT("bell dead");
    qshm__os_unlink(a->directory, name);
    atomic_compare_exchange_strong(&bell->armed, &armed, 0); /* generations begin at random: hardly the next owner's */
    atomic_compare_exchange_strong(&bell->state, &state, 0);
}

static struct qshm__bell *claim(struct qshm__attachment *a)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        for (uint32_t i = 0; i < QSHM_BELLS; i++) {
            struct qshm__bell *bell = &a->control->bells[i];
            uint64_t state = atomic_load(&bell->state);
            if (attempt == 1 && state != 0 && !qshm__is_alive(a->fd, a->id, owner_of(state))) {
                reap(a, bell, state);
                state = 0;
            }
            uint64_t mine = (uint64_t)a->id << 32 | ((uint32_t)qshm__os_random() | 1);
            if (state == 0 && atomic_compare_exchange_strong(&bell->state, &state, mine)) {
                return bell;
            }
        }
    }
    return NULL;
}

int qshm__bell_open(struct qshm__attachment *a, uint32_t kind, struct qshm__failure *failure)
{
    struct qshm__stat segment;
    int r = qshm__os_stat(a->fd, &segment);
    if (r < 0) {
        return qshm__fail_call(failure, "statx", r);
    }
    struct qshm__bell *bell = claim(a);
    if (bell == NULL) {
        return qshm__fail_check(failure, QSHM_E_RESOURCES, "%u processes wait for it already", QSHM_BELLS);
    }
    QSHM_POINT("bell claimed");
    uint64_t nonce = qshm__os_random();
    char name[NAME_CAPACITY];
    name_of(nonce, name);
    atomic_store(&bell->armed, 0);
    atomic_store(&bell->nonce, nonce);
    atomic_store(&bell->kind, kind);
    QSHM_POINT("bell named");
    a->bell = bell;
    a->bell_generation = (uint32_t)qshm__os_random();
    int fd = qshm__os_make_bell(a->directory, name, kind, segment.mode & 0770, segment.gid);
    if (fd < 0) {
        qshm__bell_close(a);
        return qshm__fail_call(failure, kind == QSHM_BELL_FIFO ? "mkfifoat" : "bind", fd);
    }
    QSHM_POINT("bell made");
    return fd;
}

void qshm__bell_close(struct qshm__attachment *a)
{
    struct qshm__bell *bell = a->bell;
    if (bell == NULL) {
        return;
    }
    a->bell = NULL;
    char name[NAME_CAPACITY];
    name_of(atomic_load(&bell->nonce), name);
    atomic_store(&bell->armed, 0);
    QSHM_POINT("bell disarmed");
    qshm__os_unlink(a->directory, name);
    QSHM_POINT("bell removed");
    atomic_store(&bell->state, 0);
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

enum { NEWS_BITS = 2, NEWS_MASK = (1 << NEWS_BITS) - 1 };

void qshm__bell_arm(struct qshm__attachment *a, enum qshm__news news)
{
    struct qshm__bell *bell = a->bell; /* once: another thread may be ending the process */
    if (bell == NULL) {
        return;
    }
    a->bell_generation += 1 << NEWS_BITS;
    uint32_t others = atomic_load(&bell->armed) & NEWS_MASK; /* taken down in between: one ring too many */
    atomic_store(&bell->armed, (a->bell_generation & ~(uint32_t)NEWS_MASK) | others | news);
    QSHM_POINT("bell armed");
    atomic_thread_fence(memory_order_seq_cst); /* before any load of what is waited for, in whatever order it is made */
}

void qshm__bell_disarm(struct qshm__attachment *a, enum qshm__news news)
{
    struct qshm__bell *bell = a->bell;
    uint32_t armed = bell == NULL ? 0 : atomic_load(&bell->armed);
    while ((armed & news) != 0) {
        uint32_t left = armed & ~(uint32_t)news;
        if (atomic_compare_exchange_strong(&bell->armed, &armed, (left & NEWS_MASK) == 0 ? 0 : left)) {
            return;
        }
    }
}

/* --- ringing ------------------------------------------------------------------------------------------------------ */

/* How to reach the bell at the same place of the table. */
struct qshm__ringer {
    uint64_t nonce;
    int fd; /* -1: not opened */
};

static struct qshm__ringer *ringers_of(struct qshm__attachment *a)
{
    if (a->ringers == NULL) {
        a->ringers = malloc(QSHM_BELLS * sizeof *a->ringers);
        for (uint32_t i = 0; a->ringers != NULL && i < QSHM_BELLS; i++) {
            a->ringers[i] = (struct qshm__ringer){.fd = -1};
        }
    }
    return a->ringers;
}

void qshm__bell_forget(struct qshm__attachment *a)
{
    for (uint32_t i = 0; a->ringers != NULL && i < QSHM_BELLS; i++) {
        if (a->ringers[i].fd >= 0) {
            qshm__os_close(a->ringers[i].fd);
        }
    }
    free(a->ringers);
    a->ringers = NULL;
}

static int connect_to(const struct qshm__attachment *a, uint64_t nonce, uint32_t kind)
{
    char name[NAME_CAPACITY];
    name_of(nonce, name);
    struct qshm__stat file;
    int fd = qshm__os_reach_bell(a->directory, name, kind, &file);
    if (fd >= 0 && !qshm__file_is_of_a_user(a, &file)) {
        qshm__os_close(fd);
        return -EINVAL;
    }
    return fd;
}

/* Is it our own want that it could not be rung? Then another may be able to. */
static bool is_own_want(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS || r == -EACCES || r == -EPERM;
}

static int ring(struct qshm__attachment *a, uint32_t index, uint32_t kind)
{
    uint64_t nonce = atomic_load(&a->control->bells[index].nonce);
    struct qshm__ringer *ringers = ringers_of(a);
    if (ringers == NULL) {
        return -ENOMEM;
    }
    struct qshm__ringer *ringer = &ringers[index];
    if (ringer->fd < 0 || ringer->nonce != nonce) {
        if (ringer->fd >= 0) {
            qshm__os_close(ringer->fd);
        }
        ringer->fd = connect_to(a, nonce, kind);
        ringer->nonce = nonce;
    }
    int r = ringer->fd < 0 ? ringer->fd : qshm__os_ring(ringer->fd, kind);
    return r == -EAGAIN ? 0 : r; /* full: it rings already */
}

int qshm__bells_ring(struct qshm__attachment *a, enum qshm__news news)
{
    atomic_thread_fence(memory_order_seq_cst); /* behind the store of what was changed */
    int rung = 0;
    for (uint32_t i = 0; i < QSHM_BELLS; i++) {
        struct qshm__bell *bell = &a->control->bells[i];
        uint32_t armed = atomic_load_explicit(&bell->armed, memory_order_seq_cst);
        if ((armed & news) == 0) {
            continue;
        }
        uint64_t state = atomic_load(&bell->state);
        if (state != 0 && !qshm__is_alive(a->fd, a->id, owner_of(state))) {
            reap(a, bell, state);
            continue;
        }
        int r = state == 0 ? -ENOENT : ring(a, i, atomic_load(&bell->kind));
        QSHM_POINT("bell rung");
        if (is_own_want(r)) { /* stays armed (test: "bell_that_one_cannot_ring_stays_armed") */
            rung++;
        } else {
            rung += r >= 0;
            atomic_compare_exchange_strong(&bell->armed, &armed, 0);
        }
    }
    return rung;
}

/* --- what crashes leave ------------------------------------------------------------------------------------------- */

void qshm__bells_discard(int directory, int fd)
{
    struct qshm__bell bells[QSHM_BELLS];
    int r = qshm__os_read(fd, bells, sizeof bells, offsetof(struct qshm__control, bells));
    for (uint32_t i = 0; r == (int)sizeof bells && i < QSHM_BELLS; i++) {
        if (atomic_load_explicit(&bells[i].state, memory_order_relaxed) != 0) {
            char name[NAME_CAPACITY];
            name_of(atomic_load_explicit(&bells[i].nonce, memory_order_relaxed), name);
            qshm__os_unlink(directory, name);
        }
    }
}

void qshm__bell_sweep(int directory, const char *name)
{
    if (qshm__os_is_deserted_bell(directory, name)) {
        qshm__os_unlink(directory, name);
        qshm__trace("swept %s: nobody listens to it", name);
    }
}

/* --- entry points ------------------------------------------------------------------------------------------------ */

int32_t qshm_bell_open(uint32_t handle, uint32_t kind, void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, 0, &error);
    if (a == NULL || a->bell != NULL || (kind != QSHM_BELL_FIFO && kind != QSHM_BELL_SOCKET)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    return qshm__outcome_finish(outcome, qshm__bell_open(a, kind, &failure), &failure);
}

int32_t qshm_bell_close(uint32_t handle)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    qshm__bell_close(a);
    return 0;
}
