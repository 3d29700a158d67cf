/** The providers agree on every operation, and with OpenSSL's own paddings and signatures. */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DIGEST_SIZE, TPM_ALG, TPM_ECC } from '../structures/constants.ts';
import { TpmError } from '../structures/errors.ts';
import { fromBigInt, toBigInt } from './bytes.ts';
import { Cmac } from './cmac.ts';
import { CURVES } from './curves.ts';
import { ecdaaSign, ecschnorrSign, ecschnorrVerify } from './ecc-signatures.ts';
import { loadLibcrypto } from './libcrypto.ts';
import { LibcryptoProvider } from './libcrypto-provider.ts';
import { NobleCrypto } from './noble.ts';
import { NodeCrypto } from './node.ts';
import type { RsaKey } from './provider.ts';
import {
  oaepBlock,
  oaepMessage,
  pkcs1EncryptionBlock,
  pkcs1Message,
  pkcs1SignatureBlock,
  pssBlock,
  pssMatches,
} from './rsa-padding.ts';

const libcrypto = await loadLibcrypto();
const onNode = [new NodeCrypto(), ...(libcrypto ? [new LibcryptoProvider(libcrypto)] : [])];
const noble = new NobleCrypto();
const HASHES = Object.keys(DIGEST_SIZE).map(Number);
const curveIds = Object.keys(CURVES).map(Number);
const octets = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max, size: 'max' });
const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');

it.runIf(process.platform === 'linux' && process.arch === 'x64')('Node lends its libcrypto', () => {
  expect(onNode.map(({ name }) => name)).toEqual(['node', 'libcrypto']);
});

describe.each(onNode)('noble and $name agree', (node) => {
  it('on hash, HMAC, and both in pieces', () => {
    fc.assert(
      fc.property(fc.constantFrom(...HASHES), octets(0, 300), octets(0, 300), octets(0, 200), (alg, a, b, key) => {
        expect(node.hash(alg, a, b)).toEqual(noble.hash(alg, a, b));
        expect(node.hmac(alg, key, a, b)).toEqual(noble.hmac(alg, key, a, b));
        const state = node.hmacStart(alg, key).update(a);
        const split = state.clone();
        expect(split.update(b).digest()).toEqual(noble.hmac(alg, key, a, b));
        expect(state.digest()).toEqual(noble.hmac(alg, key, a));
      }),
      { numRuns: 200 },
    );
  });

  it('on the state of a hash and an HMAC: what one exports, the other continues', () => {
    fc.assert(
      fc.property(fc.constantFrom(...HASHES), octets(0, 300), octets(0, 300), octets(0, 200), (alg, a, b, key) => {
        const state = node.hashStart(alg).update(a).export();
        expect(noble.hashResume(alg, state).export()).toEqual(state);
        expect(noble.hashResume(alg, state).update(b).digest()).toEqual(node.hash(alg, a, b));
        const mac = noble.hmacStart(alg, key).update(a).export();
        expect(node.hmacResume(alg, mac).update(b).digest()).toEqual(node.hmac(alg, key, a, b));
      }),
      { numRuns: 200 },
    );
  });

  it('on AES in every mode, and decryption undoes encryption', () => {
    const modes = fc.constantFrom('cfb', 'ctr', 'ofb', 'cbc', 'ecb');
    const keys = fc.constantFrom(16, 24, 32).chain((size) => octets(size, size));
    fc.assert(
      fc.property(modes, keys, octets(16, 16), octets(0, 100), (mode, key, iv, data) => {
        const input = mode === 'cbc' || mode === 'ecb' ? data.subarray(0, data.length & ~15) : data;
        const cipher = node.aes(mode, true, key, iv, input);
        expect(cipher).toEqual(noble.aes(mode, true, key, iv, input));
        expect(node.aes(mode, false, key, iv, cipher)).toEqual(input);
        expect(noble.aes(mode, false, key, iv, cipher)).toEqual(input);
      }),
      { numRuns: 200 },
    );
  });

  it.each(curveIds)('on points and signatures of curve %i', (curve) => {
    const { n, size } = CURVES[curve]!;
    const scalar = fc.bigInt(1n, n - 1n);
    fc.assert(
      fc.property(
        scalar,
        scalar,
        fc.constantFrom(20, 32, 48, 64).chain((s) => octets(s, s)),
        (d, k, digest) => {
          const secret = fromBigInt(d, size);
          const point = node.ecPublic(curve, secret);
          expect(point).toEqual(noble.ecPublic(curve, secret));
          expect(noble.ecOnCurve(curve, point)).toBe(true);
          expect(node.ecMultiply(curve, point, fromBigInt(k, size))).toEqual(
            noble.ecMultiply(curve, point, fromBigInt(k, size)),
          );
          expect(node.ecCombineX(curve, d, k, point)).toEqual(noble.ecCombineX(curve, d, k, point));
          for (const [signer, verifier] of [
            [node, noble],
            [noble, node],
          ] as const) {
            const { r, s } = signer.ecdsaSign(curve, secret, digest);
            expect(verifier.ecdsaVerify(curve, point, digest, r, s)).toBe(true);
            expect(verifier.ecdsaVerify(curve, point, digest, s, r)).toBe(false);
            const schnorr = ecschnorrSign(signer, curve, secret, TPM_ALG.SHA256, digest);
            expect(ecschnorrVerify(verifier, curve, point, TPM_ALG.SHA256, digest, schnorr)).toBe(true);
            const wrong = { r: schnorr.r, s: fromBigInt((toBigInt(schnorr.s) + 1n) % n, size) };
            expect(ecschnorrVerify(verifier, curve, point, TPM_ALG.SHA256, digest, wrong)).toBe(false);
          }
        },
      ),
      { numRuns: 3 },
    );
  });

  it('on the smallest scalars, whose y-coordinate is recovered at the edge', () => {
    const point = noble.ecPublic(TPM_ECC.NIST_P256, fromBigInt(5n, 32));
    const { n } = CURVES[TPM_ECC.NIST_P256]!;
    for (const k of [0n, 1n, 2n, n - 2n, n - 1n, n, n + 1n]) {
      const scalar = fromBigInt(k, 33);
      expect(node.ecMultiply(TPM_ECC.NIST_P256, point, scalar)).toEqual(
        noble.ecMultiply(TPM_ECC.NIST_P256, point, scalar),
      );
    }
  });

  it('on what is off a curve', () => {
    const point = node.ecPublic(TPM_ECC.NIST_P256, fromBigInt(7n, 32));
    const off = { x: point.x, y: fromBigInt(toBigInt(point.y) ^ 1n, 32) };
    for (const crypto of [node, noble]) {
      expect(crypto.ecOnCurve(TPM_ECC.NIST_P256, off)).toBe(false);
      expect(crypto.ecOnCurve(TPM_ECC.NIST_P256, { x: new Uint8Array(32), y: new Uint8Array(32) })).toBe(false);
      expect(crypto.ecdsaVerify(TPM_ECC.NIST_P256, off, new Uint8Array(32), point.x, point.x)).toBe(false);
      expect(() => crypto.ecOnCurve(0x20, point)).toThrow(TpmError);
    }
  });

  it('on primality, near and far from primes', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 1n << 96n), (value) => {
        expect(noble.isProbablePrime(value)).toBe(node.isProbablePrime(value));
      }),
      { numRuns: 200 },
    );
    // Carmichael number 1729, strong pseudoprime to base 2 (2047), Mersenne prime 2^521 - 1.
    for (const crypto of [node, noble]) {
      expect([1729n, 2047n, (1n << 521n) - 1n].map((value) => crypto.isProbablePrime(value))).toEqual([
        false,
        false,
        true,
      ]);
    }
  });
});

