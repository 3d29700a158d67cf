/** Which part of the state survives power loss, and its bytes. Every record is declared as a schema, as Part 2's are. */
import {
  buffer,
  decode,
  encode,
  type Hasher,
  type Infer,
  list,
  nvName,
  objectName,
  type Schema,
  struct,
  TPM_RH,
  TPM2B_SENSITIVE_OPTIONAL,
  TPML_PCR_SELECTION,
  TPMS_NV_PUBLIC,
  TPMT_PUBLIC_OR_NULL,
  u8,
  u16,
  u32,
  u64,
  yesNo,
} from '../structures/index.ts';
import type { TpmObject } from './objects.ts';
import type { Hierarchy, Lockout, TpmState } from './state.ts';
import type { RecordStore } from './store.ts';

export const bytes = buffer(0xffff);
/** A field that records of an earlier version end without; `absent` stands for it then. */
export const later = <T>(schema: Schema<T>, absent: T): Schema<T> => ({
  read: (r) => (r.remaining === 0 ? absent : schema.read(r)),
  write: schema.write,
});
export const POLICY = struct({ alg: u16, digest: bytes });
const HIERARCHY = struct({ seed: bytes, proof: bytes, authValue: bytes, policy: POLICY });

const HIERARCHIES = struct({
  owner: HIERARCHY,
  endorsement: HIERARCHY,
  platform: HIERARCHY,
  disableClear: yesNo,
  clearCount: u32,
  maxCounter: u64,
  ppCommands: list(u32, 1024),
  algorithmSet: u32,
});
const LOCKOUT = struct({
  authValue: bytes,
  policy: POLICY,
  failedTries: u32,
  maxTries: u32,
  recoveryTime: u32,
  lockoutRecovery: u32,
  lockoutAuthEnabled: yesNo,
  /** Milliseconds since recovery was last counted, of failed tries and of the lockout authority. */
  triesElapsed: later(u64, 0n),
  authElapsed: later(u64, 0n),
});
const CLOCK = struct({ clock: u64, resetCount: u32, restartCount: u32, totalResetCount: u64 });
/** `unused`: once the authorisation value, which a TPM Reset clears. */
const PCR = struct({ allocation: TPML_PCR_SELECTION, unused: bytes, policy: POLICY });
const AUDIT = struct({ alg: u16, counter: u64, commands: list(u32, 1024) });
/** `shutdown`: 0 none, 1 TPM2_Shutdown(CLEAR), 2 TPM2_Shutdown(STATE) with `saved`. */
const ORDERLY = struct({ shutdown: u8, saved: bytes });
const NV = struct({ publicArea: TPMS_NV_PUBLIC, authValue: bytes, data: bytes });

/** A loaded object as a record or in a context. */
export const OBJECT = struct({
  publicArea: TPMT_PUBLIC_OR_NULL,
  sensitive: TPM2B_SENSITIVE_OPTIONAL,
  qualifiedName: bytes,
  hierarchy: u32,
  external: yesNo,
  stClear: yesNo,
});
export const objectFields = (object: TpmObject): Infer<typeof OBJECT> => object;
export const objectOf = (handle: number, fields: Infer<typeof OBJECT>, hasher?: Hasher): TpmObject => ({
  kind: 'object',
  handle,
  ...fields,
  sensitive: fields.sensitive,
  name: objectName(fields.publicArea, hasher),
});

const SHUTDOWNS = ['none', 'clear', 'state'] as const;

const plain = ({ seed, proof, authValue, policy }: Hierarchy): Infer<typeof HIERARCHY> => ({
  seed,
  proof,
  authValue,
  policy,
});

