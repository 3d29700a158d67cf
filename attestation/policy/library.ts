/** Ready policies, by name. Those with `values` are templates: copy one and give your own. docs/policy.md shows each. */
import type { PolicyDocument } from './policy.ts';

export const POLICY_LIBRARY: Readonly<Record<string, PolicyDocument>> = {
  'secure-boot': {
    name: 'secure-boot',
    description: 'Secure Boot was on, and PCR 7 tells a whole story.',
    clauses: [
      { expect: 'secureBoot.problems.size() == 0', because: 'the log of PCR 7 is not what firmware writes' },
      { expect: 'secureBoot.enabled', because: 'Secure Boot is off' },
    ],
  },
  'known-authorities': {
    name: 'known-authorities',
    description:
      'Only certificates named here let code run at boot. By default Microsoft: Windows Production PCA 2011, UEFI CA 2011, Root 2010.',
    values: {
      certificates: [
        'e8e95f0733a55e8bad7be0a1413ee23c51fcea64b3c8fa6a786935fddcc71961',
        '48e99b991f57fc52f76149599bff0a58c47154229b9f8d603ac40d3500248507',
        'df545bf919a2439c36983b54cdfc903dfa4f37d3996d8d84b4c31eec6f3c163e',
      ],
    },
    clauses: [
      {
        expect: 'secureBoot.authorities.all(a, a.certificate in certificates)',
        because: 'an authority that is not on the list',
      },
    ],
  },
  'no-debug-boot': {
    name: 'no-debug-boot',
    description: 'Neither firmware nor Windows was started for debugging or with test signatures.',
    clauses: [
      { expect: '!events.exists(e, e.kind == "action" && e.text == "UEFI Debug Mode")', because: 'firmware debugger' },
      {
        expect:
          '["BootDebugging", "OsKernelDebug", "TestSigning", "SafeMode", "HypervisorDebug"].all(s, !(s in boot.windows) || boot.windows[s].all(v, v == 0))',
        because: 'a Windows setting for debugging',
      },
    ],
  },
  'linux-command-line': {
    name: 'linux-command-line',
    description: 'The kernel was started without arguments that switch its protections off.',
    values: {
      forbidden: [
        'init=',
        'rdinit=',
        'systemd.debug_shell',
        'rd.break',
        'module.sig_enforce=0',
        'ima_appraise=off',
        'mitigations=off',
      ],
    },
    clauses: [
      { expect: 'boot.commandLines.size() > 0', because: 'the log has no kernel command line' },
      {
        expect: 'boot.commandLines.all(line, forbidden.all(word, !line.contains(word)))',
        because: 'a kernel argument that is forbidden',
      },
    ],
  },
  'ima-no-violations': {
    name: 'ima-no-violations',
    description: 'IMA measured every file while nobody could write it.',
    clauses: [
      { expect: 'ima.entries > 0', because: 'no list of IMA' },
      { expect: 'ima.violations == 0', because: 'files that changed while they were measured', severity: 'warning' },
    ],
  },
  'ima-signed': {
    name: 'ima-signed',
    description: 'Every file that IMA measured is signed by a key that the reference values name.',
    clauses: [
      { expect: 'ima.entries > 0', because: 'no list of IMA' },
      {
        expect: 'ima.files.all(f, f.signer != "" || f.path == "boot_aggregate")',
        because: 'a file without a known signature',
      },
    ],
  },
  'ima-allow-list': {
    name: 'ima-allow-list',
    description: 'Every file that IMA measured has a digest on the list.',
    values: { digests: [] },
    clauses: [
      { expect: 'ima.entries > 0', because: 'no list of IMA' },
      {
        expect: 'ima.files.all(f, f.digest in digests || f.path == "boot_aggregate")',
        because: 'a file that is not on the list',
      },
    ],
  },
  'trusted-clock': {
    name: 'trusted-clock',
    description: 'The TPM was shut down in order, so its clock and counters are exact.',
    clauses: [{ expect: 'quote.safe', because: 'the clock may have gone back', severity: 'warning' }],
  },
};
