/**
 * The partition's report: an EAT (RFC 9711) in a COSE_Sign1, signed by the nexus key. Claim keys are the registered
 * ones where they exist (10 eat_nonce, 263 dbgstat, 265 eat_profile) and text for what is ours.
 */
import { type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
import { verifySign1 } from './cose/sign1.ts';
import type { PublicKey } from './crypto/port.ts';

export const EAT_PROFILE = 'tag:nexus-tcb,2026:partition';
export const USER_DATA_SIZE = 64;
const DIGEST_SIZE = 32;
const NONCE = 10;
const DEBUG_STATUS = 263;
const PROFILE = 265;
/** RFC 9711, section 4.2.9: "enabled" and "disabled". */
const DEBUG_ENABLED = 0;
const DEBUG_DISABLED = 1;

export interface PartitionClaims {
  readonly nonce: Uint8Array;
  readonly name: string;
  readonly codeIdentity: Uint8Array;
  readonly measurement: Uint8Array;
  readonly signer: Uint8Array;
  readonly svn: number;
  readonly debug: boolean;
  /** 64 bytes of the guest's own. */
  readonly userData: Uint8Array;
}

export class EatError extends Error {
  readonly code = 'E_EAT';
  readonly remedy = 'send a report that a nexus made';
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EatError';
  }
}

/** The claims as they are signed. */
export function encodePartitionClaims(claims: PartitionClaims): Uint8Array {
  const payload = new Map<number | string, CborValue>([
    [NONCE, claims.nonce],
    [PROFILE, EAT_PROFILE],
    [DEBUG_STATUS, claims.debug ? DEBUG_ENABLED : DEBUG_DISABLED],
    ['name', claims.name],
    ['code-identity', claims.codeIdentity],
    ['measurement', claims.measurement],
    ['signer', claims.signer],
    ['svn', claims.svn],
    ['user-data', claims.userData],
  ]);
  return encodeCbor(payload);
}

/** Verify and read a report. Throws CoseError when the signature is wrong, EatError when the claims are. */
export function verifyEat(bytes: Uint8Array, nexusKey: PublicKey): PartitionClaims {
  const claims = decodeCbor(verifySign1(bytes, nexusKey).payload);
  if (!(claims instanceof Map) || claims.size !== 9) throw new EatError('not the claims of a partition');
  if (claims.get(PROFILE) !== EAT_PROFILE) throw new EatError('another EAT profile');
  const digest = (name: string) => bytesOf(claims.get(name), name, DIGEST_SIZE, DIGEST_SIZE);
  const name: unknown = claims.get('name');
  const svn: unknown = claims.get('svn');
  const debug: unknown = claims.get(DEBUG_STATUS);
  if (typeof name !== 'string' || name.length > 64) throw new EatError('name');
  if (typeof svn !== 'number' || !Number.isInteger(svn) || svn < 0 || svn > 0xffffffff) throw new EatError('svn');
  if (debug !== DEBUG_ENABLED && debug !== DEBUG_DISABLED) throw new EatError('debug status');
  return {
    nonce: bytesOf(claims.get(NONCE), 'nonce', 8, 64),
    name,
    codeIdentity: digest('code-identity'),
    measurement: digest('measurement'),
    signer: digest('signer'),
    svn,
    debug: debug === DEBUG_ENABLED,
    userData: bytesOf(claims.get('user-data'), 'user-data', USER_DATA_SIZE, USER_DATA_SIZE),
  };
}

function bytesOf(value: unknown, name: string, minimum: number, maximum: number): Uint8Array {
  if (value instanceof Uint8Array && value.length >= minimum && value.length <= maximum) return value;
  throw new EatError(`${name} is not a byte string of ${minimum} to ${maximum} bytes`);
}
