/*
 * qt_memory.c - Qt's segments and semaphores: what each call gives, to whom they belong, and what the end of a process leaves.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "qt_place.h"

enum { SOMEBODY = 64321, OTHER = 64322 };

/* --- what each call gives ----------------------------------------------------------------------------------------- */

CASE(qt_memory_create_attach_detach)
{
    qt_place();
    int32_t a = qt_memory(), b = qt_memory();
    EQ(qt_attach(a, 0), QSHM_E_NOT_FOUND);
    qt_is_clean(); /* it left nothing behind */
    EQ(qt_create(a, 0), 1);
    EQ(outcome.flags, 0);
    EQ(outcome.size, QT_SIZE);
    struct shmid_ds found;
    EQ(shmctl(qt_segment_id("shm"), IPC_STAT, &found), 0);
    EQ(found.shm_segsz, QT_SIZE);
    EQ(found.shm_perm.mode & 0777, 0600);
    EQ(found.shm_nattch, 1);
    EQ(qt_value(), 1);
    EQ(qt_create(a, 0), QSHM_E_ALREADY_EXISTS);
    EQ(qt_create(b, 0), QSHM_E_ALREADY_EXISTS);
    EQ(qt_attach(a, 0), QSHM_E_ARGUMENT);
    EQ(qshm_qt_attach((uint32_t)b, 1, 0, &outcome), 1);
    EQ(outcome.flags, 0);
    EQ(outcome.size, QT_SIZE);
    EQ(qt_attachments(), 2);

    char bytes[QT_SIZE];
    EQ(qshm_qt_read((uint32_t)b, 0, bytes, QT_SIZE), 0);
    for (int i = 0; i < QT_SIZE; i++) {
        EQ(bytes[i], 0);
    }
    EQ(qshm_qt_write((uint32_t)a, QT_SIZE - 3, "abc", 3), 0);
    EQ(qshm_qt_write((uint32_t)b, 0, "abc", 3), QSHM_E_READ_ONLY);
    CHECK(qshm_qt_payload((uint32_t)b) == NULL);
    EQ(qshm_qt_compare((uint32_t)b, bytes, QT_SIZE), 1);
    EQ(memcmp(bytes + QT_SIZE - 3, "abc", 3), 0);
    EQ(qshm_qt_compare((uint32_t)b, bytes, QT_SIZE), 0);
    memcpy(qshm_qt_payload((uint32_t)a), "xyz", 3);
    EQ(qshm_qt_read((uint32_t)b, 0, bytes, 3), 0);
    EQ(memcmp(bytes, "xyz", 3), 0);

    EQ(qt_detach(a), 1);
    EQ(qt_attachments(), 1);
    EQ(qt_detach(a), QSHM_E_ARGUMENT);
    EQ(qshm_qt_unmap((uint32_t)a, 0), 0);
    EQ(qt_attach(a, 0), 1);
    EQ(qt_detach(a), 1);
    EQ(qt_detach(b), 1);
    qt_is_clean();
    EQ(qt_create(b, 0), 1); /* another, by the one that was attached */
    qt_end(a);
    qt_end(b);
    qt_is_clean();
}

static void make_and_die(void *argument)
{
    (void)argument;
    int32_t handle = qt_created();
    EQ(qshm_qt_write((uint32_t)handle, 0, "old", 3), 0);
    raise(SIGKILL);
}

/* An attach can save what a crash left; a create begins anew; both in one call. */
CASE(qt_memory_after_a_crash)
{
    qt_place();
    char bytes[3];
    wait_killed(spawn(make_and_die, NULL), SIGKILL);
    int32_t a = qt_memory();
    EQ(qt_attach(a, 0), 1);
    EQ(outcome.flags, QSHM_RECOVERED);
    EQ(qshm_qt_read((uint32_t)a, 0, bytes, 3), 0);
    EQ(memcmp(bytes, "old", 3), 0);
    qt_end(a);
    qt_is_clean();
    wait_killed(spawn(make_and_die, NULL), SIGKILL);
    a = qt_memory();
    EQ(qt_create(a, 0), 1);
    EQ(outcome.flags, QSHM_RECOVERED);
    EQ(qshm_qt_read((uint32_t)a, 0, bytes, 3), 0);
    EQ(memcmp(bytes, "\0\0\0", 3), 0);
    qt_end(a);
    qt_is_clean();
}

CASE(qt_memory_remove)
{
    qt_place();
    int32_t a = qt_memory();
    EQ(qshm_qt_remove((uint32_t)a, 0, 0, &outcome), QSHM_E_NOT_FOUND);
    wait_killed(spawn(make_and_die, NULL), SIGKILL);
    EQ(qshm_qt_remove((uint32_t)a, 0, 0, &outcome), 1);
    qt_is_clean();
    qt_touch("shm");
    EQ(qshm_qt_remove((uint32_t)a, 0, 0, &outcome), 1);
    qt_is_clean();
    EQ(qt_create(a, 0), 1);
    int32_t b = qt_attached();
    EQ(qshm_qt_remove((uint32_t)a, 0, 0, &outcome), 1); /* only our own are attached */
    qt_end(b);
    qt_end(a);
    qt_is_clean();
    struct qt_peer peer = qt_peer_start();
    EQ(qt_do(&peer, QT_CREATE, 0), 1);
    EQ(qt_do(&peer, QT_LOCK, 0), 1);
    a = qt_memory();
    EQ(qshm_qt_remove((uint32_t)a, 0, HUGE_VAL, &outcome), QSHM_E_IN_USE); /* at once */
    EQ(qshm_qt_remove((uint32_t)a, 1, 5, &outcome), 1);
    EQ(count_files(), 0);
    EQ(qt_create(a, 0), 1); /* another one, beside that of the peer */
    qt_peer_end(&peer);
    EQ(count_segments(), 1);
    qt_end(a);
    qt_is_clean();
}

