/** Sealed blobs: docs/sealed-blob.md. What a blob opens to is decided by which key can be derived for the caller. */

import type { CborValue } from '../../attestation/cbor.ts';
import {
  CoseError,
  decryptEncrypt0,
  encrypt0Headers,
  encryptEncrypt0,
  type Headers,
} from '../../attestation/cose/index.ts';
import { SERVICE_ERROR } from './abi.ts';
import type { NexusKeys, SealSelector } from './keys.ts';
import { ServiceError } from './requests.ts';

export const SEAL_DATA_MAX = 64 * 1024;
/** The largest blob there is: data, headers and tag. */
export const SEALED_BLOB_MAX = SEAL_DATA_MAX + 1024;
const VERSION = 1;
const DIGEST_SIZE = 32;

/** The code that seals or unseals. Digests are 32 bytes. */
export interface CodeIdentity {
  readonly identity: Uint8Array;
  readonly signer: Uint8Array;
  readonly svn: number;
}

export interface Unsealed {
  /** Code identity and security version of the sealer. */
  readonly sealer: Uint8Array;
  readonly sealerSvn: number;
  /** Counter value that the blob is bound to; undefined when it is not. */
  readonly counter: bigint | undefined;
  readonly data: Uint8Array;
}

/** Seal for `selector` on behalf of `sealer`; with `counter`, bound to that value of the partition's counter 0. */
export function sealBlob(
  keys: NexusKeys,
  sealer: CodeIdentity,
  selector: SealSelector,
  counter: bigint | undefined,
  data: Uint8Array,
): Uint8Array {
  refuseTooLarge(data);
  const headers = new Map<number | string, CborValue>([
    ['v', VERSION],
    ['to', selector.kind],
    ['by', sealer.identity],
    ['bysvn', sealer.svn],
  ]);
  if (selector.kind === 'identity') headers.set('sel', selector.identity);
  else headers.set('sel', selector.signer).set('svn', selector.minimumSvn);
  if (counter !== undefined) headers.set('ctr', Number(counter));
  const key = keys.sealingKey(selector);
  try {
    return encryptEncrypt0(data, key, headers);
  } finally {
    key.fill(0);
  }
}

/** What is longer could be encrypted, and never be opened again. */
function refuseTooLarge(data: Uint8Array): void {
  if (data.length <= SEAL_DATA_MAX) return;
  throw new ServiceError(SERVICE_ERROR.BAD_INPUT, `${data.length} bytes to seal; at most ${SEAL_DATA_MAX}`);
}

/**
 * Open a blob as `caller`, whose counter 0 stands at `counter`. Throws ServiceError: UNSEAL_REFUSED (malformed,
 * tampered, or sealed to somebody else), SVN_TOO_LOW, ROLLED_BACK.
 */
export function unsealBlob(keys: NexusKeys, caller: CodeIdentity, counter: bigint, blob: Uint8Array): Unsealed {
  const { selector, key, minimumSvn } = selectKey(keys, caller, blob);
  try {
    const { headers, plaintext } = decryptEncrypt0(blob, key);
    // Authenticated from here on: what follows is what the sealer said.
    const sealer = headers.get('by');
    const sealerSvn = headers.get('bysvn');
    const bound = headers.get('ctr');
    if (!(sealer instanceof Uint8Array) || typeof sealerSvn !== 'number') throw refused('the blob names no sealer');
    if (caller.svn < minimumSvn) {
      throw new ServiceError(SERVICE_ERROR.SVN_TOO_LOW, `${selector} of version ${minimumSvn} or later only`);
    }
    if (typeof bound === 'number' && BigInt(bound) < counter) {
      throw new ServiceError(SERVICE_ERROR.ROLLED_BACK, `bound to counter ${bound}, which stands at ${counter}`);
    }
    return { sealer, sealerSvn, counter: typeof bound === 'number' ? BigInt(bound) : undefined, data: plaintext };
  } catch (error) {
    if (error instanceof CoseError) throw refused(error.message);
    throw error;
  } finally {
    key.fill(0);
  }
}

/**
 * The key that `caller` may use on this blob. It is made of the caller's own identity or signer, never of what the blob
 * claims; of the blob only the kind of selector and the minimum version are taken, and a lie there gives a wrong key.
 */
function selectKey(keys: NexusKeys, caller: CodeIdentity, blob: Uint8Array) {
  const headers = readHeaders(blob);
  if (headers.get('v') !== VERSION) throw refused('another version of the format');
  const selector = headers.get('to');
  if (selector === 'identity') {
    const key = keys.sealingKey({ kind: 'identity', identity: caller.identity });
    return { selector, minimumSvn: 0, key };
  }
  const minimumSvn = headers.get('svn');
  if (selector !== 'signer' || typeof minimumSvn !== 'number' || !isU32(minimumSvn)) throw refused('unknown selector');
  const key = keys.sealingKey({ kind: 'signer', signer: caller.signer, minimumSvn });
  return { selector, minimumSvn, key };
}

function readHeaders(blob: Uint8Array): Headers {
  if (blob.length > SEALED_BLOB_MAX) throw refused(`a blob of ${blob.length} bytes`);
  try {
    return encrypt0Headers(blob);
  } catch (error) {
    throw refused(error instanceof Error ? error.message : 'malformed');
  }
}

/** Seal bytes to this platform and nexus, for its operator. Throws ServiceError BAD_INPUT. */
export function sealToPlatform(keys: NexusKeys, data: Uint8Array): Uint8Array {
  refuseTooLarge(data);
  const key = keys.operatorKey();
  try {
    const headers = new Map<string, CborValue>([
      ['v', VERSION],
      ['to', 'platform'],
      ['by', new Uint8Array(DIGEST_SIZE)],
      ['bysvn', 0],
    ]);
    return encryptEncrypt0(data, key, headers);
  } finally {
    key.fill(0);
  }
}

/** Open what `sealToPlatform` made. Throws ServiceError UNSEAL_REFUSED. */
export function unsealFromPlatform(keys: NexusKeys, blob: Uint8Array): Uint8Array {
  const headers = readHeaders(blob);
  if (headers.get('v') !== VERSION || headers.get('to') !== 'platform') {
    throw refused('the blob is sealed to a partition; only that partition opens it');
  }
  const key = keys.operatorKey();
  try {
    return decryptEncrypt0(blob, key).plaintext;
  } catch (error) {
    if (error instanceof CoseError)
      throw refused('the blob was sealed on another platform or by another nexus, or was changed since');
    throw error;
  } finally {
    key.fill(0);
  }
}

const isU32 = (value: number) => Number.isInteger(value) && value >= 0 && value <= 0xffffffff;
const refused = (message: string) => new ServiceError(SERVICE_ERROR.UNSEAL_REFUSED, message);
