/*
 * hostile.c - contents that no version of the library has written: damaged, cut, of another layout, or malicious.
 *
 * Invariant: whatever the file says, calls end, with success, reclaim or a documented error; nobody crashes, the
 * process that is attached included, and no other file changes. (Cutting a file that is mapped is out of scope:
 * qshm.h, CAVEATS.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/handle.h"
#include "support.h"

enum { PAYLOAD = 4096, FILE_SIZE = sizeof(struct qshm__control) + PAYLOAD };

static uint8_t template[FILE_SIZE];

/* The bytes of a segment whose only user died while it held the lock. */
static void lock_and_die(void *argument)
{
    (void)argument;
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    EQ(qshm_try_lock((uint32_t)handle), 1);
    raise(SIGKILL);
}

static void make_template(void)
{
    wait_killed(spawn(lock_and_die, NULL), SIGKILL);
    int fd = open(path_of("m-a"), O_RDONLY | O_CLOEXEC);
    EQ(read(fd, template, FILE_SIZE), FILE_SIZE);
    close(fd);
    EQ(unlink(path_of("m-a")), 0);
}

static void put(const void *bytes, size_t size)
{
    unlink(path_of("m-a"));
    int fd = open(path_of("m-a"), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    EQ(write(fd, bytes, size), size);
    close(fd);
}

/* --- neighbours: they must not change ----------------------------------------------------------------------------- */

static int32_t neighbour;
static uint8_t neighbour_bytes[FILE_SIZE];

static void read_neighbour(uint8_t *bytes)
{
    int fd = open(path_of("m-neighbour"), O_RDONLY | O_CLOEXEC);
    EQ(read(fd, bytes, FILE_SIZE), FILE_SIZE);
    close(fd);
}

static void make_neighbours(void)
{
    neighbour = open_memory(QSHM_CREATE, "neighbour");
    GT(neighbour, 0);
    EQ(qshm_write((uint32_t)neighbour, 0, "neighbour", 9), 0);
    read_neighbour(neighbour_bytes);
    int fd = open(path_of("plain"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    EQ(write(fd, "plain", 5), 5);
    close(fd);
}

static void check_neighbours(void)
{
    static uint8_t now[FILE_SIZE];
    read_neighbour(now);
    EQ(memcmp(now, neighbour_bytes, FILE_SIZE), 0);
    char text[6] = "";
    int fd = open(path_of("plain"), O_RDONLY | O_CLOEXEC);
    EQ(read(fd, text, 6), 5);
    close(fd);
    EQ_TEXT(text, "plain");
}

/* --- every call on one file --------------------------------------------------------------------------------------- */

static void expect_sound(int32_t r)
{
    GE(r, QSHM_E_SYSTEM);
}

static void use(int32_t handle)
{
    uint32_t h = (uint32_t)handle;
    char bytes[16];
    struct qshm_process process;
    expect_sound(qshm_read(h, 0, bytes, sizeof bytes));
    expect_sound(qshm_write(h, 8, bytes, sizeof bytes));
    expect_sound(qshm_revision(h));
    expect_sound(qshm_lock_owner(h, &process));
    int32_t r = qshm_try_lock(h);
    expect_sound(r);
    if (r > 0) {
        expect_sound(qshm_unlock(h));
    }
    r = qshm_wait_lock(h, 0.2);
    expect_sound(r);
    if (r > 0) {
        expect_sound(qshm_unlock(h));
    }
    expect_sound(qshm_poll_lock(h));
    expect_sound(qshm_cancel_lock(h));
    expect_sound(qshm_force_unlock(h, 0, &process));
    r = qshm_try_lock(h);
    expect_sound(r);
    char *payload = qshm_payload(h);
    if (payload != NULL) {
        payload[0] = 'x';
    }
    r = qshm_detach(h);
    expect_sound(r);
    if (r == 1) {
        EQ(qshm_unmap(h, 0), 0);
    }
}

static struct {
    struct qshm_info info;
    uint32_t ids[16];
} found;

/* Inspects first, since that changes nothing; `order` picks which way of opening comes first. */
static void try_everything(uint32_t order)
{
    static const uint32_t hows[] = {QSHM_ATTACH, QSHM_ATTACH | QSHM_READ_ONLY, QSHM_CREATE, QSHM_CREATE | QSHM_ATTACH};
    expect_sound(qshm_inspect("m-a", 3, NULL, 0, &found, sizeof found, &outcome));
    for (uint32_t i = 0; i < 4; i++) {
        int32_t handle = open_memory(hows[(i + order) % 4], "a");
        expect_sound(handle);
        NE(handle, QSHM_E_SYSTEM);
        if (handle > 0) {
            use(handle);
        }
    }
    expect_sound(remove_name("m-a", false));
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

static const struct field {
    const char *name;
    size_t offset, size;
} fields[] = {
#define FIELD(name) {#name, offsetof(struct qshm__control, name), sizeof(((struct qshm__control *)0)->name)}
    FIELD(header.magic), FIELD(header.layout), FIELD(header.kind), FIELD(header.flags), FIELD(header.fingerprint),
    FIELD(payload_offset), FIELD(payload_size), FIELD(next_id), FIELD(attached), FIELD(reserved_head), FIELD(lock),
    FIELD(lock_holder), FIELD(revision), FIELD(value_current), FIELD(value_stamp), FIELD(value_length),
    FIELD(value_writer), FIELD(value_capacity), FIELD(value_pin), FIELD(value_codec), FIELD(permits_total),
    FIELD(next_ticket), FIELD(permits_max), FIELD(reign), FIELD(closing), FIELD(messages), FIELD(largest_message), FIELD(wanted),
    FIELD(holder), FIELD(key_size), FIELD(key), FIELD(bells),
#undef FIELD
};
enum { FIELDS = sizeof fields / sizeof *fields, FILLINGS = 6 };

static void fill(uint8_t *bytes, size_t size, int filling, struct random *random)
{
    for (size_t i = 0; i < size; i++) {
        bytes[i] = filling == 0   ? 0
                   : filling == 1 ? 0xff
                   : filling == 2 ? (i == 0)                            /* 1 */
                   : filling == 3 ? (uint8_t)(i + 1 == size ? 0x80 : 0) /* the highest bit */
                   : filling == 4 ? (uint8_t)(i + 1 == size ? 0x7f : 0xff)
                                  : (uint8_t)random_next(random);
    }
}

CASE(hostile_fields_of_dead_files)
{
    runner_watchdog(240);
    struct random random = random_from(runner_seed());
    make_template();
    make_neighbours();
    static uint8_t bytes[FILE_SIZE];
    for (int i = 0; i < FIELDS; i++) {
        for (int filling = 0; filling < FILLINGS; filling++) {
            for (uint32_t order = 0; order < 4; order++) {
                memcpy(bytes, template, FILE_SIZE);
                fill(bytes + fields[i].offset, fields[i].size, filling, &random);
                put(bytes, FILE_SIZE);
                try_everything(order);
            }
        }
    }
    check_neighbours();
}

/* The process that is attached goes on using its segment after the damage. */
struct victim {
    struct gate ready, damaged;
};

static void be_damaged(void *argument)
{
    struct victim *victim = argument;
    int32_t handle = open_memory(QSHM_CREATE | QSHM_ATTACH, "a");
    GT(handle, 0);
    gate_open(&victim->ready);
    gate_pass(&victim->damaged);
    use(handle);
}

static void damage_in_use(const struct field *field, const uint8_t *bytes)
{
    struct victim victim = {gate_make(), gate_make()};
    unlink(path_of("m-a"));
    pid_t pid = spawn(be_damaged, &victim);
    gate_pass(&victim.ready);
    poke("m-a", (off_t)field->offset, bytes, field->size);
    for (uint32_t order = 0; order < 2; order++) {
        try_everything(order * 2);
    }
    gate_open(&victim.damaged);
    EQ(wait_exit(pid), 0);
    gate_close(&victim.ready);
    gate_close(&victim.damaged);
    expect_sound(remove_name("m-a", true));
}

CASE(hostile_fields_in_use)
{
    runner_watchdog(240);
    struct random random = random_from(runner_seed());
    make_neighbours();
    static uint8_t bytes[FILE_SIZE];
    for (int i = 0; i < FIELDS; i++) {
        for (int filling = 0; filling < FILLINGS; filling++) {
            fill(bytes, fields[i].size, filling, &random);
            damage_in_use(&fields[i], bytes);
        }
    }
    check_neighbours();
}

/* A segment that is damaged and in use is told from one that is well; the same, dead, makes way. */
CASE(hostile_damage_is_told)
{
    static const size_t checked[] = {offsetof(struct qshm__control, header.fingerprint),
                                     offsetof(struct qshm__control, header.kind),
                                     offsetof(struct qshm__control, payload_offset),
                                     offsetof(struct qshm__control, payload_size)};
    for (size_t i = 0; i < sizeof checked / sizeof *checked; i++) {
        struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", 0);
        poke("m-a", (off_t)checked[i], "\x7e", 1);
        EQ(open_memory(QSHM_ATTACH, "a"), QSHM_E_INCOMPATIBLE);
        EQ_TEXT(outcome.why, "is damaged");
        EQ(open_memory(QSHM_CREATE, "a"), QSHM_E_INCOMPATIBLE);
        GT(qshm_inspect("m-a", 3, NULL, 0, &found, sizeof found, &outcome), 0);
        EQ(found.info.state, QSHM_CORRUPT);
        EQ(found.info.attached, 1);
        kill_and_wait(holder.pid);
        int32_t handle = open_memory(QSHM_CREATE, "a");
        GT(handle, 0);
        EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
        EQ(qshm_detach((uint32_t)handle), 0);
    }
}

/* --- other layouts ------------------------------------------------------------------------------------------------ */

CASE(hostile_other_layout)
{
    const uint16_t layout = 77;
    struct holder holder = holder_start(QSHM_KIND_MEMORY, QSHM_CREATE, "a", 0);
    poke("m-a", offsetof(struct qshm__header, layout), &layout, 2);
    uint32_t hows[] = {QSHM_ATTACH, QSHM_CREATE, QSHM_CREATE | QSHM_ATTACH, QSHM_ATTACH | QSHM_READ_ONLY};
    for (size_t i = 0; i < 4; i++) {
        EQ(open_memory(hows[i], "a"), QSHM_E_INCOMPATIBLE);
        EQ(outcome.layout, 77);
    }
    EQ(remove_name("m-a", false), QSHM_E_IN_USE);
    kill_and_wait(holder.pid);
    int32_t handle = open_memory(QSHM_CREATE, "a");
    GT(handle, 0);
    EQ(outcome.flags, QSHM_CREATED | QSHM_RECOVERED);
    EQ(qshm_detach((uint32_t)handle), 0);

    leave_dead(QSHM_KIND_MEMORY, QSHM_PERSISTENT, "a");
    poke("m-a", offsetof(struct qshm__header, layout), &layout, 2);
    for (size_t i = 0; i < 4; i++) {
        EQ(open_memory(hows[i], "a"), QSHM_E_INCOMPATIBLE);
        EQ(outcome.layout, 77);
    }
    handle = open_memory(QSHM_CREATE, "sweeper");
    GT(handle, 0);
    CHECK(exists("m-a"));
    GT(qshm_inspect("m-a", 3, NULL, 0, &found, sizeof found, &outcome), 0);
    EQ(found.info.state, QSHM_FOREIGN);
    EQ(found.info.persistent, 1);
    EQ(remove_name("m-a", false), 1);
}

/* --- sizes -------------------------------------------------------------------------------------------------------- */

CASE(hostile_truncated_files)
{
    make_template();
    make_neighbours();
    static const size_t sizes[] = {0,    1,    3,    4,    15,   16,   17,   20,   23,   24,   31,    32,       33,
                                   39,   40,   63,   64,   71,   72,   512,  1023, 1024, 1028, 1029,  3075,     3076,
                                   4095, 4096, 4097, 8191, 8192, 8193, 9000, 12287, FILE_SIZE};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int persistent = 0; persistent < 2; persistent++) {
            for (uint32_t order = 0; order < 4; order++) {
                template[7] = (uint8_t)persistent;
                put(template, sizes[i]);
                try_everything(order);
            }
        }
    }
    /* Larger than it says, and sparse beyond all memory. */
    static const off_t large[] = {FILE_SIZE + 1, FILE_SIZE + 4096, (off_t)1 << 40, (off_t)1 << 52};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        for (int honest = 0; honest < 2; honest++) {
            template[7] = QSHM_FLAG_PERSISTENT;
            put(template, FILE_SIZE);
            uint64_t claimed = (uint64_t)large[i] - sizeof(struct qshm__control);
            if (truncate(path_of("m-a"), large[i]) != 0) {
                continue; /* beyond what this file system can hold */
            }
            if (honest == 1) {
                poke("m-a", offsetof(struct qshm__control, payload_size), &claimed, sizeof claimed);
            }
            try_everything(0);
        }
    }
    check_neighbours();
}

/* --- the word of the lock ----------------------------------------------------------------------------------------- */

CASE(hostile_lock_words)
{
    struct random random = random_from(runner_seed());
    uint32_t a = (uint32_t)open_memory(QSHM_CREATE, "a"), b = (uint32_t)open_memory(QSHM_ATTACH, "a");
    struct qshm__control *control = peek("m-a");
    const uint64_t ids[] = {0, 1, 2, 3, 77, 0x7ffffffe, 0x7fffffff};
    enum { IDS = sizeof ids / sizeof *ids };
    for (int i = 0; i < 4 * IDS * IDS + 500; i++) {
        uint64_t flags = (i / IDS / IDS % 2 != 0 ? WORD_WAITERS : 0) | (i / IDS / IDS / 2 != 0 ? WORD_DIED : 0);
        uint64_t word = i < 4 * IDS * IDS ? ids[i % IDS] | ids[i / IDS % IDS] << 32 | flags : random_next(&random);
        control->lock = word;
        struct qshm_process process;
        int32_t r = qshm_lock_owner(a, &process);
        EQ(r, word_owner(word) != 0);
        EQ(process.pid, 0);
        r = qshm_try_lock(a);
        uint32_t owner = word_owner(word);
        if (owner == 2) {
            EQ(r, 0); /* b: alive */
        } else if (owner == 1) {
            GT(r, 0); /* as if it had been granted */
        } else {
            bool dead_owner = owner != 0 && owner != word_heir(word); /* an offer's heir was never inside */
            EQ(r, dead_owner || (word & WORD_DIED) != 0 ? 2 : 1);
        }
        if (r > 0) {
            EQ(qshm_unlock(a), 0);
        }
        qshm_force_unlock(b, 0, &process);
        control->lock_holder = 0;
    }
    control->lock = 0;
    EQ(qshm_try_lock(a), 1);
    EQ(qshm_unlock(a), 0);
    unpeek(control);
}

/* --- random damage ------------------------------------------------------------------------------------------------ */

CASE(hostile_mutations)
{
    runner_watchdog(240);
    struct random random = random_from(runner_seed());
    make_template();
    make_neighbours();
    static uint8_t bytes[FILE_SIZE];
    int fds = count_fds(), maps = count_maps();
    for (int i = 0; i < 5000; i++) {
        memcpy(bytes, template, FILE_SIZE);
        uint32_t flips = 1 + random_below(&random, 16);
        for (uint32_t j = 0; j < flips; j++) {
            /* Half of them where most is at stake. */
            uint32_t bound = random_below(&random, 2) == 0 ? 512 : sizeof(struct qshm__control) + 64;
            bytes[random_below(&random, bound)] = (uint8_t)random_next(&random);
        }
        size_t size = random_below(&random, 8) == 0 ? random_below(&random, FILE_SIZE) : FILE_SIZE;
        put(bytes, size);
        try_everything(random_below(&random, 4));
    }
    unlink(path_of("m-a"));
    EQ(count_fds(), fds);
    EQ(count_maps(), maps);
    check_neighbours();
}

CASE(hostile_mutations_in_use)
{
    runner_watchdog(240);
    struct random random = random_from(runner_seed());
    make_neighbours();
    uint8_t bytes[16];
    for (int i = 0; i < 500; i++) {
        struct field field = {.offset = random_below(&random, sizeof(struct qshm__control)),
                              .size = 1 + random_below(&random, sizeof bytes)};
        fill(bytes, field.size, 5, &random);
        damage_in_use(&field, bytes);
    }
    check_neighbours();
}

/* --- what a guard says of itself ---------------------------------------------------------------------------------- */

struct guardian {
    struct gate held, done;
};

static void hold_guard(void *argument)
{
    struct guardian *guardian = argument;
    int32_t handle = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
    GT(handle, 0);
    EQ(qshm_elect((uint32_t)handle, 1000, "body", 4, LARGEST_MESSAGE, &outcome), 1);
    gate_open(&guardian->held);
    gate_pass(&guardian->done);
}

static struct {
    union {
        struct qshm_primary primary;
        uint8_t bytes[QSHM_PRIMARY_CAPACITY];
    } told;
    uint8_t behind[4096];
} asked;

/* Whatever is told lies inside the buffer, and names no process but those that hold. */
static void ask_guard(pid_t pid)
{
    memset(asked.behind, 'x', sizeof asked.behind);
    int32_t r = qshm_primary("a", 1, NULL, 0, &asked.told, sizeof asked.told, &outcome);
    CHECK((r >= 0 && r <= 2) || r == QSHM_E_INCOMPATIBLE);
    if (r == 1) {
        uint64_t size = sizeof asked.told.primary;
        size += asked.told.primary.cwd_size;
        size += asked.told.primary.body_size;
        LE(size, sizeof asked.told);
    }
    if (r == 1 || r == 2) {
        EQ(asked.told.primary.process.pid, pid);
    } else if (r == QSHM_E_INCOMPATIBLE) {
        CHECK(outcome.pid == (uint32_t)pid || outcome.pid == 0);
    }
    for (size_t i = 0; i < sizeof asked.behind; i++) {
        EQ(asked.behind[i], 'x');
    }
}

static const off_t info_at = sizeof(struct qshm__control) + offsetof(struct qshm__instance_part, info);

CASE(hostile_guard_info)
{
    runner_watchdog(240);
    struct random random = random_from(runner_seed());
    make_neighbours();
    struct guardian guardian = {gate_make(), gate_make()};
    pid_t pid = spawn(hold_guard, &guardian);
    gate_pass(&guardian.held);
    struct qshm__control *control = peek("i-a");
    uint32_t holder = control->holder;
    const struct {
        size_t offset, size;
    } words[] = {
#define WORD(name) {offsetof(struct qshm__holder_info, name), sizeof(((struct qshm__holder_info *)0)->name)}
        WORD(pid), WORD(cwd_size), WORD(body_size), WORD(reserved), WORD(started), WORD(pid_namespace),
        WORD(reserved_tail), WORD(cwd), WORD(body),
#undef WORD
    };
    static uint8_t bytes[QSHM_INFO_SIZE];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        for (int filling = 0; filling < FILLINGS; filling++) {
            fill(bytes, words[i].size, filling, &random);
            poke("i-a", info_at + (off_t)words[i].offset, bytes, words[i].size);
            ask_guard(pid);
        }
    }
    const uint32_t sizes[] = {0,     1,     4095,  4096,       4097,       61375,     61376,
                              61377, 65535, 65536, 0x7fffffff, 0xfffffff0, 0xffffffff};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    for (int i = 0; i < SIZES * SIZES; i++) {
        poke("i-a", info_at + (off_t)offsetof(struct qshm__holder_info, cwd_size), &sizes[i % SIZES], 4);
        poke("i-a", info_at + (off_t)offsetof(struct qshm__holder_info, body_size), &sizes[i / SIZES], 4);
        ask_guard(pid);
    }
    for (int i = 0; i < 100; i++) { /* random bytes all over it */
        fill(bytes, sizeof bytes, 5, &random);
        poke("i-a", info_at, bytes, random_below(&random, 2) == 0 ? 64 : sizeof bytes);
        ask_guard(pid);
    }
    const uint32_t ids[] = {0, 1, 2, holder, holder + 1, 0x7fffffff, 0x80000000, 0x80000000 | holder, 0xffffffff};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        for (int sound = 0; sound < 2; sound++) {
            memset(bytes, sound != 0 ? 0 : 0xff, sizeof bytes);
            poke("i-a", info_at, bytes, sizeof bytes);
            control->holder = ids[i];
            ask_guard(pid);
        }
    }
    unpeek(control);
    kill_and_wait(pid);
    check_neighbours();
}

