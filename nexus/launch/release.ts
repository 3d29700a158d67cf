/** Releases: the signed statement by which a new build opens what older ones sealed. The format is docs/release.md. */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { decodeCbor, encodeCbor } from '../../attestation/cbor.ts';
import { approvedPolicy, ROOT_POLICY_REF, SVN_MAX } from './root-policy.ts';

const VERSION = 1;
/** The largest release statement, bytes. */
export const RELEASE_MAX = 1024;
const DIGEST_SIZE = 32;
const COORDINATE_SIZE = 32;
const SIGNATURE_SIZE = 64;

export class ReleaseError extends Error {
  readonly code: 'E_RELEASE' | 'E_RELEASE_SIGNATURE';
  readonly remedy = 'get the statement of this build anew from who released it (`nexus release sign` makes one)';
  constructor(code: ReleaseError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ReleaseError';
    this.code = code;
  }
}

/** What a release key says of a build. */
export interface ReleaseClaims {
  /** Security version, 0 to SVN_MAX; raised when a weakness is mended. */
  readonly svn: number;
  /** SHA-256 value of PCR 17 that the build is measured to. */
  readonly pcr17: Uint8Array;
}

export interface Release extends ReleaseClaims {
  readonly key: KeyObject;
  /** r || s, 64 bytes, over `approvedPolicy` and `ROOT_POLICY_REF`. */
  readonly signature: Uint8Array;
}

const isStatement = Compile(
  Type.Object(
    {
      v: Type.Literal(VERSION),
      svn: Type.Integer({ minimum: 0, maximum: SVN_MAX }),
      pcr17: Type.Unsafe<Uint8Array>({}),
      x: Type.Unsafe<Uint8Array>({}),
      y: Type.Unsafe<Uint8Array>({}),
      signature: Type.Unsafe<Uint8Array>({}),
    },
    { additionalProperties: false },
  ),
);

const isBytes = (value: unknown, size: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length === size;

/** The bytes whose SHA-256 TPM2_PolicyAuthorize wants signed. */
const approval = ({ pcr17, svn }: ReleaseClaims): Uint8Array =>
  Buffer.concat([approvedPolicy(pcr17, svn), ROOT_POLICY_REF]);

/** Sign a release with an EC P-256 private key. Returns the file's bytes. Throws RangeError for a wrong svn or key. */
export function signRelease(claims: ReleaseClaims, key: KeyObject): Uint8Array {
  const { crv, x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  if (crv !== 'P-256') throw new RangeError('not an EC P-256 key');
  const signature = sign('sha256', approval(claims), { key, dsaEncoding: 'ieee-p1363' });
  const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64url'));
  const { svn, pcr17 } = claims;
  return encodeCbor({ v: VERSION, svn, pcr17, x: bytes(x), y: bytes(y), signature: Uint8Array.from(signature) });
}

/** Parse a release and verify its signature; whose key it is, is for the caller to judge. Throws ReleaseError. */
export function parseRelease(bytes: Uint8Array): Release {
  if (bytes.length > RELEASE_MAX) throw malformed(`${bytes.length} bytes; at most ${RELEASE_MAX}`);
  let decoded: unknown;
  try {
    decoded = decodeCbor(bytes);
  } catch (cause) {
    throw malformed(cause instanceof Error ? cause.message : String(cause), { cause });
  }
  const claims: unknown = decoded instanceof Map ? Object.fromEntries(decoded) : decoded;
  if (!isStatement.Check(claims)) {
    const [first] = isStatement.Errors(claims);
    throw malformed(`${first?.instancePath ?? ''} ${first?.message ?? ''}`);
  }
  const { svn, pcr17, x, y, signature } = claims;
  if (!isBytes(pcr17, DIGEST_SIZE) || !isBytes(signature, SIGNATURE_SIZE))
    throw malformed('pcr17 is 32 bytes, signature 64');
  const key = publicKey(x, y);
  if (!verify('sha256', approval({ svn, pcr17 }), { key, dsaEncoding: 'ieee-p1363' }, signature))
    throw new ReleaseError('E_RELEASE_SIGNATURE', 'the signature of the release statement does not verify');
  return { svn, pcr17, key, signature };
}

function publicKey(x: unknown, y: unknown): KeyObject {
  if (!isBytes(x, COORDINATE_SIZE) || !isBytes(y, COORDINATE_SIZE)) throw malformed('x and y are 32 bytes');
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
  try {
    return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: 'P-256', x: text(x), y: text(y) } });
  } catch (cause) {
    throw malformed('the key is no point of P-256', { cause });
  }
}

const malformed = (message: string, options?: ErrorOptions) =>
  new ReleaseError('E_RELEASE', `not a release statement: ${message}`, options);
