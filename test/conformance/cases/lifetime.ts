/** create, attach, open, detach, release: who gets what, and what is left. */

import assert from "node:assert/strict";
import {
  AlreadyExistsError,
  inspect,
  list,
  NotFoundError,
  OutOfResourcesError,
  remove,
  SharedMemory,
  SizeMismatchError,
} from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf, thrownBy } from "../helpers.ts";

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
      name: "create() gives exactly the size asked for, also around a page's end",
      run() {
        for (const size of [1, 7, 4095, 4096, 4097, 1 << 20]) {
          using memory = SharedMemory.create(freshKey(), size);
          assert.equal(memory.size, size);
          assert.equal(memory.read().length, size);
          memory.write(Uint8Array.of(9), size - 1);
          using other = SharedMemory.attach(memory.key);
          assert.equal(other.size, size);
          assert.equal(other.read(size - 1)[0], 9);
        }
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
      name: "tryCreate() gives an attachment when the name is free, and again after that was detached",
      run() {
        const key = freshKey();
        for (let i = 0; i < 2; i++) {
          using memory = SharedMemory.tryCreate(key, 3);
          assert.equal(memory?.created, true);
          assert.equal(memory.size, 3);
        }
      },
    },
    {
      name: "tryCreate() and tryAttach() throw all errors but the one that they are named with",
      run() {
        assert.throws(() => SharedMemory.tryCreate("", 1), TypeError);
        assert.throws(() => SharedMemory.tryCreate(freshKey(), 0), RangeError);
        assert.throws(() => SharedMemory.tryCreate(freshKey(), 2 ** 45), OutOfResourcesError);
        assert.throws(() => SharedMemory.tryAttach(""), TypeError);
        const directory = "/nonexistent/qshm";
        assert.equal(errorOf(() => SharedMemory.tryCreate("a", 1, { directory })).code, "DirectoryNotFound");
        assert.equal(errorOf(() => SharedMemory.tryAttach("a", { directory })).code, "DirectoryNotFound");
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
      name: "attach() takes size and path from what is there, and did not create it",
      run() {
        using creator = SharedMemory.create(freshKey(), 77);
        using memory = SharedMemory.attach(creator.key);
        using tried = SharedMemory.tryAttach(creator.key);
        for (const attachment of [memory, tried!]) {
          assert.equal(attachment.key, creator.key);
          assert.equal(attachment.path, creator.path);
          assert.equal(attachment.size, 77);
          assert.equal(attachment.created, false);
          assert.equal(attachment.recovered, false);
          assert.equal(attachment.readOnly, false);
        }
      },
    },
    {
      name: "attach() goes on when the creator has detached",
      run() {
        const creator = SharedMemory.create(freshKey(), 2);
        using memory = SharedMemory.attach(creator.key);
        creator.write(Uint8Array.of(1, 2));
        creator.detach();
        assert.deepEqual([...memory.read()], [1, 2]);
        using third = SharedMemory.attach(creator.key);
        third.write(Uint8Array.of(3));
        assert.deepEqual([...memory.read()], [3, 2]);
      },
    },
    {
      name: "attach() throws NotFoundError when the last has detached",
      run() {
        const memory = SharedMemory.create(freshKey(), 1);
        memory.detach();
        assert.throws(() => SharedMemory.attach(memory.key), NotFoundError);
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
        assert.throws(() => SharedMemory.open(key, 9), SizeMismatchError);
        first.write(Uint8Array.of(5));
        assert.equal(second.read(0, 1)[0], 5);
      },
    },
    {
      name: "open() that is refused leaves no attachment behind",
      run() {
        using memory = SharedMemory.open(freshKey(), 10);
        for (let i = 0; i < 5; i++) assert.throws(() => SharedMemory.open(memory.key, 11), SizeMismatchError);
        assert.equal(inspect("memory", memory.key)?.attached.length, 1);
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
    {
      name: "detach() frees the name for another size, and nothing of the old contents is left",
      run() {
        const memory = SharedMemory.create(freshKey(), 8);
        memory.write(Uint8Array.of(1, 2, 3));
        memory.detach();
        using next = SharedMemory.create(memory.key, 16);
        assert.equal(next.recovered, false);
        assert.ok(next.read().every((byte) => byte === 0));
      },
    },
    {
      name: "detach() gives false when it had ended before",
      run() {
        const memory = SharedMemory.create(freshKey(), 1);
        assert.deepEqual([memory.detach(), memory.detach(), memory.detach()], [true, false, false]);
      },
    },
    {
      name: "[Symbol.dispose]() detaches, and does nothing after detach()",
      run() {
        let escaped: SharedMemory;
        {
          using memory = SharedMemory.create(freshKey(), 1);
          escaped = memory;
        }
        assert.equal(escaped.isAttached, false);
        escaped[Symbol.dispose]();
        {
          using memory = SharedMemory.create(freshKey(), 1);
          memory.detach();
        }
      },
    },
    {
      name: "release() detaches and gives the last contents as a copy",
      run() {
        const memory = SharedMemory.create(freshKey(), 4);
        using other = SharedMemory.attach(memory.key);
        memory.write(Uint8Array.of(1, 2, 3, 4));
        const contents = memory.release();
        assert.equal(memory.isAttached, false);
        other.write(Uint8Array.of(9, 9, 9, 9));
        assert.deepEqual([...contents], [1, 2, 3, 4]);
        assert.throws(() => memory.release(), TypeError);
      },
    },
    {
      name: "persistent contents stay when nobody is attached, until remove()",
      run() {
        const key = freshKey();
        const memory = SharedMemory.create(key, 3, { persistent: true });
        memory.write(Uint8Array.of(1, 2, 3));
        memory.detach();
        {
          using again = SharedMemory.attach(key);
          assert.deepEqual([...again.read()], [1, 2, 3]);
          assert.equal(again.created, false);
          assert.equal(again.recovered, false);
        }
        {
          using again = SharedMemory.open(key, 3);
          assert.deepEqual([...again.read()], [1, 2, 3]);
        }
        assert.equal(remove("memory", key), true);
        assert.equal(SharedMemory.tryAttach(key), undefined);
      },
    },
    {
      name: "create() throws AlreadyExistsError when persistent contents are there, though nobody is attached",
      run() {
        const key = freshKey();
        SharedMemory.create(key, 3, { persistent: true }).detach();
        try {
          const error = thrownBy(() => SharedMemory.create(key, 3));
          assert.ok(error instanceof AlreadyExistsError);
          assert.match(error.message, /persistent/);
          assert.equal(SharedMemory.tryCreate(key, 3, { persistent: true }), undefined);
          assert.throws(() => SharedMemory.open(key, 4), SizeMismatchError);
        } finally {
          assert.equal(remove("memory", key), true);
        }
      },
    },
    {
      name: "open() of what exists does not change whether it persists",
      run() {
        const key = freshKey();
        using memory = SharedMemory.create(key, 1);
        SharedMemory.open(key, 1, { persistent: true }).detach();
        assert.equal(inspect("memory", key)?.persistent, false);
        memory.detach();
        assert.equal(inspect("memory", key), undefined);
      },
    },
    {
      name: "attachments of one process are many: each counts, and the last one removes",
      run() {
        const key = freshKey();
        const attachments = [SharedMemory.create(key, 1)];
        for (let i = 1; i < 100; i++) attachments.push(SharedMemory.attach(key));
        assert.equal(inspect("memory", key)?.attached.length, 100);
        // Neither in the order of attaching nor in its reverse.
        for (let i = 0; i < 100; i++) {
          assert.equal(inspect("memory", key)?.attached.length, 100 - i);
          attachments[(i * 37) % 100]!.detach();
        }
        assert.equal(inspect("memory", key), undefined);
      },
    },
    {
      name: "attach() throws OutOfResourcesError at the limit of attachments, and works again below it",
      run() {
        const key = freshKey();
        const attachments = [SharedMemory.create(key, 1)];
        let error: unknown;
        try {
          while (attachments.length < 5000) attachments.push(SharedMemory.attach(key));
        } catch (thrown) {
          error = thrown;
        }
        assert.ok(error instanceof OutOfResourcesError, `${error}`);
        attachments.pop()!.detach();
        attachments.push(SharedMemory.attach(key));
        for (const attachment of attachments) attachment.detach();
        assert.equal(inspect("memory", key), undefined);
      },
    },
    {
      name: "the constructor is not for users",
      run() {
        assert.throws(() => (SharedMemory as unknown as () => void)(), TypeError);
      },
    },
  ],
};
