/**
 * A certificate authority of one's own for endorsement and platform certificates: a root that signs one issuer, and
 * the issuer that signs certificates. ECDSA P-384 with SHA-384; keys in files that only their owner reads.
 */
import 'reflect-metadata'; // Before @peculiar/x509, which needs it at import.
import { webcrypto } from 'node:crypto';
import { chmod, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { ManufactureError } from './errors.ts';

/** What signs certificates. */
export interface CertificateAuthority {
  readonly issuer: x509.X509Certificate;
  readonly issuerKey: webcrypto.CryptoKey;
  /** Issuer first, root last, DER. */
  readonly chain: readonly Uint8Array[];
}

const KEY = { name: 'ECDSA', namedCurve: 'P-384' } as const;
export const SIGNATURE = { name: 'ECDSA', hash: 'SHA-384' } as const;
/** "No well-defined expiration", RFC 5280, section 4.1.2.5. */
export const NO_EXPIRATION = new Date(Date.UTC(9999, 11, 31, 23, 59, 59));

x509.cryptoProvider.set(webcrypto);

/** Make a root and an issuer in memory. */
export async function createAuthority(now = new Date(), name = 'nexus local'): Promise<CertificateAuthority> {
  return (await createParts(now, name)).authority;
}

async function createParts(now: Date, name: string) {
  const rootKeys = await generateKeys();
  const issuerKeys = await generateKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name} TPM root CA`,
    keys: rootKeys,
    notBefore: now,
    notAfter: NO_EXPIRATION,
    serialNumber: serialNumber(),
    signingAlgorithm: SIGNATURE,
    extensions: await authorityExtensions(rootKeys.publicKey, rootKeys.publicKey, 1),
  });
  const issuer = await x509.X509CertificateGenerator.create({
    subject: `CN=${name} TPM issuer`,
    issuer: root.subject,
    publicKey: issuerKeys.publicKey,
    signingKey: rootKeys.privateKey,
    notBefore: now,
    notAfter: NO_EXPIRATION,
    serialNumber: serialNumber(),
    signingAlgorithm: SIGNATURE,
    extensions: await authorityExtensions(issuerKeys.publicKey, rootKeys.publicKey, 0),
  });
  return { root, rootKeys, issuer, issuerKeys, authority: authorityOf(root, issuer, issuerKeys.privateKey) };
}

function authorityOf(
  root: x509.X509Certificate,
  issuer: x509.X509Certificate,
  issuerKey: webcrypto.CryptoKey,
): CertificateAuthority {
  return { issuer, issuerKey, chain: [new Uint8Array(issuer.rawData), new Uint8Array(root.rawData)] };
}

/**
 * An authority of one key that exists already (ECDSA, exportable public half): it is its own root. The certificate is
 * made anew at each call; what the key signed before still chains to it.
 */
export async function authorityOfKey(
  keys: webcrypto.CryptoKeyPair,
  name: string,
  now = new Date(),
): Promise<CertificateAuthority> {
  const issuer = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    keys,
    notBefore: now,
    notAfter: NO_EXPIRATION,
    serialNumber: serialNumber(),
    signingAlgorithm: SIGNATURE,
    extensions: await authorityExtensions(keys.publicKey, keys.publicKey, 0),
  });
  return { issuer, issuerKey: keys.privateKey, chain: [new Uint8Array(issuer.rawData)] };
}

async function authorityExtensions(own: webcrypto.CryptoKey, signer: webcrypto.CryptoKey, pathLength: number) {
  return [
    new x509.BasicConstraintsExtension(true, pathLength, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    await x509.SubjectKeyIdentifierExtension.create(own),
    await x509.AuthorityKeyIdentifierExtension.create(signer),
  ];
}

function generateKeys() {
  return webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify']);
}

/** A positive random number of 16 bytes (RFC 5280, section 4.1.2.2), hexadecimal. */
export function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

const FILES = { root: 'root.pem', rootKey: 'root.key', issuer: 'issuer.pem', issuerKey: 'issuer.key' } as const;

/**
 * The authority in a directory, made there when the directory has none. Keys are files of mode 0600 in a directory of
 * mode 0700. Throws E_STATE_CA when what is there is incomplete or does not fit together.
 */
export async function authorityIn(directory: string, now = new Date()): Promise<CertificateAuthority> {
  const path = (name: string) => join(directory, name);
  if (!(await exists(path(FILES.issuer)))) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await chmod(directory, 0o700);
    const { root, rootKeys, issuer, issuerKeys, authority } = await createParts(now, 'nexus local');
    await writeWhole(path(FILES.rootKey), await privatePem(rootKeys.privateKey));
    await writeWhole(path(FILES.issuerKey), await privatePem(issuerKeys.privateKey));
    await writeWhole(path(FILES.root), root.toString('pem'));
    // Last: its presence says that the authority is whole.
    await writeWhole(path(FILES.issuer), issuer.toString('pem'));
    return authority;
  }
  try {
    const root = new x509.X509Certificate(await readFile(path(FILES.root), 'utf8'));
    const issuer = new x509.X509Certificate(await readFile(path(FILES.issuer), 'utf8'));
    const der = x509.PemConverter.decodeFirst(await readFile(path(FILES.issuerKey), 'utf8'));
    const issuerKey = await webcrypto.subtle.importKey('pkcs8', der, KEY, false, ['sign']);
    if (!(await issuer.verify({ publicKey: root }))) throw new Error('the issuer is not signed by the root');
    return authorityOf(root, issuer, issuerKey);
  } catch (error) {
    throw new ManufactureError(
      'E_STATE_CA',
      `the certificate authority in ${directory} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
      'restore its four files, or name another directory',
      error,
    );
  }
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), x509.PemConverter.PrivateKeyTag);
}

/** Write a file that is there as a whole or not at all, for its owner's eyes. */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const partial = `${path}.new`;
  await writeFile(partial, content, { mode: 0o600, flush: true });
  await rename(partial, path);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
