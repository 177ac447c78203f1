/*
 * api.c - the entry points. Each checks its arguments, finds the attachment, and calls the file that owns the concept.
 *
 * Invariant: no argument, however wrong, makes an entry point read or write outside what the caller passed: handles are
 * looked up, sizes and offsets are checked against the attachment, pointers with a size of 0 are not looked at, and
 * NULL with another size is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "../qshm.h"
#include "error.h"
#include "fault.h"
#include "handle.h"
#include "liveness.h"
#include "lock.h"
#include "names.h"
#include "os.h"
#include "segment.h"

_Static_assert(sizeof(struct qshm_outcome) == 4760, "the outcome's layout is part of the ABI");
_Static_assert(offsetof(struct qshm_outcome, size) == 16 && offsetof(struct qshm_outcome, call) == 24 &&
                   offsetof(struct qshm_outcome, why) == 48 && offsetof(struct qshm_outcome, path) == 152,
               "the outcome's layout is part of the ABI");
_Static_assert(sizeof(struct qshm_process) == 24 && offsetof(struct qshm_process, started) == 16, "part of the ABI");
_Static_assert(sizeof(struct qshm_info) == 2104 && offsetof(struct qshm_info, key) == 56, "part of the ABI");
_Static_assert(sizeof(struct qshm_holder) == 24, "part of the ABI");

/* --- arguments ------------------------------------------------------------------------------------------------------- */

/* A whole number from 0 to 2^53. */
static bool is_size(double value)
{
    return value >= 0 && value <= 9007199254740992.0 && value == (double)(uint64_t)value;
}

static bool is_kind(uint32_t kind)
{
    return kind >= QSHM_KIND_MEMORY && kind <= QSHM_KIND_INSTANCE;
}

static bool is_buffer(const void *pointer, uint32_t size)
{
    return pointer != NULL || size == 0;
}

/* --- outcomes -------------------------------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t capacity, const char *from)
{
    size_t length = from == NULL ? 0 : strlen(from);
    length = length < capacity - 1 ? length : capacity - 1;
    if (length > 0) {
        memcpy(to, from, length);
    }
    to[length] = '\0';
}

static void set_path(struct qshm_outcome *outcome, const char *directory, const char *name)
{
    copy_text(outcome->path, sizeof outcome->path, directory);
    size_t length = strlen(outcome->path);
    if (name[0] != '\0' && length > 0) {
        if (outcome->path[length - 1] != '/') {
            outcome->path[length++] = '/';
        }
        copy_text(outcome->path + length, sizeof outcome->path - length, name);
    }
}

/* Fills in what a failure says, and returns `result`. */
static int finish(struct qshm_outcome *outcome, int result, const struct qshm__failure *failure)
{
    outcome->os_error = result < 0 ? failure->os_error : 0;
    outcome->pid = result < 0 ? failure->pid : 0;
    outcome->layout = result < 0 ? failure->layout : 0;
    copy_text(outcome->call, sizeof outcome->call, result < 0 ? failure->call : NULL);
    copy_text(outcome->why, sizeof outcome->why, result >= 0 ? NULL : failure->os_error != 0 ? strerror(failure->os_error) : failure->why);
    return result;
}

static void clear(struct qshm_outcome *outcome)
{
    memset(outcome, 0, offsetof(struct qshm_outcome, path) + 1);
}

/* --- segments -------------------------------------------------------------------------------------------------------- */

static bool is_sound_request(uint32_t kind, uint32_t how, uint32_t mode, double size)
{
    uint32_t known = QSHM_CREATE | QSHM_ATTACH | QSHM_READ_ONLY | QSHM_PERSISTENT;
    bool creates = (how & QSHM_CREATE) != 0;
    bool read_only = (how & QSHM_READ_ONLY) != 0;
    bool needs_size = creates && (kind == QSHM_KIND_MEMORY || kind == QSHM_KIND_VALUE);
    return is_kind(kind) && (how & ~known) == 0 && (how & (QSHM_CREATE | QSHM_ATTACH)) != 0 && !(creates && read_only) &&
           (mode == 0 || ((mode & ~0770u) == 0 && (mode & 0600) == 0600)) && is_size(size) && (!needs_size || size > 0);
}

