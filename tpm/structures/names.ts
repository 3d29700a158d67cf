/** Names of entities. Part 1, section 16. Synchronous and free of node: imports, for verifiers in a browser. */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { sha3_256, sha3_384, sha3_512 } from '@noble/hashes/sha3.js';
import { encode } from './codec.ts';
import { TPM_ALG, TPM_RC } from './constants.ts';
import { TpmError } from './errors.ts';
import { TPMS_NV_PUBLIC } from './nv.ts';
import { TPMT_PUBLIC_OR_NULL } from './objects.ts';

const HASHES: Readonly<Record<number, (data: Uint8Array) => Uint8Array>> = {
  [TPM_ALG.SHA1]: sha1,
  [TPM_ALG.SHA256]: sha256,
  [TPM_ALG.SHA384]: sha384,
  [TPM_ALG.SHA512]: sha512,
  [TPM_ALG.SHA3_256]: sha3_256,
  [TPM_ALG.SHA3_384]: sha3_384,
  [TPM_ALG.SHA3_512]: sha3_512,
};

/** The digest of `data` by a TPM_ALG_ID; TPM_RC_HASH for an algorithm that is none. */
export function digest(alg: number, data: Uint8Array): Uint8Array {
  const hash = HASHES[alg];
  if (hash === undefined) throw new TpmError(TPM_RC.HASH);
  return hash(data);
}

/** A name: the algorithm's identifier, then the digest. */
export function nameOf(alg: number, value: Uint8Array): Uint8Array {
  const name = new Uint8Array(2 + value.length);
  name[0] = alg >> 8;
  name[1] = alg & 0xff;
  name.set(value, 2);
  return name;
}

/** What names are hashed by: a crypto provider, where one is at hand. */
export interface Hasher {
  hash(alg: number, data: Uint8Array): Uint8Array;
}

const PORTABLE: Hasher = { hash: digest };

/** The name of an object: nameAlg || H(TPMT_PUBLIC); empty for TPM_ALG_NULL. */
export function objectName(publicArea: TPMT_PUBLIC_OR_NULL, hasher: Hasher = PORTABLE): Uint8Array {
  if (publicArea.nameAlg === TPM_ALG.NULL) return new Uint8Array(0);
  return nameOf(publicArea.nameAlg, hasher.hash(publicArea.nameAlg, encode(TPMT_PUBLIC_OR_NULL, publicArea)));
}

/** The name of an NV index: nameAlg || H(TPMS_NV_PUBLIC). */
export function nvName(nvPublic: TPMS_NV_PUBLIC): Uint8Array {
  return nameOf(nvPublic.nameAlg, digest(nvPublic.nameAlg, encode(TPMS_NV_PUBLIC, nvPublic)));
}

/** The name of a PCR, session or permanent entity: its handle, big-endian. */
export function handleName(handle: number): Uint8Array {
  return Uint8Array.of(handle >>> 24, handle >>> 16, handle >>> 8, handle);
}
