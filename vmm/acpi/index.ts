export { type PlacedTables, placeTables } from './layout.ts';
export { type AcpiMachine, type TpmInterface, V86_INTERRUPTS, V86_POWER } from './machine.ts';