int32_t qshm_open(uint32_t kind, uint32_t how, uint32_t mode, double size, const void *key, uint32_t key_size,
                  const void *directory, uint32_t directory_size, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL) {
        return QSHM_E_ARGUMENT;
    }
    clear(out);
    if (!is_sound_request(kind, how, mode, size) || !is_buffer(key, key_size) || !is_buffer(directory, directory_size)) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__request request = {.kind = kind,
                                    .how = how,
                                    .mode = mode == 0 ? 0600 : mode,
                                    .size = (uint64_t)size,
                                    .key = key,
                                    .key_size = key_size};
    struct qshm__failure failure = {0};
    int r = qshm__file_name(kind, key, key_size, request.name);
    if (r < 0) {
        return finish(out, r, &failure);
    }
    struct qshm__directory place;
    r = qshm__directory_open(&place, directory, directory_size, (how & QSHM_CREATE) != 0, &failure);
    set_path(out, place.path, r < 0 && r != QSHM_E_NOT_FOUND ? "" : request.name);
    if (r < 0) {
        return finish(out, r, &failure);
    }
    struct qshm__attachment *attachment = qshm__handle_reserve();
    struct qshm__result result = {0};
    if (attachment == NULL) {
        r = qshm__fail_check(&failure, QSHM_E_RESOURCES, "4096 attachments are in use, or memory is out");
    } else {
        r = qshm__segment_open(attachment, &place, &request, &result, &failure);
    }
    out->flags = result.flags;
    out->size = (double)result.size;
    if (r < 0) {
        if (attachment != NULL) {
            qshm__handle_free(attachment);
        }
        qshm__directory_close(&place);
        return finish(out, r, &failure);
    }
    return (int32_t)qshm__handle_publish(attachment);
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
        qshm__os_neutralise(a->view, a->payload_size);
        a->neutralised = true;
    }
}

static struct qshm__attachment *find(uint32_t handle)
{
    struct qshm__attachment *a = qshm__handle_find(handle);
    return a == NULL || a->neutralised ? NULL : a;
}

