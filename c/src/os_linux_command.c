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
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "fault.h"
#include "os.h"

/* --- signals ------------------------------------------------------------------------------------------------------ */

enum { SIGNALS = 64 };

/* Whatever a process may send another to tell it something. The first real-time signals belong to the libcs. */
static bool is_passed_on(int signal)
{
    static const int known[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,  SIGUSR1,   SIGUSR2, SIGTSTP, SIGTTIN,
                                SIGTTOU, SIGCONT, SIGALRM, SIGWINCH, SIGVTALRM, SIGPROF, SIGIO};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i] == signal) {
            return true;
        }
    }
    return signal >= 35 && signal <= SIGNALS;
}

static _Atomic int32_t command_pid;     /* 0: there is none, or it has ended */
static _Atomic uint64_t noted;          /* bit signal-1 for each that is still to be passed on */
static _Atomic bool command_is_stopped; /* as far as is known */
static _Atomic double asked_to_stop;    /* when (ms); 0: not asked, or done */

/* A command that was asked and did not stop within this time (ms) has decided not to. If somebody stops it alone later,
 * nobody would continue us. */
static const double request_holds = 1000;

/* Stops this process, if it was asked to and the command has stopped: our parent, such as a shell, waits for us to. The
 * handler may come before the command stops, or after it: each side notes its part and then looks at the other's
 * (test: "command_stopped_before_its_wrapper"). */
static void stop_as_asked(void)
{
    double when = asked_to_stop;
    if (command_is_stopped && when != 0 && atomic_compare_exchange_strong(&asked_to_stop, &when, 0) &&
        qshm__os_now() - when < request_holds) {
        kill(getpid(), SIGSTOP);
    }
}

/* Has somebody else, such as a shell its whole process group, continued the command already? */
static bool was_continued(void)
{
    siginfo_t change = {0};
    return waitid(P_PID, (id_t)command_pid, &change, WCONTINUED | WNOHANG | WNOWAIT) == 0 && change.si_pid != 0;
}

/* Sends what was noted. Whoever clears a bit sends that signal: the handler, or the thread that made the child. */
static void send_noted(void)
{
    for (int signal = 1; signal <= SIGNALS; signal++) {
        uint64_t bit = UINT64_C(1) << (signal - 1);
        if (command_pid > 0 && (noted & bit) != 0 && (atomic_fetch_and(&noted, ~bit) & bit) != 0) {
            kill(command_pid, signal);
        }
    }
}

static bool is_stop(int signal)
{
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    bool pass = info->si_code <= 0 /* sent by a process */ || command_pid == 0;
    if (signal == SIGCONT) {
        asked_to_stop = 0;
        /* A second one, come late, would undo a stop that followed the first. */
        pass = pass && !(command_is_stopped && was_continued());
        command_is_stopped = false;
    }
    if (pass) {
        atomic_fetch_or(&noted, UINT64_C(1) << (signal - 1));
        send_noted();
    }
    if (is_stop(signal)) {
        asked_to_stop = qshm__os_now();
        stop_as_asked();
    }
    errno = saved;
}

static int children[2] = {-1, -1}; /* a pipe: readable when a child has changed, whatever thread got the signal */

static void on_child(int signal)
{
    (void)signal;
    int saved = errno;
    ssize_t ignored = write(children[1], "", 1);
    (void)ignored;
    errno = saved;
}

static bool is_in(uint64_t mask, int signal)
{
    return (mask >> (signal - 1) & 1) != 0;
}

static struct sigaction former[SIGNALS + 1]; /* as they were before there was a command */

static void handle_signals(uint64_t ignored)
{
    for (int signal = 1; signal <= SIGNALS; signal++) {
        if (!is_passed_on(signal)) {
            continue;
        }
        struct sigaction action = {.sa_flags = SA_SIGINFO | SA_RESTART};
        sigfillset(&action.sa_mask);
        if (is_in(ignored, signal)) {
            action.sa_flags = 0;
            action.sa_handler = SIG_IGN;
        } else {
            action.sa_sigaction = on_signal;
        }
        sigaction(signal, &action, &former[signal]);
    }
    struct sigaction reaping = {.sa_flags = SA_RESTART}; /* ignored, the child's status would be lost */
    reaping.sa_handler = on_child;
    sigaction(SIGCHLD, &reaping, &former[SIGCHLD]);
}

/* There is no command any more: signals mean us again. */
static void leave_signals(void)
{
    for (int signal = 1; signal <= SIGNALS; signal++) {
        if (is_passed_on(signal) || signal == SIGCHLD) {
            sigaction(signal, &former[signal], NULL);
        }
    }
    noted = 0;
    asked_to_stop = 0;
    command_is_stopped = false;
}

/* In the child: what has a handler gets its default by itself; what the runtime ignores would stay ignored. */
static void restore_dispositions(uint64_t ignored)
{
    for (int signal = 1; signal <= SIGNALS; signal++) {
        if (signal < 32 || is_passed_on(signal)) { /* the kernel refuses SIGKILL and SIGSTOP */
            struct sigaction action = {0};
            action.sa_handler = is_in(ignored, signal) ? SIG_IGN : SIG_DFL;
            sigaction(signal, &action, NULL);
        }
    }
}

