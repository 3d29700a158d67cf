/** Every CoRIM and CoMID of the corpus is read, or refused by name where it is invalid on purpose. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { encodeCbor, Tag } from '../../attestation/cbor.ts';
import { parseConciseEvidence } from '../../attestation/corim/coev.ts';
import { CorimError, readComid } from '../../attestation/corim/comid.ts';
import { inspectSignedCorim, parseCorim, verifyCorim } from '../../attestation/corim/corim.ts';
import { readCbor } from '../../attestation/corim/read-cbor.ts';
import { corpusBytes, corpusFiles, corpusIsThere, WHY_SKIPPED } from './corpus.ts';

/** Invalid on purpose, and what refuses each. */
const REFUSED: Readonly<Record<string, string>> = {
  'cca-platform-invalid-digests.cbor': 'a sha-256 of 31 bytes',
  'cca-platform-invalid-impl-id.cbor': 'implementation identifier: 30 bytes',
  'cca-realm-invalid-missing-rim.cbor': 'no cca.rim',
  'cca-realm-invalid-rim-size.cbor': 'realm initial measurement: 16 bytes',
  'psa-invalid-attest-key.cbor': '2 attestation keys for one instance',
  'psa-invalid-impl-id.cbor': 'implementation identifier: 31 bytes',
};
/** A document without a profile is a good base document; it is refused where a profile is asked for. */
const NO_PROFILE = 'no-profile.cbor';

const files = corpusFiles('corim');
const base = (path: string) => path.split('/').at(-1) ?? '';
const ofKind = (part: string) => files.filter(({ path }) => path.includes(part) && path.endsWith('.cbor'));
const isCoev = (path: string) => path.includes('/coev/');
const comids = files.filter(({ path }) => /comid[-_][^/]*\.cbor$/.test(path) && !isCoev(path));
const corims = [...ofKind('/corim/testcases/'), ...ofKind('/profiles/psa/'), ...ofKind('/profiles/cca/')];
const unsigned = corims.filter(({ path }) => !base(path).startsWith('signed-'));
const signed = corims.filter(({ path }) => base(path).startsWith('signed-'));

