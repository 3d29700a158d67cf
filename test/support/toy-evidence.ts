/** Evidence that says what a test wants it to say: for tests of the service around an appraisal. */
import type { EvidenceFormat } from '../../attestation/verifier/evidence-format.ts';

export interface ToyEvidence {
  readonly akName: string;
  readonly nonce: string;
  readonly pcr?: string;
  readonly partition?: { codeIdentity: string; signer: string; svn: number; debug: boolean; userData: string };
  readonly explode?: boolean;
}

export const encodeToy = (evidence: ToyEvidence): Uint8Array => Buffer.from(JSON.stringify(evidence));

export const toyFormat: EvidenceFormat = {
  mediaType: 'application/toy',
  parseReference(body) {
    if (typeof (body as { pcr?: unknown }).pcr !== 'string') throw new TypeError('pcr is missing');
    return body;
  },
  open(bytes) {
    const evidence = JSON.parse(Buffer.from(bytes).toString()) as ToyEvidence;
    return {
      akName: Buffer.from(evidence.akName, 'hex'),
      appraise({ nonce, reference }) {
        if (evidence.explode === true) throw new Error('boom');
        const checks = [
          { name: 'nonce', passed: evidence.nonce === Buffer.from(nonce).toString('hex') },
          { name: 'reference', passed: reference !== undefined && (reference as { pcr: string }).pcr === evidence.pcr },
        ];
        const state = checks.every((check) => check.passed) ? 'affirming' : 'contraindicated';
        const { partition } = evidence;
        return {
          state,
          checks,
          modules: { platform: { status: state, vector: { hardware: 2 } } },
          ...(partition && { partition: { ...partition, userData: Buffer.from(partition.userData, 'hex') } }),
        };
      },
    };
  },
};
