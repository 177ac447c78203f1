/** create, attach, open, detach, release: who gets what, and what is left. */

import assert from "node:assert/strict";
import { AlreadyExistsError, list, NotFoundError, SharedMemory, SizeMismatchError } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";

export const lifetime: Suite = {
  name: "lifetime",
  cases: [
    {
      name: "create() makes a zeroed segment and says so",
      run() {
        const key = freshKey();
        using memory = SharedMemory.create(key, 1024);
        assert.equal(memory.key, key);
        assert.equal(memory.size, 1024);
        assert.equal(memory.created, true);
        assert.equal(memory.recovered, false);
        assert.equal(memory.readOnly, false);
        assert.equal(memory.isAttached, true);
        assert.equal(memory.revision, 0);
        assert.ok(memory.path.endsWith(`/m-${key}`));
        assert.ok(memory.read().every((byte) => byte === 0));
      },
    },
    {
      name: "create() throws AlreadyExistsError while somebody is attached, tryCreate() gives undefined",
      run() {
        const key = freshKey();
        using _memory = SharedMemory.create(key, 1);
        assert.throws(() => SharedMemory.create(key, 1), AlreadyExistsError);
        assert.equal(SharedMemory.tryCreate(key, 1), undefined);
      },
    },
    {
      name: "attach() throws NotFoundError where nothing is, tryAttach() gives undefined",
      run() {
        assert.throws(() => SharedMemory.attach(freshKey()), NotFoundError);
        assert.equal(SharedMemory.tryAttach(freshKey()), undefined);
      },
    },
    {
      name: "open() attaches or creates, and refuses another size",
      run() {
        const key = freshKey();
        using first = SharedMemory.open(key, 10);
        using second = SharedMemory.open(key, 10);
        assert.deepEqual([first.created, second.created], [true, false]);
        assert.throws(() => SharedMemory.open(key, 11), SizeMismatchError);
      },
    },
    {
      name: "the last detach() removes the segment",
      run() {
        const key = freshKey();
        const first = SharedMemory.create(key, 1);
        const second = SharedMemory.attach(key);
        assert.equal(first.detach(), true);
        assert.equal(list().filter((info) => info.key === key).length, 1);
        assert.equal(second.detach(), true);
        assert.equal(list().filter((info) => info.key === key).length, 0);
      },
    },
  ],
};
