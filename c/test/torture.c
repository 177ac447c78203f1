/*
 * torture.c - many processes, one name, and kill -9 at any moment.
 *
 *   lifetime   processes open and detach one name. Never do two live segments of it exist, never is anybody attached to
 *              one that lost its name, and nothing is left at the end.
 *   lock       processes change two counters under the lock. They are equal, or the owner's death is told; nobody is
 *              inside beside another; somebody who asks rarely gets the lock beside those who ask always.
 *   guard      processes are elected and give up. Never are there two at once; each crash of a holder is told.
 *
 * Invariants: what the processes report stands in anonymous memory that outlives them; a slot counts as dying before
 * its process is killed, so that an observation about a process that may be gone is not taken for a violation.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

enum { PROCESSES = 8 };

static void sleep_microseconds(uint32_t microseconds)
{
    struct timespec time = {.tv_nsec = (long)microseconds * 1000};
    nanosleep(&time, NULL);
}

static void spin(uint32_t turns)
{
    for (volatile uint32_t i = 0; i < turns; i++) {
    }
}

/* --- lifetime ----------------------------------------------------------------------------------------------------- */

struct life_slot {
    _Alignas(64) _Atomic uint64_t nonce; /* of the segment that the process is attached to */
    _Atomic int dying;
    _Atomic long rounds, created, recovered;
};

struct life_board {
    struct life_slot slot[PROCESSES];
    _Atomic long violations;
    uint64_t seed;
};

/* What a process is given: fork copies it, so the next process's number cannot get into it. */
struct life_part {
    struct life_board *board;
    int me;
};

static void violated(_Atomic long *count, const char *format, unsigned long long one, unsigned long long two)
{
    if (atomic_fetch_add(count, 1) < 5) {
        runner_note(format, one, two);
    }
}

/* The segment's identity: whoever comes first gives it one. */
static uint64_t identify(_Atomic uint64_t *payload, struct random *random)
{
    uint64_t mine = random_next(random) | 1;
    uint64_t none = 0;
    return atomic_compare_exchange_strong(payload, &none, mine) ? mine : none;
}

static void check_name(struct life_board *board, uint64_t mine)
{
    uint64_t found = 0;
    int fd = open(path_of("m-life"), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, &found, sizeof found, sizeof(struct qshm__control)) != sizeof found || found != mine) {
        violated(&board->violations, "attached to %llx, but the name leads to %llx", mine, fd < 0 ? 0 : found);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static void live(void *argument)
{
    const struct life_part *part = argument;
    struct life_board *board = part->board;
    int me = part->me;
    struct life_slot *slot = &board->slot[me];
    struct random random = random_from(board->seed ^ (uint64_t)getpid() << 20);
    for (;;) {
        int32_t handle = open_memory(random_below(&random, 4) == 0 ? QSHM_CREATE : QSHM_CREATE | QSHM_ATTACH, "life");
        if (handle < 0) {
            if (handle != QSHM_E_ALREADY_EXISTS) {
                violated(&board->violations, "open failed: error %llu, errno %llu", (unsigned long long)-handle,
                         (unsigned long long)outcome.os_error);
            }
            continue;
        }
        slot->created += (outcome.flags & QSHM_CREATED) != 0;
        slot->recovered += (outcome.flags & QSHM_RECOVERED) != 0;
        _Atomic uint64_t *payload = qshm_payload((uint32_t)handle);
        uint64_t mine = identify(payload, &random);
        slot->nonce = mine;
        for (int i = 0; i < PROCESSES; i++) {
            struct life_slot *other = &board->slot[i];
            uint64_t seen = other->nonce;
            if (i != me && seen != 0 && seen != mine && other->dying == 0 && other->nonce == seen &&
                other->dying == 0) {
                violated(&board->violations, "attached to %llx while another process lives on %llx", mine, seen);
            }
        }
        check_name(board, mine);
        spin(random_below(&random, 4096));
        slot->nonce = 0;
        EQ(qshm_detach((uint32_t)handle), 1);
        EQ(qshm_unmap((uint32_t)handle, 0), 0);
        slot->rounds++;
    }
}

static void torture_lifetime(long most_kills, double seconds)
{
    struct life_board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    struct random random = random_from(board->seed);
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = spawn(live, &(struct life_part){.board = board, .me = i});
    }
    double end = now_ms() + seconds * 1e3;
    long kills = 0;
    while (kills < most_kills && now_ms() < end && board->violations == 0) {
        sleep_microseconds(random_below(&random, 3000));
        int i = (int)random_below(&random, PROCESSES);
        board->slot[i].dying = 1;
        kill_and_wait(pids[i]);
        board->slot[i].nonce = 0;
        board->slot[i].dying = 0;
        kills++;
        pids[i] = spawn(live, &(struct life_part){.board = board, .me = i});
    }
    long rounds = 0, created = 0, recovered = 0;
    for (int i = 0; i < PROCESSES; i++) {
        board->slot[i].dying = 1; /* for good: the others still look at its slot */
        kill_and_wait(pids[i]);
        rounds += board->slot[i].rounds;
        created += board->slot[i].created;
        recovered += board->slot[i].recovered;
    }
    runner_note("lifetime: %ld rounds, %ld segments made, %ld recovered, %ld kills, %ld violations", rounds, created,
                recovered, kills, board->violations);
    runner_count("lifetime kills", kills);
    EQ(board->violations, 0);
    CHECK(kills == most_kills || now_ms() >= end); /* it was not cut short */
    GT(rounds, kills); /* how many are recovered is chance: mostly somebody else is attached when one dies */
    int32_t handle = open_memory(QSHM_CREATE, "life");
    GT(handle, 0);
    EQ(qshm_detach((uint32_t)handle), 0);
    EQ(count_files(), 0);
}

