/** The operator's requests to a platform: of the host that runs on it, or of the platform alone when none runs. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { LaunchPolicy } from '../launch/index.ts';
import { askHost } from './control.ts';
import { HostError } from './errors.ts';
import { Platform } from './platform.ts';
import { chooseReleaseKey, readReleaseKey } from './release-key.ts';

/** What may begin a platform; to open something sealed, there must be one. */
const CREATES_PLATFORM: ReadonlySet<string> = new Set(['seal', 'attest', 'attestationKey', 'pcrs', 'enrol']);

/** For a platform that no host has run on. */
const DEFAULT_POLICY = { allowDebug: false, engine: 'v86' } as const;

interface NewPlatform {
  /** File of the release key that a platform which has to be made gets. */
  readonly releaseKey?: string | undefined;
  /** There was no platform, and one was made for this request. */
  readonly onMade?: () => void;
}

/**
 * Ask for `method` (see Platform.operatorMethods). A running host answers over its control socket; otherwise the
 * platform is booted for this one request. Throws HostError.
 */
export async function askPlatform(
  stateDirectory: string,
  method: string,
  parameters?: unknown,
  { releaseKey: file, onMade = () => {} }: NewPlatform = {},
): Promise<unknown> {
  try {
    return await askHost(stateDirectory, method, parameters);
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'E_NOT_RUNNING') throw error;
  }
  const exists = existsSync(join(stateDirectory, 'tpm'));
  if (!exists && !CREATES_PLATFORM.has(method)) {
    throw new HostError(
      'E_STATE_ABSENT',
      `there is no platform in ${stateDirectory}`,
      'name the state directory of a host with --state; the demo keeps it in `platform` below --keep',
    );
  }
  const named = file === undefined ? undefined : readReleaseKey(file);
  const choosePolicy = (made: LaunchPolicy | undefined): LaunchPolicy => {
    const releaseKey = chooseReleaseKey(named, made);
    return made ?? { ...DEFAULT_POLICY, ...(releaseKey !== undefined && { releaseKey }) };
  };
  const platform = await Platform.open(stateDirectory, choosePolicy, () => {});
  if (!exists) onMade();
  try {
    return await platform.operatorMethods()[method]?.(parameters);
  } finally {
    await platform.close();
  }
}
