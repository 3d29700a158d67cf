/** Capabilities. Part 3, section 30; Part 2, sections 6.12 to 6.14. */

import { CLOCK_UPDATE_INTERVAL } from '../state/clock.ts';
import { kindOf } from '../state/nv.ts';
import { allPcrs, isDrtmPcr, isNoIncrement, PCR_ATTRIBUTES, PCR_COUNT } from '../state/pcr.ts';
import type { Profile } from '../state/profile.ts';
import { CONTEXT_GAP_MAX } from '../state/sessions.ts';
import {
  MAX_BUFFER,
  MAX_COMMAND_SIZE,
  MAX_DIGEST_SIZE,
  MAX_NV_BUFFER,
  TPM_ALG,
  TPM_CAP,
  TPM_CC,
  TPM_HT,
  TPM_NT,
  TPM_PT,
  TPM_PT_PCR,
  TPM_RC,
  TPM_RH,
  TPMI_YES_NO,
  TPMS_CAPABILITY_DATA,
  type TPMS_TAGGED_PROPERTY,
  TPMT_PUBLIC_PARMS,
  TpmError,
  u32,
} from '../structures/index.ts';
import { FIRMWARE_VERSION } from './attestation.ts';
import { command } from './command.ts';
import { MAX_PENDING } from './commits.ts';
import type { Context } from './context.ts';

/** TPMA_ALGORITHM. Part 2, section 8.2. */
const A = { asymmetric: 1, symmetric: 2, hash: 4, object: 8, signing: 0x100, encrypting: 0x200, method: 0x400 };
const ALGORITHMS: readonly (readonly [alg: number, properties: number])[] = [
  [TPM_ALG.RSA, A.asymmetric | A.object],
  [TPM_ALG.SHA1, A.hash],
  [TPM_ALG.HMAC, A.hash | A.signing],
  [TPM_ALG.AES, A.symmetric],
  [TPM_ALG.MGF1, A.hash | A.method],
  [TPM_ALG.KEYEDHASH, A.hash | A.object | A.signing | A.encrypting],
  [TPM_ALG.XOR, A.hash | A.symmetric],
  [TPM_ALG.SHA256, A.hash],
  [TPM_ALG.SHA384, A.hash],
  [TPM_ALG.SHA512, A.hash],
  [TPM_ALG.RSASSA, A.asymmetric | A.signing],
  [TPM_ALG.RSAES, A.asymmetric | A.encrypting],
  [TPM_ALG.RSAPSS, A.asymmetric | A.signing],
  [TPM_ALG.OAEP, A.asymmetric | A.encrypting],
  [TPM_ALG.ECDSA, A.asymmetric | A.signing],
  [TPM_ALG.ECDH, A.asymmetric | A.method],
  [TPM_ALG.ECDAA, A.asymmetric | A.signing],
  [TPM_ALG.ECSCHNORR, A.asymmetric | A.signing],
  [TPM_ALG.KDF1_SP800_56A, A.hash | A.method],
  [TPM_ALG.KDF2, A.hash | A.method],
  [TPM_ALG.KDF1_SP800_108, A.hash | A.method],
  [TPM_ALG.ECC, A.asymmetric | A.object],
  [TPM_ALG.SYMCIPHER, A.object],
  [TPM_ALG.SHA3_256, A.hash],
  [TPM_ALG.SHA3_384, A.hash],
  [TPM_ALG.SHA3_512, A.hash],
  [TPM_ALG.CMAC, A.symmetric | A.signing],
  [TPM_ALG.CTR, A.symmetric | A.encrypting],
  [TPM_ALG.OFB, A.symmetric | A.encrypting],
  [TPM_ALG.CBC, A.symmetric | A.encrypting],
  [TPM_ALG.CFB, A.symmetric | A.encrypting],
  [TPM_ALG.ECB, A.symmetric | A.encrypting],
];

/** Whether there is such an algorithm here, and the profile has it on. */
export const hasAlgorithm = ({ profile }: Context, alg: number): boolean =>
  ALGORITHMS.some(([each]) => each === alg) && !profile.disabledAlgorithms.has(alg);

