/**
 * The description of a host, `host.yaml`: what `nexus up` starts. Declared once as a schema; a mistake is reported with
 * its line and column and what was expected there. Documented in docs/host-yaml.md.
 */
import { dirname, resolve } from 'node:path';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';
import { type Document, LineCounter, parseDocument, visit } from 'yaml';
import type { LinuxArchitecture } from '../../vmm/index.ts';
import { HostError } from './errors.ts';

const MAX_FILE = 256 * 1024;
const MEMORY = /^([1-9]\d{0,5}) ?(MiB|GiB)$/;

const PartitionSchema = Type.Object(
  {
    name: Type.String({
      pattern: '^[a-z][a-z0-9-]{0,30}$',
      description: 'a name: a lower-case letter, then letters, digits or hyphens, at most 31',
    }),
    kind: Type.Union([Type.Literal('trusted'), Type.Literal('standard')], {
      description: '"trusted" (measured, sealed, attested) or "standard"',
    }),
    image: Type.Optional(
      Type.String({ minLength: 1, description: 'the path of a multiboot image, relative to this file' }),
    ),
    linux: Type.Optional(
      Type.Union([Type.Literal('i686'), Type.Literal('x86_64')], {
        description: '"i686" or "x86_64": the distribution\'s stock kernel, in place of an image',
      }),
    ),
    volume: Type.Optional(
      Type.String({ pattern: MEMORY.source, description: 'the size of a Linux guest\'s disk, such as "64 MiB"' }),
    ),
    manifest: Type.Optional(
      Type.String({ minLength: 1, description: 'the path of the signed manifest of a trusted partition' }),
    ),
    memory: Type.Optional(Type.String({ pattern: MEMORY.source, description: 'a size such as "16 MiB" or "1 GiB"' })),
    'command-line': Type.Optional(
      Type.String({ maxLength: 2048, description: 'the command line given to the image; it is measured' }),
    ),
    vtpm: Type.Optional(Type.Boolean({ description: 'true: a standard image is measured into a TPM of its own' })),
    restart: Type.Optional(
      Type.Union([Type.Literal('never'), Type.Literal('on-crash')], { description: '"never" or "on-crash"' }),
    ),
    mode: Type.Optional(
      Type.String({ maxLength: 256, description: 'what the root asks of the guest (RELAY.MODE); not measured' }),
    ),
  },
  {
    additionalProperties: false,
    description: 'a partition: name, kind, image or linux, and for a trusted one its manifest',
  },
);

const HostSchema = Type.Object(
  {
    state: Type.String({ minLength: 1, description: 'the state directory, relative to this file' }),
    tpm: Type.Optional(
      Type.Literal('embedded', { description: '"embedded": the platform TPM, with its state in the state directory' }),
    ),
    engine: Type.Optional(
      Type.Union([Type.Literal('auto'), Type.Literal('v86'), Type.Literal('kvm')], {
        description: '"auto", "v86" or "kvm"',
      }),
    ),
    'release-key': Type.Optional(
      Type.String({ minLength: 1, description: 'the path of a release key: an EC P-256 public key in PEM' }),
    ),
    verifier: Type.Optional(
      Type.Object(
        { url: Type.String({ pattern: '^https?://', description: 'the base URL of a verifier (http or https)' }) },
        { additionalProperties: false, description: 'a verifier: its url' },
      ),
    ),
    partitions: Type.Array(PartitionSchema, {
      minItems: 1,
      maxItems: 32,
      description: 'a list of one to 32 partitions',
    }),
    channels: Type.Optional(
      Type.Array(
        Type.Array(Type.String({ description: 'the name of a partition' }), {
          minItems: 2,
          maxItems: 2,
          description: 'a pair of partition names, such as [vault, neighbour]',
        }),
        { maxItems: 64, description: 'a list of pairs of partition names' },
      ),
    ),
  },
  {
    additionalProperties: false,
    description: 'a mapping with state, partitions, and optionally tpm, engine, release-key, verifier, channels',
  },
);

interface CommonConfig {
  readonly name: string;
  /** Start it again when it has crashed; absent: leave it as it is. */
  readonly restart?: 'on-crash';
}

/** A partition of a multiboot image. */
export interface ImagePartitionConfig extends CommonConfig {
  readonly kind: 'trusted' | 'standard';
  readonly image: string;
  readonly manifest?: string;
  readonly memoryBytes: number;
  readonly commandLine: string;
  /** It has a TPM of its own, into which it is measured. */
  readonly vtpm?: true;
  /** What RELAY.MODE answers; the guest decides what it does with it. */
  readonly mode: string;
}

