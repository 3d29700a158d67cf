/** Attestation results in JWT, verified by jose. */
import { type CryptoKey, compactVerify, type JWK } from 'jose';
import { checkEarDates, type EarClaims, EarError, parseEarClaims } from './claims.ts';

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'EdDSA', 'PS256', 'RS256'];

/** Verify and read an EAR in a JWT. Dates are compared with `now`. Throws EarError. A key in its header is not asked. */
export async function verifyEarJwt(token: string, key: CryptoKey | JWK, now: Date): Promise<EarClaims> {
  let payload: Uint8Array;
  try {
    ({ payload } = await compactVerify(token, key, { algorithms: ALGORITHMS }));
  } catch (cause) {
    throw new EarError('ear-signature', 'the signature does not verify under this key', cause);
  }
  const claims = parseEarClaims(parseJson(payload));
  checkEarDates(claims, now);
  return claims;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new EarError('ear-claims', 'the payload is not JSON', cause);
  }
}
