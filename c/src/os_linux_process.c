/*
 * os_linux_process.c - who holds a lock, since when a process runs, and where: read from /proc.
 *
 * The kernel does not tell which process owns an open file description's lock (fcntl gives pid -1), but
 * /proc/PID/fdinfo/FD lists the locks of each description that a process has open. That is the only witness used here:
 * a pid that stands in shared memory is believed only when that process really holds the byte. Processes of other
 * users and of other PID namespaces cannot be looked into; they are reported as 0.
 *
 * These are questions for people (errors, listings); no protocol depends on the answers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "os.h"

static int read_file(int directory, const char *name, char *text, size_t capacity)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    size_t size = 0;
    ssize_t got;
    while (size < capacity - 1 && (got = read(fd, text + size, capacity - 1 - size)) > 0) {
        size += (size_t)got;
    }
    close(fd);
    text[size] = '\0';
    return (int)size;
}

static const char *parse_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *out = value;
    return at > text ? at : NULL;
}

/* What stands behind the command's name, which may hold anything, ')' included; or NULL. */
static const char *read_fields(uint32_t pid, char *text, size_t capacity)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    return read_file(AT_FDCWD, path, text, capacity) < 0 ? NULL : strrchr(text, ')');
}

bool qshm__os_process_has_ended(uint32_t pid)
{
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
        return true;
    }
    char text[1024];
    const char *at = read_fields(pid, text, sizeof text);
    return at != NULL && strncmp(at, ") Z", 3) == 0;
}

uint64_t qshm__os_process_start(uint32_t pid)
{
    char text[1024];
    const char *at = read_fields(pid, text, sizeof text); /* field 22 is looked for */
    for (int field = 2; at != NULL && field < 22; field++) {
        at = strchr(at + 1, ' ');
    }
    uint64_t ticks;
    return at == NULL || parse_number(at + 1, &ticks) == NULL ? 0 : ticks;
}

double qshm__os_process_started(uint32_t pid)
{
    uint64_t ticks = qshm__os_process_start(pid);
    if (ticks == 0) {
        return 0;
    }
    struct timespec real, boot;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    double booted = (double)(real.tv_sec - boot.tv_sec) * 1e3 + (double)(real.tv_nsec - boot.tv_nsec) / 1e6;
    double started = booted + (double)ticks * 1e3 / (double)sysconf(_SC_CLK_TCK);
    return (double)(int64_t)(started / 10) * 10; /* the kernel counts in 10 ms */
}

int qshm__os_open_process(uint32_t pid, uint32_t *uid)
{
    QSHM_CALL("pidfd_open");
    long fd = syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0) {
        return -errno;
    }
    char path[40];
    struct statx found;
    snprintf(path, sizeof path, "/proc/%u", pid); /* of the one behind the descriptor, or it fails the proof */
    if (syscall(SYS_statx, AT_FDCWD, path, 0, STATX_UID, &found) != 0) {
        int r = errno == ENOENT ? -ESRCH : -errno;
        close((int)fd);
        return r;
    }
    *uid = found.stx_uid;
    return (int)fd;
}

int qshm__os_signal_process(int fd, int signal)
{
    QSHM_CALL("pidfd_send_signal");
    return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0 ? 0 : -errno;
}

uint64_t qshm__os_pid_namespace(void)
{
    QSHM_CALL_VOID("statx");
    struct statx found;
    return syscall(SYS_statx, AT_FDCWD, "/proc/self/ns/pid", 0, STATX_INO, &found) == 0 ? found.stx_ino : 0;
}

uint32_t qshm__os_working_directory(char *path, size_t capacity)
{
    QSHM_CALL_VOID("getcwd");
    return getcwd(path, capacity) != NULL && path[0] == '/' ? (uint32_t)strlen(path) : 0;
}

struct search {
    uint64_t device, start, length;
    bool (*found)(void *context, uint64_t inode, uint64_t at, uint32_t pid); /* true: enough */
    void *context;
};

