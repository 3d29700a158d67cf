/** A client's way to a real TPM on Linux: `/dev/tpmrm0` (with the kernel's resource manager) or `/dev/tpm0`. */
import { type FileHandle, open } from 'node:fs/promises';
import type { Locality, TpmTransport } from '../device.ts';
import { TpmTransportError } from './errors.ts';
import { TPM_HEADER } from './protocol.ts';

/** The kernel's buffer for commands and responses (TPM_BUFSIZE). */
const BUFFER_SIZE = 4096;

/** Open the device file. Rejects with E_TRANSPORT_CONNECT. The kernel speaks at locality 0 only. */
export async function characterDevice(path = '/dev/tpmrm0'): Promise<TpmTransport> {
  const file = await openDevice(path);
  const buffer = new Uint8Array(BUFFER_SIZE);
  let turn: Promise<unknown> = Promise.resolve();

  const exchange = async (command: Uint8Array) => {
    try {
      // One write is one command, one read is its response (Documentation/security/tpm in the kernel's tree).
      await file.write(command, 0, command.length, null);
      const { bytesRead } = await file.read(buffer, 0, BUFFER_SIZE, null);
      if (bytesRead >= TPM_HEADER) return buffer.slice(0, bytesRead);
    } catch (error) {
      throw closed(path, error);
    }
    throw closed(path);
  };

  return {
    send(command, locality: Locality = 0) {
      if (locality !== 0) {
        return Promise.reject(
          new TpmTransportError(
            'E_TRANSPORT_LOCALITY',
            `${path} offers locality 0 only, not ${locality}`,
            'use locality 0; the firmware and the kernel own the others',
          ),
        );
      }
      const answer = turn.then(() => exchange(command));
      turn = answer.catch(() => {});
      return answer;
    },
    async close() {
      await turn;
      await file.close();
    },
  };
}

async function openDevice(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TpmTransportError(
      'E_TRANSPORT_CONNECT',
      `cannot open ${path}: ${error instanceof Error ? error.message : String(error)}`,
      code === 'EACCES' ? 'join the group tss, or use a TPM over a socket' : 'check that this machine has a TPM',
      error,
    );
  }
}

function closed(path: string, cause?: unknown): TpmTransportError {
  return new TpmTransportError(
    'E_TRANSPORT_CLOSED',
    `${path} did not answer the command${cause instanceof Error ? `: ${cause.message}` : ''}`,
    'look in the kernel log for messages of the tpm driver',
    cause,
  );
}
