/** Manifests: the signed description of a trusted partition's code. The format is docs/manifest.md. */
import { createHash, type KeyObject } from 'node:crypto';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { decodeCbor, encodeCbor } from '../../attestation/cbor.ts';
import { coseKeyDigest, signSign1EmbeddingKey, verifySign1WithEmbeddedKey } from '../../attestation/cose/index.ts';

const VERSION = 1;
const MAX_MANIFEST = 16 * 1024;
const MIB = 2 ** 20;

export class ManifestError extends Error {
  readonly code = 'E_MANIFEST';
  readonly remedy = 'sign the manifest again with `nexus manifest sign` for exactly this image';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ManifestError';
  }
}

/** What a signer says of an image. Digests are 32 bytes (SHA-256), memory is bytes. */
export interface ManifestClaims {
  readonly name: string;
  readonly svn: number;
  readonly debug: boolean;
  readonly image: Uint8Array;
  readonly commandLine: string;
  readonly memory: number;
}

export interface Manifest extends ManifestClaims {
  /** SHA-256 of the signer's COSE_Key: the signer identity. */
  readonly signer: Uint8Array;
  /** The signed bytes, which the code identity covers. */
  readonly payload: Uint8Array;
}

/** Names of code, as host files have them for partitions. */
export const MANIFEST_NAME = /^[a-z][a-z0-9-]{0,30}$/;

const isClaims = Compile(
  Type.Object(
    {
      v: Type.Literal(VERSION),
      name: Type.String({ pattern: MANIFEST_NAME.source }),
      svn: Type.Integer({ minimum: 0, maximum: 0xffffffff }),
      debug: Type.Boolean(),
      image: Type.Unsafe<Uint8Array>({}),
      commandLine: Type.String({ maxLength: 2048 }),
      memory: Type.Integer({ minimum: MIB, maximum: 2 ** 32, multipleOf: MIB }),
      signer: Type.Unsafe<Uint8Array>({}),
    },
    { additionalProperties: false },
  ),
);

const isDigest = (value: unknown): value is Uint8Array => value instanceof Uint8Array && value.length === 32;

/** Sign a manifest with an EC P-256 private key (ES256). Returns the file's bytes. */
export function signManifest(claims: ManifestClaims, key: KeyObject): Uint8Array {
  const payload = encodeCbor({ v: VERSION, ...claims, signer: coseKeyDigest(key) });
  return signSign1EmbeddingKey(payload, key);
}

/** Parse a manifest and verify its signature. Throws ManifestError. */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST)
    throw new ManifestError(`a manifest of ${bytes.length} bytes; at most ${MAX_MANIFEST}`);
  const { payload, keyDigest } = attempt('not a signed manifest', () => verifySign1WithEmbeddedKey(bytes));
  const decoded = attempt('the payload is not CBOR', () => decodeCbor(payload));
  const claims: unknown = decoded instanceof Map ? Object.fromEntries(decoded) : decoded;
  if (!isClaims.Check(claims)) {
    const [first] = isClaims.Errors(claims);
    throw new ManifestError(`the payload is not a manifest: ${first?.instancePath ?? ''} ${first?.message ?? ''}`);
  }
  const { image, signer, name, svn, debug, commandLine, memory } = claims;
  if (!isDigest(image) || !isDigest(signer)) throw new ManifestError('image and signer are SHA-256 digests');
  if (!Buffer.from(signer).equals(keyDigest))
    throw new ManifestError('signer is not the digest of the key that signed');
  return { name, svn, debug, image, commandLine, memory, signer, payload };
}

/** Check that what is about to be launched is what the manifest describes. Throws ManifestError naming the field. */
export function checkAgainstManifest(
  manifest: Manifest,
  launch: { readonly image: Uint8Array; readonly commandLine: string; readonly memoryBytes: number },
): void {
  const digest = createHash('sha256').update(launch.image).digest();
  if (!digest.equals(manifest.image)) {
    throw new ManifestError(
      `the image's SHA-256 is ${digest.toString('hex')}, the manifest's ${Buffer.from(manifest.image).toString('hex')}`,
    );
  }
  if (launch.commandLine !== manifest.commandLine) {
    throw new ManifestError(`the command line is "${launch.commandLine}", the manifest's "${manifest.commandLine}"`);
  }
  if (launch.memoryBytes !== manifest.memory) {
    throw new ManifestError(`memory is ${launch.memoryBytes} bytes, the manifest's ${manifest.memory}`);
  }
}

function attempt<T>(what: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw new ManifestError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
