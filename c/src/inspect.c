/*
 * inspect.c - the entry points that tell what exists, who uses it, and that remove it.
 *
 * Invariants: listing and inspecting change nothing, not even what is dead. What cannot be found out is an error, never
 * a guess: "dead" is said only when the kernel was asked and said so.
 */
#include <string.h>

#include "../qshm.h"
#include "directory.h"
#include "file.h"
#include "layout.h"
#include "liveness.h"
#include "message.h"
#include "names.h"
#include "os.h"
#include "outcome.h"
#include "removal.h"

_Static_assert(sizeof(struct qshm_info) == 2240 && offsetof(struct qshm_info, key) == 192, "part of the ABI");
_Static_assert(sizeof(struct qshm_holder) == 24, "part of the ABI");

int32_t qshm_file_name(uint32_t kind, const void *key, uint32_t key_size, void *name)
{
    if (!qshm__is_kind(kind) || !qshm__is_buffer(key, key_size) || name == NULL) {
        return QSHM_E_ARGUMENT;
    }
    return qshm__file_name(kind, key, key_size, name);
}

/* Collects into a caller's buffer that may be too small, and counts what would have been needed. */
struct collector {
    uint8_t *bytes;
    uint32_t capacity, needed;
};

static void collect(struct collector *to, const void *bytes, uint32_t size)
{
    if (to->needed <= to->capacity && size <= to->capacity - to->needed) {
        memcpy(to->bytes + to->needed, bytes, size);
    }
    to->needed += size;
}

int32_t qshm_list(const void *directory, uint32_t directory_size, void *names, uint32_t capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    if (out == NULL || !qshm__is_buffer(directory, directory_size) || !qshm__is_buffer(names, capacity)) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    struct qshm__failure failure = {0};
    struct qshm__directory place;
    int r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    qshm__outcome_set_path(out, place.path, "");
    if (r == QSHM_E_NOT_FOUND) {
        return 0; /* no directory yet: nothing in it */
    }
    if (r < 0) {
        return qshm__outcome_finish(out, r, &failure);
    }
    struct collector to = {.bytes = names, .capacity = capacity};
    _Alignas(8) char entries[16384];
    while ((r = qshm__os_read_directory(place.fd, entries, sizeof entries)) > 0) {
        uint32_t offset = 0;
        const char *name;
        while ((name = qshm__os_next_name(entries, (uint32_t)r, &offset, NULL)) != NULL) {
            if (qshm__kind_of_name(name) != 0 && strlen(name) < QSHM_NAME_CAPACITY) {
                collect(&to, name, (uint32_t)strlen(name) + 1);
            }
        }
    }
    qshm__directory_close(&place);
    return r < 0 ? qshm__outcome_finish(out, qshm__fail_call(&failure, "getdents64", r), &failure) : (int32_t)to.needed;
}

/* Copies a name out of the caller's bytes, if it is one that a segment can have. */
static bool take_name(const void *bytes, uint32_t size, char name[QSHM_NAME_CAPACITY])
{
    if (bytes == NULL || size == 0 || size >= QSHM_NAME_CAPACITY || memchr(bytes, '/', size) != NULL ||
        memchr(bytes, '\0', size) != NULL) {
        return false;
    }
    memcpy(name, bytes, size);
    name[size] = '\0';
    return qshm__kind_of_name(name) != 0;
}

/* The length without a UTF-8 character that was cut at the end. */
static uint32_t whole_characters(const char *bytes, uint32_t size)
{
    uint32_t lead = size - 1;
    while (lead > size - 4 && ((uint8_t)bytes[lead] & 0xc0) == 0x80) {
        lead--;
    }
    uint8_t first = (uint8_t)bytes[lead];
    uint32_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    return lead + length > size ? lead : size;
}

