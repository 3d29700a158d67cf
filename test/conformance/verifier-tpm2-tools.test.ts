/** tpm2-tools on swtpm as the attester, our verifier over HTTP: enrolment and attestation by someone else's code. */
import { createHash, webcrypto } from 'node:crypto';
import { x25519 } from '@noble/curves/ed25519.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hpkeOpen } from '../../attestation/broker/hpke.ts';
import { RELEASE_INFO } from '../../attestation/broker/release-binding.ts';
import { type EnrollingTpm, VerifierClient } from '../../attestation/client.ts';
import { EVENT, EventLogWriter, parseEventLog } from '../../attestation/eventlog/format.ts';
import { replayLog } from '../../attestation/eventlog/replay.ts';
import { encodeMachineEvidence } from '../../attestation/machine/evidence.ts';
import { boundNonce } from '../../attestation/verifier/nonces.ts';
import { parseTpmPublic } from '../../attestation/verifier/tpm-public.ts';
import { createVerifier, type Verifier } from '../../attestation/verifier/verifier.ts';
import { type Authority, authority, der, issue } from '../support/certificate-authority.ts';
import { missingTool, SwtpmTools } from '../support/tpm2-tools.ts';

const missing = missingTool();
/** Of the file that tpm2_makecredential writes and tpm2_activatecredential reads: magic, version, two TPM2B. */
const CREDENTIAL_HEADER = Uint8Array.of(0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1);
const sized = (bytes: Uint8Array) => Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length & 0xff), bytes]);

