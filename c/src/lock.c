/*
 * lock.c - a lock that survives the death of its owner.
 *
 * The word: { died:1, heir:31, waiters:1, owner:31 }, the owner's half first in memory, because futexes are 32 bits.
 *
 *   owner    id of the attachment that holds the lock, 0 = free
 *   waiters  somebody may sleep on the low half: wake when freeing
 *   heir     id of a waiter that was passed over for 5 ms: it gets the lock next, so that a greedy owner, which would
 *            otherwise win every race, starves nobody (test: "lock_greedy_locker"). It stands in the same word as
 *            the owner: with a word of its own, a waiter that gives up could become owner. A grant is an offer
 *            until the heir accepts it: owner and heir are both its id, and whoever has seen that offer for 20 ms
 *            may take the lock in its place. Otherwise a mere waiter that is stopped, or whose thread is busy,
 *            would lock everybody out (test: "lock_offer_is_taken_back")
 *   died     the data may be half-written: an owner died, or was forced out, inside. Only an orderly unlock clears it,
 *            so a second death is told again
 *
 * Rules
 *  - Every change is a compare-and-swap on the exact word that the decision was made on. A takeover by a plain store
 *    would let two waiters take over from one dead owner (test: "lock_double_takeover"; point "takeover").
 *  - An owner is dead when the kernel says so (liveness.h). tryLock asks too, or a dead owner would be busy for ever.
 *  - Every sleep is bounded by 5 ms, and every wake-up looks at the whole word again: a process that was woken may be
 *    killed before it takes the lock, and its wake-up is lost with it (point "woken"; test:
 *    "lock_woken_waiter_is_killed").
 *  - `lock_holder` (pid and id) is written after the word, so it may be that of a former owner: it is believed only if
 *    its id is the word's, and the process really has that byte (api.c).
 *
 * Failure story: killed before the word names it, a waiter leaves nothing. Killed as heir, the next unlock or takeover
 * sees a dead heir and passes it over. Killed as owner, the next one that asks takes over and is told. Stopped as
 * owner, it lives: others time out, or force.
 *
 * Ownership belongs to the attachment, never to a thread; `thread` serves only to recognise waits that cannot end.
 */
#include "lock.h"

#include "../qshm.h"
#include "bell.h"
#include "fault.h"
#include "liveness.h"
#include "os.h"

#define DIED (UINT64_C(1) << 63)
#define WAITERS (UINT64_C(1) << 31)

static const double first_check = 1;   /* ms until an owner's life is asked for, growing by half each time ... */
static const double slowest_check = 5; /* ... to this: the bound of every sleep */
static const double passed_over = 5;   /* ms after which a waiter asks to be the heir */
static const double spinning = 0.005;  /* ms: sleeping and being woken costs ten times as much */
static const double offer_stands = 20; /* ms that an heir has to accept the lock */
static const double shortest_sleep = 0.05;
static const double no_timeout = 1e15;

static uint32_t owner_of(uint64_t word)
{
    return (uint32_t)word & 0x7fffffff;
}

static uint32_t heir_of(uint64_t word)
{
    return (uint32_t)(word >> 32) & 0x7fffffff;
}

static uint64_t as_heir(uint32_t id)
{
    return (uint64_t)id << 32;
}

/* Was the lock offered to an heir that has not yet accepted it? */
static bool is_offer(uint64_t word)
{
    return owner_of(word) != 0 && owner_of(word) == heir_of(word);
}

static const uint64_t no_heir = ~(UINT64_C(0x7fffffff) << 32);

static uint64_t offer_to(uint32_t id)
{
    return as_heir(id) | WAITERS | id;
}

static const void *low_half(const struct qshm__attachment *a)
{
    return &a->control->lock;
}

static bool swap(struct qshm__attachment *a, uint64_t *expected, uint64_t desired)
{
    return atomic_compare_exchange_strong_explicit(&a->control->lock, expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire);
}

