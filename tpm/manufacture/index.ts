/** Manufacture: endorsement keys and certificates, as a TPM has them when it leaves its factory. */
export { authorityIn, authorityOfKey, type CertificateAuthority, createAuthority } from './authority.ts';
export type { PlatformIdentity, TpmIdentity } from './certificates.ts';
export { DEVICE_KEY_PROFILES, type DeviceKeyKind, type DeviceKeyProfile } from './device-identity.ts';
export type { EkKind } from './ek.ts';
export { ManufactureError } from './errors.ts';
export { type Manufactured, type ManufactureOptions, manufacture } from './manufacture.ts';
