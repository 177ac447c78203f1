/*
 * surroundings.c - what a process may be given: a umask, resource limits, no /proc, another user's rights.
 *
 * Invariant: whoever changes its surroundings is a child. Cases that need a mount, or a user, of their own are skipped
 * by name where the caller is not root; /dev/shm of such a child is a fresh one, so that default directories are free.
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum { SOMEBODY = 64321, OTHER = 64322 };

static void need_root(void)
{
    if (geteuid() != 0) {
        runner_skip("needs root, for mounts and other users");
    }
}

/* In the case's own process: from here on it has mounts that nobody else sees. */
static void need_own_mounts(void)
{
    need_root();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        runner_skip("no mounts of its own: %s", strerror(errno));
    }
}

static void need_own_shm(void)
{
    need_own_mounts();
    if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777") != 0) {
        runner_skip("no /dev/shm of its own: %s", strerror(errno));
    }
}

static void become(uid_t uid)
{
    EQ(setgroups(0, NULL), 0);
    EQ(setresgid(uid, uid, uid), 0);
    EQ(setresuid(uid, uid, uid), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user has cleared it */
}

/* --- the umask ---------------------------------------------------------------------------------------------------- */

static void create_and_attach(const char *directory)
{
    uint32_t size = (uint32_t)strlen(directory);
    int32_t a = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 4096, "a", 1, directory, size, &outcome);
    GT(a, 0);
    struct stat status;
    EQ(stat(outcome.path, &status), 0);
    EQ(status.st_mode & 07777, 0600);
    int32_t b = qshm_open(QSHM_KIND_MEMORY, QSHM_ATTACH, 0, 0, "a", 1, directory, size, &outcome);
    GT(b, 0);
    EQ(qshm_detach((uint32_t)b), 0);
    EQ(qshm_detach((uint32_t)a), 0);
}

struct masked {
    const char *directory, *pretend;
    mode_t mask;
    uid_t user;
};

static void use_masked(void *argument)
{
    const struct masked *masked = argument;
    if (masked->user != 0) {
        become(masked->user);
    }
    unsetenv("QSHM_DIRECTORY");
    setenv("QSHM_PRETEND", masked->pretend, 1);
    umask(masked->mask);
    create_and_attach(masked->directory);
}

static const mode_t masks[] = {0177, 0277, 0777, 0700, 0077};
enum { MASKS = sizeof masks / sizeof *masks };
static const char *const drafts[] = {"", "O_TMPFILE=-95"};

/* Also with drafts that bear a name: those are made with the umask too. */
CASE(umask_in_an_explicit_directory)
{
    for (int i = 0; i < MASKS; i++) {
        for (int named = 0; named < 2; named++) {
            struct masked masked = {runner_directory(), drafts[named], masks[i], 0};
            EQ(wait_exit(spawn(use_masked, &masked)), 0);
            EQ(count_files(), 0);
        }
    }
}

CASE(umask_for_a_group)
{
    umask(0777);
    int32_t a = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0640, 4096, "a", 1, NULL, 0, &outcome);
    GT(a, 0);
    struct stat status;
    EQ(stat(path_of("m-a"), &status), 0);
    EQ(status.st_mode & 07777, 0640);
    EQ(qshm_detach((uint32_t)a), 0);
}

static const char default_directory[] = "/dev/shm/qshm-64321";

/* Under each umask the default directory is made fit for use, so that later users of any umask find it so. */
CASE(umask_in_the_default_directory)
{
    need_own_shm();
    for (int i = 0; i < MASKS; i++) {
        for (int named = 0; named < 2; named++) {
            struct masked first = {"", drafts[named], masks[i], SOMEBODY};
            EQ(wait_exit(spawn(use_masked, &first)), 0);
            struct stat status;
            EQ(stat(default_directory, &status), 0);
            EQ(status.st_mode & 07777, 0700);
            struct masked later = {"", "", 022, SOMEBODY};
            EQ(wait_exit(spawn(use_masked, &later)), 0);
            EQ(rmdir(default_directory), 0);
        }
    }
}

static void attach_in_default(void *argument)
{
    (void)argument;
    become(SOMEBODY);
    unsetenv("QSHM_DIRECTORY");
    EQ(open_memory(QSHM_ATTACH, "a"), QSHM_E_NOT_FOUND);
    EQ(qshm_list(NULL, 0, NULL, 0, &outcome), 0);
}

