/** Manufacture: endorsement keys and certificates, as a TPM has them when it leaves its factory. */
import type {
  authorityIn as AuthorityIn,
  authorityOfKey as AuthorityOfKey,
  createAuthority as CreateAuthority,
} from './authority.ts';
import type { manufacture as Manufacture } from './manufacture.ts';

export type { CertificateAuthority } from './authority.ts';
export type { PlatformIdentity, TpmIdentity } from './certificates.ts';
export { DEVICE_KEY_PROFILES, type DeviceKeyKind, type DeviceKeyProfile } from './device-identity.ts';
export type { EkKind } from './ek.ts';
export { ManufactureError } from './errors.ts';
export type { Manufactured, ManufactureOptions } from './manufacture.ts';

// What handles certificates is loaded when it is called: it takes as long to load as the rest of a TPM, which most never
// need it.

export const authorityIn: typeof AuthorityIn = async (...of) => (await import('./authority.ts')).authorityIn(...of);
export const authorityOfKey: typeof AuthorityOfKey = async (...of) =>
  (await import('./authority.ts')).authorityOfKey(...of);
export const createAuthority: typeof CreateAuthority = async (...of) =>
  (await import('./authority.ts')).createAuthority(...of);
export const manufacture: typeof Manufacture = async (...of) => (await import('./manufacture.ts')).manufacture(...of);
