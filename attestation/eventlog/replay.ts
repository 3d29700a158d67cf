/** Replay of an event log: the register values that its events lead to. */
import { createHash } from 'node:crypto';
import { DIGEST_SIZES, EVENT, type ParsedLog, startupLocality } from './format.ts';

const PCR_COUNT = 24;
/** PCR 17-22 are all ones until a dynamic launch resets them (PC Client Platform TPM Profile, section 4.6.2). */
const DYNAMIC_FIRST = 17;
const DYNAMIC_LAST = 22;

const HASH_NAMES: Readonly<Record<number, string>> = { 4: 'sha1', 11: 'sha256', 12: 'sha384', 13: 'sha512' };

/** Values of PCR 0-23 in the bank `algorithm` (TPM_ALG_ID). Throws RangeError for a bank that the log does not have. */
export function replayLog(log: ParsedLog, algorithm: number): Uint8Array[] {
  const size = DIGEST_SIZES.get(algorithm);
  const hash = HASH_NAMES[algorithm];
  if (size === undefined || hash === undefined || !log.algorithms.includes(algorithm)) {
    throw new RangeError(`the log has no bank 0x${algorithm.toString(16)}`);
  }
  const launched = new Set(log.events.filter(({ type }) => type !== EVENT.NO_ACTION).map(({ pcr }) => pcr));
  const pcrs = Array.from({ length: PCR_COUNT }, (_, index) => {
    const dynamic = index >= DYNAMIC_FIRST && index <= DYNAMIC_LAST;
    const untouched = dynamic && ![...launched].some((pcr) => pcr >= DYNAMIC_FIRST && pcr <= DYNAMIC_LAST);
    return new Uint8Array(size).fill(untouched ? 0xff : 0);
  });
  const first = pcrs[0];
  if (first) first[size - 1] = startupLocality(log);
  for (const { pcr, type, digests } of log.events) {
    if (type === EVENT.NO_ACTION) continue;
    const digest = digests.get(algorithm) ?? new Uint8Array(size);
    pcrs[pcr] = Uint8Array.from(
      createHash(hash)
        .update(pcrs[pcr] ?? new Uint8Array())
        .update(digest)
        .digest(),
    );
  }
  return pcrs;
}
