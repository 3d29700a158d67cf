/** What policy commands share. Part 3, section 23.2. */
import { concat, equal, u32be } from '../crypto/bytes.ts';
import type { Session } from '../state/sessions.ts';
import { DIGEST_SIZE, TPM_RC, TpmError } from '../structures/index.ts';
import type { Context } from './context.ts';

/** policyDigest = H(policyDigest || parts). */
export function extendPolicy(tpm: Context, session: Session, ...parts: readonly Uint8Array[]): void {
  session.policy.digest = tpm.crypto.hash(session.authHash, session.policy.digest, ...parts);
}

/** PolicyUpdate: H(H(policyDigest || commandCode || arg2) || arg3). Part 1, section 19.7.6. */
export function policyUpdate(tpm: Context, session: Session, code: number, arg2: Uint8Array, arg3: Uint8Array): void {
  extendPolicy(tpm, session, u32be(code), arg2);
  extendPolicy(tpm, session, arg3);
}

export const zeroDigest = (session: Session): Uint8Array => new Uint8Array(DIGEST_SIZE[session.authHash]!); // has one

/** Checks of PolicySigned, PolicySecret, PolicyTicket. Part 3, section 23.2.3. */
export function checkParameters(
  tpm: Context,
  session: Session,
  nonceTPM: Uint8Array,
  cpHashA: Uint8Array,
  expiration: number,
): bigint {
  if (nonceTPM.length !== 0 && !equal(nonceTPM, session.nonceTPM)) throw new TpmError(TPM_RC.NONCE, 'nonceTPM');
  if (cpHashA.length !== 0) {
    if (cpHashA.length !== DIGEST_SIZE[session.authHash]) throw new TpmError(TPM_RC.SIZE, 'cpHashA');
    if (session.policy.cpHash !== undefined && !equal(session.policy.cpHash, cpHashA))
      throw new TpmError(TPM_RC.CPHASH);
  }
  if (expiration === 0) return 0n;
  // A nonce means: seconds since this session started; without one, since the TPM did.
  const start = nonceTPM.length !== 0 ? session.startTime : 0n;
  const deadline = start + BigInt(Math.abs(expiration)) * 1000n;
  if (tpm.clock.time > deadline) throw new TpmError(TPM_RC.EXPIRED, 'expiration');
  return deadline;
}

/** What an assertion adds besides its digest: cpHash and the earliest deadline. */
export function applyAssertion(session: Session, cpHashA: Uint8Array, deadline: bigint): void {
  const { policy } = session;
  if (cpHashA.length !== 0) policy.cpHash = cpHashA;
  if (deadline !== 0n && (policy.timeout === 0n || deadline < policy.timeout)) policy.timeout = deadline;
}

/** Set one of the hashes that exclude each other; TPM_RC_CPHASH when another is set. */
export function requireNoHash(session: Session): void {
  const { cpHash, nameHash, templateHash, parametersHash } = session.policy;
  if (cpHash !== undefined || nameHash !== undefined || templateHash !== undefined || parametersHash !== undefined)
    throw new TpmError(TPM_RC.CPHASH);
}

/** An operand compared as TPM_EO says. Both have the same length. Part 2, section 6.8. */
export function compare(a: Uint8Array, b: Uint8Array, operation: number): boolean {
  const unsigned = order(a, b);
  const signed = (signOf(a) === signOf(b) ? unsigned : signOf(a) < 0 ? -1 : 1) as number;
  switch (operation) {
    case 0:
      return unsigned === 0;
    case 1:
      return unsigned !== 0;
    case 2:
      return signed > 0;
    case 3:
      return unsigned > 0;
    case 4:
      return signed < 0;
    case 5:
      return unsigned < 0;
    case 6:
      return signed >= 0;
    case 7:
      return unsigned >= 0;
    case 8:
      return signed <= 0;
    case 9:
      return unsigned <= 0;
    case 10:
      return b.every((octet, i) => (a[i]! & octet) === octet);
    default:
      return b.every((octet, i) => (a[i]! & octet) === 0);
  }
}

const signOf = (value: Uint8Array): number => ((value[0] ?? 0) & 0x80 ? -1 : 1);

function order(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/** argHash of PolicyNV and PolicyCounterTimer. */
export const argumentHash = (
  tpm: Context,
  session: Session,
  operand: Uint8Array,
  offset: number,
  operation: number,
): Uint8Array =>
  tpm.crypto.hash(session.authHash, operand, Uint8Array.of(offset >> 8, offset, operation >> 8, operation));

export const codeBytes = (code: number, ...more: Uint8Array[]): Uint8Array => concat(u32be(code), ...more);
