/*
 * qshm.h - named shared memory with a lock that survives kill -9. Public header of the C library.
 *
 * THE IDEA
 *
 * A segment is a file in a memory file system, mapped by everybody who attaches. Whoever asks "does its user still
 * live?" asks the kernel, never a pid file, a time stamp or a host name: every attachment holds a one-byte lock of its
 * own open file description (F_OFD_SETLK) on the segment's file, at an offset named by its id. The kernel drops the
 * byte when the process ends, however it ends, and only then. Three rules follow:
 *
 *   1. A word in shared memory names its owner by that id. If the owner's byte is free, the owner is dead, and whoever
 *      finds that out takes over with a compare-and-swap on the exact word it saw.
 *   2. A file on which nobody holds a byte is dead. The next create or attach of the name removes it. All decisions
 *      about a name are taken under one further byte of the file (the registry lock), which dies with its holder too.
 *   3. Nobody waits for ever. Internal locks are waited for at most one second, then the call fails with
 *      QSHM_E_BUSY and names the holder; every sleep is bounded, and every wake-up looks at the whole condition again.
 *
 * So a process may be killed between any two instructions and there is nothing to clean by hand: src/segment.c,
 * src/liveness.c and src/lock.c tell the story step by step, and the test build dies at every one of those steps.
 *
 * CAVEATS
 *
 *  - Two processes meet if they open the same directory on the same machine. Network and FUSE file systems are
 *    refused, because their locks or mappings do not hold between machines.
 *  - Somebody who may write the directory may unlink a live segment (systemd's RemoveIPC does, at the last logout).
 *    Those attached go on, but nobody can join them: the name is free for a new segment.
 *  - Somebody who may write a segment's file may truncate it: every process that then touches the missing pages dies
 *    by SIGBUS. That is like a kill; the others recover. Contents, however broken, never crash anybody.
 *  - The kernel frees a dying process's locks after its memory: a process with gigabytes of resident memory, or one
 *    that dumps core, is seen as alive until that is done.
 *  - A lock owner that is stopped (SIGSTOP, a debugger) lives. Others time out; qshm_force_unlock takes the lock away.
 *  - A forked child that does not exec has no segments: its parent's handles are invalid there. It keeps the parent's
 *    bytes alive until it execs, ends, or first calls this library.
 *  - A handle is used by one thread at a time. Different handles may be used by different threads, also of one segment.
 *
 * CONVENTIONS
 *
 *  - Only integers, doubles and the caller's buffers cross this interface. Sizes and offsets are doubles that must hold
 *    whole numbers (exact up to 2^53), because that is what JavaScript has.
 *  - A result >= 0 is success, a negative one an enum qshm_error, in the same call. Calls that may fail in an operating
 *    system call take a struct qshm_outcome and fill it in before they return.
 *  - Objects are named by handles: positive 31-bit numbers that carry a generation. A stale one gives QSHM_E_HANDLE.
 *    The entry points that are called most take the handle as a double: Node calls functions that take only doubles
 *    directly, and all others through a generic path that is ten times as slow.
 *  - A pointer together with size 0 is ignored and may be anything.
 *  - With QSHM_DEBUG=1 in the environment, decisions are traced to stderr.
 */
#ifndef QSHM_H
#define QSHM_H

#include <stdint.h>

/* Changes when a signature or a struct here changes in a way that an older caller cannot take. */
#define QSHM_ABI_VERSION 1

#if defined(__GNUC__)
#define QSHM_API __attribute__((visibility("default")))
#else
#define QSHM_API
#endif

