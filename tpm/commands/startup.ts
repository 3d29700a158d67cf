/** Start-up and testing. Part 3, sections 9 and 10. */
import { nvHas, nvStartup } from '../state/nv.ts';
import { newSecrets } from '../state/persist.ts';
import { applySaved, savedLocality } from '../state/saved.ts';
import { NO_POLICY } from '../state/state.ts';
import {
  list,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM_SU,
  TPM_SU_TYPE,
  TPM2B_MAX_BUFFER,
  TPMA_NV,
  TPMI_YES_NO,
  TpmError,
  u16,
  u32,
} from '../structures/index.ts';
import { hasAlgorithm } from './capability.ts';
import { command } from './command.ts';
import { type Context, nvRecord } from './context.ts';

/** TPM2_Startup: TPM_RC_INITIALIZE once started; TPM_RC_VALUE for STATE when nothing was saved. Part 3, section 9.3. */
export const Startup = command(
  TPM_CC.Startup,
  { params: { startupType: TPM_SU_TYPE }, nv: true, sessions: false, beforeStartup: true },
  (tpm, { startupType }) => {
    if (tpm.started) throw new TpmError(TPM_RC.INITIALIZE);
    if (tpm.locality !== 0 && tpm.locality !== 3) throw new TpmError(TPM_RC.LOCALITY);
    const { state } = tpm;
    const resume = startupType === TPM_SU.STATE;
    const saved = state.orderly === 'state' ? tpm.savedState : undefined;
    if (resume) {
      if (saved === undefined) throw new TpmError(TPM_RC.VALUE, 'startupType');
      if (savedLocality(saved) !== tpm.locality) throw new TpmError(TPM_RC.LOCALITY);
    }
    tpm.clock.safe = state.orderly !== 'none';
    const kind = resume ? 'resume' : saved === undefined ? 'reset' : 'restart';
    start(tpm, kind);
    if (saved !== undefined) applySaved(state, saved, resume);
    tpm.startupLocality = tpm.locality;
    tpm.started = true;
    state.orderly = 'none';
    tpm.markDurable('orderly');
    tpm.markDurable('clock');
  },
);

function start(tpm: Context, kind: 'reset' | 'restart' | 'resume'): void {
  const { state } = tpm;
  const platform = state.hierarchies[TPM_RH.PLATFORM];
  if (kind === 'reset') {
    state.resetCount = (state.resetCount + 1) >>> 0;
    state.restartCount = 0;
    state.totalResetCount++;
    newSecrets(state.hierarchies[TPM_RH.NULL], (size) => tpm.random.bytes(size));
    state.contextKey = tpm.random.bytes(32);
  } else {
    state.restartCount = (state.restartCount + 1) >>> 0;
  }
  if (kind !== 'resume') {
    platform.authValue = new Uint8Array(0);
    platform.policy = NO_POLICY;
    for (const hierarchy of Object.values(state.hierarchies)) hierarchy.enabled = true;
    state.phEnableNV = true;
    state.readOnly = false;
  }
  const hCrtm = tpm.hCrtm;
  state.pcr.startup(hCrtm === undefined ? tpm.locality : 4, kind === 'resume');
  if (hCrtm !== undefined && kind !== 'resume') for (const { alg, digest } of hCrtm) state.pcr.extend(alg, 0, digest);
  tpm.hCrtm = undefined;
  if (kind !== 'resume' && state.lockout.lockoutRecovery === 0 && !state.lockout.lockoutAuthEnabled) {
    // Only a restart brings the lockout authority back: Part 1, section 19.8.6.
    state.lockout.lockoutAuthEnabled = true;
    tpm.markDurable('lockout');
  }
  const orderly = state.orderly !== 'none';
  for (const index of state.nv.values()) if (nvStartup(index, kind, orderly)) tpm.markDurable(nvRecord(index.handle));
  if (kind !== 'resume')
    for (const object of state.objects.persistent.values())
      if (object.stClear) state.objects.persistent.delete(object.handle);
}

