/*
 * command.c - running a command under a guard: its arguments byte for byte, what it inherits, signals, and who holds
 * the name when the wrapper or the command ends first.
 *
 * Invariants: the command is this very program under a helper's name (QSHM_TEST_HELPER), or a shell; it ends when its
 * standard input does, so that none is left when a case fails. A run changes what signals do: it is made in a child of
 * the case, whose watchdog is a signal. What execvp does is asked of execvp, not written down.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

int32_t qshm_test_arm(uint32_t step, uint32_t action);

/* That tells of children: made with the first command, it stays. */
enum { PIPE = 2 };
int32_t qshm_test_steps(void *names, uint32_t capacity);

extern char **environ;

enum { MOST_BLOCK = 1 << 20, MOST_OUTPUT = 1 << 21 };

static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,  SIGUSR2,
                                SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH, SIGALRM};
enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };

/* --- the helper: what the command does ---------------------------------------------------------------------------- */

static void tell_signal(int number)
{
    int saved = errno;
    char byte = (char)number;
    if (write(STDOUT_FILENO, &byte, 1) != 1) {
        _exit(2);
    }
    errno = saved;
}

/* Says 'r', then each byte it reads; "signals": also the number of each signal. Ends with its input. */
static void help(const char *what)
{
    if (strcmp(what, "signals") == 0) {
        for (int i = 0; i < PASSED_ON; i++) {
            struct sigaction action = {.sa_handler = tell_signal};
            sigfillset(&action.sa_mask);
            sigaction(passed_on[i], &action, NULL);
        }
    }
    ssize_t got = 1;
    for (char byte = 'r'; got > 0 || (got < 0 && errno == EINTR); got = read(STDIN_FILENO, &byte, 1)) {
        if (got == 1 && write(STDOUT_FILENO, &byte, 1) != 1) {
            _exit(2);
        }
    }
    _exit(7);
}

__attribute__((constructor)) static void help_if_asked(void)
{
    const char *what = getenv("QSHM_TEST_HELPER");
    if (what != NULL) {
        help(what);
    }
}

/* --- the wrapper -------------------------------------------------------------------------------------------------- */

struct block {
    char *bytes;
    uint32_t size;
};

static void add_bytes(struct block *block, const void *bytes, size_t size)
{
    if (block->bytes == NULL) {
        block->bytes = malloc(MOST_BLOCK);
    }
    LE(block->size + size, MOST_BLOCK);
    memcpy(block->bytes + block->size, bytes, size);
    block->size += (uint32_t)size;
}

static void add(struct block *block, const char *text)
{
    add_bytes(block, text, strlen(text) + 1);
}

static struct block block_of(const char *first, ...)
{
    struct block block = {0};
    va_list rest;
    va_start(rest, first);
    for (const char *text = first; text != NULL; text = va_arg(rest, const char *)) {
        add(&block, text);
    }
    va_end(rest);
    return block;
}

static struct block shell(const char *script)
{
    return block_of("/bin/sh", "-c", script, NULL);
}

static struct block helper(const char *what)
{
    setenv("QSHM_TEST_HELPER", what, 1);
    return block_of("/proc/self/exe", NULL);
}

static uint32_t join(void)
{
    int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
    GT(handle, 0);
    return (uint32_t)handle;
}

static int32_t elect(uint32_t handle)
{
    return qshm_elect(handle, 1000, "wrapper", 7, LARGEST_MESSAGE, &outcome);
}

static union {
    struct qshm_primary primary;
    uint8_t bytes[QSHM_PRIMARY_CAPACITY];
} told;

static int32_t ask(void)
{
    return qshm_primary("a", 1, NULL, 0, &told, sizeof told, &outcome);
}

static int32_t run(uint32_t handle, const struct block *block)
{
    return qshm_run(handle, block->bytes, block->size, &outcome);
}

/* Runs a command to its end, in this process; `*fd` is the guard's descriptor. */
static int32_t run_to_end(const struct block *block, int *fd)
{
    uint32_t handle = join();
    EQ(elect(handle), 1);
    *fd = qshm__handle_find(handle)->fd;
    int32_t r = run(handle, block);
    if (r > 0) {
        r = qshm_await(handle);
    }
    EQ(qshm_detach(handle), 0);
    return r;
}

/* The same in a child, after `before`, and with its output in a file unless that is -1. */
struct running {
    struct block block;
    void (*before)(void);
    int output;
    int32_t *results; /* shared: the result, and the descriptor */
};

