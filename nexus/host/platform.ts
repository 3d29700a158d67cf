/**
 * The platform of a host: the embedded TPM and its state, the measured boot, the root secret that opens to this build
 * of the nexus only, and what partitions may have of them.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  encodeCoseKey,
  encodeEvidence,
  parseEventLog,
  QUOTED_PCRS,
  quoteBinding,
  replayLog,
  signEat,
  VerifierClient,
} from '../../attestation/index.ts';
import { encode, TPM_ALG, TPM_SU, TPMT_PUBLIC, TPMT_SIGNATURE, type Tpm, TpmClient } from '../../tpm/index.ts';
import { BLOCK_SIZE, type FreshnessCounter, SealedVolume } from '../../vmm/index.ts';
import type { LaunchPolicy } from '../launch/index.ts';
import {
  type NexusKeys,
  type PartitionPurpose,
  ServiceError,
  type ServicePlatform,
  sealToPlatform,
  type TrustedCode,
  unsealFromPlatform,
} from '../services/index.ts';
import { measuredBoot } from './boot.ts';
import { bytesOf, textOf } from './control.ts';
import { Counters } from './counters.ts';
import { HostError } from './errors.ts';
import type { HostObserver } from './events.ts';
import { openState, writeFileAtomic } from './files.ts';
import { NvCounter } from './nv-counter.ts';
import { activateCredential, attestationKey, type LoadedKey, sha256Hex, storageKey } from './platform-keys.ts';
import { createRoot, openRoot, standingRelease } from './root-opening.ts';
import { RootSecret } from './root-secret.ts';
import { HostStore } from './store.ts';
import { authorityOfNexus, openManufactured, partitionOwner, readEkCertificate } from './tpms.ts';
import { Turn } from './turn.ts';

/** Persistent handle of the P-256 endorsement key (TCG EK Credential Profile). */
const EK_HANDLE = 0x8101000a;
/** NV index of the platform's boot counter, in the range that an owner may define ("NX" 1). */
const BOOT_COUNTER = 0x01804e58;
/** NV index of the counter that the record of the partitions' counters is held against. */
const COUNTER_FRESHNESS = 0x01804e59;
/** Largest TPM2_GetRandom that every TPM serves. */
const RANDOM_CHUNK = 32;
const EMPTY = new Uint8Array();

interface Parts {
  readonly stateDirectory: string;
  readonly tpm: Tpm;
  readonly client: TpmClient;
  readonly store: HostStore;
  readonly policy: LaunchPolicy;
  readonly eventLog: Uint8Array;
  readonly ak: LoadedKey;
  readonly keys: NexusKeys;
  readonly counters: Counters;
}

export class Platform implements ServicePlatform {
  readonly policy: LaunchPolicy;
  readonly keys: NexusKeys;
  readonly store: HostStore;
  private readonly stateDirectory: string;
  private readonly tpm: Tpm;
  private readonly client: TpmClient;
  private readonly eventLog: Uint8Array;
  private readonly ak: LoadedKey;
  private readonly nexusKey: Uint8Array;
  private readonly counters: Counters;
  /** TPM sequences of several commands, one after another. */
  private readonly inTurn = new Turn();

  private constructor(parts: Parts) {
    this.stateDirectory = parts.stateDirectory;
    this.policy = parts.policy;
    this.keys = parts.keys;
    this.store = parts.store;
    this.tpm = parts.tpm;
    this.client = parts.client;
    this.eventLog = parts.eventLog;
    this.ak = parts.ak;
    this.counters = parts.counters;
    this.nexusKey = encodeCoseKey(parts.keys.attestationKey().publicKey);
  }

