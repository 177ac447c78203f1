/** Of bells, changes, values and semaphores. */

import { type Defect, inNode } from "../defect.ts";

export const WAKING: readonly Defect[] = [
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
