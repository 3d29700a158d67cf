/**
 * RSA primes and ECC scalars from a random source. Keys made from a seed must be the same for ever: what is written
 * here is part of the file format of every TPM made by this program (golden test in `commands/primary.test.ts`).
 */
import { fromBigInt, toBigInt } from './bytes.ts';
import type { RandomSource } from './drbg.ts';
import type { CryptoProvider, RsaKey } from './provider.ts';

const SMALL_PRIMES: readonly number[] = smallPrimes(4000);
const PRODUCT_GROUPS: readonly { product: bigint; primes: readonly number[] }[] = group(SMALL_PRIMES);

/**
 * A prime of exactly `bits` bits with the two top bits set and gcd(p - 1, e) = 1: random octets give an odd starting
 * point, the first prime at or after it (in steps of two) is taken.
 */
export function derivePrime(crypto: CryptoProvider, random: RandomSource, bits: number, e: number): bigint {
  const exponent = BigInt(e);
  for (;;) {
    const bytes = random.bytes(bits / 8);
    bytes[0] = bytes[0]! | 0xc0;
    bytes[bytes.length - 1] = bytes[bytes.length - 1]! | 1;
    const start = toBigInt(bytes);
    const residues = SMALL_PRIMES.map(() => 0);
    let k = 0;
    for (const { product, primes } of PRODUCT_GROUPS) {
      const remainder = Number(start % product);
      for (const prime of primes) residues[k++] = remainder % prime;
    }
    for (let offset = 0; offset < 1 << 16; offset += 2) {
      if (SMALL_PRIMES.some((prime, i) => (residues[i]! + offset) % prime === 0)) continue;
      const candidate = start + BigInt(offset);
      if (candidate >> BigInt(bits) !== 0n) break;
      if (candidate % exponent !== 1n && crypto.isProbablePrime(candidate)) return candidate;
    }
  }
}

/** An RSA key pair from a random source. */
export function deriveRsa(crypto: CryptoProvider, random: RandomSource, bits: number, e: number): RsaKey {
  const half = bits / 2;
  const p = derivePrime(crypto, random, half, e);
  let q = derivePrime(crypto, random, half, e);
  while (q === p) q = derivePrime(crypto, random, half, e);
  return { n: fromBigInt(p * q, bits / 8), p: fromBigInt(p, half / 8), e };
}

/** A scalar in 1..order-1 from 8 octets more than the order has (FIPS 186-5, A.2.1). */
export function deriveScalar(random: RandomSource, order: bigint): Uint8Array {
  const size = Math.ceil(order.toString(16).length / 2);
  return fromBigInt((toBigInt(random.bytes(size + 8)) % (order - 1n)) + 1n, size);
}

export function modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  let square = base % modulus;
  for (let e = exponent; e > 0n; e >>= 1n) {
    if ((e & 1n) === 1n) result = (result * square) % modulus;
    square = (square * square) % modulus;
  }
  return result;
}

export function modInverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [((value % modulus) + modulus) % modulus, modulus];
  let [x, y] = [1n, 0n];
  while (b > 0n) {
    const q = a / b;
    [a, b] = [b, a - q * b];
    [x, y] = [y, x - q * y];
  }
  return ((x % modulus) + modulus) % modulus;
}

function smallPrimes(limit: number): number[] {
  const primes: number[] = [];
  for (let n = 3; n < limit; n += 2) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
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
