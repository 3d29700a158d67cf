import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { VerifierClient, VerifierRefusal } from '../../attestation/client.ts';
import type { HostEvent } from './events.ts';
import { PATIENCE_MS, VerifierLink } from './verifier-link.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const URL = 'http://verifier.test';
const away = new VerifierRefusal('unreachable', 0, 'does not answer', []);
const busy = new VerifierRefusal('database-unavailable', 503, 'later', []);
const taken = new VerifierRefusal('platform-taken', 409, 'is enrolled', []);

/** A link whose attempts end as `outcomes` say, the last one for ever. */
function linkOf(...outcomes: readonly (Error | string)[]) {
  const events: HostEvent[] = [];
  const attempts: number[] = [];
  const client = new VerifierClient(URL);
  const link = new VerifierLink({
    url: URL,
    client,
    observe: (event) => events.push(event),
    async enrol() {
      const outcome = outcomes[Math.min(attempts.push(Date.now()), outcomes.length) - 1] ?? '';
      if (outcome instanceof Error) throw outcome;
      return outcome;
    },
  });
  return { link, events, attempts, client };
}

it('enrols at once where the verifier answers', async () => {
  const { link, events, attempts, client } = linkOf('ek-1');
  await link.open();
  expect(await link.ready()).toBe(client);
  await vi.advanceTimersByTimeAsync(1_000_000);
  expect(attempts).toHaveLength(1);
  expect(events).toEqual([{ kind: 'enrolled', platform: 'ek-1', verifier: URL }]);
});

it('opens while the verifier is away, tells of it once, and enrols when it is back', async () => {
  const { link, events, attempts } = linkOf(away, away, busy, away, 'ek-1');
  await link.open();
  expect(events).toEqual([{ kind: 'verifier-away', verifier: URL, code: 'unreachable', detail: 'does not answer' }]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events.map((event) => (event.kind === 'verifier-away' ? event.code : event.kind))).toEqual([
    'unreachable',
    'database-unavailable',
    'unreachable',
    'enrolled',
  ]);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(attempts).toHaveLength(5);
});

it('waits twice as long after each failure, up to a minute', async () => {
  const { link, attempts } = linkOf(away);
  await link.open();
  await vi.advanceTimersByTimeAsync(600_000);
  const waits = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
  waits.slice(0, 6).forEach((wait, index) => {
    expect(wait / (1_000 * 2 ** index)).toBeGreaterThanOrEqual(0.89);
    expect(wait / (1_000 * 2 ** index)).toBeLessThanOrEqual(1.11);
  });
  for (const wait of waits.slice(6)) expect(wait).toBeLessThanOrEqual(66_000);
  link.close();
  const before = attempts.length;
  await vi.advanceTimersByTimeAsync(600_000);
  expect(attempts).toHaveLength(before);
});

it('does not open where the verifier says no, and goes on where it says so later', async () => {
  await expect(linkOf(taken).link.open()).rejects.toBe(taken);
  const { link, events } = linkOf(away, taken, 'ek-1');
  await link.open();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(events.map(({ kind }) => kind)).toEqual(['verifier-away', 'verifier-away', 'enrolled']);
});

it('serves who waits as soon as the verifier is back, without waiting for its turn', async () => {
  const { link, attempts, client } = linkOf(...Array.from({ length: 8 }, () => away), 'ek-1');
  await link.open();
  await vi.advanceTimersByTimeAsync(40_000);
  expect(attempts.length).toBeLessThan(7);
  const ready = link.ready();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await ready).toBe(client);
});

it('fails who waits with the reason, when patience ends and when the host stops', async () => {
  const { link } = linkOf(away);
  await link.open();
  const first = expect(link.ready()).rejects.toBe(away);
  await vi.advanceTimersByTimeAsync(PATIENCE_MS);
  await first;
  const second = expect(link.ready()).rejects.toBe(away);
  await vi.advanceTimersByTimeAsync(1_500);
  link.close();
  await second;
  await expect(link.ready()).rejects.toBe(away);
});
