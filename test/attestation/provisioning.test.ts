/** CoRIM provisioned to the service: by whom, what it does to verdicts, and how it is taken back. */
import { generateKeyPairSync, KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { VerifierClient } from '../../attestation/client.ts';
import { SHA256 } from '../../attestation/hash.ts';
import { verifyAudit } from '../../attestation/verifier/audit-chain.ts';
import { authority, der, issue, newKeys } from '../support/certificate-authority.ts';
import { base64, corim, type Manifest, signedCorim } from './corim.ts';
import { corpusBytes, corpusFiles, corpusIsThere, WHY_SKIPPED } from './corpus.ts';
import { type EnrolledMachine, enrolledMachine } from './enrolled-machine.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('ed25519');
const spki = (key: KeyObject) => base64(key.export({ format: 'der', type: 'spki' }));
const none = new Uint8Array(32).fill(9);

let now = new Date('2026-01-01T00:00:00Z');
let host: EnrolledMachine;
let supplier: VerifierClient;
let registers: Record<number, readonly Uint8Array[]>;

beforeAll(async () => {
  host = await enrolledMachine({ clock: () => now, rateLimit: false });
  supplier = new VerifierClient(host.base, { token: await host.verifier.createToken('supplier', ['provisioner']) });
  registers = { 7: [host.machine.parts().pcrs.get(SHA256.id)?.get(7) ?? none] };
});
afterAll(() => host?.verifier.close());

beforeEach(async () => {
  now = new Date('2026-01-01T00:00:00Z');
  for (const { id } of await host.admin.endorsements()) await host.admin.removeEndorsement(id);
  await host.admin.putEndorser('acme', { keys: [spki(publicKey)] });
  await host.admin.putEndorser('rival', { keys: [spki(other.publicKey)] });
  await host.admin.putReference('default', host.reference({ endorsements: [{ endorser: 'acme' }] }));
});

const byAcme = (manifest: Manifest = {}) => signedCorim({ registers, ...manifest }, privateKey);
const verdict = async () => {
  const { state, failed } = await host.attest();
  return { state, failed };
};
const AFFIRMING = { state: 'affirming', failed: [] };
const REFUSED = 'reference-pcr-sha256-7';

describe('a provisioned CoRIM', () => {
  test('counts where reference values choose its endorser; without any, nothing is affirmed', async () => {
    expect(await verdict()).toEqual({ state: 'contraindicated', failed: ['endorsements'] });
    const reply = await supplier.provision(byAcme());
    expect(reply).toMatchObject({
      corim: 'example-manifest',
      endorser: 'acme',
      state: 'in-force',
      tags: [{ id: 'firmware', version: 1 }],
    });
    const { checks } = await host.attest();
    expect(checks.filter(({ name }) => /^(endorsements|reference-)/.test(name))).toEqual([
      { name: 'reference-values', passed: true },
      { name: 'endorsements', passed: true },
      { name: REFUSED, passed: true },
    ]);
    // What nobody chose changes no verdict.
    await host.admin.putReference('default', host.reference({ pcrs: { sha256: { 7: ['09'.repeat(32)] } } }));
    expect(await verdict()).toEqual({ state: 'contraindicated', failed: [REFUSED] });
  });

  test('sent again is the same record', async () => {
    const bytes = byAcme();
    const first = await supplier.provision(bytes);
    expect(await supplier.provision(bytes)).toEqual(first);
    expect(await supplier.endorsements()).toHaveLength(1);
  });

  test('is superseded by a newer version of its tag, of the same endorser alone', async () => {
    await supplier.provision(byAcme());
    await supplier.provision(signedCorim({ registers: { 7: [none] }, tagVersion: 9 }, other.privateKey));
    expect(await verdict()).toEqual(AFFIRMING);
    const newer = await supplier.provision(byAcme({ registers: { 7: [none] }, tagVersion: 2 }));
    expect(await verdict()).toEqual({ state: 'expired', failed: [REFUSED] });
    const kept = (await host.admin.endorsements()).map(({ endorser, state, tags }) => [
      endorser,
      tags[0]?.version,
      state,
    ]);
    expect(kept.sort()).toEqual([
      ['acme', 1, 'superseded'],
      ['acme', 2, 'in-force'],
      ['rival', 9, 'in-force'],
    ]);
    // One that comes late, or is replayed, takes nobody's place.
    await supplier.provision(byAcme({ registers: { 7: [none, none.map(() => 1)] } }));
    expect((await verdict()).state).toBe('expired');
    await host.admin.revokeEndorsement(newer.id, 'withdrawn');
    expect(await verdict()).toEqual(AFFIRMING);
  });

  test('that is revoked makes revoked, that is out of date expired, that is removed unknown', async () => {
    const { id } = await supplier.provision(byAcme({ notAfter: new Date('2026-06-01T00:00:00Z') }));
    now = new Date('2026-07-01T00:00:00Z');
    expect(await verdict()).toEqual({ state: 'expired', failed: [REFUSED] });
    now = new Date('2026-01-02T00:00:00Z');
    await host.admin.revokeEndorsement(id, 'CVE-2026-0001');
    expect(await host.attest()).toMatchObject({
      state: 'revoked',
      failed: [REFUSED],
      ear: 'contraindicated',
      fleet: 'revoked',
    });
    await host.admin.removeEndorsement(id);
    expect(await verdict()).toEqual({ state: 'contraindicated', failed: ['endorsements'] });
  });

  test('that was revoked is refused until it is removed', async () => {
    const bytes = byAcme();
    const { id } = await supplier.provision(bytes);
    await host.admin.revokeEndorsement(id, 'by mistake');
    await expect(supplier.provision(bytes)).rejects.toMatchObject({ code: 'endorsement-revoked', status: 409 });
    await host.admin.removeEndorsement(id);
    expect(await supplier.provision(bytes)).toMatchObject({ id, state: 'in-force' });
  });

  test('falls with its endorser, and with the key that it was signed by', async () => {
    await supplier.provision(byAcme());
    await host.admin.putEndorser('acme', { keys: [spki(other.publicKey)] });
    expect(await host.admin.endorsements()).toMatchObject([{ state: 'untrusted' }]);
    expect(await verdict()).toEqual({ state: 'revoked', failed: [REFUSED] });
    await host.admin.putEndorser('acme', { keys: [spki(other.publicKey), spki(publicKey)] });
    expect(await verdict()).toEqual(AFFIRMING);
    await host.admin.removeEndorser('acme');
    expect(await verdict()).toEqual({ state: 'revoked', failed: [REFUSED] });
  });

  test('may carry the certificates of its signer, which lead to an anchor of its endorser', async () => {
    const root = await authority('Root');
    const keys = await newKeys();
    const dates = { notBefore: new Date('2020-01-01'), notAfter: new Date('2026-07-01') };
    const leaf = await issue(root, keys.publicKey, '1.3.6.1.5.5.7.3.36', dates);
    const bytes = signedCorim({ registers }, KeyObject.from(keys.privateKey), [der(leaf)]);
    await expect(supplier.provision(bytes)).rejects.toMatchObject({ code: 'endorsement-untrusted' });
    await host.admin.putEndorser('acme', { anchors: [base64(der((await authority('Root')).certificate))] });
    await expect(supplier.provision(bytes)).rejects.toMatchObject({ code: 'endorsement-untrusted' });
    await host.admin.putEndorser('acme', { anchors: [base64(der(root.certificate))] });
    await supplier.provision(bytes);
    expect(await verdict()).toEqual(AFFIRMING);
    now = new Date('2026-08-01T00:00:00Z');
    expect(await verdict()).toEqual({ state: 'expired', failed: [REFUSED] });
  });
});

describe('provisioning', () => {
  test('of an unsigned CoRIM is an operator’s, and nobody’s word but theirs', async () => {
    const bytes = corim({ registers });
    await expect(supplier.provision(bytes)).rejects.toMatchObject({ code: 'role-missing', status: 403 });
    expect(await host.admin.provision(bytes)).toMatchObject({ endorser: null, state: 'in-force' });
    expect(await verdict()).toEqual({ state: 'contraindicated', failed: ['endorsements'] });
    await host.admin.putReference('default', host.reference({ endorsements: [{ vendor: 'Example' }] }));
    expect(await verdict()).toEqual(AFFIRMING);
    await host.admin.putReference('default', host.reference({ endorsements: [{ vendor: 'Other' }] }));
    expect(await verdict()).toEqual({ state: 'contraindicated', failed: ['endorsements'] });
  });

  test('is refused to strangers, by name, and changes nothing', async () => {
    const attester = new VerifierClient(host.base, { token: await host.verifier.createToken('a', ['attester']) });
    await expect(attester.provision(byAcme())).rejects.toMatchObject({ code: 'role-missing' });
    await expect(new VerifierClient(host.base).provision(byAcme())).rejects.toMatchObject({ code: 'token-missing' });
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
    await expect(supplier.provision(signedCorim({ registers }, stranger))).rejects.toMatchObject({
      code: 'endorsement-untrusted',
      failed: ['endorsement-signature'],
    });
    const changed = byAcme().map((byte, at, all) => (at === all.length - 1 ? byte ^ 1 : byte));
    await expect(supplier.provision(changed)).rejects.toMatchObject({ code: 'endorsement-untrusted' });
    await expect(supplier.putEndorser('mine', { keys: [spki(publicKey)] })).rejects.toMatchObject({
      code: 'role-missing',
    });
    await expect(supplier.revokeEndorsement('00'.repeat(32), 'why')).rejects.toMatchObject({ code: 'role-missing' });
    expect(await host.admin.endorsements()).toEqual([]);
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['text', Buffer.from('hello')],
    ['no value of a machine', corim({})],
    ['a register that no TPM has', corim({ registers: { 24: [none] } })],
    ['nested without end', new Uint8Array(100_000).fill(0x81)],
    [
      'a bignum of a mebibyte',
      Buffer.concat([Uint8Array.of(0xc2, 0x5a, 0, 0x0f, 0xff, 0xf0), new Uint8Array(0xffff0)]),
    ],
    ['an array of 2^32 items', Uint8Array.of(0xd9, 0x01, 0xf5, 0x9a, 0xff, 0xff, 0xff, 0xff)],
  ])('refuses %s', async (_name, bytes) => {
    await expect(host.admin.provision(bytes)).rejects.toMatchObject({ code: 'endorsement-malformed', status: 400 });
  });

  test('refuses what is larger than a mebibyte, another media type, another profile, and keys that are none', async () => {
    const larger = new Uint8Array(2 ** 20 + 1);
    await expect(host.admin.provision(larger)).rejects.toMatchObject({ code: 'payload-too-large', status: 413 });
    await expect(host.admin.provision(byAcme(), 'tag:example.com,2026:x')).rejects.toMatchObject({
      code: 'endorsement-malformed',
    });
    const token = await host.verifier.createToken('operator', ['operator']);
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' };
    const response = await fetch(`${host.base}/v1/endorsements`, { method: 'POST', headers, body: 'x' });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      415,
      'media-type-unsupported',
    ]);
    for (const wrong of [{}, { keys: ['AAAA'] }, { anchors: [spki(publicKey)] }]) {
      await expect(host.admin.putEndorser('x', wrong)).rejects.toMatchObject({ code: 'endorser-malformed' });
    }
  });

  test('stops at 256 documents of a tenant', async () => {
    const { db } = host.verifier.service;
    const row = { tenant: 'default', corim: corim({ registers }), created_by: 'test', created_at: now };
    const ids = Array.from({ length: 256 }, (_, at) => at.toString(16).padStart(64, '0'));
    await db
      .insertInto('endorsement')
      .values(ids.map((id) => ({ ...row, id })))
      .execute();
    await expect(supplier.provision(byAcme())).rejects.toMatchObject({ code: 'endorsement-limit', status: 409 });
    await db.deleteFrom('endorsement').where('id', 'in', ids).execute();
  });

  test('is described by the schemas that check it', async () => {
    const { paths } = (await (await fetch(`${host.base}/openapi.json`)).json()) as {
      paths: Record<string, { post: { requestBody: { content: object } } }>;
    };
    for (const path of ['/v1/endorsements', '/endorsement-provisioning/v1/submit']) {
      expect(Object.keys(paths[path]?.post.requestBody.content ?? {})).toEqual([
        'application/rim+cbor',
        'application/rim+cose',
        'application/corim-unsigned+cbor',
        'application/corim-signed+cbor',
      ]);
    }
  });

  test('is per tenant', async () => {
    const token = (await (
      await fetch(`${host.base}/v1/tokens`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await host.verifier.createToken('root', ['admin'])}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ name: 'theirs', roles: ['admin'], tenant: 'theirs' }),
      })
    ).json()) as { token: string };
    const theirs = new VerifierClient(host.base, token);
    await expect(theirs.provision(byAcme())).rejects.toMatchObject({ code: 'endorsement-untrusted' });
    const { id } = await theirs.provision(corim({ registers }));
    expect(await host.admin.endorsements()).toEqual([]);
    await expect(host.admin.removeEndorsement(id)).rejects.toMatchObject({ code: 'endorsement-unknown' });
  });

  test('leaves its trail, which chains', async () => {
    const { id } = await supplier.provision(byAcme());
    await host.admin.revokeEndorsement(id, 'recalled');
    const headers = { authorization: `Bearer ${await host.verifier.createToken('auditor', ['auditor'])}` };
    const lines = (await (await fetch(`${host.base}/v1/audit`, { headers })).text()).trimEnd().split('\n');
    const entries = lines.map((line) => JSON.parse(line));
    expect(entries.filter(({ subject }) => subject === id).slice(-2)).toMatchObject([
      { action: 'endorsement.add', detail: { corim: 'example-manifest', endorser: 'acme' } },
      { action: 'endorsement.revoke', detail: { because: 'recalled' } },
    ]);
    expect(entries.map(({ action }) => action)).toEqual(expect.arrayContaining(['endorser.put', 'endorsement.remove']));
    expect(await verifyAudit(entries)).toBeNull();
  });

  test('property: a mutated CoRIM is refused by name, or is what its endorser signed', async () => {
    const good = byAcme();
    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bytes = Uint8Array.from(good, (byte, index) => (index === at ? byte ^ flip : byte));
        const outcome = await supplier.provision(bytes).then(
          ({ endorser }) => endorser,
          ({ code }) => code,
        );
        expect(['endorsement-malformed', 'endorsement-untrusted', 'role-missing', 'acme']).toContain(outcome);
      }),
      { numRuns: 60 },
    );
    for (const { tags } of await host.admin.endorsements()) expect(tags).toEqual([{ id: 'firmware', version: 1 }]);
  });
});

