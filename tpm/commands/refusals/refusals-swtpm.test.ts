/**
 * The same refusals, asked of the distribution's swtpm: it must answer each with the same code and number, but for those
 * that `DIFFERS` names with a reason.
 */
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { hasSwtpm, startSwtpm } from '../../../test/support/swtpm.ts';
import { TpmClient, TpmResponseError } from '../../client/index.ts';
import type { TpmTransport } from '../../device.ts';
import { rcName, TPM_RC } from '../../structures/index.ts';
import { swtpmTransport } from '../../transports/index.ts';
import { Bench, type Case, expectedCode, OutOfReach } from './bench.test-support.ts';
import { cases } from './cases.test-support.ts';
import { because, type CommandName } from './listed.test-support.ts';

/** CMD_INIT of swtpm's control channel, with the flag that forgets volatile state. */
const INIT = Uint8Array.of(0, 0, 0, 2, 0, 0, 0, 1);

/** What swtpm 0.7.1 answers otherwise, and why ours stays. */
const DIFFERS: Readonly<Record<string, string>> = {
  ...because(
    'it makes keys of 1024 bits',
    'Create: TPM_RC_VALUE p2, RSA of 1024 bits',
    'CreatePrimary: TPM_RC_VALUE p2, RSA of 1024 bits',
    'CreateLoaded: TPM_RC_VALUE p2, RSA of 1024 bits',
  ),
  ...because(
    'whatever its RSA library refuses is TPM_RC_FAILURE',
    'ActivateCredential: TPM_RC_VALUE p2, an RSA secret with other padding',
    'Duplicate: TPM_RC_HASH h2, an RSA key too small for its digest',
    'Import: TPM_RC_VALUE p4, an RSA seed above the modulus',
    'RSA_Encrypt: TPM_RC_VALUE p1, a number above the modulus',
    'RSA_Encrypt: TPM_RC_VALUE p1, a message too long for its padding',
    'RSA_Decrypt: TPM_RC_VALUE p1, a number above the modulus',
    'RSA_Decrypt: TPM_RC_VALUE p1, other padding',
  ),
  ...because('it answers as for any structure that ends too early', 'ContextLoad: TPM_RC_SIZE p1, an empty blob'),
  ...because('it takes the handle for a parameter', 'SequenceUpdate: TPM_RC_MODE h1, no sequence'),
  ...because('it takes the signing key for the first handle', 'CertifyX509: TPM_RC_KEY h2, the key does not sign'),
  ...because('it knows no other code for it', 'CertifyX509: TPM_RC_ATTRIBUTES p3, a use that the key has not'),
  ...because('it tells of the element whose length is wrong', 'CertifyX509: TPM_RC_VALUE p3, no certificate'),
};
/** Commands of revisions after its own. */
const ABSENT: ReadonlySet<CommandName> = new Set([
  'ECC_Encrypt',
  'ECC_Decrypt',
  'PolicyCapability',
  'PolicyParameters',
  'NV_DefineSpace2',
]);
/** A code without the number of what is at fault says less than ours, not otherwise. */
const withoutNumber = (answer: string): string => answer.replace(/, (handle|parameter|session) \d$/, '');

const title = ([command, code, at, why]: Case): string => `${command}: TPM_RC_${code} ${at}, ${why}`;

function signal(port: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    socket.once('data', () => socket.end());
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
}

/** What swtpm answers at the end of a case: its refusal, or none. */
async function answerOf([, , , , provoke]: Case): Promise<TpmResponseError | undefined> {
  const swtpm = await startSwtpm();
  const at = (port: number) => ({ host: '127.0.0.1', port });
  // It listens to control commands a little before it listens to commands.
  const open = async (tries = 100): Promise<TpmTransport> => {
    try {
      return await swtpmTransport({ data: at(swtpm.port), control: at(swtpm.port + 1) });
    } catch (error) {
      if (tries === 0) throw error;
      return open(tries - 1);
    }
  };
  let transport = await open();
  const client = await TpmClient.over({
    async send(command, locality) {
      const answer = await transport.send(command, locality);
      // swtpm wants the first use of an object that dictionary attacks count for to be repeated.
      const again = new DataView(answer.buffer, answer.byteOffset).getUint32(6) === TPM_RC.RETRY;
      return again ? transport.send(command, locality) : answer;
    },
    close: () => transport.close(),
  });
  const bench = new Bench({
    client,
    async restart() {
      await transport.close();
      await signal(swtpm.port + 1, INIT);
      transport = await open();
    },
    advance() {
      throw new OutOfReach();
    },
  });
  try {
    await bench.startup();
    await provoke(bench);
    return undefined;
  } catch (error) {
    if (error instanceof TpmResponseError) return error;
    throw error;
  } finally {
    await client.transport.close();
    swtpm.stop();
  }
}

const shared = cases.filter(([name]) => !ABSENT.has(name));

describe.skipIf(!hasSwtpm)(`${shared.length} refusals of swtpm`, () => {
  it.for(shared.map((each) => [title(each), each] as const))('%s', async ([name, each], { skip }) => {
    const refusal = await answerOf(each).catch((error: unknown) => {
      if (error instanceof OutOfReach) return skip('time cannot be chosen');
      throw error;
    });
    const answer = refusal === undefined ? 'success' : `${refusal.command}: ${rcName(refusal.code)}`;
    const expected = `${each[0]}: ${rcName(expectedCode(each))}`;
    const same = answer === withoutNumber(answer) ? withoutNumber(expected) : expected;
    if (DIFFERS[name] === undefined) expect(answer).toBe(same);
    else expect(answer).not.toBe(same);
  });
});
