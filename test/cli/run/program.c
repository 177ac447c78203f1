/*
 * program.c - what the tests of `qshm run` need a process for: one that tells of each signal, one that starts a command
 * as a shell's job, and one that is a terminal.
 *
 *   signals [NUMBER...]   writes "up PID PARENT TTYS FOREGROUND", then "got NUMBER" for each signal; ends with 7 when its
 *                         input does, or at a line "end"
 *   job COMMAND...        runs it in a session and a process group of its own, so that SIGTSTP can stop it: nothing stops
 *                         in an orphaned group
 *   terminal COMMAND...   runs it in a new terminal; what comes in is typed, what it shows goes out
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0) {
        _exit(99);
    }
}

static void on_signal(int signal)
{
    char line[] = "got 00\n";
    line[4] = (char)('0' + signal / 10);
    line[5] = (char)('0' + signal % 10);
    say(line);
}

static int signals(char **numbers)
{
    for (; *numbers != NULL; numbers++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
        sigfillset(&action.sa_mask);
        sigaction(atoi(*numbers), &action, NULL);
    }
    char line[256];
    snprintf(line, sizeof line, "up %d %d %d%d%d %d\n", getpid(), getppid(), isatty(0), isatty(1), isatty(2),
             tcgetpgrp(0) == getpgrp());
    say(line);
    ssize_t got;
    while ((got = read(0, line, sizeof line)) > 0 && strncmp(line, "end", 3) != 0) {
    }
    return 7;
}

static int end_as(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run(char **command)
{
    execvp(command[0], command);
    return 127;
}

static int job(char **command)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        pid = fork(); /* the session's leader stays, as a shell would: so the group is not orphaned */
        if (pid == 0) {
            setpgid(0, 0);
            return run(command);
        }
    }
    waitpid(pid, &status, 0);
    return end_as(status);
}

static int relay(int from, int to)
{
    char bytes[4096];
    ssize_t got = read(from, bytes, sizeof bytes);
    return got > 0 && write(to, bytes, (size_t)got) == got;
}

static int terminal(char **command)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        perror("terminal");
        return 99;
    }
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        int slave = open(ptsname(master), O_RDWR);
        ioctl(slave, TIOCSCTTY, 0);
        for (int fd = 0; fd <= 2; fd++) {
            dup2(slave, fd);
        }
        if (slave > 2) {
            close(slave);
        }
        return run(command);
    }
    struct pollfd sides[] = {{.fd = master, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (;;) {
        if (poll(sides, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        if (sides[1].revents != 0 && !relay(0, master)) {
            break; /* the terminal is closed: who runs in it gets SIGHUP */
        }
        if (sides[0].revents != 0 && !relay(master, 1)) {
            break;
        }
    }
    int status;
    close(master);
    waitpid(pid, &status, 0);
    return end_as(status);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "signals") == 0) {
        return signals(argv + 2);
    }
    if (argc >= 3 && strcmp(argv[1], "job") == 0) {
        return job(argv + 2);
    }
    if (argc >= 3 && strcmp(argv[1], "terminal") == 0) {
        return terminal(argv + 2);
    }
    return 64;
}