const text = (value: string): number => {
  let word = 0;
  for (let i = 0; i < 4; i++) word = (word << 8) | (i < value.length ? value.charCodeAt(i) : 0);
  return word >>> 0;
};
/** "NXUS": not a registered vendor, so that nobody takes this for a maker's hardware. */
const MANUFACTURER = text('NXUS');

const bit = (set: boolean, position: number): number => (set ? (1 << position) >>> 0 : 0);

type Property = TPMS_TAGGED_PROPERTY;
const pairs = (list: readonly (readonly [number, number])[]): readonly Property[] =>
  list.map(([property, value]) => ({ property, value: value >>> 0 }));

const fixedByProfile = new WeakMap<Profile, readonly Property[]>();

/** Of the TPM_PT_FIXED group, ascending: the same for as long as a TPM lives. */
function fixedProperties(tpm: Context): readonly Property[] {
  const known = fixedByProfile.get(tpm.profile);
  if (known !== undefined) return known;
  const { profile } = tpm;
  const made = pairs([
    [TPM_PT.FAMILY_INDICATOR, text('2.0')],
    [TPM_PT.LEVEL, 0],
    [TPM_PT.REVISION, 159],
    [TPM_PT.DAY_OF_YEAR, 312],
    [TPM_PT.YEAR, 2019],
    [TPM_PT.MANUFACTURER, MANUFACTURER],
    [TPM_PT.VENDOR_STRING_1, text('nexu')],
    [TPM_PT.VENDOR_STRING_2, text('s-tc')],
    [TPM_PT.VENDOR_STRING_3, text('b TP')],
    [TPM_PT.VENDOR_STRING_4, text('M')],
    [TPM_PT.VENDOR_TPM_TYPE, 1],
    [TPM_PT.FIRMWARE_VERSION_1, Number(FIRMWARE_VERSION >> 32n)],
    [TPM_PT.FIRMWARE_VERSION_2, Number(FIRMWARE_VERSION & 0xffffffffn)],
    [TPM_PT.INPUT_BUFFER, MAX_BUFFER],
    [TPM_PT.HR_TRANSIENT_MIN, profile.transientSlots],
    [TPM_PT.HR_PERSISTENT_MIN, 7],
    [TPM_PT.HR_LOADED_MIN, profile.loadedSessions],
    [TPM_PT.ACTIVE_SESSIONS_MAX, profile.activeSessions],
    [TPM_PT.PCR_COUNT, PCR_COUNT],
    [TPM_PT.PCR_SELECT_MIN, 3],
    [TPM_PT.CONTEXT_GAP_MAX, CONTEXT_GAP_MAX],
    [TPM_PT.NV_COUNTERS_MAX, 0],
    [TPM_PT.NV_INDEX_MAX, profile.nvIndexSize],
    [TPM_PT.MEMORY, 6],
    [TPM_PT.CLOCK_UPDATE, CLOCK_UPDATE_INTERVAL],
    [TPM_PT.CONTEXT_HASH, TPM_ALG.SHA256],
    [TPM_PT.CONTEXT_SYM, TPM_ALG.AES],
    [TPM_PT.CONTEXT_SYM_SIZE, 256],
    [TPM_PT.ORDERLY_COUNT, 255],
    [TPM_PT.MAX_COMMAND_SIZE, profile.maxCommandSize],
    [TPM_PT.MAX_RESPONSE_SIZE, MAX_COMMAND_SIZE],
    [TPM_PT.MAX_DIGEST, MAX_DIGEST_SIZE],
    [TPM_PT.MAX_OBJECT_CONTEXT, 2474],
    [TPM_PT.MAX_SESSION_CONTEXT, 619],
    [TPM_PT.PS_FAMILY_INDICATOR, 1],
    [TPM_PT.PS_LEVEL, 0],
    [TPM_PT.PS_REVISION, 0x105],
    [TPM_PT.PS_DAY_OF_YEAR, 0],
    [TPM_PT.PS_YEAR, 0],
    [TPM_PT.SPLIT_MAX, MAX_PENDING],
    [TPM_PT.TOTAL_COMMANDS, tpm.commands.size],
    [TPM_PT.LIBRARY_COMMANDS, tpm.commands.size],
    [TPM_PT.VENDOR_COMMANDS, 0],
    [TPM_PT.NV_BUFFER_MAX, MAX_NV_BUFFER],
    [TPM_PT.MODES, 0],
    [TPM_PT.MAX_CAP_BUFFER, MAX_BUFFER],
  ]);
  fixedByProfile.set(profile, made);
  return made;
}

