/** Loaded objects and sequences. Part 1, sections 15 and 27. */
import type { HashState, RsaKey } from '../crypto/provider.ts';
import { handleName, TPM_ALG, TPM_HT, TPM_RC, TPM_RH, TpmError } from '../structures/index.ts';
import { TPMA_OBJECT, type TPMT_PUBLIC_OR_NULL, type TPMT_SENSITIVE } from '../structures/objects.ts';

/** An object in a transient or persistent slot. */
export interface TpmObject {
  readonly kind: 'object';
  readonly handle: number;
  readonly publicArea: TPMT_PUBLIC_OR_NULL;
  /** Absent when only the public area was loaded. Replaced, never changed. */
  readonly sensitive: TPMT_SENSITIVE | undefined;
  readonly name: Uint8Array;
  readonly qualifiedName: Uint8Array;
  /** The hierarchy at its root: a TPM_RH. */
  readonly hierarchy: number;
  /** By LoadExternal, so not of this TPM's making. */
  readonly external: boolean;
  /** It or an ancestor has stClear: gone at TPM Restart. */
  readonly stClear: boolean;
  /** The RSA key pair, kept so that the provider's own key object is made once. */
  rsaKey?: RsaKey | undefined;
}

/** A hash, HMAC or event sequence. Part 1, section 32.4. */
export interface Sequence {
  readonly kind: 'sequence';
  readonly handle: number;
  readonly authValue: Uint8Array;
  /** One state per bank for an event sequence. */
  states: { alg: number; state: HashState }[];
  readonly type: 'hash' | 'hmac' | 'event';
  /** The first octets so far, to see whether the message starts with TPM_GENERATED_VALUE. */
  first: Uint8Array;
  hierarchy: number;
}

export type Slot = TpmObject | Sequence;

export const has = (object: TpmObject, attribute: number): boolean =>
  (object.publicArea.objectAttributes & attribute) !== 0;

/** Restricted decryption key with a sensitive area: a storage (or derivation) parent. */
export const isParent = (object: TpmObject): boolean =>
  object.publicArea.nameAlg !== TPM_ALG.NULL &&
  object.sensitive !== undefined &&
  has(object, TPMA_OBJECT.restricted) &&
  has(object, TPMA_OBJECT.decrypt) &&
  !has(object, TPMA_OBJECT.sign);

/** A parent for Create, Load, Import: asymmetric, or symmetric cipher. */
export const isStorageParent = (object: TpmObject): boolean =>
  isParent(object) && object.publicArea.type !== TPM_ALG.KEYEDHASH;

/** A parent for derived keys: a KEYEDHASH one. */
export const isDerivationParent = (object: TpmObject): boolean =>
  isParent(object) && object.publicArea.type === TPM_ALG.KEYEDHASH;

/** Transient slots and persistent objects. */
export class ObjectTable {
  readonly slots = new Map<number, Slot>();
  readonly persistent = new Map<number, TpmObject>();
  readonly #slotCount: number;

  constructor(slotCount: number) {
    this.#slotCount = slotCount;
  }

  get(handle: number): Slot | undefined {
    return handle >>> 24 === TPM_HT.PERSISTENT ? this.persistent.get(handle) : this.slots.get(handle);
  }

  /** The lowest free transient handle. TPM_RC_OBJECT_MEMORY when all slots are taken. */
  freeHandle(): number {
    for (let i = 0; i < this.#slotCount; i++) {
      const handle = ((TPM_HT.TRANSIENT << 24) | i) >>> 0;
      if (!this.slots.has(handle)) return handle;
    }
    throw new TpmError(TPM_RC.OBJECT_MEMORY);
  }

  get available(): number {
    return this.#slotCount - this.slots.size;
  }

  add<T extends Slot>(slot: T): T {
    this.slots.set(slot.handle, slot);
    return slot;
  }

  /** Flush transient objects and delete persistent ones of a hierarchy; the handles of the persistent ones. */
  removeHierarchy(hierarchy: number): number[] {
    for (const [handle, slot] of this.slots) if (slot.hierarchy === hierarchy) this.slots.delete(handle);
    const removed = [...this.persistent.values()].filter((object) => object.hierarchy === hierarchy);
    for (const { handle } of removed) this.persistent.delete(handle);
    return removed.map(({ handle }) => handle);
  }
}

/** The qualified name of a hierarchy or object as parent. Part 1, section 16.5. */
export const parentQualifiedName = (parent: TpmObject | number): Uint8Array =>
  typeof parent === 'number' ? handleName(parent) : parent.qualifiedName;

export const NULL_HIERARCHY = TPM_RH.NULL;