CASE(lifetime_torture)
{
    torture_lifetime(300, 1e9);
}

static void need_time(void)
{
    unsigned seconds = runner_torture_seconds();
    if (seconds == 0) {
        runner_skip("QSHM_TORTURE_SECONDS is not set (make torture)");
    }
    runner_watchdog(seconds + 600);
}

CASE(torture_lifetime_long)
{
    need_time();
    double seconds = runner_torture_seconds();
    torture_lifetime(3000, seconds < 60 ? 60 : seconds);
}

/* --- lock --------------------------------------------------------------------------------------------------------- */

struct lock_board {
    _Atomic int dying[PROCESSES];
    _Atomic long acquired[PROCESSES];
    _Atomic long violations, told, repaired;
    uint64_t seed;
};

struct lock_part {
    struct lock_board *board;
    int me;
};

/* The segment's payload. */
struct guarded {
    _Atomic uint32_t inside; /* which process, plus 1 */
    _Atomic uint64_t one, two;
};

static int32_t take(uint32_t handle, int me, struct random *random)
{
    if (me == 0 || random_below(random, 8) == 0) { /* as an event loop would */
        int32_t r;
        while ((r = qshm_poll_lock(handle)) == 0) {
            if (random_below(random, 50) == 0 && (r = qshm_cancel_lock(handle)) != 0) {
                return r;
            }
            sleep_microseconds(1000);
        }
        return r;
    }
    return qshm_wait_lock(handle, random_below(random, 4) == 0 ? random_below(random, 3) : HUGE_VAL);
}

