/*
 * value.c - one whole value: what is set is what is read, whoever is stopped or killed beside it.
 *
 * Invariants: every value tells its number and its size, and all its bytes follow from them, so that a reader sees by
 * itself whether it is whole. Where one process sets after another, a value's number is its sequence, so that it also
 * sees whether it is the one that it is said to be.
 */
#define _GNU_SOURCE
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

enum { LARGEST = 1000, SIZE = 200, HEADER = sizeof(struct qshm_value), PATIENCE = 10, NOBODY = 65534 };

static int32_t open_value(uint32_t how, double largest, const char *codec)
{
    return qshm_open_value(how, 0, largest, "value", 5, NULL, 0, codec, (uint32_t)strlen(codec), &outcome);
}

static uint32_t make_of(double largest)
{
    int32_t handle = open_value(QSHM_CREATE | QSHM_ATTACH, largest, "bytes");
    GT(handle, 0);
    return (uint32_t)handle;
}

static uint32_t make(void)
{
    return make_of(LARGEST);
}

static struct qshm__control *control_of(uint32_t handle)
{
    return qshm__handle_find(handle)->control;
}

/* --- values that can be told ------------------------------------------------------------------------------------- */

enum { MOST = 1 << 20, TOLD = 16 };

static struct {
    struct qshm_value header;
    uint8_t bytes[MOST + 64];
} seen;

static uint8_t byte_at(uint64_t number, uint64_t size, uint64_t i)
{
    return (uint8_t)((number + 1) * 167 + (size + i) * 13 + (i >> 6));
}

static void fill(uint8_t *bytes, uint64_t number, uint64_t size)
{
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = byte_at(number, size, i);
    }
    uint64_t told[2] = {number, size};
    memcpy(bytes, told, size < sizeof told ? size : sizeof told);
}

static int32_t set(uint32_t handle, uint64_t number, uint64_t size, double expected)
{
    static uint8_t bytes[MOST + 64];
    fill(bytes, number, size);
    return qshm_value_set(handle, bytes, (double)size, expected);
}

/* Is what was read whole? Of values that are large enough to tell. */
static bool is_whole(void)
{
    uint64_t told[2];
    memcpy(told, seen.bytes, sizeof told);
    bool whole = seen.header.size == (double)told[1];
    for (uint64_t i = TOLD; i < told[1] && whole; i++) {
        whole = seen.bytes[i] == byte_at(told[0], told[1], i);
    }
    return whole;
}

/* Reads the value: its number. */
static uint64_t get(uint32_t handle)
{
    int32_t r = qshm_value_get(handle, &seen, sizeof seen);
    GE(r, HEADER);
    EQ(r, HEADER + seen.header.size);
    if (!is_whole()) {
        runner_fail(__FILE__, __LINE__, "sequence %.0f is torn", seen.header.sequence);
    }
    uint64_t number;
    memcpy(&number, seen.bytes, sizeof number);
    return number;
}

/* The same where numbers are sequences. */
static uint64_t get_in_order(uint32_t handle)
{
    uint64_t number = get(handle);
    EQ(seen.header.sequence, number);
    return number;
}

/* Sets the next value where numbers are sequences. */
static void set_next(uint32_t handle)
{
    EQ(set(handle, (uint64_t)qshm_value_sequence(handle) + 1, SIZE, -1), 1);
}

/* --- one at a time ------------------------------------------------------------------------------------------------ */

CASE(value_none_yet)
{
    uint32_t a = make();
    memset(&seen, 0xee, sizeof seen);
    EQ(qshm_value_get(a, &seen, sizeof seen), HEADER);
    EQ(seen.header.sequence, 0);
    EQ(seen.header.size, 0);
    EQ(seen.bytes[0], 0xee);
    EQ(qshm_value_sequence(a), 0);
    EQ(qshm_value_capacity(a), LARGEST);
    struct qshm_process process;
    EQ(qshm_value_writer(a, &process), 0);
    EQ(process.id, 0);
    EQ(qshm_busy_process(a), 0);
}

