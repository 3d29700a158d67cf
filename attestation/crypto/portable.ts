/** Verification without a Node: noble's curves, and RSA with its public exponent over the language's integers. */
import { ed25519 } from '@noble/curves/ed25519.js';
import * as asn1js from 'asn1js';
import { concatBytes, fromBase64Url, fromHex, sameBytes, toBase64Url, toHex } from '../bytes.ts';
import { type HashAlgorithm, hashByName } from '../hash.ts';
import { type CurvePoint, DIGEST_INFO, DigestKey } from './digest-signatures.ts';
import {
  CURVE_NAMES,
  CURVE_SIZES,
  type Curve,
  type DigestScheme,
  type HashName,
  type PublicJwk,
  type PublicKey,
  type Verification,
} from './port.ts';

interface RsaNumbers {
  readonly n: bigint;
  readonly e: bigint;
  /** Of the modulus, in bytes. */
  readonly size: number;
}

interface PointKey extends CurvePoint {
  readonly digests: DigestKey;
}

/** A key of this provider: what node:crypto would tell of it, and its numbers. */
class PortableKey implements PublicKey {
  readonly asymmetricKeyType: 'ec' | 'rsa' | 'ed25519';
  readonly asymmetricKeyDetails: { readonly namedCurve?: string };
  readonly numbers: PointKey | RsaNumbers | Uint8Array;

  constructor(type: 'ec' | 'rsa' | 'ed25519', numbers: PointKey | RsaNumbers | Uint8Array) {
    this.asymmetricKeyType = type;
    this.asymmetricKeyDetails = 'curve' in numbers ? { namedCurve: CURVE_NAMES[numbers.curve] } : {};
    this.numbers = numbers;
  }
}

/** Larger moduli and exponents are nobody's, and would cost whoever verifies. */
const MAX_MODULUS_BYTES = 1024;
const MAX_EXPONENT = 0xffff_ffffn;
const ED25519_SIZE = 32;

export const portableVerification: Verification = {
  importJwk,
  importSpki,
  exportJwk,
  verify(scheme, message, signature, key) {
    if (scheme.type === 'ed25519') return verifyEd25519(message, signature, numbersOf(key, 'ed25519') as Uint8Array);
    const hash = hashNamed(scheme.hash);
    if (scheme.type !== 'rsapss') return verifyDigest(scheme, hash.digest(message), signature, key);
    const numbers = numbersOf(key, 'rsa') as RsaNumbers;
    const block = openRsa(numbers, signature);
    return block !== undefined && isPss(block, hash, hash.digest(message), scheme.saltLength);
  },
  verifyDigest,
};

function verifyDigest(scheme: DigestScheme, digest: Uint8Array, signature: Uint8Array, key: PublicKey): boolean {
  if (scheme.type === 'ecdsa') return (numbersOf(key, 'ec') as PointKey).digests.verify(digest, signature);
  const numbers = numbersOf(key, 'rsa') as RsaNumbers;
  const block = openRsa(numbers, signature);
  const info = concatBytes(fromHex(DIGEST_INFO[scheme.hash]), digest);
  const padding = numbers.size - info.length - 3;
  if (block === undefined || padding < 8) return false;
  const head = concatBytes(Uint8Array.of(0, 1), new Uint8Array(padding).fill(0xff), Uint8Array.of(0));
  return sameBytes(block, concatBytes(head, info));
}

/** The numbers of a key of one type; the caller knows which ones those are. */
function numbersOf(key: PublicKey, type: 'ec' | 'rsa' | 'ed25519') {
  if (key instanceof PortableKey && key.asymmetricKeyType === type) return key.numbers;
  throw new Error(`a signature of type ${type} under a key of type ${key.asymmetricKeyType}`);
}

function verifyEd25519(message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, key);
  } catch {
    // A signature of another length.
    return false;
  }
}

function importJwk(jwk: PublicJwk): PublicKey {
  if (jwk.kty === 'RSA') return rsaKey(fromBase64Url(jwk.n), fromBase64Url(jwk.e));
  if (jwk.kty === 'OKP') return ed25519Key(fromBase64Url(jwk.x));
  return pointKey(jwk.crv, fromBase64Url(jwk.x), fromBase64Url(jwk.y));
}

function exportJwk(key: PublicKey): PublicJwk {
  if (!(key instanceof PortableKey)) throw new Error('a key of another provider');
  const { numbers } = key;
  if (numbers instanceof Uint8Array) return { kty: 'OKP', crv: 'Ed25519', x: toBase64Url(numbers) };
  if ('n' in numbers) return { kty: 'RSA', n: toBase64Url(octets(numbers.n)), e: toBase64Url(octets(numbers.e)) };
  return { kty: 'EC', crv: numbers.curve, x: toBase64Url(numbers.x), y: toBase64Url(numbers.y) };
}

function octets(number: bigint): Uint8Array {
  const hex = number.toString(16);
  return fromHex(hex.padStart(hex.length + (hex.length % 2), '0'));
}

