/*
 * qt_memory.c - create, attach, detach and remove of a segment that Qt programs use as well.
 *
 * Owns: the segment that the number of a key file names. All that is decided about it is decided under its lock
 * (qt_semaphore.c), as Qt does; a segment has no header, its bytes are the user's from the first on.
 *
 * Invariants
 *  - The last one out removes it: under the lock, nobody is attached. An attachment ends with its process, so the kernel
 *    knows who lives; what nobody is attached to was left behind by a crash. create() removes that and goes on (Qt calls it
 *    existing, for ever); attach() attaches to it, as Qt does, so that its contents can be saved.
 *  - Never touched is what is not surely this user's: numbers have 16 bits of an inode, so a file may lead to a segment of
 *    something else. One of another user is refused; one that nobody is attached to is only removed if it could be Qt's (made
 *    by this user, mode 0600).
 *  - A file is removed only if it still leads to the segment that is removed: somebody may have deleted it, and another have
 *    made it anew, for a second segment. (Qt removes that one's file.)
 *  - create() of what others use does not touch the lock, nor wait for it: it is "does one run already?" in many programs.
 *  - attach() to what does not exist leaves nothing behind.
 *
 * Failure story: killed with the file made, or the segment without its attachment, the next create() goes on from there.
 * Killed inside, the kernel gives the lock back. Killed between the removals, the rest is a file that leads nowhere, or a lock
 * without a segment: the next create() takes both as they are (tests: "qt_kill_...").
 */
#include "qt_memory.h"

#include <errno.h>

#include "../qshm.h"
#include "fault.h"
#include "os.h"

enum { MOST_TRIES = 100, QT_MODE = 0600 };

static bool is_gone(int result)
{
    return result == -ENOENT || result == -EINVAL || result == -EIDRM;
}

/* Is it of another user? Root may use all, as in Qt. */
static int check_creator(const struct qshm__sysv_stat *found, struct qshm__failure *failure)
{
    uint32_t me = qshm__os_uid();
    return me == 0 || found->creator == me
               ? 0
               : qshm__fail_check(failure, QSHM_E_PERMISSION, "belongs to user %u", found->creator);
}

/* The segment of a number: 1; 0 if there is none. */
static int look(int32_t number, int *id, struct qshm__sysv_stat *found, struct qshm__failure *failure)
{
    int r = qshm__os_segment_get(number, 0, id);
    const char *call = "shmget";
    if (r == 0) {
        r = qshm__os_segment_stat(*id, found);
        call = "shmctl";
    }
    return r == 0 ? 1 : is_gone(r) ? 0 : qshm__fail_call(failure, call, r);
}

/* The segment that the key leads to: 1; 0 if there is none. */
static int look_by_key(struct qshm__qt_memory *m, int *id, struct qshm__sysv_stat *found, struct qshm__failure *failure)
{
    int r = qshm__qt_key_number(&m->key, &m->number, failure);
    return r <= 0 ? r : look(m->number, id, found, failure);
}

int qshm__qt_memory_find(struct qshm__qt_memory *m)
{
    int id;
    struct qshm__sysv_stat found;
    struct qshm__failure ignored;
    return look_by_key(m, &id, &found, &ignored) == 1 ? id : -1;
}

int qshm__qt_memory_lock(struct qshm__qt_memory *m, double timeout_ms, struct qshm__failure *failure)
{
    int r = m->holds ? 1 : qshm__qt_semaphore_take(&m->lock, 0, failure);
    if (r == 0 && timeout_ms > 0) {
        r = m->awaits_itself(m) ? qshm__fail_check(failure, QSHM_E_DEADLOCK, "another object of this thread has the lock")
                                : qshm__qt_semaphore_take(&m->lock, timeout_ms, failure);
    }
    m->holds = r == 1;
    return r;
}

/* `result` was reached under the lock. */
static int give_lock_back(struct qshm__qt_memory *m, int result)
{
    struct qshm__failure ignored;
    m->holds = false;
    qshm__qt_semaphore_give_back(&m->lock, &ignored);
    return result;
}

/* Removes it instead, file and set. */
static int remove_lock(struct qshm__qt_memory *m, int result)
{
    int id;
    struct qshm__sysv_stat found;
    struct qshm__failure ignored;
    if (m->lock.shares_file && look_by_key(m, &id, &found, &ignored) == 0) {
        qshm__qt_key_remove(&m->key, m->number);
    }
    m->holds = false;
    qshm__qt_semaphore_remove(&m->lock);
    return result;
}

