/*
 * directory.c - see directory.h.
 */
#include "directory.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "../qshm.h"

enum {
    TYPE = 0170000,
    IS_DIRECTORY = 0040000,
    IS_REGULAR = 0100000,
    IS_LINK = 0120000,
    IS_FIFO = 0010000,
    IS_SOCKET = 0140000
};

static const char *type_name(uint32_t mode)
{
    switch (mode & TYPE) {
    case IS_DIRECTORY:
        return "is a directory";
    case IS_REGULAR:
        return "is a file";
    case IS_LINK:
        return "is a symbolic link";
    case IS_FIFO:
        return "is a FIFO";
    case IS_SOCKET:
        return "is a socket";
    default:
        return "is a device";
    }
}

/* Picks the path. Returns 1 for the default directory, 0 for an explicit one, or an error. */
static int choose_path(struct qshm__directory *directory, const void *path, uint32_t size,
                       struct qshm__failure *failure)
{
    if (size == 0) {
        const char *variable = qshm__os_environment("QSHM_DIRECTORY");
        if (variable == NULL || variable[0] == '\0') {
            qshm__os_default_directory(directory->path, sizeof directory->path);
            return 1;
        }
        path = variable;
        size_t length = strlen(variable);
        size = length < sizeof directory->path ? (uint32_t)length : (uint32_t)sizeof directory->path;
    }
    if (size >= sizeof directory->path) {
        memcpy(directory->path, path, sizeof directory->path - 1);
        directory->path[sizeof directory->path - 1] = '\0';
        return qshm__fail_call(failure, "open", -ENAMETOOLONG);
    }
    memcpy(directory->path, path, size);
    directory->path[size] = '\0';
    if (strlen(directory->path) != size) {
        return QSHM_E_ARGUMENT;
    }
    while (size > 1 && directory->path[size - 1] == '/') { /* with it, a link would be followed */
        directory->path[--size] = '\0';
    }
    return 0;
}

/* A directory could not be opened: says why as exactly as can be found out. */
static int explain_open(struct qshm__directory *directory, int error, struct qshm__failure *failure)
{
    struct qshm__stat found;
    if (error == -ENOENT) {
        return qshm__fail_check(failure, QSHM_E_NO_DIRECTORY, "does not exist");
    }
    if ((error == -ENOTDIR || error == -ELOOP) && qshm__os_stat_path(directory->path, &found) == 0) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_DIRECTORY, "%s", type_name(found.mode));
    }
    return qshm__fail_call(failure, "open", error);
}

static int refuse_owner(uint32_t uid, int error, struct qshm__failure *failure)
{
    return uid == QSHM_SOMEBODY ? qshm__fail_check(failure, error, "belongs to a user without a number here")
                                : qshm__fail_check(failure, error, "belongs to user %u", uid);
}

static int check(struct qshm__directory *directory, bool is_default, struct qshm__failure *failure)
{
    struct qshm__stat found;
    int r = qshm__os_stat(directory->fd, &found);
    if (r < 0) {
        return qshm__fail_call(failure, "statx", r);
    }
    uint32_t permissions = found.mode & 07777;
    directory->gid = found.gid;
    directory->group_shared = !is_default && (permissions & 020) != 0 && qshm__os_in_group(found.gid);
    if ((permissions & 002) != 0 || (is_default && (permissions & 077) != 0)) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_DIRECTORY, "is open to others (mode %04o)", permissions);
    }
    if (directory->group_shared && (permissions & 01000) != 0) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_DIRECTORY,
                                "is sticky (mode %04o): what one user's crash leaves there no other could remove",
                                permissions);
    }
    bool ours = found.uid == qshm__os_uid() || (!is_default && (found.uid == 0 || directory->group_shared));
    if (!ours) {
        return refuse_owner(found.uid, QSHM_E_UNSAFE_DIRECTORY, failure);
    }
    static _Atomic uint64_t accepted; /* the device that was asked about last, plus 1 */
    if (accepted != found.device + 1) {
        const char *refused;
        r = qshm__os_check_file_system(directory->fd, &refused);
        if (r < 0) {
            return qshm__fail_call(failure, "fstatfs", r);
        }
        if (refused != NULL) {
            return qshm__fail_check(failure, QSHM_E_UNSUPPORTED, "is on %s, where locks or mappings do not hold",
                                    refused);
        }
        accepted = found.device + 1;
    }
    return 0;
}

/* A second description of a draft: through /proc, or by its name where that is not mounted. */
static int open_again(const struct qshm__directory *directory, const struct qshm__draft *draft)
{
    return draft->name[0] == '\0' ? qshm__os_reopen(draft->fd, true) : qshm__os_open(directory->fd, draft->name, true);
}

