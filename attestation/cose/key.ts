/** COSE_Key: public keys in CBOR. RFC 9052, section 7; RFC 9053, section 7; RFC 8230, section 4. */
import { fromBase64Url, toBase64Url } from '../bytes.ts';
import { type CborValue, encodeCbor } from '../cbor.ts';
import { CURVE_SIZES, type Curve, type PublicJwk, type PublicKey, verification } from '../crypto/port.ts';
import { SHA256 } from '../hash.ts';
import { remembered } from '../key-cache.ts';
import { algorithmOf, schemeFor } from './algorithms.ts';
import { asMap, CoseError, decodeItem, type Headers, isBytes } from './object.ts';

const LABEL = { type: 1, algorithm: 3, curve: -1, x: -2, y: -3 } as const;
/** Of RSA keys these labels mean other things. */
const RSA_LABEL = { n: -1, e: -2 } as const;
const TYPE = { OKP: 1, EC2: 2, RSA: 3 } as const;
const CURVES: ReadonlyMap<unknown, Curve> = new Map([
  [1, 'P-256'],
  [2, 'P-384'],
  [3, 'P-521'],
]);
const ED25519 = 6;
const MAX_MODULUS_BYTES = 1024;

/** A key that tells its JWK: node:crypto's KeyObject. */
export interface ExportableKey extends PublicKey {
  export(options: { readonly format: 'jwk' }): Readonly<Record<string, unknown>>;
}

/** COSE_Key of a public key, deterministic, with the algorithm it signs by. Throws CoseError for other kinds of key. */
export function encodePublicKey(key: ExportableKey): Uint8Array {
  const jwk = key.export({ format: 'jwk' }) as PublicJwk; // algorithmOf refuses other kinds
  const algorithm: [number, CborValue] = [LABEL.algorithm, algorithmOf(key)];
  const bytes = fromBase64Url;
  if (jwk.kty === 'RSA') {
    return encodeCbor(
      new Map<number, CborValue>([
        [LABEL.type, TYPE.RSA],
        algorithm,
        [RSA_LABEL.n, bytes(jwk.n)],
        [RSA_LABEL.e, bytes(jwk.e)],
      ]),
    );
  }
  if (jwk.kty === 'OKP') {
    return encodeCbor(
      new Map<number, CborValue>([[LABEL.type, TYPE.OKP], algorithm, [LABEL.curve, ED25519], [LABEL.x, bytes(jwk.x)]]),
    );
  }
  const [curve] = [...CURVES].find(([, name]) => name === jwk.crv) ?? [];
  return encodeCbor(
    new Map<number, CborValue>([
      [LABEL.type, TYPE.EC2],
      algorithm,
      [LABEL.curve, Number(curve)],
      [LABEL.x, bytes(jwk.x)],
      [LABEL.y, bytes(jwk.y)],
    ]),
  );
}

/** Parse a COSE_Key that names its algorithm and has no other members. Throws CoseError; a point off the curve is refused. */
export const decodeCoseKey = remembered((bytes) => {
  const map = asMap(decodeItem(bytes, true));
  const jwk = jwkOf(map);
  let key: PublicKey;
  try {
    key = verification().importJwk(jwk);
  } catch (cause) {
    throw new CoseError(jwk.kty === 'EC' ? 'the point is not on the curve' : 'not numbers of a key', { cause });
  }
  schemeFor(map.get(LABEL.algorithm), key);
  return key;
});

function jwkOf(map: Headers): PublicJwk {
  const x = map.get(LABEL.x);
  if (map.get(LABEL.type) === TYPE.EC2 && map.size === 5) {
    const crv = CURVES.get(map.get(LABEL.curve));
    const y = map.get(LABEL.y);
    const size = crv === undefined ? -1 : CURVE_SIZES[crv];
    if (crv !== undefined && isBytes(x, size) && isBytes(y, size)) {
      return { kty: 'EC', crv, x: toBase64Url(x), y: toBase64Url(y) };
    }
  }
  if (map.get(LABEL.type) === TYPE.OKP && map.size === 4 && map.get(LABEL.curve) === ED25519 && isBytes(x, 32)) {
    return { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(x) };
  }
  const n = map.get(RSA_LABEL.n);
  const e = map.get(RSA_LABEL.e);
  if (map.get(LABEL.type) === TYPE.RSA && map.size === 4 && n instanceof Uint8Array && e instanceof Uint8Array) {
    if (n.length <= MAX_MODULUS_BYTES && e.length <= 4) return { kty: 'RSA', n: toBase64Url(n), e: toBase64Url(e) };
  }
  throw new CoseError('not a COSE_Key of a NIST curve, of Ed25519 or of RSA');
}

/** SHA-256 of a COSE_Key: how signers and nexus keys are named. */
export const keyDigest = (coseKey: Uint8Array): Uint8Array => Uint8Array.from(SHA256.digest(coseKey));
