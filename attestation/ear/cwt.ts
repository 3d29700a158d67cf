/** Attestation results in CWT (RFC 8392): a COSE_Sign1, tagged as CWT or not, over claims in CBOR. */
import { Tag } from 'cbor-x';
import { type CborValue, encodeCbor } from '../cbor.ts';
import { readCbor } from '../corim/read-cbor.ts';
import { CoseError, HEADER } from '../cose/object.ts';
import { type ForeignSign1, readForeignSign1, verifyForeignSign1 } from '../cose/sign1.ts';
import type { PublicKey } from '../crypto/port.ts';
import { decodeEarCbor } from './cbor.ts';
import { checkEarDates, type EarClaims, EarError } from './claims.ts';

/** RFC 9711, section 9.2. */
export const EAR_CWT_MEDIA_TYPE = 'application/eat+cwt';
export const TAG_CWT = 61;
/** `typ` of RFC 9596. */
export const HEADER_TYPE = 16;

/** The key of an identifier (`kid`, as text), or undefined for one that is not known; the identifier is not verified. */
export type KeyFinder = (keyId: string | undefined) => PublicKey | undefined;

/** Verify and read an EAR in a CWT. Dates are compared with `now`. Throws EarError. */
export function verifyEarCwt(bytes: Uint8Array, keys: PublicKey | KeyFinder, now: Date): EarClaims {
  const object = opened(bytes);
  const keyId = object.headers.get(HEADER.keyId) ?? object.unprotected.get(HEADER.keyId);
  const name = keyId instanceof Uint8Array ? new TextDecoder().decode(keyId) : undefined;
  const key = typeof keys === 'function' ? keys(name) : keys;
  if (key === undefined) throw new EarError('ear-signature', `the key "${name ?? '(none)'}" is not known`);
  let payload: Uint8Array;
  try {
    ({ payload } = verifyForeignSign1(object, key));
  } catch (cause) {
    throw new EarError('ear-signature', 'the signature does not verify under this key', cause);
  }
  const claims = decodeEarCbor(payload);
  checkEarDates(claims, now);
  return claims;
}

function opened(bytes: Uint8Array): ForeignSign1 {
  try {
    return readForeignSign1(withoutTag(bytes), [HEADER_TYPE]);
  } catch (cause) {
    throw new EarError('ear-signature', cause instanceof CoseError ? cause.message : 'not a CWT', cause);
  }
}

/** The COSE object inside tag 61. */
function withoutTag(bytes: Uint8Array): Uint8Array {
  const item = readCbor(bytes);
  return item instanceof Tag && item.tag === TAG_CWT ? encodeCbor(item.value as CborValue) : bytes;
}
