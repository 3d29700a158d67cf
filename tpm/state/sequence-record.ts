/** A hash, HMAC or event sequence as octets: in a saved context and in a saved volatile state. */
import { Cmac } from '../crypto/cmac.ts';
import type { CryptoProvider, HashState } from '../crypto/provider.ts';
import { buffer, type Infer, list, type Schema, struct, TPM_ALG, u8, u16, u32 } from '../structures/index.ts';
import type { Sequence } from './objects.ts';
import { bytes } from './persist.ts';

const TYPES = ['hash', 'hmac', 'event'] as const;
const TYPE: Schema<Sequence['type']> = {
  read: (r) => TYPES[r.u8() % TYPES.length]!, // written by this schema only
  write: (w, v) => u8.write(w, TYPES.indexOf(v)),
};

export const SEQUENCE = struct({
  type: TYPE,
  authValue: bytes,
  first: buffer(8),
  hierarchy: u32,
  states: list(struct({ alg: u16, state: bytes }), 16),
});

export const sequenceFields = (sequence: Sequence): Infer<typeof SEQUENCE> => ({
  ...sequence,
  states: sequence.states.map(({ alg, state }) => ({ alg, state: state.export() })),
});

/** Throws `RangeError` where a state is not of its algorithm. */
export function sequenceOf(crypto: CryptoProvider, handle: number, fields: Infer<typeof SEQUENCE>): Sequence {
  const resume = (alg: number, state: Uint8Array): HashState => {
    if (fields.type !== 'hmac') return crypto.hashResume(alg, state);
    return alg === TPM_ALG.CMAC ? Cmac.resume(crypto, state) : crypto.hmacResume(alg, state);
  };
  const states = fields.states.map(({ alg, state }) => ({ alg, state: resume(alg, state) }));
  return { kind: 'sequence', handle, ...fields, states };
}
