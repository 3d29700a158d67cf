/** Duplication. Part 3, section 13; Part 1, section 23. */
import { concat, equalSecret } from '../crypto/bytes.ts';
import { has, isStorageParent, type TpmObject } from '../state/objects.ts';
import {
  decode,
  encode,
  objectName,
  Reader,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_ENCRYPTED_SECRET,
  TPM2B_NAME,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TPM2B_SENSITIVE,
  TPMA_OBJECT,
  TPMT_SYM_DEF_OBJECT,
  TpmError,
} from '../structures/index.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { orNull, TPMI_DH_OBJECT } from './handles.ts';
import { checkBinding, checkUnique } from './object-logic.ts';
import { type Protector, padded, sensitiveToPrivate, unwrap, wrap } from './protection.ts';
import { about } from './refusal.ts';
import { protectSecret, recoverSecret } from './secrets.ts';
import { checkPublic } from './templates.ts';

const ZERO_IV = new Uint8Array(16);

/** The outer wrapper's keys, from the seed that was exchanged with the new parent. */
function outerProtector(parent: TpmObject, seed: Uint8Array): Protector {
  const { publicArea } = parent;
  if (publicArea.type !== TPM_ALG.RSA && publicArea.type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.TYPE);
  return { hashAlg: publicArea.nameAlg, seed, symmetric: publicArea.parameters.symmetric };
}

/** H(sensitive || name) before it, then all of it encrypted with a key of the caller. Part 1, section 23.3.2.3. */
function innerWrap(
  tpm: Context,
  nameAlg: number,
  key: Uint8Array,
  name: Uint8Array,
  sensitive: Uint8Array,
): Uint8Array {
  const integrity = encode(TPM2B_DIGEST, tpm.crypto.hash(nameAlg, sensitive, name));
  return tpm.crypto.aes('cfb', true, key, ZERO_IV, concat(integrity, sensitive));
}

function innerUnwrap(tpm: Context, nameAlg: number, key: Uint8Array, name: Uint8Array, blob: Uint8Array): Uint8Array {
  const clear = tpm.crypto.aes('cfb', false, key, ZERO_IV, blob);
  const r = new Reader(clear);
  const integrity = TPM2B_DIGEST.read(r);
  const sensitive = r.bytes(r.remaining);
  if (!equalSecret(integrity, tpm.crypto.hash(nameAlg, sensitive, name))) throw new TpmError(TPM_RC.INTEGRITY);
  return sensitive;
}

const keySize = (symmetric: TPMT_SYM_DEF_OBJECT): number =>
  symmetric.algorithm === TPM_ALG.NULL ? 0 : symmetric.keyBits / 8;

/** TPM2_Duplicate. Part 3, section 13.1. */
export const Duplicate = command(
  TPM_CC.Duplicate,
  {
    handles: { objectHandle: auth(TPMI_DH_OBJECT, 'dup'), newParentHandle: orNull(TPMI_DH_OBJECT) },
    params: { encryptionKeyIn: TPM2B_DATA, symmetricAlg: TPMT_SYM_DEF_OBJECT },
    response: { encryptionKeyOut: TPM2B_DATA, duplicate: TPM2B_PRIVATE, outSymSeed: TPM2B_ENCRYPTED_SECRET },
  },
  (tpm, { objectHandle, newParentHandle, encryptionKeyIn, symmetricAlg }) => {
    const { publicArea, sensitive, name } = objectHandle;
    if (has(objectHandle, TPMA_OBJECT.fixedParent)) throw new TpmError(TPM_RC.ATTRIBUTES, 'objectHandle');
    if (publicArea.nameAlg === TPM_ALG.NULL || sensitive === undefined) throw new TpmError(TPM_RC.TYPE, 'objectHandle');
    if (newParentHandle !== undefined) {
      const { type } = newParentHandle.publicArea;
      const storage = has(newParentHandle, TPMA_OBJECT.restricted) && has(newParentHandle, TPMA_OBJECT.decrypt);
      if ((type !== TPM_ALG.RSA && type !== TPM_ALG.ECC) || !storage)
        throw new TpmError(TPM_RC.TYPE, 'newParentHandle');
    }
    if (has(objectHandle, TPMA_OBJECT.encryptedDuplication)) {
      if (symmetricAlg.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.SYMMETRIC, 'symmetricAlg');
      if (newParentHandle === undefined) throw new TpmError(TPM_RC.HIERARCHY, 'newParentHandle');
    }
    const size = keySize(symmetricAlg);
    if (size === 0 ? encryptionKeyIn.length !== 0 : encryptionKeyIn.length !== 0 && encryptionKeyIn.length !== size)
      throw new TpmError(TPM_RC.SIZE, 'encryptionKeyIn');
    let blob = padded(sensitive, name);
    let encryptionKeyOut: Uint8Array = new Uint8Array(0);
    if (size > 0) {
      const key = encryptionKeyIn.length > 0 ? encryptionKeyIn : tpm.random.bytes(size);
      if (encryptionKeyIn.length === 0) encryptionKeyOut = key;
      blob = innerWrap(tpm, publicArea.nameAlg, key, name, blob);
    }
    if (newParentHandle === undefined) return { encryptionKeyOut, duplicate: blob, outSymSeed: new Uint8Array(0) };
    const { seed, encrypted } = about('newParentHandle', () =>
      protectSecret(tpm.crypto, newParentHandle.publicArea, 'DUPLICATE'),
    );
    const duplicate = wrap(tpm, outerProtector(newParentHandle, seed), name, blob);
    return { encryptionKeyOut, duplicate, outSymSeed: encrypted };
  },
);

