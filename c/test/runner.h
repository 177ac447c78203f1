/*
 * runner.h - registers test cases and runs each of them in a process of its own.
 *
 * Owns: the list of cases, the assertions, and the directory in which a case works.
 *
 * Invariants: a case is the only thing its process does; it may leave handles, files and children behind, since the
 * runner ends its process group and removes its directory. A failed assertion prints both operands and ends the
 * process that made it, be that the case or a child of it. A case that hangs is ended by a watchdog; no case asserts
 * that something is fast.
 */
#ifndef QSHM_TEST_RUNNER_H
#define QSHM_TEST_RUNNER_H

#include <stdint.h>

typedef void runner_body(const void *argument);

/* Adds a case; `name` must stay valid. Called before main. */
void runner_add(const char *name, runner_body *body, const void *argument);

#define CASE(name)                                                        \
    static void case_##name(const void *argument);                        \
    __attribute__((constructor)) static void register_##name(void)        \
    {                                                                     \
        runner_add(#name, case_##name, NULL);                             \
    }                                                                     \
    static void case_##name(__attribute__((unused)) const void *argument)

/* Ends the case as skipped. Only from the case's own process. */
_Noreturn void runner_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints a line that the runner shows with the result. */
void runner_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Adds to a figure that the runner sums up over all cases. */
void runner_count(const char *what, long number);
/* Allows the case more time than the watchdog's usual minute. */
void runner_watchdog(unsigned seconds);
/* The case's fresh directory; QSHM_DIRECTORY names it. */
const char *runner_directory(void);
/* The seed of random tests: QSHM_SEED, or the time. The first call prints it. */
uint64_t runner_seed(void);
/* Seconds that long variants may take (QSHM_TORTURE_SECONDS), 0 = they are not wanted. */
unsigned runner_torture_seconds(void);

_Noreturn void runner_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(condition)                                              \
    do {                                                              \
        if (!(condition)) {                                           \
            runner_fail(__FILE__, __LINE__, "not true: %s", #condition); \
        }                                                             \
    } while (0)

#define CHECK_NUMBERS(left, operator, right)                                                                      \
    do {                                                                                                          \
        long long left_ = (long long)(left);                                                                      \
        long long right_ = (long long)(right);                                                                    \
        if (!(left_ operator right_)) {                                                                           \
            runner_fail(__FILE__, __LINE__, "%s %s %s: %lld against %lld", #left, #operator, #right, left_, right_); \
        }                                                                                                         \
    } while (0)
#define EQ(left, right) CHECK_NUMBERS(left, ==, right)
#define NE(left, right) CHECK_NUMBERS(left, !=, right)
#define LT(left, right) CHECK_NUMBERS(left, <, right)
#define LE(left, right) CHECK_NUMBERS(left, <=, right)
#define GT(left, right) CHECK_NUMBERS(left, >, right)
#define GE(left, right) CHECK_NUMBERS(left, >=, right)

void runner_same_text(const char *file, int line, const char *what, const char *left, const char *right);
#define EQ_TEXT(left, right) runner_same_text(__FILE__, __LINE__, #left " == " #right, left, right)

#endif
