/**
 * The measured boot of a host: the static chain (CRTM, firmware, loader), then the late launch of the nexus at
 * locality 4. Every step is extended into the TPM and recorded in one event log, from the same bytes.
 */
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { appendLabelled, EVENT, EventLogWriter, HOST_EVENT, type HostEventKind } from '../../attestation/index.ts';
import type { TpmClient } from '../../tpm/client/index.ts';
import { TPM_ALG, TPM_SU, type TpmDevice } from '../../tpm/index.ts';
import {
  type LaunchPolicy,
  launchDigests,
  launchMessage,
  launchPcr,
  launchPolicyBytes,
  type NexusFile,
  PCR_LAUNCH_POLICY,
  readNexusFiles,
} from '../launch/index.ts';

/** Banks of a host's log: those that the embedded TPM has on by default. */
const BANKS: ReadonlyMap<number, string> = new Map([
  [TPM_ALG.SHA1, 'sha1'],
  [TPM_ALG.SHA256, 'sha256'],
  [TPM_ALG.SHA384, 'sha384'],
  [TPM_ALG.SHA512, 'sha512'],
]);
/** Localities of the late launch, and of the nexus after it. PC Client Platform TPM Profile, table 6. */
const LOCALITY_LAUNCH = 3;
const STATIC_PCRS = [0, 1, 2, 3, 4, 5, 6, 7] as const;
/** EV_SEPARATOR's data: no error. */
const SEPARATOR = new Uint8Array(4);

/** The built product's root: what holds tpm/, nexus/, vmm/, cli/. */
const BUILT = fileURLToPath(new URL('../../', import.meta.url));

/** The built files of some rooms, paths with the room in front. */
const filesOf = (...rooms: readonly string[]): NexusFile[] =>
  rooms.flatMap((room) =>
    readNexusFiles(`${BUILT}${room}`).map(({ path, content }) => ({ path: `${room}/${path}`, content })),
  );

/** The files that are the nexus, which PCR 17 is the measurement of. */
const nexusFiles = (): NexusFile[] => readNexusFiles(`${BUILT}nexus`);
/** The SHA-256 value of PCR 17 whenever this build is launched. */
export const pcrOfThisBuild = (): Uint8Array => launchPcr(nexusFiles());

/** Boot on a TPM that was just powered on. Returns the event log's bytes. Throws TpmResponseError. */
export async function measuredBoot(tpm: TpmDevice, client: TpmClient, policy: LaunchPolicy): Promise<Uint8Array> {
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const algorithms = await activeBanks(client);
  const log = new EventLogWriter(algorithms);

  const extend = async (pcr: number, digests: ReadonlyMap<number, Uint8Array>, locality: 0 | 3 = 0) => {
    const list = [...digests].map(([hashAlg, digest]) => ({ hashAlg, digest }));
    await client.PCR_Extend({ pcrHandle: pcr, digests: list as never }, { locality }); // hashAlg is one of BANKS
  };
  const measure = async (pcr: number, type: number, data: Uint8Array, locality: 0 | 3 = 0) => {
    const digests = hashAll(algorithms, data);
    await extend(pcr, digests, locality);
    log.append(pcr, type, digests, data);
  };
  const measureFiles = async (event: HostEventKind, files: readonly NexusFile[]) => {
    const digests = fileDigests(algorithms, files);
    await extend(event.pcr, digests);
    appendLabelled(log, event, digests);
  };

  await measure(0, EVENT.S_CRTM_VERSION, Buffer.from('nexus-tcb CRTM 1'));
  await measureFiles(HOST_EVENT.FIRMWARE, filesOf('tpm'));
  for (const pcr of STATIC_PCRS) await measure(pcr, EVENT.SEPARATOR, SEPARATOR);
  await measureFiles(HOST_EVENT.LOADER, filesOf('cli', 'vmm', 'attestation'));

  const nexus = nexusFiles();
  tpm.hashStart();
  for (const piece of launchMessage(nexus)) tpm.hashData(piece);
  tpm.hashEnd();
  appendLabelled(log, HOST_EVENT.NEXUS, fileDigests(algorithms, nexus));
  await measure(PCR_LAUNCH_POLICY, EVENT.EVENT_TAG, launchPolicyBytes(policy), LOCALITY_LAUNCH);
  return log.bytes();
}

async function activeBanks(client: TpmClient): Promise<number[]> {
  const { capabilityData } = await client.GetCapability({ capability: 5, property: 0, propertyCount: 1 });
  const banks = (capabilityData as { data: readonly { hash: number; pcrSelect: readonly number[] }[] }).data;
  return banks.filter(({ hash, pcrSelect }) => BANKS.has(hash) && pcrSelect.length > 0).map(({ hash }) => hash);
}

const hashAll = (algorithms: readonly number[], data: Uint8Array): Map<number, Uint8Array> =>
  new Map(
    algorithms.map((algorithm) => [
      algorithm,
      Uint8Array.from(
        createHash(BANKS.get(algorithm) ?? '')
          .update(data)
          .digest(),
      ),
    ]),
  );

function fileDigests(algorithms: readonly number[], files: readonly NexusFile[]): Map<number, Uint8Array> {
  const names = algorithms.map((algorithm) => BANKS.get(algorithm) ?? '');
  const digests = launchDigests(files, names);
  return new Map(algorithms.map((algorithm, i) => [algorithm, digests.get(names[i] ?? '') ?? new Uint8Array()]));
}
