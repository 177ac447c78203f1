/*
 * message.c - messages to the holder of a guard: what is sent arrives whole and at most once, whoever sent it is told
 * the truth, and nothing is left of those who die on the way.
 *
 * Invariants: how far a process had come that was killed or stopped is told by its entry's word, never by the step's
 * name; the steps of a process are tried from the first to the last, each with a new process.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

/* As in the low half of an entry's word. */
enum { FREE, CLAIMED, NEW, TAKEN, ANSWERED, FAILED, REFUSED, LOST, ABANDONED, STATES };
enum { TEXT = 256, SOMEBODY = 64321, OTHER = 64322, GROUP = 64400 };

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

static uint32_t join(void)
{
    int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
    GT(handle, 0);
    return (uint32_t)handle;
}

static int32_t elect(uint32_t handle)
{
    return qshm_elect(handle, 1000, "", 0, LARGEST_MESSAGE, &outcome);
}

static uint32_t hold(void)
{
    uint32_t handle = join();
    EQ(elect(handle), 1);
    return handle;
}

static void leave(uint32_t handle)
{
    EQ(qshm_detach(handle), 0);
}

static struct qshm__message *entry_of(uint32_t handle, int32_t number)
{
    const struct qshm__attachment *a = qshm__handle_find(handle);
    CHECK(a != NULL);
    return &((struct qshm__instance_part *)(a->control + 1))->message[number - 1];
}

static uint32_t state_of(uint32_t handle, int32_t number)
{
    return (uint32_t)entry_of(handle, number)->state;
}

static int entries_in_use(uint32_t handle)
{
    int count = 0;
    for (int32_t i = 1; i <= QSHM_MESSAGES; i++) {
        count += entry_of(handle, i)->state != 0;
    }
    return count;
}

static const char *file_of(uint64_t nonce)
{
    static char name[24];
    snprintf(name, sizeof name, "r.%016llx", (unsigned long long)nonce);
    return name;
}

static int message_files(void)
{
    DIR *directory = opendir(runner_directory());
    CHECK(directory != NULL);
    int count = 0;
    struct dirent *found;
    while ((found = readdir(directory)) != NULL) {
        count += strncmp(found->d_name, "r.", 2) == 0;
    }
    closedir(directory);
    return count;
}

static void expect_empty(uint32_t handle)
{
    EQ(entries_in_use(handle), 0);
    EQ(message_files(), 0);
}

static int32_t try_send(uint32_t handle, const char *text)
{
    return qshm_send(handle, text, (double)strlen(text), &outcome);
}

static int32_t send_text(uint32_t handle, const char *text)
{
    int32_t number = try_send(handle, text);
    GT(number, 0);
    return number;
}

static struct qshm_request request; /* that was taken last, and its text */
static char taken[TEXT + 1];

static int32_t take(uint32_t handle)
{
    int32_t r = qshm_take(handle, taken, TEXT, &request);
    taken[r == 1 ? (size_t)request.size : 0] = '\0';
    return r;
}

static void expect_request(uint32_t handle, const char *text)
{
    EQ(take(handle), 1);
    EQ_TEXT(taken, text);
}

static int32_t answer(uint32_t handle, uint32_t number, const char *text)
{
    return qshm_answer(handle, number, 0, text, (double)strlen(text), &outcome);
}

static void expect_reply(uint32_t handle, int32_t number, const char *text)
{
    char reply[TEXT + 1];
    EQ(qshm_sent(handle, number), QSHM_SENT_ANSWERED);
    EQ(qshm_reply(handle, (uint32_t)number, reply, TEXT, &outcome), 1);
    reply[(size_t)outcome.size] = '\0';
    EQ_TEXT(reply, text);
}

/* An honest message passes. */
static void exchange(uint32_t sender, uint32_t holder)
{
    int32_t number = send_text(sender, "honest");
    expect_request(holder, "honest");
    EQ(answer(holder, request.number, "honestly"), 1);
    expect_reply(sender, number, "honestly");
}

/* As many as the table takes, which must be so many; and gives them up. */
static void expect_room(uint32_t handle, int room)
{
    int32_t numbers[QSHM_MESSAGES];
    int sent = 0;
    while (sent < QSHM_MESSAGES && (numbers[sent] = try_send(handle, "room")) > 0) {
        sent++;
    }
    EQ(sent, room);
    EQ(try_send(handle, "too many"), 0);
    EQ(outcome.flags, QSHM_FULL);
    while (sent > 0) {
        EQ(qshm_withdraw_message(handle, numbers[--sent]), QSHM_SENT_WITHDRAWN);
    }
}

/* --- a process that is led from step to step ---------------------------------------------------------------------- */

/* Memory that the test process and the one it leads share. */
struct scene {
    struct stepper *stepper;
    struct gate ready, go;
    _Atomic bool through; /* no step is left */
    _Atomic bool handled; /* a message was taken, and its taker knows it */
    int32_t number, result;
    uint32_t flags, way;
};

static struct scene *scene_make(uint32_t way)
{
    struct scene *scene = shared_memory(sizeof *scene);
    scene->stepper = stepper_make();
    scene->ready = gate_make();
    scene->go = gate_make();
    scene->way = way;
    return scene;
}

static void scene_end(struct scene *scene)
{
    gate_close(&scene->ready);
    gate_close(&scene->go);
    munmap(scene->stepper, sizeof *scene->stepper);
    munmap(scene, sizeof *scene);
}

/* In the process: what it prepared is done. */
static void led_begin(struct scene *scene)
{
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    stepper_begin(scene->stepper);
}

/* In the process: stands behind its last step, unless it was let go before. */
static void led_end(struct scene *scene)
{
    stepper_end();
    scene->through = true;
    if (scene->stepper->order != 0) {
        raise(SIGSTOP);
        raise(SIGSTOP);
    }
}

/* Waits until it is prepared. */
static pid_t lead(void (*body)(void *), struct scene *scene)
{
    pid_t pid = spawn(body, scene);
    gate_pass(&scene->ready);
    return pid;
}

/* Leads it to its n-th step, from 1; false if it stands behind the last one. */
static bool lead_to(struct scene *scene, pid_t pid, int n)
{
    gate_open(&scene->go);
    for (int i = 0; i < n; i++) {
        CHECK(step_on(scene->stepper, pid));
        if (scene->through) {
            return false;
        }
    }
    return true;
}

static void let_go(struct scene *scene, pid_t pid)
{
    scene->stepper->order = 0;
    EQ(kill(pid, SIGCONT), 0);
}

static void let_end(struct scene *scene, pid_t pid)
{
    let_go(scene, pid);
    EQ(wait_exit(pid), 0);
}

/* --- sent and answered -------------------------------------------------------------------------------------------- */

static uint8_t bytes[LARGEST_MESSAGE + 1], other_bytes[LARGEST_MESSAGE + 1], received[LARGEST_MESSAGE + 1];

static void fill(uint8_t *target, struct random *random)
{
    for (size_t i = 0; i <= LARGEST_MESSAGE; i++) {
        target[i] = (uint8_t)random_next(random);
    }
}

