/*
 * abi.c - the release library as others see it: its size, what it needs, what it gives, in programs of two libcs.
 *
 * QSHM_TEST_ABI names the directory with library.so, program.glibc and, where there is a compiler for it, program.musl;
 * make builds them. Invariant: the library is looked at from outside (nm, dlopen), never linked.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

static const char *artifact(const char *name)
{
    static char path[2][512];
    static int turn;
    const char *directory = getenv("QSHM_TEST_ABI");
    if (directory == NULL) {
        runner_skip("QSHM_TEST_ABI is not set (make check)");
    }
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", directory, name);
    return path[turn];
}

/* Calls `line` for each line that a command prints. */
static void each_line(const char *command, void (*line)(char *))
{
    FILE *stream = popen(command, "r");
    CHECK(stream != NULL);
    char text[512];
    while (fgets(text, sizeof text, stream) != NULL) {
        text[strcspn(text, "\n")] = '\0';
        line(text);
    }
    EQ(pclose(stream), 0);
}

static void need_nm(void)
{
    if (system("nm --version > /dev/null 2>&1") != 0) {
        runner_skip("nm is not installed");
    }
}

CASE(abi_size)
{
    struct stat status;
    EQ(stat(artifact("library.so"), &status), 0);
    runner_note("%lld bytes", (long long)status.st_size);
    LT(status.st_size, 131072);
}

static int undefined;

/* Names that one libc has and the other has not: versions, LFS64 aliases, fortified calls, C23 aliases, internals. */
static void check_undefined(char *line)
{
    const char *name = strrchr(line, ' ');
    name = name == NULL ? line : name + 1;
    size_t length = strlen(name);
    bool odd = strchr(name, '@') != NULL || strstr(name, "_chk") != NULL || strncmp(name, "__isoc", 6) == 0 ||
               (length > 2 && strcmp(name + length - 2, "64") == 0) ||
               (strncmp(name, "__", 2) == 0 && strcmp(name, "__errno_location") != 0);
    if (odd) {
        runner_fail(__FILE__, __LINE__, "the library needs %s", name);
    }
    undefined++;
}

CASE(abi_undefined_symbols)
{
    need_nm();
    char command[640];
    snprintf(command, sizeof command, "nm -D --undefined-only '%s'", artifact("library.so"));
    each_line(command, check_undefined);
    GT(undefined, 10);
    runner_note("%d undefined symbols", undefined);
}

enum { MOST_EXPORTS = 128 };
static char exported[MOST_EXPORTS][64];
static int exports;

static void note_export(char *line)
{
    char *name = strrchr(line, ' ');
    char type = name == NULL ? '?' : name[-1];
    if (type == 'T') {
        name[strcspn(name, "@")] = '\0';
        LT(exports, MOST_EXPORTS);
        snprintf(exported[exports++], sizeof *exported, "%.60s", name + 1);
    } else if (type != 'A') { /* the version's own name */
        runner_fail(__FILE__, __LINE__, "exported: %s", line);
    }
}

CASE(abi_describe_lists_the_exports)
{
    need_nm();
    char command[640];
    snprintf(command, sizeof command, "nm -D --defined-only '%s'", artifact("library.so"));
    each_line(command, note_export);
    static char text[16384];
    int32_t length = qshm_describe(text, sizeof text - 1);
    EQ(length, qshm_describe(NULL, 0));
    LT(length, (int32_t)sizeof text);
    EQ(strlen(text), length);
    int described = 0, errors = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (strncmp(line, "error ", 6) == 0) {
            errors++;
            continue;
        }
        line[strcspn(line, " ")] = '\0';
        bool known = false;
        for (int i = 0; i < exports; i++) {
            known = known || strcmp(exported[i], line) == 0;
        }
        if (!known) {
            runner_fail(__FILE__, __LINE__, "described, but not exported: %s", line);
        }
        described++;
    }
    EQ(described, exports);
    EQ(errors, -QSHM_E_TOO_LARGE);
}

static void run_program(const char *name)
{
    char command[2048];
    snprintf(command, sizeof command, "'%s' '%s' '%s'", artifact(name), artifact("library.so"), runner_directory());
    EQ(system(command), 0);
    EQ(count_files(), 0);
}

CASE(abi_glibc_program)
{
    run_program("program.glibc");
}

CASE(abi_musl_program)
{
    if (access(artifact("program.musl"), X_OK) != 0) {
        runner_skip("no compiler for musl (musl-gcc)");
    }
    run_program("program.musl");
}