/* Left by an older version, or by one that was killed between making the directory and setting its mode. */
CASE(umask_default_directory_is_repaired)
{
    need_own_shm();
    static const mode_t modes[] = {0500, 0, 0400, 0100, 0600, 0300};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        for (int attach = 0; attach < 2; attach++) {
            EQ(mkdir(default_directory, 0700), 0);
            EQ(chown(default_directory, SOMEBODY, SOMEBODY), 0);
            EQ(chmod(default_directory, modes[i]), 0);
            struct masked first = {"", "", 022, SOMEBODY};
            EQ(wait_exit(spawn(attach != 0 ? attach_in_default : use_masked, &first)), 0);
            struct stat status;
            EQ(stat(default_directory, &status), 0);
            EQ(status.st_mode & 07777, 0700);
            EQ(rmdir(default_directory), 0);
        }
    }
}

/* --- resource limits ---------------------------------------------------------------------------------------------- */

static void create_beyond_the_limit(void *argument)
{
    setenv("QSHM_PRETEND", argument, 1);
    int fds = count_fds();
    static const rlim_t limits[] = {0, 1, 4096, sizeof(struct qshm__control), sizeof(struct qshm__control) + 4095};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        EQ(setrlimit(RLIMIT_FSIZE, &(struct rlimit){limits[i], RLIM_INFINITY}), 0);
        EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_RESOURCES);
        EQ(outcome.os_error, EFBIG);
        EQ_TEXT(outcome.call, "fallocate");
        EQ(count_fds(), fds);
        EQ(count_maps(), 0);
        EQ(count_files(), 0);
    }
    EQ(setrlimit(RLIMIT_FSIZE, &(struct rlimit){sizeof(struct qshm__control) + 4096, RLIM_INFINITY}), 0);
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    EQ(qshm_write((uint32_t)handle, 4095, "x", 1), 0);
    EQ(qshm_detach((uint32_t)handle), 0);
}

/* Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which kills: it is not let come to that. */
CASE(limits_file_size)
{
    for (int named = 0; named < 2; named++) {
        EQ(wait_exit(spawn(create_beyond_the_limit, (void *)(uintptr_t)drafts[named])), 0);
    }
}

struct few {
    rlim_t most;
    bool refused; /* shared: the answer */
};

static void open_with_few(void *argument)
{
    struct few *few = argument;
    int fds = count_fds();
    struct rlimit limit;
    EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    EQ(setrlimit(RLIMIT_NOFILE, &(struct rlimit){few->most, limit.rlim_max}), 0);
    int32_t r = open_memory(QSHM_CREATE, "a");
    EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    few->refused = r < 0;
    if (r < 0) {
        EQ(r, QSHM_E_RESOURCES);
        EQ(outcome.os_error, EMFILE);
        EQ(count_fds(), fds);
        EQ(count_maps(), 0);
    } else {
        EQ(qshm_detach((uint32_t)r), 0);
    }
    EQ(count_files(), 0);
    GT(open_memory(QSHM_CREATE, "a"), 0); /* nothing was noted down wrongly */
}

/* The first call of a process, which asks more than the others (whether locks work): so none is made here. */
CASE(limits_descriptors)
{
    struct few *few = shared_memory(sizeof *few);
    for (rlim_t most = 0;; most++) {
        few->most = most;
        EQ(wait_exit(spawn(open_with_few, few)), 0);
        if (!few->refused) {
            GT(most, 5); /* three, the directory, the draft, and the probe's second description */
            break;
        }
        EQ(unlink(path_of("m-a")), 0);
    }
}

/* --- no /proc ----------------------------------------------------------------------------------------------------- */