/** A partition of the distribution's stock kernel, with a TPM of its own. */
export interface LinuxPartitionConfig extends CommonConfig {
  readonly kind: 'standard';
  readonly linux: LinuxArchitecture;
  readonly memoryBytes: number;
  /** Words after those that every guest starts with. */
  readonly commandLine: string;
  /** Size of its disk; absent: none. */
  readonly volumeBytes?: number;
}

export type PartitionConfig = ImagePartitionConfig | LinuxPartitionConfig;

export interface HostConfig {
  readonly stateDirectory: string;
  readonly tpm: 'embedded';
  readonly engine: 'auto' | 'v86' | 'kvm';
  /** File of the key whose releases may open this platform's root secret. */
  readonly releaseKey?: string;
  readonly verifierUrl?: string;
  readonly partitions: readonly PartitionConfig[];
  readonly channels: readonly (readonly [string, string])[];
}

/**
 * Parse and check a host file. Paths in it are relative to the file. Throws HostError E_CONFIG with
 * `FILE:LINE:COLUMN: what stands there, what was expected`, one line per mistake. `isFile` is asked about every image,
 * manifest and key, by its absolute path.
 */
export function parseHostConfig(
  text: string,
  file: string,
  isFile: (path: string) => boolean = () => true,
): HostConfig {
  if (text.length > MAX_FILE) fail([`${file}: larger than ${MAX_FILE} bytes`]);
  const lines = new LineCounter();
  const document = parse(text, lines, file);
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const locate = (path: readonly (string | number)[]): string => {
    for (let depth = path.length; depth >= 0; depth--) {
      const node = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
      const range = (node as { range?: readonly number[] } | null | undefined)?.range;
      if (range?.[0] !== undefined) return at(range[0]);
    }
    return `${file}:1:1`;
  };
  if (document.errors.length > 0) fail(document.errors.map((error) => `${at(error.pos[0])}: ${error.message}`));

  visit(document, {
    Alias: (_, alias) => fail([`${at(alias.range?.[0] ?? 0)}: aliases are not used here; expected the value itself`]),
  });
  const value: unknown = document.toJS();
  const problems = new Map<string, string>();
  for (const error of Value.Errors(HostSchema, value)) {
    const path = pointerSegments(error.instancePath);
    if (error.keyword === 'additionalProperties') continue; // reported per property, as keyword "boolean"
    const [where, sentence] = explain(error.keyword, path, error.params);
    if (!problems.has(where.join('/'))) problems.set(where.join('/'), `${locate(where)}: ${sentence}`);
  }
  if (problems.size > 0) fail([...problems.values()]);
  const checked = value as Static<typeof HostSchema>;

  const base = dirname(resolve(file));
  const mistakes: string[] = [];
  const names = new Set<string>();
  checked.partitions.forEach((partition, index) => {
    if (names.has(partition.name)) {
      mistakes.push(`${locate(['partitions', index, 'name'])}: "${partition.name}" is used twice; expected a new name`);
    }
    names.add(partition.name);
    mistakes.push(...mistakesOfKind(partition).map((mistake) => `${locate(['partitions', index])}: ${mistake}`));
    for (const key of ['image', 'manifest'] as const) {
      const path = partition[key];
      if (path === undefined || isFile(resolve(base, path))) continue;
      mistakes.push(`${locate(['partitions', index, key])}: "${path}" is not there; expected a file`);
    }
    if (partition.kind === 'trusted' && partition.manifest === undefined) {
      mistakes.push(`${locate(['partitions', index])}: expected a manifest, because the partition is trusted`);
    }
    if (partition.kind === 'standard' && partition.manifest !== undefined) {
      mistakes.push(
        `${locate(['partitions', index, 'manifest'])}: a standard partition has no manifest; expected kind: trusted`,
      );
    }
  });
  checked.channels?.forEach((pair, index) => {
    pair.forEach((name, end) => {
      if (checked.partitions.some((partition) => partition.name === name && partition.linux !== undefined)) {
        mistakes.push(`${locate(['channels', index, end])}: a Linux guest has no channels; expected guests of images`);
      }
      if (!names.has(name)) {
        mistakes.push(
          `${locate(['channels', index, end])}: no partition is named "${name}"; expected one of ${[...names].join(', ')}`,
        );
      }
    });
    if (pair[0] === pair[1]) mistakes.push(`${locate(['channels', index])}: expected two different partitions`);
  });
  const releaseKey = checked['release-key'];
  if (releaseKey !== undefined && !isFile(resolve(base, releaseKey)))
    mistakes.push(`${locate(['release-key'])}: "${releaseKey}" is not there; expected a file`);
  if (mistakes.length > 0) fail(mistakes);

  return {
    stateDirectory: resolve(base, checked.state),
    tpm: checked.tpm ?? 'embedded',
    engine: checked.engine ?? 'auto',
    ...(releaseKey === undefined ? {} : { releaseKey: resolve(base, releaseKey) }),
    ...(checked.verifier ? { verifierUrl: checked.verifier.url } : {}),
    partitions: checked.partitions.map((partition) => partitionConfig(partition, base)),
    channels: (checked.channels ?? []).map((pair) => [pair[0] ?? '', pair[1] ?? ''] as const),
  };
}

