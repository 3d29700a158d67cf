/** `nexus attest`: evidence of this platform, for a file or for a verifier. */
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { encodeGuestEvidence, VerifierClient } from '../../attestation/index.ts';
import { askHost, writeFileAtomic } from '../../nexus/host/index.ts';
import { parseManifest } from '../../nexus/launch/index.ts';
import { httpUrl } from '../arguments.ts';
import { EXIT, UsageError } from '../errors.ts';
import { conclude, examples, table, withJson } from '../output.ts';
import { ask } from '../platform.ts';
import { verifyCommand } from './verify.ts';

interface Options {
  readonly json?: boolean;
  readonly state: string;
  readonly nonce?: string;
  readonly out?: string;
  readonly akOut?: string;
  readonly referenceOut?: string;
  readonly manifest: readonly string[];
  readonly verifier?: string;
  readonly guest?: string;
  readonly guestEvidence?: string;
  readonly releaseKey?: string;
}

export function attestCommand(): Command {
  return withJson(new Command('attest').description('evidence of this platform, for a file or a verifier'))
    .addOption(new Option('--state <dir>', 'state directory of the platform').default('./state'))
    .addOption(new Option('--verifier <url>', 'enrol with this verifier and have the evidence appraised'))
    .addOption(new Option('--nonce <hex>', "the relying party's nonce, 8 to 64 bytes"))
    .addOption(new Option('-o, --out <file>', 'write the evidence (docs/evidence.md); needs --nonce'))
    .addOption(new Option('--guest <name>', 'with -o: of a Linux guest of the running host, chained to the platform'))
    .addOption(new Option('--guest-evidence <file>', 'what the guest quoted over the same nonce (docs/evidence.md)'))
    .addOption(new Option('--ak-out <file>', 'write the attestation key (TPMT_PUBLIC), for `nexus verify --ak`'))
    .addOption(new Option('--reference-out <file>', 'write the present PCR values as reference values'))
    .addOption(
      new Option('--manifest <file>', 'in the reference: trust its signer, at its svn or later; may be repeated')
        .default([])
        .argParser((file: string, files: readonly string[]) => [...files, file]),
    )
    .addOption(new Option('--release-key <file>', 'for a platform that this makes: its release key (docs/release.md)'))
    .addHelpText(
      'after',
      examples(
        ['nexus attest --verifier http://127.0.0.1:8080', "the verifier's verdict as an EAR"],
        ['nexus attest --nonce 00112233445566778899aabbccddeeff -o e.cbor --ak-out ak.pub', 'for `nexus verify`'],
        ['nexus attest --reference-out ref.json --manifest vault.manifest', 'record this platform as the reference'],
      ),
    )
    .action((options: Options) => conclude(options.json ?? false, () => attest(options)))
    .enablePositionalOptions()
    .addCommand(verifyCommand());
}

type Asked = (method: string, parameters?: unknown) => Promise<unknown>;

async function attest(options: Options) {
  if (options.verifier !== undefined) httpUrl('--verifier', options.verifier);
  const asked: Asked = (method, parameters) => ask(options.state, method, parameters, options.releaseKey);
  const written: string[] = [];
  if (options.akOut !== undefined) {
    writeFileAtomic(options.akOut, Buffer.from((await asked('attestationKey')) as string, 'hex'));
    written.push(options.akOut);
  }
  if (options.manifest.length > 0 && options.referenceOut === undefined) {
    throw new UsageError('E_USAGE', '--manifest is for --reference-out', 'say where the reference values go');
  }
  if (options.referenceOut !== undefined) {
    const pcrs = (await asked('pcrs')) as Record<string, string>;
    const reference = {
      pcrs: Object.fromEntries(Object.entries(pcrs).map(([index, value]) => [index, [value]])),
      partitions: options.manifest.map(trustedCode),
    };
    writeFileAtomic(options.referenceOut, Buffer.from(`${JSON.stringify(reference, null, 2)}\n`));
    written.push(options.referenceOut);
  }
  if (options.out !== undefined) {
    if (!/^([0-9a-f]{2}){8,64}$/.test(options.nonce ?? '')) {
      throw new UsageError(
        'E_NONCE',
        '--out needs --nonce with 8 to 64 bytes in lower-case hexadecimal',
        'ask the relying party for its nonce',
      );
    }
    const evidence = Buffer.from((await asked('attest', { nonce: options.nonce })) as string, 'hex');
    writeFileAtomic(options.out, options.guest === undefined ? evidence : await withGuest(evidence, options));
    written.push(options.out);
  }
  if (options.verifier !== undefined) return verdict(asked, options.verifier);
  if (written.length === 0) {
    throw new UsageError(
      'E_USAGE',
      'nothing was asked for',
      'name --verifier, or --out with --nonce, --ak-out or --reference-out',
    );
  }
  return { json: { written }, text: written.map((file) => `${file}: written`).join('\n') };
}

function trustedCode(manifest: string): { signer: string; minimumSvn: number } {
  const { signer, svn } = parseManifest(readFileSync(manifest));
  return { signer: Buffer.from(signer).toString('hex'), minimumSvn: svn };
}

/** The host's evidence, and what shows that a guest of this host made its own. */
async function withGuest(host: Uint8Array, { state, guest: name, guestEvidence }: Options): Promise<Uint8Array> {
  if (guestEvidence === undefined) {
    throw new UsageError('E_USAGE', '--guest needs --guest-evidence', 'give what the guest quoted over the nonce');
  }
  const certificate = (await askHost(state, 'ekCertificate', { name })) as string;
  return encodeGuestEvidence({
    host,
    ekCertificate: Buffer.from(certificate, 'hex'),
    guest: readFileSync(guestEvidence),
  });
}

async function verdict(asked: Asked, url: string) {
  const client = new VerifierClient(url);
  const platform = (await asked('enrol', { verifier: url })) as string;
  const { id, nonce } = await client.challenge();
  const evidence = (await asked('attest', { nonce: Buffer.from(nonce).toString('hex') })) as string;
  const reply = await client.attest(id, Buffer.from(evidence, 'hex'));
  const rows = reply.checks.map(({ name, passed, detail }) => [passed ? 'ok' : 'FAILED', name, detail ?? '']);
  return {
    json: { ...reply, platform },
    text: [`${platform}: ${reply.state}`, table(['', 'CHECK', 'DETAIL'], rows), reply.result].join('\n'),
    exitCode: reply.state === 'affirming' ? EXIT.OK : EXIT.REFUSED,
  };
}