/* One file for both, as for the native keys of Qt 6.6. */
CASE(qt_memory_with_one_file)
{
    qt_place();
    int32_t a = qt_memory_of("one", "one"), b = qt_memory_of("one", "one");
    EQ(qt_attach(a, 0), QSHM_E_NOT_FOUND);
    EQ(qt_create(a, 0), 1);
    EQ(qt_create(b, 0), QSHM_E_ALREADY_EXISTS);
    EQ(qt_attach(b, 0), 1);
    EQ(qt_detach(a), 1);
    CHECK(exists("one"));
    EQ(qt_detach(b), 1);
    qt_is_clean();
    EQ(qshm_qt_create((uint32_t)a, 9007199254740992.0, 0, 0, &outcome), QSHM_E_RESOURCES);
    qt_is_clean();
    EQ(qshm_qt_lock(a, 0), 1); /* before there is a segment */
    qt_end(a);
    qt_is_clean();
    EQ(qt_create(b, 0), 1);
    EQ(qshm_qt_remove((uint32_t)b, 0, 0, &outcome), 1);
    qt_end(b);
    qt_is_clean();
}

CASE(qt_memory_arguments)
{
    qt_place();
    char path[5000];
    memset(path, 'a', sizeof path);
    EQ(qshm_qt_memory(path, 4096, "s", 1, QT_PROJECT), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory("s", 1, path, 5000, QT_PROJECT), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory("", 0, "s", 1, QT_PROJECT), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory(NULL, 0, "s", 1, QT_PROJECT), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory(NULL, 3, "s", 1, QT_PROJECT), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory("a\0b", 3, "s", 1, QT_PROJECT), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory("a", 1, "s", 1, 0), QSHM_E_ARGUMENT);
    EQ(qshm_qt_memory("a", 1, "s", 1, 256), QSHM_E_ARGUMENT);
    uint32_t a = (uint32_t)qt_memory();
    static const double sizes[] = {0, -1, 0.5, 1.5, NAN, HUGE_VAL, -HUGE_VAL, 1e300};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        EQ(qshm_qt_create(a, sizes[i], 0, 0, &outcome), QSHM_E_SIZE_MISMATCH);
        qt_is_clean();
    }
    EQ(qshm_qt_create(a, 9007199254740992.0, 0, 0, &outcome), QSHM_E_RESOURCES);
    qt_is_clean();
    static const double times[] = {-1, NAN, -HUGE_VAL};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        EQ(qshm_qt_create(a, 1, 0, times[i], &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_qt_attach(a, 0, times[i], &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_qt_detach(a, times[i], &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_qt_remove(a, 0, times[i], &outcome), QSHM_E_ARGUMENT);
        EQ(qshm_qt_lock(a, times[i]), QSHM_E_ARGUMENT);
    }
    EQ(qshm_qt_create(a, 1, 0, 0, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_qt_force_unlock(a, NULL), QSHM_E_ARGUMENT);
    EQ(qt_create((int32_t)a, 0), 1);
    char bytes[16] = {0};
    static const double offsets[] = {-1, 0.5, NAN, HUGE_VAL, QT_SIZE + 1, 1e300, 4294967296.0};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        EQ(qshm_qt_read(a, offsets[i], bytes, 0), QSHM_E_ARGUMENT);
        EQ(qshm_qt_write(a, offsets[i], bytes, 0), QSHM_E_ARGUMENT);
        EQ(qshm_qt_read(a, 0, bytes, offsets[i]), QSHM_E_ARGUMENT);
        EQ(qshm_qt_write(a, 0, bytes, offsets[i]), QSHM_E_ARGUMENT);
        EQ(qshm_qt_compare(a, bytes, offsets[i]), QSHM_E_ARGUMENT);
    }
    EQ(qshm_qt_read(a, QT_SIZE, NULL, 0), 0);
    EQ(qshm_qt_read(a, 0, NULL, 1), QSHM_E_ARGUMENT);
    EQ(qshm_qt_write(a, QT_SIZE - 1, bytes, 2), QSHM_E_ARGUMENT);
    EQ(qshm_qt_compare(a, NULL, 0), 0);
    qt_end((int32_t)a);

    const char *file = path_of("sem");
    uint32_t size = (uint32_t)strlen(file);
    static const double values[] = {-1, 32768, NAN, HUGE_VAL};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        EQ(qshm_qt_semaphore(file, size, QT_PROJECT, values[i], 0, &outcome), QSHM_E_ARGUMENT);
    }
    EQ(qshm_qt_semaphore(file, size, 0, 0, 0, &outcome), QSHM_E_ARGUMENT);
    EQ(qshm_qt_semaphore(file, size, QT_PROJECT, 0, 0, NULL), QSHM_E_ARGUMENT);
    EQ(qshm_qt_semaphore(file, 0, QT_PROJECT, 0, 0, &outcome), QSHM_E_ARGUMENT);
    int32_t s = qt_semaphore(0, 0);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        EQ(qshm_qt_release(s, values[i]), QSHM_E_ARGUMENT);
    }
    EQ(qshm_qt_release(s, 0), QSHM_E_ARGUMENT);
    EQ(qshm_qt_acquire(s, -1), QSHM_E_ARGUMENT);
    EQ(qshm_qt_acquire(s, NAN), QSHM_E_ARGUMENT);
    qt_end(s);
    qt_is_clean();
}

