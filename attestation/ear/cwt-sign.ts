/** Signing of attestation results in CWT. */
import type { KeyObject } from 'node:crypto';
import { concatBytes } from '../bytes.ts';
import type { CborValue } from '../cbor.ts';
import { HEADER } from '../cose/object.ts';
import { signSign1 } from '../cose/sign.ts';
import { encodeEarCbor } from './cbor.ts';
import { parseEarClaims } from './claims.ts';
import { CWT_PREFIX, EAR_CWT_MEDIA_TYPE, HEADER_TYPE } from './cwt.ts';

/**
 * The claims set of a JWT as a signed CWT: tag 61 over a COSE_Sign1 with `typ` and the key's identifier protected.
 * The algorithm is the key's. Throws EarError for claims that are not those of an EAR.
 */
export function signEarCwt(claims: unknown, key: KeyObject, keyId: string): Uint8Array {
  const headers = new Map<number | string, CborValue>([
    [HEADER.keyId, new TextEncoder().encode(keyId)],
    [HEADER_TYPE, EAR_CWT_MEDIA_TYPE],
  ]);
  return concatBytes(CWT_PREFIX, signSign1(encodeEarCbor(parseEarClaims(claims)), key, headers));
}

/** Which form of a result an `Accept` header asks for; JWT where it does not say. RFC 9110, section 12.5.1. */
export function resultForm(accept: string | undefined): 'jwt' | 'cwt' {
  const weights = new Map<string, number>();
  for (const range of (accept ?? '').toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    weights.set(type, quality === undefined ? 1 : Number(quality) || 0);
  }
  return (weights.get(EAR_CWT_MEDIA_TYPE) ?? 0) > (weights.get('application/eat+jwt') ?? 0) ? 'cwt' : 'jwt';
}
