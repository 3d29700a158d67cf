/** Attestation results in CWT (RFC 8392): a COSE_Sign1, tagged as CWT or not, over claims in CBOR. */
import { sameBytes } from '../bytes.ts';
import { CoseError, HEADER } from '../cose/object.ts';
import { type ForeignSign1, readForeignSign1, verifyForeignSign1 } from '../cose/sign1.ts';
import type { PublicKey } from '../crypto/port.ts';
import { decodeEarCbor } from './cbor.ts';
import { checkEarDates, type EarClaims, EarError } from './claims.ts';

/** RFC 9711, section 9.2. */
export const EAR_CWT_MEDIA_TYPE = 'application/eat+cwt';
/** Tag 61 in preferred serialization. RFC 8392, section 6. */
export const CWT_PREFIX = Uint8Array.of(0xd8, 61);
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

/** The COSE object behind tag 61, if there is one. */
const withoutTag = (bytes: Uint8Array): Uint8Array =>
  sameBytes(bytes.subarray(0, CWT_PREFIX.length), CWT_PREFIX) ? bytes.subarray(CWT_PREFIX.length) : bytes;
