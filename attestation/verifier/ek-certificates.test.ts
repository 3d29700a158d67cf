import { webcrypto } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Authority,
  authority,
  der,
  issue,
  type KeyPair,
  newKeys,
  revocationList,
} from '../../test/support/certificate-authority.ts';
import { Manufacturers } from './ek-certificates.ts';

const NOW = new Date('2026-06-01');
const SERVER_USAGE = '1.3.6.1.5.5.7.3.1';

describe('EK certificates', () => {
  let root: Authority;
  let intermediate: Authority;
  let stranger: Authority;
  let ek: KeyPair;
  let manufacturers: Manufacturers;
  beforeAll(async () => {
    root = await authority('Root');
    intermediate = await authority('Intermediate', root);
    stranger = await authority('Root');
    ek = await newKeys();
    manufacturers = new Manufacturers([der(root.certificate)]);
  });

  it('give the certified key when the path leads to a trusted manufacturer', async () => {
    const leaf = der(await issue(intermediate, ek.publicKey));
    const key = await manufacturers.validate([leaf, der(intermediate.certificate)], NOW);
    const jwk = await webcrypto.subtle.exportKey('jwk', ek.publicKey);
    expect(key).toMatchObject({ type: 'ec', curve: 'P-256' });
    expect(key.type === 'ec' && Buffer.from(key.x).toString('base64url')).toBe(jwk.x);
  });

  it('are read for RSA keys, and with the padding of an NV index behind them', async () => {
    const keys = await newKeys('rsa');
    const leaf = der(await issue(root, keys.publicKey));
    const key = await manufacturers.validate([Buffer.concat([leaf, Buffer.alloc(100, 0xff)])], NOW);
    const jwk = await webcrypto.subtle.exportKey('jwk', keys.publicKey);
    expect(key.type === 'rsa' && Buffer.from(key.modulus).toString('base64url')).toBe(jwk.n);
    expect(key.type === 'rsa' && key.exponent).toBe(65537);
  });

  const untrusted = { code: 'ek-untrusted', failed: ['ek-certificate'] };
  it('are refused from a stranger of the same name', async () => {
    const leaf = der(await issue(stranger, ek.publicKey));
    await expect(manufacturers.validate([leaf], NOW)).rejects.toMatchObject(untrusted);
    await expect(manufacturers.validate([leaf, der(stranger.certificate)], NOW)).rejects.toMatchObject(untrusted);
  });

  it('are refused without their intermediate, when expired, for another purpose, as a CA, and when absent', async () => {
    const leaf = der(await issue(intermediate, ek.publicKey));
    await expect(manufacturers.validate([leaf], NOW)).rejects.toMatchObject(untrusted);
    await expect(
      manufacturers.validate([leaf, der(intermediate.certificate)], new Date('2050-01-01')),
    ).rejects.toMatchObject(untrusted);
    const server = der(await issue(root, ek.publicKey, SERVER_USAGE));
    await expect(manufacturers.validate([server], NOW)).rejects.toMatchObject(untrusted);
    await expect(manufacturers.validate([der(root.certificate)], NOW)).rejects.toMatchObject(untrusted);
    await expect(manufacturers.validate([], NOW)).rejects.toMatchObject(untrusted);
  });

  it('are refused when signed by a certificate that is not a CA', async () => {
    const keys = await newKeys();
    const leaf = await issue(root, keys.publicKey);
    const forged = der(await issue({ name: 'EK', certificate: leaf, keys }, ek.publicKey));
    await expect(manufacturers.validate([forged, der(leaf)], NOW)).rejects.toMatchObject(untrusted);
  });

  it('are refused when a byte differs, and never accepted because something threw', async () => {
    const leaf = der(await issue(root, ek.publicKey));
    for (let position = 0; position < leaf.length; position += 7) {
      const bent = Uint8Array.from(leaf);
      bent[position] = (bent[position] ?? 0) ^ 0x01;
      await expect(manufacturers.validate([bent], NOW)).rejects.toMatchObject({ name: 'VerifierError' });
    }
  });

  it('are refused when the manufacturer has revoked them', async () => {
    const certificate = await issue(root, ek.publicKey);
    const list = await revocationList(root, [certificate]);
    const strict = new Manufacturers([der(root.certificate)], [list]);
    await expect(strict.validate([der(certificate)], NOW)).rejects.toMatchObject(untrusted);
    const other = await issue(root, ek.publicKey);
    await expect(strict.validate([der(other)], NOW)).resolves.toMatchObject({ type: 'ec' });
  });
});