/* --- handles ------------------------------------------------------------------------------------------------------ */

static void names_no_memory(double number)
{
    uint32_t h = number >= 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
    uint32_t pid;
    char byte = 0;
    EQ(qshm_qt_create(h, 1, 0, 0, &outcome), QSHM_E_HANDLE);
    EQ(qshm_qt_attach(h, 0, 0, &outcome), QSHM_E_HANDLE);
    EQ(qshm_qt_detach(h, 0, &outcome), QSHM_E_HANDLE);
    EQ(qshm_qt_unmap(h, 0), QSHM_E_HANDLE);
    CHECK(qshm_qt_payload(h) == NULL);
    EQ(qshm_qt_read(h, 0, &byte, 1), QSHM_E_HANDLE);
    EQ(qshm_qt_write(h, 0, &byte, 1), QSHM_E_HANDLE);
    EQ(qshm_qt_compare(h, &byte, 1), QSHM_E_HANDLE);
    EQ(qshm_qt_lock(number, 0), QSHM_E_HANDLE);
    EQ(qshm_qt_unlock(number), QSHM_E_HANDLE);
    EQ(qshm_qt_force_unlock(h, &pid), QSHM_E_HANDLE);
    EQ(qshm_qt_remove(h, 1, 0, &outcome), QSHM_E_HANDLE);
    EQ(qshm_qt_free(h, 0), QSHM_E_HANDLE);
}

static void names_no_semaphore(double number)
{
    EQ(qshm_qt_acquire(number, 0), QSHM_E_HANDLE);
    EQ(qshm_qt_release(number, 1), QSHM_E_HANDLE);
    EQ(qshm_qt_value(number), QSHM_E_HANDLE);
}

CASE(qt_memory_handles)
{
    qt_place();
    static const double wrong[] = {0, -1, 1, 4095, 0x7fffffff, 4294967295.0, 1e10, 1e300, NAN, HUGE_VAL, -HUGE_VAL};
    int32_t memory = qt_created(), semaphore = qt_semaphore(1, 0), segment = open_memory(QSHM_CREATE, "name");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        names_no_memory(wrong[i]);
        names_no_semaphore(wrong[i]);
    }
    names_no_memory(semaphore); /* of the other kind */
    names_no_semaphore(memory);
    if (segment != memory && segment != semaphore) { /* the numbers of other tables mean nothing here, nor ours there */
        names_no_memory(segment);
    }
    EQ(qshm_detach((uint32_t)segment), 0);
    qt_end(semaphore);
    names_no_semaphore(semaphore);
    EQ(qshm_qt_close((uint32_t)semaphore), QSHM_E_HANDLE);
    qt_end(memory);
    names_no_memory(memory);
    EQ(qshm_qt_close((uint32_t)memory), QSHM_E_HANDLE);
    int32_t next = qt_memory();
    NE(next, memory);
    names_no_memory(memory);
    qt_end(next);
    qt_is_clean();
}

/* The range of a view is inert memory between the end of its attachment and qshm_qt_unmap, or qshm_qt_free. */
CASE(qt_memory_views)
{
    qt_place();
    int32_t a = qt_created();
    EQ(qshm_qt_unmap((uint32_t)a, 0), QSHM_E_HANDLE); /* attached */
    EQ(qshm_qt_free((uint32_t)a, 0), QSHM_E_HANDLE);
    volatile char *view = qshm_qt_payload((uint32_t)a);
    CHECK(view == qshm_qt_payload((uint32_t)a));
    view[QT_SIZE - 1] = 7;
    EQ(qt_detach(a), 1);
    qt_is_clean();
    EQ(view[QT_SIZE - 1], 0);
    view[0] = 1;
    CHECK(qshm_qt_payload((uint32_t)a) == NULL);
    EQ(qt_create(a, 0), QSHM_E_ARGUMENT);
    EQ(qt_attach(a, 0), QSHM_E_ARGUMENT);
    EQ(qshm_qt_unmap((uint32_t)a, 0), 0);
    EQ(qshm_qt_unmap((uint32_t)a, 0), 0);
    EQ(qt_create(a, 0), 1);
    view = qshm_qt_payload((uint32_t)a);
    EQ(qshm_qt_close((uint32_t)a), 1);
    qt_is_clean();
    view[QT_SIZE - 1] = 7;
    EQ(qshm_qt_close((uint32_t)a), 1);
    EQ(qshm_qt_lock(a, 0), 1); /* not asked for any more; but then it is given back in the end */
    EQ(qshm_qt_free((uint32_t)a, 1), 0);
    qt_is_clean();
    view[QT_SIZE - 1] = 8; /* kept */
    EQ(munmap((void *)(uintptr_t)view, QT_SIZE), 0);
    a = qt_memory(); /* never attached */
    EQ(qshm_qt_lock(a, 0), 1);
    EQ(qshm_qt_free((uint32_t)a, 0), 0);
    qt_is_clean();
}

