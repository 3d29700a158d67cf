import { describe, expect, test } from 'vitest';
import { Attendant } from './attendant.ts';

/** Sockets whose input is in memory. `poll` never waits. */
function fakeSockets() {
  const input = new Map<number, Uint8Array[]>();
  const view = (descriptors: Uint8Array) => new DataView(descriptors.buffer);
  return {
    input,
    calls: {
      poll(descriptors: Uint8Array, count: number) {
        let readable = 0;
        for (let i = 0; i < count; i++) {
          const waiting = input.get(view(descriptors).getInt32(8 * i, true))?.length ?? 0;
          view(descriptors).setInt16(8 * i + 6, waiting > 0 ? 1 : 0, true);
          if (waiting > 0) readable++;
        }
        return readable;
      },
      recv(socket: number, buffer: Uint8Array) {
        const bytes = input.get(socket)?.shift() ?? new Uint8Array(0);
        buffer.set(bytes);
        return bytes.length;
      },
      send: (_socket: number, bytes: Uint8Array) => bytes.length,
    },
  };
}

function attended() {
  const sockets = fakeSockets();
  const attendant = new Attendant(sockets.calls);
  const [mine, other] = [{}, {}];
  attendant.watch(mine, 5);
  attendant.watch(other, 6);
  return { ...sockets, attendant, mine, other };
}

const LATER = Number.POSITIVE_INFINITY;
const hello = Uint8Array.of(1, 2, 3);

describe('an attendant', () => {
  test('receives what its client sends', () => {
    const { attendant, input } = attended();
    input.set(5, [hello]);
    expect(attendant.receive(5, LATER)).toEqual(hello);
  });

  test('leaves everything to the event loop when another socket speaks', () => {
    const { attendant, input } = attended();
    input.set(5, [hello]).set(6, [hello]);
    expect(attendant.receive(5, LATER)).toBeUndefined();
    expect(attendant.receive(6, LATER)).toBeUndefined();
    expect([input.get(5)?.length, input.get(6)?.length]).toEqual([1, 1]);
  });

  test('does not take input that is another’s', () => {
    const { attendant, input } = attended();
    input.set(6, [hello]);
    expect(attendant.receive(5, LATER)).toBeUndefined();
    expect(input.get(6)?.length).toBe(1);
  });

  test('waits for nothing while something is in work, after its deadline, or when the server ends', () => {
    const { attendant, input } = attended();
    input.set(5, [hello]);
    attendant.begin();
    expect(attendant.receive(5, LATER)).toBeUndefined();
    attendant.end();
    expect(attendant.receive(5, performance.now() - 1)).toBeUndefined();
    attendant.close();
    expect(attendant.receive(5, LATER)).toBeUndefined();
  });

  test('keeps a socket whose number was another’s before', () => {
    const { attendant, input, other } = attended();
    attendant.watch({}, 6); // accepted before the old owner of 6 was reported closed
    attendant.unwatch(other);
    input.set(5, [hello]).set(6, [hello]);
    expect(attendant.receive(5, LATER)).toBeUndefined();
  });
});
