/*
 * segment.c - how a segment comes into being, is joined, left and removed.
 *
 * Owns: the rule that a name has at most one live file, and that a dead one is never handed out.
 *
 *   create   build the whole file where nobody sees it; lock the byte of its first id; link it to its name. It is born
 *            alive and complete: no half-made segment is ever visible. If the name is taken, look under R whether its
 *            file is used; if not (and not persistent), unlink it and link again.
 *   attach   open; take R; is the name still this file? Is anybody alive? Then draw an id, free R.
 *   detach   take R; free the byte; was it the last, and is the name still this file? Then unlink.
 *
 * Invariants
 *  - A name is unlinked only while holding R of the file it names, after the name was compared with the descriptor.
 *    Between an open and R another process may have removed the file and made a new one (point "opened"; test:
 *    "create_looks_again_under_r").
 *  - "Nobody is alive" is asked only under R: otherwise somebody may attach between question and unlink (point
 *    "last"; test: "detach_holds_r_until_the_name_is_gone").
 *  - The liveness byte goes after the lock word (lock.c): the other order makes orderly owners look dead.
 *
 * Failure story: a process killed at any step leaves a file on which nobody holds a byte: the next create or attach
 * finds that and removes it. One that is stopped holds R at most; others wait a second and report it. A draft with a
 * name (file systems without nameless files) is left for the sweep of a later create.
 *
 * Observers: an attachment that was only granted reading cannot lock R or A. It locks a byte of range B, waits until R
 * is free, and then compares name and file: whoever was inside R before has finished, and whoever comes after sees B.
 */
#include "segment.h"

#include <errno.h>
#include <string.h>

#include "../qshm.h"
#include "bell.h"
#include "fault.h"
#include "file.h"
#include "guard.h"
#include "liveness.h"
#include "lock.h"
#include "message.h"
#include "removal.h"
#include "semaphore.h"

/* --- what stands at a name ---------------------------------------------------------------------------------------- */

enum found { GONE, USED, KEPT }; /* nothing there (any more), in use, or in use by nobody but to be kept */

struct existing {
    int fd; /* holds R unless GONE */
    struct qshm__stat file;
    struct qshm__contents seen;
};

/* Opens the name and takes R of its file; a dead file is removed, and `*recovered` set if somebody left it by a
 * crash. A stranger's file is only removed `to_create` in its place. */
static int settle_name(const struct qshm__directory *directory, const char *name, uint32_t kind, bool to_create,
                       struct existing *existing, bool *recovered, struct qshm__failure *failure)
{
    do {
        int r = qshm__file_open(directory, name, true, &existing->fd, &existing->file, failure);
        if (r < 0 || existing->fd < 0) {
            return r < 0 ? r : GONE;
        }
        QSHM_POINT("opened");
        r = qshm__registry_lock(existing->fd, directory->deadline, failure);
        if (r == 0) {
            r = qshm__file_is_named(directory->fd, name, &existing->file, failure);
        }
        if (r == 0) { /* removed, or replaced, between open and R */
            qshm__file_let_go(&existing->fd);
            continue;
        }
        if (r == 1) {
            r = qshm__anybody_attached(existing->fd, failure);
        }
        if (r >= 0) {
            bool used = r == 1;
            r = qshm__file_classify(existing->fd, &existing->file, kind, &existing->seen, failure);
            /* A guard that nobody holds is attached to as it is: it tells its next holder how the last one ended. */
            bool kept = existing->seen.persistent || (kind == QSHM_KIND_INSTANCE && existing->seen.state == QSHM_LIVE);
            if (r == 0 && (used || kept)) {
                return used ? USED : KEPT;
            }
        }
        if (r == 0 && (existing->seen.layout != 0 || to_create)) {
            QSHM_POINT("dead");
            qshm__bells_discard(directory->fd, existing->fd);
            r = qshm__os_unlink(directory->fd, name);
            if (r == 0 || r == -ENOENT) {
                *recovered = *recovered || (existing->seen.layout != 0 && !existing->seen.clean);
                qshm__trace("reclaimed %s/%s: nobody who used it is alive", directory->path, name);
                r = GONE;
            } else {
                r = qshm__fail_call(failure, "unlinkat", r);
            }
        }
        qshm__file_let_go(&existing->fd);
        return r;
    } while (qshm__os_now() < directory->deadline);
    return qshm__fail_check(failure, QSHM_E_BUSY, "the name changes hands all the time");
}

