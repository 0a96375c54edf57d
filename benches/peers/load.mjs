// The load of the peers that run in Node: keeps a number of orders in flight, and reports the outcomes of the measured time. The
// events are lines of JSON on the standard output; run.py reads the CPU of the processes at `warm` and at `measured`.

/** How long orders that are in flight at the end may take. */
const DRAIN_LIMIT_MS = 300_000;

/** The plan is the last argument of the program, as JSON: inFlight, refused, warmUpSeconds, seconds, limitSeconds. */
export const plan = JSON.parse(process.argv.at(-1));

/** `place` runs the saga of one order and returns "completed" or "compensated". */
export async function measure(place) {
  const run = Date.now().toString(36);
  const wanted = plan.refused ? "compensated" : "completed";
  let [next, ended, times, stopping] = [0, 0, null, false];

  const keepOneInFlight = async () => {
    while (!stopping) {
      const began = performance.now();
      const outcome = await place({ orderId: `${run}-${next}`, amount: 100 + (next++ % 900), refused: plan.refused });
      if (outcome !== wanted) throw new Error(`an order is ${outcome}, but must be ${wanted}`);
      ended += 1;
      times?.push(performance.now() - began);
    }
  };
  const slots = Promise.all(Array.from({ length: plan.inFlight }, keepOneInFlight));
  slots.catch(fail); // at once, not when the slots are awaited

  await turn(plan.warmUpSeconds, () => ended);
  times = [];
  const began = performance.now();
  send({ event: "warm" });
  await turn(plan.seconds, () => ended);
  const [measured, seconds] = [times, (performance.now() - began) / 1_000];
  times = null;
  send({ event: "measured" });

  stopping = true;
  const late = setTimeout(() => fail(new Error(`orders have no outcome after ${DRAIN_LIMIT_MS} ms`)), DRAIN_LIMIT_MS);
  await slots;
  clearTimeout(late);
  send({ event: "result", ...summarize(measured, seconds) });
}

/**
 * So many seconds, and until the next full turn: as many orders have ended as are in flight, or a multiple of it. Orders that started
 * together may end together, and a time that ends in between would count a turn too few or too many.
 */
async function turn(seconds, ended) {
  const [began, before] = [performance.now(), ended()];
  const turns = () => Math.floor((ended() - before) / plan.inFlight);
  await sleep(seconds * 1_000);
  const past = turns();
  while (turns() === past && performance.now() - began < plan.limitSeconds * 1_000) await sleep(5);
}

function summarize(times, seconds) {
  const sorted = times.toSorted((a, b) => a - b);
  const percentile = (percent) => sorted[Math.max(1, Math.ceil((sorted.length * percent) / 100)) - 1] ?? 0;
  return { sagas: times.length, seconds, p50_ms: percentile(50), p99_ms: percentile(99) };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const send = (event) => console.log(JSON.stringify(event));

function fail(error) {
  console.error(error);
  process.exit(1);
}
