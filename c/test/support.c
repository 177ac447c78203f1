/*
 * support.c - see support.h.
 */
#define _GNU_SOURCE
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/handle.h"

/* --- processes ---------------------------------------------------------------------------------------------------- */

pid_t spawn(void (*body)(void *), void *argument)
{
    fflush(NULL);
    pid_t parent = getpid();
    pid_t pid = fork();
    GE(pid, 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        body(argument);
        fflush(NULL);
        _exit(0);
    }
    return pid;
}

static int wait_status(pid_t pid, int options)
{
    int status;
    pid_t ended;
    do {
        ended = waitpid(pid, &status, options);
    } while (ended < 0 && errno == EINTR);
    EQ(ended, pid);
    return status;
}

int wait_exit(pid_t pid)
{
    int status = wait_status(pid, 0);
    if (WIFSIGNALED(status)) {
        runner_fail(__FILE__, __LINE__, "process %d was ended by signal %d", (int)pid, WTERMSIG(status));
    }
    return WEXITSTATUS(status);
}

void wait_killed(pid_t pid, int number)
{
    int status = wait_status(pid, 0);
    CHECK(WIFSIGNALED(status));
    EQ(WTERMSIG(status), number);
}

bool wait_stopped(pid_t pid)
{
    int status = wait_status(pid, WUNTRACED);
    if (WIFSTOPPED(status)) {
        return true;
    }
    CHECK(WIFEXITED(status));
    EQ(WEXITSTATUS(status), 0);
    return false;
}

void kill_and_wait(pid_t pid)
{
    kill(pid, SIGKILL);
    wait_status(pid, 0);
}

/* /proc tells a call by the number of the machine that runs the emulator, which for those waited for is an x64 one. */
static long number_in_proc(long number)
{
    static const struct {
        long here, x64;
    } numbers[] = {{SYS_futex, 202}, {SYS_ppoll, 271}};
    for (size_t i = 0; getenv("QSHM_TEST_EMULATOR") != NULL && i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].here == number) {
            return numbers[i].x64;
        }
    }
    return number;
}

void wait_for_system_call(pid_t pid, long number)
{
    number = number_in_proc(number);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    for (;;) {
        FILE *stream = fopen(path, "r");
        CHECK(stream != NULL);
        long current = -1;
        bool got = fscanf(stream, "%ld", &current) == 1;
        fclose(stream);
        if (got && current == number) {
            return;
        }
        sched_yield();
    }
}

void share_with(uint32_t id)
{
    if (geteuid() != 0) {
        runner_skip("needs root, to become another user");
    }
    gid_t group = id;
    EQ(setgroups(1, &group), 0);
    EQ(chown(runner_directory(), 0, id), 0);
    EQ(chmod(runner_directory(), 0770), 0);
}

