// The order saga on DBOS. The orchestrator is a library, so that saga, steps and load are one process. Arguments: the address of the
// database, the plan.

import { DBOS } from "@dbos-inc/dbos-sdk";
import { measure } from "../load.mjs";

const [databaseUrl] = process.argv.slice(2);

class Refused extends Error {}

const step = (name, run) => DBOS.runStep(async () => run(), { name });

const placeOrder = DBOS.registerWorkflow(
  async (order) => {
    const compensations = [];
    try {
      compensations.push(() => step("release", () => ({})));
      const { reservationId } = await step("reserve", () => ({ reservationId: `R-${order.orderId}` }));
      compensations.push(() => step("refund", () => ({})));
      await step("charge", () => ({ paymentId: `P-${order.orderId}` }));
      return await step("ship", () => ship({ ...order, reservationId }));
    } catch (error) {
      for (const compensate of compensations.toReversed()) await compensate();
      return { refused: error.message };
    }
  },
  { name: "placeOrder" },
);

function ship({ orderId, refused }) {
  if (refused) throw new Refused("no carrier");
  return { trackingId: `T-${orderId}` };
}

/** The id of the order is the id of the workflow, so that it is placed once. */
async function place(order) {
  const handle = await DBOS.startWorkflow(placeOrder, { workflowID: order.orderId })(order);
  const { trackingId, refused } = await handle.getResult();
  if (trackingId === `T-${order.orderId}`) return "completed";
  return refused ? "compensated" : `without an outcome: ${order.orderId}`;
}

DBOS.setConfig({
  name: "orders",
  systemDatabaseUrl: databaseUrl,
  systemDatabasePoolSize: 20,
  logLevel: "warn",
});
await DBOS.launch();
await measure(place);
await DBOS.shutdown();
