/** What a command's handler works with. One per TPM; `locality`, `command` and `sessions` change with each command. */
import type { PooledRandom } from '../crypto/drbg.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import type { TpmClock } from '../state/clock.ts';
import type { Profile } from '../state/profile.ts';
import type { Session } from '../state/sessions.ts';
import type { TpmState } from '../state/state.ts';
import type { AnyCommand } from './command.ts';

/** Names of durable records: see `state/persist.ts`. */
export type RecordName =
  | 'hierarchies'
  | 'lockout'
  | 'clock'
  | 'pcr'
  | 'audit'
  | 'orderly'
  | `nv/${string}`
  | `object/${string}`;

/** One session of the running command's authorisation area. */
export interface UsedSession {
  /** Undefined for a password. */
  readonly session: Session | undefined;
  readonly nonceCaller: Uint8Array;
  attributes: number;
  /** The HMAC or password that came with it. */
  readonly authorization: Uint8Array;
  /** The entity it authorises. */
  handle: number | undefined;
  /** Whether the entity was the one that the session is bound to when the command came: its name may change. */
  bound?: boolean;
  /** The authorisation value of a sequence, which may be gone when the response is made. */
  sequenceAuth?: Uint8Array;
}

export interface Context {
  readonly crypto: CryptoProvider;
  readonly profile: Profile;
  readonly state: TpmState;
  /** The TPM's random number generator. */
  readonly random: PooledRandom;
  readonly clock: TpmClock;
  /** 0-4, or 32 and up. */
  locality: number;
  physicalPresence: boolean;
  /** Between TPM2_Startup and power-off. */
  started: boolean;
  /** Locality of TPM2_Startup. */
  startupLocality: number;
  /** What Shutdown(STATE) kept, from the store. */
  savedState: Uint8Array | undefined;
  /** Digests of a _TPM_Hash_Start/End sequence before start-up. */
  hCrtm: readonly { readonly alg: number; readonly digest: Uint8Array }[] | undefined;
  /** Object contexts saved so far: the sequence number of the next one. */
  objectContexts: bigint;
  command: AnyCommand;
  /** Sessions of the running command, in order; empty without an authorisation area. */
  sessions: readonly UsedSession[];
  /** This record must survive power loss before the response leaves. */
  markDurable(record: RecordName): void;
  /** Every command that is implemented, by command code. */
  readonly commands: ReadonlyMap<number, AnyCommand>;
}

const hex = (handle: number): string => handle.toString(16).padStart(8, '0');
export const nvRecord = (handle: number): RecordName => `nv/${hex(handle)}`;
export const objectRecord = (handle: number): RecordName => `object/${hex(handle)}`;
