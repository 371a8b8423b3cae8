# SPDX-License-Identifier: Apache-2.0
"""What the flows of the table outgoing share: a person who writes rows into it, with no more rights than the README gives."""
import json
import subprocess

from warehouse import wait_for
from sinks import log_of as events_of  # noqa: F401

GRANTS = """
CREATE ROLE desk LOGIN;
GRANT USAGE ON SCHEMA touchbus TO desk;
GRANT SELECT ON touchbus.outgoing TO desk;
GRANT INSERT (kind, customer, key_kind, key_value, data, actor) ON touchbus.outgoing TO desk;
"""


class Desk:
    """Rows are written and read as the role desk."""

    def __init__(self, server):
        self.server = server
        server.run(GRANTS)

    def sql(self, statement, check=True):
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-A", "-t", "-h", self.server.folder, "-p", str(self.server.port), "-U",
                               "desk", "-d", "crm", "-f", "-"], input=statement, text=True, capture_output=True, timeout=60, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip() if check else done

    def write(self, *rows):
        """Rows of one transaction as (kind, whom, data): whom is a number, (kind, value) of a key, or None. Their ids."""
        values = []
        for kind, whom, data in rows:
            number = str(whom) if isinstance(whom, int) else "NULL"
            key = [quote(part) for part in whom] if isinstance(whom, tuple) else ["NULL", "NULL"]
            values.append(f"({quote(kind)}, {number}, {key[0]}, {key[1]}, {quote(data if isinstance(data, str) else json.dumps(data))}, 'ana.agent')")
        found = self.sql(f"INSERT INTO touchbus.outgoing (kind, customer, key_kind, key_value, data, actor) VALUES {', '.join(values)} RETURNING id")
        return [int(line) for line in found.split()]

    def row(self, number):
        found = self.sql(f"SELECT row_to_json(o) FROM touchbus.outgoing o WHERE id = {number}")
        return json.loads(found) if found else None

    def answered(self, *ids, seconds=60):
        """The rows when all of them are settled."""
        def settled():
            found = self.sql(f"SELECT json_agg(o ORDER BY o.id) FROM touchbus.outgoing o WHERE id IN ({', '.join(map(str, ids))})")
            rows = json.loads(found)
            return rows if all(row["settled"] for row in rows) else None
        return wait_for("the rows are answered", settled, seconds)

    def ask(self, kind, whom, data):
        """Writes one row and waits for its answer."""
        return self.answered(*self.write((kind, whom, data)))[0]


def quote(text):
    return "'" + text.replace("'", "''") + "'"
