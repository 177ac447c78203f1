/**
 * Values that tell whether they are whole: every byte follows from the size, and from 12 bytes on from a counter and the
 * writer's slot as well, which stand in front. Half of one and half of another follow from nothing.
 */

const HEADER = 12;
const FACTOR = 0x9e3779b1; // 2654435761, as in native_peer.c

/** The bytes of a value. */
export function contentOf(size: number, counter: number, slot: number): Uint8Array {
  if (size < HEADER) return Uint8Array.from({ length: size }, (_, i) => size * 37 + i * 11);
  const words = new Uint32Array(Math.ceil(size / 4));
  words.set([counter, slot, size]);
  const first = Math.imul(counter * 8 + slot, FACTOR);
  for (let i = 3; i < words.length; i++) words[i] = first + i;
  return new Uint8Array(words.buffer, 0, size);
}

/** Whose value it is, and which; `undefined` if it is too small to tell. Throws if it is not whole. */
export function checkContent(bytes: Uint8Array): { counter: number; slot: number } | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const isSmall = bytes.length < HEADER;
  const counter = isSmall ? 0 : view.getUint32(0, true);
  const slot = isSmall ? 0 : view.getUint32(4, true);
  const expected = contentOf(bytes.length, counter, slot);
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === expected[i]) continue;
    throw new Error(`Torn: byte ${i} of ${bytes.length} is ${bytes[i]}, not ${expected[i]} (writer ${slot}, value ${counter})`);
  }
  return isSmall ? undefined : { counter, slot };
}
