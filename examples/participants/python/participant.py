"""A Snorri participant: takes commands, answers each once it is done. Needs nothing but pika."""
import json
import os

import pika

EXCHANGE = os.environ.get("EXCHANGE", "shop.commands")
QUEUE = os.environ.get("QUEUE", "shop.python")
COMMANDS = os.environ.get("COMMANDS", "inventory.reserve,inventory.release").split(",")
answers = {}  # What was answered, by idempotency key. Keep it in your database, with the work itself.


def handle(command, payload):
    """Do the work. Return ("success", output), or ("failure", {"code": ..., "message": ...}) if you refuse."""
    return "success", {"command": command}


def on_command(channel, method, properties, body):
    if properties.message_id not in answers:
        answers[properties.message_id] = handle(properties.type, json.loads(body))
    result, output = answers[properties.message_id]
    reply = pika.BasicProperties(type=result, correlation_id=properties.correlation_id, delivery_mode=2)
    exchange = (properties.headers or {}).get("snorri-reply-exchange", "")
    channel.basic_publish(exchange, properties.reply_to, json.dumps(output).encode(), reply)
    channel.basic_ack(method.delivery_tag)


channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])).channel()
channel.confirm_delivery()
channel.exchange_declare(EXCHANGE, "topic", durable=True)
channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
for command in COMMANDS:
    channel.queue_bind(QUEUE, EXCHANGE, command)
channel.basic_consume(QUEUE, on_command)
print("taking", ", ".join(COMMANDS), flush=True)
channel.start_consuming()
