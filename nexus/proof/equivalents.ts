/** Mutants that compute the same in every reachable state, each with the reason. Names as `--mutants` prints them. */
export const EQUIVALENT: Readonly<Record<string, string>> = {};
