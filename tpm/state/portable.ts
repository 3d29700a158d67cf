/**
 * State that leaves a TPM and comes back: for migration of virtual machines, snapshots, export and import.
 * *Permanent* state is what survives power loss, the records of the store. *Volatile* state is what power loss takes
 * from a running TPM; hash sequences in progress are not part of it, as their state lies inside the crypto provider.
 * The bytes hold every secret of the TPM in the clear.
 */
import type { Context } from '../commands/context.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import {
  buffer,
  decode,
  encode,
  type Infer,
  list,
  type Schema,
  struct,
  TPM_ALG,
  TPMI_ALG_HASH,
  TPMT_SYM_DEF,
  u8,
  u16,
  u32,
  u64,
  yesNo,
} from '../structures/index.ts';
import { setNvAttributes } from './nv.ts';
import { bytes, loadState, OBJECT, objectFields, objectOf } from './persist.ts';
import type { Profile } from './profile.ts';
import { applySaved, encodeSaved } from './saved.ts';
import type { Session } from './sessions.ts';
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

const VERSION = 1;
const PERMANENT_MAGIC = new TextEncoder().encode('NXTPM-P\n');
const VOLATILE_MAGIC = new TextEncoder().encode('NXTPM-V\n');
const CHECKSUM_SIZE = 32;

/** Magic, version, body, SHA-256 over all before it. */
function seal(crypto: CryptoProvider, magic: Uint8Array, body: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(magic.length + 2 + body.length + CHECKSUM_SIZE);
  sealed.set(magic);
  sealed[magic.length + 1] = VERSION;
  sealed.set(body, magic.length + 2);
  const content = sealed.subarray(0, sealed.length - CHECKSUM_SIZE);
  sealed.set(crypto.hash(TPM_ALG.SHA256, content), content.length);
  return sealed;
}

function unseal(crypto: CryptoProvider, magic: Uint8Array, sealed: Uint8Array): Uint8Array {
  const content = sealed.subarray(0, Math.max(0, sealed.length - CHECKSUM_SIZE));
  if (content.length < magic.length + 2 || magic.some((byte, i) => content[i] !== byte))
    throw new StateFormatError('these bytes are not the state of a TPM');
  const version = ((content[magic.length] ?? 0) << 8) | (content[magic.length + 1] ?? 0);
  if (version !== VERSION) throw new StateFormatError(`state of version ${version}; this program knows ${VERSION}`);
  const checksum = crypto.hash(TPM_ALG.SHA256, content);
  if (checksum.some((byte, i) => byte !== sealed[content.length + i]))
    throw new StateFormatError('the state is damaged: its checksum does not fit');
  return content.slice(magic.length + 2);
}

const RECORDS = list(struct({ key: buffer(64), value: bytes }), 4096);

/** All records of a store. */
export function encodePermanent(crypto: CryptoProvider, store: RecordStore): Uint8Array {
  const records = [...store.keys('')]
    .sort()
    .map((key) => ({ key: new TextEncoder().encode(key), value: store.get(key) ?? new Uint8Array(0) }));
  return seal(crypto, PERMANENT_MAGIC, encode(RECORDS, records));
}

