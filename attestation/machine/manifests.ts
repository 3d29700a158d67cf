/**
 * Manifests (CoRIM) among a machine's reference values: read and verified when they are stored, and asked at every
 * appraisal what they say of a digest now. One that is out of date, superseded or revoked still knows its digests, so that
 * a machine that has them is called `expired` or `revoked`, and only one with digests that nobody listed contraindicated.
 */
import { type Static, Type } from 'typebox';
import { fromBase64 } from '../bytes.ts';
import { Failing } from '../checks.ts';
import { type Comid, CorimError } from '../corim/comid.ts';
import { type Corim, checkValidity, parseCorim, type Validity, verifyCorim } from '../corim/corim.ts';
import { type MachineValues, machineValues, newestVersions } from '../corim/values.ts';
import { verification } from '../crypto/port.ts';

export const ManifestSchema = Type.Object(
  {
    corim: Type.String({ description: 'base64: a CoRIM, signed where `key` is given and only there' }),
    key: Type.Optional(Type.String({ description: "base64: the signer's public key, SubjectPublicKeyInfo in DER" })),
    vendor: Type.Optional(Type.String({ description: 'only values for environments of this vendor' })),
    model: Type.Optional(Type.String({ description: 'only values for environments of this model' })),
    revoked: Type.Optional(Type.String({ description: 'why its values are good no longer' })),
  },
  { additionalProperties: false },
);
type ManifestDocument = Static<typeof ManifestSchema>;

/** One CoMID of a manifest: its values, and how good they are. */
interface Tag {
  readonly name: string;
  readonly values: MachineValues;
  readonly validity: readonly (Validity | undefined)[];
  readonly revoked: string | undefined;
  /** The version that has taken its place. */
  readonly supersededBy: number | undefined;
}

type Kind = keyof MachineValues;

interface ReadManifest {
  readonly corim: Corim;
  readonly validity: readonly (Validity | undefined)[];
  readonly document: ManifestDocument;
}

export class Manifests {
  readonly #tags: readonly Tag[];

  /** Throws CorimError for a manifest that does not parse or verify, or that has no value for a machine. */
  constructor(documents: readonly ManifestDocument[]) {
    const manifests = documents.map(readManifest);
    const live = manifests.filter(({ document }) => document.revoked === undefined);
    const newest = newestVersions(live.map(({ corim }) => corim));
    this.#tags = manifests.flatMap((manifest) => tagsOf(manifest, newest));
  }

  /** Banks (TPM_ALG_ID) and registers that values are about. */
  *registers(kind: Kind): Generator<readonly [number, number]> {
    const seen = new Set<string>();
    for (const { values } of this.#tags) {
      for (const [bank, ofBank] of values[kind]) {
        for (const pcr of ofBank.keys()) {
          if (seen.has(`${bank}:${pcr}`)) continue;
          seen.add(`${bank}:${pcr}`);
          yield [bank, pcr];
        }
      }
    }
  }

  /** Whether the values of a kind are about a register. */
  covers(kind: Kind, bank: number, pcr: number): boolean {
    return this.#tags.some(({ values }) => values[kind].get(bank)?.has(pcr));
  }

  /**
   * Whether a digest is a current value. Throws Failing where it is one that has been: `expired` when its manifest is
   * out of date or superseded, `revoked` when that was revoked.
   */
  accept(kind: Kind, bank: number, pcr: number, digest: string, now: Date): boolean {
    let past: Failing | undefined;
    for (const tag of this.#tags) {
      if (tag.values[kind].get(bank)?.get(pcr)?.has(digest) !== true) continue;
      const standing = faultOf(tag, now);
      if (standing === undefined) return true;
      // What is merely out of date weighs less, and may be so in one manifest only.
      if (past === undefined || standing.fault === 'expired') past = standing;
    }
    if (past !== undefined) throw past;
    return false;
  }
}

function faultOf({ name, revoked, supersededBy, validity }: Tag, now: Date): Failing | undefined {
  if (revoked !== undefined) return new Failing('revoked', `a value of "${name}", which was revoked: ${revoked}`);
  if (supersededBy !== undefined) {
    return new Failing('expired', `a value of "${name}", which version ${supersededBy} has superseded`);
  }
  try {
    for (const one of validity) checkValidity(one, now);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'out of date';
    return new Failing('expired', `a value of "${name}", which is ${why}`, { cause });
  }
  return undefined;
}

function readManifest(document: ManifestDocument): ReadManifest {
  const bytes = fromBase64(document.corim);
  if (document.key === undefined) {
    const corim = parseCorim(bytes);
    return { corim, validity: [corim.validity], document };
  }
  // The dates are asked at every appraisal, not now.
  const { corim, validity } = verifyCorim(bytes, verification().importSpki(fromBase64(document.key)), undefined);
  return { corim, validity: [validity, corim.validity], document };
}

function tagsOf({ corim, validity, document }: ReadManifest, newest: ReadonlyMap<string, number>): Tag[] {
  const tags = corim.comids.map((comid: Comid): Tag => {
    const latest = newest.get(comid.id) ?? comid.version;
    return {
      name: `${corim.id}/${comid.id}`,
      values: machineValues(comid, document),
      validity,
      revoked: document.revoked,
      supersededBy: latest > comid.version ? latest : undefined,
    };
  });
  if (tags.every(({ values }) => values.registers.size === 0 && values.events.size === 0)) {
    throw new CorimError('corim-structure', `manifest "${corim.id}" has no value of a register or of an event`);
  }
  return tags;
}
