/*
 * qt_place.c - see qt_place.h.
 */
#define _GNU_SOURCE
#include "qt_place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    GE(fd, 0);
    EQ(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void qt_place(void)
{
    unsigned uid = getuid();
    int how = geteuid() == 0 ? CLONE_NEWIPC : CLONE_NEWIPC | CLONE_NEWUSER;
    if (unshare(how) != 0) {
        runner_skip("no System V objects of its own: %s", strerror(errno));
    }
    if ((how & CLONE_NEWUSER) != 0) {
        char map[64];
        snprintf(map, sizeof map, "%u %u 1", uid, uid);
        write_text("/proc/self/uid_map", map);
    }
}

/* --- the library, with fewer words -------------------------------------------------------------------------------- */

int32_t qt_memory_of(const char *file, const char *lock_file)
{
    const char *path = path_of(file), *lock_path = path_of(lock_file);
    return qshm_qt_memory(path, (uint32_t)strlen(path), lock_path, (uint32_t)strlen(lock_path), QT_PROJECT);
}

int32_t qt_memory(void)
{
    int32_t handle = qt_memory_of("shm", "sem");
    GT(handle, 0);
    return handle;
}

int32_t qt_semaphore(double initial, uint32_t create)
{
    const char *path = path_of("sem");
    return qshm_qt_semaphore(path, (uint32_t)strlen(path), QT_PROJECT, initial, create, &outcome);
}

int32_t qt_create(int32_t handle, double timeout_ms)
{
    return qshm_qt_create((uint32_t)handle, QT_SIZE, 0, timeout_ms, &outcome);
}

int32_t qt_attach(int32_t handle, double timeout_ms)
{
    return qshm_qt_attach((uint32_t)handle, 0, timeout_ms, &outcome);
}

int32_t qt_detach(int32_t handle)
{
    return qshm_qt_detach((uint32_t)handle, 10000, &outcome);
}

void qt_end(int32_t handle)
{
    int32_t r = qshm_qt_close((uint32_t)handle);
    GE(r, 0);
    if (r == 1) {
        EQ(qshm_qt_free((uint32_t)handle, 0), 0);
    }
}

int32_t qt_created(void)
{
    int32_t handle = qt_memory();
    EQ(qt_create(handle, 10000), 1);
    return handle;
}

int32_t qt_attached(void)
{
    int32_t handle = qt_memory();
    EQ(qt_attach(handle, 10000), 1);
    return handle;
}

/* --- from outside ------------------------------------------------------------------------------------------------- */

int32_t qt_number(const char *file)
{
    return (int32_t)ftok(path_of(file), QT_PROJECT);
}

int qt_segment_id(const char *file)
{
    int32_t number = qt_number(file);
    return number == -1 ? -1 : shmget(number, 0, 0);
}

int qt_set_id(const char *file)
{
    int32_t number = qt_number(file);
    return number == -1 ? -1 : semget(number, 0, 0);
}

int qt_attachments(void)
{
    struct shmid_ds found;
    int id = qt_segment_id("shm");
    return id < 0 || shmctl(id, IPC_STAT, &found) < 0 ? -1 : (int)found.shm_nattch;
}

int qt_value(void)
{
    int id = qt_set_id("sem");
    return id < 0 ? -1 : semctl(id, 0, GETVAL);
}

void qt_touch(const char *file)
{
    int fd = open(path_of(file), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0640);
    GE(fd, 0);
    close(fd);
}

static int count_lines(const char *path)
{
    FILE *stream = fopen(path, "r");
    CHECK(stream != NULL);
    int lines = -1; /* the heading */
    int c;
    while ((c = getc(stream)) != EOF) {
        lines += c == '\n';
    }
    fclose(stream);
    return lines;
}

int count_segments(void)
{
    return count_lines("/proc/sysvipc/shm");
}

int count_sets(void)
{
    return count_lines("/proc/sysvipc/sem");
}

void qt_is_clean(void)
{
    EQ(count_segments(), 0);
    EQ(count_sets(), 0);
    EQ(count_files(), 0);
}

/* --- a process that does as it is told ----------------------------------------------------------------------------- */

struct qt_order {
    enum qt_deed deed;
    int argument, result;
};

static int add(int count, int flags)
{
    struct sembuf operation = {.sem_op = (short)count, .sem_flg = (short)flags};
    int r;
    do {
        r = semop(qt_set_id("sem"), &operation, 1);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

static void obey(void *argument)
{
    struct qt_peer *peer = argument;
    int32_t handle = qt_memory();
    for (;;) {
        gate_pass(&peer->go);
        struct qt_order *order = peer->order;
        switch (order->deed) {
        case QT_SET:
            order->result = semctl(qt_set_id("sem"), 0, SETVAL, order->argument);
            break;
        case QT_ADD:
            order->result = add(order->argument, SEM_UNDO);
            break;
        case QT_ADD_PLAIN:
            order->result = add(order->argument, 0);
            break;
        case QT_REMOVE:
            order->result = semctl(qt_set_id("sem"), 0, IPC_RMID);
            break;
        case QT_LOCK:
            order->result = qshm_qt_lock(handle, order->argument);
            break;
        case QT_UNLOCK:
            order->result = qshm_qt_unlock(handle);
            break;
        case QT_CREATE:
            order->result = qt_create(handle, order->argument);
            break;
        case QT_ATTACH:
            order->result = qt_attach(handle, order->argument);
            break;
        case QT_END:
            return;
        }
        gate_open(&peer->done);
    }
}

struct qt_peer qt_peer_start(void)
{
    struct qt_peer peer = {.go = gate_make(), .done = gate_make(), .order = shared_memory(sizeof(struct qt_order))};
    peer.pid = spawn(obey, &peer);
    return peer;
}

void qt_begin(struct qt_peer *peer, enum qt_deed deed, int argument)
{
    peer->order->deed = deed;
    peer->order->argument = argument;
    gate_open(&peer->go);
}

int qt_finish(struct qt_peer *peer)
{
    gate_pass(&peer->done);
    return peer->order->result;
}

int qt_do(struct qt_peer *peer, enum qt_deed deed, int argument)
{
    qt_begin(peer, deed, argument);
    return qt_finish(peer);
}

void qt_peer_end(struct qt_peer *peer)
{
    qt_begin(peer, QT_END, 0);
    EQ(wait_exit(peer->pid), 0);
    gate_close(&peer->go);
    gate_close(&peer->done);
}
