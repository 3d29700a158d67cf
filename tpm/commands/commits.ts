/** Ephemeral scalars that a later command uses once. Part 1, annex C.2.2. */
import { toBigInt, u16be } from '../crypto/bytes.ts';
import { KDFa } from '../crypto/kdf.ts';
import { TPM_ALG, TPM_RC, TpmError } from '../structures/index.ts';
import type { Context } from './context.ts';
import { eccOrder } from './keys.ts';

/** Scalars outstanding at once; older ones are forgotten. */
const MAX_PENDING = 512;

/** The scalar of a counter for a name: the same as long as the TPM is not reset. */
function scalarOf(tpm: Context, name: Uint8Array, curve: number, counter: number): bigint {
  const order = eccOrder(curve);
  const bits = order.toString(2).length + 64;
  const { nonce } = tpm.state.commits;
  const material = KDFa(tpm.crypto, TPM_ALG.SHA256, nonce, 'ECDAA Commit', name, u16be(counter), bits);
  return (toBigInt(material) % (order - 1n)) + 1n;
}

/** A fresh scalar and the counter by which a later command names it. */
export function newCommit(tpm: Context, name: Uint8Array, curve: number): { counter: number; scalar: bigint } {
  const { commits } = tpm.state;
  const { counter } = commits;
  commits.counter = (counter + 1) & 0xffff;
  commits.pending.add(counter);
  if (commits.pending.size > MAX_PENDING) commits.pending.delete(commits.pending.values().next().value!); // not empty
  return { counter, scalar: scalarOf(tpm, name, curve, counter) };
}

/** The scalar of a counter, for the last time. TPM_RC_VALUE when it was used or never given out. */
export function takeCommit(tpm: Context, name: Uint8Array, curve: number, counter: number): bigint {
  if (!tpm.state.commits.pending.delete(counter)) throw new TpmError(TPM_RC.VALUE);
  return scalarOf(tpm, name, curve, counter);
}
