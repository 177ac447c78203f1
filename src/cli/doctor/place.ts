/**
 * Checks of the directory: may it be used, what file system is it on, does everything work in it? The first two ask no
 * library, which may be what is missing.
 *
 * @module
 */

import { list, OutOfResourcesError, QshmError, SharedMemory, SingleInstance, UnsupportedPlatformError } from "../../../mod.ts";
import type { Directory } from "../directory.ts";
import { quote, size } from "../text.ts";
import { broken, type Finding, ok, warning } from "./finding.ts";
import { oneLine } from "./host.ts";
import type { System } from "./system.ts";

const OTHER = "choose another directory with --directory or QSHM_DIRECTORY";

/** May the directory be used, or made? The library decides by the same rules. */
export function checkDirectory(system: System, directory: Directory): Finding {
  const { path, chosenBy } = directory;
  const isDefault = chosenBy === "default";
  const name = `${quote(path)} (${isDefault ? "the default" : `from ${chosenBy}`})`;
  const found = system.look(path);
  const refuse = (why: string, remedy: string): Finding => broken("directory", `${name} ${why}`, remedy);
  switch (found.type) {
    case "error":
      if (found.code !== "ENOENT") return refuse(`cannot be reached: ${found.code}`, OTHER);
      return isDefault ? checkParent(system, path, name) : refuse("does not exist", `mkdir -m 700 ${quote(path)}`);
    case "link":
      return refuse(
        "is a symbolic link",
        isDefault ? removeIt(path) : `name what it leads to: ${quote(system.resolve(path) ?? "nothing")}`,
      );
    case "file":
    case "other":
      return refuse("is no directory", isDefault ? removeIt(path) : OTHER);
  }
  const { mode, uid, gid } = found;
  const permissions = `mode ${mode.toString(8).padStart(4, "0")}`;
  if (isDefault && (mode & 0o077) !== 0) return refuse(`is open to others (${permissions})`, `chmod 700 ${quote(path)}`);
  if ((mode & 0o002) !== 0) return refuse(`is open to others (${permissions})`, `chmod o-w ${quote(path)}, or ${OTHER}`);
  const shared = !isDefault && (mode & 0o020) !== 0 && system.groups.includes(gid);
  if (shared && (mode & 0o1000) !== 0) {
    const why = "what one user's crash leaves there no other could remove";
    return refuse(`is sticky (${permissions}): ${why}`, `chmod -t ${quote(path)}`);
  }
  if (uid !== system.uid && !shared && (isDefault || uid !== 0)) {
    return refuse(`belongs to user ${uid}`, isDefault ? `have user ${uid} or root remove it; until then ${OTHER}` : OTHER);
  }
  const writable = system.writable(path);
  // The library gives the default directory the owner's bits back that a umask took.
  if (writable !== true && !(isDefault && writable === "EACCES")) return refuse(unwritable(writable), OTHER);
  const whose = shared ? `shared with group ${gid}` : uid === system.uid ? "yours" : `user ${uid}'s`;
  return ok("directory", `${name}, ${permissions}, ${whose}`);
}

function checkParent(system: System, path: string, name: string): Finding {
  const parent = parentOf(path);
  const refuse = (why: string, remedy: string): Finding => broken("directory", `${name} cannot be made: ${why}`, remedy);
  if (system.look(parent).type !== "directory") return refuse(`there is no ${parent}`, `mount a tmpfs there, or ${OTHER}`);
  const writable = system.writable(parent);
  if (writable !== true) return refuse(`${parent} ${unwritable(writable)}`, OTHER);
  return ok("directory", `${name} is made on first use`);
}

function unwritable(code: string): string {
  return code === "EROFS" ? "is on a read-only file system" : `may not be written to: ${code}`;
}

