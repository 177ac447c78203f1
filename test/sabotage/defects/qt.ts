/** Of the objects that Qt programs use as well. */

import type { Defect } from "../defect.ts";

export const QT: readonly Defect[] = [
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