/* The one error table: number, name, sentence. ffi/symbols.ts and src/error_table.ts mirror it, and a test compares. */
#define QSHM_ERRORS(X)                                                                                          \
    X(-1, HANDLE, "the handle names nothing that is attached")                                                  \
    X(-2, ARGUMENT, "an argument is out of its range")                                                          \
    X(-3, KEY, "the key is empty, too long, or not UTF-8 without NUL")                                          \
    X(-4, ALREADY_EXISTS, "a segment of this name is in use, or persistent")                                    \
    X(-5, NOT_FOUND, "there is no segment of this name")                                                        \
    X(-6, SIZE_MISMATCH, "the segment has another size")                                                        \
    X(-7, PERMISSION, "the operating system does not permit it")                                                \
    X(-8, UNSAFE_DIRECTORY, "the directory is not safe to use")                                                 \
    X(-9, UNSAFE_FILE, "the file at the segment's name is not safe to use")                                     \
    X(-10, NO_DIRECTORY, "the directory does not exist")                                                        \
    X(-11, LOCK_LOST, "the lock was taken away from its owner")                                                 \
    X(-12, DEADLOCK, "the wait could never end")                                                                \
    X(-13, BUSY, "another process holds an internal lock for too long")                                         \
    X(-14, IN_USE, "the segment is in use")                                                                     \
    X(-15, RESOURCES, "memory, file descriptors or space on the file system are exhausted")                     \
    X(-16, INCOMPATIBLE, "the segment was made by another version, or is damaged, and is in use or persistent") \
    X(-17, READ_ONLY, "the attachment is read-only")                                                            \
    X(-18, UNSUPPORTED, "the operating system or file system lacks what is needed")                             \
    X(-19, SYSTEM, "an operating system call failed")                                                           \
    X(-20, TOO_LARGE, "the message is larger than its receiver takes")

enum qshm_error {
#define X(number, name, sentence) QSHM_E_##name = (number),
    QSHM_ERRORS(X)
#undef X
};

enum qshm_kind { QSHM_KIND_MEMORY = 1, QSHM_KIND_VALUE, QSHM_KIND_SEMAPHORE, QSHM_KIND_INSTANCE };

/* What qshm_open is to do. CREATE and ATTACH together: attach, else create, without a race. */
enum qshm_how {
    QSHM_CREATE = 1,
    QSHM_ATTACH = 2,
    QSHM_READ_ONLY = 4,  /* with ATTACH: no call through this handle changes the payload */
    QSHM_PERSISTENT = 8, /* with CREATE: contents are kept when nobody is attached */
};

enum qshm_outcome_flag {
    QSHM_CREATED = 1,   /* this call made the segment */
    QSHM_RECOVERED = 2, /* a former user ended without detaching, and this call cleaned up after it */
    QSHM_OBSERVER = 4,  /* only reading was granted: no lock, no registry, see src/segment.c */
    QSHM_IS_PERSISTENT = 8,
    QSHM_USED = 16, /* INCOMPATIBLE: somebody uses it */
    QSHM_WITH_RUNTIME = 32, /* qshm_arguments: the list begins with the runtime and its own arguments */
    QSHM_NOBODY = 64,       /* qshm_send: nobody holds the guard */
    QSHM_LEAVING = 128,     /* qshm_send: its holder takes no more */
    QSHM_FULL = 256,        /* qshm_send: 64 messages wait already */
};

/* How a call went, beyond its result. Offsets are part of the ABI. */
struct qshm_outcome {
    int32_t os_error; /* errno, or 0 */
    uint32_t pid;     /* BUSY: who holds it, 0 if that cannot be seen */
    uint32_t flags;   /* enum qshm_outcome_flag */
    uint32_t layout;  /* INCOMPATIBLE: the layout found, 0 if the file is no segment at all */
    double size;      /* payload bytes; SIZE_MISMATCH: those found */
    char call[24];    /* the operating system call that failed, or "" */
    char why[104];    /* what a check found, such as "is a symbolic link", or "" */
    char path[4608];  /* of the file, as far as it was known */
};

struct qshm_process {
    uint32_t id;    /* of the attachment; 0: nobody */
    uint32_t pid;   /* 0: gone, in another PID namespace, or not ours to see */
    uint32_t alive; /* the kernel's word for it */
    uint32_t reserved;
    double started;   /* ms since 1970; 0 if unknown */
    uint64_t segment; /* a random number of the segment's own: ids are small, and mean nothing elsewhere */
};

enum qshm_state { QSHM_LIVE = 1, QSHM_DEAD, QSHM_FOREIGN, QSHM_CORRUPT };

struct qshm_info {
    uint32_t kind;
    uint32_t state; /* enum qshm_state */
    uint32_t layout;
    uint32_t persistent;
    double size;   /* of the payload; 0 if foreign or corrupt */
    double inode;  /* joins qshm_holders */
    double device;
    uint32_t lock_owner; /* id, 0 if free */
    uint32_t held;       /* instance: a guard is held */
    uint32_t attached;   /* how many ids follow the struct, each a uint32_t */
    uint32_t key_size;   /* how many bytes of the key are given below; 0 if it cannot be told */
    uint32_t key_is_cut; /* the key is longer */
    uint32_t reserved;
    uint64_t segment; /* as in struct qshm_process */
    uint32_t revision;
    uint32_t waiting;    /* bells that are armed: those who wait in an event loop */
    double sequence;     /* value: how many were set */
    double value_size;   /* value: bytes of the present one */
    double largest;      /* value: most bytes */
    uint32_t writer;     /* value: id of who set it */
    uint32_t available;  /* semaphore: free permits */
    uint32_t total, max; /* semaphore */
    uint32_t queued;     /* semaphore: attachments that wait; instance: messages that wait for a reply */
    uint32_t reserved_tail;
    char codec[64]; /* value: what the bytes mean */
    char key[2048];
};