CASE(message_is_sent_and_answered)
{
    struct random random = random_from(runner_seed());
    fill(bytes, &random);
    fill(other_bytes, &random);
    const uint32_t sizes[] = {0, 1, 4096, 65536, LARGEST_MESSAGE};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    uint32_t holder = hold(), sender = join();
    EQ(take(holder), 0);
    for (int i = 0; i < SIZES * SIZES * 2; i++) {
        uint32_t size = sizes[i % SIZES], reply_size = sizes[i / SIZES % SIZES], failed = (uint32_t)i / SIZES / SIZES;
        int32_t number = qshm_send(sender, bytes, size, &outcome);
        GT(number, 0);
        EQ(qshm_sent(sender, number), QSHM_SENT_WAITING);
        if (size > 0) {
            EQ(qshm_take(holder, received, size - 1, &request), 2);
            EQ(request.size, size);
            EQ(qshm_sent(sender, number), QSHM_SENT_WAITING);
        }
        received[size] = 'x';
        EQ(qshm_take(holder, received, size, &request), 1);
        EQ(request.size, size);
        EQ(memcmp(received, bytes, size), 0);
        EQ(received[size], 'x');
        EQ(request.sender, id_of((int32_t)sender));
        EQ(request.pid, getpid());
        EQ(request.sequence, i + 1);
        EQ(take(holder), 0);
        EQ(qshm_sent(sender, number), QSHM_SENT_TAKEN);
        EQ(qshm_is_awaited(holder, request.number), 1);
        EQ(qshm_reply(sender, (uint32_t)number, received, reply_size, &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_answer(holder, request.number, failed, other_bytes, reply_size, &outcome), 1);
        EQ(qshm_is_awaited(holder, request.number), 0);
        EQ(qshm_answer(holder, request.number, failed, other_bytes, reply_size, &outcome), QSHM_E_ARGUMENT);
        for (int looks = 0; looks < 2; looks++) {
            EQ(qshm_sent(sender, number), failed != 0 ? QSHM_SENT_FAILED : QSHM_SENT_ANSWERED);
        }
        if (reply_size > 0) {
            EQ(qshm_reply(sender, (uint32_t)number, received, reply_size - 1, &outcome), 0);
            EQ(outcome.size, reply_size);
        }
        received[reply_size] = 'x';
        EQ(qshm_reply(sender, (uint32_t)number, received, reply_size, &outcome), 1);
        EQ(outcome.size, reply_size);
        EQ(memcmp(received, other_bytes, reply_size), 0);
        EQ(received[reply_size], 'x');
        EQ(qshm_sent(sender, number), QSHM_E_ARGUMENT);
        EQ(qshm_reply(sender, (uint32_t)number, received, reply_size, &outcome), QSHM_E_ARGUMENT);
        expect_empty(holder);
    }
    leave(sender);
    leave(holder);
    EQ(count_files(), 0);
}

/* The holder to itself, through the same attachment. */
CASE(message_to_oneself)
{
    uint32_t handle = hold();
    exchange(handle, handle);
    expect_empty(handle);
    int32_t number = send_text(handle, "again");
    expect_request(handle, "again");
    send_text(handle, "and again");
    EQ(qshm_sent(handle, number), QSHM_SENT_TAKEN);
    leave(handle);
    EQ(count_files(), 0);
}

CASE(message_without_a_holder)
{
    uint32_t sender = join();
    for (int round = 0; round < 2; round++) {
        EQ(try_send(sender, "anybody?"), 0);
        EQ(outcome.flags, QSHM_NOBODY);
        expect_empty(sender);
        leave(hold());
    }
    uint32_t holder = hold();
    int32_t number = send_text(sender, "leaving?");
    EQ(qshm_refuse_messages(holder), 0);
    EQ(try_send(sender, "more"), 0);
    EQ(outcome.flags, QSHM_LEAVING);
    EQ(qshm_sent(sender, number), QSHM_SENT_REFUSED);
    EQ(qshm_sent(sender, number), QSHM_E_ARGUMENT);
    expect_empty(sender);
    leave(holder);
    holder = hold(); /* the next one takes them again */
    exchange(sender, holder);
    leave(holder);
    leave(sender);
    EQ(count_files(), 0);
}

CASE(message_too_large)
{
    const uint32_t limits[] = {0, 1, 4096, LARGEST_MESSAGE};
    uint32_t sender = join();
    for (int i = 0; i < 4; i++) {
        uint32_t holder = join();
        EQ(qshm_elect(holder, 0, NULL, 0, limits[i], &outcome), 1);
        EQ(qshm_send(sender, bytes, limits[i] + 1.0, &outcome), QSHM_E_TOO_LARGE);
        EQ(outcome.size, limits[i]);
        EQ(qshm_send(sender, bytes, INT32_MAX, &outcome), QSHM_E_TOO_LARGE);
        expect_empty(sender);
        int32_t number = qshm_send(sender, bytes, limits[i], &outcome);
        GT(number, 0);
        /* What claims to be larger than was allowed is not read, however the limit reads now. */
        entry_of(sender, number)->request_size = limits[i] + 1;
        EQ(truncate(path_of(file_of(entry_of(sender, number)->nonce)), (off_t)limits[i] + 1), 0);
        qshm__handle_find(sender)->control->largest_message = UINT32_MAX;
        EQ(qshm_take(holder, bytes, sizeof bytes, &request), 0);
        EQ(qshm_sent(sender, number), QSHM_SENT_REFUSED);
        leave(holder);
    }
    leave(sender);
    EQ(count_files(), 0);
}

static void fill_table_and_stay(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = join();
    for (int i = 0; i < QSHM_MESSAGES; i++) {
        send_text(handle, "doomed");
    }
    gate_open(&scene->ready);
    gate_pass(&scene->go);
}

CASE(message_full_table)
{
    uint32_t holder = hold(), sender = join();
    int fds = count_fds();
    expect_room(sender, QSHM_MESSAGES);
    expect_empty(sender);
    EQ(count_fds(), fds);

    struct scene *scene = scene_make(0);
    for (int read = 0; read <= QSHM_MESSAGES;
         read += QSHM_MESSAGES / 4) { /* so many were taken, and half of them answered */
        pid_t pid = lead(fill_table_and_stay, scene);
        EQ(try_send(sender, "full"), 0);
        EQ(outcome.flags, QSHM_FULL);
        uint32_t numbers[QSHM_MESSAGES];
        for (int i = 0; i < read; i++) {
            expect_request(holder, "doomed");
            numbers[i] = request.number;
            EQ(i % 2 == 0 ? answer(holder, request.number, "in vain") : 1, 1);
        }
        EQ(try_send(sender, "full"), 0);
        EQ(outcome.flags, QSHM_FULL);
        kill_and_wait(pid);
        expect_room(sender, QSHM_MESSAGES - read / 2); /* what the holder is at stays its own */
        for (int i = 1; i < read; i += 2) {
            EQ(qshm_is_awaited(holder, numbers[i]), 0);
            EQ(answer(holder, numbers[i], "in vain"), 0);
        }
        expect_room(sender, QSHM_MESSAGES);
        expect_empty(sender);
    }
    scene_end(scene);
    leave(sender);
    leave(holder);
    EQ(count_files(), 0);
}

CASE(message_order)
{
    struct random random = random_from(runner_seed());
    enum { SENDERS = 5, ROUNDS = 2000 };
    uint32_t holder = hold(), senders[SENDERS];
    struct {
        int32_t number;
        int sender, count;
    } waiting[QSHM_MESSAGES];
    int length = 0, sent = 0;
    double last = 0;
    for (int i = 0; i < SENDERS; i++) {
        senders[i] = join();
    }
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t what = random_below(&random, 8);
        if (what < 4 && length < QSHM_MESSAGES) {
            int by = (int)random_below(&random, SENDERS);
            waiting[length].sender = by;
            waiting[length].count = ++sent;
            waiting[length].number = qshm_send(senders[by], &sent, sizeof sent, &outcome);
            GT(waiting[length++].number, 0);
        } else if (what == 4 && length > 0) { /* one of them is given up */
            int which = (int)random_below(&random, (uint32_t)length);
            EQ(qshm_withdraw_message(senders[waiting[which].sender], waiting[which].number), QSHM_SENT_WITHDRAWN);
            memmove(&waiting[which], &waiting[which + 1], sizeof *waiting * (size_t)(--length - which));
        } else {
            int count;
            EQ(qshm_take(holder, &count, sizeof count, &request), length > 0);
            if (length > 0) {
                EQ(count, waiting[0].count);
                GT(request.sequence, last);
                last = request.sequence;
                EQ(answer(holder, request.number, "done"), 1);
                expect_reply(senders[waiting[0].sender], waiting[0].number, "done");
                memmove(waiting, waiting + 1, sizeof *waiting * (size_t)--length);
            }
        }
    }
    GT(last, 100);
}

/* --- taken or withdrawn ------------------------------------------------------------------------------------------- */

static void withdraw_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = join();
    int32_t number = send_text(handle, "question");
    led_begin(scene);
    if (scene->way == 0) {
        scene->result = qshm_withdraw_message(handle, number);
    } else {
        leave(handle);
    }
    led_end(scene);
    if (scene->way == 0) {
        EQ(qshm_sent(handle, number), QSHM_E_ARGUMENT);
        leave(handle);
    }
}

static void take_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = hold();
    led_begin(scene);
    scene->result = take(handle);
    led_end(scene);
    if (scene->result == 1) {
        EQ_TEXT(taken, "question");
        EQ(qshm_is_awaited(handle, request.number), 0);
        EQ(answer(handle, request.number, "in vain"), 0);
    }
    expect_empty(handle);
    leave(handle);
}

