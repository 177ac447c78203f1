/*
 * directory.c - which directories and files are used, which are refused, and between which users.
 *
 * Invariant: cases that need other users or a mount of their own are skipped by name where the caller is not root.
 * Changes of user happen in children only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { NOBODY = 65534, SOMEBODY = 64321, OTHER = 64322, GROUP = 64400 };

static void need_root(void)
{
    if (geteuid() != 0) {
        runner_skip("needs root, to become other users");
    }
}

static void become(uid_t uid, gid_t gid)
{
    EQ(setgroups(1, &gid), 0);
    EQ(setresgid(gid, gid, gid), 0);
    EQ(setresuid(uid, uid, uid), 0);
}

static const char *sub_directory(const char *name, mode_t mode)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", runner_directory(), name);
    EQ(mkdir(path, 0700), 0);
    EQ(chmod(path, mode), 0);
    return path;
}

static int32_t open_in(const char *directory, uint32_t how)
{
    return qshm_open(QSHM_KIND_MEMORY, how, 0, (how & QSHM_CREATE) != 0 ? 4096 : 0, "a", 1, directory,
                     (uint32_t)strlen(directory), &outcome);
}

static void expect_unsafe(const char *directory, const char *why)
{
    EQ(open_in(directory, QSHM_CREATE), QSHM_E_UNSAFE_DIRECTORY);
    if (strstr(outcome.why, why) == NULL) {
        runner_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", outcome.why, why);
    }
    EQ_TEXT(outcome.path, directory);
    EQ(qshm_list(directory, (uint32_t)strlen(directory), NULL, 0, &outcome), QSHM_E_UNSAFE_DIRECTORY);
}

/* The same directory, written with something behind it. */
static void expect_unsafe_as(const char *tail, const char *directory, const char *why)
{
    char path[300];
    snprintf(path, sizeof path, "%s%s", directory, tail);
    EQ(open_in(path, QSHM_CREATE), QSHM_E_UNSAFE_DIRECTORY);
    CHECK(strstr(outcome.why, why) != NULL);
    EQ_TEXT(outcome.path, directory);
}

CASE(directory_explicit)
{
    char path[256], link[256];
    snprintf(path, sizeof path, "%s", sub_directory("plain", 0700));
    GT(open_in(path, QSHM_CREATE), 0);
    snprintf(link, sizeof link, "%s/link", runner_directory());
    EQ(symlink(path, link), 0);
    expect_unsafe(link, "symbolic link");
    expect_unsafe_as("/", link, "symbolic link"); /* with which a link would be followed */
    expect_unsafe_as("///", link, "symbolic link");
    snprintf(link, sizeof link, "%s/file", runner_directory());
    close(open(link, O_CREAT | O_RDWR, 0600));
    expect_unsafe(link, "is a file");
    expect_unsafe(sub_directory("world", 0777), "open to others");
    expect_unsafe(sub_directory("sticky", 01777), "open to others");
    snprintf(link, sizeof link, "%s/none", runner_directory());
    EQ(open_in(link, QSHM_CREATE), QSHM_E_NO_DIRECTORY);
    EQ(open_in(link, QSHM_ATTACH), QSHM_E_NO_DIRECTORY);
    EQ(open_in("", QSHM_ATTACH), QSHM_E_NOT_FOUND);
    EQ(qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 1, "a", 1, "a\0b", 3, &outcome), QSHM_E_ARGUMENT);
    static char longest[70000];
    memset(longest, 'd', sizeof longest);
    LT(qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 1, "a", 1, longest, 4096, &outcome), 0);
    LT(qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 1, "a", 1, longest, sizeof longest, &outcome), 0);
    LT(qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 1, "a", 1, longest, 4095, &outcome), 0);
}

