/** Bytes of declared structures: mostly well-formed, sometimes not. */
import {
  DIGEST_SIZE,
  type Schema,
  TPM_ALG,
  TPMS_PCR_SELECTION,
  TPMT_HA,
  TPMT_HA_OR_NULL,
} from '../../tpm/structures/index.ts';
import type { Random } from '../support/random.ts';
import { join, NOTHING, sized, u8, u16, u32 } from '../support/tpm-wire.ts';

/** Sizes of byte strings that mean something to a TPM. */
const SIZES = [0, 0, 0, 1, 2, 16, 20, 32, 32, 32, 48, 64, 66, 128, 256];
const HASHES = [TPM_ALG.SHA1, TPM_ALG.SHA256, TPM_ALG.SHA384, TPM_ALG.SHA512] as const;
const NUMBERS = [0, 0, 1, 2, 3, 4, 7, 8, 16, 32, 255, 256, 1024, 2048, 65535, 0x7fffffff, 0xffffffff];

/** How seldom a field breaks its declaration: once in so many. */
export interface Mischief {
  readonly oneIn: number;
}

type Opaque = (random: Random) => Uint8Array;

/** Schemas that are written by hand, and so have no shape. */
const OPAQUE = new Map<unknown, Opaque>([
  [TPMS_PCR_SELECTION, (random) => join(u16(random.pick(HASHES)), u8(3), random.bytes(3))],
  [TPMT_HA, tagAndDigest],
  [TPMT_HA_OR_NULL, tagAndDigest],
]);

function tagAndDigest(random: Random): Uint8Array {
  const algorithm = random.pick(HASHES);
  return join(u16(algorithm), random.bytes(DIGEST_SIZE[algorithm] ?? 0));
}

/** Random bytes of a schema. */
export function generate(schema: Schema<unknown>, random: Random, mischief: Mischief): Uint8Array {
  const naughty = random.oneIn(mischief.oneIn);
  if (naughty && random.oneIn(4)) return random.bytes(random.below(12));
  const { shape } = schema;
  if (!shape) return OPAQUE.get(schema)?.(random) ?? random.bytes(random.below(8));
  switch (shape.kind) {
    case 'number': {
      const value = shape.values && !naughty ? random.pick(shape.values) : anyNumber(random);
      return integer(value, shape.bytes);
    }
    case 'attributes': {
      const chosen = shape.bits.filter(() => random.oneIn(3)).reduce((all, bit) => all | bit, 0);
      return integer(naughty ? random.u32() : chosen, shape.bytes);
    }
    case 'buffer': {
      const size = naughty ? shape.max + random.below(3) : Math.min(shape.max, random.pick(SIZES));
      const bytes = sized(random.oneIn(3) ? new Uint8Array(size) : random.bytes(size));
      return naughty && random.oneIn(2) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
    }
    case 'fixed':
      return random.bytes(naughty ? random.below(shape.size + 2) : shape.size);
    case 'sized': {
      if (shape.optional && random.oneIn(3)) return u16(0);
      const inner = generate(shape.inner, random, mischief);
      return naughty ? join(u16(random.pick([0, 1, inner.length + 1, 0xffff])), inner) : sized(inner);
    }
    case 'list': {
      const count = Math.min(shape.max, shape.min + random.below(4));
      const items = Array.from({ length: count }, () => generate(shape.element, random, mischief));
      return join(u32(naughty ? random.pick([count + 1, 0xffffffff, shape.max + 1]) : count), ...items);
    }
    case 'struct':
      return join(...Object.values(shape.fields).map((field) => generate(field, random, mischief)));
    case 'tagged': {
      const tag = Number(random.pick(Object.keys(shape.variants)));
      const common = Object.entries(shape.common).map(([name, field]) =>
        name === shape.tag && !naughty && field.shape?.kind === 'number'
          ? integer(tag, field.shape.bytes)
          : generate(field, random, mischief),
      );
      const variant = Object.values(shape.variants[tag] ?? {}).map((field) => generate(field, random, mischief));
      return join(...common, ...variant);
    }
    default:
      return NOTHING;
  }
}

function anyNumber(random: Random): number {
  if (random.oneIn(3)) return random.u32();
  return random.oneIn(3) ? random.pick(Object.values(TPM_ALG)) : random.pick(NUMBERS);
}

function integer(value: number, bytes: number): Uint8Array {
  const all = join(u32(0), u32(value));
  return all.subarray(8 - bytes);
}
