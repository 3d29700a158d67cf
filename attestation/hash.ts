/**
 * Hashes by TPM_ALG_ID. Replaying a log hashes many inputs of 40 to 128 bytes, where a call's overhead is the cost: of
 * 64 bytes `crypto.hash` makes a Buffer in 0.7 microseconds, a text of one character per octet in 0.27 (a Buffer is
 * allocated outside of V8's heap), `createHash` a Buffer in 1.1, the portable library its array in 1.4. So Node's text is
 * taken where there is a Node (found at run time, for a browser has none to import), else the portable library.
 */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import { sameBytes } from './bytes.ts';

/** A hash algorithm that event logs, quotes and measurements name. TCG Algorithm Registry, table 3. */
export interface HashAlgorithm {
  /** TPM_ALG_ID. */
  readonly id: number;
  /** As OpenSSL and this project write it: `sha256`. */
  readonly name: string;
  /** Digest size in bytes. */
  readonly size: number;
  digest(bytes: Uint8Array): Uint8Array;
  /** Write the digest of `bytes` to `target` at `at`; `bytes` may be a view of the same memory. */
  digestInto(bytes: Uint8Array, target: Uint8Array, at: number): void;
  /** Whether `digest` is the digest of `bytes`. Not for secrets. */
  matches(bytes: Uint8Array, digest: Uint8Array): boolean;
}

type Portable = (bytes: Uint8Array) => Uint8Array;
type NodeHash = ((name: string, bytes: Uint8Array, encoding: 'latin1') => string) | undefined;

/** `crypto.hash` of the Node that runs this, if one does. */
function nodeHash(): NodeHash {
  const { process } = globalThis as { process?: { getBuiltinModule?: (id: string) => unknown } };
  const crypto = process?.getBuiltinModule?.('node:crypto') as { hash?: NodeHash } | undefined;
  return crypto?.hash;
}

const hashOfNode = nodeHash();

/** An algorithm over the portable library alone: what a browser runs, and the oracle of the other in tests. */
export function portable(id: number, name: string, size: number, digest: Portable): HashAlgorithm {
  return {
    id,
    name,
    size,
    digest,
    digestInto: (bytes, target, at) => target.set(digest(bytes), at),
    matches: (bytes, expected) => sameBytes(digest(bytes), expected),
  };
}

function algorithm(id: number, name: string, size: number, digest: Portable, openSslName = name): HashAlgorithm {
  if (hashOfNode === undefined) return portable(id, name, size, digest);
  const digestInto = (bytes: Uint8Array, target: Uint8Array, at: number) => {
    const text = hashOfNode(openSslName, bytes, 'latin1');
    for (let i = 0; i < size; i++) target[at + i] = text.charCodeAt(i);
  };
  return {
    id,
    name,
    size,
    digestInto,
    digest(bytes) {
      const target = new Uint8Array(size);
      digestInto(bytes, target, 0);
      return target;
    },
    matches(bytes, expected) {
      const text = hashOfNode(openSslName, bytes, 'latin1');
      for (let i = 0; i < size; i++) if (expected[i] !== text.charCodeAt(i)) return false;
      return expected.length === size;
    },
  };
}

export const SHA1 = algorithm(0x0004, 'sha1', 20, sha1);
export const SHA256 = algorithm(0x000b, 'sha256', 32, sha256);
export const SHA384 = algorithm(0x000c, 'sha384', 48, sha384);
export const SHA512 = algorithm(0x000d, 'sha512', 64, sha512);
const SHA3_256 = algorithm(0x0027, 'sha3-256', 32, sha3_256);
const SHA3_384 = algorithm(0x0028, 'sha3-384', 48, sha3_384);
const SHA3_512 = algorithm(0x0029, 'sha3-512', 64, sha3_512);

const ALL = [SHA1, SHA256, SHA384, SHA512, SHA3_256, SHA3_384, SHA3_512];
const BY_ID = new Map(ALL.map((hash) => [hash.id, hash]));
const BY_NAME = new Map(ALL.map((hash) => [hash.name, hash]));

/** By TPM_ALG_ID; undefined for one that cannot be computed here (SM3 among them). */
export const hashById = (id: number): HashAlgorithm | undefined => BY_ID.get(id);

/** By name, such as `sha256`. */
export const hashByName = (name: string): HashAlgorithm | undefined => BY_NAME.get(name);

/** Digest sizes in bytes by TPM_ALG_ID, of every bank that a log may carry; SM3-256 is carried but not computed. */
export const DIGEST_SIZES: ReadonlyMap<number, number> = new Map([
  ...ALL.map(({ id, size }): [number, number] => [id, size]),
  [0x0012, 32],
]);
