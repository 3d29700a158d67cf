/** Key derivation and mask generation. TPM 2.0 Part 1, section 11.4.10; SP800-108, SP800-56A, PKCS#1 MGF1. */
import { DIGEST_SIZE } from '../structures/constants.ts';
import { concat, label, u32be } from './bytes.ts';
import type { CryptoProvider } from './provider.ts';

/** KDFa: SP800-108 counter mode with HMAC. `bits` of output; unused high bits are zero. Part 1, section 11.4.10.2. */
export function KDFa(
  crypto: CryptoProvider,
  alg: number,
  key: Uint8Array,
  use: string | Uint8Array,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bits: number,
): Uint8Array {
  const labelled = typeof use === 'string' ? label(use) : use;
  const length = u32be(bits);
  return stretch(DIGEST_SIZE[alg] ?? 0, bits, (i) =>
    crypto.hmac(alg, key, u32be(i), labelled, contextU, contextV, length),
  );
}

/** KDFe: SP800-56A one-step derivation from an ECDH x-coordinate. Part 1, section 11.4.10.3. */
export function KDFe(
  crypto: CryptoProvider,
  alg: number,
  z: Uint8Array,
  use: string,
  partyU: Uint8Array,
  partyV: Uint8Array,
  bits: number,
): Uint8Array {
  const labelled = label(use);
  return stretch(DIGEST_SIZE[alg] ?? 0, bits, (i) => crypto.hash(alg, u32be(i), z, labelled, partyU, partyV));
}

/** MGF1 of PKCS#1: `size` octets of mask. */
export function MGF1(crypto: CryptoProvider, alg: number, seed: Uint8Array, size: number): Uint8Array {
  return stretch(DIGEST_SIZE[alg] ?? 0, size * 8, (i) => crypto.hash(alg, seed, u32be(i - 1)));
}

function stretch(blockSize: number, bits: number, block: (i: number) => Uint8Array): Uint8Array {
  const size = (bits + 7) >> 3;
  const blocks: Uint8Array[] = [];
  for (let i = 1; (i - 1) * blockSize < size; i++) blocks.push(block(i));
  const all = blocks.length === 1 ? blocks[0]! : concat(...blocks);
  const output = all.length === size ? all : all.slice(0, size);
  if (bits % 8 !== 0 && output.length > 0) output[0] = output[0]! & ((1 << (bits % 8)) - 1);
  return output;
}
