/*
 * support.h - what the test files share: children, gates between processes, files seen from outside the library.
 *
 * Invariants: a child ends with its parent; whoever waits for another process waits on a pipe, a futex or waitpid,
 * never on a clock. Views of a segment's file made here go around the library: they hold no liveness byte.
 */
#ifndef QSHM_TEST_SUPPORT_H
#define QSHM_TEST_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../qshm.h"
#include "../src/layout.h"
#include "../src/liveness.h"
#include "runner.h"

/* --- processes ---------------------------------------------------------------------------------------------------- */

/* Forks a child that runs `body` and ends without destructors. Status 0, or 1 after a failed assertion. */
pid_t spawn(void (*body)(void *), void *argument);
/* Waits for the end of a child that must exit; returns its status. */
int wait_exit(pid_t pid);
/* Waits for a child that must end by this signal. */
void wait_killed(pid_t pid, int signal);
/* Waits until a child has stopped. False if it has exited instead, with status 0. */
bool wait_stopped(pid_t pid);
void kill_and_wait(pid_t pid);
/* Waits until a process sleeps in the system call `number` (seen in /proc). */
void wait_for_system_call(pid_t pid, long number);

/* Lets the group `id` into the case's directory, and joins it; skips the case unless root runs it. */
void share_with(uint32_t id);
/* This process becomes the user, and the group, `id`. */
void turn_into(uint32_t id);

/* A pipe through which one process lets another pass. */
struct gate {
    int read, write;
};
struct gate gate_make(void);
void gate_open(struct gate *gate);
void gate_pass(struct gate *gate);
void gate_close(struct gate *gate);
/* Anonymous memory that children share. */
void *shared_memory(size_t size);

/* A process that creates or attaches segment `key` and stays until it is let go. */
struct holder {
    pid_t pid;
    struct gate ready, done;
};
enum { HOLDER_LOCKS = 1, HOLDER_MAY_LOSE = 2 };
struct holder holder_start(uint32_t kind, uint32_t how, const char *key, unsigned flags);
/* Lets it unlock, detach and end. */
void holder_end(struct holder *holder);

/* --- step by step ------------------------------------------------------------------------------------------------- */

/* The test build's orders (src/fault.c). */
int32_t qshm_test_arm(uint32_t step, uint32_t action);
int32_t qshm_test_steps(void *names, uint32_t capacity);
enum { STEP_STOPS = 1, STEP_KILLS = 2 };
enum { LARGEST_MESSAGE = 1 << 20 }; /* bytes of a message */

/* Leads a child from step to step of the library. Memory that both share; made before the child is. */
struct stepper {
    char at[32];            /* the step at which the child stands, which it has not done yet */
    _Atomic bool stands;    /* there */
    _Atomic uint32_t order; /* what becomes of it at its next step: an action of qshm_test_arm */
};
struct stepper *stepper_make(void);
/* In the child: from here on it stops at each step; until here. */
void stepper_begin(struct stepper *stepper);
void stepper_end(void);
/* Waits until the child stands at its next step. False if it has ended instead, with status 0. */
bool step_on(struct stepper *stepper, pid_t pid);
/* The same until that step is `name`, which must come. */
void step_to(struct stepper *stepper, pid_t pid, const char *name);
/* Lets the child run on to its end; its status must be 0. */
void step_free(struct stepper *stepper, pid_t pid);
/* Lets the child make the step at which it stands, and kills it at the next one: false if none came. */
bool step_and_die(struct stepper *stepper, pid_t pid);

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

extern struct qshm_outcome outcome; /* of the last call made through this file */
int32_t open_kind(uint32_t kind, uint32_t how, double size, const char *key);
/* Memory of 4096 bytes. */
int32_t open_memory(uint32_t how, const char *key);
int32_t remove_name(const char *name, bool force);
int32_t inspect_name(const char *name, struct qshm_info *info);
/* The id of an attachment of this process. */
uint32_t id_of(int32_t handle);
/* Leaves a segment behind whose only user died in it. */
void leave_dead(uint32_t kind, uint32_t how, const char *key);
const char *error_name(int32_t error);

/* --- from outside ------------------------------------------------------------------------------------------------- */

const char *path_of(const char *name); /* static; valid until the call after the next */
bool exists(const char *name);
int count_files(void); /* of the case's directory */
int count_fds(void);
int count_maps(void); /* of files in /dev/shm */
/* The control block of a file, mapped shared; NULL if there is none. */
struct qshm__control *peek(const char *name);
void unpeek(struct qshm__control *control);
/* Does anybody hold a byte of this range of the file? */
bool range_is_held(const char *name, uint64_t start, uint64_t length);
bool is_dead(const char *name);
void poke(const char *name, off_t offset, const void *bytes, size_t size);

/* --- the word of the lock ----------------------------------------------------------------------------------------- */

#define WORD_DIED (UINT64_C(1) << 63)
#define WORD_WAITERS (UINT64_C(1) << 31)
uint32_t word_owner(uint64_t word);
uint32_t word_heir(uint64_t word);

/* --- random numbers ----------------------------------------------------------------------------------------------- */

struct random {
    uint64_t state;
};
struct random random_from(uint64_t seed);
uint64_t random_next(struct random *random);
uint32_t random_below(struct random *random, uint32_t bound);

double now_ms(void);

#endif
