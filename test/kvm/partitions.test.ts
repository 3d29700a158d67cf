/** What v86 is held to in test/{partitions,isolation,demo}.test.ts, on hardware. */
import { createKvmEngine, probeKvm } from 'nexus-tcb/vmm';
import { describe, it } from 'vitest';
import { demoOn } from '../support/demo.ts';
import { isolationContract } from '../support/isolation-contract.ts';
import { partitionContract } from '../support/partition-contract.ts';

const report = await probeKvm();
const skip = process.env.NEXUS_TEST_KVM !== '1' ? 'run by npm run test:kvm' : report.usable ? undefined : report.reason;

describe.skipIf(skip !== undefined)(`KVM${skip ? ` (skipped: ${skip})` : ''}`, () => {
  describe('partitions', () => partitionContract(createKvmEngine));
  describe('isolation', () => isolationContract(createKvmEngine));
  it(
    'a trusted partition reports, is released its secret, seals and unseals; tampering is refused',
    () => demoOn('kvm'),
    300_000, // a dozen guests, whose kernel code a virtual /dev/kvm emulates
  );
});
