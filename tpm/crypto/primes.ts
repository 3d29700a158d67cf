/**
 * RSA primes and ECC scalars from a random source. Keys made from a seed must be the same for ever: what is written
 * here is part of the file format of every TPM made by this program (golden test in `commands/primary.test.ts`).
 */
import { gcd } from './bigint.ts';
import { fromBigInt, toBigInt } from './bytes.ts';
import type { RandomSource } from './drbg.ts';
import type { CryptoProvider, RsaKey } from './provider.ts';

/** Odd numbers looked at from one starting point: a window of 2^16, some fifty times the mean distance of primes. */
const WINDOW = 1 << 15;
/** They are sieved in pieces, since most searches end in the first. */
const PIECE = 1 << 11;
const SMALL_PRIMES: readonly number[] = smallPrimes(1 << 16);
const PRODUCT_GROUPS = group(SMALL_PRIMES);

/**
 * A prime of exactly `bits` bits with the two top bits set and gcd(p - 1, e) = 1: random octets give an odd starting
 * point, the first prime at or after it (in steps of two, below start + 2^16) is taken.
 */
export function derivePrime(crypto: CryptoProvider, random: RandomSource, bits: number, e: number): bigint {
  const exponent = BigInt(e);
  for (;;) {
    const bytes = random.bytes(bits / 8);
    bytes[0] = bytes[0]! | 0xc0;
    bytes[bytes.length - 1] = bytes[bytes.length - 1]! | 1;
    const start = toBigInt(bytes);
    for (const offset of survivors(start)) {
      const candidate = start + BigInt(2 * offset);
      if (candidate >> BigInt(bits) !== 0n) break;
      if (gcd(candidate - 1n, exponent) === 1n && crypto.isProbablePrime(candidate)) return candidate;
    }
  }
}

/** Ascending i below WINDOW for which start + 2i has no small factor. */
function* survivors(start: bigint): Generator<number> {
  const next = firstMultiples(start);
  const composite = new Uint8Array(PIECE);
  for (let base = 0; base < WINDOW; base += PIECE) {
    composite.fill(0);
    for (let k = 0; k < SMALL_PRIMES.length; k++) {
      const prime = SMALL_PRIMES[k]!;
      let i = next[k]!;
      for (; i < PIECE; i += prime) composite[i] = 1;
      next[k] = i - PIECE;
    }
    for (let i = 0; i < PIECE; i++) if (composite[i] === 0) yield base + i;
  }
}

/** For each small prime the least i with start + 2i divisible by it; start is odd. */
function firstMultiples(start: bigint): Int32Array {
  const first = new Int32Array(SMALL_PRIMES.length);
  let k = 0;
  for (const { product, primes } of PRODUCT_GROUPS) {
    const remainder = Number(start % product);
    for (const prime of primes) {
      const r = remainder % prime;
      // 2i = -r (mod prime), made even by adding the odd prime where needed, so that halving is exact.
      first[k++] = r === 0 ? 0 : (r % 2 === 1 ? prime - r : 2 * prime - r) / 2;
    }
  }
  return first;
}

/** An RSA key pair from a random source. */
export function deriveRsa(crypto: CryptoProvider, random: RandomSource, bits: number, e: number): RsaKey {
  const half = bits / 2;
  const p = derivePrime(crypto, random, half, e);
  let q = derivePrime(crypto, random, half, e);
  while (tooClose(p, q, half)) q = derivePrime(crypto, random, half, e);
  return { n: fromBigInt(p * q, bits / 8), p: fromBigInt(p, half / 8), e };
}

/** A scalar in 1..order-1 from 8 octets more than the order has (FIPS 186-5, A.2.1). */
export function deriveScalar(random: RandomSource, order: bigint): Uint8Array {
  const size = Math.ceil(order.toString(16).length / 2);
  return fromBigInt((toBigInt(random.bytes(size + 8)) % (order - 1n)) + 1n, size);
}

/** |p - q| at most 2^(half - 100), which Fermat's factoring could use (FIPS 186-5, section A.1.3, step 5.4). */
const tooClose = (p: bigint, q: bigint, half: number): boolean => (p > q ? p - q : q - p) >> BigInt(half - 100) === 0n;

function smallPrimes(limit: number): number[] {
  const composite = new Uint8Array(limit);
  const primes: number[] = [];
  for (let i = 3; i < limit; i += 2) {
    if (composite[i] === 1) continue;
    primes.push(i);
    for (let j = i * i; j < limit; j += 2 * i) composite[j] = 1;
  }
  return primes;
}

/** Group primes so that a group's product stays exact as a number. */
function group(primes: readonly number[]): { product: bigint; primes: number[] }[] {
  const groups: { product: bigint; primes: number[] }[] = [];
  let current: number[] = [];
  let product = 1;
  for (const prime of primes) {
    if (product * prime > Number.MAX_SAFE_INTEGER) {
      groups.push({ product: BigInt(product), primes: current });
      current = [];
      product = 1;
    }
    current.push(prime);
    product *= prime;
  }
  groups.push({ product: BigInt(product), primes: current });
  return groups;
}
