// A foreign client driven from Python: commands come as lines of JSON, answers and events go out as such.
// A command is `{id, do, …}`; its answer `{id, ok}` or `{id, error: {message, code}}`; an event has no id.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

/** A client from the folder in which scripts/setup.sh installs them. */
export const peer = createRequire(`${process.env.ANDON_PEERS}/`);

export function tell(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

/** What an error says, with the reason code of the standard where the client has one. */
function told(error) {
  return { message: String(error?.message ?? error?.errorMessage ?? error), code: error?.code ?? error?.errorCode ?? null };
}

/** Serves commands by name until the input ends; each is a function of the command and may be asynchronous. */
export function serve(commands) {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const command = JSON.parse(line);
    try {
      tell({ id: command.id, ok: (await commands[command.do](command)) ?? null });
    } catch (error) {
      tell({ id: command.id, error: told(error) });
    }
  });
  lines.on('close', () => process.exit(0));
  // A client that fails aloud is a finding, not the end.
  process.on('uncaughtException', (error) => tell({ event: 'uncaught', ...told(error) }));
}
