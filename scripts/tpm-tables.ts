/**
 * The tables of docs/tpm.md, from the declarations: `node scripts/tool.mjs scripts/tpm-tables.ts` writes them into the
 * page; a test holds the page to them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { AnyCommand } from '../tpm/commands/command.ts';
import { allCommands } from '../tpm/commands/index.ts';
import { PROFILES, type Profile } from '../tpm/state/profile.ts';
import * as structures from '../tpm/structures/index.ts';

const PAGE = 'docs/tpm.md';
const { TPM_ALG, TPM_CC } = structures;
const COMMANDS = new Map(
  (allCommands as readonly unknown[] as readonly AnyCommand[]).map((command) => [command.code, command]), // types of handlers differ
);

/** Names of declared types, by the declaration itself. */
const TYPE_NAMES = new Map<unknown, string>(
  Object.entries(structures)
    .filter(([name, value]) => name.startsWith('TPM') && typeof value === 'object')
    .map(([name, value]) => [value, name]),
);

/** Plain numbers have several names: which, the field's own tells. */
function numberName(name: string, schema: structures.Schema<unknown>): string | undefined {
  if (schema === structures.u32) return /handle$/i.test(name) ? 'TPM_HANDLE' : 'UINT32';
  if (schema === structures.u16) return /alg$/i.test(name) ? 'TPM_ALG_ID' : 'UINT16';
  return undefined;
}

function typeName(schema: structures.Schema<unknown>): string {
  const known = TYPE_NAMES.get(schema);
  if (known) return known;
  const { shape } = schema;
  switch (shape?.kind) {
    case 'number':
      return `UINT${8 * shape.bytes}`;
    case 'buffer':
      return `TPM2B, up to ${shape.max}`;
    case 'sized':
      return `TPM2B of ${typeName(shape.inner)}`;
    case 'list':
      return `list of ${typeName(shape.element)}`;
    default:
      return 'structure';
  }
}

const fields = (list: AnyCommand['paramList']): string =>
  list.map(({ name, schema }) => `${name}: ${numberName(name, schema) ?? typeName(schema)}`).join('<br>');

function commandRow(command: AnyCommand): string {
  const handles = command.handleList
    .map(({ name, kind, role }) => `${role ? '@' : ''}${name}: ${kind.name}${role ? ` (${role})` : ''}`)
    .join('<br>');
  const response = [command.responseHandleList, command.responseList].map(fields).filter((text) => text !== '');
  const code = `0x${command.code.toString(16)}`;
  return `| ${command.name} | ${code} | ${handles} | ${fields(command.paramList)} | ${response.join('<br>')} |`;
}

type Implemented = (typeof allCommands)[number]['code'];
type Absent = {
  [K in keyof typeof TPM_CC]: (typeof TPM_CC)[K] extends Implemented ? never : K;
}[keyof typeof TPM_CC];

const NOTHING_ATTACHED = 'no component is attached to this TPM';
const NO_UPGRADE = 'a program is upgraded by its package, not by its clients';
/** Why a command is answered TPM_RC_COMMAND_CODE. The type holds the list to the declarations. */
const ABSENT: Readonly<Record<Absent, string>> = {
  AC_GetCapability: NOTHING_ATTACHED,
  AC_Send: NOTHING_ATTACHED,
  ACT_SetTimeout: 'an authenticated countdown timer needs a platform that it resets',
  FieldUpgradeData: NO_UPGRADE,
  FieldUpgradeStart: NO_UPGRADE,
  FirmwareRead: NO_UPGRADE,
  Policy_AC_SendSelect: NOTHING_ATTACHED,
  PolicyTransportSPDM: 'no transport here speaks SPDM',
  SetCapability: 'no capability can be set: the command could only refuse',
};

/** Every command of Part 3 and its state. */
export function commandTable(): string {
  const commands = [...COMMANDS.values()].sort((a, b) => a.name.localeCompare(b.name));
  return [
    `${commands.length} commands are implemented. Handles with @ need authorisation, in the role named.`,
    '',
    '| Command | Code | Handles | Parameters | Response |',
    '|---|---|---|---|---|',
    ...commands.map(commandRow),
    '',
    '| Answered `TPM_RC_COMMAND_CODE` | Code | Why |',
    '|---|---|---|',
    ...Object.entries(ABSENT).map(([name, why]) => `| ${name} | 0x${TPM_CC[name as Absent].toString(16)} | ${why} |`), // its keys
  ].join('\n');
}

