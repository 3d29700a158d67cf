/** The table of call x theorem x time. */
import { writeFileSync } from 'node:fs';
import { proved, type Verdict } from './prover.ts';
import { THEOREMS, type Theorem } from './theorems.ts';

/** Markdown: for each call and theorem the conditions proved and the solvers' seconds. Written to `file` if given. */
export function table(verdicts: readonly Verdict[], seconds: number, solvers: string, file?: string): string {
  const theorems = (Object.keys(THEOREMS) as Theorem[]).filter((name) =>
    verdicts.some(({ condition }) => condition.theorem === name),
  );
  const calls = [...new Set(verdicts.map(({ condition }) => condition.call))];
  const cell = (of: readonly Verdict[]): string => {
    if (of.length === 0) return '';
    const time = of.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
    const failures = of.filter((verdict) => !proved(verdict)).length;
    return `${of.length}${failures > 0 ? ` (${failures} FAILED)` : ''} / ${time.toFixed(1)}`;
  };
  const rows = calls.map((call) => {
    const of = verdicts.filter(({ condition }) => condition.call === call);
    const cells = theorems.map((name) => cell(of.filter(({ condition }) => condition.theorem === name)));
    return `| ${call === '' ? '(once)' : call} | ${cells.join(' | ')} | ${cell(of)} |`;
  });
  const text = [
    `| call | ${theorems.join(' | ')} | all |`,
    `|---|${theorems.map(() => '---').join('|')}|---|`,
    ...rows,
    `| **all** | ${theorems.map((name) => cell(verdicts.filter(({ condition }) => condition.theorem === name))).join(' | ')} | ${cell(verdicts)} |`,
  ].join('\n');
  if (file !== undefined) {
    writeFileSync(file, `Conditions / solver seconds, by ${solvers}; ${seconds.toFixed(0)} s in all.\n\n${text}\n`);
  }
  return text;
}