describe("Veraison's provisioning door", () => {
  const submit = async (body: Uint8Array, type: string) =>
    fetch(`${host.base}/endorsement-provisioning/v1/submit`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${await host.verifier.createToken('cocli', ['operator'])}`,
        'content-type': type,
      },
      body: Buffer.from(body),
    });

  test('takes the media types that its clients send', async () => {
    for (const [body, type] of [
      [byAcme(), 'application/rim+cose'],
      [corim({ registers }), 'application/corim-unsigned+cbor'],
    ] as const) {
      const response = await submit(body, type);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toMatch('application/vnd.veraison.provisioning-session+json');
      expect(await response.json()).toEqual({ status: 'success', expiry: now.toISOString() });
    }
    expect(await verdict()).toEqual(AFFIRMING);
    const refused = await submit(byAcme(), 'application/corim-signed+cbor; profile="tag:arm.com,2025:psa#1.0.0"');
    expect(await refused.json()).toMatchObject({ status: 400, code: 'endorsement-malformed' });
  });

  test('is found by discovery', async () => {
    const response = await fetch(`${host.base}/.well-known/veraison/provisioning`);
    expect(await response.json()).toMatchObject({
      'media-types': expect.arrayContaining(['application/rim+cbor']),
      'service-state': 'READY',
      'api-endpoints': { provisioningSubmit: '/endorsement-provisioning/v1/submit' },
    });
  });

  const files = corpusFiles('corim').filter(({ path }) => path.endsWith('.cbor'));
  test.skipIf(!corpusIsThere)(
    `refuses every document of the corpus by name, since none is of a TPM (${corpusIsThere ? files.length : WHY_SKIPPED})`,
    async () => {
      const codes = new Set<string>();
      for (const { path } of files) {
        const response = await submit(corpusBytes(path), 'application/rim+cbor');
        codes.add(`${response.status} ${((await response.json()) as { code: string }).code}`);
      }
      expect([...codes].sort()).toEqual(['400 endorsement-malformed']);
    },
  );
});