/* Of the whole file; the holder goes on not to look at it. */
CASE(hostile_guard_mutations)
{
    runner_watchdog(240);
    struct random random = random_from(runner_seed());
    make_neighbours();
    uint8_t bytes[16];
    for (int round = 0; round < 50; round++) {
        struct guardian guardian = {gate_make(), gate_make()};
        pid_t pid = spawn(hold_guard, &guardian);
        gate_pass(&guardian.held);
        for (int i = 0; i < 10; i++) {
            uint32_t size = 1 + random_below(&random, sizeof bytes);
            uint32_t bound = random_below(&random, 2) == 0 ? 512 : (uint32_t)info_at + QSHM_INFO_SIZE - size;
            fill(bytes, size, 5, &random);
            poke("i-a", random_below(&random, bound), bytes, size);
            ask_guard(pid);
            int32_t r = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
            expect_sound(r);
            if (r > 0) {
                EQ(qshm_elect((uint32_t)r, 0, "other", 5, LARGEST_MESSAGE, &outcome), 0); /* whatever it says, P is held */
                EQ(qshm_detach((uint32_t)r), 0);
            }
        }
        EQ(remove_name("i-a", true), QSHM_E_IN_USE);
        kill_and_wait(pid);
        gate_close(&guardian.held);
        gate_close(&guardian.done);
        int32_t r = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
        if (r > 0) {
            EQ(qshm_elect((uint32_t)r, 0, "next", 4, LARGEST_MESSAGE, &outcome), 1);
            ask_guard(getpid());
            EQ(qshm_detach((uint32_t)r), 0);
        }
        expect_sound(remove_name("i-a", false));
    }
    check_neighbours();
}

