/**
 * The demo: a platform boots, a trusted partition runs beside a standard one, is attested, receives a secret, seals it,
 * opens it after a restart, and tampering is refused. Every host is a process of its own; the verifier is this one.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVerifier, type Verifier, VerifierClient, VerifierRefusal } from '../../attestation/index.ts';
import type { HostConfig, HostEvent, PartitionConfig, VerdictEvent } from '../../nexus/host/index.ts';
import { type EventOf, HostClient, HostFailure } from './host-client.ts';
import type { DemoReport, Refusal, Stage } from './report.ts';
import { type Code, changedNexus, prepareWorkspace, type Workspace } from './workspace.ts';

const MEMORY = 16 * 2 ** 20;
const RESOURCE = 'vault-secret';
const HOST_PROGRAM = fileURLToPath(new URL('./host-process.js', import.meta.url));
/** Refused hypercalls of the neighbour that the demo demands. */
const REFUSED_CALLS_WANTED = 20;

export interface DemoProgress {
  /** A stage begins. */
  stage(name: string): void;
  /** Something happened in it. */
  note(text: string): void;
  stageEnded(stage: Stage): void;
}

type StageResult = Pick<Stage, 'summary' | 'evidence' | 'refusals'>;

/** Run all stages in `directory`, which is the platform's and the verifier's state. Later stages need earlier ones. */
export async function runDemo(
  directory: string,
  engine: HostConfig['engine'],
  progress: DemoProgress,
): Promise<DemoReport> {
  const started = performance.now();
  const workspace = await prepareWorkspace(directory);
  const demo = new Demo(workspace, directory, engine, progress);
  const stages: Stage[] = [];
  try {
    for (const [name, body] of demo.stages()) {
      const stage = await runStage(name, body, progress);
      stages.push(stage);
      progress.stageEnded(stage);
      if (!stage.ok) break;
    }
  } finally {
    await demo.close();
  }
  const ok = stages.length === demo.stages().length && stages.every((stage) => stage.ok);
  return { ok, seconds: (performance.now() - started) / 1000, stages };
}

async function runStage(name: string, body: () => Promise<StageResult>, progress: DemoProgress): Promise<Stage> {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  progress.stage(name);
  try {
    const result = await body();
    const ok = (result.refusals ?? []).every(({ refused }) => refused);
    return { name, ok, seconds: seconds(), ...result };
  } catch (error) {
    const { code, remedy } = error as { code?: unknown; remedy?: unknown };
    const message = error instanceof Error ? error.message : String(error);
    const wayOut = typeof remedy === 'string' && remedy !== '' ? { remedy } : {};
    const failure = { code: typeof code === 'string' ? code : 'E_INTERNAL', message, ...wayOut };
    return { name, ok: false, seconds: seconds(), summary: '', evidence: {}, error: failure };
  }
}

class Demo {
  private readonly workspace: Workspace;
  private readonly directory: string;
  private readonly engine: HostConfig['engine'];
  private readonly progress: DemoProgress;
  private readonly hosts = new Set<HostClient>();
  private verifier: Verifier | undefined;
  private verifierUrl = '';
  /** From the first two stages: what the verifier is told to expect of this build. */
  private measured: EventOf<'platform'> | undefined;
  private vault: EventOf<'partition'> | undefined;
  /** From the attestation stage: the evidence that was accepted, to be replayed. */
  private accepted: Uint8Array = new Uint8Array();

  constructor(workspace: Workspace, directory: string, engine: HostConfig['engine'], progress: DemoProgress) {
    this.workspace = workspace;
    this.directory = directory;
    this.engine = engine;
    this.progress = progress;
  }

  stages(): (readonly [name: string, body: () => Promise<StageResult>])[] {
    return [
      ['platform', () => this.platform()],
      ['partitions', () => this.partitions()],
      ['attestation', () => this.attestation()],
      ['sealing', () => this.sealing()],
      ['refusals', () => this.refusals()],
    ];
  }

  async close(): Promise<void> {
    for (const host of this.hosts) host.kill();
    await this.verifier?.close();
  }

