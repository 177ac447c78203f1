/*
 * semaphore.c - permits that come back when their holder dies, exactly once.
 *
 * Owns: `permits_...`, `next_ticket`, and the semaphore's part: records and tickets.
 *
 *   record   { id:32, held:32 } per attachment that holds permits
 *   ticket   { id:32, wanted:32 } and a number, per attachment that waits
 *
 *   free permits = total - the sum of all records. There is no word for it, so nothing can disagree with the records: to
 *   take permits is one addition to the own record, and that of a dead one is cleared by one store (S1; test:
 *   "semaphore_taker_is_killed_anywhere").
 *
 * Invariants
 *  - Permits are taken, and records of the dead cleared, only while holding the segment's lock: what was added up stays
 *    true until the addition. Giving back and adding take no lock, and can only make more of them free.
 *  - Whoever waits for more gets its turn: while a ticket is older, nobody takes past it (test:
 *    "semaphore_large_request_is_served"), as long as its owner goes on trying. Whether it does stands in the ticket.
 *  - Consumed: the total goes down before the record does. Killed between the two, the record is cleared later, and the
 *    sum is right; in between it reads too low, never too high (point "total lowered").
 *
 * Failure story: killed before the addition, nothing was taken; behind it, the permits come back with the next one that
 * asks. Nobody rings for that: those who wait look every few milliseconds.
 */
#include "semaphore.h"

#include "../qshm.h"
#include "bell.h"
#include "change.h"
#include "directory.h"
#include "fault.h"
#include "layout.h"
#include "liveness.h"
#include "lock.h"
#include "os.h"
#include "outcome.h"

static const double loses_turn = 20;    /* ms without a try, while what it waits for is there */
static const double loses_place = 1000; /* ms without a try */
static const double short_patience = 5; /* ms, of one that will try again */

enum { MOST_LOOKS = 3 }; /* at changes that come while one looks; then the next try is in a few milliseconds */

static struct qshm__semaphore_part *part_of(const struct qshm__attachment *a)
{
    return (struct qshm__semaphore_part *)(a->control + 1);
}

static uint32_t id_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static uint64_t entry(uint32_t id, uint32_t count)
{
    return (uint64_t)id << 32 | count;
}

static int64_t held(const struct qshm__attachment *a)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        sum += (uint32_t)atomic_load(&part_of(a)->record[i]);
    }
    return sum;
}

/* Whatever stands there: at most as many as there may be. */
static int64_t total(const struct qshm__attachment *a)
{
    int64_t said = atomic_load(&a->control->permits_total);
    return said < -INT32_MAX ? -INT32_MAX : said > INT32_MAX ? INT32_MAX : said;
}

static int64_t free_permits(const struct qshm__attachment *a)
{
    int64_t sum = held(a); /* first: a total that is raised or lowered meanwhile errs to the low side */
    return total(a) - sum;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static _Atomic uint64_t *find_record(const struct qshm__attachment *a)
{
    for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        if (id_of(atomic_load(&part_of(a)->record[i])) == a->id) {
            return &part_of(a)->record[i];
        }
    }
    return NULL;
}

/* Under the lock: clears what the dead have left. */
static void reap(struct qshm__attachment *a)
{
    for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        _Atomic uint64_t *words[] = {&part_of(a)->record[i], &part_of(a)->ticket[i].claim};
        for (unsigned j = 0; j < 2; j++) {
            uint64_t seen = atomic_load(words[j]);
            if (seen != 0 && !qshm__is_alive(a->fd, a->id, id_of(seen))) {
                QSHM_POINT("permits of a dead one");
                atomic_compare_exchange_strong(words[j], &seen, 0);
            }
        }
    }
}

/* The own record, or a free one. */
static _Atomic uint64_t *claim_record(struct qshm__attachment *a)
{
    _Atomic uint64_t *record = find_record(a);
    for (unsigned i = 0; record == NULL && i < QSHM_PERMIT_RECORDS; i++) {
        if (atomic_load(&part_of(a)->record[i]) == 0) {
            record = &part_of(a)->record[i];
        }
    }
    return record;
}

/* --- the queue ---------------------------------------------------------------------------------------------------- */

static struct qshm__ticket *find_ticket(const struct qshm__attachment *a, uint32_t id)
{
    for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        struct qshm__ticket *ticket = &part_of(a)->ticket[i];
        uint64_t claim = atomic_load(&ticket->claim);
        if (id == 0 ? claim == 0 : id_of(claim) == id) {
            return ticket;
        }
    }
    return NULL;
}

/* A ticket's number: { place:32, time of its owner's last try (ms):32 }. */
static uint64_t number_of(uint32_t place)
{
    return (uint64_t)place << 32 | (uint32_t)(uint64_t)qshm__os_now();
}

static uint32_t place_of(const struct qshm__ticket *ticket)
{
    return (uint32_t)(atomic_load(&ticket->number) >> 32);
}

static bool is_before(uint32_t place, uint32_t other)
{
    return (int32_t)(place - other) < 0;
}

