/** What happens to a TPM at its factory: endorsement and device keys, their certificates, and the platform's. */
import { createHash } from 'node:crypto';
import type { TpmTransport } from '../device.ts';
import { type CertificateAuthority, createAuthority } from './authority.ts';
import {
  deviceCertificate,
  ekCertificate,
  type PlatformIdentity,
  type PublicKeyJwk,
  platformCertificate,
  type TpmIdentity,
} from './certificates.ts';
import { DEVICE_KEY_PROFILES, type DeviceKeyKind } from './device-identity.ts';
import { CERTIFICATE_ATTRIBUTES, EK_PROFILES, type EkKind, PLATFORM_CERTIFICATE_INDEX } from './ek.ts';
import { ManufactureError } from './errors.ts';
import { FactoryTpm } from './wire.ts';

export interface ManufactureOptions {
  /** Who signs. Default: an authority made for this TPM alone, whose keys are then forgotten. */
  readonly authority?: CertificateAuthority;
  /** Endorsement keys to make. Default: RSA 2048, ECC P-256 and ECC P-384. */
  readonly keys?: readonly EkKind[];
  /** Keep the endorsement keys at their persistent handles, as swtpm_setup does. Default true. */
  readonly persist?: boolean;
  /** Names in the platform certificate; absent: none is made. */
  readonly platform?: PlatformIdentity;
  /** Make the device's identity and attestation keys (IDevID, IAK) and certify them. Default false. */
  readonly deviceIdentity?: boolean;
  /** Common name of the endorsement certificates' subject. Default: an empty subject, as chips have. */
  readonly subject?: string;
  /** Begin of validity. Default: now. */
  readonly now?: Date;
}

/** What was put into the TPM. */
export interface Manufactured {
  readonly identity: TpmIdentity;
  readonly certificates: readonly {
    readonly kind: EkKind | DeviceKeyKind | 'platform';
    readonly nvIndex: number;
    readonly der: Uint8Array;
  }[];
  /** Certificates of the authority, issuer first, root last, DER: what a verifier is to trust. */
  readonly authority: readonly Uint8Array[];
}

const DEFAULT_KEYS: readonly EkKind[] = ['rsa2048', 'p256', 'p384'];
const DEVICE_KEYS: readonly DeviceKeyKind[] = ['idevid', 'iak'];

/**
 * Manufacture a TPM through any transport. It must be fresh: hierarchies without authorisation. Starts it up if it is
 * not. Throws E_STATE_MANUFACTURED, with nothing changed, when one of its certificates is there already, and
 * E_TPM_RESPONSE when the TPM refuses a step.
 */
export async function manufacture(transport: TpmTransport, options: ManufactureOptions = {}): Promise<Manufactured> {
  const tpm = new FactoryTpm(transport);
  const keys = options.keys ?? DEFAULT_KEYS;
  const now = options.now ?? new Date();
  await tpm.startup();
  const deviceKeys = options.deviceIdentity ? DEVICE_KEYS : [];
  await refuseManufactured(tpm, keys, deviceKeys);
  const identity = identityOf(await tpm.properties());
  const authority = options.authority ?? (await createAuthority(now));

  const certificates: Manufactured['certificates'][number][] = [];
  const store = async (kind: EkKind | DeviceKeyKind | 'platform', nvIndex: number, der: Uint8Array) => {
    await tpm.nvStore(nvIndex, CERTIFICATE_ATTRIBUTES, der);
    certificates.push({ kind, nvIndex, der });
  };
  let serial: string | undefined;
  for (const kind of keys) {
    const profile = EK_PROFILES[kind];
    const { handle, publicArea } = await tpm.createPrimary(profile.template);
    const key = publicKeyOf(kind, publicArea);
    serial ??= deviceSerial(identity, publicArea);
    await store(kind, profile.certificateIndex, await ekCertificate(authority, key, identity, now, options.subject));
    if (options.platform && kind === keys[0]) {
      const der = await platformCertificate(authority, key, options.platform, now);
      await store('platform', PLATFORM_CERTIFICATE_INDEX, der);
    }
    if (options.persist ?? true) await tpm.persist(handle, profile.handle);
    await tpm.flush(handle);
  }
  for (const kind of deviceKeys) {
    const profile = DEVICE_KEY_PROFILES[kind];
    const { handle, publicArea } = await tpm.createPrimary(profile.template);
    const key = rsaKey(fieldAt(publicArea, profile.uniqueAt));
    // One device, whichever key is made first: the certificates of both name it.
    serial ??= deviceSerial(identity, publicArea);
    await store(kind, profile.certificateIndex, await deviceCertificate(authority, key, serial, kind === 'iak', now));
    if (options.persist ?? true) await tpm.persist(handle, profile.handle);
    await tpm.flush(handle);
  }
  return { identity, certificates, authority: authority.chain };
}