const CURVE_OIDS: Readonly<Record<string, Curve>> = {
  '1.2.840.10045.3.1.7': 'P-256',
  '1.3.132.0.34': 'P-384',
  '1.3.132.0.35': 'P-521',
};
const OID_EC = '1.2.840.10045.2.1';
const OID_RSA = '1.2.840.113549.1.1.1';
const OID_ED25519 = '1.3.101.112';

function importSpki(der: Uint8Array): PublicKey {
  const { result, offset } = asn1js.fromBER(Uint8Array.from(der));
  const [algorithm, bits] = result instanceof asn1js.Sequence ? result.valueBlock.value : [];
  const [oid, parameters] = algorithm instanceof asn1js.Sequence ? algorithm.valueBlock.value : [];
  if (offset !== der.length || !(oid instanceof asn1js.ObjectIdentifier) || !(bits instanceof asn1js.BitString)) {
    throw new Error('not a SubjectPublicKeyInfo');
  }
  const key = Uint8Array.from(bits.valueBlock.valueHexView);
  const kind = oid.valueBlock.toString();
  if (kind === OID_ED25519) return ed25519Key(key);
  if (kind === OID_RSA) {
    const { result: pair } = asn1js.fromBER(key);
    const [n, e] = pair instanceof asn1js.Sequence ? pair.valueBlock.value : [];
    if (n instanceof asn1js.Integer && e instanceof asn1js.Integer) {
      return rsaKey(n.valueBlock.valueHexView, e.valueBlock.valueHexView);
    }
  }
  if (kind === OID_EC && parameters instanceof asn1js.ObjectIdentifier && key[0] === 4) {
    const curve = CURVE_OIDS[parameters.valueBlock.toString()];
    const size = (key.length - 1) / 2;
    if (curve !== undefined) return pointKey(curve, key.subarray(1, 1 + size), key.subarray(1 + size));
  }
  throw new Error('a key that is neither RSA, nor of a NIST curve, nor Ed25519');
}

function pointKey(curve: Curve, x: Uint8Array, y: Uint8Array): PublicKey {
  if (x.length !== CURVE_SIZES[curve] || y.length !== CURVE_SIZES[curve])
    throw new Error('coordinates of another size');
  return new PortableKey('ec', { curve, x, y, digests: new DigestKey({ curve, x, y }) });
}

function ed25519Key(key: Uint8Array): PublicKey {
  if (key.length !== ED25519_SIZE) throw new Error(`an Ed25519 key of ${key.length} bytes`);
  return new PortableKey('ed25519', key);
}

function rsaKey(modulus: Uint8Array, exponent: Uint8Array): PublicKey {
  const start = modulus.findIndex((byte) => byte !== 0);
  const [n, e] = [integer(modulus), integer(exponent)];
  const size = modulus.length - start;
  if (start < 0 || size > MAX_MODULUS_BYTES || e < 3n || e > MAX_EXPONENT || n % 2n === 0n) {
    throw new Error('not numbers of an RSA key');
  }
  return new PortableKey('rsa', { n, e, size });
}

/** signature^e mod n, as long as n; undefined for a signature of another length or not below n. */
function openRsa({ n, e, size }: RsaNumbers, signature: Uint8Array): Uint8Array | undefined {
  let base = integer(signature);
  if (signature.length !== size || base >= n) return undefined;
  let result = 1n;
  for (let bits = e; bits > 0n; bits >>= 1n) {
    if ((bits & 1n) === 1n) result = (result * base) % n;
    base = (base * base) % n;
  }
  return fromHex(result.toString(16).padStart(2 * size, '0'));
}

/** EMSA-PSS with MGF1 of the same hash. RFC 8017, section 9.1.2. */
function isPss(block: Uint8Array, hash: HashAlgorithm, digest: Uint8Array, saltLength?: number): boolean {
  const { size } = hash;
  if (block.length < size + 2 || block.at(-1) !== 0xbc || (block[0] ?? 0xff) > 0x7f) return false;
  const masked = block.subarray(0, -size - 1);
  const salted = block.subarray(-size - 1, -1);
  const mask = mgf1(hash, salted, masked.length);
  const db = masked.map((byte, at) => byte ^ (mask[at] ?? 0));
  db[0] = (db[0] ?? 0) & 0x7f;
  const one = db.findIndex((byte) => byte !== 0);
  const salt = db.subarray(one + 1);
  if (db[one] !== 1 || (saltLength !== undefined && salt.length !== saltLength)) return false;
  return sameBytes(hash.digest(concatBytes(new Uint8Array(8), digest, salt)), salted);
}

function mgf1(hash: HashAlgorithm, seed: Uint8Array, size: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(size / hash.size) }, (_, counter) =>
    hash.digest(concatBytes(seed, Uint8Array.of(0, 0, counter >> 8, counter & 0xff))),
  );
  return concatBytes(...blocks).subarray(0, size);
}

const integer = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes) || '0'}`);

function hashNamed(name: HashName): HashAlgorithm {
  const hash = hashByName(name);
  if (hash === undefined) throw new Error(`hash ${name}`);
  return hash;
}