static void run_in_child(void *argument)
{
    const struct running *running = argument;
    if (running->output >= 0) {
        EQ(dup2(running->output, STDOUT_FILENO), STDOUT_FILENO);
    }
    if (running->before != NULL) {
        running->before();
    }
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, NULL, &before);
    running->results[0] = run_to_end(&running->block, &running->results[1]);
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < 32; number++) {
        EQ(sigismember(&after, number), sigismember(&before, number));
    }
}

static int guard_fd; /* of the last run */

static int32_t run_block(struct block block, void (*before)(void), int file)
{
    struct running running = {.block = block, .before = before, .output = file, .results = shared_memory(4096)};
    EQ(wait_exit(spawn(run_in_child, &running)), 0);
    free(block.bytes);
    int32_t r = running.results[0];
    guard_fd = running.results[1];
    munmap(running.results, 4096);
    return r;
}

static int32_t status_of(struct block block)
{
    return run_block(block, NULL, -1);
}

static void in_child(void (*body)(void *))
{
    EQ(wait_exit(spawn(body, NULL)), 0);
}

/* A process that holds the guard and runs a command; input and output are pipes. */
struct wrapper {
    pid_t pid;
    int input, output;
    struct gate started, detached, end;
    struct seen {
        pid_t command;
        int32_t status;
        int32_t fd;
    } *seen; /* shared */
};

struct wrapping {
    struct wrapper *wrapper;
    const struct block *block;
    int input, output;
    void (*before)(void);
};

static void wrap(void *argument)
{
    struct wrapping *wrapping = argument;
    struct wrapper *wrapper = wrapping->wrapper;
    close(wrapper->input); /* or the command's input would never end */
    GE(dup2(wrapping->input, STDIN_FILENO), 0);
    GE(dup2(wrapping->output, STDOUT_FILENO), 0);
    uint32_t handle = join();
    EQ(elect(handle), 1);
    if (wrapping->before != NULL) {
        wrapping->before();
    }
    wrapper->seen->command = run(handle, wrapping->block);
    GT(wrapper->seen->command, 0);
    gate_open(&wrapper->started);
    wrapper->seen->status = qshm_await(handle);
    EQ(qshm_detach(handle), 0);
    gate_open(&wrapper->detached);
    gate_pass(&wrapper->end);
}

static void prepare(struct wrapper *wrapper, struct wrapping *wrapping)
{
    struct gate in = gate_make(), out = gate_make();
    *wrapper = (struct wrapper){.input = in.write, .output = out.read, .started = gate_make(),
                                .detached = gate_make(), .end = gate_make(), .seen = shared_memory(sizeof *wrapper->seen)};
    wrapping->wrapper = wrapper;
    wrapping->input = in.read;
    wrapping->output = out.write;
    wrapper->pid = spawn(wrap, wrapping);
    close(in.read);
    close(out.write);
}

static struct wrapper wrapper_start(struct block block, void (*before)(void))
{
    struct wrapper wrapper;
    struct wrapping wrapping = {.block = &block, .before = before};
    prepare(&wrapper, &wrapping);
    gate_pass(&wrapper.started);
    free(block.bytes);
    return wrapper;
}

static int next_byte(struct wrapper *wrapper)
{
    unsigned char byte;
    ssize_t got = read(wrapper->output, &byte, 1);
    GE(got, 0);
    return got == 0 ? -1 : byte;
}

/* The command answers: it runs. */
static void call(struct wrapper *wrapper)
{
    EQ(write(wrapper->input, "x", 1), 1);
    EQ(next_byte(wrapper), 'x');
}

/* Lets the command end, and then the wrapper; returns what it saw. */
static int32_t wrapper_end(struct wrapper *wrapper)
{
    close(wrapper->input);
    gate_pass(&wrapper->detached);
    gate_open(&wrapper->end);
    EQ(wait_exit(wrapper->pid), 0);
    EQ(next_byte(wrapper), -1); /* nothing more was said */
    close(wrapper->output);
    gate_close(&wrapper->started);
    gate_close(&wrapper->detached);
    gate_close(&wrapper->end);
    return wrapper->seen->status;
}

static char state_of(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    GE(fd, 0);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    GT(size, 0);
    text[size] = '\0';
    const char *end = strrchr(text, ')');
    CHECK(end != NULL);
    return end[2];
}

static void wait_for_state(pid_t pid, char state)
{
    while (state_of(pid) != state) {
        sched_yield();
    }
}

/* --- output of a command ------------------------------------------------------------------------------------------ */

static char output[MOST_OUTPUT];
static size_t output_size;

/* Runs a command to its end and reads what it says. `before` runs in the wrapper. */
static int32_t run_for_output(struct block block, void (*before)(void))
{
    int fd = memfd_create("output", MFD_CLOEXEC);
    GE(fd, 0);
    int32_t r = run_block(block, before, fd);
    ssize_t size = pread(fd, output, sizeof output - 1, 0);
    GE(size, 0);
    output_size = (size_t)size;
    output[output_size] = '\0';
    close(fd);
    return r;
}

