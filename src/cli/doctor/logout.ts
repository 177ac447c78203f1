/**
 * The check of `RemoveIPC`: systemd may remove an ordinary user's files in `/dev/shm` at the last logout.
 *
 * @module
 */

import { type Finding, ok, warning } from "./finding.ts";
import type { System } from "./system.ts";

/** Where systemd looks for its configuration, in descending order of precedence. */
const CONFIGURATION = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
const LAST_SYSTEM_UID = 999;

/** Does what is in the directory vanish at the last logout? */
export function checkLogout(system: System, path: string): Finding {
  const fine = (why: string): Finding => ok("logout", `nothing vanishes at logout: ${why}`);
  if (system.look("/run/systemd/system").type !== "directory") return fine("systemd does not run here");
  if (!`${system.resolve(path) ?? path}/`.startsWith("/dev/shm/")) return fine("the directory is not in /dev/shm");
  if (system.uid <= lastSystemUid(system)) return fine(`user ${system.uid} is a system user`);
  const user = userName(system);
  if (user !== undefined && system.look(`/var/lib/systemd/linger/${user}`).type === "file") return fine(`${user} lingers`);
  if (!removesIpc(system)) return fine("RemoveIPC=no");
  return warning(
    "logout",
    `systemd removes what user ${system.uid} has in /dev/shm at the last logout (RemoveIPC=yes), also under running programs`,
    "loginctl enable-linger, or RemoveIPC=no in /etc/systemd/logind.conf, or a --directory elsewhere",
  );
}

function lastSystemUid(system: System): number {
  return Number(/^\s*SYS_UID_MAX\s+(\d+)/m.exec(system.read("/etc/login.defs") ?? "")?.[1] ?? LAST_SYSTEM_UID);
}

function userName(system: System): string | undefined {
  const fields = (system.read("/etc/passwd") ?? "").split("\n").map((line) => line.split(":"));
  return fields.find(([, , uid]) => uid === String(system.uid))?.[0];
}

/** The last word wins: first logind.conf, then the drop-ins in the order of their names. */
function removesIpc(system: System): boolean {
  const main = CONFIGURATION.map((directory) => system.read(`${directory}/logind.conf`)).find((text) => text !== undefined);
  const dropIns = new Map<string, string>();
  for (const directory of CONFIGURATION.map((directory) => `${directory}/logind.conf.d`)) {
    for (const name of system.names(directory)) {
      if (name.endsWith(".conf") && !dropIns.has(name)) dropIns.set(name, system.read(`${directory}/${name}`) ?? "");
    }
  }
  const texts = [main ?? "", ...[...dropIns].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text)];
  return texts.reduce((removes, text) => settingIn(text) ?? removes, true);
}

/** What a file says of `RemoveIPC`, the last time that it says something. */
function settingIn(text: string): boolean | undefined {
  let section = "";
  let setting: boolean | undefined;
  for (const line of text.split("\n").map((line) => line.trim())) {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const value = /^RemoveIPC\s*=\s*(.*)$/.exec(line)?.[1]?.toLowerCase();
    if (section !== "Login" || value === undefined) continue;
    if (["1", "yes", "y", "true", "t", "on"].includes(value)) setting = true;
    if (["0", "no", "n", "false", "f", "off"].includes(value)) setting = false;
  }
  return setting;
}
