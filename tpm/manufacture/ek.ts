/**
 * Endorsement keys: templates and places of the TCG EK Credential Profile for TPM Family 2.0 (version 2.5), appendix
 * B. The low range (L-1, L-2) holds the templates every client knows, the high range (H-3) the stronger one.
 */

/** The endorsement keys that can be manufactured. */
export type EkKind = 'rsa2048' | 'p256' | 'p384';

export interface EkProfile {
  /** TPMT_PUBLIC as bytes. */
  readonly template: Uint8Array;
  /** NV index of the certificate. */
  readonly certificateIndex: number;
  /** Persistent handle that tools expect the key at. */
  readonly handle: number;
}

/** TPMA_NV: PPWRITE, WRITEDEFINE, PPREAD, OWNERREAD, AUTHREAD, NO_DA, PLATFORMCREATE (profile, section 2.2.1.5). */
export const CERTIFICATE_ATTRIBUTES = 0x42072001;
/** NV index of the platform certificate, as swtpm_setup places it. */
export const PLATFORM_CERTIFICATE_INDEX = 0x01c08000;

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const u16 = (value: number) => Uint8Array.of(value >> 8, value & 0xff);
const sized = (bytes: Uint8Array) => join(u16(bytes.length), bytes);
const zeros = (length: number) => sized(new Uint8Array(length));

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}

const ALG = { RSA: 0x0001, AES: 0x0006, SHA256: 0x000b, SHA384: 0x000c, NULL: 0x0010, ECC: 0x0023, CFB: 0x0043 };

/** PolicySecret(TPM_RH_ENDORSEMENT), SHA-256 (profile, B.6.2). */
const POLICY_A_SHA256 = hex('837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa');
/** PolicyOR of PolicyA and PolicyC, SHA-384 (profile, B.6.3). */
const POLICY_B_SHA384 = hex(
  'b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12',
);

/** fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt. */
const LOW_ATTRIBUTES = hex('000300b2');
/** The same, and userWithAuth. */
const HIGH_ATTRIBUTES = hex('000300f2');

const aesCfb = (bits: number) => join(u16(ALG.AES), u16(bits), u16(ALG.CFB));

export const EK_PROFILES: Readonly<Record<EkKind, EkProfile>> = {
  rsa2048: {
    template: join(
      ...[u16(ALG.RSA), u16(ALG.SHA256), LOW_ATTRIBUTES, sized(POLICY_A_SHA256)],
      ...[aesCfb(128), u16(ALG.NULL), u16(2048), hex('00000000'), zeros(256)],
    ),
    certificateIndex: 0x01c00002,
    handle: 0x81010001,
  },
  p256: {
    template: join(
      ...[u16(ALG.ECC), u16(ALG.SHA256), LOW_ATTRIBUTES, sized(POLICY_A_SHA256)],
      ...[aesCfb(128), u16(ALG.NULL), u16(3), u16(ALG.NULL), zeros(32), zeros(32)],
    ),
    certificateIndex: 0x01c0000a,
    handle: 0x8101000a,
  },
  p384: {
    template: join(
      ...[u16(ALG.ECC), u16(ALG.SHA384), HIGH_ATTRIBUTES, sized(POLICY_B_SHA384)],
      ...[aesCfb(256), u16(ALG.NULL), u16(4), u16(ALG.NULL), zeros(0), zeros(0)],
    ),
    certificateIndex: 0x01c00016,
    handle: 0x81010016,
  },
};
