import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { closePlatformHierarchy, measure, startTpm } from './tpm-startup.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const OK = hex('8001 0000000a 00000000');
/** TPM2_GetCapability(TPM_CAP_PCRS): SHA-1 not allocated, SHA-256 allocated. */
const BANKS = hex('8001 0000001f 00000000 00 00000005 00000002 0004 03 000000 000b 03 ffffff');

/** Answers in turn, and keeps the commands. */
function scripted(...responses: Uint8Array[]) {
  const commands: string[] = [];
  return {
    commands,
    execute: async (command: Uint8Array) => {
      commands.push(Buffer.from(command).toString('hex'));
      return responses.shift() ?? OK;
    },
  };
}

it('starts the TPM with TPM2_Startup(CLEAR), and says so when it refuses', async () => {
  const tpm = scripted(OK, hex('8001 0000000a 00000101'));
  await startTpm(tpm);
  expect(tpm.commands).toEqual(['80010000000c000001440000']);
  await expect(startTpm(tpm)).rejects.toMatchObject({ code: 'FIRMWARE_TPM', message: /0x101/ });
});

it('extends each event into the allocated banks only, and returns their digests for the log', async () => {
  const tpm = scripted(BANKS);
  const pieces = [hex('01'), hex('0203')];
  const log = await measure(tpm, [{ pcr: 4, type: 13, measured: pieces, event: hex('ee') }]);
  const digest = createHash('sha256').update(Buffer.concat(pieces)).digest();
  expect(log.banks).toEqual([0x000b]);
  expect(log.entries).toEqual([{ pcr: 4, type: 13, digests: new Map([[0x000b, digest]]), event: hex('ee') }]);
  expect(tpm.commands[1]).toBe(
    `80020000004100000182${'00000004'}${'00000009'}4000000900000000${'00'}${'00000001'}000b${digest.toString('hex')}`,
  );
});

it('never accepts a malformed answer about banks, and throws nothing untyped', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (tail) => {
      const response = Uint8Array.from([...OK, ...tail]);
      await measure(scripted(response), []).catch((error) => expect(error).toMatchObject({ code: 'FIRMWARE_TPM' }));
    }),
  );
});

it('closes the platform hierarchy with a value of its own each time, and takes a closed one as it is', async () => {
  const tpm = scripted(OK, OK, hex('8001 0000000a 000009a2'), hex('8001 0000000a 00000101'));
  await closePlatformHierarchy(tpm);
  await closePlatformHierarchy(tpm);
  const [first = '', second = ''] = tpm.commands;
  expect(first.slice(0, 28 + 26)).toBe('80020000003d000001294000000c00000009400000090000000000');
  expect(first.slice(-64)).not.toBe(second.slice(-64));
  await closePlatformHierarchy(tpm);
  await expect(closePlatformHierarchy(tpm)).rejects.toMatchObject({ code: 'FIRMWARE_TPM' });
});