  /** The TPM is manufactured once, the boot chain measured, the nexus launched late, the log replayed. */
  private async platform(): Promise<StageResult> {
    const host = this.startHost([], {});
    const up = await host.until('the platform', () => host.of('platform')[0]);
    await this.stopHost(host);
    this.measured = up;
    for (const [index, value] of Object.entries(up.pcrs)) {
      if (up.replayed[Number(index)] !== value)
        throw new HostFailure('E_REPLAY', `PCR ${index} is not what the log says`);
    }
    return {
      summary: `${up.manufactured ? 'TPM manufactured' : 'TPM as it was'}, ${up.events} events, PCR 17 ${short(up.pcrs[17])}`,
      evidence: { ...up },
    };
  }

  /** Two guests share a page by a grant, and the page is gone when the grant is. */
  private async partitions(): Promise<StageResult> {
    const host = this.startHost(
      [
        trusted('vault', this.workspace.vault, 'share peer=2 grant=0 page=0 channel=0 frame=0'),
        standard('neighbour', this.workspace.neighbourImage, 'share peer=1 grant=0 page=16 channel=0'),
      ],
      { channels: [['vault', 'neighbour']] },
    );
    const [, heardByVault] = await host.result('vault', /^shared heard="(.*)"$/);
    const [, heardByNeighbour, afterRevoke] = await host.result(
      'neighbour',
      /^shared heard="(.*)" after-revoke=0x([0-9a-f]+)$/,
    );
    await this.stopHost(host);
    if (afterRevoke !== 'ffffffff') throw new HostFailure('E_REVOKE', 'the page was still there after the revocation');
    const vault = host.of('partition', 'vault')[0];
    this.vault = vault;
    return {
      summary: `vault ${short(vault?.codeIdentity)} and neighbour shared a page, then did not`,
      evidence: {
        partitions: host.of('partition'),
        heardByVault,
        heardByNeighbour,
        afterRevoke,
        exits: host.of('exit'),
      },
    };
  }

  /** The verifier enrols the platform, appraises the vault, and its broker releases a secret to the vault's key. */
  private async attestation(): Promise<StageResult> {
    await this.startVerifier();
    const host = this.startHost([trusted('vault', this.workspace.vault, 'provision')], {
      verifierUrl: this.verifierUrl,
    });
    const [, digest, identity] = await host.result(
      'vault',
      /^provisioned sha256=([0-9a-f]{64}) identity=([0-9a-f]{64})$/,
    );
    await this.stopHost(host);
    this.requireSecret(digest);
    const verdict = host.of('verdict', 'vault').find(({ released }) => released);
    const evidence = host.of('evidence', 'vault')[0];
    if (verdict?.ear === undefined || evidence === undefined)
      throw new HostFailure('E_VERDICT', 'no verdict was reported');
    this.accepted = Buffer.from(evidence.evidence, 'hex');
    return {
      summary: `enrolled, EAR ${verdict.detail}, secret ${short(digest)} released to the vault's key`,
      evidence: {
        enrolled: host.of('enrolled')[0],
        evidenceBytes: this.accepted.length,
        ear: verdict.ear,
        earStatus: verdict.detail,
        codeIdentity: identity,
        secretSha256: digest,
        sealedBlobs: host.of('durable', 'vault').map(({ detail }) => detail),
      },
    };
  }

  /** A new process on the same state: the vault opens both blobs with no verifier in reach. */
  private async sealing(): Promise<StageResult> {
    const host = this.startHost([trusted('vault', this.workspace.vault, 'unseal')], {});
    const [, byIdentity] = await host.result('vault', /^unsealed selector=identity sha256=([0-9a-f]{64})/);
    const [, bySigner] = await host.result('vault', /^unsealed selector=signer sha256=([0-9a-f]{64})/);
    await this.stopHost(host);
    this.requireSecret(byIdentity);
    this.requireSecret(bySigner);
    return {
      summary: 'after a restart and without network, both blobs open to the same secret',
      evidence: { byIdentity, bySigner, rootSecretCreated: host.of('platform')[0]?.rootSecretCreated },
    };
  }

  private async refusals(): Promise<StageResult> {
    const evidence: Record<string, unknown> = {};
    const refusals = [
      await this.tamperedUnderManifest(),
      ...(await this.hostilePartitions(evidence)),
      await this.changedNexus(evidence),
      ...(await this.replays(evidence)),
    ];
    return {
      summary: `${refusals.filter(({ refused }) => refused).length} of ${refusals.length} attempts refused`,
      evidence,
      refusals,
    };
  }