struct qshm_holder {
    double inode;
    uint32_t id;
    uint32_t pid;
    double started;
};

/* --- base --------------------------------------------------------------------------------------------------------- */

QSHM_API uint32_t qshm_abi_version(void);
/* Writes the table of symbols and errors as text; returns its length, also when that is more than `capacity`. */
QSHM_API int32_t qshm_describe(void *text, uint32_t capacity);

/* --- segments ----------------------------------------------------------------------------------------------------- */

/* Creates and/or attaches; returns a handle. `mode` is the file's (0 = 0600; a group may be let in, others never);
 * `size` the payload's in bytes: with ATTACH, 0 takes what is there. An empty directory means QSHM_DIRECTORY, else the
 * user's own. ALREADY_EXISTS, NOT_FOUND, SIZE_MISMATCH, ... as the names say; NOT_FOUND with the flag RECOVERED: what
 * was there was dead, and is removed. */
QSHM_API int32_t qshm_open(uint32_t kind, uint32_t how, uint32_t mode, double size, const void *key, uint32_t key_size,
                           const void *directory, uint32_t directory_size, void *outcome);
/* Ends the attachment: frees a lock that it holds, and removes the file if it was the last and it is not persistent.
 * It never fails because of others: if the registry lock cannot be had in a second, the file is left to the next user.
 * Returns 1 if qshm_payload was called: then the range is inert memory until qshm_unmap; else 0. */
QSHM_API int32_t qshm_detach(uint32_t handle);
/* After qshm_detach returned 1: gives the range back, or, with `keep`, leaves it mapped for good because somebody may
 * still hold its address. */
QSHM_API int32_t qshm_unmap(uint32_t handle, uint32_t keep);
/* At the end of the process, or of a thread that made the attachment: as qshm_detach, but others are waited for for
 * 20 ms only, and a lock that is still held counts as its owner's death. */
QSHM_API int32_t qshm_leave(uint32_t handle);
/* The payload's address, valid until qshm_detach. Of a read-only attachment: a private copy-on-write mapping. NULL on
 * failure. */
QSHM_API void *qshm_payload(uint32_t handle);
/* Copies out of, or into, the payload. The range must lie inside. */
QSHM_API int32_t qshm_read(uint32_t handle, double offset, void *target, double size);
QSHM_API int32_t qshm_write(uint32_t handle, double offset, const void *bytes, double size);
/* As qshm_write, but only if the bytes differ: 1 if it wrote, 0 if not. */
QSHM_API int32_t qshm_write_if_changed(uint32_t handle, double offset, const void *bytes, double size);
/* Counts the changes: 0 to 2^31-1, wraps. */
QSHM_API int32_t qshm_revision(double handle);

/* --- changes ------------------------------------------------------------------------------------------------------ */

/* Counts one more change, and wakes all who wait for it; qshm_write and others that change something do so too. */
QSHM_API int32_t qshm_notify(double handle);
/* Blocks until the revision is another than `since`, and returns it; `since` itself when time is up. */
QSHM_API int32_t qshm_wait_change(double handle, double since, double timeout_ms);

enum qshm_bell { QSHM_BELL_FIFO = 1, QSHM_BELL_SOCKET };
/* For those who wait in an event loop: makes this attachment's bell, a FIFO or a datagram socket, and returns a
 * descriptor that becomes the caller's: it is readable when the bell was rung, and everything in it may be thrown away.
 * RESOURCES: 128 others listen already; READ_ONLY: only reading was granted. Then look from time to time. */
QSHM_API int32_t qshm_bell_open(uint32_t handle, uint32_t kind, void *outcome);
/* To be called before the descriptor is closed. Detaching does it as well. */
QSHM_API int32_t qshm_bell_close(uint32_t handle);
/* Arms the bell for the change that follows `since`: 0, or 1 if it has come already. A ring is a hint: look again, and
 * arm again; look also without a ring, every half second. */