static int taken(struct qshm__attachment *a, bool died)
{
    QSHM_POINT("lock taken");
    atomic_store_explicit(&a->control->lock_holder, (uint64_t)a->pid << 32 | a->id, memory_order_relaxed);
    a->holding = true;
    a->thread = qshm__os_thread();
    a->waiting_since = 0;
    return died ? QSHM_LOCK_TAKEN_DIED : QSHM_LOCK_TAKEN;
}

enum { CHECK_LIFE = 1, SLEPT = 2, WILL_SLEEP = 4, WANT_HEIR = 8 };

/* May an offer to another be taken in its place: because the heir is dead, or did not accept it for 20 ms? An offer
 * that looks the same but is a later one may be taken too early by this: its heir then goes on waiting. */
static bool is_stale_offer(struct qshm__attachment *a, uint64_t word, unsigned how)
{
    double now = qshm__os_now();
    if (a->offer != word) {
        a->offer = word;
        a->offer_seen = now;
    }
    return now - a->offer_seen > offer_stands ||
           ((how & CHECK_LIFE) != 0 && !qshm__is_alive(a->fd, a->id, owner_of(word)));
}

/* One look at the whole condition. BUSY leaves in `*seen` the word that was last in place. */
static int attempt(struct qshm__attachment *a, unsigned how, uint64_t *seen)
{
    uint64_t word = atomic_load_explicit(&a->control->lock, memory_order_acquire);
    for (;;) {
        uint32_t owner = owner_of(word);
        uint32_t heir = heir_of(word);
        if (owner == a->id) { /* offered to us */
            if (swap(a, &word, word & no_heir)) {
                return taken(a, (word & DIED) != 0);
            }
            continue;
        }
        if (is_offer(word) && is_stale_offer(a, word, how)) {
            QSHM_POINT("takeover of an offer"); /* nobody was inside: `died` stays as it is */
            if (swap(a, &word, a->id | WAITERS | (word & DIED))) {
                return taken(a, (word & DIED) != 0);
            }
            continue;
        }
        uint64_t other_heir = heir == a->id ? 0 : as_heir(heir);
        if (owner == 0) {
            uint64_t waiters = (how & SLEPT) != 0 ? WAITERS : word & WAITERS;
            if (swap(a, &word, a->id | waiters | other_heir | (word & DIED))) {
                return taken(a, (word & DIED) != 0);
            }
            continue;
        }
        if (!is_offer(word) && (how & CHECK_LIFE) != 0 && !qshm__is_alive(a->fd, a->id, owner)) {
            QSHM_POINT("takeover");
            if (swap(a, &word, a->id | WAITERS | other_heir | DIED)) {
                qshm__trace("took the lock of %s over from id %u, which is dead", a->name, owner);
                return taken(a, true);
            }
            continue;
        }
        uint64_t next = word | ((how & WILL_SLEEP) != 0 ? WAITERS : 0);
        if ((how & CHECK_LIFE) != 0 && heir != 0 && heir != owner && !qshm__is_alive(a->fd, a->id, heir)) {
            next &= no_heir;
        }
        if ((how & WANT_HEIR) != 0 && heir_of(next) == 0) {
            next |= as_heir(a->id);
        }
        if (next == word || swap(a, &word, next)) {
            *seen = next;
            return QSHM_LOCK_BUSY;
        }
    }
}

int qshm__lock_try(struct qshm__attachment *a)
{
    if (a->holding) {
        return QSHM_LOCK_BUSY;
    }
    uint64_t word = 0; /* free, and nobody waits: the usual case */
    return swap(a, &word, a->id) ? taken(a, false) : attempt(a, CHECK_LIFE, &word);
}

/* All bells: the one that is rung alone may be killed before it takes the lock (model: lockbell.pml). */
static void wake(struct qshm__attachment *a, bool all)
{
    qshm__os_wake(low_half(a), all);
    if (a->kind != QSHM_KIND_SEMAPHORE) { /* whose lock is internal: nobody waits for it in an event loop */
        qshm__bells_ring(a, QSHM_NEWS_FREE);
    }
}

