import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, statSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hasSwtpm, startSwtpm } from '../../test/support/swtpm.ts';
import { TpmClient } from '../client/index.ts';
import { swtpmTransport } from '../transports/index.ts';
import { authorityIn, createAuthority } from './authority.ts';
import { ekCertificate } from './certificates.ts';
import { DEVICE_KEY_PROFILES } from './device-identity.ts';
import { manufacture } from './manufacture.ts';

const now = new Date('2026-01-02T03:04:05Z');
const identity = {
  manufacturer: 'id:4E585553',
  model: 'a "model", with = signs',
  version: 'id:00000001',
  family: '2.0',
  level: 0,
  revision: 159,
};
/** P-256 base point: a public key with no secret about it. */
const key = {
  kty: 'EC',
  crv: 'P-256',
  x: 'axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY',
  y: 'T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU',
} as const;

describe('endorsement certificate', () => {
  test('chains to the root, names the TPM and says what its key is for', async () => {
    const authority = await createAuthority(now);
    const certificate = new X509Certificate(await ekCertificate(authority, key, identity, now));
    const [issuer, root] = authority.chain.map((der) => new X509Certificate(der)) as [X509Certificate, X509Certificate];
    expect(certificate.verify(issuer.publicKey)).toBe(true);
    expect(issuer.verify(root.publicKey)).toBe(true);
    expect(root.verify(root.publicKey)).toBe(true);
    expect([certificate.ca, issuer.ca, root.ca]).toEqual([false, true, true]);
    expect(certificate.publicKey.equals(createPublicKey({ key, format: 'jwk' }))).toBe(true);
    expect(certificate.keyUsage).toEqual(['2.23.133.8.1']);
    expect(certificate.subject).toBeFalsy();
    const raw = certificate.raw.toString('latin1');
    for (const value of [identity.manufacturer, identity.model, identity.version]) expect(raw).toContain(value);
    expect(certificate.validTo).toContain('9999');
  });
});

describe('authority in a directory', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'nexus-ca-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('is made once, with files of its owner alone, and is the same afterwards', async () => {
    const made = await authorityIn(join(directory, 'ca'), now);
    const again = await authorityIn(join(directory, 'ca'), now);
    expect(again.chain).toEqual(made.chain);
    for (const file of readdirSync(join(directory, 'ca'))) {
      expect(statSync(join(directory, 'ca', file)).mode & 0o777).toBe(0o600);
    }
  });

  test('an incomplete or mixed authority is refused', async () => {
    const place = join(directory, 'ca');
    await authorityIn(place, now);
    unlinkSync(join(place, 'issuer.key'));
    await expect(authorityIn(place, now)).rejects.toMatchObject({ code: 'E_STATE_CA' });
  });
});

describe.skipIf(!hasSwtpm)('manufacture of a TPM that nobody here wrote (needs swtpm)', () => {
  test('certificates lie in NV, once', async () => {
    const peer = await startSwtpm();
    try {
      const tpm = await swtpmTransport({ data: { port: peer.port } });
      const platform = { manufacturer: 'nexus', model: 'test', version: '1' };
      const authority = await createAuthority(now);
      const made = await manufacture(tpm, { authority, platform, now, deviceIdentity: true });
      expect(made.certificates.map(({ kind, nvIndex }) => [kind, nvIndex])).toEqual([
        ['rsa2048', 0x01c00002],
        ['platform', 0x01c08000],
        ['p256', 0x01c0000a],
        ['p384', 0x01c00016],
        ['idevid', 0x01c90000],
        ['iak', 0x01c90001],
      ]);
      for (const { der } of made.certificates) {
        expect(new X509Certificate(der).verify(new X509Certificate(authority.chain[0]!).publicKey)).toBe(true);
      }
      const client = await TpmClient.over(tpm);
      const serials: string[] = [];
      for (const kind of ['idevid', 'iak'] as const) {
        const { handle } = DEVICE_KEY_PROFILES[kind];
        const { outPublic } = await client.ReadPublic({ objectHandle: handle });
        const der = made.certificates.find((certificate) => certificate.kind === kind)?.der;
        const certificate = new X509Certificate(der ?? Buffer.of());
        const n = Buffer.from((outPublic as { unique: Uint8Array }).unique).toString('base64url'); // an RSA key
        expect(certificate.publicKey.export({ format: 'jwk' })).toEqual({ kty: 'RSA', n, e: 'AQAB' });
        serials.push(certificate.subject.replace('CN=', ''));
        expect(certificate.raw.toString('latin1').split(serials[0] ?? '').length).toBe(3); // subject and hardware module
        expect(certificate.keyUsage).toEqual(kind === 'iak' ? ['2.23.133.8.3'] : undefined);
      }
      expect(serials[0]).toBe(serials[1]);
      await expect(manufacture(tpm, { authority, now })).rejects.toMatchObject({ code: 'E_STATE_MANUFACTURED' });
      await tpm.close();
    } finally {
      peer.stop();
    }
  });
});