static void make_many_in_a_child(void *argument)
{
    const int32_t *handles = argument;
    names_no_memory(handles[0]);
    for (int i = 0; i < 4096; i++) {
        qt_memory();
    }
    EQ(qt_memory_of("shm", "sem"), QSHM_E_RESOURCES);
    names_no_memory(handles[0]);
}

CASE(qt_memory_4096_objects)
{
    qt_place();
    static int32_t handles[4096];
    for (int i = 0; i < 4096; i++) {
        handles[i] = qt_memory();
        for (int j = 0; j < i; j += 97) {
            NE(handles[i], handles[j]);
        }
    }
    EQ(qt_memory_of("shm", "sem"), QSHM_E_RESOURCES);
    EQ(qt_semaphore(0, 0), QSHM_E_RESOURCES);
    EQ(wait_exit(spawn(make_many_in_a_child, handles)), 0); /* which has none of them */
    qt_end(handles[1234]);
    int32_t again = qt_memory();
    NE(again, handles[1234]);
    EQ(again & 4095, handles[1234] & 4095);
    names_no_memory(handles[1234]);
    EQ(qt_create(again, 0), 1);
    for (int i = 0; i < 4096; i++) {
        qt_end(i == 1234 ? again : handles[i]);
    }
    qt_is_clean();
}

/* --- children and threads ----------------------------------------------------------------------------------------- */

static void be_child(void *argument)
{
    const int32_t *handles = argument;
    EQ(qt_attachments(), 1);
    names_no_memory(handles[0]);
    names_no_semaphore(handles[1]);
    int32_t own = qt_attached();
    EQ(qt_attachments(), 2);
    qt_end(own);
    EQ(qt_attachments(), 1);
    exit(0); /* with destructors: there is nothing here to close */
}

CASE(qt_memory_fork)
{
    qt_place();
    int32_t handles[2] = {qt_created(), 0};
    EQ(qshm_qt_write((uint32_t)handles[0], 0, "abc", 3), 0);
    handles[1] = qt_semaphore(5, 0); /* the same set: 1 */
    EQ(qshm_qt_value(handles[1]), 1);
    EQ(wait_exit(spawn(be_child, handles)), 0);
    char bytes[3];
    EQ(qshm_qt_read((uint32_t)handles[0], 0, bytes, 3), 0);
    EQ(memcmp(bytes, "abc", 3), 0);
    EQ(qt_attachments(), 1);
    qt_end(handles[1]);
    qt_end(handles[0]);
    qt_is_clean();
}

enum { THREADS = 4, ROUNDS = 500 };

/* Each with an object, and an outcome, of its own. */
static void *count_in_a_thread(void *argument)
{
    const int32_t *handle = argument;
    struct qshm_outcome own;
    EQ(qshm_qt_attach((uint32_t)*handle, 0, HUGE_VAL, &own), 1);
    _Atomic uint32_t *number = qshm_qt_payload((uint32_t)*handle);
    for (int i = 0; i < ROUNDS; i++) {
        EQ(qshm_qt_lock(*handle, HUGE_VAL), 1);
        atomic_store(number, atomic_load(number) + 1);
        EQ(qshm_qt_unlock(*handle), 1);
    }
    qt_end(*handle);
    return NULL;
}

