/** The vault's own conduct, in a v86 partition: what it asks for, what it accepts, and that the secret never shows. */
import { createHash, randomBytes } from 'node:crypto';
import { createV86Engine, type Engine } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hpkeSeal } from '../attestation/broker/hpke.ts';
import { RELEASE_INFO, releaseUserData } from '../attestation/broker/release-binding.ts';
import { SERVICE_ERROR } from '../nexus/services/abi.ts';
import { ServiceError } from '../nexus/services/requests.ts';
import { type Root, runGuest, type Services } from './support/guest.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await createV86Engine();
});
afterAll(() => engine.close());

const SECRET = Buffer.from('the launch codes are on the fridge');
const IDENTITY = randomBytes(32);
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** A nexus, a verifier and a root in a few lines: blobs are the data behind a tag that only `services` makes. */
function world(change: { release?: (enc: Uint8Array, ciphertext: Uint8Array) => Uint8Array } = {}) {
  const nonce = randomBytes(32);
  const stored = new Map<string, Uint8Array>();
  const sealed = new Map<string, Uint8Array>();
  let reported: Uint8Array | undefined;
  const services: Services = (request) => {
    switch (request.service) {
      case 'identity':
        return Buffer.concat([IDENTITY, Buffer.from([3, 0, 0, 0, 0, 0, 0, 0])]);
      case 'random':
        return randomBytes(request.count);
      case 'report':
        expect(Buffer.from(request.nonce)).toEqual(nonce);
        reported = request.userData;
        return Buffer.from('evidence');
      case 'seal': {
        const blob = randomBytes(64);
        sealed.set(blob.toString('hex'), request.data);
        return blob;
      }
      case 'unseal': {
        const data = sealed.get(Buffer.from(request.blob).toString('hex'));
        if (data === undefined) throw new ServiceError(SERVICE_ERROR.UNSEAL_REFUSED, 'not sealed here');
        return Buffer.concat([IDENTITY, Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]), data]);
      }
      default:
        throw new ServiceError(SERVICE_ERROR.UNKNOWN, request.service);
    }
  };
  const root: Root = (request) => {
    switch (request.operation) {
      case 'challenge':
        return nonce;
      case 'release': {
        expect(request.resource).toBe('vault-secret');
        expect(Buffer.from(request.evidence).toString()).toBe('evidence');
        // What a verifier checks: the reported data binds this key to its nonce.
        expect(Buffer.from(reported ?? [])).toEqual(Buffer.from(releaseUserData(request.guestKey, nonce)));
        const aad = Buffer.from(request.resource);
        const { enc, ciphertext } = hpkeSeal(request.guestKey, RELEASE_INFO, aad, SECRET);
        return change.release?.(enc, ciphertext) ?? Buffer.concat([enc, ciphertext]);
      }
      case 'store':
        stored.set(request.name, request.blob);
        return new Uint8Array();
      case 'load': {
        const blob = stored.get(request.name);
        if (blob === undefined) throw new ServiceError(SERVICE_ERROR.RELAY_FAILED, 'nothing stored');
        return blob;
      }
    }
  };
  return { services, root, stored, run: (mode: string) => runGuest(engine, 'vault', mode, services, root) };
}

it('provisions: attests a fresh key, opens the release, seals twice, stores both', async () => {
  const { run, stored } = world();
  const { results, exit, console } = await run('provision');
  expect(results.at(-1)).toBe(`provisioned sha256=${sha256(SECRET)} identity=${IDENTITY.toString('hex')}`);
  expect([...stored.keys()]).toEqual(['vault/identity', 'vault/signer']);
  expect(exit).toEqual({ kind: 'stopped', by: 'halt' });
  expect(console + results.join('\n')).not.toContain(SECRET.toString());
});

it('unseals what it stored in an earlier life, and proves it', async () => {
  const { run } = world();
  await run('provision');
  const { results } = await run('unseal');
  expect(results).toEqual([
    `unsealed selector=identity sha256=${sha256(SECRET)} svn=3`,
    `unsealed selector=signer sha256=${sha256(SECRET)} svn=3`,
  ]);
});

it('reports refusals with the operation and the code', async () => {
  const { run, stored } = world();
  stored.set('vault/identity', Buffer.from('not a blob of this vault'));
  const { results } = await run('unseal');
  expect(results).toEqual([
    'refused op=UNSEAL name=vault/identity code=0x43',
    'refused op=LOAD name=vault/signer code=0x46',
  ]);
  stored.set('other/blob', Buffer.from('foreign'));
  expect((await run('unseal-foreign other/blob')).results).toEqual(['refused op=UNSEAL name=other/blob code=0x43']);
});

it('takes no release that was not encrypted to its key: tampered, truncated, absent', async () => {
  const releases = [
    (enc: Uint8Array, ciphertext: Uint8Array) => Buffer.concat([enc, ciphertext.with(0, (ciphertext[0] ?? 0) ^ 1)]),
    (enc: Uint8Array) => Buffer.from(enc),
    () => new Uint8Array(),
    (_enc: Uint8Array, ciphertext: Uint8Array) => Buffer.concat([new Uint8Array(32), ciphertext]),
  ];
  for (const release of releases) {
    const { run, stored } = world({ release });
    const { results, exit } = await run('provision');
    expect(results.at(-1)).toBe('failed the released ciphertext does not open');
    expect(stored.size).toBe(0);
    expect(exit).toEqual({ kind: 'stopped', by: 'halt' });
  }
});

it('names a mode that it does not have', async () => {
  expect((await world().run('make coffee')).results).toEqual(['failed mode=make coffee']);
});
