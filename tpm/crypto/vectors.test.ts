import { describe, expect, it } from 'vitest';
import { TPM_ALG, TPM_ECC } from '../structures/constants.ts';
import { fromBigInt } from './bytes.ts';
import { Cmac } from './cmac.ts';
import { CURVES } from './curves.ts';
import { HmacDrbg } from './drbg.ts';
import { KDFa, KDFe } from './kdf.ts';
import { loadLibcrypto } from './libcrypto.ts';
import { LibcryptoProvider } from './libcrypto-provider.ts';
import { NobleCrypto } from './noble.ts';
import { NodeCrypto } from './node.ts';
import { deriveRsa, deriveScalar } from './primes.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const show = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('hex'));
const text = (value: string) => Uint8Array.from(Buffer.from(value));

const libcrypto = await loadLibcrypto();
const providers = [new NobleCrypto(), new NodeCrypto(), ...(libcrypto ? [new LibcryptoProvider(libcrypto)] : [])];

describe.each(providers)('published vectors, provider $name', (crypto) => {
  it('hashes "abc" (FIPS 180-4, FIPS 202 examples)', () => {
    const digest = (alg: number) => show(crypto.hash(alg, text('a'), text('bc')));
    expect(digest(TPM_ALG.SHA1)).toBe('a9993e364706816aba3e25717850c26c9cd0d89d');
    expect(digest(TPM_ALG.SHA256)).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
    expect(digest(TPM_ALG.SHA3_256)).toBe('3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532');
  });

  it('authenticates by HMAC (RFC 4231, test case 2)', () => {
    expect(show(crypto.hmac(TPM_ALG.SHA256, text('Jefe'), text('what do ya want for nothing?')))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  const key = hex('2b7e151628aed2a6abf7158809cf4f3c');
  const iv = hex('000102030405060708090a0b0c0d0e0f');
  const plain = hex('6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51');
  it.each([
    ['cfb', iv, '3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b'],
    ['cbc', iv, '7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2'],
    ['ofb', iv, '3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825'],
    [
      'ctr',
      hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'),
      '874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff',
    ],
    ['ecb', iv, '3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf'],
  ] as const)('enciphers in %s (SP 800-38A, appendix F)', (mode, vector, cipher) => {
    expect(show(crypto.aes(mode, true, key, vector, plain))).toBe(cipher);
    expect(show(crypto.aes(mode, false, key, vector, hex(cipher)))).toBe(show(plain));
  });

  it('authenticates by AES-CMAC (RFC 4493, section 4)', () => {
    expect(show(new Cmac(crypto, key).digest())).toBe('bb1d6929e95937287fa37d129b756746');
    expect(show(new Cmac(crypto, key).update(plain.subarray(0, 16)).digest())).toBe('070a16b46b4d4144f79bdd9dd04a287c');
    expect(show(new Cmac(crypto, key).update(plain).update(hex('30c81c46a35ce411')).digest())).toBe(
      'dfa66747de9ae63030ca32611497c827',
    );
  });

  it('derives by KDFa as `openssl kdf KBKDF` does (OpenSSL 3.0: SP 800-108, counter, label 00 context L)', () => {
    const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
    const out = KDFa(crypto, TPM_ALG.SHA256, secret, 'STORAGE', hex('a0a1a2a3'), hex('b0b1b2b3'), 320);
    expect(show(out)).toBe(KBKDF_SHA256);
    const none = new Uint8Array(0);
    expect(show(KDFa(crypto, TPM_ALG.SHA384, secret.subarray(0, 16), 'INTEGRITY', none, none, 128))).toBe(KBKDF_SHA384);
  });

  it('derives by KDFe as `openssl kdf SSKDF` does (OpenSSL 3.0: SP 800-56C one-step, hash)', () => {
    const z = Uint8Array.from({ length: 32 }, (_, i) => i);
    const out = KDFe(crypto, TPM_ALG.SHA256, z, 'DUPLICATE', hex('a0a1a2a3'), hex('b0b1b2b3'), 320);
    expect(show(out)).toBe(SSKDF_SHA256);
  });

  it('generates by HMAC_DRBG (NIST CAVP drbgvectors_no_reseed, SHA-256, count 0)', () => {
    const entropy = 'ca851911349384bffe89de1cbdc46e6831e44d34a4fb935ee285dd14b71a7488';
    const drbg = new HmacDrbg(crypto, hex(`${entropy}659ba96c601dc69fc902940805ec0ca8`));
    drbg.bytes(128);
    expect(show(drbg.bytes(128).subarray(0, 32))).toBe(
      'e528e9abf2dece54d47c7e75e5fe302149f817ea9fb4bee6f4199697d04d5b89',
    );
  });

  it('verifies an ECDSA P-256 signature (RFC 6979, appendix A.2.5, SHA-256, "sample")', () => {
    const d = hex('C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721');
    const point = crypto.ecPublic(TPM_ECC.NIST_P256, d);
    expect(show(point.x)).toBe('60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6');
    expect(show(point.y)).toBe('7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299');
    const r = hex('EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716');
    const s = hex('F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8');
    const digest = crypto.hash(TPM_ALG.SHA256, text('sample'));
    expect(crypto.ecdsaVerify(TPM_ECC.NIST_P256, point, digest, r, s)).toBe(true);
    const other = crypto.hash(TPM_ALG.SHA256, text('test'));
    expect(crypto.ecdsaVerify(TPM_ECC.NIST_P256, point, other, r, s)).toBe(false);
  });

  it('agrees on a P-256 point (RFC 5903, section 8.1)', () => {
    const i = hex('C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433');
    const x = hex('D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63');
    const y = hex('56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB');
    const shared = crypto.ecMultiply(TPM_ECC.NIST_P256, { x, y }, i);
    expect(show(shared?.x)).toBe('d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de');
    expect(show(shared?.y)).toBe('522bde0af0d8585b8def9c183b5ae38f50235206a8674ecb5d98edb20eb153a2');
    expect(crypto.ecSharedX(TPM_ECC.NIST_P256, { x, y }, i)).toEqual(shared?.x);
  });

  it.each(Object.keys(CURVES).map(Number))('has a generator of order n on curve 0x%s', (id) => {
    const { n, size, gx, gy } = CURVES[id]!;
    const generator = { x: fromBigInt(gx, size), y: fromBigInt(gy, size) };
    expect(crypto.ecOnCurve(id, generator)).toBe(true);
    expect(crypto.ecMultiply(id, generator, fromBigInt(n, size))).toBeUndefined();
    const minus = crypto.ecMultiply(id, generator, fromBigInt(n - 1n, size));
    expect(show(minus?.x)).toBe(show(generator.x));
    expect(show(minus?.y)).not.toBe(show(generator.y));
  });
});

const KBKDF_SHA256 = '95747a8cbb79ae601401c32025296a74e3ea6e513f3028daf4096a84b948b7420e3db2d79d926e6f';
const KBKDF_SHA384 = '62491c567b72d2d325f3285e521607d5';
const SSKDF_SHA256 = '3b5f3325c7532224da84265a5300a666d5eefef87718318f82953ef40204865ab82012413c32e6a5';

describe('keys from a seed stay the same for ever (docs/tpm-derivation.md)', () => {
  const seed = Uint8Array.from({ length: 64 }, (_, i) => i);

  it.each(providers)('RSA-2048 by provider $name', (crypto) => {
    const key = deriveRsa(crypto, new HmacDrbg(crypto, seed), 2048, 65537);
    expect(show(crypto.hash(TPM_ALG.SHA256, key.n))).toBe(GOLDEN_RSA);
    expect(key.n.length).toBe(256);
    expect(key.n[0]! & 0x80).toBe(0x80);
  });

  it.each([
    [TPM_ECC.NIST_P256, '86865cac3558a2216eda4e10a1483e481e7bb8804fc09eda8bf0ef1b619277fb'],
    [TPM_ECC.NIST_P384, 'a1ca92b7bf34e056c13b7150b9b77bca4ce224c67824590c5bd36c3bb5cddbff'],
    [TPM_ECC.NIST_P521, 'f7ff06f6889d45308637af8593adfc05ed06b72758404b8d91a2122ca3bd8a7a'],
    [TPM_ECC.BN_P256, '9a83707dc42b6e2e613aa6fe5999589880935bf9aca44abf065c52c5eaed1f7b'],
  ])('ECC scalar on curve %i', (curve, golden) => {
    const crypto = new NodeCrypto();
    const scalar = deriveScalar(new HmacDrbg(crypto, seed), CURVES[curve]!.n);
    expect(show(crypto.hash(TPM_ALG.SHA256, scalar))).toBe(golden);
  });
});

const GOLDEN_RSA = '91ae9562c1dc5652820c9d5904d0cb70a35c3f9ce5176a4e38f8f7818b7dfd97';