QSHM_API int32_t qshm_expect_change(double handle, double since);
/* Nobody waits for a change any more: it need not be rung. 0. */
QSHM_API int32_t qshm_stop_expecting(double handle);

/* --- values ------------------------------------------------------------------------------------------------------- */

/* As qshm_open, for a value of at most `largest` bytes, at most 1 GiB; one that exists keeps its own. `codec` names what
 * the bytes mean, at most 63 characters: INCOMPATIBLE if it is another's; empty: whatever it is. */
QSHM_API int32_t qshm_open_value(uint32_t how, uint32_t mode, double largest, const void *key, uint32_t key_size,
                                 const void *directory, uint32_t directory_size, const void *codec,
                                 uint32_t codec_size, void *outcome);
/* Sets the value: 1; or 0 if `expected`, unless negative, is not its sequence any more. ARGUMENT: it does not fit. BUSY:
 * three stopped processes are in the way. */
QSHM_API int32_t qshm_value_set(double handle, const void *bytes, double size, double expected);
/* Stands before the bytes of the value. */
struct qshm_value {
    double sequence; /* counts the values that were set; 0: none yet */
    double size;
};
/* Copies the value: struct qshm_value and the bytes. Returns the bytes needed; if that is more than `capacity`, only the
 * struct is there. */
QSHM_API int32_t qshm_value_get(double handle, void *value, double capacity);
QSHM_API double qshm_value_sequence(double handle);
QSHM_API double qshm_value_capacity(double handle);
/* Who set it last: 1, or 0 if nobody did. A process that is gone has no pid. */
QSHM_API int32_t qshm_value_writer(uint32_t handle, void *process);

/* --- semaphores --------------------------------------------------------------------------------------------------- */

/* As qshm_open; `initial` and `max` permits, at most 2^31-1, are for one that is created. */
QSHM_API int32_t qshm_open_semaphore(uint32_t how, uint32_t mode, double initial, double max, const void *key,
                                     uint32_t key_size, const void *directory, uint32_t directory_size, void *outcome);
/* Takes permits, all or none: 1 or 0. With `queue` not 0, 0 means that this attachment has its place in the queue: try
 * again after each change, and every few milliseconds, until it succeeds or qshm_withdraw. BUSY: a stopped process is in
 * the way. RESOURCES: 256 attachments hold permits, or wait. */
QSHM_API int32_t qshm_acquire(double handle, double count, double queue);
QSHM_API int32_t qshm_withdraw(double handle);
/* Gives back, or consumes for good, permits that this attachment holds. ARGUMENT: it does not hold so many. */
QSHM_API int32_t qshm_give_back(double handle, double count);
QSHM_API int32_t qshm_consume(double handle, double count);
/* Adds permits. ARGUMENT: beyond the maximum. */
QSHM_API int32_t qshm_post(double handle, double count);
QSHM_API int32_t qshm_available(double handle);
QSHM_API int32_t qshm_permits_max(double handle);

/* The process that was in the way when a call for a value or a semaphore ended in BUSY; 0 if it cannot be told. */
QSHM_API int32_t qshm_busy_process(uint32_t handle);

/* --- the lock ----------------------------------------------------------------------------------------------------- */

/* 0 = held by another, 1 = acquired, 2 = acquired, and the former owner died (or was forced) inside. */
QSHM_API int32_t qshm_try_lock(double handle);
/* One turn of an asynchronous wait: as qshm_try_lock, but it also queues up for fairness. To be called every 1 to 5 ms
 * until it succeeds or qshm_cancel_lock ends the wait. */
QSHM_API int32_t qshm_poll_lock(double handle);
/* Ends an asynchronous wait; a lock that was granted in the meantime is handed on. 0. */
QSHM_API int32_t qshm_cancel_lock(double handle);
/* Blocks; a timeout of HUGE_VAL or more than 1e15 ms is none. 0 = time is up. DEADLOCK if an attachment of the calling
 * thread is the owner. */
QSHM_API int32_t qshm_wait_lock(double handle, double timeout_ms);
/* LOCK_LOST if ownership was taken away. */
QSHM_API int32_t qshm_unlock(double handle);
/* Fills in the owner: 1, or 0 if the lock is free. */
QSHM_API int32_t qshm_lock_owner(uint32_t handle, void *process);
/* Takes the lock away from its owner, or only from `expected_id` unless that is 0. 1 and the former owner, or 0. */
QSHM_API int32_t qshm_force_unlock(uint32_t handle, uint32_t expected_id, void *process);

