/*
 * process.c - fork and exec. Invariant: a forked child owns nothing; what it inherits it may close, never unlock.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

static int32_t inherited;

static void use_inherited(void *argument)
{
    (void)argument;
    uint32_t handle = (uint32_t)inherited;
    EQ(qshm_revision(handle), QSHM_E_HANDLE);
    EQ(qshm_try_lock(handle), QSHM_E_HANDLE);
    EQ(qshm_unlock(handle), QSHM_E_HANDLE);
    CHECK(qshm_payload(handle) == NULL);
    EQ(qshm_detach(handle), QSHM_E_HANDLE);
    EQ(count_maps(), 0);
    int32_t own = open_memory(QSHM_ATTACH, "a");
    GT(own, 0);
    EQ(qshm_try_lock((uint32_t)own), 0); /* the parent holds it */
    EQ(qshm_detach((uint32_t)own), 0);
}

CASE(fork_child_has_no_handles)
{
    inherited = open_memory(QSHM_CREATE, "a");
    EQ(qshm_try_lock((uint32_t)inherited), 1);
    EQ(wait_exit(spawn(use_inherited, NULL)), 0);
    CHECK(range_is_held("m-a", QSHM_RANGE_A + id_of(inherited), 1));
    EQ(qshm_unlock((uint32_t)inherited), 0);
    EQ(qshm_detach((uint32_t)inherited), 0);
    EQ(count_files(), 0);
}

/* Ends by exit(), with the library's destructor. */
static void exit_with_destructors(void *argument)
{
    (void)argument;
    exit(0);
}

CASE(fork_child_exit_keeps_the_parents_byte)
{
    inherited = open_memory(QSHM_CREATE, "a");
    EQ(wait_exit(spawn(exit_with_destructors, NULL)), 0);
    CHECK(exists("m-a"));
    CHECK(range_is_held("m-a", QSHM_RANGE_A + id_of(inherited), 1));
}

struct family {
    struct gate born, call, called, end;
};

static void live_quietly(void *argument)
{
    struct family *family = argument;
    gate_open(&family->born);
    gate_pass(&family->call);
    EQ(qshm_revision(0), QSHM_E_HANDLE);
    gate_open(&family->called);
    gate_pass(&family->end);
}

static void fork_and_die(void *argument)
{
    struct family *family = argument;
    GT(open_memory(QSHM_CREATE, "a"), 0);
    pid_t child = fork();
    if (child == 0) {
        live_quietly(family);
        _exit(0);
    }
    gate_pass(&family->born);
    raise(SIGKILL);
}

/* The documented caveat: until the child calls the library, ends or execs, the dead parent looks alive. */
CASE(fork_child_lets_go)
{
    struct family family = {gate_make(), gate_make(), gate_make(), gate_make()};
    wait_killed(spawn(fork_and_die, &family), SIGKILL);
    CHECK(!is_dead("m-a"));
    EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_ALREADY_EXISTS);
    gate_open(&family.call);
    gate_pass(&family.called);
    CHECK(is_dead("m-a"));
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    EQ(outcome.flags & QSHM_RECOVERED, QSHM_RECOVERED);
    gate_open(&family.end);
}

struct executed {
    struct gate end;
    struct gate ready;
};

