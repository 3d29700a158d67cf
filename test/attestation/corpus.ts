/**
 * Real attestation data beside the project: `../shared/corpus` with its INDEX.csv, or where NEXUS_CORPUS says. Absent on
 * most machines, and no part of the project: tests over it skip, and say so.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = process.env.NEXUS_CORPUS ?? fileURLToPath(new URL('../../../shared/corpus', import.meta.url));

export const corpusIsThere = existsSync(join(root, 'INDEX.csv'));
export const WHY_SKIPPED = 'the corpus of real attestation data is not beside this checkout';

export interface CorpusFile {
  readonly path: string;
  readonly name: string;
  readonly kind: string;
  readonly what: string;
}

/** Files of the given kinds, in the order of the index. */
export function corpusFiles(...kinds: readonly string[]): CorpusFile[] {
  if (!corpusIsThere) return [];
  const [, ...lines] = readFileSync(join(root, 'INDEX.csv'), 'utf8').trim().split('\n');
  return lines.map(readLine).filter(({ kind }) => kinds.includes(kind));
}

function readLine(line: string): CorpusFile {
  const fields = [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((match) =>
    (match[1] ?? '').replace(/^"|"$/g, '').replaceAll('""', '"'),
  );
  const [path = '', , , , kind = '', what = ''] = fields;
  return { path, name: path.split('/').slice(-2).join('/'), kind, what };
}

export const corpusBytes = (path: string): Uint8Array => new Uint8Array(readFileSync(join(root, path)));
export const corpusText = (path: string): string => readFileSync(join(root, path), 'utf8');
export const corpusHas = (path: string): boolean => existsSync(join(root, path));