/*
 * Some systems accept the lock commands and do nothing, or know them not at all (proot, old gVisor). There everybody
 * would look dead, so it is found out once a process, on a file that nobody sees: a lock taken through one description
 * must show through another.
 */
static int probe_locks(struct qshm__directory *directory, struct qshm__failure *failure)
{
    static _Atomic bool works;
    if (works) {
        return 0;
    }
    struct qshm__draft draft;
    int second = -ENOENT;
    for (int named = 0; named < 2 && second == -ENOENT; named++) {
        int r = qshm__os_create_draft(directory->fd, named == 1, &draft);
        if (r == -EROFS || r == -EACCES || r == -EPERM || r == -ENOSPC || r == -EDQUOT) {
            return 0; /* nothing can be made here; what exists was made by a process that has asked this question */
        }
        if (r < 0) {
            return qshm__fail_call(failure, "openat", r);
        }
        second = open_again(directory, &draft);
        if (second < 0) {
            qshm__os_drop_draft(directory->fd, &draft);
        }
    }
    if (second < 0) {
        return qshm__fail_call(failure, "openat", second);
    }
    int r = qshm__os_lock_range(draft.fd, QSHM_EXCLUSIVE, 0, 1);
    int seen = r < 0 ? r : qshm__os_range_held(second, 0, 1, NULL);
    qshm__os_close(second);
    qshm__os_drop_draft(directory->fd, &draft);
    if (seen == -EINVAL || seen == -ENOSYS || seen == 0) {
        return qshm__fail_check(failure, QSHM_E_UNSUPPORTED, "is where open-file-description locks do not work");
    }
    if (seen < 0) {
        return qshm__fail_call(failure, "fcntl", seen);
    }
    works = true;
    return 0;
}

/* Opens the default directory; makes it, or gives it back the owner's bits that a umask took, if need be. */
static int open_default(const char *path, bool make)
{
    struct qshm__stat found;
    int fd = qshm__os_open_directory(path);
    if (fd == -ENOENT && make) {
        int made = qshm__os_make_directory(path);
        if (made < 0 && made != -EEXIST) { /* EEXIST: another process was faster */
            return made;
        }
        fd = qshm__os_open_directory(path);
    }
    int r = fd >= 0 ? qshm__os_stat(fd, &found) : fd;
    if (fd == -EACCES) {
        r = qshm__os_stat_path(path, &found);
    }
    bool ours = r == 0 && (found.mode & TYPE) == IS_DIRECTORY && found.uid == qshm__os_uid();
    if (ours && (found.mode & 0700) != 0700 && qshm__os_repair_directory(path) == 0 && fd < 0) {
        fd = qshm__os_open_directory(path);
    }
    return fd;
}

int qshm__directory_open(struct qshm__directory *directory, const void *path, uint32_t size, bool make,
                         struct qshm__failure *failure)
{
    directory->fd = -1;
    directory->path[0] = '\0';
    directory->deadline = qshm__os_now() + QSHM_PATIENCE;
    int is_default = choose_path(directory, path, size, failure);
    if (is_default < 0) {
        return is_default;
    }
    int fd = is_default ? open_default(directory->path, make) : qshm__os_open_directory(directory->path);
    if (fd == -ENOENT && is_default && !make) {
        return qshm__fail_check(failure, QSHM_E_NOT_FOUND, "does not exist");
    }
    if (fd < 0) {
        return explain_open(directory, fd, failure);
    }
    directory->fd = fd;
    int r = check(directory, is_default == 1, failure);
    if (r == 0) {
        r = probe_locks(directory, failure);
    }
    if (r < 0) {
        qshm__directory_close(directory);
    }
    return r;
}

void qshm__directory_close(struct qshm__directory *directory)
{
    qshm__os_close(directory->fd);
    directory->fd = -1;
}

int qshm__directory_check_file(const struct qshm__directory *directory, const struct qshm__stat *file,
                               struct qshm__failure *failure)
{
    if ((file->mode & TYPE) != IS_REGULAR) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_FILE, "%s", type_name(file->mode));
    }
    if (file->links > 1) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_FILE, "has %u hard links", file->links);
    }
    if (file->uid != qshm__os_uid() && !(directory->group_shared && file->gid == directory->gid)) {
        return refuse_owner(file->uid, QSHM_E_UNSAFE_FILE, failure);
    }
    if ((file->mode & 002) != 0) {
        return qshm__fail_check(failure, QSHM_E_UNSAFE_FILE, "is open to others (mode %04o)", file->mode & 07777);
    }
    return 0;
}
