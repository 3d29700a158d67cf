/** The guests' HPKE receiver, run inside a v86 partition, against the vectors of RFC 9180. */
import { createV86Engine, type Engine } from 'nexus-tcb/vmm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Probe, SERVICE_BYTES } from './support/probe.ts';

let engine: Engine;
let probe: Probe;
beforeAll(async () => {
  engine = await createV86Engine();
  probe = await Probe.launch(engine, 'hpke');
});
afterAll(() => engine.close());

const hex = (text: string) => Buffer.from(text, 'hex');

/** RFC 9180, appendix A.2.1: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305; sequence 0. */
const VECTOR = {
  secret: hex('8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb'),
  encapsulated: hex('1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a'),
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  aad: hex('436f756e742d30'),
  ciphertext: hex('1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28'),
};
const PLAINTEXT = 'Beauty is truth, truth beauty';

/** The plaintext, or undefined where the guest refused. */
async function open(vector: typeof VECTOR): Promise<string | undefined> {
  const part = (bytes: Uint8Array) => [Buffer.from([bytes.length & 0xff, bytes.length >> 8]), bytes];
  const message = Buffer.concat([
    vector.secret,
    vector.encapsulated,
    ...part(vector.info),
    ...part(vector.aad),
    ...part(vector.ciphertext),
  ]);
  let plaintext = '';
  probe.answer = (call, _args, input) => {
    if (call !== SERVICE_BYTES) throw new Error(`unexpected call ${call}`);
    if (input.length > 0) plaintext = Buffer.from(input).toString();
    return { result: message.length, ...(input.length === 0 && { output: message }) };
  };
  return (await probe.step('hpkeOpen')) === 1 ? plaintext : undefined;
}

it('opens the vector', async () => {
  expect(await open(VECTOR)).toBe(PLAINTEXT);
});

it('refuses every changed part', async () => {
  const flipped = (bytes: Buffer) => Buffer.from(bytes.with(0, (bytes[0] ?? 0) ^ 1));
  for (const part of ['secret', 'encapsulated', 'info', 'aad', 'ciphertext'] as const) {
    // The lowest bit of an X25519 secret is clamped away; change another byte of it.
    const changed = part === 'secret' ? Buffer.from(VECTOR.secret.with(5, 0)) : flipped(VECTOR[part]);
    expect(await open({ ...VECTOR, [part]: changed })).toBeUndefined();
  }
  expect(await open({ ...VECTOR, ciphertext: VECTOR.ciphertext.subarray(0, 10) })).toBeUndefined();
  expect(await open({ ...VECTOR, encapsulated: Buffer.alloc(32) })).toBeUndefined(); // small order
});
