package peer;

import io.namastack.outbox.annotation.OutboxHandler;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.springframework.stereotype.Component;

/** Answers only when the broker has the record. */
@Component
public class Publisher {
  private final String topic = System.getenv("BENCH_TOPIC");
  private final KafkaProducer<String, String> kafka = new KafkaProducer<>(
      Map.of("bootstrap.servers", System.getenv("BENCH_KAFKA"), "linger.ms", 0), new StringSerializer(), new StringSerializer());

  @OutboxHandler
  public void publish(Event event) throws Exception {
    kafka.send(new ProducerRecord<>(topic, event.account(), event.payload())).get();
  }
}
