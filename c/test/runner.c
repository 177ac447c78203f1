/*
 * runner.c - see runner.h.
 *
 *   tests              runs every case, QSHM_JOBS at a time (default 4); exit status 1 if one failed
 *   tests --list       prints the names
 *   tests NAME ...     runs these; with QSHM_HERE=1 a single one runs in this very process, which suits a debugger, and
 *                      leaves its directory behind if it fails
 *   tests 'PREFIX*'    runs those that begin so
 */
#define _GNU_SOURCE
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CASES = 1024, MOST_JOBS = 64, MOST_FIGURES = 32, SKIPPED = 77, USUAL_SECONDS = 60 };

struct test_case {
    const char *name;
    runner_body *body;
    const void *argument;
};

struct job {
    pid_t pid;
    const struct test_case *test;
    int output;
    char directory[64];
};

struct figure {
    char what[48];
    long number;
};

static struct test_case cases[MOST_CASES];
static int case_count;
static char own_directory[64];
static struct figure figures[MOST_FIGURES];

void runner_add(const char *name, runner_body *body, const void *argument)
{
    if (case_count == MOST_CASES) {
        fprintf(stderr, "more than %d cases\n", MOST_CASES);
        abort();
    }
    cases[case_count++] = (struct test_case){.name = name, .body = body, .argument = argument};
}

/* --- what a case calls -------------------------------------------------------------------------------------------- */

static _Noreturn void leave(int status)
{
    fflush(NULL);
    _exit(status);
}

void runner_note(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

void runner_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("skip: ");
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    leave(SKIPPED);
}

void runner_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d: process %d: ", file, line, (int)getpid());
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    leave(1);
}

void runner_same_text(const char *file, int line, const char *what, const char *left, const char *right)
{
    if (strcmp(left, right) != 0) {
        runner_fail(file, line, "%s: \"%s\" against \"%s\"", what, left, right);
    }
}

void runner_count(const char *what, long number)
{
    printf("= %ld %s\n", number, what);
    fflush(stdout);
}

static unsigned number_from_environment(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : (unsigned)strtoul(text, NULL, 10);
}

/* Instrumented builds are slower: QSHM_WATCHDOG multiplies every limit. */
void runner_watchdog(unsigned seconds)
{
    alarm(seconds * number_from_environment("QSHM_WATCHDOG", 1));
}

const char *runner_directory(void)
{
    return own_directory;
}

uint64_t runner_seed(void)
{
    static uint64_t seed;
    if (seed == 0) {
        const char *text = getenv("QSHM_SEED");
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        seed = seed == 0 ? 1 : seed;
        runner_note("QSHM_SEED=%llu", (unsigned long long)seed);
    }
    return seed;
}

unsigned runner_torture_seconds(void)
{
    return number_from_environment("QSHM_TORTURE_SECONDS", 0);
}

/* --- the directory of a case -------------------------------------------------------------------------------------- */

static void make_directory(char path[64])
{
    strcpy(path, "/dev/shm/qshm-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        perror("mkdtemp /dev/shm/qshm-test-XXXXXX");
        exit(1);
    }
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    remove(path);
    return 0;
}

static void remove_directory(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* --- running ------------------------------------------------------------------------------------------------------ */

/* A line "= 23 kills" of a case's output. */
static void add_figure(const char *line)
{
    char *end;
    long number = strtol(line + 2, &end, 10);
    const char *what = end + 1;
    for (int i = 0; i < MOST_FIGURES; i++) {
        if (figures[i].what[0] == '\0') {
            snprintf(figures[i].what, sizeof figures[i].what, "%.40s", what);
        }
        if (strncmp(figures[i].what, what, sizeof figures[i].what - 1) == 0) {
            figures[i].number += number;
            return;
        }
    }
}

/* Shows the output of a case, and picks the reason of a skip out of it. */
static void read_output(int fd, bool show, char *reason, size_t capacity)
{
    lseek(fd, 0, SEEK_SET);
    FILE *stream = fdopen(fd, "r");
    char line[4096];
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "skip: ", 6) == 0) {
            snprintf(reason, capacity, "%.500s", line + 6);
        } else if (strncmp(line, "= ", 2) == 0) {
            add_figure(line);
        } else if (show) {
            printf("    %s\n", line);
        }
    }
    if (stream != NULL) {
        fclose(stream);
    }
}

/* Under an emulator the kernel cannot execute this program by itself: QSHM_TEST_EMULATOR names who can. */
static _Noreturn void execute_case(const char *name)
{
    const char *emulator = getenv("QSHM_TEST_EMULATOR");
    char self[PATH_MAX] = "";
    if (emulator == NULL) {
        execl("/proc/self/exe", "tests", name, (char *)NULL);
    } else if (readlink("/proc/self/exe", self, sizeof self - 1) > 0) {
        execlp(emulator, emulator, self, name, (char *)NULL);
    }
    perror("exec of the case");
    _exit(1);
}

static bool matches(const char *name, const char *pattern)
{
    size_t length = strlen(pattern);
    bool prefix = length > 0 && pattern[length - 1] == '*';
    return prefix ? strncmp(name, pattern, length - 1) == 0 : strcmp(name, pattern) == 0;
}

