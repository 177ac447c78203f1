/** The part of Node's `node:process` that the command uses: all three runtimes have it, none of their typings is needed. */
declare module "node:process" {
  interface TerminalInput extends AsyncIterable<Uint8Array> {
    readonly isTTY?: boolean;
    setRawMode(isRaw: boolean): void;
    on(event: "data", listener: (bytes: Uint8Array) => void): void;
    on(event: "error", listener: () => void): void;
    resume(): void;
    pause(): void;
  }

  interface TerminalOutput {
    readonly isTTY?: boolean;
    readonly columns?: number;
    readonly rows?: number;
  }

  const process: {
    readonly pid: number;
    readonly stdin: TerminalInput;
    readonly stdout: TerminalOutput;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly execArgv: readonly string[];
    readonly versions: Readonly<Record<string, string | undefined>>;
    geteuid(): number;
    getegid(): number;
    getgroups(): number[];
    kill(pid: number, signal: string): void;
    on(event: string, listener: () => void): void;
  };
  export default process;
}