/* The word that follows when `word` is given up: an offer to its heir, or free. */
static uint64_t without_owner(const struct qshm__attachment *a, uint64_t word)
{
    uint32_t heir = heir_of(word);
    return heir != 0 && !is_offer(word) && qshm__is_alive(a->fd, a->id, heir) ? offer_to(heir) : 0;
}

/* Gives the lock up. `keep` is DIED if the next owner must still be told, else 0. */
static int give_up(struct qshm__attachment *a, uint64_t keep)
{
    a->holding = false;
    uint64_t word = a->id; /* nobody waits: the usual case */
    uint64_t next = keep;
    while (!swap(a, &word, next)) {
        if (owner_of(word) != a->id) {
            return QSHM_E_LOCK_LOST;
        }
        next = keep | without_owner(a, word);
    }
    QSHM_POINT("lock freed");
    if ((word & WAITERS) != 0) {
        wake(a, owner_of(next) != 0); /* the heir is one of many sleepers */
    }
    return 0;
}

/* Ends a wait. If the lock was offered to us in the meantime: accepts, or, without `take`, frees it as it is. */
static int withdraw(struct qshm__attachment *a, bool take)
{
    a->waiting_since = 0;
    qshm__bell_disarm(a, QSHM_NEWS_FREE);
    uint64_t word = atomic_load_explicit(&a->control->lock, memory_order_acquire);
    for (;;) {
        if (owner_of(word) == a->id && !a->holding) {
            if (!take) {
                give_up(a, word & DIED);
                return QSHM_LOCK_BUSY;
            }
            if (swap(a, &word, word & no_heir)) {
                return taken(a, (word & DIED) != 0);
            }
            continue;
        }
        if (heir_of(word) != a->id || swap(a, &word, word & no_heir)) {
            return QSHM_LOCK_BUSY;
        }
    }
}

/* Is the time for a question to the kernel come? Then the next one is put off. */
static bool check_due(struct qshm__attachment *a, double now)
{
    if (now < a->next_check) {
        return false;
    }
    a->next_check = now + a->check_interval;
    a->check_interval = a->check_interval * 1.5 < slowest_check ? a->check_interval * 1.5 : slowest_check;
    return true;
}

static void begin_waiting(struct qshm__attachment *a, double now)
{
    a->waiting_since = now;
    a->next_check = now;
    a->check_interval = first_check;
}

int qshm__lock_poll(struct qshm__attachment *a)
{
    if (a->holding) {
        return QSHM_LOCK_BUSY;
    }
    double now = qshm__os_now();
    if (a->waiting_since == 0) {
        a->thread = qshm__os_thread();
        a->waiting_since = now;
    }
    qshm__bell_arm(a, QSHM_NEWS_FREE); /* before the look (K2; test: "bell_waiter_for_the_lock_is_stopped_anywhere") */
    unsigned how = CHECK_LIFE | (a->bell != NULL ? WILL_SLEEP : 0);
    uint64_t seen;
    int r = attempt(a, now - a->waiting_since > passed_over ? how | WANT_HEIR : how, &seen);
    QSHM_POINT("lock looked at");
    if (r != QSHM_LOCK_BUSY) {
        qshm__bell_disarm(a, QSHM_NEWS_FREE);
    }
    return r;
}

int qshm__lock_cancel(struct qshm__attachment *a)
{
    return a->waiting_since == 0 ? QSHM_LOCK_BUSY : withdraw(a, false);
}

/* While this thread blocks, its other attachments, also of other segments, cannot use a lock that is offered to them:
 * their asynchronous waits step back from being heir, and step up again at their next turn. */
static bool step_back(struct qshm__attachment *other, const void *context)
{
    const struct qshm__attachment *a = context;
    if (other != a && other->thread == a->thread && other->control != NULL && other->waiting_since != 0) {
        double since = other->waiting_since;
        withdraw(other, false);
        other->waiting_since = since;
    }
    return false;
}

