"""Writes and reads records with Confluent's serializers.

    topic BROKERS TOPIC                     makes a topic with one partition
    write BROKERS REGISTRY TOPIC            two orders in Avro, one in JSON
    read BROKERS REGISTRY TOPIC COUNT       prints COUNT records, a JSON object each
"""

import base64
import datetime
import decimal
import json
import sys
import uuid

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

MONEY = {
    "type": "record", "name": "Money", "namespace": "shop", "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "currency", "type": {"type": "enum", "name": "Currency", "symbols": ["EUR", "GBP"]}}]}

ORDER = {
    "type": "record", "name": "OrderPlaced", "namespace": "shop", "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "total", "type": "shop.Money"},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "deliver_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "till", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "picture", "type": "bytes"},
        {"name": "weights", "type": {"type": "array", "items": "double"}},
        {"name": "labels", "type": {"type": "map", "values": ["null", "string", "long"]}}]}

CANCELLED = {
    "title": "OrderCancelled", "type": "object", "required": ["order_id"],
    "properties": {"order_id": {"type": "string"}, "reason": {"type": "string"}}}


def order(order_id, day):
    return {
        "order_id": order_id,
        "total": {"amount": decimal.Decimal("-12.50"), "currency": "GBP"},
        "placed_at": datetime.datetime(2026, 1, 31, 23, 59, 59, 500000, tzinfo=datetime.timezone.utc),
        "deliver_on": day,
        "till": uuid.UUID(int=7),
        "picture": b"\x00\xff",
        "weights": [0.5, -1.25],
        "labels": {"nörd": "x", "none": None, "count": 7},
    }


def registry(address):
    return SchemaRegistryClient({"url": address})


def write(brokers, address, topic):
    client = registry(address)
    client.register_schema("money", Schema(json.dumps(MONEY), "AVRO"))
    referring = Schema(json.dumps(ORDER), "AVRO", [SchemaReference("shop.Money", "money", 1)])
    avro = AvroSerializer(client, referring)
    plain = JSONSerializer(json.dumps(CANCELLED), client)
    context = SerializationContext(topic, MessageField.VALUE)
    producer = Producer({"bootstrap.servers": brokers})

    def send(name, event_type, value):
        # Confluent's serializers write no identity: a producer sends it as headers.
        headers = {"ce_id": name, "ce_source": "/python/till", "ce_specversion": "1.0", "ce_type": event_type}
        producer.produce(topic, key="o-7", value=value, headers=headers)

    send("1", "shop.order.placed", avro(order("o-7", datetime.date(2026, 2, 1)), context))
    send("2", "shop.order.placed", avro(order("o-7", None), context))
    # The serializer of the client names a subject by the topic; JSON of another type needs its own.
    json_context = SerializationContext(topic + "-cancelled", MessageField.VALUE)
    send("3", "shop.order.cancelled", plain({"order_id": "o-7", "reason": "late"}, json_context))
    assert producer.flush(60) == 0, "the broker does not take the records"


def printable(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def read(brokers, address, topic, count):
    client = registry(address)
    avro, plain = AvroDeserializer(client), JSONDeserializer(None, schema_registry_client=client)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found = 0
    while found < int(count):
        record = consumer.poll(60)
        assert record is not None, f"only {found} records within 60 s"
        assert record.error() is None, record.error()
        headers = {name: value.decode() for name, value in record.headers()}
        reader = avro if headers["contentType"] == "application/avro" else plain
        value = reader(record.value(), SerializationContext(topic, MessageField.VALUE))
        print(json.dumps({"headers": headers, "key": record.key().decode(), "value": value}, default=printable))
        found += 1
    consumer.close()


def topic(brokers, name):
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.create_topics([NewTopic(name, 1, 1)]).values():
        future.result()


if __name__ == "__main__":
    {"topic": topic, "write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