describe.skipIf(!corpusIsThere)(`CoRIM of the corpus (${corpusIsThere ? files.length : WHY_SKIPPED})`, () => {
  test('there are documents of every kind', () => {
    expect([comids.length, unsigned.length, signed.length]).toEqual([23, 19, 3]);
  });

  test.each(comids)('$name is read', ({ path }) => {
    const comid = readComid(readCbor(corpusBytes(path)));
    const triples =
      comid.references.length + comid.endorsements.length + comid.identityKeys.length + comid.attestKeys.length;
    expect(triples + comid.otherTriples.size).toBeGreaterThan(0);
  });

  test.each(unsigned.filter(({ path }) => !(base(path) in REFUSED)))('$name is read', ({ path }) => {
    expect(parseCorim(corpusBytes(path)).id).not.toBe('');
  });

  test.each(unsigned.filter(({ path }) => base(path) in REFUSED))('$name is refused by its profile', ({ path }) => {
    expect(() => parseCorim(corpusBytes(path))).toThrow(
      expect.objectContaining({ code: 'corim-profile', message: REFUSED[base(path)] }),
    );
  });

  test.each(unsigned.filter(({ path }) => base(path) === NO_PROFILE))(
    '$path is refused where a profile is wanted',
    ({ path }) => {
      expect(() => parseCorim(corpusBytes(path), { profiles: ['tag:arm.com,2025:psa#1.0.0'] })).toThrow(
        expect.objectContaining({ code: 'corim-profile' }),
      );
    },
  );

  test.each(signed)('$name is read, and does not verify under a key of ours', ({ path }) => {
    const bytes = corpusBytes(path);
    expect(inspectSignedCorim(bytes).signer).not.toBe('');
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(() => verifyCorim(bytes, publicKey, new Date())).toThrow(
      expect.objectContaining({ code: 'corim-signature' }),
    );
  });

  const coevs = ofKind('/coev/');

  test.each(coevs)('$name is concise evidence, and no CoRIM', ({ path }) => {
    const { evidence, identityKeys, otherTriples } = parseConciseEvidence(corpusBytes(path));
    expect(evidence.length + identityKeys.length + otherTriples.size).toBeGreaterThan(0);
    expect(() => parseCorim(corpusBytes(path))).toThrow(CorimError);
  });

  test('what a device says of itself is typed', () => {
    const named = (name: string) => corpusBytes(coevs.find(({ path }) => path.endsWith(name))?.path ?? '');
    const [triple] = parseConciseEvidence(named('/ce-evidence.cbor')).evidence;
    expect(triple?.environment.vendor).toBe('xyzinc.example');
    expect(triple?.measurements[0]?.digests?.[0]?.value.length).toBe(32);
    expect(parseConciseEvidence(named('/ce-identity.cbor')).identityKeys[0]?.keys.map(({ tag }) => tag)).toEqual([
      554, 555, 557,
    ]);
  });

  // Queries (CoSERV) are another protocol with the same types: CBOR, and refused as evidence and as CoRIM.
  test.each(ofKind('/coserv/'))('$name is neither', ({ path }) => {
    const bytes = corpusBytes(path);
    expect(readCbor(bytes)).toBeDefined();
    expect(() => parseCorim(bytes)).toThrow(CorimError);
    expect(() => parseConciseEvidence(bytes)).toThrow(CorimError);
  });

  test('values are typed', () => {
    const named = (name: string) =>
      readComid(readCbor(corpusBytes(files.find(({ path }) => path.endsWith(name))?.path ?? '')));
    const [first] = named('comid-2b.cbor').references;
    expect(first?.environment).toMatchObject({ vendor: 'ACME Inc.', model: 'ACME RoadRunner Firmware', layer: 1 });
    expect(first?.measurements[0]?.digests?.[0]?.algorithm).toBe('sha-256');
    expect(named('comid-flags.cbor').endorsements[0]?.measurements[0]?.flags).toMatchObject({
      secure: true,
      debug: false,
    });
    expect(
      named('comid-integrity-registers.cbor').references[0]?.measurements[0]?.integrityRegisters?.get('my-ir'),
    ).toHaveLength(2);
    expect(
      named('comid-raw-value.cbor').references.map(({ measurements }) => measurements[0]?.raw?.mask?.length),
    ).toContain(4);
  });
});

describe('a signed CoRIM', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const environment = new Map([[0, new Map([[1, 'Example']])]]);
  const measurement = new Map([[1, new Map([[2, [[1, new Uint8Array(32)]]]])]]);
  const comid = new Map<number, unknown>([
    [1, new Map([[0, 'tag']])],
    [4, new Map([[0, [[environment, [measurement]]]]])],
  ]);
  const payload = encodeCbor(
    new Tag(
      new Map<number, unknown>([
        [0, 'id'],
        [1, [new Tag(encodeCbor(comid as never), 506)]],
      ]) as never,
      501,
    ),
  );
  const make = (change: (payload: Uint8Array) => Uint8Array = (same) => same) => {
    const meta = encodeCbor(new Map([[0, new Map([[0, 'Example signer']])]]));
    const header = encodeCbor(
      new Map<number, number | string | Uint8Array>([
        [1, -7],
        [3, 'application/rim+cbor'],
        [8, meta],
      ]),
    );
    const input = encodeCbor(['Signature1', header, new Uint8Array(), payload]);
    const signature = Uint8Array.from(sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }));
    return encodeCbor(new Tag([header, new Map(), change(payload), signature], 18));
  };

  test('verifies under its key', () => {
    const { signer, corim } = verifyCorim(make(), publicKey, new Date(0));
    expect([signer, corim.comids[0]?.references.length]).toEqual(['Example signer', 1]);
  });

  test('does not verify when its payload was changed', () => {
    const changed = make((good) => Uint8Array.from(good, (byte, at) => (at === good.length - 1 ? byte ^ 1 : byte)));
    expect(() => verifyCorim(changed, publicKey, new Date(0))).toThrow(
      expect.objectContaining({ code: 'corim-signature' }),
    );
  });

  test('hostile bytes are refused by name', () => {
    for (const bytes of [new Uint8Array(), new Uint8Array(50_000).fill(0x81), Uint8Array.of(0xd9, 1, 0xf5, 0xa0)]) {
      expect(() => parseCorim(bytes)).toThrow(CorimError);
    }
  });
});
