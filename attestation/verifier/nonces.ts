/** What a quote is made over where it is more than a challenge's nonce. */
import { sha256 } from '../broker/kek.ts';

const BOUND_NONCE = 'nexus-tcb release key v1';

/** What a quote is made over to bind a key besides the nonce: SHA-256(label || SHA-256(key) || nonce). */
export function boundNonce(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  return Uint8Array.from(sha256(Buffer.from(BOUND_NONCE), sha256(key), nonce));
}

const POLL_NONCE = 'nexus-tcb poll v1';

/** What a polled agent quotes: SHA-256(label || nonce), which no `boundNonce` and no nonce of a challenge is. */
export function pollNonce(nonce: Uint8Array): Uint8Array {
  return Uint8Array.from(sha256(Buffer.from(POLL_NONCE), nonce));
}

const DEVICE_ENROLMENT = 'nexus-tcb device enrolment v1';

/** What an enrolling quote is made over: SHA-256(label || SHA-256(name) || nonce); the name is empty for one of ours. */
export function enrolmentNonce(platform: string | undefined, nonce: Uint8Array): Uint8Array {
  return Uint8Array.from(sha256(Buffer.from(DEVICE_ENROLMENT), sha256(Buffer.from(platform ?? '')), nonce));
}
