/** The numbers of an RSA key that the Chinese remainder needs. RFC 8017, section 3.2. */
import { TPM_RC } from '../structures/constants.ts';
import { TpmError } from '../structures/errors.ts';
import { mod, modInverse } from './bigint.ts';
import { toBigInt } from './bytes.ts';
import type { RsaKey } from './provider.ts';

export interface RsaNumbers {
  readonly n: bigint;
  readonly e: bigint;
  readonly p: bigint;
  readonly q: bigint;
  /** e^-1 mod (p-1)(q-1). */
  readonly d: bigint;
  readonly dp: bigint;
  readonly dq: bigint;
  readonly qInverse: bigint;
}

/** Throws TPM_RC_KEY for numbers that no key has: p = q, a prime that does not divide n, an e without inverse. */
export function rsaNumbers(key: RsaKey): RsaNumbers {
  const n = toBigInt(key.n);
  const e = BigInt(key.e);
  const p = toBigInt(key.p);
  const q = n / p;
  const phi = (p - 1n) * (q - 1n);
  // e^-1 mod phi is (1 + phi·k)/e with k = -phi^-1 mod e, so that only small numbers are inverted.
  const d = (1n + phi * mod(-modInverse(phi, e), e)) / e;
  if (p * q !== n || p === q || (e * d) % phi !== 1n) throw new TpmError(TPM_RC.KEY);
  return { n, e, p, q, d, dp: d % (p - 1n), dq: d % (q - 1n), qInverse: modInverse(q, p) };
}
