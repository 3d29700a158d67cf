import { spawn } from 'node:child_process';
import { readFileSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { answering, freePortPair, startSwtpm } from '../test/support/swtpm.ts';
import { openTarget } from './measure.ts';
import { CASES } from './tpm-cases.ts';
const directory = mkdtempSync(join(process.cwd(), 'dist', '.bench-'));
const port = await freePortPair();
const child = spawn(process.execPath, [...(process.env.SERVER_FLAGS?.split(' ')??[]), 'dist/cli/main.js','tpm','serve','--swtpm',`${port}`,'--state',join(directory,'tpm')],{stdio:['ignore','ignore','inherit']});
await answering(port);
const peer = await startSwtpm();
const ours = await openTarget('ours', port), theirs = await openTarget('swtpm', peer.port);
const cpu=(pid:number)=>{const f=readFileSync(`/proc/${pid}/schedstat`,'utf8').split(' ');const s=readFileSync(`/proc/${pid}/stat`,'utf8').split(' ');return [Number(f[0])/1000,Number(s[13]),Number(s[14])] as const;};
const only=process.argv[2]??'PCR_Read';
for (const c of CASES.filter(({name})=>name.includes(only))) {
  for (const [t,pid] of [[ours,child.pid!],[theirs,peer.pid],[ours,child.pid!],[theirs,peer.pid]] as const) {
    const p = await c.prepare(t.wire.send, t.srk) as any;
    const f=async()=>{await p.run();await p.after?.();};
    for(let i=0;i<2000;i++) await f();
    const n=Number(process.env.N??20000);const a=cpu(pid);const t0=performance.now();
    for(let i=0;i<n;i++) await f();
    const b=cpu(pid);
    console.log(c.name,t.name,'cpu us',((b[0]-a[0])/n).toFixed(1),'user',((b[1]-a[1])*1e4/n).toFixed(1),'sys',((b[2]-a[2])*1e4/n).toFixed(1),'wall us',((performance.now()-t0)*1000/n).toFixed(1));
    await p.cleanup?.();
  }
}
child.kill(); peer.stop(); process.exit(0);
