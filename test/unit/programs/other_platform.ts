/** As `use.ts`, on a platform for which there is no library. */

const { Deno } = globalThis as { Deno?: { build: object } };
if (Deno) Object.defineProperty(Deno, "build", { value: { ...Deno.build, os: "sunos", arch: "sparc" } });
Object.defineProperty(process, "platform", { value: "sunos", configurable: true });
Object.defineProperty(process, "arch", { value: "sparc", configurable: true });

await import("../../../mod.ts");
console.log("imported");
await import("./use.ts");
