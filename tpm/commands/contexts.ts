/** Context management. Part 3, section 28; Part 1, section 30. */
import { concat, equalSecret, u32be, u64be } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import { OBJECT, objectOf } from '../state/persist.ts';
import { SEQUENCE, sequenceFields, sequenceOf } from '../state/sequence-record.ts';
import { SESSION, sessionOf } from '../state/session-record.ts';
import {
  copyOf,
  decode,
  encode,
  rest,
  struct,
  TPM_ALG,
  TPM_CC,
  TPM_HANDLE,
  TPM_HT,
  TPM_RC,
  TPM_RH,
  TPM2B_DIGEST,
  TPMS_CONTEXT,
  TpmError,
  u32,
  u64,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import { type Context, objectRecord } from './context.ts';
import { isSessionHandle, TPMI_DH_CONTEXT, TPMI_DH_OBJECT, TPMI_RH_PROVISION } from './handles.ts';

const KEY_BITS = 256;
const OBJECT_HANDLE = 0x80000000;
const SEQUENCE_HANDLE = 0x80000001;
const STCLEAR_HANDLE = 0x80000002;
/** A deadline that has passed; 0 would be none. */
const PASSED = 1n;

/** What a saved context is bound to besides secrets. */
const BINDING = struct({ sequence: u64, handle: u32, resets: u64, clears: u32, hierarchy: u32 });
/** What is inside contextBlob. */
const PROTECTED = struct({ mac: TPM2B_DIGEST, encrypted: rest });
const EMPTY = new Uint8Array(0);

/** The keys of context protection: bound to the hierarchy's proof, the resets since manufacture and the sequence. */
function keys(tpm: Context, sequence: bigint, handle: number, hierarchy: number): { key: Uint8Array; mac: Uint8Array } {
  const { state, crypto } = tpm;
  const proof = (state.hierarchy(hierarchy) ?? state.hierarchies[TPM_RH.NULL]).proof;
  const material = KDFa(
    crypto,
    TPM_ALG.SHA512, // gives both keys at once
    concat(proof, state.contextKey),
    'CONTEXT',
    encode(BINDING, { sequence, handle, resets: state.totalResetCount, clears: state.clearCount, hierarchy }),
    handle === STCLEAR_HANDLE ? u32be(state.restartCount) : EMPTY, // objects with stClear die at TPM Restart too
    KEY_BITS * 2,
  );
  return { key: copyOf(material, 0, 32), mac: copyOf(material, 32, 64) };
}

function seal(tpm: Context, sequence: bigint, handle: number, hierarchy: number, data: Uint8Array): Uint8Array {
  const { key, mac } = keys(tpm, sequence, handle, hierarchy);
  const encrypted = tpm.crypto.aes('cfb', true, key, vectorOf(sequence), data);
  return encode(PROTECTED, { mac: tpm.crypto.hmac(TPM_ALG.SHA256, mac, encrypted), encrypted });
}

function open(tpm: Context, sequence: bigint, handle: number, hierarchy: number, blob: Uint8Array): Uint8Array {
  const { key, mac } = keys(tpm, sequence, handle, hierarchy);
  const { mac: given, encrypted } = decode(PROTECTED, blob);
  if (!equalSecret(given, tpm.crypto.hmac(TPM_ALG.SHA256, mac, encrypted))) throw new TpmError(TPM_RC.INTEGRITY);
  return tpm.crypto.aes('cfb', false, key, vectorOf(sequence), encrypted);
}

/** No two contexts share one. */
function vectorOf(sequence: bigint): Uint8Array {
  const vector = new Uint8Array(16);
  vector.set(u64be(sequence), 8);
  return vector;
}

/** TPM2_ContextSave. A saved session is no longer loaded; an object stays. Part 3, section 28.2. */
export const ContextSave = command(
  TPM_CC.ContextSave,
  { handles: { saveHandle: TPMI_DH_CONTEXT }, response: { context: TPMS_CONTEXT }, sessions: false },
  (tpm, { saveHandle }) => {
    const { sessions, objects } = tpm.state;
    if (isSessionHandle(saveHandle)) {
      const session = sessions.loaded.get(saveHandle)!; // resolved as loaded
      const sequence = sessions.nextSequence();
      const contextBlob = seal(tpm, sequence, saveHandle, TPM_RH.NULL, encode(SESSION, session));
      sessions.contextCounter = sequence;
      sessions.loaded.delete(saveHandle);
      sessions.saved.set(saveHandle & 0xffffff, { handle: saveHandle, sequence });
      return { context: { sequence, savedHandle: saveHandle, hierarchy: TPM_RH.NULL, contextBlob } };
    }
    const slot = objects.slots.get(saveHandle)!; // resolved as loaded
    tpm.objectContexts++;
    const sequence = tpm.objectContexts;
    const { hierarchy } = slot;
    if (slot.kind === 'sequence') {
      const contextBlob = seal(tpm, sequence, SEQUENCE_HANDLE, hierarchy, encode(SEQUENCE, sequenceFields(slot)));
      return { context: { sequence, savedHandle: SEQUENCE_HANDLE, hierarchy, contextBlob } };
    }
    const savedHandle = slot.stClear ? STCLEAR_HANDLE : OBJECT_HANDLE;
    const contextBlob = seal(tpm, sequence, savedHandle, hierarchy, encode(OBJECT, slot));
    return { context: { sequence, savedHandle, hierarchy, contextBlob } };
  },
);

/** TPM2_ContextLoad. Part 3, section 28.3. */
export const ContextLoad = command(
  TPM_CC.ContextLoad,
  { params: { context: TPMS_CONTEXT }, responseHandles: { loadedHandle: TPM_HANDLE }, sessions: false },
  (tpm, { context }) => {
    const { sequence, savedHandle, hierarchy, contextBlob } = context;
    const { sessions, objects } = tpm.state;
    const isObject = savedHandle >= OBJECT_HANDLE && savedHandle <= STCLEAR_HANDLE;
    if (!isObject && !isSessionHandle(savedHandle)) throw new TpmError(TPM_RC.VALUE, 'context');
    if (contextBlob.length === 0) throw new TpmError(TPM_RC.SIZE, 'context');
    if (tpm.state.hierarchy(hierarchy) === undefined) throw new TpmError(TPM_RC.HIERARCHY, 'context');
    let data: Uint8Array;
    try {
      data = open(tpm, sequence, savedHandle, hierarchy, contextBlob);
    } catch (error) {
      throw error instanceof TpmError ? new TpmError(TPM_RC.INTEGRITY, 'context') : error;
    }
    if (isSessionHandle(savedHandle)) {
      const slot = savedHandle & 0xffffff;
      const saved = sessions.saved.get(slot);
      if (saved?.handle !== savedHandle || saved.sequence !== sequence) throw new TpmError(TPM_RC.HANDLE, 'context');
      sessions.requireLoadable(sequence);
      sessions.saved.delete(slot);
      const session = sessionOf(decode(SESSION, data));
      if (sequence <= sessions.earlierContexts && session.policy.timeout !== 0n) session.policy.timeout = PASSED;
      sessions.loaded.set(savedHandle, session);
      return { loadedHandle: savedHandle };
    }
    if (tpm.state.hierarchy(hierarchy)?.enabled === false) throw new TpmError(TPM_RC.HIERARCHY, 'context');
    const handle = objects.freeHandle();
    objects.add(
      savedHandle === SEQUENCE_HANDLE
        ? sequenceOf(tpm.crypto, handle, decode(SEQUENCE, data))
        : objectOf(handle, decode(OBJECT, data), tpm.crypto),
    );
    return { loadedHandle: handle };
  },
);

/** TPM2_FlushContext: loaded objects, loaded or saved sessions. Part 3, section 28.4. */
export const FlushContext = command(
  TPM_CC.FlushContext,
  { params: { flushHandle: TPM_HANDLE }, sessions: false },
  (tpm, { flushHandle }) => {
    const { sessions, objects } = tpm.state;
    if (flushHandle >>> 24 === TPM_HT.TRANSIENT) {
      if (!objects.slots.delete(flushHandle)) throw new TpmError(TPM_RC.HANDLE, 'flushHandle');
    } else if (isSessionHandle(flushHandle)) {
      if (!sessions.flush(flushHandle)) throw new TpmError(TPM_RC.HANDLE, 'flushHandle');
    } else {
      throw new TpmError(TPM_RC.VALUE, 'flushHandle');
    }
  },
);

const PLATFORM_PERSISTENT = 0x81800000;

/** TPM2_EvictControl: make an object persistent, or remove it. Part 3, section 28.5. */
export const EvictControl = command(
  TPM_CC.EvictControl,
  {
    handles: { auth: auth(TPMI_RH_PROVISION, 'user'), objectHandle: TPMI_DH_OBJECT },
    params: { persistentHandle: u32 },
    nv: true,
  },
  (tpm, { auth: authority, objectHandle, persistentHandle }) => {
    const { objects } = tpm.state;
    if (persistentHandle >>> 24 !== TPM_HT.PERSISTENT) throw new TpmError(TPM_RC.VALUE, 'persistentHandle');
    const { publicArea, handle, hierarchy } = objectHandle;
    const temporary = objectHandle.external || objectHandle.stClear || hierarchy === TPM_RH.NULL;
    if (temporary || objectHandle.sensitive === undefined || publicArea.nameAlg === TPM_ALG.NULL)
      throw new TpmError(TPM_RC.ATTRIBUTES, 'objectHandle');
    const byPlatform = authority === TPM_RH.PLATFORM;
    if (byPlatform ? hierarchy !== TPM_RH.PLATFORM : hierarchy !== TPM_RH.OWNER && hierarchy !== TPM_RH.ENDORSEMENT)
      throw new TpmError(TPM_RC.HIERARCHY, 'objectHandle');
    if (byPlatform !== persistentHandle >= PLATFORM_PERSISTENT) throw new TpmError(TPM_RC.RANGE, 'persistentHandle');
    if (handle >>> 24 === TPM_HT.PERSISTENT) {
      if (handle !== persistentHandle) throw new TpmError(TPM_RC.HANDLE, 'objectHandle');
      objects.persistent.delete(handle);
    } else {
      if (objects.persistent.has(persistentHandle)) throw new TpmError(TPM_RC.NV_DEFINED);
      if (objects.persistent.size >= tpm.profile.persistentObjects) throw new TpmError(TPM_RC.NV_SPACE);
      objects.persistent.set(persistentHandle, { ...objectHandle, handle: persistentHandle });
    }
    tpm.markDurable(objectRecord(persistentHandle));
  },
);

export const contextCommands = [ContextSave, ContextLoad, FlushContext, EvictControl];