async function refuseManufactured(
  tpm: FactoryTpm,
  keys: readonly EkKind[],
  deviceKeys: readonly DeviceKeyKind[],
): Promise<void> {
  const profiles = [...keys.map((kind) => EK_PROFILES[kind]), ...deviceKeys.map((kind) => DEVICE_KEY_PROFILES[kind])];
  const indices = [...profiles.map(({ certificateIndex }) => certificateIndex), PLATFORM_CERTIFICATE_INDEX];
  for (const index of indices) {
    if (!(await tpm.nvDefined(index))) continue;
    throw new ManufactureError(
      'E_STATE_MANUFACTURED',
      `this TPM was manufactured before: NV index 0x${index.toString(16).padStart(8, '0')} holds a certificate`,
      'use it as it is, or manufacture a new TPM in an empty directory',
    );
  }
}

/** TPM_PT numbers of the fixed properties used (Part 2, section 6.13). */
const PT = { FAMILY: 0x100, LEVEL: 0x101, REVISION: 0x102, MANUFACTURER: 0x105, VENDOR_1: 0x106, FIRMWARE_1: 0x10b };

function identityOf(properties: ReadonlyMap<number, number>): TpmIdentity {
  const value = (property: number) => properties.get(property) ?? 0;
  const id = (property: number) => `id:${value(property).toString(16).toUpperCase().padStart(8, '0')}`;
  return {
    manufacturer: id(PT.MANUFACTURER),
    model: text([0, 1, 2, 3].map((i) => value(PT.VENDOR_1 + i))) || 'TPM',
    version: id(PT.FIRMWARE_1),
    family: text([value(PT.FAMILY)]),
    level: value(PT.LEVEL),
    revision: value(PT.REVISION),
  };
}

/** Four characters a word, without padding. */
function text(words: readonly number[]): string {
  const characters = words.flatMap((word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff));
  return String.fromCharCode(...characters.filter((character) => character !== 0)).trim();
}

const url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const rsaKey = (modulus: Uint8Array): PublicKeyJwk => ({ kty: 'RSA', n: url(modulus), e: 'AQAB' });

/** The TPM2B at an offset. */
const fieldAt = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.subarray(at + 2, at + 2 + new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint16(at));

/** A name that no other TPM has: the manufacturer, and a digest of the first key's public area. */
function deviceSerial({ manufacturer }: TpmIdentity, publicArea: Uint8Array): string {
  const digest = createHash('sha256').update(publicArea).digest('hex');
  return `${manufacturer.replace('id:', '')}:${digest.slice(0, 32)}`;
}

/** The key in a TPMT_PUBLIC made from the profile's template. */
function publicKeyOf(kind: EkKind, publicArea: Uint8Array): PublicKeyJwk {
  // The template and the result differ in `unique` alone, which stands at the end.
  const uniqueAt = EK_PROFILES[kind].template.length - UNIQUE_SIZE[kind];
  const first = fieldAt(publicArea, uniqueAt);
  if (kind === 'rsa2048') return rsaKey(first);
  const size = kind === 'p256' ? 32 : 48;
  const second = fieldAt(publicArea, uniqueAt + 2 + first.length);
  const padded = (bytes: Uint8Array) => url(Buffer.concat([new Uint8Array(size - bytes.length), bytes]));
  return { kty: 'EC', crv: kind === 'p256' ? 'P-256' : 'P-384', x: padded(first), y: padded(second) };
}

/** Bytes of `unique` at the end of each template. */
const UNIQUE_SIZE: Readonly<Record<EkKind, number>> = { rsa2048: 2 + 256, p256: 2 * (2 + 32), p384: 2 * 2 };