static void use_existing(void)
{
    int32_t a = open_memory(QSHM_ATTACH, "there");
    GT(a, 0);
    EQ(qshm_try_lock((uint32_t)a), 1);
    struct qshm_process process;
    EQ(qshm_lock_owner((uint32_t)a, &process), 1);
    EQ(process.alive, 1);
    EQ(process.pid, 0); /* cannot be seen */
    EQ(qshm_unlock((uint32_t)a), 0);
    EQ(qshm_detach((uint32_t)a), 0);
    EQ(qshm_list(NULL, 0, NULL, 0, &outcome), sizeof "m-there");
    struct qshm_info info;
    GT(inspect_name("m-there", &info), 0);
    EQ(info.state, QSHM_LIVE);
    EQ(remove_name("m-there", false), QSHM_E_IN_USE);
    EQ(outcome.pid, 0);
    EQ(remove_name("m-there", true), 1);
    EQ(remove_name("m-there", true), 0);
}

static void live_without_proc(void *argument)
{
    uid_t user = *(const uid_t *)argument;
    if (user != 0) {
        become(user);
    }
    use_existing();
    for (int named = 0; named < 2; named++) {
        setenv("QSHM_PRETEND", drafts[named], 1);
        int32_t made = open_memory(QSHM_CREATE, "made");
        if (made < 0) { /* a kernel that wants a capability for giving a nameless file a name by its descriptor */
            EQ(named, 0);
            NE(user, 0);
            EQ_TEXT(outcome.call, "linkat");
            NE(outcome.os_error, 0);
        } else {
            EQ(outcome.flags, QSHM_CREATED);
            EQ(qshm_write((uint32_t)made, 0, "x", 1), 0);
            EQ(qshm_detach((uint32_t)made), 0);
        }
        EQ(count_files(), 0);
    }
}

enum { CANNOT = 2 };

/* Everything works, but for the pids of others. */
static void lose_proc(void *argument)
{
    uid_t user = *(const uid_t *)argument;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        _exit(CANNOT);
    }
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "there", 0);
    EQ(chown(path_of("m-there"), user, user), 0);
    EQ(chown(runner_directory(), user, user), 0);
    if (umount2("/proc", MNT_DETACH) != 0) {
        _exit(CANNOT);
    }
    EQ(wait_exit(spawn(live_without_proc, &user)), 0);
    kill_and_wait(holder.pid);
}

/* In a child, which ends without asking a leak checker: that needs /proc. */
static void live_beside_proc(uid_t user)
{
    need_root();
    int status = wait_exit(spawn(lose_proc, &user));
    if (status == CANNOT) {
        runner_skip("/proc cannot be unmounted");
    }
    EQ(status, 0);
}

CASE(proc_is_not_mounted_for_root)
{
    live_beside_proc(0);
}

CASE(proc_is_not_mounted_for_a_user)
{
    live_beside_proc(SOMEBODY);
}

/* --- a program with another user's rights ------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to, mode_t mode)
{
    char bytes[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    GE(in, 0);
    GE(out, 0);
    ssize_t got;
    while ((got = read(in, bytes, sizeof bytes)) > 0) {
        EQ(write(out, bytes, (size_t)got), got);
    }
    EQ(fchown(out, OTHER, OTHER), 0);
    EQ(fchmod(out, mode), 0);
    close(in);
    close(out);
}

static void run_copy(void *argument)
{
    (void)argument;
    become(SOMEBODY);
    setenv("QSHM_DIRECTORY", "/nowhere", 1);
    execl("/dev/shm/program", "program", "/dev/shm/library.so", "", (char *)NULL);
    perror("execl");
    _exit(3);
}

/* A setuid program does not obey the environment of whoever starts it. */
CASE(setuid_program_ignores_the_environment)
{
    const char *artifacts = getenv("QSHM_TEST_ABI");
    if (artifacts == NULL) {
        runner_skip("QSHM_TEST_ABI is not set (make check)");
    }
    need_own_shm();
    char path[512];
    snprintf(path, sizeof path, "%s/library.so", artifacts);
    copy_file(path, "/dev/shm/library.so", 0755);
    snprintf(path, sizeof path, "%s/program.glibc", artifacts);
    copy_file(path, "/dev/shm/program", 0755);
    EQ(wait_exit(spawn(run_copy, NULL)), 1); /* obeys: there is no such directory */
    EQ(access("/dev/shm/qshm-64321", F_OK), -1);
    EQ(chmod("/dev/shm/program", 04755), 0);
    EQ(wait_exit(spawn(run_copy, NULL)), 0);
    struct stat status;
    EQ(stat("/dev/shm/qshm-64322", &status), 0);
    EQ(status.st_uid, OTHER);
}
