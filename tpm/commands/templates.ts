/** What a public area may look like. Part 1, section 27; Part 3, section 12.1; the reference's checks in their order. */
import { has, isDerivationParent, type TpmObject } from '../state/objects.ts';
import type { Profile } from '../state/profile.ts';
import {
  DIGEST_SIZE,
  TPM_ALG,
  TPM_RC,
  TPMA_OBJECT,
  type TPMT_PUBLIC_OR_NULL,
  type TPMT_SYM_DEF_OBJECT,
  TpmError,
} from '../structures/index.ts';
import { DEFAULT_EXPONENT } from './keys.ts';

export interface Flags {
  readonly sign: boolean;
  readonly decrypt: boolean;
  readonly restricted: boolean;
}

export function flagsOf({ objectAttributes }: { readonly objectAttributes: number }): Flags {
  return {
    sign: (objectAttributes & TPMA_OBJECT.sign) !== 0,
    decrypt: (objectAttributes & TPMA_OBJECT.decrypt) !== 0,
    restricted: (objectAttributes & TPMA_OBJECT.restricted) !== 0,
  };
}

/** Attributes and scheme of a new or loaded object. `parent` is undefined for a primary object, 'external' for LoadExternal. */
export function checkPublic(
  profile: Profile,
  area: TPMT_PUBLIC_OR_NULL,
  parent: TpmObject | undefined | 'external',
): void {
  const attribute = (bit: number): boolean => (area.objectAttributes & bit) !== 0;
  const { sign, decrypt, restricted } = flagsOf(area);
  if (area.authPolicy.length !== 0 && area.authPolicy.length !== DIGEST_SIZE[area.nameAlg])
    throw new TpmError(TPM_RC.SIZE);
  const fixedTPM = attribute(TPMA_OBJECT.fixedTPM);
  const fixedParent = attribute(TPMA_OBJECT.fixedParent);
  if (parent !== 'external') {
    const parentFixed = parent === undefined || has(parent, TPMA_OBJECT.fixedTPM);
    if (fixedTPM !== (fixedParent && parentFixed)) throw new TpmError(TPM_RC.ATTRIBUTES);
    if (fixedTPM && attribute(TPMA_OBJECT.encryptedDuplication)) throw new TpmError(TPM_RC.ATTRIBUTES);
    if (parent !== undefined && !parentFixed) {
      const inherited = has(parent, TPMA_OBJECT.encryptedDuplication);
      if (inherited !== attribute(TPMA_OBJECT.encryptedDuplication)) throw new TpmError(TPM_RC.ATTRIBUTES);
    }
  }
  const { type } = area;
  if (sign === decrypt && (restricted || (!sign && type !== TPM_ALG.KEYEDHASH))) throw new TpmError(TPM_RC.ATTRIBUTES);
  if (attribute(TPMA_OBJECT.x509sign) && !sign) throw new TpmError(TPM_RC.ATTRIBUTES);
  const madeElsewhere = parent === 'external' || !attribute(TPMA_OBJECT.sensitiveDataOrigin);
  checkScheme(profile, area, madeElsewhere);
  if (parent !== undefined && parent !== 'external') checkAgainstParent(area, parent);
}

/** What an object takes over from its parent: a fixed storage key its algorithms, a derived key that it is fixed. */
function checkAgainstParent(area: TPMT_PUBLIC_OR_NULL, parent: TpmObject): void {
  const attribute = (bit: number): boolean => (area.objectAttributes & bit) !== 0;
  const fixedParent = attribute(TPMA_OBJECT.fixedParent);
  if (isDerivationParent(parent)) {
    const alike = attribute(TPMA_OBJECT.fixedTPM) === has(parent, TPMA_OBJECT.fixedTPM);
    if (!alike || !fixedParent) throw new TpmError(TPM_RC.ATTRIBUTES);
    return;
  }
  const own = protection(area);
  if (own === undefined || !fixedParent || !attribute(TPMA_OBJECT.restricted) || !attribute(TPMA_OBJECT.decrypt))
    return;
  if (area.nameAlg !== parent.publicArea.nameAlg) throw new TpmError(TPM_RC.HASH);
  const above = protection(parent.publicArea);
  if (own.algorithm === TPM_ALG.NULL || above?.algorithm !== own.algorithm || above.keyBits !== own.keyBits)
    throw new TpmError(TPM_RC.SYMMETRIC);
  if (above.mode !== own.mode) throw new TpmError(TPM_RC.SYMMETRIC);
}