/** The change that makes a store hold exactly this state. Throws `StateFormatError`; a wrong record is found here. */
export function permanentChanges(
  crypto: CryptoProvider,
  profile: Profile,
  store: RecordStore,
  sealed: Uint8Array,
): RecordChange[] {
  const body = unseal(crypto, PERMANENT_MAGIC, sealed);
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

/** A value that may be absent: an octet, then the value. */
function optional<T>(inner: Schema<T>): Schema<T | undefined> {
  return {
    read: (r) => (yesNo.read(r) ? inner.read(r) : undefined),
    write(w, value) {
      yesNo.write(w, value !== undefined);
      if (value !== undefined) inner.write(w, value);
    },
  };
}

const SESSION_TYPES = ['hmac', 'policy', 'trial'] as const;
const SESSION = struct({
  handle: u32,
  type: u8,
  authHash: TPMI_ALG_HASH,
  symmetric: TPMT_SYM_DEF,
  sessionKey: bytes,
  nonceTPM: bytes,
  bound: optional(struct({ handle: u32, name: bytes, authValue: bytes })),
  startTime: u64,
  audit: optional(struct({ digest: bytes })),
  policy: struct({
    digest: bytes,
    commandCode: optional(u32),
    cpHash: optional(bytes),
    nameHash: optional(bytes),
    templateHash: optional(bytes),
    parametersHash: optional(bytes),
    locality: u8,
    authValueNeeded: yesNo,
    passwordNeeded: yesNo,
    physicalPresence: yesNo,
    timeout: u64,
    pcrCounter: optional(u32),
    nvWritten: optional(yesNo),
  }),
});

const VOLATILE = struct({
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
});

const ORDERLY = ['none', 'clear', 'state'] as const;

/** What power loss would take from a TPM. */
export function encodeVolatile(context: Context): Uint8Array {
  const { state, clock } = context;
  const objects = [...state.objects.slots.values()].flatMap((slot) =>
    slot.kind === 'object' ? [{ handle: slot.handle, object: objectFields(slot) }] : [],
  );
  return seal(
    context.crypto,
    VOLATILE_MAGIC,
    encode(VOLATILE, {
      started: context.started,
      startupLocality: context.startupLocality,
      time: clock.time,
      clock: clock.clock,
      safe: clock.safe,
      saved: encodeSaved(state, context.startupLocality),
      pcrUpdateCounter: state.pcr.updateCounter,
      banks: [...state.pcr.banks].map(([hash, values]) => ({ hash, values })),
      objects,
      sessions: [...state.sessions.loaded.values()].map(sessionFields),
      exclusive: state.sessions.exclusive,
      nv: [...state.nv.values()].map(({ handle, publicArea, data }) => ({
        handle,
        attributes: publicArea.attributes >>> 0,
        data,
      })),
      orderly: ORDERLY.indexOf(state.orderly),
    }),
  );
}

const sessionFields = (session: Session): Infer<typeof SESSION> => ({
  ...session,
  type: SESSION_TYPES.indexOf(session.type),
});

/** Check that bytes are volatile state. Throws `StateFormatError`. */
export function checkVolatile(crypto: CryptoProvider, sealed: Uint8Array): void {
  understood(() => decode(VOLATILE, unseal(crypto, VOLATILE_MAGIC, sealed)));
}

/** Continue a TPM that was just powered on, over the permanent state that belongs to it. */
export function applyVolatile(context: Context, sealed: Uint8Array): void {
  const from = decode(VOLATILE, unseal(context.crypto, VOLATILE_MAGIC, sealed));
  const { state, clock } = context;
  context.started = from.started;
  context.startupLocality = from.startupLocality;
  clock.resume(from.time, from.clock);
  clock.safe = from.safe;
  applySaved(state, from.saved, true);
  state.pcr.updateCounter = from.pcrUpdateCounter;
  for (const { hash, values } of from.banks) state.pcr.banks.set(hash, values);
  for (const { handle, object } of from.objects) state.objects.slots.set(handle, objectOf(handle, object));
  for (const session of from.sessions) {
    state.sessions.loaded.set(session.handle, {
      ...optionalFields(session),
      type: SESSION_TYPES[session.type] ?? 'trial',
    });
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

/** Absent fields are written out: a session's type has them all. */
function optionalFields(session: Infer<typeof SESSION>): Omit<Session, 'type'> {
  const { policy } = session;
  return {
    ...session,
    bound: session.bound,
    audit: session.audit,
    policy: {
      ...policy,
      commandCode: policy.commandCode,
      cpHash: policy.cpHash,
      nameHash: policy.nameHash,
      templateHash: policy.templateHash,
      parametersHash: policy.parametersHash,
      pcrCounter: policy.pcrCounter,
      nvWritten: policy.nvWritten,
    },
  };
}
