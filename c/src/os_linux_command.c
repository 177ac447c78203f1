/*
 * os_linux_command.c - running a command in a child process, as `qshm run` does: its arguments byte for byte, the
 * descriptor that keeps the name held, and the signals that are passed on.
 *
 * Owns: the one command a process can run at a time, and the handlers of the signals that are passed on to it.
 *
 * Invariants
 *  - The handlers stand before the child is made; what comes in between, in whatever thread, is noted and passed on
 *    once there is a child: none is lost, and none ends this process while the command lives (test:
 *    "command_gets_early_signals").
 *  - A signal from the terminal (the kernel's own) reaches the command anyway, which is in the same process group: only
 *    those that a process sent are passed on.
 *  - The child runs in this process's memory (vfork: copying a runtime's page tables takes milliseconds) and does
 *    nothing but system calls on its own signal and descriptor tables until it is another program.
 *
 * Failure story: killed before the child is made, nothing has happened; after it, the command goes on alone, and with it
 * the description that it inherited: the name stays held until it ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "fault.h"

/* --- signals ------------------------------------------------------------------------------------------------------ */

static const int passed_on[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,  SIGUSR2,
                                SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH, SIGALRM};
enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };

static _Atomic int32_t command_pid; /* 0: there is none, or it has ended */
static _Atomic uint64_t noted;      /* a bit for each signal that is still to be passed on */
static _Atomic bool asked_to_stop;

static bool asks_to_stop(int signal)
{
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

/* Sends what was noted. Whoever clears a bit sends that signal: the handler, or the thread that made the child. */
static void send_noted(void)
{
    for (int i = 0; i < PASSED_ON; i++) {
        uint64_t bit = UINT64_C(1) << passed_on[i];
        if (command_pid > 0 && (atomic_fetch_and(&noted, ~bit) & bit) != 0) {
            kill(command_pid, passed_on[i]);
        }
    }
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (asks_to_stop(signal) || signal == SIGCONT) {
        asked_to_stop = signal != SIGCONT;
    }
    bool sent_by_process = info->si_code <= 0;
    if (sent_by_process || command_pid == 0) {
        atomic_fetch_or(&noted, UINT64_C(1) << signal);
        send_noted();
    }
    errno = saved;
}

/* The signals that were ignored when the program began, as a mask in hex: a launcher's word, because the runtimes change
 * some dispositions before any of our code runs, and nohup must go on to work. */
static uint64_t ignored_at_start(void)
{
    static const char hex[] = "0123456789abcdef";
    const char *digits = getenv("QSHM_SIGNALS_IGNORED");
    uint64_t mask = 0;
    for (; digits != NULL && *digits != '\0'; digits++) {
        const char *digit = strchr(hex, *digits);
        mask = digit == NULL ? mask : mask << 4 | (uint64_t)(digit - hex);
    }
    return mask;
}

static bool is_in(uint64_t mask, int signal)
{
    return (mask >> (signal - 1) & 1) != 0;
}

static void handle_signals(uint64_t ignored)
{
    for (int i = 0; i < PASSED_ON; i++) {
        struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
        sigfillset(&action.sa_mask);
        if (is_in(ignored, passed_on[i])) {
            action.sa_flags = 0;
            action.sa_handler = SIG_IGN;
        } else {
            action.sa_sigaction = on_signal;
        }
        sigaction(passed_on[i], &action, NULL);
    }
    struct sigaction reaping = {0}; /* ignored, the child's status would be lost */
    reaping.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &reaping, NULL);
}

/* In the child: what has a handler gets its default by itself; what the runtime ignores would stay ignored. */
static void restore_dispositions(uint64_t ignored)
{
    for (int signal = 1; signal < 32; signal++) {
        if (signal != SIGKILL && signal != SIGSTOP) {
            struct sigaction action = {0};
            action.sa_handler = is_in(ignored, signal) ? SIG_IGN : SIG_DFL;
            sigaction(signal, &action, NULL);
        }
    }
}

/* --- arguments and environment ------------------------------------------------------------------------------------ */

extern char **environ;

static bool is_own_variable(const char *entry)
{
    return strncmp(entry, "QSHM_ARGUMENT_", 14) == 0 || strncmp(entry, "QSHM_SIGNALS_IGNORED=", 21) == 0;
}

/* The environment without what the launcher put there. */
static char **command_environment(void)
{
    size_t count = 0;
    while (environ[count] != NULL) {
        count++;
    }
    char **copy = malloc((count + 1) * sizeof *copy);
    size_t kept = 0;
    for (size_t i = 0; copy != NULL && i < count; i++) {
        if (!is_own_variable(environ[i])) {
            copy[kept++] = environ[i];
        }
    }
    if (copy != NULL) {
        copy[kept] = NULL;
    }
    return copy;
}

/* The strings of a block, with `before` free places in front. */
static char **split(char *block, uint32_t size, size_t before)
{
    size_t count = 0;
    for (uint32_t i = 0; i < size; i++) {
        count += block[i] == '\0';
    }
    char **list = calloc(before + count + 1, sizeof *list);
    size_t n = before;
    for (uint32_t at = 0; list != NULL && at < size; at += (uint32_t)strlen(block + at) + 1) {
        list[n++] = block + at;
    }
    return list;
}

/* --- finding the program ------------------------------------------------------------------------------------------ */

static int check_program(const char *path)
{
    if (access(path, X_OK) != 0) {
        return -errno;
    }
    int directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
        close(directory);
    }
    return directory >= 0 ? -EACCES : 0;
}