static void expect_sizes(double largest)
{
    uint32_t a = make_of(largest), b = make_of(largest);
    uint64_t capacity = (uint64_t)largest;
    EQ(qshm_value_capacity(a), largest);
    const uint64_t sizes[] = {0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 200, capacity - 1, capacity, 0, 1};
    double sequence = 0;
    static uint8_t expected[MOST + 64];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i] > capacity) {
            EQ(set(a, i, sizes[i], -1), QSHM_E_ARGUMENT);
            continue;
        }
        EQ(set(a, i, sizes[i], -1), 1);
        sequence++;
        memset(&seen, 0xee, sizeof seen);
        EQ(qshm_value_get(b, &seen, (double)(HEADER + sizes[i])), HEADER + sizes[i]);
        fill(expected, i, sizes[i]);
        EQ(memcmp(seen.bytes, expected, sizes[i]), 0);
        EQ(seen.bytes[sizes[i]], 0xee);
        EQ(seen.header.size, sizes[i]);
        EQ(seen.header.sequence, sequence);
        if (sizes[i] > 0) { /* too little room: only how much is needed */
            memset(&seen, 0xee, sizeof seen);
            EQ(qshm_value_get(b, &seen, (double)(HEADER + sizes[i] - 1)), HEADER + sizes[i]);
            EQ(seen.header.size, sizes[i]);
            EQ(seen.bytes[0], 0xee);
        }
    }
    EQ(set(a, 99, capacity + 1, -1), QSHM_E_ARGUMENT);
    EQ(set(a, 99, capacity + 64, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_sequence(b), sequence);
    EQ(qshm_detach(a), 0);
    EQ(qshm_detach(b), 0);
    EQ(count_files(), 0);
}

CASE(value_sizes)
{
    static const double capacities[] = {1, 2, 8, 63, 64, 65, 100, 1000, 4096, 65536, 100001, MOST};
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        expect_sizes(capacities[i]);
    }
}

