/** Of containers, file systems and processors. */

import { SKIPS } from "../../support/skips.ts";
import type { Defect } from "../defect.ts";

const CONTAINERS: readonly Defect[] = [
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

const ARM64: readonly Defect[] = [
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

/** Those whose tests run here. */
export const PLATFORMS: readonly Defect[] = [
  ...(SKIPS.root === undefined ? CONTAINERS : []),
  ...(SKIPS.arm64 === undefined ? ARM64 : []),
];
