/**
 * Reference values of a machine: what its quote must select, what registers may hold, and the policies it must meet.
 * JSON; stored and versioned by the verifier.
 */
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { fromHex } from '../bytes.ts';
import { hashById, hashByName } from '../hash.ts';
import { type CompiledPolicy, compilePolicy, PolicySchema } from '../policy/policy.ts';
import { type CertificateRules, CertificatesSchema, compileCertificateRules } from './certificates.ts';
import { compileImaRules, type ImaRules, ImaSchema } from './ima.ts';
import { EndorsementsSchema, ManifestSchema, Manifests } from './manifests.ts';

const Hex = Type.String({ pattern: '^([0-9a-f]{2})+$', description: 'lower-case hexadecimal' });
const Pcr = Type.Integer({ minimum: 0, maximum: 23 });
const Bank = Type.Union([Type.Literal('sha1'), Type.Literal('sha256'), Type.Literal('sha384'), Type.Literal('sha512')]);

export const MachineReferenceSchema = Type.Object(
  {
    selection: Type.Array(
      Type.Object({ bank: Bank, pcrs: Type.Array(Pcr, { minItems: 1 }) }, { additionalProperties: false }),
      { minItems: 1, maxItems: 4, description: 'what the quote must select: exactly these registers, in this order' },
    ),
    pcrs: Type.Optional(
      Type.Record(
        Type.String({ pattern: '^(sha1|sha256|sha384|sha512)$' }),
        Type.Record(Type.String({ pattern: '^([0-9]|1[0-9]|2[0-3])$' }), Type.Array(Hex, { minItems: 1 })),
        { description: 'values that a register may have' },
      ),
    ),
    manifests: Type.Optional(
      Type.Array(ManifestSchema, {
        maxItems: 64,
        description: 'CoRIM: values of registers and events, beside those of `pcrs`',
      }),
    ),
    endorsements: Type.Optional(EndorsementsSchema),
    certificates: Type.Optional(CertificatesSchema),
    firmwareVersions: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9a-f]{16}$' }), {
        description: 'TPM firmware versions that are accepted',
      }),
    ),
    policies: Type.Optional(
      Type.Array(Type.Union([Type.String(), PolicySchema]), {
        maxItems: 32,
        description: 'policies: documents, or names of the library',
      }),
    ),
    ima: Type.Optional(ImaSchema),
  },
  { additionalProperties: false },
);
export type MachineReference = Static<typeof MachineReferenceSchema>;
const isReference = Compile(MachineReferenceSchema);

/** Reference values, ready for use: checked, ordered and with policies compiled. */
export interface CompiledReference {
  readonly document: MachineReference;
  /** TPM_ALG_ID and ascending registers. */
  readonly selection: readonly { readonly bank: number; readonly pcrs: readonly number[] }[];
  readonly policies: readonly CompiledPolicy[];
  readonly manifests: Manifests;
  readonly certificates: CertificateRules | undefined;
  readonly ima: ImaRules | undefined;
}

const compiled = new WeakMap<object, CompiledReference>();

/** Throws TypeError for a document that is not reference values, PolicyError, CorimError and CertificateError for its parts. */
export function compileReference(body: unknown): CompiledReference {
  const known = typeof body === 'object' && body !== null ? compiled.get(body) : undefined;
  if (known !== undefined) return known;
  if (!isReference.Check(body)) {
    const [first] = isReference.Errors(body);
    throw new TypeError(`${first?.instancePath || 'document'}: ${first?.message ?? 'malformed'}`);
  }
  const reference: CompiledReference = {
    document: body,
    selection: body.selection.map(({ bank, pcrs }) => ({ bank: bankId(bank), pcrs: ascending(pcrs) })),
    policies: (body.policies ?? []).map(compilePolicy),
    manifests: Manifests.read(body.manifests ?? []),
    certificates: body.certificates === undefined ? undefined : compileCertificateRules(body.certificates),
    ima: body.ima === undefined ? undefined : compileImaRules(body.ima),
  };
  checkValues(reference);
  compiled.set(body, reference);
  return reference;
}

const bankId = (name: string): number => hashByName(name)?.id ?? 0;

function ascending(pcrs: readonly number[]): number[] {
  const sorted = [...new Set(pcrs)].sort((a, b) => a - b);
  if (sorted.length !== pcrs.length) throw new TypeError('selection: a register is named twice');
  return sorted;
}

/** A value for a register that is not quoted would be compared with what nobody signed. */
function checkValues({ document, selection, manifests }: CompiledReference): void {
  for (const [bank, index] of [...manifests.registers('registers'), ...manifests.registers('events')]) {
    // A manifest may have values for more banks than are quoted, but of those every one must count.
    const selected = selection.find((one) => one.bank === bank);
    if (selected !== undefined && !selected.pcrs.includes(index)) {
      throw new TypeError(`manifests: ${hashById(bank)?.name}:${index} is not in the selection`);
    }
  }
  for (const [bank, values] of Object.entries(document.pcrs ?? {})) {
    const selected = selection.find((one) => one.bank === bankId(bank))?.pcrs ?? [];
    for (const [index, accepted] of Object.entries(values)) {
      if (!selected.includes(Number(index))) throw new TypeError(`pcrs: ${bank}:${index} is not in the selection`);
      const size = hashByName(bank)?.size;
      if (accepted.some((value) => fromHex(value).length !== size))
        throw new TypeError(`pcrs: ${bank}:${index}: length`);
    }
  }
}
