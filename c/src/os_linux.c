/*
 * os_linux.c - files, locks, memory, time on Linux. See os.h for the contract.
 *
 * Only plain POSIX symbols are used as functions, everything that is Linux's own goes through syscall(), with the
 * kernel's own structures: one library file serves glibc and musl hosts. For the same reason there are no thread-local
 * variables and no pthread objects.
 */
#define _GNU_SOURCE
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static int result(long value)
{
    return value < 0 ? -errno : (int)value;
}

/* Evaluates a call until no signal interrupts it. */
#define UNINTERRUPTED(variable, call) \
    do {                              \
        variable = result(call);      \
    } while (variable == -EINTR)

/* --- directories and names ---------------------------------------------------------------------------------------- */

int qshm__os_default_directory(char *path, size_t capacity)
{
    return snprintf(path, capacity, "/dev/shm/qshm-%u", (unsigned)geteuid());
}

int qshm__os_open_directory(const char *path)
{
    QSHM_CALL("open directory");
    int fd;
    UNINTERRUPTED(fd, open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    return fd;
}

int qshm__os_make_directory(const char *path)
{
    QSHM_CALL("mkdir");
    int r = result(mkdirat(AT_FDCWD, path, 0700));
    return r < 0 ? r : qshm__os_repair_directory(path);
}

int qshm__os_repair_directory(const char *path)
{
    QSHM_CALL("fchmodat");
    return result(fchmodat(AT_FDCWD, path, 0700, 0));
}

/* The kernel's struct statfs of 64-bit systems. */
struct kernel_statfs {
    long type, block_size, blocks, blocks_free, blocks_available, files, files_free;
    int id[2];
    long name_length, fragment_size, flags, spare[4];
};

static int file_system(int fd, struct kernel_statfs *out)
{
    QSHM_CALL("fstatfs");
    int r;
    UNINTERRUPTED(r, syscall(SYS_fstatfs, fd, out));
    return r;
}

int qshm__os_check_file_system(int fd, const char **refused_name)
{
    static const struct {
        uint32_t magic;
        const char *name;
    } refused[] = {
        {0x6969, "NFS"},    {0x517b, "SMB"},      {0xff534d42, "CIFS"},  {0xfe534d42, "SMB2"},   {0x65735546, "FUSE"},
        {0x01021997, "9p"}, {0x5346414f, "AFS"},  {0x6b414653, "AFS"},   {0x00c36400, "Ceph"},   {0x73757245, "Coda"},
        {0x564c, "NCP"},    {0x01161970, "GFS2"}, {0x7461636f, "OCFS2"}, {0x0bd00bd0, "Lustre"}, {0x19830326, "FhGFS"},
    };
    struct kernel_statfs found;
    int r = file_system(fd, &found);
    if (r < 0) {
        return r;
    }
    *refused_name = NULL;
    uint32_t type = (uint32_t)QSHM_PRETEND("file system", found.type);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        if (type == refused[i].magic) {
            *refused_name = refused[i].name;
        }
    }
    return 0;
}

bool qshm__os_in_group(uint32_t gid)
{
    if (getegid() == gid) {
        return true;
    }
    static const int most = 65536; /* NGROUPS_MAX */
    int count = getgroups(0, NULL);
    if (count <= 0 || count > most) {
        return false;
    }
    gid_t *groups = malloc((size_t)count * sizeof *groups);
    if (groups == NULL) {
        return false;
    }
    bool found = false;
    count = getgroups(count, groups);
    for (int i = 0; i < count; i++) {
        found = found || groups[i] == gid;
    }
    free(groups);
    return found;
}

uint32_t qshm__os_uid(void)
{
    return (uint32_t)geteuid();
}

int qshm__os_read_directory(int fd, void *buffer, uint32_t capacity)
{
    QSHM_CALL("getdents64");
    return result(syscall(SYS_getdents64, fd, buffer, capacity));
}

int qshm__os_seek_directory(int fd, int64_t position)
{
    QSHM_CALL("lseek");
    return result(lseek(fd, (off_t)position, SEEK_SET) < 0 ? -1 : 0);
}