/** Of the TPM_PT_VAR group, ascending. */
function variableProperties(tpm: Context): readonly Property[] {
  const { state, profile } = tpm;
  const { lockout, hierarchies, objects, sessions } = state;
  const locked = lockout.failedTries >= lockout.maxTries;
  const permanent =
    bit(hierarchies[TPM_RH.OWNER].authValue.length > 0, 0) |
    bit(hierarchies[TPM_RH.ENDORSEMENT].authValue.length > 0, 1) |
    bit(lockout.authValue.length > 0, 2) |
    bit(state.disableClear, 8) |
    bit(locked, 9) |
    bit(true, 10);
  const startup =
    bit(hierarchies[TPM_RH.PLATFORM].enabled, 0) |
    bit(hierarchies[TPM_RH.OWNER].enabled, 1) |
    bit(hierarchies[TPM_RH.ENDORSEMENT].enabled, 2) |
    bit(state.phEnableNV, 3) |
    bit(state.readOnly, 4) |
    bit(tpm.clock.safe, 31);
  const counters = [...state.nv.values()].filter((index) => kindOf(index) === TPM_NT.COUNTER).length;
  return pairs([
    [TPM_PT.PERMANENT, permanent],
    [TPM_PT.STARTUP_CLEAR, startup],
    [TPM_PT.HR_NV_INDEX, state.nv.size],
    [TPM_PT.HR_LOADED, sessions.loaded.size],
    [TPM_PT.HR_LOADED_AVAIL, sessions.loadedAvailable],
    [TPM_PT.HR_ACTIVE, sessions.active],
    [TPM_PT.HR_ACTIVE_AVAIL, sessions.activeAvailable],
    [TPM_PT.HR_TRANSIENT_AVAIL, objects.available],
    [TPM_PT.HR_PERSISTENT, objects.persistent.size],
    [TPM_PT.HR_PERSISTENT_AVAIL, profile.persistentObjects - objects.persistent.size],
    [TPM_PT.NV_COUNTERS, counters],
    [TPM_PT.NV_COUNTERS_AVAIL, profile.nvIndices - state.nv.size],
    [TPM_PT.ALGORITHM_SET, state.algorithmSet],
    [TPM_PT.LOADED_CURVES, profile.eccCurves.length],
    [TPM_PT.LOCKOUT_COUNTER, lockout.failedTries],
    [TPM_PT.MAX_AUTH_FAIL, lockout.maxTries],
    [TPM_PT.LOCKOUT_INTERVAL, lockout.recoveryTime],
    [TPM_PT.LOCKOUT_RECOVERY, lockout.lockoutRecovery],
    [TPM_PT.NV_WRITE_RECOVERY, 0],
    [TPM_PT.AUDIT_COUNTER_0, Number(state.commandAudit.counter >> 32n)],
    [TPM_PT.AUDIT_COUNTER_1, Number(state.commandAudit.counter & 0xffffffffn)],
  ]);
}

/** TPM_CAP_TPM_PROPERTIES, ascending. */
export const properties = (tpm: Context): readonly Property[] => [...fixedProperties(tpm), ...variableProperties(tpm)];