/* The owner of the same lock, in the thread that wants to wait for it. */
static bool is_holding_sibling(struct qshm__attachment *other, const void *context)
{
    const struct qshm__attachment *a = context;
    return other != a && other->thread == a->thread && other->control != NULL && other->inode == a->inode &&
           other->device == a->device && other->holding &&
           owner_of(atomic_load_explicit(&other->control->lock, memory_order_relaxed)) == other->id;
}

int qshm__lock_wait(struct qshm__attachment *a, double timeout)
{
    a->thread = qshm__os_thread();
    if (a->holding || qshm__handle_each(is_holding_sibling, a) != NULL) {
        return QSHM_E_DEADLOCK;
    }
    uint64_t word = 0;
    if (swap(a, &word, a->id)) {
        return taken(a, false);
    }
    qshm__handle_each(step_back, a);
    double start = qshm__os_now();
    begin_waiting(a, start);
    double now = start;
    if (qshm__os_many_processors()) {
        while (now - start < spinning && now - start < timeout) {
            int r = attempt(a, 0, &word);
            if (r != QSHM_LOCK_BUSY) {
                return r;
            }
            now = qshm__os_now();
        }
    }
    for (unsigned slept = 0;; slept = SLEPT, now = qshm__os_now()) {
        unsigned want_heir = now - start > passed_over ? WANT_HEIR : 0;
        int r = attempt(a, slept | WILL_SLEEP | want_heir | (check_due(a, now) ? CHECK_LIFE : 0), &word);
        if (r != QSHM_LOCK_BUSY) {
            return r;
        }
        double left = timeout < no_timeout ? start + timeout - now : no_timeout;
        if (left <= 0) {
            return withdraw(a, true);
        }
        double until_check = a->next_check - now;
        double sleep = until_check < left ? until_check : left;
        QSHM_POINT("asleep");
        qshm__os_wait(low_half(a), (uint32_t)word, sleep > shortest_sleep ? sleep : shortest_sleep);
        QSHM_POINT("woken");
    }
}

int qshm__lock_release(struct qshm__attachment *a)
{
    return a->holding ? give_up(a, 0) : QSHM_E_LOCK_LOST; /* a grant that was not yet seen is not held */
}

void qshm__lock_abandon(struct qshm__attachment *a, bool died)
{
    if (a->holding) {
        give_up(a, died ? DIED : 0);
    }
    withdraw(a, false);
}

static struct qshm__lock_owner describe(const struct qshm__control *control, uint64_t word)
{
    uint64_t hint = atomic_load_explicit(&control->lock_holder, memory_order_relaxed);
    uint32_t id = owner_of(word);
    return (struct qshm__lock_owner){.id = id, .hinted_pid = (uint32_t)hint == id ? (uint32_t)(hint >> 32) : 0};
}

struct qshm__lock_owner qshm__lock_owner(const struct qshm__control *control)
{
    return describe(control, atomic_load_explicit(&control->lock, memory_order_acquire));
}

struct qshm__lock_owner qshm__lock_force(struct qshm__attachment *a, uint32_t expected)
{
    uint64_t word = atomic_load_explicit(&a->control->lock, memory_order_acquire);
    for (;;) {
        uint32_t owner = owner_of(word);
        if (owner == 0 || (expected != 0 && owner != expected)) {
            return (struct qshm__lock_owner){0};
        }
        struct qshm__lock_owner former = describe(a->control, word);
        uint64_t died = is_offer(word) ? word & DIED : DIED; /* nobody is inside before an offer is accepted */
        QSHM_POINT("force");
        if (swap(a, &word, died | without_owner(a, word))) {
            QSHM_POINT("forced");
            wake(a, true);
            qshm__trace("took the lock of %s away from id %u", a->name, owner);
            return former;
        }
    }
}
