/*
 * message.c - messages to the holder of a guard: each is handled at most once, and its sender learns what became of it.
 *
 * Owns: the table of messages in a guard's file, `closing`, `messages` and `largest_message` in the control block. The
 * bytes stand in files (message_file.c).
 *
 *                  sender: CLAIMED -> NEW                      claim an entry; make the file; it counts from here on
 *                  holder: NEW -> TAKEN -> ANSWERED | FAILED   read it; handle it; write the reply; say so
 *          leaving holder: NEW -> REFUSED, TAKEN -> LOST
 *             next holder: TAKEN -> LOST                       of the one that died
 *   sender that gives up: NEW -> free (surely not handed over), TAKEN -> ABANDONED
 *
 * Invariants
 *  - The state stands in one word together with the sender's id, and every step from one state to the next is a
 *    compare-and-swap on it: of a sender that gives up and a holder that takes the message exactly one gets its way (M2;
 *    test: "message_is_taken_or_cancelled"; model: message.pml).
 *  - An entry names its sender from its first step on: a sender that is killed leaves nothing that nobody may free, and
 *    one that is stopped is in nobody's way (M1; test: "message_sender_is_killed_anywhere"). The table needs no lock, and no
 *    order but the number that each message draws.
 *  - The nonce stands in the entry before there is a file of that name.
 *  - A reply is complete before the state says so (test: "message_reply_is_whole").
 *  - The sender makes its message NEW and looks at `closing` then; a leaving holder sets `closing` and looks at the
 *    messages then. So no message is left behind unrefused (M5; test: "message_sent_beside_closing").
 *  - A holder's predecessors have LOST what they had taken before `holder` names it. A sender that sees TAKEN and a
 *    living holder knows that this one has it; one that sees TAKEN and none looks at the state once more, for the
 *    answer may have come before the death (M3; test: "message_holder_is_killed_anywhere").
 *  - An entry that a holder has TAKEN is not used again before that holder has answered, or is gone: ABANDONED, the
 *    holder frees it. From then on the entry, and its nonce, may be another sender's (point "message abandoned"; test:
 *    "message_abandoned_removes_its_own_file").
 *
 * Failure story: a sender dies: its entry is freed, and its file removed, by the holder, the next one, or who needs an
 * entry. The holder dies: NEW messages wait for the next holder or are withdrawn; of those TAKEN it cannot be known how
 * far they came, and that is what their senders are told.
 */
#include "message.h"

#include <errno.h>
#include <stdlib.h>

#include "../qshm.h"
#include "change.h"
#include "fault.h"
#include "layout.h"
#include "liveness.h"
#include "message_file.h"
#include "os.h"
#include "outcome.h"
#include "process.h"

enum state { FREE, CLAIMED, NEW, TAKEN, ANSWERED, FAILED, REFUSED, LOST, ABANDONED };

_Static_assert(sizeof(struct qshm_request) == 32, "part of the ABI");

static const double look_interval = 10; /* ms, at whether the holder lives: nobody rings for a death */

/* What a sender keeps of a message. */
struct qshm__sent {
    int fd; /* -1: nothing sent with this entry */
    uint64_t size;
    uint64_t nonce; /* the entry may be another's already when this one lets it go */
};

static struct qshm__message *message_at(const struct qshm__attachment *a, uint32_t index)
{
    return &((struct qshm__instance_part *)(a->control + 1))->message[index];
}

static uint64_t word(uint32_t id, enum state state)
{
    return (uint64_t)id << 32 | (uint64_t)state;
}

static uint32_t sender_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static enum state state_of(uint64_t word)
{
    return (enum state)(uint32_t)word;
}

bool qshm__is_pending(uint64_t word)
{
    return state_of(word) == NEW || state_of(word) == TAKEN;
}

/* One step; `*seen` is what stands there when it fails. */
static bool step(struct qshm__message *message, uint64_t *seen, enum state next)
{
    uint64_t wanted = next == FREE ? 0 : word(sender_of(*seen), next);
    return atomic_compare_exchange_strong(&message->state, seen, wanted);
}

