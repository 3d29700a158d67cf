/**
 * Evidence of any machine with a TPM 2.0: a quote over the verifier's nonce, the registers it covers, the boot log and
 * IMA's list. One CBOR map, a conceptual-messages-wrapper collection (RFC 9999). Documented in docs/evidence.md.
 */
import { type CborValue, encodeCbor } from '../cbor.ts';
import { decodeMap, EvidenceError, member, message } from '../evidence.ts';
import { DIGEST_SIZES } from '../hash.ts';
import { decodeCertificates, encodeCertificates, type MachineCertificates } from './certificates.ts';

export const MACHINE_MEDIA_TYPE = 'application/vnd.nexus-tcb.machine+cbor';
const COLLECTION_TYPE = 'tag:nexus-tcb,2026:machine';
const QUOTE_TYPE = 'application/vnd.nexus-tcb.tpm-quote+cbor';
const PCRS_TYPE = 'application/vnd.nexus-tcb.pcrs+cbor';
const IMA_TYPE = 'application/vnd.nexus-tcb.ima-list';
const CERTIFICATES_TYPE = 'application/vnd.nexus-tcb.certificates+cbor';
const MESSAGES = new Set<unknown>(['__cmwc_t', 'platform', 'pcrs', 'ima', 'certificates']);
const EVIDENCE_MAX = 64 * 2 ** 20;
const PCR_COUNT = 24;

/** PCR values by TPM_ALG_ID of the bank, then by index. */
export type PcrValues = ReadonlyMap<number, ReadonlyMap<number, Uint8Array>>;

export interface MachineEvidence {
  /** TPMS_ATTEST of type quote, as it was signed; its extraData is the verifier's nonce. */
  readonly quoted: Uint8Array;
  /** TPMT_SIGNATURE over `quoted`. */
  readonly signature: Uint8Array;
  /** TPMT_PUBLIC of the attestation key. */
  readonly akPublic: Uint8Array;
  /** /sys/kernel/security/tpm0/binary_bios_measurements; empty where there is none. */
  readonly eventLog: Uint8Array;
  /** What the quoted registers hold. */
  readonly pcrs: PcrValues;
  /** /sys/kernel/security/ima/binary_runtime_measurements, from `imaFrom` on. */
  readonly ima?: Uint8Array;
  readonly certificates?: MachineCertificates;
}

export function encodeMachineEvidence(evidence: MachineEvidence): Uint8Array {
  const { quoted, signature, akPublic, eventLog, pcrs, ima, certificates } = evidence;
  const banks = new Map([...pcrs].map(([bank, values]): [number, CborValue] => [bank, new Map(values)]));
  return encodeCbor({
    __cmwc_t: COLLECTION_TYPE,
    platform: [QUOTE_TYPE, encodeCbor({ quoted, signature, ak: akPublic, log: eventLog })],
    pcrs: [PCRS_TYPE, encodeCbor(banks)],
    ...(ima === undefined ? {} : { ima: [IMA_TYPE, ima] as CborValue }),
    ...(certificates === undefined
      ? {}
      : { certificates: [CERTIFICATES_TYPE, encodeCertificates(certificates)] as CborValue }),
  });
}

/** Parse. Throws EvidenceError; what the parts hold is checked by appraisal. */
export function decodeMachineEvidence(bytes: Uint8Array): MachineEvidence {
  if (bytes.length > EVIDENCE_MAX) throw new EvidenceError(`${bytes.length} bytes; at most ${EVIDENCE_MAX}`);
  const collection = decodeMap(bytes, 'the evidence');
  if (collection.get('__cmwc_t') !== COLLECTION_TYPE) throw new EvidenceError('not a collection of a machine');
  const ima = collection.has('ima') ? message(collection, 'ima', IMA_TYPE) : undefined;
  const certificates = collection.has('certificates')
    ? decodeCertificates(message(collection, 'certificates', CERTIFICATES_TYPE))
    : undefined;
  if ([...collection.keys()].some((name) => !MESSAGES.has(name)))
    throw new EvidenceError('a message that is not known here');
  const platform = decodeMap(message(collection, 'platform', QUOTE_TYPE), 'the platform message');
  if (platform.size !== 4) throw new EvidenceError('the platform message has other members than it should');
  return {
    quoted: member(platform, 'quoted'),
    signature: member(platform, 'signature'),
    akPublic: member(platform, 'ak'),
    eventLog: member(platform, 'log'),
    pcrs: pcrValues(decodeMap(message(collection, 'pcrs', PCRS_TYPE), 'the register values')),
    ...(ima === undefined ? {} : { ima }),
    ...(certificates === undefined ? {} : { certificates }),
  };
}

function pcrValues(banks: ReadonlyMap<unknown, unknown>): PcrValues {
  return new Map(
    [...banks].map(([bank, values]) => {
      const size = typeof bank === 'number' ? DIGEST_SIZES.get(bank) : undefined;
      if (size === undefined || !(values instanceof Map)) throw new EvidenceError('a bank that is not known here');
      for (const [index, value] of values) {
        const known = typeof index === 'number' && Number.isInteger(index) && index >= 0 && index < PCR_COUNT;
        if (!known || !(value instanceof Uint8Array) || value.length !== size) {
          throw new EvidenceError(`the value of PCR ${String(index)}`);
        }
      }
      return [bank as number, values as Map<number, Uint8Array>]; // checked above
    }),
  );
}