CASE(qt_memory_threads)
{
    qt_place();
    int32_t handle = qt_created();
    pthread_t threads[THREADS];
    int32_t handles[THREADS];
    for (int i = 0; i < THREADS; i++) {
        handles[i] = qt_memory();
        EQ(pthread_create(&threads[i], NULL, count_in_a_thread, &handles[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        EQ(pthread_join(threads[i], NULL), 0);
    }
    EQ(*(_Atomic uint32_t *)qshm_qt_payload((uint32_t)handle), THREADS * ROUNDS);
    EQ(qt_value(), 1);
    qt_end(handle);
    qt_is_clean();
}

/* --- any call, in any order --------------------------------------------------------------------------------------- */

enum { OBJECTS = 6, CALLS = 20000 };

static double any_number(struct random *random)
{
    static const double numbers[] = {0, 1, 2, 3, 100, QT_SIZE - 1, QT_SIZE, QT_SIZE + 1, -1, 0.5, 1e10, 1e300, NAN, HUGE_VAL, -HUGE_VAL};
    return numbers[random_below(random, sizeof numbers / sizeof *numbers)];
}

static int32_t other_semaphore(double initial, uint32_t create)
{
    const char *path = path_of("count");
    return qshm_qt_semaphore(path, (uint32_t)strlen(path), QT_PROJECT, initial, create, &outcome);
}

/* No more than `bytes` hold. */
static double at_most(double size)
{
    return size > QT_SIZE ? QT_SIZE : size;
}

/* With time-outs that end, whatever is asked for. */
static void misuse(void *argument)
{
    (void)argument;
    struct random random = random_from(runner_seed() + (uint64_t)getpid());
    static int32_t handles[OBJECTS + 1];
    static char bytes[QT_SIZE + 1];
    uint32_t pid;
    for (int i = 0; i < CALLS; i++) {
        uint32_t which = random_below(&random, OBJECTS + 1);
        int32_t h = handles[which];
        uint32_t u = (uint32_t)h;
        double a = any_number(&random), time = random_below(&random, 10) == 0 ? 1 : 0;
        switch (random_below(&random, 20)) {
        case 0:
            h = random_below(&random, 4) == 0 ? qt_memory_of("one", "one") : qt_memory_of("shm", "sem");
            handles[random_below(&random, OBJECTS)] = h;
            break;
        case 1:
            handles[random_below(&random, OBJECTS)] = other_semaphore(a, random_below(&random, 2));
            break;
        case 2:
            qshm_qt_create(u, random_below(&random, 4) == 0 ? a : QT_SIZE, random_below(&random, 2), time, &outcome);
            break;
        case 3:
            qshm_qt_attach(u, random_below(&random, 2), time, &outcome);
            break;
        case 4:
            qshm_qt_detach(u, time, &outcome);
            break;
        case 5:
            qshm_qt_unmap(u, random_below(&random, 2));
            break;
        case 6: {
            char *view = qshm_qt_payload(u);
            if (view != NULL) {
                view[0] = 1;
            }
            break;
        }
        case 7:
            qshm_qt_read(u, a, bytes, at_most(any_number(&random)));
            break;
        case 8:
            qshm_qt_write(u, a, bytes, at_most(any_number(&random)));
            break;
        case 9:
            qshm_qt_compare(u, bytes, at_most(a));
            break;
        case 10:
        case 11:
            qshm_qt_lock(h, time);
            break;
        case 12:
        case 13:
            qshm_qt_unlock(h);
            break;
        case 14:
            qshm_qt_force_unlock(u, &pid);
            break;
        case 15:
            qshm_qt_remove(u, random_below(&random, 2), time, &outcome);
            break;
        case 16:
            qshm_qt_acquire(h, time);
            break;
        case 17:
            qshm_qt_release(h, a);
            break;
        case 18:
            if (random_below(&random, 4) == 0) {
                qshm_qt_close(u);
            }
            break;
        default:
            qshm_qt_free(u, 0);
            qshm_qt_value(a);
            handles[OBJECTS] = (int32_t)random_next(&random);
            break;
        }
    }
    exit(0);
}

CASE(qt_memory_misuse)
{
    qt_place();
    runner_seed();
    pid_t pids[3];
    for (int i = 0; i < 3; i++) {
        pids[i] = spawn(misuse, NULL);
    }
    for (int i = 0; i < 3; i++) {
        EQ(wait_exit(pids[i]), 0);
    }
    int32_t handles[] = {qt_memory(), qt_memory_of("one", "one")};
    for (int i = 0; i < 2; i++) { /* whatever they left, the next one gets on with */
        EQ(qt_create(handles[i], 10000), 1);
        EQ(qt_detach(handles[i]), 1);
        qt_end(handles[i]);
    }
    EQ(count_segments(), 0);
}

/* --- key files that are removed while somebody is attached ---------------------------------------------------------- */

/* A tmp cleaner removed it, and it comes back as another file: a second segment, whose file the first one's end leaves. */
CASE(qt_memory_whose_file_was_removed)
{
    qt_place();
    int32_t a = qt_created();
    EQ(unlink(path_of("shm")), 0);
    int32_t b = qt_memory();
    EQ(qt_attach(b, 0), QSHM_E_NOT_FOUND);
    EQ(qt_create(b, 0), 1);
    EQ(count_segments(), 2);
    qt_end(a);
    EQ(count_segments(), 1);
    CHECK(exists("shm"));
    EQ(qt_attachments(), 1);
    int32_t c = qt_attached();
    qt_end(b);
    qt_end(c);
    qt_is_clean();
}

/* It comes back with the same number: then it is the same segment. */
CASE(qt_memory_whose_file_came_back)
{
    qt_place();
    int32_t a = qt_created();
    EQ(rename(path_of("shm"), path_of("away")), 0);
    int32_t b = qt_memory();
    EQ(qt_attach(b, 0), QSHM_E_NOT_FOUND);
    EQ(rename(path_of("away"), path_of("shm")), 0);
    EQ(qt_create(b, 0), QSHM_E_ALREADY_EXISTS);
    EQ(qt_attach(b, 0), 1);
    qt_end(a);
    qt_end(b);
    qt_is_clean();
}

/* --- what belongs to somebody else -------------------------------------------------------------------------------- */

struct foreign {
    uint32_t uid;
    int mode;
    bool attached;
    int32_t number;
    struct gate made, go;
    int id;
};

/* Another program's segment; it stays attached if it is to be. */
static void make_foreign(void *argument)
{
    struct foreign *f = argument;
    if (f->uid != 0) {
        turn_into(f->uid);
    }
    f->id = shmget(f->number, 100, IPC_CREAT | IPC_EXCL | f->mode);
    GE(f->id, 0);
    if (f->attached) {
        CHECK((intptr_t)shmat(f->id, NULL, 0) != -1);
    }
    gate_open(&f->made);
    if (f->attached) {
        gate_pass(&f->go);
    }
}

static void try_as_user(void *argument)
{
    const uint32_t *uid = argument;
    turn_into(*uid);
    int32_t handle = qt_memory();
    EQ(qt_create(handle, 1000), QSHM_E_PERMISSION);
    EQ(qt_attach(handle, 1000), QSHM_E_PERMISSION);
    EQ(qshm_qt_remove((uint32_t)handle, 1, 1000, &outcome), QSHM_E_PERMISSION);
    qt_end(handle);
}

/* Of mode 0666 or 0600, dead or alive: refused, and left as it is. */
CASE(qt_memory_of_another_user)
{
    share_with(SOMEBODY);
    qt_place();
    qt_touch("shm");
    EQ(chmod(path_of("shm"), 0666), 0);
    for (int i = 0; i < 4; i++) {
        struct foreign *f = shared_memory(sizeof *f);
        *f = (struct foreign){OTHER, i % 2 == 0 ? 0666 : 0600, i / 2 == 0, qt_number("shm"), gate_make(), gate_make(), 0};
        pid_t pid = spawn(make_foreign, f);
        gate_pass(&f->made);
        uint32_t uid = SOMEBODY;
        EQ(wait_exit(spawn(try_as_user, &uid)), 0);
        gate_open(&f->go);
        EQ(wait_exit(pid), 0);
        EQ(count_segments(), 1);
        EQ(count_sets(), 0);
        CHECK(!exists("sem"));
        EQ(shmctl(f->id, IPC_RMID, NULL), 0);
    }
}

static void use_as_user(void *argument)
{
    const uint32_t *uid = argument;
    turn_into(*uid);
    int32_t handle = qt_memory();
    EQ(qt_create(handle, 1000), QSHM_E_PERMISSION);
    EQ(qshm_qt_lock(handle, 5), QSHM_E_PERMISSION);
    qt_end(handle);
}

/* Root was first: its lock, of mode 0600, is not to be had. */
CASE(qt_memory_whose_lock_is_of_another_user)
{
    share_with(SOMEBODY);
    qt_place();
    int32_t handle = qt_memory();
    EQ(qshm_qt_lock(handle, 0), 1);
    uint32_t uid = SOMEBODY;
    EQ(wait_exit(spawn(use_as_user, &uid)), 0);
    EQ(qt_value(), 0);
    CHECK(!exists("shm"));
    qt_end(handle);
    qt_is_clean();
}

/* The same where that one has let everybody in: it could hold the lock, or remove it, at will. */
CASE(qt_memory_whose_lock_of_another_user_is_open_to_all)
{
    share_with(SOMEBODY);
    qt_place();
    qt_touch("sem");
    EQ(chmod(path_of("sem"), 0666), 0);
    int id = semget(qt_number("sem"), 1, IPC_CREAT | IPC_EXCL | 0666);
    GE(id, 0);
    EQ(semctl(id, 0, SETVAL, 1), 0);
    uint32_t uid = SOMEBODY;
    EQ(wait_exit(spawn(use_as_user, &uid)), 0);
    EQ(qt_value(), 1);
    CHECK(exists("sem"));
    EQ(semctl(id, 0, IPC_RMID), 0);
}

/* The number that our file will get by chance is that of somebody else's segment. The files are the next ones of a file system
 * of the case's own, which counts them. */
CASE(qt_memory_with_a_number_by_chance)
{
    if (geteuid() != 0) {
        runner_skip("needs root, for a file system of its own");
    }
    qt_place();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        runner_skip("no mounts of its own");
    }
    static const struct foreign all[] = {
        {.mode = 0600, .attached = true}, /* in use */
        {.mode = 0666},                   /* dead, and not as Qt's are */
        {.uid = SOMEBODY, .mode = 0600},  /* dead, of another user: not even root takes it */
    };
    for (int i = 0; i < 3; i++) {
        EQ(mount("tmpfs", runner_directory(), "tmpfs", 0, "mode=0777"), 0);
        qt_touch("probe"); /* then comes the lock's file, then the segment's */
        struct foreign *f = shared_memory(sizeof *f);
        *f = all[i];
        f->number = (int32_t)(((uint32_t)qt_number("probe") & 0xffff0000) | (((uint32_t)qt_number("probe") + 2) & 0xffff));
        f->made = gate_make();
        f->go = gate_make();
        pid_t pid = spawn(make_foreign, f);
        gate_pass(&f->made);
        int32_t handle = qt_memory();
        EQ(qt_create(handle, 1000), QSHM_E_ALREADY_EXISTS);
        CHECK(strstr(outcome.why, "by chance") != NULL);
        CHECK(!exists("shm"));
        qt_end(handle);
        CHECK(!exists("sem"));
        EQ(count_sets(), 0);
        gate_open(&f->go);
        EQ(wait_exit(pid), 0);
        struct shmid_ds found;
        EQ(shmctl(f->id, IPC_STAT, &found), 0); /* untouched */
        EQ(shmctl(f->id, IPC_RMID, NULL), 0);
        EQ(umount2(runner_directory(), MNT_DETACH), 0);
    }
}

/* --- limits ------------------------------------------------------------------------------------------------------- */

static void limit(const char *path, const char *value)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) {
        runner_skip("the limits of an IPC namespace are not to be set here");
    }
    close(fd);
}