CASE(directory_refused_file_systems)
{
    static const char *const magics[] = {"0x6969", "0xff534d42", "0xfe534d42", "0x65735546", "0x01021997"};
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        char pretend[64];
        snprintf(pretend, sizeof pretend, "file system=%s", magics[i]);
        setenv("QSHM_PRETEND", pretend, 1);
        EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_UNSUPPORTED);
        CHECK(strstr(outcome.why, "where locks or mappings do not hold") != NULL);
        EQ(count_files(), 0);
    }
    unsetenv("QSHM_PRETEND");
    GT(open_memory(QSHM_CREATE, "a"), 0);
}

/* A system that knows the lock commands and does nothing, and one that does not know them: refused, nothing is left. */
CASE(directory_where_locks_do_not_work)
{
    static const char *const answers[] = {"lock query=0", "lock query=-22"};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        setenv("QSHM_PRETEND", answers[i], 1);
        EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_UNSUPPORTED);
        CHECK(strstr(outcome.why, "locks do not work") != NULL);
        EQ(open_memory(QSHM_ATTACH, "a"), QSHM_E_UNSUPPORTED);
        EQ(count_files(), 0);
    }
    unsetenv("QSHM_PRETEND");
    GT(open_memory(QSHM_CREATE, "a"), 0);
}

/* --- the default one ---------------------------------------------------------------------------------------------- */

static void use_default(void *argument)
{
    become(SOMEBODY, SOMEBODY);
    unsetenv("QSHM_DIRECTORY");
    int32_t expected = *(const int32_t *)argument;
    EQ(open_memory(QSHM_ATTACH, "a"), expected == 0 ? QSHM_E_NOT_FOUND : expected);
    int32_t r = open_memory(QSHM_CREATE, "a");
    if (expected == 0) {
        GT(r, 0);
        struct stat status;
        EQ(stat("/dev/shm/qshm-64321", &status), 0);
        EQ(status.st_mode & 07777, 0700);
        EQ(status.st_uid, SOMEBODY);
        EQ(stat("/dev/shm/qshm-64321/m-a", &status), 0);
        EQ(status.st_mode & 07777, 0600);
        EQ(qshm_detach((uint32_t)r), 0);
    } else {
        EQ(r, expected);
    }
}

CASE(directory_default)
{
    need_root();
    static const char path[] = "/dev/shm/qshm-64321";
    struct stat status;
    if (lstat(path, &status) == 0) {
        runner_skip("%s exists, and is not this test's", path);
    }
    int32_t good = 0, unsafe = QSHM_E_UNSAFE_DIRECTORY;
    EQ(wait_exit(spawn(use_default, &good)), 0);
    EQ(wait_exit(spawn(use_default, &good)), 0); /* it is there by now */
    EQ(chmod(path, 0750), 0);
    int group_readable = wait_exit(spawn(use_default, &unsafe));
    EQ(chmod(path, 0777), 0);
    int world_writable = wait_exit(spawn(use_default, &unsafe));
    EQ(chmod(path, 0700), 0);
    EQ(chown(path, OTHER, OTHER), 0);
    int foreign = wait_exit(spawn(use_default, &(int32_t){QSHM_E_PERMISSION}));
    EQ(rmdir(path), 0);
    EQ(symlink("/tmp", path), 0);
    int link = wait_exit(spawn(use_default, &unsafe));
    EQ(unlink(path), 0);
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR, 0600);
    close(fd);
    int file = wait_exit(spawn(use_default, &unsafe));
    EQ(unlink(path), 0);
    EQ(group_readable, 0);
    EQ(world_writable, 0);
    EQ(foreign, 0);
    EQ(link, 0);
    EQ(file, 0);
}

static void expect_foreign(void *argument)
{
    become(NOBODY, NOBODY);
    expect_unsafe(argument, "belongs to user 64322");
}

CASE(directory_of_another_user)
{
    need_root();
    char path[256];
    EQ(chmod(runner_directory(), 0711), 0);
    snprintf(path, sizeof path, "%s", sub_directory("other", 0755));
    EQ(chown(path, OTHER, OTHER), 0);
    EQ(wait_exit(spawn(expect_foreign, path)), 0);
}

