/**
 * The device's identity and attestation keys: TCG "TPM 2.0 Keys for Device Identity and Attestation" 1.0, template H-1
 * (RSA 2048; sections 7.3.1, 7.3.4, 7.3.6.6). Primary keys of the endorsement hierarchy: whoever gives the template
 * gets the key again.
 */

export type DeviceKeyKind = 'idevid' | 'iak';

export interface DeviceKeyProfile {
  /** TPMT_PUBLIC as bytes, and where its `unique` stands: at its end. */
  readonly template: Uint8Array;
  readonly uniqueAt: number;
  /** NV index of the certificate. */
  readonly certificateIndex: number;
  /** Persistent handle that tools expect the key at. */
  readonly handle: number;
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const sized = (bytes: Uint8Array) => Uint8Array.from([bytes.length >> 8, bytes.length & 0xff, ...bytes]);

/** TPMT_PUBLIC: RSA, SHA-256; attributes, policy, scheme of a key of 2048 bits; `unique` names the key's purpose. */
const template = (attributes: string, policy: string, scheme: string, unique: string) => {
  const parameters = Uint8Array.from([
    ...hex('0001000b'),
    ...hex(attributes),
    ...sized(hex(policy)),
    ...hex('0010'), // no symmetric algorithm
    ...hex(scheme),
    ...hex('080000000000'), // 2048 bits, default exponent
  ]);
  const name = sized(new TextEncoder().encode(unique));
  return { template: Uint8Array.from([...parameters, ...name]), uniqueAt: parameters.length };
};

export const DEVICE_KEY_PROFILES: Readonly<Record<DeviceKeyKind, DeviceKeyProfile>> = {
  // fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, adminWithPolicy, sign; scheme at each use
  idevid: {
    ...template('000400f2', 'ad6b3a2284fd698a0710bf5cc1b9bdf15e2532e3f601fa4b93a6a8fa8de579ea', '0010', 'IDEVID'),
    certificateIndex: 0x01c90000,
    handle: 0x81020000,
  },
  // the same and restricted; RSAPSS with SHA-256
  iak: {
    ...template('000500f2', '5437182326e414fca797d5f174615a1641f61255797c3a2b22c21d120b2d1e07', '0016000b', 'IAK'),
    certificateIndex: 0x01c90001,
    handle: 0x81020001,
  },
};
