/** Ephemeral scalars that a later command uses once. Part 1, annex C.2.2. */
import { toBigInt, u64be } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import { TPM_ALG, TPM_RC, TpmError } from '../structures/index.ts';
import type { Context } from './context.ts';
import { eccOrder } from './keys.ts';

/** Scalars outstanding at once; older ones are forgotten. */
export const MAX_PENDING = 128;

/**
 * The scalar of a commit for a name. The number never comes twice under one nonce: a scalar used for two signatures
 * would give the key away, so the 16 bits that a caller sees are not enough to derive it from.
 */
function scalarOf(tpm: Context, name: Uint8Array, curve: number, number: bigint): bigint {
  const order = eccOrder(curve);
  const bits = order.toString(2).length + 64;
  const { commits } = tpm.state;
  if (commits.nonce.length === 0) commits.nonce = tpm.random.bytes(64);
  const material = KDFa(tpm.crypto, TPM_ALG.SHA512, commits.nonce, 'ECDAA Commit', name, u64be(number), bits);
  return (toBigInt(material) % (order - 1n)) + 1n;
}

/** A fresh scalar and the counter by which a later command names it. */
export function newCommit(tpm: Context, name: Uint8Array, curve: number): { counter: number; scalar: bigint } {
  const { commits } = tpm.state;
  const number = commits.next;
  const scalar = scalarOf(tpm, name, curve, number);
  const counter = Number(number & 0xffffn);
  commits.next = number + 1n;
  commits.pending.set(counter, number);
  if (commits.pending.size > MAX_PENDING) commits.pending.delete(commits.pending.keys().next().value!); // not empty
  return { counter, scalar };
}

/** The scalar of a counter, for the last time. TPM_RC_VALUE when it was used or never given out. */
export function takeCommit(tpm: Context, name: Uint8Array, curve: number, counter: number): bigint {
  const { pending } = tpm.state.commits;
  const number = pending.get(counter);
  if (number === undefined) throw new TpmError(TPM_RC.VALUE);
  pending.delete(counter);
  return scalarOf(tpm, name, curve, number);
}
