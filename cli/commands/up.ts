/** `nexus up`: start a host from its description and stay until Ctrl-C. */

import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { Command, Option } from 'commander';
import { Host, type HostEvent, parseHostConfig } from '../../nexus/host/index.ts';
import { EXIT } from '../errors.ts';
import { conclude, examples, withJson } from '../output.ts';
import { readStatement } from './release.ts';

interface Options {
  readonly json?: boolean;
  readonly untilExit?: boolean;
  readonly release?: string;
}

export function upCommand(): Command {
  return withJson(new Command('up').description('start a host from host.yaml; Ctrl-C stops it in order'))
    .argument('<host.yaml>', 'the description of the host (docs/host-yaml.md)')
    .addOption(new Option('--until-exit', 'end when every partition has ended'))
    .addOption(new Option('--release <file>', 'release statement of this build, after an upgrade (docs/release.md)'))
    .addHelpText(
      'after',
      examples(
        ['nexus up host.yaml', "each partition's console appears prefixed by its name"],
        ['nexus up host.yaml --json', 'one JSON event per line instead'],
        ['nexus up host.yaml --until-exit', 'for scripts: exit 1 when a partition crashed'],
        ['nexus up host.yaml --release nexus.release', 'the first start after an upgrade'],
      ),
    )
    .action((file: string, options: Options) => conclude(options.json ?? false, () => up(file, options)));
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true;

async function up(file: string, options: Options) {
  const config = parseHostConfig(readFileSync(file, 'utf8'), file, isFile);
  const print = options.json ? printJson : printLine(Math.max(...config.partitions.map(({ name }) => name.length)));
  let running = config.partitions.length;
  let crashed = false;
  let allEnded = () => {};
  const ended = new Promise<void>((done) => {
    allEnded = done;
  });
  const observe = (event: HostEvent) => {
    print(event);
    if (event.kind !== 'exit') return;
    crashed ||= event.crashed;
    if (--running === 0) allEnded();
  };
  const release = options.release === undefined ? undefined : readStatement(options.release);
  const host = await Host.start(config, observe, release);
  const interrupted = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await (options.untilExit ? Promise.race([interrupted, ended]) : interrupted);
  await host.stop();
  const exitCode = options.untilExit && crashed ? EXIT.REFUSED : EXIT.OK;
  return { json: { kind: 'stopped' }, text: 'stopped', streamed: true, exitCode };
}

const printJson = (event: HostEvent) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** Events as lines of text, the partition's name in front. */
function printLine(width: number): (event: HostEvent) => void {
  const line = (name: string, text: string) => process.stdout.write(`${name.padEnd(width)} | ${text}\n`);
  /** What each partition's console said last. */
  const said = new Map<string, string>();
  let away = false;
  return (event) => {
    switch (event.kind) {
      case 'platform':
        line('nexus', `platform up, PCR 17 ${event.pcrs[17] ?? ''}`);
        if (event.release !== undefined)
          line('nexus', `sealed anew to this build, a release of version ${event.release}`);
        break;
      case 'verifier-away':
        away = true;
        line('nexus', `warning: ${event.verifier}: ${event.code}: ${event.detail} Guests run; it is asked again.`);
        break;
      case 'enrolled':
        if (away) line('nexus', `${event.verifier}: enrolled as ${event.platform}`);
        break;
      case 'partition':
        line(
          event.name,
          `${event.type} partition ${event.id} on ${event.engine}, identity ${event.codeIdentity ?? 'none'}`,
        );
        break;
      case 'console':
        said.set(event.name, event.line);
        line(event.name, event.line);
        break;
      case 'result':
        // The guest SDK prints a result before it sends it.
        if (said.get(event.name) !== event.line) line(event.name, event.line);
        break;
      case 'verdict':
        line(event.name, event.released ? 'verifier: released' : `verifier: ${event.code}: ${event.detail}`);
        break;
      case 'refusal':
        line(event.name, `${event.call} refused by ${event.layer}: ${event.code}`);
        break;
      case 'exit':
        line(event.name, `${event.crashed ? 'crashed' : 'ended'}: ${event.reason}`);
        break;
      case 'suspended':
        line(event.name, `suspended; nexus snapshot restore ${event.name} FILE, or discard, continues`);
        break;
      case 'ready':
        line('nexus', 'ready');
        break;
      case 'durable':
      case 'evidence':
        break;
    }
  };
}
