/** Enrolment by the initial attestation key that a manufacturer certified, and everybody who would like to have one. */
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Agent } from '../attestation/agent/agent.ts';
import { VerifierClient } from '../attestation/client.ts';
import { decodeMachineEvidence, encodeMachineEvidence, type MachineEvidence } from '../attestation/machine/evidence.ts';
import { enrolmentNonce } from '../attestation/verifier/nonces.ts';
import { createVerifier, type Verifier } from '../attestation/verifier/verifier.ts';
import { TpmClient } from '../tpm/client/index.ts';
import { createAuthority } from '../tpm/manufacture/authority.ts';
import { type Manufactured, manufacture } from '../tpm/manufacture/index.ts';
import { encode, TPM_ALG, TPMA_OBJECT, TPMT_PUBLIC, TPMT_SIGNATURE } from '../tpm/structures/index.ts';
import { Tpm } from '../tpm/tpm.ts';
import { localTransport } from '../tpm/transports/index.ts';

const IDEVID_HANDLE = 0x81020000;
/** A register that no boot log is about. */
const selection = [{ bank: 'sha256', pcrs: [16] }] as const;
const nowhere = '/nonexistent';

interface Device {
  readonly tpm: TpmClient;
  readonly made: Manufactured;
}

describe('a device with a certified IAK', () => {
  let verifier: Verifier;
  let admin: VerifierClient;
  let device: Device;
  let other: Device;
  let stranger: Device;

  async function factory(authority: Awaited<ReturnType<typeof createAuthority>>): Promise<Device> {
    const tpm = await Tpm.create();
    tpm.powerOn();
    const transport = localTransport(tpm);
    const made = await manufacture(transport, { authority, keys: [], deviceIdentity: true });
    return { tpm: await TpmClient.over(transport), made };
  }

  const agentOf = ({ tpm }: Device, more = {}) =>
    new Agent({ tpm, verifier: admin, key: 'iak', selection, eventLog: nowhere, imaList: nowhere, ...more });

  const certificate = ({ made }: Device, kind: 'iak' | 'idevid'): Uint8Array => {
    const found = made.certificates.find((one) => one.kind === kind);
    if (found === undefined) throw new Error(`no ${kind} certificate`);
    return found.der;
  };

  /** Enrol as `name` on evidence that was changed on its way. */
  const enrolChanged = async (change: (evidence: MachineEvidence) => MachineEvidence, name: string, quoted = name) =>
    admin.enrolDevice(async (nonce) => {
      const evidence = await agentOf(device, { certificates: {} }).evidence(enrolmentNonce(quoted, nonce));
      return encodeMachineEvidence(change(decodeMachineEvidence(evidence)));
    }, name);

  beforeAll(async () => {
    const authority = await createAuthority(new Date());
    [device, other] = await Promise.all([factory(authority), factory(authority)]);
    stranger = await factory(await createAuthority(new Date()));
    verifier = await createVerifier({ database: { memory: true }, manufacturers: authority.chain, jobs: false });
    const token = await verifier.createToken('admin', ['admin']);
    admin = new VerifierClient(await verifier.listen(), { token });
  }, 60_000);
  afterAll(() => verifier.close());

  it('enrols under a name, again under the same, and attests with the key that its manufacturer certified', async () => {
    const agent = agentOf(device, { certificates: {} });
    expect(await agent.enrol('rack-1')).toBe('rack-1');
    expect(await agent.enrol('rack-1')).toBe('rack-1');
    const anchors = device.made.authority.map((der) => Buffer.from(der).toString('base64'));
    await admin.putReference('default', { ...(await agent.reference()), certificates: { anchors, require: ['iak'] } });
    expect(await agent.attest()).toMatchObject({ state: 'affirming', platform: 'rack-1', failed: [] });
    expect((await agentOf(device).attest()).failed).toContain('iak-certificate');
  });

  it('shows its identity: the certificate from NV, and a signature of its key over the nonce and the quoting key', async () => {
    const anchors = device.made.authority.map((der) => Buffer.from(der).toString('base64'));
    const required = { anchors, require: ['iak', 'idevid'] };
    const reference = await agentOf(device).reference();
    await admin.putReference('default', { ...reference, certificates: required });
    const agent = agentOf(device, { certificates: {}, idevid: true });
    const reply = await agent.attest();
    expect(reply).toMatchObject({ state: 'affirming', failed: [] });
    const names = reply.checks.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['idevid-certificate', 'idevid-key', 'device-identity']));
    const { device: shown } = decodeJwt<{ nexus: { device: object } }>(reply.result).nexus as { device: object };
    expect(Object.keys(shown)).not.toEqual([]);
    const without = await agentOf(device, { certificates: {} }).attest();
    expect(without.failed).toEqual(['idevid-certificate', 'idevid-key', 'device-identity']);
    // Another device's identity, with a signature that its own key did make over this nonce.
    const { id, nonce } = await admin.challenge();
    const [mine, theirs] = await Promise.all(
      [agent, agentOf(other, { idevid: true })].map((one) => one.evidence(nonce)),
    );
    const parts = decodeMachineEvidence(mine ?? new Uint8Array());
    const { idevid, signed } = decodeMachineEvidence(theirs ?? new Uint8Array()).certificates ?? {};
    const stolen = { ...parts.certificates, ...(idevid && { idevid }), ...(signed && { signed }) };
    const refused = await admin.attest(id, encodeMachineEvidence({ ...parts, certificates: stolen }));
    expect(refused.failed).toEqual(['idevid-key', 'device-identity']);
  });

  it('is warned of, not refused, where it need not show more than a certificate', async () => {
    const anchors = device.made.authority.map((der) => Buffer.from(der).toString('base64'));
    await admin.putReference('default', {
      ...(await agentOf(device).reference()),
      certificates: { anchors, require: [] },
    });
    const { id, nonce } = await admin.challenge();
    const parts = decodeMachineEvidence(await agentOf(device, { idevid: true }).evidence(nonce));
    const { idevid = [] } = parts.certificates ?? {};
    const bare = encodeMachineEvidence({ ...parts, certificates: { idevid } });
    expect(await admin.attest(id, bare)).toMatchObject({ state: 'warning', failed: ['idevid-key', 'device-identity'] });
  });

  it('says so when the TPM holds no identity', async () => {
    const tpm = await Tpm.create();
    tpm.powerOn();
    const transport = localTransport(tpm);
    await manufacture(transport, { authority: await createAuthority(new Date()), keys: ['p256'] });
    const bare = { tpm: await TpmClient.over(transport), made: device.made };
    const agent = agentOf(bare, { key: 'ecc', idevid: true });
    await expect(agent.evidence(new Uint8Array(32))).rejects.toMatchObject({ code: 'E_AGENT_NO_IDEVID' });
  });

  it('is named after its key where it wishes no name, and takes no name of another', async () => {
    await expect(agentOf(other).enrol('rack-1')).rejects.toMatchObject({ code: 'platform-taken' });
    expect(await agentOf(other).enrol()).toMatch(/^iak-[0-9a-f]{32}$/);
    await expect(agentOf(other).enrol('rack-2')).rejects.toMatchObject({ code: 'platform-taken' });
  });

  it('is refused when nobody trusted certified it', async () => {
    const refused = { code: 'iak-untrusted', failed: ['iak-certificate'] };
    await expect(agentOf(stranger).enrol('rack-3')).rejects.toMatchObject(refused);
    const without = enrolChanged(({ certificates: _, ...evidence }) => evidence, 'rack-3');
    await expect(without).rejects.toMatchObject(refused);
  });

  it('cannot show the certificate of another device', async () => {
    const changed = enrolChanged(
      (evidence) => ({ ...evidence, certificates: { iak: [certificate(other, 'iak')] } }),
      'rack-3',
    );
    await expect(changed).rejects.toMatchObject({ code: 'iak-untrusted', failed: ['iak-key'] });
  });

  it('cannot pass its IDevID, which signs anything, for an IAK', async () => {
    const { outPublic } = await device.tpm.ReadPublic({ objectHandle: IDEVID_HANDLE });
    const scheme = { scheme: TPM_ALG.RSAPSS, details: { hashAlg: TPM_ALG.SHA256 } } as const;
    if (outPublic.type !== TPM_ALG.RSA) throw new Error('an RSA key was made');
    const claimed = {
      ...outPublic,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: outPublic.objectAttributes | TPMA_OBJECT.restricted,
      parameters: { ...outPublic.parameters, scheme },
    };
    const refused = admin.enrolDevice(async (nonce) => {
      const evidence = decodeMachineEvidence(await agentOf(device).evidence(enrolmentNonce('rack-3', nonce)));
      const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', Uint8Array.from(evidence.quoted)));
      const { signature } = await device.tpm.Sign({
        keyHandle: IDEVID_HANDLE,
        digest,
        inScheme: scheme,
        validation: { tag: 0x8024, hierarchy: 0x40000007, digest: new Uint8Array() },
      });
      return encodeMachineEvidence({
        ...evidence,
        akPublic: encode(TPMT_PUBLIC, claimed),
        signature: encode(TPMT_SIGNATURE, signature),
        certificates: { iak: [certificate(device, 'idevid')] },
      });
    }, 'rack-3');
    await expect(refused).rejects.toMatchObject({ code: 'iak-untrusted', failed: ['iak-certificate'] });
  });

  it('proves possession by a quote over this nonce and this name, once', async () => {
    const refused = { code: 'possession-refused', failed: ['proof-of-possession'] };
    await expect(enrolChanged((evidence) => evidence, 'rack-3', 'rack-4')).rejects.toMatchObject(refused);
    const forged = (evidence: MachineEvidence): MachineEvidence => {
      const quoted = evidence.quoted.slice();
      quoted[quoted.length - 1] = (quoted.at(-1) ?? 0) ^ 1;
      return { ...evidence, quoted };
    };
    await expect(enrolChanged(forged, 'rack-1')).rejects.toMatchObject(refused);
    const { id, nonce } = await verifier.service.deviceEnrolment.begin({
      tenant: 'default',
      actor: 't',
      roles: new Set(),
    });
    const evidence = await agentOf(device, { certificates: {} }).evidence(enrolmentNonce('rack-1', nonce));
    const finish = (challenge: string) =>
      verifier.service.deviceEnrolment.finish(
        { tenant: 'default', actor: 't', roles: new Set() },
        challenge,
        evidence,
        'rack-1',
      );
    expect((await finish(id)).platform).toBe('rack-1');
    await expect(finish(id)).rejects.toMatchObject({ code: 'challenge-spent' });
    await expect(finish((await admin.challenge()).id)).rejects.toMatchObject({ code: 'challenge-spent' });
  });

  it('is refused with what is no evidence, and stays unknown', async () => {
    const refused = admin.enrolDevice(async () => Uint8Array.of(1, 2, 3), 'rack-5');
    await expect(refused).rejects.toMatchObject({ code: 'evidence-malformed' });
  });
});
