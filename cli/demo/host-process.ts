/**
 * A host in a process of its own, for the demo: started by fork, told its configuration, reporting every event. It
 * ends when its parent does, so that no host outlives a killed demo.
 */
import { Host, type HostConfig, type HostEvent } from '../../nexus/host/index.ts';
import { describeError } from '../errors.ts';

export type ToHost = { readonly type: 'start'; readonly config: HostConfig } | { readonly type: 'stop' };

export type FromHost =
  | { readonly type: 'event'; readonly event: HostEvent }
  | {
      readonly type: 'failed';
      readonly code: string;
      readonly message: string;
      readonly remedy: string;
      readonly detail?: string;
    }
  | { readonly type: 'stopped' };

const send = (message: FromHost) => new Promise<void>((done) => process.send?.(message, undefined, {}, () => done()));

let host: Host | undefined;

process.on('message', (message: ToHost) => {
  const work =
    message.type === 'start'
      ? Host.start(message.config, (event) => void send({ type: 'event', event })).then((started) => {
          host = started;
        })
      : (host?.stop() ?? Promise.resolve()).then(() => send({ type: 'stopped' })).then(() => process.exit(0));
  work.catch(async (error: unknown) => {
    const { code, message, remedy, stack } = describeError(error);
    await send({ type: 'failed', code, message, remedy, ...(stack ? { detail: stack } : {}) });
    process.exit(1);
  });
});
process.on('disconnect', () => process.exit(1));
