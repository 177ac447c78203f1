/** Of the guard, and of the command. */

import { type Defect, inNode } from "../defect.ts";

export const GUARD: readonly Defect[] = [
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
