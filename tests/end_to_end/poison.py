"""Publishes one message whose headers fill a frame: `poison.py URL QUEUE nested|long`."""

import sys

import pika

# Just below RabbitMQ's default `frame_max` of 128 KiB, at six bytes a table.
TABLES = 20_000
LETTERS = 120_000


def nested():
    table = {}
    for _ in range(TABLES):
        table = {"": table}
    return table


sys.setrecursionlimit(10 * TABLES)
url, queue, kind = sys.argv[1:]
headers = nested() if kind == "nested" else {"x": "a" * LETTERS}
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
properties = pika.BasicProperties(headers=headers, type="success", correlation_id="nothing of Snorri's")
channel.basic_publish("", queue, b"{}", properties, mandatory=True)
connection.close()