static void exec_and_die(void *argument)
{
    struct executed *executed = argument;
    GT(open_memory(QSHM_CREATE, "a"), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(executed->end.read, STDIN_FILENO);
        dup2(executed->ready.write, STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", "echo; read line", (char *)NULL);
        _exit(1);
    }
    gate_pass(&executed->ready);
    raise(SIGKILL);
}

/* Everything is close-on-exec: a program that was started by the parent keeps nothing alive. */
CASE(fork_exec_keeps_nothing)
{
    struct executed executed = {gate_make(), gate_make()};
    wait_killed(spawn(exec_and_die, &executed), SIGKILL);
    CHECK(is_dead("m-a"));
    EQ(write(executed.end.write, "\n", 1), 1);
}

static struct stat guarded_stat;
static int guarded_fd;

static void call_library(void *argument)
{
    int32_t (*first_call)(void) = *(int32_t (**)(void))argument;
    first_call();
    struct stat now;
    if (fstat(guarded_fd, &now) != 0 || now.st_ino != guarded_stat.st_ino) {
        runner_fail(__FILE__, __LINE__, "descriptor %d of the program was closed in the child", guarded_fd);
    }
}

static int32_t ask(void)
{
    return qshm_revision(0);
}

static int32_t open_first(void)
{
    int32_t r = open_memory(QSHM_CREATE | QSHM_ATTACH, "b");
    GT(r, 0);
    return r;
}

/* A slot that was left keeps the numbers of closed descriptors: they are somebody else's by now. */
CASE(fork_after_leave_closes_nothing)
{
    int32_t handle = open_memory(QSHM_CREATE, "a");
    int before = open("/dev/null", O_RDONLY);
    EQ(qshm_leave((uint32_t)handle), 0);
    for (int fd = open("/dev/null", O_RDONLY); fd < before; fd = open("/dev/null", O_RDONLY)) {
    }
    int32_t (*calls[])(void) = {ask, open_first};
    for (size_t i = 0; i < 2; i++) {
        for (guarded_fd = 3; guarded_fd < before; guarded_fd++) {
            if (fstat(guarded_fd, &guarded_stat) == 0) {
                EQ(wait_exit(spawn(call_library, &calls[i])), 0);
            }
        }
    }
}

static int32_t open_other(void)
{
    int32_t other = open_memory(QSHM_CREATE, "other");
    GT(other, 0);
    EQ(qshm_write((uint32_t)other, 0, "x", 1), 0);
    EQ(qshm_detach((uint32_t)other), 0);
    return 0;
}

static void open_as_first_call(void *argument)
{
    (void)argument;
    open_other();
}

/* The child's first call is an open: it lets go of the parent's descriptors and not of those it has just got. */
CASE(fork_child_opens_first)
{
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    EQ(wait_exit(spawn(open_as_first_call, NULL)), 0);
    EQ(qshm_leave((uint32_t)handle), 0);
    EQ(wait_exit(spawn(open_as_first_call, NULL)), 0);
}

/* --- threads that make a child's first calls at once -------------------------------------------------------------- */

enum { FORKS = 100, THREADS = 4, INHERITED = 50 };

struct thread {
    pthread_barrier_t *all;
    int number;
    int32_t handle;
    struct qshm_outcome outcome;
    struct stat file;
};

static void *open_own(void *argument)
{
    struct thread *thread = argument;
    char key[16], text[16] = "";
    snprintf(key, sizeof key, "own%d", thread->number);
    pthread_barrier_wait(thread->all);
    thread->handle = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 4096, key, (uint32_t)strlen(key), NULL, 0,
                               &thread->outcome);
    GT(thread->handle, 0);
    EQ(qshm_write((uint32_t)thread->handle, 0, key, sizeof key), 0);
    EQ(qshm_try_lock((uint32_t)thread->handle), 1);
    pthread_barrier_wait(thread->all); /* all are open */
    int fd = open(thread->outcome.path, O_RDONLY | O_CLOEXEC);
    GE(fd, 0);
    EQ(fstat(fd, &thread->file), 0);
    EQ(pread(fd, text, sizeof text, sizeof(struct qshm__control)), sizeof text);
    EQ_TEXT(text, key);
    struct stat mine;
    EQ(fstat(qshm__handle_find((uint32_t)thread->handle)->fd, &mine), 0);
    EQ(mine.st_ino, thread->file.st_ino);
    EQ(mine.st_nlink, 1);
    close(fd);
    return NULL;
}