  /** One byte of the image changed, under the manifest of the unchanged one. */
  private async tamperedUnderManifest(): Promise<Refusal> {
    const host = this.startHost([trusted('tampered', this.workspace.tamperedUnderManifest, 'unseal')], {});
    const { code } = await host.refusal();
    return {
      attempt: 'launch a changed image under the old manifest',
      layer: 'launch',
      code,
      refused: code === 'E_MANIFEST',
    };
  }

  private async hostilePartitions(evidence: Record<string, unknown>): Promise<Refusal[]> {
    const { tampered, downgraded, neighbourImage } = this.workspace;
    const host = this.startHost(
      [
        trusted('tampered', tampered, 'unseal'),
        trusted('impostor', tampered, 'provision'),
        trusted('downgraded', downgraded, 'unseal'),
        trusted('outdated', downgraded, 'provision'),
        standard('neighbour', neighbourImage, 'attack partition=1 frame=0'),
      ],
      { verifierUrl: this.verifierUrl },
    );
    const unsealRefused = async (partition: string, blob: string) => {
      const [, code] = await host.result(
        partition,
        new RegExp(`^refused op=UNSEAL name=vault/${blob} code=(0x[0-9a-f]+)$`),
      );
      return code ?? '';
    };
    const verdictOf = async (partition: string) => {
      await host.result(partition, /^failed op=RELEASE code=0x46$/);
      return host.of('verdict', partition).find(({ released }) => !released);
    };
    const tamperedCode = await unsealRefused('tampered', 'identity');
    const impostor = await verdictOf('impostor');
    const downgradedCode = await unsealRefused('downgraded', 'signer');
    const outdated = await verdictOf('outdated');
    const [, refusedCalls, acceptedCalls] = await host.result('neighbour', /^done refused=(\d+) accepted=(\d+)$/);
    await this.stopHost(host);
    const calls = host.of('refusal', 'neighbour');
    const identities = Object.fromEntries(host.of('partition').map(({ name, codeIdentity }) => [name, codeIdentity]));
    Object.assign(evidence, { identities, impostor, outdated, neighbourCalls: calls });
    const unsealByNeighbour = calls.find(({ call }) => call === 'UNSEAL');
    const core = calls.filter(({ layer }) => layer === 'core');
    return [
      refusal('unseal by a changed image (other measurement)', 'services', tamperedCode, tamperedCode === '0x43'),
      verdictRefusal('attest a changed image', impostor, 'code-identity'),
      refusal('unseal by an older security version', 'services', downgradedCode, downgradedCode === '0x44'),
      verdictRefusal('attest an older security version', outdated, 'security-version'),
      refusal(
        'unseal by the standard guest',
        'services',
        unsealByNeighbour?.code.split(' ')[0] ?? '',
        unsealByNeighbour?.code.startsWith('DENIED') === true,
      ),
      refusal(
        `${refusedCalls} calls of the standard guest on what is not its own`,
        'core',
        [...new Set(core.map(({ code }) => code))].join(' '),
        new Set(core.map(({ call }) => call)).size >= REFUSED_CALLS_WANTED && acceptedCalls === '0',
      ),
    ];
  }

  /** One file of the nexus changed: PCR 17 differs, so the root secret stays sealed. */
  private async changedNexus(evidence: Record<string, unknown>): Promise<Refusal> {
    const { entry, file } = changedNexus(this.directory);
    const host = this.startHost([trusted('vault', this.workspace.vault, 'unseal')], {}, entry);
    const failure = await host.refusal();
    evidence.changedNexus = { file, error: failure.message, code: failure.code };
    const answer = /TPM_RC_\w+/.exec(failure.message)?.[0] ?? '';
    const refused = failure.code === 'E_ROOT_SEALED' && answer === 'TPM_RC_POLICY_FAIL';
    return refusal('boot a changed nexus', 'TPM', `${answer} (${failure.code})`, refused);
  }

