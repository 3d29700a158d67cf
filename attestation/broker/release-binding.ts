/** What a release is bound to: the forms that attester and broker share. */
import { sha256 } from './kek.ts';

/** HPKE `info` of every release; the resource's name is the associated data. */
export const RELEASE_INFO = new TextEncoder().encode('nexus-tcb release v1');

/** The user data that binds a guest's key to the verifier's nonce: 64 bytes. */
export function releaseUserData(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  return Buffer.concat([sha256(key), sha256(nonce)]);
}
