/*
 * partners.c - processes without a runtime that pass something to and fro, or to a runtime.
 *
 * `ping.` starts, and takes the time; `pong.` answers. `publish.` tells its clock to one that waits, and `wake.` is told.
 * Like those of the runtimes, a ping is once more than `count`: until the other one has begun.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "rivals.h"

static const struct timespec pause_time = {.tv_nsec = 2000000}; /* as PAUSE in pairs.ts */

static double ping(long count, int sleeps, void (*exchange)(void))
{
    if (count == 0) {
        return 0;
    }
    exchange();
    double elapsed = 0, start = rivals_now();
    for (long i = 0; i < count; i++) {
        if (sleeps) {
            nanosleep(&pause_time, NULL);
            start = rivals_now();
        }
        exchange();
        elapsed += sleeps ? rivals_now() - start : 0;
    }
    return sleeps ? elapsed : rivals_now() - start;
}

static double pong(long count, void (*answer)(void))
{
    for (long i = 0; count > 0 && i < count + 1; i++) {
        answer();
    }
    return 0;
}

/* --- the library ------------------------------------------------------------------------------------------------- */

static uint32_t shared;
static volatile uint32_t *words;

static void open_change(void)
{
    if (shared == 0) {
        shared = rivals_open(QSHM_CREATE | QSHM_ATTACH, "change", 8);
        words = library.payload(shared);
        TRY(words != NULL);
    }
}

static int32_t following(int32_t revision)
{
    return revision == INT32_MAX ? 0 : revision + 1;
}

static void change_exchange(void)
{
    int32_t before = library.revision(shared);
    words[0]++;
    library.notify(shared);
    TRY(library.wait_change(shared, following(before), 1e15) >= 0);
}

static double ping_library_hot(long count)
{
    open_change();
    return ping(count, 0, change_exchange);
}

static double ping_library_sleeping(long count)
{
    open_change();
    return ping(count, 1, change_exchange);
}

static int32_t seen;

static void change_answer(void)
{
    seen = following(library.wait_change(shared, seen, 1e15));
    words[1] = words[0];
    library.notify(shared);
}

static double pong_library(long count)
{
    if (shared == 0) {
        open_change();
        seen = library.revision(shared);
    }
    return pong(count, change_answer);
}

/* --- FIFOs, polled as the runtimes do ------------------------------------------------------------------------------- */

static int in = -1, out = -1, poller = -1;

static int open_fifo(const char *name)
{
    mkfifo(rivals_path(name), 0600); /* or it is there */
    int fd = open(rivals_path(name), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    TRY(fd >= 0);
    return fd;
}

static void open_fifos(const char *read_from, const char *write_to)
{
    if (poller < 0) {
        in = open_fifo(read_from);
        out = open_fifo(write_to);
        struct epoll_event event = {.events = EPOLLIN};
        TRY((poller = epoll_create1(EPOLL_CLOEXEC)) >= 0 && epoll_ctl(poller, EPOLL_CTL_ADD, in, &event) == 0);
    }
}

static void send_word(void)
{
    uint32_t word = 1;
    TRY(write(out, &word, sizeof word) == sizeof word);
}

static void receive_word(void)
{
    uint32_t word;
    struct epoll_event event;
    TRY(epoll_wait(poller, &event, 1, -1) == 1);
    TRY(read(in, &word, sizeof word) == sizeof word);
}

static void epoll_exchange(void)
{
    send_word();
    receive_word();
}

static void epoll_answer(void)
{
    receive_word();
    send_word();
}

static double ping_epoll_hot(long count)
{
    open_fifos("back", "there");
    return ping(count, 0, epoll_exchange);
}

static double ping_epoll_sleeping(long count)
{
    open_fifos("back", "there");
    return ping(count, 1, epoll_exchange);
}

static double pong_epoll(long count)
{
    open_fifos("there", "back");
    return pong(count, epoll_answer);
}

/* --- POSIX semaphores ---------------------------------------------------------------------------------------------- */

static sem_t *semaphores; /* there, back */

static void open_semaphores(int create)
{
    if (semaphores == NULL) {
        int fd = open(rivals_path("semaphores"), O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
        TRY(fd >= 0 && ftruncate(fd, 2 * sizeof *semaphores) == 0);
        semaphores = mmap(NULL, 2 * sizeof *semaphores, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        TRY(semaphores != MAP_FAILED);
        for (int i = 0; create && i < 2; i++) {
            TRY(sem_init(&semaphores[i], 1, 0) == 0);
        }
    }
}

static void semaphore_exchange(void)
{
    TRY(sem_post(&semaphores[0]) == 0);
    TRY(sem_wait(&semaphores[1]) == 0);
}

static void semaphore_answer(void)
{
    TRY(sem_wait(&semaphores[0]) == 0);
    TRY(sem_post(&semaphores[1]) == 0);
}

static double ping_semaphore_hot(long count)
{
    open_semaphores(0);
    return ping(count, 0, semaphore_exchange);
}

static double ping_semaphore_sleeping(long count)
{
    open_semaphores(0);
    return ping(count, 1, semaphore_exchange);
}

static double pong_semaphore(long count)
{
    open_semaphores(1);
    return pong(count, semaphore_answer);
}

/* --- one way ------------------------------------------------------------------------------------------------------- */

static volatile double *stamp;

static void open_stamp(void)
{
    if (shared == 0) {
        shared = rivals_open(QSHM_CREATE | QSHM_ATTACH, "wake", sizeof *stamp);
        stamp = library.payload(shared);
        TRY(stamp != NULL);
        seen = library.revision(shared);
    }
}

static double publish_change(long count)
{
    open_stamp();
    for (long i = 0; i < count; i++) {
        nanosleep(&pause_time, NULL);
        *stamp = rivals_now();
        library.notify(shared);
    }
    return 0;
}

static double wake_change(long count)
{
    open_stamp();
    double elapsed = 0;
    for (long i = 0; i < count; i++) {
        seen = library.wait_change(shared, seen, 1e15);
        elapsed += rivals_now() - *stamp;
    }
    return elapsed;
}

static double publish_net(long count)
{
    static int listener = -1, reader = -1;
    if (listener < 0) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        strncpy(address.sun_path, rivals_path("wake.socket"), sizeof address.sun_path - 1);
        TRY((listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
        TRY(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    }
    if (count > 0 && reader < 0) {
        TRY((reader = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
    }
    for (long i = 0; i < count; i++) {
        nanosleep(&pause_time, NULL);
        double now = rivals_now();
        TRY(write(reader, &now, sizeof now) == sizeof now);
    }
    return 0;
}

const struct rivals_partner partners[] = {
    {"ping.library.hot", ping_library_hot},
    {"ping.library.sleeping", ping_library_sleeping},
    {"pong.library", pong_library},
    {"ping.epoll.hot", ping_epoll_hot},
    {"ping.epoll.sleeping", ping_epoll_sleeping},
    {"pong.epoll", pong_epoll},
    {"ping.semaphore.hot", ping_semaphore_hot},
    {"ping.semaphore.sleeping", ping_semaphore_sleeping},
    {"pong.semaphore", pong_semaphore},
    {"publish.change", publish_change},
    {"publish.net", publish_net},
    {"wake.change.sleeping", wake_change},
    {NULL, NULL},
};
