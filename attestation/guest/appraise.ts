/**
 * Appraisal of a guest with a TPM of its own, from its quote down to the platform TPM:
 *
 *   guest's quote <- guest's AK <- (enrolment: TPM2_ActivateCredential) <- guest's EK <- EK certificate
 *     <- nexus key <- platform's quote of PCR 17 over this nonce <- platform's AK (enrolled)
 *
 * The checks of the host keep their names, those of the guest's machine have `guest-` in front.
 */
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { appraise, parseReference, ReferenceSchema } from '../appraise.ts';
import { Checks, required } from '../checks.ts';
import { appraiseMachine } from '../machine/appraise.ts';
import { compileReference, MachineReferenceSchema } from '../machine/reference.ts';
import { sameKey } from '../verifier/ek-certificates.ts';
import type { AppraisalContext, Appraised } from '../verifier/evidence-format.ts';
import { readAttestationKey, readEndorsementKey } from '../verifier/tpm-keys.ts';
import { readNexusCertificate } from './certificate.ts';
import type { GuestEvidence } from './evidence.ts';

const GuestReferenceSchema = Type.Object(
  {
    host: ReferenceSchema,
    guest: MachineReferenceSchema,
    names: Type.Array(Type.String({ minLength: 1 }), {
      minItems: 1,
      description: 'the partitions that the guest may be, as the host names them',
    }),
  },
  { additionalProperties: false },
);
/** Reference values: of the host, of what runs in the guest, and which partitions it may be. */
export type GuestReference = Static<typeof GuestReferenceSchema>;
const isReference = Compile(GuestReferenceSchema);

/** Throws TypeError for a document that is not reference values of a guest. */
export function parseGuestReference(body: unknown): GuestReference {
  if (!isReference.Check(body)) {
    const [first] = isReference.Errors(body);
    throw new TypeError(`${first?.instancePath || 'document'}: ${first?.message ?? 'malformed'}`);
  }
  parseReference(body.host);
  compileReference(body.guest);
  return body;
}

/** Keys of a guest's TPM, TPMT_PUBLIC: the AK gave back a secret that was encrypted to the EK and the AK's name. */
export interface EnrolledGuest {
  readonly akPublic: Uint8Array;
  readonly ekPublic: Uint8Array;
}

export interface GuestContext extends AppraisalContext {
  /** As enrolment found the guest. `akPublic` beside it is the platform's. */
  readonly guest: EnrolledGuest;
}

/** Appraise decoded evidence. Never throws for what the evidence holds. */
export function appraiseGuest(evidence: GuestEvidence, context: GuestContext): Appraised {
  const { host, guest, ekCertificate } = evidence;
  const references = new Checks();
  const reference = references.value('guest-reference-values', () => parseGuestReference(context.reference));
  const platform = appraise(host, { ...context, reference: reference?.host });
  const link = new Checks();
  link.holds(
    'attestation-key-kind',
    () => readAttestationKey(context.guest.akPublic) !== undefined,
    'not a restricted signing key of its TPM',
  );
  const certificate = link.value('endorsement-certificate', () => readNexusCertificate(ekCertificate, host.nexusKey));
  link.holds(
    'endorsement-key',
    () => sameKey(required(certificate).key, readEndorsementKey(context.guest.ekPublic).key),
    'the certificate is of another endorsement key than the one that enrolment found the attestation key with',
  );
  link.holds(
    'partition-name',
    () => required(reference).names.includes(required(certificate).name),
    () => `the certificate names ${certificate?.name}`,
  );
  const machine = appraiseMachine(guest, {
    ...context,
    akPublic: context.guest.akPublic,
    reference: reference?.guest,
  });
  const checks = [
    ...references.results,
    ...platform.checks,
    ...link.results,
    ...machine.checks.map((check) => ({ ...check, name: `guest-${check.name}` })),
  ];
  const linked = references.status === 'affirming' && link.status === 'affirming';
  const hostState = platform.state;
  const state = hostState !== 'affirming' || !linked ? 'contraindicated' : machine.state;
  const modules = { ...platform.modules, endorsement: link.module(), ...renamed(machine.modules) };
  return { state, checks, modules, clock: state === 'contraindicated' ? undefined : machine.clock };
}

/** The machine's own module is the guest here. */
const renamed = ({ platform }: Appraised['modules']): Appraised['modules'] =>
  platform === undefined ? {} : { guest: platform };
