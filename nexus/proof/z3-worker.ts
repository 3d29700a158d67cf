/** A process that answers queries with the z3-solver package: WebAssembly, so that no solver needs installing. */
import { init } from 'z3-solver';

const { Z3, em } = await init();

/**
 * What the package's `eval_smtlib2_string` means to do. Its own wrapper leaves the text on the WebAssembly stack and
 * returns while z3's thread is still to read it, so that now and then z3 read something else.
 */
async function evaluate(context: ReturnType<typeof Z3.mk_context>, query: string): Promise<string> {
  const text = new TextEncoder().encode(`${query}\0`);
  const address: number = em._malloc(text.length);
  em.HEAPU8.set(text, address);
  try {
    return await em.async_call(em._async_Z3_eval_smtlib2_string, context, address);
  } finally {
    em._free(address);
  }
}

const processorMilliseconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

process.on('message', async ({ query, milliseconds }: { query: string; milliseconds: number }) => {
  const config = Z3.mk_config();
  const context = Z3.mk_context(config);
  Z3.del_config(config);
  const end = processorMilliseconds() + milliseconds;
  const limit = setInterval(() => processorMilliseconds() > end && Z3.interrupt(context), 100);
  let output: string;
  try {
    output = await evaluate(context, query);
  } catch (error) {
    output = `(error "${String(error)}")`;
  } finally {
    clearInterval(limit);
    Z3.del_context(context);
  }
  process.send?.(output);
});
process.send?.('ready');
