/*
 * fork_threads.c - a forked child that starts threads before its first call: what it inherited is let go once.
 *
 * Invariant: the parent has one thread, so that the child may start its own.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support.h"

enum { INHERITED = 300, THREADS = 8, FORKS = 120 };

static pthread_barrier_t start;

static void *open_and_detach(void *argument)
{
    static struct qshm_outcome outcomes[THREADS];
    int number = *(const int *)argument;
    char key[16];
    snprintf(key, sizeof key, "own%d", number);
    pthread_barrier_wait(&start);
    int32_t handle = qshm_open(QSHM_KIND_MEMORY, QSHM_CREATE, 0, 4096, key, (uint32_t)strlen(key), NULL, 0, &outcomes[number]);
    GT(handle, 0);
    EQ(qshm_try_lock((uint32_t)handle), 1);
    EQ(qshm_unlock((uint32_t)handle), 0);
    EQ(qshm_detach((uint32_t)handle), 0);
    return NULL;
}

/* Whoever is met by this halfway stays there for a while, and the others go on. */
static void stay(int number)
{
    (void)number;
    struct timespec time = {.tv_nsec = 2000000};
    nanosleep(&time, NULL);
}

static void start_threads(void *argument)
{
    double when = *(const double *)argument;
    struct sigaction action = {.sa_handler = stay, .sa_flags = SA_RESTART};
    EQ(sigaction(SIGUSR1, &action, NULL), 0);
    pthread_t threads[THREADS];
    int numbers[THREADS];
    EQ(pthread_barrier_init(&start, NULL, THREADS + 1), 0);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        EQ(pthread_create(&threads[i], NULL, open_and_detach, &numbers[i]), 0);
    }
    pthread_barrier_wait(&start);
    double began = now_ms();
    while (now_ms() - began < when) {
    }
    for (int i = 0; i < THREADS / 2; i++) {
        pthread_kill(threads[i], SIGUSR1); /* none has been joined: the number is still its own */
    }
    for (int i = 0; i < THREADS; i++) {
        EQ(pthread_join(threads[i], NULL), 0);
    }
}

/* All threads make the child's first call at once. If two of them let go of what was inherited, the slower one takes
 * what the faster one has opened since. Sabotage "fork-reset-outside-cas". */
CASE(fork_child_threads_reset_once)
{
    for (int i = 0; i < INHERITED; i++) {
        GT(open_memory(QSHM_CREATE | QSHM_ATTACH, "a"), 0);
    }
    for (int i = 0; i < FORKS; i++) {
        double when = 0.01 * (i % 30); /* ms: at some of these times a thread stands in the middle of it */
        EQ(wait_exit(spawn(start_threads, &when)), 0);
    }
    EQ(count_files(), 1);
}
