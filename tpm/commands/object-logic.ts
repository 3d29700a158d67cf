/** Making objects: key material, names, creation data, tickets. Part 1, section 27; Part 3, section 12.1. */
import { padLeft, toBigInt, u16be } from '../crypto/bytes.ts';
import { HmacDrbg, type RandomSource } from '../crypto/drbg.ts';
import { deriveRsa, deriveScalar } from '../crypto/primes.ts';
import { parentQualifiedName, type TpmObject } from '../state/objects.ts';
import type { TpmState } from '../state/state.ts';
import {
  DIGEST_SIZE,
  encode,
  nameOf,
  TPM_ALG,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPMA_OBJECT,
  type TPML_PCR_SELECTION,
  TPMS_CREATION_DATA,
  type TPMS_SENSITIVE_CREATE,
  TPMT_PUBLIC,
  type TPMT_PUBLIC_OR_NULL,
  type TPMT_SENSITIVE,
  TpmError,
} from '../structures/index.ts';
import { trimAuth } from './auth-value.ts';
import type { Context } from './context.ts';
import { entityName } from './handles.ts';
import { eccFieldBytes, eccOrder, rsaExponent } from './keys.ts';
import { flagsOf } from './templates.ts';

const EMPTY = new Uint8Array(0);

/**
 * Whether data and sensitiveDataOrigin agree: TPM_RC_ATTRIBUTES. The data of a primary object that the TPM makes is one
 * more input of its derivation. Part 3, sections 12.1.1 and 24.1.
 */
export function checkSensitiveCreate(
  area: TPMT_PUBLIC,
  { data, userAuth }: TPMS_SENSITIVE_CREATE,
  primary: boolean,
): void {
  const origin = madeHere(area);
  const { sign, decrypt, restricted } = flagsOf(area);
  const asymmetric = area.type === TPM_ALG.RSA || area.type === TPM_ALG.ECC;
  const wrong =
    (!origin && data.length === 0) ||
    (!primary && origin && data.length !== 0) ||
    (asymmetric && !origin) ||
    (area.type === TPM_ALG.KEYEDHASH && !sign && !decrypt && origin);
  if (wrong) throw new TpmError(TPM_RC.ATTRIBUTES, 'inPublic');
  // What a caller knows is no secret of this TPM.
  const fixed = (area.objectAttributes & (TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent)) !== 0;
  if (restricted && fixed && !origin) throw new TpmError(TPM_RC.ATTRIBUTES, 'inPublic');
  if (area.type === TPM_ALG.SYMCIPHER && !origin) {
    const { sym } = area.parameters;
    if (sym.algorithm !== TPM_ALG.NULL && data.length !== sym.keyBits / 8)
      throw new TpmError(TPM_RC.KEY_SIZE, 'inSensitive');
  }
  if (trimAuth(userAuth).length > DIGEST_SIZE[area.nameAlg]!) throw new TpmError(TPM_RC.SIZE, 'inSensitive');
}

/** Whether the TPM is to make the secret, not the caller. */
const madeHere = (area: TPMT_PUBLIC): boolean => (area.objectAttributes & TPMA_OBJECT.sensitiveDataOrigin) !== 0;

/**
 * Key material for a template. `random` decides everything: the TPM's generator for ordinary keys, one seeded with the
 * primary seed and the template for primary ones. Returns the public area with `unique` filled in.
 */
export function createMaterial(
  tpm: Context,
  template: TPMT_PUBLIC,
  create: TPMS_SENSITIVE_CREATE,
  random: RandomSource,
  ordinary: boolean,
): { publicArea: TPMT_PUBLIC; sensitive: TPMT_SENSITIVE } {
  const { crypto } = tpm;
  const authValue = trimAuth(create.userAuth).slice();
  const digestSize = DIGEST_SIZE[template.nameAlg]!; // a TPMT_PUBLIC has a name
  const { decrypt, restricted } = flagsOf(template);
  const given = create.data.length > 0 && !madeHere(template) ? create.data.slice() : undefined;
  switch (template.type) {
    case TPM_ALG.RSA: {
      const { keyBits } = template.parameters;
      const e = rsaExponent(template);
      const key = ordinary ? crypto.rsaGenerate(keyBits, e) : deriveRsa(crypto, random, keyBits, e);
      const seedValue = decrypt && restricted ? random.bytes(digestSize) : EMPTY;
      return {
        publicArea: { ...template, unique: key.n },
        sensitive: { sensitiveType: TPM_ALG.RSA, authValue, seedValue, sensitive: key.p },
      };
    }
    case TPM_ALG.ECC: {
      const { curveID } = template.parameters;
      const scalar = deriveScalar(random, eccOrder(curveID));
      const seedValue = decrypt && restricted ? random.bytes(digestSize) : EMPTY;
      return {
        publicArea: { ...template, unique: crypto.ecPublic(curveID, scalar) },
        sensitive: { sensitiveType: TPM_ALG.ECC, authValue, seedValue, sensitive: scalar },
      };
    }
    case TPM_ALG.KEYEDHASH: {
      const { scheme } = template.parameters;
      const size = scheme.scheme === TPM_ALG.NULL ? digestSize : DIGEST_SIZE[scheme.details.hashAlg]!;
      const sensitive = given ?? random.bytes(size);
      const seedValue = random.bytes(digestSize);
      return {
        publicArea: { ...template, unique: crypto.hash(template.nameAlg, seedValue, sensitive) },
        sensitive: { sensitiveType: TPM_ALG.KEYEDHASH, authValue, seedValue, sensitive },
      };
    }
    case TPM_ALG.SYMCIPHER: {
      const { sym } = template.parameters;
      const size = sym.algorithm === TPM_ALG.NULL ? 0 : sym.keyBits / 8;
      const sensitive = given ?? random.bytes(size);
      const seedValue = random.bytes(digestSize);
      return {
        publicArea: { ...template, unique: crypto.hash(template.nameAlg, seedValue, sensitive) },
        sensitive: { sensitiveType: TPM_ALG.SYMCIPHER, authValue, seedValue, sensitive },
      };
    }
  }
}