function pcrProperties(): { tag: number; pcrSelect: number[] }[] {
  const where = (accepts: (pcr: number) => boolean): number[] => allPcrs.filter(accepts);
  const by = (kind: 'extend' | 'reset', locality: number): number[] =>
    where((pcr) => (PCR_ATTRIBUTES[pcr]![kind] & (1 << locality)) !== 0);
  return [
    { tag: TPM_PT_PCR.SAVE, pcrSelect: where((pcr) => PCR_ATTRIBUTES[pcr]!.saved) },
    ...[0, 1, 2, 3, 4].flatMap((locality) => [
      { tag: TPM_PT_PCR.EXTEND_L0 + 2 * locality, pcrSelect: by('extend', locality) },
      { tag: TPM_PT_PCR.RESET_L0 + 2 * locality, pcrSelect: by('reset', locality) },
    ]),
    { tag: TPM_PT_PCR.NO_INCREMENT, pcrSelect: where(isNoIncrement) },
    { tag: TPM_PT_PCR.DRTM_RESET, pcrSelect: where(isDrtmPcr) },
    { tag: TPM_PT_PCR.POLICY, pcrSelect: [] },
    { tag: TPM_PT_PCR.AUTH, pcrSelect: [] },
  ];
}

function handles(tpm: Context, property: number): number[] {
  const { state } = tpm;
  switch (property >>> 24) {
    case TPM_HT.PCR:
      return [...allPcrs];
    case TPM_HT.NV_INDEX:
      return [...state.nv.keys()];
    case TPM_HT.HMAC_SESSION: // "loaded sessions", of both kinds
      return [...state.sessions.loaded.keys()];
    case TPM_HT.POLICY_SESSION: // "saved sessions"
      return [...state.sessions.saved.values()].map(({ handle }) => handle);
    case TPM_HT.PERMANENT:
      return [
        TPM_RH.OWNER,
        TPM_RH.NULL,
        TPM_RH.PW,
        TPM_RH.LOCKOUT,
        TPM_RH.ENDORSEMENT,
        TPM_RH.PLATFORM,
        TPM_RH.PLATFORM_NV,
      ];
    case TPM_HT.TRANSIENT:
      return [...state.objects.slots.keys()];
    case TPM_HT.PERSISTENT:
      return [...state.objects.persistent.keys()];
    default:
      throw new TpmError(TPM_RC.HANDLE, 'property');
  }
}

interface Page<T> {
  data: T[];
  moreData: boolean;
}

/** Those of `items`, which ascend, from `from` on: at most `count`, and no more than fit. */
function page<T>(items: readonly T[], key: (item: T) => number, from: number, count: number, max: number): Page<T> {
  let first = 0;
  while (first < items.length && key(items[first]!) < from) first++;
  const end = Math.min(first + Math.min(count, max), items.length);
  return { data: items.slice(first, end), moreData: end < items.length };
}

const ascending = <T>(items: Iterable<T>, key: (item: T) => number): T[] => [...items].sort((a, b) => key(a) - key(b));

const own = (value: number): number => value;
const bySlot = (handle: number): number => handle & 0xffffff;
const byCode = (attributes: number): number => attributes & 0xffff;
const byAlg = ({ alg }: { alg: number }): number => alg;
const byProperty = ({ property }: Property): number => property;
/** Part 2, section 6.14: MAX_TPM_PROPERTIES. */
const MAX_PROPERTIES = 127;
/** Ascending. */
const POLICY_HANDLES = [TPM_RH.OWNER, TPM_RH.LOCKOUT, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM] as const;

/** TPM_RH_ACT_0 and TPM_RH_ACT_F: authenticated countdown timers, of which there is none here. Part 2, section 7.4. */
const FIRST_ACT = 0x4000_0110;
const LAST_ACT = 0x4000_011f;

