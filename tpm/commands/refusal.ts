import { TpmError } from '../structures/index.ts';

/** Run checks whose refusals are about one handle or parameter. */
export function about<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof TpmError && error.at === undefined) throw new TpmError(error.code, name);
    throw error;
  }
}
