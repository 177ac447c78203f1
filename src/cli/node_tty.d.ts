/** The part of Node's `node:tty` that the command uses: all three runtimes have it, none of their typings is needed. */
declare module "node:tty" {
  function isatty(fd: number): boolean;
}