CASE(message_is_taken_or_cancelled)
{
    for (uint32_t way = 0; way < 2; way++) { /* the sender gives the message up; detaches */
        int seen[2] = {0};
        uint32_t holder = hold();
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(way);
            pid_t pid = lead(withdraw_led, scene);
            more = lead_to(scene, pid, n);
            int32_t r = take(holder);
            let_end(scene, pid);
            CHECK(way == 1 || scene->result == (r == 1 ? QSHM_SENT_LOST : QSHM_SENT_WITHDRAWN));
            if (r == 1) {
                EQ_TEXT(taken, "question");
                EQ(state_of(holder, (int32_t)request.number), ABANDONED);
                EQ(qshm_is_awaited(holder, request.number), 0);
                EQ(answer(holder, request.number, "in vain"), 0);
            }
            expect_empty(holder);
            seen[r]++;
            scene_end(scene);
        }
        CHECK(seen[0] > 0 && seen[1] > 0);
        leave(holder);
    }

    int seen[2] = {0};
    bool more = true;
    uint32_t sender = join();
    for (int n = 1; more; n++) {
        struct scene *scene = scene_make(0);
        pid_t pid = lead(take_led, scene);
        int32_t number = send_text(sender, "question");
        more = lead_to(scene, pid, n);
        uint32_t state = state_of(sender, number);
        int32_t r = qshm_withdraw_message(sender, number);
        EQ(r, state == NEW ? QSHM_SENT_WITHDRAWN : QSHM_SENT_LOST);
        let_end(scene, pid);
        CHECK(r == QSHM_SENT_LOST || scene->result == 0);
        CHECK(more || scene->result == 1);
        expect_empty(sender);
        seen[r == QSHM_SENT_LOST]++;
        scene_end(scene);
    }
    CHECK(seen[0] > 0 && seen[1] > 0);
    leave(sender);
    EQ(count_files(), 0);
}

struct race {
    uint64_t seed;
    struct gate ready;
    int32_t told[5000];
    _Atomic bool over;
};
enum { RACES = sizeof((struct race *)0)->told / sizeof(int32_t) };

static void withdraw_in_a_race(void *argument)
{
    struct race *race = argument;
    struct random random = random_from(race->seed);
    uint32_t handle = join();
    gate_open(&race->ready);
    for (int32_t i = 0; i < RACES; i++) {
        int32_t number = qshm_send(handle, &i, sizeof i, &outcome);
        GT(number, 0);
        int32_t state = QSHM_SENT_WAITING;
        for (uint32_t looks = random_below(&random, 30); looks > 0 && state <= QSHM_SENT_TAKEN; looks--) {
            state = qshm_sent(handle, number);
        }
        race->told[i] = state <= QSHM_SENT_TAKEN ? qshm_withdraw_message(handle, number) : state;
        if (race->told[i] == QSHM_SENT_ANSWERED) {
            int32_t echo;
            EQ(qshm_reply(handle, (uint32_t)number, &echo, sizeof echo, &outcome), 1);
            EQ(echo, i);
        }
    }
    leave(handle);
    race->over = true;
}

/* Sender and holder at full speed. */
CASE(message_races_with_its_sender)
{
    static int handled[RACES];
    struct race *race = shared_memory(sizeof *race);
    race->seed = runner_seed();
    race->ready = gate_make();
    uint32_t holder = hold();
    pid_t pid = spawn(withdraw_in_a_race, race);
    gate_pass(&race->ready);
    while (!race->over) {
        int32_t i;
        if (qshm_take(holder, &i, sizeof i, &request) == 1) {
            CHECK(i >= 0 && i < RACES);
            handled[i]++;
            EQ(qshm_answer(holder, request.number, 0, &i, sizeof i, &outcome) >= 0, 1);
        }
    }
    EQ(wait_exit(pid), 0);
    int told[QSHM_SENT_WITHDRAWN + 1] = {0};
    for (int i = 0; i < RACES; i++) {
        told[race->told[i]]++;
        CHECK(race->told[i] == QSHM_SENT_ANSWERED || race->told[i] == QSHM_SENT_LOST ||
              race->told[i] == QSHM_SENT_WITHDRAWN);
        CHECK(race->told[i] == QSHM_SENT_ANSWERED ? handled[i] == 1 : handled[i] <= 1);
        CHECK(race->told[i] != QSHM_SENT_WITHDRAWN || handled[i] == 0);
    }
    runner_note("%d answered, %d withdrawn, %d given up while taken", told[QSHM_SENT_ANSWERED],
                told[QSHM_SENT_WITHDRAWN], told[QSHM_SENT_LOST]);
    expect_empty(holder);
    leave(holder);
    EQ(count_files(), 0);
}

/* --- a sender that is killed or stopped --------------------------------------------------------------------------- */

/* Sends; says when that is done, waits, and reads the reply. */
static void send_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = join();
    led_begin(scene);
    scene->number = try_send(handle, "question");
    scene->flags = outcome.flags;
    led_end(scene);
    scene->result = scene->number > 0 ? qshm_sent(handle, scene->number) : -1;
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    if (scene->number > 0 && scene->result <= QSHM_SENT_TAKEN) {
        expect_reply(handle, scene->number, "answer");
    }
    leave(handle);
}

static void hold_until(void *argument)
{
    struct scene *scene = argument;
    hold();
    gate_open(&scene->ready);
    gate_pass(&scene->go);
}

static void age(const char *name)
{
    struct timespec times[2] = {{.tv_sec = time(NULL) - 20}, {.tv_sec = time(NULL) - 20}};
    EQ(utimensat(AT_FDCWD, path_of(name), times, AT_SYMLINK_NOFOLLOW), 0);
}

/* All that is old enough has its turn. */
static void sweep(void)
{
    for (int i = 0; i < 5; i++) {
        int32_t sweeper = open_memory(QSHM_CREATE, "sweeper");
        GT(sweeper, 0);
        EQ(qshm_detach((uint32_t)sweeper), 0);
    }
}

static void age_messages(void)
{
    DIR *directory = opendir(runner_directory());
    CHECK(directory != NULL);
    struct dirent *found;
    while ((found = readdir(directory)) != NULL) {
        if (strncmp(found->d_name, "r.", 2) == 0) {
            age(found->d_name);
        }
    }
    closedir(directory);
}

/* Who frees what a dead sender has left. */
enum { BY_HOLDER, BY_SENDER, BY_NEXT_HOLDER, BY_SWEEP, WAYS };

CASE(message_sender_is_killed_anywhere)
{
    int files = 0;
    for (uint32_t way = 0; way < WAYS; way++) {
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(way), *other = scene_make(way);
            pid_t first = way == BY_NEXT_HOLDER ? lead(hold_until, other) : 0;
            uint32_t holder = first == 0 ? hold() : 0, sender = join();
            pid_t pid = lead(send_led, scene);
            more = lead_to(scene, pid, n);
            if (way == BY_SWEEP) { /* nobody is left who could find the entry */
                leave(holder);
            }
            kill_and_wait(pid);
            files += message_files();
            switch (way) {
            case BY_HOLDER:
                EQ(take(holder), 0);
                exchange(sender, holder);
                leave(holder);
                break;
            case BY_SENDER:
                EQ(take(holder), 0);
                expect_room(sender, QSHM_MESSAGES);
                expect_empty(sender);
                leave(holder);
                break;
            case BY_NEXT_HOLDER:
                kill_and_wait(first);
                holder = hold();
                expect_empty(sender);
                exchange(sender, holder);
                leave(holder);
                break;
            default:
                leave(sender);
                sweep(); /* too young */
                age_messages();
                sweep();
                sender = join();
            }
            expect_empty(sender);
            leave(sender);
            EQ(count_files(), 0);
            scene_end(scene);
            scene_end(other);
        }
    }
    GT(files, 0);
}

CASE(message_sender_is_stopped_anywhere)
{
    int early = 0;
    uint32_t holder = hold(), other = join();
    bool more = true;
    for (int n = 1; more; n++) {
        struct scene *scene = scene_make(0);
        pid_t pid = lead(send_led, scene);
        more = lead_to(scene, pid, n);
        int32_t r = take(holder);
        uint32_t number = request.number;
        if (r == 1) {
            EQ_TEXT(taken, "question");
            early++;
        }
        exchange(other, holder);
        let_go(scene, pid);
        gate_pass(&scene->ready);
        GT(scene->number, 0);
        if (r == 0) {
            expect_request(holder, "question");
            number = request.number;
        }
        EQ(number, scene->number);
        EQ(take(holder), 0);
        EQ(answer(holder, number, "answer"), 1);
        gate_open(&scene->go);
        EQ(wait_exit(pid), 0);
        expect_empty(holder);
        scene_end(scene);
    }
    GT(early, 0);
    leave(other);
    leave(holder);
    EQ(count_files(), 0);
}

