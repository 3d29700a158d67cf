/** A boot log as it stands, verified by nobody: for trying policies on a machine before they judge it. */
import { parseEventLog } from '../eventlog/format.ts';
import { replayLog } from '../eventlog/replay.ts';
import { SHA256 } from '../hash.ts';
import type { Quote } from '../quote.ts';
import { type Model, modelOf } from './model.ts';

/** What a log does not say: a quote's clock and firmware version are zero. */
const NO_QUOTE: Quote = {
  extraData: new Uint8Array(),
  pcrDigest: new Uint8Array(),
  selection: [],
  clock: { resetCount: 0, restartCount: 0, clock: 0n, safe: false },
  firmwareVersion: 0n,
};

/** The model of a machine whose registers hold what its log leads to; without IMA. Throws EventLogError. */
export function modelOfLog(bytes: Uint8Array): Model {
  const log = parseEventLog(bytes);
  const bank = log.algorithms.includes(SHA256.id) ? SHA256.id : (log.algorithms[0] ?? SHA256.id);
  const pcrs = new Map([[bank, new Map(replayLog(log, bank).entries())]]);
  return modelOf({ quote: NO_QUOTE, pcrs, log, bank, ima: undefined });
}