/* Frees an entry whose message interests nobody any more, and removes its file. */
static void discard(const struct qshm__attachment *a, struct qshm__message *message, uint64_t seen)
{
    uint64_t nonce = atomic_load(&message->nonce);
    if (atomic_load(&message->state) == seen) { /* else the nonce may be another's */
        QSHM_POINT("message discarded");
        qshm__message_remove(a, nonce);
        step(message, &seen, FREE);
    }
}

static bool is_held(const struct qshm__attachment *a)
{
    uint32_t holder = atomic_load_explicit(&a->control->holder, memory_order_seq_cst);
    return holder != 0 && qshm__is_alive(a->fd, a->id, holder);
}

static bool is_dead(const struct qshm__attachment *a, uint64_t seen)
{
    return seen != 0 && !qshm__is_alive(a->fd, a->id, sender_of(seen));
}

/* Scribbled: it names us, and we did not send it. */
static bool is_stray(const struct qshm__attachment *a, uint32_t index, uint64_t seen)
{
    return sender_of(seen) == a->id && (a->sent == NULL || a->sent[index].fd < 0);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static struct qshm__sent *sent_of(struct qshm__attachment *a)
{
    if (a->sent == NULL) {
        a->sent = malloc(QSHM_MESSAGES * sizeof *a->sent);
        for (uint32_t i = 0; a->sent != NULL && i < QSHM_MESSAGES; i++) {
            a->sent[i] = (struct qshm__sent){.fd = -1};
        }
    }
    return a->sent;
}

static void note_pending(struct qshm__attachment *a)
{
    bool pending = false;
    for (uint32_t i = 0; a->sent != NULL && i < QSHM_MESSAGES; i++) {
        pending = pending || a->sent[i].fd >= 0;
    }
    a->inside = pending;
}

/* A free entry, made ours; -1 if there is none. */
static int claim(struct qshm__attachment *a)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        for (uint32_t i = 0; i < QSHM_MESSAGES; i++) {
            struct qshm__message *message = message_at(a, i);
            uint64_t seen = atomic_load(&message->state);
            bool has_holder = state_of(seen) == TAKEN || state_of(seen) == ABANDONED;
            if (attempt == 1 && !has_holder && (is_stray(a, i, seen) || is_dead(a, seen))) {
                discard(a, message, seen);
                seen = atomic_load(&message->state);
            }
            if (seen == 0 && atomic_compare_exchange_strong(&message->state, &seen, word(a->id, CLAIMED))) {
                return (int)i;
            }
        }
    }
    return -1;
}

/* Ends the sender's part: no file, no descriptor, and the entry is free unless the holder still has it. */
static void let_go(struct qshm__attachment *a, uint32_t index, bool is_ours)
{
    struct qshm__message *message = message_at(a, index);
    qshm__message_remove(a, a->sent[index].nonce);
    QSHM_POINT("message file removed");
    if (is_ours) {
        atomic_store(&message->state, 0);
    }
    qshm__os_close(a->sent[index].fd);
    a->sent[index].fd = -1;
    note_pending(a);
}

