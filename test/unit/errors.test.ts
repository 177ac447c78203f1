/** How a message comes about. */

import { describe, expect, it } from "vitest";
import { BusyError, errorOf, QshmError, timeoutError, withLibrary } from "../../src/errors.ts";

const BASE = { operation: "create", key: "k", subject: 'shared memory "k"' };

describe("errorOf()", () => {
  it("takes the table's sentence when the library gives no reason", () => {
    expect(errorOf({ ...BASE, result: -4 }).message).toBe(
      'Cannot create shared memory "k": a segment of this name is in use, or persistent; ' +
        "attach to it, or choose another key",
    );
  });

  it("says of what the library's reason speaks: the segment, its directory, or its file", () => {
    expect(errorOf({ ...BASE, result: -4, why: "is in use" }).message).toContain(": it is in use;");
    expect(errorOf({ ...BASE, result: -8, why: "is a file" }).message).toContain(": its directory is a file;");
    expect(errorOf({ ...BASE, result: -9, why: "is a FIFO" }).message).toContain(": the file at its name is a FIFO;");
    expect(errorOf({ ...BASE, result: -11, why: "it was taken" }).message).toContain(": it was taken;");
  });

  it("names system call, process and path, in that order", () => {
    const error = errorOf({ ...BASE, result: -13, why: "No", syscall: "fcntl", errno: 11, pid: 42, path: "/x/m-k" });
    expect(error.message).toContain("No (fcntl, errno 11; process 42; /x/m-k); ");
    expect(error).toBeInstanceOf(BusyError);
    expect(error).toMatchObject({ code: "Busy", syscall: "fcntl", errno: 11, pid: 42, operation: "create", key: "k" });
  });

  it("leaves out what is not known", () => {
    const error = errorOf({ ...BASE, result: -13, why: "", syscall: "", errno: 0, pid: 0, path: "" });
    expect(error.message).not.toMatch(/\(|errno|process 0/);
    expect(error).toMatchObject({ syscall: undefined, errno: undefined, pid: undefined });
  });

  it("gives QshmError for a number that is not in the table", () => {
    const error = errorOf({ ...BASE, result: -99 });
    expect(error.constructor).toBe(QshmError);
    expect(error.message).toContain("the library reports -99");
    expect(error).toMatchObject({ code: "UnknownError" });
  });

  it("gives TypeError for misuse that slipped through", () => {
    for (const result of [-1, -2, -3]) expect(errorOf({ ...BASE, result })).toBeInstanceOf(TypeError);
  });
});

describe("withLibrary()", () => {
  it("gives what the function gives, and throws on what is not about loading", () => {
    expect(withLibrary("create", "k", () => 7)).toBe(7);
    expect(() =>
      withLibrary("create", "k", () => {
        throw new SyntaxError("other");
      })
    ).toThrow(SyntaxError);
  });
});

describe("timeoutError()", () => {
  it("is a DOMException that says how long it waited, and for what", () => {
    const error = timeoutError("the lock", 5);
    expect(error).toBeInstanceOf(DOMException);
    expect(error.name).toBe("TimeoutError");
    expect(error.message).toBe("Timed out after 5 ms waiting for the lock");
  });
});
