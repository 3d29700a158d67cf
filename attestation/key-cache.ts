/** Keys by their encoding: making a KeyObject costs as much as verifying a signature with it. */
import type { KeyObject } from 'node:crypto';

/** As many platforms as one process sees in a round of attestations; a key is about 1 KiB. */
const LIMIT = 10_000;

/** The same function, remembering what it made; the longest unused key is forgotten. Failures are not remembered. */
export function remembered(make: (encoding: Uint8Array) => KeyObject): (encoding: Uint8Array) => KeyObject {
  // A Map keeps insertion order: re-inserting on use makes its first key the longest unused.
  const known = new Map<string, KeyObject>();
  return (encoding) => {
    const name = Buffer.from(encoding.buffer, encoding.byteOffset, encoding.byteLength).toString('latin1');
    const key = known.get(name) ?? make(encoding);
    known.delete(name);
    known.set(name, key);
    if (known.size > LIMIT) {
      for (const oldest of known.keys()) {
        known.delete(oldest);
        break;
      }
    }
    return key;
  };
}
