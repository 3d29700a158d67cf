/**
 * The event log of a nexus host: which events there are and what each says. The writer and the appraisal share this
 * declaration, so a log in which anything is left to the attester's discretion does not pass.
 */
import { sameBytes } from '../bytes.ts';
import { SHA256 } from '../hash.ts';
import { EVENT, EventLogError, EventLogWriter, type ParsedLog } from './format.ts';

/** Events whose digest is of something that is not in the log; their data is this label and nothing else. */
export const HOST_EVENT = {
  /** PCR 0: the built files of the TPM, which is the platform's firmware here. */
  FIRMWARE: { pcr: 0, type: EVENT.S_CRTM_CONTENTS, label: 'nexus-tcb firmware' },
  /** PCR 4: the built files that load the nexus. */
  LOADER: { pcr: 4, type: EVENT.IPL, label: 'nexus-tcb loader' },
  /** PCR 17: the built files of the nexus, by late launch. */
  NEXUS: { pcr: 17, type: EVENT.EVENT_TAG, label: 'nexus-tcb late launch' },
} as const;

/** Events whose digest is of their own data: type to the registers it may stand in. */
const SELF_DESCRIBED: Readonly<Record<number, readonly number[]>> = {
  [EVENT.S_CRTM_VERSION]: [0],
  [EVENT.SEPARATOR]: [0, 1, 2, 3, 4, 5, 6, 7],
  /** The launch policy. */
  [EVENT.EVENT_TAG]: [18],
};

export type HostEventKind = (typeof HOST_EVENT)[keyof typeof HOST_EVENT];

const utf8 = new TextEncoder();

/** Append an event whose digest is of what its label names. */
export function appendLabelled(
  log: EventLogWriter,
  event: HostEventKind,
  digests: ReadonlyMap<number, Uint8Array>,
): void {
  log.append(event.pcr, event.type, digests, utf8.encode(event.label));
}

/**
 * Check that a log is written as a host writes it: each event's data is what its SHA-256 digest is of, or the label
 * that stands for what cannot be in a log; and no byte of the file is free. Throws EventLogError.
 */
export function requireHostLog(log: ParsedLog, bytes: Uint8Array): void {
  const again = new EventLogWriter(log.algorithms);
  const sha256 = log.algorithms.indexOf(SHA256.id);
  for (const event of log.events) {
    const { pcr, type, data } = event;
    if (!isLabelled(pcr, type, data) && !isSelfDescribed(pcr, type, data, event.digestOf(sha256))) {
      throw new EventLogError('log-content', `an event in PCR ${pcr} says something else than was measured`);
    }
    again.append(
      pcr,
      type,
      new Map(log.algorithms.map((algorithm, at) => [algorithm, event.digestOf(at) ?? NONE])),
      data,
    );
  }
  if (!sameBytes(again.bytes(), bytes))
    throw new EventLogError('log-content', 'the log is not in the form that a host writes');
}

const LABELLED = Object.values(HOST_EVENT).map((event) => ({ ...event, data: utf8.encode(event.label) }));

const isLabelled = (pcr: number, type: number, data: Uint8Array): boolean =>
  LABELLED.some((event) => event.pcr === pcr && event.type === type && sameBytes(event.data, data));

const isSelfDescribed = (pcr: number, type: number, data: Uint8Array, digest: Uint8Array | undefined): boolean =>
  SELF_DESCRIBED[type]?.includes(pcr) === true && digest !== undefined && sameBytes(SHA256.digest(data), digest);

const NONE = new Uint8Array();
