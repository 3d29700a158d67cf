/** A process that answers queries with the z3-solver package: WebAssembly, so that no solver needs installing. */
import { init } from 'z3-solver';

const { Z3 } = await init();

process.on('message', async ({ query, milliseconds }: { query: string; milliseconds: number }) => {
  const config = Z3.mk_config();
  const context = Z3.mk_context(config);
  Z3.del_config(config);
  let output: string;
  try {
    output = await Z3.eval_smtlib2_string(context, `(set-option :timeout ${milliseconds})\n${query}`);
  } catch (error) {
    output = `(error "${String(error)}")`;
  } finally {
    Z3.del_context(context);
  }
  process.send?.(output);
});
process.send?.('ready');
