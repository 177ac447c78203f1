/*
 * api.c - the entry points for segments and their locks (inspect.c has the others). Each checks its arguments,
 * finds the attachment, and calls the file that owns the concept.
 *
 * Invariant: no argument, however wrong, makes an entry point read or write outside what the caller passed: handles are
 * looked up, sizes and offsets are checked against the attachment, pointers with a size of 0 are not looked at, and
 * NULL with another size is refused.
 */
#include <string.h>

#include "../qshm.h"
#include "bell.h"
#include "change.h"
#include "error.h"
#include "fault.h"
#include "handle.h"
#include "liveness.h"
#include "lock.h"
#include "os.h"
#include "outcome.h"
#include "process.h"
#include "segment.h"
#include "semaphore.h"
#include "value.h"

_Static_assert(sizeof(struct qshm_outcome) == 4760, "the outcome's layout is part of the ABI");
_Static_assert(offsetof(struct qshm_outcome, size) == 16 && offsetof(struct qshm_outcome, call) == 24 &&
                   offsetof(struct qshm_outcome, why) == 48 && offsetof(struct qshm_outcome, path) == 152,
               "the outcome's layout is part of the ABI");
_Static_assert(sizeof(struct qshm_process) == 32 && offsetof(struct qshm_process, segment) == 24, "part of the ABI");

/* --- segments ----------------------------------------------------------------------------------------------------- */

static bool is_sound_request(uint32_t kind, uint32_t how, uint32_t mode, double size)
{
    uint32_t known = QSHM_CREATE | QSHM_ATTACH | QSHM_READ_ONLY | QSHM_PERSISTENT;
    bool creates = (how & QSHM_CREATE) != 0;
    bool read_only = (how & QSHM_READ_ONLY) != 0;
    bool needs_size = creates && (kind == QSHM_KIND_MEMORY || kind == QSHM_KIND_VALUE);
    return qshm__is_kind(kind) && (how & ~known) == 0 && (how & (QSHM_CREATE | QSHM_ATTACH)) != 0 &&
           !(creates && read_only) && (mode == 0 || ((mode & ~0770u) == 0 && (mode & 0600) == 0600)) &&
           qshm__is_size(size) && (!needs_size || size > 0);
}

struct place {
    const void *key, *directory;
    uint32_t key_size, directory_size;
};

/* Attaches as the request says; its key and name are filled in here. */
static int32_t open_segment(struct qshm__request *request, const struct place *at, struct qshm_outcome *out)
{
    if (!qshm__is_buffer(at->key, at->key_size) || !qshm__is_buffer(at->directory, at->directory_size)) {
        return QSHM_E_ARGUMENT;
    }
    request->mode = request->mode == 0 ? 0600 : request->mode;
    request->key = at->key;
    request->key_size = at->key_size;
    struct qshm__failure failure = {0};
    int r = qshm__file_name(request->kind, at->key, at->key_size, request->name);
    if (r < 0) {
        return qshm__outcome_finish(out, r, &failure);
    }
    struct qshm__directory place;
    bool creates = (request->how & QSHM_CREATE) != 0;
    r = qshm__directory_open(&place, at->directory, at->directory_size, creates, &failure);
    qshm__outcome_set_path(out, place.path, r < 0 && r != QSHM_E_NOT_FOUND ? "" : request->name);
    if (r < 0) {
        return qshm__outcome_finish(out, r, &failure);
    }
    struct qshm__attachment *attachment = qshm__handle_reserve();
    struct qshm__result result = {0};
    if (attachment == NULL) {
        r = qshm__fail_check(&failure, QSHM_E_RESOURCES, "4096 attachments are in use, or memory is out");
    } else {
        r = qshm__segment_open(attachment, &place, request, &result, &failure);
    }
    out->flags = result.flags;
    out->size = (double)result.size;
    if (r < 0) {
        if (attachment != NULL) {
            qshm__handle_free(attachment);
        }
        qshm__directory_close(&place);
        return qshm__outcome_finish(out, r, &failure);
    }
    return (int32_t)qshm__handle_publish(attachment);
}

int32_t qshm_open(uint32_t kind, uint32_t how, uint32_t mode, double size, const void *key, uint32_t key_size,
                  const void *directory, uint32_t directory_size, void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    if (!is_sound_request(kind, how, mode, size)) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__request request = {.kind = kind, .how = how, .mode = mode, .size = (uint64_t)size};
    return open_segment(&request, &(struct place){key, directory, key_size, directory_size}, outcome);
}

static const double largest_value = 1073741824; /* a result of 32 bits must tell its size */

/* INCOMPATIBLE if what is there is of another codec. */
static int check_codec(const struct qshm__attachment *a, const char *codec, struct qshm__failure *failure)
{
    char found[QSHM_CODEC_NAME];
    memcpy(found, a->control->value_codec, sizeof found);
    found[sizeof found - 1] = '\0';
    if (codec[0] == '\0' || strcmp(codec, found) == 0) {
        return 0;
    }
    for (char *at = found; *at != '\0'; at++) {
        *at = *at < ' ' || *at > '~' ? '?' : *at;
    }
    return qshm__fail_check(failure, QSHM_E_INCOMPATIBLE, "holds values of codec \"%.60s\"", found);
}

