/** Output of commands: text for people, one JSON document for programs, never both. */
import { type Command, Option } from 'commander';
import { EXIT, exitCodeOf, reportError } from './errors.ts';

/** What a command returns: its JSON document, its text, and how it ends. */
export interface Outcome {
  /** The document of `--json`. Bytes appear as lower-case hexadecimal strings. */
  readonly json: unknown;
  /** The same for a person; no trailing newline. */
  readonly text: string;
  /** One of `EXIT`, or a command's own that ran for this one. */
  readonly exitCode?: number;
  /** The document is the last of several, each on its line. */
  readonly streamed?: boolean;
}

/** Add `--json`; every command has it. */
export function withJson(command: Command): Command {
  return command.addOption(new Option('--json', 'print one JSON document instead of text'));
}

/** Run a command's body, print its outcome and set the exit code. Errors are reported, never thrown. */
export async function conclude(json: boolean, body: () => Promise<Outcome>): Promise<void> {
  try {
    const outcome = await body();
    const document = () => JSON.stringify(outcome.json, null, outcome.streamed ? undefined : 2);
    process.stdout.write(json ? `${document()}\n` : outcome.text ? `${outcome.text}\n` : '');
    process.exitCode = outcome.exitCode ?? EXIT.OK;
  } catch (error) {
    reportError(error, json);
    process.exitCode = exitCodeOf(error);
  }
}

/** Text block that `--help` shows under a command's options. */
export function examples(...lines: readonly (readonly [command: string, what: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, what]) => `  $ ${command.padEnd(width)}  ${what}`).join('\n')}\n`;
}

/** Left-aligned columns. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n');
}
