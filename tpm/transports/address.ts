/** Addresses of TPMs as people write them: those of tpm2-tss (`TPM2TOOLS_TCTI`), and a bare path. */
import type { TpmTransport } from '../device.ts';
import { characterDevice } from './character-device.ts';
import { TpmTransportError } from './errors.ts';
import type { Place } from './place.ts';
import { simulatorTransport, swtpmTransport } from './remote.ts';

/**
 * Open the TPM at an address. Throws E_TRANSPORT_ADDRESS for one that cannot be read.
 *
 * | address | TPM |
 * |---|---|
 * | `device:/dev/tpmrm0`, `/dev/tpmrm0` | Linux character device |
 * | `swtpm:host=H,port=P`, `swtpm:path=S` | swtpm's data channel |
 * | `mssim:host=H,port=P`, `mssim:path=S` | the simulator's command port; platform port P+1 |
 */
export async function openTransport(address: string): Promise<TpmTransport> {
  return transportOpener(address)();
}

/** Read an address now, open its TPM later, any number of times. Throws E_TRANSPORT_ADDRESS. */
export function transportOpener(address: string): () => Promise<TpmTransport> {
  if (address.startsWith('/')) return async () => characterDevice(address);
  const [kind = '', rest = ''] = splitOnce(address, ':');
  if (kind === 'device') return async () => characterDevice(rest === '' ? undefined : rest);
  if (kind !== 'swtpm' && kind !== 'mssim') throw unreadable(address);
  const at = placeOf(address, rest);
  if (kind === 'swtpm') return () => swtpmTransport({ data: at });
  const platform = 'port' in at ? { platform: { ...at, port: at.port + 1 } } : {};
  return () => simulatorTransport({ command: at, ...platform });
}

function placeOf(address: string, text: string): Place {
  const values = new Map<string, string>();
  for (const pair of text.split(',').filter((part) => part !== '')) {
    const [key = '', value] = splitOnce(pair, '=');
    if (!['host', 'port', 'path'].includes(key) || value === undefined) throw unreadable(address);
    values.set(key, value);
  }
  const path = values.get('path');
  if (path !== undefined) return { path };
  const port = Number(values.get('port') ?? 2321);
  if (!Number.isInteger(port) || port < 1 || port > 65534) throw unreadable(address);
  return { host: values.get('host') ?? '127.0.0.1', port };
}

function splitOnce(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function unreadable(address: string): TpmTransportError {
  return new TpmTransportError(
    'E_TRANSPORT_ADDRESS',
    `no such TPM address: ${address}`,
    'write device:/dev/tpmrm0, swtpm:host=127.0.0.1,port=2321, swtpm:path=/run/tpm.sock or mssim:host=127.0.0.1,port=2321',
  );
}
