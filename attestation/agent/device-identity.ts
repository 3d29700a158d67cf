/**
 * The device's identity (IDevID) as an agent shows it: the certificate that the manufacturer left in NV, and a signature by
 * its key over what is quoted. TCG, TPM 2.0 Keys for Device Identity and Attestation 1.0, section 7.
 */
import type { TpmClient } from '../../tpm/client/index.ts';
import { encode, TPM_ALG, TPM_RH, TPM_ST, TPMT_SIGNATURE } from '../../tpm/structures/index.ts';
import { hashById } from '../hash.ts';
import { type DeviceEvidence, idevidStatement } from '../machine/device-identity.ts';
import { AgentError, issuers, readNv, splitDer } from './keys.ts';

const IDEVID_HANDLE = 0x81020000;
const IDEVID_CERTIFICATE_INDEX = 0x01c90000;
const EMPTY = new Uint8Array(0);

type Area = Awaited<ReturnType<TpmClient['ReadPublic']>>['outPublic'];
type Scheme = Extract<Parameters<TpmClient['Sign']>[0]['inScheme'], { scheme: typeof TPM_ALG.ECDSA }> | RsaScheme;
type RsaScheme = Extract<Parameters<TpmClient['Sign']>[0]['inScheme'], { scheme: typeof TPM_ALG.RSASSA }>;

/** The IDevID's certificate and its issuers from NV, leaf first. Throws `AgentError` `E_AGENT_NO_IDEVID`. */
export async function idevidCertificates(tpm: TpmClient): Promise<readonly Uint8Array[]> {
  const leaf = await readNv(tpm, IDEVID_CERTIFICATE_INDEX);
  if (leaf !== undefined) return [...splitDer(leaf), ...(await issuers(tpm))];
  throw new AgentError(
    'E_AGENT_NO_IDEVID',
    `The TPM has no device identity: no certificate at NV index 0x0${IDEVID_CERTIFICATE_INDEX.toString(16)}.`,
    'Leave out --send-idevid.',
  );
}

/** The key's signature over `idevidStatement`, where the TPM holds the key; its certificate alone proves no possession. */
export async function idevidSignature(
  tpm: TpmClient,
  akPublic: Uint8Array,
  nonce: Uint8Array,
): Promise<Pick<DeviceEvidence, 'signed'>> {
  const read = await tpm.ReadPublic({ objectHandle: IDEVID_HANDLE }).catch(() => undefined);
  if (read === undefined) return {};
  const scheme = signingScheme(read.outPublic);
  const digest = hashById(scheme.details.hashAlg)?.digest(idevidStatement(akPublic, nonce));
  if (digest === undefined) return {};
  const { signature } = await tpm.Sign({
    keyHandle: IDEVID_HANDLE,
    digest,
    inScheme: scheme,
    // Of a digest that no TPM computed.
    validation: { tag: TPM_ST.HASHCHECK, hierarchy: TPM_RH.NULL, digest: EMPTY },
  });
  return { signed: encode(TPMT_SIGNATURE, signature) };
}

/** By the hash of the key's name, which fits its strength; a key with a scheme of its own has that one. */
function signingScheme({ type, nameAlg, parameters }: Area): Scheme {
  const scheme = 'scheme' in parameters ? parameters.scheme : undefined;
  // What has a scheme of signatures is no key that decrypts.
  if (scheme !== undefined && scheme.scheme !== TPM_ALG.NULL) return scheme as Scheme;
  const details = { hashAlg: nameAlg } as Scheme['details'];
  return { scheme: type === TPM_ALG.RSA ? TPM_ALG.RSASSA : TPM_ALG.ECDSA, details };
}