/* No more sets, or no more segments, to be had: said so, and nothing is left of the attempt. */
CASE(qt_memory_at_the_limits)
{
    qt_place();
    static const char *const files[][3] = {
        {"/proc/sys/kernel/sem", "32000 1024000000 500 0", "32000 1024000000 500 32000"},
        {"/proc/sys/kernel/shmmni", "0", "4096"},
    };
    for (int i = 0; i < 2; i++) {
        for (int one_file = 0; one_file < 2; one_file++) {
            limit(files[i][0], files[i][1]);
            int32_t handle = one_file ? qt_memory_of("one", "one") : qt_memory();
            EQ(qt_create(handle, 1000), QSHM_E_RESOURCES);
            NE(outcome.os_error, 0);
            qt_is_clean();
            if (i == 0) {
                EQ(qshm_qt_lock(handle, 1000), QSHM_E_RESOURCES);
                EQ(qt_semaphore(1, 0), QSHM_E_RESOURCES);
                qt_is_clean();
            }
            limit(files[i][0], files[i][2]);
            EQ(qt_create(handle, 1000), 1);
            qt_end(handle);
            qt_is_clean();
        }
    }
    limit("/proc/sys/kernel/shmmax", "4999");
    int32_t handle = qt_memory();
    EQ(qt_create(handle, 1000), QSHM_E_SIZE_MISMATCH);
    qt_end(handle);
    qt_is_clean();
}

