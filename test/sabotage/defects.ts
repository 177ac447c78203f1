/**
 * The defects: each is a mistake that one could make, or once made, with the test that must turn red. L and K numbers
 * are those of the flaws in the protocols' specification.
 *
 * `find` stands exactly once in `file`. Tests are chosen that see their defect every time and fast.
 */

import { SKIPS } from "../support/skips.ts";

/** A case of the C tests, or a vitest test by its file and name: the whole name, or what only it contains. */
export type Test = { readonly c: string } | { readonly file: string; readonly name: string };

export interface Defect {
  readonly name: string;
  /** What a user would meet. */
  readonly what: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly test: Test;
}

const inNode = (suite: string, name: string): Test => ({
  file: "test/conformance/conformance.test.ts",
  name: `node > ${suite} > ${name}`,
});

const LIFETIME: Defect[] = [
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

const LOCK: Defect[] = [
  {
    name: "K1-unbounded-sleep",
    what: "a waiter sleeps beside a free lock when the one that was woken is killed",
    file: "c/src/lock.c",
    find: `sleep > shortest_sleep ? sleep : shortest_sleep);`,
    replace: `no_timeout);`,
    test: { c: "lock_woken_waiter_is_killed" },
  },
  {
    name: "K3-no-heir",
    what: "a greedy owner starves one that only polls",
    file: "c/src/lock.c",
    find: `return heir != 0 && !is_offer(word) &&`,
    replace: `return 0 && !is_offer(word) &&`,
    test: { c: "lock_heir_is_granted" },
  },
  {
    name: "K4-force-tells-nobody",
    what: "after forceUnlock() the next owner does not learn that the data may be half-written",
    file: "c/src/lock.c",
    find: `uint64_t died = is_offer(word) ? word & DIED : DIED;`,
    replace: `uint64_t died = 0;`,
    test: { c: "lock_force" },
  },
  {
    name: "K4-force-frees-anybody",
    what: "forceUnlock(expected) takes the lock from another than the one that was looked at",
    file: "c/src/lock.c",
    find: `(expected != 0 && owner != expected)`,
    replace: `0`,
    test: { c: "lock_force_of_a_former_owner" },
  },
  {
    name: "K5-hint-of-another-id",
    what: "lockOwner names a former owner's process",
    file: "c/src/lock.c",
    find: `(uint32_t)hint == id ? (uint32_t)(hint >> 32) : 0`,
    replace: `(uint32_t)(hint >> 32)`,
    test: { c: "lock_owner_is_not_a_lie" },
  },
  {
    name: "K5-hint-without-proof",
    what: "lockOwner names a process that has nothing to do with it",
    file: "c/src/process.c",
    find: `out->pid = qshm__os_range_holder(a->device, a->inode, QSHM_RANGE_A + id, 1, hinted_pid);`,
    replace: `out->pid = hinted_pid;`,
    test: { c: "lock_owner_is_not_a_lie" },
  },
  {
    name: "K6-deadlock-unseen",
    what: "lockSync() hangs when another attachment of the same thread has the lock",
    file: "c/src/lock.c",
    find: `if (a->holding || qshm__handle_each(is_holding_sibling, a) != NULL) {`,
    replace: `if (a->holding) {`,
    test: { c: "lock_deadlock_of_one_thread" },
  },
  {
    name: "plain-store-takeover",
    what: "two take the lock over from one dead owner, and both are inside",
    file: "c/src/lock.c",
    find: `if (swap(a, &word, a->id | WAITERS | other_heir | DIED)) {`,
    replace: `atomic_store(&a->control->lock, a->id | WAITERS | other_heir | DIED);
            if (true) {`,
    test: { c: "lock_double_takeover" },
  },
  {
    name: "dead-owner-untold",
    what: "whoever takes the lock over from a dead owner is not told",
    file: "c/src/lock.c",
    find: `return taken(a, true);`,
    replace: `return taken(a, false);`,
    test: { c: "lock_death_is_told" },
  },
  {
    name: "trylock-without-life-check",
    what: "tryLock() finds a dead owner busy for ever",
    file: "c/src/lock.c",
    find: `attempt(a, CHECK_LIFE, &word)`,
    replace: `attempt(a, 0, &word)`,
    test: { c: "lock_death_is_told" },
  },
  {
    name: "oneself-looks-dead",
    what: "a process finds itself dead, since the kernel does not show one's own locks",
    file: "c/src/liveness.c",
    find: `return id == my_id || qshm__os_range_held(`,
    replace: `return qshm__os_range_held(`,
    test: { c: "liveness_of_oneself" },
  },
  {
    name: "unasked-means-dead",
    what: "an owner is taken for dead when the kernel cannot be asked: two are inside",
    file: "c/src/liveness.c",
    find: `qshm__os_range_held(fd, QSHM_RANGE_A + id, 1, NULL) != 0;`,
    replace: `qshm__os_range_held(fd, QSHM_RANGE_A + id, 1, NULL) == 1;`,
    test: { c: "faults_fail_wait_lock_in_vain" },
  },
  {
    name: "offer-never-taken-back",
    what: "a stopped waiter to which the lock was offered locks everybody out",
    file: "c/src/lock.c",
    find: `return now - a->offer_seen > offer_stands ||`,
    replace: `return`,
    test: { c: "lock_offer_is_taken_back" },
  },
  {
    name: "heir-grant-clears-died",
    what: "a waiter that leaves with the lock in its hands takes the news of a death with it",
    file: "c/src/lock.c",
    find: `give_up(a, word & DIED);`,
    replace: `give_up(a, 0);`,
    test: { c: "lock_granted_heir_detaches_untold" },
  },
  {
    name: "no-step-back",
    what: "a thread that blocks keeps a lock that is offered to another wait of its own",
    file: "c/src/lock.c",
    find: `    qshm__handle_each(step_back, a);
`,
    replace: ``,
    test: { c: "siblings_step_back_at_once" },
  },
  {
    name: "dead-heir-granted",
    what: "the lock is given to a waiter that is dead",
    file: "c/src/lock.c",
    find: ` && qshm__is_alive(a->fd, a->id, heir) ? offer_to(heir)`,
    replace: ` ? offer_to(heir)`,
    test: { c: "lock_dead_heir_is_passed_over" },
  },
  {
    name: "exit-is-orderly",
    what: "a process that exits inside the lock leaves half-written data, and the next owner is not told",
    file: "c/src/lock.c",
    find: `give_up(a, died ? DIED : 0);`,
    replace: `give_up(a, 0);`,
    test: { c: "exit_detaches" },
  },
  {
    name: "exit-frees-other-threads-locks",
    what: "an exit frees a lock inside which another thread still runs",
    file: "c/src/api.c",
    find: `(is_at_work && a->thread != *(const uintptr_t *)context)`,
    replace: `(false && is_at_work)`,
    test: { c: "exit_keeps_the_locks_of_other_threads" },
  },
];

const MESSAGES: Defect[] = [
  {
    name: "M1-claim-of-a-dead-one",
    what: "a sender that is killed while it claims an entry takes that with it, for ever",
    file: "c/src/message.c",
    find: `if (attempt == 1 && !has_holder && (is_stray(a, i, seen) || is_dead(a, seen))) {`,
    replace: `if (attempt == 1 && !has_holder && state_of(seen) != CLAIMED && (is_stray(a, i, seen) || is_dead(a, seen))) {`,
    test: { c: "message_sender_is_killed_anywhere" },
  },
  {
    name: "M2-withdrawn-by-a-store",
    what: "a sender is told that its message was surely not handled, while it is",
    file: "c/src/message.c",
    find: `            QSHM_POINT("message withdrawn");
            if (step(message, &seen, CLAIMED)) {
                let_go(a, index, true);`,
    replace: `            QSHM_POINT("message withdrawn");
            atomic_store(&message->state, word(a->id, CLAIMED));
            if (true) {
                let_go(a, index, true);`,
    test: { c: "message_is_taken_or_cancelled" },
  },
  {
    name: "M3-no-second-look",
    what: "an answer that came just before its holder's death is lost",
    file: "c/src/message.c",
    find: `            if (atomic_load(&message->state) == seen && step(message, &seen, LOST)) {`,
    replace: `            atomic_store(&message->state, word(a->id, LOST));
            if (true) {`,
    test: { c: "message_is_answered_before_a_death" },
  },
  {
    name: "M4-size-believed",
    what: "a request whose file was truncated is handled, with bytes that nobody sent",
    file: "c/src/message_file.c",
    find: `            return r < 0 ? r : -EIO;`,
    replace: `            return r < 0 ? r : 0;`,
    test: { c: "message_file_is_truncated" },
  },
  {
    name: "M5-sender-looks-once",
    what: "a message that is sent while its holder leaves waits for nobody",
    file: "c/src/message.c",
    find: `    if (atomic_load(&a->control->closing) != 0 && step(message, &seen, CLAIMED)) {`,
    replace: `    if (false && step(message, &seen, CLAIMED)) {`,
    test: { c: "message_sent_beside_closing" },
  },
  {
    name: "closing-flag-late",
    what: "a holder refuses what waits, and then says that it takes no more: what comes between is forgotten",
    file: "c/src/message.c",
    find: `    atomic_store(&a->control->closing, 1);
    QSHM_POINT("messages closing");
    if (turn_all(a, NEW, REFUSED) > 0) {
        qshm__change_publish(a);
    }`,
    replace: `    QSHM_POINT("messages closing");
    if (turn_all(a, NEW, REFUSED) > 0) {
        qshm__change_publish(a);
    }
    atomic_store(&a->control->closing, 1);`,
    test: { c: "message_sent_beside_closing" },
  },
  {
    name: "state-before-reply",
    what: "a sender reads a reply that is not written yet",
    file: "c/src/message.c",
    find: `        r = write_reply(a, message, bytes, (uint64_t)size);
        QSHM_POINT("reply written");
        /* A sender need not know why it cannot read the answer, but that there was one. */
        atomic_store(&message->reply_size, r < 0 ? 0 : (uint64_t)size);
        if (step(message, &seen, r < 0 || failed != 0 ? FAILED : ANSWERED)) {`,
    replace: `        atomic_store(&message->reply_size, (uint64_t)size);
        bool done = step(message, &seen, failed != 0 ? FAILED : ANSWERED);
        QSHM_POINT("reply written");
        r = write_reply(a, message, bytes, (uint64_t)size);
        if (done) {`,
    test: { c: "message_reply_is_whole" },
  },
  {
    name: "taken-by-a-dead-one",
    what: "the sender of a message that a dead holder took waits for its successor, for ever",
    file: "c/src/message.c",
    find: `    turn_all(a, TAKEN, LOST);
    discard_unwanted(a);
    a->largest_message = largest;`,
    replace: `    discard_unwanted(a);
    a->largest_message = largest;`,
    test: { c: "message_of_a_dead_holder_is_lost_at_the_next_election" },
  },
  {
    name: "entry-used-again-early",
    what: "the reply to a message that was given up goes to another one",
    file: "c/src/message.c",
    find: `                QSHM_POINT("message abandoned");
                let_go(a, index, false);`,
    replace: `                QSHM_POINT("message abandoned");
                let_go(a, index, true);`,
    test: { c: "message_abandoned" },
  },
  {
    name: "file-by-the-entry",
    what: "a sender that gives up removes the file of the next one",
    file: "c/src/message.c",
    find: `qshm__message_remove(a, a->sent[index].nonce);`,
    replace: `qshm__message_remove(a, atomic_load(&message->nonce));`,
    test: { c: "message_abandoned_removes_its_own_file" },
  },
  {
    name: "drain-misses-the-taken",
    what: "`await using` releases beside a request that it has just taken",
    file: "src/single_instance/serving.ts",
    find: `        this.#running.set(number, controller); // at once: whoever drains waits for it
`,
    replace: `        queueMicrotask(() => queueMicrotask(() => this.#running.set(number, controller)));
`,
    test: { file: "test/processes/handover.test.ts", name: "waits for its handlers" },
  },
  {
    name: "signal-before-proof",
    what: "replace ends a process that has nothing to do with it",
    file: "c/src/takeover.c",
    find: `    int r = uid == qshm__os_uid() ? prove(a, info, holder, pid, failure)
                                  : qshm__fail_check(failure, QSHM_E_PERMISSION, "is held by user %u", uid);`,
    replace: `    int r = uid == qshm__os_uid() ? 1 : qshm__fail_check(failure, QSHM_E_PERMISSION, "is held by user %u", uid);
    (void)prove;`,
    test: { c: "takeover_does_not_believe_what_is_written" },
  },
  {
    name: "timeout-without-withdrawal",
    what: "a message whose sender was told that time is up is handled later",
    file: "src/single_instance/sending.ts",
    find: `    const state = messages().qshm_withdraw_message(this.#attachment.handle("send to"), number);`,
    replace: `    const state: number = SENT.withdrawn;`,
    test: inNode("messages", 'a holder that does not serve: TimeoutError, delivered "no", not before time is up; never handled later'),
  },
  {
    name: "handlers-without-limit",
    what: "all requests are handled at once, however many there are",
    file: "src/single_instance/serving.ts",
    find: `return this.#running.size < MOST_HANDLERS ? this.#take(handle) : undefined;`,
    replace: `return this.#take(handle);`,
    test: inNode("messages", "at most 16 handlers run; the 17th request waits until one ends, and replies go to their own senders"),
  },
];

const SAFETY: Defect[] = [
  {
    name: "planted-fifo-hangs",
    what: "a FIFO at a segment's name makes whoever looks at it hang",
    file: "c/src/os_linux.c",
    find: `O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY`,
    replace: `O_NOFOLLOW | O_CLOEXEC | O_NOCTTY`,
    test: { c: "directory_occupied_names" },
  },
  {
    name: "links-followed",
    what: "a link at a segment's name leads into any file of the user's",
    file: "c/src/os_linux.c",
    find: `O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY`,
    replace: `O_NONBLOCK | O_CLOEXEC | O_NOCTTY`,
    test: { c: "directory_occupied_names" },
  },
  {
    name: "hard-links-accepted",
    what: "a precious file with a second name is taken for a dead segment",
    file: "c/src/directory.c",
    find: `if (file->links > 1) {`,
    replace: `if (0) {`,
    test: { c: "directory_occupied_names" },
  },
  {
    name: "hostile-sizes-trusted",
    what: "a size that stands in the file, but not behind it, is mapped, and touching it kills the process",
    file: "c/src/file.c",
    find: `head.payload_size == file->size - control_size;`,
    replace: `true;`,
    test: { c: "hostile_damage_is_told" },
  },
  {
    name: "fingerprint-unchecked",
    what: "a segment of another layout is attached to, and its words are misread",
    file: "c/src/file.c",
    find: `head.header.fingerprint == qshm__fingerprint(kind) && `,
    replace: ``,
    test: { c: "hostile_damage_is_told" },
  },
  {
    name: "stale-handle-accepted",
    what: "a handle that was given back reaches the attachment that came after it",
    file: "c/src/handle.c",
    find: `memory_order_acquire) == handle;`,
    replace: `memory_order_acquire) != 0;`,
    test: { c: "handles_generations" },
  },
  {
    name: "range-unchecked",
    what: "a read beyond the payload gives whatever lies there",
    file: "c/src/api.c",
    find: `(uint64_t)size > a->payload_size - (uint64_t)offset`,
    replace: `0`,
    test: { c: "handles_read_and_write" },
  },
  {
    name: "storage-unreserved",
    what: "a full file system shows as SIGBUS at the first store, not as an error of create()",
    file: "c/src/os_linux.c",
    find: `int r = result(syscall(SYS_fallocate, fd, 0, (off_t)at, (off_t)length));`,
    replace: `int r = result(ftruncate(fd, (off_t)size));`,
    test: { c: "directory_full" },
  },
  {
    name: "views-survive-detach",
    what: "views that outlive detach() reach memory that is no longer there",
    file: "src/attachment.ts",
    find: `buffer.transfer(0);`,
    replace: ``,
    test: inNode("memory safety", "after detach() data is empty, asked for before or not"),
  },
  {
    name: "lying-length",
    what: "an array that claims a length makes the library read beyond its bytes",
    file: "src/validate.ts",
    find: `= lengthOf.call(value);`,
    replace: `= (value as Uint8Array).length;`,
    test: { file: "test/unit/validate.test.ts", name: "gives the true number of bytes, whatever the object says" },
  },
];

const TYPESCRIPT: Defect[] = [
  {
    name: "exit-beside-the-compiler",
    what: "a program that ends in Node in the wrong moment crashes behind its last line",
    file: "ffi/node.ts",
    find: `      finishCompiling();
`,
    replace: ``,
    test: { file: "test/processes/exit.test.ts", name: "while V8 compiles calls into the library > a program ends in order" },
  },
  {
    name: "queue-order",
    what: "tasks of one attachment get the lock last come, first served",
    file: "src/wait_queue.ts",
    find: `this.#waiters.push(waiter);`,
    replace: `this.#waiters.unshift(waiter);`,
    test: inNode("lock", "lock() serves the tasks of one attachment in the order in which they asked"),
  },
  {
    name: "abort-listener-leak",
    what: "every wait with a signal leaves a listener on it",
    file: "src/wait_queue.ts",
    find: `waiter.wait.signal?.removeEventListener("abort", waiter.onAbort);`,
    replace: ``,
    test: inNode("waits", "lock() lets go of the signal when it has ended, however"),
  },
  {
    name: "claim-left-behind",
    what: "a wait that times out leaves its claim: the lock is offered to nobody",
    file: "src/wait_queue.ts",
    find: `if (this.isEmpty) this.#source.cancel();
    else`,
    replace: `if (!this.isEmpty)`,
    test: inNode("waits", "lock() that times out leaves no claim: unlock() frees the lock"),
  },
  {
    name: "error-table-mismatch",
    what: "an error says something else than the library means",
    file: "src/error_table.ts",
    find: `sentence: "the segment has another size",`,
    replace: `sentence: "there is no segment of this name",`,
    test: { file: "test/unit/tables.test.ts", name: "has the name and sentence of SIZE_MISMATCH" },
  },
  {
    name: "signature-mismatch",
    what: "the adapters pass a number of another width than the library expects",
    file: "ffi/symbols.ts",
    find: `qshm_revision: { parameters: ["f64"]`,
    replace: `qshm_revision: { parameters: ["u32"]`,
    test: { file: "test/unit/tables.test.ts", name: "has the parameters and the result of qshm_revision()" },
  },
];

const GUARD: Defect[] = [
  {
    name: "guard-outside-registry-lock",
    what: "two stand for a guard at once: what one says of itself is overwritten by the other",
    file: "c/src/guard.c",
    find: `r = qshm__registry_lock(a->fd, patience_ms == 0 ? 0 : qshm__os_now() + patience_ms, &failure);`,
    replace: `r = 0;`,
    test: { c: "guard_election_beside_a_stopped_one" },
  },
  {
    name: "guard-info-late",
    what: "for a moment a holder is seen that says what the former one said, or nothing",
    file: "c/src/guard.c",
    find: `    publish(a, body, body_size);
    QSHM_POINT("info published");
    a->thread = qshm__os_thread(); /* before P is ours: another thread may be ending the process (api.c) */
    a->guards = true;
    r = qshm__os_lock_range(a->fd, QSHM_EXCLUSIVE, QSHM_RANGE_P, 1);
`,
    replace: `    a->thread = qshm__os_thread();
    a->guards = true;
    r = qshm__os_lock_range(a->fd, QSHM_EXCLUSIVE, QSHM_RANGE_P, 1);
    publish(a, body, body_size);
    QSHM_POINT("info published");
`,
    test: { c: "guard_info_is_never_stale" },
  },
  {
    name: "guard-info-of-two",
    what: "what one holder says is told with the process of the next",
    file: "c/src/guard.c",
    find: `held == 1 && now == holder;`,
    replace: `1;`,
    test: { c: "guard_changes_hands_beside_a_look" },
  },
  {
    name: "guard-liveness-by-pid",
    what: "a guard is held for as long as there is a process of its last holder's number",
    file: "c/src/guard.c",
    find: `r = qshm__os_range_held(a->fd, QSHM_RANGE_P, 1, NULL);
    if (r != 0) {`,
    replace: `r = qshm__os_process_started(part_of(a->control)->info.pid) != 0;
    if (r != 0) {`,
    test: { c: "guard_is_one" },
  },
  {
    name: "guard-liveness-by-holder",
    what: "two hold a guard: the first is only asked for in the file, not from the kernel",
    file: "c/src/guard.c",
    find: `r = qshm__os_lock_range(a->fd, QSHM_EXCLUSIVE, QSHM_RANGE_P, 1);`,
    replace: `r = 0;`,
    test: { c: "guard_is_one" },
  },
  {
    name: "guard-on-unlinked-file",
    what: "one that was slow to stand for a guard is elected on a removed file, beside the one that guards the name",
    file: "c/src/guard.c",
    find: `    int r = check_name(a, failure);
    if (r < 0) {
        return r;
    }
    r = qshm__os_range_held(`,
    replace: `    int r = qshm__os_range_held(`,
    test: { c: "guard_is_not_elected_on_an_unlinked_file" },
  },
  {
    name: "guard-awaited-on-unlinked-file",
    what: "one that waits on a removed file waits for whoever held it, though the name is free",
    file: "c/src/guard.c",
    find: `r = check_name(a, &failure);`,
    replace: `r = 0;`,
    test: { c: "guard_is_not_awaited_on_an_unlinked_file" },
  },
  {
    name: "guard-crash-untold",
    what: "the next holder is not told that the last one crashed",
    file: "c/src/guard.c",
    find: `bool recovered = former != 0;`,
    replace: `bool recovered = false;`,
    test: { c: "guard_recovery_is_told_once" },
  },
  {
    name: "guard-order-is-a-crash",
    what: "an orderly release is told as a crash",
    file: "c/src/guard.c",
    find: `    set_holder(a, 0);
    QSHM_POINT("info cleared");`,
    replace: `    QSHM_POINT("info cleared");`,
    test: { c: "guard_orderly_end_is_no_crash" },
  },
  {
    name: "guard-trace-cleared-early",
    what: "a crash is told to nobody when the next one dies while it takes over",
    file: "c/src/guard.c",
    find: `QSHM_POINT("info begun");`,
    replace: `QSHM_POINT("info begun");
    set_holder(a, 0);
    QSHM_POINT("trace cleared");`,
    test: { c: "guard_trace_outlives_an_election" },
  },
  {
    name: "guard-trace-removed",
    what: "a crash is told to nobody when one that waited leaves in order before the next one holds",
    file: "c/src/segment.c",
    find: ` && !qshm__guard_has_trace(attachment)`,
    replace: ``,
    test: { c: "guard_trace_outlives_waiters" },
  },
  {
    name: "guard-of-another-thread",
    what: "the guard of a thread that still runs is freed when another thread ends the process",
    file: "c/src/api.c",
    find: `a->holding || a->guards || `,
    replace: `a->holding || `,
    test: { c: "guard_of_another_thread_is_left_to_the_kernel" },
  },
  {
    name: "guard-collected",
    what: "a guard is released when its variable is collected",
    file: "src/single_instance/single_instance.ts",
    find: `    this.#largestMessage = largestMessage;
    this.recovered = recovered;`,
    replace: `    this.#largestMessage = largestMessage;
    this.recovered = recovered;
    const kept = globalThis as { collector?: FinalizationRegistry<Attachment> };
    kept.collector ??= new FinalizationRegistry((dropped: Attachment) => dropped.detach());
    kept.collector.register(this, attachment);`,
    test: { file: "test/processes/guard_exit.test.ts", name: "a guard in node still guards when its variable was collected" },
  },
  {
    name: "guard-fails-open",
    what: "a directory that cannot be used is replaced by another one: two instances run",
    file: "src/single_instance/election.ts",
    find: `(outcomeFlags() & USED) === 0) throw error;`,
    replace: `(outcomeFlags() & USED) === 0) {
        return new Attachment({ kind: "instance", operation: "open", purpose: "acquire", key: name, size: 0, directory: undefined, mode });
      }`,
    test: inNode("guard places", "directory that is a file, a link, or open to others: PermissionDeniedError that says so"),
  },
  {
    name: "guard-fails-open-at-run",
    what: "qshm run runs COMMAND when the guard could not be asked",
    file: "src/cli/run.ts",
    find: `if (!(error instanceof RunError)) throw error;`,
    replace: `if (!(error instanceof RunError)) return (await import("node:child_process")).spawnSync(text[0]!).status!;`,
    test: { file: "test/cli/run.test.ts", name: "with 77 in a directory that is open to others" },
  },
  {
    name: "guard-wait-goes-on",
    what: "an aborted wait goes on, and takes the guard for nobody",
    file: "src/wait.ts",
    find: `const onAbort = (): void => settle(() => reject(signal?.reason));`,
    replace: `const onAbort = (): void => reject(signal?.reason);`,
    test: inNode("guard waits", "an abort rejects a wait with the signal's reason in the same turn, and it has left in the same turn too"),
  },
  {
    name: "guard-loss-unseen",
    what: "\`lost\` does not tell that another file bears the name",
    file: "c/src/guard.c",
    find: `return qshm__file_is_named(a->directory, a->name, &file, &ignored) == 0;`,
    replace: `return 0;`,
    test: { c: "guard_is_lost" },
  },
  {
    name: "guard-swept",
    what: "the trace of a crashed holder is swept away, and the next one is told of nothing",
    file: "c/src/removal.c",
    find: `(kind != 0 && kind != QSHM_KIND_INSTANCE)`,
    replace: `kind != 0`,
    test: { c: "guard_is_not_swept" },
  },
  {
    name: "command-early-signal-lost",
    what: "a signal that comes before COMMAND runs is lost",
    file: "c/src/os_linux_command.c",
    find: `    command_pid = pid;
    send_noted();`,
    replace: `    command_pid = pid;`,
    test: { c: "command_gets_early_signals" },
  },
  {
    name: "command-does-not-hold",
    what: "the name is free when the wrapper was killed and COMMAND still runs",
    file: "c/src/os_linux_command.c",
    find: `fcntl(program->inherited, F_SETFD, flags & ~FD_CLOEXEC);`,
    replace: `(void)flags;`,
    test: { c: "command_outlives_its_wrapper" },
  },
  {
    name: "command-search-stops",
    what: "COMMAND is not found behind a file of its name that cannot be run",
    file: "c/src/os_linux_command.c",
    find: `r == EACCES || r == ESTALE`,
    replace: `r == ESTALE`,
    test: { c: "command_is_found_behind_what_cannot_be_run" },
  },
];

const WAKING: Defect[] = [
  {
    name: "B1-exchange-then-ring",
    what: "one that is stopped between taking a bell down and ringing it makes the others ring nobody",
    file: "c/src/bell.c",
    find: `        int r = state == 0 ? -ENOENT : ring(a, i, atomic_load(&bell->kind));
        QSHM_POINT("bell rung");`,
    replace: `        atomic_compare_exchange_strong(&bell->armed, &armed, 0);
        QSHM_POINT("bell rung");
        int r = state == 0 ? -ENOENT : ring(a, i, atomic_load(&bell->kind));`,
    test: { c: "bell_ring_is_stopped_anywhere" },
  },
  {
    name: "B1-plain-disarm",
    what: "a slow ringer disarms a waiter that has armed its bell again",
    file: "c/src/bell.c",
    find: `            rung += r >= 0;
            atomic_compare_exchange_strong(&bell->armed, &armed, 0);`,
    replace: `            rung += r >= 0;
            atomic_store(&bell->armed, 0);`,
    test: { c: "bell_ring_takes_down_only_what_it_saw" },
  },
  {
    name: "B2-cleared-in-the-bump",
    what: "a publisher that is killed behind its addition takes the next one's wake-up with it",
    file: "c/src/change.c",
    find: `uint32_t word = atomic_fetch_add_explicit(word_of(a), 2, memory_order_seq_cst) + 2;`,
    replace: `uint32_t before = atomic_load(word_of(a));
    while (!atomic_compare_exchange_strong(word_of(a), &before, (before + 2) & ~waiting)) {
    }
    uint32_t word = before + 2;`,
    test: { c: "change_publisher_is_killed_anywhere" },
  },
  {
    name: "B2-never-cleared",
    what: "waiters that were killed make every change cost a system call, for ever",
    file: "c/src/change.c",
    find: `if (atomic_compare_exchange_strong(word_of(a), &word, word & ~waiting)) {`,
    replace: `if (false) {`,
    test: { c: "change_killed_waiters_cost_nothing" },
  },
  {
    name: "B2-cleared-whatever-it-is",
    what: "a publisher that takes the bit down late takes that of a new waiter with it",
    file: "c/src/change.c",
    find: `        if (atomic_compare_exchange_strong(word_of(a), &word, word & ~waiting)) {
            QSHM_POINT("waiting cleared");
            wake(a);
        }`,
    replace: `        atomic_fetch_and(word_of(a), ~waiting);
        QSHM_POINT("waiting cleared");`,
    test: { c: "change_waiting_is_cleared_beside_a_new_waiter" },
  },
  {
    name: "missing-re-check",
    what: "a change that comes while a waiter arms its bell is not seen, and not rung for",
    file: "c/src/change.c",
    find: `    if (announce(a, since, &word)) {
        QSHM_POINT("waiting announced");
        return QSHM_ARMED;
    }`,
    replace: `    announce(a, since, &word);
    if (true) {
        return QSHM_ARMED;
    }`,
    test: { c: "change_expected_too_late" },
  },
  {
    name: "K1-one-bell-for-the-lock",
    what: "the lock is free, and nobody knows but one who is dead",
    file: "c/src/bell.c",
    find: `            rung += r >= 0;
            atomic_compare_exchange_strong(&bell->armed, &armed, 0);`,
    replace: `            rung += r >= 0;
            atomic_compare_exchange_strong(&bell->armed, &armed, 0);
            if (news == QSHM_NEWS_FREE && rung > 0) {
                return rung;
            }`,
    test: { c: "bell_unlock_rings_all_who_wait" },
  },
  {
    name: "K2-look-then-arm",
    what: "a lock that is freed between a waiter's look and its arming is never told of",
    file: "c/src/lock.c",
    find: `    qshm__bell_arm(a, QSHM_NEWS_FREE); /* before the look (K2; test: "bell_waiter_for_the_lock_is_stopped_anywhere") */
    unsigned how = CHECK_LIFE | (a->bell != NULL ? WILL_SLEEP : 0);
    uint64_t seen;
    int r = attempt(a, now - a->waiting_since > passed_over ? how | WANT_HEIR : how, &seen);
    QSHM_POINT("lock looked at");
    if (r != QSHM_LOCK_BUSY) {
        qshm__bell_disarm(a, QSHM_NEWS_FREE);
    }
    return r;`,
    replace: `    unsigned how = CHECK_LIFE | (a->bell != NULL ? WILL_SLEEP : 0);
    uint64_t seen;
    int r = attempt(a, now - a->waiting_since > passed_over ? how | WANT_HEIR : how, &seen);
    QSHM_POINT("lock looked at");
    if (r == QSHM_LOCK_BUSY) {
        qshm__bell_arm(a, QSHM_NEWS_FREE);
    }
    return r;`,
    test: { c: "bell_waiter_for_the_lock_is_stopped_anywhere" },
  },
  {
    name: "permits-of-a-running-thread",
    what: "a process that ends gives back permits that another of its threads still works with",
    file: "c/src/api.c",
    find: `a->guards || a->inside ||`,
    replace: `a->guards ||`,
    test: { c: "exit_keeps_the_permits_of_other_threads" },
  },
  {
    name: "listener-left-on-signal",
    what: "each wait leaves a listener on a signal that lives as long as the program",
    file: "src/change.ts",
    find: `    waiter.wait.signal?.removeEventListener("abort", waiter.onAbort);
`,
    replace: ``,
    test: inNode("changes", "waitForChange() lets go of the signal when it has ended, however"),
  },
  {
    name: "stale-event",
    what: "a slow consumer gets one event for each change there ever was",
    file: "src/changes.ts",
    find: `seen = found.count;`,
    replace: `seen = (seen ?? -1) + 1;`,
    test: inNode("changes", "changes() gives one event for many changes to a slow consumer, which ends with the newest"),
  },
  {
    name: "ref-ignored",
    what: "a wait that should not keep the process alive does",
    file: "src/change.ts",
    find: `keepAlive ||= wait.ref;`,
    replace: `keepAlive = true;`,
    test: { file: "test/unit/ref.test.ts", name: "in node > waitForChange with ref: false lets the process end" },
  },
  {
    name: "bell-link-followed",
    what: "a link at a bell's name changes the mode of any file of the user's",
    file: "c/src/os_linux_bell.c",
    find: `int place = result(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    int r = place < 0 ? place : result(fstat(place, &there));`,
    replace: `int place = result(openat(directory, name, O_PATH | O_CLOEXEC));
    int r = place < 0 ? place : 0;
    if (r == 0) {
        return place;
    }`,
    test: { c: "bell_never_changes_another_file" },
  },
  {
    name: "V1-torn-value",
    what: "a slow reader gets half of one value and half of another",
    file: "c/src/value.c",
    find: `return (uint32_t)atomic_load_explicit(stamp, memory_order_relaxed) == (uint32_t)before;`,
    replace: `return before == before;`,
    test: { c: "value_slow_reader_beside_fast_writers" },
  },
  {
    name: "S1-record-late",
    what: "one that is killed while it takes permits takes them with it, or gives them twice",
    file: "c/src/semaphore.c",
    find: `    atomic_store(record, entry(a->id, (uint32_t)atomic_load(record) + count));
    QSHM_POINT("permits taken");`,
    replace: `    atomic_fetch_sub(&a->control->permits_total, count);
    QSHM_POINT("permits taken");
    atomic_store(record, entry(a->id, (uint32_t)atomic_load(record) + count));
    atomic_fetch_add(&a->control->permits_total, count);`,
    test: { c: "semaphore_taker_is_killed_anywhere" },
  },
  {
    name: "permits-past-the-queue",
    what: "who asks for many permits is starved by those who ask for few",
    file: "c/src/semaphore.c",
    find: `        if (!is_passed_over(a, older)) {
            return false;
        }`,
    replace: ``,
    test: { c: "semaphore_large_request_is_served" },
  },
  {
    name: "stopped-ticket-blocks",
    what: "a stopped process that waits for many permits keeps everybody from the few that are free",
    file: "c/src/semaphore.c",
    find: `silence > loses_place || `,
    replace: ``,
    test: { c: "semaphore_stopped_ticket_blocks_nobody" },
  },
  {
    name: "missing-look-before-sleep",
    what: "a change that comes while a bell is being armed is slept through",
    file: "src/change.ts",
    find: `      if (this.#look()) this.#noteChange();
      if (this.#waiters.size === 0) return;
      if (hasBell`,
    replace: `      if (hasBell`,
    test: inNode("bells", "a change at any moment between the first look and the sleep is seen, without a timer"),
  },
  {
    name: "finaliser-on-a-watcher",
    what: "a loop over changes ends when somebody's variable is collected",
    file: "src/changes.ts",
    find: `      const result = last.then(next); // one after the other, however they are asked for`,
    replace: `      const finalizers = globalThis as { finalizers?: FinalizationRegistry<() => void> };
      (finalizers.finalizers ??= new FinalizationRegistry((end) => end())).register(options ?? {}, end);
      const result = last.then(next);`,
    test: inNode("changes", "a wait and a loop whose objects were collected go on, and are woken"),
  },
  {
    name: "permit-ends-twice",
    what: "a permit that is released twice gives back what another task holds",
    file: "src/system_semaphore.ts",
    find: `    this.#end = undefined;
`,
    replace: ``,
    test: inNode("semaphore", "a Permit ends once: release(), forget() and dispose again are nothing, whichever came first"),
  },
  {
    name: "update-loses-a-value",
    what: "update() overwrites what somebody set in between",
    file: "src/shared_value.ts",
    find: `seen?.sequence ?? 0)) return value;`,
    replace: `ANY)) return value;`,
    test: inNode("value", "update() calls f again with what somebody set in between, and loses neither"),
  },
  {
    name: "bell-stays-armed",
    what: "a wait that was given up makes the next change ring for nobody",
    file: "src/change.ts",
    find: `        changeFunctions().qshm_stop_expecting(this.#attachment.handle("wait for"));
`,
    replace: ``,
    test: inNode("bells", "waiting tells how many attachments wait: none once their waits have ended, however"),
  },
];

const inData = (name: string): Test => ({ file: "test/data_stream/vectors.test.ts", name: `vectors of Qt in node > ${name}` });

const DATA_STREAM: Defect[] = [
  {
    name: "qstring-null-is-empty",
    what: "a null QString reads as an empty one",
    file: "src/data_stream/text.ts",
    find: `    if (size === 0) return "";
    if (size === -1) return null;`,
    replace: `    if (size === 0 || size === -1) return "";`,
    test: inData("bytes, values, and statuses are Qt's"),
  },
  {
    name: "qbitarray-width-of-qt-5",
    what: "Qt 6 programs read a QBitArray's size from half of its bytes",
    file: "src/data_stream/bit_array.ts",
    find: `if (cursor.version < QT_6_0) cursor.writeUint32(value.size);
    else cursor.writeInt64(BigInt(value.size));`,
    replace: `cursor.writeUint32(value.size);`,
    test: inData("bytes, values, and statuses are Qt's"),
  },
  {
    name: "qdatetime-5-0-in-its-own-time",
    what: "a QDateTime in Qt 5.0's format is off by the offset of its zone",
    file: "src/data_stream/moment.ts",
    find: `? partsOf(utcOf(value))`,
    replace: `? value`,
    test: inData("bytes, values, and statuses are Qt's"),
  },
  {
    name: "data-stream-believes-a-count",
    what: "a count of four billion takes the memory of the process",
    file: "src/data_stream/text.ts",
    find: `    const start = size < 0 ? -1 : cursor.take(size);`,
    replace: `    if (size > 0) new Uint8Array(size);
    const start = size < 0 ? -1 : cursor.take(size);`,
    test: inNode("data stream", "a count allocates nothing: what is not there is not made room for"),
  },
  {
    name: "data-stream-depth",
    what: "hostile bytes overflow the stack",
    file: "src/data_stream/cursor.ts",
    find: `    if (this.depth >= MAX_DEPTH) {`,
    replace: `    if (this.depth >= 1e9) {`,
    test: inNode("data stream", "values in values: 512 deep and no deeper, whoever wrote them"),
  },
  {
    name: "transaction-reads-on",
    what: "a transaction takes what follows missing bytes for what it waits for",
    file: "src/data_stream/cursor.ts",
    find: `this.writes || (status !== STATUS.Ok && this.transactions > 0);`,
    replace: `this.writes;`,
    test: inNode("data stream", "a transaction goes back when bytes are missing, and reads nothing after that"),
  },
  {
    name: "failed-write-leaves-half",
    what: "a write that throws leaves half of its value in the stream",
    file: "src/data_stream/stream.ts",
    find: `      this.#cursor.position = position;
`,
    replace: ``,
    test: inNode("data stream", "a value that its type cannot hold throws, says so, and writes nothing"),
  },
];

const SHIPPING: Defect[] = [
  {
    name: "cached-copy-not-compared",
    what: "Deno loads whatever stands in the cache under the library's name",
    file: "ffi/deno_cache.ts",
    find: `.toBase64() === base64;`,
    replace: `.toBase64().length === base64.length;`,
    test: {
      file: "test/package/http.test.ts",
      name: "replaces a copy that is of the right size with other contents, and touches nothing else",
    },
  },
  {
    name: "cache-of-another-user",
    what: "root loads a library from a directory that somebody else can write to",
    file: "ffi/deno_cache.ts",
    find: `  if (uid !== me) throw`,
    replace: `  if (uid === -1) throw`,
    test: { file: "test/package/http.test.ts", name: "refuses a directory of another user, though it holds a good copy" },
  },
  {
    name: "executable-looks-where-it-was-made",
    what: "an executable loads what stands at the path where it was compiled, on whatever machine it runs",
    file: "ffi/bun.ts",
    find: `return process().argv[1]?.startsWith("/$bunfs/") ?? false;`,
    replace: `return false;`,
    test: {
      file: "test/package/executable.test.ts",
      name: "runs without HOME, node_modules and everything else, and unpacks one file, also the second time",
    },
  },
  {
    name: "publishes-no-library",
    what: "the package on JSR has no library inside",
    file: "c/Makefile",
    find: `> $(JSR)/ffi/embedded.json`,
    replace: `> /dev/null`,
    test: { file: "test/package/http.test.ts", name: "keeps the library in a directory of mode 0700, as a file of mode 0600, written once" },
  },
];

const PACKAGE: Defect[] = [
  {
    name: "library-left-out",
    what: "the package has no library for arm64",
    file: "package.json",
    find: `    "dist"
  ],`,
    replace: `    "dist",
    "!dist/lib/linux-arm64.so"
  ],`,
    test: { file: "test/package/package.test.ts", name: "have a library for each architecture" },
  },
  {
    name: "two-registries",
    what: "a program that imports both entries has two registries of what is attached",
    file: ".ci/dist.ts",
    find: `splitting: entrypoints.length > 1,`,
    replace: `splitting: false,`,
    test: { file: "test/package/package.test.ts", name: "have each module of the sources once, so that there is one registry" },
  },
  {
    name: "versions-differ",
    what: "JSR is told of another version than npm",
    file: "deno.json",
    find: `"version": "`,
    replace: `"version": "1`,
    test: { file: "test/package/version.test.ts", name: "is the same for npm and for JSR, and the change log tells of it" },
  },
  {
    name: "library-of-the-day",
    what: "nobody can build the shipped library again",
    file: "c/Makefile",
    find: `-Wl,--build-id=none`,
    replace: `-Wl,--build-id=uuid`,
    test: { file: "test/package/package.test.ts", name: "have libraries that verify" },
  },
];

const QT: Defect[] = [
  {
    name: "qt-opening-sets-the-lock",
    what: "whoever comes next frees Qt's lock under its holder, as a create() of Qt's does",
    file: "c/src/qt_semaphore.c",
    find: `r = r == 0 ? await_value(s) : r;`,
    replace: `r = r == 0 ? qshm__os_semaphore_set(s->id, s->initial) : r;`,
    test: { c: "qt_lock_and_unlock" },
  },
  {
    name: "qt-unlock-does-not-look",
    what: "an unlock adds 1 to a lock that Qt has set, and two hold it from then on",
    file: "c/src/qt_semaphore.c",
    find: `        int ours = is_ours(s);
`,
    replace: `        const step one[] = {{.change = 1, .undo = true}};
        if (qshm__os_semaphore_change(s->id, one, 1, HUGE_VAL) == 0) {
            return 0;
        }
        int ours = is_ours(s);
`,
    test: { c: "qt_lock_was_set_and_is_free" },
  },
  {
    name: "qt-lock-is-lowered",
    what: "a lock that was raised by a Qt program is lost for all when that program ends",
    file: "c/src/qt_semaphore.c",
    find: `MOST_TAKEN = 1000`,
    replace: `MOST_TAKEN = 1`,
    test: { c: "qt_lock_is_not_lost_to_what_others_owe" },
  },
  {
    name: "qt-lock-without-undo",
    what: "a process that is killed keeps Qt's lock for ever",
    file: "c/src/qt_semaphore.c",
    find: `{.change = (int16_t)-count, .undo = true,`,
    replace: `{.change = (int16_t)-count,`,
    test: { c: "qt_lock_of_a_killed_holder" },
  },
  {
    name: "qt-set-goes-before-its-file",
    what: "a waiter for Qt's lock and a newcomer hold it both, when the last one out has removed it",
    file: "c/src/qt_semaphore.c",
    find: `        if (!s->shares_file && !is_gone(qshm__os_semaphore_value(s->id))) {`,
    replace: `        qshm__os_semaphore_remove(s->id);
        if (!s->shares_file) {`,
    test: { c: "qt_lock_removed_with_its_segment" },
  },
  {
    name: "qt-attach-reaps-first",
    what: "attach() deletes what a crash left, in place of attaching to it",
    file: "c/src/qt_memory.c",
    find: `    *recovered = found.attached == 0;
`,
    replace: `    if (found.attached == 0) {
        qshm__os_segment_remove(id);
        return QSHM_E_NOT_FOUND;
    }
    *recovered = false;
`,
    test: { c: "qt_memory_after_a_crash" },
  },
  {
    name: "qt-file-of-another-segment",
    what: "the last one out removes the file of a segment that was made after a tmp cleaner had removed its own",
    file: "c/src/qt_key.c",
    find: `&ignored) == 1 && number_of(key, &found) == number && `,
    replace: `&ignored) == 1 && number != 0 && `,
    test: { c: "qt_memory_whose_file_was_removed" },
  },
  {
    name: "qt-file-goes-before-its-segment",
    what: "a process that is killed while it removes a segment leaves it where nobody finds it",
    file: "c/src/qt_memory.c",
    find: `            if (qshm__os_segment_remove(m->id) == 0) {`,
    replace: `            qshm__qt_key_remove(&m->key, m->number);
            if (qshm__os_segment_remove(m->id) == 0) {`,
    test: { c: "qt_kill_detach_last" },
  },
];

const QT_TYPESCRIPT: Defect[] = [
  {
    name: "qt-read-only-data-is-kept",
    what: "who writes to what data() of a ReadOnly attachment gave reads that ever after, and no change of others",
    file: "src/qt/shared_memory.ts",
    find: `return this.#isReadOnly ? this.#segment!.read(0, this.size()) : this.#segment!.view;`,
    replace: `const kept = this as { kept?: Uint8Array<ArrayBuffer> };
    return this.#isReadOnly ? (kept.kept ??= this.#segment!.read(0, this.size())) : this.#segment!.view;`,
    test: { file: "test/interop/qt_own_shared_memory.test.ts", name: "node, System V T > tst_QSharedMemory 11 turned round" },
  },
  {
    name: "qt-never-recovered",
    what: "nobody is told that what create() or attach() found was left by a crash",
    file: "src/qt/shared_memory.ts",
    find: `this.#recovered = this.#segment!.wasLeftBehind;`,
    replace: `this.#recovered = false;`,
    test: { file: "test/interop/deaths.test.ts", name: "node is killed as the last one > create() in node takes its place" },
  },
  {
    name: "qt-key-hashed-as-utf-16",
    what: "a key beyond ASCII leads ours and Qt's programs to different segments",
    file: "src/qt/native_key.ts",
    find: `return new TextEncoder().encode(key.replaceAll(/\\p{Surrogate}/gu, "?"));`,
    replace: `return new Uint8Array(Uint16Array.from({ length: key.length }, (_, i) => key.charCodeAt(i)).buffer);`,
    test: { file: "test/interop/native_keys.test.ts", name: "the recorded keys in node > lead to the recorded files" },
  },
  {
    name: "qt-any-number-is-a-type",
    what: "a native key that Qt refuses is taken for one of another type",
    file: "src/qt/native_key.ts",
    find: `/^-\\d+$/.test(number) ? Number(number.slice(1)) : NaN`,
    replace: `Number(number.replace(/^-*/, ""))`,
    test: { file: "test/interop/qt_own_native_key.test.ts", name: "in node > tst_QNativeIpcKey 8: what is not well written" },
  },
  {
    name: "qt-companion-outlives-a-crash",
    what: "each crash leaves a file in /dev/shm that no create() of the key removes",
    file: "src/qt/shared_memory.ts",
    find: `if (method === "create" || this.#recovered) this.#companion.remove();`,
    replace: ``,
    test: { file: "test/interop/deaths.test.ts", name: "Qt, then create" },
  },
];

const CONTAINERS: Defect[] = [
  {
    name: "replace-in-another-pid-namespace",
    what: "taking a guard over ends whoever has the holder's number in this container",
    file: "c/src/takeover.c",
    find: `namespace == 0 || info->pid_namespace != namespace`,
    replace: `namespace == 0`,
    test: { file: "test/processes/containers.test.ts", name: "replace refuses where the pid would be somebody else's" },
  },
  {
    name: "stranger-owns-what-nobody-owns",
    what: "in a user namespace another user's directory passes for one's own: neither has a number there",
    file: "c/src/os_linux.c",
    find: `        out->uid = QSHM_SOMEBODY;`,
    replace: ``,
    test: { file: "test/processes/containers.test.ts", name: "node as nobody of its own namespace does not take another user's directory" },
  },
  {
    name: "fuse-is-not-refused",
    what: "a guard on a FUSE mount, where another machine's locks are not seen",
    file: "c/src/os_linux.c",
    find: ` {0x65735546, "FUSE"},`,
    replace: ``,
    test: { c: "directory_refused_file_systems" },
  },
];

const ARM64: Defect[] = [
  {
    name: "lock-taken-without-acquire",
    what: "on arm64 the lock's owner reads what was there before the former owner's writes",
    file: "c/src/lock.c",
    find: `expected, desired, memory_order_acq_rel,
                                                   memory_order_acquire);`,
    replace: `expected, desired, memory_order_relaxed,
                                                   memory_order_relaxed);`,
    test: { file: "test/platforms/arm64.test.ts", name: "lock.c: swap has" },
  },
];

export const DEFECTS: readonly Defect[] = [
  ...LIFETIME,
  ...LOCK,
  ...GUARD,
  ...WAKING,
  ...MESSAGES,
  ...SAFETY,
  ...TYPESCRIPT,
  ...DATA_STREAM,
  ...SHIPPING,
  ...PACKAGE,
  ...QT,
  ...QT_TYPESCRIPT,
  ...(SKIPS.root === undefined ? CONTAINERS : []),
  ...(SKIPS.arm64 === undefined ? ARM64 : []),
];