/* --- arguments and exit status ------------------------------------------------------------------------------------ */

CASE(command_gets_its_arguments)
{
    struct random random = random_from(runner_seed());
    for (int round = 0; round < 4; round++) {
        struct block block = block_of("/bin/sh", "-c", "cat /proc/$$/cmdline; exit 3", NULL);
        add(&block, "");
        add(&block, "two\nlines\n");
        add(&block, "\xff\xfe\x80 \xc3");
        add(&block, "-n");
        add(&block, "*");
        add(&block, "");
        for (int i = 0; i < (round == 0 ? 10000 : 50); i++) {
            char text[64];
            uint32_t size = random_below(&random, sizeof text);
            for (uint32_t j = 0; j < size; j++) {
                text[j] = (char)(1 + random_below(&random, 255));
            }
            text[size] = '\0';
            add(&block, text);
        }
        add(&block, "");
        char *expected = malloc(block.size);
        uint32_t size = block.size;
        memcpy(expected, block.bytes, size);
        EQ(run_for_output(block, NULL), 3);
        EQ(output_size, size);
        EQ(memcmp(output, expected, size), 0);
        free(expected);
    }
}

CASE(command_status)
{
    for (int status = 0; status < 256; status++) {
        char script[32];
        snprintf(script, sizeof script, "exit %d", status);
        EQ(status_of(shell(script)), status);
    }
}

CASE(command_ended_by_a_signal)
{
    struct rlimit none = {0, 0};
    EQ(setrlimit(RLIMIT_CORE, &none), 0);
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGUSR1, SIGSEGV, SIGPIPE, SIGALRM, SIGTERM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char script[32];
        snprintf(script, sizeof script, "kill -%d $$", numbers[i]);
        EQ(status_of(shell(script)), 128 + numbers[i]);
    }
}

