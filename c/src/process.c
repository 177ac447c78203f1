/*
 * process.c - see process.h.
 *
 * Invariant: a pid that stands in shared memory is believed only if that process is seen to hold the byte of its id.
 */
#include "process.h"

#include "liveness.h"
#include "os.h"

int qshm__describe_process(const struct qshm__attachment *a, uint32_t id, uint32_t hinted_pid, struct qshm_process *out)
{
    *out = (struct qshm_process){.id = id, .segment = a->control->birth};
    if (id == 0) {
        return 0;
    }
    out->alive = qshm__is_alive(a->fd, a->id, id);
    if (hinted_pid != 0 && out->alive) {
        out->pid = qshm__os_range_holder(a->device, a->inode, QSHM_RANGE_A + id, 1, hinted_pid);
        out->started = out->pid != 0 ? qshm__os_process_started(out->pid) : 0;
    }
    return 1;
}
