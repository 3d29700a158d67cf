/**
 * Modular arithmetic on bigint, which neither library offers. JavaScript's bigint is not constant-time: callers blind
 * what is secret (docs/threat-model.md says what is claimed).
 */

/** The residue in 0..m-1. */
export function mod(a: bigint, m: bigint): bigint {
  const r = a % m;
  return r < 0n ? r + m : r;
}

/** value^-1 mod m; the two must be coprime. */
export function modInverse(value: bigint, m: bigint): bigint {
  let [r0, r1] = [m, mod(value, m)];
  let [t0, t1] = [0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [t0, t1] = [t1, t0 - quotient * t1];
  }
  return mod(t0, m);
}

/** base^exponent mod m, by windows of four bits. */
export function modPow(base: bigint, exponent: bigint, m: bigint): bigint {
  const table = [1n, mod(base, m)];
  for (let i = 2; i < 16; i++) table.push((table[i - 1]! * table[1]!) % m);
  let result = 1n;
  for (const digit of exponent.toString(16)) {
    for (let i = 0; i < 4; i++) result = (result * result) % m;
    result = (result * table[Number.parseInt(digit, 16)]!) % m;
  }
  return result % m;
}

export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}
