/** The part of Node's `node:child_process` that the command uses: all three runtimes have it, none of their typings is needed. */
declare module "node:child_process" {
  interface ChildProcess {
    kill(signal: string): boolean;
    once(event: "error", listener: (error: Error & { readonly code?: string }) => void): void;
    once(event: "exit", listener: () => void): void;
  }

  function spawn(
    program: string,
    args: readonly string[],
    options: { readonly stdio: "inherit"; readonly env: Readonly<Record<string, string | undefined>> },
  ): ChildProcess;
}