static double silent_for(const struct qshm__ticket *ticket)
{
    return (double)(int32_t)((uint32_t)(uint64_t)qshm__os_now() - (uint32_t)atomic_load(&ticket->number));
}

/* The oldest ticket behind `after` (NULL: of all), if it is older than ours. */
static struct qshm__ticket *find_older(const struct qshm__attachment *a, const struct qshm__ticket *mine,
                                       const uint32_t *after)
{
    struct qshm__ticket *oldest = NULL;
    for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        struct qshm__ticket *ticket = &part_of(a)->ticket[i];
        uint32_t place = place_of(ticket);
        if (atomic_load(&ticket->claim) != 0 && ticket != mine && (mine == NULL || is_before(place, place_of(mine))) &&
            (after == NULL || is_before(*after, place)) && (oldest == NULL || is_before(place, place_of(oldest)))) {
            oldest = ticket;
        }
    }
    return oldest;
}

/* One that is dead, or has not tried for a second, loses its place: its process is stopped, or its thread gone. One that
 * could take and has not tried for a while only loses its turn (test: "semaphore_stopped_ticket_blocks_nobody"). */
static bool is_passed_over(struct qshm__attachment *a, struct qshm__ticket *ticket)
{
    uint64_t claim = atomic_load(&ticket->claim);
    double silence = silent_for(ticket);
    if (silence > loses_place || !qshm__is_alive(a->fd, a->id, id_of(claim))) {
        QSHM_POINT("ticket of a silent one");
        atomic_compare_exchange_strong(&ticket->claim, &claim, 0);
        return true;
    }
    return silence > loses_turn && free_permits(a) >= (int64_t)(uint32_t)claim;
}

static bool may_take(struct qshm__attachment *a, const struct qshm__ticket *mine, uint32_t count)
{
    uint32_t after;
    struct qshm__ticket *older = find_older(a, mine, NULL);
    while (older != NULL) {
        after = place_of(older);
        if (!is_passed_over(a, older)) {
            return false;
        }
        older = find_older(a, mine, &after);
    }
    if (free_permits(a) < count) {
        reap(a); /* only those whose turn it is ask the kernel for all others */
    }
    return free_permits(a) >= count;
}

static int queue_up(struct qshm__attachment *a, struct qshm__ticket *mine, uint32_t count)
{
    if (mine == NULL) {
        mine = find_ticket(a, 0);
        if (mine == NULL) {
            return QSHM_E_RESOURCES;
        }
        atomic_store(&mine->number, number_of((uint32_t)atomic_fetch_add(&a->control->next_ticket, 1)));
    } else {
        atomic_store(&mine->number, number_of(place_of(mine)));
    }
    atomic_store(&mine->claim, entry(a->id, count));
    QSHM_POINT("queued");
    return QSHM_PERMITS_REFUSED;
}

/* --- the operations ----------------------------------------------------------------------------------------------- */

static int acquire_locked(struct qshm__attachment *a, uint32_t count, bool queue)
{
    struct qshm__ticket *mine = find_ticket(a, a->id);
    if (!may_take(a, mine, count)) {
        return queue ? queue_up(a, mine, count) : QSHM_PERMITS_REFUSED;
    }
    _Atomic uint64_t *record = claim_record(a);
    if (record == NULL) {
        reap(a);
        record = claim_record(a);
    }
    if (record == NULL) {
        return QSHM_E_RESOURCES;
    }
    QSHM_POINT("permits free");
    a->inside = true;
    atomic_store(record, entry(a->id, (uint32_t)atomic_load(record) + count));
    QSHM_POINT("permits taken");
    if (mine != NULL) {
        atomic_store(&mine->claim, 0);
    }
    return QSHM_PERMITS_TAKEN;
}

static int acquire_once(struct qshm__attachment *a, uint32_t count, bool queue)
{
    int r = qshm__lock_wait(a, queue ? short_patience : QSHM_PATIENCE);
    if (r <= 0) {
        return r < 0 ? r : queue ? QSHM_PERMITS_REFUSED : QSHM_E_BUSY;
    }
    bool was_queued = find_ticket(a, a->id) != NULL;
    r = acquire_locked(a, count, queue);
    qshm__lock_release(a);
    if (r == QSHM_PERMITS_TAKEN) {
        qshm__bell_disarm(a, QSHM_NEWS_CHANGE);
    }
    if (r == QSHM_PERMITS_TAKEN && was_queued) {
        qshm__change_publish(a); /* the next one in the queue may take now */
    }
    return r;
}

/* With a bell, a refusal leaves it armed; what changes while it is being armed is looked at here. */
int qshm__semaphore_acquire(struct qshm__attachment *a, uint32_t count, bool queue)
{
    for (int looks = 1;; looks++) {
        uint32_t revision = qshm__change_revision(a);
        int r = acquire_once(a, count, queue);
        if (r != QSHM_PERMITS_REFUSED || !queue || a->bell == NULL || looks == MOST_LOOKS ||
            qshm__change_expect(a, revision) == QSHM_ARMED) {
            return r;
        }
    }
}