static void contend(void *argument)
{
    const struct lock_part *part = argument;
    struct lock_board *board = part->board;
    int me = part->me;
    struct random random = random_from(board->seed ^ (uint64_t)getpid() << 20);
    for (;;) {
        int32_t handle = open_memory(QSHM_CREATE | QSHM_ATTACH, "lock");
        GT(handle, 0);
        struct guarded *data = qshm_payload((uint32_t)handle);
        for (int turn = 0; turn < 500; turn++) {
            int32_t r = take((uint32_t)handle, me, &random);
            GE(r, 0);
            if (r == 0) {
                continue;
            }
            uint32_t before = atomic_exchange(&data->inside, (uint32_t)me + 1);
            if (before != 0 && (r != 2 || board->dying[before - 1] == 0) && before != (uint32_t)me + 1) {
                violated(&board->violations, "process %llu came in beside %llu", (unsigned)me + 1, before);
            }
            if (r == 2) {
                board->told++;
                board->repaired += data->one != data->two;
                data->two = data->one;
            } else if (data->one != data->two) {
                violated(&board->violations, "half-written data, and nobody was told: %llu, %llu",
                         data->one, data->two);
                data->two = data->one;
            }
            data->one++;
            spin(random_below(&random, 1024));
            data->two++;
            data->inside = 0;
            board->acquired[me]++;
            if (turn % 100 == 99) {
                break; /* detach as owner */
            }
            EQ(qshm_unlock((uint32_t)handle), 0);
        }
        EQ(qshm_detach((uint32_t)handle), 1);
        EQ(qshm_unmap((uint32_t)handle, 0), 0);
    }
}

static void torture_lock(double seconds)
{
    struct lock_board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    struct random random = random_from(board->seed);
    int32_t keeper = open_memory(QSHM_CREATE, "lock");
    GT(keeper, 0);
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = spawn(contend, &(struct lock_part){.board = board, .me = i});
    }
    double end = now_ms() + seconds * 1e3;
    long kills = 0;
    while ((now_ms() < end || board->told == 0) && board->violations == 0) { /* few die inside: at least one is to */
        sleep_microseconds(random_below(&random, 6000));
        int i = (int)random_below(&random, PROCESSES);
        if (i == 0 && random_below(&random, 4) != 0) {
            continue; /* the one that asks rarely is to have its chance */
        }
        board->dying[i] = 1;
        kill_and_wait(pids[i]);
        kills++;
        /* Somebody may not have found out yet that it died inside: that slot goes on to count as dying. */
        int32_t r = qshm_wait_lock((uint32_t)keeper, 30000);
        GT(r, 0);
        struct guarded *data = qshm_payload((uint32_t)keeper);
        CHECK(r == 2 || data->one == data->two);
        data->two = data->one;
        data->inside = 0;
        EQ(qshm_unlock((uint32_t)keeper), 0);
        board->dying[i] = 0;
        pids[i] = spawn(contend, &(struct lock_part){.board = board, .me = i});
    }
    /* Everybody gets on: no lock was lost. */
    for (int i = 0; i < PROCESSES && board->violations == 0; i++) {
        for (long seen = board->acquired[i]; board->acquired[i] == seen;) {
            sched_yield();
        }
    }
    long acquired = 0;
    for (int i = 0; i < PROCESSES; i++) {
        board->dying[i] = 1;
        kill_and_wait(pids[i]);
        acquired += board->acquired[i];
    }
    runner_note("lock: %ld acquisitions, %ld by the one that only polls, %ld kills, %ld told, %ld repaired, "
                "%ld violations",
                acquired, board->acquired[0], kills, board->told, board->repaired, board->violations);
    runner_count("lock kills", kills);
    EQ(board->violations, 0);
    CHECK(now_ms() >= end); /* it was not cut short */
    GT(kills, 0);
    GT(board->told, 0);
    GT(board->acquired[0], 0);
    EQ(qshm_detach((uint32_t)keeper), 1);
    EQ(count_files(), 0);
}

CASE(lock_torture)
{
    torture_lock(4);
}

CASE(torture_lock_long)
{
    need_time();
    torture_lock(runner_torture_seconds());
}

/* --- guard -------------------------------------------------------------------------------------------------------- */

struct guard_board {
    _Atomic int dying[PROCESSES];
    _Atomic int holding[PROCESSES];
    _Atomic long elected[PROCESSES];
    _Atomic uint32_t inside; /* which process, plus 1 */
    _Atomic long violations, told;
    uint64_t seed;
};

struct guard_part {
    struct guard_board *board;
    int me;
};