/* As execvp does: a name without a slash is looked for in PATH. -ENOENT, or -EACCES if only what cannot be run is there. */
static int find_program(const char *name, char *path, size_t capacity)
{
    if (name[0] == '\0') {
        return -ENOENT;
    }
    if (strchr(name, '/') != NULL) {
        return snprintf(path, capacity, "%s", name) < (int)capacity ? check_program(name) : -ENAMETOOLONG;
    }
    const char *directories = getenv("PATH");
    int found = -ENOENT;
    for (const char *at = directories != NULL ? directories : "/bin:/usr/bin"; at != NULL;) {
        size_t length = strcspn(at, ":");
        int written = snprintf(path, capacity, "%.*s%s%s", (int)length, at, length == 0 ? "" : "/", name);
        if (written > 0 && (size_t)written < capacity) {
            int r = check_program(path);
            if (r == 0) {
                return 0;
            }
            found = r == -EACCES ? r : found;
        }
        at = at[length] == ':' ? at + length + 1 : NULL;
    }
    return found;
}

/* --- the child ---------------------------------------------------------------------------------------------------- */

struct program {
    char *path;
    char **arguments; /* behind one free place, for a shell */
    char **environment;
    int inherited;
    uint64_t ignored;
    sigset_t mask;
    _Atomic int error; /* errno of a failed exec; the child's memory is ours */
};

static void inherit(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0) {
        fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
    }
}

static void become(struct program *program)
{
    restore_dispositions(program->ignored);
    for (int fd = 0; fd <= 2; fd++) { /* Node marks them at its start */
        inherit(fd);
    }
    inherit(program->inherited);
    sigprocmask(SIG_SETMASK, &program->mask, NULL);
    execve(program->path, program->arguments + 1, program->environment);
    if (errno == ENOEXEC) { /* a script without an interpreter line */
        char shell[] = "/bin/sh";
        char **arguments = program->arguments;
        arguments[0] = shell;
        arguments[1] = program->path;
        execve(shell, arguments, program->environment);
    }
    program->error = errno;
    _exit(127);
}

static int start(struct program *program)
{
    QSHM_CALL("vfork");
    pid_t pid = vfork();
    if (pid == 0) {
        become(program);
    }
    if (pid < 0) {
        return -errno;
    }
    if (program->error != 0) {
        waitpid(pid, NULL, 0);
        return -program->error;
    }
    QSHM_POINT("command started");
    command_pid = pid;
    send_noted();
    return pid;
}

int qshm__os_run_command(char *arguments, uint32_t size, int inherited)
{
    char path[4096];
    struct program program = {.path = path, .inherited = inherited, .ignored = ignored_at_start()};
    int r = find_program(arguments, path, sizeof path);
    if (r < 0) {
        return r;
    }
    program.arguments = split(arguments, size, 1);
    program.environment = command_environment();
    r = -ENOMEM;
    if (program.arguments != NULL && program.environment != NULL) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &program.mask);
        handle_signals(program.ignored);
        r = start(&program);
        sigprocmask(SIG_SETMASK, &program.mask, NULL);
    }
    free(program.arguments);
    free(program.environment);
    return r;
}

int qshm__os_await_command(void)
{
    const pid_t pid = command_pid;
    for (;;) {
        siginfo_t change;
        int status;
        if (waitid(P_PID, (id_t)pid, &change, WEXITED | WSTOPPED | WNOWAIT) != 0) {
            if (errno != EINTR) {
                return -errno;
            }
        } else if (change.si_code == CLD_STOPPED) {
            waitid(P_PID, (id_t)pid, &change, WSTOPPED | WNOHANG);
            /* Stopped by what was sent to us, too: our parent, such as a shell, waits for us to stop. If somebody stopped
             * the command alone, nobody would ever continue us. */
            if (atomic_exchange(&asked_to_stop, false)) {
                kill(getpid(), SIGSTOP);
            }
        } else {
            command_pid = 0; /* before it is reaped: its pid may soon be somebody else's */
            waitpid(pid, &status, 0);
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

/* --- what this process was called with ---------------------------------------------------------------------------- */

static uint32_t append(void *to, uint32_t capacity, uint32_t used, const char *bytes, size_t size)
{
    if (used <= capacity && size <= capacity - used) {
        memcpy((uint8_t *)to + used, bytes, size);
    }
    return used + (uint32_t)size;
}

/* A launcher passes them by the environment to a runtime that does not start with arguments that are not UTF-8. */
static uint32_t arguments_of_environment(void *bytes, uint32_t capacity)
{
    uint32_t used = 0;
    const char *value;
    for (unsigned i = 1;; i++) {
        char name[40];
        snprintf(name, sizeof name, "QSHM_ARGUMENT_%u", i);
        value = getenv(name);
        if (value == NULL) {
            break;
        }
        used = append(bytes, capacity, used, value, strlen(value) + 1);
    }
    return used;
}

int qshm__os_arguments(void *bytes, uint32_t capacity, bool *complete)
{
    *complete = getenv("QSHM_ARGUMENT_1") == NULL;
    if (!*complete) {
        return (int)arguments_of_environment(bytes, capacity);
    }
    QSHM_CALL("open");
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    uint32_t used = 0;
    char part[4096];
    ssize_t got;
    while ((got = read(fd, part, sizeof part)) > 0) {
        used = append(bytes, capacity, used, part, (size_t)got);
    }
    close(fd);
    return (int)used;
}
