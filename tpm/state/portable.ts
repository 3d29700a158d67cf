/**
 * State that leaves a TPM and comes back: for migration of virtual machines, snapshots, export and import.
 * *Permanent* state is what survives power loss, the records of the store. *Volatile* state is what power loss takes
 * from a running TPM. The bytes hold every secret of the TPM in the clear.
 */
import type { Context } from '../commands/context.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import {
  buffer,
  decode,
  encode,
  type Infer,
  list,
  struct,
  TPM_ALG,
  u8,
  u16,
  u32,
  u64,
  yesNo,
} from '../structures/index.ts';
import { setNvAttributes } from './nv.ts';
import { bytes, loadState, lockoutElapsed, OBJECT, objectFields, objectOf } from './persist.ts';
import type { Profile } from './profile.ts';
import { applySaved, encodeSaved } from './saved.ts';
import { SEQUENCE, sequenceFields, sequenceOf } from './sequence-record.ts';
import { optional, SESSION, sessionOf } from './session-record.ts';
import { TpmState } from './state.ts';
import { MemoryStore, type RecordChange, type RecordStore } from './store.ts';

/** Bytes that are no state of ours, or damaged, or of a version that this program does not know. */
export class StateFormatError extends Error {
  readonly code = 'E_STATE_FORMAT';
  readonly remedy = 'use bytes that this program exported, unchanged; a newer version reads older ones';
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StateFormatError';
  }
}

/** A kind of state: what its bytes start with, and the version that is written. Older ones are read. */
interface Kind {
  readonly magic: Uint8Array;
  readonly version: number;
}
const PERMANENT: Kind = { magic: new TextEncoder().encode('NXTPM-P\n'), version: 1 };
/** Version 1 had no sequences. */
const VOLATILE: Kind = { magic: new TextEncoder().encode('NXTPM-V\n'), version: 2 };
const CHECKSUM_SIZE = 32;

/** Magic, version, body, SHA-256 over all before it. */
function seal(crypto: CryptoProvider, { magic, version }: Kind, body: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(magic.length + 2 + body.length + CHECKSUM_SIZE);
  sealed.set(magic);
  sealed[magic.length + 1] = version;
  sealed.set(body, magic.length + 2);
  const content = sealed.subarray(0, sealed.length - CHECKSUM_SIZE);
  sealed.set(crypto.hash(TPM_ALG.SHA256, content), content.length);
  return sealed;
}

function unseal(crypto: CryptoProvider, kind: Kind, sealed: Uint8Array): { version: number; body: Uint8Array } {
  const { magic } = kind;
  const content = sealed.subarray(0, Math.max(0, sealed.length - CHECKSUM_SIZE));
  if (content.length < magic.length + 2 || magic.some((byte, i) => content[i] !== byte))
    throw new StateFormatError('these bytes are not the state of a TPM');
  const version = ((content[magic.length] ?? 0) << 8) | (content[magic.length + 1] ?? 0);
  if (version < 1 || version > kind.version)
    throw new StateFormatError(`state of version ${version}; this program knows ${kind.version}`);
  const checksum = crypto.hash(TPM_ALG.SHA256, content);
  if (checksum.some((byte, i) => byte !== sealed[content.length + i]))
    throw new StateFormatError('the state is damaged: its checksum does not fit');
  return { version, body: content.slice(magic.length + 2) };
}

const RECORDS = list(struct({ key: buffer(64), value: bytes }), 4096);

/** All records of a store. */
export function encodePermanent(crypto: CryptoProvider, store: RecordStore): Uint8Array {
  const records = [...store.keys('')]
    .sort()
    .map((key) => ({ key: new TextEncoder().encode(key), value: store.get(key) ?? new Uint8Array(0) }));
  return seal(crypto, PERMANENT, encode(RECORDS, records));
}

/** The change that makes a store hold exactly this state. Throws `StateFormatError`; a wrong record is found here. */
export function permanentChanges(
  crypto: CryptoProvider,
  profile: Profile,
  store: RecordStore,
  sealed: Uint8Array,
): RecordChange[] {
  const { body } = unseal(crypto, PERMANENT, sealed);
  const wanted = understood(() =>
    decode(RECORDS, body).map(({ key, value }) => ({ key: new TextDecoder().decode(key), value: value.slice() })),
  );
  const trial = new MemoryStore();
  void trial.commit(wanted); // in memory: done when the call returns
  understood(() => loadState(new TpmState(crypto, profile), trial));
  const kept = new Set(wanted.map(({ key }) => key));
  const removed = [...store.keys('')].filter((key) => !kept.has(key)).map((key) => ({ key, value: undefined }));
  return [...removed, ...wanted];
}

function understood<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new StateFormatError('the state cannot be read', error);
  }
}

