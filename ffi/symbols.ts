/**
 * The one table of the library's entry points, in groups that are bound on first use (binding costs start-up time), and
 * the version of the interface. Data only. A test compares it with what the library says of itself.
 *
 * Words: `u32`, `i32`, `f64`; `in`: bytes that are read; `out`: bytes that are written; `address`: a result that only
 * an adapter understands. Entry points that matter for speed take only `f64`: Node calls those directly.
 *
 * @module
 */

/** Must equal what `qshm_abi_version()` of the loaded library returns. */
export const ABI_VERSION = 1;

/** A type that crosses the boundary. */
export type Word = "u32" | "i32" | "f64" | "in" | "out" | "address";

/** One entry point. */
export interface Signature {
  readonly parameters: readonly Word[];
  readonly result: Word;
}

/** Entry points by group and name. */
export const SYMBOLS = {
  base: {
    qshm_abi_version: { parameters: [], result: "u32" },
  },
  segment: {
    qshm_open: { parameters: ["u32", "u32", "u32", "f64", "in", "u32", "in", "u32", "out"], result: "i32" },
    qshm_detach: { parameters: ["u32"], result: "i32" },
    qshm_unmap: { parameters: ["u32", "u32"], result: "i32" },
    qshm_leave: { parameters: ["u32"], result: "i32" },
  },
  memory: {
    qshm_read: { parameters: ["u32", "f64", "out", "f64"], result: "i32" },
    qshm_write: { parameters: ["u32", "f64", "in", "f64"], result: "i32" },
    qshm_write_if_changed: { parameters: ["u32", "f64", "in", "f64"], result: "i32" },
  },
  view: {
    qshm_payload: { parameters: ["u32"], result: "address" },
  },
  lock: {
    qshm_try_lock: { parameters: ["f64"], result: "i32" },
    qshm_poll_lock: { parameters: ["f64"], result: "i32" },
    qshm_cancel_lock: { parameters: ["f64"], result: "i32" },
    qshm_wait_lock: { parameters: ["f64", "f64"], result: "i32" },
    qshm_unlock: { parameters: ["f64"], result: "i32" },
    qshm_lock_owner: { parameters: ["u32", "out"], result: "i32" },
    qshm_force_unlock: { parameters: ["u32", "u32", "out"], result: "i32" },
  },
  change: {
    qshm_revision: { parameters: ["f64"], result: "i32" },
    qshm_notify: { parameters: ["f64"], result: "i32" },
    qshm_wait_change: { parameters: ["f64", "f64", "f64"], result: "i32" },
    qshm_bell_open: { parameters: ["u32", "u32", "out"], result: "i32" },
    qshm_bell_close: { parameters: ["u32"], result: "i32" },
    qshm_expect_change: { parameters: ["f64", "f64"], result: "i32" },
    qshm_stop_expecting: { parameters: ["f64"], result: "i32" },
    qshm_busy_process: { parameters: ["u32"], result: "i32" },
  },
  value: {
    qshm_open_value: { parameters: ["u32", "u32", "f64", "in", "u32", "in", "u32", "in", "u32", "out"], result: "i32" },
    qshm_value_set: { parameters: ["f64", "in", "f64", "f64"], result: "i32" },
    qshm_value_get: { parameters: ["f64", "out", "f64"], result: "i32" },
    qshm_value_sequence: { parameters: ["f64"], result: "f64" },
    qshm_value_capacity: { parameters: ["f64"], result: "f64" },
    qshm_value_writer: { parameters: ["u32", "out"], result: "i32" },
  },
  semaphore: {
    qshm_open_semaphore: { parameters: ["u32", "u32", "f64", "f64", "in", "u32", "in", "u32", "out"], result: "i32" },
    qshm_acquire: { parameters: ["f64", "f64", "f64"], result: "i32" },
    qshm_withdraw: { parameters: ["f64"], result: "i32" },
    qshm_give_back: { parameters: ["f64", "f64"], result: "i32" },
    qshm_consume: { parameters: ["f64", "f64"], result: "i32" },
    qshm_post: { parameters: ["f64", "f64"], result: "i32" },
    qshm_available: { parameters: ["f64"], result: "i32" },
    qshm_permits_max: { parameters: ["f64"], result: "i32" },
  },
  instance: {
    qshm_elect: { parameters: ["u32", "f64", "in", "u32", "u32", "out"], result: "i32" },
    qshm_is_lost: { parameters: ["u32"], result: "i32" },
    qshm_primary: { parameters: ["in", "u32", "in", "u32", "out", "u32", "out"], result: "i32" },
  },
  message: {
    qshm_send: { parameters: ["u32", "in", "f64", "out"], result: "i32" },
    qshm_sent: { parameters: ["f64", "f64"], result: "i32" },
    qshm_await_reply: { parameters: ["f64", "f64", "f64"], result: "i32" },
    qshm_withdraw_message: { parameters: ["f64", "f64"], result: "i32" },
    qshm_reply: { parameters: ["u32", "u32", "out", "f64", "out"], result: "i32" },
    qshm_working_directory: { parameters: ["out", "u32"], result: "i32" },
    qshm_print: { parameters: ["u32", "in", "f64"], result: "i32" },
  },
  serving: {
    qshm_take: { parameters: ["u32", "out", "f64", "out"], result: "i32" },
    qshm_is_awaited: { parameters: ["f64", "f64"], result: "i32" },
    qshm_answer: { parameters: ["u32", "u32", "u32", "in", "f64", "out"], result: "i32" },
    qshm_refuse_messages: { parameters: ["u32"], result: "i32" },
    qshm_requester: { parameters: ["u32", "u32", "u32", "out"], result: "i32" },
  },
  takeover: {
    qshm_ask_to_leave: { parameters: ["u32", "u32"], result: "i32" },
    qshm_is_asked_to_leave: { parameters: ["f64"], result: "i32" },
    qshm_signal_holder: { parameters: ["u32", "u32", "u32", "out"], result: "i32" },
  },
  command: {
    qshm_arguments: { parameters: ["out", "u32", "out"], result: "i32" },
    qshm_run: { parameters: ["u32", "in", "u32", "out"], result: "i32" },
    qshm_await: { parameters: ["u32"], result: "i32" },
    qshm_exit: { parameters: ["u32"], result: "i32" },
  },
  inspect: {
    qshm_file_name: { parameters: ["u32", "in", "u32", "out"], result: "i32" },
    qshm_list: { parameters: ["in", "u32", "out", "u32", "out"], result: "i32" },
    qshm_inspect: { parameters: ["in", "u32", "in", "u32", "out", "u32", "out"], result: "i32" },
    qshm_holders: { parameters: ["f64", "out", "u32"], result: "i32" },
    qshm_remove: { parameters: ["in", "u32", "in", "u32", "u32", "out"], result: "i32" },
  },
  qt: {
    qshm_qt_key_file: { parameters: ["u32", "in", "u32", "out", "u32"], result: "i32" },
    qshm_qt_memory: { parameters: ["in", "u32", "in", "u32", "u32"], result: "i32" },
    qshm_qt_create: { parameters: ["u32", "f64", "u32", "f64", "out"], result: "i32" },
    qshm_qt_attach: { parameters: ["u32", "u32", "f64", "out"], result: "i32" },
    qshm_qt_detach: { parameters: ["u32", "f64", "out"], result: "i32" },
    qshm_qt_unmap: { parameters: ["u32", "u32"], result: "i32" },
    qshm_qt_payload: { parameters: ["u32"], result: "address" },
    qshm_qt_read: { parameters: ["u32", "f64", "out", "f64"], result: "i32" },
    qshm_qt_write: { parameters: ["u32", "f64", "in", "f64"], result: "i32" },
    qshm_qt_compare: { parameters: ["u32", "out", "f64"], result: "i32" },
    qshm_qt_lock: { parameters: ["f64", "f64"], result: "i32" },
    qshm_qt_unlock: { parameters: ["f64"], result: "i32" },
    qshm_qt_force_unlock: { parameters: ["u32", "out"], result: "i32" },
    qshm_qt_remove: { parameters: ["u32", "u32", "f64", "out"], result: "i32" },
    qshm_qt_semaphore: { parameters: ["in", "u32", "u32", "f64", "u32", "out"], result: "i32" },
    qshm_qt_acquire: { parameters: ["f64", "f64"], result: "i32" },
    qshm_qt_release: { parameters: ["f64", "f64"], result: "i32" },
    qshm_qt_value: { parameters: ["f64"], result: "i32" },
    qshm_qt_close: { parameters: ["u32"], result: "i32" },
    qshm_qt_free: { parameters: ["u32", "u32"], result: "i32" },
  },
  describe: {
    qshm_describe: { parameters: ["out", "u32"], result: "i32" },
  },
} as const satisfies Record<string, Record<string, Signature>>;
