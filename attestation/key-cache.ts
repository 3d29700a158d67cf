/** Keys by their encoding: making a key costs as much as verifying a signature with it. */
import { latin1 } from './bytes.ts';
import type { PublicKey } from './crypto/port.ts';

/** As many platforms as one process sees in a round of attestations; a key is about 1 KiB. */
const LIMIT = 10_000;

/** The same function, remembering what it made; the longest unused key is forgotten. Failures are not remembered. */
export function remembered<Key extends PublicKey>(make: (encoding: Uint8Array) => Key): (encoding: Uint8Array) => Key {
  // A Map keeps insertion order: re-inserting on use makes its first key the longest unused.
  const known = new Map<string, Key>();
  return (encoding) => {
    const name = latin1(encoding);
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