describe.each(onNode)('RSA by $name', (node) => {
  const key = node.rsaGenerate(1024, 65537);
  const privateKey = asKeyObject(key);
  const publicKey = createPublicKey(privateKey);
  const size = key.n.length;

  it('is the same power as by noble', () => {
    fc.assert(
      fc.property(octets(size - 1, size - 1), (message) => {
        const cipher = node.rsaPublic(key.n, key.e, message);
        expect(noble.rsaPublic(key.n, key.e, message)).toEqual(cipher);
        expect(noble.rsaPrivate(key, cipher)).toEqual(node.rsaPrivate(key, cipher));
      }),
      { numRuns: 10 },
    );
  });

  it('signatures are those of OpenSSL (PKCS #1 v1.5 exactly, PSS both ways)', () => {
    const message = Uint8Array.of(1, 2, 3);
    const digest = node.hash(TPM_ALG.SHA256, message);
    expect(node.rsaPrivate(key, pkcs1SignatureBlock(size, TPM_ALG.SHA256, digest))).toEqual(
      Uint8Array.from(sign('sha256', message, privateKey)),
    );
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING };
    const ours = node.rsaPrivate(key, pssBlock(node, size, TPM_ALG.SHA256, digest));
    expect(verify('sha256', message, { key: publicKey, ...pss }, ours)).toBe(true);
    const theirs = node.rsaPublic(key.n, key.e, sign('sha256', message, { key: privateKey, ...pss }));
    expect(pssMatches(node, theirs, TPM_ALG.SHA256, digest)).toBe(true);
    expect(pssMatches(node, theirs, TPM_ALG.SHA256, node.hash(TPM_ALG.SHA256, digest))).toBe(false);
  });

  it('OAEP is that of OpenSSL, with a label', () => {
    const label = Uint8Array.from(Buffer.from('IDENTITY\0'));
    const message = Uint8Array.of(9, 8, 7);
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256', oaepLabel: label };
    const block = oaepBlock(node, size, TPM_ALG.SHA256, label, message, node.random(32));
    const ours = node.rsaPublic(key.n, key.e, block);
    expect(Uint8Array.from(privateDecrypt({ key: privateKey, ...oaep }, ours))).toEqual(message);
    const theirs = publicEncrypt({ key: publicKey, ...oaep }, message);
    const opened = node.rsaPrivate(key, theirs);
    expect(oaepMessage(node, opened, TPM_ALG.SHA256, label)).toEqual(message);
    expect(oaepMessage(node, opened, TPM_ALG.SHA256, label.subarray(1))).toBeUndefined();
    opened[0] = 1;
    expect(oaepMessage(node, opened, TPM_ALG.SHA256, label)).toBeUndefined();
  });

  it('PKCS #1 v1.5 decryption takes what OpenSSL encrypts, and refuses short padding', () => {
    const message = Uint8Array.of(4, 5, 6);
    const theirs = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, message);
    expect(pkcs1Message(node.rsaPrivate(key, theirs))).toEqual(message);
    const block = pkcs1EncryptionBlock(node, size, message);
    expect(pkcs1Message(block)).toEqual(message);
    block[9] = 0;
    expect(pkcs1Message(block)).toBeUndefined();
  });

  it('numbers that no key has are refused before use', () => {
    const three = fromBigInt(3n, size / 2);
    const square = fromBigInt(toBigInt(key.p) ** 2n, size);
    for (const crypto of [node, noble]) {
      for (const bad of [
        { ...key, p: three },
        { ...key, n: square },
        { ...key, e: 4 },
      ])
        expect(() => crypto.rsaPrivate(bad, new Uint8Array(size))).toThrow('TPM_RC_KEY');
    }
  });

  it('generated keys are strong: right size, distinct primes, prime to e, and not of the ROCA form', () => {
    const p = toBigInt(key.p);
    const q = toBigInt(key.n) / p;
    expect(p * q).toBe(toBigInt(key.n));
    expect(p.toString(2).length + q.toString(2).length).toBe(1024);
    for (const prime of [p, q]) {
      expect(node.isProbablePrime(prime)).toBe(true);
      expect((prime - 1n) % 65537n).not.toBe(0n);
    }
    expect(hasRocaForm(toBigInt(key.n))).toBe(false);
  });
});

