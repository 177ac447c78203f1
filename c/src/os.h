/*
 * os.h - what the library asks of an operating system. One implementation a system: os_linux*.c.
 *
 * Convention: a call returns 0 or a count on success, and a negative errno on failure; nothing reads errno elsewhere.
 * Calls that a signal interrupts are made again, unless stated otherwise. In the test build every call is a step that
 * can be made to stop, kill or fail the process (fault.h).
 */
#ifndef QSHM_OS_H
#define QSHM_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The owner is not this user, and its number is not known: it has none in this user namespace. */
#define QSHM_SOMEBODY UINT32_MAX

struct qshm__stat {
    uint64_t device, inode, size;
    uint32_t mode, links, uid, gid;
};

/* --- directories and names ---------------------------------------------------------------------------------------- */

/* The directory of this user's segments, as text. */
int qshm__os_default_directory(char *path, size_t capacity);
/* Opens a directory without following a link in its last component. */
int qshm__os_open_directory(const char *path);
/* Mode 0700, whatever the umask. */
int qshm__os_make_directory(const char *path);
/* Makes a directory of our own usable again, after a umask or a crash left it without the owner's bits. */
int qshm__os_repair_directory(const char *path);
/* Is the file system behind this descriptor one on which locks and shared mappings hold between all processes that see
 * it? Then `*refused` is NULL, else the file system's name. */
int qshm__os_check_file_system(int fd, const char **refused);
bool qshm__os_in_group(uint32_t gid);
uint32_t qshm__os_uid(void);

/* Reads directory entries into `buffer`; names are taken out by qshm__os_next_name. Returns bytes, 0 at the end. */
int qshm__os_read_directory(int fd, void *buffer, uint32_t capacity);
/* The name at `*offset` of what qshm__os_read_directory gave, or NULL at its end. `*position`, unless NULL, is
 * where the directory goes on behind it. */
const char *qshm__os_next_name(const void *buffer, uint32_t size, uint32_t *offset, int64_t *position);
/* Goes to a position that qshm__os_next_name gave, or 0 for the beginning. */
int qshm__os_seek_directory(int fd, int64_t position);

/* --- files -------------------------------------------------------------------------------------------------------- */

/* Opens a file by name without following a link, hanging on a FIFO, or leaking it to children. */
int qshm__os_open(int directory, const char *name, bool writable);
/* Makes a file that was not there; mode 0600, whatever the umask. */
int qshm__os_create(int directory, const char *name);
int qshm__os_stat(int fd, struct qshm__stat *out);
/* The name itself: a link is not followed. */
int qshm__os_stat_name(int directory, const char *name, struct qshm__stat *out);
int qshm__os_stat_path(const char *path, struct qshm__stat *out);
int qshm__os_unlink(int directory, const char *name);
/* Was it made by this user, and not changed for 10 s? What is younger may not be complete. */
bool qshm__os_is_old(int directory, const char *name);
int qshm__os_read(int fd, void *bytes, size_t size, uint64_t offset);
/* Writes all of it: 0, or an error. */
int qshm__os_write(int fd, const void *bytes, uint64_t size, uint64_t offset);
/* The same to something that has no offsets; waits where that does not block. */
int qshm__os_write_stream(int fd, const void *bytes, uint64_t size);
/* Gives all bytes real storage, so that a full file system shows now and not as SIGBUS later. */
int qshm__os_reserve(int fd, uint64_t size);
int qshm__os_set_access(int fd, uint32_t mode, int64_t gid);
void qshm__os_close(int fd);

/* A file that nobody can see until it is published. Where the file system has no nameless files, or if `named`, it
 * bears a name that nobody looks for (`x.` + 16 hex digits); a process that dies leaves that to the sweep. Mode
 * 0600, whatever the umask. */
struct qshm__draft {
    int fd;
    char name[40]; /* "" = nameless */
};
bool qshm__os_is_draft_name(const char *name);
int qshm__os_create_draft(int directory, bool named, struct qshm__draft *draft);
/* Gives the draft its name. -EEXIST when the name is taken. */
int qshm__os_publish(int directory, struct qshm__draft *draft, const char *name);
/* Takes back what qshm__os_create_draft made; the descriptor is closed. */
void qshm__os_drop_draft(int directory, struct qshm__draft *draft);
/* A second, independent description of the same file. */
int qshm__os_reopen(int fd, bool writable);

/* --- locks on byte ranges, owned by the open file description ----------------------------------------------------- */

enum qshm__range_lock { QSHM_SHARED, QSHM_EXCLUSIVE };
/* Never waits: -EAGAIN when another description holds a conflicting lock. */
int qshm__os_lock_range(int fd, enum qshm__range_lock type, uint64_t start, uint64_t length);
int qshm__os_unlock_range(int fd, uint64_t start, uint64_t length);
/* 1 if another description holds any of the range (then `*found`, unless NULL, is the start of one such lock), 0 if
 * nobody does. A description never sees its own locks. */
int qshm__os_range_held(int fd, uint64_t start, uint64_t length, uint64_t *found);

/* --- memory ------------------------------------------------------------------------------------------------------- */

enum qshm__mapping { QSHM_MAP_SHARED, QSHM_MAP_SHARED_READ, QSHM_MAP_PRIVATE };
/* The mapping is not inherited by a forked child. */
int qshm__os_map(int fd, uint64_t offset, uint64_t size, enum qshm__mapping how, void **out);
/* Puts inert private memory in the place of a mapping: old addresses stay valid, nothing reaches the file. */
int qshm__os_neutralise(void *address, uint64_t size);
void qshm__os_unmap(void *address, uint64_t size);
/* A word that is 1 here and 0 in a forked child. NULL where the system has no such memory. */
volatile uint32_t *qshm__os_fork_word(void);
uint64_t qshm__os_page_size(void);