static int send(struct qshm__attachment *a, const void *bytes, uint64_t size, struct qshm_outcome *out,
                struct qshm__failure *failure)
{
    if (!is_held(a)) {
        out->flags = QSHM_NOBODY;
        return 0;
    }
    if (atomic_load(&a->control->closing) != 0) {
        out->flags = QSHM_LEAVING;
        return 0;
    }
    uint32_t largest = atomic_load(&a->control->largest_message);
    if (size > largest) {
        out->size = largest;
        return qshm__fail_check(failure, QSHM_E_TOO_LARGE, "takes messages of at most %u bytes", largest);
    }
    struct qshm__sent *sent = sent_of(a);
    if (sent == NULL) {
        return qshm__fail_check(failure, QSHM_E_RESOURCES, "memory is out");
    }
    a->thread = qshm__os_thread(); /* another one may end the process (api.c) */
    a->inside = true;
    int index = claim(a);
    if (index < 0) {
        note_pending(a);
        out->flags = QSHM_FULL;
        return 0;
    }
    QSHM_POINT("message claimed");
    struct qshm__message *message = message_at(a, (uint32_t)index);
    uint64_t nonce = qshm__os_random();
    atomic_store(&message->nonce, nonce);
    QSHM_POINT("message named");
    int fd = qshm__message_make(a, nonce, bytes, size);
    if (fd < 0) {
        atomic_store(&message->state, 0);
        note_pending(a);
        return qshm__fail_call(failure, "write", fd);
    }
    sent[index] = (struct qshm__sent){.fd = fd, .size = size, .nonce = nonce};
    atomic_store(&message->request_size, size);
    atomic_store(&message->reply_size, 0);
    atomic_store(&message->sender_pid, qshm__os_pid());
    atomic_store(&message->sequence, atomic_fetch_add(&a->control->messages, 1) + 1);
    QSHM_POINT("message written");
    atomic_store(&message->state, word(a->id, NEW));
    QSHM_POINT("message sent");
    uint64_t seen = word(a->id, NEW);
    if (atomic_load(&a->control->closing) != 0 && step(message, &seen, CLAIMED)) {
        let_go(a, (uint32_t)index, true);
        out->flags = QSHM_LEAVING;
        return 0;
    }
    qshm__change_publish(a);
    return index + 1;
}

int32_t qshm_send(uint32_t handle, const void *bytes, double size, void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, &error);
    if (a == NULL || !qshm__is_count(size) || (bytes == NULL && size > 0)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    return qshm__outcome_finish(outcome, send(a, bytes, (uint64_t)size, outcome, &failure), &failure);
}

/* The attachment of a message that it sent, and whose end it was not told yet. */
static struct qshm__attachment *find_sent(double handle, double number, uint32_t *index, int *error)
{
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, error);
    if (a == NULL) {
        return NULL;
    }
    *index = number >= 1 && number <= QSHM_MESSAGES ? (uint32_t)number - 1 : 0;
    if (a->sent == NULL || (double)*index + 1 != number || a->sent[*index].fd < 0) {
        *error = QSHM_E_ARGUMENT;
        return NULL;
    }
    return a;
}

/* What has become of it. `gives_up`: the sender waits no more. */
static enum qshm_sent look(struct qshm__attachment *a, uint32_t index, bool gives_up)
{
    struct qshm__message *message = message_at(a, index);
    for (;;) {
        uint64_t seen = atomic_load(&message->state);
        if (sender_of(seen) != a->id) { /* scribbled over: nobody can know any more */
            let_go(a, index, false);
            return QSHM_SENT_LOST;
        }
        switch (state_of(seen)) {
        case NEW:
            if (!gives_up && is_held(a)) {
                return QSHM_SENT_WAITING;
            }
            QSHM_POINT("message withdrawn");
            if (step(message, &seen, CLAIMED)) {
                let_go(a, index, true);
                return QSHM_SENT_WITHDRAWN;
            }
            continue;
        case TAKEN:
            if (gives_up && step(message, &seen, ABANDONED)) {
                QSHM_POINT("message abandoned");
                let_go(a, index, false);
                qshm__change_publish(a);
                return QSHM_SENT_LOST;
            }
            if (gives_up) {
                continue;
            }
            if (is_held(a)) {
                return QSHM_SENT_TAKEN;
            }
            QSHM_POINT("holder seen dead");
            if (atomic_load(&message->state) == seen && step(message, &seen, LOST)) {
                let_go(a, index, true);
                return QSHM_SENT_LOST;
            }
            continue;
        case ANSWERED:
            return QSHM_SENT_ANSWERED;
        case FAILED:
            return QSHM_SENT_FAILED;
        case REFUSED:
            let_go(a, index, true);
            return QSHM_SENT_REFUSED;
        default:
            let_go(a, index, true);
            return QSHM_SENT_LOST;
        }
    }
}

