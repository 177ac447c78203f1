/** What a defect is. L and K numbers are those of the flaws in the protocols' specification. */

/** A case of the C tests, or a vitest test by its file and name: the whole name, or what only it contains. */
export type Test = { readonly c: string } | { readonly file: string; readonly name: string };

/** `find` stands exactly once in `file`. Tests are chosen that see their defect every time and fast. */
export interface Defect {
  readonly name: string;
  /** What a user would meet. */
  readonly what: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly test: Test;
}

/** A case of a conformance suite, in Node. */
export const inNode = (suite: string, name: string): Test => ({
  file: "test/conformance/conformance.test.ts",
  name: `node > ${suite} > ${name}`,
});
