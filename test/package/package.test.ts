/** The package as users get it: packed once, then looked at, and used without a compiler. A file for each concern. */

import { afterAll, beforeAll, describe } from "vitest";
import { contents } from "./contents.ts";
import { installed } from "./installed.ts";
import { manifest } from "./manifest.ts";
import { pack, type Packed } from "./packed.ts";

describe("the package", () => {
  let packed!: Packed;
  beforeAll(async () => void (packed = await pack()));
  afterAll(() => packed?.[Symbol.dispose]());

  contents(() => packed);
  manifest(() => packed);
  installed(() => packed);
});