/* Only for those who look: a process that has it mapped dies of it (qshm.h, CAVEATS). */
CASE(hostile_guard_is_cut)
{
    const off_t whole = (off_t)sizeof(struct qshm__control) + (off_t)sizeof(struct qshm__instance_part);
    const off_t sizes[] = {0,    1,    15,          16,           24,          39,         40,        464,      467,
                           4096, 8191, 8192,        info_at - 1,  info_at,     info_at + 12, info_at + 64, info_at + 4160,
                           whole - 1, whole, whole + 1, whole + 4096, (off_t)1 << 40};
    make_neighbours();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct guardian guardian = {gate_make(), gate_make()};
        pid_t pid = spawn(hold_guard, &guardian);
        gate_pass(&guardian.held);
        EQ(truncate(path_of("i-a"), sizes[i]), 0);
        int fds = count_fds();
        ask_guard(pid);
        EQ(count_fds(), fds);
        EQ(qshm_inspect("i-a", 3, NULL, 0, &found, sizeof found, &outcome) > 0, 1);
        EQ(found.info.held, 1);
        int32_t r = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
        CHECK(sizes[i] == whole ? r > 0 : r == QSHM_E_INCOMPATIBLE);
        if (r < 0) {
            EQ(outcome.flags, QSHM_USED);
        } else {
            EQ(qshm_detach((uint32_t)r), 0);
        }
        kill_and_wait(pid);
        gate_close(&guardian.held);
        gate_close(&guardian.done);
        EQ(remove_name("i-a", false), 1);
    }
    check_neighbours();
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static struct qshm__message *message_of(uint32_t handle, uint32_t index)
{
    return &((struct qshm__instance_part *)(qshm__handle_find(handle)->control + 1))->message[index];
}

