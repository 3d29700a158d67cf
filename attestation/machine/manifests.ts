/**
 * Manifests (CoRIM) in appraisal: among a machine's reference values, or provisioned to the verifier and named there. Read
 * and verified when they are stored, and asked at every appraisal what they say of a digest now. One that is out of date,
 * superseded or revoked still knows its digests, so that a machine that has them is called `expired` or `revoked`, and only
 * one with digests that nobody listed contraindicated.
 */
import { type Static, Type } from 'typebox';
import { fromBase64 } from '../bytes.ts';
import { type Checks, Failing } from '../checks.ts';
import { CorimError } from '../corim/comid.ts';
import {
  type Corim,
  checkValidity,
  type OpenedCorim,
  openSignedCorim,
  parseCorim,
  signerChain,
  type Validity,
} from '../corim/corim.ts';
import { type EnvironmentFilter, type MachineValues, machineValues, newestVersions } from '../corim/values.ts';
import { verification } from '../crypto/port.ts';
import { publicKeyOf, readCertificate } from '../x509/certificate.ts';
import { Trust, validateChain } from '../x509/chain.ts';

const Vendor = Type.Optional(Type.String({ description: 'only values for environments of this vendor' }));
const Model = Type.Optional(Type.String({ description: 'only values for environments of this model' }));

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
    vendor: Vendor,
    model: Model,
    revoked: Type.Optional(Type.String({ description: 'why its values are good no longer' })),
  },
  { additionalProperties: false },
);
type ManifestDocument = Static<typeof ManifestSchema>;

/** Which of the provisioned manifests count. */
export const EndorsementsSchema = Type.Array(
  Type.Object(
    {
      endorser: Type.Optional(
        Type.String({ description: 'those of this endorser; without one, the unsigned that operators provisioned' }),
      ),
      vendor: Vendor,
      model: Model,
    },
    { additionalProperties: false },
  ),
  { minItems: 1, maxItems: 16, description: 'CoRIM provisioned to the verifier whose values count, each of these' },
);
type EndorsementChoice = Static<typeof EndorsementsSchema>[number];

/** Throws what is wrong with who signed a manifest, and with its dates, at a time. */
type Standing = (now: Date) => void;

/** A manifest that was read, and how good its signer and its dates are. */
export interface ReadManifest {
  readonly corim: Corim;
  readonly standing: Standing;
  /** Why its values are good no longer. */
  readonly revoked: string | undefined;
}

/** One that a verifier keeps: whose it is; undefined where it is unsigned and an operator's. */
export interface ProvisionedManifest extends ReadManifest {
  readonly endorser: string | undefined;
}

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

/** Registers by bank, as a quote selects them. */
type Selection = readonly { readonly bank: number; readonly pcrs: readonly number[] }[];

export class Manifests {
  readonly #tags: readonly Tag[];

  private constructor(tags: readonly Tag[]) {
    this.#tags = tags;
  }

  /** Throws CorimError for a manifest that does not parse or verify, or that has no value for a machine. */
  static read(documents: readonly ManifestDocument[]): Manifests {
    const sources = documents.map((document) => ({ manifest: readDocument(document), filter: document }));
    const newest = newestOf(sources.map(({ manifest }) => manifest));
    const tags = sources.map(({ manifest, filter }) => {
      const own = tagsOf(manifest, filter, newest);
      if (own.some(({ values }) => hasValues(values))) return own;
      throw new CorimError(
        'corim-structure',
        `manifest "${manifest.corim.id}" has no value of a register or of an event`,
      );
    });
    return new Manifests(tags.flat());
  }

