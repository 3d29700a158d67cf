/** The verifier and its broker, as a service. */
export { type HpkeMessage, hpkeOpen, hpkeSeal } from '../broker/hpke.ts';
export type { KekSource } from '../broker/kek.ts';
export type { ReleasePolicy } from '../broker/release-policy.ts';
export { RELEASE_INFO, releaseUserData } from '../broker/releases.ts';
export { type AuditEntry, verifyAudit } from './audit.ts';
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
export { ROLES, type Role } from './tokens.ts';
export { createVerifier, type Verifier, type VerifierOptions } from './verifier.ts';
