/*
 * os_linux_sysv.c - System V segments and semaphores, and the files that give them their numbers, on Linux. See os.h.
 *
 * Only plain POSIX symbols, and the kernel's own structures, which glibc and musl share on 64-bit systems.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"
#include "os.h"

enum { MOST_STEPS = 11 };

static int result(long value)
{
    return value < 0 ? -errno : (int)value;
}

/* --- key files ---------------------------------------------------------------------------------------------------- */

int qshm__os_make_key_file(const char *path)
{
    QSHM_CALL("open key file");
    int fd;
    do {
        fd = result(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    } while (fd == -EINTR);
    if (fd < 0) {
        return fd == -EEXIST ? 0 : fd;
    }
    close(fd);
    return 1;
}

int qshm__os_unlink_path(const char *path)
{
    QSHM_CALL("unlink key file");
    return result(unlink(path));
}

uint32_t qshm__os_real_path(const char *path, char *out, size_t capacity)
{
    /* Into a buffer: an old version of glibc's, which a library without symbol versions gets, does not make one. */
    char found[PATH_MAX];
    size_t length = realpath(path, found) == NULL ? 0 : strlen(found);
    if (length >= capacity) {
        length = 0;
    }
    memcpy(out, found, length);
    out[length] = '\0';
    return (uint32_t)length;
}

/* --- segments ----------------------------------------------------------------------------------------------------- */

int qshm__os_segment_get(int32_t key, uint64_t size, int *id)
{
    QSHM_CALL("shmget");
    *id = shmget(key, (size_t)size, size == 0 ? 0 : IPC_CREAT | IPC_EXCL | 0600);
    return *id < 0 ? -errno : 0;
}

int qshm__os_segment_stat(int id, struct qshm__sysv_stat *out)
{
    QSHM_CALL("shmctl stat");
    struct shmid_ds found;
    if (shmctl(id, IPC_STAT, &found) < 0) {
        return -errno;
    }
    *out = (struct qshm__sysv_stat){
        .size = found.shm_segsz,
        .attached = found.shm_nattch,
        .mode = found.shm_perm.mode & 0777u,
        .creator = found.shm_perm.cuid,
        .removed = (found.shm_perm.mode & SHM_DEST) != 0,
    };
    return 0;
}

int qshm__os_segment_remove(int id)
{
    QSHM_CALL("shmctl remove");
    return result(shmctl(id, IPC_RMID, NULL));
}

int qshm__os_segment_attach(int id, bool read_only, uint64_t size, void **out)
{
    QSHM_CALL("shmat");
    void *address = shmat(id, NULL, read_only ? SHM_RDONLY : 0);
    if ((intptr_t)address == -1) {
        return -errno;
    }
    madvise(address, (size_t)size, MADV_DONTFORK);
    *out = address;
    return 0;
}

int qshm__os_segment_detach(void *address)
{
    QSHM_CALL("shmdt");
    return result(shmdt(address));
}

/* --- semaphores --------------------------------------------------------------------------------------------------- */

int qshm__os_semaphore_get(int32_t key, bool make, int *id)
{
    QSHM_CALL("semget");
    *id = semget(key, 1, make ? IPC_CREAT | IPC_EXCL | 0600 : 0600);
    return *id < 0 ? -errno : 0;
}

int qshm__os_semaphore_change(int id, const struct qshm__semaphore_step *steps, uint32_t count, double ms)
{
    QSHM_CALL("semop");
    struct sembuf operations[MOST_STEPS];
    for (uint32_t i = 0; i < count && i < MOST_STEPS; i++) {
        int flags = (steps[i].undo ? SEM_UNDO : 0) | (steps[i].now ? IPC_NOWAIT : 0);
        operations[i] = (struct sembuf){.sem_op = steps[i].change, .sem_flg = (short)flags};
    }
    if (ms > 1e15) {
        return result(semop(id, operations, count));
    }
    time_t seconds = (time_t)(ms / 1000);
    struct timespec most = {.tv_sec = seconds, .tv_nsec = (long)((ms - (double)seconds * 1000) * 1e6)};
    return result(syscall(SYS_semtimedop, id, operations, count, &most));
}

int qshm__os_semaphore_value(int id)
{
    QSHM_CALL("semctl value");
    return result(semctl(id, 0, GETVAL));
}

int qshm__os_semaphore_set(int id, int value)
{
    QSHM_CALL("semctl set");
    return result(semctl(id, 0, SETVAL, value));
}

int qshm__os_semaphore_changer(int id)
{
    QSHM_CALL("semctl changer");
    return result(semctl(id, 0, GETPID));
}

int qshm__os_semaphore_stat(int id, struct qshm__sysv_stat *out)
{
    QSHM_CALL("semctl stat");
    struct semid_ds found;
    if (semctl(id, 0, IPC_STAT, &found) < 0) {
        return -errno;
    }
    *out = (struct qshm__sysv_stat){
        .operated = found.sem_otime,
        .mode = found.sem_perm.mode & 0777u,
        .creator = found.sem_perm.cuid,
    };
    return 0;
}

int qshm__os_semaphore_remove(int id)
{
    QSHM_CALL("semctl remove");
    return result(semctl(id, 0, IPC_RMID));
}
