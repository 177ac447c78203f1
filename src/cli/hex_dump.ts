/**
 * Bytes as `hexdump -C` shows them.
 *
 * @module
 */

const ROW = 16;

/**
 * Dumps bytes that come in pieces, each but the last a multiple of 16 long. Rows that repeat are one `*`; the last line is
 * the length.
 */
export function* hexDump(pieces: Iterable<Uint8Array>): Generator<string> {
  let at = 0;
  let last: Uint8Array | undefined;
  let starred = false;
  for (const piece of pieces) {
    for (let from = 0; from < piece.length; from += ROW) {
      const bytes = piece.subarray(from, from + ROW);
      const repeats = last !== undefined && bytes.length === ROW && bytes.every((byte, i) => byte === last![i]);
      if (!repeats) yield row(at, bytes);
      else if (!starred) yield "*";
      starred = repeats;
      last = bytes;
      at += bytes.length;
    }
  }
  yield offset(at);
}

/** One line: offset, bytes, and the printable ones as text. */
export function row(at: number, bytes: Uint8Array): string {
  const hex = Array.from({ length: ROW }, (_, i) => i < bytes.length ? bytes[i]!.toString(16).padStart(2, "0") : "  ");
  const ascii = Array.from(bytes, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
  return `${offset(at)}  ${hex.slice(0, 8).join(" ")}  ${hex.slice(8).join(" ")}  |${ascii}|`;
}

function offset(at: number): string {
  return at.toString(16).padStart(8, "0");
}
