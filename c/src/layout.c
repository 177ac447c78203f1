/*
 * layout.c - sizes, fingerprint and the scan for named ids. See layout.h.
 */
#include "layout.h"

#include "../qshm.h"
#include "os.h"

static uint64_t kind_part_size(uint32_t kind)
{
    switch (kind) {
    case QSHM_KIND_SEMAPHORE:
        return sizeof(struct qshm__semaphore_part);
    case QSHM_KIND_INSTANCE:
        return sizeof(struct qshm__instance_part);
    default:
        return 0;
    }
}

uint64_t qshm__control_size(uint32_t kind)
{
    uint64_t page = qshm__os_page_size();
    uint64_t bytes = sizeof(struct qshm__control) + kind_part_size(kind);
    return (bytes + page - 1) / page * page;
}

uint64_t qshm__fingerprint(uint32_t kind)
{
    const uint64_t facts[] = {
        QSHM_LAYOUT,
        kind,
        qshm__control_size(kind),
        sizeof(struct qshm__control),
        kind_part_size(kind),
        offsetof(struct qshm__control, lock),
        offsetof(struct qshm__control, revision),
        offsetof(struct qshm__control, value_current),
        offsetof(struct qshm__control, permits_total),
        offsetof(struct qshm__control, reign),
        offsetof(struct qshm__control, holder),
        offsetof(struct qshm__control, wanted),
        offsetof(struct qshm__control, key_size),
        offsetof(struct qshm__control, bells),
        sizeof(struct qshm__bell),
        sizeof(struct qshm__ticket),
        sizeof(struct qshm__message),
        QSHM_BELLS,
        QSHM_BUFFERS,
        QSHM_PERMIT_RECORDS,
        QSHM_MESSAGES,
        QSHM_INFO_SIZE,
        QSHM_STORED_CWD,
    };
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            hash = (hash ^ (facts[i] >> shift & 0xff)) * 0x100000001b3u;
        }
    }
    return hash;
}

static bool high_half_is(const _Atomic uint64_t *word, uint32_t id)
{
    return atomic_load_explicit(word, memory_order_relaxed) >> 32 == id;
}

bool qshm__names_id(const struct qshm__control *control, uint32_t kind, uint32_t id)
{
    uint64_t lock = atomic_load_explicit(&control->lock, memory_order_relaxed);
    if ((lock & 0x7fffffff) == id || (lock >> 32 & 0x7fffffff) == id) {
        return true;
    }
    for (unsigned i = 0; i < QSHM_BELLS; i++) {
        if (high_half_is(&control->bells[i].state, id)) {
            return true;
        }
    }
    if (kind == QSHM_KIND_VALUE) {
        for (unsigned i = 0; i < QSHM_BUFFERS; i++) {
            if (high_half_is(&control->value_stamp[i], id)) {
                return true;
            }
        }
        return atomic_load_explicit(&control->value_pin, memory_order_relaxed) == id;
    }
    if (kind == QSHM_KIND_SEMAPHORE) {
        const struct qshm__semaphore_part *part = (const void *)(control + 1);
        for (unsigned i = 0; i < QSHM_PERMIT_RECORDS; i++) {
            if (high_half_is(&part->record[i], id) || high_half_is(&part->ticket[i].claim, id)) {
                return true;
            }
        }
    }
    if (kind == QSHM_KIND_INSTANCE) {
        if (atomic_load_explicit(&control->holder, memory_order_relaxed) == id) {
            return true;
        }
        const struct qshm__instance_part *part = (const void *)(control + 1);
        for (unsigned i = 0; i < QSHM_MESSAGES; i++) {
            if (high_half_is(&part->message[i].state, id)) {
                return true;
            }
        }
    }
    return false;
}