CASE(value_arguments)
{
    uint32_t a = make();
    EQ(qshm_value_set(a, NULL, 0, -1), 1);
    EQ(qshm_value_set(a, NULL, 1, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(a, "x", -1, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(a, "x", 0.5, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(a, "x", NAN, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(a, "x", HUGE_VAL, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(a, "x", 1, 0.5), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(a, "x", 1, HUGE_VAL), QSHM_E_ARGUMENT);
    EQ(qshm_value_get(a, NULL, sizeof seen), QSHM_E_ARGUMENT);
    EQ(qshm_value_get(a, &seen, HEADER - 1), QSHM_E_ARGUMENT);
    EQ(qshm_value_get(a, &seen, NAN), QSHM_E_ARGUMENT);
    EQ(qshm_value_get(a, &seen, HEADER), HEADER);
    EQ(qshm_value_writer(a, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_value_sequence(a), 1);
    int32_t memory = open_memory(QSHM_CREATE, "memory");
    GT(memory, 0);
    struct qshm_process process;
    EQ(qshm_value_set(memory, "x", 1, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_get(memory, &seen, sizeof seen), QSHM_E_ARGUMENT);
    EQ(qshm_value_sequence(memory), QSHM_E_ARGUMENT);
    EQ(qshm_value_capacity(memory), QSHM_E_ARGUMENT);
    EQ(qshm_value_writer((uint32_t)memory, &process), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(0, "x", 1, -1), QSHM_E_HANDLE);
    EQ(qshm_value_get(0, &seen, sizeof seen), QSHM_E_HANDLE);
    EQ(qshm_value_sequence(0), QSHM_E_HANDLE);
    EQ(qshm_value_capacity(0), QSHM_E_HANDLE);
    EQ(qshm_value_writer(0, &process), QSHM_E_HANDLE);
    EQ(qshm_busy_process(0), QSHM_E_HANDLE);
    /* One that was opened without saying how large it may be holds nothing but nothing. */
    int32_t plain = open_kind(QSHM_KIND_VALUE, QSHM_CREATE, 4096, "plain");
    GT(plain, 0);
    EQ(qshm_value_capacity(plain), 0);
    EQ(qshm_value_set(plain, "x", 1, -1), QSHM_E_ARGUMENT);
    EQ(qshm_value_set(plain, NULL, 0, -1), 1);
    EQ(qshm_value_get(plain, &seen, sizeof seen), HEADER);
}

CASE(value_expected_sequence)
{
    uint32_t a = make(), b = make();
    EQ(set(a, 1, SIZE, 1), 0);
    EQ(qshm_value_sequence(a), 0);
    EQ(set(a, 1, SIZE, 0), 1);
    EQ(set(b, 2, SIZE, 0), 0);
    EQ(get_in_order(b), 1);
    int32_t revision = qshm_revision(a);
    EQ(set(b, 2, SIZE, 7), 0);
    EQ(qshm_revision(a), revision); /* nothing has changed */
    EQ(set(b, 2, SIZE, 1), 1);
    EQ(qshm_revision(a), revision + 1);
    EQ(get_in_order(a), 2);
    for (int i = 0; i < 10; i++) { /* refusals keep no buffer */
        EQ(set(a, 9, SIZE, 1), 0);
    }
    EQ(set(a, 3, SIZE, 2), 1);
    EQ(get_in_order(a), 3);
}

static void set_and_die(void *argument)
{
    (void)argument;
    set_next(make());
    raise(SIGKILL);
}

CASE(value_writer_is_told)
{
    uint32_t a = make(), b = make();
    struct qshm_process process;
    set_next(b);
    EQ(qshm_value_writer(a, &process), 1);
    EQ(process.id, id_of((int32_t)b));
    EQ(process.pid, getpid());
    EQ(process.alive, 1);
    GT(process.started, 0);
    wait_killed(spawn(set_and_die, NULL), SIGKILL);
    EQ(get_in_order(a), 2);
    EQ(qshm_value_writer(a, &process), 1);
    NE(process.id, id_of((int32_t)b));
    EQ(process.pid, 0);
    EQ(process.alive, 0);
}

CASE(value_attach_takes_what_is_there)
{
    EQ(open_value(QSHM_ATTACH, 0, "bytes"), QSHM_E_NOT_FOUND);
    uint32_t a = make();
    int32_t b = open_value(QSHM_CREATE | QSHM_ATTACH, 7, "bytes");
    GT(b, 0);
    EQ(outcome.flags & QSHM_CREATED, 0);
    EQ(qshm_value_capacity(b), LARGEST);
    int32_t c = open_value(QSHM_ATTACH, 0, "");
    GT(c, 0);
    set_next(a);
    EQ(get_in_order((uint32_t)c), 1);
    EQ(open_value(QSHM_CREATE, LARGEST, "bytes"), QSHM_E_ALREADY_EXISTS);
    for (uint32_t how = QSHM_ATTACH; how <= (QSHM_CREATE | QSHM_ATTACH); how++) {
        EQ(open_value(how, LARGEST, "json"), QSHM_E_INCOMPATIBLE);
        EQ(outcome.flags & QSHM_USED, QSHM_USED);
        CHECK(strstr(outcome.why, "\"bytes\"") != NULL);
    }
    EQ(open_value(QSHM_ATTACH, 0, "byte"), QSHM_E_INCOMPATIBLE);
    char codec[65];
    memset(codec, 'c', sizeof codec);
    codec[64] = '\0';
    EQ(open_value(QSHM_CREATE, LARGEST, codec), QSHM_E_ARGUMENT);
    EQ(qshm_detach(a), 0);
    EQ(qshm_detach((uint32_t)b), 0);
    EQ(qshm_detach((uint32_t)c), 0);
    codec[63] = '\0';
    a = (uint32_t)open_value(QSHM_CREATE, LARGEST, codec);
    b = open_value(QSHM_ATTACH, 0, codec);
    GT(b, 0);
    EQ(open_value(QSHM_CREATE, 0, ""), QSHM_E_ARGUMENT);
    EQ(open_value(QSHM_CREATE, 1073741825.0, ""), QSHM_E_ARGUMENT);
    EQ(open_value(QSHM_CREATE | QSHM_ATTACH, NAN, ""), QSHM_E_ARGUMENT);
}

CASE(value_persists)
{
    int32_t a = open_value(QSHM_CREATE | QSHM_PERSISTENT, LARGEST, "bytes");
    GT(a, 0);
    set_next((uint32_t)a);
    EQ(qshm_detach((uint32_t)a), 0);
    a = open_value(QSHM_ATTACH, 0, "bytes");
    GT(a, 0);
    EQ(get_in_order((uint32_t)a), 1);
}

CASE(value_read_only)
{
    uint32_t a = make();
    int32_t reader = open_value(QSHM_ATTACH | QSHM_READ_ONLY, 0, "bytes");
    GT(reader, 0);
    set_next(a);
    EQ(get_in_order((uint32_t)reader), 1);
    EQ(set((uint32_t)reader, 2, SIZE, -1), QSHM_E_READ_ONLY);
}

CASE(value_rings)
{
    uint32_t a = make(), b = make();
    int fd = qshm_bell_open(b, QSHM_BELL_FIFO, &outcome);
    GE(fd, 0);
    EQ(qshm_expect_change(b, 0), 0);
    char byte;
    EQ(set(a, 1, SIZE, 5), 0);
    EQ(read(fd, &byte, 1), -1);
    set_next(a);
    EQ(read(fd, &byte, 1), 1);
    EQ(qshm_revision(b), 1);
}

struct observation {
    struct gate ready, done;
};

static void observe(void *argument)
{
    struct observation *observation = argument;
    turn_into(NOBODY);
    int32_t reader = open_value(QSHM_ATTACH | QSHM_READ_ONLY, 0, "bytes");
    GT(reader, 0);
    EQ(outcome.flags & QSHM_OBSERVER, QSHM_OBSERVER);
    EQ(get_in_order((uint32_t)reader), 1);
    EQ(set((uint32_t)reader, 2, SIZE, -1), QSHM_E_READ_ONLY);
    gate_open(&observation->ready);
    gate_pass(&observation->done);
    EQ(get_in_order((uint32_t)reader), 2);
    struct qshm_process process;
    EQ(qshm_value_writer((uint32_t)reader, &process), 1);
}

CASE(value_seen_by_an_observer)
{
    share_with(NOBODY);
    int32_t owner =
        qshm_open_value(QSHM_CREATE, 0640, LARGEST, "value", 5, NULL, 0, "bytes", 5, &outcome);
    GT(owner, 0);
    set_next((uint32_t)owner);
    struct observation observation = {gate_make(), gate_make()};
    pid_t pid = spawn(observe, &observation);
    gate_pass(&observation.ready);
    set_next((uint32_t)owner);
    gate_open(&observation.done);
    EQ(wait_exit(pid), 0);
}

/* --- writers that are stopped and killed -------------------------------------------------------------------------- */

struct setting {
    struct stepper *stepper;
    uint64_t number;
    _Atomic int32_t result;
};

static void set_once(void *argument)
{
    struct setting *setting = argument;
    uint32_t handle = make();
    stepper_begin(setting->stepper);
    setting->result = set(handle, setting->number, SIZE, -1);
    stepper_end();
}

static struct setting *setting_make(uint64_t number)
{
    struct setting *setting = shared_memory(sizeof *setting);
    *setting = (struct setting){.stepper = stepper_make(), .number = number};
    return setting;
}

CASE(value_setter_is_killed_anywhere)
{
    uint32_t a = make();
    int steps = 0;
    for (int dies = 0; dies < 2; dies++) {
        bool ended = false;
        for (int step = 1; !ended; step++, steps++) {
            uint64_t number = (uint64_t)qshm_value_sequence(a) + 1;
            EQ(set(a, number, SIZE, -1), 1);
            struct setting *setting = setting_make(number + 1);
            pid_t pid = spawn(set_once, setting);
            for (int n = 0; n < step && !ended; n++) {
                ended = !step_on(setting->stepper, pid);
            }
            if (!ended && dies != 0) {
                kill_and_wait(pid);
            }
            uint64_t now = get_in_order(a);
            CHECK(now == number || now == number + 1);
            bool is_set = strcmp(setting->stepper->at, "buffer claimed") != 0 &&
                          strcmp(setting->stepper->at, "buffer written") != 0;
            EQ(now, is_set ? number + 1 : number);
            for (int i = 0; i < 6; i++) { /* nothing is in the way */
                set_next(a);
                EQ(get_in_order(a), ++now);
            }
            if (!ended && dies == 0) {
                uint64_t sequence = (uint64_t)qshm_value_sequence(a);
                step_free(setting->stepper, pid);
                EQ(setting->result, 1);
                EQ(get(a), is_set ? sequence : number + 1); /* it comes late, and is whole */
                EQ(seen.header.sequence, sequence + !is_set);
            }
        }
    }
    GT(steps, 2 * 4);
}

/* Whoever takes a buffer from a dead one looks whether it has become the value meanwhile. */
CASE(value_buffer_became_current_before_its_owner_died)
{
    uint32_t a = make();
    set_next(a);
    struct setting *first = setting_make(2), *second = setting_make(3);
    pid_t one = spawn(set_once, first);
    step_to(first->stepper, one, "buffer written");
    pid_t two = spawn(set_once, second);
    step_to(second->stepper, two, "fcntl query"); /* it will ask whether the owner of that buffer lives */
    EQ(get_in_order(a), 1);
    step_to(first->stepper, one, "value current");
    EQ(get_in_order(a), 2);
    kill_and_wait(one);
    while (step_on(second->stepper, two)) {
        get_in_order(a);
    }
    EQ(get_in_order(a), 3);
    for (int i = 0; i < 6; i++) {
        set_next(a);
        get_in_order(a);
    }
}

/* Three that are stopped keep three buffers, and the value is in the fourth. */
CASE(value_three_setters_are_stopped)
{
    enum { STOPPED = 3 };
    uint32_t a = make();
    set_next(a);
    struct setting *settings[STOPPED];
    pid_t pids[STOPPED];
    for (int i = 0; i < STOPPED; i++) {
        EQ(qshm_value_set(a, "", 0, 99), 0); /* there is one left */
        settings[i] = setting_make((uint64_t)(2 + i));
        pids[i] = spawn(set_once, settings[i]);
        step_to(settings[i]->stepper, pids[i], "buffer written");
    }
    runner_watchdog(PATIENCE);
    double before = now_ms();
    EQ(set(a, 9, SIZE, -1), QSHM_E_BUSY);
    GE(now_ms() - before, 900);
    int32_t named = qshm_busy_process(a);
    CHECK(named == pids[0] || named == pids[1] || named == pids[2]);
    EQ(get_in_order(a), 1);
    kill_and_wait(pids[1]);
    set_next(a);
    EQ(get_in_order(a), 2);
    step_free(settings[0]->stepper, pids[0]);
    EQ(get(a), 2);
    EQ(seen.header.sequence, 3);
    step_free(settings[2]->stepper, pids[2]);
    EQ(get(a), 4);
    EQ(seen.header.sequence, 4);
    EQ(qshm_busy_process(a), 0);
}

/* --- readers that are slow, stopped and killed -------------------------------------------------------------------- */

struct getting {
    struct stepper *stepper;
    _Atomic int32_t result;
};

static void get_once(void *argument)
{
    struct getting *getting = argument;
    uint32_t handle = make();
    stepper_begin(getting->stepper);
    int32_t r = qshm_value_get(handle, &seen, sizeof seen);
    stepper_end();
    getting->result = r;
    if (r > HEADER) {
        uint64_t number;
        memcpy(&number, seen.bytes, sizeof number);
        CHECK(is_whole());
        EQ(seen.header.sequence, number);
    }
}

static struct getting *getting_make(void)
{
    struct getting *getting = shared_memory(sizeof *getting);
    getting->stepper = stepper_make();
    return getting;
}

/* V1: a reader is stopped before, or behind, its copy, while so many values are set. */
CASE(value_slow_reader_beside_fast_writers)
{
    uint32_t a = make();
    static const char *const points[] = {"copying", "copied"};
    for (size_t i = 0; i < 2; i++) {
        for (int sets = 0; sets <= 9; sets++) {
            set_next(a);
            struct getting *getting = getting_make();
            pid_t pid = spawn(get_once, getting);
            step_to(getting->stepper, pid, points[i]);
            for (int n = 0; n < sets; n++) {
                set_next(a);
            }
            step_free(getting->stepper, pid);
            EQ(getting->result, HEADER + SIZE);
        }
    }
}

/* The same beside a writer that is stopped in the middle: its buffer was the value when the reader began. */
CASE(value_slow_reader_beside_a_stopped_writer)
{
    uint32_t a = make();
    for (int sets = 1; sets <= 4; sets++) {
        set_next(a);
        struct getting *getting = getting_make();
        pid_t reader = spawn(get_once, getting);
        step_to(getting->stepper, reader, "copying");
        for (int n = 0; n < sets; n++) {
            set_next(a);
        }
        struct setting *setting = setting_make((uint64_t)qshm_value_sequence(a) + 1);
        pid_t writer = spawn(set_once, setting);
        step_to(setting->stepper, writer, "buffer written");
        step_free(getting->stepper, reader);
        EQ(getting->result, HEADER + SIZE);
        step_free(setting->stepper, writer);
        EQ(get_in_order(a), qshm_value_sequence(a));
    }
}

/* Disturbs a reader's copies until it asks for the right to keep the buffer. */
static void lead_to_pin(struct getting *getting, pid_t pid, uint32_t writer)
{
    for (int tries = 0;;) {
        CHECK(step_on(getting->stepper, pid));
        if (strcmp(getting->stepper->at, "pinned") == 0) {
            EQ(tries, 8);
            return;
        }
        if (strcmp(getting->stepper->at, "copying") == 0) {
            tries++;
            for (int n = 0; n < 3; n++) {
                set_next(writer);
            }
        }
    }
}

static int buffers_kept(uint32_t handle)
{
    int count = 0;
    for (int i = 0; i < QSHM_BUFFERS; i++) {
        count += control_of(handle)->value_stamp[i] >> 32 != 0;
    }
    return count;
}

CASE(value_reader_keeps_the_buffer)
{
    uint32_t a = make();
    for (int sets = 0; sets < 6; sets++) {
        set_next(a);
        struct getting *getting = getting_make();
        pid_t pid = spawn(get_once, getting);
        lead_to_pin(getting, pid, a);
        NE(control_of(a)->value_pin, 0);
        for (int n = 0; n < sets; n++) {
            set_next(a);
        }
        CHECK(step_on(getting->stepper, pid));
        EQ_TEXT(getting->stepper->at, "buffer kept");
        EQ(buffers_kept(a), 1);
        for (int n = 0; n < 3 * sets; n++) {
            set_next(a);
        }
        step_free(getting->stepper, pid);
        EQ(getting->result, HEADER + SIZE);
        EQ(control_of(a)->value_pin, 0);
        EQ(buffers_kept(a), 0);
    }
}

/* While one reader keeps a buffer, a second one reads as before, and writers have two buffers. */
CASE(value_two_readers_want_the_buffer)
{
    uint32_t a = make();
    set_next(a);
    struct getting *first = getting_make(), *second = getting_make();
    pid_t one = spawn(get_once, first);
    lead_to_pin(first, one, a);
    CHECK(step_on(first->stepper, one));
    EQ_TEXT(first->stepper->at, "buffer kept");
    set_next(a);
    pid_t two = spawn(get_once, second);
    for (int tries = 0; tries < 12; tries++) { /* more than it tries before it asks */
        step_to(second->stepper, two, "copying");
        for (int n = 0; n < 3; n++) {
            set_next(a);
        }
    }
    EQ(control_of(a)->value_pin, id_of((int32_t)a) + 1); /* the first child's */
    step_free(second->stepper, two);
    EQ(second->result, HEADER + SIZE);
    step_free(first->stepper, one);
    EQ(first->result, HEADER + SIZE);
}

CASE(value_reader_is_killed_anywhere)
{
    uint32_t a = make();
    set_next(a);
    static const char *const points[] = {"copying", "copied", "pinned", "buffer kept"};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        for (int round = 0; round < 4; round++) { /* what each of them kept is taken back */
            struct getting *getting = getting_make();
            pid_t pid = spawn(get_once, getting);
            if (i >= 2) {
                lead_to_pin(getting, pid, a);
            }
            if (i != 2) {
                step_to(getting->stepper, pid, points[i]);
            }
            kill_and_wait(pid);
            for (int n = 0; n < 6; n++) {
                set_next(a);
                get_in_order(a);
            }
        }
    }
}

/* A writer is stopped when its value is the present one, and before it gives its buffer back: that one cannot be kept, and
 * need not be. */
CASE(value_reader_beside_a_writer_stopped_behind_its_value)
{
    uint32_t a = make();
    set_next(a);
    struct getting *getting = getting_make();
    pid_t reader = spawn(get_once, getting);
    lead_to_pin(getting, reader, a);
    struct setting *setting = setting_make((uint64_t)qshm_value_sequence(a) + 1);
    pid_t writer = spawn(set_once, setting);
    step_to(setting->stepper, writer, "value current");
    step_free(getting->stepper, reader);
    EQ(getting->result, HEADER + SIZE);
    step_free(setting->stepper, writer);
}

/* --- counters ----------------------------------------------------------------------------------------------------- */

CASE(value_generations_wrap)
{
    uint32_t a = make();
    set_next(a);
    for (int i = 0; i < QSHM_BUFFERS; i++) {
        control_of(a)->value_stamp[i] = UINT32_MAX - (unsigned)i % 2;
    }
    for (int i = 0; i < 12; i++) {
        struct getting *getting = getting_make();
        pid_t pid = spawn(get_once, getting);
        step_to(getting->stepper, pid, "copying");
        set_next(a);
        set_next(a);
        set_next(a);
        step_free(getting->stepper, pid);
        EQ(getting->result, HEADER + SIZE);
        get_in_order(a);
    }
}

CASE(value_sequences_pass_powers_of_two)
{
    uint32_t a = make();
    static const uint64_t powers[] = {31, 32, 48, 52};
    for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
        set_next(a);
        uint64_t sequence = (UINT64_C(1) << powers[i]) - 2;
        control_of(a)->value_current = sequence << 3 | (control_of(a)->value_current & 7);
        for (int n = 1; n < 5; n++) {
            EQ(set(a, sequence + (uint64_t)n, SIZE, (double)(sequence + (uint64_t)n - 1)), 1);
            EQ(get_in_order(a), sequence + (uint64_t)n);
            EQ(qshm_value_sequence(a), (double)(sequence + (uint64_t)n));
        }
    }
}

/* --- contents that nobody has written ----------------------------------------------------------------------------- */

static void expect_documented(int32_t r)
{
    GE(r, QSHM_E_SYSTEM);
}

static void damage(struct qshm__control *control, uint32_t alive, struct random *random)
{
    uint64_t large = random_next(random) >> random_below(random, 64);
    switch (random_below(random, 7)) {
    case 0:
        control->value_current = large;
        break;
    case 1:
        control->value_current = large << 3 | random_below(random, 8);
        break;
    case 2:
        for (int i = 0; i < QSHM_BUFFERS; i++) {
            uint64_t owner = random_below(random, 8) == 0 ? alive : random_below(random, 9) + 100;
            control->value_stamp[i] = owner << 32 | (uint32_t)large;
        }
        break;
    case 3:
        for (int i = 0; i < QSHM_BUFFERS; i++) {
            control->value_length[i] = random_next(random) >> random_below(random, 64);
        }
        break;
    case 4:
        control->value_capacity = large;
        break;
    case 5:
        control->value_pin = random_below(random, 2) == 0 ? alive : (uint32_t)large;
        break;
    default:
        for (int i = 0; i < QSHM_CODEC_NAME; i++) {
            control->value_codec[i] = (char)random_next(random);
        }
    }
}

/* Whatever stands there, calls end, with a value or an error, and copy no more than there is. */
CASE(value_hostile_contents)
{
    runner_watchdog(180);
    struct random random = random_from(runner_seed());
    static uint8_t bytes[4096];
    struct qshm_process process;
    for (int round = 0; round < 150; round++) {
        uint32_t a = make(), b = make();
        set_next(a);
        for (int blow = 0; blow < 6; blow++) {
            damage(control_of(a), id_of((int32_t)b), &random);
            uint64_t capacity = (uint64_t)qshm_value_capacity(a);
            LE(capacity, 1024);
            memset(&seen, 0xee, HEADER + 2048);
            int32_t r = qshm_value_get(a, &seen, HEADER + 1024);
            expect_documented(r);
            LE(r, HEADER + 1024);
            EQ(seen.bytes[1024], 0xee);
            expect_documented(qshm_value_set(a, bytes, (double)random_below(&random, 4096), -1));
            if (capacity > 0 && round % 2 == 0) {
                r = qshm_value_set(a, bytes, (double)capacity, -1);
                CHECK(r == 1 || r == QSHM_E_BUSY);
            }
            expect_documented(qshm_value_writer(a, &process));
            expect_documented(qshm_busy_process(a));
            int32_t c = open_value(QSHM_ATTACH, 0, "bytes");
            CHECK(c > 0 || c == QSHM_E_INCOMPATIBLE);
            if (c > 0) {
                EQ(qshm_detach((uint32_t)c), 0);
            }
            struct qshm_info info;
            expect_documented(inspect_name("v-value", &info));
        }
        EQ(qshm_detach(a), 0);
        EQ(qshm_detach(b), 0);
        EQ(count_files(), 0);
    }
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

enum { WRITERS = 3, READERS = 3, ALL = WRITERS + READERS, LARGE = 65536, COUNTERS = 4, COUNTS = 300 };

static void count_up(void *argument)
{
    (void)argument;
    uint32_t handle = make();
    for (int n = 0; n < COUNTS; n++) {
        uint64_t number;
        do {
            number = get(handle);
        } while (set(handle, number + 1, SIZE, seen.header.sequence) == 0);
    }
}

CASE(value_counted_by_many)
{
    uint32_t a = make();
    EQ(set(a, 0, SIZE, -1), 1);
    pid_t pids[COUNTERS];
    for (int i = 0; i < COUNTERS; i++) {
        pids[i] = spawn(count_up, NULL);
    }
    for (int i = 0; i < COUNTERS; i++) {
        EQ(wait_exit(pids[i]), 0);
    }
    EQ(get(a), COUNTERS * COUNTS);
    EQ(seen.header.sequence, COUNTERS * COUNTS + 1);
}

struct board {
    _Atomic long done[ALL];
    uint64_t seed;
};

struct part {
    struct board *board;
    int me;
};

static uint64_t any_size(struct random *random)
{
    return random_below(random, 4) == 0 ? TOLD + random_below(random, LARGE - TOLD + 1) : TOLD + random_below(random, 500);
}

static void write_for_ever(void *argument)
{
    const struct part *part = argument;
    struct random random = random_from(part->board->seed ^ (uint64_t)getpid() << 20);
    uint32_t handle = make_of(LARGE);
    for (;;) {
        EQ(set(handle, random_next(&random), any_size(&random), -1), 1);
        part->board->done[part->me]++;
    }
}

static void read_for_ever(void *argument)
{
    const struct part *part = argument;
    uint32_t handle = make_of(LARGE);
    double sequence = 0;
    uint64_t number = 0;
    for (;;) {
        uint64_t now = get(handle);
        GE(seen.header.sequence, sequence);
        CHECK(seen.header.sequence > sequence || now == number);
        sequence = seen.header.sequence;
        number = now;
        part->board->done[part->me]++;
    }
}

static pid_t part_start(struct board *board, int me)
{
    struct part part = {.board = board, .me = me};
    return spawn(me < WRITERS ? write_for_ever : read_for_ever, &part);
}

static void torture_value(double seconds)
{
    struct board *board = shared_memory(sizeof *board);
    board->seed = runner_seed();
    struct random random = random_from(board->seed);
    uint32_t keeper = make_of(LARGE);
    EQ(set(keeper, 0, SIZE, -1), 1);
    pid_t pids[ALL];
    for (int i = 0; i < ALL; i++) {
        pids[i] = part_start(board, i);
    }
    double end = now_ms() + seconds * 1e3;
    long kills = 0, sets = 0, gets = 0;
    while (now_ms() < end) {
        struct timespec time = {.tv_nsec = random_below(&random, 4000000)};
        nanosleep(&time, NULL);
        int i = (int)random_below(&random, random_below(&random, 3) == 0 ? ALL : WRITERS);
        kill(pids[i], SIGKILL);
        wait_killed(pids[i], SIGKILL); /* and not by what it found */
        kills++;
        get(keeper);
        pids[i] = part_start(board, i);
    }
    for (int i = 0; i < ALL; i++) { /* all get on */
        for (long done = board->done[i]; board->done[i] == done;) {
            EQ(waitpid(pids[i], NULL, WNOHANG), 0);
            sched_yield();
        }
    }
    for (int i = 0; i < ALL; i++) {
        kill(pids[i], SIGKILL);
        wait_killed(pids[i], SIGKILL);
        *(i < WRITERS ? &sets : &gets) += board->done[i];
    }
    for (int i = 0; i < 6; i++) {
        EQ(set(keeper, (uint64_t)i, LARGE, -1), 1);
        EQ(get(keeper), i);
    }
    runner_note("%ld sets, %ld gets, %ld kills", sets, gets, kills);
    runner_count("kills beside a value", kills);
    GT(kills, 0);
    EQ(qshm_detach(keeper), 0);
    EQ(count_files(), 0);
}

CASE(value_deaths_at_random)
{
    torture_value(2);
}

CASE(torture_value)
{
    unsigned seconds = runner_torture_seconds();
    if (seconds == 0) {
        runner_skip("QSHM_TORTURE_SECONDS is not set (make torture)");
    }
    runner_watchdog(seconds + 600);
    torture_value(seconds);
}
