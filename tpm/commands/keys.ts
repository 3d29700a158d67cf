/** Keys of objects: parameters, and key material as the provider takes it. */
import { padLeft } from '../crypto/bytes.ts';
import { CURVES } from '../crypto/curves.ts';
import type { RsaKey } from '../crypto/provider.ts';
import type { TpmObject } from '../state/objects.ts';
import { TPM_ALG, TPM_RC, type TPMT_PUBLIC_OR_NULL, TpmError } from '../structures/index.ts';

export const DEFAULT_EXPONENT = 65537;

/** The public exponent: 0 stands for 65537. */
export function rsaExponent(key: TPMT_PUBLIC_OR_NULL): number {
  return key.type === TPM_ALG.RSA && key.parameters.exponent !== 0 ? key.parameters.exponent : DEFAULT_EXPONENT;
}

/** The order of a curve's base point. */
export const eccOrder = (curve: number): bigint => CURVES[curve]!.n; // a curve of TPMI_ECC_CURVE

/** Octets of a coordinate. */
export const eccFieldBytes = (curve: number): number => CURVES[curve]!.size; // a curve of TPMI_ECC_CURVE

/** The private RSA key of a loaded object, made once. TPM_RC_KEY when only its public area is loaded. */
export function loadedRsaKey(object: TpmObject): RsaKey {
  if (object.rsaKey !== undefined) return object.rsaKey;
  const { publicArea, sensitive } = object;
  if (publicArea.type !== TPM_ALG.RSA || sensitive === undefined) throw new TpmError(TPM_RC.KEY);
  const n = publicArea.unique;
  object.rsaKey = { n, p: padLeft(sensitive.sensitive, n.length / 2), e: rsaExponent(publicArea) };
  return object.rsaKey;
}

/** A number below the modulus, as long as it. TPM_RC_VALUE. */
export function belowModulus(number: Uint8Array, n: Uint8Array): Uint8Array {
  const padded = padLeft(number, n.length);
  for (let i = 0; i < n.length; i++) {
    if (padded[i]! < n[i]!) return padded;
    if (padded[i]! > n[i]!) break;
  }
  throw new TpmError(TPM_RC.VALUE);
}
