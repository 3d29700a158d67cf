/**
 * Concise evidence (CoEV): what a device says of itself in the types of CoRIM. TCG DICE Concise Evidence Binding for SPDM
 * 1.0, tag 571. Triples of software identity (CoSWID) and of relations are kept as they stand.
 */
import { Tag } from 'cbor-x';
import {
  asArray,
  asMap,
  asTagged,
  bad,
  CorimError,
  type KeyTriple,
  readKeys,
  readTriple,
  type Tagged,
  type Triple,
} from './comid.ts';
import { readCbor } from './read-cbor.ts';

const TAG_CONCISE_EVIDENCE = 571;
const TRIPLES = { evidence: 0, identity: 1, attest: 5 } as const;
const KNOWN_TRIPLES = new Set<unknown>([0, 1, 2, 3, 4, 5, 6]);

export interface ConciseEvidence {
  readonly id: Tagged | undefined;
  readonly profile: Tagged | undefined;
  /** Claims of what is there, by environment. */
  readonly evidence: readonly Triple[];
  readonly identityKeys: readonly KeyTriple[];
  readonly attestKeys: readonly KeyTriple[];
  readonly otherTriples: ReadonlyMap<number, readonly unknown[]>;
}

/** Read concise evidence, tagged or not. It is signed, if at all, by what carries it. Throws CorimError. */
export function parseConciseEvidence(bytes: Uint8Array): ConciseEvidence {
  let item: unknown;
  try {
    item = readCbor(bytes);
  } catch (cause) {
    throw new CorimError('corim-cbor', cause instanceof Error ? cause.message : 'not CBOR', cause);
  }
  const map = asMap(item instanceof Tag && item.tag === TAG_CONCISE_EVIDENCE ? item.value : item, 'concise evidence');
  const triples = asMap(map.get(0), 'evidence triples');
  for (const [kind, list] of triples) {
    if (!KNOWN_TRIPLES.has(kind)) throw bad(`evidence triples of kind ${String(kind)}`);
    if (asArray(list, 'triples').length === 0) throw bad(`no triple of kind ${String(kind)}`);
  }
  if (triples.size === 0) throw bad('evidence of nothing');
  const list = <T>(kind: number, read: (triple: unknown) => T): T[] =>
    triples.has(kind) ? asArray(triples.get(kind), 'triples').map(read) : [];
  const own = new Set<unknown>(Object.values(TRIPLES));
  return {
    id: map.has(1) ? asTagged(map.get(1)) : undefined,
    profile: map.has(2) ? asTagged(map.get(2)) : undefined,
    evidence: list(TRIPLES.evidence, readTriple),
    identityKeys: list(TRIPLES.identity, readKeys),
    attestKeys: list(TRIPLES.attest, readKeys),
    otherTriples: new Map(
      [...triples].filter(([kind]) => !own.has(kind)).map(([kind, items]) => [Number(kind), asArray(items, 'triples')]),
    ),
  };
}