/** TPM2_Rewrap: from one parent's outer wrapper to another's. Part 3, section 13.2. */
export const Rewrap = command(
  TPM_CC.Rewrap,
  {
    handles: { oldParent: auth(orNull(TPMI_DH_OBJECT), 'user'), newParent: orNull(TPMI_DH_OBJECT) },
    params: { inDuplicate: TPM2B_PRIVATE, name: TPM2B_NAME, inSymSeed: TPM2B_ENCRYPTED_SECRET },
    response: { outDuplicate: TPM2B_PRIVATE, outSymSeed: TPM2B_ENCRYPTED_SECRET },
  },
  (tpm, { oldParent, newParent, inDuplicate, name, inSymSeed }) => {
    if ((inSymSeed.length === 0) !== (oldParent === undefined)) throw new TpmError(TPM_RC.HANDLE, 'oldParent');
    let blob = inDuplicate;
    if (oldParent !== undefined) {
      if (!isStorageParent(oldParent)) throw new TpmError(TPM_RC.TYPE, 'oldParent');
      const seed = about('inSymSeed', () => recoverSecret(tpm.crypto, oldParent, 'DUPLICATE', inSymSeed));
      blob = about('inDuplicate', () => unwrap(tpm, outerProtector(oldParent, seed), name, inDuplicate, false));
    }
    if (newParent === undefined) return { outDuplicate: blob, outSymSeed: new Uint8Array(0) };
    const { publicArea } = newParent;
    const storage = has(newParent, TPMA_OBJECT.restricted) && has(newParent, TPMA_OBJECT.decrypt);
    if ((publicArea.type !== TPM_ALG.RSA && publicArea.type !== TPM_ALG.ECC) || !storage)
      throw new TpmError(TPM_RC.TYPE, 'newParent');
    const { seed, encrypted } = about('newParent', () => protectSecret(tpm.crypto, publicArea, 'DUPLICATE'));
    return { outDuplicate: wrap(tpm, outerProtector(newParent, seed), name, blob), outSymSeed: encrypted };
  },
);

/** TPM2_Import. Part 3, section 13.3. */
export const Import = command(
  TPM_CC.Import,
  {
    handles: { parentHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: {
      encryptionKey: TPM2B_DATA,
      objectPublic: TPM2B_PUBLIC,
      duplicate: TPM2B_PRIVATE,
      inSymSeed: TPM2B_ENCRYPTED_SECRET,
      symmetricAlg: TPMT_SYM_DEF_OBJECT,
    },
    response: { outPrivate: TPM2B_PRIVATE },
  },
  (tpm, { parentHandle, encryptionKey, objectPublic, duplicate, inSymSeed, symmetricAlg }) => {
    const fixed = TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent;
    if ((objectPublic.objectAttributes & fixed) !== 0) throw new TpmError(TPM_RC.ATTRIBUTES, 'objectPublic');
    if (!isStorageParent(parentHandle)) throw new TpmError(TPM_RC.TYPE, 'parentHandle');
    if (encryptionKey.length !== keySize(symmetricAlg)) throw new TpmError(TPM_RC.SIZE, 'encryptionKey');
    const encrypted = (objectPublic.objectAttributes & TPMA_OBJECT.encryptedDuplication) !== 0;
    if (encrypted && symmetricAlg.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.ATTRIBUTES, 'encryptionKey');
    if (encrypted && inSymSeed.length === 0) throw new TpmError(TPM_RC.ATTRIBUTES, 'inSymSeed');
    const name = objectName(objectPublic);
    let blob = duplicate;
    if (inSymSeed.length > 0) {
      const { type } = parentHandle.publicArea;
      if (type !== TPM_ALG.RSA && type !== TPM_ALG.ECC) throw new TpmError(TPM_RC.TYPE, 'parentHandle');
      const seed = about('inSymSeed', () => recoverSecret(tpm.crypto, parentHandle, 'DUPLICATE', inSymSeed));
      blob = about('duplicate', () => unwrap(tpm, outerProtector(parentHandle, seed), name, duplicate, false));
    }
    if (symmetricAlg.algorithm !== TPM_ALG.NULL)
      blob = about('duplicate', () => innerUnwrap(tpm, objectPublic.nameAlg, encryptionKey, name, blob));
    const sensitive = about('duplicate', () => decode(TPM2B_SENSITIVE, blob));
    about('objectPublic', () => {
      checkPublic(tpm.profile, objectPublic, 'external');
      checkUnique(tpm, objectPublic);
    });
    about('duplicate', () => checkBinding(tpm, objectPublic, sensitive));
    return { outPrivate: sensitiveToPrivate(tpm, sensitive, name, parentHandle) };
  },
);

export const duplicationCommands = [Duplicate, Rewrap, Import];
