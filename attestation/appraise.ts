/**
 * Appraisal of a nexus host's evidence. Every check has a name that appears in the result. Nothing is accepted because
 * something threw: a check that cannot be made has failed, and the partition is believed only where every check holds.
 */
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { concatBytes, sameBytes, toHex } from './bytes.ts';
import { Checks, required, worst } from './checks.ts';
import { decodeCoseKey } from './cose/key.ts';
import { type PartitionClaims, verifyEat } from './eat.ts';
import { parseEventLog } from './eventlog/format.ts';
import { requireHostLog } from './eventlog/host-log.ts';
import { replayLog } from './eventlog/replay.ts';
import { decodeEvidence, EVIDENCE_MEDIA_TYPE, type Evidence, quoteBinding } from './evidence.ts';
import { SHA256 } from './hash.ts';
import { EndorsementsSchema, ManifestSchema, Manifests, manifestsInForce } from './machine/manifests.ts';
import { decodeQuote, type Quote, verifyTpmSignature } from './quote.ts';
import type { AppraisalContext, Appraised, AppraisedModule, EvidenceFormat } from './verifier/evidence-format.ts';
import { tpmName } from './verifier/tpm-public.ts';

/** What a host's quote must select, no more and no less: the SHA-256 bank of the boot chain and the late launch. */
export const QUOTED_PCRS: readonly number[] = [0, 1, 2, 3, 4, 5, 6, 7, 17, 18];

/** Of the late launch: what the nexus is. Values for them are never left out. */
const LAUNCH_PCRS: readonly number[] = [17, 18];
const SELECTION = [{ bank: SHA256.id, pcrs: QUOTED_PCRS }];

const Digest = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'SHA-256, lower-case hexadecimal' });

/** Reference values of nexus hosts. Every PCR named must have one of its values; a partition must be one of those listed. */
export const ReferenceSchema = Type.Object(
  {
    pcrs: Type.Record(Type.String({ pattern: '^(0|1|2|3|4|5|6|7|17|18)$' }), Type.Array(Digest, { minItems: 1 }), {
      description:
        'PCR index to the values it may have (SHA-256 bank); 17 and 18 must have some, here or in a manifest',
    }),
    manifests: Type.Optional(
      Type.Array(ManifestSchema, { maxItems: 64, description: 'CoRIM: values of registers beside those of `pcrs`' }),
    ),
    endorsements: Type.Optional(EndorsementsSchema),
    partitions: Type.Array(
      Type.Object(
        {
          codeIdentity: Type.Optional(Digest),
          signer: Digest,
          minimumSvn: Type.Integer({ minimum: 0 }),
          allowDebug: Type.Optional(Type.Boolean()),
        },
        { additionalProperties: false },
      ),
      { description: 'partitions that may attest: by exact code identity, or by signer and security version' },
    ),
  },
  { additionalProperties: false },
);
export type ReferenceValues = Static<typeof ReferenceSchema>;
const isReference = Compile(ReferenceSchema);

const compiled = new WeakMap<ReferenceValues, Manifests>();

/** The manifests of reference values that were parsed. */
function manifestsOf(reference: ReferenceValues): Manifests {
  const known = compiled.get(reference) ?? Manifests.read(reference.manifests ?? []);
  compiled.set(reference, known);
  return known;
}

/** Throws TypeError for a document that is not reference values, CorimError for a manifest in it. */
export function parseReference(body: unknown): ReferenceValues {
  if (!isReference.Check(body)) {
    const [first] = isReference.Errors(body);
    throw new TypeError(`${first?.instancePath || 'document'}: ${first?.message ?? 'malformed'}`);
  }
  const manifests = manifestsOf(body);
  for (const [bank, index] of manifests.registers('registers')) {
    const quoted = bank !== SHA256.id || QUOTED_PCRS.includes(index);
    if (!quoted) throw new TypeError(`manifests: PCR ${index} is not quoted by a host`);
  }
  const [events] = manifests.registers('events');
  if (events !== undefined) throw new TypeError('manifests: events of a host are not listed, its log is checked whole');
  for (const index of LAUNCH_PCRS) {
    if (String(index) in body.pcrs || manifests.covers('registers', SHA256.id, index)) continue;
    // What is provisioned changes: asked at every appraisal.
    if (body.endorsements !== undefined) continue;
    throw new TypeError(`pcrs: values of PCR ${index} are required`);
  }
  return body;
}

/** The format as the verifier service takes it. */
export const nexusEvidence: EvidenceFormat = {
  mediaType: EVIDENCE_MEDIA_TYPE,
  parseReference,
  open(bytes) {
    const evidence = decodeEvidence(bytes);
    return {
      akName: tpmName(evidence.platform.akPublic),
      appraise: (context) => appraise(evidence, context),
    };
  },
};

