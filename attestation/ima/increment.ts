/** IMA's list in parts: what a machine sends after its last good attestation, appraised from where that one ended. */

import { type LoadedKey, loadedKey } from './keyrings.ts';
import { type ImaEntry, type ImaFields, imaFields } from './list.ts';
import { IMA_PCR, type ImaPosition, isViolation, replayIma } from './replay.ts';
import type { ImaKeys } from './signature.ts';

export interface ImaIncrement {
  /** Where the list now stands: keep it, and hand it in with the next part. */
  readonly position: ImaPosition;
  /** Entries that the register proves; those after them are nobody's word yet. */
  readonly entries: readonly ImaEntry[];
  /** The list was sent from its start, though it may have been known in part. */
  readonly whole: boolean;
}

/**
 * Replay `entries` in a bank (TPM_ALG_ID) to the quoted value of its IMA register: on from `before`, or from the start of
 * the list, for a machine may always send all of it. Undefined when neither leads there. Throws ImaError as `replayIma`.
 */
export function appraiseImaIncrement(
  before: ImaPosition | undefined,
  entries: readonly ImaEntry[],
  bank: number,
  quoted: Uint8Array,
): ImaIncrement | undefined {
  const continued = before?.bank === bank ? replayIma(entries, bank, quoted, before).reached : undefined;
  const position = continued ?? replayIma(entries, bank, quoted).reached;
  if (position === undefined) return undefined;
  const proved = position.entries - (continued === undefined ? 0 : (before?.entries ?? 0));
  return { position, entries: entries.slice(0, proved), whole: continued === undefined };
}

/** What proved entries say, after the checks of signatures. */
export interface ImaFacts {
  readonly violations: number;
  /** Every entry that was replayed, with the key that a file's or module's signature verified under. */
  readonly files: readonly (ImaFields & { readonly signer: string | undefined })[];
  /** Keys that were loaded into keyrings. */
  readonly keys: readonly LoadedKey[];
}

/** Throws ImaError for an entry whose data are not its template's. */
export function imaFacts(entries: readonly ImaEntry[], keys: ImaKeys): ImaFacts {
  const files = entries
    .filter((entry) => entry.pcr === IMA_PCR && !isViolation(entry))
    .map(imaFields)
    .map((fields) => ({ ...fields, signer: keys.signerOf(fields) }));
  return {
    violations: entries.filter(isViolation).length,
    files,
    keys: files.map(loadedKey).filter((key) => key !== undefined),
  };
}
