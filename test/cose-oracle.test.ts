/**
 * Our COSE objects, read by a library that is not ours. The library registers its tags in cbor-x's global table, so it
 * must not share a process with our own codec: that one runs in a child.
 */
import { spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type JsonWebKey, webcrypto } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Encrypt0, Sign1 } from '@auth0/cose';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Run a module against the built package and read the JSON that it prints. */
function ours<T>(source: string, input: unknown): T {
  const result = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    cwd: root,
    encoding: 'utf8',
    input: JSON.stringify(input),
  });
  expect(result.status, result.stderr).toBe(0);
  return JSON.parse(result.stdout) as T;
}

const PRELUDE = `
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { encryptEncrypt0, signSign1 } from 'nexus-tcb/attestation';
const input = JSON.parse(readFileSync(0, 'utf8'));
const hex = (bytes) => Buffer.from(bytes).toString('hex');
`;

test('a COSE_Sign1 of ours verifies, and not with another payload', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { signed } = ours<{ signed: string }>(
    `${PRELUDE}
    const key = createPrivateKey({ format: 'jwk', key: input.key });
    console.log(JSON.stringify({ signed: hex(signSign1(Buffer.from('payload'), key)) }));`,
    { key: privateKey.export({ format: 'jwk' }) },
  );
  const jwk: JsonWebKey = createPublicKey(privateKey).export({ format: 'jwk' });
  const key = await webcrypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
  const bytes = Uint8Array.from(Buffer.from(signed, 'hex'));
  const object = Sign1.decode(bytes);
  await object.verify(key);
  expect(Buffer.from(object.payload).toString()).toBe('payload');
  const at = Buffer.from(bytes).indexOf('payload');
  bytes[at] = 0x50;
  await expect(Sign1.decode(bytes).verify(key)).rejects.toThrow();
});

test('a COSE_Encrypt0 of ours decrypts, and not after a change', async () => {
  const secret = new Uint8Array(32).fill(7);
  const { sealed } = ours<{ sealed: string }>(
    `${PRELUDE}
    const key = Buffer.from(input.key, 'hex');
    console.log(JSON.stringify({ sealed: hex(encryptEncrypt0(Buffer.from('plaintext'), key, new Map([['v', 1]]))) }));`,
    { key: Buffer.from(secret).toString('hex') },
  );
  const key = await webcrypto.subtle.importKey('raw', secret, 'AES-GCM', true, ['decrypt']);
  const bytes = Uint8Array.from(Buffer.from(sealed, 'hex'));
  const plaintext = await Encrypt0.decode(bytes).decrypt(key);
  expect(Buffer.from(plaintext).toString()).toBe('plaintext');
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await expect(Encrypt0.decode(bytes).decrypt(key)).rejects.toThrow();
});