static void open_in_threads(void *argument)
{
    (void)argument;
    static struct thread threads[THREADS];
    pthread_t running[THREADS];
    pthread_barrier_t all;
    EQ(pthread_barrier_init(&all, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.all = &all, .number = i};
        EQ(pthread_create(&running[i], NULL, open_own, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EQ(pthread_join(running[i], NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        for (int j = 0; j < i; j++) {
            NE(threads[i].file.st_ino, threads[j].file.st_ino);
        }
        EQ(qshm_unlock((uint32_t)threads[i].handle), 0);
        EQ(qshm_detach((uint32_t)threads[i].handle), 0);
    }
    EQ(count_maps(), 0);
    EQ(count_files(), 1); /* the parent's */
}

/* One of them lets go of what was inherited, while the others wait for it: no descriptor is closed twice. */
CASE(fork_child_with_threads)
{
    int32_t handles[INHERITED];
    for (int i = 0; i < INHERITED; i++) {
        handles[i] = open_memory(QSHM_CREATE | QSHM_ATTACH, "a");
        GT(handles[i], 0);
    }
    for (int i = 0; i < FORKS; i++) {
        EQ(wait_exit(spawn(open_in_threads, NULL)), 0);
    }
    for (int i = 0; i < INHERITED; i++) {
        CHECK(range_is_held("m-a", QSHM_RANGE_A + id_of(handles[i]), 1));
        EQ(qshm_detach((uint32_t)handles[i]), 0);
    }
    EQ(count_files(), 0);
}

/* --- the same pid ------------------------------------------------------------------------------------------------- */

enum { CANNOT = 2 };

/* Runs `body` as the first process of a new PID namespace. (Not by spawn(): a parent of outside has no pid there.) */
static void run_as_first(void (*body)(void))
{
    if (unshare(CLONE_NEWPID) != 0) {
        _exit(CANNOT);
    }
    pid_t pid = fork();
    GE(pid, 0);
    if (pid == 0) {
        EQ(getpid(), 1);
        body();
        fflush(NULL);
        _exit(0);
    }
    EQ(wait_exit(pid), 0);
}

static void be_the_child(void)
{
    use_inherited(NULL);
}

static void be_the_parent(void)
{
    inherited = open_memory(QSHM_CREATE, "a");
    GT(inherited, 0);
    EQ(qshm_try_lock((uint32_t)inherited), 1);
    run_as_first(be_the_child);
    CHECK(range_is_held("m-a", QSHM_RANGE_A + id_of(inherited), 1));
    EQ(qshm_unlock((uint32_t)inherited), 0);
    EQ(qshm_detach((uint32_t)inherited), 0);
}

static void begin_anew(void *argument)
{
    (void)argument;
    run_as_first(be_the_parent);
}

/* The first process of a new PID namespace, made by the first of another: a pid does not tell the two apart. */
CASE(fork_child_with_the_same_pid)
{
    if (geteuid() != 0) {
        runner_skip("needs root, for PID namespaces");
    }
    int status = wait_exit(spawn(begin_anew, NULL));
    if (status == CANNOT) {
        runner_skip("no PID namespace is to be had");
    }
    EQ(status, 0);
    EQ(count_files(), 0);
}

/* --- exit --------------------------------------------------------------------------------------------------------- */

static void lock_and_exit(void *argument)
{
    (void)argument;
    int32_t handle = open_memory(QSHM_ATTACH, "a");
    GT(qshm_try_lock((uint32_t)handle), 0);
    exit(0);
}

/* An orderly exit runs the destructor: nothing is left; whoever exits inside is told of. */
CASE(exit_detaches)
{
    int32_t handle = open_memory(QSHM_CREATE, "a");
    EQ(wait_exit(spawn(lock_and_exit, NULL)), 0);
    EQ(qshm_try_lock((uint32_t)handle), 2);
    EQ(qshm_unlock((uint32_t)handle), 0);
    EQ(qshm_detach((uint32_t)handle), 0);
    EQ(count_files(), 0);
}