int32_t qshm_open_value(uint32_t how, uint32_t mode, double largest, const void *key, uint32_t key_size,
                        const void *directory, uint32_t directory_size, const void *codec, uint32_t codec_size,
                        void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    if (!is_sound_request(QSHM_KIND_VALUE, how, mode, largest) || largest > largest_value ||
        !qshm__is_buffer(codec, codec_size) || codec_size >= QSHM_CODEC_NAME) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__request request = {.kind = QSHM_KIND_VALUE,
                                    .how = how,
                                    .mode = mode,
                                    .size = qshm__value_payload((uint64_t)largest),
                                    .any_size = true,
                                    .value.largest = (uint64_t)largest};
    if (codec_size > 0) {
        memcpy(request.value.codec, codec, codec_size);
    }
    int32_t handle = open_segment(&request, &(struct place){key, directory, key_size, directory_size}, outcome);
    struct qshm__failure failure = {0};
    if (handle > 0 && check_codec(qshm__handle_find((uint32_t)handle), request.value.codec, &failure) < 0) {
        qshm_detach((uint32_t)handle);
        ((struct qshm_outcome *)outcome)->flags |= QSHM_USED;
        return qshm__outcome_finish(outcome, QSHM_E_INCOMPATIBLE, &failure);
    }
    return handle;
}

int32_t qshm_open_semaphore(uint32_t how, uint32_t mode, double initial, double max, const void *key, uint32_t key_size,
                            const void *directory, uint32_t directory_size, void *outcome)
{
    if (outcome == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    if (!is_sound_request(QSHM_KIND_SEMAPHORE, how, mode, 0) || !qshm__is_count(initial) || !qshm__is_count(max) ||
        max < 1 || initial > max) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__request request = {.kind = QSHM_KIND_SEMAPHORE,
                                    .how = how,
                                    .mode = mode,
                                    .permits = {.initial = (uint32_t)initial, .max = (uint32_t)max}};
    return open_segment(&request, &(struct place){key, directory, key_size, directory_size}, outcome);
}

/* Takes the memory out of use. With a view in JavaScript's hands its range must stay mapped. */
static void release_memory(struct qshm__attachment *a)
{
    if (a->view == NULL || a->view != a->payload) {
        qshm__segment_unmap(a);
    } else { /* the view is the second half of the one mapping */
        qshm__os_unmap(a->control, a->control_size);
        a->control = NULL;
        a->payload = NULL;
    }
    if (a->view != NULL) {
        /* It fails only for want of map entries; then the range stays as it is. */
        qshm__os_neutralise(a->view, a->payload_size);
        a->neutralised = true;
    }
}

static int32_t end(uint32_t handle, bool at_exit)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    qshm__segment_leave(a, at_exit);
    qshm__bell_forget(a);
    release_memory(a);
    if (a->neutralised) {
        return 1;
    }
    qshm__handle_free(a);
    return 0;
}

int32_t qshm_detach(uint32_t handle)
{
    return end(handle, false);
}

int32_t qshm_unmap(uint32_t handle, uint32_t keep)
{
    struct qshm__attachment *a = qshm__handle_find(handle);
    if (a == NULL || !a->neutralised) {
        return QSHM_E_HANDLE;
    }
    if (keep == 0) {
        qshm__os_unmap(a->view, a->payload_size);
    }
    qshm__handle_free(a);
    return 0;
}

int32_t qshm_leave(uint32_t handle)
{
    return end(handle, true);
}

/* A thread that is still running may be inside the lock, or take it any moment, or do what its guard or its permits are
 * for, or be setting a value: its attachments are left to the kernel, which frees them once no thread can run any more
 * (tests: "exit_keeps_the_locks_of_other_threads", "guard_of_another_thread_is_left_to_the_kernel",
 * "exit_keeps_the_permits_of_other_threads"). */
static bool leave_each(struct qshm__attachment *a, const void *context)
{
    uint32_t handle = atomic_exchange(&a->handle, 0); /* from here on no call begins; one that has begun shows */
    bool is_at_work = a->holding || a->guards || a->inside || a->waiting_since != 0;
    if (a->neutralised || (is_at_work && a->thread != *(const uintptr_t *)context)) {
        atomic_store(&a->handle, handle);
    } else {
        qshm__segment_leave(a, true);
    }
    return false;
}

/* Deno runs no exit hook after an uncaught error, Bun runs no destructor: both are there, and the second finds nothing.
 * Memory stays mapped: other threads may still be reading. */
__attribute__((destructor)) static void leave_all(void)
{
    uintptr_t me = qshm__os_thread();
    qshm__handle_each(leave_each, &me);
}

