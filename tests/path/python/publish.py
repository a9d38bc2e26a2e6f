"""Writes orders as a service in another language would: row and event in one transaction, through messagekit.publish.

Reads one JSON object per line (order_id, customer, country, pence, keep) and has each transaction run by psql: no driver of
PostgreSQL belongs to Python itself. What matters here is made by Python: the JSON and the text of the statements.
"""

import json
import subprocess
import sys


def literal(value):
    """Returns a value as SQL text."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def transaction(order, topic):
    keep = order.pop("keep")
    row = ", ".join(literal(order[name]) for name in ("order_id", "customer", "country", "pence"))
    data = {"order_id": order["order_id"], "customer": order["customer"], "country": order["country"], "pence": order["pence"]}
    event = ", ".join([literal(topic), literal(order["customer"]), "'orders.order.placed'", literal(json.dumps(data)) + "::jsonb"])
    return "\n".join([
        "BEGIN;",
        f"INSERT INTO orders (order_id, customer, country, pence) VALUES ({row});",
        f"SELECT messagekit.publish({event});",
        "COMMIT;" if keep else "ROLLBACK;",
    ])


def main():
    psql, url, topic = sys.argv[1:]
    script = "\n".join(transaction(json.loads(line), topic) for line in sys.stdin if line.strip())
    command = [psql, "--no-psqlrc", "--quiet", "--output=/dev/null", "--set=ON_ERROR_STOP=1", "--file=-", url]
    return subprocess.run(command, input=script, text=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