CASE(command_refuses_bad_arguments)
{
    uint32_t handle = join();
    EQ(elect(handle), 1);
    EQ(qshm_run(handle, "true", 5, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_run(0, "true", 5, &outcome), QSHM_E_HANDLE);
    EQ(qshm_run(handle, NULL, 5, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_run(handle, "true", 0, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_run(handle, "true", 4, &outcome), QSHM_E_ARGUMENT); /* without its NUL */
    EQ(qshm_detach(handle), 0);
    EQ(qshm_run(handle, "true", 5, &outcome), QSHM_E_HANDLE);
}

CASE(command_await_without_a_command)
{
    uint32_t handle = join();
    int32_t r = qshm_await(handle);
    LT(r, 0);
    if (strcmp(error_name(r), "no documented error") == 0) {
        runner_fail(__FILE__, __LINE__, "qshm_await gave %d", r);
    }
}

/* --- finding the program ------------------------------------------------------------------------------------------ */

static char place[64]; /* not in /dev/shm, from which nothing may be executable */

static void make_place(void)
{
    strcpy(place, "/tmp/qshm-test-XXXXXX");
    CHECK(mkdtemp(place) != NULL);
    EQ(chdir(place), 0);
    EQ(mkdir("one", 0700), 0);
    EQ(mkdir("two", 0700), 0);
}

static void remove_place(void)
{
    EQ(chdir("/"), 0);
    setenv("PATH", "/usr/bin:/bin", 1);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", place);
    EQ(system(command), 0);
}

static const char *const kinds_of_program[] = {
    "nothing",     "a program",   "a script without an interpreter line",
    "no program",  "a directory", "an empty file",
    "a dead link", "a FIFO",      "a missing interpreter",
};
enum { PROGRAM_KINDS = sizeof kinds_of_program / sizeof *kinds_of_program, FIRST_ODD = 7 };

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    GE(fd, 0);
    EQ(write(fd, text, strlen(text)), strlen(text));
    EQ(fchmod(fd, mode), 0);
    close(fd);
}

static void make_program(const char *path, int kind, int status)
{
    char text[64];
    switch (kind) {
    case 1:
        snprintf(text, sizeof text, "#!/bin/sh\nexit %d\n", status);
        write_file(path, text, 0700);
        break;
    case 2:
        snprintf(text, sizeof text, "exit %d\n", status);
        write_file(path, text, 0700);
        break;
    case 3:
        write_file(path, "#!/bin/sh\n", 0600);
        break;
    case 4:
        EQ(mkdir(path, 0700), 0);
        break;
    case 5:
        write_file(path, "", 0700);
        break;
    case 6:
        EQ(symlink("/nowhere/program", path), 0);
        break;
    case 7:
        EQ(mkfifo(path, 0700), 0);
        break;
    case 8:
        write_file(path, "#!/nowhere/sh\n", 0700);
        break;
    default:
        break;
    }
}

struct execution {
    const char *name;
    int32_t result; /* the status, or -errno */
};

static void execute(void *argument)
{
    struct execution *execution = argument;
    char name[64], extra[] = "argument";
    snprintf(name, sizeof name, "%s", execution->name);
    char *arguments[] = {name, extra, NULL};
    execvp(name, arguments);
    execution->result = -errno;
}

static int32_t as_execvp_does(const char *name)
{
    struct execution *execution = shared_memory(sizeof *execution);
    execution->name = name;
    int status = wait_exit(spawn(execute, execution));
    return execution->result != 0 ? execution->result : status;
}

static void execute_under_guard(void *argument)
{
    struct execution *execution = argument;
    struct block block = block_of(execution->name, "argument", NULL);
    int fd;
    execution->result = run_to_end(&block, &fd);
    if (execution->result < 0) {
        NE(outcome.os_error, 0);
        execution->result = -outcome.os_error;
    }
}

static int32_t as_we_do(const char *name)
{
    struct execution *execution = shared_memory(sizeof *execution);
    execution->name = name;
    EQ(wait_exit(spawn(execute_under_guard, execution)), 0);
    return execution->result;
}

static int compare(const char *name, const char *what)
{
    int32_t expected = as_execvp_does(name), found = as_we_do(name);
    if (expected != found) {
        runner_note("\"%s\", PATH=%s, %s: execvp gives %d, we give %d", name, getenv("PATH"), what, expected, found);
    }
    return expected != found;
}

static int compare_pairs(bool odd)
{
    int differ = 0;
    for (int one = 0; one < PROGRAM_KINDS; one++) {
        for (int two = 0; two < PROGRAM_KINDS; two++) {
            char what[128], path[160];
            if ((one >= FIRST_ODD || two >= FIRST_ODD) != odd) {
                continue;
            }
            snprintf(what, sizeof what, "%s before %s", kinds_of_program[one], kinds_of_program[two]);
            make_program("one/program", one, 11);
            make_program("two/program", two, 12);
            snprintf(path, sizeof path, "%s/one:%s/two", place, place);
            setenv("PATH", path, 1);
            differ += compare("program", what);
            if (two == 0) {
                differ += compare("one/program", what);
                differ += compare("./one/program", what);
            }
            EQ(remove("one/program") == 0, one != 0);
            EQ(remove("two/program") == 0, two != 0);
        }
    }
    return differ;
}

CASE(command_is_found_as_by_execvp)
{
    make_place();
    int differ = compare_pairs(false);
    static const char *const paths[] = {"",         ":",        "one",  "one:two", ":two", "one:", "two::one",
                                        "/nowhere", "/dev/null:two", "one/", "/nowhere::"};
    make_program("one/program", 1, 11);
    make_program("two/program", 1, 12);
    for (int here = 0; here < 3; here++) {
        if (here > 0) {
            make_program("program", here, 13);
        }
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            setenv("PATH", paths[i], 1);
            differ += compare("program", here == 0 ? "nothing here" : "a program here");
        }
        unlink("program");
    }
    unsetenv("PATH");
    differ += compare("true", "no PATH");
    differ += compare("program", "no PATH");
    differ += compare("", "an empty name");
    differ += compare("/", "a directory");
    differ += compare("one/program/x", "a file as a directory");
    remove_place();
    EQ(differ, 0);
}

/* What looks like a program, and turns out to be none: the search goes on. */
CASE(command_is_found_behind_what_cannot_be_run)
{
    make_place();
    int differ = compare_pairs(true);
    remove_place();
    EQ(differ, 0);
}

static void expect_failure(const char *name, int32_t error, int os_error)
{
    uint32_t handle = join();
    EQ(elect(handle), 1);
    struct block block = block_of(name, NULL);
    EQ(run(handle, &block), error);
    EQ(outcome.os_error, os_error);
    CHECK(outcome.why[0] != '\0');
    free(block.bytes);
    CHECK(range_is_held("i-a", QSHM_RANGE_P, 1)); /* the guard is as it was */
    EQ(qshm_detach(handle), 0);
    EQ(count_files(), 0);
    EQ(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    EQ(errno, ECHILD);
}

static void run_what_cannot_be_run(void *argument)
{
    (void)argument;
    int fds = count_fds();
    expect_failure("one/program", QSHM_E_PERMISSION, EACCES);
    expect_failure("./one", QSHM_E_PERMISSION, EACCES);
    EQ(count_fds(), fds + PIPE);
}

CASE(command_that_cannot_be_run)
{
    make_place();
    make_program("one/program", 3, 0);
    in_child(run_what_cannot_be_run);
    remove_place();
}

static void run_what_is_not_found(void *argument)
{
    (void)argument;
    expect_failure("/nowhere/program", QSHM_E_NOT_FOUND, ENOENT);
}

/* qshm.h: NOT_FOUND. */
CASE(command_that_is_not_found)
{
    in_child(run_what_is_not_found);
}

/* --- what it inherits --------------------------------------------------------------------------------------------- */

CASE(command_gets_the_environment)
{
    setenv("QSHM_ARGUMENT_1", "one", 1);
    setenv("QSHM_ARGUMENT_77", "two", 1);
    setenv("QSHM_SIGNALS_IGNORED", "0", 1);
    setenv("QSHM_SIGNALS_IGNORED_NOT", "kept", 1);
    setenv("QSHM_ARGUMENTS", "kept", 1);
    setenv("WITH_BYTES", "\xff\n=", 1);
    setenv("EMPTY", "", 1);
    static char expected[MOST_OUTPUT];
    size_t size = 0;
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, "QSHM_ARGUMENT_", 14) != 0 && strncmp(*entry, "QSHM_SIGNALS_IGNORED=", 21) != 0) {
            memcpy(expected + size, *entry, strlen(*entry) + 1);
            size += strlen(*entry) + 1;
        }
    }
    EQ(run_for_output(shell("cat /proc/$$/environ; exit 0"), NULL), 0);
    EQ(output_size, size);
    EQ(memcmp(output, expected, size), 0);
    EQ_TEXT(getenv("QSHM_ARGUMENT_77"), "two"); /* ours is as it was */
}

