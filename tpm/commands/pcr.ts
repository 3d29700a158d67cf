/** Integrity collection. Part 3, section 22. */
import { allPcrs, isAuthorizedPcr, PCR_ATTRIBUTES, PCR_COUNT, type PcrBanks } from '../state/pcr.ts';
import {
  TPM_CC,
  TPM_RC,
  TPM2B_DIGEST,
  TPM2B_EVENT,
  type TPMI_ALG_HASH,
  TPMI_ALG_HASH_OR_NULL,
  TPMI_YES_NO,
  TPML_DIGEST,
  TPML_DIGEST_VALUES,
  TPML_PCR_SELECTION,
  type TPMT_HA,
  TpmError,
  u32,
  where,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { orNull, TPMI_DH_PCR, TPMI_RH_PLATFORM } from './handles.ts';
import { checkedPolicy } from './hierarchy.ts';

/** Whether the locality may extend a PCR. */
export const mayExtend = (tpm: Context, pcr: number): boolean =>
  tpm.locality < 5 && (PCR_ATTRIBUTES[pcr]!.extend & (1 << tpm.locality)) !== 0;

/** TPM2_PCR_Extend: TPM_RC_LOCALITY where the PCR may not be extended from here. Part 3, section 22.2. */
export const PCR_Extend = command(
  TPM_CC.PCR_Extend,
  { handles: { pcrHandle: auth(orNull(TPMI_DH_PCR), 'user') }, params: { digests: TPML_DIGEST_VALUES }, nv: true },
  (tpm, { pcrHandle, digests }) => {
    if (pcrHandle === undefined) return;
    if (!mayExtend(tpm, pcrHandle)) throw new TpmError(TPM_RC.LOCALITY);
    for (const { hashAlg, digest } of digests) tpm.state.pcr.extend(hashAlg, pcrHandle, digest);
  },
);

/** Digest an event with every allocated bank, and extend a PCR with them. */
export function measure(tpm: Context, pcr: number | undefined, data: Uint8Array): TPMT_HA[] {
  const digests = [...tpm.state.pcr.banks.keys()].map((hashAlg) => ({
    hashAlg: hashAlg as TPMI_ALG_HASH, // banks are made for hash algorithms only
    digest: tpm.crypto.hash(hashAlg, data),
  }));
  if (pcr !== undefined) for (const { hashAlg, digest } of digests) tpm.state.pcr.extend(hashAlg, pcr, digest);
  return digests;
}

/** TPM2_PCR_Event. Part 3, section 22.3. */
export const PCR_Event = command(
  TPM_CC.PCR_Event,
  {
    handles: { pcrHandle: auth(orNull(TPMI_DH_PCR), 'user') },
    params: { eventData: TPM2B_EVENT },
    response: { digests: TPML_DIGEST_VALUES },
    nv: true,
  },
  (tpm, { pcrHandle, eventData }) => {
    if (pcrHandle !== undefined && !mayExtend(tpm, pcrHandle)) throw new TpmError(TPM_RC.LOCALITY);
    return { digests: measure(tpm, pcrHandle, eventData) };
  },
);

/** TPM2_PCR_Read: up to eight values. Part 3, section 22.4. */
export const PCR_Read = command(
  TPM_CC.PCR_Read,
  {
    params: { pcrSelectionIn: TPML_PCR_SELECTION },
    response: { pcrUpdateCounter: u32, pcrSelectionOut: TPML_PCR_SELECTION, pcrValues: TPML_DIGEST },
  },
  (tpm, { pcrSelectionIn }) => readPcrs(tpm.state.pcr, pcrSelectionIn),
);

const MAX_DIGESTS = 8;

function readPcrs(pcr: PcrBanks, selection: TPML_PCR_SELECTION) {
  const pcrValues: Uint8Array[] = [];
  const pcrSelectionOut: TPML_PCR_SELECTION = [];
  for (const { hash, pcrSelect } of selection) {
    const given: number[] = [];
    const bank = pcr.banks.get(hash);
    for (const number of pcrSelect) {
      const value = bank?.[number];
      if (value === undefined || pcrValues.length === MAX_DIGESTS) continue;
      pcrValues.push(value);
      given.push(number);
    }
    pcrSelectionOut.push({ hash, pcrSelect: given });
  }
  return { pcrUpdateCounter: pcr.updateCounter, pcrSelectionOut, pcrValues };
}

/** TPM2_PCR_Reset: to zero, from localities that may. Part 3, section 22.8. */
export const PCR_Reset = command(
  TPM_CC.PCR_Reset,
  { handles: { pcrHandle: auth(TPMI_DH_PCR, 'user') }, nv: true },
  (tpm, { pcrHandle }) => {
    if (tpm.locality > 4 || (PCR_ATTRIBUTES[pcrHandle]!.reset & (1 << tpm.locality)) === 0)
      throw new TpmError(TPM_RC.LOCALITY);
    tpm.state.pcr.set(pcrHandle, 0);
    tpm.state.pcr.changed(pcrHandle);
  },
);

/** TPM2_PCR_Allocate: takes effect at the next TPM Reset. Part 3, section 22.5. */
export const PCR_Allocate = command(
  TPM_CC.PCR_Allocate,
  {
    handles: { authHandle: auth(TPMI_RH_PLATFORM, 'user') },
    params: { pcrAllocation: TPML_PCR_SELECTION },
    response: { allocationSuccess: TPMI_YES_NO, maxPCR: u32, sizeNeeded: u32, sizeAvailable: u32 },
    nv: true,
  },
  (tpm, { pcrAllocation }) => {
    const wanted = new Map(tpm.state.pcrAllocation.map(({ hash, pcrSelect }) => [hash, pcrSelect]));
    for (const { hash, pcrSelect } of pcrAllocation) wanted.set(hash, pcrSelect);
    const allocation = [...wanted].map(([hash, pcrSelect]) => ({ hash, pcrSelect }));
    // A bank has all PCR or none here; and _TPM_Hash_Start needs PCR 0 and 17 in one of them.
    const whole = allocation.every(({ pcrSelect }) => pcrSelect.length === 0 || pcrSelect.length === allPcrs.length);
    const drtm = allocation.some(({ pcrSelect }) => pcrSelect.includes(0) && pcrSelect.includes(17));
    const known = allocation.every(({ hash }) => BANK_HASHES.has(hash));
    if (!drtm) throw new TpmError(TPM_RC.PCR);
    const allocationSuccess = whole && known;
    if (allocationSuccess) {
      tpm.state.pcrAllocation = allocation;
      tpm.markDurable('pcr');
    }
    return { allocationSuccess, maxPCR: allPcrs.length, sizeNeeded: 0, sizeAvailable: 0 };
  },
);

/** Hash algorithms that a bank can have: SHA-1, SHA-256, SHA-384, SHA-512. */
export const BANK_HASHES: ReadonlySet<number> = new Set([0x04, 0x0b, 0x0c, 0x0d]);

const PCR_NUMBER = where(u32, (pcr) => pcr < PCR_COUNT, TPM_RC.VALUE);

/** TPM2_PCR_SetAuthPolicy: of the group that a PCR is in, TPM_RC_VALUE when in none. Part 3, section 22.6. */
export const PCR_SetAuthPolicy = command(
  TPM_CC.PCR_SetAuthPolicy,
  {
    handles: { authHandle: auth(TPMI_RH_PLATFORM, 'user') },
    params: { authPolicy: TPM2B_DIGEST, hashAlg: TPMI_ALG_HASH_OR_NULL, pcrNum: PCR_NUMBER },
    nv: true,
  },
  (tpm, { authPolicy, hashAlg, pcrNum }) => {
    const policy = checkedPolicy(hashAlg, authPolicy);
    if (!isAuthorizedPcr(pcrNum)) throw new TpmError(TPM_RC.VALUE, 'pcrNum');
    tpm.state.pcrPolicy = policy;
    tpm.markDurable('pcr');
  },
);

/** TPM2_PCR_SetAuthValue: of the group that a PCR is in, until the next TPM Reset. Part 3, section 22.7. */
export const PCR_SetAuthValue = command(
  TPM_CC.PCR_SetAuthValue,
  { handles: { pcrHandle: auth(TPMI_DH_PCR, 'user') }, params: { auth: TPM2B_DIGEST } },
  (tpm, { pcrHandle, auth: value }) => {
    if (!isAuthorizedPcr(pcrHandle)) throw new TpmError(TPM_RC.VALUE, 'pcrHandle');
    tpm.state.pcrAuth = trimAuth(value).slice();
  },
);

export const pcrCommands = [
  PCR_Extend,
  PCR_Event,
  PCR_Read,
  PCR_Reset,
  PCR_Allocate,
  PCR_SetAuthPolicy,
  PCR_SetAuthValue,
] as const;
