/**
 * Manifests (CoRIM) among a machine's reference values: read and verified when they are stored, and asked at every
 * appraisal what they say of a digest now. One that is out of date, superseded or revoked still knows its digests, so that
 * a machine that has them is called `expired` or `revoked`, and only one with digests that nobody listed contraindicated.
 */
import { type Static, Type } from 'typebox';
import { fromBase64 } from '../bytes.ts';
import { Failing } from '../checks.ts';
import { type Comid, CorimError } from '../corim/comid.ts';
import { type Corim, checkValidity, parseCorim, signerChain, type Validity, verifyCorim } from '../corim/corim.ts';
import { type MachineValues, machineValues, newestVersions } from '../corim/values.ts';
import { verification } from '../crypto/port.ts';
import { publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { Trust, validateChain } from '../x509/chain.ts';

export const ManifestSchema = Type.Object(
  {
    corim: Type.String({ description: 'base64: a CoRIM, signed where `key` or `anchors` are given and only there' }),
    key: Type.Optional(Type.String({ description: "base64: the signer's public key, SubjectPublicKeyInfo in DER" })),
    anchors: Type.Optional(
      Type.Array(Type.String(), {
        minItems: 1,
        maxItems: 64,
        description: 'base64: X.509 in DER that the certificates it carries (x5chain) must lead to, in place of `key`',
      }),
    ),
    vendor: Type.Optional(Type.String({ description: 'only values for environments of this vendor' })),
    model: Type.Optional(Type.String({ description: 'only values for environments of this model' })),
    revoked: Type.Optional(Type.String({ description: 'why its values are good no longer' })),
  },
  { additionalProperties: false },
);
type ManifestDocument = Static<typeof ManifestSchema>;

/** Throws what is wrong with who signed a manifest, and with its dates, at a time. */
type Standing = (now: Date) => void;

/** One CoMID of a manifest: its values, and how good they are. */
interface Tag {
  readonly name: string;
  readonly values: MachineValues;
  readonly standing: Standing;
  readonly revoked: string | undefined;
  /** The version that has taken its place. */
  readonly supersededBy: number | undefined;
}

type Kind = keyof MachineValues;

interface ReadManifest {
  readonly corim: Corim;
  readonly standing: Standing;
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

function faultOf({ name, revoked, supersededBy, standing }: Tag, now: Date): Failing | undefined {
  if (revoked !== undefined) return new Failing('revoked', `a value of "${name}", which was revoked: ${revoked}`);
  if (supersededBy !== undefined) {
    return new Failing('expired', `a value of "${name}", which version ${supersededBy} has superseded`);
  }
  try {
    standing(now);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'out of date';
    const fault = cause instanceof Failing ? cause.fault : 'expired';
    return new Failing(fault, `a value of "${name}", which does not stand: ${why}`, { cause });
  }
  return undefined;
}

function readManifest(document: ManifestDocument): ReadManifest {
  const bytes = fromBase64(document.corim);
  if (document.key === undefined && document.anchors === undefined) {
    const corim = parseCorim(bytes);
    return { corim, document, standing: inDates(corim.validity) };
  }
  if (document.key !== undefined && document.anchors !== undefined) {
    throw new CorimError('corim-signature', 'a manifest is held to a key or to anchors');
  }
  // The dates are asked at every appraisal, not now.
  const chain = document.key === undefined ? signerChain(bytes) : [];
  const [leaf] = chain;
  const key =
    leaf === undefined ? verification().importSpki(fromBase64(document.key ?? '')) : publicKeyOf(readCertificate(leaf));
  const { corim, validity } = verifyCorim(bytes, key, undefined);
  const dates = inDates(validity, corim.validity);
  if (document.anchors === undefined) return { corim, document, standing: dates };
  const trusted = trustedBy(chain, new Trust(document.anchors.map(fromBase64)));
  return {
    corim,
    document,
    standing: (now) => {
      trusted(now);
      dates(now);
    },
  };
}

const inDates =
  (...validities: readonly (Validity | undefined)[]): Standing =>
  (now) => {
    for (const validity of validities) checkValidity(validity, now);
  };

/** Whether a chain leads to an anchor; asked for every digest of an appraisal, and computed once. */
function trustedBy(chain: readonly Uint8Array[], trust: Trust): Standing {
  let last: { readonly at: number; readonly fault: unknown } | undefined;
  return (now) => {
    if (last?.at !== now.getTime())
      last = { at: now.getTime(), fault: faultThrownBy(() => validateChain(chain, trust, now)) };
    if (last.fault !== undefined) throw last.fault;
  };
}

function faultThrownBy(body: () => unknown): unknown {
  try {
    body();
    return undefined;
  } catch (fault) {
    return fault;
  }
}

function tagsOf({ corim, standing, document }: ReadManifest, newest: ReadonlyMap<string, number>): Tag[] {
  const tags = corim.comids.map((comid: Comid): Tag => {
    const latest = newest.get(comid.id) ?? comid.version;
    return {
      name: `${corim.id}/${comid.id}`,
      values: machineValues(comid, document),
      standing,
      revoked: document.revoked,
      supersededBy: latest > comid.version ? latest : undefined,
    };
  });
  if (tags.every(({ values }) => values.registers.size === 0 && values.events.size === 0)) {
    throw new CorimError('corim-structure', `manifest "${corim.id}" has no value of a register or of an event`);
  }
  return tags;
}