/* --- mapping ------------------------------------------------------------------------------------------------------ */

static int map(struct qshm__attachment *attachment, uint32_t kind, uint64_t payload_size, bool observer,
               struct qshm__failure *failure)
{
    uint64_t control_size = qshm__control_size(kind);
    void *control, *payload;
    int r;
    if (!attachment->read_only) {
        r = qshm__os_map(attachment->fd, 0, control_size + payload_size, QSHM_MAP_SHARED, &control);
        payload = r < 0 ? NULL : (uint8_t *)control + control_size;
    } else {
        r = qshm__os_map(attachment->fd, 0, control_size, observer ? QSHM_MAP_SHARED_READ : QSHM_MAP_SHARED, &control);
        payload = NULL;
        if (r == 0 && payload_size > 0) {
            r = qshm__os_map(attachment->fd, control_size, payload_size, QSHM_MAP_SHARED_READ, &payload);
            if (r < 0) {
                qshm__os_unmap(control, control_size);
            }
        }
    }
    if (r < 0) {
        return qshm__fail_call(failure, "mmap", r);
    }
    attachment->kind = kind;
    attachment->control = control;
    attachment->control_size = control_size;
    attachment->payload = payload;
    attachment->payload_size = payload_size;
    return 0;
}

void qshm__segment_unmap(struct qshm__attachment *attachment)
{
    if (attachment->read_only) {
        if (attachment->payload != NULL) {
            qshm__os_unmap(attachment->payload, attachment->payload_size);
        }
        qshm__os_unmap(attachment->control, attachment->control_size);
    } else {
        qshm__os_unmap(attachment->control, attachment->control_size + attachment->payload_size);
    }
    attachment->control = NULL;
    attachment->payload = NULL;
}

static void adopt(struct qshm__attachment *attachment, const struct qshm__directory *directory, const char *name,
                  const struct qshm__stat *file)
{
    attachment->directory = directory->fd;
    attachment->device = file->device;
    attachment->inode = file->inode;
    memcpy(attachment->name, name, QSHM_NAME_CAPACITY);
}

/* --- create ------------------------------------------------------------------------------------------------------- */

static void write_header(struct qshm__control *control, const struct qshm__request *request)
{
    control->header = (struct qshm__header){
        .magic = QSHM_MAGIC,
        .layout = QSHM_LAYOUT,
        .kind = (uint8_t)request->kind,
        .flags = (request->how & QSHM_PERSISTENT) != 0 ? QSHM_FLAG_PERSISTENT : 0,
        .fingerprint = qshm__fingerprint(request->kind),
    };
    control->payload_offset = qshm__control_size(request->kind);
    control->payload_size = request->size;
    control->attached = 1;
    control->birth = qshm__os_random();
    control->value_capacity = request->value.largest;
    memcpy(control->value_codec, request->value.codec, QSHM_CODEC_NAME);
    control->permits_total = request->permits.initial;
    control->permits_max = request->permits.max;
    control->key_size = request->key_size;
    memcpy(control->key, request->key, request->key_size < QSHM_STORED_KEY ? request->key_size : QSHM_STORED_KEY);
}

/* Makes the draft. One that needs a name is held by R until it is published, so that no sweep takes it for a dead one;
 * a sweep that came between open and R has unlinked it, and a new one is made. */
static int create_draft(const struct qshm__directory *directory, struct qshm__draft *draft,
                        struct qshm__failure *failure)
{
    do {
        int r = qshm__os_create_draft(directory->fd, false, draft);
        if (r < 0) {
            return qshm__fail_call(failure, "openat", r);
        }
        if (draft->name[0] == '\0') {
            return 0;
        }
        QSHM_POINT("draft named");
        struct qshm__stat file;
        r = qshm__os_stat(draft->fd, &file);
        r = r < 0 ? qshm__fail_call(failure, "statx", r) : qshm__registry_lock(draft->fd, directory->deadline, failure);
        r = r < 0 ? r : qshm__file_is_named(directory->fd, draft->name, &file, failure);
        if (r == 1) {
            return 0;
        }
        qshm__os_drop_draft(directory->fd, draft);
        if (r < 0) {
            return r;
        }
    } while (qshm__os_now() < directory->deadline);
    return qshm__fail_check(failure, QSHM_E_BUSY, "the name changes hands all the time");
}

