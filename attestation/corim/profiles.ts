/**
 * What profiles demand beyond the base document: Arm PSA (draft-fdb-rats-psa-endorsements) and Arm CCA
 * (draft-ydb-rats-cca-endorsements). A document of a profile that is not known here is held to the base alone.
 */
import { type Comid, CorimError, checkDigestSizes, type Environment, type Tagged } from './comid.ts';
import type { Corim } from './corim.ts';

const TAG_BYTES = 560;
const TAG_UEID = 550;
const IMPLEMENTATION_ID_SIZE = 32;
const UEID_SIZE = 33;
const REALM_PERSONALIZATION_SIZE = 64;
const HASH_SIZES = new Set([32, 48, 64]);

const PROFILES: Readonly<Record<string, (comid: Comid) => void>> = {
  'tag:arm.com,2025:psa#1.0.0': (comid) => checkPlatform(comid, 'psa.'),
  'tag:arm.com,2025:cca_platform#1.0.0': (comid) => checkPlatform(comid, 'cca.'),
  'tag:arm.com,2025:cca_realm#1.0.0': checkRealm,
};

/** Throws CorimError `corim-profile`. */
export function checkProfile({ profile, comids }: Pick<Corim, 'profile' | 'comids'>): void {
  const check = profile === undefined ? undefined : PROFILES[profile];
  if (check === undefined) return;
  for (const comid of comids) {
    try {
      checkDigestSizes([...comid.references, ...comid.endorsements]);
    } catch (cause) {
      throw wrong(cause instanceof Error ? cause.message : 'digests', cause);
    }
    check(comid);
  }
}

/** The class is the implementation identifier; an attestation key is one key for one instance. */
function checkPlatform({ references, attestKeys }: Comid, prefix: string): void {
  for (const { environment, measurements } of references) {
    requireBytes(environment.classId, TAG_BYTES, [IMPLEMENTATION_ID_SIZE], 'implementation identifier');
    for (const { key, digests, cryptoKeys } of measurements) {
      if (typeof key?.value !== 'string' || !key.value.startsWith(prefix))
        throw wrong(`measurement ${String(key?.value)}`);
      if (key.value !== `${prefix}software-component`) continue;
      if (digests === undefined) throw wrong('a software component without a digest');
      for (const signer of cryptoKeys ?? []) requireBytes(signer, TAG_BYTES, HASH_SIZES, 'signer identifier');
    }
  }
  for (const { environment, keys } of attestKeys) {
    requireBytes(environment.classId, TAG_BYTES, [IMPLEMENTATION_ID_SIZE], 'implementation identifier');
    requireInstance(environment);
    if (keys.length !== 1) throw wrong(`${keys.length} attestation keys for one instance`);
  }
}

/** The class is the realm's initial measurement, which must stand among the measurements too. */
function checkRealm({ references }: Comid): void {
  for (const { environment, measurements } of references) {
    requireBytes(environment.classId, TAG_BYTES, HASH_SIZES, 'realm initial measurement');
    if (!measurements.some(({ key }) => key?.value === 'cca.rim')) throw wrong('no cca.rim');
    for (const { key, digests, raw } of measurements) {
      if (key?.value === 'cca.rpv') {
        // The published example has 44 bytes where the draft says 64; shorter values are compared as they stand.
        if (raw === undefined || raw.value.length > REALM_PERSONALIZATION_SIZE)
          throw wrong('realm personalization value');
      } else if (digests === undefined) throw wrong(`${String(key?.value)} without a digest`);
    }
  }
}

const requireInstance = ({ instance }: Environment) =>
  requireBytes(instance, TAG_UEID, [UEID_SIZE], 'instance identifier');

function requireBytes(tagged: Tagged | undefined, tag: number, sizes: Iterable<number>, what: string): void {
  const size = tagged?.tag === tag && tagged.value instanceof Uint8Array ? tagged.value.length : -1;
  if (![...sizes].includes(size)) throw wrong(`${what}: ${size < 0 ? 'missing' : `${size} bytes`}`);
}

const wrong = (what: string, cause?: unknown): CorimError => new CorimError('corim-profile', what, cause);