/* --- the end of a process ----------------------------------------------------------------------------------------- */

struct ending {
    struct gate ready;
    int objects;
    bool in_order;
};

static void end_attached(void *argument)
{
    struct ending *ending = argument;
    int32_t first = qt_memory();
    int32_t r = qt_create(first, 1000);
    if (r == QSHM_E_ALREADY_EXISTS) {
        r = qt_attach(first, 1000);
    }
    EQ(r, 1);
    for (int i = 1; i < ending->objects; i++) {
        qt_attached();
    }
    GT(qt_semaphore(1, 0), 0);
    if (ending->in_order) {
        exit(0);
    }
    EQ(qshm_qt_lock(first, 0), 1);
    _exit(0);
}

CASE(qt_memory_exit)
{
    qt_place();
    struct ending ending = {.objects = 3, .in_order = true};
    EQ(wait_exit(spawn(end_attached, &ending)), 0);
    qt_is_clean();
    ending.in_order = false;
    EQ(wait_exit(spawn(end_attached, &ending)), 0);
    EQ(qt_attachments(), 0);
    EQ(qt_value(), 1);
    int32_t handle = qt_memory();
    EQ(qt_create(handle, HUGE_VAL), 1);
    EQ(outcome.flags, QSHM_RECOVERED);
    qt_end(handle);
    qt_is_clean();
}

static void exit_with_the_lock(void *argument)
{
    (void)argument;
    qt_created();
    int32_t handle = qt_memory();
    EQ(qshm_qt_lock(handle, 0), 1);
    exit(0);
}

/* Held by another object than the one that has to remove the segment. */
CASE(qt_memory_exit_with_the_lock)
{
    qt_place();
    EQ(wait_exit(spawn(exit_with_the_lock, NULL)), 0);
    qt_is_clean();
}

static void exit_while_locked(void *argument)
{
    struct ending *ending = argument;
    for (int i = 0; i < ending->objects; i++) {
        qt_attached();
    }
    gate_open(&ending->ready);
    struct gate *locked = &ending[1].ready;
    gate_pass(locked);
    exit(0);
}

/* All that are attached wait for a second in all, not each: or this takes until the watchdog. */
CASE(qt_memory_exit_beside_a_stopped_holder)
{
    qt_place();
    struct qt_peer holder = qt_peer_start();
    EQ(qt_do(&holder, QT_CREATE, 0), 1);
    struct ending ending[2] = {{.ready = gate_make(), .objects = 300}, {.ready = gate_make()}};
    pid_t pid = spawn(exit_while_locked, ending);
    gate_pass(&ending[0].ready);
    EQ(qt_attachments(), 301);
    EQ(qt_do(&holder, QT_LOCK, 0), 1);
    kill(holder.pid, SIGSTOP);
    gate_open(&ending[1].ready);
    EQ(wait_exit(pid), 0);
    EQ(qt_attachments(), 1);
    kill(holder.pid, SIGCONT);
    EQ(qt_do(&holder, QT_UNLOCK, 0), 1);
    qt_peer_end(&holder);
    int32_t handle = qt_memory();
    EQ(qt_create(handle, 0), 1);
    qt_end(handle);
    qt_is_clean();
}

static void *wait_for_ever(void *argument)
{
    int32_t handle = qt_attached();
    gate_open(argument);
    qshm_qt_lock(handle, HUGE_VAL);
    return NULL;
}