/* Builds the segment in a file that nobody sees yet. */
static int build(struct qshm__attachment *attachment, const struct qshm__directory *directory,
                 struct qshm__draft *draft, struct qshm__stat *file, const struct qshm__request *request,
                 struct qshm__failure *failure)
{
    int r = create_draft(directory, draft, failure);
    if (r < 0) {
        return r;
    }
    attachment->fd = draft->fd;
    r = qshm__os_reserve(draft->fd, qshm__control_size(request->kind) + request->size);
    if (r < 0) {
        r = qshm__fail_call(failure, "fallocate", r);
        goto drop;
    }
    if (request->mode != 0600) {
        bool to_group = directory->group_shared && (request->mode & 070) != 0;
        r = qshm__os_set_access(draft->fd, request->mode, to_group ? (int64_t)directory->gid : -1);
        if (r < 0) {
            r = qshm__fail_call(failure, "fchmod", r);
            goto drop;
        }
    }
    r = qshm__os_stat(draft->fd, file);
    if (r < 0) {
        r = qshm__fail_call(failure, "statx", r);
        goto drop;
    }
    r = map(attachment, request->kind, request->size, false, failure);
    if (r < 0) {
        goto drop;
    }
    write_header(attachment->control, request);
    r = qshm__draw_id(draft->fd, attachment->control, request->kind, &attachment->id, failure);
    if (r == 0) {
        return 0;
    }
    qshm__segment_unmap(attachment);
drop:
    qshm__os_drop_draft(directory->fd, draft);
    attachment->fd = -1;
    return r;
}

static int create(struct qshm__attachment *attachment, struct qshm__directory *directory,
                  const struct qshm__request *request, struct qshm__result *result, struct qshm__failure *failure)
{
    bool recovered = false;
    struct existing existing;
    int r = settle_name(directory, request->name, request->kind, true, &existing, &recovered, failure);
    struct qshm__draft draft;
    struct qshm__stat file;
    bool built = false;
    while (r == GONE && (!built || qshm__os_now() < directory->deadline)) {
        if (!built) {
            r = build(attachment, directory, &draft, &file, request, failure);
            if (r < 0) {
                return r;
            }
            built = true;
            directory->deadline =
                qshm__os_now() + QSHM_PATIENCE; /* reserving memory took its time, and waited for nobody */
        }
        QSHM_POINT("built");
        r = qshm__os_publish(directory->fd, &draft, request->name);
        if (r == 0) {
            if (draft.name[0] != '\0') {
                qshm__registry_unlock(draft.fd);
            }
            QSHM_POINT("published");
            adopt(attachment, directory, request->name, &file);
            attachment->persistent = (request->how & QSHM_PERSISTENT) != 0;
            result->flags =
                QSHM_CREATED | (recovered ? QSHM_RECOVERED : 0u) | (attachment->persistent ? QSHM_IS_PERSISTENT : 0u);
            result->size = request->size;
            qshm__trace("created %s/%s, %llu bytes, as id %u", directory->path, request->name,
                        (unsigned long long)request->size, attachment->id);
            qshm__sweep(directory, request->name);
            return 0;
        }
        if (r != -EEXIST) {
            r = qshm__fail_call(failure, "linkat", r);
            break;
        }
        r = settle_name(directory, request->name, request->kind, true, &existing, &recovered, failure);
    }
    if (built) {
        qshm__segment_unmap(attachment);
        qshm__os_drop_draft(directory->fd, &draft);
        attachment->fd = -1;
    }
    if (r == USED || r == KEPT) {
        qshm__file_let_go(&existing.fd);
        bool usable = existing.seen.state == QSHM_LIVE;
        result->flags = r == USED && !usable ? QSHM_USED : 0;
        return usable ? qshm__fail_check(failure, QSHM_E_ALREADY_EXISTS, r == USED ? "is in use" : "is persistent")
                      : qshm__file_incompatible(&existing.seen, failure);
    }
    return r == GONE ? qshm__fail_check(failure, QSHM_E_BUSY, "the name changes hands all the time") : r;
}

/* --- attach ------------------------------------------------------------------------------------------------------- */

static int check_size(const struct qshm__request *request, uint64_t found, struct qshm__result *result,
                      struct qshm__failure *failure)
{
    result->size = found;
    if (request->size != 0 && !request->any_size && request->size != found) {
        return qshm__fail_check(failure, QSHM_E_SIZE_MISMATCH, "has %llu bytes", (unsigned long long)found);
    }
    return 0;
}