/** RSA primaries of one power cycle that are kept; clients make the same storage key again and again. */
const KEPT_PRIMARIES = 16;

/**
 * Key material of a primary object, from HMAC_DRBG(HMAC(seed, H(template and unique as given || sensitive data))). An RSA
 * key costs tens of milliseconds to find, so it is kept in memory under that seed material until power-off.
 */
export function primaryMaterial(tpm: Context, seed: Uint8Array, template: TPMT_PUBLIC, create: TPMS_SENSITIVE_CREATE) {
  const { crypto, state } = tpm;
  const digest = crypto.hash(TPM_ALG.SHA512, encode(TPMT_PUBLIC, template), u16be(create.data.length), create.data);
  const material = crypto.hmac(TPM_ALG.SHA512, seed, digest);
  if (template.type !== TPM_ALG.RSA) {
    return createMaterial(tpm, template, create, new HmacDrbg(crypto, material), false);
  }
  const id = material.join();
  const kept = state.primaries.get(id) ?? createMaterial(tpm, template, create, new HmacDrbg(crypto, material), false);
  state.primaries.delete(id);
  state.primaries.set(id, kept); // the last used is the last to go
  if (state.primaries.size > KEPT_PRIMARIES) state.primaries.delete(state.primaries.keys().next().value!); // not empty
  return { ...kept, sensitive: { ...kept.sensitive, authValue: trimAuth(create.userAuth).slice() } };
}

/** Whether public and sensitive belong together. TPM_RC_BINDING, TPM_RC_TYPE, TPM_RC_KEY_SIZE. */
export function checkBinding(tpm: Context, area: TPMT_PUBLIC_OR_NULL, sensitive: TPMT_SENSITIVE): void {
  checkSensitive(tpm, area, sensitive);
  if (area.type !== TPM_ALG.ECC) return;
  const { curveID } = area.parameters;
  const size = Math.ceil(eccOrder(curveID).toString(16).length / 2);
  const point = tpm.crypto.ecPublic(curveID, padLeft(sensitive.sensitive, size));
  if (toBigInt(point.x) !== toBigInt(area.unique.x) || toBigInt(point.y) !== toBigInt(area.unique.y))
    throw new TpmError(TPM_RC.BINDING);
}

/**
 * `checkBinding` without the product on a curve, which takes as long as all else: for a sensitive area whose integrity
 * value names this public area, made by the TPM that made the two or saw them bound when it imported them.
 */
export function checkSensitive(tpm: Context, area: TPMT_PUBLIC_OR_NULL, sensitive: TPMT_SENSITIVE): void {
  const { crypto } = tpm;
  if (sensitive.sensitiveType !== area.type) throw new TpmError(TPM_RC.TYPE);
  if (area.nameAlg !== TPM_ALG.NULL && sensitive.authValue.length > DIGEST_SIZE[area.nameAlg]!)
    throw new TpmError(TPM_RC.SIZE);
  if (area.type === TPM_ALG.RSA) {
    const half = area.parameters.keyBits / 16;
    if (sensitive.sensitive.length !== half) throw new TpmError(TPM_RC.KEY_SIZE);
    const p = toBigInt(sensitive.sensitive);
    if (p < 2n || toBigInt(area.unique) % p !== 0n) throw new TpmError(TPM_RC.BINDING);
    return;
  }
  if (area.type === TPM_ALG.ECC) {
    const d = toBigInt(sensitive.sensitive);
    if (d === 0n || d >= eccOrder(area.parameters.curveID)) throw new TpmError(TPM_RC.KEY_SIZE);
    return;
  }
  if (area.nameAlg === TPM_ALG.NULL) return;
  const unique = crypto.hash(area.nameAlg, sensitive.seedValue, sensitive.sensitive);
  if (unique.length !== area.unique.length || unique.some((octet, i) => octet !== area.unique[i]))
    throw new TpmError(TPM_RC.BINDING);
}

