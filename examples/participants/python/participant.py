"""A Snorri participant for the order saga: executes each command once, and repeats its reply. Requires only pika."""
import json
import os
import sqlite3
import uuid

import pika

EXCHANGE = os.environ.get("EXCHANGE", "shop.commands")
QUEUE = os.environ.get("QUEUE", "shop.python")


def handle(command, payload):
    """Executes a command. Its writes to `db` are committed together with the reply."""
    order = payload.get("orderId")
    if command == "payment.charge" and payload["amount"] > 1000:
        return "failure", {"code": "card_declined", "message": "the limit is 1000"}
    return "success", {
        "inventory.reserve": {"reservationId": f"R-{order}"},
        "payment.charge": {"paymentId": f"P-{order}"},
        "shipping.book": {"trackingId": f"T-{order}"},
    }.get(command, {})


COMMANDS = ["inventory.reserve", "inventory.release", "payment.charge", "payment.refund", "shipping.book"]

db = sqlite3.connect(os.environ.get("DATABASE", "participant.db"), isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS answer (message_id TEXT PRIMARY KEY, type TEXT, body TEXT)")


def remember(message_id, result, output):
    db.execute("INSERT INTO answer VALUES (?, ?, ?)", (message_id, result, json.dumps(output)))
    return result, json.dumps(output)


def recall(message_id):
    return db.execute("SELECT type, body FROM answer WHERE message_id = ?", (message_id,)).fetchone()


def answer(properties, body):
    """Returns the recorded reply of a command, or executes it."""
    known = recall(properties.message_id)
    if known:
        return known
    if properties.headers["snorri-direction"] == "compensate":
        step = properties.headers["snorri-step"]
        action = str(uuid.uuid5(uuid.UUID(properties.headers["snorri-saga"]), f"{step}/forward"))
        done = recall(action)
        if not done:  # A tombstone: an action that arrives later is refused.
            remember(action, "failure", {"code": "compensated", "message": "its compensation arrived first"})
        if not done or done[0] == "failure":
            return remember(properties.message_id, "success", {})
    result, output = handle(properties.type, json.loads(body))
    return remember(properties.message_id, result, output)


def on_command(channel, method, properties, body):
    db.execute("BEGIN IMMEDIATE")
    try:
        result, output = answer(properties, body)
        db.execute("COMMIT")  # Before the reply is sent, so that a crash cannot revert what was confirmed.
    except Exception as error:  # An error is not recorded: the command is sent again.
        db.execute("ROLLBACK")
        result, output = "error", json.dumps({"code": type(error).__name__, "message": str(error)})
    reply = pika.BasicProperties(type=result, correlation_id=properties.correlation_id, delivery_mode=2)
    exchange = (properties.headers or {}).get("snorri-reply-exchange", "")
    channel.basic_publish(exchange, properties.reply_to, output.encode(), reply)
    channel.basic_ack(method.delivery_tag)


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.confirm_delivery()
channel.basic_qos(prefetch_count=50)
channel.exchange_declare(EXCHANGE, "topic", durable=True)
channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
for command in COMMANDS:
    channel.queue_bind(QUEUE, EXCHANGE, command)
channel.basic_consume(QUEUE, on_command)
print("consuming", ", ".join(COMMANDS), flush=True)
channel.start_consuming()
