/** Runs a guest program to its end against a nexus made of plain functions, and collects what it reported. */
import { readFile } from 'node:fs/promises';
import {
  type Engine,
  ERROR_BASE,
  type Hypercall,
  type HypercallReply,
  loadMultiboot,
  SERVICE_BASE,
  type VmExit,
} from 'nexus-tcb/vmm';
import { buildGuests, type GuestName } from '../../guests/build.ts';
import { parseRequest, type RelayRequest, ServiceError, type ServiceRequest } from '../../nexus/services/requests.ts';

const MEMORY = 8 * 1024 * 1024;

/** Answers a service with its output; throws ServiceError to refuse. */
export type Services = (request: Exclude<ServiceRequest, { service: 'relay' }>) => Uint8Array;
export type Root = (request: Exclude<RelayRequest, { operation: 'mode' | 'result' }>) => Uint8Array;

export interface GuestRun {
  readonly results: readonly string[];
  readonly console: string;
  readonly exit: VmExit;
}

export async function runGuest(
  engine: Engine,
  guest: GuestName,
  mode: string,
  services: Services,
  root: Root,
  /** Calls of the core; refused where absent. */
  core: (call: number, args: readonly number[]) => number = () => ERROR_BASE + 1,
): Promise<GuestRun> {
  const { segments, entry } = loadMultiboot(await readFile((await buildGuests())[guest]), guest, MEMORY);
  const results: string[] = [];
  let text = '';
  const answer = (request: ServiceRequest): Uint8Array => {
    if (request.service !== 'relay') return services(request);
    if (request.relay.operation === 'mode') return Buffer.from(mode);
    if (request.relay.operation !== 'result') return root(request.relay);
    results.push(request.relay.line);
    return new Uint8Array();
  };
  const onHypercall = ({ call, args, input }: Hypercall): HypercallReply => {
    if (call < SERVICE_BASE) return { result: core(call, args) };
    try {
      const output = answer(parseRequest(call, input));
      return { result: output.length, output };
    } catch (error) {
      if (error instanceof ServiceError) return { result: ERROR_BASE + error.serviceCode };
      throw error;
    }
  };
  const exit = await new Promise<VmExit>((onExit, failed) => {
    const onConsole = (bytes: Uint8Array) => {
      text += Buffer.from(bytes).toString();
    };
    engine
      .create({ name: guest, memoryBytes: MEMORY, segments, entry, onHypercall, onConsole, onExit })
      .then((vm) => vm.start())
      .catch(failed);
  });
  return { results, console: text, exit };
}