/* Takes once, and once that is done all that is there. */
static void take_all_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = hold();
    led_begin(scene);
    scene->result = take(handle);
    led_end(scene);
    for (int32_t r = scene->result == 1 ? 1 : take(handle); r == 1; r = take(handle)) {
        EQ_TEXT(taken, "question");
        EQ(answer(handle, request.number, "answer"), 1);
    }
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    leave(handle);
}

/* A holder is about to free the entry of a dead sender, when others have done that and use it again. */
CASE(message_of_the_dead_is_discarded_late)
{
    bool more = true;
    for (int n = 1; more; n++) {
        struct scene *scene = scene_make(0), *doomed = scene_make(0);
        pid_t pid = lead(take_all_led, scene), victim = lead(fill_table_and_stay, doomed);
        kill_and_wait(victim);
        more = lead_to(scene, pid, n);
        uint32_t sender = join();
        int32_t numbers[QSHM_MESSAGES];
        for (int i = 0; i < QSHM_MESSAGES; i++) {
            numbers[i] = send_text(sender, "question");
        }
        let_go(scene, pid);
        gate_pass(&scene->ready);
        for (int i = 0; i < QSHM_MESSAGES; i++) {
            expect_reply(sender, numbers[i], "answer");
        }
        expect_empty(sender);
        gate_open(&scene->go);
        EQ(wait_exit(pid), 0);
        leave(sender);
        EQ(count_files(), 0);
        scene_end(scene);
        scene_end(doomed);
    }
}

static void send_and_stay(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = join();
    scene->number = send_text(handle, "question");
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    leave(handle);
}

CASE(message_of_a_dead_sender_that_was_taken)
{
    uint32_t holder = hold(), sender = join();
    struct scene *scene = scene_make(0);
    pid_t pid = lead(send_and_stay, scene);
    expect_request(holder, "question");
    uint32_t number = request.number;
    struct qshm_process process;
    EQ(qshm_requester(holder, request.sender, request.pid, &process), 1);
    EQ(process.pid, pid);
    EQ(process.alive, 1);
    EQ(qshm_requester(holder, request.sender, (uint32_t)getpid(), &process), 1); /* the pid that is told is no proof */
    EQ(process.pid, 0);
    EQ(qshm_is_awaited(holder, number), 1);
    kill_and_wait(pid);
    EQ(qshm_requester(holder, request.sender, request.pid, &process), 1);
    EQ(process.alive, 0);
    EQ(process.pid, 0);
    EQ(qshm_is_awaited(holder, number), 0);
    EQ(state_of(holder, (int32_t)number), TAKEN);
    expect_room(sender, QSHM_MESSAGES - 1);
    EQ(answer(holder, number, "in vain"), 0);
    expect_empty(holder);
    EQ(answer(holder, number, "twice"), QSHM_E_ARGUMENT);
    exchange(sender, holder);

    pid = lead(send_and_stay, scene); /* and one whose message nobody answers */
    expect_request(holder, "question");
    kill_and_wait(pid);
    leave(holder);
    expect_empty(sender);
    scene_end(scene);
    leave(sender);
    EQ(count_files(), 0);
}

/* --- a holder that is killed or stopped --------------------------------------------------------------------------- */

static void take_and_answer_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = hold();
    led_begin(scene);
    scene->result = take(handle);
    if (scene->result == 1) {
        scene->handled = true;
        scene->result = answer(handle, request.number, "answer");
    }
    led_end(scene);
    leave(handle);
}

CASE(message_holder_is_killed_anywhere)
{
    for (uint32_t next = 0; next < 2; next++) { /* is one elected before the sender looks? */
        int seen[STATES] = {0};
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(0);
            pid_t pid = lead(take_and_answer_led, scene);
            uint32_t sender = join();
            int32_t number = send_text(sender, "question");
            more = lead_to(scene, pid, n);
            uint32_t state = state_of(sender, number);
            kill_and_wait(pid);
            uint32_t holder = next == 1 ? hold() : 0;
            switch (state) {
            case NEW:
                CHECK(!scene->handled);
                if (next == 0) {
                    EQ(qshm_sent(sender, number), QSHM_SENT_WITHDRAWN);
                } else {
                    EQ(qshm_sent(sender, number), QSHM_SENT_WAITING);
                    expect_request(holder, "question");
                    EQ(take(holder), 0);
                    EQ(answer(holder, request.number, "another answer"), 1);
                    expect_reply(sender, number, "another answer");
                }
                break;
            case TAKEN:
                EQ(next == 1 ? take(holder) : 0, 0);
                EQ(qshm_sent(sender, number), QSHM_SENT_LOST);
                break;
            default:
                EQ(state, ANSWERED);
                CHECK(scene->handled);
                EQ(next == 1 ? take(holder) : 0, 0);
                expect_reply(sender, number, "answer");
            }
            EQ(qshm_sent(sender, number), QSHM_E_ARGUMENT);
            expect_empty(sender);
            holder = next == 1 ? holder : hold();
            exchange(sender, holder);
            leave(holder);
            leave(sender);
            EQ(count_files(), 0);
            seen[state]++;
            scene_end(scene);
        }
        CHECK(seen[NEW] > 0 && seen[TAKEN] > 0 && seen[ANSWERED] > 0);
    }
}

static void look_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = join();
    int32_t number = send_text(handle, "question");
    led_begin(scene);
    scene->result = qshm_sent(handle, number);
    led_end(scene);
    int32_t last = scene->result == QSHM_SENT_TAKEN ? qshm_sent(handle, number) : scene->result;
    EQ(last, scene->way == 0 ? QSHM_SENT_ANSWERED : QSHM_SENT_LOST);
    if (last == QSHM_SENT_ANSWERED) {
        expect_reply(handle, number, "answer");
    }
    expect_empty(handle);
    leave(handle);
}

static void take_then_answer(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = hold();
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    expect_request(handle, "question");
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    if (scene->way == 0) {
        EQ(answer(handle, request.number, "answer"), 1);
    }
    gate_open(&scene->ready);
    gate_pass(&scene->go);
}

/* The holder answers, or not, and is killed, while its sender is looking. */
CASE(message_is_answered_before_a_death)
{
    for (uint32_t way = 0; way < 2; way++) {
        int at_once = 0;
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *holding = scene_make(way), *scene = scene_make(way);
            pid_t holder = lead(take_then_answer, holding);
            pid_t pid = lead(look_led, scene);
            gate_open(&holding->go);
            gate_pass(&holding->ready);
            more = lead_to(scene, pid, n);
            gate_open(&holding->go);
            gate_pass(&holding->ready);
            kill_and_wait(holder);
            let_end(scene, pid);
            at_once += scene->result != QSHM_SENT_TAKEN;
            scene_end(holding);
            scene_end(scene);
        }
        GT(at_once, 0);
    }
    leave(hold());
    EQ(count_files(), 0);
}

/* Released in order, with a message in each state; the steps of the sender that sees it. */
/* Also when that one never looks at a message: no sender may wait for it. */
CASE(message_of_a_dead_holder_is_lost_at_the_next_election)
{
    uint32_t sender = join();
    struct scene *scene = scene_make(0);
    pid_t pid = lead(take_then_answer, scene);
    int32_t number = send_text(sender, "question");
    gate_open(&scene->go);
    gate_pass(&scene->ready);
    kill_and_wait(pid);
    uint32_t next = hold();
    EQ(qshm_sent(sender, number), QSHM_SENT_LOST);
    leave(next);
    leave(sender);
    EQ(count_files(), 0);
    scene_end(scene);
}

static void look_beside_a_release(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = join();
    int32_t number = send_text(handle, "question");
    led_begin(scene);
    scene->result = qshm_sent(handle, number);
    led_end(scene);
    int32_t last = scene->result <= QSHM_SENT_TAKEN ? qshm_sent(handle, number) : scene->result;
    CHECK(scene->way == 0 ? last == QSHM_SENT_REFUSED || last == QSHM_SENT_WITHDRAWN : last == QSHM_SENT_LOST);
    expect_empty(handle);
    leave(handle);
}

