/** The platform of a state directory, as commands ask it. */
import { askPlatform } from '../nexus/host/index.ts';

/** Ask for `method`; a platform that had to be made is told of on standard error. Throws HostError. */
export function ask(state: string, method: string, parameters?: unknown): Promise<unknown> {
  return askPlatform(state, method, parameters, () =>
    process.stderr.write(`nexus: made a new platform in ${state}: there was none\n`),
  );
}
