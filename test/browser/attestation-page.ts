/** What the browser runs: evidence and results are verified there, by the package's own entry for browsers. */
import {
  decodeCoseKey,
  machineEvidence,
  nexusEvidence,
  verifyEarCwt,
  verifyEarJwt,
} from '../../attestation/browser.ts';
import { fromBase64Url } from '../../attestation/bytes.ts';

export interface Question {
  readonly format: 'machine' | 'nexus';
  /** Bytes are base64url. */
  readonly evidence: string;
  readonly nonce: string;
  readonly ak: string;
  readonly reference: object;
  readonly now: string;
}

export function appraise({ format, evidence, nonce, ak, reference, now }: Question) {
  const opened = (format === 'machine' ? machineEvidence : nexusEvidence).open(fromBase64Url(evidence));
  const { state, checks } = opened.appraise({
    nonce: fromBase64Url(nonce),
    akPublic: fromBase64Url(ak),
    reference,
    clock: null,
    now: new Date(now),
  });
  return { state, checks };
}

export interface Results {
  readonly jwt: string;
  readonly jwk: object;
  readonly cwt: string;
  readonly coseKey: string;
  readonly now: string;
}

export async function results({ jwt, jwk, cwt, coseKey, now }: Results) {
  return [
    await verifyEarJwt(jwt, jwk as never, new Date(now)),
    verifyEarCwt(fromBase64Url(cwt), decodeCoseKey(fromBase64Url(coseKey)), new Date(now)),
  ];
}

/** Whether there is something of Node here, which would make the test prove nothing. */
export const hasNode = () => 'process' in globalThis || 'Buffer' in globalThis;
