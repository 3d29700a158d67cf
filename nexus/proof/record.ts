/**
 * What a whole run proved, kept under everything that it depends on: the text of the core, the prover as built, the
 * packages and solvers, and what was asked. An unchanged tree then answers without making a query; any change of any
 * of these is another key, and the queries decide. Only runs without failure are kept.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files whose content a run depends on, and words for the rest: solvers, theorems asked for. */
export function runKey(directories: readonly string[], words: readonly string[]): string {
  const hash = createHash('sha256');
  const add = (text: string | Buffer): void => {
    hash.update(`${text.length}:`).update(text);
  };
  for (const directory of directories) {
    for (const name of readdirSync(directory).sort()) {
      if (!/\.(ts|js|json)$/.test(name)) continue;
      add(name);
      add(readFileSync(join(directory, name)));
    }
  }
  for (const word of words) add(word);
  return hash.digest('hex');
}

export class Records {
  private readonly directory: string;

  constructor(directory: string) {
    this.directory = join(directory, 'runs');
  }

  /** The report of the run, or undefined if nothing like it was proved. */
  find(key: string): string | undefined {
    try {
      return readFileSync(join(this.directory, key), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  keep(key: string, report: string): void {
    mkdirSync(this.directory, { recursive: true });
    const temporary = join(this.directory, `${key}.${process.pid}`);
    writeFileSync(temporary, report);
    renameSync(temporary, join(this.directory, key));
  }
}
