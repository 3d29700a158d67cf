/** Where CMD_STORE_VOLATILE keeps volatile state between two runs of a server: a file of its owner alone. */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { VolatileStore } from './board.ts';

/** Keep volatile state in a file of mode 0600, there as a whole or not at all. It holds secrets in the clear. */
export function fileVolatileStore(path: string): VolatileStore {
  return {
    async load() {
      try {
        return new Uint8Array(await readFile(path));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    async save(state) {
      const partial = `${path}.new`;
      await writeFile(partial, state, { mode: 0o600, flush: true });
      await rename(partial, path);
    },
    remove: () => rm(path, { force: true }),
  };
}