/* Takes the locks out of one fdinfo text: "lock:\t1: OFDLCK ADVISORY  WRITE -1 00:17:1234 FIRST LAST". */
static bool each_lock_of_text(const char *text, uint64_t inode, uint32_t pid, const struct search *search)
{
    for (const char *line = strstr(text, "lock:\t"); line != NULL; line = strstr(line + 1, "lock:\t")) {
        const char *end = strchr(line, '\n');
        const char *type = strstr(line, "OFDLCK");
        if (type == NULL || (end != NULL && type > end)) {
            continue;
        }
        const char *at = type;
        for (int word = 0; word < 5 && at != NULL; word++) { /* to FIRST: behind ADVISORY, WRITE, -1 and the file */
            at = strchr(at, ' ');
            at = at == NULL ? NULL : at + strspn(at, " ");
        }
        uint64_t first;
        if (at != NULL && parse_number(at, &first) != NULL && first >= search->start &&
            first - search->start < search->length && search->found(search->context, inode, first, pid)) {
            return true;
        }
    }
    return false;
}

static bool each_lock_of_process(uint32_t pid, const struct search *search)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%u/fd", pid);
    int fds = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fds < 0) {
        return false;
    }
    bool enough = false;
    _Alignas(8) char entries[4096];
    long size;
    while (!enough && (size = syscall(SYS_getdents64, fds, entries, sizeof entries)) > 0) {
        uint32_t offset = 0;
        const char *name;
        while (!enough && (name = qshm__os_next_name(entries, (uint32_t)size, &offset, NULL)) != NULL) {
            struct statx file;
            uint64_t number;
            if (parse_number(name, &number) == NULL ||
                syscall(SYS_statx, fds, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &file) != 0 ||
                ((uint64_t)file.stx_dev_major << 32 | file.stx_dev_minor) != search->device ||
                (file.stx_mode & 0170000) != 0100000) {
                continue;
            }
            char info[64];
            char text[8192];
            snprintf(info, sizeof info, "/proc/%u/fdinfo/%s", pid, name);
            if (read_file(AT_FDCWD, info, text, sizeof text) > 0) {
                enough = each_lock_of_text(text, file.stx_ino, pid, search);
            }
        }
    }
    close(fds);
    return enough;
}

static void each_lock(const struct search *search, uint32_t only)
{
    QSHM_CALL_VOID("read /proc");
    if (only != 0) {
        each_lock_of_process(only, search);
        return;
    }
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0) {
        return;
    }
    _Alignas(8) char entries[8192];
    long size;
    bool enough = false;
    while (!enough && (size = syscall(SYS_getdents64, proc, entries, sizeof entries)) > 0) {
        uint32_t offset = 0;
        const char *name;
        while (!enough && (name = qshm__os_next_name(entries, (uint32_t)size, &offset, NULL)) != NULL) {
            uint64_t pid;
            const char *end = parse_number(name, &pid);
            if (end != NULL && *end == '\0') {
                enough = each_lock_of_process((uint32_t)pid, search);
            }
        }
    }
    close(proc);
}

void qshm__os_each_lock(uint64_t device, uint64_t start, uint64_t length,
                        bool (*found)(void *context, uint64_t inode, uint64_t at, uint32_t pid), void *context)
{
    struct search search = {.device = device, .start = start, .length = length, .found = found, .context = context};
    each_lock(&search, 0);
}

struct one_file {
    uint64_t inode;
    uint32_t pid;
};

static bool note_pid(void *context, uint64_t inode, uint64_t at, uint32_t pid)
{
    (void)at;
    struct one_file *wanted = context;
    if (inode == wanted->inode) {
        wanted->pid = pid;
    }
    return wanted->pid != 0;
}

uint32_t qshm__os_range_holder(uint64_t device, uint64_t inode, uint64_t start, uint64_t length, uint32_t only)
{
    struct one_file wanted = {.inode = inode};
    struct search search = {.device = device, .start = start, .length = length, .found = note_pid, .context = &wanted};
    each_lock(&search, only);
    return wanted.pid;
}
