package peer;

/** What is written to the outbox; the payload is text, because its bytes are compared. */
public record Event(String account, String payload) {}
