/** The release key of a platform: named in host.yaml when the platform is made, part of its launch policy from then on. */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type LaunchPolicy, releaseKeyName } from '../launch/index.ts';
import { HostError } from './errors.ts';

/** The TPM name (hexadecimal) of an EC P-256 public key in PEM. Throws HostError E_CONFIG for anything else. */
export function readReleaseKey(file: string): string {
  const pem = readFileSync(file, 'utf8');
  if (pem.includes('PRIVATE KEY')) {
    const remedy =
      'name its public key, which `nexus release key` writes too, and take the private key off this machine';
    throw new HostError('E_CONFIG', `${file} is a private key, which has no place on a host`, remedy);
  }
  try {
    return releaseKeyName(createPublicKey(pem));
  } catch (cause) {
    const remedy = 'name the public key that `nexus release key` wrote';
    throw new HostError('E_CONFIG', `${file} is not an EC P-256 public key in PEM`, remedy, { cause });
  }
}

/** The release key to launch under: the state's, which the host file may repeat. Throws HostError E_RELEASE_KEY. */
export function chooseReleaseKey(named: string | undefined, made: LaunchPolicy | undefined): string | undefined {
  if (made === undefined) return named;
  if (named === undefined || named === made.releaseKey) return made.releaseKey;
  const has = made.releaseKey === undefined ? 'without a release key' : `with the release key ${made.releaseKey}`;
  throw new HostError(
    'E_RELEASE_KEY',
    `the host file names the release key ${named}, and this state was made ${has}`,
    'leave release-key out, or as it was; another one needs another state directory (docs/release.md)',
  );
}
