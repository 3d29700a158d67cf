import { sign, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { NexusKeys } from './keys.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const root = (fill: number) => new Uint8Array(32).fill(fill);
const id = (fill: number) => ({ kind: 'identity', identity: new Uint8Array(32).fill(fill) }) as const;
const signer = (fill: number, minimumSvn: number) =>
  ({ kind: 'signer', signer: new Uint8Array(32).fill(fill), minimumSvn }) as const;

test('each purpose, selector and root has its own key', () => {
  const keys = new NexusKeys(root(1));
  const all = [
    keys.sealingKey(id(1)),
    keys.sealingKey(id(2)),
    keys.sealingKey(signer(1, 0)),
    keys.sealingKey(signer(1, 1)),
    keys.sealingKey(signer(2, 0)),
    keys.operatorKey(),
    new NexusKeys(root(2)).sealingKey(id(1)),
  ];
  expect(new Set(all.map(hex)).size).toBe(all.length);
  expect(hex(new NexusKeys(root(1)).sealingKey(id(1)))).toBe(hex(keys.sealingKey(id(1))));
});

test('the derivation never changes: blobs must open after an upgrade', () => {
  const keys = new NexusKeys(root(1));
  expect(hex(keys.sealingKey(id(1)))).toMatchInlineSnapshot(
    `"e5b44891a162f494d4fa3dbe3e0551a67eb719914abe431d3250b3793656c2a2"`,
  );
  expect(hex(keys.sealingKey(signer(1, 3)))).toMatchInlineSnapshot(
    `"2bba989be6818456d9639d84d19ee2e5934f5a844914998bf86436ad3430c823"`,
  );
  expect(keys.attestationKey().publicKey.export({ format: 'jwk' }).x).toMatchInlineSnapshot(
    `"bLJkkvgKoUG04o-DxTLxqrZC95gzSnXzAfTJk8i9v-I"`,
  );
});

test('the attestation key signs, and is the same for the same root only', () => {
  const { privateKey, publicKey } = new NexusKeys(root(1)).attestationKey();
  const again = new NexusKeys(root(1)).attestationKey().publicKey;
  const other = new NexusKeys(root(2)).attestationKey().publicKey;
  const signature = sign('sha256', Buffer.from('report'), privateKey);
  expect(verify('sha256', Buffer.from('report'), again, signature)).toBe(true);
  expect(verify('sha256', Buffer.from('report'), other, signature)).toBe(false);
  expect(publicKey.equals(again)).toBe(true);
});

test('destroy zeroes the root secret', () => {
  const secret = root(9);
  const keys = new NexusKeys(secret);
  keys.destroy();
  expect(secret.every((byte) => byte === 0)).toBe(true);
});
