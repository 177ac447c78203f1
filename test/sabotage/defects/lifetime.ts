/** Of who is attached, and when a segment goes. */

import { type Defect, inNode } from "../defect.ts";

export const LIFETIME: readonly Defect[] = [
  {
    name: "L1-unbounded-registry-lock",
    what: "a stopped process that holds the registry lock makes everybody else hang",
    file: "c/src/liveness.c",
    find: `"the registry lock is held");
        }
        if (qshm__os_now() >= deadline) {`,
    replace: `"the registry lock is held");
        }
        if (0) {`,
    test: { c: "faults_stop_attach_dead" },
  },
  {
    name: "L1-unbounded-for-observers",
    what: "a stopped process that holds the registry lock makes those hang that may only read",
    file: "c/src/liveness.c",
    find: `return r == 0 ? 0 : qshm__fail_call(failure, "fcntl", r);
        }
        if (qshm__os_now() >= deadline) {`,
    replace: `return r == 0 ? 0 : qshm__fail_call(failure, "fcntl", r);
        }
        if (0) {`,
    test: { c: "observers_pass_r_within_a_deadline" },
  },
  {
    name: "L1-leaving-waits",
    what: "a process cannot leave while a stopped one holds the registry lock",
    file: "c/src/segment.c",
    find: `double patience = at_exit ? patience_at_exit : QSHM_PATIENCE;`,
    replace: `double patience = 1e9;`,
    test: { c: "leave_ends_while_r_is_held" },
  },
  {
    name: "L2-detach-unlinks-by-name",
    what: "the last detach of a file that is gone removes the new segment of its name",
    file: "c/src/segment.c",
    find: `qshm__file_is_named(attachment->directory, attachment->name, &file, &ignored) == 1`,
    replace: `1`,
    test: { c: "remove_used_and_dead" },
  },
  {
    name: "L4-private-control-page",
    what: "a read-only attachment has a lock and a revision of its own",
    file: "c/src/segment.c",
    find: `observer ? QSHM_MAP_SHARED_READ : QSHM_MAP_SHARED, &control`,
    replace: `observer ? QSHM_MAP_SHARED_READ : QSHM_MAP_PRIVATE, &control`,
    test: inNode("lock", "readOnly attachments take the lock too, and are kept out"),
  },
  {
    name: "L5-create-reclaims-persistent",
    what: "create() destroys persistent contents that nobody uses at the moment",
    file: "c/src/segment.c",
    find: `bool kept = existing->seen.persistent || `,
    replace: `bool kept = (existing->seen.persistent && !to_create) || `,
    test: { c: "persistent_life" },
  },
  {
    name: "L6-id-of-a-word",
    what: "a newcomer gets the id of a dead owner, which then looks alive",
    file: "c/src/liveness.c",
    find: `drawn == 0 || qshm__names_id(control, kind, drawn)`,
    replace: `drawn == 0`,
    test: { c: "draw_id_skips_named_ids" },
  },
  {
    name: "L7-one-name-space",
    what: "objects of different kinds meet by the same key",
    file: "c/src/names.c",
    find: `name[0] = letters[kind];`,
    replace: `name[0] = 'm';`,
    test: { c: "names_kinds_are_separate" },
  },
  {
    name: "L11-locks-taken-on-trust",
    what: "a system on which nobody can be seen alive is used all the same",
    file: "c/src/directory.c",
    find: `if (seen == -EINVAL || seen == -ENOSYS || seen == 0) {`,
    replace: `if (false) {`,
    test: { c: "directory_where_locks_do_not_work" },
  },
  {
    name: "L10-network-file-system",
    what: "a directory on NFS, where locks and mappings do not hold, is accepted",
    file: "c/src/directory.c",
    find: `if (refused != NULL) {`,
    replace: `if (0) {`,
    test: { c: "directory_refused_file_systems" },
  },
  {
    name: "missing-inode-recheck",
    what: "a create that was slow to get the registry lock removes the segment that has come since",
    file: "c/src/segment.c",
    find: `r = qshm__file_is_named(directory->fd, name, &existing->file, failure);`,
    replace: `r = 1;`,
    test: { c: "create_looks_again_under_r" },
  },
  {
    name: "missing-inode-recheck-remove",
    what: "a remove() that was slow to get the registry lock removes the segment that has come since",
    file: "c/src/removal.c",
    find: `r = r < 0 ? r : qshm__file_is_named(directory->fd, name, &file, failure);`,
    replace: `r = r < 0 ? r : 1;`,
    test: { c: "remove_looks_again_under_r" },
  },
  {
    name: "missing-inode-recheck-sweep",
    what: "a sweep that was slow to get the registry lock removes the segment that has come since",
    file: "c/src/removal.c",
    find: "ours && qshm__file_is_named(directory->fd, name, &file, &ignored) == 1 &&",
    replace: "ours &&",
    test: { c: "sweep_looks_again_under_r" },
  },
  {
    name: "check-outside-registry-lock",
    what: "the last detach removes the segment of somebody who came between its question and the unlink",
    file: "c/src/segment.c",
    find: `bool registered = qshm__registry_lock(attachment->fd, qshm__os_now() + patience, &ignored) == 0;`,
    replace: `bool registered = true;`,
    test: { c: "detach_holds_r_until_the_name_is_gone" },
  },
  {
    name: "id-before-byte",
    what: "an attach frees the registry lock before its byte is locked: the last one leaves with the file",
    file: "c/src/segment.c",
    find: `r = qshm__draw_id(existing.fd, attachment->control,`,
    replace: `qshm__registry_unlock(existing.fd);
        r = qshm__draw_id(existing.fd, attachment->control,`,
    test: { c: "attach_holds_r_until_its_byte" },
  },
  {
    name: "byte-before-lock-word",
    what: "an owner that detaches in order looks dead for a moment, and the next one is told so",
    file: "c/src/segment.c",
    find: `qshm__lock_abandon(attachment, at_exit);`,
    replace: `qshm__os_unlock_range(attachment->fd, QSHM_RANGE_A + attachment->id, 1);
        QSHM_POINT("byte freed");
        qshm__lock_abandon(attachment, at_exit);`,
    test: { c: "detach_frees_the_lock_before_its_byte" },
  },
  {
    name: "close-instead-of-unlock",
    what: "a detached process looks attached as long as a child of it has not called exec",
    file: "c/src/segment.c",
    find: `qshm__os_unlock_range(attachment->fd, QSHM_RANGE_A + attachment->id, 1);`,
    replace: ``,
    test: { c: "detach_frees_its_byte_beside_a_fork" },
  },
  {
    name: "mapping-inherited",
    what: "a forked child's copy of the mapping keeps its dead parent alive",
    file: "c/src/os_linux.c",
    find: `madvise(address, (size_t)size, MADV_DONTFORK);`,
    replace: ``,
    test: { c: "fork_child_has_no_handles" },
  },
  {
    name: "descriptors-inherited",
    what: "a program that was started keeps its dead parent's segment alive",
    file: "c/src/os_linux.c",
    find: `openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)`,
    replace: `openat(directory, ".", O_TMPFILE | O_RDWR, 0600)`,
    test: { c: "fork_exec_keeps_nothing" },
  },
  {
    name: "child-uses-parents-handles",
    what: "a forked child goes on with the parent's attachments, whose memory it has not inherited",
    file: "c/src/handle.c",
    find: `attachment->handle = 0;
        attachment->reserved = false;
    }
    owner_pid`,
    replace: `attachment->reserved = false;
    }
    owner_pid`,
    test: { c: "fork_child_has_no_handles" },
  },
  {
    name: "fork-reset-outside-cas",
    what: "two threads of a forked child both let go of what was inherited: the slower one of what the faster one opened",
    file: "c/src/handle.c",
    find: `if (atomic_compare_exchange_strong(fork_word, &expected, CHANGING)) {`,
    replace: `if (atomic_load(fork_word) == expected) {`,
    test: { c: "fork_child_threads_reset_once" },
  },
  {
    name: "observers-do-not-count",
    what: "a segment that somebody still reads is removed",
    file: "c/src/liveness.c",
    find: `r = qshm__os_range_held(fd, QSHM_RANGE_B, QSHM_IDS, NULL);`,
    replace: `r = 0;`,
    test: { c: "directory_observers" },
  },
  {
    name: "unread-means-foreign",
    what: "persistent contents that cannot be read for a moment are taken for nobody's",
    file: "c/src/file.c",
    find: `return qshm__fail_call(failure, "pread", r);`,
    replace: `return 0;`,
    test: { c: "faults_fail_attach_persistent" },
  },
  {
    name: "draft-left-behind",
    what: "a create that fails leaves its draft in the directory",
    file: "c/src/os_linux.c",
    find: `unlinkat(directory, draft->name, 0);`,
    replace: ``,
    test: { c: "directory_full" },
  },
  {
    name: "any-x-file-is-a-draft",
    what: "the sweep removes strangers' files whose names begin with x.",
    file: "c/src/os_linux.c",
    find: `strncmp(name, "x.", 2) == 0 && strspn(name + 2, "0123456789abcdef") == 16 && name[18] == '\\0'`,
    replace: `strncmp(name, "x.", 2) == 0`,
    test: { c: "sweep_leaves_strangers_alone" },
  },
  {
    name: "any-contents-are-a-draft",
    what: "the sweep removes a stranger's file whose name is one of a draft, whatever stands in it",
    file: "c/src/removal.c",
    find: `(draft ? is_draft(fd, &file, &seen) : `,
    replace: `(draft ? true : `,
    test: { c: "sweep_leaves_strangers_alone" },
  },
  {
    name: "sweep-takes-persistent",
    what: "a create sweeps persistent contents away that nobody uses at the moment",
    file: "c/src/removal.c",
    find: `seen.layout != 0 && !seen.persistent`,
    replace: `seen.layout != 0`,
    test: { c: "sweep_takes_the_dead_only" },
  },
  {
    name: "held-guard-removed",
    what: "remove() with force takes the name of a guard that is held: two instances run",
    file: "c/src/removal.c",
    find: `(guarded == 1 || (used == 1 && !force))`,
    replace: `(used == 1 && !force)`,
    test: { c: "remove_held_guard" },
  },
  {
    name: "umask",
    what: "the umask takes rights from a segment's file, even its owner's",
    file: "c/src/os_linux.c",
    find: `return fd < 0 ? fd : result(fchmod(fd, 0600));`,
    replace: `return fd < 0 ? fd : 0;`,
    test: inNode("options", "mode is the file's, whatever the umask is; the default is 0600"),
  },
];
