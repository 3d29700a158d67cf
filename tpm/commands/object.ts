/** Object commands. Part 3, section 12, and CreatePrimary of section 24. */

import { KDFa } from '../crypto/kdf.ts';
import { has, isDerivationParent, isParent, isStorageParent, type TpmObject } from '../state/objects.ts';
import {
  DIGEST_SIZE,
  decode,
  objectName,
  TPM_ALG,
  TPM_CC,
  TPM_HANDLE,
  TPM_RC,
  TPM_RH,
  TPM2B_AUTH,
  TPM2B_CREATION_DATA,
  TPM2B_DATA,
  TPM2B_DIGEST,
  TPM2B_NAME,
  TPM2B_PRIVATE,
  TPM2B_PUBLIC,
  TPM2B_PUBLIC_OR_NULL,
  TPM2B_SENSITIVE_CREATE,
  TPM2B_SENSITIVE_DATA,
  TPM2B_SENSITIVE_OPTIONAL,
  TPM2B_TEMPLATE,
  TPMA_OBJECT,
  TPMI_RH_HIERARCHY as TPMI_RH_HIERARCHY_PARAMETER,
  TPML_PCR_SELECTION,
  TPMT_PUBLIC,
  TPMT_PUBLIC_DERIVE,
  TPMT_TK_CREATION,
  TpmError,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import { auth, command } from './command.ts';
import type { Context } from './context.ts';
import { TPMI_DH_OBJECT, TPMI_DH_PARENT, TPMI_DH_SLOT, TPMI_RH_HIERARCHY } from './handles.ts';
import {
  checkBinding,
  checkSensitive,
  checkSensitiveCreate,
  checkUnique,
  createMaterial,
  creationOf,
  makeObject,
  primaryMaterial,
  qualifiedName,
} from './object-logic.ts';
import { privateToSensitive, sensitiveToPrivate } from './protection.ts';
import { about } from './refusal.ts';
import { checkPublic, checkScheme } from './templates.ts';

/** TPM2_CreatePrimary: the same template under the same seed gives the same object. Part 3, section 24.1. */
export const CreatePrimary = command(
  TPM_CC.CreatePrimary,
  {
    handles: { primaryHandle: auth(TPMI_RH_HIERARCHY, 'user') },
    params: {
      inSensitive: TPM2B_SENSITIVE_CREATE,
      inPublic: TPM2B_PUBLIC,
      outsideInfo: TPM2B_DATA,
      creationPCR: TPML_PCR_SELECTION,
    },
    responseHandles: { objectHandle: TPM_HANDLE },
    response: {
      outPublic: TPM2B_PUBLIC,
      creationData: TPM2B_CREATION_DATA,
      creationHash: TPM2B_DIGEST,
      creationTicket: TPMT_TK_CREATION,
      name: TPM2B_NAME,
    },
  },
  (tpm, { primaryHandle, inSensitive, inPublic, outsideInfo, creationPCR }) => {
    const handle = tpm.state.objects.freeHandle();
    about('inPublic', () => checkPublic(tpm.profile, inPublic, undefined));
    checkSensitiveCreate(inPublic, inSensitive, true);
    const { seed } = tpm.state.hierarchy(primaryHandle)!; // a TPMI_RH_HIERARCHY
    const { publicArea, sensitive } = primaryMaterial(tpm, seed, inPublic, inSensitive);
    const object = makeObject(
      handle,
      publicArea,
      sensitive,
      primaryHandle,
      objectName(publicArea, tpm.crypto),
      (name) => qualifiedName(tpm, publicArea.nameAlg, primaryHandle, name),
    );
    tpm.state.objects.add(object);
    return {
      objectHandle: handle,
      outPublic: publicArea,
      name: object.name,
      ...creationOf(tpm, publicArea, object.name, primaryHandle, creationPCR, outsideInfo),
    };
  },
);

/** TPM2_Create. Part 3, section 12.1. */
export const Create = command(
  TPM_CC.Create,
  {
    handles: { parentHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: {
      inSensitive: TPM2B_SENSITIVE_CREATE,
      inPublic: TPM2B_PUBLIC,
      outsideInfo: TPM2B_DATA,
      creationPCR: TPML_PCR_SELECTION,
    },
    response: {
      outPrivate: TPM2B_PRIVATE,
      outPublic: TPM2B_PUBLIC,
      creationData: TPM2B_CREATION_DATA,
      creationHash: TPM2B_DIGEST,
      creationTicket: TPMT_TK_CREATION,
    },
  },
  (tpm, { parentHandle, inSensitive, inPublic, outsideInfo, creationPCR }) => {
    if (!isStorageParent(parentHandle)) throw new TpmError(TPM_RC.TYPE, 'parentHandle');
    about('inPublic', () => checkPublic(tpm.profile, inPublic, parentHandle));
    checkSensitiveCreate(inPublic, inSensitive, false);
    const { publicArea, sensitive } = createMaterial(tpm, inPublic, inSensitive, tpm.random, true);
    const name = objectName(publicArea, tpm.crypto);
    return {
      outPrivate: sensitiveToPrivate(tpm, sensitive, name, parentHandle),
      outPublic: publicArea,
      ...creationOf(tpm, publicArea, name, parentHandle, creationPCR, outsideInfo),
    };
  },
);

/** TPM2_Load. Part 3, section 12.2. */
export const Load = command(
  TPM_CC.Load,
  {
    handles: { parentHandle: auth(TPMI_DH_OBJECT, 'user') },
    params: { inPrivate: TPM2B_PRIVATE, inPublic: TPM2B_PUBLIC },
    responseHandles: { objectHandle: TPM_HANDLE },
    response: { name: TPM2B_NAME },
  },
  (tpm, { parentHandle, inPrivate, inPublic }) => {
    const handle = tpm.state.objects.freeHandle();
    if (inPrivate.length === 0) throw new TpmError(TPM_RC.SIZE, 'inPrivate');
    if (!isStorageParent(parentHandle)) throw new TpmError(TPM_RC.TYPE, 'parentHandle');
    const name = objectName(inPublic, tpm.crypto);
    const sensitive = about('inPrivate', () => privateToSensitive(tpm, inPrivate, name, parentHandle));
    about('inPublic', () => {
      checkPublic(tpm.profile, inPublic, parentHandle);
      checkUnique(tpm, inPublic);
    });
    about('inPrivate', () => checkSensitive(tpm, inPublic, sensitive));
    const object = makeObject(handle, inPublic, sensitive, parentHandle, name, (own) =>
      qualifiedName(tpm, inPublic.nameAlg, parentHandle, own),
    );
    tpm.state.objects.add(object);
    return { objectHandle: handle, name: object.name };
  },
);

/** TPM2_LoadExternal: a public area, or a whole key into the null hierarchy. Part 3, section 12.3. */
export const LoadExternal = command(
  TPM_CC.LoadExternal,
  {
    params: {
      inPrivate: TPM2B_SENSITIVE_OPTIONAL,
      inPublic: TPM2B_PUBLIC_OR_NULL,
      hierarchy: TPMI_RH_HIERARCHY_PARAMETER,
    },
    responseHandles: { objectHandle: TPM_HANDLE },
    response: { name: TPM2B_NAME },
  },
  (tpm, { inPrivate, inPublic, hierarchy }) => {
    const handle = tpm.state.objects.freeHandle();
    if (tpm.state.hierarchy(hierarchy)?.enabled === false) throw new TpmError(TPM_RC.HIERARCHY, 'hierarchy');
    if (inPrivate !== undefined) {
      if (hierarchy !== TPM_RH.NULL) throw new TpmError(TPM_RC.HIERARCHY, 'hierarchy');
      const forbidden = TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent | TPMA_OBJECT.restricted;
      if ((inPublic.objectAttributes & forbidden) !== 0) throw new TpmError(TPM_RC.ATTRIBUTES, 'inPublic');
    }
    about('inPublic', () => {
      if (inPrivate === undefined || inPublic.nameAlg === TPM_ALG.NULL) checkScheme(tpm.profile, inPublic, true);
      else checkPublic(tpm.profile, inPublic, 'external');
      checkUnique(tpm, inPublic);
    });
    if (inPrivate !== undefined) about('inPrivate', () => checkBinding(tpm, inPublic, inPrivate));
    const made = makeObject(handle, inPublic, inPrivate, hierarchy, objectName(inPublic, tpm.crypto), (name) =>
      qualifiedName(tpm, inPublic.nameAlg, hierarchy, name),
    );
    const object = tpm.state.objects.add({ ...made, external: true });
    return { objectHandle: handle, name: object.name };
  },
);

/** TPM2_ReadPublic: TPM_RC_SEQUENCE for a sequence, which has no public area. Part 3, section 12.4. */
export const ReadPublic = command(
  TPM_CC.ReadPublic,
  {
    handles: { objectHandle: TPMI_DH_SLOT },
    response: { outPublic: TPM2B_PUBLIC_OR_NULL, name: TPM2B_NAME, qualifiedName: TPM2B_NAME },
  },
  (_, { objectHandle }) => {
    if (objectHandle.kind === 'sequence') throw new TpmError(TPM_RC.SEQUENCE);
    const { publicArea, name, qualifiedName } = objectHandle;
    return { outPublic: publicArea, name, qualifiedName };
  },
);

/** TPM2_Unseal. Part 3, section 12.7. */
export const Unseal = command(
  TPM_CC.Unseal,
  { handles: { itemHandle: auth(TPMI_DH_OBJECT, 'user') }, response: { outData: TPM2B_SENSITIVE_DATA } },
  (_, { itemHandle }) => {
    if (itemHandle.publicArea.type !== TPM_ALG.KEYEDHASH) throw new TpmError(TPM_RC.TYPE, 'itemHandle');
    if (has(itemHandle, TPMA_OBJECT.decrypt | TPMA_OBJECT.sign | TPMA_OBJECT.restricted))
      throw new TpmError(TPM_RC.ATTRIBUTES, 'itemHandle');
    if (itemHandle.sensitive === undefined) throw new TpmError(TPM_RC.AUTH_UNAVAILABLE);
    return { outData: itemHandle.sensitive.sensitive };
  },
);

/** TPM2_ObjectChangeAuth: a new private area; the loaded object keeps its value. Part 3, section 12.8. */
export const ObjectChangeAuth = command(
  TPM_CC.ObjectChangeAuth,
  {
    handles: { objectHandle: auth(TPMI_DH_OBJECT, 'admin'), parentHandle: TPMI_DH_OBJECT },
    params: { newAuth: TPM2B_AUTH },
    response: { outPrivate: TPM2B_PRIVATE },
  },
  (tpm, { objectHandle, parentHandle, newAuth }) => {
    const { publicArea, sensitive } = objectHandle;
    const authValue = trimAuth(newAuth).slice();
    if (authValue.length > (DIGEST_SIZE[publicArea.nameAlg] ?? 0)) throw new TpmError(TPM_RC.SIZE, 'newAuth');
    const qualified = qualifiedName(tpm, publicArea.nameAlg, parentHandle, objectHandle.name);
    const fits = qualified.length === objectHandle.qualifiedName.length;
    if (!fits || qualified.some((octet, i) => octet !== objectHandle.qualifiedName[i]))
      throw new TpmError(TPM_RC.TYPE, 'parentHandle');
    if (sensitive === undefined) throw new TpmError(TPM_RC.TYPE, 'objectHandle');
    const changed = { ...sensitive, authValue };
    return { outPrivate: sensitiveToPrivate(tpm, changed, objectHandle.name, parentHandle) };
  },
);

/** TPM2_CreateLoaded: a primary, ordinary or derived object, loaded. Part 3, section 12.9. */
export const CreateLoaded = command(
  TPM_CC.CreateLoaded,
  {
    handles: { parentHandle: auth(TPMI_DH_PARENT, 'user') },
    params: { inSensitive: TPM2B_SENSITIVE_CREATE, inPublic: TPM2B_TEMPLATE },
    responseHandles: { objectHandle: TPM_HANDLE },
    response: { outPrivate: TPM2B_PRIVATE, outPublic: TPM2B_PUBLIC, name: TPM2B_NAME },
  },
  (tpm, { parentHandle, inSensitive, inPublic }) => {
    const handle = tpm.state.objects.freeHandle();
    if (typeof parentHandle === 'number') {
      const template = about('inPublic', () => decode(TPMT_PUBLIC, inPublic));
      about('inPublic', () => checkPublic(tpm.profile, template, undefined));
      checkSensitiveCreate(template, inSensitive, true);
      const { seed } = tpm.state.hierarchy(parentHandle)!; // a hierarchy of TPMI_DH_PARENT
      return load(tpm, handle, parentHandle, primaryMaterial(tpm, seed, template, inSensitive), false);
    }
    if (!isParent(parentHandle)) throw new TpmError(TPM_RC.TYPE, 'parentHandle');
    if (isDerivationParent(parentHandle)) return derive(tpm, handle, parentHandle, inSensitive, inPublic);
    const template = about('inPublic', () => decode(TPMT_PUBLIC, inPublic));
    about('inPublic', () => checkPublic(tpm.profile, template, parentHandle));
    checkSensitiveCreate(template, inSensitive, false);
    return load(tpm, handle, parentHandle, createMaterial(tpm, template, inSensitive, tpm.random, true), true);
  },
);

function load(
  tpm: Context,
  handle: number,
  parent: TpmObject | number,
  { publicArea, sensitive }: ReturnType<typeof createMaterial>,
  wrapped: boolean,
) {
  const object = makeObject(handle, publicArea, sensitive, parent, objectName(publicArea, tpm.crypto), (name) =>
    qualifiedName(tpm, publicArea.nameAlg, parent, name),
  );
  const outPrivate =
    wrapped && typeof parent !== 'number' ? sensitiveToPrivate(tpm, sensitive, object.name, parent) : new Uint8Array(0);
  tpm.state.objects.add(object);
  return { objectHandle: handle, outPrivate, outPublic: publicArea, name: object.name };
}

/** A key that its parent's secret, a label and a context decide. Part 1, section 28. */
function derive(
  tpm: Context,
  handle: number,
  parent: TpmObject,
  inSensitive: { userAuth: Uint8Array; data: Uint8Array },
  inPublic: Uint8Array,
) {
  const { unique, ...rest } = about('inPublic', () => decode(TPMT_PUBLIC_DERIVE, inPublic));
  if (rest.type === TPM_ALG.RSA) throw new TpmError(TPM_RC.TYPE, 'inPublic');
  if ((rest.objectAttributes & TPMA_OBJECT.sensitiveDataOrigin) !== 0)
    throw new TpmError(TPM_RC.ATTRIBUTES, 'inPublic');
  const empty = new Uint8Array(0);
  const template: TPMT_PUBLIC =
    rest.type === TPM_ALG.ECC
      ? { ...rest, unique: { x: empty, y: empty } }
      : rest.type === TPM_ALG.KEYEDHASH
        ? { ...rest, unique: empty }
        : { ...rest, unique: empty };
  about('inPublic', () => checkPublic(tpm.profile, template, parent));
  const { scheme } = (parent.publicArea as Extract<TPMT_PUBLIC, { type: typeof TPM_ALG.KEYEDHASH }>).parameters; // a derivation parent
  if (scheme.scheme !== TPM_ALG.XOR) throw new TpmError(TPM_RC.SCHEME, 'parentHandle');
  const label = inSensitive.data.length > 0 ? inSensitive.data : unique.label;
  let counter = 0;
  const random = {
    bytes(size: number): Uint8Array {
      counter++;
      return KDFa(
        tpm.crypto,
        scheme.details.hashAlg,
        parent.sensitive!.sensitive, // parents have one
        label,
        unique.context,
        Uint8Array.of(counter),
        size * 8,
      );
    },
  };
  const create = { userAuth: inSensitive.userAuth, data: empty };
  return load(tpm, handle, parent, createMaterial(tpm, template, create, random, false), false);
}

export const objectCommands = [
  CreatePrimary,
  Create,
  Load,
  LoadExternal,
  ReadPublic,
  Unseal,
  ObjectChangeAuth,
  CreateLoaded,
];