void qshm__semaphore_withdraw(struct qshm__attachment *a)
{
    struct qshm__ticket *mine = find_ticket(a, a->id);
    uint64_t claim = mine == NULL ? 0 : atomic_load(&mine->claim);
    qshm__bell_disarm(a, QSHM_NEWS_CHANGE);
    if (id_of(claim) == a->id && atomic_compare_exchange_strong(&mine->claim, &claim, 0)) {
        QSHM_POINT("withdrawn");
        qshm__change_publish(a);
    }
}

int qshm__semaphore_return(struct qshm__attachment *a, uint32_t count)
{
    _Atomic uint64_t *record = find_record(a);
    if (record == NULL || (uint32_t)atomic_load(record) < count) {
        return QSHM_E_ARGUMENT;
    }
    uint32_t left = (uint32_t)atomic_load(record) - count; /* only we change it, as long as we live */
    atomic_store(record, left == 0 ? 0 : entry(a->id, left));
    a->inside = left != 0;
    QSHM_POINT("permits returned");
    qshm__change_publish(a);
    return 0;
}

int qshm__semaphore_forget(struct qshm__attachment *a, uint32_t count)
{
    _Atomic uint64_t *record = find_record(a);
    if (record == NULL || (uint32_t)atomic_load(record) < count) {
        return QSHM_E_ARGUMENT;
    }
    atomic_fetch_sub(&a->control->permits_total, count);
    QSHM_POINT("total lowered");
    uint32_t left = (uint32_t)atomic_load(record) - count;
    atomic_store(record, left == 0 ? 0 : entry(a->id, left));
    a->inside = left != 0;
    return 0;
}

int qshm__semaphore_post(struct qshm__attachment *a, uint32_t count)
{
    int64_t now = atomic_load(&a->control->permits_total);
    do {
        if (now > INT32_MAX || now + count > (int64_t)a->control->permits_max) {
            return QSHM_E_ARGUMENT;
        }
    } while (!atomic_compare_exchange_strong(&a->control->permits_total, &now, now + count));
    qshm__change_publish(a);
    return 0;
}

uint32_t qshm__semaphore_available(struct qshm__attachment *a)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        uint64_t record = atomic_load(&part_of(a)->record[i]);
        bool counts = (uint32_t)record != 0 && qshm__is_alive(a->fd, a->id, id_of(record));
        sum += counts ? (uint32_t)record : 0;
    }
    int64_t free = total(a) - sum;
    return free < 0 ? 0 : (uint32_t)free;
}

void qshm__semaphore_leave(struct qshm__attachment *a)
{
    if (a->kind != QSHM_KIND_SEMAPHORE) {
        return;
    }
    struct qshm__ticket *mine = find_ticket(a, a->id);
    _Atomic uint64_t *record = find_record(a);
    if (mine != NULL) {
        atomic_store(&mine->claim, 0);
    }
    if (record != NULL) {
        atomic_store(record, 0);
    }
    if (mine != NULL || record != NULL) {
        qshm__change_publish(a);
    }
}

/* --- entry points ------------------------------------------------------------------------------------------------ */

static struct qshm__attachment *find(double handle, int *error)
{
    return qshm__handle_writer(handle, QSHM_KIND_SEMAPHORE, error);
}

int32_t qshm_acquire(double handle, double count, double queue)
{
    int error;
    struct qshm__attachment *a = find(handle, &error);
    if (a == NULL || !qshm__is_count(count) || count < 1) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    return qshm__semaphore_acquire(a, (uint32_t)count, queue != 0);
}

int32_t qshm_withdraw(double handle)
{
    int error;
    struct qshm__attachment *a = find(handle, &error);
    if (a == NULL) {
        return error;
    }
    qshm__semaphore_withdraw(a);
    return 0;
}

static int32_t change_permits(double handle, double count, int (*how)(struct qshm__attachment *, uint32_t))
{
    int error;
    struct qshm__attachment *a = find(handle, &error);
    if (a == NULL || !qshm__is_count(count) || count < 1) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    return how(a, (uint32_t)count);
}

int32_t qshm_give_back(double handle, double count)
{
    return change_permits(handle, count, qshm__semaphore_return);
}

int32_t qshm_consume(double handle, double count)
{
    return change_permits(handle, count, qshm__semaphore_forget);
}

int32_t qshm_post(double handle, double count)
{
    return change_permits(handle, count, qshm__semaphore_post);
}

int32_t qshm_available(double handle)
{
    int error;
    struct qshm__attachment *a = find(handle, &error);
    return a == NULL ? error : (int32_t)qshm__semaphore_available(a);
}

int32_t qshm_permits_max(double handle)
{
    int error;
    struct qshm__attachment *a = find(handle, &error);
    return a == NULL ? error : (int32_t)(a->control->permits_max & INT32_MAX);
}
