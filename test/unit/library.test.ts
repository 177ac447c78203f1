/** The library that cannot be loaded: what the error says in every runtime. */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ABI_VERSION } from "../../ffi/symbols.ts";
import { testDirectory } from "../support/directory.ts";
import { commandOf, LIBRARY, RUNTIMES, TEST_LIBRARY } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { program, report } from "./run.ts";

const REMEDY = "In a checkout run `make -C c`; else set QSHM_LIBRARY to its path";

for (const runtime of RUNTIMES) {
  const use = commandOf(runtime, program("use"), ["some-key"]);

  describe(`in ${runtime}`, () => {
    it("the library is found without QSHM_LIBRARY, and with it empty", () => {
      expect(report(use, { QSHM_LIBRARY: undefined }).ok).toBe(true);
      expect(report(use, { QSHM_LIBRARY: "" }).ok).toBe(true);
    });

    it("QSHM_LIBRARY is used alone when it is set", () => {
      expect(report(use, { QSHM_LIBRARY: TEST_LIBRARY }).ok).toBe(true);
    });

    it("create() throws LibraryError that names path and remedy when there is no file", () => {
      const error = report(use, { QSHM_LIBRARY: "/nonexistent/qshm.so" });
      expect(error).toMatchObject({ ok: false, name: "LibraryError", code: "LibraryNotLoaded", operation: "create" });
      expect(error.classes).toEqual(["QshmError", "LibraryError"]);
      expect(error.message).toContain(`Cannot load the native library in ${runtime}. Tried: "/nonexistent/qshm.so": `);
      expect(error.message).toContain(REMEDY);
      expect(error.message, "and nothing else was tried").not.toContain(LIBRARY);
    });

    it("create() throws LibraryError that names path and remedy when the file is text", () => {
      using directory = testDirectory();
      const path = `${directory.path}/text.so`;
      writeFileSync(path, "this is no library\n");
      const error = report(use, { QSHM_LIBRARY: path });
      expect(error).toMatchObject({ ok: false, name: "LibraryError" });
      expect(error.message).toContain(`"${path}": `);
      expect(error.message).toContain(REMEDY);
    });

    it.skipIf(SKIPS.cc)(
      because("create() throws LibraryError that names both versions of the interface", SKIPS.cc),
      () => {
        using directory = testDirectory();
        const path = `${directory.path}/other.so`;
        const source = "unsigned qshm_abi_version(void) { return 4321; }\n";
        const made = spawnSync("cc", ["-shared", "-fPIC", "-nostdlib", "-xc", "-o", path, "-"], { input: source });
        expect(String(made.stderr)).toBe("");
        const error = report(use, { QSHM_LIBRARY: path });
        expect(error).toMatchObject({ ok: false, name: "LibraryError", code: "LibraryNotLoaded" });
        expect(error.message).toContain(`"${path}" has interface version 4321, this package needs ${ABI_VERSION}`);
      },
    );

    it.skipIf(SKIPS.cc)(
      because("create() throws LibraryError when the file is a library of something else", SKIPS.cc),
      () => {
        using directory = testDirectory();
        const path = `${directory.path}/other.so`;
        const made = spawnSync("cc", ["-shared", "-fPIC", "-nostdlib", "-xc", "-o", path, "-"], {
          input: "int x = 1;\n",
        });
        expect(made.status).toBe(0);
        const error = report(use, { QSHM_LIBRARY: path });
        expect(error).toMatchObject({ ok: false, name: "LibraryError" });
        expect(error.message).toContain(`"${path}": `);
      },
    );
  });
}