static uint64_t mask_in_output(const char *label)
{
    const char *line = strstr(output, label);
    CHECK(line != NULL);
    return strtoull(line + strlen(label), NULL, 16);
}

static uint64_t bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

static void change_signals(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the runtimes do */
    signal(SIGUSR2, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGWINCH);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
}

CASE(command_gets_default_signals)
{
    unsetenv("QSHM_SIGNALS_IGNORED");
    EQ(run_for_output(block_of("cat", "/proc/self/status", NULL), change_signals), 0);
    EQ(mask_in_output("SigIgn:\t") & (bit(32) - 1), 0);
    EQ(mask_in_output("SigCgt:\t") & (bit(32) - 1), 0);
    EQ(mask_in_output("SigBlk:\t"), bit(SIGUSR1) | bit(SIGWINCH));
}

/* As nohup wants it: what was ignored when the program began stays ignored, and is not passed on. */
CASE(command_keeps_ignored_signals)
{
    char hex[32];
    uint64_t ignored = bit(SIGHUP) | bit(SIGTERM) | bit(SIGPIPE) | bit(SIGTSTP);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)ignored);
    setenv("QSHM_SIGNALS_IGNORED", hex, 1);
    EQ(run_for_output(block_of("cat", "/proc/self/status", NULL), change_signals), 0);
    EQ(mask_in_output("SigIgn:\t") & (bit(32) - 1), ignored);
    struct wrapper wrapper = wrapper_start(helper("signals"), NULL);
    EQ(next_byte(&wrapper), 'r');
    EQ(kill(wrapper.pid, SIGHUP), 0);
    EQ(kill(wrapper.pid, SIGTERM), 0);
    EQ(kill(wrapper.pid, SIGTSTP), 0);
    EQ(kill(wrapper.pid, SIGUSR1), 0);
    EQ(next_byte(&wrapper), SIGUSR1);
    EQ(wrapper_end(&wrapper), 7);
}

static void open_more(void)
{
    for (int i = 0; i < 3; i++) {
        GT(open_memory(QSHM_CREATE | QSHM_ATTACH, "more"), 0);
    }
}

/* Those that are not close-on-exec anyway, 0 to 2 among them, and one: the guard's. Not those of other attachments, which
 * it would keep alive. */
CASE(command_inherits_one_descriptor)
{
    enum { MOST = 256 };
    bool expected[MOST] = {false}, seen[MOST] = {false};
    for (int fd = 0; fd < MOST; fd++) {
        int flags = fcntl(fd, F_GETFD);
        expected[fd] = flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    EQ(run_for_output(block_of("ls", "-l", "/proc/self/fd", NULL), open_more), 0);
    LT(guard_fd, MOST);
    CHECK(!expected[guard_fd]);
    expected[guard_fd] = true;
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *target = strstr(line, " -> ");
        if (target != NULL && strncmp(target + 4, "/proc/", 6) != 0) { /* else what ls itself reads */
            *target = '\0';
            int fd = atoi(strrchr(line, ' ') + 1);
            LT(fd, MOST);
            seen[fd] = true;
        }
    }
    for (int fd = 0; fd < MOST; fd++) {
        if (seen[fd] != expected[fd]) {
            runner_fail(__FILE__, __LINE__, "descriptor %d is%s inherited; the guard's is %d", fd,
                        seen[fd] ? "" : " not", guard_fd);
        }
    }
}

