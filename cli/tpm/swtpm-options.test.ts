import { describe, expect, test } from 'vitest';
import { swtpmRequest } from './swtpm-options.ts';

const serve = (line: string, environment = {}) => {
  const request = swtpmRequest(line.split(' '), environment);
  if (request.kind !== 'serve') throw new Error(request.kind);
  return request.flags;
};

describe('command lines that scripts start swtpm with', () => {
  test('tpm2-tss’s test harness', () => {
    const flags = serve(
      'socket --tpm2 -p 5000 --ctrl type=tcp,port=5001 --log fd=1,level=5 --flags not-need-init --tpmstate dir=/t --locality allow-set-locality',
    );
    expect(flags.listen).toEqual([
      { channel: 'data', at: { host: '127.0.0.1', port: 5000 } },
      { channel: 'control', at: { host: '127.0.0.1', port: 5001 } },
    ]);
    expect(flags).toMatchObject({ state: '/t/nexus', off: false, startup: 'none', terminate: false, daemon: false });
  });

  test('a virtual machine’s: a control channel alone, ended with it', () => {
    const flags = serve(
      'socket --ctrl type=unixio,path=/t/sock,mode=0600 --tpmstate=backend-uri=dir:///t --tpm2 -t -d',
    );
    expect(flags.listen).toEqual([{ channel: 'control', at: { path: '/t/sock' } }]);
    expect(flags).toMatchObject({ state: '/t/nexus', off: true, terminate: true, daemon: true });
  });

  test('a service’s: a number, a log, a passphrase, TPM2_Startup', () => {
    const flags = serve(
      'socket --tpm2 --server type=tcp,port=1,bindaddr=::1,disconnect --flags startup-clear --pid file=p --log file=l,level=20 --key pwdfile=k,mode=aes-256-cbc',
      { TPM_PATH: '/from/environment' },
    );
    expect(flags.listen).toEqual([{ channel: 'data', at: { host: '::1', port: 1 } }]);
    expect(flags).toMatchObject({ state: '/from/environment/nexus', startup: 'clear', off: false });
    expect(flags).toMatchObject({ pidFile: 'p', logFile: 'l', passphraseFile: 'k' });
  });

  test('swtpm_setup’s: connections handed down', () => {
    const flags = serve(
      'socket --flags not-need-init,startup-clear --tpmstate backend-uri=dir://st --tpm2 --server type=tcp,fd=7 --ctrl type=unixio,clientfd=5',
    );
    expect(flags.listen).toEqual([
      { channel: 'data', at: { fd: 7 } },
      { channel: 'control', at: { fd: 5 } },
    ]);
  });

  test('questions', () => {
    expect(swtpmRequest(['socket', '--print-states', '--tpmstate', 'dir=/t', '--tpm2'])).toEqual({
      kind: 'states',
      state: '/t/nexus',
    });
    expect(swtpmRequest(['--version'])).toEqual({ kind: 'version' });
    expect(swtpmRequest(['socket', '--tpm2', '--print-capabilities'])).toEqual({ kind: 'capabilities' });
    expect(swtpmRequest(['socket', '-h'])).toEqual({ kind: 'help' });
    expect(swtpmRequest([])).toEqual({ kind: 'help' });
  });
});

test.each([
  ['chardev --tpm2', 'the interface chardev'],
  ['socket --port 1', 'a TPM 1.2'],
  ['socket --tpm2', 'no channel'],
  ['socket --tpm2 --port none', 'no port'],
  ['socket --tpm2 --server clientfd=3', '--server clientfd'],
  ['socket --tpm2 --ctrl clientfd=0x3', 'clientfd=0x3'],
  ['socket --tpm2 --print-states', 'no state'],
  ['socket --tpm2 --ctrl type=unixio', 'no path'],
  ['socket --tpm2 --ctrl type=unixio,path=s,mode=0666', 'mode=0666'],
  ['socket --tpm2 --ctrl type=unixio,path=s,uid=7', '--ctrl uid'],
  ['socket --tpm2 --port 1 --key file=k', '--key file'],
  ['socket --tpm2 --port 1 --locality reject-locality-4', '--locality reject-locality-4'],
  ['socket --tpm2 --port 1 --tpmstate backend-uri=file:///t/state', 'file:///t/state'],
  ['socket --tpm2 --port 1 --runas tss', '--runas'],
])('%s is refused', (line, what) => {
  expect(() => swtpmRequest(line.split(' '))).toThrow(what);
});