/** Whether the banks of PCR are to change: what is saved of these would not fit those. */
const reallocated = ({ state: { pcr, pcrAllocation } }: Context): boolean =>
  pcrAllocation.some(({ hash, pcrSelect }) => pcrSelect.length > 0 !== pcr.banks.has(hash));

/**
 * TPM2_Shutdown: TPM_RC_TYPE for STATE when PCR_Allocate has changed the banks. What may wait for it becomes durable; a
 * later change takes it back. Part 3, section 9.4.
 */
export const Shutdown = command(
  TPM_CC.Shutdown,
  { params: { shutdownType: TPM_SU_TYPE }, nv: true },
  (tpm, { shutdownType }) => {
    if (shutdownType === TPM_SU.STATE && reallocated(tpm)) throw new TpmError(TPM_RC.TYPE, 'shutdownType');
    tpm.state.orderly = shutdownType === TPM_SU.STATE ? 'state' : 'clear';
    tpm.markDurable('orderly');
    tpm.markDurable('clock');
    const { lockout, nv } = tpm.state;
    if (lockout.failedTries > 0 || !lockout.lockoutAuthEnabled) tpm.markDurable('lockout');
    for (const index of nv.values()) if (nvHas(index, TPMA_NV.ORDERLY)) tpm.markDurable(nvRecord(index.handle));
  },
);

/** Commands that change what TPM2_Shutdown(STATE) keeps, though they write no NV. */
const CHANGES_SAVED_STATE: ReadonlySet<number> = new Set([
  TPM_CC.ContextSave,
  TPM_CC.ContextLoad,
  TPM_CC.FlushContext,
  TPM_CC.PCR_SetAuthValue,
]);

/**
 * A command that has succeeded after TPM2_Shutdown: if it changes what was kept, power loss is disorderly again.
 * Otherwise a PCR that was extended in between would come back as it was before.
 */
export function takeBackShutdown(tpm: Context): void {
  const { state, command } = tpm;
  if (!tpm.started || state.orderly === 'none' || command.code === TPM_CC.Shutdown) return;
  if (!command.nv && !CHANGES_SAVED_STATE.has(command.code) && !state.commandAudit.commands.has(command.code)) return;
  state.orderly = 'none';
  tpm.markDurable('orderly');
}

/** TPM2_SelfTest: the algorithms were tested when the provider was loaded; known answers run again. Part 3, 10.2. */
export const SelfTest = command(TPM_CC.SelfTest, { params: { fullTest: TPMI_YES_NO }, nv: true }, (tpm) => {
  selfTest(tpm);
});

/** TPM2_IncrementalSelfTest: nothing is left to do; TPM_RC_VALUE for an algorithm that there is not. Part 3, section 10.3. */
export const IncrementalSelfTest = command(
  TPM_CC.IncrementalSelfTest,
  { params: { toTest: list(u16, 128) }, response: { toDoList: list(u16, 128) }, nv: true },
  (tpm, { toTest }) => {
    if (toTest.some((alg) => !hasAlgorithm(tpm, alg))) throw new TpmError(TPM_RC.VALUE, 'toTest');
    selfTest(tpm);
    return { toDoList: [] };
  },
);

/** SHA-256("abc"), FIPS 180-4's example. */
function selfTest(tpm: Context): void {
  const digest = tpm.crypto.hash(TPM_ALG.SHA256, Uint8Array.of(0x61, 0x62, 0x63));
  if (digest[0] !== 0xba || digest[31] !== 0xad) throw new TpmError(TPM_RC.FAILURE);
}

/** TPM2_GetTestResult. Part 3, section 10.4. */
export const GetTestResult = command(
  TPM_CC.GetTestResult,
  { response: { outData: TPM2B_MAX_BUFFER, testResult: u32 } },
  () => ({ outData: new Uint8Array(0), testResult: TPM_RC.SUCCESS }),
);

export const startupCommands = [Startup, Shutdown, SelfTest, IncrementalSelfTest, GetTestResult];
