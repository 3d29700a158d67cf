/** Hierarchy commands. Part 3, section 24; CreatePrimary is in `object.ts`. */
import { newSecrets } from '../state/persist.ts';
import { type HierarchyHandle, NO_POLICY, type Policy } from '../state/state.ts';
import {
  DIGEST_SIZE,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM2B_AUTH,
  TPM2B_DIGEST,
  TPMA_NV,
  TPMI_ALG_HASH_OR_NULL,
  TPMI_RH_ENABLES,
  TPMI_YES_NO,
  TpmError,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import { auth, command } from './command.ts';
import { type Context, nvRecord, objectRecord } from './context.ts';
import { TPMI_RH_BASE_HIERARCHY, TPMI_RH_CLEAR, TPMI_RH_HIERARCHY_AUTH, TPMI_RH_PLATFORM } from './handles.ts';

const NO_AUTH = new Uint8Array(0);

/**
 * TPM2_HierarchyControl: a hierarchy may switch itself off, the platform switches all on and off; else
 * TPM_RC_AUTH_TYPE. Objects of a hierarchy that goes off are flushed. Section 24.2.
 */
export const HierarchyControl = command(
  TPM_CC.HierarchyControl,
  {
    handles: { authHandle: auth(TPMI_RH_BASE_HIERARCHY, 'user') },
    params: { enable: TPMI_RH_ENABLES, state: TPMI_YES_NO },
    nv: true,
    extensive: true,
  },
  (tpm, { authHandle, enable, state: on }) => {
    const { state } = tpm;
    if (authHandle !== TPM_RH.PLATFORM && authHandle !== enable) throw new TpmError(TPM_RC.AUTH_TYPE);
    if (enable === TPM_RH.PLATFORM_NV) {
      state.phEnableNV = on;
      return;
    }
    state.hierarchies[enable].enabled = on;
    if (on) return;
    for (const [handle, { hierarchy }] of state.objects.slots)
      if (hierarchy === enable) state.objects.slots.delete(handle);
  },
);

/** A policy and its algorithm belong together. TPM_RC_SIZE. */
export function checkedPolicy(alg: number, digest: Uint8Array): Policy {
  if (digest.length !== (DIGEST_SIZE[alg] ?? 0)) throw new TpmError(TPM_RC.SIZE, 'authPolicy');
  return alg === TPM_ALG.NULL ? NO_POLICY : { alg, digest };
}

/** TPM2_SetPrimaryPolicy. Section 24.3. */
export const SetPrimaryPolicy = command(
  TPM_CC.SetPrimaryPolicy,
  {
    handles: { authHandle: auth(TPMI_RH_HIERARCHY_AUTH, 'user') },
    params: { authPolicy: TPM2B_DIGEST, hashAlg: TPMI_ALG_HASH_OR_NULL },
    nv: true,
  },
  (tpm, { authHandle, authPolicy, hashAlg }) => {
    const policy = checkedPolicy(hashAlg, authPolicy);
    if (authHandle === TPM_RH.LOCKOUT) {
      tpm.state.lockout.policy = policy;
      tpm.markDurable('lockout');
      return;
    }
    tpm.state.hierarchies[authHandle as HierarchyHandle].policy = policy;
    if (authHandle !== TPM_RH.PLATFORM) tpm.markDurable('hierarchies');
  },
);

/** Flush and delete what hangs from a hierarchy's seed. */
function forget(tpm: Context, hierarchy: HierarchyHandle): void {
  for (const handle of tpm.state.objects.removeHierarchy(hierarchy)) tpm.markDurable(objectRecord(handle));
}

/** A new seed and proof; all that the old ones made is gone. */
function renew(tpm: Context, hierarchy: HierarchyHandle): void {
  newSecrets(tpm.state.hierarchies[hierarchy], (size) => tpm.random.bytes(size));
  forget(tpm, hierarchy);
  tpm.state.primaries.clear();
  tpm.markDurable('hierarchies');
}

/** TPM2_ChangePPS. Section 24.4. */
export const ChangePPS = command(
  TPM_CC.ChangePPS,
  { handles: { authHandle: auth(TPMI_RH_PLATFORM, 'user') }, nv: true, extensive: true },
  (tpm) => {
    renew(tpm, TPM_RH.PLATFORM);
    tpm.state.hierarchies[TPM_RH.PLATFORM].policy = NO_POLICY;
  },
);

/** TPM2_ChangeEPS. Section 24.5. */
export const ChangeEPS = command(
  TPM_CC.ChangeEPS,
  { handles: { authHandle: auth(TPMI_RH_PLATFORM, 'user') }, nv: true, extensive: true },
  (tpm) => {
    renew(tpm, TPM_RH.ENDORSEMENT);
    Object.assign(tpm.state.hierarchies[TPM_RH.ENDORSEMENT], { authValue: NO_AUTH, policy: NO_POLICY, enabled: true });
  },
);

/** TPM2_Clear: the owner's and the endorsement's belongings, not the endorsement seed. TPM_RC_DISABLED. Section 24.6. */
export const Clear = command(
  TPM_CC.Clear,
  { handles: { authHandle: auth(TPMI_RH_CLEAR, 'user') }, nv: true, extensive: true },
  (tpm) => {
    const { state } = tpm;
    if (state.disableClear) throw new TpmError(TPM_RC.DISABLED);
    const endorsement = state.hierarchies[TPM_RH.ENDORSEMENT];
    renew(tpm, TPM_RH.OWNER);
    forget(tpm, TPM_RH.ENDORSEMENT);
    endorsement.proof = tpm.random.bytes(endorsement.proof.length);
    for (const handle of [TPM_RH.OWNER, TPM_RH.ENDORSEMENT] as const)
      Object.assign(state.hierarchies[handle], { authValue: NO_AUTH, policy: NO_POLICY, enabled: true });
    Object.assign(state.lockout, { authValue: NO_AUTH, policy: NO_POLICY, failedTries: 0, lockoutAuthEnabled: true });
    for (const index of state.nv.values()) {
      if ((index.publicArea.attributes & TPMA_NV.PLATFORMCREATE) !== 0) continue;
      state.nv.delete(index.handle);
      tpm.markDurable(nvRecord(index.handle));
    }
    state.clearCount = (state.clearCount + 1) >>> 0;
    state.resetCount = 0;
    state.restartCount = 0;
    tpm.clock.set(0n);
    tpm.clock.safe = true;
    tpm.markDurable('lockout');
    tpm.markDurable('clock');
  },
);

/** TPM2_ClearControl: the lockout authority only disables, else TPM_RC_AUTH_FAIL. Section 24.7. */
export const ClearControl = command(
  TPM_CC.ClearControl,
  { handles: { auth: auth(TPMI_RH_CLEAR, 'user') }, params: { disable: TPMI_YES_NO }, nv: true },
  (tpm, { auth: by, disable }) => {
    if (by === TPM_RH.LOCKOUT && !disable) throw new TpmError(TPM_RC.AUTH_FAIL);
    tpm.state.disableClear = disable;
    tpm.markDurable('hierarchies');
  },
);

/** TPM2_HierarchyChangeAuth. Section 24.8. */
export const HierarchyChangeAuth = command(
  TPM_CC.HierarchyChangeAuth,
  { handles: { authHandle: auth(TPMI_RH_HIERARCHY_AUTH, 'user') }, params: { newAuth: TPM2B_AUTH }, nv: true },
  (tpm, { authHandle, newAuth }) => {
    const authValue = trimAuth(newAuth).slice();
    if (authHandle === TPM_RH.LOCKOUT) {
      tpm.state.lockout.authValue = authValue;
      tpm.markDurable('lockout');
      return;
    }
    tpm.state.hierarchies[authHandle as HierarchyHandle].authValue = authValue;
    if (authHandle !== TPM_RH.PLATFORM) tpm.markDurable('hierarchies');
  },
);

export const hierarchyCommands = [
  HierarchyControl,
  SetPrimaryPolicy,
  ChangePPS,
  ChangeEPS,
  Clear,
  ClearControl,
  HierarchyChangeAuth,
] as const;