/* --- the single-instance guard ------------------------------------------------------------------------------------ */

/* To be the one: on an attachment that qshm_open (INSTANCE, CREATE and ATTACH, size 0) gave. 1 = it holds the guard, until
 * it is detached; RECOVERED in `outcome` tells that the last holder ended without detaching. 0 = another one holds it.
 * NOT_FOUND: the file was removed from outside; open again. `body` is told to whoever asks, at most 61376 bytes;
 * `largest_message` is how many bytes a message to the holder, or a reply, may have: at most 2^30 + 4096. A stopped
 * process may be in the way: it is waited for for `patience_ms` (at most 1000), then BUSY; with 0 that gives 0. */
QSHM_API int32_t qshm_elect(uint32_t handle, double patience_ms, const void *body, uint32_t body_size,
                            uint32_t largest_message, void *outcome);
/* Was the guard's file removed from outside? Then 1: others will not see this holder. */
QSHM_API int32_t qshm_is_lost(uint32_t handle);

/* Followed by the working directory and the body. */
struct qshm_primary {
    struct qshm_process process;
    uint32_t cwd_size, body_size;
};
#define QSHM_PRIMARY_CAPACITY 65536u

/* Who holds the guard of this name? 1 and what it says of itself; 2 and the process, as far as that can be seen, if it is
 * releasing the guard just now; INCOMPATIBLE with the pid if it is of another version, or what it says is damaged; 0 if
 * nobody does. Changes nothing. */
QSHM_API int32_t qshm_primary(const void *key, uint32_t key_size, const void *directory, uint32_t directory_size,
                              void *primary, uint32_t capacity, void *outcome);

/* --- messages to the holder of a guard ---------------------------------------------------------------------------- */

/* Sends the holder a message: its number, from 1, to ask for it; or 0, and a flag says why it was not accepted: NOBODY,
 * LEAVING, FULL. TOO_LARGE, with what it takes in `size`; RESOURCES if the file system is full. */
QSHM_API int32_t qshm_send(uint32_t handle, const void *bytes, double size, void *outcome);

enum qshm_sent {
    QSHM_SENT_WAITING,   /* for the holder to take it */
    QSHM_SENT_TAKEN,     /* the holder is at it */
    QSHM_SENT_ANSWERED,  /* qshm_reply reads the answer */
    QSHM_SENT_FAILED,    /* qshm_reply reads why; nothing, if that could not be stored */
    QSHM_SENT_REFUSED,   /* by a holder that leaves: surely not handled */
    QSHM_SENT_LOST,      /* it was handed over, and nothing more can be known */
    QSHM_SENT_WITHDRAWN, /* surely not handled: nobody holds the guard, or as asked by qshm_withdraw_message */
};
/* What has become of a message? From REFUSED on its number means nothing any more. Whoever waits in an event loop expects a
 * change, and asks again; also without one, for nobody rings for a holder that dies. */
QSHM_API int32_t qshm_sent(double handle, double number);
/* The same, but blocks until it is neither WAITING nor TAKEN any more, or time is up. */
QSHM_API int32_t qshm_await_reply(double handle, double number, double timeout_ms);
/* Gives a message up: WITHDRAWN or LOST, or what came first. */
QSHM_API int32_t qshm_withdraw_message(double handle, double number);
/* Reads the reply to a message that is ANSWERED or FAILED, whose number then means nothing any more: 1. 0: it has more bytes
 * than `capacity`, as `size` says, and stays. */
QSHM_API int32_t qshm_reply(uint32_t handle, uint32_t number, void *bytes, double capacity, void *outcome);

struct qshm_request {
    uint32_t number; /* to answer it */
    uint32_t sender; /* id of its attachment */
    uint32_t pid;    /* as it says; qshm_requester proves it */
    uint32_t reserved;
    double size;
    double sequence; /* counts the messages */
};
/* Takes the message that has waited longest: 1, and its bytes. 0: there is none; 2: it has more than `capacity`, and stays.
 * ARGUMENT: the guard is not held. */