CASE(message_is_looked_at_beside_a_release)
{
    for (uint32_t way = 0; way < 2; way++) { /* not taken; taken */
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(way);
            uint32_t holder = hold();
            pid_t pid = lead(look_beside_a_release, scene);
            EQ(way == 0 ? 1 : take(holder), 1);
            more = lead_to(scene, pid, n);
            leave(holder);
            let_end(scene, pid);
            EQ(count_files(), 0);
            scene_end(scene);
        }
    }
}

static void answer_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = hold();
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    expect_request(handle, "question");
    led_begin(scene);
    scene->result = qshm_answer(handle, request.number, scene->way >> 1, bytes, LARGEST_MESSAGE, &outcome);
    led_end(scene);
    leave(handle);
}

CASE(message_reply_is_whole)
{
    struct random random = random_from(runner_seed());
    fill(bytes, &random);
    for (uint32_t way = 0; way < 4; way++) { /* stopped or killed; answered or failed */
        int seen[2] = {0};
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(way);
            pid_t pid = lead(answer_led, scene);
            uint32_t sender = join();
            int32_t number = send_text(sender, "question");
            gate_open(&scene->go);
            gate_pass(&scene->ready);
            more = lead_to(scene, pid, n);
            int32_t r = qshm_sent(sender, number);
            seen[r != QSHM_SENT_TAKEN]++;
            int32_t before = r;
            if (way % 2 == 1) {
                kill_and_wait(pid);
                r = qshm_sent(sender, number);
                EQ(r, before == QSHM_SENT_TAKEN ? QSHM_SENT_LOST : before);
            } else if (before == QSHM_SENT_TAKEN) {
                let_end(scene, pid);
                r = qshm_sent(sender, number);
                EQ(scene->result, 1);
            }
            if (r != QSHM_SENT_LOST) {
                EQ(r, (way >> 1) == 1 ? QSHM_SENT_FAILED : QSHM_SENT_ANSWERED);
                memset(received, 0, sizeof received);
                EQ(qshm_reply(sender, (uint32_t)number, received, sizeof received, &outcome), 1);
                EQ(outcome.size, LARGEST_MESSAGE);
                EQ(memcmp(received, bytes, LARGEST_MESSAGE), 0);
            }
            if (way % 2 == 0 && before != QSHM_SENT_TAKEN) { /* it is read while the holder stands there */
                let_end(scene, pid);
                EQ(scene->result, 1);
            }
            expect_empty(sender);
            leave(sender);
            leave(hold());
            EQ(count_files(), 0);
            scene_end(scene);
        }
        CHECK(seen[0] > 0 && seen[1] > 0);
    }
}

/* --- beside a holder that leaves ---------------------------------------------------------------------------------- */

enum { REFUSES, DETACHES, IS_FOLLOWED, CLOSINGS };

static void sent_while_closing(void)
{
    for (uint32_t way = 0; way < CLOSINGS; way++) {
        int told[3] = {0};
        bool more = true;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(way);
            uint32_t holder = hold();
            pid_t pid = lead(send_led, scene);
            more = lead_to(scene, pid, n);
            if (way == REFUSES) {
                EQ(qshm_refuse_messages(holder), 0);
            } else {
                leave(holder);
            }
            if (way == IS_FOLLOWED) {
                holder = hold();
            }
            let_go(scene, pid);
            gate_pass(&scene->ready);
            int32_t r = scene->result;
            if (scene->number == 0) {
                CHECK(scene->flags == QSHM_LEAVING || (way != REFUSES && scene->flags == QSHM_NOBODY));
                told[0]++;
            } else if (way == IS_FOLLOWED && r == QSHM_SENT_WAITING) {
                expect_request(holder, "question");
                EQ(answer(holder, request.number, "answer"), 1);
                told[2]++;
            } else {
                CHECK(r == QSHM_SENT_REFUSED || (way == DETACHES && r == QSHM_SENT_WITHDRAWN));
                told[1]++;
            }
            EQ(way == DETACHES ? 0 : take(holder), 0);
            gate_open(&scene->go);
            EQ(wait_exit(pid), 0);
            if (way != DETACHES) {
                expect_empty(holder);
                leave(holder);
            }
            EQ(count_files(), 0);
            scene_end(scene);
        }
        CHECK(told[1] > 0 && (way != REFUSES || told[0] > 0) && (way != IS_FOLLOWED || told[2] > 0));
    }
}

static void close_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = hold();
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    expect_request(handle, "taken");
    led_begin(scene);
    if (scene->way == REFUSES) {
        EQ(qshm_refuse_messages(handle), 0);
    } else {
        leave(handle);
    }
    led_end(scene);
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    if (scene->way == REFUSES) {
        EQ(answer(handle, request.number, "still"), 1);
        leave(handle);
    }
}

static bool is_settled(int32_t sent)
{
    return sent > QSHM_SENT_TAKEN;
}

static void closing_while_sent(void)
{
    for (uint32_t way = 0; way < 2 * CLOSINGS; way++) {
        bool looks = way >= CLOSINGS; /* while the holder stands there */
        bool more = way % CLOSINGS != IS_FOLLOWED;
        for (int n = 1; more; n++) {
            struct scene *scene = scene_make(way % CLOSINGS);
            pid_t pid = lead(close_led, scene);
            uint32_t sender = join();
            int32_t numbers[3] = {send_text(sender, "taken")}, results[3] = {0};
            gate_open(&scene->go);
            gate_pass(&scene->ready);
            numbers[1] = send_text(sender, "waiting");
            more = lead_to(scene, pid, n);
            numbers[2] = try_send(sender, "late");
            if (numbers[2] == 0) {
                CHECK(outcome.flags == QSHM_LEAVING || (scene->way == DETACHES && outcome.flags == QSHM_NOBODY));
                results[2] = QSHM_SENT_REFUSED;
            }
            for (int i = 0; looks && i < 3; i++) {
                results[i] = is_settled(results[i]) ? results[i] : qshm_sent(sender, numbers[i]);
            }
            let_go(scene, pid);
            gate_pass(&scene->ready);
            for (int i = 0; i < 3; i++) {
                results[i] = is_settled(results[i]) ? results[i] : qshm_sent(sender, numbers[i]);
            }
            EQ(results[0], scene->way == REFUSES ? QSHM_SENT_TAKEN : QSHM_SENT_LOST);
            for (int i = 1; i < 3; i++) {
                CHECK(results[i] == QSHM_SENT_REFUSED || (scene->way == DETACHES && results[i] == QSHM_SENT_WITHDRAWN));
            }
            gate_open(&scene->go);
            EQ(wait_exit(pid), 0);
            if (scene->way == REFUSES) {
                expect_reply(sender, numbers[0], "still");
            }
            expect_empty(sender);
            leave(sender);
            EQ(count_files(), 0);
            scene_end(scene);
        }
    }
}

CASE(message_sent_beside_closing)
{
    sent_while_closing();
    closing_while_sent();
}

CASE(message_released_with_one_taken)
{
    uint32_t sender = join(), holder = hold();
    int32_t number = send_text(sender, "question");
    expect_request(holder, "question");
    leave(holder);
    EQ(answer(holder, request.number, "late"), QSHM_E_HANDLE);
    EQ(qshm_is_awaited(holder, request.number), QSHM_E_HANDLE);
    uint32_t next = hold();
    EQ(answer(next, request.number, "not mine"), QSHM_E_ARGUMENT);
    EQ(qshm_is_awaited(next, request.number), 0);
    EQ(take(next), 0);
    EQ(qshm_sent(sender, number), QSHM_SENT_LOST);
    expect_empty(sender);
    exchange(sender, next);
    leave(next);
    leave(sender);
    EQ(count_files(), 0);
}

CASE(message_abandoned_removes_its_own_file)
{
    uint32_t holder = hold(), sender = join();
    struct scene *scene = scene_make(0);
    pid_t pid = lead(withdraw_led, scene);
    expect_request(holder, "question");
    gate_open(&scene->go);
    step_to(scene->stepper, pid, "message abandoned");
    EQ(answer(holder, request.number, "in vain"), 0);
    int32_t number = send_text(sender, "honest");
    let_end(scene, pid);
    EQ(scene->result, QSHM_SENT_LOST);
    expect_request(holder, "honest");
    EQ(qshm_sent(sender, number), QSHM_SENT_TAKEN);
    scene_end(scene);
}

