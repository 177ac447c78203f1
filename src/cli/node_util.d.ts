/** The part of Node's `node:util` that the command uses: all three runtimes have it, none of their typings is needed. */
declare module "node:util" {
  interface ParseArgsOptionsConfig {
    readonly [name: string]: { readonly type: "boolean" | "string" };
  }

  interface ParseArgsConfig<T extends ParseArgsOptionsConfig> {
    readonly args: string[];
    readonly options: T;
    readonly allowPositionals?: boolean;
    readonly strict?: boolean;
    readonly tokens?: boolean;
  }

  interface ParsedArgs<T extends ParseArgsOptionsConfig> {
    readonly values: { readonly [Name in keyof T]?: T[Name]["type"] extends "boolean" ? boolean : string };
    readonly positionals: string[];
    readonly tokens: readonly { readonly kind: "option" | "positional" | "option-terminator"; readonly index: number }[];
  }

  function parseArgs<const T extends ParseArgsOptionsConfig>(config: ParseArgsConfig<T>): ParsedArgs<T>;
}
