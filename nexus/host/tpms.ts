/**
 * TPMs of a host as things on disk and on paper: their manufacture and their certificates. A partition's
 * TPM is made like the platform's, with two differences: the nexus signs its endorsement certificates, and the key of
 * its state is the nexus's (docs/evidence.md, "A guest with a TPM of its own").
 */
import { createHash, webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { Tpm, type TpmClient } from '../../tpm/index.ts';
import {
  authorityOfKey,
  type CertificateAuthority,
  type Manufactured,
  type ManufactureOptions,
  manufacture,
} from '../../tpm/manufacture/index.ts';
import type { KeySource } from '../../tpm/state/store-key.ts';
import { localTransport } from '../../tpm/transports/local.ts';
import type { FreshnessCounter } from '../../vmm/index.ts';
import type { NexusKeys } from '../services/index.ts';
import { openState } from './files.ts';
import { FreshStore } from './fresh-store.ts';

/** Names the monitor in the first event of a guest's log. */
export const MONITOR = 'nexus-tcb';

/** NV index of the P-256 endorsement key's certificate (TCG EK Credential Profile). */
const EK_CERTIFICATE = 0x01c0000a;
/** Largest TPM2_NV_Read that every TPM serves. */
const NV_CHUNK = 512;

/** Names a partition in keys: SHA-256 over a label and its name. */
export const partitionOwner = (name: string): Uint8Array =>
  Uint8Array.from(createHash('sha256').update('nexus-tcb partition v1\0').update(name).digest());

interface Manufacture extends ManufactureOptions {
  /** What the TPM's state is encrypted under. Default: a key file beside it. */
  readonly key?: KeySource;
  /** What an older copy of its state is told by. Default: it is not told. */
  readonly freshness?: FreshnessCounter;
  /** Called once, before the TPM has its final place. */
  readonly onManufactured?: (made: Manufactured) => void;
}

/**
 * Open the TPM in a directory, manufactured first where there is none: in a directory of its own that takes its final
 * name in one step, so that a crash leaves a whole TPM or none. Powered off. Throws HostError.
 */
export async function openManufactured(
  directory: string,
  options: Manufacture,
): Promise<{ tpm: Tpm; manufactured: boolean }> {
  const manufactured = !existsSync(directory);
  if (manufactured) {
    const unfinished = `${directory}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(dirname(directory), { recursive: true, mode: 0o700 });
    const tpm = await Tpm.create({ store: await openState(unfinished, options.key) });
    try {
      tpm.powerOn();
      const made = await manufacture(localTransport(tpm), options);
      tpm.powerOff();
      options.onManufactured?.(made);
    } finally {
      await tpm.close();
    }
    renameSync(unfinished, directory);
  }
  const { freshness } = options;
  const opened = await openState(directory, options.key);
  const store = freshness ? await FreshStore.over(opened, freshness, `the TPM in ${directory}`) : opened;
  return { tpm: await Tpm.create({ store }), manufactured };
}

/** The nexus as certificate authority of its partitions' TPMs: its attestation key, which platform quotes name. */
export async function authorityOfNexus(keys: NexusKeys): Promise<CertificateAuthority> {
  const { privateKey, publicKey } = keys.attestationKey();
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
  const jwk = { format: 'jwk' } as const;
  const { subtle } = webcrypto;
  return authorityOfKey(
    {
      privateKey: await subtle.importKey('jwk', privateKey.export(jwk), algorithm, false, ['sign']),
      publicKey: await subtle.importKey('jwk', publicKey.export(jwk), algorithm, true, ['verify']),
    },
    'nexus-tcb authority of partition TPMs',
  );
}

/** The certificate of a manufactured TPM's P-256 endorsement key, DER. Throws TpmResponseError. */
export async function readEkCertificate(client: TpmClient): Promise<Uint8Array> {
  const { nvPublic } = await client.NV_ReadPublic({ nvIndex: EK_CERTIFICATE });
  const certificate = new Uint8Array(nvPublic.dataSize);
  for (let offset = 0; offset < certificate.length; offset += NV_CHUNK) {
    const size = Math.min(NV_CHUNK, certificate.length - offset);
    const { data } = await client.NV_Read({ authHandle: EK_CERTIFICATE, nvIndex: EK_CERTIFICATE, size, offset });
    certificate.set(data, offset);
  }
  return certificate;
}