int32_t qshm_sent(double handle, double number)
{
    int error;
    uint32_t index;
    struct qshm__attachment *a = find_sent(handle, number, &index, &error);
    return a == NULL ? error : (int32_t)look(a, index, false);
}

int32_t qshm_await_reply(double handle, double number, double timeout_ms)
{
    int error;
    uint32_t index;
    struct qshm__attachment *a = find_sent(handle, number, &index, &error);
    if (a == NULL || !(timeout_ms >= 0)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    double end = qshm__os_now() + timeout_ms;
    for (;;) {
        uint32_t revision = qshm__change_revision(a);
        enum qshm_sent became = look(a, index, false);
        double left = end - qshm__os_now();
        if ((became != QSHM_SENT_WAITING && became != QSHM_SENT_TAKEN) || left <= 0) {
            return (int32_t)became;
        }
        qshm__change_wait(a, revision, left < look_interval ? left : look_interval);
    }
}

int32_t qshm_withdraw_message(double handle, double number)
{
    int error;
    uint32_t index;
    struct qshm__attachment *a = find_sent(handle, number, &index, &error);
    return a == NULL ? error : (int32_t)look(a, index, true);
}

int32_t qshm_reply(uint32_t handle, uint32_t number, void *bytes, double capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    int error;
    uint32_t index;
    struct qshm__attachment *a = find_sent(handle, number, &index, &error);
    if (a == NULL || !qshm__is_size(capacity) || (bytes == NULL && capacity > 0)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    struct qshm__message *message = message_at(a, index);
    enum state state = state_of(atomic_load(&message->state));
    if (state != ANSWERED && state != FAILED) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    struct qshm__stat file;
    uint64_t size = atomic_load(&message->reply_size);
    struct qshm__sent sent = a->sent[index];
    int r = qshm__os_stat(sent.fd, &file);
    r = r < 0 ? qshm__fail_call(&failure, "statx", r) : 0;
    if (r == 0 && (size > QSHM_MESSAGE_MOST || sent.size > file.size || size > file.size - sent.size)) {
        r = qshm__fail_check(&failure, QSHM_E_INCOMPATIBLE, "has damaged its reply");
    }
    out->size = r == 0 ? (double)size : 0;
    if (r == 0 && (double)size > capacity) {
        return 0;
    }
    if (r == 0) {
        r = qshm__message_read(sent.fd, bytes, size, sent.size);
        r = r < 0 ? qshm__fail_call(&failure, "pread", r) : 1;
    }
    let_go(a, index, true);
    return qshm__outcome_finish(out, r, &failure);
}

void qshm__messages_leave(struct qshm__attachment *a)
{
    for (uint32_t i = 0; a->sent != NULL && i < QSHM_MESSAGES; i++) {
        if (a->sent[i].fd >= 0) {
            look(a, i, true);
        }
        if (a->sent[i].fd >= 0) { /* an answer that nobody has read */
            let_go(a, i, true);
        }
    }
    free(a->sent);
    a->sent = NULL;
}

void qshm__messages_forget(struct qshm__attachment *a)
{
    for (uint32_t i = 0; a->sent != NULL && i < QSHM_MESSAGES; i++) {
        if (a->sent[i].fd >= 0) {
            qshm__os_close(a->sent[i].fd);
        }
    }
    free(a->sent);
    a->sent = NULL;
}

/* --- the holder --------------------------------------------------------------------------------------------------- */

/* Turns all messages of one state into another; how many? */
static int turn_all(struct qshm__attachment *a, enum state from, enum state to)
{
    int turned = 0;
    for (uint32_t i = 0; i < QSHM_MESSAGES; i++) {
        struct qshm__message *message = message_at(a, i);
        uint64_t seen = atomic_load(&message->state);
        if (state_of(seen) == from && step(message, &seen, to)) {
            QSHM_POINT("message turned");
            turned++;
        }
    }
    return turned;
}

/* Frees what nobody waits for: the abandoned, and what the dead have left. */
static void discard_unwanted(struct qshm__attachment *a)
{
    for (uint32_t i = 0; i < QSHM_MESSAGES; i++) {
        struct qshm__message *message = message_at(a, i);
        uint64_t seen = atomic_load(&message->state);
        if (state_of(seen) == ABANDONED || is_dead(a, seen)) {
            discard(a, message, seen);
        }
    }
}

void qshm__messages_begin(struct qshm__attachment *a, uint32_t largest)
{
    turn_all(a, TAKEN, LOST);
    discard_unwanted(a);
    a->largest_message = largest;
    atomic_store(&a->control->largest_message, largest);
    atomic_store(&a->control->closing, 0);
    QSHM_POINT("messages begun");
}

void qshm__messages_refuse(struct qshm__attachment *a)
{
    atomic_store(&a->control->closing, 1);
    QSHM_POINT("messages closing");
    if (turn_all(a, NEW, REFUSED) > 0) {
        qshm__change_publish(a);
    }
}

void qshm__messages_end(struct qshm__attachment *a)
{
    qshm__messages_refuse(a);
    int lost = turn_all(a, TAKEN, LOST);
    discard_unwanted(a);
    if (lost > 0) {
        qshm__change_publish(a);
    }
}

/* The message that has waited longest, or -1; frees what the dead have sent on the way. */
static int oldest(struct qshm__attachment *a, uint64_t *state)
{
    int found = -1;
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < QSHM_MESSAGES; i++) {
        struct qshm__message *message = message_at(a, i);
        uint64_t seen = atomic_load(&message->state);
        uint64_t sequence = atomic_load(&message->sequence);
        bool has_holder = state_of(seen) == TAKEN || state_of(seen) == ABANDONED;
        if (has_holder && (a->taken & UINT64_C(1) << i) == 0) { /* scribbled: we did not take it */
            if (state_of(seen) == ABANDONED || is_dead(a, seen) || is_stray(a, i, seen)) {
                discard(a, message, seen);
            } else if (step(message, &seen, LOST)) {
                qshm__change_publish(a);
            }
        } else if (is_stray(a, i, seen) || (state_of(seen) == NEW && is_dead(a, seen))) {
            discard(a, message, seen);
        } else if (state_of(seen) == NEW && sequence <= first) {
            found = (int)i;
            *state = seen;
            first = sequence;
        }
    }
    return found;
}

/* Reads a message that was TAKEN: nobody changes it now who keeps to the protocol. 1; 0 if it is not what it should be. */
static int read_request(struct qshm__attachment *a, const struct qshm__message *message, void *bytes, uint64_t size)
{
    int fd = qshm__message_open(a, atomic_load(&message->nonce), false);
    if (fd < 0) {
        return 0;
    }
    int r = qshm__message_read(fd, bytes, size, 0) == 0;
    qshm__os_close(fd);
    return r;
}

int32_t qshm_take(uint32_t handle, void *bytes, double capacity, void *request)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, &error);
    if (a == NULL || request == NULL || !qshm__is_size(capacity) || (bytes == NULL && capacity > 0) || !a->guards) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    int index;
    uint64_t seen;
    while ((index = oldest(a, &seen)) >= 0) {
        struct qshm__message *message = message_at(a, (uint32_t)index);
        uint64_t size = atomic_load(&message->request_size);
        struct qshm_request *out = request;
        *out = (struct qshm_request){.size = (double)size};
        if (size <= a->largest_message && (double)size > capacity) {
            return 2;
        }
        QSHM_POINT("message seen");
        if (!step(message, &seen, TAKEN)) {
            continue;
        }
        seen = word(sender_of(seen), TAKEN);
        QSHM_POINT("message taken");
        bool is_same = atomic_load(&message->request_size) == size; /* else the entry was used again in between */
        if (is_same && size <= a->largest_message && read_request(a, message, bytes, size)) {
            a->taken |= UINT64_C(1) << index;
            out->number = (uint32_t)index + 1;
            out->pid = atomic_load(&message->sender_pid);
            out->sender = sender_of(seen);
            out->sequence = (double)atomic_load(&message->sequence);
            return 1;
        }
        if (!step(message, &seen, is_same ? REFUSED : NEW)) {
            discard(a, message, seen); /* abandoned meanwhile */
        }
        qshm__change_publish(a);
    }
    return 0;
}