static void exit_beside_a_waiter(void *argument)
{
    struct ending *ending = argument;
    qt_attached();
    struct gate inside = gate_make();
    pthread_t thread;
    EQ(pthread_create(&thread, NULL, wait_for_ever, &inside), 0);
    gate_pass(&inside);
    gate_open(&ending->ready);
    struct gate *locked = &ending[1].ready;
    gate_pass(locked);
    exit(0);
}

/* What a thread that goes on is inside of is left alone; the kernel ends it. */
CASE(qt_memory_exit_beside_a_thread)
{
    qt_place();
    int32_t handle = qt_created();
    EQ(qshm_qt_lock(handle, 0), 1);
    EQ(qshm_qt_unlock(handle), 1);
    struct ending ending[2] = {{.ready = gate_make()}, {.ready = gate_make()}};
    pid_t pid = spawn(exit_beside_a_waiter, ending);
    gate_pass(&ending[0].ready);
    gate_open(&ending[1].ready);
    EQ(wait_exit(pid), 0);
    EQ(qt_attachments(), 1);
    EQ(qt_value(), 1);
    qt_end(handle);
    qt_is_clean();
}

/* --- semaphores --------------------------------------------------------------------------------------------------- */

CASE(qt_semaphore_counts)
{
    qt_place();
    int32_t a = qt_semaphore(2, 0);
    GT(a, 0);
    EQ(qshm_qt_value(a), 2);
    int32_t b = qt_semaphore(7, 0); /* opened: its value stays */
    EQ(qshm_qt_value(b), 2);
    EQ(qshm_qt_acquire(a, 0), 1);
    EQ(qshm_qt_acquire(b, HUGE_VAL), 1);
    EQ(qshm_qt_acquire(a, 0), 0);
    EQ(qshm_qt_acquire(a, 5), 0);
    EQ(qshm_qt_release(a, 5), 1);
    EQ(qshm_qt_value(b), 5);
    EQ(qshm_qt_release(a, 32767), QSHM_E_RESOURCES);
    EQ(qshm_qt_value(b), 5);
    int32_t c = qt_semaphore(4, 1); /* made: its value is set */
    EQ(qshm_qt_value(b), 4);
    qt_end(b);
    EQ(count_sets(), 1);
    qt_end(a); /* which made it */
    qt_is_clean();
    EQ(qshm_qt_acquire(c, 0), 1); /* makes another */
    EQ(qshm_qt_value(c), 3);
    qt_end(c);
    qt_is_clean();
}

static void acquire_and_die(void *argument)
{
    int32_t handle = qt_semaphore(0, 0);
    EQ(qshm_qt_acquire(handle, 1000), 1);
    gate_open(argument);
    pause();
}

/* The kernel takes back acquires, and releases too, as it does for Qt's. */
CASE(qt_semaphore_undo)
{
    qt_place();
    int32_t handle = qt_semaphore(1, 0);
    struct gate gate = gate_make();
    pid_t pid = spawn(acquire_and_die, &gate);
    gate_pass(&gate);
    EQ(qshm_qt_acquire(handle, 5), 0);
    kill_and_wait(pid);
    EQ(qshm_qt_value(handle), 1);
    struct qt_peer peer = qt_peer_start();
    EQ(qt_do(&peer, QT_ADD, 2), 0);
    EQ(qshm_qt_value(handle), 3);
    qt_peer_end(&peer);
    EQ(qshm_qt_value(handle), 1);
    qt_end(handle);
    qt_is_clean();
}

static void acquire_at_last(void *argument)
{
    (void)argument;
    int32_t handle = qt_semaphore(0, 0);
    EQ(qshm_qt_acquire(handle, 1 << 30), 1);
    _exit(0); /* with the set that it made in place of the one that was removed */
}

/* Removed under a waiter, which makes another, of its own initial value; and somebody who releases wakes it there. */
CASE(qt_semaphore_removed_under_a_waiter)
{
    qt_place();
    int32_t handle = qt_semaphore(0, 0);
    pid_t pid = spawn(acquire_at_last, NULL);
    wait_for_system_call(pid, SYS_semtimedop);
    qt_end(handle);
    wait_for_system_call(pid, SYS_semtimedop);
    while (qt_set_id("sem") < 0) {
        sched_yield();
    }
    handle = qt_semaphore(0, 0);
    EQ(qshm_qt_release(handle, 1), 1);
    EQ(wait_exit(pid), 0);
    EQ(qshm_qt_release(handle, 1), 1);
    int32_t maker = qt_semaphore(0, 1);
    qt_end(handle);
    qt_end(maker);
    qt_is_clean();
}

static void make_set_and_die(void *argument)
{
    (void)argument;
    EQ(count_sets(), 0);
    qshm_test_arm(5, STEP_KILLS);
    qt_semaphore(7, 0);
}

/* Its maker died before it had a value: it gets that of whoever comes next. */
CASE(qt_semaphore_without_a_value)
{
    qt_place();
    wait_killed(spawn(make_set_and_die, NULL), SIGKILL);
    EQ(count_sets(), 1);
    EQ(qt_value(), 0);
    int32_t handle = qt_semaphore(3, 0);
    EQ(qshm_qt_value(handle), 3);
    qt_end(handle);
    qt_is_clean();
}
