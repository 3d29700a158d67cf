import { describe, expect, it } from 'vitest';
import { type Attested, parseReleasePolicy, refusals } from './release-policy.ts';

const partition = { codeIdentity: 'aa'.repeat(32), signer: 'bb'.repeat(32), svn: 3, debug: false };
const attested: Attested = { state: 'affirming', platform: 'rack-4', partition };

describe('release policies', () => {
  it('release when every member that is present holds', () => {
    expect(refusals({}, attested)).toEqual([]);
    const all = {
      codeIdentity: [partition.codeIdentity],
      signer: [partition.signer],
      minimumSvn: 3,
      platforms: ['rack-4'],
    };
    expect(refusals(all, attested)).toEqual([]);
  });

  it.each([
    ['state', {}, { ...attested, state: 'contraindicated' }],
    ['state', {}, { ...attested, state: 'warning' }],
    ['platform', { platforms: ['rack-5'] }, attested],
    ['code-identity', { codeIdentity: ['cc'.repeat(32)] }, attested],
    ['signer', { signer: ['cc'.repeat(32)] }, attested],
    ['security-version', { minimumSvn: 4 }, attested],
    ['debug', {}, { ...attested, partition: { ...partition, debug: true } }],
    ['code-identity', { codeIdentity: [partition.codeIdentity] }, { ...attested, partition: undefined }],
    ['signer', { signer: [partition.signer] }, { ...attested, partition: undefined }],
    ['security-version', { minimumSvn: 0 }, { ...attested, partition: undefined }],
  ] as const)('refuse by name: %s', (name, policy, subject) => {
    expect(refusals(parseReleasePolicy(policy), subject)).toEqual([name]);
  });

  it('relax only what they say', () => {
    expect(refusals({ allowWarning: true }, { ...attested, state: 'warning' })).toEqual([]);
    expect(refusals({ allowWarning: true }, { ...attested, state: 'expired' })).toEqual(['state']);
    expect(refusals({ allowDebug: true }, { ...attested, partition: { ...partition, debug: true } })).toEqual([]);
  });

  it('may say it in CEL; each expression is a condition with its number', () => {
    const expressions = ["platform.startsWith('rack-')", '!partition.attested || partition.svn >= 3'];
    const policy = parseReleasePolicy({ expect: expressions });
    expect(refusals(policy, attested)).toEqual([]);
    expect(refusals(policy, { ...attested, partition: undefined })).toEqual([]);
    expect(refusals(policy, { ...attested, platform: 'lab-1' })).toEqual(['expect-1']);
    expect(refusals(policy, { ...attested, partition: { ...partition, svn: 2 } })).toEqual(['expect-2']);
    // An error while it is evaluated is not a yes.
    expect(refusals(parseReleasePolicy({ expect: ['1 / (partition.svn - 3) == 0'] }), attested)).toEqual(['expect-1']);
    for (const expression of ['partition.version > 1', 'platform', 'platform ==', "state == 'x' ? true : 1"]) {
      expect(() => parseReleasePolicy({ expect: [expression] })).toThrow(
        expect.objectContaining({ code: 'policy-malformed' }),
      );
    }
  });

  it('are refused when malformed: unknown members, digests that are none, empty promises', () => {
    for (const policy of [null, [], { codeidentity: [] }, { signer: ['AA'] }, { minimumSvn: -1 }, { allowDebug: 1 }]) {
      expect(() => parseReleasePolicy(policy)).toThrow(expect.objectContaining({ code: 'policy-malformed' }));
    }
  });
});
