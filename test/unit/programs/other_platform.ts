/** As `use.ts`, on a platform for which there is no library. */

Object.defineProperty(process, "platform", { value: "sunos", configurable: true });
Object.defineProperty(process, "arch", { value: "sparc", configurable: true });

await import("../../../mod.ts");
console.log("imported");
await import("./use.ts");