/* --- a directory shared by a group -------------------------------------------------------------------------------- */

struct shared_use {
    char path[256];
    struct gate ready, done;
    uint32_t mode;
};

static void create_for_group(void *argument)
{
    struct shared_use *use = argument;
    become(SOMEBODY, GROUP);
    int32_t handle = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, use->mode, 4096, "a", 1, use->path,
                               (uint32_t)strlen(use->path), &outcome);
    GT(handle, 0);
    EQ(qshm_write((uint32_t)handle, 0, "hello", 5), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user has cleared it */
    gate_open(&use->ready);
    gate_pass(&use->done);
    EQ(qshm_detach((uint32_t)handle), 0);
}

static void share(void *argument)
{
    struct shared_use *use = argument;
    become(OTHER, GROUP);
    int32_t handle = open_in(use->path, QSHM_ATTACH);
    GT(handle, 0);
    char bytes[6] = "";
    EQ(qshm_read((uint32_t)handle, 0, bytes, 5), 0);
    EQ_TEXT(bytes, "hello");
    EQ(qshm_try_lock((uint32_t)handle), 1);
    EQ(qshm_unlock((uint32_t)handle), 0);
    EQ(qshm_detach((uint32_t)handle), 0);
}

static void stay_out(void *argument)
{
    struct shared_use *use = argument;
    become(NOBODY, NOBODY);
    LT(open_in(use->path, QSHM_ATTACH), 0);
    LT(open_in(use->path, QSHM_CREATE), 0);
}

static struct shared_use share_directory(uint32_t mode)
{
    struct shared_use use = {.ready = gate_make(), .done = gate_make(), .mode = mode};
    EQ(chmod(runner_directory(), 0711), 0);
    snprintf(use.path, sizeof use.path, "%s", sub_directory("shared", 0700));
    EQ(chown(use.path, 0, GROUP), 0);
    EQ(chmod(use.path, 0770), 0);
    return use;
}

CASE(directory_shared_by_a_group)
{
    need_root();
    struct shared_use use = share_directory(0660);
    pid_t owner = spawn(create_for_group, &use);
    gate_pass(&use.ready);
    EQ(wait_exit(spawn(share, &use)), 0);
    EQ(wait_exit(spawn(stay_out, &use)), 0);
    gate_open(&use.done);
    EQ(wait_exit(owner), 0);
    setenv("QSHM_DIRECTORY", use.path, 1);
    EQ(count_files(), 0);
}

static void expect_sticky(void *argument)
{
    become(SOMEBODY, GROUP);
    expect_unsafe(argument, "is sticky (mode 1770)");
    EQ(open_in(argument, QSHM_ATTACH), QSHM_E_UNSAFE_DIRECTORY);
}

/* In a sticky directory no user could remove what another user's crash has left. */
CASE(directory_shared_and_sticky)
{
    need_root();
    struct shared_use use = share_directory(0660);
    EQ(chmod(use.path, 01770), 0);
    EQ(wait_exit(spawn(expect_sticky, use.path)), 0);
}

struct observation {
    struct shared_use *use;
    struct gate ready, done;
};

