/*
 * qt.c - the entry points for Qt's objects: memory (QSharedMemory) and semaphores (QSystemSemaphore).
 *
 * Owns: the table of this process's objects, and what becomes of them at its end.
 *
 * Invariants: a handle is a slot number with a generation, positive in 31 bits; a stale one finds nothing. Objects are never
 * freed, only used again. The table is shared by all threads; one object is used by one thread at a time. A forked
 * child has no objects: segments are not inherited, nor is what the kernel would take back; it uses the slots anew.
 *
 * Failure story: at the end of the process every object is closed, so that the last one out removes what there is; the lock is
 * waited for a second in all for that. One that another thread is inside of is left to the kernel, and found again by the next
 * create().
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../qshm.h"
#include "error.h"
#include "fault.h"
#include "handle.h"
#include "os.h"
#include "outcome.h"
#include "qt_key.h"
#include "qt_memory.h"
#include "qt_semaphore.h"

enum { SLOT_BITS = 12, SLOTS = 1 << SLOT_BITS, GENERATIONS = 1 << (31 - SLOT_BITS) };
static const double patience = 1000; /* ms, with a lock at the end of an object, or of all */

struct object {
    _Atomic uint32_t handle; /* 0: free, or closed */
    _Atomic uint32_t reserved; /* by this process; 0: free */
    uint32_t slot, generation, pid;
    _Atomic bool inside; /* it holds the lock, or a call is under way, by `thread` */
    _Atomic uintptr_t thread;
    bool is_memory;
    union {
        struct qshm__qt_memory memory;
        struct qshm__qt_semaphore semaphore;
    };
};

static struct object *_Atomic slots[SLOTS];

/* --- the table ---------------------------------------------------------------------------------------------------- */

static struct object *reserve(void)
{
    uint32_t me = qshm__handle_process();
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct object *object = slots[i];
        if (object == NULL) {
            struct object *made = calloc(1, sizeof *made);
            if (made == NULL) {
                return NULL;
            }
            made->slot = i;
            if (atomic_compare_exchange_strong(&slots[i], &object, made)) {
                object = made;
            } else {
                free(made);
            }
        }
        uint32_t holder = object->reserved; /* one that we inherited is free */
        if (holder != me && atomic_compare_exchange_strong(&object->reserved, &holder, me)) {
            object->handle = 0;
            object->inside = false;
            return object;
        }
    }
    return NULL;
}

static int32_t publish(struct object *object)
{
    object->generation = object->generation % (GENERATIONS - 1) + 1; /* never 0: a handle is positive */
    object->pid = qshm__handle_process();
    uint32_t handle = object->generation << SLOT_BITS | object->slot;
    atomic_store_explicit(&object->handle, handle, memory_order_release);
    return (int32_t)handle;
}

static void release(struct object *object)
{
    object->handle = 0;
    object->inside = false;
    object->reserved = 0;
}

/* The object of a handle, or NULL. */
static struct object *find(double number)
{
    uint32_t handle = number >= 1 && number <= INT32_MAX ? (uint32_t)number : 0;
    struct object *object = atomic_load_explicit(&slots[handle % SLOTS], memory_order_acquire);
    bool found = object != NULL && handle != 0 &&
                 atomic_load_explicit(&object->handle, memory_order_acquire) == handle &&
                 object->pid == qshm__handle_process();
    return found ? object : NULL;
}

static struct object *find_memory(double handle)
{
    struct object *object = find(handle);
    return object != NULL && object->is_memory ? object : NULL;
}

/* The memory, if it is attached. */
static struct qshm__qt_memory *find_attached(uint32_t handle)
{
    struct object *object = find_memory(handle);
    return object != NULL && object->memory.address != NULL ? &object->memory : NULL;
}

/* From here on other threads know that this one is inside of it. */
static void enter(struct object *object)
{
    object->thread = qshm__os_thread();
    object->inside = true;
}

static void leave(struct object *object)
{
    object->inside = object->is_memory && object->memory.holds;
}

/* Is there another object by which this thread holds the lock? To wait for it could never end. */
static bool awaits_itself(const struct qshm__qt_memory *asking)
{
    uintptr_t me = qshm__os_thread();
    uint32_t process = qshm__handle_process();
    for (uint32_t i = 0; i < SLOTS && slots[i] != NULL; i++) {
        const struct object *other = slots[i];
        if (other->handle != 0 && other->pid == process && other->inside && other->thread == me && other->is_memory &&
            &other->memory != asking && other->memory.holds && other->memory.lock.id == asking->lock.id) {
            return true;
        }
    }
    return false;
}

/* --- keys --------------------------------------------------------------------------------------------------------- */