static void stand(void *argument)
{
    const struct guard_part *part = argument;
    struct guard_board *board = part->board;
    uint32_t me = (uint32_t)part->me + 1;
    struct random random = random_from(board->seed ^ (uint64_t)getpid() << 20);
    for (;;) {
        int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "guard");
        if (handle < 0) {
            violated(&board->violations, "open failed: error %llu, errno %llu", (unsigned long long)-handle,
                     (unsigned long long)outcome.os_error);
            continue;
        }
        bool reclaimed = (outcome.flags & (QSHM_CREATED | QSHM_RECOVERED)) == (QSHM_CREATED | QSHM_RECOVERED);
        for (uint32_t tries = 1 + random_below(&random, 20); tries > 0; tries--) {
            int32_t r = qshm_elect((uint32_t)handle, random_below(&random, 2) == 0 ? 0 : 1000, &me, sizeof me, LARGEST_MESSAGE, &outcome);
            if (r < 0) {
                violated(&board->violations, "elect failed: error %llu, errno %llu", (unsigned long long)-r,
                         (unsigned long long)outcome.os_error);
                break;
            }
            if (r == 0) {
                sched_yield();
                continue;
            }
            board->told += reclaimed || (outcome.flags & QSHM_RECOVERED) != 0;
            board->holding[me - 1] = 1;
            uint32_t before = atomic_exchange(&board->inside, me);
            if (before != 0 && board->dying[before - 1] == 0) {
                violated(&board->violations, "process %llu guards beside %llu", me, before);
            }
            board->elected[me - 1]++;
            if (random_below(&random, 4) == 0) {
                sleep_microseconds(random_below(&random, 1000));
            } else {
                spin(random_below(&random, 2048));
            }
            uint32_t after = me;
            if (!atomic_compare_exchange_strong(&board->inside, &after, 0)) {
                violated(&board->violations, "process %llu found %llu inside", me, after);
            }
            board->holding[me - 1] = 0;
            break;
        }
        EQ(qshm_detach((uint32_t)handle), 0);
    }
}

static void torture_guard(long most_kills, double seconds)
{
    struct guard_board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    struct random random = random_from(board->seed);
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = spawn(stand, &(struct guard_part){.board = board, .me = i});
    }
    double end = now_ms() + seconds * 1e3;
    long kills = 0, crashes = 0, elected = 0;
    while (kills < most_kills && now_ms() < end && board->violations == 0) {
        sleep_microseconds(random_below(&random, 3000));
        int i = (int)random_below(&random, PROCESSES);
        if (random_below(&random, 4) != 0) { /* mostly the one that guards: few die inside by chance */
            uint32_t inside = board->inside;
            i = inside == 0 ? i : (int)inside - 1;
        }
        board->dying[i] = 1;
        kill_and_wait(pids[i]);
        kills++;
        crashes += board->holding[i];
        board->holding[i] = 0;
        uint32_t left = (uint32_t)i + 1; /* unless the next one is inside already */
        atomic_compare_exchange_strong(&board->inside, &left, 0);
        board->dying[i] = 0;
        pids[i] = spawn(stand, &(struct guard_part){.board = board, .me = i});
    }
    for (int i = 0; i < PROCESSES; i++) {
        board->dying[i] = 1; /* for good: the others still look */
        kill_and_wait(pids[i]);
        kills++;
        crashes += board->holding[i];
        elected += board->elected[i];
    }
    int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "guard");
    GT(handle, 0);
    EQ(qshm_elect((uint32_t)handle, 0, NULL, 0, LARGEST_MESSAGE, &outcome), 1);
    board->told += (outcome.flags & QSHM_RECOVERED) != 0;
    runner_note("guard: %ld elections, %ld kills, %ld of a holder, %ld told, %ld violations", elected, kills, crashes,
                board->told, board->violations);
    runner_count("guard kills", kills);
    EQ(board->violations, 0);
    CHECK(kills >= most_kills || now_ms() >= end); /* it was not cut short */
    GT(elected, kills);
    GT(crashes, 0);
    GE(board->told, crashes);
    LE(board->told, kills);
    EQ(qshm_detach((uint32_t)handle), 0);
    EQ(count_files(), 0);
}

CASE(guard_torture)
{
    torture_guard(600, 1e9);
}

CASE(torture_guard_long)
{
    need_time();
    torture_guard(1000000000, runner_torture_seconds());
}
