/** Non-volatile storage. Part 3, section 31; attributes in Part 2, section 13.4. NV_Certify is in `attestation.ts`. */
import { concat } from '../crypto/bytes.ts';
import { isVolatileWrite, kindOf, type NvIndex, nvHas, setNvAttributes } from '../state/nv.ts';
import {
  DIGEST_SIZE,
  MAX_NV_BUFFER,
  nvKind,
  nvName,
  TPM_CC,
  TPM_HT,
  TPM_NT,
  TPM_RC,
  TPM_RH,
  TPM2B_AUTH,
  TPM2B_MAX_NV_BUFFER,
  TPM2B_NAME,
  TPM2B_NV_PUBLIC,
  TPM2B_NV_PUBLIC_2,
  TPMA_NV,
  type TPMS_NV_PUBLIC,
  TpmError,
  u16,
  u64,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import { auth, command } from './command.ts';
import { type Context, nvRecord } from './context.ts';
import { TPMI_RH_NV_AUTH, TPMI_RH_NV_INDEX, TPMI_RH_PLATFORM, TPMI_RH_PROVISION } from './handles.ts';
import { requireWritableNow } from './read-only.ts';

const COUNTER_SIZE = 8;
const WRITERS = TPMA_NV.PPWRITE | TPMA_NV.OWNERWRITE | TPMA_NV.AUTHWRITE | TPMA_NV.POLICYWRITE;
const READERS = TPMA_NV.PPREAD | TPMA_NV.OWNERREAD | TPMA_NV.AUTHREAD | TPMA_NV.POLICYREAD;
/** What the TPM sets, never the caller. */
const STATUS = TPMA_NV.WRITTEN | TPMA_NV.WRITELOCKED | TPMA_NV.READLOCKED;
/** What an index that guards a PIN cannot have: its own PIN would change it, or a lock would freeze it. */
const NOT_FOR_PIN = TPMA_NV.AUTHWRITE | TPMA_NV.GLOBALLOCK | TPMA_NV.WRITEDEFINE;

/** The size that a kind demands; undefined where the caller chooses. TPM_RC_ATTRIBUTES for an unknown kind. */
function requiredSize({ attributes, nameAlg }: TPMS_NV_PUBLIC): number | undefined {
  switch (nvKind(attributes)) {
    case TPM_NT.ORDINARY:
      return undefined;
    case TPM_NT.EXTEND:
      return DIGEST_SIZE[nameAlg];
    case TPM_NT.COUNTER:
    case TPM_NT.BITS:
    case TPM_NT.PIN_FAIL:
    case TPM_NT.PIN_PASS:
      return COUNTER_SIZE;
    default:
      throw new TpmError(TPM_RC.ATTRIBUTES, 'publicInfo');
  }
}

/** The rules for attributes, by themselves and against who defines. */
function checkAttributes({ attributes }: TPMS_NV_PUBLIC, authHandle: number): void {
  const kind = nvKind(attributes);
  const has = (bits: number): boolean => (attributes & bits) !== 0;
  const pin = kind === TPM_NT.PIN_FAIL || kind === TPM_NT.PIN_PASS;
  const wrong =
    has(STATUS) ||
    !has(WRITERS) ||
    !has(READERS) ||
    (kind === TPM_NT.COUNTER && has(TPMA_NV.CLEAR_STCLEAR)) ||
    (has(TPMA_NV.CLEAR_STCLEAR) && has(TPMA_NV.WRITEDEFINE)) ||
    (pin && has(NOT_FOR_PIN)) ||
    (kind === TPM_NT.PIN_FAIL && !has(TPMA_NV.NO_DA)) ||
    (has(TPMA_NV.POLICY_DELETE) && authHandle !== TPM_RH.PLATFORM);
  if (wrong) throw new TpmError(TPM_RC.ATTRIBUTES, 'publicInfo');
  if (has(TPMA_NV.PLATFORMCREATE) !== (authHandle === TPM_RH.PLATFORM))
    throw new TpmError(TPM_RC.ATTRIBUTES, 'authHandle');
}

/**
 * TPM2_NV_DefineSpace: TPM_RC_HIERARCHY without phEnableNV; TPM_RC_ATTRIBUTES and TPM_RC_SIZE for publicInfo;
 * TPM_RC_SIZE for an auth longer than the name algorithm's digest; TPM_RC_NV_DEFINED; TPM_RC_NV_SPACE. Section 31.3.
 */
export const NV_DefineSpace = command(
  TPM_CC.NV_DefineSpace,
  {
    handles: { authHandle: auth(TPMI_RH_PROVISION, 'user') },
    params: { auth: TPM2B_AUTH, publicInfo: TPM2B_NV_PUBLIC },
    nv: true,
  },
  define,
);

/** TPM2_NV_DefineSpace2: the same with the newer form of a public area. Revision 1.83, section 31.17. */
export const NV_DefineSpace2 = command(
  TPM_CC.NV_DefineSpace2,
  {
    handles: { authHandle: auth(TPMI_RH_PROVISION, 'user') },
    params: { auth: TPM2B_AUTH, publicInfo: TPM2B_NV_PUBLIC_2 },
    nv: true,
  },
  (tpm, { publicInfo, ...rest }) => define(tpm, { ...rest, publicInfo: publicInfo.nvIndex }),
);

interface Definition {
  readonly authHandle: number;
  readonly auth: Uint8Array;
  readonly publicInfo: TPMS_NV_PUBLIC;
}

function define(tpm: Context, { authHandle, auth: newAuth, publicInfo }: Definition): void {
  const { state, profile } = tpm;
  const digestSize = DIGEST_SIZE[publicInfo.nameAlg]!; // the schema admits hash algorithms only
  if (authHandle === TPM_RH.PLATFORM && !state.phEnableNV) throw new TpmError(TPM_RC.HIERARCHY, 'authHandle');
  const policySize = publicInfo.authPolicy.length;
  if (policySize !== 0 && policySize !== digestSize) throw new TpmError(TPM_RC.SIZE, 'publicInfo');
  const authValue = trimAuth(newAuth);
  if (authValue.length > digestSize) throw new TpmError(TPM_RC.SIZE, 'auth');
  const size = requiredSize(publicInfo);
  if (publicInfo.dataSize !== (size ?? publicInfo.dataSize) || publicInfo.dataSize > profile.nvIndexSize)
    throw new TpmError(TPM_RC.SIZE, 'publicInfo');
  checkAttributes(publicInfo, authHandle);
  const handle = publicInfo.nvIndex;
  if (state.nv.has(handle)) throw new TpmError(TPM_RC.NV_DEFINED);
  if (state.nv.size >= profile.nvIndices) throw new TpmError(TPM_RC.NV_SPACE);
  const data = new Uint8Array(publicInfo.dataSize);
  state.nv.set(handle, { handle, publicArea: publicInfo, authValue, data, name: nvName(publicInfo) });
  tpm.markDurable(nvRecord(handle));
}

/** Forget an index; a counter's value stays the floor of later ones. */
function undefine(tpm: Context, index: NvIndex): void {
  const { state } = tpm;
  if (kindOf(index) === TPM_NT.COUNTER && nvHas(index, TPMA_NV.WRITTEN)) {
    const value = counterOf(index);
    if (value > state.maxCounter) state.maxCounter = value;
    tpm.markDurable('hierarchies');
  }
  index.authValue.fill(0);
  index.data.fill(0);
  state.nv.delete(index.handle);
  tpm.markDurable(nvRecord(index.handle));
}

/** TPM2_NV_UndefineSpace: TPM_RC_ATTRIBUTES with POLICY_DELETE; TPM_RC_NV_AUTHORIZATION. Section 31.4. */
export const NV_UndefineSpace = command(
  TPM_CC.NV_UndefineSpace,
  { handles: { authHandle: auth(TPMI_RH_PROVISION, 'user'), nvIndex: TPMI_RH_NV_INDEX }, nv: true },
  (tpm, { authHandle, nvIndex }) => {
    if (nvHas(nvIndex, TPMA_NV.POLICY_DELETE)) throw new TpmError(TPM_RC.ATTRIBUTES, 'nvIndex');
    if (authHandle === TPM_RH.OWNER && nvHas(nvIndex, TPMA_NV.PLATFORMCREATE))
      throw new TpmError(TPM_RC.NV_AUTHORIZATION);
    undefine(tpm, nvIndex);
  },
);

/** TPM2_NV_UndefineSpaceSpecial: for an index with POLICY_DELETE, by its policy; else TPM_RC_ATTRIBUTES. Section 31.5. */
export const NV_UndefineSpaceSpecial = command(
  TPM_CC.NV_UndefineSpaceSpecial,
  { handles: { nvIndex: auth(TPMI_RH_NV_INDEX, 'admin'), platform: auth(TPMI_RH_PLATFORM, 'user') }, nv: true },
  (tpm, { nvIndex }) => {
    if (!nvHas(nvIndex, TPMA_NV.POLICY_DELETE)) throw new TpmError(TPM_RC.ATTRIBUTES, 'nvIndex');
    undefine(tpm, nvIndex);
  },
);

/** TPM2_NV_ReadPublic. Section 31.6. */
export const NV_ReadPublic = command(
  TPM_CC.NV_ReadPublic,
  { handles: { nvIndex: TPMI_RH_NV_INDEX }, response: { nvPublic: TPM2B_NV_PUBLIC, nvName: TPM2B_NAME } },
  (_, { nvIndex }) => ({ nvPublic: nvIndex.publicArea, nvName: nvIndex.name }),
);

/** TPM2_NV_ReadPublic2. Revision 1.83, section 31.18. */
export const NV_ReadPublic2 = command(
  TPM_CC.NV_ReadPublic2,
  { handles: { nvIndex: TPMI_RH_NV_INDEX }, response: { nvPublic: TPM2B_NV_PUBLIC_2, nvName: TPM2B_NAME } },
  (_, { nvIndex }) => ({
    nvPublic: { handleType: TPM_HT.NV_INDEX, nvIndex: nvIndex.publicArea },
    nvName: nvIndex.name,
  }),
);

/**
 * Whether this authorisation may read or write: owner and platform need their attribute; the index's own was checked
 * with its session. `locked` is the lock that stands against it.
 */
function access(authHandle: number, index: NvIndex, locked: number, owner: number, platform: number): number {
  if (nvHas(index, locked)) return TPM_RC.NV_LOCKED;
  const needed = authHandle === TPM_RH.OWNER ? owner : authHandle === TPM_RH.PLATFORM ? platform : 0;
  const allowed = needed === 0 ? authHandle === index.handle : nvHas(index, needed);
  return allowed ? TPM_RC.SUCCESS : TPM_RC.NV_AUTHORIZATION;
}

const readAccess = (authHandle: number, index: NvIndex): number =>
  access(authHandle, index, TPMA_NV.READLOCKED, TPMA_NV.OWNERREAD, TPMA_NV.PPREAD);
const writeAccess = (authHandle: number, index: NvIndex): number =>
  access(authHandle, index, TPMA_NV.WRITELOCKED, TPMA_NV.OWNERWRITE, TPMA_NV.PPWRITE);

function require(code: number): void {
  if (code !== TPM_RC.SUCCESS) throw new TpmError(code);
}

/** TPM_RC_NV_LOCKED, TPM_RC_NV_AUTHORIZATION, TPM_RC_NV_UNINITIALIZED: what reading commands have in common. */
export function requireReadable(authHandle: number, index: NvIndex): void {
  require(readAccess(authHandle, index));
  if (!nvHas(index, TPMA_NV.WRITTEN)) throw new TpmError(TPM_RC.NV_UNINITIALIZED);
}

/** The octets [offset, offset + size). TPM_RC_VALUE for the offset, TPM_RC_NV_RANGE past the end. */
export function nvRange(index: NvIndex, offset: number, size: number): Uint8Array {
  if (offset > index.data.length) throw new TpmError(TPM_RC.VALUE, 'offset');
  if (size > index.data.length - offset) throw new TpmError(TPM_RC.NV_RANGE);
  return index.data.slice(offset, offset + size);
}

/** New contents; the index is written from now on. Durable at once, but for an orderly index. */
function store(tpm: Context, index: NvIndex, data: Uint8Array): void {
  const first = !written(index);
  index.data = data;
  setNvAttributes(index, TPMA_NV.WRITTEN);
  if (first || !isVolatileWrite(index)) tpm.markDurable(nvRecord(index.handle));
}

const written = (index: NvIndex): boolean => nvHas(index, TPMA_NV.WRITTEN);

function requireKind(index: NvIndex, kind: number): void {
  if (kindOf(index) !== kind) throw new TpmError(TPM_RC.ATTRIBUTES, 'nvIndex');
}

const writing = { authHandle: auth(TPMI_RH_NV_AUTH, 'user'), nvIndex: TPMI_RH_NV_INDEX };

/**
 * TPM2_NV_Write: ordinary and PIN indices, else TPM_RC_ATTRIBUTES; TPM_RC_VALUE for the offset; TPM_RC_NV_RANGE past the
 * end, or for less than all with WRITEALL. What a first write leaves out is FF. Section 31.7.
 */
export const NV_Write = command(
  TPM_CC.NV_Write,
  { handles: writing, params: { data: TPM2B_MAX_NV_BUFFER, offset: u16 }, nv: true },
  (tpm, { authHandle, nvIndex, data, offset }) => {
    requireWritableNow(tpm, nvIndex);
    require(writeAccess(authHandle, nvIndex));
    const kind = kindOf(nvIndex);
    if (kind === TPM_NT.COUNTER || kind === TPM_NT.BITS || kind === TPM_NT.EXTEND)
      throw new TpmError(TPM_RC.ATTRIBUTES);
    const { length } = nvIndex.data;
    if (offset > length) throw new TpmError(TPM_RC.VALUE, 'offset');
    if (data.length > length - offset) throw new TpmError(TPM_RC.NV_RANGE);
    if (nvHas(nvIndex, TPMA_NV.WRITEALL) && data.length < length) throw new TpmError(TPM_RC.NV_RANGE);
    const contents = written(nvIndex) ? nvIndex.data.slice() : new Uint8Array(length).fill(0xff);
    contents.set(data, offset);
    store(tpm, nvIndex, contents);
  },
);

/** A counter's value, or the bits of a bit field. */
function counterOf(index: NvIndex): bigint {
  return new DataView(index.data.buffer, index.data.byteOffset).getBigUint64(0);
}

function octets(value: bigint): Uint8Array {
  const bytes = new Uint8Array(COUNTER_SIZE);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

/** TPM2_NV_Increment: a new counter starts above any that ever was. Section 31.8. */
export const NV_Increment = command(TPM_CC.NV_Increment, { handles: writing, nv: true }, (tpm, args) => {
  const { authHandle, nvIndex } = args;
  require(writeAccess(authHandle, nvIndex));
  requireKind(nvIndex, TPM_NT.COUNTER);
  const before = written(nvIndex) ? counterOf(nvIndex) : highestCounter(tpm);
  store(tpm, nvIndex, octets(before + 1n));
});

/** The highest value that any counter has or had. */
function highestCounter({ state }: Context): bigint {
  let highest = state.maxCounter;
  for (const index of state.nv.values())
    if (kindOf(index) === TPM_NT.COUNTER && written(index) && counterOf(index) > highest) highest = counterOf(index);
  return highest;
}

/** TPM2_NV_Extend: H(old || data), the old value zeros at first. Section 31.9. */
export const NV_Extend = command(
  TPM_CC.NV_Extend,
  { handles: writing, params: { data: TPM2B_MAX_NV_BUFFER }, nv: true },
  (tpm, { authHandle, nvIndex, data }) => {
    requireWritableNow(tpm, nvIndex);
    require(writeAccess(authHandle, nvIndex));
    requireKind(nvIndex, TPM_NT.EXTEND);
    const old = written(nvIndex) ? nvIndex.data : new Uint8Array(nvIndex.data.length);
    store(tpm, nvIndex, tpm.crypto.hash(nvIndex.publicArea.nameAlg, concat(old, data)));
  },
);

/** TPM2_NV_SetBits: bits are only ever added. Section 31.10. */
export const NV_SetBits = command(
  TPM_CC.NV_SetBits,
  { handles: writing, params: { bits: u64 }, nv: true },
  (tpm, { authHandle, nvIndex, bits }) => {
    requireWritableNow(tpm, nvIndex);
    require(writeAccess(authHandle, nvIndex));
    requireKind(nvIndex, TPM_NT.BITS);
    store(tpm, nvIndex, octets((written(nvIndex) ? counterOf(nvIndex) : 0n) | bits));
  },
);

/** TPM2_NV_WriteLock: until the next Startup(CLEAR), or for ever with WRITEDEFINE; again is no error. Section 31.11. */
export const NV_WriteLock = command(
  TPM_CC.NV_WriteLock,
  { handles: writing, nv: true },
  (tpm, { authHandle, nvIndex }) => {
    requireWritableNow(tpm, nvIndex);
    const code = writeAccess(authHandle, nvIndex);
    if (code === TPM_RC.NV_LOCKED) return;
    require(code);
    if (!nvHas(nvIndex, TPMA_NV.WRITEDEFINE | TPMA_NV.WRITE_STCLEAR)) throw new TpmError(TPM_RC.ATTRIBUTES, 'nvIndex');
    setNvAttributes(nvIndex, TPMA_NV.WRITELOCKED);
    tpm.markDurable(nvRecord(nvIndex.handle));
  },
);

/** TPM2_NV_GlobalWriteLock: every index with GLOBALLOCK. Section 31.12. */
export const NV_GlobalWriteLock = command(
  TPM_CC.NV_GlobalWriteLock,
  { handles: { authHandle: auth(TPMI_RH_PROVISION, 'user') }, nv: true },
  (tpm) => {
    for (const index of tpm.state.nv.values()) {
      if (!nvHas(index, TPMA_NV.GLOBALLOCK)) continue;
      setNvAttributes(index, TPMA_NV.WRITELOCKED);
      tpm.markDurable(nvRecord(index.handle));
    }
  },
);

/** TPM2_NV_Read: TPM_RC_VALUE for size or offset; TPM_RC_NV_RANGE past the end. Section 31.13. */
export const NV_Read = command(
  TPM_CC.NV_Read,
  { handles: writing, params: { size: u16, offset: u16 }, response: { data: TPM2B_MAX_NV_BUFFER } },
  (_, { authHandle, nvIndex, size, offset }) => {
    requireReadable(authHandle, nvIndex);
    if (size > MAX_NV_BUFFER) throw new TpmError(TPM_RC.VALUE, 'size');
    return { data: nvRange(nvIndex, offset, size) };
  },
);

/** TPM2_NV_ReadLock: until the next Startup(CLEAR); again is no error. Section 31.14. */
export const NV_ReadLock = command(
  TPM_CC.NV_ReadLock,
  { handles: writing, nv: true },
  (tpm, { authHandle, nvIndex }) => {
    requireWritableNow(tpm, nvIndex);
    const code = readAccess(authHandle, nvIndex);
    if (code === TPM_RC.NV_LOCKED) return;
    require(code);
    if (!nvHas(nvIndex, TPMA_NV.READ_STCLEAR)) throw new TpmError(TPM_RC.ATTRIBUTES, 'nvIndex');
    setNvAttributes(nvIndex, TPMA_NV.READLOCKED);
    tpm.markDurable(nvRecord(nvIndex.handle));
  },
);

/** TPM2_NV_ChangeAuth: by policy only; TPM_RC_SIZE for more than the name algorithm's digest. Section 31.15. */
export const NV_ChangeAuth = command(
  TPM_CC.NV_ChangeAuth,
  { handles: { nvIndex: auth(TPMI_RH_NV_INDEX, 'admin') }, params: { newAuth: TPM2B_AUTH }, nv: true },
  (tpm, { nvIndex, newAuth }) => {
    const authValue = trimAuth(newAuth);
    if (authValue.length > DIGEST_SIZE[nvIndex.publicArea.nameAlg]!) throw new TpmError(TPM_RC.SIZE, 'newAuth');
    nvIndex.authValue = authValue;
    tpm.markDurable(nvRecord(nvIndex.handle));
  },
);

export const nvCommands = [
  NV_DefineSpace,
  NV_DefineSpace2,
  NV_UndefineSpace,
  NV_UndefineSpaceSpecial,
  NV_ReadPublic,
  NV_ReadPublic2,
  NV_Write,
  NV_Increment,
  NV_Extend,
  NV_SetBits,
  NV_WriteLock,
  NV_GlobalWriteLock,
  NV_Read,
  NV_ReadLock,
  NV_ChangeAuth,
] as const;
