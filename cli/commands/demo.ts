/** `nexus demo`: the main job, end to end, on real x86 code. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { EngineChoice } from '../../vmm/index.ts';
import { type DemoProgress, runDemo } from '../demo/demo.ts';
import { type DemoReport, reportText } from '../demo/report.ts';
import { EXIT, type ExitCode, isStateCode } from '../errors.ts';
import { conclude, examples, withJson } from '../output.ts';

interface Options {
  readonly json?: boolean;
  readonly engine: EngineChoice;
  readonly keep?: string;
  readonly verbose?: boolean;
}

export function demoCommand(): Command {
  return withJson(new Command('demo').description('boot, attest, seal, restart, and refuse tampering'))
    .addOption(new Option('--keep <dir>', 'keep the state in this directory; run again on it to continue'))
    .addOption(
      new Option('--engine <name>', 'what runs the partitions; v86 runs anywhere')
        .choices(['auto', 'v86', 'kvm'])
        .default('v86'),
    )
    .addOption(new Option('--verbose', 'show what happens inside each stage'))
    .addHelpText(
      'after',
      examples(
        ['nexus demo', 'everything in a directory that is removed at the end'],
        ['nexus demo --keep ./state', 'the same platform, seals and enrolment next time'],
        ['nexus demo --json', 'the evidence of every stage as one JSON document'],
      ),
    )
    .action((options: Options) => conclude(options.json ?? false, () => demo(options)));
}

async function demo(options: Options) {
  const directory = options.keep === undefined ? mkdtempSync(join(tmpdir(), 'nexus-demo-')) : resolve(options.keep);
  const removeState = () => {
    if (options.keep === undefined) rmSync(directory, { recursive: true, force: true });
  };
  const interrupted = () => {
    process.stderr.write('interrupted\n');
    removeState();
    process.exit(130);
  };
  process.once('SIGINT', interrupted);
  process.once('SIGTERM', interrupted);
  try {
    const report = await runDemo(directory, options.engine, progressOn(process.stderr, options.verbose ?? false));
    return { json: report, text: reportText(report), exitCode: exitOf(report) };
  } finally {
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
    removeState();
  }
}

function exitOf({ ok, stages }: DemoReport): ExitCode {
  if (ok) return EXIT.OK;
  return stages.some(({ error }) => error !== undefined && isStateCode(error.code)) ? EXIT.STATE : EXIT.REFUSED;
}

/** Lines with the elapsed time, on standard error: standard output is the report's. */
function progressOn(stream: NodeJS.WriteStream, verbose: boolean): DemoProgress {
  const started = performance.now();
  const line = (text: string) => {
    const elapsed = ((performance.now() - started) / 1000).toFixed(1).padStart(5);
    stream.write(`${elapsed} s  ${text}\n`);
  };
  return {
    stage: (name) => line(`${name} …`),
    note: (text) => {
      // Acknowledgements are always shown: a test that kills this process holds it to them.
      if (verbose || text.startsWith('acknowledged')) line(`  ${text}`);
    },
    stageEnded: (stage) => line(`${stage.name}: ${stage.ok ? 'ok' : 'FAILED'} in ${stage.seconds.toFixed(1)} s`),
  };
}
