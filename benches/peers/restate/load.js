// Places orders at the ingress of Restate. Arguments: the base address of the ingress, the service, the plan.
//
// Plain HTTP on connections that stay open, because the load shares the machine with what it measures.

import http from "node:http";
import { measure } from "../load.mjs";

const [ingress, service] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });

/** An order is placed once for each id: repetitions with this key have the outcome of the first. */
function place(order) {
  const headers = { "content-type": "application/json", "idempotency-key": order.orderId };
  return new Promise((resolve, reject) => {
    const request = http.request(`${ingress}/${service}/place`, { agent, method: "POST", headers }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => resolve(outcome(order, response.statusCode, body)));
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(JSON.stringify(order));
  });
}

function outcome({ orderId }, status, body) {
  if (status === 200 && JSON.parse(body).trackingId === `T-${orderId}`) return "completed";
  if (status === 409) return "compensated";
  return `${status}: ${body}`;
}

await measure(place);
agent.destroy();