/* Counts ourselves in; under R. A count that outlived its attachments tells that somebody ended without detaching. */
static bool count_in(struct qshm__control *control, bool alone)
{
    bool recovered = alone && atomic_load_explicit(&control->attached, memory_order_relaxed) != 0;
    if (alone) {
        atomic_store_explicit(&control->attached, 0, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&control->attached, 1, memory_order_relaxed);
    return recovered;
}

static int attach(struct qshm__attachment *attachment, struct qshm__directory *directory,
                  const struct qshm__request *request, struct qshm__result *result, struct qshm__failure *failure)
{
    bool recovered = false;
    struct existing existing;
    int r = settle_name(directory, request->name, request->kind, false, &existing, &recovered, failure);
    if (r == GONE) {
        result->flags = recovered ? QSHM_RECOVERED : 0;
        return qshm__fail_check(failure, QSHM_E_NOT_FOUND,
                                recovered ? "was left by processes that are gone" : "does not exist");
    }
    if (r < 0) {
        return r;
    }
    bool used = r == USED;
    int others = qshm__os_range_held(existing.fd, QSHM_RANGE_A, QSHM_IDS, NULL); /* observers do not count themselves */
    attachment->fd = existing.fd;
    attachment->read_only = (request->how & QSHM_READ_ONLY) != 0;
    if (others < 0) {
        r = qshm__fail_call(failure, "fcntl", others);
    } else if (existing.seen.state != QSHM_LIVE) {
        result->flags = used ? QSHM_USED : 0;
        r = qshm__file_incompatible(&existing.seen, failure);
    } else {
        r = check_size(request, existing.seen.size, result, failure);
    }
    if (r == 0) {
        r = map(attachment, request->kind, existing.seen.size, false, failure);
    }
    if (r == 0) {
        r = qshm__draw_id(existing.fd, attachment->control, request->kind, &attachment->id, failure);
        if (r == 0) {
            QSHM_POINT("id drawn");
            recovered = count_in(attachment->control, others == 0) || recovered;
            adopt(attachment, directory, request->name, &existing.file);
            attachment->persistent = existing.seen.persistent;
            result->flags = (recovered ? QSHM_RECOVERED : 0u) | (attachment->persistent ? QSHM_IS_PERSISTENT : 0u);
            qshm__registry_unlock(existing.fd);
            qshm__trace("attached %s/%s as id %u", directory->path, request->name, attachment->id);
            return 0;
        }
        qshm__segment_unmap(attachment);
    }
    qshm__file_let_go(&existing.fd);
    attachment->fd = -1;
    return r;
}

/* See "Observers" at the top. */
static int observe(struct qshm__attachment *attachment, struct qshm__directory *directory,
                   const struct qshm__request *request, struct qshm__result *result, struct qshm__failure *failure)
{
    do {
        int fd;
        struct qshm__stat file;
        int r = qshm__file_open(directory, request->name, false, &fd, &file, failure);
        if (r < 0) {
            return r;
        }
        if (fd < 0) {
            return qshm__fail_check(failure, QSHM_E_NOT_FOUND, "does not exist");
        }
        attachment->fd = fd;
        attachment->read_only = true;
        r = qshm__draw_observer(fd, failure);
        QSHM_POINT("observer drawn");
        r = r < 0 ? r : qshm__registry_pass(fd, directory->deadline, failure);
        r = r < 0 ? r : qshm__file_is_named(directory->fd, request->name, &file, failure);
        if (r == 0) {
            qshm__os_close(fd);
            attachment->fd = -1;
            continue;
        }
        struct qshm__contents seen = {0};
        r = r < 0 ? r : qshm__file_classify(fd, &file, request->kind, &seen, failure);
        if (r == 0) {
            r = qshm__os_range_held(fd, QSHM_RANGE_A, QSHM_IDS, NULL);
            r = r < 0 ? qshm__fail_call(failure, "fcntl", r) : r;
            if (r == 0 && !seen.persistent) {
                r = qshm__fail_check(failure, QSHM_E_NOT_FOUND, "was left by processes that are gone");
            } else if (r >= 0) {
                r = seen.state == QSHM_LIVE ? check_size(request, seen.size, result, failure)
                                            : qshm__file_incompatible(&seen, failure);
            }
        }
        r = r < 0 ? r : map(attachment, request->kind, seen.size, true, failure);
        if (r < 0) {
            qshm__os_close(fd);
            attachment->fd = -1;
            return r;
        }
        adopt(attachment, directory, request->name, &file);
        attachment->persistent = seen.persistent;
        result->flags = QSHM_OBSERVER | (seen.persistent ? QSHM_IS_PERSISTENT : 0u);
        qshm__trace("observes %s/%s: only reading was granted", directory->path, request->name);
        return 0;
    } while (qshm__os_now() < directory->deadline);
    return qshm__fail_check(failure, QSHM_E_BUSY, "the name changes hands all the time");
}

static int attach_as_granted(struct qshm__attachment *attachment, struct qshm__directory *directory,
                             const struct qshm__request *request, struct qshm__result *result,
                             struct qshm__failure *failure)
{
    int r = attach(attachment, directory, request, result, failure);
    bool may_read_only = (request->how & QSHM_READ_ONLY) != 0 && r == QSHM_E_PERMISSION &&
                         (failure->os_error == EACCES || failure->os_error == EROFS);
    return may_read_only ? observe(attachment, directory, request, result, failure) : r;
}

int qshm__segment_open(struct qshm__attachment *attachment, struct qshm__directory *directory,
                       const struct qshm__request *request, struct qshm__result *result, struct qshm__failure *failure)
{
    uint32_t both = QSHM_CREATE | QSHM_ATTACH;
    if ((request->how & both) == QSHM_CREATE) {
        return create(attachment, directory, request, result, failure);
    }
    if ((request->how & both) == QSHM_ATTACH) {
        return attach_as_granted(attachment, directory, request, result, failure);
    }
    uint32_t recovered = 0;
    int r = QSHM_E_BUSY;
    do {
        r = attach_as_granted(attachment, directory, request, result, failure);
        if (r != QSHM_E_NOT_FOUND) {
            return r;
        }
        recovered |= result->flags & QSHM_RECOVERED;
        r = create(attachment, directory, request, result, failure);
        if (r == 0) {
            result->flags |= recovered;
        }
    } while (r == QSHM_E_ALREADY_EXISTS && qshm__os_now() < directory->deadline);
    return r;
}

/* --- detach ------------------------------------------------------------------------------------------------------- */

static void count_out(struct qshm__control *control)
{
    atomic_fetch_sub_explicit(&control->attached, 1, memory_order_relaxed);
}

/* ms: enough when many processes end at once, and too short to be noticed. */
static const double patience_at_exit = 20;

void qshm__segment_leave(struct qshm__attachment *attachment, bool at_exit)
{
    struct qshm__failure ignored;
    if (attachment->id != 0) {
        qshm__guard_release(attachment);
        qshm__lock_abandon(attachment, at_exit);
        QSHM_POINT("lock left");
        qshm__semaphore_leave(attachment);
        qshm__messages_leave(attachment);
        qshm__bell_close(attachment);
        double patience = at_exit ? patience_at_exit : QSHM_PATIENCE;
        bool registered = qshm__registry_lock(attachment->fd, qshm__os_now() + patience, &ignored) == 0;
        if (!registered) { /* while our byte is held, nobody takes what the count says for the traces of a crash */
            count_out(attachment->control);
        }
        qshm__os_unlock_range(attachment->fd, QSHM_RANGE_A + attachment->id, 1);
        struct qshm__stat file = {.device = attachment->device, .inode = attachment->inode};
        QSHM_POINT("last");
        if (!registered) {
            qshm__trace("left %s to its next user: the registry lock is held", attachment->name);
        } else if (!attachment->persistent && !qshm__guard_has_trace(attachment) &&
                   qshm__anybody_attached(attachment->fd, &ignored) == 0 &&
                   qshm__file_is_named(attachment->directory, attachment->name, &file, &ignored) == 1) {
            qshm__bells_discard(attachment->directory, attachment->fd);
            qshm__os_unlink(attachment->directory, attachment->name);
            qshm__trace("removed %s: its last user detached", attachment->name);
        }
        if (registered) {
            count_out(attachment->control);
            QSHM_POINT("counted out");
            qshm__registry_unlock(attachment->fd);
        }
    }
    if (attachment->id == 0) {
        qshm__os_unlock_range(attachment->fd, QSHM_RANGE_B, QSHM_IDS);
    }
    qshm__os_close(attachment->fd);
    qshm__os_close(attachment->directory);
    attachment->fd = attachment->directory = -1; /* the numbers may soon be somebody else's */
}
