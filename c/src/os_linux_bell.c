/*
 * os_linux_bell.c - the descriptors behind bells: FIFOs for runtimes that poll pipes, datagram sockets for those that
 * poll sockets only. See os.h for the contract, and bell.c for what they are for.
 *
 * Invariants
 *  - Whoever listens to a FIFO, or rings it, has it open for reading and writing: the reader never sees an end when one
 *    that rang closes, and nobody gets ENXIO or SIGPIPE when the reader is gone.
 *  - No call here waits, whatever stands at the name.
 *  - A socket's path would often be too long for its address (108 bytes): it is reached through /proc/self/fd.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../qshm.h"
#include "fault.h"
#include "os.h"

static int result(long value)
{
    return value < 0 ? -errno : (int)value;
}

static struct sockaddr_un address_of(int fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d%s%s", fd, name[0] == '\0' ? "" : "/", name);
    return address;
}

static int make_socket(void)
{
    return result(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

static int make_fifo(int directory, const char *name)
{
    int r = result(mkfifoat(directory, name, 0600));
    return r < 0 ? r : result(openat(directory, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
}

static int make_bound_socket(int directory, const char *name)
{
    int fd = make_socket();
    struct sockaddr_un address = address_of(directory, name);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

/* What stands at the name, if it is what was made there. */
static int find_made(int directory, const char *name, uint32_t kind, int fd)
{
    struct stat there, made;
    int place = result(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    int r = place < 0 ? place : result(fstat(place, &there));
    if (r == 0 && kind == QSHM_BELL_FIFO) {
        r = result(fstat(fd, &made));
        r = r == 0 && made.st_ino == there.st_ino && S_ISFIFO(there.st_mode) ? r : -EPERM;
    } else if (r == 0) { /* the descriptor of a socket is not its file's */
        r = S_ISSOCK(there.st_mode) && there.st_uid == geteuid() ? 0 : -EPERM;
    }
    if (r < 0 && place >= 0) {
        close(place);
    }
    return r < 0 ? r : place;
}

/* In a directory that a group may write, another may have put something else at the name, such as a link: so only what was
 * made is changed (test: "bell_never_changes_another_file"). */
static int give_access(int directory, const char *name, uint32_t kind, int fd, uint32_t mode, uint32_t gid)
{
    int place = find_made(directory, name, kind, fd);
    if (place < 0) {
        return place;
    }
    /* A bell that its group cannot ring is heard late, so a failure is none. */
    if ((mode & 070) != 0 && fchownat(place, "", (uid_t)-1, gid, AT_EMPTY_PATH) < 0) {
        mode &= 0700;
    }
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    int r = result(fchmodat(AT_FDCWD, path, mode | 0600, 0));
    close(place);
    return r;
}

int qshm__os_make_bell(int directory, const char *name, uint32_t kind, uint32_t mode, uint32_t gid)
{
    QSHM_CALL("make bell");
    int fd = kind == QSHM_BELL_FIFO ? make_fifo(directory, name) : make_bound_socket(directory, name);
    if (fd < 0) {
        return fd;
    }
    QSHM_POINT("bell file made");
    int r = give_access(directory, name, kind, fd, mode, gid);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static int stat_of(int fd, struct qshm__stat *file)
{
    struct stat found;
    if (fstat(fd, &found) < 0) {
        return -errno;
    }
    *file = (struct qshm__stat){.mode = found.st_mode, .uid = found.st_uid, .gid = found.st_gid};
    return 0;
}

static int reach_fifo(int directory, const char *name, struct qshm__stat *file)
{
    int fd = result(openat(directory, name, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    int r = fd < 0 ? fd : stat_of(fd, file);
    if (r == 0 && !S_ISFIFO(file->mode)) {
        r = -EINVAL;
    }
    if (r < 0 && fd >= 0) {
        close(fd);
    }
    return r < 0 ? r : fd;
}

static int reach_socket(int directory, const char *name, struct qshm__stat *file)
{
    int place = result(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    int r = place < 0 ? place : stat_of(place, file);
    if (r == 0 && !S_ISSOCK(file->mode)) {
        r = -EINVAL;
    }
    int fd = r < 0 ? r : make_socket();
    if (fd >= 0) {
        struct sockaddr_un address = address_of(place, "");
        r = result(connect(fd, (const struct sockaddr *)&address, sizeof address));
        if (r < 0) {
            close(fd);
            fd = r;
        }
    }
    if (place >= 0) {
        close(place);
    }
    return fd;
}

int qshm__os_reach_bell(int directory, const char *name, uint32_t kind, struct qshm__stat *file)
{
    QSHM_CALL("reach bell");
    return kind == QSHM_BELL_FIFO ? reach_fifo(directory, name, file) : reach_socket(directory, name, file);
}

int qshm__os_ring(int fd, uint32_t kind)
{
    QSHM_CALL("ring");
    static const char byte = 1; /* an empty datagram would look like the end */
    return result(kind == QSHM_BELL_FIFO ? write(fd, &byte, 1) : send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* s: a bell that was made just now may not be listened to yet. */
static const time_t new_for = 10;

bool qshm__os_is_deserted_bell(int directory, const char *name)
{
    struct stat found;
    if (fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) < 0 || found.st_uid != geteuid() ||
        time(NULL) - found.st_mtim.tv_sec < new_for) {
        return false;
    }
    int fd = -1;
    int r = 0;
    if (S_ISFIFO(found.st_mode)) {
        fd = openat(directory, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
        r = fd < 0 ? -errno : 0;
    } else if (S_ISSOCK(found.st_mode)) {
        struct qshm__stat ignored;
        fd = reach_socket(directory, name, &ignored);
        r = fd < 0 ? fd : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    return r == -ENXIO || r == -ECONNREFUSED;
}