static void observe(void *argument)
{
    struct observation *observation = argument;
    const char *path = observation->use->path;
    become(OTHER, GROUP);
    EQ(open_in(path, QSHM_ATTACH), QSHM_E_PERMISSION);
    EQ(outcome.os_error, EACCES);
    int32_t r = open_in(path, QSHM_ATTACH | QSHM_READ_ONLY);
    GT(r, 0);
    EQ(outcome.flags & QSHM_OBSERVER, QSHM_OBSERVER);
    uint32_t handle = (uint32_t)r;
    char bytes[6] = "";
    EQ(qshm_read(handle, 0, bytes, 5), 0);
    EQ_TEXT(bytes, "hello");
    EQ(qshm_write(handle, 0, "no", 2), QSHM_E_READ_ONLY);
    EQ(qshm_write_if_changed(handle, 0, "no", 2), QSHM_E_READ_ONLY);
    EQ(qshm_try_lock(handle), QSHM_E_READ_ONLY);
    EQ(qshm_poll_lock(handle), QSHM_E_READ_ONLY);
    EQ(qshm_cancel_lock(handle), QSHM_E_READ_ONLY);
    EQ(qshm_wait_lock(handle, 1), QSHM_E_READ_ONLY);
    EQ(qshm_unlock(handle), QSHM_E_READ_ONLY);
    struct qshm_process process;
    EQ(qshm_force_unlock(handle, 0, &process), QSHM_E_READ_ONLY);
    EQ(qshm_lock_owner(handle, &process), 0);
    EQ(qshm_revision(handle), 1);
    char *view = qshm_payload(handle);
    CHECK(view != NULL);
    view[0] = 'J'; /* its own copy */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    gate_open(&observation->ready);
    gate_pass(&observation->done);
    EQ(qshm_read(handle, 0, bytes, 5), 0);
    EQ_TEXT(bytes, "hello");
    EQ(qshm_detach(handle), 1);
    EQ(qshm_unmap(handle, 0), 0);
    EQ(count_maps(), 0);
}

CASE(directory_observers)
{
    need_root();
    struct shared_use use = share_directory(0640);
    struct observation observation = {.use = &use, .ready = gate_make(), .done = gate_make()};
    pid_t owner = spawn(create_for_group, &use);
    gate_pass(&use.ready);
    pid_t observer = spawn(observe, &observation);
    gate_pass(&observation.ready);
    gate_open(&use.done);
    EQ(wait_exit(owner), 0);
    setenv("QSHM_DIRECTORY", use.path, 1);
    CHECK(exists("m-a")); /* the observer keeps it */
    CHECK(!is_dead("m-a"));
    gate_open(&observation.done);
    EQ(wait_exit(observer), 0);
    CHECK(is_dead("m-a"));
}

/* --- what stands at a name ---------------------------------------------------------------------------------------- */

static void expect_unsafe_file(const char *why)
{
    struct stat before, after;
    EQ(lstat(path_of("m-a"), &before), 0);
    uint32_t hows[] = {QSHM_CREATE, QSHM_ATTACH, QSHM_CREATE | QSHM_ATTACH, QSHM_ATTACH | QSHM_READ_ONLY};
    struct qshm_info info;
    for (size_t i = 0; i < 6; i++) {
        int32_t r = i < 4    ? open_memory(hows[i], "a")
                    : i == 4 ? inspect_name("m-a", &info)
                             : remove_name("m-a", true);
        if (r != QSHM_E_UNSAFE_FILE || strstr(outcome.why, why) == NULL) {
            runner_fail(__FILE__, __LINE__, "call %zu: %d (%s), \"%s\" against \"%s\"", i, r, error_name(r),
                        outcome.why, why);
        }
    }
    EQ(lstat(path_of("m-a"), &after), 0);
    EQ(before.st_ino, after.st_ino);
    EQ(before.st_size, after.st_size);
    EQ(remove(path_of("m-a")), 0);
}

