-- What consumers have passed over, because they had no handler for its type.

-- similar_to: the handled types of which this one may be a misspelling. first_at and last_at: when the messages were noted.
CREATE TABLE messagekit.unhandled_types (
  consumer   text COLLATE "C" NOT NULL,
  topic      text COLLATE "C" NOT NULL,
  event_type text COLLATE "C" NOT NULL,
  similar_to text[] NOT NULL,
  messages   bigint NOT NULL,
  first_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (consumer, topic, event_type)
) WITH (fillfactor = 50);