/* --- signals ------------------------------------------------------------------------------------------------------ */

/* Each arrives once: a second one would be there before the next signal's. */
CASE(command_gets_each_signal_once)
{
    struct wrapper wrapper = wrapper_start(helper("signals"), NULL);
    EQ(next_byte(&wrapper), 'r');
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < PASSED_ON; i++) {
            EQ(kill(wrapper.pid, passed_on[i]), 0);
            EQ(next_byte(&wrapper), passed_on[i]);
        }
    }
    call(&wrapper);
    EQ(wrapper_end(&wrapper), 7);
}

static void *idle(void *argument)
{
    (void)argument;
    for (;;) {
        pause();
    }
    return NULL;
}

static void start_thread(void)
{
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, idle, NULL), 0);
}

static void stop_before_the_child(void)
{
    qshm_test_arm(2, 1);
}

static void stop_behind_the_child(void)
{
    qshm_test_arm(3, 1);
}

static void stop_before_the_child_beside_a_thread(void)
{
    start_thread();
    qshm_test_arm(2, 1);
}

static void stop_behind_the_child_beside_a_thread(void)
{
    start_thread();
    qshm_test_arm(3, 1);
}

static struct wrapper wrapper_stopped(struct block block, void (*before)(void))
{
    struct wrapper wrapper;
    struct wrapping wrapping = {.block = &block, .before = before};
    prepare(&wrapper, &wrapping);
    CHECK(wait_stopped(wrapper.pid));
    free(block.bytes);
    return wrapper;
}

static void check_steps(void *argument)
{
    (void)argument;
    uint32_t handle = join();
    struct block block = block_of("true", NULL);
    qshm_test_arm(0, 0);
    GT(run(handle, &block), 0);
    char names[256];
    qshm_test_steps(names, sizeof names);
    EQ_TEXT(names, "vfork\ncommand started\n");
    EQ(qshm_await(handle), 0);
    EQ(qshm_detach(handle), 0);
}

/* A signal that comes before there is a child, or before its pid is known, is passed on; to whatever thread it went. */
CASE(command_gets_early_signals)
{
    in_child(check_steps);
    static const int numbers[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
    static void (*const befores[])(void) = {stop_before_the_child, stop_behind_the_child,
                                            stop_before_the_child_beside_a_thread,
                                            stop_behind_the_child_beside_a_thread};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (size_t j = 0; j < sizeof befores / sizeof *befores; j++) {
            struct wrapper wrapper = wrapper_stopped(helper("quiet"), befores[j]);
            EQ(kill(wrapper.pid, numbers[i]), 0);
            EQ(kill(wrapper.pid, SIGCONT), 0);
            gate_pass(&wrapper.detached); /* the command has ended, and with its input open */
            EQ(wrapper.seen->status, 128 + numbers[i]);
            close(wrapper.input);
            gate_open(&wrapper.end);
            EQ(wait_exit(wrapper.pid), 0);
            int byte = next_byte(&wrapper); /* it may have come as far as this */
            CHECK(byte == 'r' || byte == -1);
            close(wrapper.output);
        }
    }
}

/* Asked to stop, the command stops, and then the wrapper, for which a shell waits; both are continued together. */
CASE(command_stops_with_its_wrapper)
{
    struct wrapper wrapper = wrapper_start(helper("quiet"), NULL);
    EQ(next_byte(&wrapper), 'r');
    static const int numbers[] = {SIGTSTP, SIGTTIN, SIGTTOU};
    for (int round = 0; round < 6; round++) {
        EQ(kill(wrapper.pid, numbers[round % 3]), 0);
        CHECK(wait_stopped(wrapper.pid));
        EQ(state_of(wrapper.seen->command), 'T');
        EQ(kill(wrapper.pid, SIGCONT), 0);
        call(&wrapper);
    }
    EQ(ask(), 1);
    EQ(told.primary.process.pid, wrapper.pid);
    EQ(wrapper_end(&wrapper), 7);
}