/** The bytes of a record, or undefined when it no longer exists. TPM clock and time in milliseconds. */
export function encodeRecord(
  state: TpmState,
  key: string,
  clock: bigint,
  time: bigint,
  savedState: () => Uint8Array,
): Uint8Array | undefined {
  const { hierarchies } = state;
  switch (key) {
    case 'hierarchies':
      return encode(HIERARCHIES, {
        owner: plain(hierarchies[TPM_RH.OWNER]),
        endorsement: plain(hierarchies[TPM_RH.ENDORSEMENT]),
        platform: plain(hierarchies[TPM_RH.PLATFORM]),
        disableClear: state.disableClear,
        clearCount: state.clearCount,
        maxCounter: state.maxCounter,
        ppCommands: [...state.ppCommands],
        algorithmSet: state.algorithmSet,
      });
    case 'lockout':
      return encode(LOCKOUT, { ...state.lockout, ...lockoutElapsed(state.lockout, time) });
    case 'clock':
      return encode(CLOCK, {
        clock,
        resetCount: state.resetCount,
        restartCount: state.restartCount,
        totalResetCount: state.totalResetCount,
      });
    case 'pcr':
      return encode(PCR, { allocation: state.pcrAllocation, unused: new Uint8Array(0), policy: state.pcrPolicy });
    case 'audit':
      return encode(AUDIT, { ...state.commandAudit, commands: [...state.commandAudit.commands] });
    case 'orderly':
      return encode(ORDERLY, {
        shutdown: SHUTDOWNS.indexOf(state.orderly),
        saved: state.orderly === 'state' ? savedState() : new Uint8Array(0),
      });
  }
  const handle = Number.parseInt(key.slice(key.indexOf('/') + 1), 16);
  if (key.startsWith('nv/')) {
    const index = state.nv.get(handle);
    return index === undefined ? undefined : encode(NV, index);
  }
  const object = state.objects.persistent.get(handle);
  return object === undefined ? undefined : encode(OBJECT, object);
}

/** Whether a store holds a TPM. */
export const isManufactured = (store: RecordStore): boolean => store.get('hierarchies') !== undefined;

function record<T>(store: RecordStore, key: string, schema: Schema<T>): T {
  const value = store.get(key);
  if (value === undefined) throw new Error(`The TPM's state has no record "${key}".`);
  return decode(schema, value.slice());
}

/** How long recovery has been waited for: what is kept of the timers when Time starts again. */
export const lockoutElapsed = ({ triesSince, authSince }: Lockout, time: bigint) => ({
  triesElapsed: time - triesSince,
  authElapsed: time - authSince,
});

/** Fill a fresh state from a store. Returns the durable clock and what Shutdown(STATE) saved. */
export function loadState(state: TpmState, store: RecordStore): { clock: bigint; saved: Uint8Array } {
  const hierarchies = record(store, 'hierarchies', HIERARCHIES);
  Object.assign(state.hierarchies[TPM_RH.OWNER], hierarchies.owner);
  Object.assign(state.hierarchies[TPM_RH.ENDORSEMENT], hierarchies.endorsement);
  Object.assign(state.hierarchies[TPM_RH.PLATFORM], hierarchies.platform);
  state.disableClear = hierarchies.disableClear;
  state.clearCount = hierarchies.clearCount;
  state.maxCounter = hierarchies.maxCounter;
  state.ppCommands = new Set(hierarchies.ppCommands);
  state.algorithmSet = hierarchies.algorithmSet;
  const { triesElapsed, authElapsed, ...lockout } = record(store, 'lockout', LOCKOUT);
  state.lockout = { ...lockout, triesSince: -triesElapsed, authSince: -authElapsed };
  const clock = record(store, 'clock', CLOCK);
  state.resetCount = clock.resetCount;
  state.restartCount = clock.restartCount;
  state.totalResetCount = clock.totalResetCount;
  const pcr = record(store, 'pcr', PCR);
  state.pcrAllocation = pcr.allocation;
  state.pcrPolicy = pcr.policy;
  state.pcr.allocate(pcr.allocation);
  const audit = record(store, 'audit', AUDIT);
  state.commandAudit = { ...audit, digest: new Uint8Array(0), commands: new Set(audit.commands) };
  const orderly = record(store, 'orderly', ORDERLY);
  state.orderly = SHUTDOWNS[orderly.shutdown] ?? 'none';
  for (const key of store.keys('nv/')) {
    const fields = record(store, key, NV);
    const handle = fields.publicArea.nvIndex;
    state.nv.set(handle, { handle, ...fields, name: nvName(fields.publicArea) });
  }
  for (const key of store.keys('object/')) {
    const handle = Number.parseInt(key.slice('object/'.length), 16);
    state.objects.persistent.set(handle, objectOf(handle, record(store, key, OBJECT)));
  }
  return { clock: clock.clock, saved: orderly.saved };
}

/** New seeds and proofs for a hierarchy. */
export function newSecrets(hierarchy: Hierarchy, random: (size: number) => Uint8Array): void {
  hierarchy.seed = random(64);
  hierarchy.proof = random(64);
}

export const FIXED_RECORDS = ['hierarchies', 'lockout', 'clock', 'pcr', 'audit', 'orderly'] as const;