  /**
   * Manufacture the platform in an empty state directory, or open what is there; boot, measured; launch the nexus; open
   * the root secret. `choosePolicy` is told the policy that the state was made under, if there is one. `statement` is
   * the release statement of this build (docs/release.md); without one, `nexus.release` in the state directory is taken
   * where the root secret does not open otherwise. Throws HostError E_ROOT_SEALED, E_RELEASE_*, E_STATE_ROLLED_BACK,
   * ReleaseError, TpmResponseError, and the store's errors (locked, corrupted).
   */
  static async open(
    stateDirectory: string,
    choosePolicy: (made: LaunchPolicy | undefined) => LaunchPolicy | Promise<LaunchPolicy>,
    observe: HostObserver,
    statement?: Uint8Array,
  ): Promise<Platform> {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    const store = new HostStore(await openState(join(stateDirectory, 'nexus')));
    const opened: (() => Promise<unknown>)[] = [() => store.close()];
    try {
      const policy = await choosePolicy(store.launchPolicy());
      const { tpm, manufactured } = await openManufactured(join(stateDirectory, 'tpm'), {
        keys: ['p256', 'rsa2048'],
        onManufactured: ({ authority }) =>
          writeFileAtomic(join(stateDirectory, 'manufacturer.pem'), Buffer.from(authority.map(pem).join(''))),
      });
      opened.unshift(() => tpm.close());
      tpm.powerOn();
      const client = await TpmClient.of(tpm);
      const eventLog = await measuredBoot(tpm, client, policy);
      const storage = await storageKey(client);
      const sealed = store.sealedRoot();
      const freshness = await NvCounter.open(client, COUNTER_FRESHNESS);
      const root = await RootSecret.of(client, storage, policy);
      const given = statement && root.admit(statement);
      const { keys, svn, release } = sealed
        ? await openRoot(root, store, sealed, given, () => standingRelease(stateDirectory, root))
        : await createRoot(client, root, store, policy, freshness, given);
      opened.unshift(async () => keys.destroy());
      // What was opened, and would open again, is on the disk: only now does the platform forget what is older.
      await root.raise(svn);
      await client.FlushContext({ flushHandle: storage.handle });
      const ak = await attestationKey(client);
      const counters = await Counters.open(store, keys.counterKey(), freshness);
      const boots = await NvCounter.open(client, BOOT_COUNTER);
      await boots.increment();
      const platform = new Platform({ stateDirectory, tpm, client, store, policy, eventLog, ak, keys, counters });
      observe({
        kind: 'platform',
        pcrs: await platform.readPcrs(),
        ...platform.replay(),
        manufactured,
        boots: Number(await boots.read()),
        ekCertificate: sha256Hex(await platform.ekCertificate()),
        rootSecretCreated: sealed === undefined,
        ...(release && { release: release.svn }),
        nexusKey: sha256Hex(platform.nexusKey),
      });
      return platform;
    } catch (error) {
      for (const close of opened) await close();
      throw error;
    }
  }

  /** Make the platform known to a verifier; answers with the name that it has there. Enrolling again is harmless. */
  async enrol(verifier: VerifierClient): Promise<string> {
    const { platform } = await verifier.enrol({
      ekPublic: encode(TPMT_PUBLIC, (await this.client.ReadPublic({ objectHandle: EK_HANDLE })).outPublic),
      ekCertificates: [await this.ekCertificate()],
      akPublic: this.ak.bytes,
      activate: (blob, secret) =>
        this.inTurn.take(() => activateCredential(this.client, this.ak, EK_HANDLE, blob, secret)),
    });
    return platform;
  }

  async report(name: string, code: TrustedCode, nonce: Uint8Array, userData: Uint8Array): Promise<Uint8Array> {
    const { identity, measurement, signer, svn, debug } = code;
    const claims = { nonce, name, codeIdentity: identity, measurement, signer, svn, debug, userData };
    return this.evidence(nonce, signEat(claims, this.keys.attestationKey().privateKey));
  }

  /** Evidence of the platform over a nonce, with a partition's report where there is one. */
  async evidence(nonce: Uint8Array, partition?: Uint8Array): Promise<Uint8Array> {
    const { quoted, signature } = await this.client.Quote({
      signHandle: this.ak.handle,
      qualifyingData: quoteBinding(this.nexusKey, nonce),
      inScheme: { scheme: TPM_ALG.NULL },
      PCRselect: [{ hash: TPM_ALG.SHA256, pcrSelect: [...QUOTED_PCRS] }],
    });
    return encodeEvidence({
      platform: {
        quoted: Uint8Array.from(quoted),
        signature: encode(TPMT_SIGNATURE, signature),
        akPublic: this.ak.bytes,
        eventLog: this.eventLog,
      },
      nexusKey: this.nexusKey,
      ...(partition === undefined ? {} : { partition }),
    });
  }

