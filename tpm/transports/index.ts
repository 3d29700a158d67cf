/** Ways to a TPM: sockets and device files for clients, servers for a TPM of ours. */
export { openTransport, transportOpener } from './address.ts';
export { Board, type BoardOptions, type MigratableTpm, type ServedTpm, type VolatileStore } from './board.ts';
export { characterDevice } from './character-device.ts';
export { type TpmTransportCode, TpmTransportError } from './errors.ts';
export { localTransport } from './local.ts';
export { type Inherited, type Place, placeName } from './place.ts';
export { type SimulatorPlaces, type SwtpmPlaces, simulatorTransport, swtpmTransport } from './remote.ts';
export { type Channel, type ServeOptions, serveTpm, type TpmServer } from './server.ts';
export { fileVolatileStore } from './volatile-file.ts';