/* The key that stands in the segment, unless it was scribbled over: then it is not the one of this name. */
static int read_key(int fd, const char *name, struct qshm_info *info, struct qshm__failure *failure)
{
    struct {
        uint32_t size;
        char bytes[QSHM_STORED_KEY];
    } stored;
    int r = qshm__os_read(fd, &stored, sizeof stored, offsetof(struct qshm__control, key_size));
    if (r < 0) {
        return qshm__fail_call(failure, "pread", r);
    }
    char expected[QSHM_NAME_CAPACITY];
    bool cut = stored.size > QSHM_STORED_KEY;
    uint32_t size = cut ? QSHM_STORED_KEY : stored.size;
    if (r < (int)sizeof stored) {
        return 0;
    }
    if (cut) {
        size = whole_characters(stored.bytes, size);
    }
    int length = qshm__file_name(info->kind, (const uint8_t *)stored.bytes, size, expected);
    /* Of a key that is cut only what stands before the digest can be compared; and its name has a digest. */
    size_t compared = cut ? strcspn(name, "~") : sizeof expected;
    if (length > 0 && strncmp(expected, name, compared) == 0 && (!cut || name[compared] == '~')) {
        info->key_size = size;
        info->key_is_cut = cut;
        memcpy(info->key, stored.bytes, size);
    }
    return 0;
}

/* Free permits, and how many wait. What the dead hold counts as free, and the dead do not wait. */
static int read_permits(int fd, struct qshm_info *info, struct qshm__failure *failure)
{
    struct qshm__semaphore_part part;
    int r = qshm__os_read(fd, &part, sizeof part, sizeof(struct qshm__control));
    if (r < (int)sizeof part) {
        return r < 0 ? qshm__fail_call(failure, "pread", r) : 0;
    }
    int64_t free = info->total;
    for (uint32_t i = 0; i < QSHM_PERMIT_RECORDS; i++) {
        uint64_t record = part.record[i];
        uint64_t claim = part.ticket[i].claim;
        info->queued += (uint32_t)(claim != 0 && qshm__is_alive(fd, 0, (uint32_t)(claim >> 32)));
        if ((uint32_t)record != 0 && qshm__is_alive(fd, 0, (uint32_t)(record >> 32))) {
            free -= (uint32_t)record;
        }
    }
    info->available = free < 0 ? 0 : (uint32_t)free;
    return 0;
}

/* Messages that wait for the holder, or for its reply. */
static int read_messages(int fd, struct qshm_info *info, struct qshm__failure *failure)
{
    struct qshm__message message[QSHM_MESSAGES];
    int r = qshm__os_read(fd, message, sizeof message, sizeof(struct qshm__control));
    if (r < (int)sizeof message) {
        return r < 0 ? qshm__fail_call(failure, "pread", r) : 0;
    }
    for (uint32_t i = 0; i < QSHM_MESSAGES; i++) {
        uint64_t state = message[i].state;
        info->queued += (uint32_t)(qshm__is_pending(state) && qshm__is_alive(fd, 0, (uint32_t)(state >> 32)));
    }
    return 0;
}

static int read_control(int fd, struct qshm_info *info, struct qshm__failure *failure)
{
    struct qshm__control control;
    int r = qshm__os_read(fd, &control, sizeof control, 0);
    if (r < (int)sizeof control) {
        return r < 0 ? qshm__fail_call(failure, "pread", r) : 0;
    }
    info->segment = control.birth;
    info->lock_owner = (uint32_t)control.lock & 0x7fffffff;
    info->revision = control.revision >> 1;
    for (uint32_t i = 0; i < QSHM_BELLS; i++) {
        uint32_t owner = (uint32_t)(control.bells[i].state >> 32);
        info->waiting += (uint32_t)(control.bells[i].armed != 0 && qshm__is_alive(fd, 0, owner));
    }
    if (info->kind == QSHM_KIND_VALUE) {
        info->sequence = (double)(control.value_current >> 3);
        info->value_size = (double)control.value_length[control.value_current & (QSHM_BUFFERS - 1)];
        info->largest = (double)control.value_capacity;
        info->writer = (uint32_t)control.value_writer;
        memcpy(info->codec, control.value_codec, sizeof info->codec - 1);
    }
    if (info->kind == QSHM_KIND_SEMAPHORE) {
        info->total = control.permits_total < 0 ? 0 : (uint32_t)control.permits_total;
        info->max = control.permits_max;
        r = read_permits(fd, info, failure);
    }
    if (info->kind == QSHM_KIND_INSTANCE) {
        r = read_messages(fd, info, failure);
    }
    return r < 0 ? r : 0;
}

