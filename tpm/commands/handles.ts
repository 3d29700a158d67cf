/** Interface types of handles, and what they stand for. Part 2, section 9. */
import { isPin, type NvIndex } from '../state/nv.ts';
import { has, type Sequence, type Slot, type TpmObject } from '../state/objects.ts';
import { isAuthorizedPcr, PCR_COUNT } from '../state/pcr.ts';
import type { Session } from '../state/sessions.ts';
import { NO_POLICY, type Policy, type TpmState } from '../state/state.ts';
import { handleName, TPM_ALG, TPM_HT, TPM_RC, TPM_RH, TPMA_NV, TPMA_OBJECT, TpmError } from '../structures/index.ts';

/** A set of handles, and how to find the entity. */
export interface HandleKind<T> {
  readonly name: string;
  /** Whether the number is in the set; else TPM_RC_VALUE. */
  accepts(handle: number): boolean;
  /** The entity; throws TPM_RC_HANDLE, TPM_RC_HIERARCHY, TPM_RC_REFERENCE_H0. */
  resolve(state: TpmState, handle: number): T;
}

const type = (handle: number): number => handle >>> 24;
const isObjectHandle = (handle: number): boolean =>
  type(handle) === TPM_HT.TRANSIENT || type(handle) === TPM_HT.PERSISTENT;
const isNvHandle = (handle: number): boolean => type(handle) === TPM_HT.NV_INDEX;
const isSessionHandle = (handle: number): boolean =>
  type(handle) === TPM_HT.HMAC_SESSION || type(handle) === TPM_HT.POLICY_SESSION;

function slot(state: TpmState, handle: number): Slot {
  const found = state.objects.get(handle);
  if (found === undefined) throw new TpmError(type(handle) === TPM_HT.PERSISTENT ? TPM_RC.HANDLE : TPM_RC.REFERENCE_H0);
  requireHierarchy(state, found.hierarchy, TPM_RC.HANDLE);
  return found;
}

function requireHierarchy(state: TpmState, handle: number, code: number): void {
  if (state.hierarchy(handle)?.enabled === false) throw new TpmError(code);
}

function object(state: TpmState, handle: number): TpmObject {
  const found = slot(state, handle);
  if (found.kind !== 'object') throw new TpmError(TPM_RC.TYPE);
  return found;
}

function nvIndex(state: TpmState, handle: number): NvIndex {
  const index = state.nv.get(handle);
  if (index === undefined) throw new TpmError(TPM_RC.HANDLE);
  const owner = (index.publicArea.attributes & TPMA_NV.PLATFORMCREATE) !== 0 ? TPM_RH.PLATFORM : TPM_RH.OWNER;
  if (owner === TPM_RH.PLATFORM ? !state.phEnableNV : !state.hierarchies[owner].enabled)
    throw new TpmError(TPM_RC.HANDLE);
  return index;
}

function session(state: TpmState, handle: number): Session {
  const found = state.sessions.loaded.get(handle);
  if (found === undefined) {
    // The number is that of a session of the other kind: nothing that could be loaded again.
    const other = (handle ^ ((TPM_HT.HMAC_SESSION ^ TPM_HT.POLICY_SESSION) << 24)) >>> 0;
    throw new TpmError(state.sessions.loaded.has(other) ? TPM_RC.HANDLE : TPM_RC.REFERENCE_H0);
  }
  return found;
}

const among =
  (...handles: number[]) =>
  (handle: number): boolean =>
    handles.includes(handle);

function permanent(name: string, ...handles: number[]): HandleKind<number> {
  return {
    name,
    accepts: among(...handles),
    resolve(state, handle) {
      requireHierarchy(state, handle, TPM_RC.HIERARCHY);
      return handle;
    },
  };
}

/** The type with TPM_RH_NULL ("+"): undefined stands for it. */
export function orNull<T>(kind: HandleKind<T>): HandleKind<T | undefined> {
  return {
    name: `${kind.name}+`,
    accepts: (handle) => handle === TPM_RH.NULL || kind.accepts(handle),
    resolve: (state, handle) => (handle === TPM_RH.NULL ? undefined : kind.resolve(state, handle)),
  };
}