CASE(message_abandoned)
{
    uint32_t sender = join();
    for (int way = 0; way < 4; way++) { /* the holder answers; detaches; dies; answers a sender that has detached */
        struct scene *scene = scene_make(0);
        pid_t pid = 0;
        uint32_t holder = 0;
        int32_t number;
        if (way == 2) {
            pid = lead(take_then_answer, scene);
            number = send_text(sender, "question");
            gate_open(&scene->go);
            gate_pass(&scene->ready);
        } else {
            holder = hold();
            number = send_text(sender, "question");
            expect_request(holder, "question");
        }
        if (way == 3) {
            leave(sender);
            sender = join();
        } else {
            EQ(qshm_withdraw_message(sender, number), QSHM_SENT_LOST);
            EQ(qshm_sent(sender, number), QSHM_E_ARGUMENT);
            EQ(qshm_withdraw_message(sender, number), QSHM_E_ARGUMENT);
        }
        EQ(state_of(sender, number), ABANDONED);
        EQ(message_files(), 0);
        expect_room(sender, QSHM_MESSAGES - 1);
        if (way == 0 || way == 3) {
            EQ(qshm_is_awaited(holder, request.number), 0);
            EQ(answer(holder, request.number, "in vain"), 0);
            expect_empty(sender);
            EQ(answer(holder, request.number, "in vain"), QSHM_E_ARGUMENT);
            expect_room(sender, QSHM_MESSAGES);
        } else if (way == 2) {
            kill_and_wait(pid);
            holder = hold();
        }
        if (way != 1) {
            exchange(sender, holder);
        }
        leave(holder);
        expect_empty(sender);
        scene_end(scene);
    }
    leave(sender);
    EQ(count_files(), 0);
}

/* --- files that somebody else changes ----------------------------------------------------------------------------- */

enum {
    CUT_TO_NOTHING,
    CUT_BY_A_BYTE,
    DELETED,
    LINKED,
    HARD_LINKED,
    FIFO,
    DIRECTORY,
    OTHER_FILE,
    LONGER,
    MODE,
    CHANGES
};

static void remove_message(const char *name)
{
    if (unlink(path_of(name)) != 0) {
        EQ(rmdir(path_of(name)), 0);
    }
}

