/** The verifier and its broker, as a service. */
import type { Verifier, VerifierOptions } from './verifier.ts';

export { type HpkeMessage, hpkeOpen, hpkeSeal } from '../broker/hpke.ts';
export type { KekSource } from '../broker/kek.ts';
export { RELEASE_INFO, releaseUserData } from '../broker/release-binding.ts';
export type { ReleasePolicy } from '../broker/release-policy.ts';
export { type AuditEntry, verifyAudit } from './audit-chain.ts';
export type { DatabaseLocation } from './database/open.ts';
export { Manufacturers } from './ek-certificates.ts';
export { type Problem, type RefusalCode, VerifierError } from './errors.ts';
export type {
  AppraisalContext,
  Appraised,
  CheckResult,
  EvidenceFormat,
  OpenedEvidence,
} from './evidence-format.ts';
export { ROLES, type Role } from './roles.ts';
export type { Verifier, VerifierOptions };

/** Start a verifier. Its web server and databases are many packages, which are loaded for it alone. */
export const createVerifier = async (options: VerifierOptions): Promise<Verifier> =>
  (await import('./verifier.ts')).createVerifier(options);