/* --- the program --------------------------------------------------------------------------------------------------- */

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

/* --- the child ---------------------------------------------------------------------------------------------------- */

struct program {
    char **arguments; /* behind one free place, for a shell */
    char **environment;
    int inherited;
    uint64_t ignored;
    sigset_t mask;
    _Atomic int error; /* errno of a failed exec; the child's memory is ours */
};

/* Returns only if that fails, with its errno. */
static int execute(struct program *program, char *path)
{
    execve(path, program->arguments + 1, program->environment);
    if (errno == ENOEXEC) { /* a script without an interpreter line */
        static char shell[] = "/bin/sh";
        char **arguments = program->arguments;
        char *name = arguments[1];
        arguments[0] = shell;
        arguments[1] = path;
        execve(shell, arguments, program->environment);
        arguments[1] = name;
    }
    return errno;
}

/* As execvp does: a name without a slash is looked for in PATH, beyond what is there and cannot be run. */
static int search(struct program *program)
{
    char *name = program->arguments[1];
    size_t length = strlen(name);
    if (length == 0 || strchr(name, '/') != NULL) {
        return length == 0 ? ENOENT : execute(program, name);
    }
    const char *directories = getenv("PATH");
    int error = ENOENT;
    for (const char *at = directories != NULL ? directories : "/bin:/usr/bin"; at != NULL;) {
        char path[4096];
        size_t directory = strcspn(at, ":");
        if (directory + length + 2 <= sizeof path) {
            memcpy(path, at, directory);
            path[directory] = '/';
            memcpy(path + directory + (directory > 0), name, length + 1);
            int r = execute(program, path);
            bool go_on = r == ENOENT || r == ENOTDIR || r == EACCES || r == ESTALE || r == ENODEV || r == ETIMEDOUT;
            if (!go_on) {
                return r;
            }
            error = r == EACCES ? r : error;
        }
        at = at[directory] == ':' ? at + directory + 1 : NULL;
    }
    return error;
}

static void become(struct program *program)
{
    restore_dispositions(program->ignored);
    qshm__start_restore_descriptors();
    qshm__start_restore_limits();
    int flags = fcntl(program->inherited, F_GETFD);
    fcntl(program->inherited, F_SETFD, flags & ~FD_CLOEXEC);
    sigprocmask(SIG_SETMASK, &program->mask, NULL);
    program->error = search(program);
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
    struct program program = {.inherited = inherited, .ignored = qshm__start_ignored_signals()};
    if (command_pid != 0) {
        return -EBUSY;
    }
    if (children[0] < 0 && pipe2(children, O_CLOEXEC | O_NONBLOCK) != 0) {
        return -errno;
    }
    program.arguments = split(arguments, size, 1);
    program.environment = qshm__start_environment();
    int r = -ENOMEM;
    if (program.arguments != NULL && program.environment != NULL) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, &program.mask);
        handle_signals(program.ignored);
        r = start(&program);
        if (r < 0) {
            leave_signals();
        }
        sigprocmask(SIG_SETMASK, &program.mask, NULL);
    }
    free(program.arguments);
    free(program.environment);
    return r;
}

/* Its status, or -EAGAIN while it lives. */
static int look_at_command(pid_t pid)
{
    for (;;) {
        siginfo_t change = {0};
        int status;
        if (waitid(P_PID, (id_t)pid, &change, WEXITED | WSTOPPED | WCONTINUED | WNOWAIT | WNOHANG) != 0) {
            if (errno != EINTR) {
                return -errno;
            }
        } else if (change.si_pid == 0) {
            return -EAGAIN;
        } else if (change.si_code == CLD_STOPPED || change.si_code == CLD_CONTINUED) {
            command_is_stopped = change.si_code == CLD_STOPPED;
            waitid(P_PID, (id_t)pid, &change, WSTOPPED | WCONTINUED | WNOHANG);
            stop_as_asked();
        } else {
            command_pid = 0; /* before it is reaped: its pid may soon be somebody else's */
            waitpid(pid, &status, 0);
            leave_signals();
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

static void drain(int fd)
{
    char bytes[64];
    while (fd >= 0 && read(fd, bytes, sizeof bytes) > 0) {
    }
}

int qshm__os_await_command(int bell, double ms)
{
    const pid_t pid = command_pid;
    if (pid == 0) {
        return -ECHILD;
    }
    const double end = qshm__os_now() + ms;
    for (;;) {
        int r = look_at_command(pid);
        double left = end - qshm__os_now();
        if (r != -EAGAIN || left <= 0) {
            return r;
        }
        struct pollfd ready[] = {{.fd = children[0], .events = POLLIN}, {.fd = bell, .events = POLLIN}};
        poll(ready, 2, (int)left + 1);
        drain(children[0]);
        if ((ready[1].revents & POLLIN) != 0) {
            drain(bell);
            return -EAGAIN;
        }
    }
}

void qshm__os_end_command(void)
{
    if (command_pid > 0) {
        kill(command_pid, SIGTERM);
    }
}

void qshm__os_exit(int status)
{
    _exit(status);
}