void turn_into(uint32_t id)
{
    gid_t group = id;
    EQ(setgroups(1, &group), 0);
    EQ(setresgid(id, id, id), 0);
    EQ(setresuid(id, id, id), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user has cleared it */
}

struct gate gate_make(void)
{
    int ends[2];
    EQ(pipe2(ends, O_CLOEXEC), 0);
    return (struct gate){.read = ends[0], .write = ends[1]};
}

void gate_open(struct gate *gate)
{
    EQ(write(gate->write, "x", 1), 1);
}

void gate_pass(struct gate *gate)
{
    char byte;
    ssize_t got;
    do {
        got = read(gate->read, &byte, 1);
    } while (got < 0 && errno == EINTR);
    EQ(got, 1);
}

void gate_close(struct gate *gate)
{
    close(gate->read);
    close(gate->write);
}

void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

struct holding {
    struct holder *holder;
    uint32_t kind, how;
    const char *key;
    unsigned flags;
};

static void hold(void *argument)
{
    struct holding *holding = argument;
    int32_t handle = open_kind(holding->kind, holding->how, (holding->how & QSHM_CREATE) != 0 ? 4096 : 0, holding->key);
    GT(handle, 0);
    if ((holding->flags & HOLDER_LOCKS) != 0) {
        EQ(qshm_try_lock((uint32_t)handle), 1);
    }
    gate_open(&holding->holder->ready);
    gate_pass(&holding->holder->done);
    if ((holding->flags & HOLDER_LOCKS) != 0) {
        int32_t r = qshm_unlock((uint32_t)handle);
        CHECK(r == 0 || ((holding->flags & HOLDER_MAY_LOSE) != 0 && r == QSHM_E_LOCK_LOST));
    }
    EQ(qshm_detach((uint32_t)handle), 0);
}

struct holder holder_start(uint32_t kind, uint32_t how, const char *key, unsigned flags)
{
    struct holder holder = {.ready = gate_make(), .done = gate_make()};
    struct holding holding = {.holder = &holder, .kind = kind, .how = how, .key = key, .flags = flags};
    holder.pid = spawn(hold, &holding);
    gate_pass(&holder.ready);
    return holder;
}

void holder_end(struct holder *holder)
{
    gate_open(&holder->done);
    EQ(wait_exit(holder->pid), 0);
    gate_close(&holder->ready);
    gate_close(&holder->done);
}

/* --- step by step ------------------------------------------------------------------------------------------------- */

static struct stepper *led; /* this process's own, if it is led */

struct stepper *stepper_make(void)
{
    return shared_memory(sizeof(struct stepper));
}

/* A child that stops at a step cannot say which; going on, it does so first of all, and stops again. */
static void report_step(int number)
{
    (void)number;
    if (led->stands) { /* this signal has ended the second stop */
        led->stands = false;
        return;
    }
    char names[sizeof led->at];
    if (qshm_test_steps(names, sizeof names) == 0) {
        return;
    }
    names[strcspn(names, "\n")] = '\0';
    memcpy(led->at, names, sizeof names);
    led->stands = true;
    raise(SIGSTOP);
    qshm_test_arm(led->order == 0 ? 0 : 1, led->order);
}

void stepper_begin(struct stepper *stepper)
{
    led = stepper;
    struct sigaction action = {.sa_handler = report_step, .sa_flags = SA_RESTART};
    EQ(sigaction(SIGCONT, &action, NULL), 0);
    qshm_test_arm(1, STEP_STOPS);
}

void stepper_end(void)
{
    signal(SIGCONT, SIG_DFL);
    qshm_test_steps(NULL, 0);
}

static void leave_step(struct stepper *stepper, pid_t pid, uint32_t order)
{
    stepper->order = order;
    EQ(kill(pid, SIGCONT), 0);
}

bool step_on(struct stepper *stepper, pid_t pid)
{
    if (stepper->stands) {
        leave_step(stepper, pid, STEP_STOPS);
    }
    if (!wait_stopped(pid)) {
        return false;
    }
    EQ(kill(pid, SIGCONT), 0);
    CHECK(wait_stopped(pid));
    return true;
}

void step_to(struct stepper *stepper, pid_t pid, const char *name)
{
    do {
        if (!step_on(stepper, pid)) {
            runner_fail(__FILE__, __LINE__, "no step \"%s\"", name);
        }
    } while (strcmp(stepper->at, name) != 0);
}

void step_free(struct stepper *stepper, pid_t pid)
{
    leave_step(stepper, pid, 0);
    EQ(wait_exit(pid), 0);
}

bool step_and_die(struct stepper *stepper, pid_t pid)
{
    leave_step(stepper, pid, STEP_KILLS);
    int status = wait_status(pid, 0);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

struct qshm_outcome outcome;

int32_t open_kind(uint32_t kind, uint32_t how, double size, const char *key)
{
    return qshm_open(kind, how, 0, size, key, (uint32_t)strlen(key), NULL, 0, &outcome);
}

int32_t open_memory(uint32_t how, const char *key)
{
    return open_kind(QSHM_KIND_MEMORY, how, (how & QSHM_CREATE) != 0 ? 4096 : 0, key);
}

int32_t remove_name(const char *name, bool force)
{
    return qshm_remove(name, (uint32_t)strlen(name), NULL, 0, force, &outcome);
}

int32_t inspect_name(const char *name, struct qshm_info *info)
{
    return qshm_inspect(name, (uint32_t)strlen(name), NULL, 0, info, sizeof *info, &outcome);
}

uint32_t id_of(int32_t handle)
{
    struct qshm__attachment *attachment = qshm__handle_find((uint32_t)handle);
    CHECK(attachment != NULL);
    return attachment->id;
}

struct remains {
    uint32_t kind, how;
    const char *key;
};

static void die_attached(void *argument)
{
    struct remains *remains = argument;
    GT(open_kind(remains->kind, remains->how | QSHM_CREATE, 4096, remains->key), 0);
    fflush(NULL);
    raise(SIGKILL);
}

void leave_dead(uint32_t kind, uint32_t how, const char *key)
{
    struct remains remains = {.kind = kind, .how = how, .key = key};
    wait_killed(spawn(die_attached, &remains), SIGKILL);
}

const char *error_name(int32_t error)
{
    switch (error) {
#define X(number, name, sentence) \
    case number:                  \
        return #name;
        QSHM_ERRORS(X)
#undef X
    default:
        return error >= 0 ? "success" : "no documented error";
    }
}

/* --- from outside ------------------------------------------------------------------------------------------------- */

const char *path_of(const char *name)
{
    static char paths[2][512];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", getenv("QSHM_DIRECTORY"), name);
    return paths[turn];
}

bool exists(const char *name)
{
    struct stat status;
    return lstat(path_of(name), &status) == 0;
}

static int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(directory);
    return count;
}

int count_files(void)
{
    return count_entries(getenv("QSHM_DIRECTORY"));
}

int count_fds(void)
{
    return count_entries("/proc/self/fd") - 1; /* not the one it is read through */
}

int count_maps(void)
{
    FILE *stream = fopen("/proc/self/maps", "r");
    CHECK(stream != NULL);
    char line[1024];
    int count = 0;
    while (fgets(line, sizeof line, stream) != NULL) {
        count += strstr(line, "/dev/shm/") != NULL;
    }
    fclose(stream);
    return count;
}

struct qshm__control *peek(const char *name)
{
    int fd = open(path_of(name), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    void *control = mmap(NULL, sizeof(struct qshm__control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    CHECK(control != MAP_FAILED);
    return control;
}

void unpeek(struct qshm__control *control)
{
    munmap(control, sizeof *control);
}

bool range_is_held(const char *name, uint64_t start, uint64_t length)
{
    int fd = open(path_of(name), O_RDWR | O_CLOEXEC);
    GE(fd, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)start, .l_len = (off_t)length};
    EQ(fcntl(fd, F_OFD_GETLK, &lock), 0);
    close(fd);
    return lock.l_type != F_UNLCK;
}

bool is_dead(const char *name)
{
    return !range_is_held(name, QSHM_RANGE_A, QSHM_IDS) && !range_is_held(name, QSHM_RANGE_B, QSHM_IDS);
}

void poke(const char *name, off_t offset, const void *bytes, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CLOEXEC);
    GE(fd, 0);
    EQ(pwrite(fd, bytes, size, offset), size);
    close(fd);
}

/* --- the word of the lock ----------------------------------------------------------------------------------------- */

uint32_t word_owner(uint64_t word)
{
    return (uint32_t)word & 0x7fffffff;
}

uint32_t word_heir(uint64_t word)
{
    return (uint32_t)(word >> 32) & 0x7fffffff;
}

/* --- random numbers ----------------------------------------------------------------------------------------------- */

struct random random_from(uint64_t seed)
{
    return (struct random){.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
}

/* splitmix64 */
uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(random_next(random) % bound);
}

double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}