export const TPMI_DH_OBJECT: HandleKind<TpmObject> = {
  name: 'TPMI_DH_OBJECT',
  accepts: isObjectHandle,
  resolve: object,
};
/** An object or a sequence. */
export const TPMI_DH_SLOT: HandleKind<Slot> = { name: 'TPMI_DH_OBJECT', accepts: isObjectHandle, resolve: slot };
export const TPMI_DH_SEQUENCE: HandleKind<Sequence> = {
  name: 'TPMI_DH_OBJECT',
  accepts: isObjectHandle,
  resolve(state, handle) {
    const found = slot(state, handle);
    if (found.kind !== 'sequence') throw new TpmError(TPM_RC.MODE);
    return found;
  },
};
/** A storage or derivation parent, or a hierarchy. Part 2, section 9.5. */
export const TPMI_DH_PARENT: HandleKind<TpmObject | number> = {
  name: 'TPMI_DH_PARENT',
  accepts: (handle) =>
    isObjectHandle(handle) || among(TPM_RH.OWNER, TPM_RH.PLATFORM, TPM_RH.ENDORSEMENT, TPM_RH.NULL)(handle),
  resolve(state, handle) {
    if (isObjectHandle(handle)) return object(state, handle);
    requireHierarchy(state, handle, TPM_RC.HIERARCHY);
    return handle;
  },
};
export const TPMI_RH_NV_INDEX: HandleKind<NvIndex> = {
  name: 'TPMI_RH_NV_INDEX',
  accepts: isNvHandle,
  resolve: nvIndex,
};
export const TPMI_SH_POLICY: HandleKind<Session> = {
  name: 'TPMI_SH_POLICY',
  accepts: (handle) => type(handle) === TPM_HT.POLICY_SESSION,
  resolve: session,
};
export const TPMI_SH_HMAC: HandleKind<Session> = {
  name: 'TPMI_SH_HMAC',
  accepts: (handle) => type(handle) === TPM_HT.HMAC_SESSION,
  resolve: session,
};
/** A PCR, by number; undefined for TPM_RH_NULL through `orNull`. */
export const TPMI_DH_PCR: HandleKind<number> = {
  name: 'TPMI_DH_PCR',
  accepts: (handle) => handle < PCR_COUNT,
  resolve: (_, handle) => handle,
};
export const TPMI_RH_HIERARCHY = permanent(
  'TPMI_RH_HIERARCHY',
  TPM_RH.OWNER,
  TPM_RH.PLATFORM,
  TPM_RH.ENDORSEMENT,
  TPM_RH.NULL,
);
/** A base hierarchy whose being switched off is not an error (HierarchyControl). */
export const TPMI_RH_BASE_HIERARCHY: HandleKind<number> = {
  name: 'TPMI_RH_BASE_HIERARCHY',
  accepts: among(TPM_RH.OWNER, TPM_RH.PLATFORM, TPM_RH.ENDORSEMENT),
  resolve(state, handle) {
    requireHierarchy(state, handle, TPM_RC.HIERARCHY);
    return handle;
  },
};
export const TPMI_RH_HIERARCHY_AUTH = permanent(
  'TPMI_RH_HIERARCHY_AUTH',
  TPM_RH.OWNER,
  TPM_RH.PLATFORM,
  TPM_RH.ENDORSEMENT,
  TPM_RH.LOCKOUT,
);
export const TPMI_RH_PLATFORM = permanent('TPMI_RH_PLATFORM', TPM_RH.PLATFORM);
export const TPMI_RH_ENDORSEMENT = permanent('TPMI_RH_ENDORSEMENT', TPM_RH.ENDORSEMENT);
export const TPMI_RH_PROVISION = permanent('TPMI_RH_PROVISION', TPM_RH.OWNER, TPM_RH.PLATFORM);
export const TPMI_RH_CLEAR = permanent('TPMI_RH_CLEAR', TPM_RH.LOCKOUT, TPM_RH.PLATFORM);
export const TPMI_RH_LOCKOUT = permanent('TPMI_RH_LOCKOUT', TPM_RH.LOCKOUT);
/** Who may authorise NV access: platform, owner, or the index itself. */
export const TPMI_RH_NV_AUTH: HandleKind<number> = {
  name: 'TPMI_RH_NV_AUTH',
  accepts: (handle) => isNvHandle(handle) || handle === TPM_RH.OWNER || handle === TPM_RH.PLATFORM,
  resolve(state, handle) {
    if (isNvHandle(handle)) nvIndex(state, handle);
    else requireHierarchy(state, handle, TPM_RC.HIERARCHY);
    return handle;
  },
};
/** Any entity with an authorisation value. Part 2, section 9.6. */
export const TPMI_DH_ENTITY: HandleKind<number> = {
  name: 'TPMI_DH_ENTITY',
  accepts: (handle) =>
    isObjectHandle(handle) ||
    isNvHandle(handle) ||
    handle < PCR_COUNT ||
    among(TPM_RH.OWNER, TPM_RH.ENDORSEMENT, TPM_RH.PLATFORM, TPM_RH.LOCKOUT)(handle),
  resolve(state, handle) {
    if (isObjectHandle(handle)) slot(state, handle);
    else if (isNvHandle(handle)) nvIndex(state, handle);
    else requireHierarchy(state, handle, TPM_RC.HIERARCHY);
    return handle;
  },
};
/** What ContextSave takes: a transient object or a session that is loaded. */
export const TPMI_DH_CONTEXT: HandleKind<number> = {
  name: 'TPMI_DH_CONTEXT',
  accepts: (handle) => type(handle) === TPM_HT.TRANSIENT || isSessionHandle(handle),
  resolve(state, handle) {
    if (isSessionHandle(handle)) session(state, handle);
    else slot(state, handle);
    return handle;
  },
};