QSHM_API int32_t qshm_take(uint32_t handle, void *bytes, double capacity, void *request);
/* Does the sender of a message that was taken still wait for the answer? */
QSHM_API int32_t qshm_is_awaited(double handle, double number);
/* Answers, or says that and why it `failed`: 1; 0 if nobody waits for it any more. An error: the sender is told that it
 * failed, without saying why. TOO_LARGE: it has more bytes than a message may have, and can still be answered. */
QSHM_API int32_t qshm_answer(uint32_t handle, uint32_t number, uint32_t failed, const void *bytes, double size,
                             void *outcome);
/* Refuses the messages that wait, and all to come. Those taken can still be answered. */
QSHM_API int32_t qshm_refuse_messages(uint32_t handle);
/* This process's working directory; returns its length, 0 if it has no name (any more) or does not fit. */
QSHM_API int32_t qshm_working_directory(void *path, uint32_t capacity);
/* Writes all of it to standard output (1) or standard error (2), also where that does not block. 0. */
QSHM_API int32_t qshm_print(uint32_t stream, const void *bytes, double size);
/* Fills in a struct qshm_process for the sender of a request. */
QSHM_API int32_t qshm_requester(uint32_t handle, uint32_t sender, uint32_t pid, void *process);

/* --- taking a guard over ------------------------------------------------------------------------------------------ */

/* Tells `holder` (as qshm_primary told; 0: whoever holds the guard) that somebody would like it to leave. */
QSHM_API int32_t qshm_ask_to_leave(uint32_t handle, uint32_t holder);
/* Was this attachment, which holds the guard, asked so? */
QSHM_API int32_t qshm_is_asked_to_leave(double handle);

enum qshm_signal { QSHM_SIGNAL_KILL = 9, QSHM_SIGNAL_END = 15 };
/* Signals the process that holds the guard, if it is `holder` (as qshm_primary told) and proved to be of this user: 1. 0: it
 * has gone. PERMISSION: it is of another user, or in another PID namespace; NOT_FOUND: its process is gone, and one that it
 * left behind, such as a wrapper's command, holds the guard. */
QSHM_API int32_t qshm_signal_holder(uint32_t handle, uint32_t holder, uint32_t signal, void *outcome);

/* --- the `qshm` command ------------------------------------------------------------------------------------------- */

/* The arguments of this process as the kernel has them, each ended by a NUL; returns the bytes needed. With the flag
 * WITH_RUNTIME those of the runtime come first. */
QSHM_API int32_t qshm_arguments(void *bytes, uint32_t capacity, void *outcome);
/* Runs a program: `arguments` are its name and arguments, each ended by a NUL. It inherits the description of this
 * attachment: what that holds stays held while the program, or a child that it leaves behind, lives, unless the
 * attachment is detached. Signals are passed on to it. Returns its pid; NOT_FOUND, or with `outcome` why not. One program
 * at a time. */
QSHM_API int32_t qshm_run(uint32_t handle, const void *arguments, uint32_t size, void *outcome);
/* Blocks until that program has ended: its exit status, or 128 + the signal that ended it. ARGUMENT: there is none. If the
 * holder of the guard is asked to leave meanwhile, the program gets SIGTERM. */
QSHM_API int32_t qshm_await(uint32_t handle);
/* Ends the process without the runtime's own end, which undoes what the program did to the terminal's settings. Detach
 * before. */
QSHM_API int32_t qshm_exit(uint32_t status);

/* --- what exists -------------------------------------------------------------------------------------------------- */

/* The file name of a key: returns its length. `name` takes 192 bytes. */
QSHM_API int32_t qshm_file_name(uint32_t kind, const void *key, uint32_t key_size, void *name);
/* Names of all files of the directory that bear a segment's name, each ended by a NUL. Returns the bytes needed; if
 * that is more than `capacity`, `names` holds nothing of use. */
QSHM_API int32_t qshm_list(const void *directory, uint32_t directory_size, void *names, uint32_t capacity,
                           void *outcome);
/* Looks at one file; changes nothing. Fills in struct qshm_info and the ids; returns the bytes needed, see
 * qshm_list. */
QSHM_API int32_t qshm_inspect(const void *name, uint32_t name_size, const void *directory, uint32_t directory_size,
                              void *info, uint32_t capacity, void *outcome);
/* Who is attached to the files of this device: struct qshm_holder each. Returns the bytes needed, see qshm_list. */
QSHM_API int32_t qshm_holders(double device, void *holders, uint32_t capacity);
/* Removes a file: 1, or 0 if there is none. IN_USE unless `force`; a held guard always. */
QSHM_API int32_t qshm_remove(const void *name, uint32_t name_size, const void *directory, uint32_t directory_size,
                             uint32_t force, void *outcome);