/* Somebody stopped the command alone: nobody would continue the wrapper. */
CASE(command_is_stopped_alone)
{
    struct wrapper wrapper = wrapper_start(helper("quiet"), NULL);
    EQ(next_byte(&wrapper), 'r');
    for (int round = 0; round < 3; round++) {
        EQ(kill(wrapper.seen->command, SIGSTOP), 0);
        wait_for_state(wrapper.seen->command, 'T');
        EQ(waitpid(wrapper.pid, NULL, WUNTRACED | WNOHANG), 0);
        EQ(kill(wrapper.seen->command, SIGCONT), 0);
        call(&wrapper);
        EQ(waitpid(wrapper.pid, NULL, WUNTRACED | WNOHANG), 0);
    }
    close(wrapper.input);
    gate_pass(&wrapper.detached);
    gate_open(&wrapper.end);
    CHECK(!wait_stopped(wrapper.pid)); /* it ends, and has not stopped */
    EQ(wrapper.seen->status, 7);
}

/* --- who holds the name ------------------------------------------------------------------------------------------- */

CASE(command_outlives_its_wrapper)
{
    EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    uint32_t mine = join();
    struct wrapper wrapper = wrapper_start(helper("quiet"), NULL);
    EQ(next_byte(&wrapper), 'r');
    EQ(elect(mine), 0);
    EQ(ask(), 1);
    EQ(told.primary.process.pid, wrapper.pid);
    kill_and_wait(wrapper.pid);
    for (int round = 0; round < 3; round++) {
        EQ(elect(mine), 0);
        EQ(ask(), 1);
        EQ(told.primary.process.pid, wrapper.seen->command);
        EQ(told.primary.process.alive, 1);
        NE(told.primary.process.started, 0);
        EQ(remove_name("i-a", true), QSHM_E_IN_USE);
        EQ(outcome.pid, wrapper.seen->command);
        EQ(write(wrapper.input, "x", 1), 1);
        EQ(next_byte(&wrapper), 'x');
    }
    close(wrapper.input);
    EQ(wait_exit(wrapper.seen->command), 7);
    EQ(ask(), 0);
    EQ(elect(mine), 1);
    CHECK((outcome.flags & QSHM_RECOVERED) != 0); /* the wrapper did not release it */
    EQ(qshm_detach(mine), 0);
    EQ(count_files(), 0);
}

CASE(command_is_killed_after_its_wrapper)
{
    EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    uint32_t mine = join();
    struct wrapper wrapper = wrapper_start(helper("quiet"), NULL);
    kill_and_wait(wrapper.pid);
    EQ(elect(mine), 0);
    kill(wrapper.seen->command, SIGKILL);
    wait_killed(wrapper.seen->command, SIGKILL);
    EQ(elect(mine), 1);
    CHECK((outcome.flags & QSHM_RECOVERED) != 0);
}

/* What the command leaves behind keeps the description; a release gives the name up all the same. */
CASE(command_leaves_a_child_behind)
{
    EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    char exe[512] = "";
    GT(readlink("/proc/self/exe", exe, sizeof exe - 1), 0);
    setenv("QSHM_TEST_HELPER", "quiet", 1);
    setenv("QSHM_TEST_EXE", exe, 1);
    uint32_t mine = join();
    struct wrapper wrapper = wrapper_start(shell("exec 9<&0; \"$QSHM_TEST_EXE\" <&9 & exit 5"), NULL);
    EQ(next_byte(&wrapper), 'r');
    gate_pass(&wrapper.detached);
    EQ(wrapper.seen->status, 5);
    EQ(ask(), 0);
    EQ(elect(mine), 1);
    CHECK((outcome.flags & QSHM_RECOVERED) == 0);
    call(&wrapper); /* it still lives */
    EQ(qshm_detach(mine), 0);
    EQ(count_files(), 0);
    close(wrapper.input);
    gate_open(&wrapper.end);
    EQ(wait_exit(wrapper.pid), 0);
}

/* The same, and the wrapper is killed: nobody has released it. */
CASE(command_leaves_a_child_behind_a_dead_wrapper)
{
    EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    char exe[512] = "";
    GT(readlink("/proc/self/exe", exe, sizeof exe - 1), 0);
    setenv("QSHM_TEST_HELPER", "quiet", 1);
    setenv("QSHM_TEST_EXE", exe, 1);
    uint32_t mine = join();
    struct wrapper wrapper =
        wrapper_start(shell("exec 9<&0; \"$QSHM_TEST_EXE\" <&9 & while :; do wait; done"), NULL);
    EQ(next_byte(&wrapper), 'r');
    kill_and_wait(wrapper.pid);
    kill(wrapper.seen->command, SIGKILL);
    wait_killed(wrapper.seen->command, SIGKILL);
    EQ(ask(), 1);
    NE(told.primary.process.pid, 0);
    EQ(elect(mine), 0);
    close(wrapper.input);
    EQ(wait_exit((pid_t)told.primary.process.pid), 7); /* it became ours */
    EQ(elect(mine), 1);
    CHECK((outcome.flags & QSHM_RECOVERED) != 0);
}