/** The symmetric algorithm that a parent protects its children with. */
function protection(area: TPMT_PUBLIC_OR_NULL): TPMT_SYM_DEF_OBJECT | undefined {
  if (area.type === TPM_ALG.KEYEDHASH) return undefined;
  return area.type === TPM_ALG.SYMCIPHER ? area.parameters.sym : area.parameters.symmetric;
}

/**
 * Whether schemes and algorithms suit the attributes: all that a key of which only the public part is loaded must do. A
 * parent may name any mode: it protects in CFB whatever it says, as the reference's does.
 */
export function checkScheme(profile: Profile, area: TPMT_PUBLIC_OR_NULL, madeElsewhere: boolean): void {
  const flags = flagsOf(area);
  switch (area.type) {
    case TPM_ALG.SYMCIPHER: {
      const { sym } = area.parameters;
      if (sym.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.SYMMETRIC);
      if (flags.decrypt && sym.mode === TPM_ALG.CMAC) throw new TpmError(TPM_RC.SCHEME);
      return;
    }
    case TPM_ALG.KEYEDHASH:
      checkKeyedHash(area.parameters.scheme, flags);
      return;
    case TPM_ALG.RSA: {
      const { scheme, symmetric, keyBits, exponent } = area.parameters;
      checkAsymmetric(scheme.scheme, RSA_SIGN, RSA_DECRYPT, symmetric, flags, TPM_RC.SCHEME);
      const legacy = madeElsewhere && profile.legacyRsaKeyBits.includes(keyBits);
      if (!legacy && !profile.rsaKeyBits.includes(keyBits)) throw new TpmError(TPM_RC.VALUE);
      if (exponent !== 0 && exponent !== DEFAULT_EXPONENT) throw new TpmError(TPM_RC.RANGE);
      return;
    }
    case TPM_ALG.ECC: {
      const { scheme, symmetric, curveID, kdf } = area.parameters;
      if (!profile.eccCurves.includes(curveID)) throw new TpmError(TPM_RC.CURVE);
      checkAsymmetric(scheme.scheme, ECC_SIGN, ECC_DECRYPT, symmetric, flags, TPM_RC.SCHEME);
      if (kdf.scheme !== TPM_ALG.NULL) throw new TpmError(TPM_RC.KDF);
      return;
    }
  }
}

const RSA_SIGN: ReadonlySet<number> = new Set([TPM_ALG.RSASSA, TPM_ALG.RSAPSS]);
const RSA_DECRYPT: ReadonlySet<number> = new Set([TPM_ALG.RSAES, TPM_ALG.OAEP]);
const ECC_SIGN: ReadonlySet<number> = new Set([TPM_ALG.ECDSA, TPM_ALG.ECDAA, TPM_ALG.ECSCHNORR]);
const ECC_DECRYPT: ReadonlySet<number> = new Set([TPM_ALG.ECDH]);

type KeyedHashScheme = Extract<TPMT_PUBLIC_OR_NULL, { type: typeof TPM_ALG.KEYEDHASH }>['parameters']['scheme'];

function checkKeyedHash(scheme: KeyedHashScheme, { sign, decrypt, restricted }: Flags): void {
  if (sign === decrypt) {
    if (scheme.scheme !== TPM_ALG.NULL) throw new TpmError(TPM_RC.SCHEME);
    return;
  }
  if (scheme.scheme !== (sign ? TPM_ALG.HMAC : TPM_ALG.XOR)) throw new TpmError(TPM_RC.SCHEME);
  const derives = decrypt && restricted && scheme.scheme === TPM_ALG.XOR;
  if (derives && scheme.details.kdf !== TPM_ALG.KDF1_SP800_108) throw new TpmError(TPM_RC.SCHEME);
}

function checkAsymmetric(
  scheme: number,
  signSchemes: ReadonlySet<number>,
  decryptSchemes: ReadonlySet<number>,
  symmetric: TPMT_SYM_DEF_OBJECT,
  { sign, decrypt, restricted }: Flags,
  code: number,
): void {
  if (scheme === TPM_ALG.NULL) {
    if (sign && restricted) throw new TpmError(code);
  } else {
    if (sign === decrypt || (sign && !signSchemes.has(scheme))) throw new TpmError(code);
    if (decrypt && (restricted || !decryptSchemes.has(scheme))) throw new TpmError(code);
  }
  if (restricted && decrypt) {
    if (symmetric.algorithm === TPM_ALG.NULL) throw new TpmError(TPM_RC.SYMMETRIC);
  } else if (symmetric.algorithm !== TPM_ALG.NULL) {
    throw new TpmError(TPM_RC.SYMMETRIC);
  }
}