/* Collects all that is known of an open file; returns the bytes needed. */
static int inspect_file(int fd, const char *name, const struct qshm__stat *file, struct qshm_info *info,
                        struct collector *to, struct qshm__failure *failure)
{
    struct qshm__contents seen;
    uint32_t ids[QSHM_MOST_LISTED];
    int guarded = qshm__os_range_held(fd, QSHM_RANGE_P, 1, NULL);
    int used = qshm__anybody_attached(fd, failure);
    int r = guarded < 0 ? qshm__fail_call(failure, "fcntl", guarded) : used < 0 ? used : 0;
    r = r < 0 ? r : qshm__file_classify(fd, file, info->kind, &seen, failure);
    r = r < 0 ? r : qshm__living_ids(fd, ids, QSHM_MOST_LISTED, &info->attached, failure);
    if (r == 0 && seen.state == QSHM_LIVE) {
        r = read_key(fd, name, info, failure);
        r = r < 0 ? r : read_control(fd, info, failure);
    }
    if (r < 0) {
        return r;
    }
    info->state = seen.state != QSHM_LIVE ? seen.state : used ? QSHM_LIVE : QSHM_DEAD;
    info->layout = seen.layout;
    info->persistent = seen.persistent;
    info->size = (double)seen.size;
    info->inode = (double)file->inode;
    info->device = (double)file->device;
    info->held = guarded == 1;
    collect(to, info, sizeof *info);
    collect(to, ids, info->attached * (uint32_t)sizeof *ids);
    return (int)to->needed;
}

int32_t qshm_inspect(const void *name, uint32_t name_size, const void *directory, uint32_t directory_size, void *info,
                     uint32_t capacity, void *outcome)
{
    struct qshm_outcome *out = outcome;
    char file_name[QSHM_NAME_CAPACITY];
    if (out == NULL) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    if (!take_name(name, name_size, file_name) || !qshm__is_buffer(directory, directory_size) ||
        !qshm__is_buffer(info, capacity)) {
        return QSHM_E_ARGUMENT;
    }
    struct qshm__failure failure = {0};
    struct qshm__directory place;
    int r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    qshm__outcome_set_path(out, place.path, file_name);
    if (r < 0) {
        return qshm__outcome_finish(out, r, &failure);
    }
    int fd;
    struct qshm__stat file;
    r = qshm__file_open(&place, file_name, false, &fd, &file, &failure);
    if (r == 0 && fd < 0) {
        r = qshm__fail_check(&failure, QSHM_E_NOT_FOUND, "does not exist");
    } else if (r == 0) {
        struct qshm_info found = {.kind = qshm__kind_of_name(file_name)};
        struct collector to = {.bytes = info, .capacity = capacity};
        r = inspect_file(fd, file_name, &file, &found, &to, &failure);
        qshm__os_close(fd);
    }
    qshm__directory_close(&place);
    return qshm__outcome_finish(out, r, &failure);
}

static bool collect_holder(void *context, uint64_t inode, uint64_t at, uint32_t pid)
{
    struct qshm_holder holder = {.inode = (double)inode,
                                 .id = (uint32_t)(at - QSHM_RANGE_A),
                                 .pid = pid,
                                 .started = qshm__os_process_started(pid)};
    collect(context, &holder, sizeof holder);
    return false;
}

int32_t qshm_holders(double device, void *holders, uint32_t capacity)
{
    if (!qshm__is_buffer(holders, capacity) || !(device >= 0 && device < 1.8e19)) {
        return QSHM_E_ARGUMENT;
    }
    struct collector to = {.bytes = holders, .capacity = capacity};
    qshm__os_each_lock((uint64_t)device, QSHM_RANGE_A, QSHM_IDS, collect_holder, &to);
    return (int32_t)to.needed;
}

int32_t qshm_remove(const void *name, uint32_t name_size, const void *directory, uint32_t directory_size,
                    uint32_t force, void *outcome)
{
    struct qshm_outcome *out = outcome;
    char file_name[QSHM_NAME_CAPACITY];
    if (out == NULL || !take_name(name, name_size, file_name) || !qshm__is_buffer(directory, directory_size)) {
        return QSHM_E_ARGUMENT;
    }
    qshm__outcome_clear(out);
    struct qshm__failure failure = {0};
    struct qshm__directory place;
    int r = qshm__directory_open(&place, directory, directory_size, false, &failure);
    qshm__outcome_set_path(out, place.path, file_name);
    if (r == QSHM_E_NOT_FOUND) {
        return 0;
    }
    if (r == 0) {
        r = qshm__remove(&place, file_name, force != 0, &failure);
        qshm__directory_close(&place);
    }
    return qshm__outcome_finish(out, r, &failure);
}