/** What TPM2_GetCapability says. TPM_RC_VALUE, TPM_RC_HANDLE. */
export function answer(
  tpm: Context,
  capability: number,
  property: number,
  count: number,
): { data: TPMS_CAPABILITY_DATA['data']; moreData: boolean } {
  const { state, profile } = tpm;
  const words = MAX_BUFFER / 4 - 2;
  switch (capability) {
    case TPM_CAP.ALGS: {
      const algs = ALGORITHMS.filter(
        ([alg]) => !profile.disabledAlgorithms.has(alg) && !profile.unreportedAlgorithms.includes(alg),
      );
      const items = algs.map(([alg, algProperties]) => ({ alg, algProperties }));
      return page(ascending(items, byAlg), byAlg, property, count, 169);
    }
    case TPM_CAP.HANDLES:
      // Loaded and saved sessions are asked for by handle type, and mix both kinds: order by slot.
      return page(ascending(handles(tpm, property), bySlot), bySlot, property & 0xffffff, count, words);
    case TPM_CAP.COMMANDS: {
      const attributes = [...tpm.commands.values()].map((command) => command.attributes >>> 0);
      return page(ascending(attributes, byCode), byCode, property, count, words);
    }
    case TPM_CAP.PP_COMMANDS:
      return page(ascending(state.ppCommands, own), own, property, count, words);
    case TPM_CAP.AUDIT_COMMANDS:
      return page(ascending(state.commandAudit.commands, own), own, property, count, words);
    case TPM_CAP.PCRS: {
      if (property !== 0) throw new TpmError(TPM_RC.VALUE, 'property');
      return { data: state.pcrAllocation, moreData: false };
    }
    case TPM_CAP.TPM_PROPERTIES: {
      // A request for a group gives that group only up to its end, as clients page through groups.
      const fixed = page(fixedProperties(tpm), byProperty, property, count, MAX_PROPERTIES);
      // Behind them come the variable ones.
      if (fixed.data.length === Math.min(count, MAX_PROPERTIES)) return { data: fixed.data, moreData: true };
      return page(properties(tpm), byProperty, property, count, MAX_PROPERTIES);
    }
    case TPM_CAP.PCR_PROPERTIES:
      return page(pcrProperties(), (item) => item.tag, property, count, 169);
    case TPM_CAP.ECC_CURVES:
      return page(ascending(profile.eccCurves, own), own, property, count, 508);
    case TPM_CAP.AUTH_POLICIES: {
      const items = POLICY_HANDLES.map((handle) => {
        const policy = handle === TPM_RH.LOCKOUT ? state.lockout.policy : state.hierarchies[handle].policy;
        return { handle, policyHash: { hashAlg: policy.alg as typeof TPM_ALG.SHA256, digest: policy.digest } }; // a hash or NULL
      });
      return page(items, (item) => item.handle, property, count, 14);
    }
    case TPM_CAP.ACT:
      if (property < FIRST_ACT || property > LAST_ACT) throw new TpmError(TPM_RC.VALUE, 'property');
      return { data: [], moreData: false };
    default:
      throw new TpmError(TPM_RC.VALUE, 'capability');
  }
}

/** TPM2_GetCapability. Part 3, section 30.2. */
export const GetCapability = command(
  TPM_CC.GetCapability,
  {
    params: { capability: u32, property: u32, propertyCount: u32 },
    response: { moreData: TPMI_YES_NO, capabilityData: TPMS_CAPABILITY_DATA },
  },
  (tpm, { capability, property, propertyCount }) => {
    const { data, moreData } = answer(tpm, capability, property, propertyCount);
    return { moreData, capabilityData: { capability, data } as TPMS_CAPABILITY_DATA }; // data follows the capability
  },
);

/** TPM2_TestParms: whether such an object could be made. Part 3, section 30.3. */
export const TestParms = command(
  TPM_CC.TestParms,
  { params: { parameters: TPMT_PUBLIC_PARMS } },
  (tpm, { parameters }) => {
    const { profile } = tpm;
    const value = parameters.type === TPM_ALG.RSA && !profile.rsaKeyBits.includes(parameters.parameters.keyBits);
    if (value) throw new TpmError(TPM_RC.VALUE, 'parameters');
    if (parameters.type === TPM_ALG.SYMCIPHER && parameters.parameters.sym.algorithm === TPM_ALG.NULL)
      throw new TpmError(TPM_RC.SYMMETRIC, 'parameters');
    if (parameters.type === TPM_ALG.ECC && !profile.eccCurves.includes(parameters.parameters.curveID))
      throw new TpmError(TPM_RC.CURVE, 'parameters');
  },
);

export const capabilityCommands = [GetCapability, TestParms];
