// The order saga on Restate, twice: with participants that are durable services of their own, and with steps within the handler.
// Arguments: the role, which is `orders` or `participants` (each a process of its own), and the port to listen on.

import * as restate from "@restatedev/restate-sdk";

const orders = restate.service({
  name: "orders",
  handlers: {
    place: async (ctx, order) => {
      const call = (service) => ctx.serviceClient({ name: service });
      return saga(async (compensations) => {
        compensations.push(() => call("inventory").release(order));
        const { reservationId } = await call("inventory").reserve(order);
        compensations.push(() => call("payment").refund(order));
        await call("payment").charge(order);
        return call("shipping").book({ ...order, reservationId });
      });
    },
  },
});

const ordersInProcess = restate.service({
  name: "ordersInProcess",
  handlers: {
    place: async (ctx, order) =>
      saga(async (compensations) => {
        compensations.push(() => ctx.run("release", () => ({})));
        const { reservationId } = await ctx.run("reserve", () => ({ reservationId: `R-${order.orderId}` }));
        compensations.push(() => ctx.run("refund", () => ({})));
        await ctx.run("charge", () => ({ paymentId: `P-${order.orderId}` }));
        return ctx.run("ship", () => ship({ ...order, reservationId }));
      }),
  },
});

/** The services that only answer. */
const participants = [
  restate.service({
    name: "inventory",
    handlers: {
      reserve: async (_ctx, order) => ({ reservationId: `R-${order.orderId}` }),
      release: async () => ({}),
    },
  }),
  restate.service({
    name: "payment",
    handlers: {
      charge: async (_ctx, order) => ({ paymentId: `P-${order.orderId}` }),
      refund: async () => ({}),
    },
  }),
  restate.service({ name: "shipping", handlers: { book: async (_ctx, order) => ship(order) } }),
];

/** Runs the steps. After a refusal, which is a terminal error, the compensations run in reverse order. */
async function saga(steps) {
  const compensations = [];
  try {
    return await steps(compensations);
  } catch (error) {
    if (error instanceof restate.TerminalError) {
      for (const compensate of compensations.toReversed()) await compensate();
    }
    throw error;
  }
}

function ship({ orderId, refused }) {
  if (refused) throw new restate.TerminalError("no carrier", { errorCode: 409 });
  return { trackingId: `T-${orderId}` };
}

const [role, port] = process.argv.slice(2);
const services = role === "participants" ? participants : [orders, ordersInProcess];
await restate.serve({ services, port: Number(port) });
