"""Publishes one message that a client may choke on: `poison.py URL QUEUE KIND [CORRELATION_ID]`.

KIND is `nested` or `long` for headers that fill a frame, `nested:COUNT` for fewer tables, `large` for a body of 20 MB, `large:BYTES` for another one, or
what is to hold a byte that is not UTF-8: `headers`, `routing_key`, or the name of a property."""

import sys

import pika

# Just below RabbitMQ's default `frame_max` of 128 KiB, at six bytes a table.
TABLES = 20_000
LETTERS = 120_000
LARGE_BYTES = 20_000_000
LATIN_1 = b"M\xfcller"


def nested(count):
    table = {}
    for _ in range(count):
        table = {"": table}
    return table


sys.setrecursionlimit(10 * TABLES)
url, queue, kind = sys.argv[1:4]
kind, _, size = kind.partition(":")
correlation_id = sys.argv[4] if len(sys.argv) > 4 else "nothing of Snorri's"
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
properties = pika.BasicProperties(type="success", correlation_id=correlation_id, headers={"kept": "yes"})
exchange, routing_key, body = "", queue, b"{}"
if kind == "nested":
    properties.headers = nested(int(size or TABLES))
elif kind == "long":
    properties.headers = {"x": "a" * LETTERS}
elif kind == "large":
    body = b"1" * int(size or LARGE_BYTES)
elif kind == "headers":
    properties.headers = {"kept": "yes", LATIN_1: {LATIN_1: 1}}
elif kind == "routing_key":
    exchange, routing_key = queue + ".fanout", LATIN_1
    channel.exchange_declare(exchange, "fanout", auto_delete=True)
    channel.queue_bind(queue, exchange)
else:
    setattr(properties, kind, LATIN_1)
channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
connection.close()
