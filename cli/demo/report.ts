/** What the demo shows: stages with their evidence, and refusals with the layer that refused. */
import { table } from '../output.ts';

/** Something that had to be refused, and what answered. */
export interface Refusal {
  readonly attempt: string;
  /** Who refused: launch, core, services, TPM or verifier. */
  readonly layer: string;
  /** The refusal's code; empty when it was not refused. */
  readonly code: string;
  readonly refused: boolean;
}

export interface Stage {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  /** One line for the table. */
  readonly summary: string;
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly refusals?: readonly Refusal[];
  readonly error?: { readonly code: string; readonly message: string; readonly remedy?: string };
}

export interface DemoReport {
  readonly ok: boolean;
  readonly seconds: number;
  readonly stages: readonly Stage[];
}

export function reportText(report: DemoReport): string {
  const stages = report.stages.map((stage) => [
    stage.ok ? 'ok' : 'FAILED',
    stage.name,
    `${stage.seconds.toFixed(1)} s`,
    stage.error ? `${stage.error.code}: ${stage.error.message}` : stage.summary,
  ]);
  const refusals = report.stages
    .flatMap((stage) => stage.refusals ?? [])
    .map(({ attempt, layer, code, refused }) => [refused ? 'refused' : 'NOT REFUSED', attempt, layer, code]);
  const waysOut = report.stages.flatMap(({ error }) => (error?.remedy ? [`way out: ${error.remedy}`, ''] : []));
  return [
    table(['', 'STAGE', 'TIME', 'WHAT HAPPENED'], stages),
    '',
    ...(refusals.length === 0 ? [] : [table(['', 'ATTEMPT', 'LAYER', 'CODE'], refusals), '']),
    ...waysOut,
    `${report.ok ? 'Every stage behaved' : 'NOT every stage behaved'}, in ${report.seconds.toFixed(1)} s.`,
  ].join('\n');
}
