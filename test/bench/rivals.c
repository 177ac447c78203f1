/*
 * rivals.c - what the operations of the public API are compared with, in C.
 *
 * Each line on stdin is `<subject> <count>`: the subject is done `count` times, and the nanoseconds that took are the
 * line on stdout; the subjects of partners.c take their time themselves. `rivals spawn STATUS COMMAND [ARG...]` has one
 * subject: COMMAND, from its start to its exit with STATUS, with its stdout in a pipe that is read. Files are made in
 * $QSHM_DIRECTORY; `library.` subjects call the library itself.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rivals.h"

_Noreturn void rivals_fail(const char *what)
{
    perror(what);
    exit(1);
}

const char *rivals_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("QSHM_DIRECTORY"), name);
    return path;
}

/* --- locks --------------------------------------------------------------------------------------------------------- */

static int semaphore = -1;

static void remove_semaphore(void)
{
    semctl(semaphore, 0, IPC_RMID);
}

/* As Qt's QSharedMemory::lock and unlock. */
static void system_v_semaphore(long count)
{
    if (semaphore < 0) {
        semaphore = semget(IPC_PRIVATE, 1, 0600);
        TRY(semaphore >= 0 && semctl(semaphore, 0, SETVAL, 1) == 0);
        atexit(remove_semaphore);
    }
    struct sembuf take = {0, -1, SEM_UNDO}, give = {0, 1, SEM_UNDO};
    for (long i = 0; i < count; i++) {
        TRY(semop(semaphore, &take, 1) == 0);
        TRY(semop(semaphore, &give, 1) == 0);
    }
}