/* The attachment that holds the guard, and a message that it took. */
static struct qshm__attachment *find_taken(double handle, double number, struct qshm__message **message, int *error)
{
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, error);
    if (a == NULL) {
        return NULL;
    }
    uint32_t index = number >= 1 && number <= QSHM_MESSAGES ? (uint32_t)number - 1 : 0;
    if (!a->guards || (double)index + 1 != number) {
        *error = QSHM_E_ARGUMENT;
        return NULL;
    }
    *message = message_at(a, index);
    return a;
}

int32_t qshm_is_awaited(double handle, double number)
{
    int error;
    struct qshm__message *message;
    struct qshm__attachment *a = find_taken(handle, number, &message, &error);
    if (a == NULL) {
        return error;
    }
    uint64_t seen = atomic_load(&message->state);
    return state_of(seen) == TAKEN && !is_dead(a, seen);
}

/* Writes the reply behind the request. */
static int write_reply(struct qshm__attachment *a, struct qshm__message *message, const void *bytes, uint64_t size)
{
    int fd = qshm__message_open(a, atomic_load(&message->nonce), true);
    if (fd < 0) {
        return fd;
    }
    int r = qshm__os_write(fd, bytes, size, atomic_load(&message->request_size));
    qshm__os_close(fd);
    return r;
}