function removeIt(path: string): string {
  return `find out who put it there, and remove it: rm ${quote(path)}`;
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** What Docker gives a container. */
const SMALL = 64 << 20;
/** A guard takes 84 KiB. */
const FULL = 256 << 10;
/** Files that several machines share, or that a program makes up. */
const REMOTE = /^(9p|afs|ceph|cifs|coda|fhgfs|fuse.*|gfs2|lustre|ncpfs|nfs\d?|ocfs2|smb.*|virtiofs)$/;

/** What is the directory on, and is there room? `undefined` if there is no directory to ask about. */
export function checkFileSystem(system: System, { path, chosenBy }: Directory): Finding | undefined {
  const real = system.resolve(path) ?? (chosenBy === "default" ? system.resolve(parentOf(path)) : undefined);
  if (real === undefined) return undefined;
  const check = "file system";
  const type = fileSystemType(system, real) ?? "of a type that is not known";
  if (REMOTE.test(type)) {
    return broken(check, `${type}, where locks or mappings do not hold`, `use a local file system: ${OTHER}`);
  }
  const space = system.space(real);
  if (space === undefined) return ok(check, type);
  const found = `${type}, ${size(space.free)} free of ${size(space.total)}`;
  if (space.filesExhausted) return broken(check, `${found}, and no room for another file`, `remove some, or ${OTHER}`);
  if (space.free < FULL) {
    return broken(check, `${found}: it is full`, `free space there (qshm list shows what qshm uses), or ${OTHER}`);
  }
  if (space.total <= SMALL) {
    const remedy = `give it more (in Docker --shm-size=1g), or ${OTHER}`;
    return warning(check, `${found}: that is little, and full means OutOfResourcesError`, remedy);
  }
  return ok(check, found);
}

/** The type of the mount that a path lies on: the last of those whose point is its longest prefix. */
function fileSystemType(system: System, path: string): string | undefined {
  let longest = -1;
  let type: string | undefined;
  for (const line of (system.read("/proc/self/mountinfo") ?? "").split("\n")) {
    const [before, after] = line.split(" - ");
    const point = before!.split(" ")[4]?.replace(/\\(\d{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
    if (point === undefined || after === undefined || point.length < longest) continue;
    if (path !== point && !path.startsWith(point === "/" ? "/" : `${point}/`)) continue;
    longest = point.length;
    type = after.split(" ")[0];
  }
  return type;
}

/** Does all of it work? A memory and a guard are really made, and go again. */
export async function tryOut(place: { directory?: string }): Promise<Finding> {
  const check = "trial";
  const key = `qshm-doctor-${crypto.randomUUID()}`;
  try {
    using memory = SharedMemory.create(key, 1, place);
    using lock = memory.tryLock();
    using another = SharedMemory.attach(key, place);
    using anotherLock = another.tryLock();
    using _guard = await SingleInstance.acquire(key, { ...place, args: [] });
    using anotherGuard = SingleInstance.tryAcquire(key, place);
    if (lock === undefined || anotherLock !== undefined || anotherGuard !== undefined) {
      return broken(check, "a lock that is held does not keep others out", OTHER);
    }
    return ok(check, "a memory, a lock and a guard were made, and worked");
  } catch (error) {
    if (!(error instanceof QshmError)) throw error;
    const remedy = error instanceof OutOfResourcesError
      ? `free space in the directory, or raise ulimit -n; or ${OTHER}`
      : error instanceof UnsupportedPlatformError
      ? `use a local file system, and a system with open-file-description locks (neither proot nor an old gVisor): ${OTHER}`
      : OTHER;
    return broken(check, oneLine(error.message), remedy);
  }
}

/** What did crashes leave? To tell, the library looks at the directory, and has the last word on whether it can be used. */
export function countDead(place: { directory?: string }): Finding {
  let dead: number;
  try {
    dead = list(place).filter(({ state, persistent }) => state === "dead" && !persistent).length;
  } catch (error) {
    if (!(error instanceof QshmError)) throw error;
    return broken("access", oneLine(error.message), OTHER);
  }
  const advice = "harmless, their next users reclaim them; qshm remove --dead removes them now";
  return ok("left over", dead === 0 ? "nothing" : `${dead} dead: ${advice}`);
}