/** Every algorithm and the profiles that switch it on. */
export function algorithmTable(): string {
  const profiles: readonly Profile[] = Object.values(PROFILES);
  const used = usedAlgorithms();
  const rows = Object.entries(TPM_ALG)
    .filter(([, code]) => code !== TPM_ALG.ERROR && code !== TPM_ALG.NULL)
    .map(([name, code]) => {
      const cells = profiles.map((profile) =>
        !used.has(code)
          ? '-'
          : profile.disabledAlgorithms.has(code)
            ? 'off'
            : profile.unreportedAlgorithms.includes(code)
              ? 'on, unlisted'
              : 'on',
      );
      return `| ${name} | 0x${code.toString(16).padStart(4, '0')} | ${cells.join(' | ')} |`;
    });
  const sizes = (list: readonly number[]) => list.join(', ');
  return [
    `| Algorithm | Number | ${profiles.map(({ name }) => name).join(' | ')} |`,
    `|---|---|${profiles.map(() => '---|').join('')}`,
    ...rows,
    `| RSA key bits | | ${profiles.map(({ rsaKeyBits }) => sizes(rsaKeyBits)).join(' | ')} |`,
    `| RSA key bits, keys made elsewhere | | ${profiles.map(rsaElsewhere).join(' | ')} |`,
    `| ECC curves | | ${profiles.map(({ eccCurves }) => eccCurves.map(curveName).join(', ')).join(' | ')} |`,
    `| PCR banks | | ${profiles.map(({ pcrBanks }) => pcrBanks.map(algorithmName).join(', ')).join(' | ')} |`,
    '',
    '`-`: not implemented; its identifier is refused. `on, unlisted`: works, yet `TPM2_GetCapability` does not list it.',
  ].join('\n');
}

const rsaElsewhere = ({ rsaKeyBits, legacyRsaKeyBits }: Profile): string =>
  [...legacyRsaKeyBits, ...rsaKeyBits].join(', ');
const nameIn = (table: Readonly<Record<string, number>>, value: number): string =>
  Object.entries(table).find(([, code]) => code === value)?.[0] ?? `0x${value.toString(16)}`;
const curveName = (curve: number): string => nameIn(structures.TPM_ECC, curve);
const algorithmName = (algorithm: number): string => nameIn(TPM_ALG, algorithm);

/** Types of two octets that are no algorithms. */
const OTHER_NUMBERS = /CURVE|^TPM_(ST|SU|EO)/;

/** Algorithms that some declared type accepts. */
function usedAlgorithms(): ReadonlySet<number> {
  const used = new Set<number>();
  const seen = new Set<unknown>();
  const walk = (schema: structures.Schema<unknown>): void => {
    if (seen.has(schema)) return;
    seen.add(schema);
    const { shape } = schema;
    const mayBeAlgorithm = shape?.kind === 'number' && shape.bytes === 2;
    if (mayBeAlgorithm && !OTHER_NUMBERS.test(TYPE_NAMES.get(schema) ?? ''))
      for (const value of shape.values ?? []) used.add(value);
    if (shape?.kind === 'sized') walk(shape.inner);
    if (shape?.kind === 'list') walk(shape.element);
    if (shape?.kind === 'struct') Object.values(shape.fields).forEach(walk);
    if (shape?.kind === 'tagged') {
      Object.values(shape.common).forEach(walk);
      for (const variant of Object.values(shape.variants)) Object.values(variant).forEach(walk);
    }
  };
  for (const schema of TYPE_NAMES.keys()) walk(schema as structures.Schema<unknown>); // keys are declared types
  return used;
}

/** The page with its generated parts renewed. */
export function renewed(page: string): string {
  return replaced(replaced(page, 'commands', commandTable()), 'algorithms', algorithmTable());
}

function replaced(page: string, part: string, text: string): string {
  const begin = `<!-- ${part}: generated by scripts/tpm-tables.ts -->`;
  const from = page.indexOf(begin);
  const to = page.indexOf('<!-- end -->', from);
  if (from < 0 || to < 0) throw new Error(`${PAGE} has no place for ${part}`);
  return `${page.slice(0, from)}${begin}\n${text}\n${page.slice(to)}`;
}

if (process.argv[1]?.endsWith('tpm-tables.mjs')) {
  writeFileSync(PAGE, renewed(readFileSync(PAGE, 'utf8')));
}
