/** Signing of a partition's report, by the nexus key. */
import type { KeyObject } from 'node:crypto';
import { signSign1 } from './cose/sign.ts';
import { encodePartitionClaims, type PartitionClaims } from './eat.ts';

export const signEat = (claims: PartitionClaims, nexusKey: KeyObject): Uint8Array =>
  signSign1(encodePartitionClaims(claims), nexusKey);