const VOLATILE_1 = {
  started: yesNo,
  startupLocality: u32,
  time: u64,
  clock: u64,
  safe: yesNo,
  /** Hierarchies, contexts and saved sessions, as Shutdown(STATE) keeps them. */
  saved: bytes,
  pcrUpdateCounter: u32,
  banks: list(struct({ hash: u16, values: list(bytes, 24) }), 16),
  objects: list(struct({ handle: u32, object: OBJECT }), 1024),
  sessions: list(SESSION, 1024),
  exclusive: optional(u32),
  /** Locks, and data that is not yet durable. */
  nv: list(struct({ handle: u32, attributes: u32, data: bytes }), 4096),
  orderly: u8,
};
const VOLATILE_2 = struct({
  ...VOLATILE_1,
  sequences: list(struct({ handle: u32, sequence: SEQUENCE }), 1024),
  earlierContexts: u64,
  triesElapsed: u64,
  authElapsed: u64,
});

const ORDERLY = ['none', 'clear', 'state'] as const;

/** What power loss would take from a TPM. */
export function encodeVolatile(context: Context): Uint8Array {
  const { state, clock } = context;
  const objects = [...state.objects.slots.values()].flatMap((slot) =>
    slot.kind === 'object' ? [{ handle: slot.handle, object: objectFields(slot) }] : [],
  );
  const sequences = [...state.objects.slots.values()].flatMap((slot) =>
    slot.kind === 'sequence' ? [{ handle: slot.handle, sequence: sequenceFields(slot) }] : [],
  );
  return seal(
    context.crypto,
    VOLATILE,
    encode(VOLATILE_2, {
      started: context.started,
      startupLocality: context.startupLocality,
      time: clock.time,
      clock: clock.clock,
      safe: clock.safe,
      saved: encodeSaved(state, context.startupLocality),
      pcrUpdateCounter: state.pcr.updateCounter,
      banks: [...state.pcr.banks].map(([hash, values]) => ({ hash, values })),
      objects,
      sessions: [...state.sessions.loaded.values()],
      exclusive: state.sessions.exclusive,
      nv: [...state.nv.values()].map(({ handle, publicArea, data }) => ({
        handle,
        attributes: publicArea.attributes >>> 0,
        data,
      })),
      orderly: ORDERLY.indexOf(state.orderly),
      sequences,
      earlierContexts: state.sessions.earlierContexts,
      ...lockoutElapsed(state.lockout, clock.time),
    }),
  );
}

/** Check that bytes are volatile state. Throws `StateFormatError`. */
export function checkVolatile(crypto: CryptoProvider, sealed: Uint8Array): void {
  const { sequences } = decodeVolatile(crypto, sealed);
  understood(() => sequences.map(({ handle, sequence }) => sequenceOf(crypto, handle, sequence)));
}

function decodeVolatile(crypto: CryptoProvider, sealed: Uint8Array): Infer<typeof VOLATILE_2> {
  const { version, body } = unseal(crypto, VOLATILE, sealed);
  return understood(() =>
    version === 1
      ? { ...decode(struct(VOLATILE_1), body), sequences: [], earlierContexts: 0n, triesElapsed: 0n, authElapsed: 0n }
      : decode(VOLATILE_2, body),
  );
}

/** Continue a TPM that was just powered on, over the permanent state that belongs to it. */
export function applyVolatile(context: Context, sealed: Uint8Array): void {
  const from = decodeVolatile(context.crypto, sealed);
  const { state, clock } = context;
  context.started = from.started;
  context.startupLocality = from.startupLocality;
  clock.resume(from.time, from.clock);
  clock.safe = from.safe;
  applySaved(state, from.saved, true);
  state.sessions.earlierContexts = from.earlierContexts;
  state.lockout.triesSince = from.time - from.triesElapsed;
  state.lockout.authSince = from.time - from.authElapsed;
  state.pcr.updateCounter = from.pcrUpdateCounter;
  for (const { hash, values } of from.banks) state.pcr.banks.set(hash, values);
  for (const { handle, object } of from.objects) state.objects.slots.set(handle, objectOf(handle, object));
  for (const { handle, sequence } of from.sequences)
    state.objects.slots.set(handle, sequenceOf(context.crypto, handle, sequence));
  for (const session of from.sessions) {
    state.sessions.loaded.set(session.handle, sessionOf(session));
  }
  state.sessions.exclusive = from.exclusive;
  for (const { handle, attributes, data } of from.nv) {
    const index = state.nv.get(handle);
    if (index === undefined) continue;
    setNvAttributes(index, attributes, ~attributes);
    index.data = data;
  }
  state.orderly = ORDERLY[from.orderly] ?? 'none';
}