/** Appraise decoded evidence. Never throws for what the evidence holds. */
export function appraise(evidence: Evidence, context: AppraisalContext): Appraised {
  const checks = new Checks();
  const reference = checks.value('reference-values', () => {
    if (context.reference === undefined) throw new Error('no reference values are stored');
    return parseReference(context.reference);
  });
  const quote = appraisePlatform(evidence, context, reference, checks);
  const platform = checks.module();
  if (evidence.partition === undefined) {
    return { state: checks.status, checks: checks.results, modules: { platform }, clock: clockOf(quote, platform) };
  }
  const partitionChecks = new Checks(checks.results);
  const claims = appraisePartition(evidence.partition, evidence, context, reference, partitionChecks);
  const partition = partitionChecks.module();
  return {
    state: worst(checks.status, partitionChecks.status),
    checks: partitionChecks.results,
    modules: { platform, partition },
    clock: clockOf(quote, platform),
    ...(claims === undefined ? {} : { partition: attestedPartition(claims) }),
  };
}

function appraisePlatform(
  evidence: Evidence,
  context: AppraisalContext,
  reference: ReferenceValues | undefined,
  checks: Checks,
): Quote | undefined {
  const { quoted, signature, akPublic, eventLog } = evidence.platform;
  checks.holds('attestation-key', () => sameBytes(akPublic, context.akPublic), 'not the enrolled attestation key');
  checks.holds('quote-signature', () => verifyTpmSignature(context.akPublic, quoted, signature), 'does not verify');
  const quote = checks.value('quote-structure', () => decodeQuote(quoted));
  checks.holds(
    'quote-binding',
    () => sameBytes(required(quote).extraData, quoteBinding(evidence.nexusKey, context.nonce)),
    'qualifyingData is not made of this nexus key and the nonce of this challenge',
  );
  checks.holds(
    'quote-selection',
    () => {
      const [selection, ...more] = required(quote).selection;
      return more.length === 0 && selection?.hash === SHA256.id && selection.pcrs.join() === QUOTED_PCRS.join();
    },
    `the quote must select exactly PCR ${QUOTED_PCRS.join(', ')} of the SHA-256 bank`,
  );
  const pcrs = checks.value('event-log', () => {
    const log = parseEventLog(eventLog);
    requireHostLog(log, eventLog);
    return replayLog(log, SHA256.id);
  });
  checks.holds(
    'log-replay',
    () => {
      const replayed = QUOTED_PCRS.map((index) => required(required(pcrs)[index]));
      return sameBytes(SHA256.digest(concatBytes(...replayed)), required(quote).pcrDigest);
    },
    'the event log does not lead to the quoted registers',
  );
  if (reference !== undefined) checkRegisters(pcrs, reference, context, checks);
  return quote;
}

/** Values of a register are alternatives, wherever they are listed. */
function checkRegisters(
  pcrs: readonly Uint8Array[] | undefined,
  reference: ReferenceValues,
  { now, provisioned }: AppraisalContext,
  checks: Checks,
): void {
  const manifests = manifestsInForce(manifestsOf(reference), reference.endorsements, SELECTION, provisioned, checks);
  for (const index of QUOTED_PCRS) {
    const values = reference.pcrs[String(index)];
    const isAsked = values !== undefined || LAUNCH_PCRS.includes(index);
    if (!isAsked && !manifests.covers('registers', SHA256.id, index)) continue;
    checks.holds(
      `reference-pcr-${index}`,
      () => {
        const value = hex(required(pcrs)[index]);
        return values?.includes(value) === true || manifests.accept('registers', SHA256.id, index, value, now);
      },
      'not a reference value',
    );
  }
}

function appraisePartition(
  report: Uint8Array,
  evidence: Evidence,
  context: AppraisalContext,
  reference: ReferenceValues | undefined,
  checks: Checks,
): PartitionClaims | undefined {
  const claims = checks.value('report-signature', () => verifyEat(report, decodeCoseKey(evidence.nexusKey)));
  checks.holds(
    'report-nonce',
    () => sameBytes(required(claims).nonce, context.nonce),
    'not the nonce of this challenge',
  );
  const known = reference?.partitions ?? [];
  const matching = known.filter(({ signer }) => claims !== undefined && signer === hex(claims.signer));
  checks.holds('signer', () => matching.length > 0, 'the signer of this code is not among the reference values');
  const identified = matching.filter(
    ({ codeIdentity }) =>
      claims !== undefined && (codeIdentity === undefined || codeIdentity === hex(claims.codeIdentity)),
  );
  checks.holds('code-identity', () => identified.length > 0, 'this code identity is not among the reference values');
  const current = identified.filter(({ minimumSvn }) => claims !== undefined && claims.svn >= minimumSvn);
  checks.holds(
    'security-version',
    () => current.length > 0,
    'the security version is lower than the reference demands',
  );
  checks.holds(
    'debug',
    () => !required(claims).debug || current.some(({ allowDebug }) => allowDebug === true),
    'the partition may be inspected',
  );
  return claims;
}

const attestedPartition = (claims: PartitionClaims) => ({
  codeIdentity: hex(claims.codeIdentity),
  signer: hex(claims.signer),
  svn: claims.svn,
  debug: claims.debug,
  userData: claims.userData,
});

/** A refused quote's clock is not believed. */
const clockOf = (quote: Quote | undefined, platform: AppraisedModule) =>
  quote !== undefined && platform.status === 'affirming'
    ? { ...quote.clock, clock: quote.clock.clock.toString() }
    : undefined;

const hex = (bytes: Uint8Array | undefined) => toHex(bytes ?? new Uint8Array());