/** The name of the entity behind a handle. Part 1, section 16. */
export function entityName(state: TpmState, handle: number): Uint8Array {
  if (isObjectHandle(handle)) {
    const found = state.objects.get(handle);
    return found?.kind === 'object' ? found.name : new Uint8Array(0);
  }
  if (isNvHandle(handle)) return state.nv.get(handle)?.name ?? new Uint8Array(0);
  return handleName(handle);
}

/** The authorisation value of an entity; empty for one that is gone. */
export function entityAuth(state: TpmState, handle: number): Uint8Array {
  if (handle === TPM_RH.LOCKOUT) return state.lockout.authValue;
  const hierarchy = state.hierarchy(handle);
  if (hierarchy !== undefined) return hierarchy.authValue;
  if (isObjectHandle(handle)) {
    const found = state.objects.get(handle);
    if (found?.kind === 'sequence') return found.authValue;
    return found?.sensitive?.authValue ?? EMPTY;
  }
  if (isNvHandle(handle)) return state.nv.get(handle)?.authValue ?? EMPTY;
  return isAuthorizedPcr(handle) ? state.pcrAuth : EMPTY;
}

const EMPTY = new Uint8Array(0);

/** The authorisation policy of an entity. */
export function entityPolicy(state: TpmState, handle: number): Policy {
  if (handle === TPM_RH.LOCKOUT) return state.lockout.policy;
  const hierarchy = state.hierarchy(handle);
  if (hierarchy !== undefined) return hierarchy.policy;
  if (isObjectHandle(handle)) {
    const found = state.objects.get(handle);
    return found?.kind === 'object'
      ? { alg: found.publicArea.nameAlg, digest: found.publicArea.authPolicy }
      : NO_POLICY;
  }
  if (isNvHandle(handle)) {
    const publicArea = state.nv.get(handle)?.publicArea;
    return publicArea === undefined ? NO_POLICY : { alg: publicArea.nameAlg, digest: publicArea.authPolicy };
  }
  return isAuthorizedPcr(handle) ? state.pcrPolicy : NO_POLICY;
}

/** Whether wrong guesses at this entity's authorisation do not count. Part 1, section 19.8.2. */
export function isDaExempt(state: TpmState, handle: number): boolean {
  if (handle === TPM_RH.LOCKOUT) return false;
  if (isObjectHandle(handle)) {
    const found = state.objects.get(handle);
    return found?.kind !== 'object' || has(found, TPMA_OBJECT.noDA);
  }
  if (isNvHandle(handle)) {
    const index = state.nv.get(handle);
    return index === undefined || (index.publicArea.attributes & TPMA_NV.NO_DA) !== 0 || isPin(index);
  }
  return true;
}

/** Whether an entity's policy says anything. */
export const hasPolicy = (policy: Policy): boolean => policy.alg !== TPM_ALG.NULL && policy.digest.length > 0;
export { isNvHandle, isObjectHandle, isSessionHandle };
