/** The platform of a state directory, as commands ask it. */
import { askPlatform } from '../nexus/host/index.ts';

/**
 * Ask for `method`; a platform that had to be made, with the release key in the file `releaseKey` where one is named, is
 * told of on standard error. Throws HostError.
 */
export function ask(state: string, method: string, parameters?: unknown, releaseKey?: string): Promise<unknown> {
  const life = releaseKey === undefined ? 'this build of the nexus alone' : 'this build of the nexus and its releases';
  const onMade = () =>
    process.stderr.write(`nexus: made a new platform in ${state}: there was none; it opens to ${life}\n`);
  return askPlatform(state, method, parameters, { releaseKey, onMade });
}
