/*
 * removal.c - see removal.h.
 *
 * Invariant: as in segment.c, a name is unlinked only while holding R of the file that it names.
 *
 * Failure story: killed before the unlink, nothing has changed; after it, nothing is left to do.
 */
#include "removal.h"

#include <errno.h>
#include <string.h>

#include "../qshm.h"
#include "bell.h"
#include "file.h"
#include "layout.h"
#include "liveness.h"
#include "message_file.h"
#include "names.h"

enum { SWEEP_MOST = 16 };

int qshm__remove(const struct qshm__directory *directory, const char *name, bool force, struct qshm__failure *failure)
{
    do {
        int fd;
        struct qshm__stat file;
        int r = qshm__file_open(directory, name, true, &fd, &file, failure);
        if (r < 0 || fd < 0) {
            return r;
        }
        r = qshm__registry_lock(fd, directory->deadline, failure);
        r = r < 0 ? r : qshm__file_is_named(directory->fd, name, &file, failure);
        if (r == 0) {
            qshm__file_let_go(&fd);
            continue;
        }
        int guarded = r < 0 ? r : qshm__os_range_held(fd, QSHM_RANGE_P, 1, NULL);
        int used = guarded < 0 ? guarded : qshm__anybody_attached(fd, failure);
        if (r == 1 && guarded < 0) {
            r = qshm__fail_call(failure, "fcntl", guarded);
        } else if (r == 1 && used < 0) {
            r = used;
        } else if (r == 1 && (guarded == 1 || (used == 1 && !force))) {
            r = qshm__fail_check(failure, QSHM_E_IN_USE, guarded == 1 ? "is a guard that is held" : "is in use");
            failure->pid = qshm__os_range_holder(file.device, file.inode, guarded == 1 ? QSHM_RANGE_P : QSHM_RANGE_A,
                                                 guarded == 1 ? 1 : QSHM_IDS, 0);
        } else if (r == 1) {
            if (used == 0) {
                qshm__bells_discard(directory->fd, fd);
            }
            int unlinked = qshm__os_unlink(directory->fd, name);
            r = unlinked == 0 || unlinked == -ENOENT ? 1 : qshm__fail_call(failure, "unlinkat", unlinked);
        }
        qshm__file_let_go(&fd);
        return r;
    } while (qshm__os_now() < directory->deadline);
    return qshm__fail_check(failure, QSHM_E_BUSY, "the name changes hands all the time");
}

/* Only what a creator could have made of it so far: nothing, zeros, or a segment. */
static bool is_draft(int fd, const struct qshm__stat *file, const struct qshm__contents *seen)
{
    struct qshm__header header;
    return file->size == 0 || seen->layout != 0 ||
           (qshm__os_read(fd, &header, sizeof header, 0) == (int)sizeof header && header.magic == 0 &&
            header.fingerprint == 0);
}

/* Removes one file if it is certainly ours, dead and not to be kept. Waits for nobody. */
static void sweep_file(const struct qshm__directory *directory, const char *name)
{
    struct qshm__failure ignored;
    struct qshm__stat file;
    int fd;
    bool draft = qshm__os_is_draft_name(name);
    if (qshm__file_open(directory, name, true, &fd, &file, &ignored) < 0 || fd < 0) {
        return;
    }
    if (qshm__anybody_attached(fd, &ignored) == 0 && qshm__registry_lock(fd, 0, &ignored) == 0) {
        struct qshm__contents seen;
        int r = qshm__file_classify(fd, &file, qshm__kind_of_name(name), &seen, &ignored);
        bool ours = r == 0 && (draft ? is_draft(fd, &file, &seen) : seen.layout != 0 && !seen.persistent);
        if (ours && qshm__file_is_named(directory->fd, name, &file, &ignored) == 1 &&
            qshm__anybody_attached(fd, &ignored) == 0) {
            qshm__bells_discard(directory->fd, fd);
            qshm__os_unlink(directory->fd, name);
            qshm__trace("swept %s/%s: nobody who used it is alive", directory->path, name);
        }
        qshm__registry_unlock(fd);
    }
    qshm__os_close(fd);
}

/* Guards are left alone: the next holder is to learn that the last one crashed. */
static bool is_sweepable(const char *name)
{
    uint32_t kind = qshm__kind_of_name(name);
    return (kind != 0 && kind != QSHM_KIND_INSTANCE) || qshm__os_is_draft_name(name);
}

/* Looks at up to 16 files of the directory, and goes on behind them the next time: so a create costs the same in a full
 * directory, and every file has its turn. */
void qshm__sweep(const struct qshm__directory *directory, const char *except)
{
    static _Atomic int64_t next_position; /* another directory's position does no harm: at worst it is behind the end */
    int64_t position = next_position;
    uint32_t looked = 0;
    _Alignas(8) char entries[4096];
    if (qshm__os_seek_directory(directory->fd, position) < 0 && qshm__os_seek_directory(directory->fd, 0) < 0) {
        return;
    }
    int size = qshm__os_read_directory(directory->fd, entries, sizeof entries);
    if (size == 0 && position != 0 && qshm__os_seek_directory(directory->fd, 0) == 0) {
        size = qshm__os_read_directory(directory->fd, entries, sizeof entries);
    }
    position = 0;
    uint32_t offset = 0;
    const char *name;
    while (size > 0 && looked < SWEEP_MOST &&
           (name = qshm__os_next_name(entries, (uint32_t)size, &offset, &position)) != NULL) {
        if (qshm__is_bell_name(name)) {
            qshm__bell_sweep(directory->fd, name);
            looked++;
        } else if (qshm__is_message_name(name)) {
            qshm__message_sweep(directory->fd, name);
            looked++;
        } else if (is_sweepable(name) && strcmp(name, except) != 0) {
            sweep_file(directory, name);
            looked++;
        }
    }
    next_position = size > 0 ? position : 0;
}