/* --- Qt's System V objects ---------------------------------------------------------------------------------------- */

/* The path of the file behind a legacy key (UTF-8) of QSharedMemory, or of QSystemSemaphore: returns its length; it is copied
 * if `capacity` suffices. KEY: it is empty. */
QSHM_API int32_t qshm_qt_key_file(uint32_t semaphore, const void *key, uint32_t size, void *path, uint32_t capacity);
/* An object for the segment of one file, whose lock is that of another; `project` is Qt's 'Q', from 1 to 255. Touches
 * nothing. Returns a handle, for these functions only. */
QSHM_API int32_t qshm_qt_memory(const void *file, uint32_t file_size, const void *lock_file, uint32_t lock_file_size,
                                uint32_t project);
/* Each of these takes the lock, for which it blocks up to `timeout_ms` (HUGE_VAL: no limit); 1 = done, 0 = time was up;
 * DEADLOCK: another object of the calling thread has it, so that to block would be for nothing. They give the lock back
 * even if it was held before, as Qt does.
 * create: ALREADY_EXISTS, which it finds out without the lock; RECOVERED: a crash had left one behind, which was removed.
 * attach: NOT_FOUND; RECOVERED: nobody was attached, a crash left it behind. The outcome's `size` is the segment's.
 * detach: the last one out removes segment, lock and files. Where qshm_qt_payload was called, the range is inert memory from
 * then on until qshm_qt_unmap, which has to be called before the next create or attach. */
QSHM_API int32_t qshm_qt_create(uint32_t handle, double size, uint32_t read_only, double timeout_ms, void *outcome);
QSHM_API int32_t qshm_qt_attach(uint32_t handle, uint32_t read_only, double timeout_ms, void *outcome);
QSHM_API int32_t qshm_qt_detach(uint32_t handle, double timeout_ms, void *outcome);
QSHM_API int32_t qshm_qt_unmap(uint32_t handle, uint32_t keep);
/* The segment's address; NULL if it is attached read-only. */
QSHM_API void *qshm_qt_payload(uint32_t handle);
/* Copies out of, or into, the segment. The range must lie inside. */
QSHM_API int32_t qshm_qt_read(uint32_t handle, double offset, void *target, double size);
QSHM_API int32_t qshm_qt_write(uint32_t handle, double offset, const void *bytes, double size);
/* Does the segment's beginning differ from `last`? Then 1, and `last` is what it is now. */
QSHM_API int32_t qshm_qt_compare(uint32_t handle, void *last, double size);
/* 1 = it is held, also if it was before; 0 = time is up. DEADLOCK if another object of the calling thread has it. */
QSHM_API int32_t qshm_qt_lock(double handle, double timeout_ms);
/* 1; 0 if it was not held. */
QSHM_API int32_t qshm_qt_unlock(double handle);
/* Takes the lock from whoever has it: 1 and the process (u32; 0 = unknown), or 0 if it is free. */
QSHM_API int32_t qshm_qt_force_unlock(uint32_t handle, void *pid);
/* Removes segment, lock and files of an object's key: 1; NOT_FOUND; 0 if the lock was not to be had. IN_USE if another process is
 * attached, unless `force`. */
QSHM_API int32_t qshm_qt_remove(uint32_t handle, uint32_t force, double timeout_ms, void *outcome);

/* A semaphore: opened, or made with a value of `initial`; `create` sets the value of one that exists, too. Returns a handle. */
QSHM_API int32_t qshm_qt_semaphore(const void *file, uint32_t file_size, uint32_t project, double initial, uint32_t create,
                                   void *outcome);
/* 1 = acquired, 0 = time is up. The kernel takes both back at the end of the process. */
QSHM_API int32_t qshm_qt_acquire(double handle, double timeout_ms);
QSHM_API int32_t qshm_qt_release(double handle, double count);
QSHM_API int32_t qshm_qt_value(double handle);

/* Ends an object of either kind: detaches, waiting for the lock for a second at most; removes a semaphore that it made. 1: there
 * was a view, whose range is inert memory until qshm_qt_free, which gives it back or keeps it mapped for good. */
QSHM_API int32_t qshm_qt_close(uint32_t handle);
QSHM_API int32_t qshm_qt_free(uint32_t handle, uint32_t keep);

#endif