/* A word that an entry could bear, of one who lives or not, and now and then one that it could not. */
static uint64_t message_word(struct random *random, const uint32_t *living)
{
    const uint32_t ids[] = {0, living[0], living[1], 0x7fffffff, (uint32_t)random_next(random)};
    uint32_t state = random_below(random, 8) == 0 ? (uint32_t)random_next(random) : random_below(random, 9);
    return (uint64_t)ids[random_below(random, 5)] << 32 | state;
}

static void scribble_on(struct qshm__message *message, struct random *random, const uint32_t *living,
                        const struct qshm__message *other)
{
    static const uint64_t sizes[] = {0, 1, 8, 9, 64, 65, 4096, 0x7fffffff, 0x80000000, UINT64_MAX, UINT64_MAX - 7};
    switch (random_below(random, 7)) {
    case 0:
        message->state = message_word(random, living);
        break;
    case 1:
        message->nonce = random_next(random);
        break;
    case 2:
        message->request_size = sizes[random_below(random, 11)];
        break;
    case 3:
        message->reply_size = sizes[random_below(random, 11)];
        break;
    case 4:
        message->sequence = random_next(random);
        break;
    case 5: /* an entry is played once more */
        memmove(message, other, sizeof *message);
        break;
    default:
        message->state = message_word(random, living);
        message->nonce = random_next(random);
        message->request_size = random_next(random);
    }
}

