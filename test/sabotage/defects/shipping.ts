/** Of what is published and built. */

import type { Defect } from "../defect.ts";

export const SHIPPING: readonly Defect[] = [
  {
    name: "cached-copy-not-compared",
    what: "Deno loads whatever stands in the cache under the library's name",
    file: "ffi/deno_cache.ts",
    find: `.toBase64() === base64;`,
    replace: `.toBase64().length === base64.length;`,
    test: {
      file: "test/package/http.test.ts",
      name: "replaces a copy that is of the right size with other contents, and touches nothing else",
    },
  },
  {
    name: "cache-of-another-user",
    what: "root loads a library from a directory that somebody else can write to",
    file: "ffi/deno_cache.ts",
    find: `  if (uid !== me) throw`,
    replace: `  if (uid === -1) throw`,
    test: { file: "test/package/http.test.ts", name: "refuses a directory of another user, though it holds a good copy" },
  },
  {
    name: "executable-looks-where-it-was-made",
    what: "an executable loads what stands at the path where it was compiled, on whatever machine it runs",
    file: "ffi/bun.ts",
    find: `return process().argv[1]?.startsWith("/$bunfs/") ?? false;`,
    replace: `return false;`,
    test: {
      file: "test/package/executable.test.ts",
      name: "runs without HOME, node_modules and everything else, and unpacks one file, also the second time",
    },
  },
  {
    name: "publishes-no-library",
    what: "the package on JSR has no library inside",
    file: "c/Makefile",
    find: `> $(JSR)/ffi/embedded.json`,
    replace: `> /dev/null`,
    test: { file: "test/package/http.test.ts", name: "keeps the library in a directory of mode 0700, as a file of mode 0600, written once" },
  },
  {
    name: "library-left-out",
    what: "the package has no library for arm64",
    file: "package.json",
    find: `    "dist"
  ],`,
    replace: `    "dist",
    "!dist/lib/linux-arm64.so"
  ],`,
    test: { file: "test/package/package.test.ts", name: "have a library for each architecture" },
  },
  {
    name: "two-registries",
    what: "a program that imports both entries has two registries of what is attached",
    file: ".ci/dist.ts",
    find: `splitting: entrypoints.length > 1,`,
    replace: `splitting: false,`,
    test: { file: "test/package/package.test.ts", name: "have each module of the sources once, so that there is one registry" },
  },
  {
    name: "versions-differ",
    what: "JSR is told of another version than npm",
    file: "deno.json",
    find: `"version": "`,
    replace: `"version": "1`,
    test: { file: "test/package/version.test.ts", name: "is the same for npm and for JSR, and the change log tells of it" },
  },
  {
    name: "library-of-the-day",
    what: "nobody can build the shipped library again",
    file: "c/Makefile",
    find: `-Wl,--build-id=none`,
    replace: `-Wl,--build-id=uuid`,
    test: { file: "test/package/package.test.ts", name: "have libraries that verify" },
  },
];
