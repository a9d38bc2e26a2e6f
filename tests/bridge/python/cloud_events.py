"""Writes and reads CloudEvents with the SDK for Python.

    write-kafka BROKERS TOPIC          one event in each form
    write-rabbitmq URL EXCHANGE        one event in each form, and one under the names of Knative's binding
    read-kafka BROKERS TOPIC COUNT     prints COUNT events, a JSON object each
    read-rabbitmq URL QUEUE COUNT      the same from a queue

A structured event is also checked against the project's JSON Schema.
"""

import base64
import functools
import hashlib
import io
import json
import re
import sys
import tarfile
import time
import urllib.request
from datetime import datetime, timezone

import jsonschema
import pika
from cloudevents.core.bindings import amqp, kafka, rabbitmq
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Consumer, Producer

# The SDK for JavaScript carries the schema of the specification; packages for Python do not.
SCHEMA_PACKAGE = "https://registry.npmjs.org/cloudevents/-/cloudevents-10.0.0.tgz"
SCHEMA_SHA512 = "uyzC+PpMMRawbouHO+3mlisr3QfEDObmo2pN4oTTF6dZncZgpIzdasZx0tRBFI1dMsqCLZZXMtz8cUuvYqHdbw=="


def fetched(url, attempts=5):
    for attempt in range(1, attempts + 1):
        try:
            with urllib.request.urlopen(url, timeout=120) as answer:
                return answer.read()
        except OSError as error:
            if attempt == attempts:
                raise SystemExit(f"{url} cannot be fetched from the package registry: {error}") from error
            time.sleep(attempt)


@functools.cache
def schema():
    package = fetched(SCHEMA_PACKAGE)
    found = base64.b64encode(hashlib.sha512(package).digest()).decode()
    assert found == SCHEMA_SHA512, f"{SCHEMA_PACKAGE} is another package: {found}"
    with tarfile.open(fileobj=io.BytesIO(package)) as files:
        text = files.extractfile("package/dist/schema/v1.js").read().decode()
    document = json.loads(re.search(r"const schema\d+ = (\{.*?\});\n?const|const schema\d+ = (\{.*\});", text).group(1))
    assert document["properties"]["specversion"], document
    return document


def event(id, extra=None):
    attributes = {
        "id": id,
        "source": "/python/till",
        "type": "orders.order.placed",
        "subject": "o-7",
        "time": datetime(2026, 1, 31, 23, 59, 59, 500000, tzinfo=timezone.utc),
        "datacontenttype": "application/json",
        "dataschema": "https://schemas.example/order",
        "partitionkey": "o-7",
        "tenant": "nörd",
    }
    return CloudEvent({**attributes, **(extra or {})}, {"order_id": "o-7", "pence": 995})


def printed(event):
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    attributes["time"] = event.get_time().astimezone(timezone.utc).isoformat()
    print(json.dumps({"attributes": attributes, "data": event.get_data()}))


def checked(body):
    document = json.loads(body)
    checker = jsonschema.FormatChecker()
    # Without their packages, formats would pass unseen.
    assert {"date-time", "uri", "uri-reference"} <= checker.checkers.keys(), checker.checkers
    jsonschema.Draft7Validator(schema(), format_checker=checker).validate(document)
    return body


def write_kafka(brokers, topic):
    producer = Producer({"bootstrap.servers": brokers})
    for message in [
        kafka.to_binary_event(event("py-binary")),
        kafka.to_structured_event(event("py-structured")),
    ]:
        headers = list(message.headers.items())
        producer.produce(topic, key=message.key, value=message.value, headers=headers)
    assert producer.flush(120) == 0


def read_kafka(brokers, topic, count):
    settings = {
        "bootstrap.servers": brokers,
        "group.id": f"sdk-{topic}",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    found = 0
    while found < int(count):
        record = consumer.poll(1)
        if record is None:
            continue
        assert record.error() is None, record.error()
        headers = dict(record.headers())
        if headers["content-type"].startswith(b"application/cloudevents"):
            checked(record.value())
        message = kafka.KafkaMessage(headers=headers, key=record.key(), value=record.value())
        printed(kafka.from_kafka_event(message))
        found += 1
    consumer.close()


def write_rabbitmq(url, exchange):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    for message in [
        amqp.to_binary_event(event("amqp-binary", {"attempts": 3, "urgent": True})),
        amqp.to_structured_event(event("amqp-structured", {"attempts": 3, "urgent": True})),
    ]:
        properties = pika.BasicProperties(
            content_type=message.properties["content-type"], headers=message.application_properties
        )
        channel.basic_publish(exchange, "sdk", message.application_data, properties, mandatory=True)
    message = rabbitmq.to_binary_event(event("knative-binary"))
    properties = pika.BasicProperties(content_type=message.content_type, headers=message.headers)
    channel.basic_publish(exchange, "sdk", message.body, properties, mandatory=True)
    connection.close()


def read_rabbitmq(url, queue, count):
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for found, (method, properties, body) in enumerate(channel.consume(queue, auto_ack=True), 1):
        if properties.content_type.startswith("application/cloudevents"):
            checked(body)
        message = amqp.AMQPMessage(
            properties={"content-type": properties.content_type},
            application_properties=properties.headers or {},
            application_data=body,
        )
        printed(amqp.from_amqp_event(message))
        if found == int(count):
            break
    connection.close()


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    globals()[name.replace("-", "_")](*arguments)