static void file_lock(long count)
{
    static int fd = -1;
    if (fd < 0) {
        TRY((fd = open(rivals_path("flock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0);
    }
    for (long i = 0; i < count; i++) {
        TRY(flock(fd, LOCK_EX) == 0);
        TRY(flock(fd, LOCK_UN) == 0);
    }
}

/* --- the library, without a runtime ---------------------------------------------------------------------------------- */

struct rivals_library library;

static void load_library(void)
{
    void *handle = dlopen(QSHM_LIBRARY, RTLD_NOW);
    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define LOAD(name) TRY((*(void **)&library.name = dlsym(handle, "qshm_" #name)) != NULL)
    LOAD(open);
    LOAD(detach);
    LOAD(payload);
    LOAD(try_lock);
    LOAD(unlock);
    LOAD(read);
    LOAD(write);
    LOAD(revision);
    LOAD(notify);
    LOAD(wait_change);
}

uint32_t rivals_open(uint32_t how, const char *key, double size)
{
    static struct qshm_outcome outcome;
    int32_t handle = library.open(QSHM_KIND_MEMORY, how, 0, size, key, (uint32_t)strlen(key), "", 0, &outcome);
    TRY(handle > 0);
    return (uint32_t)handle;
}

static void library_lock(long count)
{
    static uint32_t handle;
    if (handle == 0) {
        handle = rivals_open(QSHM_CREATE, "lock-c", 64);
    }
    for (long i = 0; i < count; i++) {
        TRY(library.try_lock(handle) == 1);
        TRY(library.unlock(handle) == 0);
    }
}

static void library_create(long count)
{
    for (long i = 0; i < count; i++) {
        TRY(library.detach(rivals_open(QSHM_CREATE, "create-c", 4096)) == 0);
    }
}

static void library_attach(long count)
{
    static uint32_t creator;
    if (creator == 0) {
        creator = rivals_open(QSHM_CREATE, "attach-c", 4096);
    }
    for (long i = 0; i < count; i++) {
        TRY(library.detach(rivals_open(QSHM_ATTACH, "attach-c", 0)) == 0);
    }
}

static uint32_t copy_handle(void)
{
    static uint32_t handle;
    return handle != 0 ? handle : (handle = rivals_open(QSHM_CREATE, "copy-c", 1 << 20));
}

static void library_read(long count)
{
    char bytes[64];
    for (long i = 0; i < count; i++) {
        TRY(library.read(copy_handle(), 0, bytes, sizeof bytes) == 0);
    }
}

static void library_write(long count)
{
    char bytes[64] = {0};
    for (long i = 0; i < count; i++) {
        TRY(library.write(copy_handle(), 0, bytes, sizeof bytes) == 0);
    }
}

static void library_notify(long count)
{
    static uint32_t handle;
    if (handle == 0) {
        handle = rivals_open(QSHM_CREATE, "notify-c", 64);
    }
    for (long i = 0; i < count; i++) {
        TRY(library.notify(handle) == 0);
    }
}

/* --- bare mappings --------------------------------------------------------------------------------------------------- */

static const char *bare_name(const char *use)
{
    static char name[64];
    snprintf(name, sizeof name, "/qshm-bench-%d-%s", (int)getpid(), use);
    return name;
}

static void *map_shared(int fd, size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    TRY(memory != MAP_FAILED);
    return memory;
}

static void create_bare(long count, int touch)
{
    const char *name = bare_name("create");
    for (long i = 0; i < count; i++) {
        int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        TRY(fd >= 0);
        TRY(touch ? posix_fallocate(fd, 0, 4096) == 0 : ftruncate(fd, 4096) == 0);
        char *memory = map_shared(fd, 4096);
        close(fd);
        if (touch) {
            *(volatile char *)memory = 1;
        }
        munmap(memory, 4096);
        TRY(shm_unlink(name) == 0);
    }
}

static void plain_create(long count)
{
    create_bare(count, 0);
}

static void plain_create_touched(long count)
{
    create_bare(count, 1);
}

static void remove_attached(void)
{
    shm_unlink(bare_name("attach"));
}

static void plain_attach(long count)
{
    static int creator = -1;
    const char *name = bare_name("attach");
    if (creator < 0) {
        creator = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        TRY(creator >= 0 && ftruncate(creator, 4096) == 0);
        atexit(remove_attached);
    }
    for (long i = 0; i < count; i++) {
        int fd = shm_open(name, O_RDWR, 0);
        struct stat file;
        TRY(fd >= 0 && fstat(fd, &file) == 0);
        void *memory = map_shared(fd, (size_t)file.st_size);
        close(fd);
        munmap(memory, (size_t)file.st_size);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------------ */

enum { COPY = 1 << 20 };

static void copy(long count, int in)
{
    static char *shared, *own;
    if (shared == NULL) {
        const char *name = bare_name("copy");
        int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
        TRY(fd >= 0 && shm_unlink(name) == 0 && ftruncate(fd, COPY) == 0);
        shared = map_shared(fd, COPY);
        TRY((own = malloc(COPY)) != NULL);
        memset(own, 7, COPY);
        memset(shared, 7, COPY);
    }
    for (long i = 0; i < count; i++) {
        memcpy(in ? shared : own, in ? own : shared, COPY);
        __asm__ volatile("" : : "r"(own), "r"(shared) : "memory");
    }
}

static void copy_in(long count)
{
    copy(count, 1);
}

static void copy_out(long count)
{
    copy(count, 0);
}

/* --- whole programs ------------------------------------------------------------------------------------------------------ */

extern char **environ;
static char **command;
static int expected_status;

static void spawn_command(long count)
{
    for (long i = 0; i < count; i++) {
        int output[2], status;
        pid_t pid;
        char bytes[4096];
        posix_spawn_file_actions_t actions;
        TRY(pipe2(output, O_CLOEXEC) == 0);
        TRY(posix_spawn_file_actions_init(&actions) == 0);
        TRY(posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO) == 0);
        TRY(posix_spawn(&pid, command[0], &actions, NULL, command, environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
        close(output[1]);
        while (read(output[0], bytes, sizeof bytes) > 0) {
        }
        close(output[0]);
        TRY(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == expected_status);
    }
}

/* --- the protocol -------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(long count);
} subjects[] = {
    {"c.semop", system_v_semaphore},
    {"c.flock", file_lock},
    {"c.library.lock", library_lock},
    {"c.library.create", library_create},
    {"c.library.attach", library_attach},
    {"c.library.read", library_read},
    {"c.library.write", library_write},
    {"c.library.notify", library_notify},
    {"c.plain.create", plain_create},
    {"c.plain.create.touched", plain_create_touched},
    {"c.plain.attach", plain_attach},
    {"c.memcpy.in", copy_in},
    {"c.memcpy.out", copy_out},
    {"spawn", spawn_command},
};

double rivals_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(const char *name, long count)
{
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        if (strcmp(subjects[i].name, name) == 0) {
            double start = rivals_now();
            subjects[i].run(count);
            return rivals_now() - start;
        }
    }
    for (const struct rivals_partner *partner = partners; partner->name != NULL; partner++) {
        if (strcmp(partner->name, name) == 0) {
            return partner->run(count);
        }
    }
    return NAN;
}

int main(int argc, char **argv)
{
    if (argc > 3) {
        expected_status = atoi(argv[2]);
        command = argv + 3;
    } else {
        load_library();
    }
    char name[64];
    long count;
    while (scanf("%63s %ld", name, &count) == 2) {
        printf("%.0f\n", measure(name, count));
        fflush(stdout);
    }
    return 0;
}