int32_t qshm_qt_key_file(uint32_t semaphore, const void *key, uint32_t size, void *path, uint32_t capacity)
{
    char file[QSHM_QT_PATH];
    if (!qshm__is_buffer(key, size) || !qshm__is_buffer(path, capacity)) {
        return QSHM_E_ARGUMENT;
    }
    int length = qshm__qt_key_file(semaphore != 0, key, size, file);
    if (length > 0 && (uint32_t)length <= capacity) {
        memcpy(path, file, (size_t)length);
    }
    return length;
}

static bool set_path(struct qshm__qt_key *key, const void *path, uint32_t size)
{
    if (!qshm__is_buffer(path, size) || size == 0 || size >= QSHM_QT_PATH || memchr(path, '\0', size) != NULL) {
        return false;
    }
    memcpy(key->path, path, size);
    key->path[size] = '\0';
    return true;
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

int32_t qshm_qt_memory(const void *file, uint32_t file_size, const void *lock_file, uint32_t lock_file_size,
                       uint32_t project)
{
    struct object *object = reserve();
    if (object == NULL) {
        return QSHM_E_RESOURCES;
    }
    object->is_memory = true;
    struct qshm__qt_memory *m = &object->memory;
    memset(m, 0, sizeof *m);
    m->key.project = project;
    m->awaits_itself = awaits_itself;
    qshm__qt_semaphore_init(&m->lock, project, 1, true);
    if (project == 0 || project > 0xff || !set_path(&m->key, file, file_size) ||
        !set_path(&m->lock.key, lock_file, lock_file_size)) {
        release(object);
        return QSHM_E_ARGUMENT;
    }
    m->lock.shares_file = strcmp(m->key.path, m->lock.key.path) == 0;
    return publish(object);
}

/* Begins an operation on memory; NULL and an error if there is none to begin. */
static struct object *begin(uint32_t handle, double timeout_ms, struct qshm_outcome *outcome, int *error)
{
    if (outcome == NULL || !(timeout_ms >= 0)) {
        *error = QSHM_E_ARGUMENT;
        return NULL;
    }
    qshm__outcome_clear(outcome);
    struct object *object = find_memory(handle);
    if (object == NULL) {
        *error = QSHM_E_HANDLE;
        return NULL;
    }
    qshm__outcome_set_path(outcome, object->memory.key.path, "");
    enter(object);
    return object;
}

static int32_t finish(struct object *object, int result, bool recovered, struct qshm_outcome *outcome,
                      const struct qshm__failure *failure)
{
    leave(object);
    outcome->flags = recovered ? QSHM_RECOVERED : 0;
    outcome->size = (double)object->memory.size;
    return qshm__outcome_finish(outcome, result, failure);
}

int32_t qshm_qt_create(uint32_t handle, double size, uint32_t read_only, double timeout_ms, void *outcome)
{
    int error;
    struct object *object = begin(handle, timeout_ms, outcome, &error);
    if (object == NULL) {
        return error;
    }
    struct qshm__failure failure = {0};
    bool recovered = false;
    struct qshm__qt_memory *m = &object->memory;
    int r = !qshm__is_size(size) || size <= 0 ? QSHM_E_SIZE_MISMATCH
            : m->address != NULL              ? QSHM_E_ALREADY_EXISTS
            : m->view != NULL
                ? QSHM_E_ARGUMENT /* qshm_qt_unmap was not called */
                : qshm__qt_memory_create(m, (uint64_t)size, read_only != 0, timeout_ms, &recovered, &failure);
    return finish(object, r, recovered, outcome, &failure);
}

int32_t qshm_qt_attach(uint32_t handle, uint32_t read_only, double timeout_ms, void *outcome)
{
    int error;
    struct object *object = begin(handle, timeout_ms, outcome, &error);
    if (object == NULL) {
        return error;
    }
    struct qshm__failure failure = {0};
    bool recovered = false;
    struct qshm__qt_memory *m = &object->memory;
    int r = m->address != NULL || m->view != NULL
                ? QSHM_E_ARGUMENT
                : qshm__qt_memory_attach(m, read_only != 0, timeout_ms, &recovered, &failure);
    return finish(object, r, recovered, outcome, &failure);
}

int32_t qshm_qt_detach(uint32_t handle, double timeout_ms, void *outcome)
{
    int error;
    struct object *object = begin(handle, timeout_ms, outcome, &error);
    if (object == NULL) {
        return error;
    }
    struct qshm__failure failure = {0};
    int r = object->memory.address == NULL ? QSHM_E_ARGUMENT
                                           : qshm__qt_memory_detach(&object->memory, timeout_ms, &failure);
    return finish(object, r, false, outcome, &failure);
}

int32_t qshm_qt_unmap(uint32_t handle, uint32_t keep)
{
    struct object *object = find_memory(handle);
    if (object == NULL || object->memory.address != NULL) {
        return QSHM_E_HANDLE;
    }
    struct qshm__qt_memory *m = &object->memory;
    if (m->view != NULL && keep == 0) {
        qshm__os_unmap(m->view, m->view_size);
    }
    m->view = NULL;
    return 0;
}

void *qshm_qt_payload(uint32_t handle)
{
    struct qshm__qt_memory *m = find_attached(handle);
    if (m == NULL || m->read_only) {
        return NULL;
    }
    m->view = m->address;
    m->view_size = m->size;
    return m->view;
}

static bool is_inside(const struct qshm__qt_memory *m, double offset, const void *bytes, double size)
{
    return qshm__is_size(offset) && qshm__is_size(size) && (bytes != NULL || size == 0) && (uint64_t)offset <= m->size &&
           (uint64_t)size <= m->size - (uint64_t)offset;
}

int32_t qshm_qt_read(uint32_t handle, double offset, void *target, double size)
{
    const struct qshm__qt_memory *m = find_attached(handle);
    if (m == NULL || !is_inside(m, offset, target, size)) {
        return m == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    if (size > 0) {
        memmove(target, m->address + (size_t)offset, (size_t)size);
    }
    return 0;
}

int32_t qshm_qt_write(uint32_t handle, double offset, const void *bytes, double size)
{
    const struct qshm__qt_memory *m = find_attached(handle);
    if (m == NULL || m->read_only || !is_inside(m, offset, bytes, size)) {
        return m == NULL ? QSHM_E_HANDLE : m->read_only ? QSHM_E_READ_ONLY : QSHM_E_ARGUMENT;
    }
    if (size > 0) {
        memmove(m->address + (size_t)offset, bytes, (size_t)size);
    }
    return 0;
}

int32_t qshm_qt_compare(uint32_t handle, void *last, double size)
{
    const struct qshm__qt_memory *m = find_attached(handle);
    if (m == NULL || !is_inside(m, 0, last, size)) {
        return m == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    if (size == 0 || memcmp(last, m->address, (size_t)size) == 0) {
        return 0;
    }
    memcpy(last, m->address, (size_t)size);
    return 1;
}

/* --- the lock of memory ------------------------------------------------------------------------------------------- */

int32_t qshm_qt_lock(double handle, double timeout_ms)
{
    struct object *object = find_memory(handle);
    if (object == NULL || !(timeout_ms >= 0)) {
        return object == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    struct qshm__qt_memory *m = &object->memory;
    if (m->holds) {
        return 1;
    }
    enter(object);
    struct qshm__failure failure = {0};
    int r = qshm__qt_memory_lock(m, timeout_ms, &failure);
    leave(object);
    return r;
}

int32_t qshm_qt_unlock(double handle)
{
    struct object *object = find_memory(handle);
    if (object == NULL || !object->memory.holds) {
        return object == NULL ? QSHM_E_HANDLE : 0;
    }
    object->memory.holds = false;
    struct qshm__failure failure = {0};
    int r = qshm__qt_semaphore_give_back(&object->memory.lock, &failure);
    leave(object);
    return r < 0 ? r : 1;
}

int32_t qshm_qt_force_unlock(uint32_t handle, void *pid)
{
    struct object *object = find_memory(handle);
    if (object == NULL || pid == NULL) {
        return object == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    uint32_t owner = 0;
    int r = qshm__qt_semaphore_force(&object->memory.lock, &owner, &failure);
    memcpy(pid, &owner, sizeof owner);
    for (uint32_t i = 0; r == 1 && i < SLOTS && slots[i] != NULL; i++) { /* it may have been one of ours */
        struct object *other = slots[i];
        if (other->handle != 0 && other->is_memory && other->memory.lock.id == object->memory.lock.id) {
            other->memory.holds = false;
        }
    }
    return r;
}

/* --- semaphores --------------------------------------------------------------------------------------------------- */

int32_t qshm_qt_semaphore(const void *file, uint32_t file_size, uint32_t project, double initial, uint32_t create,
                          void *outcome)
{
    if (outcome == NULL || !(initial >= 0 && initial <= INT16_MAX) || project == 0 || project > 0xff) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(outcome);
    struct object *object = reserve();
    if (object == NULL) {
        return QSHM_E_RESOURCES;
    }
    object->is_memory = false;
    memset(&object->semaphore, 0, sizeof object->semaphore);
    qshm__qt_semaphore_init(&object->semaphore, project, (int)initial, false);
    struct qshm__failure failure = {0};
    int r = QSHM_E_ARGUMENT;
    if (set_path(&object->semaphore.key, file, file_size)) {
        qshm__outcome_set_path(outcome, object->semaphore.key.path, "");
        r = create != 0 ? qshm__qt_semaphore_create(&object->semaphore, &failure)
                        : qshm__qt_semaphore_open(&object->semaphore, &failure);
    }
    if (r < 0) {
        release(object);
        return qshm__outcome_finish(outcome, r, &failure);
    }
    return publish(object);
}

static struct object *find_semaphore(double handle)
{
    struct object *object = find(handle);
    return object != NULL && !object->is_memory ? object : NULL;
}

int32_t qshm_qt_acquire(double handle, double timeout_ms)
{
    struct object *object = find_semaphore(handle);
    if (object == NULL || !(timeout_ms >= 0)) {
        return object == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    enter(object);
    struct qshm__failure failure = {0};
    int r = qshm__qt_semaphore_take(&object->semaphore, timeout_ms, &failure);
    leave(object);
    return r;
}

int32_t qshm_qt_release(double handle, double count)
{
    struct object *object = find_semaphore(handle);
    if (object == NULL || !(count >= 1 && count <= INT16_MAX)) {
        return object == NULL ? QSHM_E_HANDLE : QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    int r = qshm__qt_semaphore_add(&object->semaphore, (int)count, &failure);
    return r < 0 ? r : 1;
}

int32_t qshm_qt_value(double handle)
{
    struct object *object = find_semaphore(handle);
    if (object == NULL) {
        return QSHM_E_HANDLE;
    }
    struct qshm__failure failure = {0};
    int r = qshm__qt_semaphore_open(&object->semaphore, &failure);
    r = r < 0 ? r : qshm__os_semaphore_value(object->semaphore.id);
    return r;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void close_object(struct object *object, double patience_ms)
{
    struct qshm__failure ignored = {0};
    if (!object->is_memory) {
        if (object->semaphore.made) {
            qshm__qt_semaphore_remove(&object->semaphore);
        }
        return;
    }
    struct qshm__qt_memory *m = &object->memory;
    bool has_more_to_do = m->address != NULL || m->holds || (m->lock.made && m->lock.id >= 0);
    if (has_more_to_do && qshm__qt_memory_detach(m, patience_ms, &ignored) != QSHM_QT_DONE) {
        qshm__qt_memory_let_go(m);
    }
}

int32_t qshm_qt_close(uint32_t handle)
{
    struct object *object = find(handle);
    if (object == NULL) {
        return QSHM_E_HANDLE;
    }
    enter(object);
    close_object(object, patience);
    leave(object);
    if (object->is_memory && object->memory.view != NULL) {
        return 1;
    }
    release(object);
    return 0;
}

int32_t qshm_qt_free(uint32_t handle, uint32_t keep)
{
    int32_t r = qshm_qt_unmap(handle, keep);
    struct object *object = r == 0 ? find(handle) : NULL;
    if (object != NULL) {
        close_object(object, patience); /* it may have locked since qshm_qt_close */
        release(object);
    }
    return r;
}

static bool is_own(const struct object *object, int id)
{
    return object->handle != 0 && object->is_memory && object->memory.address != NULL && object->memory.id == id &&
           object->pid == qshm__handle_process();
}

int32_t qshm_qt_remove(uint32_t handle, uint32_t force, double timeout_ms, void *outcome)
{
    int error;
    struct object *object = begin(handle, timeout_ms, outcome, &error);
    if (object == NULL) {
        return error;
    }
    uint64_t own = 0;
    int id = qshm__qt_memory_find(&object->memory);
    for (uint32_t i = 0; i < SLOTS && slots[i] != NULL; i++) {
        own += is_own(slots[i], id);
    }
    struct qshm__failure failure = {0};
    int r = qshm__qt_memory_remove(&object->memory, own, force != 0, timeout_ms, &failure);
    return finish(object, r, false, outcome, &failure);
}

static bool is_to_close(const struct object *object, uintptr_t thread)
{
    return object->handle != 0 && object->pid == qshm__handle_process() && !(object->inside && object->thread != thread);
}

/* See leave_all in api.c: exit hook and destructor are both there, and the second finds nothing. */
__attribute__((destructor)) static void close_all(void)
{
    uintptr_t me = qshm__os_thread();
    double deadline = qshm__os_now() + patience;
    for (uint32_t i = 0; i < SLOTS && slots[i] != NULL; i++) { /* or those that hold nothing would wait for this thread */
        if (is_to_close(slots[i], me) && slots[i]->is_memory && slots[i]->memory.holds) {
            qshm_qt_unlock(slots[i]->handle);
        }
    }
    for (uint32_t i = 0; i < SLOTS && slots[i] != NULL; i++) {
        double rest = deadline - qshm__os_now();
        if (is_to_close(slots[i], me)) {
            close_object(slots[i], rest > 0 ? rest : 0);
        }
    }
}
