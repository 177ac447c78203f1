/**
 * `qshm doctor`: is everything there that qshm needs, and if not, what to do.
 *
 * @module
 */

import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { directoryOf } from "./directory.ts";
import { checkContainer } from "./doctor/container.ts";
import { broken, type Finding } from "./doctor/finding.ts";
import { checkEnvironment, checkLibrary, checkOpenFiles, checkRuntime, oneLine } from "./doctor/host.ts";
import { checkLogout } from "./doctor/logout.ts";
import { checkDirectory, checkFileSystem, countDead, tryOut } from "./doctor/place.ts";
import { theSystem } from "./doctor/system.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { print } from "./output.ts";
import { table } from "./table.ts";
import { toJson } from "./text.ts";

/** `qshm doctor`. */
export const doctor: Command = {
  summary: "check that everything is there, and say what to do",
  help: `Usage: qshm doctor [OPTION...]

Checks the runtime, the library, the directory and the system; tells of each check what was found, and of what is broken
what to do. It makes a memory and a guard of its own in the directory, and removes them again.

${COMMON_HELP}

With --json: {"ok", "checks": [{"check", "state", "found", "remedy"}]}; "state" is "ok", "warning" or "broken", "remedy"
is null where there is nothing to do.

Exit status: 0 nothing is broken; 1 something is; 64 wrong usage.`,

  async run({ text }: Arguments): Promise<number> {
    const { values } = readArguments(text, COMMON, []);
    if (values.directory === "") throw new UsageError("--directory is empty");
    const findings = await examine(values.directory);
    const isBroken = findings.some(({ state }) => state === "broken");
    if (values.json === true) {
      const checks = findings.map(({ check, state, found, remedy }) => ({ check, state, found, remedy: remedy ?? null }));
      await print(toJson({ ok: !isBroken, checks }));
    } else {
      await print(table(findings.flatMap(lines)));
    }
    return isBroken ? EXIT.no : EXIT.ok;
  },
};

function lines({ check, state, found, remedy }: Finding): string[][] {
  return [[state, check, found], ...(remedy === undefined ? [] : [["", "", `=> ${remedy}`]])];
}

async function examine(option: string | undefined): Promise<Finding[]> {
  const system = await theSystem();
  const directory = await directoryOf(option);
  const place = placeOf(option);
  const findings: Finding[] = [];
  const check = async (name: string, run: () => Finding | undefined | Finding[] | Promise<Finding>): Promise<boolean> => {
    const found = [await attempt(name, run)].flat().filter((finding) => finding !== undefined);
    findings.push(...found);
    return found.every(({ state }) => state !== "broken");
  };
  await check("runtime", checkRuntime);
  const loads = await check("library", () => checkLibrary(system));
  const usable = await check("directory", () => checkDirectory(system, directory));
  const fits = await check("file system", () => checkFileSystem(system, directory));
  // Counted before the trial: making segments sweeps dead ones up.
  const accessible = loads && usable && (await check("left over", () => countDead(place)));
  if (accessible && fits) await check("trial", () => tryOut(place));
  await check("open files", () => checkOpenFiles(system));
  await check("logout", () => checkLogout(system, directory.path));
  await check("container", () => checkContainer(system, directory.path));
  await check("environment", () => checkEnvironment(system));
  return findings;
}

/** A check that fails must not keep the others from telling what they found. */
async function attempt<T>(name: string, run: () => T | Promise<T>): Promise<T | Finding> {
  try {
    return await run();
  } catch (error) {
    return broken(name, oneLine(error instanceof Error ? error.message : String(error)), "see the other findings");
  }
}
