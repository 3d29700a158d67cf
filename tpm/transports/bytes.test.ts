import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteQueue } from './bytes.ts';

describe('ByteQueue', () => {
  test('property: what is taken is what was pushed, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), fc.array(fc.nat({ max: 30 })), (chunks, takes) => {
        const queue = new ByteQueue();
        const all = Buffer.concat(chunks);
        for (const chunk of chunks) queue.push(chunk);
        let at = 0;
        for (const size of takes) {
          const peeked = queue.peek(size);
          const taken = queue.take(size);
          if (at + size > all.length) {
            expect(taken).toBeUndefined();
            continue;
          }
          expect(Buffer.from(taken ?? [])).toEqual(all.subarray(at, at + size));
          expect(peeked).toEqual(taken);
          at += size;
        }
        expect(queue.length).toBe(all.length - at);
      }),
    );
  });

  test('a frame that is one chunk is not copied', () => {
    const queue = new ByteQueue();
    const chunk = Uint8Array.of(1, 2, 3);
    queue.push(chunk);
    expect(queue.take(3)?.buffer).toBe(chunk.buffer);
  });
});