  async random(count: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; ) {
      const { randomBytes } = await this.client.GetRandom({ bytesRequested: Math.min(RANDOM_CHUNK, count - at) });
      bytes.set(randomBytes.subarray(0, count - at), at);
      at += randomBytes.length;
    }
    return bytes;
  }

  readCounter(owner: Uint8Array, index: number): bigint {
    return this.counters.value(owner, index);
  }

  incrementCounter(owner: Uint8Array, index: number): Promise<bigint> {
    return this.inTurn.take(() => this.counters.increment(owner, index));
  }

  /** What the operator may ask of a running host, or of a platform that was opened for the purpose. */
  operatorMethods(): Readonly<Record<string, (parameters: unknown) => unknown>> {
    return {
      seal: (parameters) => hex(sealToPlatform(this.keys, bytesOf(parameters, 'data'))),
      unseal: (parameters) => hex(this.unsealForOperator(bytesOf(parameters, 'blob'))),
      attest: async (parameters) => hex(await this.evidence(bytesOf(parameters, 'nonce'))),
      enrol: (parameters) => this.enrol(new VerifierClient(textOf(parameters, 'verifier'))),
      attestationKey: () => hex(this.ak.bytes),
      pcrs: () => this.readPcrs(),
      blobs: () => this.store.listBlobs(),
    };
  }

  private unsealForOperator(blob: Uint8Array): Uint8Array {
    try {
      return unsealFromPlatform(this.keys, blob);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const remedy = 'unseal it on the platform, and under the build of the nexus, that sealed it';
      throw new HostError('E_UNSEAL_REFUSED', error.message, remedy, { cause: error });
    }
  }

  /** Orderly end: TPM2_Shutdown, then the state is closed and keys are zeroed. */
  async close(): Promise<void> {
    this.keys.destroy();
    await this.client.Shutdown({ shutdownType: TPM_SU.CLEAR });
    this.tpm.powerOff();
    await this.tpm.close();
    await this.store.close();
  }

  /** The TPM of a partition: made, and certified by this nexus, at first use; its state opens to this nexus only. */
  async partitionTpm(name: string): Promise<Tpm> {
    const key = this.partitionKey('tpm', name);
    try {
      const { tpm } = await openManufactured(join(this.stateDirectory, 'partitions', name, 'tpm'), {
        keys: ['p256', 'rsa2048'],
        authority: await authorityOfNexus(this.keys),
        subject: name,
        key: { secret: key },
        freshness: this.freshness('tpm', name),
      });
      return tpm;
    } finally {
      key.fill(0);
    }
  }

  /**
   * The disk of a partition, made at first use: a file that opens to this nexus and partition only. Throws VolumeError,
   * and HostError E_CONFIG when it has another size.
   */
  async partitionVolume(name: string, bytes: number): Promise<SealedVolume> {
    const path = join(this.stateDirectory, 'partitions', name, 'volume');
    const key = this.partitionKey('volume', name);
    const counter = this.freshness('volume', name);
    const blocks = bytes / BLOCK_SIZE;
    try {
      const exists = existsSync(path);
      // The counter has been raised by every opening there was.
      if (!exists && (await counter.read()) > 0n) {
        const remedy = 'restore it, or give the partition another name; nothing is made anew silently';
        throw new HostError('E_STATE_CORRUPT', `the volume of ${name} is missing: ${path}`, remedy);
      }
      const volume = exists
        ? await SealedVolume.open(path, { key }, counter)
        : await SealedVolume.create(path, blocks, { key }, counter);
      if (volume.blocks === blocks) return volume;
      await volume.close();
      const has = (volume.blocks * BLOCK_SIZE) / 2 ** 20;
      throw new HostError('E_CONFIG', `the volume of ${name} has ${has} MiB`, `set \`volume: ${has} MiB\``);
    } finally {
      key.fill(0);
    }
  }

  /** Key of what the nexus keeps for a partition of this platform. The caller zeroes it after use. */
  partitionKey(purpose: PartitionPurpose, name: string): Uint8Array {
    return this.keys.partitionKey(purpose, partitionOwner(name));
  }

  /** A counter for one purpose of one partition. It never falls: the platform TPM says so. */
  freshness(purpose: PartitionPurpose, name: string): FreshnessCounter {
    const owner = partitionOwner(`${purpose}/${name}`);
    return {
      read: async () => this.counters.value(owner, 0),
      increment: () => this.counters.increment(owner, 0),
    };
  }

  private async readPcrs(): Promise<Record<number, string>> {
    const pcrs: Record<number, string> = {};
    for (const index of QUOTED_PCRS) {
      const selection = [{ hash: TPM_ALG.SHA256, pcrSelect: [index] }];
      const { pcrValues } = await this.client.PCR_Read({ pcrSelectionIn: selection });
      pcrs[index] = hex(pcrValues[0] ?? EMPTY);
    }
    return pcrs;
  }

  private replay(): { replayed: Record<number, string>; events: number } {
    const log = parseEventLog(this.eventLog);
    const values = replayLog(log, TPM_ALG.SHA256);
    const replayed = Object.fromEntries(QUOTED_PCRS.map((index) => [index, hex(values[index] ?? EMPTY)]));
    return { replayed, events: log.events.length };
  }

  private ekCertificate(): Promise<Uint8Array> {
    return readEkCertificate(this.client);
  }
}

function pem(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
