import { expect, it } from 'vitest';
import { VerifierError } from '../attestation/verifier/errors.ts';
import { describeError, exitCodeOf, visible } from './errors.ts';

const system = (message: string, code: string) => Object.assign(new Error(message), { code, syscall: 'open' });

it('a code says once who refused', () => {
  expect(describeError(new VerifierError('release-refused', 'no')).code).toBe('E_REFUSED_RELEASE');
  expect(describeError(new VerifierError('platform-taken', 'no')).code).toBe('E_REFUSED_PLATFORM_TAKEN');
  expect(describeError(new VerifierError('kek-wrong', 'no')).code).toBe('E_STATE_KEK_WRONG');
});

it('what was typed wrong is a wrong use, also where the verifier finds it', () => {
  expect(exitCodeOf(new VerifierError('request-malformed', 'A platform name has 1-128 letters.'))).toBe(2);
  expect(exitCodeOf(new VerifierError('evidence-malformed', 'no'))).toBe(1);
});

it('a file is named as the user named it', () => {
  const error = system("ENOENT: no such file or directory, open 'no/x.27136.tmp'", 'ENOENT');
  expect(describeError(error).message).toBe("no such file or directory, open 'no/x'");
  const used = system('listen EADDRINUSE: address already in use 127.0.0.1:80', 'EADDRINUSE');
  expect(describeError(used)).toMatchObject({ message: 'address already in use 127.0.0.1:80' });
  expect(describeError(used).remedy).toMatch(/another port/);
});

it('control characters of a file do not reach the terminal', () => {
  expect(visible('a\u001b[2Jb\u009b\n')).toBe('a\\x1b[2Jb\\x9b\n');
});