static int map(struct qshm__qt_memory *m, int id, uint64_t size, bool read_only, struct qshm__failure *failure)
{
    void *address;
    int r = qshm__os_segment_attach(id, read_only, size, &address);
    if (r < 0) {
        return qshm__fail_call(failure, "shmat", r);
    }
    m->id = id;
    m->address = address;
    m->size = size;
    m->read_only = read_only;
    return QSHM_QT_DONE;
}

/* --- create ------------------------------------------------------------------------------------------------------- */

/* Under the lock: something has the number. Removes it if it was left behind: 1, to try again. */
static int clear_away(const struct qshm__qt_memory *m, bool made_file, bool *recovered, struct qshm__failure *failure)
{
    int id;
    struct qshm__sysv_stat found;
    int r = look(m->number, &id, &found, failure);
    if (r <= 0) {
        return r < 0 ? r : 1;
    }
    if (found.attached > 0 || found.creator != qshm__os_uid() || found.mode != QT_MODE) {
        return made_file ? qshm__fail_check(failure, QSHM_E_ALREADY_EXISTS,
                                            "something else has the number %#x, which its file got by chance",
                                            (unsigned)m->number)
                         : QSHM_E_ALREADY_EXISTS;
    }
    qshm__trace("reclaimed segment %#x of %s", (unsigned)m->number, m->key.path);
    r = qshm__os_segment_remove(id);
    *recovered = true;
    return r < 0 && !is_gone(r) ? qshm__fail_call(failure, "shmctl", r) : 1;
}

static int make_segment(struct qshm__qt_memory *m, uint64_t size, bool made_file, bool *recovered,
                        struct qshm__failure *failure)
{
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        int id;
        int r = qshm__os_segment_get(m->number, size, &id);
        if (r == 0) {
            QSHM_POINT("segment made");
            return id;
        }
        if (r != -EEXIST) {
            int error = qshm__fail_call(failure, "shmget", r);
            return r == -EINVAL ? QSHM_E_SIZE_MISMATCH : error;
        }
        r = clear_away(m, made_file, recovered, failure);
        if (r < 0) {
            return r;
        }
    }
    return qshm__fail_check(failure, QSHM_E_BUSY, "others make and remove it again and again");
}

static int create_locked(struct qshm__qt_memory *m, uint64_t size, bool read_only, bool *recovered,
                         struct qshm__failure *failure)
{
    int r = qshm__qt_key_make(&m->key, failure);
    bool made_file = r == 1 || (m->lock.shares_file && m->lock.made);
    r = r < 0 ? r : qshm__qt_key_number(&m->key, &m->number, failure);
    if (r <= 0) {
        return r < 0 ? r : qshm__fail_check(failure, QSHM_E_KEY, "its file was removed at once");
    }
    int id = make_segment(m, size, made_file, recovered, failure);
    r = id < 0 ? id : map(m, id, size, read_only, failure);
    if (r < 0 && id >= 0) {
        qshm__os_segment_remove(id);
    }
    if (r < 0 && made_file) {
        qshm__qt_key_remove(&m->key, m->number);
    }
    return r;
}

int qshm__qt_memory_create(struct qshm__qt_memory *m, uint64_t size, bool read_only, double timeout_ms, bool *recovered,
                           struct qshm__failure *failure)
{
    int id;
    struct qshm__sysv_stat found;
    int r = look_by_key(m, &id, &found, failure);
    if (r < 0) {
        return r;
    }
    if (r == 1) {
        r = check_creator(&found, failure);
        if (r < 0 || found.attached > 0) {
            return r < 0 ? r : QSHM_E_ALREADY_EXISTS;
        }
    }
    r = qshm__qt_memory_lock(m, timeout_ms, failure);
    if (r <= 0) {
        return r;
    }
    r = create_locked(m, size, read_only, recovered, failure);
    if (r < 0 && m->lock.made && r != QSHM_E_ALREADY_EXISTS) { /* made for nothing */
        return remove_lock(m, r);
    }
    return give_lock_back(m, r);
}

/* --- attach ------------------------------------------------------------------------------------------------------- */

static int attach_locked(struct qshm__qt_memory *m, bool read_only, bool *recovered, struct qshm__failure *failure)
{
    int id;
    struct qshm__sysv_stat found;
    int r = look_by_key(m, &id, &found, failure);
    if (r <= 0) {
        return r < 0 ? r : QSHM_E_NOT_FOUND;
    }
    r = check_creator(&found, failure);
    *recovered = found.attached == 0;
    return r < 0 ? r : map(m, id, found.size, read_only, failure);
}