/* Somebody scribbles over the table while messages pass: each call ends with a result that is documented, what is
 * behind a buffer stays, and once it stops honest messages pass. */
CASE(hostile_messages)
{
    runner_watchdog(240);
    enum { CASES = 10000, SIZE = 64 };
    struct random random = random_from(runner_seed());
    int32_t opened[3];
    for (int i = 0; i < 3; i++) {
        opened[i] = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
        GT(opened[i], 0);
    }
    uint32_t holder = (uint32_t)opened[0], sender = (uint32_t)opened[1], honest = (uint32_t)opened[2];
    uint32_t ids[] = {id_of(opened[0]), id_of(opened[1])};
    EQ(qshm_elect(holder, 0, NULL, 0, SIZE, &outcome), 1);
    int fds = count_fds();
    for (int round = 0; round < CASES; round++) {
        uint8_t bytes[SIZE + 8];
        memset(bytes, 'x', sizeof bytes);
        int32_t number = qshm_send(sender, "hostile", random_below(&random, 8), &outcome);
        GE(number, 0);
        for (uint32_t times = 1 + random_below(&random, 3); times > 0; times--) {
            uint32_t index = number == 0 || random_below(&random, 3) == 0 ? random_below(&random, QSHM_MESSAGES)
                                                                          : (uint32_t)number - 1;
            const struct qshm__message *other = message_of(holder, random_below(&random, QSHM_MESSAGES));
            scribble_on(message_of(holder, index), &random, ids, other);
        }
        struct qshm_request request;
        for (int32_t r = 1, takes = 0; r == 1; takes++) {
            LE(takes, QSHM_MESSAGES);
            r = qshm_take(holder, bytes, SIZE, &request);
            CHECK(r == 0 || r == 1);
            if (random_below(&random, 4) == 0) {
                struct qshm__message *message = message_of(holder, random_below(&random, QSHM_MESSAGES));
                scribble_on(message, &random, ids, message_of(holder, 0));
            }
            if (r == 1) {
                LE(request.size, SIZE);
                CHECK(request.number >= 1 && request.number <= QSHM_MESSAGES);
                CHECK(qshm_is_awaited(holder, request.number) >= 0);
                r = qshm_answer(holder, request.number, random_below(&random, 2), "reply", 5, &outcome);
                CHECK(r == 0 || r == 1 || outcome.os_error != 0 || r == QSHM_E_ARGUMENT);
                r = 1;
            }
        }
        int32_t told = number > 0 ? qshm_sent(sender, number) : QSHM_SENT_LOST;
        CHECK(told >= 0 && told <= QSHM_SENT_WITHDRAWN);
        if (told == QSHM_SENT_ANSWERED || told == QSHM_SENT_FAILED) {
            int32_t r = qshm_reply(sender, (uint32_t)number, bytes, SIZE, &outcome);
            CHECK(r == 0 || r == 1 || r == QSHM_E_INCOMPATIBLE);
            told = r == 0 ? QSHM_SENT_TAKEN : QSHM_SENT_LOST;
        }
        if (told <= QSHM_SENT_TAKEN) {
            told = qshm_withdraw_message(sender, number);
            CHECK(told > QSHM_SENT_TAKEN || told < 0 || told == QSHM_SENT_ANSWERED);
        }
        for (int i = 0; i < 8; i++) {
            EQ(bytes[SIZE + i], 'x');
        }
        qshm_detach(sender); /* with whatever it has left */
        for (uint32_t i = 0; i < QSHM_MESSAGES; i++) {
            memset(message_of(holder, i), 0, sizeof(struct qshm__message));
        }
        number = qshm_send(honest, "honest", 6, &outcome);
        GT(number, 0);
        EQ(qshm_take(holder, bytes, SIZE, &request), 1);
        EQ(memcmp(bytes, "honest", 6), 0);
        EQ(qshm_answer(holder, request.number, 0, "reply", 5, &outcome), 1);
        EQ(qshm_sent(honest, number), QSHM_SENT_ANSWERED);
        EQ(qshm_reply(honest, (uint32_t)number, bytes, SIZE, &outcome), 1);
        EQ(memcmp(bytes, "reply", 5), 0);
        opened[1] = open_kind(QSHM_KIND_INSTANCE, QSHM_CREATE | QSHM_ATTACH, 0, "a");
        GT(opened[1], 0);
        sender = (uint32_t)opened[1];
        ids[1] = id_of(opened[1]);
        EQ(count_fds(), fds);
    }
}