static void kill_before_the_child(void)
{
    qshm_test_arm(2, 2);
}

static void kill_behind_the_child(void)
{
    qshm_test_arm(3, 2);
}

/* The wrapper dies while it makes the command: nothing has happened, or the command goes on and holds the name. */
CASE(command_whose_wrapper_dies_at_the_start)
{
    EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    uint32_t mine = join();
    for (int behind = 0; behind < 2; behind++) {
        struct block block = helper("quiet");
        struct wrapper wrapper;
        struct wrapping wrapping = {.block = &block, .before = behind ? kill_behind_the_child : kill_before_the_child};
        prepare(&wrapper, &wrapping);
        free(block.bytes);
        wait_killed(wrapper.pid, SIGKILL);
        if (behind) {
            EQ(next_byte(&wrapper), 'r');
            EQ(ask(), 1);
            EQ(elect(mine), 0);
            pid_t command = (pid_t)told.primary.process.pid;
            close(wrapper.input);
            EQ(wait_exit(command), 7);
        }
        EQ(next_byte(&wrapper), -1);
        EQ(elect(mine), 1);
        CHECK((outcome.flags & QSHM_RECOVERED) != 0);
        EQ(qshm_detach(mine), 0);
        mine = join();
    }
}

static void fail_to_make(void *argument)
{
    (void)argument;
    int fds = count_fds();
    uint32_t handle = join();
    struct block block = block_of("true", NULL);
    qshm_test_arm(1, 3);
    LT(run(handle, &block), 0);
    NE(outcome.os_error, 0);
    qshm_test_steps(NULL, 0);
    GT(run(handle, &block), 0);
    EQ(qshm_await(handle), 0);
    EQ(qshm_detach(handle), 0);
    EQ(count_fds(), fds + PIPE);
    EQ(count_files(), 0);
}

CASE(command_cannot_be_made)
{
    in_child(fail_to_make);
}

static void run_again(void *argument)
{
    (void)argument;
    uint32_t handle = join();
    EQ(elect(handle), 1);
    struct block block = shell("exit 4");
    for (int i = 0; i < 20; i++) {
        GT(run(handle, &block), 0);
        EQ(qshm_await(handle), 4);
    }
    EQ(qshm_detach(handle), 0);
}

/* One after the other. */
CASE(command_again)
{
    in_child(run_again);
}

/* --- what this process was called with ---------------------------------------------------------------------------- */

CASE(command_arguments_of_the_kernel)
{
    unsetenv("QSHM_ARGUMENT_1");
    static char expected[65536], found[65536];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, expected, sizeof expected);
    close(fd);
    GT(size, 1);
    int fds = count_fds();
    EQ(qshm_arguments(found, sizeof found, &outcome), size);
    EQ(outcome.flags, QSHM_WITH_RUNTIME);
    EQ(memcmp(found, expected, (size_t)size), 0);
    EQ(qshm_arguments(NULL, 0, &outcome), size);
    EQ(qshm_arguments(NULL, 1, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_arguments(found, sizeof found, NULL), QSHM_E_ARGUMENT);
    for (uint32_t capacity = 0; capacity <= (uint32_t)size; capacity++) { /* nothing is written behind it */
        char *exact = malloc(capacity + 1);
        exact[capacity] = 'x';
        EQ(qshm_arguments(exact, capacity, &outcome), size);
        EQ(exact[capacity], 'x');
        free(exact);
    }
    qshm_test_arm(1, 3);
    int32_t r = qshm_arguments(found, sizeof found, &outcome);
    qshm_test_steps(NULL, 0);
    LT(r, 0);
    NE(outcome.os_error, 0);
    EQ_TEXT(outcome.call, "open");
    EQ(count_fds(), fds);
}

CASE(command_arguments_of_the_launcher)
{
    setenv("QSHM_ARGUMENT_1", "", 1);
    setenv("QSHM_ARGUMENT_2", "\xff\n", 1);
    setenv("QSHM_ARGUMENT_3", "three", 1);
    setenv("QSHM_ARGUMENT_5", "behind a gap", 1);
    static const char expected[] = "\0\xff\n\0three";
    char found[64];
    memset(found, 'x', sizeof found);
    EQ(qshm_arguments(found, sizeof found, &outcome), sizeof expected);
    EQ(outcome.flags, 0);
    EQ(memcmp(found, expected, sizeof expected), 0);
    EQ(found[sizeof expected], 'x');
    for (uint32_t capacity = 0; capacity < sizeof expected; capacity++) {
        memset(found, 'x', sizeof found);
        EQ(qshm_arguments(found, capacity, &outcome), sizeof expected);
        EQ(found[capacity], 'x');
    }
}