int32_t qshm_answer(uint32_t handle, uint32_t number, uint32_t failed, const void *bytes, double size, void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    int error;
    struct qshm__message *message;
    struct qshm__attachment *a = find_taken(handle, number, &message, &error);
    if (a == NULL || !qshm__is_count(size) || (bytes == NULL && size > 0)) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    if (size > a->largest_message) {
        return QSHM_E_TOO_LARGE;
    }
    uint64_t seen = atomic_load(&message->state);
    a->taken &= ~(UINT64_C(1) << (number - 1));
    if (state_of(seen) != TAKEN && state_of(seen) != ABANDONED) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    int r = 0;
    if (state_of(seen) == TAKEN && !is_dead(a, seen)) {
        r = write_reply(a, message, bytes, (uint64_t)size);
        QSHM_POINT("reply written");
        /* A sender need not know why it cannot read the answer, but that there was one. */
        atomic_store(&message->reply_size, r < 0 ? 0 : (uint64_t)size);
        if (step(message, &seen, r < 0 || failed != 0 ? FAILED : ANSWERED)) {
            QSHM_POINT("message answered");
            qshm__change_publish(a);
            r = r < 0 ? qshm__fail_call(&failure, "write", r) : 1;
            return qshm__outcome_finish(outcome, r, &failure);
        }
    }
    discard(a, message, seen);
    return 0;
}

int32_t qshm_refuse_messages(uint32_t handle)
{
    int error;
    struct qshm__attachment *a = qshm__handle_writer(handle, QSHM_KIND_INSTANCE, &error);
    if (a == NULL || !a->guards) {
        return a == NULL ? error : QSHM_E_ARGUMENT;
    }
    qshm__messages_refuse(a);
    return 0;
}

int32_t qshm_requester(uint32_t handle, uint32_t sender, uint32_t pid, void *process)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL || process == NULL || a->kind != QSHM_KIND_INSTANCE) {
        return a == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    return qshm__describe_process(a, sender, pid, process);
}

int32_t qshm_print(uint32_t stream, const void *bytes, double size)
{
    if ((stream != 1 && stream != 2) || !qshm__is_size(size) || (bytes == NULL && size > 0)) {
        return QSHM_E_ARGUMENT;
    }
    return qshm__os_write_stream((int)stream, bytes, (uint64_t)size) == 0 ? 0 : QSHM_E_SYSTEM;
}

int32_t qshm_working_directory(void *path, uint32_t capacity)
{
    return path == NULL ? QSHM_E_ARGUMENT : (int32_t)qshm__os_working_directory(path, capacity);
}
