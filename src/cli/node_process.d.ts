/** The part of Node's `node:process` that the command uses: all three runtimes have it, none of their typings is needed. */
declare module "node:process" {
  const process: {
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly execArgv: readonly string[];
    readonly versions: Readonly<Record<string, string | undefined>>;
    geteuid(): number;
    getegid(): number;
    getgroups(): number[];
  };
  export default process;
}
