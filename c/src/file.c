/*
 * file.c - see file.h.
 *
 * Invariant: whatever stands at the name (a FIFO, a link, a directory, a stranger's file, random bytes), looking at it
 * does no harm and does not hang; and what cannot be read is an error, never taken for something that may be removed.
 */
#include "file.h"

#include <errno.h>

#include "../qshm.h"
#include "layout.h"
#include "liveness.h"

int qshm__file_open(const struct qshm__directory *directory, const char *name, bool writable, int *fd,
                    struct qshm__stat *file, struct qshm__failure *failure)
{
    *fd = qshm__os_open(directory->fd, name, writable);
    if (*fd == -ENOENT) {
        *fd = -1;
        return 0;
    }
    if (*fd < 0) {
        int error = *fd;
        *fd = -1;
        struct qshm__stat found;
        int r = qshm__os_stat_name(directory->fd, name, &found) == 0
                    ? qshm__directory_check_file(directory, &found, failure)
                    : 0;
        return r < 0 ? r : qshm__fail_call(failure, "openat", error);
    }
    int r = qshm__os_stat(*fd, file);
    r = r < 0 ? qshm__fail_call(failure, "statx", r) : qshm__directory_check_file(directory, file, failure);
    if (r < 0) {
        qshm__os_close(*fd);
        *fd = -1;
    }
    return r;
}

int qshm__file_is_named(int directory, const char *name, const struct qshm__stat *file, struct qshm__failure *failure)
{
    struct qshm__stat now;
    int r = qshm__os_stat_name(directory, name, &now);
    if (r == -ENOENT) {
        return 0;
    }
    if (r < 0) {
        return qshm__fail_call(failure, "statx", r);
    }
    return now.inode == file->inode && now.device == file->device;
}

int qshm__file_classify(int fd, const struct qshm__stat *file, uint32_t kind, struct qshm__contents *seen,
                        struct qshm__failure *failure)
{
    *seen = (struct qshm__contents){.state = QSHM_FOREIGN};
    struct {
        struct qshm__header header;
        uint64_t payload_offset, payload_size;
        uint32_t next_id, attached;
    } head;
    _Static_assert(offsetof(struct qshm__control, attached) == 36 && sizeof head == 40, "the part that is read here");
    int r = qshm__os_read(fd, &head, sizeof head, 0);
    if (r < 0) {
        return qshm__fail_call(failure, "pread", r);
    }
    if (r < (int)sizeof head.header || head.header.magic != QSHM_MAGIC) {
        return 0;
    }
    seen->layout = head.header.layout;
    seen->persistent = (head.header.flags & QSHM_FLAG_PERSISTENT) != 0;
    if (head.header.layout != QSHM_LAYOUT) {
        return 0;
    }
    uint64_t control_size = qshm__control_size(kind);
    bool sound = file->size >= control_size && head.header.kind == kind &&
                 head.header.fingerprint == qshm__fingerprint(kind) && head.payload_offset == control_size &&
                 head.payload_size == file->size - control_size;
    seen->state = sound ? QSHM_LIVE : QSHM_CORRUPT;
    seen->size = sound ? head.payload_size : 0;
    seen->clean = sound && head.attached == 0;
    return 0;
}

int qshm__file_incompatible(const struct qshm__contents *seen, struct qshm__failure *failure)
{
    if (seen->state == QSHM_CORRUPT) {
        qshm__fail_check(failure, QSHM_E_INCOMPATIBLE, "is damaged");
    } else if (seen->layout != 0) {
        qshm__fail_check(failure, QSHM_E_INCOMPATIBLE, "has layout %u, this library has %u", seen->layout, QSHM_LAYOUT);
    } else {
        qshm__fail_check(failure, QSHM_E_INCOMPATIBLE, "is no segment of qshm");
    }
    failure->layout = seen->layout;
    return QSHM_E_INCOMPATIBLE;
}

bool qshm__file_is_plain(const struct qshm__stat *file)
{
    return (file->mode & 0170000) == 0100000 && file->links == 1;
}

bool qshm__file_is_of_a_user(const struct qshm__attachment *a, const struct qshm__stat *file)
{
    struct qshm__stat segment;
    if (file->uid == qshm__os_uid()) {
        return true;
    }
    return qshm__os_stat(a->fd, &segment) == 0 &&
           (file->uid == segment.uid || ((segment.mode & 060) != 0 && file->gid == segment.gid));
}

void qshm__file_let_go(int *fd)
{
    qshm__registry_unlock(*fd);
    qshm__os_close(*fd);
    *fd = -1;
}
