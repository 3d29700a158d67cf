import { expect, it } from 'vitest';
import { abiHeader, abiHeaderIsCurrent } from './abi.ts';

it('guests/sdk/nexus_abi.h is what the declarations give; run node dist/guests/abi.js after changing them', () => {
  expect(abiHeaderIsCurrent()).toBe(true);
});

it('the header names calls, services and errors with their numbers', () => {
  expect(abiHeader()).toContain('#define NEXUS_SERVICE_UNSEAL 0x102U\n');
  expect(abiHeader()).toContain('#define NEXUS_E_UNSEAL_REFUSED 0x43U\n');
  expect(abiHeader()).toContain('#define NEXUS_PORT_CALL 0x1e00U\n');
});