  /**
   * These, and those that were provisioned and chosen. Throws for a choice by which no register of the selection has a
   * value: what nobody endorses would otherwise go unasked.
   */
  with(
    provisioned: readonly ProvisionedManifest[],
    choices: readonly EndorsementChoice[],
    selection: Selection,
  ): Manifests {
    const tags = choices.flatMap((choice) => {
      const theirs = provisioned.filter(({ endorser }) => endorser === choice.endorser);
      // An endorser's versions supersede nobody else's.
      const newest = newestOf(theirs);
      const chosen = theirs.flatMap((manifest) => tagsOf(manifest, choice, newest));
      if (chosen.some(({ values }) => isAbout(values, selection))) return chosen;
      const whose = choice.endorser === undefined ? 'unsigned' : `of "${choice.endorser}"`;
      throw new Error(`no provisioned CoRIM ${whose} has a value of a quoted register for this machine`);
    });
    return new Manifests([...this.#tags, ...tags]);
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

interface InForce {
  readonly provisioned: readonly ProvisionedManifest[];
  readonly manifests: Manifests;
}
const known = new WeakMap<Manifests, InForce>();

/**
 * The manifests to appraise by: those of the reference values, and the provisioned ones that these choose, if any; check
 * `endorsements`. Computed once for each set of provisioned manifests.
 */
export function manifestsInForce(
  own: Manifests,
  choices: readonly EndorsementChoice[] | undefined,
  selection: Selection,
  provisioned: readonly ProvisionedManifest[] | undefined,
  checks: Checks,
): Manifests {
  if (choices === undefined) return own;
  const chosen = checks.value('endorsements', () => {
    const last = known.get(own);
    if (last !== undefined && last.provisioned === provisioned) return last.manifests;
    const manifests = own.with(provisioned ?? [], choices, selection);
    if (provisioned !== undefined) known.set(own, { provisioned, manifests });
    return manifests;
  });
  return chosen ?? own;
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

function readDocument({ corim, key, anchors, revoked }: ManifestDocument): ReadManifest {
  const bytes = fromBase64(corim);
  if (key === undefined && anchors === undefined) return { ...readUnsigned(bytes), revoked };
  if (key !== undefined && anchors !== undefined) {
    throw new CorimError('corim-signature', 'a manifest is held to a key or to anchors');
  }
  if (anchors !== undefined) return { ...chainedTo(bytes, openSignedCorim(bytes), anchors.map(fromBase64)), revoked };
  const opened = openSignedCorim(bytes);
  opened.verify(verification().importSpki(fromBase64(key ?? '')));
  return { corim: opened.corim, standing: inDates(opened), revoked };
}

type Verified = Omit<ReadManifest, 'revoked'>;

/** A manifest that nobody signed: good in its dates. Throws CorimError. */
export function readUnsigned(bytes: Uint8Array): Verified {
  const corim = parseCorim(bytes);
  return { corim, standing: inDates({ corim, validity: undefined }) };
}

/**
 * A signed manifest by the certificates that it carries. Its signature is verified now; where they lead, and all dates,
 * are asked at every appraisal. Throws CorimError.
 */
export function chainedTo(bytes: Uint8Array, opened: OpenedCorim, anchors: readonly Uint8Array[]): Verified {
  const chain = signerChain(bytes);
  const [leaf] = chain;
  if (leaf === undefined) throw new CorimError('corim-signature', 'it carries no certificate of its signer');
  opened.verify(publicKeyOf(readCertificate(leaf)));
  const trusted = trustedBy(chain, new Trust(anchors));
  const dates = inDates(opened);
  return {
    corim: opened.corim,
    standing(now) {
      trusted(now);
      dates(now);
    },
  };
}

/** The dates of a manifest and of its signature are asked at every appraisal, not when it is read. */
export const inDates =
  ({ corim, validity }: { readonly corim: Corim; readonly validity: Validity | undefined }): Standing =>
  (now) => {
    for (const one of [validity, corim.validity]) checkValidity(one, now);
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

/** Newest versions of tags among manifests; one that was revoked supersedes nothing. */
export const newestOf = (manifests: readonly ReadManifest[]): ReadonlyMap<string, number> =>
  newestVersions(manifests.filter(({ revoked }) => revoked === undefined).map(({ corim }) => corim));

function tagsOf(
  { corim, standing, revoked }: ReadManifest,
  filter: EnvironmentFilter,
  newest: ReadonlyMap<string, number>,
): Tag[] {
  return corim.comids.map((comid): Tag => {
    const latest = newest.get(comid.id) ?? comid.version;
    return {
      name: `${corim.id}/${comid.id}`,
      values: machineValues(comid, filter),
      standing,
      revoked,
      supersededBy: latest > comid.version ? latest : undefined,
    };
  });
}

const hasValues = ({ registers, events }: MachineValues): boolean => registers.size > 0 || events.size > 0;

const isAbout = ({ registers, events }: MachineValues, selection: Selection): boolean =>
  selection.some(({ bank, pcrs }) =>
    [registers, events].some((values) => pcrs.some((pcr) => values.get(bank)?.has(pcr))),
  );
