/** Part 2 of TPM 2.0 Library: every structure, declared once. Runs anywhere; no imports of node:. */
export * from './algorithms.ts';
export * from './attest.ts';
export * from './base.ts';
export * from './codec.ts';
export * from './constants.ts';
export * from './errors.ts';
export * from './names.ts';
export * from './nv.ts';
export * from './objects.ts';
export * from './octets.ts';
