/*
 * change.c - the count of changes, and waiting for it to move.
 *
 * Owns: the word `revision`: { version:31, waiting:1 }.
 *
 *   publish  add one to the version, which keeps the bit. The bit was set: wake all that sleep on the word, ring all bells.
 *            Nobody was woken: take the bit down from exactly this word, and wake and ring once more.
 *   wait     the version is another: done. Else set the bit in exactly the word that was seen, and sleep.
 *
 * Invariants
 *  - The bit stands in the same word as the version. A separate flag that publishers clear loses wake-ups without any
 *    crash, and a count of waiters stays too high for ever when one is killed: then every publish pays a system call
 *    (B2; test: "change_killed_waiters_cost_nothing"; model: change.pml).
 *  - The bit is only taken down when waking found nobody, and not by the addition itself: then one that is killed
 *    behind it would lose the next one's wake-up as well (points "bumped", "waiting cleared"; test:
 *    "change_publisher_is_killed_anywhere").
 *  - A waiter with a bell arms it before it looks at the word (bell.c).
 *
 * Failure story: a publisher killed before the addition has changed the data and told nobody; behind it, the next publish
 * wakes. One killed between taking the bit down and its second look may leave one waiter asleep: every sleep is
 * bounded by half a second.
 */
#include "change.h"

#include "../qshm.h"
#include "bell.h"
#include "fault.h"
#include "os.h"
#include "outcome.h"

static const uint32_t waiting = 1;
static const double longest_sleep = 500; /* ms */
static const double look_interval = 10;  /* ms, of those that may not write the word */
static const double spinning = 0.01;     /* ms */

static _Atomic uint32_t *word_of(const struct qshm__attachment *a)
{
    return &a->control->revision;
}

uint32_t qshm__change_revision(const struct qshm__attachment *a)
{
    return atomic_load_explicit(word_of(a), memory_order_seq_cst) >> 1;
}

static int wake(struct qshm__attachment *a)
{
    int woken = qshm__os_wake(word_of(a), true);
    return woken + qshm__bells_ring(a, QSHM_NEWS_CHANGE);
}

void qshm__change_publish(struct qshm__attachment *a)
{
    QSHM_POINT("written");
    uint32_t word = atomic_fetch_add_explicit(word_of(a), 2, memory_order_seq_cst) + 2;
    QSHM_POINT("bumped");
    if ((word & waiting) != 0 && wake(a) == 0) {
        QSHM_POINT("nobody woken");
        if (atomic_compare_exchange_strong(word_of(a), &word, word & ~waiting)) {
            QSHM_POINT("waiting cleared");
            wake(a);
        }
    }
}

/* Sets the bit, unless the version has moved on. */
static bool announce(struct qshm__attachment *a, uint32_t since, uint32_t *word)
{
    *word = atomic_load_explicit(word_of(a), memory_order_seq_cst);
    while (*word >> 1 == since) {
        if ((*word & waiting) != 0 || atomic_compare_exchange_strong(word_of(a), word, *word | waiting)) {
            *word |= waiting;
            return true;
        }
    }
    return false;
}

int qshm__change_expect(struct qshm__attachment *a, uint32_t since)
{
    qshm__bell_arm(a, QSHM_NEWS_CHANGE);
    uint32_t word;
    if (announce(a, since, &word)) {
        QSHM_POINT("waiting announced");
        return QSHM_ARMED;
    }
    qshm__bell_disarm(a, QSHM_NEWS_CHANGE);
    return QSHM_CHANGED;
}

uint32_t qshm__change_wait(struct qshm__attachment *a, uint32_t since, double timeout)
{
    double start = qshm__os_now();
    double now = start;
    uint32_t word = atomic_load_explicit(word_of(a), memory_order_seq_cst);
    while (word >> 1 == since && qshm__os_many_processors() && now - start < spinning && now - start < timeout) {
        word = atomic_load_explicit(word_of(a), memory_order_seq_cst);
        now = qshm__os_now();
    }
    for (; word >> 1 == since; now = qshm__os_now()) {
        double left = timeout - (now - start);
        if (left <= 0) {
            break;
        }
        if (a->id == 0) { /* an observer */
            qshm__os_sleep(left < look_interval ? left : look_interval);
        } else if (announce(a, since, &word)) {
            QSHM_POINT("asleep");
            qshm__os_wait(word_of(a), word, left < longest_sleep ? left : longest_sleep);
            QSHM_POINT("woken");
        }
        word = atomic_load_explicit(word_of(a), memory_order_seq_cst);
    }
    return word >> 1;
}

/* --- entry points ------------------------------------------------------------------------------------------------ */

int32_t qshm_revision(double handle)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    return a == NULL ? QSHM_E_HANDLE : (int32_t)qshm__change_revision(a);
}

int32_t qshm_notify(double handle)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, 0, &error);
    if (a == NULL || a->read_only) {
        return a == NULL ? error : QSHM_E_READ_ONLY;
    }
    qshm__change_publish(a);
    return 0;
}

int32_t qshm_wait_change(double handle, double since, double timeout_ms)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    if (a == NULL || !qshm__is_count(since) || !(timeout_ms >= 0)) {
        return a == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    return (int32_t)qshm__change_wait(a, (uint32_t)since, timeout_ms);
}

int32_t qshm_expect_change(double handle, double since)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, 0, &error);
    if (a == NULL || !qshm__is_count(since)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    return qshm__change_expect(a, (uint32_t)since);
}

int32_t qshm_stop_expecting(double handle)
{
    struct qshm__attachment *a = qshm__handle_hot(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    qshm__bell_disarm(a, QSHM_NEWS_CHANGE);
    return 0;
}