/* What qemu-user cannot do, whose cases are skipped under it. */
static const char *emulator_lacks(const char *name)
{
    static const char vfork[] = "qemu-user makes vfork a fork: a failed exec cannot be told to the parent";
    static const char again[] = "the command is this program again, which the kernel cannot execute under qemu-user";
    static const char subreaper[] = "qemu-user does not know PR_SET_CHILD_SUBREAPER";
    static const char maps[] = "qemu-user takes MADV_DONTFORK and does nothing";
    static const char wipe[] = "qemu-user takes MADV_WIPEONFORK and does nothing, and a pid does not tell enough here";
    static const char start[] = "qemu-user makes up when a process started, where that reads its own /proc/PID/stat";
    static const char file[] = "qemu-user writes a file when /proc/self/maps is read, beyond the limit";
    static const struct {
        const char *pattern, *reason;
    } lacking[] = {
        {"command_that_cannot_be_run", vfork},
        {"command_that_is_not_found", vfork},
        {"command_is_found_behind_what_cannot_be_run", vfork},
        {"command_is_found_as_by_execvp", vfork},
        {"command_gets_early_signals", again},
        {"command_keeps_ignored_signals", again},
        {"command_gets_each_signal_once", again},
        {"command_stops_with_its_wrapper", again},
        {"command_is_stopped_alone", again},
        {"takeover_command", again},
        {"command_outlives_its_wrapper", subreaper},
        {"command_is_killed_after_its_wrapper", subreaper},
        {"command_leaves_a_child_behind*", subreaper},
        {"command_whose_wrapper_dies_at_the_start", subreaper},
        {"fork_child_with_threads", maps},
        {"fork_child_has_no_handles", maps},
        {"fork_child_lets_go", maps},
        {"fork_child_threads_reset_once", wipe},
        {"fork_child_with_the_same_pid", wipe},
        {"takeover_signals_the_holder", start},
        {"takeover_never_signals_another", start},
        {"limits_file_size", file},
    };
    for (size_t i = 0; getenv("QSHM_TEST_EMULATOR") != NULL && i < sizeof lacking / sizeof *lacking; i++) {
        if (matches(name, lacking[i].pattern)) {
            return lacking[i].reason;
        }
    }
    return NULL;
}

static struct job start(const struct test_case *test)
{
    struct job job = {.test = test, .output = memfd_create(test->name, MFD_CLOEXEC)};
    make_directory(job.directory);
    fflush(NULL);
    job.pid = fork();
    if (job.pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(job.output, STDOUT_FILENO);
        dup2(job.output, STDERR_FILENO);
        setenv("QSHM_DIRECTORY", job.directory, 1);
        setenv("QSHM_TEST_DIRECTORY", job.directory, 1);
        execute_case(test->name);
    }
    return job;
}

/* 0 passed, 1 failed, SKIPPED. */
static int finish(struct job *job, int status)
{
    kill(-job->pid, SIGKILL); /* children that the case has left behind */
    remove_directory(job->directory);
    char reason[512] = "";
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    if (code == 0) {
        printf("ok %s\n", job->test->name);
    } else if (code != SKIPPED) {
        printf("not ok %s\n", job->test->name);
    }
    read_output(job->output, code != SKIPPED, reason, sizeof reason);
    if (code == SKIPPED) {
        printf("skip %s: %s\n", job->test->name, reason[0] == '\0' ? "no reason given" : reason);
    }
    if (WIFSIGNALED(status)) {
        int number = WTERMSIG(status);
        printf("    ended by signal %d (%s)%s\n", number, strsignal(number), number == SIGALRM ? ": the watchdog" : "");
    }
    fflush(stdout);
    return code == 0 || code == SKIPPED ? code : 1;
}

static int run_all(const struct test_case **wanted, int count)
{
    unsigned width = number_from_environment("QSHM_JOBS", 4);
    width = width < 1 ? 1 : width > MOST_JOBS ? MOST_JOBS : width;
    struct job jobs[MOST_JOBS] = {0};
    int next = 0, running = 0, passed = 0, failed = 0, skipped = 0;
    while (next < count || running > 0) {
        for (unsigned i = 0; i < width && next < count; i++) {
            if (jobs[i].pid == 0) {
                jobs[i] = start(wanted[next++]);
                running++;
            }
        }
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        for (unsigned i = 0; i < width; i++) {
            if (jobs[i].pid == ended && ended > 0) {
                int code = finish(&jobs[i], status);
                passed += code == 0;
                skipped += code == SKIPPED;
                failed += code == 1;
                jobs[i].pid = 0;
                running--;
            }
        }
    }
    for (int i = 0; i < MOST_FIGURES && figures[i].what[0] != '\0'; i++) {
        printf("total: %ld %s\n", figures[i].number, figures[i].what);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}

static int run_here(const struct test_case *test)
{
    const char *given = getenv("QSHM_TEST_DIRECTORY");
    bool own = given == NULL;
    if (own) {
        make_directory(own_directory);
        setenv("QSHM_DIRECTORY", own_directory, 1);
    } else {
        snprintf(own_directory, sizeof own_directory, "%s", given);
    }
    runner_watchdog(USUAL_SECONDS);
    const char *lacks = emulator_lacks(test->name);
    if (lacks != NULL) {
        runner_skip("%s", lacks);
    }
    test->body(test->argument);
    fflush(NULL);
    if (own) {
        remove_directory(own_directory);
        printf("ok %s\n", test->name);
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (int i = 0; i < case_count; i++) {
            puts(cases[i].name);
        }
        return 0;
    }
    static const struct test_case *wanted[MOST_CASES];
    int found = 0;
    for (int i = 0; i < case_count; i++) {
        bool take = count == 1;
        for (int j = 1; j < count; j++) {
            take = take || matches(cases[i].name, arguments[j]);
        }
        if (take) {
            wanted[found++] = &cases[i];
        }
    }
    if (found == 0) {
        fprintf(stderr, "no such case; --list names them\n");
        return 1;
    }
    bool here = getenv("QSHM_TEST_DIRECTORY") != NULL || getenv("QSHM_HERE") != NULL;
    return here && found == 1 ? run_here(wanted[0]) : run_all(wanted, found);
}