/* --- bells -------------------------------------------------------------------------------------------------------- */

/* `kind` is QSHM_BELL_FIFO or QSHM_BELL_SOCKET. Makes the file, with this mode and group, and returns a descriptor to
 * listen to, which never blocks. */
int qshm__os_make_bell(int directory, const char *name, uint32_t kind, uint32_t mode, uint32_t gid);
/* A descriptor to ring it with; fills in whose it is. Fails if the file is of another type. */
int qshm__os_reach_bell(int directory, const char *name, uint32_t kind, struct qshm__stat *file);
/* -EAGAIN: it has not been heard yet. */
int qshm__os_ring(int fd, uint32_t kind);
/* Is it a bell of this user's to which nobody listens? */
bool qshm__os_is_deserted_bell(int directory, const char *name);

/* --- System V objects, and the key files behind them -------------------------------------------------------------- */

/* Makes a key file (mode 0640 less the umask, as Qt does): 1, or 0 if there is one. */
int qshm__os_make_key_file(const char *path);
int qshm__os_unlink_path(const char *path);
/* A path with its links resolved; returns its length, 0 if it leads nowhere or does not fit. */
uint32_t qshm__os_real_path(const char *path, char *out, size_t capacity);

struct qshm__sysv_stat {
    uint64_t size, attached;   /* of a segment */
    int64_t operated;          /* seconds: when a semaphore was changed by an operation; 0: never */
    uint32_t mode, creator;    /* uid */
    bool removed;              /* of a segment: it only waits for its last user */
};
/* 0 and the id. `size` 0: only one that exists (-ENOENT); else one that did not (-EEXIST), mode 0600. */
int qshm__os_segment_get(int32_t key, uint64_t size, int *id);
int qshm__os_segment_stat(int id, struct qshm__sysv_stat *out);
int qshm__os_segment_remove(int id);
/* Not inherited by a forked child. */
int qshm__os_segment_attach(int id, bool read_only, uint64_t size, void **out);
int qshm__os_segment_detach(void *address);

/* One step of an operation: adds `change`, or with 0 waits until the semaphore is 0. */
struct qshm__semaphore_step {
    int16_t change;
    bool undo; /* the kernel takes it back at the end of the process */
    bool now;  /* -EAGAIN instead of waiting */
};
/* A set of one semaphore, mode 0600: 0 and the id. `make`: only one that did not exist. */
int qshm__os_semaphore_get(int32_t key, bool make, int *id);
/* All steps, or none, at once; waits at most `ms` (-EAGAIN). Not made again after a signal: -EINTR. */
int qshm__os_semaphore_change(int id, const struct qshm__semaphore_step *steps, uint32_t count, double ms);
int qshm__os_semaphore_value(int id);
/* Takes back nothing any more of what processes would undo. */
int qshm__os_semaphore_set(int id, int value);
/* The process that changed it last; 0 if that cannot be seen from here. */
int qshm__os_semaphore_changer(int id);
int qshm__os_semaphore_stat(int id, struct qshm__sysv_stat *out);
int qshm__os_semaphore_remove(int id);

/* --- time, sleeping, processes ------------------------------------------------------------------------------------ */

double qshm__os_now(void); /* monotonic, ms */
void qshm__os_sleep(double ms);
/* Sleeps while *word == expected, at most `ms`. Any return, for whatever reason, means: look again. */
void qshm__os_wait(const void *word, uint32_t expected, double ms);
/* Returns how many were woken. */
int qshm__os_wake(const void *word, bool all);
bool qshm__os_many_processors(void);
uint32_t qshm__os_pid(void);
/* Tells this thread from all others that live. */
uintptr_t qshm__os_thread(void);
uint64_t qshm__os_random(void);
const char *qshm__os_environment(const char *name);
void qshm__os_print(const char *text, size_t size); /* to stderr */

/* Names the PID namespace of this process; 0 if it cannot be known. */
uint64_t qshm__os_pid_namespace(void);
/* The working directory, not terminated; returns its length, 0 if it has no name (any more) or does not fit. */
uint32_t qshm__os_working_directory(char *path, size_t capacity);

/* A descriptor that means this very process, also when its number is another's; and whose it is. */
int qshm__os_open_process(uint32_t pid, uint32_t *uid);
/* Sends it a signal, of the system's numbers. */
int qshm__os_signal_process(int fd, int signal);
/* Has it ended, as far as its locks go? It may be waited for still. */
bool qshm__os_process_has_ended(uint32_t pid);
/* When a process started, in the system's own count; 0 if it cannot be known. */
uint64_t qshm__os_process_start(uint32_t pid);
/* When a process started, in ms since 1970; 0 if it cannot be known. */
double qshm__os_process_started(uint32_t pid);
/* Which process holds a lock inside the range on this file? 0 if none that can be seen. `only` limits the search to
 * one process (0: all). */
uint32_t qshm__os_range_holder(uint64_t device, uint64_t inode, uint64_t start, uint64_t length, uint32_t only);
/* Calls `found` for every lock that a visible process holds on a file of this device in [start, start+length), until
 * it returns true. */
void qshm__os_each_lock(uint64_t device, uint64_t start, uint64_t length,
                        bool (*found)(void *context, uint64_t inode, uint64_t at, uint32_t pid), void *context);

#endif
