/** Of messages to a guard's holder, and of taking it over. */

import { type Defect, inNode } from "../defect.ts";

export const MESSAGES: readonly Defect[] = [
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