type ParsedPartition = Static<typeof PartitionSchema>;

/** What a Linux guest and the guest of an image may not have of each other. */
function mistakesOfKind(partition: ParsedPartition): string[] {
  if (partition.linux === undefined) {
    return [
      ...(partition.image === undefined ? ['expected an image, or linux in its place'] : []),
      ...(partition.volume === undefined ? [] : ['only a Linux guest has a volume; expected linux']),
      ...(partition.vtpm && partition.kind === 'trusted'
        ? ['a trusted partition is measured by the nexus itself; vtpm is for kind: standard']
        : []),
    ];
  }
  return [
    ...(partition.image === undefined ? [] : ['an image and linux exclude each other; expected one of them']),
    ...(partition.kind === 'trusted' ? ['a Linux guest is not measured frame by frame; expected kind: standard'] : []),
    ...(partition.mode === undefined ? [] : ['a Linux guest has no mode']),
    ...(partition.vtpm === undefined ? [] : ['a Linux guest always has a TPM of its own; leave vtpm out']),
  ];
}

function partitionConfig(partition: ParsedPartition, base: string): PartitionConfig {
  const { name, kind, image = '', manifest, linux, volume, restart } = partition;
  const common = {
    ...{ name, commandLine: partition['command-line'] ?? '' },
    ...(restart === 'on-crash' && { restart }),
  };
  if (linux !== undefined) {
    return {
      ...common,
      kind: 'standard',
      linux,
      memoryBytes: memoryBytes(partition.memory ?? '128 MiB'),
      ...(volume === undefined ? {} : { volumeBytes: memoryBytes(volume) }),
    };
  }
  return {
    ...common,
    kind,
    image: resolve(base, image),
    ...(manifest === undefined ? {} : { manifest: resolve(base, manifest) }),
    memoryBytes: memoryBytes(partition.memory ?? '16 MiB'),
    ...(partition.vtpm && { vtpm: true as const }),
    mode: partition.mode ?? '',
  };
}

function parse(text: string, lineCounter: LineCounter, file: string): Document.Parsed {
  try {
    return parseDocument(text, { lineCounter, prettyErrors: false, uniqueKeys: true });
  } catch (error) {
    if (error instanceof RangeError) fail([`${file}: nested too deeply`]); // the parser recurses
    throw error;
  }
}

/** Where a schema error points and what to say there. */
function explain(
  keyword: string,
  path: readonly string[],
  params: unknown,
): readonly [path: readonly string[], sentence: string] {
  if (keyword === 'required') {
    const missing = (params as { requiredProperties: readonly string[] }).requiredProperties;
    return [
      path,
      `missing ${missing.map((name) => `"${name}"`).join(', ')}; expected ${describe([...path, missing[0] ?? ''])}`,
    ];
  }
  if (keyword === 'boolean') {
    const known = Object.keys(schemaAt(path.slice(0, -1))?.properties ?? {});
    return [path, `"${path.at(-1)}" is not known here; expected one of ${known.join(', ')}`];
  }
  return [path, `expected ${describe(path)}`];
}

type Schema = TSchema & {
  readonly properties?: Record<string, Schema>;
  readonly items?: Schema;
  readonly description?: string;
};

function schemaAt(path: readonly string[]): Schema | undefined {
  let schema: Schema | undefined = HostSchema as unknown as Schema;
  for (const segment of path) schema = schema?.properties?.[segment] ?? schema?.items;
  return schema;
}

const describe = (path: readonly string[]): string => schemaAt(path)?.description ?? 'something else';

function pointerSegments(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function memoryBytes(text: string): number {
  const [, amount, unit] = MEMORY.exec(text) ?? [];
  return Number(amount) * (unit === 'GiB' ? 2 ** 30 : 2 ** 20);
}

function fail(mistakes: readonly string[]): never {
  throw new HostError('E_CONFIG', mistakes.join('\n'), 'mend the lines named; docs/host-yaml.md describes the file');
}