  /** Evidence that was accepted, sent again: under its own spent challenge it cannot be, under a new one it must not. */
  private async replays(evidence: Record<string, unknown>): Promise<Refusal[]> {
    const client = new VerifierClient(this.verifierUrl);
    const { id } = await client.challenge();
    const verdict = await client.attest(id, this.accepted);
    evidence.replay = verdict;
    let spent = '';
    try {
      await client.attest(id, this.accepted);
    } catch (error) {
      if (!(error instanceof VerifierRefusal)) throw error;
      spent = error.code;
    }
    return [
      refusal(
        "replay yesterday's evidence",
        'verifier',
        verdict.failed.join(' '),
        verdict.failed.includes('quote-binding'),
      ),
      refusal('use a challenge twice', 'verifier', spent, spent === 'challenge-spent'),
    ];
  }

  private requireSecret(digest: string | undefined): void {
    const wanted = createHash('sha256').update(this.workspace.secret).digest('hex');
    if (digest !== wanted) throw new HostFailure('E_SECRET', `the vault has ${digest}, the broker released ${wanted}`);
  }

  /** The verifier trusts the platform's manufacturer, and knows this build of the nexus and of the vault. */
  private async startVerifier(): Promise<void> {
    const verifier = await createVerifier({
      database: { directory: this.workspace.verifierDirectory },
      manufacturers: [readFileSync(join(this.workspace.stateDirectory, 'manufacturer.pem'), 'utf8')],
    });
    this.verifier = verifier;
    this.verifierUrl = await verifier.listen();
    const operator = new VerifierClient(this.verifierUrl, {
      token: await verifier.createToken('demo', ['operator', 'broker']),
    });
    const { codeIdentity, signer, svn = 0 } = this.vault ?? {};
    await operator.putReference('default', {
      pcrs: Object.fromEntries([0, 4, 17, 18].map((index) => [index, [this.measured?.pcrs[index]]])),
      partitions: [{ codeIdentity, signer, minimumSvn: svn }],
    });
    await operator.putResource(RESOURCE, {
      content: this.workspace.secret,
      policy: { codeIdentity: [codeIdentity], signer: [signer], minimumSvn: svn },
    });
    this.progress.note(`verifier on ${this.verifierUrl}`);
  }

  private startHost(
    partitions: readonly PartitionConfig[],
    more: Partial<Pick<HostConfig, 'verifierUrl' | 'channels'>>,
    program = HOST_PROGRAM,
  ): HostClient {
    const config: HostConfig = {
      stateDirectory: this.workspace.stateDirectory,
      tpm: 'embedded',
      engine: this.engine,
      partitions,
      channels: [],
      ...more,
    };
    const host = new HostClient(program, config, (event) => this.note(event));
    this.hosts.add(host);
    return host;
  }

  private async stopHost(host: HostClient): Promise<void> {
    await host.stop();
    this.hosts.delete(host);
  }

  private note(event: HostEvent): void {
    if (event.kind === 'platform') this.progress.note(`acknowledged counter boots ${event.boots}`);
    else if (event.kind === 'durable') this.progress.note(`acknowledged ${event.what} ${event.detail}`);
    else if (event.kind === 'enrolled') this.progress.note(`acknowledged enrolment ${event.platform}`);
    else if (event.kind === 'partition')
      this.progress.note(`${event.name} launched, ${event.populatedFrames} frames measured`);
    else if (event.kind === 'result') this.progress.note(`${event.name}: ${event.line}`);
  }
}

const trusted = (name: string, code: Code, mode: string): PartitionConfig => ({
  name,
  kind: 'trusted',
  image: code.image,
  manifest: code.manifest,
  memoryBytes: MEMORY,
  commandLine: '',
  mode,
});

const standard = (name: string, image: string, mode: string): PartitionConfig => ({
  name,
  kind: 'standard',
  image,
  memoryBytes: MEMORY,
  commandLine: '',
  mode,
});

const refusal = (attempt: string, layer: string, code: string, refused: boolean): Refusal => ({
  attempt,
  layer,
  code,
  refused,
});

/** The verifier's refusal names the claim at fault. */
const verdictRefusal = (attempt: string, verdict: VerdictEvent | undefined, claim: string): Refusal =>
  refusal(attempt, 'verifier', verdict?.failed?.join(' ') ?? '', verdict?.failed?.includes(claim) === true);

const short = (hex: string | undefined) => `${hex?.slice(0, 12) ?? '?'}…`;
