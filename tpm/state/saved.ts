/** What TPM2_Shutdown(STATE) keeps for TPM2_Startup(STATE). Part 3, section 9.4; Part 1, section 12.2.4. */
import { DIGEST_SIZE, decode, encode, list, struct, TPM_RH, u16, u32, u64, yesNo } from '../structures/index.ts';
import { PCR_ATTRIBUTES } from './pcr.ts';
import { bytes, later, POLICY } from './persist.ts';
import type { TpmState } from './state.ts';

const SAVED = struct({
  locality: u32,
  pcrUpdateCounter: u32,
  banks: list(struct({ hash: u16, values: list(bytes, 24) }), 16),
  platformAuth: bytes,
  platformPolicy: POLICY,
  phEnable: yesNo,
  shEnable: yesNo,
  ehEnable: yesNo,
  phEnableNV: yesNo,
  nullSeed: bytes,
  nullProof: bytes,
  contextKey: bytes,
  contextCounter: u64,
  savedSessions: list(struct({ slot: u32, handle: u32, sequence: u64 }), 0xffff),
  auditDigest: bytes,
  pcrAuth: later(bytes, new Uint8Array(0)),
  readOnly: later(yesNo, false),
});

export function encodeSaved(state: TpmState, startupLocality: number): Uint8Array {
  const { hierarchies, pcr, sessions } = state;
  const platform = hierarchies[TPM_RH.PLATFORM];
  const none = hierarchies[TPM_RH.NULL];
  return encode(SAVED, {
    locality: startupLocality,
    pcrUpdateCounter: pcr.updateCounter,
    banks: [...pcr.banks].map(([hash, values]) => ({ hash, values })),
    platformAuth: platform.authValue,
    platformPolicy: platform.policy,
    phEnable: platform.enabled,
    shEnable: hierarchies[TPM_RH.OWNER].enabled,
    ehEnable: hierarchies[TPM_RH.ENDORSEMENT].enabled,
    phEnableNV: state.phEnableNV,
    nullSeed: none.seed,
    nullProof: none.proof,
    contextKey: state.contextKey,
    contextCounter: sessions.contextCounter,
    savedSessions: [...sessions.saved].map(([slot, saved]) => ({ slot, ...saved })),
    auditDigest: state.commandAudit.digest,
    pcrAuth: state.pcrAuth,
    readOnly: state.readOnly,
  });
}

/** Bring back what a restart or a resume keeps; a resume keeps the flags and the saved PCR too. */
export function applySaved(state: TpmState, saved: Uint8Array, resume: boolean): void {
  const from = decode(SAVED, saved.slice());
  const { hierarchies, sessions } = state;
  const none = hierarchies[TPM_RH.NULL];
  none.seed = from.nullSeed;
  none.proof = from.nullProof;
  state.contextKey = from.contextKey;
  sessions.contextCounter = from.contextCounter;
  sessions.earlierContexts = from.contextCounter;
  for (const { slot, handle, sequence } of from.savedSessions) sessions.saved.set(slot, { handle, sequence });
  state.commandAudit.digest = from.auditDigest;
  if (!resume) return;
  state.pcrAuth = from.pcrAuth;
  const platform = hierarchies[TPM_RH.PLATFORM];
  platform.authValue = from.platformAuth;
  platform.policy = from.platformPolicy;
  platform.enabled = from.phEnable;
  hierarchies[TPM_RH.OWNER].enabled = from.shEnable;
  hierarchies[TPM_RH.ENDORSEMENT].enabled = from.ehEnable;
  state.phEnableNV = from.phEnableNV;
  state.readOnly = from.readOnly;
  state.pcr.updateCounter = from.pcrUpdateCounter;
  for (const { hash, values } of from.banks) {
    const bank = state.pcr.banks.get(hash);
    if (bank === undefined) continue;
    values.forEach((value, pcr) => {
      if (PCR_ATTRIBUTES[pcr]?.saved && value.length === DIGEST_SIZE[hash]) bank[pcr] = value;
    });
  }
}

/** The locality of the start-up that the saved state belongs to. */
export const savedLocality = (saved: Uint8Array): number => decode(SAVED, saved.slice()).locality;
