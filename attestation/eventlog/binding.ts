/**
 * Which events' data can be believed. Replay proves the digests of a log; that an event's data is what was measured
 * follows only where the digest is over it. Firmware writes some types of which that must hold, and others (images,
 * firmware volumes) whose data merely describes what was hashed.
 */
import { concatBytes, ShortError } from '../bytes.ts';
import { DIGEST_SIZES, type HashAlgorithm, hashById } from '../hash.ts';
import { readVariable } from './efi.ts';
import type { LogEvent, ParsedLog } from './format.ts';
import type { Meaning } from './meaning.ts';
import { EVENT } from './types.ts';

/**
 * `bound`: the digest is over the data, whole. `value`: it is over the value in it, so the name beside the value is the
 * attester's word (GRUB's prefixes, boot variables). `described`: the type's data only describes what was hashed.
 * `contradicted`: the type demands that the digest be over the data, and it is not.
 */
export type Binding = 'bound' | 'value' | 'described' | 'contradicted';

/** Types whose digest is over their whole data. Sections 10.4.1 and 3.3. */
const OVER_DATA = new Set<number>([
  EVENT.SEPARATOR,
  EVENT.EFI_VARIABLE_DRIVER_CONFIG,
  EVENT.EFI_GPT_EVENT,
  EVENT.EFI_ACTION,
  EVENT.S_CRTM_VERSION,
]);
/** Types where some write the data's digest and some do not. */
const PERHAPS = new Set<number>([
  EVENT.ACTION,
  EVENT.EFI_VARIABLE_BOOT,
  EVENT.EFI_VARIABLE_BOOT2,
  // Older shims hash something else than the event that they log.
  EVENT.EFI_VARIABLE_AUTHORITY,
  EVENT.EVENT_TAG,
  EVENT.IPL,
  EVENT.COMPACT_HASH,
  EVENT.POST_CODE,
  EVENT.EFI_HCRTM_EVENT,
  EVENT.NONHOST_INFO,
  EVENT.EFI_GPT_EVENT2,
]);
/** Section 10.4.1 has EV_EFI_VARIABLE_BOOT so; firmware of TPM 1.2 hashes the value of every variable alone. */
const VARIABLES = new Set<number>([
  EVENT.EFI_VARIABLE_BOOT,
  EVENT.EFI_VARIABLE_AUTHORITY,
  EVENT.EFI_VARIABLE_DRIVER_CONFIG,
]);

/** Where the digest in question is held, by its size: a view of each would cost as much as its comparison. */
const DIGESTS = new Map([...DIGEST_SIZES.values()].map((size) => [size, new Uint8Array(size)]));

/** Whether an event of this type with another digest than of its data is contradicted. */
export const demandsBinding = (type: number): boolean => OVER_DATA.has(type);

/** In the bank `algorithm` (TPM_ALG_ID); other banks may differ only if the log was made up. */
export function bindingOf(
  log: ParsedLog,
  typed: { readonly event: LogEvent; readonly meaning: Meaning },
  algorithm: number,
): Binding {
  const { event } = typed;
  if (!OVER_DATA.has(event.type) && !PERHAPS.has(event.type)) return 'described';
  const hash = hashById(algorithm);
  const bank = log.algorithms.indexOf(algorithm);
  if (hash === undefined || bank < 0) return OVER_DATA.has(event.type) ? 'contradicted' : 'described';
  const digest = DIGESTS.get(hash.size) as Uint8Array; // of every size there is
  event.copyDigest(bank, digest, 0);
  // GRUB's text is likeliest to be hashed alone, so that is tried first; a large variable is likeliest hashed whole.
  if (event.type === EVENT.IPL && isOfText(typed, hash, digest)) return 'value';
  if (hash.matches(event.data, digest)) return 'bound';
  const value = variableValue(event);
  if (value !== undefined && hash.matches(value, digest)) return 'value';
  return OVER_DATA.has(event.type) ? 'contradicted' : 'described';
}

/** GRUB hashes the text without the prefix that its event states, Red Hat's with the final NUL. */
function isOfText(
  { event: { data }, meaning }: { readonly event: LogEvent; readonly meaning: Meaning },
  hash: HashAlgorithm,
  digest: Uint8Array,
): boolean {
  if (meaning.kind !== 'grub' || meaning.subject === 'file') return false;
  const { from, text } = meaning;
  const to = from + text.length;
  if (hash.matches(data.subarray(from, to), digest)) return true;
  // What follows the text is its NUL, or nothing.
  const ended = to < data.length ? data.subarray(from, to + 1) : concatBytes(data.subarray(from), Uint8Array.of(0));
  return hash.matches(ended, digest);
}

/** The value of a variable, where its digest may be over that alone. */
function variableValue({ type, data }: LogEvent): Uint8Array | undefined {
  if (!VARIABLES.has(type)) return undefined;
  try {
    return readVariable(data).value;
  } catch (error) {
    if (error instanceof ShortError) return undefined;
    throw error;
  }
}
