/** tpm2-tools on swtpm as the attester, our verifier over HTTP: enrolment and attestation by someone else's code. */
import { webcrypto } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EnrollingTpm, VerifierClient } from '../../attestation/client.ts';
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
    let client: VerifierClient;
    beforeAll(async () => {
      tools = await SwtpmTools.start();
      manufacturer = await authority('Manufacturer');
      verifier = await createVerifier({
        database: { memory: true },
        manufacturers: [der(manufacturer.certificate)],
        jobs: false,
      });
      client = new VerifierClient(await verifier.listen());
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
  },
);