/** RSA moduli are whole, ECC points on their curve, digests of secrets digests. TPM_RC_KEY, TPM_RC_ECC_POINT. */
export function checkUnique(tpm: Context, area: TPMT_PUBLIC_OR_NULL): void {
  if (area.type === TPM_ALG.RSA) {
    const { unique, parameters } = area;
    if (unique.length !== parameters.keyBits / 8 || (unique[0]! & 0x80) === 0 || (unique[unique.length - 1]! & 1) === 0)
      throw new TpmError(TPM_RC.KEY);
  } else if (area.type === TPM_ALG.ECC) {
    const field = eccFieldBytes(area.parameters.curveID);
    const { x, y } = area.unique;
    if (x.length === 0 || y.length === 0) throw new TpmError(TPM_RC.KEY);
    if (x.length > field || y.length > field || !tpm.crypto.ecOnCurve(area.parameters.curveID, area.unique))
      throw new TpmError(TPM_RC.ECC_POINT);
  } else if (area.nameAlg !== TPM_ALG.NULL && area.unique.length !== DIGEST_SIZE[area.nameAlg]) {
    throw new TpmError(TPM_RC.KEY);
  }
}

/** An object ready for a slot. Other TPMs pad authorisation values too: what comes from them loses its zeros here. */
export function makeObject(
  handle: number,
  publicArea: TPMT_PUBLIC_OR_NULL,
  sensitive: TPMT_SENSITIVE | undefined,
  parent: TpmObject | number,
  name: Uint8Array,
  qualify: (name: Uint8Array) => Uint8Array,
): TpmObject {
  return {
    kind: 'object',
    handle,
    publicArea,
    sensitive: sensitive && { ...sensitive, authValue: trimAuth(sensitive.authValue) },
    name,
    qualifiedName: qualify(name),
    hierarchy: typeof parent === 'number' ? parent : parent.hierarchy,
    external: false,
    stClear:
      (publicArea.objectAttributes & TPMA_OBJECT.stClear) !== 0 || (typeof parent !== 'number' && parent.stClear),
  };
}

/** QN = H(parent's QN || name). Part 1, section 16.5. */
export function qualifiedName(tpm: Context, nameAlg: number, parent: TpmObject | number, name: Uint8Array): Uint8Array {
  if (nameAlg === TPM_ALG.NULL) return EMPTY;
  return nameOf(nameAlg, tpm.crypto.hash(nameAlg, parentQualifiedName(parent), name));
}

/** The proof of an object's hierarchy. */
export const proofOf = (state: TpmState, hierarchy: number): Uint8Array =>
  (state.hierarchy(hierarchy) ?? state.hierarchies[TPM_RH.NULL]).proof;

/** HMAC of a ticket: SHA-512 over tag and parts, with the hierarchy's proof. */
export function ticketDigest(tpm: Context, hierarchy: number, tag: number, ...parts: Uint8Array[]): Uint8Array {
  return tpm.crypto.hmac(TPM_ALG.SHA512, proofOf(tpm.state, hierarchy), u16be(tag), ...parts);
}

/** Creation data, its hash and its ticket. Part 3, section 12.1. */
export function creationOf(
  tpm: Context,
  area: TPMT_PUBLIC,
  name: Uint8Array,
  parent: TpmObject | number,
  creationPCR: TPML_PCR_SELECTION,
  outsideInfo: Uint8Array,
) {
  const { digest, selection } = tpm.state.pcr.digest(area.nameAlg, creationPCR);
  const creationData = {
    pcrSelect: selection,
    pcrDigest: creationPCR.length === 0 ? EMPTY : digest,
    locality: tpm.locality < 5 ? 1 << tpm.locality : tpm.locality,
    parentNameAlg: typeof parent === 'number' ? TPM_ALG.NULL : parent.publicArea.nameAlg,
    parentName: typeof parent === 'number' ? entityName(tpm.state, parent) : parent.name,
    parentQualifiedName: parentQualifiedName(parent),
    outsideInfo,
  };
  const creationHash = tpm.crypto.hash(area.nameAlg, encode(TPMS_CREATION_DATA, creationData));
  const hierarchy = (typeof parent === 'number' ? parent : parent.hierarchy) as typeof TPM_RH.OWNER; // a TPM_RH of a hierarchy
  const creationTicket = {
    tag: TPM_ST.CREATION,
    hierarchy,
    digest: ticketDigest(tpm, hierarchy, TPM_ST.CREATION, name, creationHash),
  };
  return { creationData, creationHash, creationTicket };
}
