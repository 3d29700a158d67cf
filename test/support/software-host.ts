/** A nexus host in software: real evidence, made with plain keys, for tests and benchmarks of the service. */
import { createHash, generateKeyPairSync, KeyObject, sign } from 'node:crypto';
import { QUOTED_PCRS } from '../../attestation/appraise.ts';
import { encodeCoseKey } from '../../attestation/cose/index.ts';
import { signEat } from '../../attestation/eat-sign.ts';
import { EVENT, EventLogWriter, parseEventLog } from '../../attestation/eventlog/format.ts';
import { appendLabelled, HOST_EVENT } from '../../attestation/eventlog/host-log.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { encodeEvidence, quoteBinding } from '../../attestation/evidence.ts';
import {
  encode,
  TPM_ALG,
  TPM_GENERATED_VALUE,
  TPM_ST,
  TPMS_ATTEST,
  TPMT_SIGNATURE,
} from '../../tpm/structures/index.ts';
import type { Authority } from './certificate-authority.ts';
import { type SoftwareTpm, softwareTpm } from './software-tpm.ts';

const { SHA256 } = TPM_ALG;
const sha256 = (...parts: readonly Uint8Array[]) => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return Uint8Array.from(hash.digest());
};
const digestOf = (text: string) => sha256(Buffer.from(text));

export interface SoftwareHost {
  readonly tpm: SoftwareTpm;
  /** Reference values that this host meets. */
  readonly reference: object;
  readonly codeIdentity: string;
  evidence(nonce: Uint8Array, userData?: Uint8Array): Uint8Array;
}

/** A boot log of `events` entries in PCR 4 besides those that every host has. */
function bootLog(events: number): Uint8Array {
  const log = new EventLogWriter([SHA256]);
  const add = (pcr: number, type: number, text: string) =>
    log.append(pcr, type, new Map([[SHA256, digestOf(text)]]), Buffer.from(text));
  add(0, EVENT.S_CRTM_VERSION, 'crtm');
  for (let index = 0; index < events; index += 1) {
    appendLabelled(log, HOST_EVENT.LOADER, new Map([[SHA256, digestOf(`loaded ${index}`)]]));
  }
  for (const pcr of [0, 1, 2, 3, 4, 5, 6, 7]) add(pcr, EVENT.SEPARATOR, '\0\0\0\0');
  appendLabelled(log, HOST_EVENT.NEXUS, new Map([[SHA256, digestOf('nexus')]]));
  add(18, EVENT.EVENT_TAG, 'policy');
  return log.bytes();
}

export async function softwareHost(manufacturer: Authority, events = 0): Promise<SoftwareHost> {
  const tpm = await softwareTpm(manufacturer);
  const nexus = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const nexusKey = encodeCoseKey(nexus.publicKey);
  const eventLog = bootLog(events);
  const pcrs = replayLog(parseEventLog(eventLog), SHA256);
  const register = (index: number) => pcrs[index] ?? new Uint8Array(32);
  const pcrDigest = sha256(...QUOTED_PCRS.map(register));
  const akKey = KeyObject.from(tpm.ak.privateKey);
  const codeIdentity = digestOf('vault');
  const signer = digestOf('signer');
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return {
    tpm,
    codeIdentity: hex(codeIdentity),
    reference: {
      pcrs: { 17: [hex(register(17))], 18: [hex(register(18))] },
      partitions: [{ signer: hex(signer), minimumSvn: 1 }],
    },
    evidence(nonce, userData) {
      const quoted = encode(TPMS_ATTEST, {
        magic: TPM_GENERATED_VALUE,
        type: TPM_ST.ATTEST_QUOTE,
        qualifiedSigner: new Uint8Array(34).fill(1),
        extraData: quoteBinding(nexusKey, nonce),
        clockInfo: { clock: 1000n, resetCount: 3, restartCount: 0, safe: true },
        firmwareVersion: 1n,
        attested: { pcrSelect: [{ hash: SHA256, pcrSelect: QUOTED_PCRS }], pcrDigest },
      });
      const raw = sign('sha256', quoted, { key: akKey, dsaEncoding: 'ieee-p1363' });
      const signature = encode(TPMT_SIGNATURE, {
        sigAlg: TPM_ALG.ECDSA,
        signature: { hash: SHA256, signatureR: raw.subarray(0, 32), signatureS: raw.subarray(32) },
      });
      const platform = { quoted, signature, akPublic: tpm.akPublic, eventLog };
      if (userData === undefined) return encodeEvidence({ platform, nexusKey });
      const claims = {
        nonce,
        name: 'vault',
        codeIdentity,
        measurement: codeIdentity,
        signer,
        svn: 2,
        debug: false,
        userData,
      };
      return encodeEvidence({ platform, nexusKey, partition: signEat(claims, nexus.privateKey) });
    },
  };
}