static void make_file(const char *name, off_t size)
{
    int fd = open(path_of(name), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    GE(fd, 0);
    EQ(ftruncate(fd, size), 0);
    close(fd);
}

static void change(const char *name, int how)
{
    struct stat status;
    EQ(lstat(path_of(name), &status), 0);
    if (how == DELETED || (how >= LINKED && how <= OTHER_FILE && how != HARD_LINKED)) {
        remove_message(name);
    }
    switch (how) {
    case CUT_TO_NOTHING:
        EQ(truncate(path_of(name), 0), 0);
        break;
    case CUT_BY_A_BYTE:
        EQ(truncate(path_of(name), status.st_size - 1), 0);
        break;
    case LINKED:
        make_file("behind", status.st_size);
        EQ(symlink("behind", path_of(name)), 0);
        break;
    case HARD_LINKED:
        EQ(link(path_of(name), path_of("behind")), 0);
        break;
    case FIFO:
        EQ(mkfifo(path_of(name), 0600), 0);
        break;
    case DIRECTORY:
        EQ(mkdir(path_of(name), 0700), 0);
        break;
    case OTHER_FILE:
        make_file(name, status.st_size);
        break;
    case LONGER:
        EQ(truncate(path_of(name), status.st_size + 4096), 0);
        break;
    case MODE:
        EQ(chmod(path_of(name), 0), 0);
        break;
    default:
        break;
    }
}

enum { BEFORE_TAKE, BEFORE_ANSWER, BEFORE_REPLY, MOMENTS };

/* One message whose file is changed at a moment: each side gets a result that the other can live with. */
static void pass_changed(uint32_t sender, uint32_t holder, int how, int moment)
{
    int fds = count_fds();
    int32_t number = send_text(sender, "question");
    char name[24];
    snprintf(name, sizeof name, "%s", file_of(entry_of(sender, number)->nonce));
    int32_t r = 0, result = QSHM_SENT_REFUSED;
    if (moment == BEFORE_TAKE) {
        change(name, how);
    }
    if (take(holder) == 1) {
        CHECK(moment != BEFORE_TAKE || how == OTHER_FILE || how == LONGER || how == MODE);
        CHECK(how == OTHER_FILE || strcmp(taken, "question") == 0);
        if (moment == BEFORE_ANSWER) {
            change(name, how);
        }
        r = answer(holder, request.number, "answer");
        CHECK(r == 1 || (moment == BEFORE_ANSWER && r < 0 && outcome.os_error != 0));
        result = r == 1 ? QSHM_SENT_ANSWERED : QSHM_SENT_FAILED;
        if (moment == BEFORE_REPLY) {
            change(name, how);
        }
    }
    EQ(qshm_sent(sender, number), result);
    if (result != QSHM_SENT_REFUSED) {
        char reply[TEXT];
        r = qshm_reply(sender, (uint32_t)number, reply, sizeof reply, &outcome);
        CHECK(r == 1 || r == QSHM_E_INCOMPATIBLE);
        if (r == 1) {
            EQ(outcome.size, result == QSHM_SENT_FAILED ? 0 : 6);
            EQ(memcmp(reply, "answer", (size_t)outcome.size), 0);
        } else {
            CHECK(outcome.why[0] != '\0');
            CHECK(how == CUT_TO_NOTHING || how == CUT_BY_A_BYTE || how == OTHER_FILE);
        }
    }
    EQ(qshm_sent(sender, number), QSHM_E_ARGUMENT);
    if (exists("behind")) {
        EQ(unlink(path_of("behind")), 0);
    }
    if (how == DIRECTORY && exists(name)) { /* that is not ours to remove */
        EQ(rmdir(path_of(name)), 0);
    }
    expect_empty(sender);
    EQ(count_fds(), fds);
    exchange(sender, holder);
}

CASE(message_file_is_truncated)
{
    uint32_t holder = hold(), sender = join();
    for (int moment = 0; moment < MOMENTS; moment++) {
        pass_changed(sender, holder, CUT_TO_NOTHING, moment);
        pass_changed(sender, holder, CUT_BY_A_BYTE, moment);
        pass_changed(sender, holder, LONGER, moment);
    }
    leave(sender);
    leave(holder);
    EQ(count_files(), 0);
}

static void pass_replaced(void *argument)
{
    (void)argument;
    uint32_t holder = hold(), sender = join();
    for (int how = 0; how < CHANGES; how++) {
        for (int moment = 0; moment < MOMENTS; moment++) {
            pass_changed(sender, holder, how, moment);
        }
    }
    leave(sender);
    leave(holder);
    EQ(count_files(), 0);
}

CASE(message_file_is_replaced)
{
    EQ(wait_exit(spawn(pass_replaced, NULL)), 0);
}

static void pass_replaced_as_nobody(void *argument)
{
    turn_into(SOMEBODY);
    pass_replaced(argument);
}

/* Root may open what has no mode. */
CASE(message_file_is_replaced_under_a_user)
{
    share_with(SOMEBODY);
    EQ(chown(runner_directory(), SOMEBODY, SOMEBODY), 0);
    EQ(wait_exit(spawn(pass_replaced_as_nobody, NULL)), 0);
    EQ(chown(runner_directory(), 0, 0), 0);
}

static void read_led(void *argument)
{
    struct scene *scene = argument;
    uint32_t handle = scene->way == 0 ? hold() : join();
    int32_t number = 0;
    if (scene->way == 1) {
        number = send_text(handle, "question");
        gate_open(&scene->ready);
        gate_pass(&scene->go);
    }
    led_begin(scene);
    if (scene->way == 0) {
        scene->result = take(handle);
    } else {
        char reply[TEXT];
        scene->result = qshm_reply(handle, (uint32_t)number, reply, sizeof reply, &outcome);
    }
    led_end(scene);
    leave(handle);
}

/* Its size was right when the reader looked. */
CASE(message_file_is_truncated_while_it_is_read)
{
    struct scene *scene = scene_make(0);
    pid_t pid = lead(read_led, scene);
    uint32_t sender = join();
    int32_t number = send_text(sender, "question");
    gate_open(&scene->go);
    step_to(scene->stepper, pid, "pread");
    EQ(truncate(path_of(file_of(entry_of(sender, number)->nonce)), 3), 0);
    let_end(scene, pid);
    EQ(scene->result, 0);
    EQ(qshm_sent(sender, number), QSHM_SENT_REFUSED);
    expect_empty(sender);
    leave(sender);
    scene_end(scene);

    uint32_t holder = hold();
    scene = scene_make(1);
    pid = lead(read_led, scene);
    expect_request(holder, "question");
    EQ(answer(holder, request.number, "answer"), 1);
    gate_open(&scene->go);
    gate_pass(&scene->ready);
    gate_open(&scene->go);
    step_to(scene->stepper, pid, "pread");
    EQ(truncate(path_of(file_of(entry_of(holder, (int32_t)request.number)->nonce)), 9), 0);
    let_end(scene, pid);
    LT(scene->result, 0);
    expect_empty(holder);
    leave(holder);
    EQ(count_files(), 0);
    scene_end(scene);
}

/* Another's id, or a state that a sender cannot find: it is told that nothing can be known, and lets the entry be. */
CASE(message_entry_is_scribbled_over)
{
    uint32_t holder = hold(), sender = join();
    uint64_t mine = (uint64_t)id_of((int32_t)sender) << 32, another = (uint64_t)id_of((int32_t)holder) << 32;
    const uint64_t words[] = {0,           another | ANSWERED, another | NEW,    another | TAKEN, UINT64_MAX,
                              mine | FREE, mine | CLAIMED,     mine | ABANDONED, mine | STATES,   mine | UINT32_MAX};
    for (size_t i = 0; i < 2 * (sizeof words / sizeof *words); i++) {
        int32_t number = send_text(sender, "question");
        EQ(take(holder), 1);
        uint64_t word = words[i / 2];
        entry_of(sender, number)->state = word;
        EQ(i % 2 == 0 ? qshm_sent(sender, number) : qshm_withdraw_message(sender, number), QSHM_SENT_LOST);
        EQ(entry_of(sender, number)->state, (word & ~(uint64_t)UINT32_MAX) == mine ? 0 : word);
        EQ(qshm_sent(sender, number), QSHM_E_ARGUMENT);
        EQ(message_files(), 0);
        entry_of(sender, number)->state = 0;
        exchange(sender, holder);
    }
}

CASE(message_sweep)
{
    uint32_t holder = hold(), sender = join();
    int32_t number = send_text(sender, "question");
    age(file_of(entry_of(sender, number)->nonce)); /* its sender lives */
    make_file("r.0000000000000001", 10);           /* young */
    static const char *const strangers[] = {
        "r.0000000000000002", /* a directory */
        "r.0000000000000003", /* a link */
        "r.0000000000000004", /* a FIFO */
        "r.0000000000000005", /* has another name */
        "r.000000000000000",  "r.000000000000000A", "r.00000000000000006", "hidden",
    };
    EQ(mkdir(path_of(strangers[0]), 0700), 0);
    EQ(symlink("hidden", path_of(strangers[1])), 0);
    EQ(mkfifo(path_of(strangers[2]), 0600), 0);
    for (int i = 4; i < 8; i++) {
        make_file(strangers[i], 0);
    }
    EQ(link(path_of("hidden"), path_of(strangers[3])), 0);
    for (int i = 0; i < 8; i++) {
        age(strangers[i]);
    }
    if (geteuid() == 0) {
        make_file("r.0000000000000007", 10);
        EQ(lchown(path_of("r.0000000000000007"), OTHER, OTHER), 0);
        age("r.0000000000000007");
    }
    int before = count_files();
    make_file("r.0000000000000008", 10);
    make_file("r.fedcba9876543210", 0);
    age("r.0000000000000008");
    age("r.fedcba9876543210");
    sweep();
    EQ(count_files(), before);
    CHECK(!exists("r.0000000000000008"));
    CHECK(!exists("r.fedcba9876543210"));
    expect_request(holder, "question");
    EQ(answer(holder, request.number, "answer"), 1);
    age(file_of(entry_of(sender, number)->nonce));
    sweep();
    expect_reply(sender, number, "answer");
    EQ(count_files(), before - 1);
}

/* --- everything else ---------------------------------------------------------------------------------------------- */

struct parent {
    uint32_t handle;
    int32_t number;
};

static void call_in_child(void *argument)
{
    const struct parent *parent = argument;
    uint32_t number = (uint32_t)parent->number;
    int before = count_fds();
    EQ(qshm_sent(parent->handle, parent->number), QSHM_E_HANDLE);
    EQ(before - count_fds(), 5); /* two of each attachment, and that of the message */
    EQ(qshm_withdraw_message(parent->handle, parent->number), QSHM_E_HANDLE);
    EQ(qshm_reply(parent->handle, number, taken, TEXT, &outcome), QSHM_E_HANDLE);
    EQ(try_send(parent->handle, "child"), QSHM_E_HANDLE);
    EQ(take(parent->handle), QSHM_E_HANDLE);
    EQ(answer(parent->handle, number, "child"), QSHM_E_HANDLE);
    EQ(qshm_is_awaited(parent->handle, parent->number), QSHM_E_HANDLE);
    EQ(qshm_refuse_messages(parent->handle), QSHM_E_HANDLE);
    uint32_t mine = join();
    int32_t sent = send_text(mine, "of the child");
    EQ(qshm_withdraw_message(mine, sent), QSHM_SENT_WITHDRAWN);
    leave(mine);
}

CASE(message_in_a_forked_child)
{
    uint32_t holder = hold(), sender = join();
    struct parent parent = {sender, send_text(sender, "question")};
    EQ(wait_exit(spawn(call_in_child, &parent)), 0);
    expect_request(holder, "question");
    EQ(wait_exit(spawn(call_in_child, &parent)), 0);
    EQ(answer(holder, request.number, "answer"), 1);
    EQ(wait_exit(spawn(call_in_child, &parent)), 0);
    expect_reply(sender, parent.number, "answer");
    expect_empty(sender);
    leave(sender);
    leave(holder);
    EQ(count_files(), 0);
}

CASE(message_arguments)
{
    static const double no_sizes[] = {-1, -0.5, 0.5, NAN, HUGE_VAL, -HUGE_VAL, 9007199254740994.0};
    static const double no_numbers[] = {-1, 0, 0.5, 1.5, 2, 64.5, 65, 1e9, 4294967297.0, NAN, HUGE_VAL, -HUGE_VAL};
    enum { NO_SIZES = sizeof no_sizes / sizeof *no_sizes, NO_NUMBERS = sizeof no_numbers / sizeof *no_numbers };
    uint32_t stale = join();
    leave(stale);
    uint32_t holder = hold(), sender = join();
    int32_t memory = open_memory(QSHM_CREATE, "memory");
    GT(memory, 0);
    const struct {
        uint32_t handle;
        int32_t error;
    } no_handles[] = {{0, QSHM_E_HANDLE}, {stale, QSHM_E_HANDLE}, {(uint32_t)memory, QSHM_E_ARGUMENT}};
    char text[TEXT];
    struct qshm_process process;
    int32_t number = send_text(sender, "question");
    EQ(number, 1);
    for (int i = 0; i < 3; i++) {
        uint32_t handle = no_handles[i].handle;
        int32_t error = no_handles[i].error;
        EQ(qshm_send(handle, text, 1, &outcome), error);
        EQ(qshm_sent(handle, 1), error);
        EQ(qshm_withdraw_message(handle, 1), error);
        EQ(qshm_reply(handle, 1, text, TEXT, &outcome), error);
        EQ(qshm_take(handle, text, TEXT, &request), error);
        EQ(qshm_is_awaited(handle, 1), error);
        EQ(qshm_answer(handle, 1, 0, text, 1, &outcome), error);
        EQ(qshm_refuse_messages(handle), error);
        EQ(qshm_requester(handle, 1, 1, &process), error);
    }
    for (int i = 0; i < NO_SIZES; i++) {
        EQ(qshm_send(sender, text, no_sizes[i], &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_take(holder, text, no_sizes[i], &request), QSHM_E_ARGUMENT);
        EQ(qshm_reply(sender, 1, text, no_sizes[i], &outcome), QSHM_E_ARGUMENT);
    }
    EQ(qshm_send(sender, text, 2147483648.0, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_send(sender, NULL, 1, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_send(sender, text, 1, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_take(holder, NULL, 1, &request), QSHM_E_ARGUMENT);
    EQ(qshm_take(holder, text, 1, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_take(sender, text, TEXT, &request), QSHM_E_ARGUMENT); /* it does not hold the guard */
    EQ(qshm_refuse_messages(sender), QSHM_E_ARGUMENT);
    EQ(qshm_requester(holder, 1, 1, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_take(holder, NULL, 0, &request), 2);
    EQ(qshm_sent(holder, 1), QSHM_E_ARGUMENT);  /* another's */
    EQ(answer(holder, 1, ""), QSHM_E_ARGUMENT); /* not taken yet */
    EQ(qshm_is_awaited(holder, 1), 0);
    EQ(qshm_reply(sender, 1, text, TEXT, &outcome), QSHM_E_ARGUMENT);
    for (int i = 0; i < NO_NUMBERS; i++) {
        double no_number = no_numbers[i];
        EQ(qshm_sent(sender, no_number), QSHM_E_ARGUMENT);
        EQ(qshm_withdraw_message(sender, no_number), QSHM_E_ARGUMENT);
        if (no_number != 2) { /* one that is free is not awaited */
            EQ(qshm_is_awaited(holder, no_number), QSHM_E_ARGUMENT);
        }
    }
    const uint32_t numbers[] = {0, 2, 64, 65, 0x80000000, 0x80000001, UINT32_MAX};
    for (int i = 0; i < 7; i++) {
        EQ(answer(holder, numbers[i], ""), QSHM_E_ARGUMENT);
        EQ(qshm_reply(sender, numbers[i], text, TEXT, &outcome), QSHM_E_ARGUMENT);
    }
    expect_request(holder, "question");
    EQ(qshm_answer(sender, 1, 0, text, 1, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_is_awaited(sender, 1), QSHM_E_ARGUMENT);
    for (int i = 0; i < NO_SIZES; i++) {
        EQ(qshm_answer(holder, 1, 0, text, no_sizes[i], &outcome), QSHM_E_ARGUMENT);
    }
    EQ(qshm_answer(holder, 1, 0, NULL, 1, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_answer(holder, 1, 0, text, 1, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_answer(holder, 1, 0, "answer", 6, &outcome), 1);
    EQ(qshm_reply(sender, 1, NULL, 1, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_reply(sender, 1, text, 6, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_reply(sender, 1, NULL, 0, &outcome), 0);
    expect_reply(sender, 1, "answer"); /* all that changed nothing */
    expect_empty(sender);
    EQ(qshm_working_directory(NULL, 0), QSHM_E_ARGUMENT);
}

CASE(message_leaves_nothing)
{
    struct random random = random_from(runner_seed());
    uint32_t keeper = hold(), first = join();
    exchange(first, keeper);
    leave(first);
    leave(keeper);
    int fds = count_fds(), maps = count_maps();
    for (int round = 0; round < 1000; round++) {
        uint32_t holder = hold(), sender = join(), other = join();
        int messages = 1 + (int)random_below(&random, 6);
        for (int i = 0; i < messages; i++) { /* each is left in some state */
            int32_t number = send_text(sender, "question");
            uint32_t end = random_below(&random, 6);
            if (end >= 1) {
                expect_request(holder, "question");
            } else {
                EQ(qshm_withdraw_message(sender, number), QSHM_SENT_WITHDRAWN);
            }
            if (end == 2) {
                EQ(qshm_withdraw_message(sender, number), QSHM_SENT_LOST);
            } else if (end >= 3) {
                EQ(qshm_answer(holder, request.number, end == 3, "answer", 6, &outcome), 1);
            }
            if (end == 5) {
                expect_reply(sender, number, "answer");
            }
        }
        if (random_below(&random, 2) == 0) {
            send_text(sender, "question");
        }
        switch (random_below(&random, 3)) {
        case 0:
            leave(holder);
            leave(sender);
            break;
        case 1:
            leave(sender);
            leave(holder);
            break;
        default:
            EQ(qshm_refuse_messages(holder), 0);
            EQ(qshm_leave(sender), 0);
            EQ(qshm_leave(holder), 0);
        }
        expect_empty(other);
        leave(other);
        EQ(count_files(), 0);
        EQ(count_fds(), fds);
        EQ(count_maps(), maps);
    }
}

/* --- bells -------------------------------------------------------------------------------------------------------- */

static int listen_to(uint32_t handle)
{
    int fd = qshm_bell_open(handle, QSHM_BELL_FIFO, &outcome);
    GE(fd, 0);
    return fd;
}

static void expect_news(uint32_t handle)
{
    EQ(qshm_expect_change(handle, qshm_revision(handle)), 0);
}

static bool has_heard(int fd)
{
    char byte[16];
    bool heard = false;
    ssize_t got;
    while ((got = read(fd, byte, sizeof byte)) > 0) {
        heard = true;
    }
    EQ(got, -1);
    EQ(errno, EAGAIN);
    return heard;
}

CASE(message_wakes)
{
    uint32_t holder = hold(), sender = join();
    int of_holder = listen_to(holder), of_sender = listen_to(sender);
    expect_news(holder);
    int32_t number = send_text(sender, "question");
    CHECK(has_heard(of_holder));
    expect_request(holder, "question");
    has_heard(of_sender);
    expect_news(sender);
    EQ(answer(holder, request.number, "answer"), 1);
    CHECK(has_heard(of_sender));
    expect_reply(sender, number, "answer");

    number = send_text(sender, "abandoned"); /* a handler hears that nobody waits any more */
    expect_request(holder, "abandoned");
    has_heard(of_holder);
    expect_news(holder);
    EQ(qshm_withdraw_message(sender, number), QSHM_SENT_LOST);
    CHECK(has_heard(of_holder));
    EQ(qshm_is_awaited(holder, request.number), 0);
    EQ(answer(holder, request.number, ""), 0);

    number = send_text(sender, "taken");
    expect_request(holder, "taken");
    int32_t second = send_text(sender, "refused");
    has_heard(of_sender);
    expect_news(sender);
    EQ(qshm_refuse_messages(holder), 0);
    CHECK(has_heard(of_sender));
    EQ(qshm_sent(sender, second), QSHM_SENT_REFUSED);
    expect_news(sender);
    leave(holder);
    CHECK(has_heard(of_sender));
    EQ(qshm_sent(sender, number), QSHM_SENT_LOST);
    close(of_holder);

    struct scene *scene = scene_make(0); /* lost with a holder that died: the next one tells */
    pid_t pid = lead(take_then_answer, scene);
    number = send_text(sender, "question");
    gate_open(&scene->go);
    gate_pass(&scene->ready);
    kill_and_wait(pid);
    has_heard(of_sender);
    expect_news(sender);
    holder = hold();
    CHECK(has_heard(of_sender));
    EQ(qshm_sent(sender, number), QSHM_SENT_LOST);

    of_holder = listen_to(holder); /* a request that cannot be read is refused: its sender hears that too */
    number = send_text(sender, "unreadable");
    EQ(unlink(path_of(file_of(entry_of(sender, number)->nonce))), 0);
    has_heard(of_sender);
    expect_news(sender);
    EQ(take(holder), 0);
    CHECK(has_heard(of_sender));
    EQ(qshm_sent(sender, number), QSHM_SENT_REFUSED);
    close(of_holder);
    close(of_sender);
    scene_end(scene);
}

/* --- other users -------------------------------------------------------------------------------------------------- */

static void become(uid_t user)
{
    gid_t group = GROUP;
    EQ(setgroups(1, &group), 0);
    EQ(setresgid(group, group, group), 0);
    EQ(setresuid(user, user, user), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static uint32_t join_as_group(void)
{
    int32_t handle = qshm_open(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0660, 0, "a", 1, NULL, 0, &outcome);
    GT(handle, 0);
    return (uint32_t)handle;
}

static void hold_for_a_group(void *argument)
{
    struct scene *scene = argument;
    become(SOMEBODY);
    uint32_t handle = join_as_group();
    EQ(elect(handle), 1);
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    expect_request(handle, "question");
    EQ(answer(handle, request.number, "answer"), 1);
    gate_open(&scene->ready);
    gate_pass(&scene->go);
    leave(handle);
}

static void send_as_another(void *argument)
{
    struct scene *scene = argument;
    become(OTHER);
    uint32_t handle = join_as_group();
    int32_t number = send_text(handle, "question");
    gate_open(&scene->go);
    gate_pass(&scene->ready);
    expect_reply(handle, number, "answer");
    expect_empty(handle);
    leave(handle);
}

CASE(message_of_another_user)
{
    share_with(GROUP);
    struct scene *scene = scene_make(0);
    pid_t holder = lead(hold_for_a_group, scene);
    EQ(wait_exit(spawn(send_as_another, scene)), 0);
    gate_open(&scene->go);
    EQ(wait_exit(holder), 0);
    scene_end(scene);
    EQ(count_files(), 0);
}
