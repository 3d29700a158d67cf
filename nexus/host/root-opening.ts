/** The root secret at the start of a host: made, opened, and after an upgrade sealed anew. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TpmClient } from '../../tpm/index.ts';
import type { LaunchPolicy, Release } from '../launch/index.ts';
import { NexusKeys, ROOT_SECRET_SIZE } from '../services/index.ts';
import { Counters } from './counters.ts';
import { HostError } from './errors.ts';
import type { NvCounter } from './nv-counter.ts';
import type { RootSecret } from './root-secret.ts';
import type { HostStore, SealedRoot } from './store.ts';

/** Where in a state directory a release statement is looked for. */
const STANDING_RELEASE = 'nexus.release';

/** The root secret as this start has it, sealed to a build of security version `svn`. */
export interface OpenRoot {
  readonly keys: NexusKeys;
  readonly svn: number;
  /** The release that it was opened or sealed by; absent: the build that it had been sealed to. */
  readonly release?: Release | undefined;
}

/** Make the root secret of a new platform, and the first record of its counters with it. */
export async function createRoot(
  client: TpmClient,
  root: RootSecret,
  store: HostStore,
  policy: LaunchPolicy,
  freshness: NvCounter,
  release: Release | undefined,
): Promise<OpenRoot> {
  const svn = release?.svn ?? 0;
  await root.requireNotBelow(svn);
  const { randomBytes } = await client.GetRandom({ bytesRequested: ROOT_SECRET_SIZE });
  const secret = Uint8Array.from(randomBytes);
  const keys = new NexusKeys(secret);
  const counters = await Counters.first(keys.counterKey(), freshness);
  await store.putSealedRoot(await root.seal(secret, svn), policy, counters);
  return { keys, svn, release };
}

/**
 * Open the root secret as the build that it is sealed to or, where that fails, by a release: `given`, or `standing`.
 * By a release it is sealed anew, to the build that now runs.
 */
export async function openRoot(
  root: RootSecret,
  store: HostStore,
  sealed: SealedRoot,
  given: Release | undefined,
  standing: () => Release | undefined,
): Promise<OpenRoot> {
  const known = sealed.build?.svn ?? 0;
  let release = given;
  let secret: Uint8Array;
  try {
    secret = await root.openAsBuild(sealed);
    if (release === undefined || release.svn <= known) return { keys: new NexusKeys(secret), svn: known };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    release ??= standing();
    if (release === undefined) throw error;
    secret = await root.openByRelease(sealed, release);
  }
  const keys = new NexusKeys(secret);
  try {
    await store.replaceSealedRoot(await root.seal(secret, release.svn));
  } catch (error) {
    keys.destroy();
    throw error;
  }
  return { keys, svn: release.svn, release };
}

/** The release statement that stands in a state directory. Throws as `RootSecret.admit` does. */
export function standingRelease(stateDirectory: string, root: RootSecret): Release | undefined {
  const file = join(stateDirectory, STANDING_RELEASE);
  return existsSync(file) ? root.admit(readFileSync(file)) : undefined;
}