CASE(directory_occupied_names)
{
    int fds = count_fds();
    EQ(symlink("/proc/version", path_of("m-a")), 0);
    expect_unsafe_file("symbolic link");
    EQ(symlink("nowhere", path_of("m-a")), 0);
    expect_unsafe_file("symbolic link");
    EQ(mkfifo(path_of("m-a"), 0600), 0);
    expect_unsafe_file("FIFO");
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/m-a", runner_directory());
    EQ(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    close(server);
    expect_unsafe_file("socket");
    EQ(mkdir(path_of("m-a"), 0700), 0);
    expect_unsafe_file("directory");
    int file = open(path_of("precious"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EQ(write(file, "precious", 8), 8);
    EQ(link(path_of("precious"), path_of("m-a")), 0);
    expect_unsafe_file("hard links");
    struct stat status;
    EQ(fstat(file, &status), 0);
    EQ(status.st_size, 8);
    close(file);
    close(open(path_of("m-a"), O_CREAT | O_RDWR, 0600));
    EQ(chmod(path_of("m-a"), 0666), 0);
    expect_unsafe_file("open to others");
    EQ(count_fds(), fds);
}

CASE(directory_file_of_another_user)
{
    need_root();
    close(open(path_of("m-a"), O_CREAT | O_RDWR, 0600));
    EQ(chown(path_of("m-a"), OTHER, OTHER), 0);
    expect_unsafe_file("belongs to user 64322");
}

/* A file that is none of ours and that nobody uses makes way for a new segment, not for a question; nobody who used a
 * segment has crashed, so nothing is told. */
CASE(directory_foreign_file)
{
    static const uint32_t hows[] = {QSHM_ATTACH, QSHM_ATTACH | QSHM_READ_ONLY, QSHM_CREATE, QSHM_CREATE | QSHM_ATTACH};
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        int file = open(path_of("m-a"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        EQ(write(file, "text", 4), 4);
        close(file);
        struct qshm_info info;
        GT(inspect_name("m-a", &info), 0);
        EQ(info.state, QSHM_FOREIGN);
        int32_t r = open_memory(hows[i], "a");
        EQ(outcome.flags & QSHM_RECOVERED, 0);
        if ((hows[i] & QSHM_CREATE) != 0) {
            GT(r, 0);
            EQ(qshm_detach((uint32_t)r), 0);
            EQ(count_files(), 0);
        } else {
            EQ(r, QSHM_E_NOT_FOUND);
            EQ(count_files(), 1);
        }
    }
}

/* The same with what was a segment: told unless all its users have left in order. */
CASE(directory_left_file)
{
    for (int in_order = 0; in_order < 2; in_order++) {
        leave_dead(QSHM_KIND_MEMORY, 0, "a");
        if (in_order == 1) {
            const uint32_t nobody = 0;
            poke("m-a", offsetof(struct qshm__control, attached), &nobody, sizeof nobody);
        }
        EQ(open_memory(QSHM_ATTACH, "a"), QSHM_E_NOT_FOUND);
        EQ(outcome.flags, in_order == 1 ? 0 : QSHM_RECOVERED);
        EQ(count_files(), 0);
    }
}

/* --- a full file system ------------------------------------------------------------------------------------------- */

CASE(directory_full)
{
    need_root();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", runner_directory(), "tmpfs", 0, "size=256k,mode=0700") != 0) {
        runner_skip("no mount of its own: %s", strerror(errno));
    }
    static const double sizes[] = {1 << 20, 300 << 10, 252 << 10, 128 << 20, 1e12, 9007199254740992.0};
    int fds = count_fds();
    for (int named = 0; named < 2; named++) {
        setenv("QSHM_PRETEND", named == 0 ? "" : "O_TMPFILE=-95", 1);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            EQ(open_kind(QSHM_KIND_MEMORY, QSHM_CREATE, sizes[i], "a"), QSHM_E_RESOURCES);
            EQ(outcome.os_error, ENOSPC);
            EQ_TEXT(outcome.call, "fallocate");
            EQ(count_files(), 0);
            EQ(count_fds(), fds);
            EQ(count_maps(), 0);
        }
        int32_t handle = open_kind(QSHM_KIND_MEMORY, QSHM_CREATE, 200 << 10, "a");
        GT(handle, 0);
        memset(qshm_payload((uint32_t)handle), 'x', 200 << 10); /* what was given is there */
        EQ(qshm_detach((uint32_t)handle), 1);
        EQ(qshm_unmap((uint32_t)handle, 0), 0);
        EQ(count_files(), 0);
    }
}
