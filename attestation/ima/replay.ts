/**
 * Replay of IMA's list into its register, in one bank, from the start or from where the last replay ended: a machine
 * that attests every minute sends only its new entries.
 */
import { sameBytes, toHex } from '../bytes.ts';
import { type HashAlgorithm, hashById, SHA1 } from '../hash.ts';
import { type ImaEntry, ImaError } from './list.ts';

/** Where a replay stands; JSON, so that a verifier can keep it between attestations. */
export interface ImaPosition {
  /** Entries replayed so far. */
  readonly entries: number;
  /** TPM_ALG_ID of the bank. */
  readonly bank: number;
  /** The register's value after them, hexadecimal. */
  readonly value: string;
}

/** The kernel's register for IMA, CONFIG_IMA_MEASURE_PCR_IDX. */
export const IMA_PCR = 10;

export interface ImaReplay {
  readonly position: ImaPosition;
  /** Entries that were extended with ones: a file was written while it was measured, or measured while open to write. */
  readonly violations: number;
  /** The position after the entries whose register value was asked for; undefined when no prefix reaches it. */
  readonly reached: ImaPosition | undefined;
}

/**
 * Replay `entries` of the IMA register. The quote is taken before or after the list is read, so the list may run ahead of
 * it: `until` is the quoted value, and `reached` the position where the replay met it. SHA-1 template digests in the list
 * are checked in the SHA-1 bank, where they are what was extended. Throws ImaError `ima-template` for an entry whose
 * digest is not of its data.
 */
export function replayIma(
  entries: readonly ImaEntry[],
  bank: number,
  until: Uint8Array,
  from?: ImaPosition,
): ImaReplay {
  const hash = hashById(bank);
  if (hash === undefined) throw new ImaError('ima-template', `bank 0x${bank.toString(16)}`);
  if (from !== undefined && from.bank !== bank) throw new ImaError('ima-template', 'the position is of another bank');
  let value: Uint8Array = from === undefined ? new Uint8Array(hash.size) : decodeHex(from.value, hash.size);
  let count = from?.entries ?? 0;
  let violations = 0;
  const at = (): ImaPosition => ({ entries: count, bank, value: toHex(value) });
  let reached = sameBytes(value, until) ? at() : undefined;
  const buffer = new Uint8Array(2 * hash.size);
  for (const entry of entries) {
    count += 1;
    if (entry.pcr !== IMA_PCR) continue;
    const violation = isViolation(entry);
    if (violation) violations += 1;
    buffer.set(value);
    buffer.set(violation ? ones(hash) : extended(entry, hash), hash.size);
    value = hash.digest(buffer);
    if (sameBytes(value, until)) reached = at();
  }
  return { position: at(), violations, reached };
}

function extended(entry: ImaEntry, hash: HashAlgorithm): Uint8Array {
  const digest = hash.digest(entry.templateData);
  // In other banks the register itself proves the data; the listed SHA-1 is then nobody's evidence.
  if (hash === SHA1 && !sameBytes(digest, entry.templateDigest)) {
    throw new ImaError('ima-template', 'a template digest that is not of its data');
  }
  return digest;
}

export const isViolation = ({ templateDigest }: ImaEntry): boolean => templateDigest.every((byte) => byte === 0);

const ONES = new Map<number, Uint8Array>();
function ones({ size }: HashAlgorithm): Uint8Array {
  const known = ONES.get(size) ?? new Uint8Array(size).fill(0xff);
  ONES.set(size, known);
  return known;
}

function decodeHex(text: string, size: number): Uint8Array {
  if (!/^[0-9a-f]*$/.test(text) || text.length !== 2 * size) throw new ImaError('ima-template', 'a malformed position');
  return Uint8Array.from({ length: size }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}