void *qshm_payload(uint32_t handle)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL || a->payload_size == 0) {
        return NULL;
    }
    if (a->view == NULL && a->read_only) {
        void *view;
        a->view = qshm__os_map(a->fd, a->control_size, a->payload_size, QSHM_MAP_PRIVATE, &view) == 0 ? view : NULL;
    } else if (a->view == NULL) {
        a->view = a->payload;
    }
    return a->view;
}

/* The attachment, if the range lies inside its payload; else the error. */
static int find_range(uint32_t handle, double offset, const void *bytes, double size, bool writes,
                      struct qshm__attachment **out)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    if (writes && a->read_only) {
        return QSHM_E_READ_ONLY;
    }
    if (!qshm__is_size(offset) || !qshm__is_size(size) || (bytes == NULL && size > 0) ||
        (uint64_t)offset > a->payload_size || (uint64_t)size > a->payload_size - (uint64_t)offset) {
        return QSHM_E_ARGUMENT;
    }
    *out = a;
    return 0;
}

int32_t qshm_read(uint32_t handle, double offset, void *target, double size)
{
    struct qshm__attachment *a;
    int r = find_range(handle, offset, target, size, false, &a);
    if (r == 0 && size > 0) {
        memmove(target, a->payload + (size_t)offset, (size_t)size);
    }
    return r;
}

int32_t qshm_write(uint32_t handle, double offset, const void *bytes, double size)
{
    struct qshm__attachment *a;
    int r = find_range(handle, offset, bytes, size, true, &a);
    if (r == 0) {
        if (size > 0) {
            memmove(a->payload + (size_t)offset, bytes, (size_t)size);
        }
        qshm__change_publish(a);
    }
    return r;
}

int32_t qshm_write_if_changed(uint32_t handle, double offset, const void *bytes, double size)
{
    struct qshm__attachment *a;
    int r = find_range(handle, offset, bytes, size, true, &a);
    if (r < 0 || size == 0 || memcmp(a->payload + (size_t)offset, bytes, (size_t)size) == 0) {
        return r;
    }
    memmove(a->payload + (size_t)offset, bytes, (size_t)size);
    qshm__change_publish(a);
    return 1;
}

/* --- the lock ----------------------------------------------------------------------------------------------------- */

/* Runs one of lock.c's functions on the attachment of a handle. Observers cannot write the word. */
#define WITH_LOCK(attachment, call)            \
    struct qshm__attachment *a = (attachment); \
    return a == NULL ? QSHM_E_HANDLE : a->id == 0 ? QSHM_E_READ_ONLY : (call)

int32_t qshm_try_lock(double handle)
{
    WITH_LOCK(qshm__handle_hot(handle), qshm__lock_try(a));
}

int32_t qshm_poll_lock(double handle)
{
    WITH_LOCK(qshm__handle_hot(handle), qshm__lock_poll(a));
}

int32_t qshm_cancel_lock(double handle)
{
    WITH_LOCK(qshm__handle_hot(handle), qshm__lock_cancel(a));
}

int32_t qshm_wait_lock(double handle, double timeout_ms)
{
    WITH_LOCK(qshm__handle_hot(handle), timeout_ms >= 0 ? qshm__lock_wait(a, timeout_ms) : QSHM_E_ARGUMENT);
}

int32_t qshm_unlock(double handle)
{
    WITH_LOCK(qshm__handle_hot(handle), qshm__lock_release(a));
}

static int describe_owner(const struct qshm__attachment *a, struct qshm__lock_owner owner, void *process)
{
    return qshm__describe_process(a, owner.id, owner.hinted_pid, process);
}

int32_t qshm_value_writer(uint32_t handle, void *process)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL || process == NULL || a->kind != QSHM_KIND_VALUE) {
        return a == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    uint64_t hint = atomic_load(&a->control->value_writer);
    return describe_owner(a, (struct qshm__lock_owner){.id = (uint32_t)hint, .hinted_pid = (uint32_t)(hint >> 32)},
                          process);
}

int32_t qshm_busy_process(uint32_t handle)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    uint32_t id = a->kind == QSHM_KIND_VALUE ? qshm__value_busy(a) : qshm__lock_owner(a->control).id;
    return id == 0 || id == a->id ? 0 : (int32_t)qshm__os_range_holder(a->device, a->inode, QSHM_RANGE_A + id, 1, 0);
}

int32_t qshm_lock_owner(uint32_t handle, void *process)
{
    struct qshm__attachment *a = qshm__handle_attached(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    return process == NULL ? QSHM_E_ARGUMENT : describe_owner(a, qshm__lock_owner(a->control), process);
}

int32_t qshm_force_unlock(uint32_t handle, uint32_t expected_id, void *process)
{
    WITH_LOCK(qshm__handle_attached(handle),
              process == NULL ? QSHM_E_ARGUMENT : describe_owner(a, qshm__lock_force(a, expected_id), process));
}