int32_t qshm_detach(uint32_t handle)
{
    struct qshm__attachment *a = find(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    qshm__segment_leave(a, false);
    release_memory(a);
    if (a->neutralised) {
        return 1;
    }
    qshm__handle_free(a);
    return 0;
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

/* The memory stays as it is: the process ends, and another thread may still be reading. */
static void leave(struct qshm__attachment *a)
{
    qshm__segment_leave(a, true);
    atomic_store_explicit(&a->handle, 0, memory_order_release);
}

int32_t qshm_leave(uint32_t handle)
{
    struct qshm__attachment *a = find(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    leave(a);
    return 0;
}

static bool leave_each(struct qshm__attachment *a, const void *context)
{
    (void)context;
    if (!a->neutralised) {
        leave(a);
    }
    return false;
}

/* Deno runs no exit hook after an uncaught error, Bun runs no destructor: both are there, and the second finds nothing. */
__attribute__((destructor)) static void leave_all(void)
{
    qshm__handle_each(leave_each, NULL);
}

void *qshm_payload(uint32_t handle)
{
    struct qshm__attachment *a = find(handle);
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
    struct qshm__attachment *a = find(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    if (writes && a->read_only) {
        return QSHM_E_READ_ONLY;
    }
    if (!is_size(offset) || !is_size(size) || (bytes == NULL && size > 0) || (uint64_t)offset > a->payload_size ||
        (uint64_t)size > a->payload_size - (uint64_t)offset) {
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
        memcpy(target, a->payload + (size_t)offset, (size_t)size);
    }
    return r;
}

/* The bytes are in place before the count moves: who sees the new count sees them. */
static void publish_change(struct qshm__control *control)
{
    QSHM_POINT("written");
    atomic_fetch_add_explicit(&control->revision, 2, memory_order_seq_cst);
}

int32_t qshm_write(uint32_t handle, double offset, const void *bytes, double size)
{
    struct qshm__attachment *a;
    int r = find_range(handle, offset, bytes, size, true, &a);
    if (r == 0) {
        if (size > 0) {
            memcpy(a->payload + (size_t)offset, bytes, (size_t)size);
        }
        publish_change(a->control);
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
    memcpy(a->payload + (size_t)offset, bytes, (size_t)size);
    publish_change(a->control);
    return 1;
}

int32_t qshm_revision(uint32_t handle)
{
    struct qshm__attachment *a = find(handle);
    return a == NULL ? QSHM_E_HANDLE
                     : (int32_t)(atomic_load_explicit(&a->control->revision, memory_order_seq_cst) >> 1);
}

/* --- the lock -------------------------------------------------------------------------------------------------------- */

/* Runs one of lock.c's functions on the attachment of a handle. Observers cannot write the word. */
#define WITH_LOCK(handle, call)                   \
    struct qshm__attachment *a = find(handle);    \
    return a == NULL    ? QSHM_E_HANDLE           \
           : a->id == 0 ? QSHM_E_READ_ONLY        \
                        : (call)

int32_t qshm_try_lock(uint32_t handle)
{
    WITH_LOCK(handle, qshm__lock_try(a));
}

int32_t qshm_poll_lock(uint32_t handle)
{
    WITH_LOCK(handle, qshm__lock_poll(a));
}

int32_t qshm_cancel_lock(uint32_t handle)
{
    WITH_LOCK(handle, qshm__lock_cancel(a));
}

int32_t qshm_wait_lock(uint32_t handle, double timeout_ms)
{
    WITH_LOCK(handle, timeout_ms >= 0 ? qshm__lock_wait(a, timeout_ms) : QSHM_E_ARGUMENT);
}

int32_t qshm_unlock(uint32_t handle)
{
    WITH_LOCK(handle, qshm__lock_release(a));
}

/* The hint in the segment is believed only if that process is seen to hold the owner's byte. */
static int describe_owner(const struct qshm__attachment *a, struct qshm__lock_owner owner, struct qshm_process *out)
{
    *out = (struct qshm_process){.id = owner.id};
    if (owner.id == 0) {
        return 0;
    }
    out->alive = qshm__is_alive(a->fd, a->id, owner.id);
    if (owner.hinted_pid != 0 && out->alive) {
        out->pid = qshm__os_range_holder(a->device, a->inode, QSHM_RANGE_A + owner.id, 1, owner.hinted_pid);
        out->started = out->pid != 0 ? qshm__os_process_started(out->pid) : 0;
    }
    return 1;
}

int32_t qshm_lock_owner(uint32_t handle, void *process)
{
    struct qshm__attachment *a = find(handle);
    if (a == NULL) {
        return QSHM_E_HANDLE;
    }
    return process == NULL ? QSHM_E_ARGUMENT : describe_owner(a, qshm__lock_owner(a->control), process);
}

int32_t qshm_force_unlock(uint32_t handle, uint32_t expected_id, void *process)
{
    WITH_LOCK(handle, process == NULL ? QSHM_E_ARGUMENT : describe_owner(a, qshm__lock_force(a, expected_id), process));
}

/* --- what exists ------------------------------------------------------------------------------------------------------- */

int32_t qshm_file_name(uint32_t kind, const void *key, uint32_t key_size, void *name)
{
    if (!is_kind(kind) || !is_buffer(key, key_size) || name == NULL) {
        return QSHM_E_ARGUMENT;
    }
    return qshm__file_name(kind, key, key_size, name);
}

/* Collects into a caller's buffer that may be too small, and counts what would have been needed. */
struct collector {
    uint8_t *bytes;
    uint32_t capacity, needed;
};

static void collect(struct collector *to, const void *bytes, uint32_t size)
{
    if (to->needed <= to->capacity && size <= to->capacity - to->needed) {
        memcpy(to->bytes + to->needed, bytes, size);
    }
    to->needed += size;
}

int32_t qshm_list(const void *directory, uint32_t directory_size, void *names, uint32_t capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL || !is_buffer(directory, directory_size) || !is_buffer(names, capacity)) {
        return QSHM_E_ARGUMENT;
    }
    clear(out);
    struct qshm__failure failure = {0};
    struct qshm__directory place;
    int r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    set_path(out, place.path, "");
    if (r == QSHM_E_NOT_FOUND) {
        return 0; /* no directory yet: nothing in it */
    }
    if (r < 0) {
        return finish(out, r, &failure);
    }
    struct collector to = {.bytes = names, .capacity = capacity};
    _Alignas(8) char entries[16384];
    while ((r = qshm__os_read_directory(place.fd, entries, sizeof entries)) > 0) {
        uint32_t offset = 0;
        const char *name;
        while ((name = qshm__os_next_name(entries, (uint32_t)r, &offset)) != NULL) {
            if (qshm__kind_of_name(name) != 0) {
                collect(&to, name, (uint32_t)strlen(name) + 1);
            }
        }
    }
    qshm__directory_close(&place);
    return r < 0 ? finish(out, qshm__fail_call(&failure, "getdents64", r), &failure) : (int32_t)to.needed;
}

/* Copies a name out of the caller's bytes, if it is one that a segment can have. */
static bool take_name(const void *bytes, uint32_t size, char name[QSHM_NAME_CAPACITY])
{
    if (bytes == NULL || size == 0 || size >= QSHM_NAME_CAPACITY || memchr(bytes, '/', size) != NULL ||
        memchr(bytes, '\0', size) != NULL) {
        return false;
    }
    memcpy(name, bytes, size);
    name[size] = '\0';
    return qshm__kind_of_name(name) != 0;
}

/* The key that stands in the segment, if it is the one of this name. */
static void read_key(int fd, const char *name, struct qshm_info *info)
{
    struct {
        uint32_t size;
        char bytes[QSHM_STORED_KEY];
    } stored;
    char check[QSHM_NAME_CAPACITY];
    if (qshm__os_read(fd, &stored, sizeof stored, offsetof(struct qshm__control, key_size)) != (int)sizeof stored) {
        return;
    }
    bool whole = stored.size <= QSHM_STORED_KEY;
    if (whole && (qshm__file_name(info->kind, (const uint8_t *)stored.bytes, stored.size, check) < 0 || strcmp(check, name) != 0)) {
        return; /* scribbled over */
    }
    info->key_size = whole ? stored.size : QSHM_STORED_KEY;
    memcpy(info->key, stored.bytes, info->key_size);
}

static int inspect_file(int fd, const char *name, const struct qshm__stat *file, struct qshm_info *info,
                        struct collector *to)
{
    struct qshm__inspection seen = qshm__segment_classify(fd, file, info->kind);
    info->state = seen.state;
    info->layout = seen.layout;
    info->persistent = seen.persistent;
    info->size = (double)seen.size;
    info->inode = (double)file->inode;
    info->device = (double)file->device;
    info->held = qshm__os_range_held(fd, QSHM_RANGE_P, 1, NULL) == 1;
    enum { MOST = 4096 };
    uint32_t *ids = malloc(MOST * sizeof *ids);
    uint32_t living = ids == NULL ? 0 : qshm__living_ids(fd, ids, MOST);
    living = living < MOST ? living : MOST;
    info->attached = living;
    if (seen.state == QSHM_LIVE) {
        bool used = living > 0 || qshm__os_range_held(fd, QSHM_RANGE_B, QSHM_IDS, NULL) == 1;
        info->state = used ? QSHM_LIVE : QSHM_DEAD;
        uint64_t word;
        if (qshm__os_read(fd, &word, sizeof word, offsetof(struct qshm__control, lock)) == (int)sizeof word) {
            info->lock_owner = (uint32_t)word & 0x7fffffff;
        }
        read_key(fd, name, info);
    }
    collect(to, info, sizeof *info);
    collect(to, ids, living * (uint32_t)sizeof *ids);
    free(ids);
    return (int)to->needed;
}

int32_t qshm_inspect(const void *name, uint32_t name_size, const void *directory, uint32_t directory_size, void *info,
                     uint32_t capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    char file_name[QSHM_NAME_CAPACITY];
    if (out == NULL || !take_name(name, name_size, file_name) || !is_buffer(directory, directory_size) ||
        !is_buffer(info, capacity)) {
        return QSHM_E_ARGUMENT;
    }
    clear(out);
    struct qshm__failure failure = {0};
    struct qshm__directory place;
    int r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    set_path(out, place.path, file_name);
    if (r < 0) {
        return finish(out, r, &failure);
    }
    int fd;
    struct qshm__stat file;
    r = qshm__segment_open_file(&place, file_name, false, &fd, &file, &failure);
    if (r == 0 && fd < 0) {
        r = qshm__fail_check(&failure, QSHM_E_NOT_FOUND, "does not exist");
    } else if (r == 0) {
        struct qshm_info found = {.kind = qshm__kind_of_name(file_name)};
        struct collector to = {.bytes = info, .capacity = capacity};
        r = inspect_file(fd, file_name, &file, &found, &to);
        qshm__os_close(fd);
    }
    qshm__directory_close(&place);
    return finish(out, r, &failure);
}

static void collect_holder(void *context, uint64_t inode, uint64_t at, uint32_t pid)
{
    struct qshm_holder holder = {.inode = (double)inode,
                                 .id = (uint32_t)(at - QSHM_RANGE_A),
                                 .pid = pid,
                                 .started = qshm__os_process_started(pid)};
    collect(context, &holder, sizeof holder);
}

int32_t qshm_holders(double device, void *holders, uint32_t capacity)
{
    if (!is_buffer(holders, capacity) || !(device >= 0 && device < 1.8e19)) {
        return QSHM_E_ARGUMENT;
    }
    struct collector to = {.bytes = holders, .capacity = capacity};
    qshm__os_each_lock((uint64_t)device, QSHM_RANGE_A, QSHM_IDS, collect_holder, &to);
    return (int32_t)to.needed;
}

int32_t qshm_remove(const void *name, uint32_t name_size, const void *directory, uint32_t directory_size, uint32_t force,
                    void *outcome)
{
    struct qshm_outcome *out = outcome;
    char file_name[QSHM_NAME_CAPACITY];
    if (out == NULL || !take_name(name, name_size, file_name) || !is_buffer(directory, directory_size)) {
        return QSHM_E_ARGUMENT;
    }
    clear(out);
    struct qshm__failure failure = {0};
    struct qshm__directory place;
    int r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    set_path(out, place.path, file_name);
    if (r == QSHM_E_NOT_FOUND) {
        return 0;
    }
    if (r == 0) {
        r = qshm__segment_remove(&place, file_name, force != 0, &failure);
        qshm__directory_close(&place);
    }
    return finish(out, r, &failure);
}