struct kernel_dirent {
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

const char *qshm__os_next_name(const void *buffer, uint32_t size, uint32_t *offset, int64_t *position)
{
    if (*offset >= size) {
        return NULL;
    }
    const struct kernel_dirent *entry = (const void *)((const char *)buffer + *offset);
    *offset += entry->length;
    if (position != NULL) {
        *position = entry->offset;
    }
    return entry->name;
}

/* --- files -------------------------------------------------------------------------------------------------------- */

int qshm__os_open(int directory, const char *name, bool writable)
{
    QSHM_CALL("openat");
    int fd;
    /* O_NONBLOCK: opening a planted FIFO would otherwise hang. */
    UNINTERRUPTED(
        fd, openat(directory, name, (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
    return fd;
}

/* Mode 0600, whatever the umask. */
static int owners_only(int fd)
{
    return fd < 0 ? fd : result(fchmod(fd, 0600));
}

int qshm__os_create(int directory, const char *name)
{
    QSHM_CALL("openat new");
    int fd;
    UNINTERRUPTED(fd, openat(directory, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600));
    int r = owners_only(fd);
    if (r < 0 && fd >= 0) {
        unlinkat(directory, name, 0);
        close(fd);
    }
    return r < 0 ? r : fd;
}

bool qshm__os_is_old(int directory, const char *name)
{
    static const time_t young = 10; /* s */
    struct stat found;
    return fstatat(directory, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_uid == geteuid() &&
           time(NULL) - found.st_mtim.tv_sec >= young;
}

static int stat_at(int directory, const char *name, int flags, struct qshm__stat *out)
{
    struct statx found;
    int r;
    UNINTERRUPTED(r, syscall(SYS_statx, directory, name, flags, STATX_BASIC_STATS, &found));
    if (r == 0) {
        *out = (struct qshm__stat){
            .device = (uint64_t)found.stx_dev_major << 32 | found.stx_dev_minor,
            .inode = found.stx_ino,
            .size = found.stx_size,
            .mode = found.stx_mode,
            .links = found.stx_nlink,
            .uid = found.stx_uid,
            .gid = found.stx_gid,
        };
    }
    return r;
}

/* What the kernel says for every user that has no number in this user namespace. Our own may be the same: that of a
 * process without a number there, or simply nobody's. */
static const uint32_t no_number = 65534;

/* Only a file's owner may set O_NOATIME; the kernel compares users, not their numbers here. */
static bool is_owner(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (fcntl(fd, F_SETFL, flags | O_NOATIME) < 0 && errno == EPERM)) {
        return false;
    }
    fcntl(fd, F_SETFL, flags);
    return true;
}

int qshm__os_stat(int fd, struct qshm__stat *out)
{
    QSHM_CALL("statx");
    int r = stat_at(fd, "", AT_EMPTY_PATH, out);
    if (r == 0 && out->uid == no_number && qshm__os_uid() == no_number && !is_owner(fd)) {
        out->uid = QSHM_SOMEBODY;
    }
    return r;
}

int qshm__os_stat_name(int directory, const char *name, struct qshm__stat *out)
{
    QSHM_CALL("statx name");
    return stat_at(directory, name, AT_SYMLINK_NOFOLLOW, out);
}

int qshm__os_stat_path(const char *path, struct qshm__stat *out)
{
    QSHM_CALL("statx path");
    return stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, out);
}

int qshm__os_unlink(int directory, const char *name)
{
    QSHM_CALL("unlinkat");
    return result(unlinkat(directory, name, 0));
}

int qshm__os_read(int fd, void *bytes, size_t size, uint64_t offset)
{
    QSHM_CALL("pread");
    int r;
    UNINTERRUPTED(r, pread(fd, bytes, size, (off_t)offset));
    return r;
}

int qshm__os_write(int fd, const void *bytes, uint64_t size, uint64_t offset)
{
    QSHM_CALL("pwrite");
    for (uint64_t at = 0; at < size;) {
        int r;
        uint64_t left = size - at;
        size_t part = left < 1 << 30 ? (size_t)left : 1 << 30;
        UNINTERRUPTED(r, pwrite(fd, (const char *)bytes + at, part, (off_t)(offset + at)));
        if (r <= 0) {
            return r < 0 ? r : -EIO;
        }
        at += (uint64_t)r;
    }
    return 0;
}

int qshm__os_write_stream(int fd, const void *bytes, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        int r;
        UNINTERRUPTED(r, (int)write(fd, (const char *)bytes + at, size - at < 1 << 30 ? (size_t)(size - at) : 1 << 30));
        if (r == -EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (r <= 0) {
            return r < 0 ? r : -EIO;
        } else {
            at += (uint64_t)r;
        }
    }
    return 0;
}

static uint64_t free_bytes(int fd)
{
    struct kernel_statfs found;
    if (file_system(fd, &found) < 0 || found.blocks == 0) {
        return UINT64_MAX; /* a file system without a limit reports no blocks */
    }
    return (uint64_t)found.blocks_available * (uint64_t)found.block_size;
}

/* Where fallocate is not supported, zeros are written: that reserves as well. */
static int write_zeros(int fd, uint64_t size)
{
    static char zeros[65536]; /* not const: so it takes no room in the library file */
    for (uint64_t at = 0; at < size;) {
        uint64_t left = size - at;
        ssize_t written = pwrite(fd, zeros, left < sizeof zeros ? (size_t)left : sizeof zeros, (off_t)at);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        at += written < 0 ? 0 : (uint64_t)written;
    }
    return 0;
}

int qshm__os_reserve(int fd, uint64_t size)
{
    QSHM_CALL("fallocate");
    struct rlimit limit;
    if (size > INT64_MAX || (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur)) {
        return -EFBIG; /* beyond the limit the kernel would send SIGXFSZ, which kills */
    }
    static const uint64_t chunk = UINT64_C(64) << 20; /* a signal makes the kernel undo and repeat at most this much */
    if (size > chunk && size > free_bytes(fd)) {
        return -ENOSPC; /* known at once, instead of after most of the memory was filled */
    }
    for (uint64_t at = 0; at < size;) {
        uint64_t length = size - at < chunk ? size - at : chunk;
        int r = result(syscall(SYS_fallocate, fd, 0, (off_t)at, (off_t)length));
        if (r == -EOPNOTSUPP && at == 0) {
            return write_zeros(fd, size);
        }
        if (r < 0 && r != -EINTR) {
            return r;
        }
        at += r == 0 ? length : 0;
    }
    return 0;
}

int qshm__os_set_access(int fd, uint32_t mode, int64_t gid)
{
    QSHM_CALL("fchmod");
    if (gid >= 0 && fchown(fd, (uid_t)-1, (gid_t)gid) < 0) {
        return -errno;
    }
    return result(fchmod(fd, (mode_t)mode));
}

void qshm__os_close(int fd)
{
    QSHM_CALL_VOID("close");
    close(fd);
}

bool qshm__os_is_draft_name(const char *name)
{
    return strncmp(name, "x.", 2) == 0 && strspn(name + 2, "0123456789abcdef") == 16 && name[18] == '\0';
}

int qshm__os_create_draft(int directory, bool named, struct qshm__draft *draft)
{
    draft->name[0] = '\0';
    QSHM_CALL("openat draft");
    draft->fd = named ? -EOPNOTSUPP : (int)QSHM_PRETEND("O_TMPFILE", 0);
    if (draft->fd == 0) {
        UNINTERRUPTED(draft->fd, openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    }
    if (draft->fd != -EOPNOTSUPP && draft->fd != -EISDIR && draft->fd != -EINVAL) {
        return owners_only(draft->fd);
    }
    snprintf(draft->name, sizeof draft->name, "x.%016llx", (unsigned long long)qshm__os_random());
    UNINTERRUPTED(draft->fd, openat(directory, draft->name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600));
    return owners_only(draft->fd);
}

static void descriptor_path(int fd, char path[32])
{
    snprintf(path, 32, "/proc/self/fd/%d", fd);
}

int qshm__os_publish(int directory, struct qshm__draft *draft, const char *name)
{
    QSHM_CALL("linkat");
    if (draft->name[0] != '\0') {
        return result(syscall(SYS_renameat2, directory, draft->name, directory, name, RENAME_NOREPLACE));
    }
    char path[32];
    descriptor_path(draft->fd, path);
    int r = result(linkat(AT_FDCWD, path, directory, name, AT_SYMLINK_FOLLOW));
    if (r == -ENOENT) { /* /proc is not mounted; without it the kernel may want a capability, or be new enough */
        r = result(linkat(draft->fd, "", directory, name, AT_EMPTY_PATH));
    }
    return r;
}

void qshm__os_drop_draft(int directory, struct qshm__draft *draft)
{
    if (draft->name[0] != '\0') {
        unlinkat(directory, draft->name, 0);
    }
    qshm__os_close(draft->fd);
}

int qshm__os_reopen(int fd, bool writable)
{
    QSHM_CALL("openat again");
    char path[32];
    descriptor_path(fd, path);
    int again;
    UNINTERRUPTED(again, open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    return again;
}

/* --- locks on byte ranges ----------------------------------------------------------------------------------------- */

/* The kernel's struct flock of 64-bit systems, for every libc the same. */
struct kernel_flock {
    int16_t type, whence;
    int64_t start, length;
    int32_t pid;
};

enum { OFD_GETLK = 36, OFD_SETLK = 37 };

static int range_command(int fd, int command, struct kernel_flock *lock)
{
    int r;
    UNINTERRUPTED(r, syscall(SYS_fcntl, fd, command, lock));
    return r == -EACCES ? -EAGAIN : r;
}

int qshm__os_lock_range(int fd, enum qshm__range_lock type, uint64_t start, uint64_t length)
{
    QSHM_CALL("fcntl lock");
    struct kernel_flock lock = {.type = type == QSHM_SHARED ? F_RDLCK : F_WRLCK,
                                .whence = SEEK_SET,
                                .start = (int64_t)start,
                                .length = (int64_t)length};
    return range_command(fd, OFD_SETLK, &lock);
}

int qshm__os_unlock_range(int fd, uint64_t start, uint64_t length)
{
    QSHM_CALL("fcntl unlock");
    struct kernel_flock lock = {
        .type = F_UNLCK, .whence = SEEK_SET, .start = (int64_t)start, .length = (int64_t)length};
    return range_command(fd, OFD_SETLK, &lock);
}

int qshm__os_range_held(int fd, uint64_t start, uint64_t length, uint64_t *found)
{
    QSHM_CALL("fcntl query");
    struct kernel_flock lock = {
        .type = F_WRLCK, .whence = SEEK_SET, .start = (int64_t)start, .length = (int64_t)length};
    int r = range_command(fd, OFD_GETLK, &lock);
    if (r < 0) {
        return r;
    }
    if (lock.type != F_UNLCK && found != NULL) {
        *found = (uint64_t)lock.start;
    }
    return (int)QSHM_PRETEND("lock query", lock.type != F_UNLCK);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

int qshm__os_map(int fd, uint64_t offset, uint64_t size, enum qshm__mapping how, void **out)
{
    QSHM_CALL("mmap");
    int protection = how == QSHM_MAP_SHARED_READ ? PROT_READ : PROT_READ | PROT_WRITE;
    void *address =
        mmap(NULL, (size_t)size, protection, how == QSHM_MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED, fd, (off_t)offset);
    if (address == MAP_FAILED) {
        return -errno;
    }
    /* A mapping holds the file description, and with it every lock byte, even after close(). */
    madvise(address, (size_t)size, MADV_DONTFORK);
    *out = address;
    return 0;
}

int qshm__os_neutralise(void *address, uint64_t size)
{
    QSHM_CALL("mmap fixed");
    void *inert = mmap(address, (size_t)size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    return inert == MAP_FAILED ? -errno : 0;
}

void qshm__os_unmap(void *address, uint64_t size)
{
    QSHM_CALL_VOID("munmap");
    munmap(address, (size_t)size);
}

volatile uint32_t *qshm__os_fork_word(void)
{
    size_t size = (size_t)qshm__os_page_size();
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    if (QSHM_PRETEND("MADV_WIPEONFORK", madvise(page, size, MADV_WIPEONFORK)) < 0) {
        munmap(page, size);
        return NULL;
    }
    *(volatile uint32_t *)page = 1;
    return page;
}

uint64_t qshm__os_page_size(void)
{
    static _Atomic uint64_t size;
    if (size == 0) {
        size = (uint64_t)sysconf(_SC_PAGESIZE);
    }
    return size;
}

/* --- time, sleeping ----------------------------------------------------------------------------------------------- */

double qshm__os_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static struct timespec duration(double ms)
{
    double bounded = ms < 0 ? 0 : ms > 1e6 ? 1e6 : ms;
    time_t seconds = (time_t)(bounded / 1e3);
    return (struct timespec){.tv_sec = seconds, .tv_nsec = (long)((bounded - (double)seconds * 1e3) * 1e6)};
}

void qshm__os_sleep(double ms)
{
    struct timespec time = duration(ms);
    nanosleep(&time, NULL);
}

void qshm__os_wait(const void *word, uint32_t expected, double ms)
{
    QSHM_CALL_VOID("futex wait");
    struct timespec time = duration(ms);
    syscall(SYS_futex, word, FUTEX_WAIT, expected, &time, NULL, 0);
}

int qshm__os_wake(const void *word, bool all)
{
    QSHM_CALL_VOID("futex wake");
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, all ? INT32_MAX : 1, NULL, NULL, 0);
    return woken > 0 ? (int)woken : 0;
}

bool qshm__os_many_processors(void)
{
    static _Atomic int known; /* 0 = not asked yet, 1 = one, 2 = more */
    if (known == 0) {
        unsigned long mask[128] = {0};
        long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
        int words = 0;
        bool many = false;
        for (long i = 0; i < bytes / (long)sizeof *mask; i++) {
            words += mask[i] != 0;
            many = many || (mask[i] & (mask[i] - 1)) != 0; /* more than one bit */
        }
        known = many || words > 1 ? 2 : 1;
    }
    return known == 2;
}

/* --- the process -------------------------------------------------------------------------------------------------- */

uint32_t qshm__os_pid(void)
{
    return (uint32_t)getpid();
}

uintptr_t qshm__os_thread(void)
{
    return (uintptr_t)&errno; /* of which every thread has its own; it costs no system call */
}

uint64_t qshm__os_random(void)
{
    uint64_t value = 0;
    if (syscall(SYS_getrandom, &value, sizeof value, 0) != sizeof value) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        value = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 20;
    }
    return value;
}

const char *qshm__os_environment(const char *name)
{
    return getauxval(AT_SECURE) != 0 ? NULL : getenv(name); /* a setuid program does not obey its caller */
}

void qshm__os_print(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, text, size);
        if (written <= 0) {
            return;
        }
        text += written;
        size -= (size_t)written;
    }
}