/** The fingerprint of CVE-2017-15361 (Nemec et al., CCS 2017): n is a power of 65537 modulo each of these primes. */
function hasRocaForm(n: bigint): boolean {
  return [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].every((prime) => {
    const powers = new Set<number>();
    for (let power = 1; !powers.has(power); power = (power * (65537 % prime)) % prime) powers.add(power);
    return powers.has(Number(n % BigInt(prime)));
  });
}

describe('ECDAA', () => {
  it('satisfies s·G = R + T·Q for the committed R', () => {
    const curve = TPM_ECC.BN_P256;
    const { n, size } = CURVES[curve]!;
    const [d, commit] = [12345n, 67890n];
    const point = noble.ecPublic(curve, fromBigInt(d, size));
    const digest = noble.hash(TPM_ALG.SHA256, Uint8Array.of(1));
    const { r, s } = ecdaaSign(noble, curve, fromBigInt(d, size), TPM_ALG.SHA256, digest, commit);
    const t = toBigInt(noble.hash(TPM_ALG.SHA256, r, digest)) % n;
    expect(noble.ecCombineX(curve, toBigInt(s), n - t, point)).toEqual(
      noble.ecPublic(curve, fromBigInt(commit, size)).x,
    );
  });
});

function asKeyObject(rsa: RsaKey): KeyObject {
  const [n, p] = [toBigInt(rsa.n), toBigInt(rsa.p)];
  const q = n / p;
  const inverse = (a: bigint, m: bigint) => {
    let [x, y, r, s] = [((a % m) + m) % m, m, 1n, 0n];
    while (y > 0n) [x, y, r, s] = [y, x % y, s, r - (x / y) * s];
    return ((r % m) + m) % m;
  };
  const d = inverse(65537n, (p - 1n) * (q - 1n));
  const int = (value: bigint, size: number) => base64url(fromBigInt(value, size));
  const half = rsa.p.length;
  return createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'RSA',
      n: base64url(rsa.n),
      e: 'AQAB',
      d: int(d, rsa.n.length),
      p: base64url(rsa.p),
      q: int(q, half),
      dp: int(d % (p - 1n), half),
      dq: int(d % (q - 1n), half),
      qi: int(inverse(q, p), half),
    },
  });
}

describe('the state of a running hash', () => {
  it('is the chaining value of FIPS 180-4, the length, and the unfinished block', () => {
    const initial = '6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19'; // section 5.3.3
    const state = noble.hashStart(TPM_ALG.SHA256).update(new TextEncoder().encode('abc')).export();
    expect(Buffer.from(state).toString('hex')).toBe(`${initial}0000000000000003616263`);
  });

  it('octets that are none are refused', () => {
    for (const alg of HASHES) {
      const state = noble.hashStart(alg).update(new Uint8Array(5)).export();
      for (const wrong of [new Uint8Array(0), state.subarray(1), Uint8Array.of(...state, 0, 0)])
        expect(() => noble.hashResume(alg, wrong)).toThrow(RangeError);
      const mac = noble.hmacStart(alg, new Uint8Array(5)).export();
      expect(() => noble.hmacResume(alg, mac.subarray(0, mac.length - 1))).toThrow(RangeError);
    }
    const cmac = new Cmac(noble, new Uint8Array(16)).export();
    expect(() => Cmac.resume(noble, cmac.subarray(0, 32))).toThrow(RangeError);
  });
});