/** A certificate for the EK in a TPM2B_PUBLIC, as its manufacturer would have issued it. */
async function certify(manufacturer: Authority, ekPublic: Uint8Array): Promise<Uint8Array> {
  const { key } = parseTpmPublic(ekPublic);
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url');
  const coordinate = (bytes: Uint8Array) => text(Buffer.concat([Buffer.alloc(32 - bytes.length), bytes]));
  const publicKey =
    key.type === 'rsa'
      ? await webcrypto.subtle.importKey(
          'jwk',
          { kty: 'RSA', n: text(key.modulus), e: 'AQAB' },
          { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
          true,
          ['verify'],
        )
      : await webcrypto.subtle.importKey(
          'jwk',
          { kty: 'EC', crv: key.curve, x: coordinate(key.x), y: coordinate(key.y) },
          { name: 'ECDSA', namedCurve: key.curve },
          true,
          ['verify'],
        );
  return der(await issue(manufacturer, publicKey));
}

/** The keys of a TPM as tpm2-tools make them, and tpm2_activatecredential. */
async function enrolling(
  tools: SwtpmTools,
  manufacturer: Authority,
  ek: 'rsa' | 'ecc',
  ak: readonly string[],
): Promise<EnrollingTpm> {
  tools.run('tpm2_createek', '-c', 'ek.ctx', '-G', ek, '-u', 'ek.pub');
  tools.flush();
  tools.run('tpm2_createak', '-C', 'ek.ctx', '-c', 'ak.ctx', ...ak, '-u', 'ak.pub', '-n', 'ak.name');
  tools.flush();
  const ekPublic = tools.read('ek.pub').subarray(2);
  return {
    ekPublic,
    akPublic: tools.read('ak.pub').subarray(2),
    ekCertificates: [await certify(manufacturer, ekPublic)],
    async activate(credentialBlob, encryptedSecret) {
      tools.write('credential', Buffer.concat([CREDENTIAL_HEADER, sized(credentialBlob), sized(encryptedSecret)]));
      tools.run('tpm2_startauthsession', '--policy-session', '-S', 'session.ctx');
      tools.run('tpm2_policysecret', '-S', 'session.ctx', '-c', 'e');
      const files = ['-i', 'credential', '-o', 'secret'];
      tools.run('tpm2_activatecredential', '-c', 'ak.ctx', '-C', 'ek.ctx', ...files, '-P', 'session:session.ctx');
      tools.flush();
      return tools.read('secret');
    },
  };
}

describe.skipIf(missing !== undefined)(
  `tpm2-tools against the verifier${missing ? ` (skipped: no ${missing})` : ''}`,
  () => {
    let tools: SwtpmTools;
    let verifier: Verifier;
    let manufacturer: Authority;
    let base: string;
    let client: VerifierClient;
    beforeAll(async () => {
      tools = await SwtpmTools.start();
      manufacturer = await authority('Manufacturer');
      verifier = await createVerifier({
        database: { memory: true },
        manufacturers: [der(manufacturer.certificate)],
        jobs: false,
      });
      base = await verifier.listen();
      client = new VerifierClient(base);
    });
    afterAll(async () => {
      await verifier.close();
      await tools.stop();
    });

    it.each([
      ['an RSA EK, an ECDSA AK', 'rsa', ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa']],
      ['an RSA EK, an RSASSA AK', 'rsa', ['-G', 'rsa', '-g', 'sha256', '-s', 'rsassa']],
      ['an ECC EK, an RSAPSS AK', 'ecc', ['-G', 'rsa', '-g', 'sha256', '-s', 'rsapss']],
    ] as const)('enrols by tpm2_activatecredential: %s', async (_case, ek, ak) => {
      const platform = `swtpm-${ek}`;
      const enrolled = await client.enrol(await enrolling(tools, manufacturer, ek, ak), platform);
      expect(enrolled.platform).toBe(platform);
    });

    it('does not enrol an AK of another TPM: tpm2_activatecredential refuses', async () => {
      const mine = await enrolling(tools, manufacturer, 'rsa', ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa']);
      const other = await SwtpmTools.start();
      try {
        const theirs = await enrolling(other, manufacturer, 'rsa', ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa']);
        const enrolled = async () =>
          (await verifier.service.platforms.list('default')).find(({ id }) => id === 'swtpm-rsa');
        const before = await enrolled();
        const mixed = client.enrol({ ...mine, akPublic: theirs.akPublic }, 'swtpm-rsa');
        await expect(mixed).rejects.toThrow('tpm2_activatecredential');
        expect(await enrolled()).toEqual(before);
      } finally {
        await other.stop();
      }
    });

    describe('attestation by tpm2_quote', () => {
      const PCRS = [0, 1, 2, 3, 4, 5, 6, 7];
      const SELECTION = `sha256:${PCRS.join(',')}`;
      const SHA256 = 0x000b;
      let eventLog: Uint8Array;
      let scheme = 'ecdsa';

      /** A boot log, and the registers extended as it says. */
      beforeAll(() => {
        const log = new EventLogWriter([SHA256]);
        for (const pcr of PCRS) {
          for (const [type, text] of [
            [EVENT.EVENT_TAG, `measured into ${pcr}`],
            [EVENT.SEPARATOR, '\0\0\0\0'],
          ] as const) {
            const digest = createHash('sha256').update(text).digest();
            log.append(pcr, type, new Map([[SHA256, new Uint8Array(digest)]]), Buffer.from(text));
            tools.run('tpm2_pcrextend', `${pcr}:sha256=${digest.toString('hex')}`);
          }
        }
        eventLog = log.bytes();
      });

      /** Evidence with a quote over `qualifying` by the AK that was enrolled last. */
      function quoted(qualifying: Uint8Array, akPublic: Uint8Array, selection = SELECTION): Uint8Array {
        const nonce = Buffer.from(qualifying).toString('hex');
        const files = ['-m', 'quoted', '-s', 'signature', '-o', 'pcrs', '-F', 'values'];
        tools.run(
          'tpm2_quote',
          '-c',
          'ak.ctx',
          '-l',
          selection,
          '-q',
          nonce,
          '-g',
          'sha256',
          '--scheme',
          scheme,
          ...files,
        );
        tools.flush();
        const bytes = tools.read('pcrs');
        const indices = selection.split(':')[1]?.split(',').map(Number) ?? [];
        const values = indices.map((index, at) => [index, bytes.slice(at * 32, at * 32 + 32)] as const);
        return encodeMachineEvidence({
          quoted: tools.read('quoted'),
          signature: tools.read('signature'),
          akPublic,
          eventLog,
          pcrs: new Map([[SHA256, new Map(values)]]),
        });
      }

      it.each([
        ['ECDSA', ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa']],
        ['RSASSA', ['-G', 'rsa', '-g', 'sha256', '-s', 'rsassa']],
        ['RSAPSS', ['-G', 'rsa', '-g', 'sha256', '-s', 'rsapss']],
      ] as const)('affirms a good quote (%s) and names what is wrong with a bad one', async (_scheme, ak) => {
        scheme = ak[5];
        const attester = await enrolling(tools, manufacturer, 'rsa', ak);
        await client.enrol(attester, 'swtpm-rsa');
        const admin = new VerifierClient(base, { token: await verifier.createToken('test', ['admin']) });
        const replayed = replayLog(parseEventLog(eventLog), SHA256);
        const value = (index: number) => Buffer.from(replayed[index] ?? []).toString('hex');
        const pcrs = { sha256: Object.fromEntries(PCRS.map((index) => [index, [value(index)]])) };
        await admin.putReference('default', { selection: [{ bank: 'sha256', pcrs: PCRS }], pcrs });

        const good = await client.challenge();
        const verdict = await client.attest(good.id, quoted(good.nonce, attester.akPublic));
        expect(verdict.failed).toEqual([]);
        expect(verdict.state).toBe('affirming');

        const stale = await client.challenge();
        const old = await client.attest(stale.id, quoted(good.nonce, attester.akPublic));
        expect(old).toMatchObject({ state: 'contraindicated', failed: ['quote-nonce'] });

        const narrow = await client.challenge();
        const fewer = await client.attest(narrow.id, quoted(narrow.nonce, attester.akPublic, 'sha256:0,1,2'));
        expect(fewer.failed).toContain('quote-selection');
      });

      it('releases a resource to the key that the quote binds, and to no other', async () => {
        scheme = 'ecdsa';
        const attester = await enrolling(tools, manufacturer, 'rsa', ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa']);
        await client.enrol(attester, 'swtpm-rsa');
        const admin = new VerifierClient(base, { token: await verifier.createToken('test', ['admin']) });
        const content = new TextEncoder().encode('disk key');
        await admin.putResource('disk', { content, policy: { platforms: ['swtpm-rsa'] } });
        const secretKey = x25519.utils.randomSecretKey();
        const key = x25519.getPublicKey(secretKey);
        const { id, nonce } = await client.challenge();
        const evidence = quoted(boundNonce(key, nonce), attester.akPublic);
        const released = await client.release('disk', key, { challenge: id, evidence });
        const opened = hpkeOpen(secretKey, released, RELEASE_INFO, new TextEncoder().encode('disk'));
        expect(Buffer.from(opened).toString()).toBe('disk key');
        const again = await client.challenge();
        const thief = x25519.getPublicKey(x25519.utils.randomSecretKey());
        const ground = { challenge: again.id, evidence: quoted(boundNonce(key, again.nonce), attester.akPublic) };
        await expect(client.release('disk', thief, ground)).rejects.toMatchObject({
          code: 'release-refused',
          failed: expect.arrayContaining(['quote-nonce']),
        });
      });
    });
  },
);