int qshm__qt_memory_attach(struct qshm__qt_memory *m, bool read_only, double timeout_ms, bool *recovered,
                           struct qshm__failure *failure)
{
    int32_t number;
    int r = qshm__qt_key_number(&m->key, &number, failure);
    if (r == 0) { /* unless somebody who has the lock is just making it */
        r = qshm__qt_key_number(&m->lock.key, &number, failure);
    }
    if (r <= 0) {
        return r < 0 ? r : QSHM_E_NOT_FOUND;
    }
    r = qshm__qt_memory_lock(m, timeout_ms, failure);
    if (r <= 0) {
        return r;
    }
    r = attach_locked(m, read_only, recovered, failure);
    if (r < 0 && m->lock.made) { /* made for nothing */
        return remove_lock(m, r);
    }
    return give_lock_back(m, r);
}

/* --- detach and remove -------------------------------------------------------------------------------------------- */

/* Ends the attachment. Behind a view there has to be memory still: the new mapping takes the segment's place at once. If
 * there is none to be had, all stays as it is. */
static int unmap(struct qshm__qt_memory *m, struct qshm__failure *failure)
{
    int r = m->view == NULL ? qshm__os_segment_detach(m->address) : qshm__os_neutralise(m->view, m->view_size);
    if (r < 0) {
        return qshm__fail_call(failure, m->view == NULL ? "shmdt" : "mmap", r);
    }
    m->address = NULL;
    m->size = 0;
    return 0;
}

int qshm__qt_memory_detach(struct qshm__qt_memory *m, double timeout_ms, struct qshm__failure *failure)
{
    int r = qshm__qt_memory_lock(m, timeout_ms, failure);
    if (r <= 0) {
        return r;
    }
    struct qshm__sysv_stat found;
    if (m->address != NULL) {
        r = unmap(m, failure);
        if (r < 0) {
            return give_lock_back(m, r);
        }
        QSHM_POINT("detached");
        if (qshm__os_segment_stat(m->id, &found) == 0 && found.attached == 0 && !found.removed) {
            if (qshm__os_segment_remove(m->id) == 0) { /* first: without its file nobody would find it */
                QSHM_POINT("segment removed");
                qshm__qt_key_remove(&m->key, m->number);
            }
            return remove_lock(m, QSHM_QT_DONE);
        }
    }
    return m->lock.made ? remove_lock(m, QSHM_QT_DONE) : give_lock_back(m, QSHM_QT_DONE);
}

void qshm__qt_memory_let_go(struct qshm__qt_memory *m)
{
    struct qshm__failure ignored;
    if (m->address != NULL && unmap(m, &ignored) < 0) {
        m->address = NULL; /* its end comes with the process's */
        m->size = 0;
    }
    if (m->holds) {
        give_lock_back(m, 0);
    }
}

/* Under the lock. 0 and DONE, or an error. */
static int remove_segment(struct qshm__qt_memory *m, uint64_t own, bool force, struct qshm__failure *failure)
{
    int id;
    struct qshm__sysv_stat found;
    int r = look_by_key(m, &id, &found, failure);
    if (r == 1) {
        r = check_creator(&found, failure);
        r = r == 0 && found.attached > own && !force ? QSHM_E_IN_USE : r;
        if (r == 0) {
            r = qshm__os_segment_remove(id);
            r = r < 0 && !is_gone(r) ? qshm__fail_call(failure, "shmctl", r) : 0;
        }
    }
    int32_t number;
    if (r == 0 && qshm__qt_key_number(&m->key, &number, failure) == 1) {
        qshm__qt_key_remove(&m->key, number);
    }
    return r;
}

int qshm__qt_memory_remove(struct qshm__qt_memory *m, uint64_t own, bool force, double timeout_ms,
                           struct qshm__failure *failure)
{
    int id;
    struct qshm__sysv_stat found;
    int32_t number;
    int has_segment = look_by_key(m, &id, &found, failure);
    int has_lock = has_segment < 0 ? has_segment : qshm__qt_key_number(&m->lock.key, &number, failure);
    if (has_segment < 0 || has_lock < 0) {
        return has_segment < 0 ? has_segment : has_lock;
    }
    if (has_segment == 0 && has_lock == 0 && qshm__qt_key_number(&m->key, &number, failure) != 1) {
        return QSHM_E_NOT_FOUND;
    }
    if (has_segment == 1 && found.attached > own && !force) { /* whoever has the lock need not be waited for */
        return QSHM_E_IN_USE;
    }
    int locked = qshm__qt_memory_lock(m, timeout_ms, failure);
    bool is_locked = locked == QSHM_QT_DONE;
    bool goes_on = is_locked || (force && (locked == QSHM_QT_TIMED_OUT || locked == QSHM_E_DEADLOCK));
    if (!goes_on) {
        return locked;
    }
    int r = remove_segment(m, own, force, failure);
    if (r == 0) {
        return remove_lock(m, QSHM_QT_DONE);
    }
    return is_locked ? give_lock_back(m, r) : r;
}
