/*
 * message_file.c - the files `r.<16 hex digits>` beside a guard: a request, and behind it its reply.
 *
 * Owns: their names, who may read them, and when one is garbage.
 *
 * Invariants
 *  - Bytes go by pread and pwrite, never through a mapping: a file that somebody truncates under way reads short, where a
 *    mapping would end the process by SIGBUS (M4; test: "message_file_is_truncated").
 *  - No path stands in shared memory: the name is made from the nonce, and opened in the segment's own directory without
 *    following links; type, owner and links are checked.
 *  - Its sender holds a byte of it locked as long as it cares. What nobody has locked for a while is garbage.
 *
 * Failure story: the sender is killed: the kernel frees the byte, and whoever finds the entry that names the file, or
 * sweeps the directory, removes it. The file system is full: the sender is told, and there is no file.
 */
#include "message_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "file.h"
#include "liveness.h"
#include "os.h"

enum { NAME_CAPACITY = 24 };

static void name_of(uint64_t nonce, char name[NAME_CAPACITY])
{
    snprintf(name, NAME_CAPACITY, "r.%016llx", (unsigned long long)nonce);
}

bool qshm__is_message_name(const char *name)
{
    return strncmp(name, "r.", 2) == 0 && strspn(name + 2, "0123456789abcdef") == 16 && name[18] == '\0';
}

/* Of the segment's own mode, so that whoever may use that may read this. */
static int prepare(const struct qshm__attachment *a, int fd)
{
    struct qshm__stat segment;
    int r = qshm__os_lock_range(fd, QSHM_EXCLUSIVE, QSHM_RANGE_A, 1);
    r = r < 0 ? r : qshm__os_stat(a->fd, &segment);
    return r < 0 || (segment.mode & 070) == 0 ? r : qshm__os_set_access(fd, segment.mode & 0770, segment.gid);
}

int qshm__message_make(const struct qshm__attachment *a, uint64_t nonce, const void *bytes, uint64_t size)
{
    char name[NAME_CAPACITY];
    name_of(nonce, name);
    int fd = qshm__os_create(a->directory, name);
    if (fd < 0) {
        return fd;
    }
    QSHM_POINT("message file made");
    int r = prepare(a, fd);
    r = r < 0 ? r : qshm__os_write(fd, bytes, size, 0);
    if (r < 0) {
        qshm__os_unlink(a->directory, name);
        qshm__os_close(fd);
        return r;
    }
    return fd;
}

void qshm__message_remove(const struct qshm__attachment *a, uint64_t nonce)
{
    char name[NAME_CAPACITY];
    name_of(nonce, name);
    qshm__os_unlink(a->directory, name);
}

int qshm__message_open(const struct qshm__attachment *a, uint64_t nonce, bool writable)
{
    char name[NAME_CAPACITY];
    name_of(nonce, name);
    int fd = qshm__os_open(a->directory, name, writable);
    if (fd < 0) {
        return fd;
    }
    struct qshm__stat file;
    int r = qshm__os_stat(fd, &file);
    if (r == 0 && !qshm__file_is_plain(&file)) {
        r = -EINVAL;
    }
    if (r == 0 && !qshm__file_is_of_a_user(a, &file)) {
        r = -EPERM;
    }
    if (r < 0) {
        qshm__os_close(fd);
        return r;
    }
    return fd;
}

int qshm__message_read(int fd, void *bytes, uint64_t size, uint64_t offset)
{
    for (uint64_t at = 0; at < size;) {
        int r = qshm__os_read(fd, (uint8_t *)bytes + at, (size_t)(size - at), offset + at);
        if (r <= 0) {
            return r < 0 ? r : -EIO;
        }
        at += (uint64_t)r;
    }
    return 0;
}

void qshm__message_sweep(int directory, const char *name)
{
    struct qshm__failure ignored;
    struct qshm__stat file;
    if (!qshm__os_is_old(directory, name)) { /* its sender may be about to lock it */
        return;
    }
    int fd = qshm__os_open(directory, name, true);
    if (fd < 0) {
        return;
    }
    if (qshm__os_stat(fd, &file) == 0 && qshm__file_is_plain(&file) && file.uid == qshm__os_uid() &&
        qshm__anybody_attached(fd, &ignored) == 0) {
        qshm__os_unlink(directory, name);
        qshm__trace("swept %s: its sender is dead", name);
    }
    qshm__os_close(fd);
}
