/** Keys that sign at the command line: of manifests and of releases. EC P-256, PKCS #8 in PEM, mode 0600. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFileAtomic } from '../nexus/host/index.ts';
import { UsageError } from './errors.ts';

/** Make a private key; an existing file is left alone (EEXIST). Returns its public half. */
export function makeSigningKey(file: string): KeyObject {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  try {
    writeFileAtomic(file, pem, { exclusive: true });
  } finally {
    pem.fill(0);
  }
  return publicKey;
}

/** Read a private key; `maker` is the command that makes such. Throws UsageError E_KEY. */
export function readSigningKey(file: string, maker: string): KeyObject {
  const pem = readFileSync(file);
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  } catch {
    // OpenSSL's words say nothing that the error below does not.
  } finally {
    pem.fill(0);
  }
  throw new UsageError('E_KEY', `${file} is not an EC P-256 private key in PEM`, `make one with \`${maker}\``);
}

export const publicPem = (key: KeyObject): Buffer =>
  Buffer.from((key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'pem' }));
