/** A verifier, and a machine in software that is enrolled with it and attests on demand: for tests of the whole service. */
import { KeyObject, sign } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { VerifierClient } from '../../attestation/client.ts';
import { parseEarClaims } from '../../attestation/ear/claims.ts';
import { encodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import { createVerifier, type VerifierOptions } from '../../attestation/verifier/verifier.ts';
import { encode, TPM_ALG, TPMT_SIGNATURE } from '../../tpm/structures/index.ts';
import { authority, der } from '../support/certificate-authority.ts';
import { softwareTpm } from '../support/software-tpm.ts';
import { SELECTION, softwareMachine } from './machine.ts';

export async function enrolledMachine(options: Partial<VerifierOptions> & { readonly clock: () => Date }) {
  const machine = softwareMachine();
  const manufacturer = await authority('Manufacturer');
  const verifier = await createVerifier({
    database: { memory: true },
    manufacturers: [der(manufacturer.certificate)],
    jobs: false,
    ...options,
  });
  const base = await verifier.listen();
  const client = new VerifierClient(base);
  const tpm = await softwareTpm(manufacturer);
  await client.enrol(tpm, 'host-1');
  const admin = new VerifierClient(base, { token: await verifier.createToken('admin', ['admin']) });

  /** A signature by the enrolled attestation key. */
  function signed(message: Uint8Array): Uint8Array {
    const key = KeyObject.from(tpm.ak.privateKey);
    const raw = sign('sha256', message, { key, dsaEncoding: 'ieee-p1363' });
    const [signatureR, signatureS] = [raw.subarray(0, 32), raw.subarray(32)];
    const signature = { hash: TPM_ALG.SHA256, signatureR, signatureS } as const;
    return encode(TPMT_SIGNATURE, { sigAlg: TPM_ALG.ECDSA, signature });
  }

  return {
    machine,
    manufacturer,
    verifier,
    base,
    client,
    admin,
    tpm,
    /** Attest over the reference values in force; the result is verified with the published keys and read as an EAR. */
    async attest() {
      const { id, nonce } = await client.challenge();
      const parts = machine.parts({ nonce, signer: { publicArea: tpm.akPublic, sign: signed } });
      const reply = await client.attest(id, encodeMachineEvidence({ ...parts, akPublic: tpm.akPublic }));
      const keys = createLocalJWKSet((await client.jwks()) as never);
      const { payload } = await jwtVerify(reply.result, keys, { currentDate: options.clock() });
      const { submods } = parseEarClaims(payload);
      const [platform] = await verifier.service.platforms.list('default');
      const { state, failed, checks } = reply;
      return { state, failed, checks, ear: submods.platform?.['ear.status'], fleet: platform?.state };
    },
    /** Reference values for this machine's quote. */
    reference: (more: object = {}) => ({ selection: [{ bank: 'sha256', pcrs: SELECTION }], ...more }),
  };
}
export type EnrolledMachine = Awaited<ReturnType<typeof enrolledMachine>>;
